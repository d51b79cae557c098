//! Everything known about everyone, and the lists that choose among them in O(1).
//!
//! A member has a slot for as long as it is known; slot 0 is the local member's, for ever. Each other member stands in
//! one of three lists: the **live** (Alive and Suspect, with content), the **dead** (with content) and the **gone** (Left,
//! and whoever is known by id alone). The live list is also the order of probing: see [`Table::next_target`].
//!
//! This file keeps the lists, the indexes and the digest in step with the records; which claim prevails is
//! `precedence`'s matter, what follows from a change is `node/claims`'s.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use hashbrown::HashTable;

use super::digest::Digest;
use super::precedence::Status;
use super::{ClusterHash, Incarnation, NodeId, State};
use crate::random::{Random, mix};
use crate::time::Instant;

/// A member's place in the table. Reused once the member is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(u32);

impl Slot {
    /// The local member's.
    pub(crate) const LOCAL: Slot = Slot(0);
}

/// What only an Alive claim brings: who the member is, as canonical bytes of its profile.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) incarnation: Incarnation,
    pub(crate) profile: Arc<[u8]>,
    /// Where it is reached, read once from the profile.
    pub(crate) address: SocketAddr,
}

/// The same before it is taken in: borrowed from whoever brings it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct News<'a> {
    pub(crate) incarnation: Incarnation,
    pub(crate) profile: &'a [u8],
    pub(crate) address: SocketAddr,
}

impl Content {
    fn new(news: News<'_>) -> Content {
        Content { incarnation: news.incarnation, profile: Arc::from(news.profile), address: news.address }
    }

    fn take_in(&mut self, news: News<'_>) {
        (self.incarnation, self.address) = (news.incarnation, news.address);
        if *self.profile != *news.profile {
            match Arc::get_mut(&mut self.profile) {
                Some(bytes) if bytes.len() == news.profile.len() => bytes.copy_from_slice(news.profile),
                _ => self.profile = Arc::from(news.profile),
            }
        }
    }
}

/// Smoothed round-trip time and its variation, as in RFC 6298, in microseconds; `None` until measured.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RoundTrip {
    pub(crate) smoothed_us: u32,
    pub(crate) variation_us: u32,
}

impl RoundTrip {
    pub(crate) fn first(sample: Duration) -> RoundTrip {
        let us = micros(sample);
        RoundTrip { smoothed_us: us, variation_us: us / 2 }
    }

    /// RFC 6298: `variation += (|smoothed − sample| − variation) / 4; smoothed += (sample − smoothed) / 8`.
    #[must_use]
    pub(crate) fn with(self, sample: Duration) -> RoundTrip {
        let us = micros(sample);
        let (smoothed, variation) = (u64::from(self.smoothed_us), u64::from(self.variation_us));
        RoundTrip {
            variation_us: ((3 * variation + smoothed.abs_diff(us.into())) / 4) as u32,
            smoothed_us: ((7 * smoothed + u64::from(us)) / 8) as u32,
        }
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

/// What is known about one member.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) id: NodeId,
    status: Status,
    /// `None`: known by id alone.
    content: Option<Content>,
    /// Since when it is in its state, here.
    pub(crate) since: Instant,
    /// Who accuses it, while it is Suspect or Dead.
    pub(crate) accuser: NodeId,
    pub(crate) round_trip: Option<RoundTrip>,
    /// Where it stands in its list.
    place: u32,
    /// Its rumor, if one circulates here.
    pub(crate) rumor: Option<u32>,
    /// The case against it, while it is Suspect.
    pub(crate) case: Option<u32>,
    /// Dead or Left: when it will be forgotten.
    pub(crate) forget_at: Instant,
    /// A timer to forget it is set.
    pub(crate) reap_armed: bool,
    /// The earliest suspicion timer known to be set for this slot.
    pub(crate) suspicion_armed: Option<Instant>,
}

impl Record {
    pub(crate) fn status(&self) -> Status {
        self.status
    }

    pub(crate) fn state(&self) -> State {
        self.status.state
    }

