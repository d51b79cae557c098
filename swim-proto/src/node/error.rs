//! Why something was refused.

use super::Status;
use crate::membership::NodeId;

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
    /// The command is about other members: the local one leaves by [`Node::leave`](crate::Node::leave), and needs no
    /// message.
    #[error("that is the local member itself")]
    Itself,
    /// The metadata is too long.
    #[error("the metadata is {len} bytes long; it must be at most 512")]
    Metadata {
        /// Its length in bytes.
        len: usize,
    },
    /// The payload is too long for the way it is to go.
    #[error("the payload is {len} bytes long; it must be at most {max}")]
    PayloadTooLong {
        /// Its length in bytes.
        len: usize,
        /// The most it may have.
        max: usize,
    },
    /// Too much of the application's waits already: broadcasts to be told, bytes of them, messages, or streams for
    /// messages. Try again later.
    #[error("{waiting} wait already; at most {max} may")]
    QueueFull {
        /// How many, or how many bytes, with what was refused.
        waiting: usize,
        /// The most there may be.
        max: usize,
    },
    /// The member is held dead or departed.
    #[error("member {0} is not live")]
    NotLive(NodeId),
    /// Somebody forged a broadcast of ours with the last number of the last life there is: none can follow.
    #[error("no number is left for a broadcast of this member: a forged one took the last")]
    SequencesSpent,
}
