//! The desk behind its lock, and those who wait at it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use swim_driver::Clock;
use swim_driver::messaging::{
    Desk, GuestId, LinkCounts, Mail as _, MessageId, MessagingStats, Moved, PeerView, Received, Refusal, SendError,
    SendOptions, Stage, UnknownMessage, UnknownReceipt, outgoing,
};
use swim_proto::messaging::{LinkId, MemberInput, Messenger, Receipt};
use swim_proto::{Instant, NodeId};
use tokio::sync::Notify;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::task::coop::consume_budget;

use super::events::MessageEvents;
use super::letterbox::Letterbox;
use super::mail::{Mail, Open};
use super::outcome::Pending;
use super::pipe::Pipe;

/// What handles, links and the keeper share.
pub(crate) struct Post {
    inside: Mutex<Inside>,
    letterbox: Letterbox,
    /// Wakes the keeper.
    keeper: Notify,
    /// Wakes those who wait for messages.
    readers: Notify,
}

/// What lies under the lock.
struct Inside {
    desk: Desk<Mail>,
    clock: Clock,
    /// For when the keeper's alarm is set.
    armed: Option<Instant>,
}

/// What the keeper is to do next.
pub(super) struct Kept {
    /// Links to open.
    pub(super) opens: Vec<Open>,
    /// How far all is from its end.
    pub(super) stage: Stage,
    /// When to come back.
    pub(super) deadline: Option<Instant>,
    /// All that was to be drained is done.
    pub(super) is_drained: bool,
    /// There is more to do as soon as others had their turn.
    pub(super) is_unfinished: bool,
}

/// Whom to wake once the lock is given back.
#[derive(Clone, Copy, Debug, Default)]
struct Wakes {
    keeper: bool,
    readers: bool,
}

impl Inside {
    /// Does what the machine wants done. What is too much for once is left to the keeper.
    fn act(&mut self, now: Instant) -> Wakes {
        let readers = self.desk.act(now);
        let deadline = self.desk.deadline();
        let is_earlier = deadline.is_some_and(|deadline| self.armed.is_none_or(|armed| deadline < armed));
        if is_earlier {
            self.armed = deadline;
        }
        Wakes { keeper: is_earlier || self.desk.mail.has_opens() || self.desk.is_unfinished(), readers }
    }
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
            inside: Mutex::new(Inside { desk: Desk::new(messenger, Mail::new(events_max)), clock, armed: None }),
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
                    SendError::Refused(Refusal::QueueFull { .. }) => Err(desk.mail.waits(to).notified_owned()),
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
        self.work(|desk, now| desk.cancel(now, id))
    }

    pub(super) fn acknowledge(&self, receipt: Receipt) -> Result<(), UnknownReceipt> {
        self.work(|desk, now| desk.acknowledge(now, receipt))
    }

    /// The next message. What taking it gives back to its sender is told together with that of others, or by the keeper.
    pub(super) fn take(&self, is_processed: bool) -> Option<(Received, Receipt)> {
        let mut inside = self.lock();
        let now = inside.clock.now();
        let taken = inside.desk.take(now, is_processed);
        let wakes = match (&taken, inside.desk.is_owing()) {
            (Some(_), (owing, false)) => Wakes { keeper: owing == 1, readers: false },
            (Some(_), (_, true)) | (None, _) => inside.act(now),
        };
        drop(inside);
        self.wake(wakes);
        taken
    }

    pub(super) fn take_many(&self, buffer: &mut Vec<Received>, limit: usize) -> Option<usize> {
        let before = buffer.len();
        self.work(|desk, now| {
            while buffer.len() - before < limit
                && let Some((received, _)) = desk.take(now, true)
            {
                buffer.push(received);
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
            let is_over = self.lock().desk.stage() == Stage::Closed;
            match take(self) {
                Some(taken) => return Some(taken),
                None if is_over => return None,
                None => readable.await,
            }
        }
    }

    pub(crate) fn events(&self) -> MessageEvents {
        self.lock().desk.mail.subscribe().map_or_else(MessageEvents::none, |receiver| MessageEvents { receiver })
    }

    pub(crate) fn peer(&self, id: NodeId) -> Option<PeerView> {
        self.lock().desk.peer(id)
    }

    pub(crate) fn stats(&self) -> (MessagingStats, LinkCounts) {
        self.lock().desk.stats()
    }
}

/// The driver.
impl Post {
    /// What is held of a member now. Never waits for messages.
    pub(crate) fn member(&self, id: NodeId, input: MemberInput) {
        self.letterbox.member(id, input);
        self.keeper.notify_one();
    }

    pub(crate) fn life(&self, life: u64) {
        self.letterbox.life(life);
        self.keeper.notify_one();
    }

    /// Accepts no more messages, and sees to those that were accepted, for so long at most.
    pub(crate) fn drain(&self, limit: Duration) {
        let mut inside = self.lock();
        let until = inside.clock.now() + limit;
        inside.desk.drain(until);
        drop(inside);
        self.keeper.notify_one();
    }

    /// Ends everything.
    pub(crate) fn close(&self) {
        let mut inside = self.lock();
        let now = inside.clock.now();
        inside.desk.close(now);
        drop(inside);
        self.wake(Wakes { keeper: true, readers: true });
    }
}

/// The keeper.
impl Post {
    pub(super) async fn called(&self) {
        self.keeper.notified().await;
    }

    /// News, time, and what follows from them.
    pub(super) fn keep(&self) -> Kept {
        let mut inside = self.lock();
        let now = inside.clock.now();
        self.read_letters(&mut inside.desk, now);
        inside.desk.handle_timeout(now);
        let wakes = inside.act(now);
        inside.armed = inside.desk.deadline();
        let kept = Kept {
            opens: inside.desk.mail.take_opens(),
            stage: inside.desk.stage(),
            deadline: inside.armed,
            is_drained: inside.desk.is_drained(now),
            is_unfinished: inside.desk.is_unfinished(),
        };
        drop(inside);
        self.wake(Wakes { keeper: false, ..wakes });
        kept
    }

    /// Somebody connected, and has it all before them. One more than `max`, and another goes.
    pub(super) fn admit(&self, host: IpAddr, max: usize) -> GuestId {
        let (id, pushed_out) = self.lock().desk.admit(host, max);
        pushed_out.inspect(AbortHandle::abort);
        id
    }

    pub(super) fn served_by(&self, host: IpAddr, id: GuestId, task: AbortHandle) {
        self.lock().desk.served_by(host, id, task);
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut LinkCounts)) {
        self.lock().desk.count(change);
    }

    pub(super) fn accept_failed(&self, error: &io::Error) {
        self.lock().desk.accept_failed(error);
    }
}

