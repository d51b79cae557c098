//! Whether we ourselves keep up (`docs/protocol.md` 14).
//!
//! A node that is *behind* sees others through its own delay: their answers wait in its queue, or were lost there. So
//! it says less of its own accord, and damps what it would say against others. Being behind shows in two ways: its
//! timers fire late, and its driver reports datagrams lost before they were read. It ends when neither has happened for
//! one protocol period.

use core::time::Duration;

use crate::time::Instant;

/// With the adaptive interval, periods are at most this many times as long.
pub(crate) const STRETCH_MAX: u8 = 4;

/// What we know of our own load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Being this late is being behind; zero: never behind.
    late: Duration,
    /// For so long after a sign of it.
    lasting: Duration,
    until: Option<Instant>,
    /// How many times as long each period is, as far as the adaptive interval is concerned.
    stretch: u8,
}

impl Load {
    /// `stall_min` and `probe_interval` as configured: being behind is being late by half of what makes a stall.
    pub(crate) fn new(stall_min: Duration, probe_interval: Duration) -> Load {
        Load { late: stall_min / 2, lasting: probe_interval, until: None, stretch: 1 }
    }

    /// A timer fired so late.
    pub(crate) fn fired(&mut self, now: Instant, lag: Duration) {
        if !self.late.is_zero() && lag >= self.late {
            self.until = Some(now + self.lasting);
        }
    }

    /// Datagrams were lost before they were read.
    pub(crate) fn lost(&mut self, now: Instant) {
        if !self.late.is_zero() {
            self.until = Some(now + self.lasting);
        }
    }

    pub(crate) fn is_behind(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// A protocol period ends: the next is longer by one than this one while we are behind, else shorter by one, within
    /// 1 to [`STRETCH_MAX`].
    pub(crate) fn period_ended(&mut self, now: Instant) {
        self.stretch =
            if self.is_behind(now) { (self.stretch + 1).min(STRETCH_MAX) } else { (self.stretch - 1).max(1) };
    }

    /// How many times as long a period is.
    pub(crate) fn stretch(&self) -> u8 {
        self.stretch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn load() -> Load {
        Load::new(Duration::from_millis(250), Duration::from_secs(1))
    }

    #[test]
    fn lateness_and_losses_each_count_for_one_period() {
        let mut load = load();
        load.fired(at(1000), Duration::from_millis(124));
        assert!(!load.is_behind(at(1000)));
        load.fired(at(1000), Duration::from_millis(125));
        assert!(load.is_behind(at(1999)) && !load.is_behind(at(2000)));
        load.lost(at(3000));
        assert!(load.is_behind(at(3999)) && !load.is_behind(at(4000)));
    }

    #[test]
    fn periods_grow_while_behind_to_four_times_and_shrink_back() {
        let mut load = load();
        load.lost(at(0));
        let grown: [u8; 5] = core::array::from_fn(|_| {
            load.period_ended(at(500));
            load.stretch()
        });
        assert_eq!(grown, [2, 3, 4, 4, 4]);
        let shrunk: [u8; 4] = core::array::from_fn(|_| {
            load.period_ended(at(5000));
            load.stretch()
        });
        assert_eq!(shrunk, [3, 2, 1, 1]);
    }

    #[test]
    fn without_stall_awareness_nobody_is_ever_behind() {
        let mut load = Load::new(Duration::ZERO, Duration::from_secs(1));
        load.fired(at(0), Duration::from_secs(9));
        load.lost(at(0));
        assert!(!load.is_behind(at(0)));
    }
}
