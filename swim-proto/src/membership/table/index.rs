//! Finds members by a hash: an open table of four bytes a place, of which a quarter to a half are vacant.
//!
//! A node asks it several times for each claim that it hears, among tables too large for any cache: what counts is that
//! one look costs one line of memory, and that the table is small. So a place holds the slot alone, with seven bits of
//! the hash beside it, which spare looking at almost all other records; places are looked at one after another, from
//! the one that the hash's upper bits name; and the table grows by half.

use alloc::vec;
use alloc::vec::Vec;

use super::Slot;

/// A place: bit 31 set if it is vacant, then seven bits of the hash, and 24 of the slot.
type Place = u32;

const VACANT: Place = u32::MAX;

const SLOT_BITS: u32 = 24;

const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;

/// The fewest places there are.
const PLACES_MIN: usize = 8;

pub(super) struct Index {
    places: Vec<Place>,
    taken: usize,
}

impl Index {
    pub(super) fn new() -> Index {
        Index { places: vec![VACANT; PLACES_MIN], taken: 0 }
    }

    /// The slots under this hash, and now and then one that is under another.
    #[inline]
    pub(super) fn candidates(&self, hash: u64) -> Candidates<'_> {
        Candidates { places: &self.places, at: self.home(hash), tag: tag(hash) }
    }

    /// Whether one more would make it too full: it is to be replaced by [`Index::larger`], filled anew.
    pub(super) fn is_full(&self) -> bool {
        // One place in four is vacant at least: a look that finds nothing takes eight and a half on average.
        (self.taken + 1) * 4 > self.places.len() * 3
    }

    /// An empty one with half as many places more.
    pub(super) fn larger(&self) -> Index {
        Index { places: vec![VACANT; self.places.len() + self.places.len() / 2], taken: 0 }
    }

    /// All slots that are in.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> {
        self.places.iter().filter(|&&place| place != VACANT).map(|&place| Slot(place & SLOT_MASK))
    }

    /// Adds a slot, where there is room for it.
    pub(super) fn insert(&mut self, hash: u64, slot: Slot) {
        debug_assert!(!self.is_full() && slot.0 <= SLOT_MASK);
        let mut at = self.home(hash);
        while self.places[at] != VACANT {
            at = self.next(at);
        }
        self.places[at] = tag(hash) << SLOT_BITS | slot.0;
        self.taken += 1;
    }

    /// Takes a slot out, if it is in. `hash_of` gives the hashes of the slots that stand behind it, which move up.
    pub(super) fn remove(&mut self, hash: u64, slot: Slot, hash_of: impl Fn(Slot) -> u64) {
        let sought = tag(hash) << SLOT_BITS | slot.0;
        let mut hole = self.home(hash);
        while self.places[hole] != sought {
            if self.places[hole] == VACANT {
                return;
            }
            hole = self.next(hole);
        }
        self.taken -= 1;
        let mut at = hole;
        loop {
            at = self.next(at);
            let place = self.places[at];
            if place == VACANT {
                break;
            }
            // It may move up unless its own place begins behind the hole.
            let home = self.home(hash_of(Slot(place & SLOT_MASK)));
            if self.steps(home, at) >= self.steps(hole, at) {
                self.places[hole] = place;
                hole = at;
            }
        }
        self.places[hole] = VACANT;
    }

    /// The place from which a hash is looked for.
    fn home(&self, hash: u64) -> usize {
        (((hash >> 32) * self.places.len() as u64) >> 32) as usize
    }

    fn next(&self, at: usize) -> usize {
        if at + 1 < self.places.len() { at + 1 } else { 0 }
    }

    fn steps(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.places.len() - from }
    }
}

/// See [`Index::candidates`].
pub(super) struct Candidates<'a> {
    places: &'a [Place],
    at: usize,
    tag: u32,
}

impl Iterator for Candidates<'_> {
    type Item = Slot;

    #[inline]
    fn next(&mut self) -> Option<Slot> {
        // Some place is vacant: no round is endless.
        loop {
            let place = self.places[self.at];
            if place == VACANT {
                return None;
            }
            self.at = if self.at + 1 < self.places.len() { self.at + 1 } else { 0 };
            if place >> SLOT_BITS == self.tag {
                return Some(Slot(place & SLOT_MASK));
            }
        }
    }
}

fn tag(hash: u64) -> u32 {
    hash as u32 & 0x7F
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;
    use crate::random::Random;

    /// Against a map, with hashes of which many are alike in part or in whole.
    #[test]
    fn whoever_is_in_is_found_and_nobody_else() {
        let mut random = Random::new(11);
        let mut index = Index::new();
        let mut held: BTreeMap<u32, u64> = BTreeMap::new();
        for _ in 0..20_000 {
            let slot = random.below(300) as u32;
            match held.get(&slot).copied() {
                Some(hash) => {
                    index.remove(hash, Slot(slot), |other| held[&other.0]);
                    held.remove(&slot);
                    // Who is not in is not taken out.
                    index.remove(hash, Slot(slot), |other| held[&other.0]);
                }
                None => {
                    let hash = (random.below(40) as u64) << (32 + random.below(27)) | random.below(3) as u64;
                    if index.is_full() {
                        let mut larger = index.larger();
                        held.iter().for_each(|(&slot, &hash)| larger.insert(hash, Slot(slot)));
                        index = larger;
                    }
                    index.insert(hash, Slot(slot));
                    held.insert(slot, hash);
                }
            }
            assert_eq!(index.taken, held.len());
            let looked_for = random.below(300) as u32;
            let hash = held.get(&looked_for).copied().unwrap_or(u64::from(looked_for) << 40);
            let found = index.candidates(hash).filter(|&slot| slot == Slot(looked_for)).count();
            assert_eq!(found, usize::from(held.contains_key(&looked_for)));
        }
    }

    #[test]
    fn it_is_as_small_as_it_is_full() {
        let mut index = Index::new();
        for slot in 0..10_000 {
            if index.is_full() {
                let mut larger = index.larger();
                (0..slot).for_each(|slot| larger.insert(crate::random::mix(slot.into()), Slot(slot)));
                index = larger;
            }
            index.insert(crate::random::mix(slot.into()), Slot(slot));
            assert!(index.places.len() <= 2 * slot as usize + PLACES_MIN, "{slot}");
        }
    }
}
