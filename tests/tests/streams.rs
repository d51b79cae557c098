//! Streams that hold places and say nothing.

use std::net::SocketAddr;
use std::time::Duration;

use swim_proto::wire::{Held, Join, Message, SyncFilter, SyncRoot};
use swim_proto::{Action, Config, Incarnation, Instant, LocalMember, Node, StreamId, StreamInput};
use swim_tests::Cluster;
use swim_tests::craft::{self, Puppet};

const SECOND: Duration = Duration::from_secs(1);

fn host(i: usize) -> SocketAddr {
    SocketAddr::from(([10, 9, 0, i as u8 + 1], 40_000))
}

/// Opens a stream from this address and begins an exchange that differs; `None`: it was refused.
fn begin_sync(cluster: &mut Cluster, from: SocketAddr) -> Option<StreamId> {
    let puppet = Puppet::new(&format!("puppet {from}"), from);
    let stream = cluster.connect_from(from, 0)?;
    let profile = puppet.profile();
    let alive = craft::alive(puppet.id(), Incarnation::first(1), &profile);
    let root = Message::SyncRoot(SyncRoot { source: puppet.id(), root: 1 });
    cluster.say(0, stream, StreamInput::Data(&craft::frame("swim", &[alive, root])));
    Some(stream)
}

/// A newcomer joins by way of node 0.
fn newcomer_is_in(cluster: &mut Cluster) -> bool {
    let newcomer = cluster.start(Config::lan());
    cluster.join(newcomer, &[0]);
    cluster.run_until(2 * SECOND, |cluster| cluster.node(newcomer).live() > 1).is_some()
}

#[test]
fn packets_that_say_nothing_keep_no_exchange_open() {
    let mut cluster = Cluster::new();
    cluster.start(Config::lan());
    let streams: Vec<StreamId> = (0..16).filter_map(|i| begin_sync(&mut cluster, host(i))).collect();
    assert_eq!(streams.len(), 16);
    assert!(!newcomer_is_in(&mut cluster), "as many exchanges as may be are being served");
    let nothing = craft::frame("swim", &[]);
    for _ in 0..5 {
        cluster.run_for(3 * SECOND);
        for &stream in &streams {
            cluster.say(0, stream, StreamInput::Data(&nothing));
        }
    }
    assert!(cluster.node(0).stats().drops.streams_idle >= 16);
    assert!(newcomer_is_in(&mut cluster), "{:?}", cluster.node(0).stats());
}

#[test]
fn no_exchange_lasts_for_ever_however_much_is_said() {
    let mut cluster = Cluster::new();
    cluster.start(Config::lan());
    let streams: Vec<StreamId> = (0..16).filter_map(|i| begin_sync(&mut cluster, host(i))).collect();
    let filter = craft::frame("swim", &[Message::SyncFilter(SyncFilter { buckets: &[0xFF; 32] })]);
    for i in 0..20 {
        // Six times 10 s.
        assert!(i * 3 > 60 || cluster.node(0).stats().streams >= 16, "it was all due: after {} s", i * 3);
        for (held, &stream) in streams.iter().enumerate() {
            let held =
                Held { id: Puppet::new(&format!("{i} {held}"), host(0)).id(), incarnation: Incarnation::first(1) };
            let said = if i == 0 { filter.clone() } else { craft::frame("swim", &[Message::Held(held)]) };
            cluster.say(0, stream, StreamInput::Data(&said));
        }
        cluster.run_for(3 * SECOND);
    }
    cluster.run_for(SECOND);
    assert_eq!(cluster.node(0).stats().drops.streams_idle, 16);
    assert!(newcomer_is_in(&mut cluster));
}

#[test]
fn a_stream_says_at_once_what_it_is_for() {
    let mut cluster = Cluster::new();
    cluster.start(Config::lan());
    let puppet = Puppet::new("puppet", host(0));
    let profile = puppet.profile();
    let alive = craft::alive(puppet.id(), Incarnation::first(1), &profile);
    for said in [craft::frame("swim", &[]), craft::frame("swim", &[alive])] {
        let before = cluster.node(0).stats();
        let stream = cluster.connect_from(host(0), 0).expect("there is room");
        cluster.say(0, stream, StreamInput::Data(&said));
        let after = cluster.node(0).stats();
        assert_eq!((after.drops.streams_broken, after.streams), (before.drops.streams_broken + 1, before.streams));
    }
    assert_eq!(cluster.node(0).live(), 1, "nobody was taken in");
}

#[test]
fn one_host_leaves_room_to_others() {
    let mut cluster = Cluster::new();
    cluster.start(Config::lan());
    // Of 256 streams others may have 192, and of 16 exchanges all; one host half of each.
    let from = |port| SocketAddr::new(host(0).ip(), port);
    let accepted = (1..=200).filter(|&port| begin_sync(&mut cluster, from(port)).is_some()).count();
    let stats = cluster.node(0).stats();
    assert_eq!((accepted, stats.syncs_served), (96, 8));
    assert_eq!(stats.drops.streams_full, 104);
    // The same host by its other name.
    let mapped = "[::ffff:10.9.0.1]:41000".parse().expect("an address");
    assert_eq!(cluster.connect_from(mapped, 0), None);
    assert!(newcomer_is_in(&mut cluster));
    // What has ended holds no share.
    cluster.run_for(11 * SECOND);
    assert!(begin_sync(&mut cluster, from(1)).is_some());
}

