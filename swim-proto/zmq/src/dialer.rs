//! When to connect, and when to connect again.
//!
//! A DEALER's driver asks its [`Dialer`] what to do and tells it what came of it. After a failure it waits, twice as
//! long each time up to a limit, each time by a random part of that less, so that peers who lost the same ROUTER do
//! not all come back at once. READY sets the wait back to the shortest: only then is it certain that somebody is there
//! who speaks our language, and not merely a port that is open. Not to none: a peer that greets and hangs up would
//! otherwise be dialled as fast as the network goes.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use swim_proto::Instant;

use crate::config::ConfigError;

/// How often to dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DialerConfig {
    /// The wait after the first failure, and after a link that had been ready. Default 100 ms.
    pub backoff_min: Duration,
    /// The longest wait. Default 5 s.
    pub backoff_max: Duration,
    /// How long a TCP connection may take to be made. The handshake on it has its own time-out, the link's.
    /// Default 5 s.
    pub connect_timeout: Duration,
}

impl Default for DialerConfig {
    fn default() -> Self {
        DialerConfig {
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
        }
    }
}

impl DialerConfig {
    /// Says what cannot be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.backoff_min.is_zero() || self.connect_timeout.is_zero() {
            return Err(ConfigError("backoff_min, connect_timeout: must be longer than nothing"));
        }
        if self.backoff_max < self.backoff_min {
            return Err(ConfigError("backoff_max: at least backoff_min"));
        }
        Ok(())
    }
}

/// One attempt to connect, and the link that came of it. What is told of an earlier attempt is ignored, so a driver
/// whose sockets end late can do no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttemptId(u64);

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialAction {
    /// Connect, and make a [`Link`](crate::Link) of the connection.
    Connect(AttemptId),
    /// It took too long: give it up. It counts as failed; nothing more need be said of it.
    Abandon(AttemptId),
}

/// Says when to connect to one peer.
#[derive(Debug)]
pub struct Dialer {
    config: DialerConfig,
    random: ChaCha8Rng,
    state: State,
    last: AttemptId,
    /// The wait after the next failure, before chance has shortened it.
    backoff: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting {
        until: Instant,
    },
    Connecting {
        until: Instant,
    },
    /// The connection stands, and the link on it opens or is ready.
    Linked,
}

impl Dialer {
    /// Dials at once. The seed is for the waits: another one for each dialer.
    pub fn new(now: Instant, config: DialerConfig, seed: u64) -> Result<Dialer, ConfigError> {
        config.validate()?;
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        Ok(Dialer {
            config,
            random: ChaCha8Rng::from_seed(key),
            state: State::Waiting { until: now },
            last: AttemptId(0),
            backoff: config.backoff_min,
        })
    }

    /// What to do now, if anything: ask until there is nothing.
    pub fn poll_action(&mut self, now: Instant) -> Option<DialAction> {
        match self.state {
            State::Waiting { until } if until <= now => {
                self.last = AttemptId(self.last.0 + 1);
                self.state = State::Connecting { until: now + self.config.connect_timeout };
                Some(DialAction::Connect(self.last))
            }
            State::Connecting { until } if until <= now => {
                self.wait(now);
                Some(DialAction::Abandon(self.last))
            }
            State::Waiting { .. } | State::Connecting { .. } | State::Linked => None,
        }
    }

