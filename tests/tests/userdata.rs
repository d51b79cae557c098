//! Broadcasts and direct messages (`docs/protocol.md` 12): everybody is told once, whatever the network and liars do.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use swim_proto::wire::{Announce, Broadcast, Message, Pull, SEQUENCE_MAX, UserMessage};
use swim_proto::{CommandError, Config, Incarnation, NodeId, PAYLOAD_MAX, StreamInput, Way};
use swim_tests::cluster::LIFE;
use swim_tests::craft::{self, Puppet};
use swim_tests::network::Fate;
use swim_tests::{Cluster, What};

fn broadcast(cluster: &mut Cluster, node: usize, payload: impl Into<Bytes>) -> Result<u64, CommandError> {
    let payload = payload.into();
    cluster.command(node, |node, now| node.broadcast(now, payload))
}

/// What this node's application was told by broadcast: how often, by origin and number.
fn told(cluster: &Cluster, node: usize) -> BTreeMap<(NodeId, u64), usize> {
    let mut told = BTreeMap::new();
    for event in cluster.told(node).iter().filter(|told| told.what == What::Broadcast) {
        *told.entry((event.id.expect("an origin"), event.sequence)).or_default() += 1;
    }
    told
}

fn message(origin: NodeId, life: u64, sequence: u64, payload: &[u8]) -> Message<'_> {
    Message::Broadcast(Broadcast { origin, life, sequence, payload })
}

/// An address where no node is.
fn elsewhere() -> SocketAddr {
    SocketAddr::from(([10, 9, 9, 9], 7000))
}

#[test]
fn a_broadcast_of_any_length_is_told_to_every_other_member_once() {
    let mut cluster = Cluster::settled(12, &Config::lan());
    let lengths = [0, 1, 256, 257, 600, 5_000, PAYLOAD_MAX];
    for (index, len) in lengths.into_iter().enumerate() {
        let payload: Vec<u8> = (0..len).map(|at| (at * 7 + index) as u8).collect();
        assert_eq!(broadcast(&mut cluster, index, payload.clone()), Ok(1));
        cluster.run_for(Duration::from_secs(5));
        let origin = cluster.id(index);
        for node in (0..12).filter(|&node| node != index) {
            let events: Vec<_> = cluster
                .told(node)
                .iter()
                .filter(|told| told.what == What::Broadcast && told.id == Some(origin))
                .collect();
            assert_eq!(events.len(), 1, "{len} bytes at node {node}");
            assert_eq!((events[0].sequence, &events[0].payload), (1, &payload), "{len} bytes at node {node}");
        }
        assert!(told(&cluster, index).keys().all(|(told, _)| *told != origin), "not to itself");
    }
    cluster.run_for(Duration::from_secs(30));
    for node in 0..12 {
        let stats = cluster.node(node).stats();
        assert_eq!((stats.broadcasts_waiting, stats.broadcast_bytes, stats.pulls), (0, 0, 0), "node {node}");
    }
}

#[test]
fn bursts_through_a_bad_network_are_told_at_most_once_and_mostly_to_all() {
    let mut cluster = Cluster::settled(10, &Config::lan());
    let mut count = 0_u32;
    cluster.network.script(move |_, _, _| {
        count = count.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match count >> 24 {
            0..=50 => Fate::Lost,
            51..=90 => Fate::Twice,
            _ => Fate::Arrives,
        }
    });
    for round in 0..4_u8 {
        for node in 0..3 {
            for at in 0..60_u8 {
                broadcast(&mut cluster, node, vec![round ^ at; 10 + usize::from(at)]).expect("there is room");
            }
        }
        cluster.run_for(Duration::from_secs(20));
    }
    let (mut all, mut missed) = (0, 0);
    for node in 0..10 {
        let told = told(&cluster, node);
        assert!(told.values().all(|&times| times == 1), "node {node}");
        let expected = if node < 3 { 480 } else { 720 };
        (all, missed) = (all + expected, missed + expected - told.len());
    }
    // Gossip promises no more; with a fifth of all datagrams lost, hardly one in a thousand is missed.
    assert!(missed * 200 < all, "{missed} of {all} were not told");
}

