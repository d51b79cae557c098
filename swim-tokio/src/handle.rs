//! The application's side: asks the task that owns the node, and waits for its answers.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use swim_driver::messaging::{MessageId, PeerView, SendError, SendOptions, UnknownMessage};
use swim_driver::seeds::SeedName;
use swim_driver::{Closed, Identity, MemberInfo, Notice, RequestError, Stats};
use swim_proto::{CommandError, NodeId, Status, Way};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::driver::Ends;
use crate::messaging::{Incoming, MessageEvents, Pending, Post};
use crate::notice::Events;
use crate::request::{Reply, Request, Wish};

/// A running node, for the application to ask and to command. Clones are the same node.
///
/// When the last clone is dropped the node stops at once, as if it had crashed: its sockets are closed and nothing of
/// it stays behind, but the others learn of it only by failing to reach it. [`Handle::shutdown`] says goodbye first.
#[derive(Clone, Debug)]
pub struct Handle {
    identity: Arc<Identity>,
    requests: mpsc::Sender<Request>,
    wish: watch::Sender<Wish>,
    status: watch::Receiver<Status>,
    post: Option<Arc<Post>>,
    /// Weak, so that receivers learn of the task's end while handles remain.
    notices: broadcast::WeakSender<Arc<Notice>>,
}

/// Who it is.
impl Handle {
    /// The local member's name.
    pub fn name(&self) -> &str {
        &self.identity.name
    }

    /// The local member's id.
    pub fn id(&self) -> NodeId {
        self.identity.id
    }

    /// The address under which others reach this node.
    pub fn address(&self) -> SocketAddr {
        self.identity.address
    }

    /// The address the sockets are bound to.
    pub fn bound(&self) -> SocketAddr {
        self.identity.bound
    }

    /// Where others are told that this node accepts messages, if it does.
    pub fn endpoint(&self) -> Option<SocketAddr> {
        self.identity.endpoint
    }

    /// The cluster's name.
    pub fn cluster(&self) -> &str {
        &self.identity.cluster
    }

    /// The id that the member called `name` has in this cluster, whether or not there is one.
    pub fn id_of(&self, name: &str) -> NodeId {
        NodeId::of(&self.identity.cluster, name)
    }
}

/// Views, each as it was at one moment between two inputs of the protocol.
impl Handle {
    /// Everyone known: the local member, the dead and the departed included, in no particular order.
    ///
    /// # Errors
    /// The node is no more.
    pub async fn members(&self) -> Result<Arc<[MemberInfo]>, Closed> {
        self.ask(Request::Members).await
    }

    /// One member.
    ///
    /// # Errors
    /// The node is no more.
    pub async fn member(&self, id: NodeId) -> Result<Option<MemberInfo>, Closed> {
        self.ask(|reply| Request::Member(id, reply)).await
    }

    /// The local member.
    ///
    /// # Errors
    /// The node is no more.
    pub async fn local(&self) -> Result<MemberInfo, Closed> {
        self.ask(Request::Local).await
    }

    /// Where the local member stands; after the node's end, where it stood last.
    pub fn status(&self) -> Status {
        *self.status.borrow()
    }

    /// Local health: 0 is well, up to [`Config::health_max`](swim_proto::Config::health_max).
    ///
    /// # Errors
    /// The node is no more.
    pub async fn health(&self) -> Result<u8, Closed> {
        self.ask(Request::Health).await
    }

    /// The counters.
    ///
    /// # Errors
    /// The node is no more.
    pub async fn stats(&self) -> Result<Stats, Closed> {
        let mut stats = self.ask(Request::Stats).await?;
        // Not by the node's task, which does not wait for messages.
        stats.messaging = self.post.as_ref().map(|post| post.stats());
        Ok(stats)
    }

    /// Waits until some seed let this node in, or some member contacted it. Returns at once if that is so already: after
    /// a [`Handle::join`] of a node that is a member already it says nothing about the new seeds (events and
    /// [`Handle::members`] do).
    ///
    /// It waits for as long as that takes: a node whose seeds are all down keeps trying, and the first of a cluster, which
    /// has no seeds, waits for the second. Bound it by a time-out if you can do without the cluster; meanwhile the log
    /// says, at `warn`, what is wrong with each seed.
    ///
    /// # Errors
    /// It cannot be any more: the node was superseded or shut down.
    pub async fn joined(&self) -> Result<(), RequestError> {
        match self.wait_for(|status| matches!(status, Status::Joined | Status::Superseded)).await? {
            Status::Superseded => Err(CommandError::Status(Status::Superseded).into()),
            _ => Ok(()),
        }
    }

    /// What happens from now on. A receiver that falls behind is told [`Lagged`](crate::EventsError::Lagged); it never
    /// holds up the protocol.
    pub fn events(&self) -> Events {
        let receiver = match self.notices.upgrade() {
            Some(notices) => notices.subscribe(),
            // The task has ended: a receiver whose only sender is dropped here is closed from the start.
            None => broadcast::channel(1).1,
        };
        Events { receiver }
    }

