//! Who holds whom live: the books, kept from what nodes tell their users.
//!
//! A view is *full* when it holds every other node that runs. A *false death* is a node that runs and is held dead by
//! somebody, from the first who does until the last who does not any more: one, however many repeat it.

use crate::peer::{Index, Nanos};

/// Bits by observer and subject.
struct Matrix {
    words: Vec<u64>,
    row: usize,
}

impl Matrix {
    fn new(size: u32) -> Matrix {
        let row = (size as usize).div_ceil(64);
        Matrix { words: vec![0; row * size as usize], row }
    }

    fn get(&self, observer: Index, subject: Index) -> bool {
        self.words[observer as usize * self.row + subject as usize / 64] >> (subject % 64) & 1 == 1
    }

    /// Sets a bit; whether that changed it.
    fn set(&mut self, observer: Index, subject: Index, value: bool) -> bool {
        let changes = self.get(observer, subject) != value;
        if changes {
            self.words[observer as usize * self.row + subject as usize / 64] ^= 1 << (subject % 64);
        }
        changes
    }
}

/// What one node counts for.
#[derive(Clone, Copy, Default)]
struct Tally {
    /// Running nodes that it holds live.
    knows: u32,
    /// Running nodes that hold it live.
    known_by: u32,
    /// Running nodes that hold it dead.
    buried_by: u32,
    running: bool,
    crashed: bool,
}

/// The books.
pub(crate) struct Views {
    live: Matrix,
    dead: Matrix,
    tallies: Vec<Tally>,
    running: u32,
    /// Pairs of running nodes of which the first does not hold the second live.
    missing: u64,
    /// Pairs of a running node and a crashed one that it still holds live.
    unnoticed: u64,
    /// When each view was full, last; `None` while some are not.
    pub(crate) full_at: Option<Nanos>,
    /// When every survivor had noticed every crash, last; `None` while some have not.
    pub(crate) noticed_at: Option<Nanos>,
    /// Nodes that run and came to be held dead, once for each time.
    pub(crate) false_deaths: u64,
    /// How many nodes came to hold a running node dead, all told.
    pub(crate) false_notices: u64,
    /// Nodes that came back as somebody new because they were held dead.
    pub(crate) rejoins: u64,
}

impl Views {
    pub(super) fn new(size: u32) -> Views {
        Views {
            live: Matrix::new(size),
            dead: Matrix::new(size),
            tallies: vec![Tally::default(); size as usize],
            running: 0,
            missing: 0,
            unnoticed: 0,
            full_at: None,
            noticed_at: None,
            false_deaths: 0,
            false_notices: 0,
            rejoins: 0,
        }
    }

    /// The share of pairs of running nodes of which the first holds the second live.
    pub(crate) fn fullness(&self) -> f64 {
        let pairs = u64::from(self.running) * u64::from(self.running.saturating_sub(1));
        if pairs == 0 { 1.0 } else { 1.0 - self.missing as f64 / pairs as f64 }
    }

    /// Whether this node holds all others live.
    pub(crate) fn knows_all(&self, node: Index) -> bool {
        self.tallies[node as usize].knows + 1 == self.running
    }

    /// How many others hold this node live.
    pub(crate) fn known_by(&self, node: Index) -> u32 {
        self.tallies[node as usize].known_by
    }

    /// Whether all others hold this node live.
    pub(crate) fn known_by_all(&self, node: Index) -> bool {
        self.known_by(node) + 1 == self.running
    }

    pub(super) fn started(&mut self, now: Nanos, node: Index) {
        for other in 0..self.tallies.len() as Index {
            if self.tallies[other as usize].running {
                let (sees, seen) = (self.live.get(node, other), self.live.get(other, node));
                self.tallies[other as usize].known_by += u32::from(sees);
                self.tallies[other as usize].knows += u32::from(seen);
                self.tallies[node as usize].knows += u32::from(sees);
                self.tallies[node as usize].known_by += u32::from(seen);
                self.missing += u64::from(!sees) + u64::from(!seen);
            }
        }
        self.tallies[node as usize].running = true;
        self.running += 1;
        self.settle(now);
    }

    pub(super) fn crashed(&mut self, now: Nanos, node: Index) {
        self.tallies[node as usize].running = false;
        self.tallies[node as usize].crashed = true;
        self.running -= 1;
        for other in 0..self.tallies.len() as Index {
            let (sees, seen) = (self.live.get(node, other), self.live.get(other, node));
            let tally = &mut self.tallies[other as usize];
            if tally.running {
                tally.known_by -= u32::from(sees);
                tally.knows -= u32::from(seen);
                tally.buried_by -= u32::from(self.dead.get(node, other));
                self.missing -= u64::from(!sees) + u64::from(!seen);
                self.unnoticed += u64::from(seen);
            } else if tally.crashed && other != node {
                // The dead notice nothing any more.
                self.unnoticed -= u64::from(sees);
            }
        }
        self.settle(now);
    }