#[test]
fn a_join_that_is_served_holds_no_place_while_the_peer_lingers() {
    let mut cluster = Cluster::new();
    cluster.start(Config { syncs_max: 1, ..Config::lan() });
    let puppet = Puppet::new("puppet", host(0));
    let profile = puppet.profile();
    let alive = craft::alive(puppet.id(), Incarnation::first(1), &profile);
    let stream = cluster.connect_from(host(0), 0).expect("there is room");
    let join = Message::Join(Join { source: puppet.id() });
    cluster.say(0, stream, StreamInput::Data(&craft::frame("swim", &[alive, join])));
    assert!(!newcomer_is_in(&mut cluster), "one at a time");
    let end = Message::SyncEnd(swim_proto::wire::SyncEnd { count: 1 });
    cluster.say(0, stream, StreamInput::Data(&craft::frame("swim", &[alive, end])));
    assert!(newcomer_is_in(&mut cluster), "its exchange is over, though the stream is not");
}

#[test]
fn whoever_is_turned_away_stays_away_as_long_as_it_is_told() {
    // Turned away for half a second, which is longer than it would wait.
    let hasty = Config { join_retry_min: Duration::from_millis(10), ..Config::lan() };
    let mut cluster = Cluster::new();
    cluster.start(Config { syncs_max: 1, ..Config::lan() });
    begin_sync(&mut cluster, host(0)).expect("there is room");
    let newcomer = cluster.start(hasty);
    cluster.join(newcomer, &[0]);
    // It asks the seed, and the puppet of which it hears.
    cluster.run_for(Duration::from_millis(490));
    assert_eq!(cluster.node(newcomer).stats().syncs_started, 2);
    cluster.run_for(Duration::from_millis(100));
    assert!(cluster.node(newcomer).stats().syncs_started > 2);
}

/// What a node does with its streams.
#[derive(Debug, Default, PartialEq, Eq)]
struct Done {
    written: usize,
    finished: Vec<StreamId>,
    reset: Vec<StreamId>,
}

fn drain(node: &mut Node) -> Done {
    let (mut buf, mut done) = (Vec::new(), Done::default());
    while let Some(action) = node.poll_action(&mut buf) {
        match action {
            Action::Write { bytes, .. } => done.written += bytes.len(),
            Action::Finish { stream } => done.finished.push(stream),
            Action::Reset { stream } => done.reset.push(stream),
            _ => {}
        }
    }
    done
}

/// A node that has served a join and finished, the stream, and how much it has written there; the joiner has finished too.
fn finished_by_both() -> (Node, StreamId, usize) {
    let at = Instant::from_nanos(1);
    let local = LocalMember::new(SocketAddr::from(([10, 9, 1, 1], 7000)), 1);
    let mut node = Node::new(at, local, Config::lan(), 1).expect("the settings are valid");
    drain(&mut node);
    let puppet = Puppet::new("puppet", host(0));
    let profile = puppet.profile();
    let alive = craft::alive(puppet.id(), Incarnation::first(1), &profile);
    let stream = node.accept_stream(at, host(0)).expect("there is room");
    let join = Message::Join(Join { source: puppet.id() });
    node.handle_stream(at, stream, StreamInput::Data(&craft::frame("swim", &[alive, join])));
    let end = Message::SyncEnd(swim_proto::wire::SyncEnd { count: 1 });
    node.handle_stream(at, stream, StreamInput::Data(&craft::frame("swim", &[alive, end])));
    let done = drain(&mut node);
    assert!(done.written > 0 && done.finished == [stream] && done.reset.is_empty(), "{done:?}");
    node.handle_stream(at, stream, StreamInput::Finished);
    (node, stream, done.written)
}

#[test]
fn a_stream_that_both_have_finished_ends_when_the_socket_has_taken_what_was_written() {
    let (mut node, stream, written) = finished_by_both();
    let at = Instant::from_nanos(2);
    assert_eq!(node.stats().streams, 1, "its peer may read slowly");
    node.handle_stream(at, stream, StreamInput::Written(written - 1));
    assert_eq!(node.stats().streams, 1);
    node.handle_stream(at, stream, StreamInput::Written(1));
    assert_eq!(node.stats().streams, 0);
    assert_eq!(drain(&mut node).reset, [], "in good order");
}

#[test]
fn a_peer_that_finishes_and_never_reads_holds_its_place_and_is_cut_off_in_time() {
    let (mut node, stream, _) = finished_by_both();
    let timeout = node.config().stream_timeout;
    let end = Instant::from_nanos(1) + timeout;
    let cut = std::iter::from_fn(|| {
        let deadline = node.deadline().filter(|deadline| *deadline <= end)?;
        node.handle_timeout(deadline);
        Some((deadline, drain(&mut node).reset))
    });
    assert_eq!(cut.filter(|(_, reset)| reset.contains(&stream)).map(|(at, _)| at).collect::<Vec<_>>(), [end]);
}
