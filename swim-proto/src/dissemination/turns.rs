//! Whose turn it is to be told: what is told stands in one linked list per number of sends, fewest first (\[SWIM\]
//! 4.1).
//!
//! What stands here is the index of something that its owner keeps. Entering, being sent and leaving are O(1), and
//! nothing is allocated once there is room for as many as there ever were at a time.

use alloc::vec::Vec;

/// Most sends, whatever is asked for: one list each.
pub(crate) const SENDS_MAX: usize = 160;

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Place {
    previous: u32,
    next: u32,
    sends: u8,
}

#[derive(Clone, Copy, Debug)]
struct List {
    head: u32,
    tail: u32,
}

/// The order of what is told.
#[derive(Default)]
pub(crate) struct Turns {
    places: Vec<Place>,
    lists: Vec<List>,
}

impl Turns {
    /// Who is told first.
    pub(crate) fn first(&self) -> Option<u32> {
        self.first_from(0)
    }

    /// Who is told after this one.
    pub(crate) fn after(&self, index: u32) -> Option<u32> {
        let Place { next, sends, .. } = self.places[index as usize];
        if next != NONE { Some(next) } else { self.first_from(usize::from(sends) + 1) }
    }

    /// The other way round: from whoever is told last, having been sent most.
    pub(crate) fn backwards(&self) -> impl Iterator<Item = u32> {
        let tails = self.lists.iter().rev().map(|list| list.tail).filter(|&tail| tail != NONE);
        tails.flat_map(|tail| {
            core::iter::successors(Some(tail), |&index| {
                Some(self.places[index as usize].previous).filter(|&previous| previous != NONE)
            })
        })
    }

    /// Not sent yet, and before all others.
    pub(crate) fn enter_first(&mut self, index: u32) {
        self.take_place(index);
        let list = self.list(0);
        let next = list.head;
        list.head = index;
        if next == NONE {
            list.tail = index;
        } else {
            self.places[next as usize].previous = index;
        }
        self.places[index as usize] = Place { previous: NONE, next, sends: 0 };
    }

    /// Not sent yet, and after all others that were not.
    pub(crate) fn enter_last(&mut self, index: u32) {
        self.take_place(index);
        self.link_last(index, 0);
    }

    /// It was sent once more, and is the last of those sent as often. `true`: that was often enough, and it has left.
    pub(crate) fn sent(&mut self, index: u32, limit: u8) -> bool {
        let sends = self.places[index as usize].sends.saturating_add(1);
        self.leave(index);
        let done = sends >= limit;
        if !done {
            self.link_last(index, sends);
        }
        done
    }

    pub(crate) fn leave(&mut self, index: u32) {
        let Place { previous, next, sends } = self.places[index as usize];
        let list = &mut self.lists[usize::from(sends)];
        if previous == NONE {
            list.head = next;
        } else {
            self.places[previous as usize].next = next;
        }
        if next == NONE {
            list.tail = previous;
        } else {
            self.places[next as usize].previous = previous;
        }
    }

    /// All leave; room for so many is kept.
    pub(crate) fn clear(&mut self, kept: usize) {
        self.lists.clear();
        self.places.clear();
        self.places.shrink_to(kept);
    }

    fn first_from(&self, sends: usize) -> Option<u32> {
        self.lists.get(sends..)?.iter().map(|list| list.head).find(|&head| head != NONE)
    }

    fn take_place(&mut self, index: u32) {
        let needed = index as usize + 1;
        if self.places.len() < needed {
            self.places.resize(needed, Place { previous: NONE, next: NONE, sends: 0 });
        }
    }

    fn link_last(&mut self, index: u32, sends: u8) {
        let list = self.list(sends);
        let previous = list.tail;
        list.tail = index;
        if previous == NONE {
            list.head = index;
        } else {
            self.places[previous as usize].next = index;
        }
        self.places[index as usize] = Place { previous, next: NONE, sends };
    }

    fn list(&mut self, sends: u8) -> &mut List {
        let sends = usize::from(sends);
        while self.lists.len() <= sends {
            self.lists.push(List { head: NONE, tail: NONE });
        }
        &mut self.lists[sends]
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;
    use crate::random::Random;

    fn order(turns: &Turns) -> Vec<u32> {
        let forwards: Vec<u32> = core::iter::successors(turns.first(), |&index| turns.after(index)).collect();
        let mut backwards: Vec<u32> = turns.backwards().collect();
        backwards.reverse();
        assert_eq!(forwards, backwards);
        forwards
    }

    #[test]
    fn the_fewest_sent_come_first_and_of_the_others_the_one_that_waited_longest() {
        let mut turns = Turns::default();
        (1..=2).for_each(|index| turns.enter_last(index));
        turns.enter_first(0);
        assert_eq!(order(&turns), [0, 1, 2]);
        assert!(!turns.sent(1, 3));
        assert_eq!(order(&turns), [0, 2, 1]);
        assert!(!turns.sent(0, 3));
        assert_eq!(order(&turns), [2, 1, 0]);
        assert!(!turns.sent(1, 3));
        assert_eq!(order(&turns), [2, 0, 1]);
        assert!(turns.sent(1, 3), "sent three times, it has left");
        assert_eq!(order(&turns), [2, 0]);
        turns.leave(2);
        turns.enter_first(1);
        assert_eq!(order(&turns), [1, 0]);
        turns.clear(0);
        assert_eq!(order(&turns), []);
    }

    /// Against a list that is sorted anew each time.
    #[test]
    fn any_sequence_of_steps_keeps_the_order() {
        let (mut turns, mut random) = (Turns::default(), Random::new(5));
        // By index: sends, and when it came to stand there; who enters first stands before all that did.
        let mut model: BTreeMap<u32, (u8, i64)> = BTreeMap::new();
        for step in 0..4_000i64 {
            let index = random.below(24) as u32;
            match (model.get(&index).copied(), random.below(4)) {
                (None, 0..=1) => {
                    turns.enter_first(index);
                    model.insert(index, (0, -step));
                }
                (None, _) => {
                    turns.enter_last(index);
                    model.insert(index, (0, step));
                }
                (Some(_), 0) => {
                    turns.leave(index);
                    model.remove(&index);
                }
                (Some((sends, _)), _) => {
                    assert_eq!(turns.sent(index, 6), sends == 5);
                    model.remove(&index);
                    if sends < 5 {
                        model.insert(index, (sends + 1, step));
                    }
                }
            }
            let mut expected: Vec<u32> = model.keys().copied().collect();
            expected.sort_by_key(|index| model[index]);
            assert_eq!(order(&turns), expected);
        }
    }
}
