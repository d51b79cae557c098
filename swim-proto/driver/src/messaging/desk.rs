//! The messages' machine, and what serves it: outcomes, guests, counts, and how far all this is from its end.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use swim_proto::messaging::{
    Action, Event, LinkId, LinkInput, MemberInput, MessageId, Messenger, Outgoing, PeerView, Receipt, Stats,
    UnknownMessage, UnknownReceipt,
};
use swim_proto::{Instant, NodeId};
use tracing::warn;

use super::counts::LinkCounts;
use super::guests::{GuestId, Guests};
use super::line::Moved;
use super::outcome::{Outcome, Received, SendError};

/// Things that the machine is asked to say at once, packets above all: others want their turn too.
const ACTIONS_MAX: usize = 256;

/// Messages taken one by one that one acknowledgement tells of, at most.
const TAKEN_MAX: u32 = 64;

/// How a driver reaches links, and whoever is told something. Nothing here may wait.
pub trait Mail {
    /// Whom to tell what becomes of a message.
    type Tell;
    /// By what to end whoever serves a guest.
    type Guest;

    /// A link that is to be opened; packets may be put on it once it is up.
    fn open(&mut self, link: LinkId, to: SocketAddr);

    /// A link that somebody opened.
    fn accepted(&mut self, link: LinkId);

    /// Puts a packet where the link takes it from; for a link that is not known, in vain. `false`: that was the last that
    /// fits for now.
    fn push(&mut self, link: LinkId, header: &[u8], payload: Option<Bytes>) -> bool;

    /// No more packets come for it, and it is known no more. What was put there still goes out.
    fn close(&mut self, link: LinkId);

    /// It is gone. `false`: it was not known.
    fn forget(&mut self, link: LinkId) -> bool;

    /// Whether the messenger has not closed it.
    fn knows(&self, link: LinkId) -> bool;

    /// How many links are known.
    fn links(&self) -> usize;

    /// Tells what became of a message.
    fn outcome(&mut self, tell: Self::Tell, outcome: Outcome);

    /// There may be room again in the queue to a member; or it takes no more, which whoever tries will learn.
    fn room(&mut self, to: NodeId);

    /// Tells the application.
    fn event(&mut self, event: Event);

    /// Nothing is moved any more. All links have been closed, and all outcomes told.
    fn end(&mut self);
}

/// The machine, and what is to be found by its names for things.
#[derive(Debug)]
pub struct Desk<M: Mail> {
    messenger: Messenger,
    /// How links and others are reached.
    pub mail: M,
    /// Where the machine puts the headers of packets.
    header: Vec<u8>,
    /// Whom to tell what becomes of a message. The machine bounds how many there are.
    outcomes: HashMap<MessageId, M::Tell, BuildHasherDefault<IdHasher>>,
    /// Messages taken since the machine was last asked what to do.
    taken: u32,
    /// The machine was not asked to the end.
    is_unfinished: bool,
    stage: Stage,
    guests: Guests<M::Guest>,
    /// Links that were closed and are not done.
    closing: usize,
    counts: LinkCounts,
}

/// How far all this is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Messages are accepted and moved.
    Open,
    /// Nothing more is accepted; what was is moved until then at most.
    Draining {
        /// Then.
        until: Instant,
    },
    /// Nothing is moved any more.
    Closed,
}

impl<M: Mail> Desk<M> {
    /// With a machine that has done nothing yet.
    pub fn new(messenger: Messenger, mail: M) -> Desk<M> {
        Desk {
            messenger,
            mail,
            header: Vec::new(),
            outcomes: HashMap::default(),
            taken: 0,
            is_unfinished: false,
            stage: Stage::Open,
            guests: Guests::default(),
            closing: 0,
            counts: LinkCounts::default(),
        }
    }

