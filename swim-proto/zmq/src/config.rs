//! What one end of a link is told about itself.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::limits::{IDENTITY_BYTES_MAX, Limits};

/// Which ZeroMQ socket this end of a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Connects, and talks to one peer.
    Dealer,
    /// Accepts, and tells its peers apart by their identities.
    Router,
}

impl Role {
    /// Its name in READY.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Dealer => "DEALER",
            Role::Router => "ROUTER",
        }
    }

    /// The socket of that name, if this one talks to it: of the specification's table the rows of DEALER and ROUTER.
    pub(crate) fn peer(self, name: &[u8]) -> Option<Socket> {
        match (self, name) {
            (_, b"DEALER") => Some(Socket::Dealer),
            (_, b"ROUTER") => Some(Socket::Router),
            (_, b"REQ") => Some(Socket::Req),
            (Role::Dealer, b"REP") => Some(Socket::Rep),
            _ => None,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which ZeroMQ socket the peer is, of those that a DEALER or a ROUTER talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Socket {
    /// Says and hears what it likes.
    Dealer,
    /// Tells its peers apart by their identities.
    Router,
    /// Puts an empty part before what it says, and waits for the answer.
    Req,
    /// Answers what has an empty part before it.
    Rep,
}

/// How a link is secured. There is one way today: not at all, so links belong on networks that are trusted.
///
/// CURVE will be variants of this enum, one for each side, which hold the keys; the codec has the mechanism behind a
/// feature. What stands before the codec asks the mechanism in three places: the name in the greeting
/// (`greeting.rs`), what a handshake command may be (`ready.rs` reads a READY that is not encrypted), and frames after
/// READY, whose MORE and COMMAND flags CURVE carries inside (`link/inbound.rs`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mechanism {
    /// Neither encrypted nor authenticated.
    #[default]
    Null,
}

impl Mechanism {
    /// Its name in the greeting.
    pub const fn name(&self) -> &'static str {
        match self {
            Mechanism::Null => "NULL",
        }
    }
}

/// When a link asks whether the peer is still there. The same three values as libzmq's `ZMQ_HEARTBEAT_*`.
///
/// A PING is sent only to a peer of ZMTP 3.1 or later; older ones do not know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatConfig {
    /// How often a PING is sent (`ZMQ_HEARTBEAT_IVL`); zero for never. Default 2 s.
    pub interval: Duration,
    /// How long after a PING nothing at all may be heard before the link is closed (`ZMQ_HEARTBEAT_TIMEOUT`).
    /// Default 6 s.
    pub timeout: Duration,
    /// What a PING says about ourselves (`ZMQ_HEARTBEAT_TTL`): the peer may close the link if it hears nothing for so
    /// long. Whole tenths of a second, at most 6,553.5 s; zero for no promise. Default zero.
    pub ttl: Duration,
}

impl Default for HeartbeatConfig {
    fn default() -> Self {
        HeartbeatConfig { interval: Duration::from_secs(2), timeout: Duration::from_secs(6), ttl: Duration::ZERO }
    }
}

impl HeartbeatConfig {
    /// No PINGs of our own; the peer's are answered all the same, and their time to live is kept.
    pub const OFF: HeartbeatConfig =
        HeartbeatConfig { interval: Duration::ZERO, timeout: Duration::ZERO, ttl: Duration::ZERO };
}

/// What one end of a link is, and what it allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkConfig {
    /// [`Role::Dealer`] where we connected, [`Role::Router`] where we accepted.
    pub role: Role,
    /// Our own identity: at most 255 bytes, not beginning with a zero, empty for none.
    pub identity: Bytes,
    /// How the link is secured.
    pub mechanism: Mechanism,
    /// How long the handshake may take. Default 5 s.
    pub handshake_timeout: Duration,
    /// When to ask whether the peer is still there.
    pub heartbeat: HeartbeatConfig,
    /// What is kept at most.
    pub limits: Limits,
}

impl LinkConfig {
    /// The connecting side.
    pub fn dealer(identity: impl Into<Bytes>) -> Self {
        LinkConfig::new(Role::Dealer, identity.into())
    }

    /// The accepting side.
    pub fn router(identity: impl Into<Bytes>) -> Self {
        LinkConfig::new(Role::Router, identity.into())
    }

    fn new(role: Role, identity: Bytes) -> Self {
        LinkConfig {
            role,
            identity,
            mechanism: Mechanism::Null,
            handshake_timeout: Duration::from_secs(5),
            heartbeat: HeartbeatConfig::default(),
            limits: Limits::default(),
        }
    }

    /// Whether there can be a link with these. [`Link::new`](crate::Link::new) asks.
    ///
    /// # Errors
    /// The first setting that cannot be, and why.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        let ensure = |holds: bool, what: &'static str| if holds { Ok(()) } else { Err(ConfigError(what)) };
        ensure(self.identity.len() <= IDENTITY_BYTES_MAX, "identity: at most 255 bytes")?;
        ensure(self.identity.first() != Some(&0), "identity: may not begin with a zero")?;
        ensure(!self.handshake_timeout.is_zero(), "handshake_timeout: must be longer than nothing")?;
        let beats = &self.heartbeat;
        ensure(
            beats.interval.is_zero() || !beats.timeout.is_zero(),
            "heartbeat.timeout: must be longer than nothing where there is an interval",
        )?;
        ensure(beats.ttl.as_millis() / 100 <= u128::from(u16::MAX), "heartbeat.ttl: at most 6,553.5 s")?;
        ensure(limits.part_bytes_max >= 1, "limits.part_bytes_max: at least 1")?;
        ensure(limits.parts_max >= 1, "limits.parts_max: at least 1")?;
        ensure(
            limits.message_bytes_max >= limits.part_bytes_max,
            "limits.message_bytes_max: at least limits.part_bytes_max",
        )?;
        ensure(
            limits.message_bytes_max <= i32::MAX as usize && limits.parts_max <= 1 << 20,
            "limits.message_bytes_max: at most 2 GiB; limits.parts_max: at most 1,048,576",
        )?;
        ensure(
            limits.send_bytes_max >= limits.message_bytes_max + limits.parts_max * crate::frame::HEADER_BYTES_MAX,
            "limits.send_bytes_max: at least a whole message, 9 bytes a part for headers included",
        )?;
        ensure(limits.send_messages_max >= 1, "limits.send_messages_max: at least 1")?;
        ensure(
            limits.received_bytes_max >= 1 && limits.received_messages_max >= 1,
            "limits.received_bytes_max, limits.received_messages_max: at least 1",
        )
    }
}

/// A configuration that cannot be: which field, and what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub(crate) &'static str);
