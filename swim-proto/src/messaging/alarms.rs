//! When to come back: a heap of hints.
//!
//! What is put off or taken back stays in the heap until it fires and finds nothing to do, or until such hints are half
//! of all; then they are thrown out together. So to arm, to put off and to disarm is cheap, and the heap is at most
//! twice what is armed, and a little.

use alloc::collections::BinaryHeap;
use core::cmp::Reverse;

use crate::time::Instant;

/// Never.
pub(super) const NEVER: Instant = Instant::from_nanos(u64::MAX);

/// Hints beside twice what is armed.
const SPARE: usize = 64;

#[derive(Debug)]
pub(super) struct Alarms<K> {
    heap: BinaryHeap<Reverse<(Instant, u64, K)>>,
    /// Orders hints of equal time.
    count: u64,
}

impl<K: Copy + Ord> Alarms<K> {
    pub(super) fn new() -> Alarms<K> {
        Alarms { heap: BinaryHeap::new(), count: 0 }
    }

    pub(super) fn push(&mut self, at: Instant, key: K) {
        self.count += 1;
        self.heap.push(Reverse((at, self.count, key)));
    }

    pub(super) fn first(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// The first that is due, removed.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(Instant, K)> {
        let due = self.first()? <= now;
        let Reverse((at, _, key)) = due.then(|| self.heap.pop())??;
        Some((at, key))
    }

    /// Throws out what is not `armed`, if there may be more of it than of what is.
    pub(super) fn tidy(&mut self, armed_max: usize, armed: impl Fn(Instant, K) -> bool) {
        if self.heap.len() > 2 * armed_max + SPARE {
            self.heap.retain(|&Reverse((at, _, key))| armed(at, key));
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
}

/// One thing that may be armed. The heap has at most one hint that counts for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alarm {
    at: Instant,
    hint: Instant,
}

impl Default for Alarm {
    fn default() -> Alarm {
        Alarm { at: NEVER, hint: NEVER }
    }
}

impl Alarm {
    pub(super) fn is_set(&self) -> bool {
        self.at != NEVER
    }

    /// Whether a hint of this time is the one that counts.
    pub(super) fn counts(&self, at: Instant) -> bool {
        self.hint == at
    }

    pub(super) fn set<K: Copy + Ord>(&mut self, at: Instant, alarms: &mut Alarms<K>, key: K) {
        self.at = at;
        if at < self.hint {
            self.hint = at;
            alarms.push(at, key);
        }
    }

    pub(super) fn clear(&mut self) {
        self.at = NEVER;
    }

    /// A hint of this time fired. Whether the thing itself is due; if so it is not armed any more.
    pub(super) fn fired<K: Copy + Ord>(&mut self, hint: Instant, now: Instant, alarms: &mut Alarms<K>, key: K) -> bool {
        if self.hint != hint {
            return false;
        }
        self.hint = NEVER;
        if self.at > now {
            if self.at != NEVER {
                self.set(self.at, alarms, key);
            }
            return false;
        }
        self.at = NEVER;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_fires_once_when_it_was_set_for_last() {
        let at = Instant::from_nanos;
        let mut alarms = Alarms::new();
        let mut alarm = Alarm::default();
        alarm.set(at(10), &mut alarms, 'a');
        alarm.set(at(30), &mut alarms, 'a');
        alarm.set(at(20), &mut alarms, 'a');
        let mut fired = alloc::vec::Vec::new();
        for now in 0..100 {
            while let Some((hint, key)) = alarms.pop(at(now)) {
                if alarm.fired(hint, at(now), &mut alarms, key) {
                    fired.push(now);
                }
            }
        }
        assert_eq!((fired, alarm.is_set(), alarms.len()), (alloc::vec![20], false, 0));
    }

    #[test]
    fn hints_that_mean_nothing_do_not_pile_up() {
        let mut alarms = Alarms::new();
        let mut alarm = Alarm::default();
        for i in 0..10_000u64 {
            let now = Instant::from_nanos(i * 10);
            // Each time set far away, taken back, and set close by.
            alarm.set(now + core::time::Duration::from_secs(100), &mut alarms, ());
            alarm.clear();
            alarm.set(now, &mut alarms, ());
            while let Some((hint, key)) = alarms.pop(now) {
                alarm.fired(hint, now, &mut alarms, key);
            }
            alarms.tidy(1, |at, ()| alarm.counts(at));
            assert!(alarms.len() <= 2 + SPARE);
        }
    }
}
