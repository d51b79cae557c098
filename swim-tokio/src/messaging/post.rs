//! The desk behind its lock, and those who wait at it.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use swim_driver::Clock;
use swim_driver::messaging::{
    LinkCounts, MessageId, PeerView, Received, Refusal, SendError, SendOptions, UnknownMessage, UnknownReceipt,
    outgoing,
};
use swim_proto::messaging::{LinkId, LinkInput, MemberInput, Messenger, Receipt, Stats};
use swim_proto::{Instant, Member, NodeId};
use tokio::sync::Notify;
use tokio::sync::oneshot;
use tokio::task::coop::consume_budget;

use super::desk::{Desk, Open, Stage, Wakes};
use super::events::MessageEvents;
use super::guests::GuestId;
use super::letterbox::{Letterbox, standing};
use super::outcome::Pending;
use super::pipe::Pipe;

/// What handles, links and the keeper share.
pub(crate) struct Post {
    desk: Mutex<Desk>,
    letterbox: Letterbox,
    /// Wakes the keeper.
    keeper: Notify,
    /// Wakes those who wait for messages.
    readers: Notify,
}

impl std::fmt::Debug for Post {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Post").finish_non_exhaustive()
    }
}

/// The application.
impl Post {
    pub(crate) fn new(messenger: Messenger, clock: Clock, events_max: usize) -> Post {
        Post {
            desk: Mutex::new(Desk::new(messenger, clock, events_max)),
            letterbox: Letterbox::default(),
            keeper: Notify::new(),
            readers: Notify::new(),
        }
    }

    pub(crate) fn try_send(
        self: &Arc<Self>,
        to: NodeId,
        payload: Bytes,
        how: SendOptions,
    ) -> Result<Pending, SendError> {
        let (tell, outcome) = oneshot::channel();
        let id = self.work(|desk, now| desk.send(now, outgoing(to, payload, how), tell))?;
        Ok(Pending { id, to, outcome, post: self.clone() })
    }

    /// The same, waiting for room.
    pub(crate) async fn send(
        self: &Arc<Self>,
        to: NodeId,
        payload: Bytes,
        how: SendOptions,
    ) -> Result<Pending, SendError> {
        consume_budget().await;
        loop {
            let (tell, outcome) = oneshot::channel();
            let message = outgoing(to, payload.clone(), how);
            let sent = self.work(|desk, now| {
                desk.send(now, message, tell).map_err(|error| match error {
                    // Begun under the lock, it misses nothing.
                    SendError::Refused(Refusal::QueueFull { .. }) => Err(desk.room(to).notified_owned()),
                    error => Ok(error),
                })
            });
            match sent {
                Ok(id) => return Ok(Pending { id, to, outcome, post: self.clone() }),
                Err(Ok(error)) => return Err(error),
                Err(Err(room)) => room.await,
            }
        }
    }

    pub(crate) fn cancel(&self, id: MessageId) -> Result<(), UnknownMessage> {
        self.work(|desk, now| desk.messenger.cancel(now, id))
    }

    pub(super) fn acknowledge(&self, receipt: Receipt) -> Result<(), UnknownReceipt> {
        self.work(|desk, now| desk.messenger.acknowledge(now, receipt))
    }

    /// The next message. What taking it gives back to its sender is told together with that of others, or by the keeper.
    pub(super) fn take(&self, is_processed: bool) -> Option<(Received, Receipt)> {
        let mut desk = self.desk();
        let now = desk.clock.now();
        let taken = if is_processed { desk.messenger.take(now) } else { desk.messenger.take_unacknowledged(now) };
        let wakes = match &taken {
            Some(_) if desk.was_taken() => desk.act(now),
            Some(_) => Wakes { keeper: desk.is_first_taken(), readers: false },
            None => desk.act(now),
        };
        drop(desk);
        self.wake(wakes);
        taken.map(Received::of)
    }