    /// Everyone known now, and what happens from exactly now on: the events replayed over the members give the later
    /// members. This is also the way to begin anew after [`Lagged`](crate::EventsError::Lagged).
    ///
    /// # Errors
    /// The node is no more.
    pub async fn follow(&self) -> Result<(Arc<[MemberInfo]>, Events), Closed> {
        self.ask(Request::Follow).await
    }
}

/// Commands. Each is done, or refused, before it returns; what follows from it is told by events.
///
/// Dropping one of these futures before it is done (a time-out, a `select!`) does not take the command back: it may
/// have been done, may still be done, or may never have been asked. Views cost nothing when dropped. So: ask again what
/// is harmless twice ([`join`](Handle::join), [`set_metadata`](Handle::set_metadata), [`shutdown`](Handle::shutdown)),
/// and look at [`status`](Handle::status) after having given up on [`leave`](Handle::leave): a departure that has begun
/// goes on.
impl Handle {
    /// Joins a cluster by way of any of these seeds, each `host:port`, trying until one lets us in. They replace earlier
    /// seeds at once: whoever those had been asked by then is not waited for any more. Returns when the attempt has
    /// begun; [`Handle::joined`] waits for the success of a node that was no member before. After [`Handle::leave`], it
    /// is the way back. A member that joins once more stays one, and merges what the new seeds know.
    ///
    /// # Errors
    /// A seed is not `host:port`; there are none, or more than 1,024; or the node is leaving or superseded, or is no more.
    pub async fn join<I>(&self, seeds: I) -> Result<(), RequestError>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let seeds = seeds.into_iter().map(|seed| seed.as_ref().parse()).collect::<Result<Vec<SeedName>, _>>()?;
        Ok(self.ask(|reply| Request::Join(seeds, reply)).await??)
    }

    /// Departs, and returns when the news has been spread, after
    /// [`Config::leave_timeout`](swim_proto::Config::leave_timeout) at most. The node runs on, outside the cluster.
    /// Whatever else there is to spread is refused from then on, from metadata to messages.
    ///
    /// # Errors
    /// The node is leaving or has left already, is superseded, or is no more.
    pub async fn leave(&self) -> Result<(), RequestError> {
        self.ask(Request::Leave).await??;
        self.wait_for(|status| status != Status::Leaving).await?;
        Ok(())
    }

    /// Replaces the local member's metadata, at most 512 bytes, and spreads it.
    ///
    /// # Errors
    /// Nothing is changed: it is too long; or the node is leaving or has left, is superseded, or is no more.
    pub async fn set_metadata(&self, metadata: impl Into<Bytes>) -> Result<(), RequestError> {
        let metadata = metadata.into();
        Ok(self.ask(|reply| Request::SetMetadata(metadata, reply)).await??)
    }

    /// Declares a member departed on its behalf, for everyone. One that is alive contradicts and stays.
    ///
    /// # Errors
    /// The member is not known, or is the local one; or the node is leaving or has left, is superseded, or is no more.
    pub async fn force_leave(&self, member: NodeId) -> Result<(), RequestError> {
        Ok(self.ask(|reply| Request::ForceLeave(member, reply)).await??)
    }

    /// Says something to every other member, and gives its number: 1, 2, … in this life. Whoever receives it is told
    /// [`Event::Broadcast`](crate::Event::Broadcast), at most once; this node is not. At most
    /// [`PAYLOAD_MAX`](swim_proto::PAYLOAD_MAX) bytes.
    ///
    /// # Errors
    /// It is told to nobody: it is too long; too many of our own wait to be told ([`CommandError::QueueFull`]: try again
    /// later); or the node is leaving or has left, is superseded, or is no more.
    pub async fn broadcast(&self, payload: impl Into<Bytes>) -> Result<u64, RequestError> {
        let payload = payload.into();
        Ok(self.ask(|reply| Request::Broadcast(payload, reply)).await??)
    }

    /// Says something to one live member, which is told [`Event::Message`](crate::Event::Message). Best effort: it
    /// returns when the message is on its way, and nobody tells whether it arrived; what must arrive is for
    /// [`Handle::send`]. At most
    /// [`PAYLOAD_MAX`](swim_proto::PAYLOAD_MAX) bytes, or, by [`Way::Datagram`], what a datagram of
    /// [`Config::datagram_max`](swim_proto::Config::datagram_max) holds.
    ///
    /// # Errors
    /// It is told to nobody: it is too long; the member is not known, not live, or the local one; too many wait, or too many
    /// streams are open for messages ([`CommandError::QueueFull`]: try again later); or the node is leaving or has left, is
    /// superseded, or is no more.
    pub async fn send_message(&self, to: NodeId, payload: impl Into<Bytes>, by: Way) -> Result<(), RequestError> {
        let payload = payload.into();
        Ok(self.ask(|reply| Request::SendMessage(to, payload, by, reply)).await??)
    }

    /// Leaves the cluster, flushes what is still to be written, closes the sockets, and returns when all that is done:
    /// within [`MessagingOptions::drain_timeout`](crate::MessagingOptions::drain_timeout), for messages that are under way,
    /// [`Config::leave_timeout`](swim_proto::Config::leave_timeout), and two seconds. Harmless when the node is shut down
    /// already. Dropped before it is done, but polled once, it is carried out all the same.
    pub async fn shutdown(&self) {
        self.end(Wish::Shutdown).await;
    }

    /// Closes the sockets without a word to anyone, as a crash would, and returns when that is done. For tests,
    /// demonstrations, and emergencies.
    pub async fn abort(&self) {
        self.end(Wish::Abort).await;
    }

    /// Waits until the node is no more: shut down or aborted by some clone of this handle, or ended by a defect of ours.
    /// [`Handle::status`] tells them apart: after a [`Handle::shutdown`] it is [`Status::Left`], or
    /// [`Status::Superseded`] if it was so before.
    pub async fn closed(&self) {
        self.requests.closed().await;
    }
}

