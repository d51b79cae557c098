//! The driver's clock: tokio's monotonic clock, told to the core as nanoseconds since the node was started.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use swim_proto::Instant;
use tokio::time::{Instant as TokioInstant, Sleep};

/// Translates between the core's instants and the runtime's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: TokioInstant,
}

impl Clock {
    /// A clock whose epoch is now.
    pub(crate) fn start() -> Clock {
        Clock { epoch: TokioInstant::now() }
    }

    /// What time it is, for the core. Never goes back.
    pub(crate) fn now(&self) -> Instant {
        let nanos = self.epoch.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// When to wake up for a deadline of the core.
    pub(crate) fn wake_at(&self, deadline: Instant) -> TokioInstant {
        // A deadline too far away for the runtime is as good as one in a year: it is looked at again then.
        const YEAR: Duration = Duration::from_secs(365 * 86_400);
        self.epoch + (deadline - Instant::ZERO).min((self.now() - Instant::ZERO).saturating_add(YEAR))
    }

    /// An instant of the core, for the application.
    pub(crate) fn instant(&self, at: Instant) -> std::time::Instant {
        self.wake_at(at).into_std()
    }
}

/// Rings when a deadline of the core has come. Set anew only when the deadline is another.
pub(crate) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    at: Option<Instant>,
}

impl Alarm {
    pub(crate) fn unset() -> Alarm {
        Alarm { sleep: Box::pin(tokio::time::sleep(Duration::ZERO)), at: None }
    }

    pub(crate) fn set(&mut self, at: Option<Instant>, clock: &Clock) {
        if at != self.at {
            self.at = at;
            if let Some(at) = at {
                self.sleep.as_mut().reset(clock.wake_at(at));
            }
        }
    }

    /// The same, but what it is set for already may come first: who is woken too early sets it again.
    pub(crate) fn set_at_most(&mut self, at: Option<Instant>, clock: &Clock) {
        if let Some(at) = at
            && self.at.is_none_or(|set| at < set)
        {
            self.set(Some(at), clock);
        }
    }

    /// Ready once it has rung; it is unset then. Pending for ever, while it is unset.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.at.is_none() {
            return Poll::Pending;
        }
        ready!(self.sleep.as_mut().poll(cx));
        self.at = None;
        Poll::Ready(())
    }

    /// Never, while it is unset. Having rung, it is. Safe to cancel.
    pub(crate) async fn rings(&mut self) {
        std::future::poll_fn(|cx| self.poll(cx)).await;
    }
}

/// Milliseconds of the wall clock: what a node's life is by default.
pub(crate) fn wall_millis() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_of_the_core_survives_the_way_to_the_runtime_and_back() {
        let clock = Clock::start();
        let at = Instant::ZERO + Duration::from_millis(1234);
        assert_eq!(clock.wake_at(at) - clock.wake_at(Instant::ZERO), Duration::from_millis(1234));
        assert!(clock.now() <= clock.now());
    }

    #[test]
    fn a_deadline_beyond_the_runtimes_range_is_clipped() {
        let clock = Clock::start();
        let far = clock.wake_at(Instant::from_nanos(u64::MAX));
        assert!(far > TokioInstant::now() + Duration::from_secs(86_400));
    }
}