#[test]
fn own_broadcasts_are_refused_when_too_many_wait_and_those_that_wait_are_told_in_the_end() {
    let config = Config { broadcasts_max: 100, broadcast_bytes_max: PAYLOAD_MAX as u32, ..Config::lan() };
    let mut cluster = Cluster::settled(3, &config);
    let taken = (0..200).filter(|_| broadcast(&mut cluster, 0, &b"a word"[..]).is_ok()).count();
    assert_eq!(taken, 100);
    assert_eq!(broadcast(&mut cluster, 0, Bytes::new()), Err(CommandError::QueueFull { waiting: 100, max: 100 }));
    assert_eq!(broadcast(&mut cluster, 1, vec![0; PAYLOAD_MAX]), Ok(1));
    let full = CommandError::QueueFull { waiting: PAYLOAD_MAX, max: PAYLOAD_MAX };
    assert_eq!(broadcast(&mut cluster, 1, vec![0; 1]), Err(full));
    let too_long = CommandError::PayloadTooLong { len: PAYLOAD_MAX + 1, max: PAYLOAD_MAX };
    assert_eq!(broadcast(&mut cluster, 2, vec![0; PAYLOAD_MAX + 1]), Err(too_long));
    cluster.run_for(Duration::from_secs(60));
    let (a, b) = (cluster.id(0), cluster.id(1));
    let told = told(&cluster, 2);
    assert_eq!(told.len(), 101);
    assert!((1..=100).all(|sequence| told.get(&(a, sequence)) == Some(&1)) && told.contains_key(&(b, 1)));
    assert_eq!(broadcast(&mut cluster, 0, Bytes::new()), Ok(101));
}

#[test]
fn what_was_said_before_joining_is_told_to_whoever_is_met_first() {
    let mut cluster = Cluster::new();
    for _ in 0..2 {
        cluster.start(Config::lan());
    }
    assert_eq!(broadcast(&mut cluster, 0, &b"early"[..]), Ok(1));
    cluster.run_for(Duration::from_secs(60));
    cluster.join(1, &[0]);
    cluster.run_for(Duration::from_secs(5));
    assert_eq!(told(&cluster, 1).len(), 1);
}

#[test]
fn claims_and_broadcasts_both_get_through_when_each_would_fill_every_datagram() {
    // The longest claims there are, renewed at every other moment, against broadcasts that never end.
    let config = Config { broadcasts_max: 4_096, ..Config::lan() };
    let mut cluster = Cluster::new();
    for at in 0..8_u8 {
        let name = format!("{at}{}", "n".repeat(254));
        let local = swim_proto::LocalMember::new(Cluster::address_of(at.into()), LIFE).with_name(&name);
        cluster.start_as(local.with_metadata(vec![at; 512]), config.clone());
    }
    (1..8).for_each(|node| cluster.join(node, &[0]));
    cluster.run_for(Duration::from_secs(20));
    let mut said = 0;
    for round in 0..100_u8 {
        for node in 0..8 {
            cluster.command(node, |node, now| node.set_metadata(now, vec![round; 512].into())).expect("it fits");
            said += u64::from(node == 0 && broadcast(&mut cluster, node, vec![round; 256]).is_ok());
        }
        cluster.run_for(Duration::from_millis(700));
    }
    cluster.run_for(Duration::from_secs(30));
    for node in 1..8 {
        assert_eq!(told(&cluster, node).len() as u64, said, "node {node}");
        let current = cluster.node(node).members().all(|member| member.metadata == [99; 512]);
        assert!(current, "node {node} has old metadata");
    }
    assert_eq!(said, 100);
}

#[test]
fn an_announced_broadcast_is_fetched_from_another_when_the_first_announcer_is_gone() {
    let mut cluster = Cluster::settled(3, &Config::lan());
    let (a, b) = (cluster.id(0), Cluster::address_of(1));
    // Node 1 has never heard of it, and says that it has; its answer is the end of the stream. Node 0 then says so, too.
    let announce = Message::Announce(Announce { origin: a, life: LIFE, sequence: 1, len: 5_000 });
    let lie = craft::datagram("swim", &[announce]);
    cluster.inject(b, 2, &lie).expect("it is in order");
    cluster.run_for(Duration::from_millis(500));
    let stats = cluster.node(2).stats();
    assert_eq!((stats.pulls_started, stats.pulls_failed, stats.pulls), (1, 1, 0));
    assert_eq!(broadcast(&mut cluster, 0, vec![7; 5_000]), Ok(1));
    cluster.inject(b, 2, &lie).expect("it is in order");
    cluster.run_for(Duration::from_secs(5));
    assert_eq!(told(&cluster, 2), BTreeMap::from([((a, 1), 1)]));
    let stats = cluster.node(2).stats();
    assert_eq!(stats.pulls, 0);
}

