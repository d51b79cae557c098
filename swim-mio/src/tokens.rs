//! Tokens, and what they stand for.
//!
//! The system may tell of a socket that has been closed meanwhile, and whose place another has taken. So a token names a
//! place and how often it was given away, as far as the range of tokens allows.

use std::io;
use std::ops::Range;

use mio::Token;

/// Places with a value each, named by tokens from a range.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    first: usize,
    /// How many places there may be.
    width: usize,
    /// How often a place is given away until its tokens come again.
    generations: usize,
    slots: Vec<Slot<T>>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: usize,
    value: Option<T>,
}

/// How often a place must be given away, at least, until a token comes again.
pub(crate) const GENERATIONS_MIN: usize = 8;

impl<T> Slots<T> {
    /// At most `width` places, with tokens from `range`. An error: that is too few of them.
    pub(crate) fn new(range: Range<usize>, width: usize) -> io::Result<Slots<T>> {
        let generations = range.len() / width.max(1);
        if generations < GENERATIONS_MIN {
            let text = format!("{} tokens are needed, and {} were given", width * GENERATIONS_MIN, range.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(Slots { first: range.start, width, generations, slots: Vec::new(), free: Vec::new() })
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The token that the next value will have. `None`: all places are taken.
    pub(crate) fn next(&self) -> Option<Token> {
        match self.free.last() {
            Some(&index) => Some(self.token(index, self.slots[index].generation)),
            None if self.slots.len() < self.width => Some(self.token(self.slots.len(), 0)),
            None => None,
        }
    }

    /// Puts a value where [`Slots::next`] said.
    pub(crate) fn insert(&mut self, value: T) -> Option<Token> {
        let token = self.next()?;
        match self.free.pop() {
            Some(index) => self.slots[index].value = Some(value),
            None => self.slots.push(Slot { generation: 0, value: Some(value) }),
        }
        Some(token)
    }

    /// Whether the token is one of these, be it of the present or not.
    pub(crate) fn owns(&self, token: Token) -> bool {
        token.0.checked_sub(self.first).is_some_and(|offset| offset < self.width * self.generations)
    }

    pub(crate) fn get(&self, token: Token) -> Option<&T> {
        self.slots[self.index(token)?].value.as_ref()
    }

    pub(crate) fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        let index = self.index(token)?;
        self.slots[index].value.as_mut()
    }

    pub(crate) fn remove(&mut self, token: Token) -> Option<T> {
        let index = self.index(token)?;
        let slot = &mut self.slots[index];
        let value = slot.value.take()?;
        slot.generation = (slot.generation + 1) % self.generations;
        self.free.push(index);
        Some(value)
    }

    /// The tokens of all values.
    pub(crate) fn tokens(&self) -> Vec<Token> {
        let used = self.slots.iter().enumerate().filter(|(_, slot)| slot.value.is_some());
        used.map(|(index, slot)| self.token(index, slot.generation)).collect()
    }

    fn token(&self, index: usize, generation: usize) -> Token {
        Token(self.first + generation * self.width + index)
    }

    /// Which place a token of the present names.
    fn index(&self, token: Token) -> Option<usize> {
        if !self.owns(token) {
            return None;
        }
        let offset = token.0 - self.first;
        let (generation, index) = (offset / self.width, offset % self.width);
        self.slots.get(index).filter(|slot| slot.generation == generation).map(|_| index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_the_past_finds_nothing() {
        let mut slots = Slots::new(100..200, 3).unwrap();
        let old = slots.insert("old").unwrap();
        assert_eq!(slots.get(old), Some(&"old"));
        assert_eq!(slots.remove(old), Some("old"));
        let new = slots.insert("new").unwrap();
        assert_ne!(old, new);
        assert_eq!(slots.remove(old), None);
        assert_eq!((slots.get(old), slots.get(new)), (None, Some(&"new")));
        assert!(slots.owns(old) && !slots.owns(Token(99)) && !slots.owns(Token(200)));
    }

    #[test]
    fn there_are_as_many_places_as_were_asked_for_and_all_tokens_lie_in_the_range() {
        let mut slots = Slots::new(7..7 + 64, 4).unwrap();
        for round in 0..100 {
            let tokens: Vec<Token> = (0..4).map(|value| slots.insert(value + round).unwrap()).collect();
            assert_eq!((slots.insert(9), slots.next(), slots.len()), (None, None, 4));
            assert!(tokens.iter().all(|token| (7..7 + 64).contains(&token.0)), "{tokens:?}");
            for token in tokens {
                slots.remove(token).unwrap();
            }
        }
        assert_eq!(slots.len(), 0);
    }

    #[test]
    fn a_range_that_is_too_small_is_refused() {
        assert!(Slots::<()>::new(0..8 * 10 - 1, 10).is_err());
        assert!(Slots::<()>::new(0..8 * 10, 10).is_ok());
    }
}
