//! What the application wants: views of the node, answered between two inputs, and commands.

use std::sync::Arc;

use swim_proto::{CommandError, Instant};
use tokio::sync::mpsc::error::TryRecvError;

use super::joining::Joining;
use super::{DRAIN_GRACE, Driver, LEAVE_GRACE, Phase};
use crate::member::MemberInfo;
use crate::notice::Events;
use crate::request::{Reply, Request};
use crate::seeds::SeedName;
use crate::stats::{DriverStats, Stats};

/// Requests answered in one turn, at most.
const REQUESTS_PER_TURN: usize = 16;

/// A copy of the members, if one was made. Those who ask in one turn share it.
type Copied = Option<Arc<[MemberInfo]>>;

impl Driver {
    /// Answers the one that woke the driver, if one did, and those that wait behind it.
    pub(super) fn take_requests(&mut self, first: Option<Request>) {
        let (mut first, mut copied) = (first, None);
        for _ in 0..REQUESTS_PER_TURN {
            match first.take().map_or_else(|| self.requests.try_recv(), Ok) {
                Ok(request) => self.take_request(request, &mut copied),
                Err(TryRecvError::Empty) => return,
                // Seen here too: while datagrams wait for a node that does not keep up, nothing else wakes the driver.
                Err(TryRecvError::Disconnected) => return self.orphan(),
            }
        }
    }

    /// A reply that cannot be delivered is one that nobody waits for any more.
    fn take_request(&mut self, request: Request, copied: &mut Copied) {
        let now = self.clock.now();
        match request {
            Request::Members(reply) => drop(reply.send(self.members(copied))),
            Request::Member(id, reply) => {
                drop(reply.send(self.node.member(id).map(|member| MemberInfo::of(&member, &self.clock))));
            }
            Request::Local(reply) => drop(reply.send(MemberInfo::of(&self.node.local(), &self.clock))),
            Request::Health(reply) => drop(reply.send(self.node.health())),
            Request::Stats(reply) => drop(reply.send(self.stats())),
            Request::Follow(reply) => {
                let events = Events { receiver: self.notices.subscribe() };
                drop(reply.send((self.members(copied), events)));
            }
            Request::Join(seeds, reply) => {
                let outcome = self.join(seeds);
                self.answer(outcome, reply, copied);
            }
            Request::Leave(reply) => {
                let outcome = self.node.leave(now);
                self.answer(outcome, reply, copied);
            }
            Request::SetMetadata(metadata, reply) => {
                let outcome = self.node.set_metadata(now, metadata);
                self.answer(outcome, reply, copied);
            }
            Request::ForceLeave(member, reply) => {
                let outcome = self.node.force_leave(now, member);
                self.answer(outcome, reply, copied);
            }
            Request::Broadcast(payload, reply) => {
                let outcome = self.node.broadcast(now, payload);
                self.answer(outcome, reply, copied);
            }
            Request::SendMessage(to, payload, by, reply) => {
                let outcome = self.node.send_message(now, to, payload, by);
                self.answer(outcome, reply, copied);
            }
            Request::Shutdown => {
                self.shutdown(now);
                *copied = None;
            }
            Request::Abort => self.phase = Phase::Aborting,
        }
    }

    /// Does what follows from a command, then replies.
    fn answer<T>(
        &mut self,
        outcome: Result<T, CommandError>,
        reply: Reply<Result<T, CommandError>>,
        copied: &mut Copied,
    ) {
        self.act();
        *copied = None;
        let _ = reply.send(outcome);
    }

    fn members(&self, copied: &mut Copied) -> Arc<[MemberInfo]> {
        let copy = || self.node.members().map(|member| MemberInfo::of(&member, &self.clock)).collect();
        copied.get_or_insert_with(copy).clone()
    }

    fn stats(&self) -> Stats {
        let driver = DriverStats {
            streams: self.streams.len() as u32,
            subscribers: self.notices.receiver_count() as u32,
            ..self.stats
        };
        Stats { node: self.node.stats(), driver, messaging: None }
    }

    pub(crate) fn join(&mut self, seeds: Vec<SeedName>) -> Result<(), CommandError> {
        self.node.join(self.clock.now(), &self.seeds.next_ids(seeds.len()))?;
        self.seeds.replace(seeds);
        self.joining = Joining::default();
        self.act();
        Ok(())
    }

    fn shutdown(&mut self, now: Instant) {
        let Some(post) = self.post.as_ref().filter(|_| self.phase == Phase::Running) else { return self.depart(now) };
        // What was accepted still goes out, and is acknowledged, while we are a member.
        post.drain(self.drain_timeout);
        self.phase = Phase::Draining { until: now + self.drain_timeout + DRAIN_GRACE };
    }

    /// Says goodbye.
    pub(super) fn depart(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Running | Phase::Draining { .. }) {
            // A refusal means that it has departed already, or is about to.
            let _ = self.node.leave(now);
            self.phase = Phase::Leaving { until: now + self.node.config().leave_timeout + LEAVE_GRACE };
            self.act();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use swim_proto::{Config, LocalMember, Node, State};
    use tokio::sync::oneshot;

    use super::super::{Ends, Limits};
    use super::*;
    use crate::clock::Clock;
    use crate::sockets::Sockets;

    /// A driver that nobody runs.
    fn driver() -> (Driver, Ends) {
        let sockets = Sockets::bind("127.0.0.1:0".parse().unwrap(), 1 << 16, 1 << 16).unwrap();
        let clock = Clock::start();
        let node = Node::new(clock.now(), LocalMember::new(sockets.bound, 1), Config::lan(), 1).unwrap();
        let a_while = Duration::from_secs(10);
        Driver::new(
            node,
            clock,
            sockets,
            &Limits { connect_timeout: a_while, resolve_timeout: a_while, events_max: 16 },
            None,
        )
    }

    #[tokio::test]
    async fn that_nobody_holds_the_node_any_more_is_seen_in_any_turn() {
        let (mut driver, ends) = driver();
        driver.take_requests(None);
        assert!(driver.phase == Phase::Running);
        drop(ends);
        driver.take_requests(None);
        assert!(driver.phase == Phase::Aborting && driver.is_orphan);
    }

    #[tokio::test]
    async fn the_members_are_as_they_are_after_a_shutdown_in_the_same_turn() {
        let (mut driver, ends) = driver();
        let ((members, before), (follow, after)) = (oneshot::channel(), oneshot::channel());
        for request in [Request::Members(members), Request::Shutdown, Request::Follow(follow)] {
            ends.requests.try_send(request).unwrap();
        }
        driver.take_requests(None);
        assert_eq!(before.await.unwrap()[0].state, State::Alive);
        // It is alone, so its departure is done at once; no event will tell of it whoever follows from here on.
        let (members, mut events) = after.await.unwrap();
        assert_eq!(members[0].state, State::Left);
        assert_eq!(events.try_recv(), Ok(None));
    }
}