    pub(crate) fn incarnation(&self) -> Incarnation {
        self.status.incarnation
    }

    pub(crate) fn content(&self) -> Option<&Content> {
        self.content.as_ref()
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.content.as_ref().map(|content| content.address)
    }

    fn is_reachable_dead(&self) -> bool {
        self.status.state == State::Dead && self.content.is_some()
    }

    /// Alive or Suspect, and known by more than its id.
    pub(crate) fn is_live(&self) -> bool {
        self.status.state.is_live() && self.content.is_some()
    }
}

pub(crate) struct Table {
    records: Vec<Option<Record>>,
    free: Vec<Slot>,
    by_id: HashTable<Slot>,
    by_address: HashTable<Slot>,
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
    digest: Digest,
}

impl Table {
    /// A table of one: the local member, Alive.
    pub(crate) fn new(cluster: ClusterHash, hash_key: u64, id: NodeId, content: News<'_>, now: Instant) -> Table {
        let mut table = Table {
            records: Vec::new(),
            free: Vec::new(),
            by_id: HashTable::new(),
            by_address: HashTable::new(),
            hash_key,
            live: Vec::new(),
            cursor: 0,
            walked: 0,
            dead: Vec::new(),
            gone: Vec::new(),
            digest: Digest::new(cluster),
        };
        let status = Status::new(content.incarnation, State::Alive);
        let slot = table.insert(id, status, Some(content), now);
        debug_assert_eq!(slot, Slot::LOCAL);
        table
    }

    pub(crate) fn find(&self, id: NodeId) -> Option<Slot> {
        let records = &self.records;
        self.by_id.find(hash_id(self.hash_key, id), |slot| record(records, *slot).id == id).copied()
    }

    /// The member that is reached at this address: a live one if there is one.
    pub(crate) fn find_address(&self, address: SocketAddr) -> Option<Slot> {
        let (records, mut found) = (&self.records, None);
        for &slot in self.by_address.iter_hash(hash_address(self.hash_key, address)) {
            let candidate = record(records, slot);
            if candidate.address() == Some(address) && (found.is_none() || candidate.is_live()) {
                found = Some(slot);
            }
        }
        found
    }

    pub(crate) fn at(&self, slot: Slot) -> &Record {
        record(&self.records, slot)
    }

    pub(crate) fn at_mut(&mut self, slot: Slot) -> &mut Record {
        self.records[slot.0 as usize].as_mut().expect("slots in hand are taken: they are dropped with their member")
    }

    /// The record in a slot remembered from earlier: whoever has it now, if anybody.
    pub(crate) fn try_at(&self, slot: Slot) -> Option<&Record> {
        self.records.get(slot.0 as usize)?.as_ref()
    }