    /// When [`Dialer::poll_action`] will have something to do, if nothing else happens before.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { until } | State::Connecting { until } => Some(until),
            State::Linked => None,
        }
    }

    /// The TCP connection stands.
    pub fn connected(&mut self, attempt: AttemptId) {
        if attempt == self.last && matches!(self.state, State::Connecting { .. }) {
            self.state = State::Linked;
        }
    }

    /// The link on it is [ready](crate::Event::Ready).
    pub fn ready(&mut self, attempt: AttemptId) {
        if attempt == self.last && self.state == State::Linked {
            self.backoff = self.config.backoff_min;
        }
    }

    /// The connection failed, or the link on it has ended, whoever ended it and however well it had gone.
    pub fn ended(&mut self, now: Instant, attempt: AttemptId) {
        if attempt == self.last && !matches!(self.state, State::Waiting { .. }) {
            self.wait(now);
        }
    }

    /// There is reason to believe that the peer is back: it need not wait any longer.
    pub fn hurry(&mut self, now: Instant) {
        self.backoff = self.config.backoff_min;
        if let State::Waiting { until } = &mut self.state {
            *until = now.min(*until);
        }
    }

    /// Between a half and the whole of the wait, which is then doubled.
    fn wait(&mut self, now: Instant) {
        let half = u64::try_from(self.backoff.as_nanos() / 2).unwrap_or(u64::MAX / 2);
        let chance = ((u128::from(self.random.next_u64()) * u128::from(half)) >> 64) as u64;
        self.state = State::Waiting { until: now + self.backoff - Duration::from_nanos(chance) };
        self.backoff = self.backoff.saturating_mul(2).min(self.config.backoff_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> DialerConfig {
        let millis = Duration::from_millis;
        DialerConfig { backoff_min: millis(100), backoff_max: millis(1000), connect_timeout: millis(5000) }
    }

    fn attempt(dialer: &mut Dialer, now: Instant) -> AttemptId {
        match dialer.poll_action(now) {
            Some(DialAction::Connect(attempt)) => attempt,
            other => panic!("{other:?}"),
        }
    }

    /// The waits between attempts that fail at once, in milliseconds.
    fn waits(dialer: &mut Dialer, mut now: Instant, count: usize) -> Vec<u64> {
        (0..count)
            .map(|_| {
                let attempt = attempt(dialer, now);
                dialer.ended(now, attempt);
                let next = dialer.deadline().expect("it waits");
                let wait = next - now;
                assert_eq!(dialer.poll_action(next - Duration::from_nanos(1)), None);
                now = next;
                wait.as_millis() as u64
            })
            .collect()
    }

    #[test]
    fn waits_double_up_to_the_limit_and_chance_takes_up_to_half() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let mut dialer = Dialer::new(Instant::ZERO, config(), seed).unwrap();
            let waits = waits(&mut dialer, Instant::ZERO, 6);
            for (wait, whole) in waits.iter().zip([100, 200, 400, 800, 1000, 1000]) {
                assert!((whole / 2..=whole).contains(wait), "{waits:?}");
            }
            seen.insert(waits[5]);
        }
        assert!(seen.len() > 30, "{seen:?}");
    }

    #[test]
    fn ready_sets_the_wait_back_but_a_connection_does_not() {
        let mut dialer = Dialer::new(Instant::ZERO, config(), 1).unwrap();
        let mut now = Instant::ZERO;
        let mut wait = |ready: bool| {
            let attempt = attempt(&mut dialer, now);
            dialer.connected(attempt);
            assert_eq!(dialer.deadline(), None);
            if ready {
                dialer.ready(attempt);
            }
            dialer.ended(now, attempt);
            let wait = dialer.deadline().expect("it waits") - now;
            now += wait;
            wait.as_millis()
        };
        let waits: Vec<u128> = [false, false, false, false, true, false].map(&mut wait).into();
        assert!(waits[3] >= 400, "{waits:?}");
        assert!((50..=100).contains(&waits[4]), "{waits:?}");
        assert!((100..=200).contains(&waits[5]), "{waits:?}");
    }

    #[test]
    fn a_connection_that_takes_too_long_is_abandoned_and_what_comes_of_it_ignored() {
        let mut dialer = Dialer::new(Instant::ZERO, config(), 1).unwrap();
        let first = attempt(&mut dialer, Instant::ZERO);
        let late = dialer.deadline().expect("it waits for the connection");
        assert_eq!(late, Instant::ZERO + Duration::from_secs(5));
        assert_eq!(dialer.poll_action(late), Some(DialAction::Abandon(first)));
        dialer.connected(first);
        dialer.ready(first);
        let again = dialer.deadline().expect("it waits");
        let second = attempt(&mut dialer, again);
        assert_ne!(first, second);
        dialer.ended(again, first);
        assert_eq!(dialer.deadline(), Some(again + Duration::from_secs(5)), "still the second");
    }

    #[test]
    fn who_hears_that_the_peer_is_back_need_not_wait() {
        let mut dialer = Dialer::new(Instant::ZERO, config(), 1).unwrap();
        waits(&mut dialer, Instant::ZERO, 8);
        let now = dialer.deadline().expect("it waits") - Duration::from_millis(100);
        assert_eq!(dialer.poll_action(now), None);
        dialer.hurry(now);
        let attempt = attempt(&mut dialer, now);
        dialer.ended(now, attempt);
        assert!(dialer.deadline() <= Some(now + Duration::from_millis(100)));
    }
}
