//! The node behind the agent, on either driver. To the agent they are the same.
//!
//! Calls of `swim-mio` wait for its thread, so they are made where waiting holds nothing up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use swim_tokio::{
    Closed, EventsError, MemberInfo, MessageId, NodeId, Notice, Outcome, Received, RequestError, SendError,
    SendOptions, Stats, Status, Way,
};
use tokio::sync::mpsc;

use crate::suggest;

/// What moves bytes and time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Driver {
    /// A task of the agent's own runtime.
    #[default]
    Tokio,
    /// A thread of its own, with a readiness queue.
    Mio,
}

impl Driver {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Driver::Tokio => "tokio",
            Driver::Mio => "mio",
        }
    }

    /// The driver of this name; as an error, what would be right.
    pub(crate) fn parse(text: &str) -> Result<Driver, String> {
        match text.trim() {
            "tokio" => Ok(Driver::Tokio),
            "mio" => Ok(Driver::Mio),
            other => {
                let hint = suggest::did_you_mean(other, ["tokio", "mio"]);
                Err(format!("{other:?} is not a driver; it must be tokio or mio{hint}"))
            }
        }
    }
}

/// A running node.
#[derive(Clone, Debug)]
pub(crate) enum Handle {
    Tokio(swim_tokio::Handle),
    Mio(swim_mio::Handle),
}

/// Asks either driver something that does not wait.
macro_rules! either {
    ($handle:expr, $node:ident => $ask:expr) => {
        match $handle {
            Handle::Tokio($node) => $ask,
            Handle::Mio($node) => $ask,
        }
    };
}

/// Asks either driver something that may wait.
macro_rules! ask {
    ($handle:expr, $node:ident => $ask:expr) => {
        match $handle {
            Handle::Tokio($node) => $ask.await,
            Handle::Mio(node) => {
                let $node = node.clone();
                elsewhere(move || $ask).await
            }
        }
    };
}

/// Does what waits on a thread where that holds nothing up.
async fn elsewhere<T: Send + 'static>(wait: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(wait).await.expect("what waits there does not fail")
}

impl Handle {
    pub(crate) fn driver(&self) -> Driver {
        match self {
            Handle::Tokio(_) => Driver::Tokio,
            Handle::Mio(_) => Driver::Mio,
        }
    }

    pub(crate) fn name(&self) -> &str {
        either!(self, node => node.name())
    }

    pub(crate) fn id(&self) -> NodeId {
        either!(self, node => node.id())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        either!(self, node => node.address())
    }

    pub(crate) fn bound(&self) -> SocketAddr {
        either!(self, node => node.bound())
    }

    pub(crate) fn endpoint(&self) -> Option<SocketAddr> {
        either!(self, node => node.endpoint())
    }

    pub(crate) fn cluster(&self) -> &str {
        either!(self, node => node.cluster())
    }

    pub(crate) fn id_of(&self, name: &str) -> NodeId {
        either!(self, node => node.id_of(name))
    }

    pub(crate) fn status(&self) -> Status {
        either!(self, node => node.status())
    }

    pub(crate) async fn members(&self) -> Result<Arc<[MemberInfo]>, Closed> {
        ask!(self, node => node.members())
    }

    pub(crate) async fn member(&self, id: NodeId) -> Result<Option<MemberInfo>, Closed> {
        ask!(self, node => node.member(id))
    }

    pub(crate) async fn local(&self) -> Result<MemberInfo, Closed> {
        ask!(self, node => node.local())
    }

    pub(crate) async fn stats(&self) -> Result<Stats, Closed> {
        ask!(self, node => node.stats())
    }

    pub(crate) async fn follow(&self) -> Result<(Arc<[MemberInfo]>, Events), Closed> {
        match self {
            Handle::Tokio(node) => node.follow().await.map(|(members, events)| (members, Events::Tokio(events))),
            Handle::Mio(node) => {
                let node = node.clone();
                let (members, events) = elsewhere(move || node.follow()).await?;
                Ok((members, Events::Mio(relay(events))))
            }
        }
    }

    pub(crate) async fn leave(&self) -> Result<(), RequestError> {
        ask!(self, node => node.leave())
    }

    pub(crate) async fn set_metadata(&self, metadata: impl Into<Bytes>) -> Result<(), RequestError> {
        let metadata = metadata.into();
        ask!(self, node => node.set_metadata(metadata))
    }

    pub(crate) async fn force_leave(&self, member: NodeId) -> Result<(), RequestError> {
        ask!(self, node => node.force_leave(member))
    }

    pub(crate) async fn broadcast(&self, payload: impl Into<Bytes>) -> Result<u64, RequestError> {
        let payload = payload.into();
        ask!(self, node => node.broadcast(payload))
    }

    pub(crate) async fn send_message(
        &self,
        to: NodeId,
        payload: impl Into<Bytes>,
        by: Way,
    ) -> Result<(), RequestError> {
        let payload = payload.into();
        ask!(self, node => node.send_message(to, payload, by))
    }