    pub(crate) fn local(&self) -> &Record {
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

    /// Live members but the local one.
    pub(crate) fn others(&self) -> &[Slot] {
        &self.live
    }

    /// The dead that can be reached again, the latest at the end.
    pub(crate) fn dead(&self) -> &[Slot] {
        &self.dead
    }

    /// How many are known that are not live.
    pub(crate) fn graves_len(&self) -> usize {
        self.dead.len() + self.gone.len()
    }

    /// One of those that are not live, at random.
    pub(crate) fn random_grave(&self, random: &mut Random) -> Option<Slot> {
        let graves = self.graves_len();
        let drawn = (graves > 0).then(|| random.below(graves))?;
        self.gone.get(drawn).or_else(|| self.dead.get(drawn - self.gone.len())).copied()
    }

    pub(crate) fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The taken slots from `from` on, in order: a walk that can be left and taken up again while the table changes.
    pub(crate) fn slots_from(&self, from: usize) -> impl Iterator<Item = (usize, Slot, &Record)> {
        let tail = self.records.get(from..).unwrap_or_default();
        tail.iter().enumerate().filter_map(move |(index, record)| {
            let index = from + index;
            record.as_ref().map(|record| (index, Slot(index as u32), record))
        })
    }

    pub(crate) fn insert(&mut self, id: NodeId, status: Status, content: Option<News<'_>>, now: Instant) -> Slot {
        debug_assert!(self.find(id).is_none());
        let new = Record {
            id,
            status,
            content: None,
            since: now,
            accuser: id,
            round_trip: None,
            place: 0,
            rumor: None,
            case: None,
            forget_at: now,
            reap_armed: false,
            suspicion_armed: None,
        };
        let slot = self.free.pop().unwrap_or(Slot(self.records.len() as u32));
        if slot.0 as usize == self.records.len() {
            self.records.push(Some(new));
        } else {
            self.records[slot.0 as usize] = Some(new);
        }
        let (key, records) = (self.hash_key, &self.records);
        self.by_id.insert_unique(hash_id(key, id), slot, |slot| hash_id(key, record(records, *slot).id));
        self.enlist(slot);
        if let Some(content) = content {
            self.set_content(slot, content);
        }
        slot
    }

    /// Forgets a member that is not the local one.
    pub(crate) fn remove(&mut self, slot: Slot) -> Record {
        debug_assert_ne!(slot, Slot::LOCAL);
        self.delist(slot);
        self.unindex_address(slot);
        let (records, id) = (&self.records, self.at(slot).id);
        if let Ok(entry) = self.by_id.find_entry(hash_id(self.hash_key, id), |slot| record(records, *slot).id == id) {
            entry.remove();
        }
        self.free.push(slot);
        self.records[slot.0 as usize].take().expect("it was found a moment ago")
    }

    pub(crate) fn set_status(&mut self, slot: Slot, status: Status, now: Instant) {
        if self.at(slot).state() != status.state {
            self.at_mut(slot).since = now;
        }
        let same_list = |a: State, b: State| a.is_live() == b.is_live() && (a == State::Dead) == (b == State::Dead);
        let stays = same_list(self.at(slot).state(), status.state);
        if stays {
            self.at_mut(slot).status = status;
        } else {
            self.delist(slot);
            self.at_mut(slot).status = status;
            self.enlist(slot);
        }
    }

    /// Replaces a member's content. Nothing is allocated where the bytes are the same, or as many and nowhere else in
    /// use.
    pub(crate) fn set_content(&mut self, slot: Slot, news: News<'_>) {
        let was_live = self.at(slot).is_live();
        if was_live && let Some(held) = &self.at(slot).content {
            let (id, incarnation) = (self.at(slot).id, held.incarnation);
            self.digest.remove(id, incarnation);
        } else {
            self.delist(slot);
        };
        if self.at(slot).address() != Some(news.address) {
            self.unindex_address(slot);
            let (key, records) = (self.hash_key, &self.records);
            self.by_address.insert_unique(hash_address(key, news.address), slot, |slot| {
                record(records, *slot).address().map_or(0, |address| hash_address(key, address))
            });
        }
        let (id, incarnation) = (self.at(slot).id, news.incarnation);
        match &mut self.at_mut(slot).content {
            Some(content) => content.take_in(news),
            none => *none = Some(Content::new(news)),
        }
        if was_live {
            self.digest.add(id, incarnation);
        } else {
            self.enlist(slot);
        }
    }

    /// The next member to probe: a fresh shuffle in each round over the live list, one step of it at a time.
    ///
    /// The step swaps a random one of those not yet probed to the cursor and takes it. A round is then a uniform
    /// random order (\[SWIM\] 4.3) at O(1) a probe, and since each member is taken once a round, two probes of the same
    /// one are at most `2n − 1` periods apart.
    pub(crate) fn next_target(&mut self, random: &mut Random) -> Option<Slot> {
        if self.live.is_empty() {
            return None;
        }
        if self.cursor >= self.live.len() {
            self.cursor = 0;
        }
        let chosen = self.cursor + random.below(self.live.len() - self.cursor);
        self.swap_live(self.cursor, chosen);
        self.cursor += 1;
        Some(self.live[self.cursor - 1])
    }

    /// Up to `count` distinct random live members, neither the local one nor `except`, appended to `chosen`.
    pub(crate) fn choose_live(&self, random: &mut Random, count: usize, except: Option<Slot>, chosen: &mut Vec<Slot>) {
        let others = self.live.len();
        // Few enough to look at each: walk from a random start, so that small clusters are served in full.
        if others <= 2 * count + 2 {
            if others == 0 {
                return;
            }
            let (start, before) = (random.below(others), chosen.len());
            let from_start = self.live[start..].iter().chain(&self.live[..start]).copied();
            chosen.extend(from_start.filter(|&slot| Some(slot) != except).take(count));
            // Shuffled by where the walk began and by a last swap, so that neighbours are not always together.
            if chosen.len() - before > 1 {
                let swap = before + random.below(chosen.len() - before);
                chosen.swap(before, swap);
            }
            return;
        }
        let wanted = chosen.len() + count;
        while chosen.len() < wanted {
            let slot = self.live[random.below(others)];
            if Some(slot) != except && !chosen.contains(&slot) {
                chosen.push(slot);
            }
        }
    }

    /// The next `count` live members of an endless walk along the list, appended to `chosen`: whoever is told something
    /// a few times in a row tells it to different members, so that in a small cluster nobody is left out by chance.
    pub(crate) fn walk_live(&mut self, count: usize, chosen: &mut Vec<Slot>) {
        for _ in 0..count.min(self.live.len()) {
            self.walked = if self.walked + 1 < self.live.len() { self.walked + 1 } else { 0 };
            chosen.push(self.live[self.walked]);
        }
    }

    fn enlist(&mut self, slot: Slot) {
        let record = self.at(slot);
        let (id, live) = (record.id, record.is_live());
        if let (true, Some(content)) = (live, &record.content) {
            let incarnation = content.incarnation;
            self.digest.add(id, incarnation);
        }
        if slot == Slot::LOCAL {
            return;
        }
        let dead = self.at(slot).is_reachable_dead();
        let list = match (live, dead) {
            (true, _) => &mut self.live,
            (false, true) => &mut self.dead,
            (false, false) => &mut self.gone,
        };
        let place = list.len() as u32;
        list.push(slot);
        self.at_mut(slot).place = place;
    }

    fn delist(&mut self, slot: Slot) {
        let record = self.at(slot);
        let (id, live, dead) = (record.id, record.is_live(), record.is_reachable_dead());
        let place = record.place as usize;
        if let (true, Some(content)) = (live, &record.content) {
            let incarnation = content.incarnation;
            self.digest.remove(id, incarnation);
        }
        if slot == Slot::LOCAL {
            return;
        }
        if live {
            // The hole moves to the end of the probed, then to the end of all: both parts stay whole.
            let mut hole = place;
            if hole < self.cursor {
                self.cursor -= 1;
                self.swap_live(hole, self.cursor);
                hole = self.cursor;
            }
            self.swap_live(hole, self.live.len() - 1);
            self.live.pop();
        } else {
            let list = if dead { &mut self.dead } else { &mut self.gone };
            list.swap_remove(place);
            if let Some(&moved) = list.get(place) {
                self.at_mut(moved).place = place as u32;
            }
        }
    }

    fn swap_live(&mut self, a: usize, b: usize) {
        self.live.swap(a, b);
        let (at_a, at_b) = (self.live[a], self.live[b]);
        self.at_mut(at_a).place = a as u32;
        self.at_mut(at_b).place = b as u32;
    }

    fn unindex_address(&mut self, slot: Slot) {
        if let Some(address) = self.at(slot).address()
            && let Ok(entry) = self.by_address.find_entry(hash_address(self.hash_key, address), |&other| other == slot)
        {
            entry.remove();
        }
    }
}

fn record(records: &[Option<Record>], slot: Slot) -> &Record {
    records[slot.0 as usize].as_ref().expect("slots in hand are taken: they are dropped with their member")
}

fn hash_id(key: u64, id: NodeId) -> u64 {
    mix(id.as_u64() ^ key)
}

fn hash_address(key: u64, address: SocketAddr) -> u64 {
    let (high, low) = match address {
        SocketAddr::V4(v4) => (0, u64::from(v4.ip().to_bits())),
        SocketAddr::V6(v6) => ((v6.ip().to_bits() >> 64) as u64, v6.ip().to_bits() as u64),
    };
    mix(mix(key ^ high) ^ low ^ (u64::from(address.port()) << 48))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(n: u16) -> News<'static> {
        let address = SocketAddr::from(([10, 0, 0, 1], n));
        News { incarnation: Incarnation::first(1), profile: b"profile", address }
    }

