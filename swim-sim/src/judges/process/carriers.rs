//! Which streams of a process are carriers, and what was heard by them (protocol 13.2).
//!
//! What a carrier carries is judged like datagrams, but for one thing: it may be written later than it was decided. So
//! whatever a peer told by carrier of late may be an answer to it, and what is sent of one's own accord counts against
//! all the time before. What waits for a stream that never opens is never written: to have tried is to have asked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use swim_proto::wire::{Message, Messages};
use swim_proto::{Instant, NodeId, StreamId};

use super::super::maps::SpreadMap;

/// For how long an answer may wait for its carrier.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// Most members of whom peers told that are remembered. Past it all are forgotten.
const TOLD_MAX: usize = 1 << 16;

/// The carriers of one process.
#[derive(Debug, Default)]
pub(super) struct Carriers {
    /// Streams that it opened.
    connects: HashMap<StreamId, Opened>,
    /// When one to this address last went, or was tried and nothing written to it, on its clock, and for how long its
    /// suspicions had stood still by then.
    tried: HashMap<SocketAddr, (Instant, Duration)>,
    /// Those that carry, and where the peer is reached.
    peers: HashMap<StreamId, SocketAddr>,
    /// Who told of whom, and when.
    told: SpreadMap<(SocketAddr, NodeId), Instant>,
    /// Who does so in the input being taken, whose time is not known yet.
    tells: Vec<(SocketAddr, NodeId)>,
}

/// A stream that it opened.
#[derive(Clone, Copy, Debug)]
struct Opened {
    to: SocketAddr,
    written: bool,
}

impl Carriers {
    pub(super) fn connect(&mut self, stream: StreamId, to: SocketAddr) {
        self.connects.insert(stream, Opened { to, written: false });
    }

    /// Gives where the stream led, or was to lead, if something may have waited for it: it carried, or nothing was
    /// written to it yet.
    pub(super) fn closed(&mut self, (clock, still): (Instant, Duration), stream: StreamId) -> Option<SocketAddr> {
        let carried = self.peers.remove(&stream);
        let opened = self.connects.remove(&stream).filter(|opened| !opened.written);
        let to = carried.or(opened.map(|opened| opened.to))?;
        if self.tried.len() >= TOLD_MAX {
            self.tried.clear();
        }
        self.tried.insert(to, (clock, still));
        Some(to)
    }

    /// The process writes to a stream.
    pub(super) fn written(&mut self, stream: StreamId) {
        if let Some(opened) = self.connects.get_mut(&stream) {
            opened.written = true;
        }
    }

    /// Until when a stream to this address was tried, and nothing written to it; and for how long suspicions had stood
    /// still by then.
    pub(super) fn tried(&self, now: (Instant, Duration), to: SocketAddr) -> Option<(Instant, Duration)> {
        if self.tries(to) { Some(now) } else { self.tried.get(&to).copied() }
    }

    /// Whether one is being tried.
    pub(super) fn tries(&self, to: SocketAddr) -> bool {
        self.connects.values().any(|opened| opened.to == to && !opened.written)
    }

    /// Where the peer of this stream is reached, if the stream carries.
    pub(super) fn peer(&self, stream: StreamId) -> Option<SocketAddr> {
        self.peers.get(&stream).copied()
    }

    /// The process wrote the first packet of a stream.
    pub(super) fn opened(&mut self, stream: StreamId, mut messages: Messages<'_>) {
        if let Some(opened) = self.connects.get(&stream)
            && messages.any(|message| matches!(message, Message::Carry(_)))
        {
            self.peers.insert(stream, opened.to);
        }
    }

    /// The first packet of a stream came.
    pub(super) fn accepted(&mut self, stream: StreamId, messages: Messages<'_>) {
        let mut address = None;
        for message in messages {
            match message {
                Message::Alive(alive) => address = Some(alive.profile.parse().address),
                Message::Carry(_) => {
                    address.map(|address| self.peers.insert(stream, address));
                }
                _ => {}
            }
        }
    }

    /// A peer tells of a member, in the input whose time [`Carriers::keep_time`] is told next.
    pub(super) fn heard(&mut self, peer: SocketAddr, of: NodeId) {
        self.tells.push((peer, of));
    }

    /// The input is taken at this time.
    pub(super) fn keep_time(&mut self, clock: Instant) {
        for told in self.tells.drain(..) {
            if self.told.len() >= TOLD_MAX {
                self.told.clear();
            }
            self.told.insert(told, clock);
        }
    }

    /// Whether this peer told of this member of late.
    pub(super) fn was_told_by(&self, clock: Instant, peer: SocketAddr, of: NodeId) -> bool {
        self.told.get(&(peer, of)).is_some_and(|&told| clock.saturating_since(told) <= ANSWERED_WITHIN)
    }
}
