//! Reliable messages of either driver behind one face.

use std::time::{Duration, Instant};

use swim_driver::messaging::{
    LinkCounts, MessageEvent, MessageId, MessagingStats, Outcome, PeerView, Received, SendError, SendOptions,
    UnknownMessage,
};
use swim_proto::NodeId;

use crate::node::{Node, PATIENCE, RUNTIME};

/// A message on its way.
#[derive(Debug)]
pub(crate) enum Pending {
    Tokio(swim_tokio::Pending),
    Mio(swim_mio::Pending),
}

/// Receives messages.
#[derive(Clone, Debug)]
pub(crate) enum Incoming {
    Tokio(swim_tokio::Incoming),
    Mio(swim_mio::Incoming),
}

/// A message that waits to be acknowledged.
#[derive(Debug)]
pub(crate) enum Unacknowledged {
    Tokio(swim_tokio::Unacknowledged),
    Mio(swim_mio::Unacknowledged),
}

impl Node {
    pub(crate) fn send(
        &self,
        to: NodeId,
        payload: impl Into<bytes::Bytes>,
        how: SendOptions,
    ) -> Result<Pending, SendError> {
        let payload = payload.into();
        match self {
            Node::Tokio(node) => RUNTIME.block_on(node.send(to, payload, how)).map(Pending::Tokio),
            Node::Mio(node) => node.send(to, payload, how).map(Pending::Mio),
        }
    }

    pub(crate) fn try_send(
        &self,
        to: NodeId,
        payload: impl Into<bytes::Bytes>,
        how: SendOptions,
    ) -> Result<Pending, SendError> {
        let payload = payload.into();
        match self {
            Node::Tokio(node) => node.try_send(to, payload, how).map(Pending::Tokio),
            Node::Mio(node) => node.try_send(to, payload, how).map(Pending::Mio),
        }
    }

    pub(crate) fn cancel(&self, id: MessageId) -> Result<(), UnknownMessage> {
        match self {
            Node::Tokio(node) => node.cancel(id),
            Node::Mio(node) => node.cancel(id),
        }
    }

    pub(crate) fn incoming(&self) -> Incoming {
        match self {
            Node::Tokio(node) => Incoming::Tokio(node.incoming()),
            Node::Mio(node) => Incoming::Mio(node.incoming()),
        }
    }

    pub(crate) fn message_events(&self) -> MessageEvents {
        match self {
            Node::Tokio(node) => MessageEvents::Tokio(node.message_events()),
            Node::Mio(node) => MessageEvents::Mio(node.message_events()),
        }
    }

    pub(crate) fn peer(&self, id: NodeId) -> Option<PeerView> {
        match self {
            Node::Tokio(node) => node.peer(id),
            Node::Mio(node) => node.peer(id),
        }
    }

    pub(crate) fn post(&self) -> (MessagingStats, LinkCounts) {
        self.stats().messaging.expect("it moves messages")
    }
}

impl Pending {
    /// What becomes of it, within the patience.
    pub(crate) fn wait(self) -> Outcome {
        match self {
            Pending::Tokio(pending) => RUNTIME
                .block_on(async { tokio::time::timeout(PATIENCE, pending).await })
                .unwrap_or_else(|_| panic!("no outcome")),
            Pending::Mio(pending) => pending.wait_within(PATIENCE).expect("an outcome"),
        }
    }

    /// What became of it within `limit`, if anything.
    pub(crate) fn wait_within(&mut self, limit: Duration) -> Option<Outcome> {
        match self {
            Pending::Tokio(pending) => RUNTIME.block_on(async { tokio::time::timeout(limit, pending).await }).ok(),
            Pending::Mio(pending) => pending.wait_within(limit),
        }
    }

    pub(crate) fn id(&self) -> MessageId {
        match self {
            Pending::Tokio(pending) => pending.id(),
            Pending::Mio(pending) => pending.id(),
        }
    }

    pub(crate) fn cancel(&self) -> Result<(), UnknownMessage> {
        match self {
            Pending::Tokio(pending) => pending.cancel(),
            Pending::Mio(pending) => pending.cancel(),
        }
    }
}

/// The future's value, within the patience.
fn soon<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(async { tokio::time::timeout(PATIENCE, future).await }).unwrap_or_else(|_| panic!("took for ever"))
}

impl Incoming {
    /// The next message, or that there will be none any more.
    pub(crate) fn recv(&mut self) -> Option<Received> {
        match self {
            Incoming::Tokio(incoming) => soon(incoming.recv()),
            Incoming::Mio(incoming) => match incoming.recv_within(PATIENCE) {
                Ok(received) => Some(received.expect("a message")),
                Err(_) => None,
            },
        }
    }

    /// The next message of a node that runs.
    pub(crate) fn next(&mut self) -> Received {
        self.recv().expect("the node runs")
    }

    /// The next within `limit`.
    pub(crate) fn recv_within(&mut self, limit: Duration) -> Option<Received> {
        match self {
            Incoming::Tokio(incoming) => {
                RUNTIME.block_on(async { tokio::time::timeout(limit, incoming.recv()).await }).ok()?
            }
            Incoming::Mio(incoming) => incoming.recv_within(limit).ok()?,
        }
    }

    pub(crate) fn try_recv(&mut self) -> Option<Received> {
        match self {
            Incoming::Tokio(incoming) => incoming.try_recv(),
            Incoming::Mio(incoming) => incoming.try_recv(),
        }
    }

    pub(crate) fn recv_many(&mut self, buffer: &mut Vec<Received>, limit: usize) -> usize {
        match self {
            Incoming::Tokio(incoming) => soon(incoming.recv_many(buffer, limit)),
            Incoming::Mio(incoming) => incoming.recv_many(buffer, limit),
        }
    }

    pub(crate) fn recv_unacknowledged(&mut self) -> Unacknowledged {
        match self {
            Incoming::Tokio(incoming) => {
                Unacknowledged::Tokio(soon(incoming.recv_unacknowledged()).expect("the node runs"))
            }
            Incoming::Mio(incoming) => Unacknowledged::Mio(incoming.recv_unacknowledged().expect("the node runs")),
        }
    }
}

impl Unacknowledged {
    pub(crate) fn acknowledge(self) -> Received {
        match self {
            Unacknowledged::Tokio(message) => message.acknowledge(),
            Unacknowledged::Mio(message) => message.acknowledge(),
        }
        .expect("its sender lives")
    }
}

/// Receives what happens around messages.
#[derive(Debug)]
pub(crate) enum MessageEvents {
    Tokio(swim_tokio::MessageEvents),
    Mio(swim_mio::MessageEvents),
}

impl MessageEvents {
    fn next(&mut self) -> Option<MessageEvent> {
        match self {
            MessageEvents::Tokio(events) => soon(events.recv()).ok(),
            MessageEvents::Mio(events) => events.recv_within(PATIENCE).ok()?,
        }
    }

    /// Waits for this event.
    pub(crate) fn wait(&mut self, what: &str, event: MessageEvent) {
        let until = Instant::now() + PATIENCE;
        while self.next().expect("there is more to tell") != event {
            assert!(Instant::now() < until, "never told: {what}");
        }
    }

    /// Waits for their end.
    pub(crate) fn end(&mut self) {
        while self.next().is_some() {}
    }
}
