//! The end: messages are drained, the departure is spread, streams are flushed.

use std::time::Duration;

use swim_proto::{Instant, Status};

use super::Runner;
use crate::outside::Outside;

/// How long beyond the protocol's own limit a shutdown waits for the departure.
const LEAVE_GRACE: Duration = Duration::from_secs(1);
/// How long beyond its own limit a shutdown waits to be told that messages are drained.
const DRAIN_GRACE: Duration = Duration::from_millis(500);

/// How far a node is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// Asked to shut down; messages that are under way have until then at most.
    Draining {
        until: Instant,
    },
    /// The departure is being spread, until then at most.
    Leaving {
        until: Instant,
    },
    /// Departed, or given up: what is written is flushed.
    Flushing,
    /// To stop at once.
    Aborting,
}

impl Phase {
    pub(super) fn until(self) -> Option<Instant> {
        match self {
            Phase::Draining { until } | Phase::Leaving { until } => Some(until),
            Phase::Running | Phase::Flushing | Phase::Aborting => None,
        }
    }
}

/// What a driver is to do with its streams at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Let them write what they have, for a moment.
    Flush,
    /// Reset them.
    Reset,
}

impl Runner {
    /// Begins the departure, after messages that are under way are done. Once is enough, again is harmless.
    pub fn shut_down(&mut self, outside: &mut impl Outside) {
        if self.phase == Phase::Running && outside.drain(self.drain_timeout) {
            // What was accepted still goes out, and is acknowledged, while we are a member.
            self.phase = Phase::Draining { until: self.clock.now() + self.drain_timeout + DRAIN_GRACE };
        } else if self.phase == Phase::Running {
            self.depart(outside);
        }
    }

    /// The messages that were under way are done, or had their time.
    pub fn drained(&mut self, outside: &mut impl Outside) {
        if let Phase::Draining { .. } = self.phase {
            self.depart(outside);
        }
    }

    /// Stops without a word.
    pub fn abort(&mut self) {
        self.phase = Phase::Aborting;
    }

    /// Nobody holds the node any more. Whoever asked for a shutdown before gets it.
    pub fn orphan(&mut self) {
        if self.phase == Phase::Running {
            self.phase = Phase::Aborting;
        }
    }

    /// Whether nothing was asked for yet that leads to the end.
    pub fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Whether there is nothing left to do but to close, and how.
    pub fn end(&self) -> Option<End> {
        match self.phase {
            Phase::Running | Phase::Draining { .. } | Phase::Leaving { .. } => None,
            Phase::Flushing => Some(End::Flush),
            Phase::Aborting => Some(End::Reset),
        }
    }

    pub(super) fn look_to_the_end(&mut self, outside: &mut impl Outside) {
        if let Phase::Draining { until } = self.phase
            && (self.node.status() == Status::Superseded || self.clock.now() >= until)
        {
            self.depart(outside);
        }
        if let Phase::Leaving { until } = self.phase
            && (self.node.status() != Status::Leaving || self.clock.now() >= until)
        {
            self.phase = Phase::Flushing;
        }
    }

    /// Says goodbye.
    fn depart(&mut self, outside: &mut impl Outside) {
        let now = self.clock.now();
        // A refusal means that it has departed already, or is about to.
        let _ = self.node.leave(now);
        self.phase = Phase::Leaving { until: now + self.node.config().leave_timeout + LEAVE_GRACE };
        self.act(outside);
    }
}
