//! What the application sees of a node, and asks of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use swim_driver::messaging::{
    MessageEvent, MessageEventsError, MessageId, Outcome, PeerView, Received, SendError, SendOptions, UnknownMessage,
    UnknownReceipt,
};
use swim_driver::seeds::SeedName;
use swim_driver::{Closed, MemberInfo, RequestError, Stats};
use swim_proto::messaging::Receipt;
use swim_proto::{NodeId, Status, Way};

use super::{Node, Stage};
use crate::events::Events;
use crate::handle::Handle;
use crate::messages::{Messages, Tell};
use crate::ring::Missed;

/// Who it is.
impl Node {
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

    /// Where its sockets are bound.
    pub fn bound(&self) -> SocketAddr {
        self.identity.bound
    }

    /// Where others are told that this member accepts messages, if it does.
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

    /// A handle of it, for other threads. It does not keep the node alive. Its calls wait for the loop: never make them on
    /// the loop's own thread.
    pub fn handle(&self) -> Handle {
        Handle::new(self.shared.clone().expect("only a node on a thread of its own has given that away"))
    }
}

/// Views.
impl Node {
    /// Everyone known: the local member, the dead and the departed included, in no particular order.
    pub fn members(&self) -> Arc<[MemberInfo]> {
        self.runner.members()
    }

    /// One member.
    pub fn member(&self, id: NodeId) -> Option<MemberInfo> {
        self.runner.member(id)
    }

    /// The local member.
    pub fn local(&self) -> MemberInfo {
        self.runner.local()
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        self.runner.node().status()
    }

    /// Local health: 0 is well, up to [`Config::health_max`](swim_proto::Config::health_max).
    pub fn health(&self) -> u8 {
        self.runner.node().health()
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        let mut stats = self.runner.stats(self.net.streams.len(), self.net.ring.listeners());
        stats.messaging = self.net.messages.as_ref().map(Messages::stats);
        stats
    }

    /// A receiver of what happens from now on, for other threads.
    pub fn events(&self) -> Events {
        Events { listener: self.net.ring.listen() }
    }
}

/// Commands. Each is done, or refused, before it returns; what follows from it is told by events. Ask for
/// [`Node::deadline`] anew afterwards. A node that is closed refuses all of them.
impl Node {
    /// Joins a cluster by way of any of these seeds, each `host:port`, trying until one lets us in. They replace earlier
    /// seeds at once.
    ///
    /// # Errors
    /// A seed is not `host:port`; there are none, or more than 1,024; or the node is leaving or superseded, or is closed.
    pub fn join<I>(&mut self, seeds: I) -> Result<(), RequestError>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let seeds = seeds.into_iter().map(|seed| seed.as_ref().parse()).collect::<Result<Vec<SeedName>, _>>()?;
        self.join_by(seeds)
    }

    pub(crate) fn join_by(&mut self, seeds: Vec<SeedName>) -> Result<(), RequestError> {
        self.open()?;
        Ok(self.runner.join(&mut self.net, seeds)?)
    }

    /// Begins to depart; [`Node::status`] is [`Status::Left`] when the news has been spread, after
    /// [`Config::leave_timeout`](swim_proto::Config::leave_timeout) at most. The node runs on, outside the cluster.
    ///
    /// # Errors
    /// The node is leaving or has left already, is superseded, or is closed.
    pub fn leave(&mut self) -> Result<(), RequestError> {
        self.open()?;
        Ok(self.runner.leave(&mut self.net)?)
    }

    /// Replaces the local member's metadata, at most 512 bytes, and spreads it.
    ///
    /// # Errors
    /// Nothing is changed: it is too long; or the node is leaving or has left, is superseded, or is closed.
    pub fn set_metadata(&mut self, metadata: impl Into<Bytes>) -> Result<(), RequestError> {
        self.open()?;
        Ok(self.runner.set_metadata(&mut self.net, metadata.into())?)
    }

    /// Declares a member departed on its behalf, for everyone. One that is alive contradicts and stays.
    ///
    /// # Errors
    /// The member is not known, or is the local one; or the node is leaving or has left, is superseded, or is closed.
    pub fn force_leave(&mut self, member: NodeId) -> Result<(), RequestError> {
        self.open()?;
        Ok(self.runner.force_leave(&mut self.net, member)?)
    }

    /// Says something to every other member, and gives its number: 1, 2, … in this life. Whoever receives it is told
    /// [`Event::Broadcast`](crate::Event::Broadcast), at most once; this node is not. At most
    /// [`PAYLOAD_MAX`](swim_proto::PAYLOAD_MAX) bytes.
    ///
    /// # Errors
    /// It is told to nobody: it is too long; too many of our own wait to be told; or the node is leaving or has left, is
    /// superseded, or is closed.
    pub fn broadcast(&mut self, payload: impl Into<Bytes>) -> Result<u64, RequestError> {
        self.open()?;
        Ok(self.runner.broadcast(&mut self.net, payload.into())?)
    }

    /// Says something to one live member, which is told [`Event::Message`](crate::Event::Message). Best effort: what must
    /// arrive is for [`Node::send`].
    ///
    /// # Errors
    /// It is told to nobody: it is too long; the member is not known, not live, or the local one; too many wait, or too many
    /// streams are open for messages; or the node is leaving or has left, is superseded, or is closed.
    pub fn send_message(&mut self, to: NodeId, payload: impl Into<Bytes>, by: Way) -> Result<(), RequestError> {
        self.open()?;
        Ok(self.runner.send_message(&mut self.net, to, payload.into(), by)?)
    }

    /// Begins to leave the cluster, to flush what is still to be written, and to close. All is done when
    /// [`Node::is_closed`]: within [`MessagingOptions::drain_timeout`](crate::MessagingOptions::drain_timeout), for messages
    /// that are under way, [`Config::leave_timeout`](swim_proto::Config::leave_timeout), and two seconds, if the loop goes on
    /// until then.
    pub fn shut_down(&mut self) {
        if self.stage == Stage::Running && self.runner.is_running() {
            self.runner.shut_down(&mut self.net);
            // Whether there is anything to wait for is seen in a turn.
            self.has_requests = true;
        }
    }

    fn open(&self) -> Result<(), Closed> {
        if self.stage == Stage::Running { Ok(()) } else { Err(Closed) }
    }
}

