//! The machine: what happened goes in, what to do comes out.

use alloc::vec::Vec;
use core::net::SocketAddr;

use bytes::Bytes;

use crate::action::{Action, SeedId, StreamId, StreamInput};
use crate::config::{Config, ConfigError};
use crate::membership::{LocalMember, Member, NodeId};
use crate::stats::Stats;
use crate::time::Instant;

/// One member of a cluster, as a state machine.
///
/// The contract, of the caller (1, 2) and of the node (3 to 5):
///
/// 1. After every input or command, call [`Node::poll_action`] until it gives `None`, then sleep until [`Node::deadline`].
/// 2. `now` never goes back; equal is fine.
/// 3. [`Node::handle_timeout`] early, late or twice is harmless; afterwards `deadline() > now`.
/// 4. An `Err` leaves the node as it was (but for its counters).
/// 5. Same seed and same inputs: same actions, byte for byte.
pub struct Node {
    config: Config,
}

/// Where the local member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Running, and nobody has been asked, or has answered, to let it in.
    Alone,
    /// Running, asking seeds.
    Joining,
    /// Running, and let in by some seed, or contacted by some member.
    Joined,
    /// Spreading its departure.
    Leaving,
    /// Departed. It still answers pings; [`Node::join`] brings it back.
    Left,
    /// Another process has taken its name with a newer life. It answers nothing any more; make a new `Node`.
    Superseded,
}

/// Why a packet was refused. The node is as it was, but for [`Stats::drops`](crate::stats::Drops).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatagramError {
    /// Shorter than a header, or longer than any packet of its kind.
    #[error("a packet of {len} bytes; it must have 11 to {max}")]
    Length {
        /// Its bytes.
        len: usize,
        /// The most it may have.
        max: usize,
    },
    /// Not a packet of this protocol.
    #[error("does not begin with this protocol's magic number")]
    Magic,
    /// Of a version this node does not speak.
    #[error("protocol version {0} is not spoken here")]
    Version(u8),
    /// Flags this node does not know, or a sealed packet without a key to open it.
    #[error("flags {0:#04x}: sealed without a key here, or unknown")]
    Flags(u8),
    /// Of another cluster.
    #[error("of another cluster")]
    Cluster,
    /// Damaged on the way.
    #[error("the checksum is wrong: damaged on the way")]
    Checksum,
    /// A message of this kind has a body that is not one canonical encoding, or values out of bounds.
    #[error("a message of kind {kind} is malformed")]
    Malformed {
        /// The kind byte; 0 where the message's frame itself is broken.
        kind: u8,
    },
}

/// Why a command was refused. The node is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The node is not in a state to do this.
    #[error("not possible while {0:?}")]
    Status(Status),
    /// No seeds were named.
    #[error("no seeds were named")]
    NoSeeds,
    /// More seeds were named than are kept.
    #[error("{len} seeds; at most 1024 are kept")]
    TooManySeeds {
        /// How many.
        len: usize,
    },
    /// No such member is known.
    #[error("no member {0} is known")]
    UnknownMember(NodeId),
    /// The local member leaves by [`Node::leave`].
    #[error("the local member leaves by leave(), not by force")]
    Itself,
    /// The metadata is too long.
    #[error("the metadata is {len} bytes long; it must be at most 512")]
    Metadata {
        /// Its length in bytes.
        len: usize,
    },
}

#[allow(unused_variables, clippy::unimplemented)]
impl Node {
    /// A running node that knows only itself.
    ///
    /// `seed` decides every random choice it will make.
    pub fn new(now: Instant, local: LocalMember, config: Config, seed: u64) -> Result<Node, ConfigError> {
        unimplemented!()
    }

    /// A datagram arrived.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Result<(), DatagramError> {
        unimplemented!()
    }

    /// Somebody opened a stream to us. `None`: there is no room for it, close it.
    pub fn accept_stream(&mut self, now: Instant, from: SocketAddr) -> Option<StreamId> {
        unimplemented!()
    }

    /// Something happened to a stream. Input for a stream that is gone is ignored.
    pub fn handle_stream(&mut self, now: Instant, stream: StreamId, input: StreamInput<'_>) {
        unimplemented!()
    }

    /// A seed was looked up; no addresses: it could not be.
    pub fn handle_resolved(&mut self, now: Instant, seed: SeedId, addresses: &[SocketAddr]) {
        unimplemented!()
    }

    /// Time passed. Harmless when early, late or repeated.
    pub fn handle_timeout(&mut self, now: Instant) {
        unimplemented!()
    }

    /// Joins a cluster by way of any of these seeds, trying until one lets us in. They replace earlier seeds and stay
    /// known for healing. A node that left comes back, past its own departure.
    pub fn join(&mut self, now: Instant, seeds: &[SeedId]) -> Result<(), CommandError> {
        unimplemented!()
    }

    /// Departs: spreads the news, then reports [`Event::Left`](crate::Event::Left) of itself.
    pub fn leave(&mut self, now: Instant) -> Result<(), CommandError> {
        unimplemented!()
    }

    /// Replaces the local member's metadata and spreads it.
    pub fn set_metadata(&mut self, now: Instant, metadata: Bytes) -> Result<(), CommandError> {
        unimplemented!()
    }

    /// Declares a member departed on its behalf, for everyone. One that is alive contradicts and stays.
    pub fn force_leave(&mut self, now: Instant, member: NodeId) -> Result<(), CommandError> {
        unimplemented!()
    }

    /// The next thing to do, or `None`. What is borrowed lives in `buf`, which is cleared first.
    pub fn poll_action<'b>(&mut self, buf: &'b mut Vec<u8>) -> Option<Action<'b>> {
        unimplemented!()
    }

    /// When to call [`Node::handle_timeout`] next, if nothing happens before.
    pub fn deadline(&self) -> Option<Instant> {
        unimplemented!()
    }

    /// The local member.
    pub fn local(&self) -> Member<'_> {
        unimplemented!()
    }

    /// Where the local member stands.
    pub fn status(&self) -> Status {
        unimplemented!()
    }

    /// Everyone known, the local member, the dead and the departed included, in no particular order (but always the
    /// same for the same history).
    pub fn members(&self) -> impl Iterator<Item = Member<'_>> {
        core::iter::empty()
    }

    /// One member.
    pub fn member(&self, id: NodeId) -> Option<Member<'_>> {
        unimplemented!()
    }

    /// How many members are live (Alive or Suspect), the local one included. O(1).
    pub fn live(&self) -> usize {
        unimplemented!()
    }

    /// The digest of all live members held: equal digests mean equal views (of ids and incarnations). O(1).
    pub fn digest(&self) -> u64 {
        unimplemented!()
    }

    /// The members whose record the last input changed, for observers that mirror the table. May name one twice.
    pub fn changed(&self) -> &[NodeId] {
        unimplemented!()
    }

    /// The local health multiplier ([LG] IV-A): 0 is well, up to [`Config::health_max`].
    pub fn health(&self) -> u8 {
        unimplemented!()
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        unimplemented!()
    }

    /// What [`Node::deadline`] is for: a word for logs and simulators ("probe", "gossip", "suspicion" …).
    pub fn next_timer(&self) -> Option<(Instant, &'static str)> {
        unimplemented!()
    }

    /// The settings it runs with.
    pub fn config(&self) -> &Config {
        &self.config
    }
}
