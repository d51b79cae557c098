//! Which carrier leads to an address, and any that leads somewhere.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::action::StreamId;

/// By address the carrier that is used for it. Each step is O(log n), and so is to pick one at random.
#[derive(Default)]
pub(super) struct Leading {
    all: Vec<(SocketAddr, StreamId)>,
    places: BTreeMap<SocketAddr, usize>,
}

impl Leading {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn to(&self, address: SocketAddr) -> Option<StreamId> {
        self.places.get(&address).map(|&place| self.all[place].1)
    }

    /// From this place on, round and round.
    pub(super) fn around(&self, place: usize) -> impl Iterator<Item = (SocketAddr, StreamId)> {
        self.all[place..].iter().chain(&self.all[..place]).copied()
    }

    /// This one is used from now on. Gives the one that was.
    pub(super) fn insert(&mut self, address: SocketAddr, id: StreamId) -> Option<StreamId> {
        if let Some(&place) = self.places.get(&address) {
            return Some(core::mem::replace(&mut self.all[place].1, id));
        }
        self.places.insert(address, self.all.len());
        self.all.push((address, id));
        None
    }

    pub(super) fn remove(&mut self, address: SocketAddr) {
        let Some(place) = self.places.remove(&address) else { return };
        self.all.swap_remove(place);
        if let Some(&(moved, _)) = self.all.get(place) {
            self.places.insert(moved, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(i: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, i], 7946))
    }

    #[test]
    fn each_address_has_the_carrier_that_came_last_and_all_are_met_from_any_place() {
        let mut leading = Leading::default();
        for i in 0..4 {
            assert_eq!(leading.insert(address(i), StreamId(i.into())), None);
        }
        assert_eq!(leading.insert(address(1), StreamId(9)), Some(StreamId(1)));
        leading.remove(address(0));
        leading.remove(address(7));
        assert_eq!((leading.len(), leading.to(address(0)), leading.to(address(1))), (3, None, Some(StreamId(9))));
        for place in 0..3 {
            let mut met: Vec<_> = leading.around(place).collect();
            met.sort();
            let expected = [(1, 9), (2, 2), (3, 3)].map(|(i, id)| (address(i), StreamId(id)));
            assert_eq!(met, expected);
            assert!(met.iter().all(|&(address, id)| leading.to(address) == Some(id)));
        }
        (1..4).for_each(|i| leading.remove(address(i)));
        assert_eq!(leading.len(), 0);
    }
}