#[test]
fn a_forged_number_silences_an_origin_for_one_broadcast_and_not_for_ever() {
    for forged in [1_000, SEQUENCE_MAX - 1, SEQUENCE_MAX] {
        let mut cluster = Cluster::settled(4, &Config::lan());
        let a = cluster.id(0);
        for node in 1..4 {
            let lie = craft::datagram("swim", &[message(a, LIFE, forged, b"never said")]);
            cluster.inject(elsewhere(), node, &lie).expect("it is in order");
        }
        cluster.run_for(Duration::from_secs(10));
        // The first is lost at those who were lied to; the origin learns of it from them.
        broadcast(&mut cluster, 0, &b"lost"[..]).expect("a number is left");
        cluster.run_for(Duration::from_secs(10));
        broadcast(&mut cluster, 0, &b"heard"[..]).expect("a number is left");
        cluster.run_for(Duration::from_secs(10));
        for node in 1..4 {
            let last = cluster.told(node).iter().rfind(|told| told.what == What::Broadcast).expect("it was told");
            assert_eq!(last.payload, b"heard", "node {node} after a forged {forged}");
            assert!(told(&cluster, node).values().all(|&times| times == 1));
        }
        let life = cluster.node(0).local().incarnation.life;
        assert_eq!(life, if forged == SEQUENCE_MAX { LIFE + 1 } else { LIFE }, "{forged}");
    }
}

#[test]
fn a_broadcast_of_a_life_that_its_origin_never_began_is_dropped() {
    let mut cluster = Cluster::settled(3, &Config::lan());
    let a = cluster.id(0);
    for life in [LIFE + 1, Incarnation::ACCUSED_MAX.life, Incarnation::MAX.life] {
        let lie = craft::datagram("swim", &[message(a, life, 1, b"x")]);
        cluster.inject(elsewhere(), 1, &lie).expect("it is in order");
    }
    let nobody = craft::datagram("swim", &[message(NodeId::from_u64(5), 1, 1, b"x")]);
    cluster.inject(elsewhere(), 1, &nobody).expect("it is in order");
    assert_eq!((cluster.node(1).stats().drops.broadcasts_stray), 4);
    assert!(told(&cluster, 1).is_empty());
    assert_eq!(broadcast(&mut cluster, 0, &b"x"[..]), Ok(1));
    cluster.run_for(Duration::from_secs(5));
    assert_eq!(told(&cluster, 1), BTreeMap::from([((a, 1), 1)]));
}

#[test]
fn a_process_that_restarts_begins_at_one_and_its_earlier_broadcasts_are_over() {
    let mut cluster = Cluster::settled(4, &Config::lan());
    let a = cluster.id(0);
    assert_eq!(broadcast(&mut cluster, 0, &b"first life"[..]), Ok(1));
    cluster.run_for(Duration::from_secs(5));
    cluster.crash(0);
    cluster.restart(0);
    cluster.join(0, &[1]);
    cluster.run_for(Duration::from_secs(10));
    assert_eq!(broadcast(&mut cluster, 0, &b"second life"[..]), Ok(1));
    cluster.run_for(Duration::from_secs(5));
    let old = craft::datagram("swim", &[message(a, LIFE, 2, b"late")]);
    for node in 1..4 {
        cluster.inject(elsewhere(), node, &old).expect("it is in order");
        let payloads: Vec<_> = cluster
            .told(node)
            .iter()
            .filter(|told| told.what == What::Broadcast)
            .map(|told| &told.payload[..])
            .collect();
        assert_eq!(payloads, [&b"first life"[..], b"second life"], "node {node}");
        assert_eq!((cluster.node(node).stats().drops.broadcasts_old), 1);
    }
}

