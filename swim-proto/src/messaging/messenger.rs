//! The machine: what it is told, what it does, and what can be looked at.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;

use self::members::Members;
use self::timeouts::Key;
use super::alarms::{Alarm, Alarms};
use super::inbox::Parcel;
use super::link::Link;
use super::message::{Class, MessageId, Outgoing, Receipt, Received};
use super::meter::Meter;
use super::outgoing::{Chains, Pending};
use super::peer::Peer;
use super::share::{CLASSES, Share};
use super::slab::{List, Slab};
use super::{
    Action, Event, LinkId, LinkInput, MemberInput, MessagingConfig, PeerView, SendError, Stats, UnknownMessage,
    UnknownReceipt,
};
use crate::config::ConfigError;
use crate::event::Event as NodeEvent;
use crate::membership::{ClusterHash, NodeId};
use crate::random::Random;
use crate::rate::Bucket;
use crate::time::Instant;

mod accepted;
mod answers;
mod links;
mod members;
mod peers;
mod receiving;
mod sending;
mod timeouts;
mod transmit;
mod views;

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
///    [`Messenger::deadline`]. It may be called in portions, with other inputs and commands between them: one input can
///    let as much happen as [`MessagingConfig::window_messages`] of every peer allow.
/// 2. `now` never goes back; equal is fine.
/// 3. [`Messenger::handle_timeout`] early, late or twice is harmless; afterwards `deadline() > now`.
/// 4. An `Err` leaves the messenger as it was, but for its counters, and for what it owes whom it refused: a level, and
///    an [`Event::Writable`](super::Event::Writable).
/// 5. Same seed and same inputs: same actions, byte for byte.
pub struct Messenger {
    config: MessagingConfig,
    local: LocalPeer,
    session: u64,
    closed: bool,
    now: Instant,
    random: Random,
    /// Counters; the rest of it is filled in when asked for.
    stats: Stats,

    members: Members,
    peers: Slab<Peer>,
    /// Peers for which nothing waits, the one unused for longest first.
    forgettable: List,

    links: Slab<Link>,
    links_named: u64,
    opened: u32,
    accepted: u32,
    /// Links of others that have not said whose they are, the oldest first.
    silent: List,
    /// Others' links that are believed, by when something came on them last.
    believed: List,
    /// Links of ours with nothing to say, the one idle for longest first.
    idle: List,
    /// Peers that wait for a link to be closed.
    line: VecDeque<u32>,

    outgoing: Slab<Pending>,
    messages_named: u64,
    outgoing_bytes: u64,
    /// Messages of which it was told that they were sent, and which are still tried.
    lingering: u32,
    outgoing_meter: Meter,
    /// Members to which a message was refused because of the total: they are told when there is room, or when it is no
    /// use to wait for it.
    refused: BTreeSet<NodeId>,
    chains: Chains,
    rate_out: Bucket,
    /// Links that wait for it, first come first served.
    paced: VecDeque<u32>,

    arrived: Slab<Arrived>,
    /// Peers that have something in the application's queue, by class, each in its turn.
    turns: [VecDeque<u32>; CLASSES],
    share: Share,
    readable: bool,
    unacknowledged: u32,
    inboxes: u64,
    /// Bytes received and not taken, and promised.
    promised: u64,
    incoming_meter: Meter,
    rate_in: Bucket,
    /// Peers that wait for it, first come first served.
    granting: List,
    /// What one packet makes deliverable.
    delivered: Vec<(u64, Parcel)>,

    alarms: Alarms<Key>,
    expiries: Alarms<MessageId>,
    pace: Alarm,
    grant: Alarm,

    commands: VecDeque<Command>,
    events: VecDeque<Event>,
    /// Links that may have something to say.
    called: VecDeque<u32>,
}

/// A message in the application's queue.
#[derive(Debug)]
struct Arrived {
    inbox: u64,
    number: u64,
    life: u64,
    parcel: Parcel,
}