    pub(crate) async fn shutdown(&self) {
        ask!(self, node => node.shutdown());
    }

    #[cfg(test)]
    pub(crate) async fn abort(&self) {
        ask!(self, node => node.abort());
    }

    /// Sends a reliable message; its outcome comes later.
    pub(crate) fn try_send(&self, to: NodeId, payload: String, how: SendOptions) -> Result<Pending, SendError> {
        match self {
            Handle::Tokio(node) => node.try_send(to, payload, how).map(Pending::Tokio),
            // Answered between two inputs of the protocol: too soon for a thread to be asked.
            Handle::Mio(node) => node.try_send(to, payload, how).map(Pending::Mio),
        }
    }

    /// Reliable messages that come.
    pub(crate) fn incoming(&self) -> Incoming {
        match self {
            Handle::Tokio(node) => Incoming::Tokio(node.incoming()),
            Handle::Mio(node) => Incoming::Mio(relay_messages(node.incoming())),
        }
    }

    /// Returns once the node is no more.
    pub(crate) async fn closed(&self) {
        match self {
            Handle::Tokio(node) => node.closed().await,
            Handle::Mio(node) => {
                // Polled anew whenever something else happens: a thread that waits for good would be one more each time.
                while !node.closed_within(Duration::ZERO) {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// A reliable message that was accepted.
#[derive(Debug)]
pub(crate) enum Pending {
    Tokio(swim_tokio::Pending),
    Mio(swim_mio::Pending),
}

impl Pending {
    /// The message's name.
    pub(crate) fn id(&self) -> MessageId {
        match self {
            Pending::Tokio(pending) => pending.id(),
            Pending::Mio(pending) => pending.id(),
        }
    }

    /// What becomes of it.
    pub(crate) async fn outcome(self) -> Outcome {
        match self {
            Pending::Tokio(pending) => pending.await,
            // Asked now and then: a thread that waits for each would be many.
            Pending::Mio(pending) => loop {
                if let Some(outcome) = pending.wait_within(Duration::ZERO) {
                    return outcome;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            },
        }
    }
}

/// Receives reliable messages.
pub(crate) enum Incoming {
    Tokio(swim_tokio::Incoming),
    Mio(mpsc::Receiver<Received>),
}

impl Incoming {
    /// The next message; none, if there will be none any more. Safe to cancel: nothing is lost.
    pub(crate) async fn recv(&mut self) -> Option<Received> {
        match self {
            Incoming::Tokio(incoming) => incoming.recv().await,
            Incoming::Mio(incoming) => incoming.recv().await,
        }
    }
}

/// Passes messages on from a thread that may wait. One is on its way at most: the rest wait at the node, and so in time do
/// their senders.
fn relay_messages(mut incoming: swim_mio::Incoming) -> mpsc::Receiver<Received> {
    let (told, heard) = mpsc::channel(1);
    tokio::task::spawn_blocking(move || {
        while !told.is_closed() {
            match incoming.recv_within(LOOK) {
                Ok(None) => {}
                Ok(Some(message)) => _ = told.blocking_send(message),
                Err(_) => return,
            }
        }
    });
    heard
}

/// Receives notices.
pub(crate) enum Events {
    Tokio(swim_tokio::Events),
    Mio(mpsc::Receiver<Result<Notice, EventsError>>),
}

impl Events {
    /// The next notice. Safe to cancel: nothing is lost.
    pub(crate) async fn recv(&mut self) -> Result<Notice, EventsError> {
        match self {
            Events::Tokio(events) => events.recv().await,
            Events::Mio(events) => events.recv().await.unwrap_or(Err(EventsError::Closed)),
        }
    }
}

/// How often a thread that passes events on looks whether anybody still wants them.
const LOOK: Duration = Duration::from_millis(500);

/// Passes events on from a thread that may wait. One is on its way at most: the rest wait in the node's own ring, as if
/// they were read from here.
fn relay(mut events: swim_mio::Events) -> mpsc::Receiver<Result<Notice, EventsError>> {
    let (told, heard) = mpsc::channel(1);
    tokio::task::spawn_blocking(move || {
        loop {
            let next = match events.recv_within(LOOK) {
                Ok(None) if told.is_closed() => return,
                Ok(None) => continue,
                Ok(Some(notice)) => Ok(notice),
                Err(error) => Err(error),
            };
            let is_last = next == Err(EventsError::Closed);
            if told.blocking_send(next).is_err() || is_last {
                return;
            }
        }
    });
    heard
}

/// Starts a node on tokio or mio, with options that are those of both.
macro_rules! start {
    ($driver:expr, $bind:expr, $options:ident => $change:block) => {
        match $driver {
            $crate::driver::Driver::Tokio => {
                let mut $options = swim_tokio::Options::new($bind);
                $change
                $options.start().await.map($crate::driver::Handle::Tokio)
            }
            $crate::driver::Driver::Mio => {
                let mut $options = swim_mio::Options::new($bind);
                $change
                $options.start().map($crate::driver::Handle::Mio)
            }
        }
    };
}
pub(crate) use start;