#[test]
fn floods_of_invented_origins_numbers_and_announcements_cost_a_bounded_room() {
    let mut cluster = Cluster::settled(3, &Config::lan());
    cluster.check_replays_seldom();
    let (a, b) = (cluster.id(0), Cluster::address_of(1));
    let mut draw = 1_u64;
    let mut next = move || {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        draw >> 11
    };
    let payload = [3; 200];
    for round in 0..20_000_u64 {
        let invented = NodeId::from_u64(next());
        let announce = |origin, sequence| Message::Announce(Announce { origin, life: LIFE, sequence, len: 61_440 });
        let lies = [
            message(invented, LIFE, 1 + next() % 1_000, &payload),
            message(a, LIFE, 1 + round * 3, &payload),
            announce(a, 100_000 + round),
            announce(invented, 1),
        ];
        let from = if round % 2 == 0 { b } else { elsewhere() };
        cluster.inject(from, 2, &craft::datagram("swim", &lies)).expect("it is in order");
    }
    let stats = cluster.node(2).stats();
    let config = Config::lan();
    assert!(stats.broadcasts_waiting <= config.broadcasts_max, "{stats:?}");
    assert!(stats.broadcast_bytes <= config.broadcast_bytes_max, "{stats:?}");
    assert!(stats.pulls <= 256 + 8 && stats.streams <= 16, "{stats:?}");
    assert!(stats.drops.broadcasts_stray >= 40_000 && stats.drops.strangers >= 9_000, "{stats:?}");
    assert!(stats.drops.pulls_full > 5_000 && stats.broadcasts_given_up > 10_000, "{stats:?}");
    // It ends with the liar, and what is true is heard again.
    cluster.run_for(Duration::from_secs(120));
    for word in ["lost", "heard"] {
        broadcast(&mut cluster, 0, word).expect("a number is left");
        cluster.run_for(Duration::from_secs(20));
    }
    let last = cluster.told(2).iter().rfind(|told| told.what == What::Broadcast).expect("it was told");
    assert_eq!(last.payload, b"heard");
    assert!(told(&cluster, 2).values().all(|&times| times == 1));
    let stats = cluster.node(2).stats();
    assert_eq!((stats.broadcasts_waiting, stats.pulls), (0, 0), "{stats:?}");
}

#[test]
fn a_pull_of_nothing_is_answered_by_the_streams_end_and_one_of_something_by_it() {
    let mut cluster = Cluster::settled(3, &Config::lan());
    let a = cluster.id(0);
    let config = Config::lan();
    assert_eq!(broadcast(&mut cluster, 0, vec![9; 1_000]), Ok(1));
    for (sequence, here) in [(1, true), (2, false), (SEQUENCE_MAX, false)] {
        let stream = cluster.connect_from(elsewhere(), 0).expect("there is room");
        let pull = craft::frame("swim", &[Message::Pull(Pull { origin: a, life: LIFE, sequence })]);
        cluster.say(0, stream, StreamInput::Data(&pull));
        let (answer, ended) = cluster.heard(0, stream);
        assert!(ended, "{sequence}");
        let expected = message(a, LIFE, 1, &[9; 1_000]);
        let expected = if here { craft::frame(&config.cluster, &[expected]) } else { Vec::new() };
        assert_eq!(answer, expected, "{sequence}");
    }
}

#[test]
fn a_peer_that_answers_a_pull_with_something_else_is_dropped() {
    let mut cluster = Cluster::settled(2, &Config::lan());
    let a = cluster.id(0);
    let stream = cluster.connect_from(elsewhere(), 1).expect("there is room");
    // Nobody pulled over a stream that others opened.
    let answer = craft::frame("swim", &[message(a, LIFE, 1, b"unasked")]);
    cluster.say(1, stream, StreamInput::Data(&answer));
    assert!(told(&cluster, 1).is_empty());
    assert_eq!((cluster.node(1).stats().drops.streams_broken), 1);
}

