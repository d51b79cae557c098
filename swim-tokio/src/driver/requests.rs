//! What the application wants: views of the node, answered between two inputs, commands, and the end.

use std::sync::Arc;

use swim_driver::MemberInfo;
use swim_driver::runner::REQUESTS_PER_TURN;
use swim_proto::CommandError;
use tokio::sync::mpsc::error::TryRecvError;

use super::Driver;
use crate::notice::Events;
use crate::request::{Reply, Request, Wish};

/// A copy of the members, if one was made. Those who ask in one turn share it.
type Copied = Option<Arc<[MemberInfo]>>;

impl Driver {
    /// Answers the one that woke the driver, if one did, and those that wait behind it; then sees how the node is to end.
    pub(super) fn take_requests(&mut self, first: Option<Request>) {
        let (mut first, mut copied) = (first, None);
        for _ in 0..REQUESTS_PER_TURN {
            match first.take().map_or_else(|| self.requests.try_recv(), Ok) {
                Ok(request) => self.take_request(request, &mut copied),
                Err(TryRecvError::Empty) => break,
                // Seen here too: while datagrams wait for a node that does not keep up, nothing else wakes the driver.
                Err(TryRecvError::Disconnected) => return self.orphan(),
            }
        }
        self.heed_wish();
    }

    pub(super) fn heed_wish(&mut self) {
        let wish = *self.wish.borrow_and_update();
        match wish {
            Wish::None => {}
            Wish::Shutdown => self.runner.shut_down(&mut self.net),
            Wish::Abort => self.runner.abort(),
        }
    }

    /// A reply that cannot be delivered is one that nobody waits for any more.
    fn take_request(&mut self, request: Request, copied: &mut Copied) {
        let Driver { runner, net, .. } = self;
        match request {
            Request::Members(reply) => drop(reply.send(self.members(copied))),
            Request::Member(id, reply) => drop(reply.send(runner.member(id))),
            Request::Local(reply) => drop(reply.send(runner.local())),
            Request::Health(reply) => drop(reply.send(runner.node().health())),
            Request::Stats(reply) => {
                let _ = reply.send(runner.stats(net.streams.len(), net.notices.receiver_count()));
            }
            Request::Follow(reply) => {
                let events = Events { receiver: net.notices.subscribe() };
                drop(reply.send((self.members(copied), events)));
            }
            Request::Join(seeds, reply) => answer(runner.join(net, seeds), reply, copied),
            Request::Leave(reply) => answer(runner.leave(net), reply, copied),
            Request::SetMetadata(metadata, reply) => answer(runner.set_metadata(net, metadata), reply, copied),
            Request::ForceLeave(member, reply) => answer(runner.force_leave(net, member), reply, copied),
            Request::Broadcast(payload, reply) => answer(runner.broadcast(net, payload), reply, copied),
            Request::SendMessage(to, payload, by, reply) => {
                answer(runner.send_message(net, to, payload, by), reply, copied);
            }
        }
    }

    fn members(&self, copied: &mut Copied) -> Arc<[MemberInfo]> {
        copied.get_or_insert_with(|| self.runner.members()).clone()
    }
}

/// What follows from a command is done: the reply, after which a copy of the members is of the past.
fn answer<T>(outcome: Result<T, CommandError>, reply: Reply<Result<T, CommandError>>, copied: &mut Copied) {
    *copied = None;
    let _ = reply.send(outcome);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use swim_driver::runner::REQUESTS_MAX;
    use swim_driver::sockets::Sockets;
    use swim_driver::{Clock, Limits};
    use swim_proto::{Config, LocalMember, Node, State};
    use tokio::net::{TcpListener, UdpSocket};
    use tokio::sync::oneshot;

    use super::super::Ends;
    use super::*;

    /// A driver that nobody runs.
    fn driver() -> (Driver, Ends) {
        let Sockets { udp, tcp, bound } = Sockets::bind("127.0.0.1:0".parse().unwrap(), 1 << 16, 1 << 16).unwrap();
        let sockets = (udp.map(|udp| UdpSocket::from_std(udp).unwrap()), TcpListener::from_std(tcp).unwrap(), bound);
        let clock = Clock::start();
        let node = Node::new(clock.now(), LocalMember::new(bound, 1), Config::lan(), 1).unwrap();
        let a_while = Duration::from_secs(10);
        let limits = Limits { connect_timeout: a_while, resolve_timeout: a_while, events_max: 16 };
        Driver::new((node, clock), sockets, &limits, None)
    }

    #[tokio::test]
    async fn that_nobody_holds_the_node_any_more_is_seen_in_any_turn() {
        let (mut driver, ends) = driver();
        driver.take_requests(None);
        assert!(driver.runner.is_running());
        drop(ends);
        driver.take_requests(None);
        assert!(driver.runner.end().is_some() && driver.is_orphan);
    }

    #[tokio::test]
    async fn the_members_are_as_they_are_after_a_command_in_the_same_turn() {
        let (mut driver, ends) = driver();
        let ((members, before), (leave, left), (follow, after)) =
            (oneshot::channel(), oneshot::channel(), oneshot::channel());
        for request in [Request::Members(members), Request::Leave(leave), Request::Follow(follow)] {
            ends.requests.try_send(request).unwrap();
        }
        driver.take_requests(None);
        assert_eq!(before.await.unwrap()[0].state, State::Alive);
        left.await.unwrap().unwrap();
        // It is alone, so its departure is done at once; no event will tell of it whoever follows from here on.
        let (members, mut events) = after.await.unwrap();
        assert_eq!(members[0].state, State::Left);
        assert_eq!(events.try_recv(), Ok(None));
    }

    #[tokio::test]
    async fn a_shutdown_waits_behind_no_request() {
        let (mut driver, ends) = driver();
        let mut answers = Vec::new();
        for _ in 0..REQUESTS_MAX {
            let (reply, answer) = oneshot::channel();
            ends.requests.try_send(Request::Health(reply)).unwrap();
            answers.push(answer);
        }
        // There is no room for one more request; nor does whoever wishes this wait for an answer.
        ends.wish.send_replace(Wish::Shutdown);
        drop(ends);
        driver.take_requests(None);
        assert!(!driver.runner.is_running());
        driver.runner.orphan();
        assert_eq!(driver.runner.end(), None, "it says goodbye first");
    }
}