    pub(super) fn take_many(&self, buffer: &mut Vec<Received>, limit: usize) -> Option<usize> {
        let before = buffer.len();
        self.work(|desk, now| {
            while buffer.len() - before < limit
                && let Some(received) = desk.messenger.take(now)
            {
                buffer.push(Received::of(received).0);
            }
        });
        Some(buffer.len() - before).filter(|taken| *taken > 0)
    }

    /// Waits until `take` gives something. `None`: it never will.
    pub(super) async fn arrival<T>(&self, mut take: impl FnMut(&Post) -> Option<T>) -> Option<T> {
        consume_budget().await;
        loop {
            // Whatever comes after this is not missed.
            let readable = self.readers.notified();
            let is_over = self.desk().stage == Stage::Closed;
            match take(self) {
                Some(taken) => return Some(taken),
                None if is_over => return None,
                None => readable.await,
            }
        }
    }

    pub(crate) fn events(&self) -> MessageEvents {
        self.desk().subscribe().map_or_else(MessageEvents::none, |receiver| MessageEvents { receiver })
    }

    pub(crate) fn peer(&self, id: NodeId) -> Option<PeerView> {
        self.desk().messenger.peer(id)
    }

    pub(crate) fn stats(&self) -> (Stats, LinkCounts) {
        let desk = self.desk();
        let mut counts = desk.counts;
        (counts.links, counts.handshakes) = (desk.links() as u32, desk.guests.len() as u32);
        (desk.messenger.stats(), counts)
    }
}

/// The driver.
impl Post {
    /// What is held of a member now. Never waits for messages.
    pub(crate) fn member(&self, member: &Member<'_>) {
        self.letterbox.member(member.id, standing(member));
        self.keeper.notify_one();
    }

    pub(crate) fn forgotten(&self, id: NodeId) {
        self.letterbox.member(id, MemberInput::Forgotten);
        self.keeper.notify_one();
    }

    pub(crate) fn life(&self, life: u64) {
        self.letterbox.life(life);
        self.keeper.notify_one();
    }

    /// Accepts no more messages, and sees to those that were accepted, for so long at most.
    pub(crate) fn drain(&self, limit: Duration) {
        let mut desk = self.desk();
        if desk.stage == Stage::Open {
            desk.stage = Stage::Draining { until: desk.clock.now() + limit };
        }
        drop(desk);
        self.keeper.notify_one();
    }

    /// Ends everything.
    pub(crate) fn close(&self) {
        let mut desk = self.desk();
        let now = desk.clock.now();
        let wakes = desk.close(now);
        drop(desk);
        self.wake(Wakes { keeper: true, ..wakes });
    }
}

/// The keeper.
impl Post {
    pub(super) async fn called(&self) {
        self.keeper.notified().await;
    }

    /// News, time, and what follows from them: links to open, how far the end is, when to come back, and whether all that
    /// was to be drained is done.
    pub(super) fn keep(&self) -> (Vec<Open>, Stage, Option<Instant>, bool) {
        let mut desk = self.desk();
        let now = desk.clock.now();
        self.read_letters(&mut desk, now);
        if desk.messenger.deadline().is_some_and(|deadline| deadline <= now) {
            desk.messenger.handle_timeout(now);
        }
        let wakes = desk.act(now);
        desk.armed = desk.messenger.deadline();
        // Counting everything is for the end alone.
        let is_done = matches!(desk.stage, Stage::Draining { .. }) && desk.messenger.stats().outgoing == 0;
        let kept = (desk.take_opens(), desk.stage, desk.armed, is_done);
        drop(desk);
        self.wake(Wakes { keeper: false, ..wakes });
        kept
    }

    /// Somebody connected, and has it all before them. One more than `max`, and another goes.
    pub(super) fn admit(&self, host: IpAddr, max: usize) -> GuestId {
        let mut desk = self.desk();
        desk.counts.accepts += 1;
        let before = desk.guests.len();
        let (id, pushed_out) = desk.guests.admit(host, max);
        desk.counts.pushed_out += u64::from(desk.guests.len() == before);
        drop(desk);
        pushed_out.inspect(tokio::task::AbortHandle::abort);
        id
    }