    /// Whether a node may ever stand for this member.
    fn is_ours(&self, subject: Index) -> bool {
        (subject as usize) < self.tallies.len()
    }

    pub(super) fn up(&mut self, now: Nanos, observer: Index, subject: Index) {
        if !self.is_ours(subject) {
            return;
        }
        if self.dead.set(observer, subject, false) {
            self.tallies[subject as usize].buried_by -= 1;
        }
        if self.live.set(observer, subject, true) {
            self.count(observer, subject, true);
            self.settle(now);
        }
    }

    pub(super) fn down(&mut self, now: Nanos, observer: Index, subject: Index) {
        if !self.is_ours(subject) {
            return;
        }
        if self.dead.set(observer, subject, true) {
            let tally = &mut self.tallies[subject as usize];
            if tally.running {
                self.false_deaths += u64::from(tally.buried_by == 0);
                self.false_notices += 1;
            }
            tally.buried_by += 1;
        }
        if self.live.set(observer, subject, false) {
            self.count(observer, subject, false);
            self.settle(now);
        }
    }

    /// The observer, which runs, came to hold the subject live, or ceased to.
    fn count(&mut self, observer: Index, subject: Index, live: bool) {
        let by = |count: &mut u32| if live { *count += 1 } else { *count -= 1 };
        if self.tallies[subject as usize].running {
            by(&mut self.tallies[observer as usize].knows);
            by(&mut self.tallies[subject as usize].known_by);
            if live { self.missing -= 1 } else { self.missing += 1 }
        } else if self.tallies[subject as usize].crashed {
            if live { self.unnoticed += 1 } else { self.unnoticed -= 1 }
        }
    }

    fn settle(&mut self, now: Nanos) {
        self.full_at = if self.missing == 0 { self.full_at.or(Some(now)) } else { None };
        self.noticed_at = if self.unnoticed == 0 { self.noticed_at.or(Some(now)) } else { None };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three nodes that hold one another live.
    fn three() -> Views {
        let mut views = Views::new(3);
        for node in 0..3 {
            views.started(u64::from(node), node);
        }
        for observer in 0..3 {
            for subject in (0..3).filter(|&subject| subject != observer) {
                views.up(10 + u64::from(observer), observer, subject);
            }
        }
        views
    }

    #[test]
    fn views_are_full_from_when_the_last_pair_is_known() {
        let mut views = Views::new(2);
        views.started(0, 0);
        assert_eq!(views.full_at, Some(0));
        views.started(1, 1);
        assert_eq!((views.full_at, views.fullness()), (None, 0.0));
        views.up(2, 0, 1);
        assert_eq!((views.full_at, views.fullness()), (None, 0.5));
        assert!(views.knows_all(0) && !views.knows_all(1) && views.known_by_all(1));
        views.up(3, 1, 0);
        assert_eq!((views.full_at, views.fullness()), (Some(3), 1.0));
        assert_eq!(three().full_at, Some(12));
    }

    #[test]
    fn a_false_death_counts_once_however_many_repeat_it() {
        let mut views = three();
        views.down(20, 0, 2);
        views.down(21, 1, 2);
        assert_eq!((views.false_deaths, views.false_notices), (1, 2));
        assert_eq!(views.full_at, None);
        views.up(22, 0, 2);
        views.down(23, 0, 2);
        assert_eq!((views.false_deaths, views.false_notices), (1, 3), "the other one still holds it dead");
        views.up(24, 0, 2);
        views.up(25, 1, 2);
        assert_eq!(views.full_at, Some(25));
        views.down(26, 1, 2);
        assert_eq!((views.false_deaths, views.false_notices), (2, 4));
    }

    #[test]
    fn a_crash_is_noticed_when_no_survivor_holds_it_live() {
        let mut views = three();
        views.crashed(20, 2);
        assert_eq!(views.noticed_at, None);
        assert_eq!(views.full_at, Some(12), "the survivors hold one another");
        views.down(30, 0, 2);
        assert_eq!(views.noticed_at, None);
        views.down(31, 1, 2);
        assert_eq!(views.noticed_at, Some(31));
        assert_eq!(views.false_deaths, 0);
        views.up(32, 1, 2);
        assert_eq!(views.noticed_at, None, "it was brought back to life");
    }

    #[test]
    fn what_a_crashed_node_held_does_not_count() {
        let mut views = three();
        views.crashed(20, 1);
        views.crashed(21, 2);
        views.down(22, 0, 1);
        views.down(23, 0, 2);
        assert_eq!(views.noticed_at, Some(23));
    }
}
