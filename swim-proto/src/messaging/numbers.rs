//! What is known of numbered messages of which most are done: those that are not, by their number.
//!
//! Numbers grow by one, and most are done in about that order, so they are a window of a ring. One that stays open for
//! long is set aside once the window would grow beyond its bound; so memory follows how many are open, not how far
//! apart they are. A place whose number is done says how far it is to the next that may be open, so that however often
//! somebody looks for it across a long row of done ones, it is walked once.

use alloc::collections::{BTreeMap, VecDeque};

#[derive(Debug)]
pub(super) struct Numbers<T> {
    /// The number of the window's first place.
    first: u64,
    near: VecDeque<Place<T>>,
    far: BTreeMap<u64, T>,
    near_max: usize,
    open: usize,
    /// Places looked at.
    #[cfg(test)]
    steps: u64,
}

#[derive(Debug)]
enum Place<T> {
    Open(T),
    /// All from here to before so many places further are done.
    Done(u32),
}

impl<T> Place<T> {
    fn get(&self) -> Option<&T> {
        match self {
            Place::Open(value) => Some(value),
            Place::Done(_) => None,
        }
    }

    fn get_mut(&mut self) -> Option<&mut T> {
        match self {
            Place::Open(value) => Some(value),
            Place::Done(_) => None,
        }
    }
}

impl<T> Numbers<T> {
    /// None yet: the next is 1. `near_max`: how long the window may be.
    pub(super) fn new(near_max: usize) -> Numbers<T> {
        Numbers {
            first: 1,
            near: VecDeque::new(),
            far: BTreeMap::new(),
            near_max,
            open: 0,
            #[cfg(test)]
            steps: 0,
        }
    }

    /// The greatest number there was; 0 before the first.
    pub(super) fn last(&self) -> u64 {
        self.first + self.near.len() as u64 - 1
    }

    /// How many are not done.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Begins the next number.
    pub(super) fn push(&mut self, value: T) -> u64 {
        if self.near.len() >= self.near_max {
            // The first of the window is never done: those are taken away at once.
            if let Some(Place::Open(oldest)) = self.near.pop_front() {
                self.far.insert(self.first, oldest);
            }
            self.first += 1;
            self.shrink();
        }
        self.near.push_back(Place::Open(value));
        self.open += 1;
        self.last()
    }

    pub(super) fn get(&self, number: u64) -> Option<&T> {
        match number.checked_sub(self.first) {
            Some(at) => self.near.get(at as usize)?.get(),
            None if self.far.is_empty() => None,
            None => self.far.get(&number),
        }
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        match number.checked_sub(self.first) {
            Some(at) => self.near.get_mut(at as usize)?.get_mut(),
            None if self.far.is_empty() => None,
            None => self.far.get_mut(&number),
        }
    }

    /// This number is done.
    pub(super) fn remove(&mut self, number: u64) -> Option<T> {
        let value = match number.checked_sub(self.first) {
            Some(at) => {
                let place = self.near.get_mut(at as usize)?;
                place.get()?;
                let Place::Open(value) = core::mem::replace(place, Place::Done(1)) else { return None };
                if at == 0 {
                    self.shrink();
                }
                value
            }
            None => self.far.remove(&number)?,
        };
        self.open -= 1;
        Some(value)
    }

    /// The least number that is not done and not less than `from`.
    pub(super) fn next_open(&mut self, from: u64) -> Option<u64> {
        if from < self.first
            && let Some((&number, _)) = self.far.range(from..).next()
        {
            return Some(number);
        }
        let start = usize::try_from(from.saturating_sub(self.first)).ok()?;
        let mut found = start;
        while let Some(Place::Done(skip)) = self.near.get(found) {
            found += *skip as usize;
            self.step();
        }
        // Every place on the way leads there from now on.
        let mut at = start;
        while let Some(Place::Done(skip)) = self.near.get_mut(at) {
            at += core::mem::replace(skip, (found - at) as u32) as usize;
        }
        (found < self.near.len()).then(|| self.first + found as u64)
    }

    #[cfg(test)]
    fn step(&mut self) {
        self.steps += 1;
    }

    #[cfg(not(test))]
    fn step(&mut self) {}

    /// All below this number are done, and it is not, or was not yet.
    pub(super) fn first_open(&self) -> u64 {
        match self.far.first_key_value() {
            Some((&number, _)) => number,
            None => self.first,
        }
    }

    fn shrink(&mut self) {
        while let Some(Place::Done(_)) = self.near.front() {
            self.near.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;
    use crate::random::Random;

    #[test]
    fn it_is_a_map_of_bounded_size() {
        let mut random = Random::new(3);
        let mut numbers = Numbers::new(16);
        let mut model: BTreeMap<u64, u64> = BTreeMap::new();
        for step in 0..20_000u64 {
            if model.len() < 8 && random.below(2) == 0 {
                let number = numbers.push(step);
                assert_eq!(number, numbers.last());
                model.insert(number, step);
            } else {
                // Mostly the first but one, sometimes any; the very first of all never.
                let skip = if random.below(4) > 0 { 1 } else { random.below(8) };
                if let Some((&number, _)) = model.iter().nth(skip).filter(|(number, _)| **number > 1) {
                    assert_eq!(numbers.remove(number), model.remove(&number));
                    assert_eq!((numbers.remove(number), numbers.get(number)), (None, None));
                }
            }
            let from = random.below(numbers.last() as usize + 2) as u64;
            assert_eq!(numbers.next_open(from), model.range(from..).next().map(|(&number, _)| number));
            assert_eq!(numbers.open(), model.len());
            assert!(numbers.near.len() <= 16 && numbers.far.len() <= 8);
            if let Some((&first, &value)) = model.first_key_value() {
                assert_eq!((numbers.first_open(), numbers.get(first)), (first, Some(&value)));
            } else {
                assert_eq!(numbers.first_open(), numbers.last() + 1);
            }
        }
    }

    #[test]
    fn a_long_row_of_done_numbers_is_walked_once() {
        let mut numbers = Numbers::new(8_192);
        (1..=8_192).for_each(|number| assert_eq!(numbers.push(number), number));
        // The first stays open, and so the whole window.
        (2..=8_192).for_each(|number| assert_eq!(numbers.remove(number), Some(number)));
        for round in 0..1_000 {
            for from in (2..8_000).step_by(100 + round % 7) {
                assert_eq!(numbers.next_open(from), None);
            }
        }
        assert!(numbers.steps < 300_000, "{} for 80,000 questions", numbers.steps);
        let next = numbers.push(1);
        assert_eq!((numbers.next_open(2), numbers.near.len()), (Some(next), 1));
    }
}
