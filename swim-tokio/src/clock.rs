//! What rings when a deadline of the core has come, by tokio's clock.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use swim_driver::Clock;
use swim_proto::Instant;
use tokio::time::{Instant as TokioInstant, Sleep};

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
                self.sleep.as_mut().reset(TokioInstant::from_std(clock.instant(at)));
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
