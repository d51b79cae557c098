//! The words of the interface: what is sent, what came, and what became of it.

use core::fmt;
use core::time::Duration;

use bytes::Bytes;

use crate::membership::NodeId;
use crate::time::Instant;

/// What a message counts beside its payload, in bytes, wherever bytes are counted: queues, windows, credit, rates.
pub const OVERHEAD: usize = 64;

/// Names an accepted message, uniquely for as long as its messenger exists.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub(super) u64);

impl MessageId {
    /// The id's 64 bits, for logs.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// How urgent a message is. Each class has a share of what is sent and taken, so that none starves another; and
/// [`Class::High`] has a reserve of queues and credit that the others cannot use (`docs/messaging.md` 5.2, 7.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// Replies, control: little and urgent.
    High = 0,
    /// What there is no reason to put elsewhere.
    #[default]
    Normal = 1,
    /// What may wait.
    Low = 2,
    /// Much, and it may wait.
    Bulk = 3,
}

impl Class {
    /// Every class, the most urgent first.
    pub const ALL: [Class; 4] = [Class::High, Class::Normal, Class::Low, Class::Bulk];
}

/// Whether a message waits for those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Order {
    /// It is delivered as soon as it arrives.
    #[default]
    Unordered,
    /// It is delivered after all earlier messages of this stream and class to this member. The number is the
    /// application's own; a stream costs nothing while nothing of it is under way.
    Stream(u64),
}

/// At which point a message is done, as far as its sender is concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confirm {
    /// It was handed to a link. It is still sent again until it is delivered or expires; nothing more is told.
    Sent,
    /// It is in the receiver's queue, from which only the receiver's end can take it away.
    #[default]
    Delivered,
    /// The receiver's application took it ([`Messenger::take`](super::Messenger::take)), or acknowledged it
    /// ([`Messenger::acknowledge`](super::Messenger::acknowledge)).
    Processed,
}

/// A message to be sent: [`Messenger::send`](super::Messenger::send).
///
/// ```
/// use core::time::Duration;
/// use swim_proto::NodeId;
/// use swim_proto::messaging::{Class, Confirm, Order, Outgoing};
///
/// let message = Outgoing {
///     class: Class::High,
///     order: Order::Stream(7),
///     confirm: Confirm::Processed,
///     expiry: Some(Duration::from_secs(5)),
///     ..Outgoing::new(NodeId::of("swim", "node-b"), "resize 17".into())
/// };
/// assert_eq!(&message.payload[..], b"resize 17");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// To whom: a live member that has an endpoint.
    pub to: NodeId,
    /// The application's bytes, at most [`MessagingConfig::message_max`](super::MessagingConfig::message_max). Shared
    /// with the driver, never copied.
    pub payload: Bytes,
    /// How urgent.
    pub class: Class,
    /// Whether it waits for those before it.
    pub order: Order,
    /// When it is done.
    pub confirm: Confirm,
    /// For how long it may be tried. `None`:
    /// [`MessagingConfig::expiry_default`](super::MessagingConfig::expiry_default).
    ///
    /// The circuit breaker counts expiries of [`MessagingConfig::rto_min`](super::MessagingConfig::rto_min) and longer;
    /// shorter ones only while the member shows otherwise that it is not there (`docs/messaging.md` 9.2).
    pub expiry: Option<Duration>,
    /// Whether a new life of the receiver may be given it though the earlier one may have seen it. The receiver is told
    /// ([`Received::repeated`]). Otherwise it fails with [`FailReason::Restarted`].
    pub redeliverable: bool,
}

impl Outgoing {
    /// Unordered, of normal urgency, done when delivered, of the default expiry, not redeliverable.
    pub fn new(to: NodeId, payload: Bytes) -> Outgoing {
        Outgoing {
            to,
            payload,
            class: Class::default(),
            order: Order::default(),
            confirm: Confirm::default(),
            expiry: None,
            redeliverable: false,
        }
    }
}

/// What became of an accepted message. Told exactly once for each ([`Event::Outcome`](super::Event::Outcome)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Which message.
    pub id: MessageId,
    /// To whom it was.
    pub to: NodeId,
    /// How it ended.
    pub ending: Ending,
    /// Whether the receiver's application sees it, or has seen it.
    pub delivery: Delivery,
    /// When it was accepted.
    pub accepted: Instant,
    /// When it was first handed to a link.
    pub sent: Option<Instant>,
    /// When it ended.
    pub ended: Instant,
}

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As asked by [`Confirm::Sent`].
    Sent,
    /// As asked by [`Confirm::Delivered`].
    Delivered,
    /// As asked by [`Confirm::Processed`].
    Processed,
    /// Its time was over first.
    Expired,
    /// [`Messenger::cancel`](super::Messenger::cancel) came first.
    Cancelled,
    /// It cannot get there.
    Failed(FailReason),
}

/// Why a message failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailReason {
    /// The receiver is held dead.
    Died,
    /// The receiver departed.
    Left,
    /// The receiver was started anew, or has forgotten us, after the message was handed to a link.
    Restarted,
    /// The receiver takes no message that long.
    TooLong {
        /// The longest it takes, in bytes.
        max: u32,
    },
    /// The receiver has no endpoint any more.
    NoEndpoint,
    /// This messenger was closed.
    Closed,
}

/// What is known of a message's delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delivery {
    /// The receiver's application does not see it: it was never handed to a link.
    Never,
    /// It was handed to a link, and nothing is known of its delivery.
    Possible,
    /// It was in the receiver's queue.
    Certain,
}

/// A message that came: [`Messenger::take`](super::Messenger::take).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Names it for [`Messenger::acknowledge`](super::Messenger::acknowledge).
    pub receipt: Receipt,
    /// Who sent it, as far as the address rule goes (`docs/messaging.md` 2.4).
    pub from: NodeId,
    /// In which life.
    pub life: u64,
    /// Its class.
    pub class: Class,
    /// Its stream.
    pub order: Order,
    /// It is redeliverable, and an earlier life of this member may have seen it.
    pub repeated: bool,
    /// The application's bytes.
    pub payload: Bytes,
}

/// Names a message that was taken and not acknowledged yet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Receipt {
    /// The sender's place in the table of peers.
    pub(super) peer: u32,
    /// Which inbox of the sender's.
    pub(super) inbox: u64,
    /// The message's number in it.
    pub(super) number: u64,
}
