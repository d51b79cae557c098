//! The application's side on other threads: asks the node's loop, and waits for its answers.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use swim_driver::messaging::{
    MessageId, PeerView, Received, Refusal, SendError, SendOptions, UnknownMessage, UnknownReceipt,
};
use swim_driver::seeds::SeedName;
use swim_driver::{Closed, Identity, MemberInfo, Notice, RequestError, Stats};
use swim_proto::messaging::Receipt;
use swim_proto::{CommandError, NodeId, Status, Way};

use crate::events::Events;
use crate::messages::{self, Incoming, MessageEvents, Pending, Tell};
use crate::node::{Node, Wake};
use crate::ring::Ring;
use crate::standing::Standing;
use crate::waiting::Until;

/// Something to do for a node, in its loop.
pub(crate) type Request = Box<dyn FnOnce(&mut Node) + Send>;

/// A running node, for the application to ask and to command from any thread. Clones are the same node.
///
/// Calls wait for the node's loop, which answers between two inputs of the protocol: within microseconds, mostly. Those
/// that wait for something to happen say so. None of them may be made on the loop's own thread.
///
/// When the last clone of a node on a thread of its own ([`Options::start`](crate::Options::start)) is dropped, the node
/// stops at once, as if it had crashed: its sockets are closed and nothing of it stays behind, but the others learn of it
/// only by failing to reach it. [`Handle::shutdown`] says goodbye first.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
}

/// What does not keep a node alive.
#[derive(Clone, Debug)]
pub(crate) struct WeakHandle {
    shared: Weak<Shared>,
}

impl WeakHandle {
    pub(crate) fn upgrade(&self) -> Option<Handle> {
        self.shared.upgrade().map(Handle::new)
    }
}

/// What handles share.
pub(crate) struct Shared {
    identity: Arc<Identity>,
    /// There until this is dropped.
    requests: Option<SyncSender<Request>>,
    wake: Wake,
    ring: Arc<Ring<Arc<Notice>>>,
    standing: Arc<Standing>,
    wish: Arc<Wish>,
    messages: Option<messages::Shared>,
}

/// How the node is to end, if it is. Not a request, because it waits behind none: once wished it is never lost.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    shutdown: AtomicBool,
    abort: AtomicBool,
}

impl Wish {
    pub(crate) fn is_shutdown(&self) -> bool {
        self.shutdown.load(Ordering::Acquire)
    }

    pub(crate) fn is_abort(&self) -> bool {
        self.abort.load(Ordering::Acquire)
    }
}

impl Shared {
    pub(crate) fn new(
        identity: Arc<Identity>,
        requests: SyncSender<Request>,
        wake: Wake,
        (ring, standing, wish): (Arc<Ring<Arc<Notice>>>, Arc<Standing>, Arc<Wish>),
        messages: Option<messages::Shared>,
    ) -> Shared {
        Shared { identity, requests: Some(requests), wake, ring, standing, wish, messages }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The node is to see that nobody holds it.
        self.requests = None;
        (self.wake)();
    }
}

/// Who it is.
impl Handle {
    /// The local member's name.
    pub fn name(&self) -> &str {
        &self.shared.identity.name
    }

    /// The local member's id.
    pub fn id(&self) -> NodeId {
        self.shared.identity.id
    }

    /// The address under which others reach this node.
    pub fn address(&self) -> SocketAddr {
        self.shared.identity.address
    }

    /// The address the sockets are bound to.
    pub fn bound(&self) -> SocketAddr {
        self.shared.identity.bound
    }

    /// Where others are told that this member accepts messages, if it does.
    pub fn endpoint(&self) -> Option<SocketAddr> {
        self.shared.identity.endpoint
    }

    /// The cluster's name.
    pub fn cluster(&self) -> &str {
        &self.shared.identity.cluster
    }

    /// The id that the member called `name` has in this cluster, whether or not there is one.
    pub fn id_of(&self, name: &str) -> NodeId {
        NodeId::of(&self.shared.identity.cluster, name)
    }
}

/// Views, each as it was at one moment between two inputs of the protocol.
impl Handle {
    /// Everyone known: the local member, the dead and the departed included, in no particular order.
    ///
    /// # Errors
    /// The node is no more.
    pub fn members(&self) -> Result<Arc<[MemberInfo]>, Closed> {
        self.ask(|node| node.members())
    }