    fn table(others: u16) -> Table {
        let now = Instant::ZERO;
        let mut table = Table::new(ClusterHash(1), 7, NodeId::from_u64(0), content(1), now);
        for n in 1..=others {
            let status = Status::new(Incarnation::first(1), State::Alive);
            table.insert(NodeId::from_u64(n.into()), status, Some(content(n + 1)), now);
        }
        table
    }

    #[test]
    fn each_round_probes_each_member_once_in_another_order() {
        let (mut table, mut random) = (table(50), Random::new(3));
        let mut rounds: Vec<Vec<u64>> = Vec::new();
        for _ in 0..4 {
            let round: Vec<u64> = (0..50)
                .map(|_| {
                    let slot = table.next_target(&mut random).expect("members");
                    table.at(slot).id.as_u64()
                })
                .collect();
            let mut sorted = round.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (1..=50).collect::<Vec<_>>());
            assert!(!rounds.contains(&round));
            rounds.push(round);
        }
    }

    #[test]
    fn members_that_come_and_go_leave_the_round_whole() {
        let (mut table, mut random) = (table(20), Random::new(5));
        (0..7).for_each(|_| _ = table.next_target(&mut random));
        let probed: Vec<Slot> = table.live[..7].to_vec();
        // One of the probed and one of the others die; the rest of the round must still reach each of the others once.
        let (dead_probed, dead_other) = (table.live[2], table.live[15]);
        for slot in [dead_probed, dead_other] {
            let status = Status::new(table.at(slot).incarnation(), State::Dead);
            table.set_status(slot, status, Instant::ZERO);
        }
        let mut rest: Vec<Slot> = (0..12).map(|_| table.next_target(&mut random).expect("members")).collect();
        rest.sort_unstable();
        rest.dedup();
        assert_eq!(rest.len(), 12);
        assert!(!rest.iter().any(|slot| probed.contains(slot) || *slot == dead_other));
    }

