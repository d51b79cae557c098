//! What the application wants: views of the node, and commands. Each command is done with all that follows from it.

use std::sync::Arc;

use bytes::Bytes;
use swim_proto::{CommandError, NodeId, Way};

use super::{Joining, Runner};
use crate::member::MemberInfo;
use crate::outside::Outside;
use crate::seeds::SeedName;
use crate::stats::{DriverStats, Stats};

/// Views.
impl Runner {
    /// Everyone known.
    pub fn members(&self) -> Arc<[MemberInfo]> {
        self.node.members().map(|member| MemberInfo::of(&member, &self.clock)).collect()
    }

    /// One member.
    pub fn member(&self, id: NodeId) -> Option<MemberInfo> {
        self.node.member(id).map(|member| MemberInfo::of(&member, &self.clock))
    }

    /// The local member.
    pub fn local(&self) -> MemberInfo {
        MemberInfo::of(&self.node.local(), &self.clock)
    }

    /// All counters; how many streams and receivers of events there are now, the driver knows.
    pub fn stats(&self, streams: usize, subscribers: usize) -> Stats {
        let driver = DriverStats { streams: streams as u32, subscribers: subscribers as u32, ..self.stats };
        Stats { node: self.node.stats(), driver, messaging: None }
    }

    /// What the system has granted the UDP socket.
    pub fn set_buffers(&mut self, receive_buffer: usize, send_buffer: usize) {
        (self.stats.receive_buffer, self.stats.send_buffer) = (receive_buffer, send_buffer);
    }
}

/// Commands.
impl Runner {
    /// Joins by these seeds, which replace those before.
    ///
    /// # Errors
    /// Those of [`Node::join`](swim_proto::Node::join).
    pub fn join(&mut self, outside: &mut impl Outside, seeds: Vec<SeedName>) -> Result<(), CommandError> {
        self.node.join(self.clock.now(), &self.seeds.next_ids(seeds.len()))?;
        self.seeds.replace(seeds);
        self.joining = Joining::default();
        self.act(outside);
        Ok(())
    }

    /// Departs.
    ///
    /// # Errors
    /// Those of [`Node::leave`](swim_proto::Node::leave).
    pub fn leave(&mut self, outside: &mut impl Outside) -> Result<(), CommandError> {
        let outcome = self.node.leave(self.clock.now());
        self.act(outside);
        outcome
    }

    /// Replaces the local member's metadata.
    ///
    /// # Errors
    /// Those of [`Node::set_metadata`](swim_proto::Node::set_metadata).
    pub fn set_metadata(&mut self, outside: &mut impl Outside, metadata: Bytes) -> Result<(), CommandError> {
        let outcome = self.node.set_metadata(self.clock.now(), metadata);
        self.act(outside);
        outcome
    }

    /// Declares a member departed.
    ///
    /// # Errors
    /// Those of [`Node::force_leave`](swim_proto::Node::force_leave).
    pub fn force_leave(&mut self, outside: &mut impl Outside, member: NodeId) -> Result<(), CommandError> {
        let outcome = self.node.force_leave(self.clock.now(), member);
        self.act(outside);
        outcome
    }

    /// Says something to everybody.
    ///
    /// # Errors
    /// Those of [`Node::broadcast`](swim_proto::Node::broadcast).
    pub fn broadcast(&mut self, outside: &mut impl Outside, payload: Bytes) -> Result<u64, CommandError> {
        let outcome = self.node.broadcast(self.clock.now(), payload);
        self.act(outside);
        outcome
    }

    /// Says something to one member.
    ///
    /// # Errors
    /// Those of [`Node::send_message`](swim_proto::Node::send_message).
    pub fn send_message(
        &mut self,
        outside: &mut impl Outside,
        to: NodeId,
        payload: Bytes,
        by: Way,
    ) -> Result<(), CommandError> {
        let outcome = self.node.send_message(self.clock.now(), to, payload, by);
        self.act(outside);
        outcome
    }
}