    /// One member.
    ///
    /// # Errors
    /// The node is no more.
    pub fn member(&self, id: NodeId) -> Result<Option<MemberInfo>, Closed> {
        self.ask(move |node| node.member(id))
    }

    /// The local member.
    ///
    /// # Errors
    /// The node is no more.
    pub fn local(&self) -> Result<MemberInfo, Closed> {
        self.ask(|node| node.local())
    }

    /// How it stands; of a node that is no more, how it stood last. Waits for nothing.
    pub fn status(&self) -> Status {
        self.shared.standing.status()
    }

    /// Local health: 0 is well, up to [`Config::health_max`](swim_proto::Config::health_max).
    ///
    /// # Errors
    /// The node is no more.
    pub fn health(&self) -> Result<u8, Closed> {
        self.ask(|node| node.health())
    }

    /// The counters.
    ///
    /// # Errors
    /// The node is no more.
    pub fn stats(&self) -> Result<Stats, Closed> {
        self.ask(|node| node.stats())
    }

    /// What happens from now on. A receiver that falls behind is told [`Lagged`](crate::EventsError::Lagged); it never
    /// holds up the protocol.
    pub fn events(&self) -> Events {
        Events { listener: self.shared.ring.listen() }
    }

    /// Everyone known now, and what happens from exactly now on: the events replayed over the members give the later
    /// members. This is also the way to begin anew after [`Lagged`](crate::EventsError::Lagged).
    ///
    /// # Errors
    /// The node is no more.
    pub fn follow(&self) -> Result<(Arc<[MemberInfo]>, Events), Closed> {
        self.ask(|node| (node.members(), node.events()))
    }

    /// Waits until some seed let this node in, or some member contacted it: for as long as that takes. What is wrong with each seed is logged at `warn`.
    ///
    /// # Errors
    /// It cannot be any more: the node was superseded or shut down.
    pub fn joined(&self) -> Result<(), RequestError> {
        self.joined_or(None).map(|_| ())
    }

    /// The same, for so long at most. `false`: it has not been let in within that time, and goes on trying.
    ///
    /// # Errors
    /// It cannot be any more: the node was superseded or shut down.
    pub fn joined_within(&self, limit: Duration) -> Result<bool, RequestError> {
        self.joined_or(Some(limit))
    }

    fn joined_or(&self, limit: Option<Duration>) -> Result<bool, RequestError> {
        let settled = |status| matches!(status, Status::Joined | Status::Superseded);
        match self.shared.standing.wait_for(limit, settled)? {
            Some(Status::Superseded) => Err(CommandError::Status(Status::Superseded).into()),
            status => Ok(status.is_some()),
        }
    }
}

