//! When our own judgement is worth nothing: the suspicion clock (`docs/protocol.md` 10).
//!
//! A process that was stopped, or that hears nobody, would bury the whole cluster by its timers alone. So suspicions
//! run on a clock of their own, which stands still
//!
//! - for as long as a *stall* lasted: we were called later than we asked to be, by more than `stall_min`;
//! - while nothing at all is heard for longer than is plausible, at most `stall_max` in one silence, and not with fewer
//!   than two other live members (one that died explains the silence).
//!
//! After `stall_max` of silence the clock runs again: completeness is delayed, never lost.

use core::time::Duration;

use crate::time::Instant;

/// The clock on which suspicions run, and what we know of our own deafness.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SuspicionClock {
    stall_min: Duration,
    stall_max: Duration,
    /// Silence longer than this is not plausible.
    plausible: Duration,
    /// How long it has stood still in all, the present silence not counted.
    stood_still: Duration,
    /// Since when it stands still.
    still_since: Option<Instant>,
    /// When somebody was last heard.
    heard: Instant,
    /// Silence has lasted its `stall_max`, and we said so.
    isolated: bool,
}

/// What the silence timer found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Nothing to do; look again then.
    LookAgain(Instant),
    /// Nobody heard for too long: say so; the clock runs again. Look again then.
    Isolated { since: Instant, look_again: Instant },
}

impl SuspicionClock {
    pub(crate) fn new(now: Instant, stall_min: Duration, stall_max: Duration, probe_interval: Duration) -> Self {
        SuspicionClock {
            stall_min,
            stall_max,
            plausible: probe_interval * 3,
            stood_still: Duration::ZERO,
            still_since: None,
            heard: now,
            isolated: false,
        }
    }

    /// The time on the suspicion clock.
    pub(crate) fn now(&self, now: Instant) -> Instant {
        self.still_since.unwrap_or(now) - self.stood_still
    }

    /// When the suspicion clock will show `deadline`; should it stand still, as if it did so for as long as it may.
    pub(crate) fn real(&self, deadline: Instant) -> Instant {
        match self.still_since {
            None => deadline + self.stood_still,
            Some(since) => since + self.stall_max + (deadline - (since - self.stood_still)),
        }
    }

    /// Somebody was heard. `Some` if that ends a silence we had reported: for how long nobody was. The second value
    /// says that the clock had stood still and runs again: suspicion timers are to be set anew.
    pub(crate) fn heard(&mut self, now: Instant) -> (Option<Duration>, bool) {
        let silent = now - self.heard;
        self.heard = now;
        let ran_again = self.run(now);
        (core::mem::take(&mut self.isolated).then_some(silent), ran_again)
    }

    /// Time passed and we were `lag` late: if that is a stall, the clock did not run and silence is not held against
    /// anyone. Whether it was one.
    pub(crate) fn stalled(&mut self, now: Instant, lag: Duration) -> bool {
        if self.stall_min.is_zero() || lag < self.stall_min {
            return false;
        }
        if self.still_since.is_none() {
            self.stood_still += lag;
        }
        self.heard = (self.heard + lag).min(now);
        true
    }

    /// The silence timer fired.
    pub(crate) fn look(&mut self, now: Instant, others_live: usize) -> Finding {
        if self.stall_max.is_zero() {
            return Finding::LookAgain(Instant::from_nanos(u64::MAX));
        }
        let implausible = self.heard + self.plausible;
        if self.isolated || others_live < 2 || now < implausible {
            if others_live < 2 {
                self.run(now);
            }
            return Finding::LookAgain(if now < implausible { implausible } else { now + self.plausible });
        }
        let since = *self.still_since.get_or_insert(now);
        let end = since + self.stall_max;
        if now < end {
            return Finding::LookAgain(end);
        }
        self.run(now);
        self.isolated = true;
        Finding::Isolated { since: self.heard, look_again: now + self.plausible }
    }

    /// When the silence timer should first fire.
    pub(crate) fn first_look(&self) -> Instant {
        self.heard + self.plausible
    }

    fn run(&mut self, now: Instant) -> bool {
        match self.still_since.take() {
            Some(since) => {
                self.stood_still += now - since;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn clock() -> SuspicionClock {
        SuspicionClock::new(at(0), Duration::from_millis(250), Duration::from_secs(10), Duration::from_secs(1))
    }

    #[test]
    fn silence_holds_the_clock_for_its_limit_and_is_then_reported() {
        let mut clock = clock();
        assert_eq!(clock.look(at(3000), 5), Finding::LookAgain(at(13_000)));
        assert_eq!((clock.now(at(3000)), clock.now(at(9000))), (at(3000), at(3000)));
        assert_eq!(clock.real(at(3500)), at(13_500));
        assert_eq!(clock.look(at(13_000), 5), Finding::Isolated { since: at(0), look_again: at(16_000) });
        assert_eq!((clock.now(at(13_000)), clock.now(at(14_000))), (at(3000), at(4000)));
        assert_eq!(clock.heard(at(15_000)), (Some(Duration::from_secs(15)), false));
    }

    #[test]
    fn hearing_anybody_lets_the_clock_run_on() {
        let mut clock = clock();
        clock.look(at(3000), 5);
        assert_eq!(clock.heard(at(5000)), (None, true));
        assert_eq!(clock.now(at(6000)), at(4000));
    }

    #[test]
    fn a_lone_peer_that_died_is_no_silence() {
        let mut clock = clock();
        clock.look(at(3000), 1);
        assert_eq!(clock.now(at(8000)), at(8000));
    }

    #[test]
    fn a_stall_does_not_run_and_is_not_silence() {
        let mut clock = clock();
        assert!(!clock.stalled(at(1000), Duration::from_millis(100)));
        assert!(clock.stalled(at(9000), Duration::from_secs(8)));
        assert_eq!(clock.now(at(9000)), at(1000));
        assert_eq!(clock.look(at(9000), 5), Finding::LookAgain(at(11_000)));
    }
}