/// The links' tasks.
impl Post {
    /// A guest has its handshake behind it. `None`: there is no room for what it is now.
    pub(super) fn accept(&self, from: SocketAddr, id: GuestId) -> Option<(LinkId, Arc<Pipe>)> {
        self.work(|desk, now| {
            let link = desk.accept(now, from, id)?;
            Some((link, desk.mail.pipe(link)?))
        })
    }

    /// A link of somebody else's that is up from the beginning. `None`: there is no room for it.
    #[cfg(feature = "zeromq")]
    pub(super) fn accept_up(&self, from: SocketAddr) -> Option<(LinkId, Arc<Pipe>)> {
        self.work(|desk, now| {
            desk.count(|counts| counts.accepts += 1);
            let link = desk.accept_up(now, from)?;
            Some((link, desk.mail.pipe(link)?))
        })
    }

    /// A guest is gone.
    pub(super) fn goes(&self, from: SocketAddr, id: GuestId) {
        self.lock().desk.goes(from, id);
    }

    /// A link of ours is up.
    pub(super) fn up(&self, link: LinkId) {
        self.work(|desk, now| desk.up(now, link));
    }

    /// Packets came. `false`: the machine has closed the link.
    pub(super) fn packets(&self, link: LinkId, packets: &mut Vec<Vec<Bytes>>) -> bool {
        let mut inside = self.lock();
        let now = inside.clock.now();
        inside.desk.packets(now, link, packets);
        let wakes = inside.act(now);
        let is_known = inside.desk.mail.knows(link);
        drop(inside);
        self.wake(wakes);
        is_known
    }

    pub(super) fn writable(&self, link: LinkId) {
        self.work(|desk, now| desk.writable(now, link));
    }

    /// A link that the machine has closed is about to wait until all is written and read. `false`: too many do.
    pub(super) fn closes(&self) -> bool {
        self.lock().desk.closes()
    }

    /// One of them is done; what it moved.
    pub(super) fn done(&self, moved: Moved) {
        self.lock().desk.done(moved);
    }

    /// A link is gone, that was up or was to be.
    pub(super) fn down(&self, link: LinkId, was_up: bool, moved: Moved) {
        self.work(|desk, now| desk.down(now, link, was_up, moved));
    }
}

impl Post {
    /// Does something at the desk, and what follows from it.
    fn work<T>(&self, work: impl FnOnce(&mut Desk<Mail>, Instant) -> T) -> T {
        let mut inside = self.lock();
        let now = inside.clock.now();
        // First: whoever has just been told of a member may write to it.
        self.read_letters(&mut inside.desk, now);
        let done = work(&mut inside.desk, now);
        let wakes = inside.act(now);
        drop(inside);
        self.wake(wakes);
        done
    }

    fn read_letters(&self, desk: &mut Desk<Mail>, now: Instant) {
        let Some(letters) = self.letterbox.take() else { return };
        if let Some(life) = letters.life {
            desk.set_life(now, life);
        }
        for (id, input) in letters.members {
            desk.member(now, id, input);
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

    fn lock(&self) -> MutexGuard<'_, Inside> {
        // After a defect of ours the machine may be anywhere; the keeper's end closes it, and until then it refuses what
        // it can. To pass the panic on to whoever sends would help nobody.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