/// Reliable messages: acknowledged, in order where wanted, and flow-controlled. `docs/messaging.md` of the repository has
/// the rules, `docs/tokio.md` what to do when.
///
/// Unlike the commands above these do not go by way of the node's task, and may be called from any thread.
impl Handle {
    /// Sends a message to a live member, until it is acknowledged or its time is over. (A word that may get lost, and needs
    /// no link, is for [`Handle::send_message`].) Waits for room where the queue to it is full; when it returns, the message is
    /// accepted, and what it returns is its outcome, to be awaited, kept or dropped. Dropped before it returns, nothing
    /// was sent.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use swim_tokio::{Ending, Options, SendOptions};
    ///
    /// let any = "127.0.0.1:0".parse()?;
    /// let web = Options::new(any).with_name("web").start().await?;
    /// let db = Options::new(any).with_name("db").with_seeds([web.address().to_string()]).start().await?;
    /// db.joined().await?;
    ///
    /// let pending = db.send(web.id(), "resize 17", SendOptions::default().until_processed()).await?;
    /// let message = web.incoming().recv().await.expect("the node runs");
    /// assert_eq!((message.from, &message.payload[..]), (db.id(), &b"resize 17"[..]));
    /// assert_eq!(pending.await.ending, Ending::Processed);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The message goes nowhere, and the error says what would be right.
    pub async fn send(
        &self,
        to: NodeId,
        payload: impl Into<Bytes>,
        options: SendOptions,
    ) -> Result<Pending, SendError> {
        self.post.as_ref().ok_or(SendError::Off)?.send(to, payload.into(), options).await
    }

    /// The same without waiting: a full queue is the error
    /// [`Refusal::QueueFull`](crate::Refusal::QueueFull), and
    /// [`MessageEvent::Writable`](crate::MessageEvent::Writable) tells when there is room.
    ///
    /// # Errors
    /// The message goes nowhere, and the error says what would be right.
    pub fn try_send(&self, to: NodeId, payload: impl Into<Bytes>, options: SendOptions) -> Result<Pending, SendError> {
        self.post.as_ref().ok_or(SendError::Off)?.try_send(to, payload.into(), options)
    }

    /// Ends a message that is not done, as [`Pending::cancel`] does.
    ///
    /// # Errors
    /// It has had its outcome.
    pub fn cancel(&self, id: MessageId) -> Result<(), UnknownMessage> {
        self.post.as_ref().ok_or(UnknownMessage(id))?.cancel(id)
    }

    /// Messages that come. All receivers of a node take from one queue.
    pub fn incoming(&self) -> Incoming {
        Incoming::of(self.post.clone())
    }

    /// What happens from now on around messages: room, levels, breakers, links.
    pub fn message_events(&self) -> MessageEvents {
        self.post.as_ref().map_or_else(MessageEvents::none, |post| post.events())
    }

    /// How things stand with a member, if messages are, or were lately, exchanged with it.
    pub fn peer(&self, id: NodeId) -> Option<PeerView> {
        self.post.as_ref()?.peer(id)
    }
}

impl Handle {
    pub(crate) fn new(identity: Identity, ends: Ends) -> Handle {
        let Ends { requests, wish, notices, status, post } = ends;
        Handle { identity: Arc::new(identity), requests, wish, status, post, notices }
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, Closed> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }

    async fn end(&self, wish: Wish) {
        self.wish.send_if_modified(|wished| std::mem::replace(wished, wish.max(*wished)) < wish);
        self.closed().await;
    }

    async fn wait_for(&self, mut reached: impl FnMut(Status) -> bool) -> Result<Status, Closed> {
        let mut status = self.status.clone();
        let status = status.wait_for(|status| reached(*status)).await.map_err(|_| Closed)?;
        Ok(*status)
    }
}