/// Commands. Each is done, or refused, before it returns; what follows from it is told by events.
impl Handle {
    /// Joins a cluster by way of any of these seeds, each `host:port`, trying until one lets us in. They replace earlier
    /// seeds at once. Returns when the attempt has begun; [`Handle::joined`] waits for the success of a node that was no
    /// member before. After [`Handle::leave`], it is the way back.
    ///
    /// # Errors
    /// A seed is not `host:port`; there are none, or more than 1,024; or the node is leaving or superseded, or is no more.
    pub fn join<I>(&self, seeds: I) -> Result<(), RequestError>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let seeds = seeds.into_iter().map(|seed| seed.as_ref().parse()).collect::<Result<Vec<SeedName>, _>>()?;
        self.ask(move |node| node.join_by(seeds))?
    }

    /// Departs, and returns when the news has been spread, after
    /// [`Config::leave_timeout`](swim_proto::Config::leave_timeout) at most. The node runs on, outside the cluster.
    ///
    /// # Errors
    /// The node is leaving or has left already, is superseded, or is no more.
    pub fn leave(&self) -> Result<(), RequestError> {
        self.ask(|node| node.leave())??;
        self.shared.standing.wait_for(None, |status| status != Status::Leaving)?;
        Ok(())
    }

    /// Replaces the local member's metadata, at most 512 bytes, and spreads it.
    ///
    /// # Errors
    /// Nothing is changed: it is too long; or the node is leaving or has left, is superseded, or is no more.
    pub fn set_metadata(&self, metadata: impl Into<Bytes>) -> Result<(), RequestError> {
        let metadata = metadata.into();
        self.ask(|node| node.set_metadata(metadata))?
    }

    /// Declares a member departed on its behalf, for everyone. One that is alive contradicts and stays.
    ///
    /// # Errors
    /// The member is not known, or is the local one; or the node is leaving or has left, is superseded, or is no more.
    pub fn force_leave(&self, member: NodeId) -> Result<(), RequestError> {
        self.ask(move |node| node.force_leave(member))?
    }

    /// Says something to every other member, and gives its number: 1, 2, … in this life. Whoever receives it is told
    /// [`Event::Broadcast`](crate::Event::Broadcast), at most once; this node is not. At most
    /// [`PAYLOAD_MAX`](swim_proto::PAYLOAD_MAX) bytes.
    ///
    /// # Errors
    /// It is told to nobody: it is too long; too many of our own wait to be told ([`CommandError::QueueFull`]: try again
    /// later); or the node is leaving or has left, is superseded, or is no more.
    pub fn broadcast(&self, payload: impl Into<Bytes>) -> Result<u64, RequestError> {
        let payload = payload.into();
        self.ask(|node| node.broadcast(payload))?
    }

    /// Says something to one live member, which is told [`Event::Message`](crate::Event::Message). Best effort: it
    /// returns when the message is on its way, and nobody tells whether it arrived; what must arrive is for
    /// [`Handle::send`]. At most
    /// [`PAYLOAD_MAX`](swim_proto::PAYLOAD_MAX) bytes, or, by [`Way::Datagram`], what a datagram holds.
    ///
    /// # Errors
    /// It is told to nobody: it is too long; the member is not known, not live, or the local one; too many wait, or too many
    /// streams are open for messages ([`CommandError::QueueFull`]: try again later); or the node is leaving or has left, is
    /// superseded, or is no more.
    pub fn send_message(&self, to: NodeId, payload: impl Into<Bytes>, by: Way) -> Result<(), RequestError> {
        let payload = payload.into();
        self.ask(move |node| node.send_message(to, payload, by))?
    }

    /// Leaves the cluster, flushes what is still to be written, closes the sockets, and returns when all that is done:
    /// within [`MessagingOptions::drain_timeout`](crate::MessagingOptions::drain_timeout), for messages that are under way,
    /// [`Config::leave_timeout`](swim_proto::Config::leave_timeout), and two seconds. Harmless when the node is shut down
    /// already.
    pub fn shutdown(&self) {
        self.shared.wish.shutdown.store(true, Ordering::Release);
        (self.shared.wake)();
        self.closed();
    }

    /// Closes the sockets without a word to anyone, as a crash would, and returns when that is done. For tests,
    /// demonstrations, and emergencies.
    pub fn abort(&self) {
        self.shared.wish.abort.store(true, Ordering::Release);
        (self.shared.wake)();
        self.closed();
    }

    /// Waits until the node is no more: shut down or aborted by some clone of this handle, or ended by a defect of ours.
    /// [`Handle::status`] tells them apart: after a [`Handle::shutdown`] it is [`Status::Left`], or
    /// [`Status::Superseded`] if it was so before.
    pub fn closed(&self) {
        self.shared.standing.wait_closed(None);
    }

    /// The same, for so long at most. `false`: it still is.
    pub fn closed_within(&self, limit: Duration) -> bool {
        self.shared.standing.wait_closed(Some(limit))
    }
}

/// Reliable messages: acknowledged, in order where wanted, and flow-controlled. `docs/messaging.md` of the repository has
/// the rules, `docs/tokio.md` what to do when.
impl Handle {
    /// Sends a message to a live member, until it is acknowledged or its time is over. (A word that may get lost, and needs
    /// no link, is for [`Handle::send_message`].) Waits for room where the queue to it is full; when it returns, the message is
    /// accepted, and what it returns is its outcome, to be waited for, kept or dropped.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use swim_mio::{Ending, Options, SendOptions};
    ///
    /// let any = "127.0.0.1:0".parse()?;
    /// let web = Options::new(any).with_name("web").start()?;
    /// let db = Options::new(any).with_name("db").with_seeds([web.address().to_string()]).start()?;
    /// db.joined()?;
    ///
    /// let pending = db.send(web.id(), "resize 17", SendOptions::default().until_processed())?;
    /// let message = web.incoming().recv().expect("the node runs");
    /// assert_eq!((message.from, &message.payload[..]), (db.id(), &b"resize 17"[..]));
    /// assert_eq!(pending.wait().ending, Ending::Processed);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The message goes nowhere, and the error says what would be right.
    pub fn send(&self, to: NodeId, payload: impl Into<Bytes>, how: SendOptions) -> Result<Pending, SendError> {
        let (payload, messages) = (payload.into(), self.messages().ok_or(SendError::Off)?);
        loop {
            // Whatever room there is after this is not missed.
            let times = messages.signals.room.times();
            match self.try_send(to, payload.clone(), how) {
                Err(SendError::Refused(Refusal::QueueFull { .. })) => {
                    messages.signals.room.wait(times, Until::within(None));
                }
                sent => return sent,
            }
        }
    }

