//! The application's side on other threads: asks the node's loop, and waits for its answers.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::time::Duration;

use bytes::Bytes;
use swim_driver::seeds::SeedName;
use swim_driver::{Closed, Identity, MemberInfo, Notice, RequestError, Stats};
use swim_proto::{CommandError, NodeId, Status, Way};

use crate::events::Events;
use crate::node::{Node, Wake};
use crate::ring::Ring;
use crate::standing::Standing;

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

/// What handles share.
pub(crate) struct Shared {
    identity: Arc<Identity>,
    /// There until this is dropped.
    requests: Option<SyncSender<Request>>,
    wake: Wake,
    ring: Arc<Ring<Arc<Notice>>>,
    standing: Arc<Standing>,
    wish: Arc<Wish>,
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
    ) -> Shared {
        Shared { identity, requests: Some(requests), wake, ring, standing, wish }
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
    pub fn members(&self) -> Result<Arc<[MemberInfo]>, Closed> {
        self.ask(|node| node.members())
    }

    /// One member.
    pub fn member(&self, id: NodeId) -> Result<Option<MemberInfo>, Closed> {
        self.ask(move |node| node.member(id))
    }

    /// The local member.
    pub fn local(&self) -> Result<MemberInfo, Closed> {
        self.ask(|node| node.local())
    }

    /// How it stands; of a node that is no more, how it stood last. Waits for nothing.
    pub fn status(&self) -> Status {
        self.shared.standing.status()
    }

    /// Local health: 0 is well, up to [`Config::health_max`](swim_proto::Config::health_max).
    pub fn health(&self) -> Result<u8, Closed> {
        self.ask(|node| node.health())
    }

    /// The counters.
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
    pub fn follow(&self) -> Result<(Arc<[MemberInfo]>, Events), Closed> {
        self.ask(|node| (node.members(), node.events()))
    }

    /// Waits until some seed let this node in, or some member contacted it: for as long as that takes. An error when it
    /// cannot be any more, because the node was superseded or shut down. What is wrong with each seed is logged at `warn`.
    pub fn joined(&self) -> Result<(), RequestError> {
        self.joined_or(None).map(|_| ())
    }

    /// The same, for so long at most. `false`: it has not been let in within that time, and goes on trying.
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
    /// Refused without seeds, with more than 1,024, and by a node that is leaving or superseded.
    pub fn join<I>(&self, seeds: I) -> Result<(), RequestError>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let seeds = seeds.into_iter().map(|seed| seed.as_ref().parse()).collect::<Result<Vec<SeedName>, _>>()?;
        self.ask(move |node| node.join_by(seeds))?
    }

    /// Departs, and returns when the news has been spread, after
    /// [`Config::leave_timeout`](swim_proto::Config::leave_timeout) at most. The node runs on, outside the cluster.
    pub fn leave(&self) -> Result<(), RequestError> {
        self.ask(|node| node.leave())??;
        self.shared.standing.wait_for(None, |status| status != Status::Leaving)?;
        Ok(())
    }

    /// Replaces the local member's metadata, at most 512 bytes, and spreads it.
    pub fn set_metadata(&self, metadata: impl Into<Bytes>) -> Result<(), RequestError> {
        let metadata = metadata.into();
        self.ask(|node| node.set_metadata(metadata))?
    }

    /// Declares a member departed on its behalf, for everyone. One that is alive contradicts and stays. Refused of one
    /// that is not known, and of the local member.
    pub fn force_leave(&self, member: NodeId) -> Result<(), RequestError> {
        self.ask(move |node| node.force_leave(member))?
    }

    /// Says something to every other member, and gives its number: 1, 2, … in this life. Whoever receives it is told
    /// [`Event::Broadcast`](crate::Event::Broadcast), at most once; this node is not. At most
    /// [`PAYLOAD_MAX`](swim_proto::PAYLOAD_MAX) bytes.
    ///
    /// [`CommandError::QueueFull`] means that too many of our own wait to be told: try again later.
    pub fn broadcast(&self, payload: impl Into<Bytes>) -> Result<u64, RequestError> {
        let payload = payload.into();
        self.ask(|node| node.broadcast(payload))?
    }

    /// Says something to one live member, which is told [`Event::Message`](crate::Event::Message). Best effort: it
    /// returns when the message is on its way, and nobody tells whether it arrived. At most
    /// [`PAYLOAD_MAX`](swim_proto::PAYLOAD_MAX) bytes, or, by [`Way::Datagram`], what a datagram holds.
    pub fn send_message(&self, to: NodeId, payload: impl Into<Bytes>, by: Way) -> Result<(), RequestError> {
        let payload = payload.into();
        self.ask(move |node| node.send_message(to, payload, by))?
    }

    /// Leaves the cluster, flushes what is still to be written, closes the sockets, and returns when all that is done:
    /// within [`Config::leave_timeout`](swim_proto::Config::leave_timeout) and a second or two. Harmless when the node
    /// is shut down already.
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
