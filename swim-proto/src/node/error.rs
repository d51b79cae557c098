//! Why something was refused.

use super::Status;
use crate::membership::NodeId;

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
