//! Whose turn it is among the classes: shares by weight, in bytes (`docs/messaging.md` 5.2, 5.4).
//!
//! Each class has a clock that runs by what it used over its weight; the one that is furthest behind goes next. One
//! that has nothing to say does not save its time up: it starts where the others are. One that has something which
//! cannot go yet keeps its time, and the others get no further ahead of it than they are allowed.

use crate::messaging::Class;

pub(super) const CLASSES: usize = Class::ALL.len();

#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    clocks: [u64; CLASSES],
    now: u64,
    /// Whose turn it was when the next was looked for.
    turn: usize,
    weights: [u8; CLASSES],
}

impl Share {
    pub(super) fn new(weights: [u8; CLASSES]) -> Share {
        Share { clocks: [0; CLASSES], now: 0, turn: 0, weights }
    }

    /// The class that goes next, of those that have something. Of equals the more urgent.
    pub(super) fn next(&mut self, has: [bool; CLASSES]) -> Option<usize> {
        self.turn = (0..CLASSES).filter(|&class| has[class]).min_by_key(|&class| self.clock(class))?;
        Some(self.turn)
    }

    /// The same where not all of them can go. Whose turn it is, and cannot, is passed over by each of the others for so
    /// many bytes of theirs; then they wait for it.
    pub(super) fn next_of(
        &mut self,
        has: [bool; CLASSES],
        can: [bool; CLASSES],
        ahead_max: [u64; CLASSES],
    ) -> Option<usize> {
        let turn = self.next(has)?;
        let since = self.clock(turn);
        let may = |class: usize| {
            let ahead = self.clock(class) - since;
            can[class] && (class == turn || ahead <= self.time(class, ahead_max[class]))
        };
        (0..CLASSES).filter(|&class| has[class] && may(class)).min_by_key(|&class| self.clock(class))
    }

    /// It went, with this many bytes.
    pub(super) fn went(&mut self, class: usize, bytes: u64) {
        // Not where the class that went stood: whose turn it was, and was passed over, is not left behind.
        let now = self.clock(self.turn);
        self.clocks[class] = self.clock(class) + self.time(class, bytes);
        self.now = now;
    }

    /// Where a class stands that has something.
    fn clock(&self, class: usize) -> u64 {
        self.clocks[class].max(self.now)
    }

    /// What so many bytes of a class use up. Divisible by no weight, so scaled: 2^64 is 2^48 bytes of the least weight.
    fn time(&self, class: usize, bytes: u64) -> u64 {
        (bytes << 8) / u64::from(self.weights[class])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_weights_and_idleness_earns_nothing() {
        let mut share = Share::new([8, 4, 2, 1]);
        let mut sent = [0u64; CLASSES];
        let sizes = [100, 1_000, 10_000, 100];
        // Bulk alone for a while: that is not held against it, nor does High have a claim afterwards.
        for _ in 0..1_000 {
            let class = share.next([false, false, false, true]).unwrap();
            share.went(class, 100);
        }
        while sent.iter().sum::<u64>() < 15_000_000 {
            let class = share.next([true; CLASSES]).unwrap();
            share.went(class, sizes[class]);
            sent[class] += sizes[class];
        }
        for (class, weight) in [8, 4, 2, 1].into_iter().enumerate() {
            assert!(sent[class].abs_diff(weight * 1_000_000) < 30_000, "{sent:?}");
        }
        assert_eq!(share.next([false; CLASSES]), None);
    }

    #[test]
    fn who_cannot_go_is_passed_over_for_a_while_and_loses_nothing() {
        let mut share = Share::new([8, 4, 2, 1]);
        let (has, without_low) = ([true; CLASSES], [true, true, false, true]);
        let mut sent = [0u64; CLASSES];
        let mut go = |share: &mut Share, can| {
            let class = share.next_of(has, can, [10_000; CLASSES])?;
            share.went(class, 1_000);
            sent[class] += 1_000;
            Some(sent)
        };
        let mut passed = 0;
        while go(&mut share, without_low).is_some() {
            passed += 1;
        }
        assert!((10 * 3..=12 * 3).contains(&passed), "{passed}");
        // What it missed it has at once, before anybody else.
        let before = go(&mut share, has).unwrap()[2];
        let after = (0..15_000).filter_map(|_| go(&mut share, has)).last().unwrap();
        assert!(before == 1_000 && after[2] - before > 2_000_000 - 20_000, "{after:?}");
    }
}
