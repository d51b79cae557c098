//! Everything known about everyone, and the lists that choose among them in O(1).
//!
//! A member has a slot for as long as it is known; slot 0 is the local member's, for ever. Each other member stands in
//! one of three lists: the **live** (Alive and Suspect, with content), the **dead** (with content) and the **gone**
//! (Left, and whoever is known by id alone). The live list is also the order of probing: see [`Table::next_target`].
//!
//! This file keeps the lists, the indexes and the digest in step with the records; `lists` chooses among members,
//! `addresses` finds who is reached where. Which claim prevails is `precedence`'s matter, what follows from a change is
//! `node/claims`'s.

mod addresses;
mod index;
mod lists;

use alloc::vec::Vec;

use index::Index;

use super::digest::Digest;
use super::precedence::Standing;
use super::profiles::Profiles;
use super::record::{Entry, NONE, Plight, Record, Route};
use super::{ClusterHash, Incarnation, NodeId, State, Versions, grow_gently};
use crate::random::mix;
use crate::time::Instant;
use crate::wire::ProfileBytes;

/// A member's place in the table. Reused once the member is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(u32);

impl Slot {
    /// The local member's.
    pub(crate) const LOCAL: Slot = Slot(0);
}

/// Content before it is taken in: borrowed from whoever brings it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct News<'a> {
    pub(crate) incarnation: Incarnation,
    pub(crate) profile: &'a [u8],
}

pub(crate) struct Table {
    records: Vec<Option<Record>>,
    free: Vec<Slot>,
    profiles: Profiles,
    /// Of whoever is not Alive.
    plights: Vec<Plight>,
    free_plights: Vec<u32>,
    by_id: Index,
    by_address: Index,
    /// From the seed, so that nobody can aim at one place of the indexes.
    hash_key: u64,
    /// Live members but the local one. Those before `cursor` were probed in this round.
    live: Vec<Slot>,
    cursor: usize,
    /// Where the walk of [`Table::walk_live`] goes on.
    walked: usize,
    /// The dead of whom more is known than their id: they may be tried again. The latest are at the end.
    dead: Vec<Slot>,
    /// The departed, and whoever is known by id alone.
    gone: Vec<Slot>,
    /// How many are reached by carrier.
    by_stream: usize,
    digest: Digest,
    /// What all whose content was ever held speak: it narrows, and never widens again.
    spoken: Versions,
}

impl Table {
    /// A table of one: the local member, Alive.
    pub(crate) fn new(cluster: ClusterHash, hash_key: u64, id: NodeId, content: News<'_>, now: Instant) -> Table {
        let mut table = Table {
            records: Vec::new(),
            free: Vec::new(),
            profiles: Profiles::default(),
            plights: Vec::new(),
            free_plights: Vec::new(),
            by_id: Index::new(),
            by_address: Index::new(),
            hash_key,
            live: Vec::new(),
            cursor: 0,
            walked: 0,
            dead: Vec::new(),
            gone: Vec::new(),
            by_stream: 0,
            digest: Digest::new(cluster),
            spoken: Versions { min: 0, max: u8::MAX },
        };
        let standing = Standing::new(content.incarnation, State::Alive);
        let slot = table.insert(id, standing, id, Some(content), now);
        debug_assert_eq!(slot, Slot::LOCAL);
        table
    }

    pub(crate) fn find(&self, id: NodeId) -> Option<Slot> {
        self.by_id.candidates(hash_id(self.hash_key, id)).find(|&slot| record(&self.records, slot).id == id)
    }

