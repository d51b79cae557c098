//! Why a link ended, and why a message was not taken.
//!
//! Every [`LinkError`] is the peer's doing, or the network's, and ends its link; nothing that a peer sends is an error
//! of any other link. A [`SendError`] is the caller's and changes nothing.

use std::time::Duration;

/// Why a link was closed. It takes no more input; what it had received whole can still be polled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The other side does not begin as ZMTP begins.
    #[error("the peer does not speak ZMTP: byte {offset} of its greeting is {byte:#04x}")]
    NotZmtp {
        /// Which byte of the greeting, from 0.
        offset: usize,
        /// What it was.
        byte: u8,
    },
    /// An older ZMTP, without READY.
    #[error("the peer speaks ZMTP {major}, and at least 3 is needed")]
    Version {
        /// The major version it announced.
        major: u8,
    },
    /// The peer wants another security mechanism than this link's.
    #[error("the peer wants the mechanism {theirs:?}, this link {ours:?}")]
    Mechanism {
        /// This link's.
        ours: &'static str,
        /// The peer's, with what is not ASCII replaced.
        theirs: String,
    },
    /// The peer claims to be the server of a mechanism that has none, or the byte is neither 0 nor 1.
    #[error("the peer's as-server byte is {0} with the mechanism NULL")]
    AsServer(u8),
    /// The handshake was not done in time.
    #[error("no READY within {after:?}")]
    HandshakeTimeout {
        /// The time it had.
        after: Duration,
    },
    /// A command before READY that is longer than any that is needed.
    #[error("a handshake command declares {declared} bytes, more than {max}")]
    HandshakeTooLong {
        /// What its header said.
        declared: u64,
        /// What is allowed.
        max: usize,
    },
    /// Message data before READY.
    #[error("data before READY")]
    DataBeforeReady,
    /// A READY that cannot be read, or has not what it must have.
    #[error("READY is malformed: {0}")]
    Ready(&'static str),
    /// An identity that no peer may have.
    #[error("the peer's identity {0}")]
    Identity(#[from] IdentityError),
    /// A socket that this one does not talk to.
    #[error("a {ours} does not talk to a {theirs:?}")]
    Socket {
        /// This link's.
        ours: crate::Role,
        /// The peer's, with what is not ASCII replaced.
        theirs: String,
    },
    /// The peer sent ERROR: it does not want us.
    #[error("the peer refuses: {reason:?}")]
    Refused {
        /// What it said.
        reason: String,
    },
    /// A second READY.
    #[error("a second READY")]
    SecondReady,
    /// Flags that no frame may have: reserved bits, or a command with MORE.
    #[error("a frame has the flags {0:#04x}")]
    Flags(u8),
    /// A part longer than [`Limits::part_bytes_max`](crate::Limits::part_bytes_max).
    #[error("a part declares {declared} bytes, more than {max}")]
    PartTooLong {
        /// What its header said.
        declared: u64,
        /// What is allowed.
        max: usize,
    },
    /// More parts than [`Limits::parts_max`](crate::Limits::parts_max).
    #[error("a message has more than {max} parts")]
    TooManyParts {
        /// What is allowed.
        max: usize,
    },
    /// Parts that together are longer than [`Limits::message_bytes_max`](crate::Limits::message_bytes_max).
    #[error("a message declares {declared} bytes, more than {max}")]
    MessageTooLong {
        /// What its headers said so far.
        declared: u64,
        /// What is allowed.
        max: usize,
    },
    /// A command longer than [`COMMAND_BYTES_MAX`](crate::COMMAND_BYTES_MAX).
    #[error("a command declares {declared} bytes, more than {max}")]
    CommandTooLong {
        /// What its header said.
        declared: u64,
        /// What is allowed.
        max: usize,
    },
    /// Nothing was heard since our PING.
    #[error("nothing heard for {after:?} after a PING")]
    Silent {
        /// [`HeartbeatConfig::timeout`](crate::HeartbeatConfig::timeout).
        after: Duration,
    },
    /// Nothing was heard for as long as the peer's last PING said that it would not be silent.
    #[error("nothing heard for {ttl:?}, the time to live in the peer's last PING")]
    PeerTtl {
        /// What the PING said.
        ttl: Duration,
    },
    /// What the codec refused and none of the above describes: a malformed command.
    #[error("the codec refuses: {0}")]
    Codec(String),
}

/// What is wrong with an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Longer than [`IDENTITY_BYTES_MAX`](crate::IDENTITY_BYTES_MAX).
    #[error("is {0} bytes long, more than 255")]
    TooLong(usize),
    /// Names that begin with a zero are those that a ROUTER gives to the nameless.
    #[error("begins with a zero")]
    LeadingZero,
    /// Named twice in one READY.
    #[error("is given twice")]
    Twice,
}

/// Why [`Link::send`](crate::Link::send) did not take a message. Nothing of it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Before [`Event::Ready`](crate::Event::Ready).
    #[error("the link is not ready yet")]
    NotReady,
    /// The queue is full; [`Event::Writable`](crate::Event::Writable) will say when it is not.
    #[error("the send queue is full")]
    Full,
    /// The link is closed.
    #[error("the link is closed")]
    Closed,
    /// A message has at least one part, if only an empty one.
    #[error("a message needs a part")]
    NoParts,
    /// More parts than [`Limits::parts_max`](crate::Limits::parts_max).
    #[error("{parts} parts are more than {max}")]
    TooManyParts {
        /// The message's.
        parts: usize,
        /// What is allowed.
        max: usize,
    },
    /// A part longer than [`Limits::part_bytes_max`](crate::Limits::part_bytes_max).
    #[error("a part of {bytes} bytes is longer than {max}")]
    PartTooLong {
        /// The part's.
        bytes: usize,
        /// What is allowed.
        max: usize,
    },
    /// Parts that together are longer than [`Limits::message_bytes_max`](crate::Limits::message_bytes_max).
    #[error("{bytes} bytes are more than {max}")]
    MessageTooLong {
        /// The message's.
        bytes: usize,
        /// What is allowed.
        max: usize,
    },
}