#[test]
fn a_message_reaches_the_member_it_is_for_by_either_way() {
    let mut cluster = Cluster::settled(3, &Config::lan());
    let (a, b) = (cluster.id(0), cluster.id(1));
    // The longest that fits a datagram: header, kind and length, two ids, and a length.
    let fits = 1_400 - 11 - 3 - 16 - 2;
    let send = |cluster: &mut Cluster, len: usize, way| {
        let payload = Bytes::from(vec![len as u8; len]);
        cluster.command(0, |node, now| node.send_message(now, b, payload, way))
    };
    for (len, way) in [(0, Way::Datagram), (fits, Way::Datagram), (fits + 1, Way::Auto), (PAYLOAD_MAX, Way::Stream)] {
        assert_eq!(send(&mut cluster, len, way), Ok(()), "{len}");
        cluster.run_for(Duration::from_secs(1));
        let last = cluster.told(1).iter().rfind(|told| told.what == What::Message).expect("it was told");
        assert_eq!((last.id, &last.payload), (Some(a), &vec![len as u8; len]));
    }
    let too_long = |len, max| Err(CommandError::PayloadTooLong { len, max });
    assert_eq!(send(&mut cluster, fits + 1, Way::Datagram), too_long(fits + 1, fits));
    assert_eq!(send(&mut cluster, PAYLOAD_MAX + 1, Way::Auto), too_long(PAYLOAD_MAX + 1, PAYLOAD_MAX));
    let streams = (cluster.node(0).stats().streams) + (cluster.node(1).stats().streams);
    assert_eq!(streams, 0, "each stream ended with its message");
    assert_eq!(cluster.told(2).iter().filter(|told| told.what == What::Message).count(), 0);
}

#[test]
fn a_message_is_refused_where_it_could_not_arrive() {
    let config = Config { streams_max: 8, ..Config::lan() };
    let mut cluster = Cluster::settled(3, &config);
    let [a, b, c] = [0, 1, 2].map(|node| cluster.id(node));
    let send = |cluster: &mut Cluster, from, to, way| {
        cluster.command(from, |node, now| node.send_message(now, to, Bytes::from_static(b"x"), way))
    };
    let stranger = NodeId::from_u64(7);
    assert_eq!(send(&mut cluster, 0, a, Way::Auto), Err(CommandError::Itself));
    assert_eq!(send(&mut cluster, 0, stranger, Way::Auto), Err(CommandError::UnknownMember(stranger)));
    // Streams for messages are a quarter of all.
    let sent: Vec<_> = (0..4).map(|_| send(&mut cluster, 0, b, Way::Stream)).collect();
    let full = Err(CommandError::QueueFull { waiting: 2, max: 2 });
    assert_eq!(sent, [Ok(()), Ok(()), full, full]);
    cluster.crash(2);
    cluster.run_for(Duration::from_secs(60));
    assert_eq!(send(&mut cluster, 0, c, Way::Auto), Err(CommandError::NotLive(c)));
    cluster.leave(0);
    assert!(matches!(send(&mut cluster, 0, b, Way::Auto), Err(CommandError::Status(_))));
    assert!(matches!(broadcast(&mut cluster, 0, "x"), Err(CommandError::Status(_))));
}

#[test]
fn a_message_for_another_or_from_a_stranger_is_dropped_and_counted() {
    let mut cluster = Cluster::settled(2, &Config::lan());
    let (a, b) = (cluster.id(0), cluster.id(1));
    let stranger = Puppet::new("stranger", elsewhere()).id();
    let words = |source, target| Message::UserMessage(UserMessage { source, target, payload: b"x" });
    for (source, target) in [(a, stranger), (stranger, b)] {
        let datagram = craft::datagram("swim", &[words(source, target)]);
        cluster.inject(Cluster::address_of(0), 1, &datagram).expect("it is in order");
        let stream = cluster.connect_from(elsewhere(), 1).expect("there is room");
        cluster.say(1, stream, StreamInput::Data(&craft::frame("swim", &[words(source, target)])));
    }
    let drops = cluster.node(1).stats().drops;
    assert_eq!((drops.misdirected, drops.strangers), (2, 2));
    assert_eq!(cluster.told(1).iter().filter(|told| told.what == What::Message).count(), 0);
}

#[test]
fn a_message_over_a_stream_that_does_not_open_is_counted_as_failed() {
    let mut cluster = Cluster::settled(2, &Config::lan());
    let b = cluster.id(1);
    cluster.crash(1);
    cluster.command(0, |node, now| node.send_message(now, b, Bytes::from_static(b"x"), Way::Stream)).expect("it lives");
    cluster.run_for(Duration::from_secs(15));
    let stats = cluster.node(0).stats();
    assert_eq!((stats.messages_out, stats.messages_failed), (1, 1));
}
