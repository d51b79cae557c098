//! What became of what applications said.

use std::collections::BTreeMap;
use std::time::Duration;

use swim_proto::NodeId;

use super::Percentiles;

/// Broadcasts and direct messages of a run, and what became of them.
#[derive(Debug, Default)]
pub struct Said {
    broadcasts: BTreeMap<(NodeId, u64, u64), Broadcast>,
    /// By sender, target and the hash of what it says.
    messages: BTreeMap<(NodeId, NodeId, u64), Vec<u64>>,
    broadcast_latencies: Vec<Duration>,
    message_latencies: Vec<Duration>,
    /// What was said to all.
    pub broadcasts_sent: u64,
    /// Of what applications wanted to say to all or to one, how much the node refused.
    pub refused: u64,
    /// How often a broadcast should have been told to somebody: to each member that ran when it was said.
    pub broadcasts_due: u64,
    /// What was said to one.
    pub messages_sent: u64,
    /// How often somebody was told a message more than once.
    pub messages_doubled: u64,
}

#[derive(Debug)]
struct Broadcast {
    at: u64,
    /// By slot, the number of the process that it is still due to.
    due: Vec<Option<u32>>,
}

/// The figures of one kind of saying.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Delivery {
    /// How many were said.
    pub sent: u64,
    /// How often one should have been told.
    pub due: u64,
    /// How often one was.
    pub delivered: u64,
    /// Seconds from saying to telling.
    pub latency: Percentiles,
}

impl Delivery {
    /// The part of what was due that was delivered; 1 if nothing was.
    pub fn share(&self) -> f64 {
        if self.due == 0 { 1.0 } else { self.delivered as f64 / self.due as f64 }
    }
}

impl Said {
    /// Somebody said something to all; `due`: by slot, the number of each other process that runs.
    pub(crate) fn broadcast(&mut self, now: u64, id: (NodeId, u64, u64), due: Vec<Option<u32>>) {
        self.broadcasts_sent += 1;
        self.broadcasts_due += due.iter().flatten().count() as u64;
        self.broadcasts.insert(id, Broadcast { at: now, due });
    }

    /// A process was told it.
    pub(crate) fn told_broadcast(&mut self, now: u64, id: (NodeId, u64, u64), slot: u32, boot: u32) {
        let Some(broadcast) = self.broadcasts.get_mut(&id) else { return };
        let due = &mut broadcast.due[slot as usize];
        if *due == Some(boot) {
            *due = None;
            self.broadcast_latencies.push(Duration::from_nanos(now - broadcast.at));
        }
    }

    /// Somebody said something to one.
    pub(crate) fn message(&mut self, now: u64, from: NodeId, to: NodeId, payload: &[u8]) {
        self.messages_sent += 1;
        self.messages.entry((from, to, hash(payload))).or_default().push(now);
    }

    /// Who it was for was told it.
    pub(crate) fn told_message(&mut self, now: u64, from: NodeId, to: NodeId, payload: &[u8]) {
        match self.messages.get_mut(&(from, to, hash(payload))).and_then(Vec::pop) {
            Some(at) => self.message_latencies.push(Duration::from_nanos(now - at)),
            None => self.messages_doubled += 1,
        }
    }

    /// What became of broadcasts.
    pub fn broadcasts(&self) -> Delivery {
        Delivery {
            sent: self.broadcasts_sent,
            due: self.broadcasts_due,
            delivered: self.broadcast_latencies.len() as u64,
            latency: Percentiles::of(self.broadcast_latencies.iter().copied()),
        }
    }

    /// What became of direct messages.
    pub fn messages(&self) -> Delivery {
        Delivery {
            sent: self.messages_sent,
            due: self.messages_sent,
            delivered: self.message_latencies.len() as u64,
            latency: Percentiles::of(self.message_latencies.iter().copied()),
        }
    }
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
