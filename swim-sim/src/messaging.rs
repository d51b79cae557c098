//! The messenger beside each node, and the links between messengers.
//!
//! Where a scenario has members exchange messages ([`Workload::reliable`](crate::Workload::reliable)), each process runs
//! a [`Messenger`] beside its node, driven as `docs/messaging.md` demands of a driver: told of the membership by the
//! node's events, of links, and of what its application wants. A link is a stream of the simulated kernels
//! (`streams.rs`), so it is late, stalls, breaks and is refused as TCP is; whole packets are framed on it. What a real
//! driver adds is here: a queue before the socket, bounded by frames and bytes, that is full and becomes writable again;
//! a close that lets what was put on the link leave first; a reader that is as slow as its process.

mod link;
mod office;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
pub(crate) use link::LinkEnd;
pub(crate) use office::{Chore, Office};
use swim_proto::messaging::{
    Action, LinkId, LinkInput, MessageId, MessagingConfig, Messenger, Outgoing, PeerView, Receipt, Received, SendError,
    Stats, UnknownMessage, UnknownReceipt,
};
use swim_proto::{Event, Instant, NodeId};

use crate::seeds::Chance;

/// How drivers run links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkSettings {
    /// Packets that wait before the socket at most; with one more the link is full. It is writable again below half.
    pub frames_max: usize,
    /// The same in bytes.
    pub bytes_max: usize,
    /// How long what was put on a link may take to leave once it was closed.
    pub linger: Duration,
}

impl Default for LinkSettings {
    fn default() -> LinkSettings {
        LinkSettings { frames_max: 1_000, bytes_max: 1 << 20, linger: Duration::from_secs(1) }
    }
}

/// What befalls packets of links that lose or repeat them (`docs/messaging.md` 1.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lossy {
    /// How likely a packet is lost.
    pub lost: Chance,
    /// How likely it comes twice.
    pub repeated: Chance,
}

/// How a process's links end at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkCut {
    /// Both sides hear of it.
    Broken,
    /// Who opened it hears of it and opens another; what it had put on the old one arrives there all the same, so much
    /// later, and so does what it was answered.
    Abandoned {
        /// How much later.
        later: Duration,
    },
}

/// What a messenger shows of itself: [`Messenger`]'s own views, by the same names.
pub trait MessengerView {
    /// See [`Messenger::config`].
    fn config(&self) -> &MessagingConfig;
    /// See [`Messenger::stats`].
    fn stats(&self) -> Stats;
    /// See [`Messenger::session`].
    fn session(&self) -> u64;
    /// See [`Messenger::peer`].
    fn peer(&self, id: NodeId) -> Option<PeerView>;
    /// See [`Messenger::deadline`].
    fn deadline(&self) -> Option<Instant>;
}

/// What the world can do with a messenger: [`Messenger`]'s own inputs and outputs, by the same names. Whatever implements
/// this can stand in for one.
pub trait DrivenMessenger: MessengerView + Send {
    /// See [`Messenger::set_life`].
    fn set_life(&mut self, now: Instant, life: u64);
    /// See [`Messenger::send`].
    fn send(&mut self, now: Instant, message: Outgoing) -> Result<MessageId, SendError>;
    /// See [`Messenger::cancel`].
    fn cancel(&mut self, now: Instant, id: MessageId) -> Result<(), UnknownMessage>;
    /// See [`Messenger::take`].
    fn take(&mut self, now: Instant) -> Option<Received>;
    /// See [`Messenger::take_unacknowledged`].
    fn take_unacknowledged(&mut self, now: Instant) -> Option<Received>;
    /// See [`Messenger::acknowledge`].
    fn acknowledge(&mut self, now: Instant, receipt: Receipt) -> Result<(), UnknownReceipt>;
    /// See [`Messenger::close`].
    fn close(&mut self, now: Instant);
    /// See [`Messenger::handle_event`].
    fn handle_event(&mut self, now: Instant, event: &Event<'_>);
    /// See [`Messenger::accept_link`].
    fn accept_link(&mut self, now: Instant, from: SocketAddr) -> Option<LinkId>;
    /// See [`Messenger::handle_link`].
    fn handle_link(&mut self, now: Instant, link: LinkId, input: LinkInput<'_>);
    /// See [`Messenger::handle_timeout`].
    fn handle_timeout(&mut self, now: Instant);
    /// See [`Messenger::poll_action`].
    fn poll_action<'b>(&mut self, buf: &'b mut Vec<u8>) -> Option<Action<'b>>;
}

/// Makes what takes a new messenger's place: given the slot, and the messenger that would be run. The default runs it.
pub type MessengerMaker = Box<dyn FnMut(crate::observe::Slot, Messenger) -> Box<dyn DrivenMessenger> + Send>;

impl MessengerView for Messenger {
    fn config(&self) -> &MessagingConfig {
        Messenger::config(self)
    }
    fn stats(&self) -> Stats {
        Messenger::stats(self)
    }
    fn session(&self) -> u64 {
        Messenger::session(self)
    }
    fn peer(&self, id: NodeId) -> Option<PeerView> {
        Messenger::peer(self, id)
    }
    fn deadline(&self) -> Option<Instant> {
        Messenger::deadline(self)
    }
}

impl DrivenMessenger for Messenger {
    fn set_life(&mut self, now: Instant, life: u64) {
        Messenger::set_life(self, now, life);
    }
    fn send(&mut self, now: Instant, message: Outgoing) -> Result<MessageId, SendError> {
        Messenger::send(self, now, message)
    }
    fn cancel(&mut self, now: Instant, id: MessageId) -> Result<(), UnknownMessage> {
        Messenger::cancel(self, now, id)
    }
    fn take(&mut self, now: Instant) -> Option<Received> {
        Messenger::take(self, now)
    }
    fn take_unacknowledged(&mut self, now: Instant) -> Option<Received> {
        Messenger::take_unacknowledged(self, now)
    }
    fn acknowledge(&mut self, now: Instant, receipt: Receipt) -> Result<(), UnknownReceipt> {
        Messenger::acknowledge(self, now, receipt)
    }
    fn close(&mut self, now: Instant) {
        Messenger::close(self, now);
    }
    fn handle_event(&mut self, now: Instant, event: &Event<'_>) {
        Messenger::handle_event(self, now, event);
    }
    fn accept_link(&mut self, now: Instant, from: SocketAddr) -> Option<LinkId> {
        Messenger::accept_link(self, now, from)
    }
    fn handle_link(&mut self, now: Instant, link: LinkId, input: LinkInput<'_>) {
        Messenger::handle_link(self, now, link, input);
    }
    fn handle_timeout(&mut self, now: Instant) {
        Messenger::handle_timeout(self, now);
    }
    fn poll_action<'b>(&mut self, buf: &'b mut Vec<u8>) -> Option<Action<'b>> {
        Messenger::poll_action(self, buf)
    }
}

/// A packet's parts.
pub(crate) type Parts = Vec<Bytes>;
