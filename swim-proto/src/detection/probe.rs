//! The probe that runs, and every other ping that may still be answered.
//!
//! One member at a time is probed *regularly*, once a protocol period (\[SWIM\] 3.1). Pings for other ends (serving a
//! ping-req, verifying before a burial, handing an obituary to its subject, asking for the holder of a
//! name, our own included, or whether a stranger is where it seems to be) have no period and no verdict: they only
//! wait, for a while, to be answered.

use alloc::collections::VecDeque;
use core::net::SocketAddr;

use crate::action::StreamId;
use crate::membership::{Incarnation, NodeId, Slot};
use crate::time::Instant;

/// Most pings, but for the regular probe's, that wait for an answer at once. At the limit the oldest is given up.
pub(crate) const WAITING_MAX: usize = 512;

/// The regular probe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    pub(crate) seq: u32,
    pub(crate) slot: Slot,
    pub(crate) id: NodeId,
    /// What was held about the target when the probe began.
    pub(crate) incarnation: Incarnation,
    pub(crate) started: Instant,
    pub(crate) ends: Instant,
    pub(crate) nacks_expected: u8,
    pub(crate) nacks_received: u8,
    /// The ping over a stream, once it was tried.
    pub(crate) stream: Option<StreamId>,
    /// Others were asked.
    pub(crate) indirect: bool,
}

/// Why a ping was sent that is not the regular probe's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// For another member, who is to be told under its own sequence.
    Relay {
        requester: SocketAddr,
        /// The carrier by which it asked, if it did not by datagram.
        by: Option<StreamId>,
        seq: u32,
        /// When it is to be told that there is no answer yet, if that is still to be done.
        nack_at: Option<Instant>,
    },
    /// Before a burial.
    Verify,
    /// To tell a member that it is held dead, at this incarnation, or accused by hearsay.
    Obituary { buried: Option<Incarnation> },
    /// To see whether datagrams reach a member that is reached by carrier.
    Path,
    /// To see whether the holder of a name answers, before somebody else is admitted under it.
    Holder { stream: StreamId },
    /// To see whether anybody answers who is said to have our own name.
    Rival,
    /// To see whether a member that we do not know is where its ping came from.
    Stranger { address: SocketAddr },
}

/// A ping that may still be answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) seq: u32,
    pub(crate) target: NodeId,
    pub(crate) purpose: Purpose,
    pub(crate) gives_up: Instant,
}

/// The pings that may still be answered, oldest first.
#[derive(Default)]
pub(crate) struct Pings {
    waiting: VecDeque<Waiting>,
}

impl Pings {
    /// Remembers a ping. Those that nobody waits for any more make room.
    pub(crate) fn push(&mut self, now: Instant, ping: Waiting) {
        while self.waiting.front().is_some_and(|oldest| oldest.gives_up <= now || self.waiting.len() >= WAITING_MAX) {
            self.waiting.pop_front();
        }
        self.waiting.push_back(ping);
    }

    /// Gives whom to nack, by which carrier, under which sequence, for the ping that was sent under this one: once.
    pub(crate) fn take_nack(&mut self, sent: u32) -> Option<(SocketAddr, Option<StreamId>, u32)> {
        let ping = self.waiting.iter_mut().find(|ping| ping.seq == sent)?;
        let Purpose::Relay { requester, by, seq, nack_at } = &mut ping.purpose else { return None };
        nack_at.take().map(|_| (*requester, *by, *seq))
    }

    /// The ping that was sent under this sequence, answered: it waits no more.
    pub(crate) fn take(&mut self, seq: u32) -> Option<Waiting> {
        let at = self.waiting.iter().position(|ping| ping.seq == seq)?;
        self.waiting.remove(at)
    }

    /// Those that serve others and are still waited for.
    pub(crate) fn relays(&self, now: Instant) -> impl Iterator<Item = &Waiting> {
        let serves = move |ping: &&Waiting| matches!(ping.purpose, Purpose::Relay { .. }) && ping.gives_up > now;
        self.waiting.iter().filter(serves)
    }

    /// Whether a ping was sent under this sequence and still waits.
    pub(crate) fn awaits(&self, seq: u32) -> bool {
        self.waiting.iter().any(|ping| ping.seq == seq)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}
