//! Whether messages to one member are accepted (`docs/messaging.md` 9).

use super::MessagingConfig;
use super::action::BreakerState;
use crate::random::Random;
use crate::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    /// Until then; `None`: until the member lives again.
    Open(Option<Instant>),
    /// Whether the one message that is accepted was.
    HalfOpen {
        tried: bool,
    },
}

/// What a message to be accepted is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Yes,
    /// Not before then.
    Open(Option<Instant>),
    Trying,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Breaker {
    state: State,
    /// Failures in a row.
    failures: u32,
    /// Times it opened in a row.
    opened: u32,
}

impl Breaker {
    pub(super) fn new() -> Breaker {
        Breaker { state: State::Closed, failures: 0, opened: 0 }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Whether links may be tried.
    pub(super) fn lets_links(&self) -> bool {
        !matches!(self.state, State::Open(_))
    }

    pub(super) fn pass(&self) -> Pass {
        match self.state {
            State::Closed | State::HalfOpen { tried: false } => Pass::Yes,
            State::HalfOpen { tried: true } => Pass::Trying,
            State::Open(until) => Pass::Open(until),
        }
    }

    /// A message was accepted. Whether it is the trial.
    pub(super) fn accepted(&mut self) -> bool {
        let trial = self.state == State::HalfOpen { tried: false };
        if trial {
            self.state = State::HalfOpen { tried: true };
        }
        trial
    }

    /// The trial was taken back, or failed for a reason of its own: another may be made.
    pub(super) fn withdrawn(&mut self) {
        if let State::HalfOpen { tried } = &mut self.state {
            *tried = false;
        }
    }

    /// A link failed, or a message expired that shows so. When it opens, until when.
    pub(super) fn failure(&mut self, now: Instant, config: &MessagingConfig, random: &mut Random) -> Option<Instant> {
        self.failures = self.failures.saturating_add(1);
        let opens = match self.state {
            State::Closed => config.breaker_failures > 0 && self.failures >= config.breaker_failures.into(),
            State::HalfOpen { .. } => true,
            State::Open(_) => false,
        };
        if !opens {
            return None;
        }
        let longest = config.breaker_open_max.min(config.breaker_open_min.saturating_mul(1 << self.opened.min(20)));
        self.opened = self.opened.saturating_add(1);
        let until = now + (longest - random.duration_up_to(longest / 4));
        self.state = State::Open(Some(until));
        Some(until)
    }

    /// A link became ready, or a message was delivered. Whether it closed by that.
    pub(super) fn success(&mut self) -> bool {
        self.failures = 0;
        if !matches!(self.state, State::HalfOpen { .. }) {
            return false;
        }
        (self.state, self.opened) = (State::Closed, 0);
        true
    }

    /// The member does not live. Whether that changed anything.
    pub(super) fn died(&mut self) -> bool {
        let changed = self.state != State::Open(None);
        self.state = State::Open(None);
        changed
    }

    /// The member lives (again). Whether it closed by that.
    pub(super) fn lives(&mut self) -> bool {
        self.state == State::Open(None) && self.renew()
    }

    /// Whoever failed is no more: the member is in a new life. Whether it closed by that.
    pub(super) fn renew(&mut self) -> bool {
        !core::mem::replace(self, Breaker::new()).is_closed()
    }

    /// Its time is over. Whether it became half-open.
    pub(super) fn time(&mut self, now: Instant) -> bool {
        let over = matches!(self.state, State::Open(Some(until)) if until <= now);
        if over {
            self.state = State::HalfOpen { tried: false };
        }
        over
    }

    pub(super) fn told(&self, now: Instant) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open(until) => BreakerState::Open { retry_in: until.map(|until| until - now) },
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_tries_again_ever_later() {
        let config = MessagingConfig::default();
        let (mut breaker, mut random) = (Breaker::new(), Random::new(1));
        let mut now = Instant::ZERO;
        for _ in 0..4 {
            assert_eq!(breaker.failure(now, &config, &mut random), None);
        }
        assert!(!breaker.success() && breaker.is_closed());
        for _ in 0..4 {
            assert_eq!(breaker.failure(now, &config, &mut random), None);
        }
        let mut wait = Duration::ZERO;
        for round in 0..8 {
            let until = breaker.failure(now, &config, &mut random).expect("it opens");
            let open = until - now;
            let longest = Duration::from_secs(1 << round).min(config.breaker_open_max);
            assert!(open <= longest && open >= longest * 3 / 4, "{open:?}");
            assert!(open > wait || longest == config.breaker_open_max);
            assert_eq!(breaker.pass(), Pass::Open(Some(until)));
            assert!(breaker.failure(now, &config, &mut random).is_none(), "what fails meanwhile is no news");
            assert!(!breaker.time(now) && breaker.time(until));
            assert!(breaker.lets_links() && breaker.pass() == Pass::Yes);
            assert!(breaker.accepted() && breaker.pass() == Pass::Trying);
            (now, wait) = (until, open);
        }
        breaker.withdrawn();
        assert_eq!(breaker.pass(), Pass::Yes);
        assert!(breaker.success() && breaker.is_closed() && !breaker.accepted());
    }

    #[test]
    fn death_opens_it_and_life_alone_closes_it() {
        let config = MessagingConfig { breaker_failures: 0, ..MessagingConfig::default() };
        let (mut breaker, mut random) = (Breaker::new(), Random::new(1));
        for _ in 0..1_000 {
            assert_eq!(breaker.failure(Instant::ZERO, &config, &mut random), None);
        }
        assert!(breaker.died() && !breaker.died() && !breaker.success());
        assert_eq!(breaker.told(Instant::ZERO), BreakerState::Open { retry_in: None });
        assert!(!breaker.time(Instant::from_nanos(u64::MAX)));
        assert!(breaker.lives() && breaker.is_closed() && !breaker.lives());
    }
}
