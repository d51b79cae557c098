//! What became of messages that members sent by messenger.

use std::collections::BTreeMap;
use std::time::Duration;

use swim_proto::messaging::{Ending, FailReason, MessageId, Outcome, SendError, Stats};

use super::Percentiles;

/// A message: its sender's slot and process, and what that calls it.
type Name = (u32, u32, MessageId);

/// Reliable messages of a run, and what became of them.
#[derive(Debug, Default)]
pub struct LettersSeen {
    /// How many were accepted.
    pub accepted: u64,
    /// How many refused, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Their outcomes, by kind.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// How many were taken by applications.
    pub taken: u64,
    waiting: BTreeMap<Name, u64>,
    /// By the number at the head of the payload: when it was accepted.
    said: BTreeMap<u64, u64>,
    delivered: Vec<Duration>,
    processed: Vec<Duration>,
    reached: Vec<Duration>,
    counters: Counters,
}

/// What messengers counted, those of processes that ended included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages put on links.
    pub data_out: u64,
    /// Of these, repetitions.
    pub repeated: u64,
    /// Messages that came and were there already.
    pub duplicates: u64,
    /// Numbers passed over.
    pub forwards: u64,
    /// Acknowledgements put on links.
    pub acks: u64,
    /// Questions for the state of things.
    pub probes: u64,
    /// Links that came to be used.
    pub links: u64,
    /// Links that failed or broke.
    pub links_failed: u64,
    /// Times a breaker opened.
    pub breakers_opened: u64,
}

impl Counters {
    /// With those of one more messenger.
    #[must_use]
    pub(crate) fn and(self, stats: &Stats) -> Counters {
        Counters {
            data_out: self.data_out + stats.data_out,
            repeated: self.repeated + stats.data_repeated,
            duplicates: self.duplicates + stats.duplicates,
            forwards: self.forwards + stats.forwards_out,
            acks: self.acks + stats.acks_out,
            probes: self.probes + stats.probes_out,
            links: self.links + stats.links_ready,
            links_failed: self.links_failed + stats.links_failed,
            breakers_opened: self.breakers_opened + stats.breakers_opened,
        }
    }
}

impl LettersSeen {
    pub(crate) fn accepted(&mut self, now: u64, name: Name, payload: &[u8]) {
        self.accepted += 1;
        self.waiting.insert(name, now);
        if let Some(number) = number(payload) {
            self.said.insert(number, now);
        }
    }

    pub(crate) fn refused(&mut self, error: &SendError) {
        *self.refused.entry(refusal(error)).or_default() += 1;
    }

    pub(crate) fn outcome(&mut self, now: u64, name: Name, outcome: &Outcome) {
        *self.outcomes.entry(ending(outcome.ending)).or_default() += 1;
        let Some(since) = self.waiting.remove(&name) else { return };
        let took = Duration::from_nanos(now - since);
        match outcome.ending {
            Ending::Delivered => self.delivered.push(took),
            Ending::Processed => self.processed.push(took),
            Ending::Sent | Ending::Expired | Ending::Cancelled | Ending::Failed(_) => {}
        }
    }

    pub(crate) fn taken(&mut self, now: u64, payload: &[u8]) {
        self.taken += 1;
        if let Some(since) = number(payload).and_then(|number| self.said.remove(&number)) {
            self.reached.push(Duration::from_nanos(now - since));
        }
    }

    /// A messenger is gone, with these counters.
    pub(crate) fn ended(&mut self, stats: &Stats) {
        self.counters = self.counters.and(stats);
    }

    /// What messengers that are gone have counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Seconds from acceptance to the outcome "delivered".
    pub fn delivered(&self) -> Percentiles {
        Percentiles::of(self.delivered.iter().copied())
    }

    /// Seconds from acceptance to the outcome "processed".
    pub fn processed(&self) -> Percentiles {
        Percentiles::of(self.processed.iter().copied())
    }

    /// Seconds from acceptance to the receiver's application.
    pub fn reached(&self) -> Percentiles {
        Percentiles::of(self.reached.iter().copied())
    }
}

/// The number at the head of a payload.
fn number(payload: &[u8]) -> Option<u64> {
    payload.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Sent => "sent",
        Ending::Delivered => "delivered",
        Ending::Processed => "processed",
        Ending::Expired => "expired",
        Ending::Cancelled => "cancelled",
        Ending::Failed(FailReason::Died) => "failed_died",
        Ending::Failed(FailReason::Left) => "failed_left",
        Ending::Failed(FailReason::Restarted) => "failed_restarted",
        Ending::Failed(FailReason::TooLong { .. }) => "failed_too_long",
        Ending::Failed(FailReason::NoEndpoint) => "failed_no_endpoint",
        Ending::Failed(FailReason::Closed) => "failed_closed",
        Ending::Failed(_) => "failed",
    }
}

fn refusal(error: &SendError) -> &'static str {
    match error {
        SendError::TooLong { .. } => "too_long",
        SendError::Expiry { .. } => "expiry",
        SendError::Itself => "itself",
        SendError::UnknownMember(_) => "unknown_member",
        SendError::NotLive(_) => "not_live",
        SendError::NoEndpoint(_) => "no_endpoint",
        SendError::BreakerOpen { .. } => "breaker_open",
        SendError::Trying => "trying",
        SendError::QueueFull { .. } => "queue_full",
        SendError::TooManyPeers { .. } => "too_many_peers",
        SendError::Closed => "closed",
        _ => "other",
    }
}
