//! What two nodes say to each other over a stream, step by step (`docs/protocol.md` 6 and 7).
//!
//! ```text
//! joiner                          seed        member                          member
//! Alive, Join                ->               Alive, SyncRoot            ->
//!              <- claims…, SyncEnd                         <- SyncAgree                 (equal: 100 bytes in all)
//! Alive, SyncEnd             ->                            <- SyncBuckets               (different)
//!                                             SyncFilter, Held…, SyncEnd ->
//!              <- NameTaken                                <- claims…, Want…, SyncEnd
//!              <- Busy, Alive…                claims…, Tombstone…, SyncEnd ->
//! ```
//!
//! ```text
//! member                 member that announced        member                 member
//! Pull                ->                              UserMessage         ->
//!                     <- Broadcast
//! ```
//!
//! A step that is long is written piece by piece as the peer takes it, from a cursor into the table: what changes
//! meanwhile is found by the next exchange.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::net::SocketAddr;

use bytes::Bytes;

use super::BroadcastId;
use crate::membership::{Incarnation, NodeId};
use crate::time::Instant;

/// What comes next on a stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// We pinged this member over it and wait for the ack.
    Pinged(NodeId),
    /// We asked to be let in and read the answer.
    Joining,
    /// We sent our root and wait for what the peer makes of it.
    Rooted,
    /// We sent what we hold and read what the peer has for us.
    Listed,
    /// Accepted; the first packet says what it is about.
    Accepted,
    /// A joiner waits while the holder of its name is asked.
    Admitting(Box<Joiner>),
    /// We were turned away; whom to ask instead follows.
    Redirected,
    /// A joiner was told everything; its last word is due.
    Told,
    /// Our root differed: our sums are sent, the peer's list is due.
    Summed,
    /// The peer's list was answered; what we wanted is due.
    Answered,
    /// We asked for a broadcast and wait for it.
    Pulling,
    /// It carries what would be datagrams, until it ends.
    Carrying,
    /// Nothing is due any more but the end.
    Ending,
}

impl Step {
    /// Suspicions and tombstones are due.
    pub(crate) fn takes_claims(&self) -> bool {
        matches!(self, Step::Joining | Step::Listed | Step::Answered)
    }
}

/// A joiner that is not let in yet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Joiner {
    pub(crate) id: NodeId,
    pub(crate) incarnation: Incarnation,
    pub(crate) profile: Arc<[u8]>,
    /// How often the holder of the name was asked.
    pub(crate) asked: u8,
    /// When it is asked again, or the joiner let in.
    pub(crate) ask_at: Instant,
}

/// A part of what is still to be written, with how far it got.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Ping {
        seq: u32,
        target: NodeId,
    },
    Ack {
        seq: u32,
    },
    /// Our Alive and a Join.
    Join,
    /// Our Alive, and that what follows is what would be datagrams.
    Carry,
    /// Our Alive and our root.
    Root,
    Agree,
    Sums,
    /// Which buckets differ, and what we hold in them, from this slot on.
    List {
        filter_sent: bool,
        cursor: usize,
        count: u32,
    },
    /// All we hold, from this slot on; first what we hold about the joiner.
    Everything {
        joiner: Option<NodeId>,
        cursor: usize,
        count: u32,
    },
    /// What the peer's list lacks or has older, and what we want: first by its list, then by our table.
    Difference {
        listed: usize,
        cursor: usize,
        count: u32,
    },
    /// What the peer wants, then the graves that contradict it.
    Wanted {
        at: usize,
        count: u32,
    },
    /// Our Alive, as the last word of a join.
    LastWord,
    NameTaken {
        holder: SocketAddr,
    },
    /// Whom to ask instead, from this place in the list of members on.
    Busy {
        start: u32,
    },
    Pull(BroadcastId),
    /// A broadcast that was asked for, if it is still here.
    Pulled(BroadcastId),
    /// A direct message, alone on its stream.
    Mail {
        target: NodeId,
        payload: Bytes,
    },
}

impl Part {
    /// Whether it carries a payload, and takes a frame to itself.
    pub(crate) fn stands_alone(&self) -> bool {
        matches!(self, Part::Pulled(_) | Part::Mail { .. })
    }
}
