//! What the world drives in each slot: a [`Node`], or something that stands in for one.
//!
//! Whatever implements [`Driven`] can take a node's place: a node whose inputs or outputs are tampered with (the
//! deliberately broken nodes that show what the judges see), or a liar that never was one.

use std::net::SocketAddr;

use bytes::Bytes;
use swim_proto::{Action, CommandError, DatagramError, Instant, Node, NodeId, SeedId, StreamId, StreamInput, Way};

use crate::observe::View;

/// What the world can do with a machine: [`Node`]'s own inputs and outputs, by the same names.
pub trait Driven: View + Send {
    /// See [`Node::handle_datagram`].
    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Result<(), DatagramError>;
    /// See [`Node::accept_stream`].
    fn accept_stream(&mut self, now: Instant, from: SocketAddr) -> Option<StreamId>;
    /// See [`Node::handle_stream`].
    fn handle_stream(&mut self, now: Instant, stream: StreamId, input: StreamInput<'_>);
    /// See [`Node::handle_resolved`].
    fn handle_resolved(&mut self, now: Instant, seed: SeedId, addresses: &[SocketAddr]);
    /// See [`Node::handle_timeout`].
    fn handle_timeout(&mut self, now: Instant);
    /// See [`Node::report_loss`].
    fn report_loss(&mut self, now: Instant, datagrams: u64);
    /// See [`Node::join`].
    fn join(&mut self, now: Instant, seeds: &[SeedId]) -> Result<(), CommandError>;
    /// See [`Node::leave`].
    fn leave(&mut self, now: Instant) -> Result<(), CommandError>;
    /// See [`Node::set_metadata`].
    fn set_metadata(&mut self, now: Instant, metadata: Bytes) -> Result<(), CommandError>;
    /// See [`Node::force_leave`].
    fn force_leave(&mut self, now: Instant, member: NodeId) -> Result<(), CommandError>;
    /// See [`Node::broadcast`].
    fn broadcast(&mut self, now: Instant, payload: Bytes) -> Result<u64, CommandError>;
    /// See [`Node::send_message`].
    fn send_message(&mut self, now: Instant, to: NodeId, payload: Bytes, by: Way) -> Result<(), CommandError>;
    /// See [`Node::poll_action`].
    fn poll_action<'b>(&mut self, buf: &'b mut Vec<u8>) -> Option<Action<'b>>;
}

impl Driven for Node {
    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Result<(), DatagramError> {
        Node::handle_datagram(self, now, from, datagram)
    }
    fn accept_stream(&mut self, now: Instant, from: SocketAddr) -> Option<StreamId> {
        Node::accept_stream(self, now, from)
    }
    fn handle_stream(&mut self, now: Instant, stream: StreamId, input: StreamInput<'_>) {
        Node::handle_stream(self, now, stream, input);
    }
    fn handle_resolved(&mut self, now: Instant, seed: SeedId, addresses: &[SocketAddr]) {
        Node::handle_resolved(self, now, seed, addresses);
    }
    fn handle_timeout(&mut self, now: Instant) {
        Node::handle_timeout(self, now);
    }
    fn report_loss(&mut self, now: Instant, datagrams: u64) {
        Node::report_loss(self, now, datagrams);
    }
    fn join(&mut self, now: Instant, seeds: &[SeedId]) -> Result<(), CommandError> {
        Node::join(self, now, seeds)
    }
    fn leave(&mut self, now: Instant) -> Result<(), CommandError> {
        Node::leave(self, now)
    }
    fn set_metadata(&mut self, now: Instant, metadata: Bytes) -> Result<(), CommandError> {
        Node::set_metadata(self, now, metadata)
    }
    fn force_leave(&mut self, now: Instant, member: NodeId) -> Result<(), CommandError> {
        Node::force_leave(self, now, member)
    }
    fn broadcast(&mut self, now: Instant, payload: Bytes) -> Result<u64, CommandError> {
        Node::broadcast(self, now, payload)
    }
    fn send_message(&mut self, now: Instant, to: NodeId, payload: Bytes, by: Way) -> Result<(), CommandError> {
        Node::send_message(self, now, to, payload, by)
    }
    fn poll_action<'b>(&mut self, buf: &'b mut Vec<u8>) -> Option<Action<'b>> {
        Node::poll_action(self, buf)
    }
}

/// One slot's machine.
pub enum Machine {
    /// The core's own.
    Node(Box<Node>),
    /// One that stands in for it.
    Custom(Box<dyn Driven>),
}

impl Machine {
    /// What it shows of itself.
    pub fn view(&self) -> &dyn View {
        match self {
            Machine::Node(node) => &**node,
            Machine::Custom(custom) => &**custom,
        }
    }

    /// What drives it.
    pub(crate) fn driven(&mut self) -> &mut dyn Driven {
        match self {
            Machine::Node(node) => &mut **node,
            Machine::Custom(custom) => &mut **custom,
        }
    }

    /// The node itself, if it is one.
    pub fn node(&self) -> Option<&Node> {
        match self {
            Machine::Node(node) => Some(node),
            Machine::Custom(_) => None,
        }
    }
}

impl From<Node> for Machine {
    fn from(node: Node) -> Machine {
        Machine::Node(Box::new(node))
    }
}

/// Makes the machine that takes a new process's place: given the slot, and the node that would be run. The default
/// runs the node.
pub type Maker = Box<dyn FnMut(crate::observe::Slot, Node) -> Machine + Send>;
