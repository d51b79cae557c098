//! Who is reached at an address.
//!
//! Any number of members may say that they are at one address. So that neither this nor whatever hashes alike makes a
//! question cost more than a few looks, only so many of them are found by it.

use core::net::SocketAddr;

use super::{Slot, Table, record};
use crate::membership::profiles::Profiles;
use crate::membership::record::Record;
use crate::random::mix;
use crate::wire::ProfileBytes;

/// So many members that are reached at one address are found by it: any number may say that they are.
const SHARING_MAX: usize = 32;

impl Table {
    /// Whether any member, live or not, is reached at this address.
    pub(crate) fn knows_address(&self, address: SocketAddr) -> bool {
        self.sharing(address).next().is_some()
    }

    /// The member that is reached at this address: a live one if there is one.
    pub(crate) fn find_address(&self, address: SocketAddr) -> Option<Slot> {
        let live = self.sharing(address).find(|&slot| self.at(slot).is_live());
        live.or_else(|| self.sharing(address).next())
    }

    /// Whether a live member is, the local one included.
    pub(crate) fn has_live_at(&self, address: SocketAddr) -> bool {
        self.sharing(address).any(|slot| self.at(slot).is_live())
    }

    /// The members that are found by this address, of those that are reached there.
    fn sharing(&self, address: SocketAddr) -> impl Iterator<Item = Slot> {
        let candidates = self.by_address.candidates(hash_address(self.hash_key, address));
        candidates.filter(move |&slot| self.at(slot).address() == Some(address))
    }

    pub(super) fn index_address(&mut self, slot: Slot) {
        let Some(address) = self.at(slot).address() else { return };
        // The newest is found by its address in any case, and the local member; of the others rather the live.
        if self.sharing(address).count() >= SHARING_MAX {
            let others = || self.sharing(address).filter(|&other| other != Slot::LOCAL);
            let dead = others().find(|&other| !self.at(other).is_live());
            if let Some(other) = dead.or_else(|| others().next()) {
                self.unindex_address(other);
            }
        }
        if self.by_address.is_full() {
            let mut larger = self.by_address.larger();
            for slot in self.by_address.slots() {
                larger.insert(hash_of(self.hash_key, &self.records, &self.profiles, slot), slot);
            }
            self.by_address = larger;
        }
        self.by_address.insert(hash_address(self.hash_key, address), slot);
    }

    pub(super) fn unindex_address(&mut self, slot: Slot) {
        if let Some(address) = self.at(slot).address() {
            let (key, records, profiles) = (self.hash_key, &self.records, &self.profiles);
            let hash_of = |slot| hash_of(key, records, profiles, slot);
            self.by_address.remove(hash_address(key, address), slot, hash_of);
        }
    }
}

/// The hash of the address at which this member, whose profile is known, is reached.
fn hash_of(key: u64, records: &[Option<Record>], profiles: &Profiles, slot: Slot) -> u64 {
    let profile = profiles.at(record(records, slot).profile());
    hash_address(key, ProfileBytes::from_validated(profile).address())
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
    use super::super::tests::{insert, profile, table};
    use super::*;
    use crate::membership::precedence::Standing;
    use crate::membership::{NodeId, State};
    use crate::time::Instant;

    #[test]
    fn an_address_that_many_share_finds_a_few_and_rather_the_live() {
        let mut table = table(0);
        let address = SocketAddr::from(([10, 0, 0, 1], 7));
        (1..=1_000).for_each(|id| insert(&mut table, id, &profile(7)));
        assert_eq!(table.sharing(address).count(), SHARING_MAX);
        for id in 1..=1_000 {
            let slot = table.find(NodeId::from_u64(id)).expect("known");
            let dead = Standing::new(table.at(slot).incarnation(), State::Dead);
            table.rise(slot, dead, None, None, Instant::ZERO);
        }
        assert!(table.knows_address(address) && !table.has_live_at(address));
        // Whoever is there now is found among any number of graves.
        insert(&mut table, 1_001, &profile(7));
        (1_002..1_100).for_each(|id| {
            insert(&mut table, id, &profile(7));
            let slot = table.find(NodeId::from_u64(id)).expect("known");
            table.remove(slot);
        });
        assert!(table.has_live_at(address));
        for id in 1..=1_001 {
            let slot = table.find(NodeId::from_u64(id)).expect("known");
            table.remove(slot);
        }
        assert!(!table.knows_address(address));
    }
}
