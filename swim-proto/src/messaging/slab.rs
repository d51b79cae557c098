//! Things that live in places, and lists of places.
//!
//! A place is a number that is used again; lists run through the places themselves, so whatever is in one can be taken
//! out of its middle, and no list has memory of its own. A place is in one list at most.

use alloc::vec::Vec;

/// No place.
pub(super) const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Place<T> {
    value: Option<T>,
    before: u32,
    /// In a list, what follows; of a free place, the next free one.
    after: u32,
}

/// Values in places.
#[derive(Debug)]
pub(super) struct Slab<T> {
    places: Vec<Place<T>>,
    free: u32,
    len: usize,
}

/// A list of places of one slab.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    head: u32,
    tail: u32,
    len: u32,
}

impl Default for List {
    fn default() -> List {
        List { head: NONE, tail: NONE, len: 0 }
    }
}

impl List {
    pub(super) fn first(&self) -> Option<u32> {
        (self.head != NONE).then_some(self.head)
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.head == NONE
    }
}

impl<T> Slab<T> {
    pub(super) fn new() -> Slab<T> {
        Slab { places: Vec::new(), free: NONE, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many places there are, lived in or not.
    pub(super) fn places(&self) -> u32 {
        self.places.len() as u32
    }

    /// The place that [`Slab::insert`] will take next.
    pub(super) fn next_place(&self) -> u32 {
        if self.free == NONE { self.places.len() as u32 } else { self.free }
    }

    pub(super) fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        if self.free == NONE {
            self.places.push(Place { value: Some(value), before: NONE, after: NONE });
            return self.places.len() as u32 - 1;
        }
        let at = self.free;
        let place = &mut self.places[at as usize];
        self.free = place.after;
        *place = Place { value: Some(value), before: NONE, after: NONE };
        at
    }

    /// Takes out what is there. It must be in no list.
    pub(super) fn remove(&mut self, at: u32) -> Option<T> {
        let place = self.places.get_mut(at as usize)?;
        let value = place.value.take()?;
        place.after = self.free;
        self.free = at;
        self.len -= 1;
        Some(value)
    }

    pub(super) fn get(&self, at: u32) -> Option<&T> {
        self.places.get(at as usize)?.value.as_ref()
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        self.places.get_mut(at as usize)?.value.as_mut()
    }

    /// What follows this place in its list.
    pub(super) fn after(&self, at: u32) -> Option<u32> {
        Some(self.places[at as usize].after).filter(|&after| after != NONE)
    }

    pub(super) fn push_back(&mut self, list: &mut List, at: u32) {
        let tail = list.tail;
        (self.places[at as usize].before, self.places[at as usize].after) = (tail, NONE);
        match self.places.get_mut(tail as usize) {
            Some(place) => place.after = at,
            None => list.head = at,
        }
        list.tail = at;
        list.len += 1;
    }

    pub(super) fn push_front(&mut self, list: &mut List, at: u32) {
        let head = list.head;
        (self.places[at as usize].before, self.places[at as usize].after) = (NONE, head);
        match self.places.get_mut(head as usize) {
            Some(place) => place.before = at,
            None => list.tail = at,
        }
        list.head = at;
        list.len += 1;
    }

    /// Takes a place out of the list it is in.
    pub(super) fn unlink(&mut self, list: &mut List, at: u32) {
        let place = &mut self.places[at as usize];
        let (before, after) = (place.before, place.after);
        (place.before, place.after) = (NONE, NONE);
        match self.places.get_mut(before as usize) {
            Some(place) => place.after = after,
            None => list.head = after,
        }
        match self.places.get_mut(after as usize) {
            Some(place) => place.before = before,
            None => list.tail = before,
        }
        list.len -= 1;
    }
}

impl<T> core::ops::Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, at: u32) -> &T {
        self.get(at).expect("somebody lives in each place that is named")
    }
}

impl<T> core::ops::IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, at: u32) -> &mut T {
        self.get_mut(at).expect("somebody lives in each place that is named")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(slab: &Slab<char>, list: &List) -> Vec<char> {
        let mut at = list.first();
        core::iter::from_fn(|| {
            let place = at?;
            at = slab.after(place);
            Some(slab[place])
        })
        .collect()
    }

    #[test]
    fn places_are_used_again_and_lists_lose_their_middle() {
        let mut slab = Slab::new();
        let mut list = List::default();
        let places: Vec<u32> = "bcd".chars().map(|c| slab.insert(c)).collect();
        places.iter().for_each(|&at| slab.push_back(&mut list, at));
        let a = slab.insert('a');
        slab.push_front(&mut list, a);
        assert_eq!((listed(&slab, &list), list.len()), (vec!['a', 'b', 'c', 'd'], 4));
        slab.unlink(&mut list, places[1]);
        assert_eq!(slab.remove(places[1]), Some('c'));
        slab.unlink(&mut list, a);
        slab.unlink(&mut list, places[2]);
        assert_eq!((listed(&slab, &list), list.len()), (vec!['b'], 1));
        assert_eq!((slab.next_place(), slab.insert('x')), (places[1], places[1]));
        slab.unlink(&mut list, places[0]);
        assert!(list.is_empty() && list.first().is_none());
        assert_eq!((slab.remove(9), slab.get(9), slab.len()), (None, None, 4));
    }

    use alloc::{vec, vec::Vec};
}