/// What the driver is to do beside sending.
#[derive(Clone, Copy, Debug)]
enum Command {
    Open { link: LinkId, peer: NodeId, to: SocketAddr },
    Close { link: LinkId },
}

impl fmt::Debug for Messenger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messenger").field("local", &self.local).field("stats", &self.stats()).finish_non_exhaustive()
    }
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
        let mut random = Random::new(seed);
        let (session, key, chains) = (random.u64(), random.u64(), random.u64());
        Ok(Messenger {
            local,
            session,
            closed: false,
            now,
            random,
            stats: Stats::default(),
            members: Members::new(key, config.members_max as usize),
            peers: Slab::new(),
            forgettable: List::default(),
            links: Slab::new(),
            links_named: 0,
            opened: 0,
            accepted: 0,
            silent: List::default(),
            believed: List::default(),
            idle: List::default(),
            line: VecDeque::new(),
            outgoing: Slab::new(),
            messages_named: 0,
            outgoing_bytes: 0,
            lingering: 0,
            outgoing_meter: Meter::default(),
            refused: BTreeSet::new(),
            chains: Chains::new(chains),
            rate_out: Bucket::new(config.rate_out, config.rate_burst, now),
            paced: VecDeque::new(),
            arrived: Slab::new(),
            turns: [const { VecDeque::new() }; CLASSES],
            share: Share::new(config.class_weights),
            readable: false,
            unacknowledged: 0,
            inboxes: 0,
            promised: 0,
            incoming_meter: Meter::default(),
            rate_in: Bucket::new(config.rate_in, config.rate_burst, now),
            granting: List::default(),
            delivered: Vec::new(),
            alarms: Alarms::new(),
            expiries: Alarms::new(),
            pace: Alarm::default(),
            grant: Alarm::default(),
            commands: VecDeque::new(),
            events: VecDeque::new(),
            called: VecDeque::new(),
            config,
        })
    }

    /// The local member's life was raised while its process lives (`docs/protocol.md` 2.3): peers are told, and nothing
    /// is lost.
    pub fn set_life(&mut self, now: Instant, life: u64) {
        self.advance(now);
        self.local.life = self.local.life.max(life);
    }

    // The application.

    /// Accepts a message. From now on it has exactly one outcome, told by [`Event::Outcome`](super::Event::Outcome).
    ///
    /// # Errors
    /// It is refused, and has no outcome.
    pub fn send(&mut self, now: Instant, message: Outgoing) -> Result<MessageId, SendError> {
        self.advance(now);
        match self.admit(&message) {
            Ok(peer) => Ok(self.accept(peer, message)),
            Err(error) => {
                self.stats.refused += 1;
                Err(error)
            }
        }
    }

    /// Ends a message that is not done, as [`Ending::Cancelled`](super::Ending::Cancelled). It may have been delivered:
    /// the outcome says what is known.
    ///
    /// # Errors
    /// It has had its outcome.
    pub fn cancel(&mut self, now: Instant, id: MessageId) -> Result<(), UnknownMessage> {
        self.advance(now);
        self.withdraw(id)
    }

    /// The next message that came, which is thereby processed. `None`: there is none, and
    /// [`Event::Readable`](super::Event::Readable) will tell of the next.
    ///
    /// Taking is what gives senders credit: who takes nothing is sent nothing more.
    pub fn take(&mut self, now: Instant) -> Option<Received> {
        self.advance(now);
        self.take_next(true)
    }

    /// The next message that came, which counts as processed once [`Messenger::acknowledge`] is called. Messages not
    /// acknowledged take up their sender's window of [`MessagingConfig::window_messages`].
    pub fn take_unacknowledged(&mut self, now: Instant) -> Option<Received> {
        self.advance(now);
        self.take_next(false)
    }

    /// A message that was taken is processed.
    ///
    /// # Errors
    /// Nobody waits for it.
    pub fn acknowledge(&mut self, now: Instant, receipt: Receipt) -> Result<(), UnknownReceipt> {
        self.advance(now);
        self.acknowledged(receipt)
    }

    /// Ends every message that is not done, as [`FailReason::Closed`](super::FailReason::Closed), and closes every
    /// link. What came can still be taken. To lose nothing, first wait until [`Stats::outgoing`] and
    /// [`Stats::lingering`] are 0: what was told as sent may still have to be repeated.
    pub fn close(&mut self, now: Instant) {
        self.advance(now);
        self.close_all();
    }

    // The membership.

    /// What is now held of a member. Tell all that are known at the start, then every change; to tell something again
    /// is harmless. What is said of the local member is ignored.
    pub fn handle_member(&mut self, now: Instant, id: NodeId, member: MemberInput) {
        self.advance(now);
        if id != self.local.id && !self.closed {
            self.member_is(id, member);
        }
    }

    /// The same from an event of the [`Node`](crate::Node) beside it. Events that do not concern messages change
    /// nothing.
    pub fn handle_event(&mut self, now: Instant, event: &NodeEvent<'_>) {
        if let Some((id, input)) = members::of_event(event) {
            self.handle_member(now, id, input);
        }
    }

    // The links.

    /// Somebody opened a link to us, and it is up: the driver has its handshake behind it. `from` is where it really
    /// comes from. `None`: there is no room; close it.
    pub fn accept_link(&mut self, now: Instant, from: SocketAddr) -> Option<LinkId> {
        self.advance(now);
        self.take_link(from)
    }

    /// Something happened to a link. What is said of a link whose name is void is ignored.
    pub fn handle_link(&mut self, now: Instant, link: LinkId, input: LinkInput<'_>) {
        self.advance(now);
        if let Some(link) = self.place_of(link) {
            self.link_input(link, input);
        }
    }

    // Time, and what to do.

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        self.fire();
    }

    /// What to do now; call until `None`. `buf` is the driver's, reused, and never holds more than
    /// [`HEADER_MAX`](super::packet::HEADER_MAX) bytes.
    pub fn poll_action<'b>(&mut self, buf: &'b mut Vec<u8>) -> Option<Action<'b>> {
        buf.clear();
        // Nothing whose time is over is put on a link, though the driver may not have come to say so yet.
        self.expire_due();
        if let Some(command) = self.commands.pop_front() {
            return Some(match command {
                Command::Open { link, peer, to } => Action::Open { link, peer, to },
                Command::Close { link } => Action::Close { link },
            });
        }
        if let Some(event) = self.events.pop_front() {
            return Some(Action::Event(event));
        }
        match self.next_packet(buf) {
            Some((link, payload)) => Some(Action::Send { link, header: buf, payload }),
            None => {
                // Every input ends here, also those that no timer follows for long.
                self.tidy_alarms();
                None
            }
        }
    }

    /// When to call [`Messenger::handle_timeout`], if nothing happens before.
    pub fn deadline(&self) -> Option<Instant> {
        match (self.alarms.first(), self.expiries.first()) {
            (Some(alarm), Some(expiry)) => Some(alarm.min(expiry)),
            (alarm, expiry) => alarm.or(expiry),
        }
    }

    // Views.

    /// A snapshot of the counters.
    pub fn stats(&self) -> Stats {
        self.count_all()
    }

    /// The settings.
    pub fn config(&self) -> &MessagingConfig {
        &self.config
    }

    /// Random bits that name this messenger, among all that this member ever had, towards those that send to it.
    pub fn session(&self) -> u64 {
        self.session
    }

    /// How things stand with a member, if messages are or were lately exchanged with it.
    pub fn peer(&self, id: NodeId) -> Option<PeerView> {
        self.view(id)
    }

    /// The clock as the driver last read it.
    fn advance(&mut self, now: Instant) {
        debug_assert!(now >= self.now, "the driver's clock went back");
        self.now = self.now.max(now);
    }

    fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }
}

/// The class of this index.
fn class_of(index: usize) -> Class {
    Class::ALL[index]
}