    /// How far it is from its end.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// When to call [`Desk::handle_timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        self.messenger.deadline()
    }

    /// Lets the machine see the time, if it wanted to. Ask [`Desk::act`] then.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.messenger.deadline().is_some_and(|deadline| deadline <= now) {
            self.messenger.handle_timeout(now);
        }
    }

    /// Accepts a message, or refuses it.
    ///
    /// # Errors
    /// It goes nowhere, and nobody is told.
    pub fn send(&mut self, now: Instant, message: Outgoing, tell: M::Tell) -> Result<MessageId, SendError> {
        if self.stage != Stage::Open {
            return Err(SendError::Closed);
        }
        let id = self.messenger.send(now, message)?;
        self.outcomes.insert(id, tell);
        Ok(id)
    }

    /// Ends a message that is not done.
    ///
    /// # Errors
    /// It has had its outcome.
    pub fn cancel(&mut self, now: Instant, id: MessageId) -> Result<(), UnknownMessage> {
        self.messenger.cancel(now, id)
    }

    /// The next message; whether it is thereby processed, or by [`Desk::acknowledge`]. Its acknowledgement may wait for
    /// others': whether it is to go out now is told by [`Desk::is_owing`].
    pub fn take(&mut self, now: Instant, is_processed: bool) -> Option<(Received, Receipt)> {
        let taken = if is_processed { self.messenger.take(now) } else { self.messenger.take_unacknowledged(now) };
        self.taken += u32::from(taken.is_some());
        taken.map(Received::of)
    }

    /// How many messages were taken since the machine was last asked what to do: it has to be before long, and now if
    /// this says so.
    pub fn is_owing(&self) -> (u32, bool) {
        (self.taken, self.taken >= TAKEN_MAX)
    }

    /// A message is processed.
    ///
    /// # Errors
    /// Its sender's process has ended.
    pub fn acknowledge(&mut self, now: Instant, receipt: Receipt) -> Result<(), UnknownReceipt> {
        self.messenger.acknowledge(now, receipt)
    }

    /// News of a member.
    pub fn member(&mut self, now: Instant, id: NodeId, input: MemberInput) {
        self.messenger.handle_member(now, id, input);
    }

    /// Our own life was raised.
    pub fn set_life(&mut self, now: Instant, life: u64) {
        self.messenger.set_life(now, life);
    }

    /// How things stand with a member.
    pub fn peer(&self, id: NodeId) -> Option<PeerView> {
        self.messenger.peer(id)
    }

    /// All counters.
    pub fn stats(&self) -> (Stats, LinkCounts) {
        let (links, handshakes) = (self.mail.links() as u32, self.guests.len() as u32);
        (self.messenger.stats(), LinkCounts { links, handshakes, ..self.counts })
    }

    /// Counts something about links.
    pub fn count(&mut self, change: impl FnOnce(&mut LinkCounts)) {
        change(&mut self.counts);
    }

    /// Nobody could be accepted.
    pub fn accept_failed(&mut self, error: &io::Error) {
        self.counts.accept_errors += 1;
        // Such errors come in rows; the log need not.
        if self.counts.accept_errors.is_power_of_two() {
            warn!(%error, errors = self.counts.accept_errors, "cannot accept links for messages");
        }
    }
}

/// Links.
impl<M: Mail> Desk<M> {
    /// Somebody connected, and has it all before them. One more than `max`, and another goes, whose server is given.
    pub fn admit(&mut self, host: IpAddr, max: usize) -> (GuestId, Option<M::Guest>) {
        self.counts.accepts += 1;
        let before = self.guests.len();
        let (id, pushed_out) = self.guests.admit(host, max);
        self.counts.pushed_out += u64::from(self.guests.len() == before);
        (id, pushed_out)
    }

    /// By whom a guest is served.
    pub fn served_by(&mut self, host: IpAddr, id: GuestId, server: M::Guest) {
        self.guests.served_by(host, id, server);
    }

    /// A guest has its handshake behind it. `None`: there is no room for what it is now.
    pub fn accept(&mut self, now: Instant, from: SocketAddr, guest: GuestId) -> Option<LinkId> {
        self.guests.remove(from.ip(), guest);
        self.accept_up(now, from)
    }

    /// A link of somebody else's, with its handshake behind it. `None`: there is no room for it.
    pub fn accept_up(&mut self, now: Instant, from: SocketAddr) -> Option<LinkId> {
        let accepted = if self.stage == Stage::Closed { None } else { self.messenger.accept_link(now, from) };
        match accepted {
            Some(link) => self.mail.accepted(link),
            None => self.counts.refused += 1,
        }
        accepted
    }

    /// A guest is gone.
    pub fn goes(&mut self, from: SocketAddr, guest: GuestId) {
        let is_news = self.guests.remove(from.ip(), guest);
        self.counts.handshakes_failed += u64::from(is_news);
    }

    /// A link of ours is up.
    pub fn up(&mut self, now: Instant, link: LinkId) {
        self.messenger.handle_link(now, link, LinkInput::Up);
    }

