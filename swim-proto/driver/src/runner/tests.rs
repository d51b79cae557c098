//! A runner with nothing around it but what is told of it here.

use std::collections::VecDeque;
use std::io;

use swim_proto::{Config, Event, LocalMember};

use super::*;

/// What the socket gives next, and then nothing; what it was given, and how often it was asked.
#[derive(Default)]
struct Script {
    received: VecDeque<io::Result<Vec<u8>>>,
    /// Whether errors come without end.
    is_broken: bool,
    receives: usize,
    sent: usize,
    /// What comes of giving the socket a datagram, where that is an error.
    refuses: Option<io::ErrorKind>,
    statuses: Vec<Status>,
    drains: bool,
}

impl Outside for Script {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receives += 1;
        if self.is_broken {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let bytes = self.received.pop_front().unwrap_or(Err(io::ErrorKind::WouldBlock.into()))?;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok((bytes.len(), "127.0.0.1:9".parse().unwrap()))
    }

    fn transmit(&mut self, _: SocketAddr, _: &[u8]) -> io::Result<()> {
        self.sent += 1;
        self.refuses.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn connect(&mut self, _: StreamId, _: SocketAddr) {}

    fn write(&mut self, _: StreamId, _: &[u8]) {}

    fn finish(&mut self, _: StreamId) {}

    fn reset(&mut self, _: StreamId) {}

    fn peer(&self, _: StreamId) -> Option<SocketAddr> {
        None
    }

    fn tell(&mut self, _: &Event<'_>, _: &Node, _: &Clock) {}

    fn standing(&mut self, status: Status) {
        self.statuses.push(status);
    }

    fn life(&mut self, _: u64) {}

    fn drain(&mut self, _: Duration) -> bool {
        self.drains
    }
}

fn runner() -> Runner {
    let bound = "127.0.0.1:7946".parse().unwrap();
    let clock = Clock::start();
    let node = Node::new(clock.now(), LocalMember::new(bound, 1), Config::lan(), 1).unwrap();
    let a_while = Duration::from_secs(10);
    let limits = Limits { connect_timeout: a_while, resolve_timeout: a_while, events_max: 16 };
    Runner::new((node, clock), bound, &limits, Duration::from_millis(1), drop)
}

#[test]
fn a_socket_that_gives_nothing_but_errors_is_left_alone_for_a_while() {
    let (mut runner, mut outside) = (runner(), Script { is_broken: true, ..Script::default() });
    for _ in 0..100 {
        assert!(!runner.take_datagrams(&mut outside), "more of the same is nothing to hurry for");
    }
    assert!(outside.receives < 64, "it was asked {} times", outside.receives);
    assert!(runner.is_deaf() && runner.stats.receive_pauses >= 1);
    let until = runner.deaf_until.unwrap();
    assert!(runner.deadline().is_some_and(|deadline| deadline <= until), "it comes back");

    // Once it is well it is heard again.
    outside.is_broken = false;
    outside.received.push_back(Ok(b"whatever".to_vec()));
    while runner.is_deaf() {
        std::thread::yield_now();
    }
    runner.take_datagrams(&mut outside);
    assert_eq!(runner.node.stats().drops.magic + runner.node.stats().drops.length, 1);
    assert_eq!(runner.deaf_until, None);
}

#[test]
fn errors_between_datagrams_hold_nothing_up() {
    let (mut runner, mut outside) = (runner(), Script::default());
    for _ in 0..30 {
        outside.received.push_back(Err(io::ErrorKind::ConnectionRefused.into()));
        outside.received.push_back(Ok(b"whatever".to_vec()));
    }
    assert!(!runner.take_datagrams(&mut outside));
    assert_eq!((outside.receives, runner.stats.receive_errors, runner.stats.receive_pauses), (61, 30, 0));
}

#[test]
fn a_datagram_that_the_socket_does_not_take_is_dropped_and_counted() {
    use swim_proto::wire::{Message, PacketWriter, Ping};
    use swim_proto::{ClusterHash, NodeId};

    let (mut runner, mut outside) = (runner(), Script::default());
    let mut ping = Vec::new();
    let mut writer = PacketWriter::datagram(&mut ping, ClusterHash::of("swim"), 1_400);
    let (target, source) = (runner.node.local().id, NodeId::of("swim", "somebody"));
    assert!(writer.push(&Message::Ping(Ping { seq: 7, target, source })));
    writer.finish();
    for (refuses, blocked, failed) in
        [(None, 0, 0), (Some(io::ErrorKind::WouldBlock), 1, 0), (Some(io::ErrorKind::PermissionDenied), 1, 1)]
    {
        outside.refuses = refuses;
        let before = outside.sent;
        outside.received.push_back(Ok(ping.clone()));
        runner.take_datagrams(&mut outside);
        assert!(outside.sent > before, "it was answered");
        let stats = runner.stats;
        assert!(stats.sends_blocked >= blocked && stats.sends_failed >= failed, "{stats:?}");
        assert!((stats.sends_blocked > 0) == (blocked > 0) && (stats.sends_failed > 0) == (failed > 0), "{stats:?}");
    }
}

#[test]
fn a_turn_has_its_budget_of_datagrams() {
    let (mut runner, mut outside) = (runner(), Script::default());
    outside.received.extend((0..DATAGRAMS_PER_TURN + 1).map(|_| Ok(b"whatever".to_vec())));
    assert!(runner.take_datagrams(&mut outside));
    assert_eq!(outside.received.len(), 1);
    assert!(!runner.take_datagrams(&mut outside));
    assert_eq!(runner.stats.turns_full, 1);
}

#[test]
fn a_shutdown_drains_then_leaves_then_flushes() {
    let (mut runner, mut outside) = (runner(), Script { drains: true, ..Script::default() });
    runner.shut_down(&mut outside);
    assert!(!runner.is_running() && outside.statuses.is_empty(), "messages first");
    // To wish it again hurries nothing.
    runner.shut_down(&mut outside);
    runner.orphan();
    assert!(outside.statuses.is_empty() && runner.end().is_none());
    runner.drained(&mut outside);
    // It is alone: there is nobody to tell.
    assert_eq!(outside.statuses.last(), Some(&Status::Left));
    runner.pass_time(&mut outside);
    assert_eq!(runner.end(), Some(End::Flush));
}

#[test]
fn a_drain_that_nobody_tells_of_ends_all_the_same() {
    let (mut runner, mut outside) = (runner(), Script { drains: true, ..Script::default() });
    runner.shut_down(&mut outside);
    while runner.end().is_none() {
        runner.pass_time(&mut outside);
        std::thread::yield_now();
    }
    assert_eq!((runner.end(), outside.statuses.last()), (Some(End::Flush), Some(&Status::Left)));
}

#[test]
fn a_node_that_nobody_holds_stops_unless_it_says_goodbye() {
    let mut one = runner();
    one.orphan();
    assert_eq!(one.end(), Some(End::Reset));
}