    pub(crate) fn at(&self, slot: Slot) -> Entry<'_> {
        Entry { record: record(&self.records, slot), table: self }
    }

    pub(crate) fn at_mut(&mut self, slot: Slot) -> &mut Record {
        self.records[slot.0 as usize].as_mut().expect("slots in hand are taken: they are dropped with their member")
    }

    /// The record in a slot remembered from earlier: whoever has it now, if anybody.
    pub(crate) fn try_at(&self, slot: Slot) -> Option<Entry<'_>> {
        let record = self.records.get(slot.0 as usize)?.as_ref()?;
        Some(Entry { record, table: self })
    }

    pub(super) fn plight(&self, record: &Record) -> Option<&Plight> {
        (record.plight != NONE).then(|| &self.plights[record.plight as usize])
    }

    /// What is known besides about a member that is not Alive.
    pub(crate) fn plight_mut(&mut self, slot: Slot) -> Option<&mut Plight> {
        let plight = self.at(slot).plight;
        (plight != NONE).then(|| &mut self.plights[plight as usize])
    }

    pub(super) fn profile(&self, record: &Record) -> &[u8] {
        self.profiles.at(record.profile())
    }

    pub(crate) fn local(&self) -> Entry<'_> {
        self.at(Slot::LOCAL)
    }

    /// How many are known, live and not, the local member included.
    pub(crate) fn len(&self) -> usize {
        self.records.len() - self.free.len()
    }

    /// Live members, the local one included while it is.
    pub(crate) fn live_count(&self) -> usize {
        self.live.len() + usize::from(self.local().is_live())
    }

    /// The versions that all members speak, as far as their profiles say; too few rather than too many.
    pub(crate) fn spoken_by_all(&self) -> Versions {
        self.spoken
    }

    pub(crate) fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The taken slots from `from` on, in order: a walk that can be left and taken up again while the table changes.
    pub(crate) fn slots_from(&self, from: usize) -> impl Iterator<Item = (usize, Slot, Entry<'_>)> {
        let tail = self.records.get(from..).unwrap_or_default();
        tail.iter().enumerate().filter_map(move |(index, record)| {
            let index = from + index;
            record.as_ref().map(|record| (index, Slot(index as u32), Entry { record, table: self }))
        })
    }

    /// Somebody new.
    pub(crate) fn insert(
        &mut self,
        id: NodeId,
        standing: Standing,
        accuser: NodeId,
        content: Option<News<'_>>,
        now: Instant,
    ) -> Slot {
        debug_assert!(self.find(id).is_none());
        self.make_room_by_id();
        let new = Record::new(id, standing.incarnation, now);
        let slot = self.free.pop().unwrap_or(Slot(self.records.len() as u32));
        if slot.0 as usize == self.records.len() {
            grow_gently(&mut self.records, 1);
            self.records.push(Some(new));
        } else {
            self.records[slot.0 as usize] = Some(new);
        }
        self.by_id.insert(hash_id(self.hash_key, id), slot);
        self.enlist(slot);
        self.rise(slot, standing, Some(accuser), content, now);
        slot
    }

    fn make_room_by_id(&mut self) {
        if self.by_id.is_full() {
            let mut larger = self.by_id.larger();
            for (_, slot, entry) in self.slots_from(0) {
                larger.insert(hash_id(self.hash_key, entry.id), slot);
            }
            self.by_id = larger;
        }
    }

    /// Forgets a member that is not the local one, and gives its case and its rumor, if it had any.
    pub(crate) fn remove(&mut self, slot: Slot) -> (Option<u32>, Option<u32>) {
        debug_assert_ne!(slot, Slot::LOCAL);
        self.set_route(slot, Route::FRESH);
        let digested = self.digested(slot);
        self.mend_digest(slot, digested, None);
        self.delist(slot, self.at(slot).list());
        self.unindex_address(slot);
        let (id, left) = (self.at(slot).id, (self.at(slot).case(), self.at(slot).rumor()));
        let (key, records) = (self.hash_key, &self.records);
        self.by_id.remove(hash_id(key, id), slot, |slot| hash_id(key, record(records, slot).id));
        self.set_plight(slot, None);
        self.profiles.remove(self.at(slot).profile());
        self.records[slot.0 as usize] = None;
        self.free.push(slot);
        self.squeeze_profiles();
        left
    }

    /// From now on the member is reached this way.
    pub(crate) fn set_route(&mut self, slot: Slot, route: Route) {
        let record = self.at_mut(slot);
        let held = record.route();
        record.set_route(route);
        self.by_stream = self.by_stream + usize::from(route.is_stream()) - usize::from(held.is_stream());
    }

    /// How many are reached by carrier.
    pub(crate) fn by_stream(&self) -> usize {
        self.by_stream
    }

    /// A member's standing rises to this one, its content is replaced if some is given, and whoever is named accuses
    /// it.
    pub(crate) fn rise(
        &mut self,
        slot: Slot,
        standing: Standing,
        accuser: Option<NodeId>,
        content: Option<News<'_>>,
        now: Instant,
    ) {
        let (digested, listed) = (self.digested(slot), self.at(slot).list());
        let held_content = self.at(slot).content().map(|content| content.incarnation);
        let content_incarnation = content.map(|news| news.incarnation).or(held_content);
        if let Some(news) = content {
            self.set_profile(slot, news.profile);
        }
        let record = self.at_mut(slot);
        if record.state != standing.state {
            record.since = now;
        }
        (record.life, record.refutation) = (standing.incarnation.life, standing.incarnation.refutation);
        record.state = standing.state;
        if standing.state == State::Alive {
            debug_assert!(slot == Slot::LOCAL || content.is_none_or(|news| news.incarnation == standing.incarnation));
            self.set_plight(slot, None);
        } else {
            let content = content_incarnation.unwrap_or_default();
            let accuser = accuser.unwrap_or(self.at(slot).accuser());
            match self.plight_mut(slot) {
                Some(plight) => (plight.accuser, plight.content) = (accuser, content),
                None => {
                    let plight = Plight { accuser, content, forget_at: now, reap_armed: false, case: None };
                    self.set_plight(slot, Some(plight));
                }
            }
        }
        let now_listed = self.at(slot).list();
        if now_listed != listed {
            self.delist(slot, listed);
            self.enlist(slot);
        }
        self.mend_digest(slot, digested, self.digested(slot));
    }

    /// Nothing is allocated where the new profile is as long as the old one.
    fn set_profile(&mut self, slot: Slot, profile: &[u8]) {
        let held = self.at(slot).profile();
        if self.profiles.at(held) == profile {
            return;
        }
        let held_address = self.at(slot).address();
        self.unindex_address(slot);
        let versions = ProfileBytes::from_validated(profile).versions();
        self.spoken.min = self.spoken.min.max(versions.min);
        self.spoken.max = self.spoken.max.min(versions.max);
        let place = self.profiles.replace(held, profile);
        self.at_mut(slot).set_profile(place);
        self.index_address(slot);
        if self.at(slot).address() != held_address {
            self.set_route(slot, Route::FRESH);
        }
        self.squeeze_profiles();
    }

    fn squeeze_profiles(&mut self) {
        if !self.profiles.is_wasteful() {
            return;
        }
        let mut squeezed = self.profiles.squeezed();
        for record in self.records.iter_mut().flatten().filter(|record| record.has_content()) {
            let place = squeezed.append(self.profiles.at(record.profile()));
            record.set_profile(place);
        }
        self.profiles = squeezed;
    }

    fn set_plight(&mut self, slot: Slot, plight: Option<Plight>) {
        let held = core::mem::replace(&mut self.at_mut(slot).plight, NONE);
        if held != NONE {
            self.free_plights.push(held);
        }
        let Some(plight) = plight else { return };
        let index = self.free_plights.pop().unwrap_or(self.plights.len() as u32);
        match self.plights.get_mut(index as usize) {
            Some(place) => *place = plight,
            None => self.plights.push(plight),
        }
        self.at_mut(slot).plight = index;
    }

    /// What the digest holds of a member: the incarnation of its content, while it is live.
    fn digested(&self, slot: Slot) -> Option<Incarnation> {
        let entry = self.at(slot);
        entry.content().filter(|_| entry.is_live()).map(|content| content.incarnation)
    }

    fn mend_digest(&mut self, slot: Slot, before: Option<Incarnation>, after: Option<Incarnation>) {
        if before == after {
            return;
        }
        let id = self.at(slot).id;
        if let Some(before) = before {
            self.digest.remove(id, before);
        }
        if let Some(after) = after {
            self.digest.add(id, after);
        }
    }
}

