//! Whose turn it is among the classes: shares by weight, in bytes (`docs/messaging.md` 5.2, 5.4).
//!
//! Each class has a clock that runs by what it used over its weight; the one that is furthest behind goes next. One that
//! has nothing to say does not save its time up: it starts where the others are.

use crate::messaging::Class;

pub(super) const CLASSES: usize = Class::ALL.len();

#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    clocks: [u64; CLASSES],
    now: u64,
    weights: [u8; CLASSES],
}

impl Share {
    pub(super) fn new(weights: [u8; CLASSES]) -> Share {
        Share { clocks: [0; CLASSES], now: 0, weights }
    }

    /// The class that goes next, of those that can. Of equals the more urgent.
    pub(super) fn next(&self, can: [bool; CLASSES]) -> Option<usize> {
        (0..CLASSES).filter(|&class| can[class]).min_by_key(|&class| self.clocks[class].max(self.now))
    }

    /// It went, with this many bytes.
    pub(super) fn went(&mut self, class: usize, bytes: u64) {
        self.now = self.clocks[class].max(self.now);
        // Divisible by no weight, so scaled: 2^64 is 2^48 bytes of the least weight.
        self.clocks[class] = self.now + (bytes << 8) / u64::from(self.weights[class]);
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
}
