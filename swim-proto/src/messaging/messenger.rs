//! The machine: what it is told, what it does, and what can be looked at.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::{
    Action, LinkId, LinkInput, MemberInput, MessageId, MessagingConfig, Outgoing, PeerView, Receipt, Received,
    SendError, Stats, UnknownMessage, UnknownReceipt,
};
use crate::config::ConfigError;
use crate::event::Event as NodeEvent;
use crate::membership::{ClusterHash, NodeId};
use crate::time::Instant;

/// Who the local member is, as [`Node::local`](crate::Node::local) says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalPeer {
    /// Its id.
    pub id: NodeId,
    /// Its life.
    pub life: u64,
    /// The hash of its cluster's name.
    pub cluster: ClusterHash,
}

/// Sends and receives the application's messages: see the [module](super) and `docs/messaging.md`.
///
/// # The contract
///
/// 1. After every input or command, call [`Messenger::poll_action`] until it gives `None`, then sleep until
///    [`Messenger::deadline`].
/// 2. `now` never goes back; equal is fine.
/// 3. [`Messenger::handle_timeout`] early, late or twice is harmless; afterwards `deadline() > now`.
/// 4. An `Err` leaves the messenger as it was (but for its counters).
/// 5. Same seed and same inputs: same actions, byte for byte.
#[derive(Debug)]
pub struct Messenger {
    config: MessagingConfig,
    stats: Stats,
}

impl Messenger {
    /// A messenger that knows of no other member yet.
    ///
    /// `seed` decides the session and every random choice; no two processes of one member may have the same, so draw it
    /// at random in production.
    ///
    /// # Errors
    /// The first setting that lies outside its bounds.
    pub fn new(now: Instant, local: LocalPeer, config: MessagingConfig, seed: u64) -> Result<Messenger, ConfigError> {
        config.validate()?;
        let _ = (now, local, seed);
        Ok(Messenger { config, stats: Stats::default() })
    }

    /// The local member's life was raised while its process lives (`docs/protocol.md` 2.3): peers are told, and nothing
    /// is lost.
    pub fn set_life(&mut self, now: Instant, life: u64) {
        let _ = (now, life);
    }

    // The application.

    /// Accepts a message. From now on it has exactly one outcome, told by [`Event::Outcome`](super::Event::Outcome).
    ///
    /// # Errors
    /// It is refused, and has no outcome.
    pub fn send(&mut self, now: Instant, message: Outgoing) -> Result<MessageId, SendError> {
        let _ = (now, message);
        self.stats.refused += 1;
        Err(SendError::Closed)
    }

    /// Ends a message that is not done, as [`Ending::Cancelled`](super::Ending::Cancelled). It may have been delivered:
    /// the outcome says what is known.
    ///
    /// # Errors
    /// It has had its outcome.
    pub fn cancel(&mut self, now: Instant, id: MessageId) -> Result<(), UnknownMessage> {
        let _ = now;
        Err(UnknownMessage(id))
    }

    /// The next message that came, which is thereby processed. `None`: there is none, and
    /// [`Event::Readable`](super::Event::Readable) will tell of the next.
    ///
    /// Taking is what gives senders credit: who takes nothing is sent nothing more.
    pub fn take(&mut self, now: Instant) -> Option<Received> {
        let _ = now;
        None
    }

    /// The next message that came, which counts as processed once [`Messenger::acknowledge`] is called. Messages not
    /// acknowledged take up their sender's window of [`MessagingConfig::window_messages`].
    pub fn take_unacknowledged(&mut self, now: Instant) -> Option<Received> {
        let _ = now;
        None
    }

    /// A message that was taken is processed.
    ///
    /// # Errors
    /// Nobody waits for it.
    pub fn acknowledge(&mut self, now: Instant, receipt: Receipt) -> Result<(), UnknownReceipt> {
        let _ = (now, receipt);
        Err(UnknownReceipt)
    }

    /// Ends every message that is not done, as [`FailReason::Closed`](super::FailReason::Closed), and closes every link.
    /// What came can still be taken. To lose nothing, first wait until [`Stats::outgoing`] is 0.
    pub fn close(&mut self, now: Instant) {
        let _ = now;
    }

    // The membership.

    /// What is now held of a member. Tell all that are known at the start, then every change; to tell something again
    /// is harmless. What is said of the local member is ignored.
    pub fn handle_member(&mut self, now: Instant, id: NodeId, member: MemberInput) {
        let _ = (now, id, member);
    }

    /// The same from an event of the [`Node`](crate::Node) beside it. Events that do not concern messages change nothing.
    pub fn handle_event(&mut self, now: Instant, event: &NodeEvent<'_>) {
        let _ = (now, event);
    }

    // The links.

    /// Somebody opened a link to us, and it is up: the driver has its handshake behind it. `from` is where it really
    /// comes from. `None`: there is no room; close it.
    pub fn accept_link(&mut self, now: Instant, from: SocketAddr) -> Option<LinkId> {
        let _ = (now, from);
        None
    }

    /// Something happened to a link. What is said of a link whose name is void is ignored.
    pub fn handle_link(&mut self, now: Instant, link: LinkId, input: LinkInput<'_>) {
        let _ = (now, link, input);
    }

    // Time, and what to do.

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// What to do now; call until `None`. `buf` is the driver's, reused, and never holds more than
    /// [`HEADER_MAX`](super::packet::HEADER_MAX) bytes.
    pub fn poll_action<'b>(&mut self, buf: &'b mut Vec<u8>) -> Option<Action<'b>> {
        buf.clear();
        None
    }

    /// When to call [`Messenger::handle_timeout`], if nothing happens before.
    pub fn deadline(&self) -> Option<Instant> {
        None
    }

    // Views.

    /// A snapshot of the counters.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// The settings.
    pub fn config(&self) -> &MessagingConfig {
        &self.config
    }

    /// Random bits that name this messenger among all of this member's.
    pub fn session(&self) -> u64 {
        0
    }

    /// How things stand with a member, if messages are or were lately exchanged with it.
    pub fn peer(&self, id: NodeId) -> Option<PeerView> {
        let _ = id;
        None
    }
}