fn record(records: &[Option<Record>], slot: Slot) -> &Record {
    records[slot.0 as usize].as_ref().expect("slots in hand are taken: they are dropped with their member")
}

fn hash_id(key: u64, id: NodeId) -> u64 {
    mix(id.as_u64() ^ key)
}

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;

    use super::*;
    use crate::wire::Profile;

    pub(super) fn profile(n: u16) -> Vec<u8> {
        let address = SocketAddr::from(([10, 0, 0, 1], n));
        let (endpoint, versions) = (None, crate::membership::VERSIONS);
        let mut bytes = Vec::new();
        Profile { address, endpoint, versions, name: "name", metadata: b"" }.encode_into(&mut bytes);
        bytes
    }

    pub(super) fn content(profile: &[u8]) -> News<'_> {
        News { incarnation: Incarnation::first(1), profile }
    }

    pub(super) fn insert(table: &mut Table, id: u64, profile: &[u8]) {
        let (id, standing) = (NodeId::from_u64(id), Standing::new(Incarnation::first(1), State::Alive));
        table.insert(id, standing, id, Some(content(profile)), Instant::ZERO);
    }

    pub(super) fn table(others: u16) -> Table {
        let now = Instant::ZERO;
        let mut table = Table::new(ClusterHash(1), 7, NodeId::from_u64(0), content(&profile(1)), now);
        for n in 1..=others {
            insert(&mut table, n.into(), &profile(n + 1));
        }
        table
    }

    #[test]
    fn the_indexes_follow_moves_and_removals() {
        let mut table = table(3);
        let slot = table.find(NodeId::from_u64(2)).expect("known");
        let address = SocketAddr::from(([10, 0, 0, 1], 3));
        assert!(table.has_live_at(address));
        let standing = table.at(slot).standing();
        table.rise(slot, standing, None, Some(content(&profile(99))), Instant::ZERO);
        assert!(!table.knows_address(address));
        assert!(table.has_live_at(SocketAddr::from(([10, 0, 0, 1], 99))));
        let root = table.digest().root();
        table.remove(slot);
        assert_eq!((table.find(NodeId::from_u64(2)), table.len()), (None, 3));
        insert(&mut table, 2, &profile(5));
        assert_eq!(table.digest().root(), root);
    }
}
