//! Which broadcasts were told to the application, so that each is told once (`docs/protocol.md` 12.2).
//!
//! Of each origin: the life of the newest told, its number, and which of the 128 numbers before it were told. Whatever
//! is older cannot be told apart from what was told, and is not. So a state only rises, by what is told, and no
//! sequence of broadcasts has any of them told twice while the state is kept.

use alloc::vec::Vec;

use hashbrown::HashTable;

use super::BroadcastId;
use crate::membership::NodeId;
use crate::random::mix;

/// How many numbers before the newest are told apart.
pub(crate) const WINDOW: u64 = 128;

/// Most origins kept; at the limit one that is no live member makes room, of those looked at the one longest unheard.
pub(crate) const ORIGINS_MAX: usize = 8192;

/// So many of the longest unheard are looked at for one that may go.
const LOOKED_AT: usize = 16;

const NONE: u32 = u32::MAX;

/// What is to be made of a broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was not told before.
    New,
    /// It was.
    Seen,
    /// Of an earlier life, or so far behind that nobody can say any more.
    Old,
}

/// What was told of one origin.
#[derive(Clone, Copy, Debug)]
struct Window {
    life: u64,
    newest: u64,
    /// Bit `i`: number `newest - 1 - i` was told.
    before: u128,
}

impl Window {
    fn first(life: u64, sequence: u64) -> Window {
        Window { life, newest: sequence, before: 0 }
    }

    fn judge(&self, life: u64, sequence: u64) -> Verdict {
        if life != self.life {
            return if life > self.life { Verdict::New } else { Verdict::Old };
        }
        if sequence > self.newest {
            return Verdict::New;
        }
        match self.newest - sequence {
            0 => Verdict::Seen,
            behind @ 1..=WINDOW if self.before >> (behind - 1) & 1 == 0 => Verdict::New,
            1..=WINDOW => Verdict::Seen,
            _ => Verdict::Old,
        }
    }

    /// It is told now.
    fn mark(&mut self, life: u64, sequence: u64) {
        debug_assert_eq!(self.judge(life, sequence), Verdict::New);
        if life > self.life {
            *self = Window::first(life, sequence);
        } else if sequence > self.newest {
            let ahead = sequence - self.newest;
            let shifted = if ahead < WINDOW { self.before << ahead } else { 0 };
            let last = if ahead <= WINDOW { 1 << (ahead - 1) } else { 0 };
            (self.newest, self.before) = (sequence, shifted | last);
        } else {
            self.before |= 1 << (self.newest - sequence - 1);
        }
    }
}

struct Origin {
    id: NodeId,
    window: Window,
    /// Towards those told of more lately.
    previous: u32,
    /// Towards those longer unheard.
    next: u32,
}

/// The origins of what was told.
pub(crate) struct Origins {
    /// From the seed, so that nobody can aim at one place of the index.
    hash_key: u64,
    index: HashTable<u32>,
    slab: Vec<Origin>,
    free: Vec<u32>,
    latest: u32,
    longest_unheard: u32,
}

