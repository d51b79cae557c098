//! Local Health Aware Probe (\[LG\] IV-A): a node whose probes fail may be the one that is slow.
//!
//! The multiplier is a saturating counter in `[0, S]`; interval and time-out of probes are multiplied by `1 + health`.

use core::time::Duration;

/// The local health multiplier.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Health {
    score: u8,
    max: u8,
    enabled: bool,
    counts_nacked_failure: bool,
}

/// How a probe of our own ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Some answer came in time.
    Acked,
    /// None came. So many helpers were asked, and so many of their nacks came.
    Failed { nacks_expected: u8, nacks_received: u8 },
    /// We were stalled during the probe: it says nothing about its target.
    Void,
}

impl Health {
    pub(crate) fn new(enabled: bool, max: u8, counts_nacked_failure: bool) -> Health {
        Health { score: 0, max, enabled, counts_nacked_failure }
    }

    /// 0 is well.
    pub(crate) fn score(&self) -> u8 {
        self.score
    }

    /// A base interval or time-out, stretched.
    pub(crate) fn stretch(&self, base: Duration) -> Duration {
        base * (1 + u32::from(self.score))
    }

    /// Success −1; failure +1, and +1 if a nack that was due is missing. Where the failure itself is not counted
    /// (`docs/decisions/0003`), helpers whose nacks all came have shown that we are well: only a missing one, or
    /// having had nobody to ask, counts.
    pub(crate) fn probe_ended(&mut self, ended: Ended) {
        match ended {
            Ended::Acked => self.score = self.score.saturating_sub(1),
            Ended::Void => self.worsen(1),
            Ended::Failed { nacks_expected, nacks_received } => {
                let missed = u8::from(nacks_received < nacks_expected);
                let failure = u8::from(self.counts_nacked_failure || nacks_expected == 0);
                self.worsen(failure + missed);
            }
        }
    }

    /// We had to refute a suspicion of ourselves: +1.
    pub(crate) fn refuted_self(&mut self) {
        self.worsen(1);
    }

    fn worsen(&mut self, by: u8) {
        if self.enabled {
            self.score = self.score.saturating_add(by).min(self.max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NACKED: Ended = Ended::Failed { nacks_expected: 3, nacks_received: 3 };
    const MISSED: Ended = Ended::Failed { nacks_expected: 3, nacks_received: 1 };
    const NOBODY_ASKED: Ended = Ended::Failed { nacks_expected: 0, nacks_received: 0 };

    #[test]
    fn a_dead_target_that_all_helpers_confirm_says_nothing_about_us() {
        let mut health = Health::new(true, 8, false);
        health.probe_ended(NACKED);
        assert_eq!(health.score(), 0);
        health.probe_ended(MISSED);
        assert_eq!(health.score(), 1);
        health.probe_ended(NOBODY_ASKED);
        assert_eq!(health.score(), 2);
        health.probe_ended(Ended::Acked);
        assert_eq!(health.score(), 1);
    }

    #[test]
    fn as_published_a_failure_counts_and_a_missed_nack_counts_once_more() {
        let mut health = Health::new(true, 8, true);
        health.probe_ended(NACKED);
        assert_eq!(health.score(), 1);
        health.probe_ended(MISSED);
        assert_eq!(health.score(), 3);
    }

    #[test]
    fn the_score_saturates_at_both_ends_and_stays_zero_when_switched_off() {
        let mut health = Health::new(true, 2, false);
        (0..9).for_each(|_| health.refuted_self());
        assert_eq!((health.score(), health.stretch(Duration::from_secs(1))), (2, Duration::from_secs(3)));
        (0..9).for_each(|_| health.probe_ended(Ended::Acked));
        assert_eq!(health.score(), 0);
        let mut off = Health::new(false, 8, true);
        off.probe_ended(MISSED);
        assert_eq!(off.score(), 0);
    }
}
