//! How the messages' machine reaches links' tasks, and whoever waits for something.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use swim_driver::messaging::{self as driver, MessageEvent, Outcome};
use swim_driver::runner::EVENTS_MAX;
use swim_proto::NodeId;
use swim_proto::messaging::LinkId;
use tokio::sync::{Notify, broadcast, oneshot};
use tokio::task::AbortHandle;

use super::pipe::Pipe;

/// Links by their names, and those who wait.
pub(super) struct Mail {
    /// Of every link that the machine knows.
    pipes: BTreeMap<LinkId, Arc<Pipe>>,
    /// Those who wait for room in a queue.
    waiting: BTreeMap<NodeId, Arc<Notify>>,
    /// Links that the keeper is to open.
    opens: Vec<Open>,
    events: Option<broadcast::Sender<MessageEvent>>,
}

/// A link that is to be opened.
pub(super) struct Open {
    pub(super) link: LinkId,
    pub(super) to: SocketAddr,
    pub(super) pipe: Arc<Pipe>,
}

impl Mail {
    pub(super) fn new(events_max: usize) -> Mail {
        let events = Some(broadcast::Sender::new(events_max.clamp(1, EVENTS_MAX)));
        Mail { pipes: BTreeMap::new(), waiting: BTreeMap::new(), opens: Vec::new(), events }
    }

    /// Whoever waits for room in the queue to a member waits here.
    pub(super) fn waits(&mut self, to: NodeId) -> Arc<Notify> {
        self.waiting.entry(to).or_default().clone()
    }

    pub(super) fn has_opens(&self) -> bool {
        !self.opens.is_empty()
    }

    pub(super) fn take_opens(&mut self) -> Vec<Open> {
        std::mem::take(&mut self.opens)
    }

    pub(super) fn pipe(&self, link: LinkId) -> Option<Arc<Pipe>> {
        self.pipes.get(&link).cloned()
    }

    pub(super) fn subscribe(&self) -> Option<broadcast::Receiver<MessageEvent>> {
        self.events.as_ref().map(broadcast::Sender::subscribe)
    }
}

impl driver::Mail for Mail {
    type Tell = oneshot::Sender<Outcome>;
    type Guest = AbortHandle;

    fn open(&mut self, link: LinkId, to: SocketAddr) {
        let pipe = Arc::new(Pipe::default());
        self.pipes.insert(link, pipe.clone());
        self.opens.push(Open { link, to, pipe });
    }

    fn accepted(&mut self, link: LinkId) {
        self.pipes.insert(link, Arc::default());
    }

    fn push(&mut self, link: LinkId, header: &[u8], payload: Option<Bytes>) -> bool {
        self.pipes.get(&link).is_none_or(|pipe| pipe.push(header, payload))
    }

    fn close(&mut self, link: LinkId) {
        if let Some(pipe) = self.pipes.remove(&link) {
            pipe.close();
        }
    }

    fn forget(&mut self, link: LinkId) -> bool {
        self.pipes.remove(&link).is_some()
    }

    fn knows(&self, link: LinkId) -> bool {
        self.pipes.contains_key(&link)
    }

    fn links(&self) -> usize {
        self.pipes.len()
    }

    fn outcome(&mut self, tell: oneshot::Sender<Outcome>, outcome: Outcome) {
        // A refusal means that nobody wants to know.
        let _ = tell.send(outcome);
    }

    fn room(&mut self, to: NodeId) {
        if let Some(room) = self.waiting.remove(&to) {
            room.notify_waiters();
        }
    }

    fn event(&mut self, event: MessageEvent) {
        if let Some(events) = &self.events {
            // A refusal means that nobody listens.
            let _ = events.send(event);
        }
    }

    fn end(&mut self) {
        // The machine has closed them all; but should it not have, nobody is to wait for a link without an owner.
        std::mem::take(&mut self.pipes).values().for_each(|pipe| pipe.close());
        self.opens.clear();
        std::mem::take(&mut self.waiting).values().for_each(|room| room.notify_waiters());
        self.events = None;
    }
}
