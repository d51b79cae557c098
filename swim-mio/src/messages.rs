//! Reliable messages in the node's loop: the machine at its desk, and the links around it.
//!
//! Whoever has something for the machine (the application, a link whose packets came, the membership) says it, and the
//! node has it act before the turn ends: packets go to the links' queues, and links that have something to do to a list.
//! A link is served when its turn comes, one read and one write at a time. No part of this waits, and none is behind a lock.

mod application;
mod entry;
mod links;
mod mail;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mio::event::Event;
use mio::{Registry, Token};
use swim_driver::messaging::{
    Desk, LinkCounts, MessageEvent, MessageId, MessagingOptions, MessagingStats, Outcome, PeerView, Received,
    SendError, SendOptions, Stage, UnknownMessage, UnknownReceipt, outgoing,
};
use swim_driver::{Clock, messaging};
use swim_proto::messaging::{Messenger, Receipt};
use swim_proto::{Instant, NodeId};

pub use self::application::{Incoming, MessageEvents, Pending, Unacknowledged};
use self::links::Links;
pub(crate) use self::mail::Tell;
use self::mail::{Mail, Signals};
use crate::ring::{Listener, Ring};

/// Outcomes that the loop's own application has not read, with messages that are under way, at most.
const OUTCOMES_MAX: usize = 1 << 16;

/// The time that a turn gives to links: what they bring may cost much, and datagrams wait for it. One move may take it
/// all, and no more is begun then.
const TURN_TIME: Duration = Duration::from_millis(2);

/// All of it.
#[derive(Debug)]
pub(crate) struct Messages {
    desk: Desk<Mail>,
    links: Links,
    clock: Clock,
    /// The machine has been told something, and was not asked what to do.
    is_told: bool,
    /// Who drains it waits until then at most, and is to be told.
    drained_at: Option<Instant>,
}

/// What handles know of it.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) signals: Arc<Signals>,
    pub(crate) ring: Arc<Ring<MessageEvent>>,
}

/// How many links there may be, with those that are opening and those that nobody knows yet.
pub(crate) fn width(options: &MessagingOptions) -> usize {
    let config = &options.config;
    // A quarter as many of those that are accepted may wait for their end after they were closed, and others that were
    // have not had their turn.
    2 * (config.links_max as usize + config.accepted_max as usize) + options.handshakes_max.max(1) + 1
}

impl Messages {
    pub(crate) fn new(
        (messenger, options): (Messenger, &MessagingOptions),
        identity: &str,
        way: (TcpListener, SocketAddr, Option<IpAddr>),
        registry: &Registry,
        (token, tokens): (Token, Range<usize>),
        clock: Clock,
    ) -> io::Result<Messages> {
        let links = Links::new(way, registry, (token, tokens), (options, identity), clock)?;
        let desk = Desk::new(messenger, Mail::new(options.events_max));
        Ok(Messages { desk, links, clock, is_told: false, drained_at: None })
    }

    pub(crate) fn shared(&self) -> Shared {
        Shared { signals: self.desk.mail.signals.clone(), ring: self.desk.mail.ring.clone() }
    }

    /// A receiver of what happens around messages, for the loop itself.
    pub(crate) fn listen(&self) -> Listener<MessageEvent> {
        self.desk.mail.ring.listen()
    }
}

/// The application.
impl Messages {
    pub(crate) fn send(
        &mut self,
        to: NodeId,
        payload: Bytes,
        how: SendOptions,
        tell: Tell,
    ) -> Result<MessageId, SendError> {
        let unread = self.desk.mail.outcomes.len();
        if matches!(tell, Tell::Own) && unread >= OUTCOMES_MAX {
            return Err(SendError::Unread(unread));
        }
        let sent = self.desk.send(self.clock.now(), outgoing(to, payload, how), tell);
        self.is_told |= sent.is_ok();
        sent
    }

    pub(crate) fn cancel(&mut self, id: MessageId) -> Result<(), UnknownMessage> {
        let cancelled = self.desk.cancel(self.clock.now(), id);
        self.is_told |= cancelled.is_ok();
        cancelled
    }