    #[test]
    fn the_indexes_follow_moves_and_removals() {
        let mut table = table(3);
        let slot = table.find(NodeId::from_u64(2)).expect("known");
        let address = SocketAddr::from(([10, 0, 0, 1], 3));
        assert_eq!(table.find_address(address), Some(slot));
        table.set_content(slot, content(99));
        assert_eq!(table.find_address(address), None);
        assert_eq!(table.find_address(SocketAddr::from(([10, 0, 0, 1], 99))), Some(slot));
        let root = table.digest().root();
        table.remove(slot);
        assert_eq!((table.find(NodeId::from_u64(2)), table.len()), (None, 3));
        table.insert(
            NodeId::from_u64(2),
            Status::new(Incarnation::first(1), State::Alive),
            Some(content(5)),
            Instant::ZERO,
        );
        assert_eq!(table.digest().root(), root);
    }

    #[test]
    fn the_chosen_are_distinct_and_exclude_whom_they_should() {
        let mut random = Random::new(9);
        for others in [0, 1, 2, 3, 8, 9, 40] {
            let table = table(others);
            let except = table.find(NodeId::from_u64(1));
            let mut chosen = Vec::new();
            table.choose_live(&mut random, 3, except, &mut chosen);
            assert_eq!(chosen.len(), usize::from(others.saturating_sub(1)).min(3));
            assert!(!chosen.contains(&Slot::LOCAL) && !chosen.iter().any(|&slot| Some(slot) == except));
            chosen.dedup();
            assert_eq!(chosen.len(), usize::from(others.saturating_sub(1)).min(3));
        }
    }
}