    /// The same without waiting for room: a full queue is the error
    /// [`Refusal::QueueFull`](crate::Refusal::QueueFull), and
    /// [`MessageEvent::Writable`](crate::MessageEvent::Writable) tells when there is some.
    ///
    /// # Errors
    /// The message goes nowhere, and the error says what would be right.
    pub fn try_send(&self, to: NodeId, payload: impl Into<Bytes>, how: SendOptions) -> Result<Pending, SendError> {
        let payload = payload.into();
        if self.messages().is_none() {
            return Err(SendError::Off);
        }
        let (tell, outcome) = mpsc::sync_channel(1);
        let sent = self.ask(move |node| node.send_telling(to, payload, how, Tell::Other(tell)));
        let id = sent.map_err(|Closed| SendError::Closed)??;
        Ok(Pending::new(id, to, outcome, self.weak()))
    }

    /// Ends a message that is not done, as [`Pending::cancel`] does.
    ///
    /// # Errors
    /// It has had its outcome.
    pub fn cancel(&self, id: MessageId) -> Result<(), UnknownMessage> {
        self.ask(move |node| node.cancel(id)).unwrap_or(Err(UnknownMessage(id)))
    }

    /// Messages that come. All receivers of a node take from one queue.
    pub fn incoming(&self) -> Incoming {
        Incoming { node: self.weak(), messages: self.messages().cloned() }
    }

    /// What happens from now on around messages: room, levels, breakers, links.
    pub fn message_events(&self) -> MessageEvents {
        MessageEvents { listener: self.messages().map(|messages| messages.ring.listen()) }
    }

    /// How things stand with a member, if messages are, or were lately, exchanged with it.
    pub fn peer(&self, id: NodeId) -> Option<PeerView> {
        self.ask(move |node| node.peer(id)).ok()?
    }

    fn weak(&self) -> WeakHandle {
        WeakHandle { shared: Arc::downgrade(&self.shared) }
    }

    fn messages(&self) -> Option<&messages::Shared> {
        self.shared.messages.as_ref()
    }

    pub(crate) fn take(&self) -> Result<Option<Received>, Closed> {
        self.ask(|node| node.take())
    }

    pub(crate) fn take_unacknowledged(&self) -> Result<Option<(Received, Receipt)>, Closed> {
        self.ask(|node| node.take_unacknowledged())
    }

    pub(crate) fn take_many(&self, limit: usize) -> Result<Vec<Received>, Closed> {
        self.ask(move |node| std::iter::from_fn(|| node.take()).take(limit).collect())
    }

    pub(crate) fn acknowledge(&self, receipt: Receipt) -> Result<(), UnknownReceipt> {
        self.ask(move |node| node.acknowledge(receipt)).unwrap_or(Err(UnknownReceipt))
    }
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Handle {
        Handle { shared }
    }

    /// Has something done in the node's loop, and waits for what comes of it.
    fn ask<T: Send + 'static>(&self, request: impl FnOnce(&mut Node) -> T + Send + 'static) -> Result<T, Closed> {
        let (reply, answer) = mpsc::sync_channel(1);
        // A refusal means that nobody waits any more.
        let request: Request = Box::new(move |node| drop(reply.send(request(node))));
        let requests = self.shared.requests.as_ref().ok_or(Closed)?;
        requests.send(request).map_err(|_| Closed)?;
        (self.shared.wake)();
        answer.recv().map_err(|_| Closed)
    }
}