    pub(super) fn served_by(&self, host: IpAddr, id: GuestId, task: tokio::task::AbortHandle) {
        self.desk().guests.served_by(host, id, task);
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut LinkCounts)) {
        change(&mut self.desk().counts);
    }
}

/// The links' tasks.
impl Post {
    /// A guest has its handshake behind it. `None`: there is no room for what it is now.
    pub(super) fn accept(&self, from: SocketAddr, id: GuestId) -> Option<(LinkId, Arc<Pipe>)> {
        self.work(|desk, now| {
            desk.guests.remove(from.ip(), id);
            let accepted = if desk.stage == Stage::Closed { None } else { desk.accept(now, from) };
            desk.counts.refused += u64::from(accepted.is_none());
            accepted
        })
    }

    /// A link of somebody else's that is up from the beginning. `None`: there is no room for it.
    #[cfg(feature = "zeromq")]
    pub(super) fn accept_up(&self, from: SocketAddr) -> Option<(LinkId, Arc<Pipe>)> {
        self.work(|desk, now| {
            let accepted = if desk.stage == Stage::Closed { None } else { desk.accept(now, from) };
            desk.counts.accepts += 1;
            desk.counts.refused += u64::from(accepted.is_none());
            accepted
        })
    }

    /// A guest is gone.
    pub(super) fn goes(&self, from: SocketAddr, id: GuestId) {
        let mut desk = self.desk();
        let is_news = desk.guests.remove(from.ip(), id);
        desk.counts.handshakes_failed += u64::from(is_news);
    }

    /// A link of ours is up.
    pub(super) fn up(&self, link: LinkId) {
        self.work(|desk, now| desk.messenger.handle_link(now, link, LinkInput::Up));
    }

    /// Packets came. `false`: the machine has closed the link.
    pub(super) fn packets(&self, link: LinkId, packets: &mut Vec<Vec<Bytes>>) -> bool {
        let mut desk = self.desk();
        let now = desk.clock.now();
        for packet in packets.drain(..) {
            desk.messenger.handle_link(now, link, LinkInput::Packet(&packet));
        }
        let wakes = desk.act(now);
        let is_known = desk.is_known(link);
        drop(desk);
        self.wake(wakes);
        is_known
    }

    pub(super) fn writable(&self, link: LinkId) {
        self.work(|desk, now| desk.messenger.handle_link(now, link, LinkInput::Writable));
    }

    /// What a link moved that the machine has closed.
    pub(super) fn moved(&self, (bytes_in, bytes_out): (u64, u64)) {
        self.count(|counts| {
            counts.bytes_in += bytes_in;
            counts.bytes_out += bytes_out;
        });
    }

    /// A link is gone, that was up or was to be.
    pub(super) fn down(&self, link: LinkId, was_up: bool, (bytes_in, bytes_out): (u64, u64)) {
        self.work(|desk, now| {
            let is_news = desk.down(now, link);
            desk.counts.broken += u64::from(is_news && was_up);
            desk.counts.connects_failed += u64::from(is_news && !was_up);
            desk.counts.bytes_in += bytes_in;
            desk.counts.bytes_out += bytes_out;
        });
    }
}

impl Post {
    /// Does something at the desk, and what follows from it.
    fn work<T>(&self, work: impl FnOnce(&mut Desk, Instant) -> T) -> T {
        let mut desk = self.desk();
        let now = desk.clock.now();
        // First: whoever has just been told of a member may write to it.
        self.read_letters(&mut desk, now);
        let done = work(&mut desk, now);
        let wakes = desk.act(now);
        drop(desk);
        self.wake(wakes);
        done
    }

    fn read_letters(&self, desk: &mut Desk, now: Instant) {
        if let Some(letters) = self.letterbox.take() {
            desk.news(now, letters);
        }
    }

    fn wake(&self, wakes: Wakes) {
        if wakes.readers {
            self.readers.notify_waiters();
        }
        if wakes.keeper {
            self.keeper.notify_one();
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        // After a defect of ours the machine may be anywhere; the keeper's end closes it, and until then it refuses what
        // it can. To pass the panic on to whoever sends would help nobody.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
