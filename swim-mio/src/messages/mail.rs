//! How the messages' machine reaches the links of the loop, and whoever waits on other threads.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use bytes::Bytes;
use mio::Token;
use swim_driver::messaging::{self as driver, MessageEvent, Outcome, Packets};
use swim_driver::runner::EVENTS_MAX;
use swim_proto::NodeId;
use swim_proto::messaging::LinkId;

use crate::ring::Ring;
use crate::signal::Signal;

/// Queues of packets by link, and what is to be done for links.
#[derive(Debug)]
pub(crate) struct Mail {
    /// Of every link that the machine knows, and of those that still write.
    pub(super) pipes: BTreeMap<LinkId, Packets>,
    /// How many of these the machine knows.
    known: usize,
    /// Links to be opened.
    pub(super) opens: Vec<(LinkId, SocketAddr)>,
    /// Links with something new in their queues; some more than once.
    pub(super) touched: Vec<LinkId>,
    /// What became of messages that the loop's own application sent.
    pub(super) outcomes: VecDeque<Outcome>,
    pub(super) ring: Arc<Ring<MessageEvent>>,
    pub(super) signals: Arc<Signals>,
}

/// What other threads wait for.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// There may be a message to take.
    pub(crate) readable: Signal,
    /// There may be room in a queue.
    pub(crate) room: Signal,
}

/// Whom to tell what becomes of a message.
#[derive(Debug)]
pub(crate) enum Tell {
    /// The loop's own application, which asks.
    Own,
    /// A thread that waits.
    Other(SyncSender<Outcome>),
}

impl Mail {
    pub(super) fn new(events_max: usize) -> Mail {
        Mail {
            pipes: BTreeMap::new(),
            known: 0,
            opens: Vec::new(),
            touched: Vec::new(),
            outcomes: VecDeque::new(),
            ring: Ring::new(events_max.clamp(1, EVENTS_MAX)),
            signals: Arc::default(),
        }
    }

    /// Whether no more packets come for it; or it is not there at all.
    pub(super) fn is_closed(&self, link: LinkId) -> bool {
        self.pipes.get(&link).is_none_or(Packets::is_closed)
    }

    /// A link that the machine has closed is done.
    pub(super) fn is_done(&mut self, link: LinkId) {
        if self.pipes.get(&link).is_some_and(Packets::is_closed) {
            self.pipes.remove(&link);
        }
    }

    fn touch(&mut self, link: LinkId) {
        if self.touched.last() != Some(&link) {
            self.touched.push(link);
        }
    }

    fn add(&mut self, link: LinkId) {
        self.pipes.insert(link, Packets::default());
        self.known += 1;
    }
}

impl driver::Mail for Mail {
    type Tell = Tell;
    type Guest = Token;

    fn open(&mut self, link: LinkId, to: SocketAddr) {
        self.add(link);
        self.opens.push((link, to));
    }

    fn accepted(&mut self, link: LinkId) {
        self.add(link);
    }

    fn push(&mut self, link: LinkId, header: &[u8], payload: Option<Bytes>) -> bool {
        self.touch(link);
        self.pipes.get_mut(&link).is_none_or(|pipe| pipe.is_closed() || pipe.push(header, payload))
    }

    fn close(&mut self, link: LinkId) {
        if let Some(pipe) = self.pipes.get_mut(&link).filter(|pipe| !pipe.is_closed()) {
            pipe.close();
            self.known -= 1;
            self.touch(link);
        }
    }

    fn forget(&mut self, link: LinkId) -> bool {
        let was_known = self.knows(link);
        self.known -= usize::from(was_known);
        self.pipes.remove(&link);
        was_known
    }

    fn knows(&self, link: LinkId) -> bool {
        self.pipes.get(&link).is_some_and(|pipe| !pipe.is_closed())
    }

    fn links(&self) -> usize {
        self.known
    }

    fn outcome(&mut self, tell: Tell, outcome: Outcome) {
        match tell {
            Tell::Own => self.outcomes.push_back(outcome),
            // A refusal means that nobody wants to know; there is room for the one.
            Tell::Other(waits) => _ = waits.try_send(outcome),
        }
    }

    fn room(&mut self, _: NodeId) {
        self.signals.room.happens();
    }

    fn event(&mut self, event: MessageEvent) {
        if self.ring.listeners() > 0 {
            self.ring.tell(event);
        }
    }

    fn end(&mut self) {
        let known: Vec<LinkId> = self.pipes.keys().copied().collect();
        // The machine has closed them all; but should it not have, none is to stay.
        known.into_iter().for_each(|link| self.close(link));
        self.opens.clear();
        self.ring.close();
        self.signals.readable.is_over();
        self.signals.room.is_over();
    }
}
