//! The machine and what serves it, as they lie under the lock.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;

use swim_driver::Clock;
use swim_driver::messaging::{LinkCounts, Outcome, SendError};
use swim_proto::messaging::{Action, Event, LinkId, LinkInput, MessageId, Messenger, Outgoing};
use swim_proto::{Instant, NodeId};
use tokio::sync::{Notify, broadcast, oneshot};

use super::guests::Guests;
use super::letterbox::Letters;
use super::pipe::Pipe;

/// Messages taken one by one that one acknowledgement tells of, at most.
const TAKEN_MAX: u32 = 64;

/// The machine, and what is to be found by its names for things.
pub(super) struct Desk {
    pub(super) messenger: Messenger,
    pub(super) clock: Clock,
    /// Where the machine puts the headers of packets.
    header: Vec<u8>,
    /// Of every link that the machine knows.
    pipes: BTreeMap<LinkId, Arc<Pipe>>,
    /// Whom to tell what becomes of a message. The machine bounds how many there are.
    outcomes: HashMap<MessageId, oneshot::Sender<Outcome>, BuildHasherDefault<IdHasher>>,
    /// Those who wait for room in a queue.
    waiting: BTreeMap<NodeId, Arc<Notify>>,
    /// Links that the keeper is to open.
    opens: Vec<Open>,
    /// For when the keeper's alarm is set.
    pub(super) armed: Option<Instant>,
    /// Messages taken since the machine was last asked what to do.
    taken: u32,
    pub(super) stage: Stage,
    events: Option<broadcast::Sender<Event>>,
    pub(super) guests: Guests,
    pub(super) counts: LinkCounts,
}

/// A link that is to be opened.
pub(super) struct Open {
    pub(super) link: LinkId,
    pub(super) to: SocketAddr,
    pub(super) pipe: Arc<Pipe>,
}

/// How far all this is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Open,
    /// Nothing more is accepted; what was is moved until then at most.
    Draining {
        until: Instant,
    },
    /// Nothing is moved any more.
    Closed,
}

/// Whom to wake once the lock is given back.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wakes {
    pub(super) keeper: bool,
    pub(super) readers: bool,
}

impl Desk {
    pub(super) fn new(messenger: Messenger, clock: Clock, events_max: usize) -> Desk {
        Desk {
            messenger,
            clock,
            header: Vec::new(),
            pipes: BTreeMap::new(),
            outcomes: HashMap::default(),
            waiting: BTreeMap::new(),
            opens: Vec::new(),
            armed: None,
            taken: 0,
            stage: Stage::Open,
            events: Some(broadcast::Sender::new(events_max.clamp(1, 1 << 20))),
            guests: Guests::default(),
            counts: LinkCounts::default(),
        }
    }

    /// Accepts a message, or refuses it.
    pub(super) fn send(
        &mut self,
        now: Instant,
        message: Outgoing,
        tell: oneshot::Sender<Outcome>,
    ) -> Result<MessageId, SendError> {
        if self.stage != Stage::Open {
            return Err(SendError::Closed);
        }
        let id = self.messenger.send(now, message)?;
        self.outcomes.insert(id, tell);
        Ok(id)
    }

    /// Whoever waits for room in the queue to a member waits here.
    pub(super) fn room(&mut self, to: NodeId) -> Arc<Notify> {
        self.waiting.entry(to).or_default().clone()
    }

    /// A message was taken. Whether its acknowledgement is to go out now; if not, the keeper sees to it.
    pub(super) fn was_taken(&mut self) -> bool {
        self.taken += 1;
        self.taken >= TAKEN_MAX
    }

    /// Whether the keeper has to be told that messages were taken.
    pub(super) fn is_first_taken(&self) -> bool {
        self.taken == 1
    }

    pub(super) fn news(&mut self, now: Instant, letters: Letters) {
        if let Some(life) = letters.life {
            self.messenger.set_life(now, life);
        }
        for (id, input) in letters.members {
            self.messenger.handle_member(now, id, input);
        }
    }

