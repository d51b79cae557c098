//! Why something was refused. The messenger is then as it was, but for its counters and what it owes whom it refused.

use core::time::Duration;

use super::message::MessageId;
use crate::membership::NodeId;

/// Why a message was not accepted. It has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// It is longer than we send, or than the member said it takes.
    #[error("the payload is {len} bytes long; it must be at most {max}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The most it may have.
        max: usize,
    },
    /// It is to live for longer than [`MessagingConfig::expiry_max`](super::MessagingConfig::expiry_max), or not at
    /// all.
    #[error("an expiry of {expiry:?}; it must be more than none and at most {max:?}")]
    Expiry {
        /// What was asked.
        expiry: Duration,
        /// The most there is.
        max: Duration,
    },
    /// The member is the local one.
    #[error("that is the local member itself")]
    Itself,
    /// No such member is known.
    #[error("no member {0} is known")]
    UnknownMember(NodeId),
    /// The member is held dead or departed.
    #[error("member {0} is not live")]
    NotLive(NodeId),
    /// The member accepts no links.
    #[error("member {0} has no endpoint for messages")]
    NoEndpoint(NodeId),
    /// Messages to this member failed lately.
    #[error("the circuit breaker is open, tried again in {retry_in:?}")]
    BreakerOpen {
        /// When one is accepted again, to try.
        retry_in: Duration,
    },
    /// The breaker is half-open and its trial runs.
    #[error("one message tries whether the member answers again; wait for its outcome")]
    Trying,
    /// Too much waits. [`Event::Writable`](super::Event::Writable) tells when there is room again.
    #[error("{queue} is full: {waiting} of {max}")]
    QueueFull {
        /// Which bound was met.
        queue: Queue,
        /// What waits.
        waiting: usize,
        /// The most that may, for this class.
        max: usize,
    },
    /// Messages are under way to or from as many members as may be.
    #[error("messages are under way with {max} members already")]
    TooManyPeers {
        /// The bound.
        max: usize,
    },
    /// [`Messenger::close`](super::Messenger::close) was called.
    #[error("closed")]
    Closed,
}

/// A bound of the queues of outgoing messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Messages to the member.
    PeerMessages,
    /// Bytes to the member.
    PeerBytes,
    /// Messages in all.
    Messages,
    /// Bytes in all.
    Bytes,
}

impl core::fmt::Display for Queue {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Queue::PeerMessages => "the queue of messages to the member",
            Queue::PeerBytes => "the queue of bytes to the member",
            Queue::Messages => "the queue of messages",
            Queue::Bytes => "the queue of bytes",
        })
    }
}

/// The message has had its outcome, or never was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message {0:?} is done")]
pub struct UnknownMessage(pub MessageId);

/// The receipt is not, or no longer, of a message that waits to be acknowledged: it was acknowledged before, or its
/// sender's session has ended. Nobody waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody waits for this acknowledgement")]
pub struct UnknownReceipt;
