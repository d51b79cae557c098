//! What is known of numbered messages of which most are done: those that are not, by their number.
//!
//! Numbers grow by one, and most are done in about that order, so they are a window of a ring. One that stays open for
//! long is set aside once the window would grow beyond its bound; so memory follows how many are open, not how far apart
//! they are.

use alloc::collections::{BTreeMap, VecDeque};

#[derive(Debug)]
pub(super) struct Numbers<T> {
    /// The number of the window's first place.
    first: u64,
    near: VecDeque<Option<T>>,
    far: BTreeMap<u64, T>,
    near_max: usize,
    open: usize,
}

impl<T> Numbers<T> {
    /// None yet: the next is 1. `near_max`: how long the window may be.
    pub(super) fn new(near_max: usize) -> Numbers<T> {
        Numbers { first: 1, near: VecDeque::new(), far: BTreeMap::new(), near_max, open: 0 }
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
            if let Some(Some(oldest)) = self.near.pop_front() {
                self.far.insert(self.first, oldest);
            }
            self.first += 1;
            self.shrink();
        }
        self.near.push_back(Some(value));
        self.open += 1;
        self.last()
    }

    pub(super) fn get(&self, number: u64) -> Option<&T> {
        match number.checked_sub(self.first) {
            Some(at) => self.near.get(at as usize)?.as_ref(),
            None if self.far.is_empty() => None,
            None => self.far.get(&number),
        }
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        match number.checked_sub(self.first) {
            Some(at) => self.near.get_mut(at as usize)?.as_mut(),
            None if self.far.is_empty() => None,
            None => self.far.get_mut(&number),
        }
    }

    /// This number is done.
    pub(super) fn remove(&mut self, number: u64) -> Option<T> {
        let value = match number.checked_sub(self.first) {
            Some(at) => {
                let value = self.near.get_mut(at as usize)?.take()?;
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
    pub(super) fn next_open(&self, from: u64) -> Option<u64> {
        if from < self.first
            && let Some((&number, _)) = self.far.range(from..).next()
        {
            return Some(number);
        }
        let skip = from.saturating_sub(self.first) as usize;
        let at = self.near.iter().skip(skip).position(Option::is_some)?;
        Some(self.first + (skip + at) as u64)
    }

    /// All below this number are done, and it is not, or was not yet.
    pub(super) fn first_open(&self) -> u64 {
        match self.far.first_key_value() {
            Some((&number, _)) => number,
            None => self.first,
        }
    }

    fn shrink(&mut self) {
        while let Some(None) = self.near.front() {
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
}
