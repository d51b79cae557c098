//! How messages are moved, and how one message is sent.

use std::net::SocketAddr;
use std::time::Duration;

use swim_proto::messaging::{Class, Confirm, MessagingConfig, Order};

/// How a node sends and receives messages. [`MessagingOptions::default`] serves most.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MessagingOptions {
    /// The settings of the machine.
    pub config: MessagingConfig,
    /// Where links are accepted.
    pub port: Port,
    /// What moves the bytes of links.
    pub backend: Backend,
    /// Most connections that have not finished ZeroMQ's handshake, which takes 5 s at most. For one more, the oldest
    /// goes of the host that has the most of them. 1 at least; 256 by default.
    pub handshakes_max: usize,
    /// How long a shutdown waits for messages that are under way, before it leaves the cluster; 2 s by default. Those
    /// that are not done by then fail as [`FailReason::Closed`](swim_proto::messaging::FailReason::Closed).
    pub drain_timeout: Duration,
    /// How many events each receiver may fall behind before it loses the oldest; at most 2^20; 1,024 by
    /// default. `swim-tokio` rounds it up to a power of two.
    pub events_max: usize,
}

impl Default for MessagingOptions {
    fn default() -> MessagingOptions {
        MessagingOptions {
            config: MessagingConfig::default(),
            port: Port::default(),
            backend: Backend::default(),
            handshakes_max: 256,
            drain_timeout: Duration::from_secs(2),
            events_max: 1024,
        }
    }
}

impl MessagingOptions {
    /// The same with other settings of the machine.
    #[must_use]
    pub fn with_config(self, config: MessagingConfig) -> MessagingOptions {
        MessagingOptions { config, ..self }
    }

    /// The same with links accepted elsewhere.
    #[must_use]
    pub fn with_port(self, port: Port) -> MessagingOptions {
        MessagingOptions { port, ..self }
    }
}

/// What moves the bytes of links. Nodes of either kind talk to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backend {
    /// This project's link machine, which bounds what a stranger can cost.
    #[default]
    Links,
    /// The `zeromq` crate, by `swim-tokio` alone, for networks where everybody who can connect is trusted: a stranger can end the process. Needs
    /// a runtime of several threads; `handshakes_max` does not count; and links come from whatever address the system
    /// chooses, so where a host has several, [`Trust::Anywhere`](swim_proto::messaging::Trust::Anywhere) is needed.
    #[cfg(feature = "zeromq")]
    ZeromqCrate,
}

/// On which port links are accepted, at the node's own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// So much above the port of the membership, which must be below 65,536 then. Where that was left to the system, so
    /// is this.
    Above(u16),
    /// This one; 0 for one that is free.
    At(u16),
}

impl Default for Port {
    /// 1,000 above the membership's.
    fn default() -> Port {
        Port::Above(1000)
    }
}

impl Port {
    /// Where to bind, for a membership that was to be bound to `wanted`, and is to `bound`. `None`: there is no such
    /// port.
    pub fn beside(self, wanted: SocketAddr, bound: SocketAddr) -> Option<SocketAddr> {
        let port = match self {
            Port::At(port) => port,
            Port::Above(_) if wanted.port() == 0 => 0,
            Port::Above(offset) => bound.port().checked_add(offset)?,
        };
        let mut beside = bound;
        beside.set_port(port);
        Some(beside)
    }
}

/// How one message is sent.
///
/// ```
/// use std::time::Duration;
/// use swim_driver::messaging::{Class, SendOptions};
///
/// let order = SendOptions::default().in_stream(7).until_processed().with_expiry(Duration::from_secs(5));
/// let alarm = SendOptions::default().with_class(Class::High);
/// assert_ne!(order, alarm);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendOptions {
    /// How urgent it is.
    pub class: Class,
    /// Whether it waits for those before it.
    pub order: Order,
    /// When it is done.
    pub confirm: Confirm,
    /// For how long it may be tried. `None`: [`MessagingConfig::expiry_default`].
    pub expiry: Option<Duration>,
    /// Whether a new process of the receiver may be given it though the earlier one may have seen it.
    pub redeliverable: bool,
}

impl SendOptions {
    /// The same in another class.
    #[must_use]
    pub fn with_class(self, class: Class) -> SendOptions {
        SendOptions { class, ..self }
    }

    /// The same, delivered after all that was sent before in this stream and class to the same member.
    #[must_use]
    pub fn in_stream(self, stream: u64) -> SendOptions {
        SendOptions { order: Order::Stream(stream), ..self }
    }

    /// The same, done when the receiver's application has taken or acknowledged it.
    #[must_use]
    pub fn until_processed(self) -> SendOptions {
        SendOptions { confirm: Confirm::Processed, ..self }
    }

    /// The same, done when it was put on a link.
    #[must_use]
    pub fn until_sent(self) -> SendOptions {
        SendOptions { confirm: Confirm::Sent, ..self }
    }

    /// The same, tried for this long. An expiry shorter than [`MessagingConfig::rto_min`] is no failure to the circuit
    /// breaker, unless the member shows otherwise that it is not there (`docs/messaging.md` 9.2).
    #[must_use]
    pub fn with_expiry(self, expiry: Duration) -> SendOptions {
        SendOptions { expiry: Some(expiry), ..self }
    }

    /// The same, given to a new process of the receiver too.
    #[must_use]
    pub fn redeliverable(self) -> SendOptions {
        SendOptions { redeliverable: true, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_left_to_the_system_leaves_this_one_to_it_too() {
        let address = |port| SocketAddr::from(([10, 0, 0, 7], port));
        assert_eq!(Port::default().beside(address(7946), address(7946)), Some(address(8946)));
        assert_eq!(Port::default().beside(address(0), address(41_000)), Some(address(0)));
        assert_eq!(Port::At(5555).beside(address(0), address(41_000)), Some(address(5555)));
        assert_eq!(Port::Above(1000).beside(address(65_000), address(65_000)), None);
    }
}
