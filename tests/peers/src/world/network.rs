//! The network between the nodes: how long packets take, and which are lost.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::agenda::{Agenda, Happening, Side};
use super::streams::{Input, Moved, Streams};
use super::views::Views;
use crate::peer::{DATAGRAM_MAX, Index, Nanos};

/// How packets fare.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links {
    /// The shortest way of a packet.
    pub(crate) latency_min: Nanos,
    /// The longest; between the two all are equally likely.
    pub(crate) latency_max: Nanos,
    /// How likely a packet is lost, a datagram or a segment of a stream.
    pub(crate) loss: f64,
}

impl Links {
    /// One millisecond, and nothing is lost.
    pub(crate) const LAN: Links = Links { latency_min: 1_000_000, latency_max: 1_000_000, loss: 0.0 };
}

/// What was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    /// Datagrams.
    pub(crate) datagrams: u64,
    /// Their bytes, without the headers of IP and UDP.
    pub(crate) datagram_bytes: u64,
    /// Bytes on streams, without the headers of IP and TCP.
    pub(crate) stream_bytes: u64,
}

impl Traffic {
    /// What was sent since `earlier`.
    pub(crate) fn since(self, earlier: Traffic) -> Traffic {
        Traffic {
            datagrams: self.datagrams - earlier.datagrams,
            datagram_bytes: self.datagram_bytes - earlier.datagram_bytes,
            stream_bytes: self.stream_bytes - earlier.stream_bytes,
        }
    }
}

/// The network at work.
pub(crate) struct Network {
    pub(crate) agenda: Agenda,
    pub(crate) links: Links,
    pub(crate) traffic: Traffic,
    pub(crate) streams: Streams,
    /// Who answers streams instead of whomever they were meant for.
    pub(crate) stands_in: Option<Index>,
    chance: SmallRng,
}

impl Network {
    pub(super) fn new(links: Links, seed: u64) -> Network {
        Network {
            agenda: Agenda::new(),
            links,
            traffic: Traffic::default(),
            streams: Streams::new(),
            stands_in: None,
            chance: SmallRng::seed_from_u64(seed),
        }
    }

    /// How long the next packet takes.
    pub(super) fn latency(&mut self) -> Nanos {
        let Links { latency_min, latency_max, .. } = self.links;
        if latency_min == latency_max { latency_min } else { self.chance.random_range(latency_min..=latency_max) }
    }

    /// Whether the next packet is lost.
    pub(super) fn loses(&mut self) -> bool {
        self.links.loss > 0.0 && self.chance.random_bool(self.links.loss)
    }
}

/// What a node does in its turn, and what it tells.
pub(crate) struct Outbox<'w> {
    network: &'w mut Network,
    views: &'w mut Views,
    now: Nanos,
    node: Index,
}

impl<'w> Outbox<'w> {
    pub(super) fn new(network: &'w mut Network, views: &'w mut Views, now: Nanos, node: Index) -> Outbox<'w> {
        Outbox { network, views, now, node }
    }

    /// Sends a datagram.
    pub(crate) fn send(&mut self, to: Index, bytes: &[u8]) {
        assert!(bytes.len() <= DATAGRAM_MAX, "a datagram of {} bytes", bytes.len());
        let network = &mut *self.network;
        network.traffic.datagrams += 1;
        network.traffic.datagram_bytes += bytes.len() as u64;
        if network.loses() {
            return;
        }
        let when = self.now + network.latency();
        let bytes = network.agenda.copy(bytes);
        network.agenda.push(when, Happening::Datagram { from: self.node, to, bytes });
    }

    /// Opens a stream that the node knows by this number.
    pub(crate) fn connect(&mut self, number: u64, to: Index) {
        let to = self.network.stands_in.unwrap_or(to);
        self.network.connect(self.now, self.node, number, to);
    }

    /// Writes to a stream. What is written before it is open leaves when it is.
    pub(crate) fn write(&mut self, number: u64, bytes: &[u8]) {
        self.network.traffic.stream_bytes += bytes.len() as u64;
        let bytes = self.network.agenda.copy(bytes);
        self.network.carry(self.now, (self.node, number), Input::Data(bytes));
    }

    /// Writes no more.
    pub(crate) fn finish(&mut self, number: u64) {
        self.network.carry(self.now, (self.node, number), Input::Closed);
    }

    /// Drops a stream at once.
    pub(crate) fn reset(&mut self, number: u64) {
        self.network.carry(self.now, (self.node, number), Input::Failed);
    }

    /// The node holds this one live.
    pub(crate) fn up(&mut self, other: Index) {
        self.views.up(self.now, self.node, other);
    }

    /// The node holds this one dead or departed.
    pub(crate) fn down(&mut self, other: Index) {
        self.views.down(self.now, self.node, other);
    }

    /// The node was held dead, and came back as somebody new.
    pub(crate) fn rejoined(&mut self) {
        self.views.rejoins += 1;
    }
}

impl Network {
    pub(super) fn plan(&mut self, when: Nanos, stream: usize, side: Side, input: Moved) {
        self.agenda.push(when, Happening::Stream { stream, side, input });
    }
}