/// Reliable messages: acknowledged, in order where wanted, and flow-controlled. `docs/messaging.md` of the repository has the
/// rules. What is asked here is done in the node's next turn, which is due at once.
impl Node {
    /// Sends a message to a live member, until it is acknowledged or its time is over; what becomes of it is told by
    /// [`Node::poll_outcome`]. (A word that may get lost, and needs no link, is for [`Node::send_message`].)
    ///
    /// # Errors
    /// The message goes nowhere, and the error says what would be right. A full queue is the error
    /// [`Refusal::QueueFull`](crate::Refusal::QueueFull), and [`MessageEvent::Writable`] tells when there is room.
    pub fn send(&mut self, to: NodeId, payload: impl Into<Bytes>, how: SendOptions) -> Result<MessageId, SendError> {
        self.send_telling(to, payload.into(), how, Tell::Own)
    }

    pub(crate) fn send_telling(
        &mut self,
        to: NodeId,
        payload: Bytes,
        how: SendOptions,
        tell: Tell,
    ) -> Result<MessageId, SendError> {
        self.net.messages.as_mut().ok_or(SendError::Off)?.send(to, payload, how, tell)
    }

    /// What became of a message that was sent by [`Node::send`], the first first. Each has exactly one outcome; while
    /// 65,536 of them are not read, no more is sent.
    pub fn poll_outcome(&mut self) -> Option<Outcome> {
        self.net.messages.as_mut()?.poll_outcome()
    }

    /// Ends a message that is not done.
    ///
    /// # Errors
    /// It has had its outcome.
    pub fn cancel(&mut self, id: MessageId) -> Result<(), UnknownMessage> {
        self.net.messages.as_mut().ok_or(UnknownMessage(id))?.cancel(id)
    }

    /// The next message that came, which is thereby processed. Take as many as there is room for; what is not taken is not
    /// acknowledged as processed, and in time holds its senders.
    pub fn take(&mut self) -> Option<Received> {
        self.net.messages.as_mut()?.take(true).map(|(received, _)| received)
    }

    /// The next message that came, which is processed when [`Node::acknowledge`] is called with the receipt.
    pub fn take_unacknowledged(&mut self) -> Option<(Received, Receipt)> {
        self.net.messages.as_mut()?.take(false)
    }

    /// A message is processed.
    ///
    /// # Errors
    /// Its sender's process has ended meanwhile, and nobody waits for this.
    pub fn acknowledge(&mut self, receipt: Receipt) -> Result<(), UnknownReceipt> {
        self.net.messages.as_mut().ok_or(UnknownReceipt)?.acknowledge(receipt)
    }

    /// What happened around messages, if there is something: room, levels, breakers, links.
    ///
    /// # Errors
    /// Some were lost, because this was not asked for too long; or there will be none any more.
    pub fn poll_message_event(&mut self) -> Result<Option<MessageEvent>, MessageEventsError> {
        let Some(listener) = &mut self.message_events else { return Err(MessageEventsError::Closed) };
        listener.hear(Some(Duration::ZERO)).map_err(|missed| match missed {
            Missed::Lagged(lost) => MessageEventsError::Lagged(lost),
            Missed::Closed => MessageEventsError::Closed,
        })
    }

    /// How things stand with a member, if messages are, or were lately, exchanged with it.
    pub fn peer(&self, id: NodeId) -> Option<PeerView> {
        self.net.messages.as_ref()?.peer(id)
    }
}