    pub(crate) fn take(&mut self, is_processed: bool) -> Option<(Received, Receipt)> {
        let taken = self.desk.take(self.clock.now(), is_processed);
        // To find nothing is to ask for nothing: a loop that looks in each turn is not to be called for that.
        self.is_told |= taken.is_some();
        taken
    }

    pub(crate) fn acknowledge(&mut self, receipt: Receipt) -> Result<(), UnknownReceipt> {
        let acknowledged = self.desk.acknowledge(self.clock.now(), receipt);
        self.is_told |= acknowledged.is_ok();
        acknowledged
    }

    pub(crate) fn poll_outcome(&mut self) -> Option<Outcome> {
        // What was asked of the machine may have ended a message at once.
        self.act();
        self.desk.mail.outcomes.pop_front()
    }

    pub(crate) fn peer(&self, id: NodeId) -> Option<PeerView> {
        self.desk.peer(id)
    }

    pub(crate) fn stats(&self) -> (MessagingStats, LinkCounts) {
        self.desk.stats()
    }
}

/// The membership.
impl Messages {
    pub(crate) fn hear(&mut self, event: &swim_proto::Event<'_>) {
        if let Some((id, input)) = messaging::news(event) {
            self.is_told = true;
            self.desk.member(self.clock.now(), id, input);
        }
    }

    pub(crate) fn set_life(&mut self, life: u64) {
        self.is_told = true;
        self.desk.set_life(self.clock.now(), life);
    }

    pub(crate) fn drain(&mut self, limit: Duration) {
        let until = self.clock.now() + limit;
        self.desk.drain(until);
        self.drained_at = Some(until);
    }

    /// Whether whoever drains it need not wait any longer.
    pub(crate) fn is_drained(&mut self) -> bool {
        let is_drained = self.desk.is_drained(self.clock.now());
        if is_drained {
            self.drained_at = None;
        }
        is_drained
    }

    /// Ends everything. Links still write what was put on them, if they get their turns.
    pub(crate) fn close(&mut self) {
        self.desk.close(self.clock.now());
        self.drained_at = None;
        self.links.refuse_guests(&mut self.desk);
        self.links.heed(&mut self.desk);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.desk.stage() == Stage::Closed
    }

    /// Cuts the links that are left.
    pub(crate) fn abort(&mut self) {
        self.close();
        self.links.abort(&mut self.desk);
    }
}

/// The loop.
impl Messages {
    /// Whether the token is one of these.
    pub(crate) fn handle_event(&mut self, event: &Event) -> bool {
        self.links.handle_event(event)
    }

    /// When it is to have its turn.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.is_told || self.desk.is_unfinished() || self.links.are_ready() {
            return Some(Instant::ZERO);
        }
        let deadlines = [self.desk.deadline(), self.links.deadline(), self.drained_at];
        deadlines.into_iter().flatten().min()
    }

    /// How many links there are, with those that are not up.
    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether some link has something to do now.
    pub(crate) fn are_ready(&self) -> bool {
        self.links.are_ready()
    }

    /// Input first, then time.
    pub(crate) fn turn(&mut self, buffer: &mut [u8]) {
        if !self.is_closed() {
            self.links.accept(&mut self.desk);
        }
        let until = self.clock.now() + TURN_TIME;
        self.links.serve(&mut self.desk, until, buffer);
        self.desk.handle_timeout(self.clock.now());
        self.is_told = true;
        self.act();
        // What that wrote need not wait for the next turn, if this one is not over.
        if self.clock.now() < until {
            self.links.serve(&mut self.desk, until, buffer);
        }
    }

    fn act(&mut self) {
        if std::mem::replace(&mut self.is_told, false) || self.desk.is_unfinished() {
            let is_readable = self.desk.act(self.clock.now());
            if is_readable {
                self.desk.mail.signals.readable.happens();
            }
            self.links.heed(&mut self.desk);
        }
    }
}