    pub(super) fn take_opens(&mut self) -> Vec<Open> {
        std::mem::take(&mut self.opens)
    }

    /// A link of somebody else's. `None`: there is no room for it.
    pub(super) fn accept(&mut self, now: Instant, from: SocketAddr) -> Option<(LinkId, Arc<Pipe>)> {
        let link = self.messenger.accept_link(now, from)?;
        let pipe = Arc::new(Pipe::default());
        self.pipes.insert(link, pipe.clone());
        Some((link, pipe))
    }

    /// `false`: the machine has closed it meanwhile.
    pub(super) fn is_known(&self, link: LinkId) -> bool {
        self.pipes.contains_key(&link)
    }

    pub(super) fn links(&self) -> usize {
        self.pipes.len()
    }

    /// The link is gone. `false`: the machine knows.
    pub(super) fn down(&mut self, now: Instant, link: LinkId) -> bool {
        let is_news = self.pipes.remove(&link).is_some();
        if is_news {
            self.messenger.handle_link(now, link, LinkInput::Down);
        }
        is_news
    }

    /// Ends everything: whatever was accepted has its outcome then.
    pub(super) fn close(&mut self, now: Instant) -> Wakes {
        self.stage = Stage::Closed;
        self.messenger.close(now);
        let wakes = self.act(now);
        // The machine has closed them all; but should it not have, nobody is to wait for a link without an owner.
        std::mem::take(&mut self.pipes).values().for_each(|pipe| pipe.close());
        self.opens.clear();
        self.outcomes.clear();
        std::mem::take(&mut self.waiting).values().for_each(|room| room.notify_waiters());
        self.events = None;
        Wakes { readers: true, ..wakes }
    }

    pub(super) fn subscribe(&self) -> Option<broadcast::Receiver<Event>> {
        self.events.as_ref().map(broadcast::Sender::subscribe)
    }

    /// Does whatever the machine wants done.
    pub(super) fn act(&mut self, now: Instant) -> Wakes {
        let mut wakes = Wakes::default();
        self.taken = 0;
        while let Some(action) = self.messenger.poll_action(&mut self.header) {
            match action {
                Action::Send { link, header, payload } => {
                    if let Some(pipe) = self.pipes.get(&link)
                        && !pipe.push(header, payload)
                    {
                        self.messenger.handle_link(now, link, LinkInput::Full);
                    }
                }
                Action::Open { link, peer: _, to } => {
                    let pipe = Arc::new(Pipe::default());
                    self.pipes.insert(link, pipe.clone());
                    self.opens.push(Open { link, to, pipe });
                    wakes.keeper = true;
                }
                Action::Close { link } => {
                    if let Some(pipe) = self.pipes.remove(&link) {
                        pipe.close();
                    }
                }
                Action::Event(event) => wakes.readers |= self.tell(event),
            }
        }
        let deadline = self.messenger.deadline();
        if deadline.is_some_and(|deadline| self.armed.is_none_or(|armed| deadline < armed)) {
            self.armed = deadline;
            wakes.keeper = true;
        }
        wakes
    }

    /// Whether it is that there is something to read.
    fn tell(&mut self, event: Event) -> bool {
        match event {
            Event::Readable => return true,
            Event::Outcome(outcome) => {
                if let Some(tell) = self.outcomes.remove(&outcome.id) {
                    // A refusal means that nobody wants to know.
                    let _ = tell.send(Outcome::of(&outcome));
                }
                return false;
            }
            Event::Writable { to } => self.wake_senders(to),
            // A member that does not take any more refuses them at once; they learn it by trying again.
            Event::Breaker { peer, .. } => self.wake_senders(peer),
            _ => {}
        }
        if let Some(events) = &self.events {
            // A refusal means that nobody listens.
            let _ = events.send(event);
        }
        false
    }

    fn wake_senders(&mut self, to: NodeId) {
        if let Some(room) = self.waiting.remove(&to) {
            room.notify_waiters();
        }
    }
}

/// Hashes names that nobody else chooses: one multiplication.
#[derive(Default)]
pub(super) struct IdHasher(u64);

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