    /// Packets came.
    pub fn packets(&mut self, now: Instant, link: LinkId, packets: &mut Vec<Vec<Bytes>>) {
        for packet in packets.drain(..) {
            self.messenger.handle_link(now, link, LinkInput::Packet(&packet));
        }
    }

    /// There is room for packets again.
    pub fn writable(&mut self, now: Instant, link: LinkId) {
        self.messenger.handle_link(now, link, LinkInput::Writable);
    }

    /// A link is gone, that was up or was to be.
    pub fn down(&mut self, now: Instant, link: LinkId, was_up: bool, moved: Moved) {
        let is_news = self.mail.forget(link);
        if is_news {
            self.messenger.handle_link(now, link, LinkInput::Down);
        }
        self.counts.broken += u64::from(is_news && was_up);
        self.counts.connects_failed += u64::from(is_news && !was_up);
        self.moved(moved);
    }

    /// A link that the messenger has closed is about to wait until all is written and read. `false`: as many do as may,
    /// a quarter of [`MessagingConfig::accepted_max`](swim_proto::messaging::MessagingConfig::accepted_max): so many may
    /// strangers hold as well. [`Desk::done`] is to be told in either case.
    pub fn closes(&mut self) -> bool {
        self.closing += 1;
        // At the end nobody comes any more, and all are closed at once.
        self.stage == Stage::Closed || self.closing <= (self.messenger.config().accepted_max / 4) as usize
    }

    /// One of them is done; what it moved.
    pub fn done(&mut self, moved: Moved) {
        self.closing -= 1;
        self.moved(moved);
    }

    fn moved(&mut self, moved: Moved) {
        self.counts.bytes_in += moved.bytes_in;
        self.counts.bytes_out += moved.bytes_out;
    }
}

/// The end, and what follows from everything.
impl<M: Mail> Desk<M> {
    /// Accepts no more messages, and sees to those that were accepted, until then at most.
    pub fn drain(&mut self, until: Instant) {
        if self.stage == Stage::Open {
            self.stage = Stage::Draining { until };
        }
    }

    /// Whether whoever drains it need not wait any longer.
    pub fn is_drained(&self, now: Instant) -> bool {
        // Counting everything is for the end alone. What was told as sent can still get lost on its link.
        let is_done = |stats: Stats| stats.outgoing == 0 && stats.lingering == 0;
        matches!(self.stage, Stage::Draining { until } if until <= now || is_done(self.messenger.stats()))
    }

    /// Ends everything: whatever was accepted has its outcome then.
    pub fn close(&mut self, now: Instant) {
        if self.stage == Stage::Closed {
            return;
        }
        self.stage = Stage::Closed;
        self.messenger.close(now);
        self.act(now);
        // This is the end, and once.
        while self.is_unfinished {
            self.act(now);
        }
        self.outcomes.clear();
        self.mail.end();
    }

    /// Does what the machine wants done, and no more of it at once than others can wait for: [`Desk::is_unfinished`] says
    /// whether to come back. Whether there is something new to take.
    pub fn act(&mut self, now: Instant) -> bool {
        let mut is_readable = false;
        self.taken = 0;
        self.is_unfinished = true;
        for _ in 0..ACTIONS_MAX {
            let Some(action) = self.messenger.poll_action(&mut self.header) else {
                self.is_unfinished = false;
                break;
            };
            match action {
                Action::Send { link, header, payload } => {
                    if !self.mail.push(link, header, payload) {
                        self.messenger.handle_link(now, link, LinkInput::Full);
                    }
                }
                Action::Open { link, peer: _, to } => self.mail.open(link, to),
                Action::Close { link } => self.mail.close(link),
                Action::Event(Event::Readable) => is_readable = true,
                Action::Event(Event::Outcome(outcome)) => {
                    if let Some(tell) = self.outcomes.remove(&outcome.id) {
                        self.mail.outcome(tell, Outcome::of(&outcome));
                    }
                }
                Action::Event(event) => {
                    // A member that does not take any more refuses senders at once; they learn it by trying again.
                    if let Event::Writable { to: peer } | Event::Breaker { peer, .. } = event {
                        self.mail.room(peer);
                    }
                    self.mail.event(event);
                }
            }
        }
        is_readable
    }

    /// Whether the machine wants more done than [`Desk::act`] did: ask it again soon, after others had their turn.
    pub fn is_unfinished(&self) -> bool {
        self.is_unfinished
    }
}

/// Hashes names that nobody else chooses: one multiplication.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

#[cfg(test)]
mod tests;