impl Origins {
    pub(crate) fn new(hash_key: u64) -> Origins {
        Origins {
            hash_key,
            index: HashTable::new(),
            slab: Vec::new(),
            free: Vec::new(),
            latest: NONE,
            longest_unheard: NONE,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len() - self.free.len()
    }

    /// `life_max` is the greatest life that the origin is known to have begun. What is kept of a greater one is of a
    /// process that everybody has forgotten, and of no account.
    pub(crate) fn judge(&self, id: BroadcastId, life_max: u64) -> Verdict {
        let window = self.find(id.origin).map(|at| self.slab[at as usize].window);
        let window = window.filter(|window| window.life <= life_max);
        window.map_or(Verdict::New, |window| window.judge(id.life, id.sequence))
    }

    /// The newest told of this origin: its life, and its number in it.
    pub(crate) fn newest(&self, origin: NodeId) -> Option<(u64, u64)> {
        self.find(origin).map(|at| self.slab[at as usize].window).map(|window| (window.life, window.newest))
    }

    /// A broadcast that is [`Verdict::New`] is told now. `false`: it cannot be, there is no room for its origin.
    pub(crate) fn mark(&mut self, id: BroadcastId, life_max: u64, is_live: impl Fn(NodeId) -> bool) -> bool {
        debug_assert_eq!(self.judge(id, life_max), Verdict::New);
        if let Some(at) = self.find(id.origin) {
            let window = &mut self.slab[at as usize].window;
            if window.life > life_max {
                *window = Window::first(id.life, id.sequence);
            } else {
                window.mark(id.life, id.sequence);
            }
            self.unlink(at);
            self.link_latest(at);
            return true;
        }
        if self.len() >= ORIGINS_MAX && !self.make_room(is_live) {
            return false;
        }
        let window = Window::first(id.life, id.sequence);
        let origin = Origin { id: id.origin, window, previous: NONE, next: NONE };
        let at = self.free.pop().unwrap_or(self.slab.len() as u32);
        match self.slab.get_mut(at as usize) {
            Some(place) => *place = origin,
            None => self.slab.push(origin),
        }
        let (key, slab) = (self.hash_key, &self.slab);
        self.index.insert_unique(hash(key, id.origin), at, |&at| hash(key, slab[at as usize].id));
        self.link_latest(at);
        true
    }

    /// Live ones that are looked at count as heard of, so that the next look is at others.
    fn make_room(&mut self, is_live: impl Fn(NodeId) -> bool) -> bool {
        for _ in 0..LOOKED_AT {
            let at = self.longest_unheard;
            if !is_live(self.slab[at as usize].id) {
                self.remove(at);
                return true;
            }
            self.unlink(at);
            self.link_latest(at);
        }
        false
    }

    fn find(&self, origin: NodeId) -> Option<u32> {
        let slab = &self.slab;
        self.index.find(hash(self.hash_key, origin), |&at| slab[at as usize].id == origin).copied()
    }

    fn remove(&mut self, at: u32) {
        self.unlink(at);
        let (slab, id) = (&self.slab, self.slab[at as usize].id);
        if let Ok(entry) = self.index.find_entry(hash(self.hash_key, id), |&at| slab[at as usize].id == id) {
            entry.remove();
        }
        self.free.push(at);
    }

    fn link_latest(&mut self, at: u32) {
        let next = core::mem::replace(&mut self.latest, at);
        let origin = &mut self.slab[at as usize];
        (origin.previous, origin.next) = (NONE, next);
        match self.slab.get_mut(next as usize) {
            Some(next) => next.previous = at,
            None => self.longest_unheard = at,
        }
    }

    fn unlink(&mut self, at: u32) {
        let Origin { previous, next, .. } = self.slab[at as usize];
        match self.slab.get_mut(previous as usize) {
            Some(previous) => previous.next = next,
            None => self.latest = next,
        }
        match self.slab.get_mut(next as usize) {
            Some(next) => next.previous = previous,
            None => self.longest_unheard = previous,
        }
    }
}

fn hash(key: u64, origin: NodeId) -> u64 {
    mix(key ^ origin.as_u64())
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;
    use crate::random::Random;

    fn id(origin: u64, life: u64, sequence: u64) -> BroadcastId {
        BroadcastId { origin: NodeId::from_u64(origin), life, sequence }
    }

    fn take(origins: &mut Origins, id: BroadcastId) -> Verdict {
        let verdict = origins.judge(id, u64::MAX);
        if verdict == Verdict::New {
            assert!(origins.mark(id, u64::MAX, |_| true));
            assert_eq!(origins.judge(id, u64::MAX), Verdict::Seen, "{id:?}");
        }
        verdict
    }

    #[test]
    fn a_number_is_new_once_in_whatever_order_they_come() {
        let mut origins = Origins::new(7);
        for sequence in [5, 3, 9, 1, 8, 200, 73, 72] {
            assert_eq!(take(&mut origins, id(1, 1, sequence)), Verdict::New, "{sequence}");
        }
        for sequence in [200, 73, 72] {
            assert_eq!(take(&mut origins, id(1, 1, sequence)), Verdict::Seen, "{sequence}");
        }
        assert_eq!(take(&mut origins, id(1, 1, 71)), Verdict::Old, "129 behind the newest");
        assert_eq!(origins.newest(NodeId::from_u64(1)), Some((1, 200)));
    }

    #[test]
    fn a_greater_life_begins_anew_and_ends_the_one_before() {
        let mut origins = Origins::new(7);
        assert_eq!(take(&mut origins, id(1, 5, u64::MAX - 1)), Verdict::New);
        assert_eq!(take(&mut origins, id(1, 6, 1)), Verdict::New);
        assert_eq!(take(&mut origins, id(1, 5, u64::MAX - 2)), Verdict::Old);
        assert_eq!(take(&mut origins, id(1, 6, 1)), Verdict::Seen);
    }

    #[test]
    fn a_jump_by_any_distance_is_kept_right_at_every_edge_of_the_window() {
        for ahead in [1, 2, 126, 127, 128, 129, 130, 1 << 40] {
            let mut origins = Origins::new(7);
            take(&mut origins, id(1, 1, 1000));
            assert_eq!(take(&mut origins, id(1, 1, 1000 + ahead)), Verdict::New);
            let expected = if ahead <= WINDOW { Verdict::Seen } else { Verdict::Old };
            assert_eq!(take(&mut origins, id(1, 1, 1000)), expected, "ahead by {ahead}");
        }
    }

    #[test]
    fn random_numbers_are_told_once_and_only_what_lies_behind_the_window_is_lost() {
        let mut random = Random::new(3);
        let mut origins = Origins::new(7);
        let (mut told, mut newest) = (BTreeSet::new(), 0);
        for round in 0..20_000_u64 {
            let sequence = 1 + (round / 4 + random.below(300) as u64).saturating_sub(random.below(300) as u64);
            let verdict = take(&mut origins, id(1, 1, sequence));
            match verdict {
                Verdict::New => assert!(told.insert(sequence) && sequence + WINDOW >= newest),
                Verdict::Seen => assert!(told.contains(&sequence)),
                Verdict::Old => assert!(sequence + WINDOW < newest),
            }
            newest = newest.max(sequence);
        }
    }

    #[test]
    fn at_the_limit_the_one_longest_unheard_that_does_not_live_makes_room() {
        let mut origins = Origins::new(7);
        for origin in 0..ORIGINS_MAX as u64 {
            take(&mut origins, id(origin, 1, 1));
        }
        // Number 0 is heard again; 1 lives.
        take(&mut origins, id(0, 1, 2));
        let lives = |origin: NodeId| origin.as_u64() == 1;
        assert!(origins.mark(id(1 << 40, 1, 1), 1, lives));
        assert_eq!(origins.len(), ORIGINS_MAX);
        let known = [0, 1, 2, 3, 1 << 40].map(|origin| origins.newest(NodeId::from_u64(origin)).is_some());
        assert_eq!(known, [true, true, false, true, true]);
        // Where all live, nobody makes room.
        assert!(!origins.mark(id(1 << 41, 1, 1), 1, |_| true));
        assert_eq!(origins.len(), ORIGINS_MAX);
        // But only so many are looked at, each time others: in the end the one is found that may go.
        let dead = |origin: NodeId| origin.as_u64() != 4_000;
        let tries = 1 + (0..).find(|_| origins.mark(id(1 << 41, 1, 1), 1, dead)).unwrap();
        assert!((200..300).contains(&tries), "{tries}");
        assert_eq!(origins.newest(NodeId::from_u64(4_000)), None);
    }

    #[test]
    fn what_is_kept_of_a_life_that_everybody_forgot_silences_nobody() {
        let mut origins = Origins::new(7);
        assert!(origins.mark(id(1, 9, 50), 9, |_| true));
        assert_eq!(origins.judge(id(1, 4, 1), 9), Verdict::Old);
        // It is known anew, with a lesser life.
        assert_eq!(origins.judge(id(1, 4, 1), 4), Verdict::New);
        assert!(origins.mark(id(1, 4, 1), 4, |_| true));
        assert_eq!(origins.judge(id(1, 4, 1), 4), Verdict::Seen);
        assert_eq!(origins.newest(NodeId::from_u64(1)), Some((4, 1)));
    }
}
