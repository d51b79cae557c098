//! Peers of the first release, which speaks version 1 alone, beside nodes of today: what they are sent they take.

#[allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    reason = "a whole decoder, of which the tests use some"
)]
mod frozen_v1;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use frozen_v1::membership::ClusterHash;
use frozen_v1::wire::{FrameReader, decode};
use swim_proto::wire::{Message, Ping};
use swim_proto::{
    Config, ConfigError, DatagramError, Incarnation, Instant, LocalMember, Node, State, StreamInput, VERSIONS,
    Versions, Way,
};
use swim_tests::craft::{self, Puppet};
use swim_tests::network::Fate;
use swim_tests::{Cluster, What};

const SECOND: Duration = Duration::from_secs(1);
const FIRST: Versions = Versions { min: 1, max: 1 };
const SECOND_ONLY: Versions = Versions { min: 2, max: 2 };

fn cluster_hash() -> ClusterHash {
    ClusterHash(swim_proto::ClusterHash::of("swim").0)
}

fn speaking(versions: Versions) -> Config {
    Config { versions, ..Config::lan() }
}

/// What a member of each kind was sent: from whom to whom, and in which version.
type Seen = Rc<RefCell<Vec<(SocketAddr, SocketAddr, u8)>>>;

/// Every datagram passes; those to `old` must be packets that the first release takes.
fn watched(cluster: &mut Cluster, old: SocketAddr) -> Seen {
    let seen = Seen::default();
    let kept = Rc::clone(&seen);
    cluster.network.script(move |from, to, bytes| {
        if to == old {
            let messages = decode(bytes, cluster_hash(), 65_507);
            assert!(messages.is_ok(), "{from} sent a member of the first release {messages:?}");
        }
        kept.borrow_mut().push((from, to, bytes[1]));
        Fate::Arrives
    });
    seen
}

#[test]
fn a_member_of_the_first_release_takes_whatever_it_is_sent_and_others_speak_version_2() {
    let mut cluster = Cluster::new();
    for versions in [VERSIONS, FIRST, VERSIONS, VERSIONS, VERSIONS] {
        cluster.start(speaking(versions));
    }
    let old = 1;
    let address = cluster.address(old);
    let seen = watched(&mut cluster, address);
    for i in 1..5 {
        cluster.join(i, &[0]);
    }
    assert!(cluster.run_until(20 * SECOND, Cluster::is_full).is_some(), "{}", cluster.views());
    // News of every kind: content, a suspicion and its refutation, a death, a departure.
    cluster.command(2, |node, now| node.set_metadata(now, Bytes::from_static(b"new"))).unwrap();
    cluster.pause(3);
    cluster.run_for(4 * SECOND);
    cluster.resume(3);
    cluster.run_for(10 * SECOND);
    seen.borrow_mut().clear();
    cluster.crash(4);
    cluster.run_for(40 * SECOND);
    cluster.leave(2);
    cluster.run_for(10 * SECOND);
    assert_eq!(cluster.times_told(old, What::Died, 4), 1);
    assert_eq!(cluster.times_told(old, What::Left, 2), 1);

    let seen = seen.borrow();
    let (with_old, among_new): (Vec<_>, Vec<_>) =
        seen.iter().copied().partition(|&(from, to, _)| from == address || to == address);
    assert!(with_old.len() > 50 && among_new.len() > 50, "{} and {}", with_old.len(), among_new.len());
    assert!(with_old.iter().all(|&(_, _, version): &(SocketAddr, SocketAddr, u8)| version == 1));
    assert!(among_new.iter().all(|&(_, _, version): &(SocketAddr, SocketAddr, u8)| version == 2));
    assert!(cluster.node(0).stats().packets_downgraded > 0);
    assert_eq!(cluster.node(old).stats().drops.version, 0);
}

#[test]
fn a_message_is_said_in_a_version_that_both_speak() {
    for (ours, theirs, spoken) in [(SECOND_ONLY, SECOND_ONLY, 2), (VERSIONS, FIRST, 1), (VERSIONS, VERSIONS, 2)] {
        let mut cluster = Cluster::new();
        cluster.start(speaking(ours));
        cluster.start(speaking(theirs));
        cluster.join(1, &[0]);
        assert!(cluster.run_until(20 * SECOND, Cluster::is_full).is_some(), "{}", cluster.views());
        cluster.run_for(10 * SECOND);
        let (target, seen) = (cluster.id(1), Seen::default());
        let kept = Rc::clone(&seen);
        cluster.network.script(move |from, to, bytes| {
            kept.borrow_mut().push((from, to, bytes[1]));
            Fate::Arrives
        });
        let payload = Bytes::from_static(b"hello");
        cluster.command(0, |node, now| node.send_message(now, target, payload, Way::Datagram)).unwrap();
        cluster.run_for(SECOND / 100);
        assert_eq!(cluster.told(1).iter().filter(|told| told.what == What::Message).count(), 1);
        assert!(seen.borrow().iter().all(|&(_, _, version)| version == spoken), "{ours:?} {theirs:?}: {seen:?}");
    }
}

#[test]
fn a_newcomer_that_speaks_an_older_version_as_well_is_let_in_where_only_the_newer_is_spoken() {
    let mut cluster = Cluster::new();
    for versions in [SECOND_ONLY, SECOND_ONLY, SECOND_ONLY, VERSIONS] {
        cluster.start(speaking(versions));
    }
    (1..4).for_each(|i| cluster.join(i, &[0]));
    // The second attempt comes after `join_retry_min`, a quarter more at most, and is in the next version.
    let limit = Config::lan().join_retry_min * 5 / 4 + SECOND;
    assert!(cluster.run_until(limit, Cluster::is_full).is_some(), "{}", cluster.views());
    assert!(cluster.node(0).stats().drops.version > 0, "the first attempt was in the lowest version");
}

#[test]
fn a_seed_that_nobody_knows_and_that_speaks_only_the_newer_version_is_met_by_healing() {
    let mut cluster = Cluster::new();
    for versions in [SECOND_ONLY, VERSIONS, VERSIONS] {
        cluster.start(speaking(versions));
    }
    // It could not be reached when others met, and asks nobody itself.
    cluster.cut(&[0], &[1, 2]);
    (1..3).for_each(|i| cluster.join(i, &[0, 3 - i]));
    cluster.run_for(20 * SECOND);
    assert_eq!(cluster.state(1, 2), Some(State::Alive));
    cluster.network.heal();
    // Each tries one of its two seeds at each `heal_interval`, an eighth more at most, and this one in either version.
    let limit = Config::lan().heal_interval * 40;
    assert!(cluster.run_until(limit, Cluster::is_full).is_some(), "{}", cluster.views());
}

#[test]
fn a_stranger_that_pings_is_answered_and_asked_in_the_version_of_its_ping() {
    for version in [1, 2] {
        let mut cluster = Cluster::settled(3, &Config::lan());
        let stranger = Puppet::new("stranger", "10.77.0.99:7000".parse().unwrap());
        cluster.catch(stranger.address);
        let ping = Message::Ping(Ping { seq: 1, target: cluster.id(0), source: stranger.id() });
        let mut packet = craft::datagram("swim", &[ping]);
        packet[1] = version;
        craft::recheck(&mut packet);
        cluster.inject(stranger.address, 0, &packet).expect("it is well-formed");
        // The question comes from a timer (protocol.md 7.3).
        cluster.run_for(SECOND);
        let caught = cluster.caught(stranger.address);
        let has = |of: fn(&Message<'_>) -> bool| {
            caught.iter().any(|datagram| craft::messages("swim", datagram).any(|message| of(&message)))
        };
        assert!(has(|message| matches!(message, Message::Ack(_))), "{caught:?}");
        assert!(has(|message| matches!(message, Message::Ping(_))), "{caught:?}");
        assert!(caught.iter().all(|datagram| datagram[1] == version), "{version}: {caught:?}");
    }
}

#[test]
fn on_a_stream_the_first_release_is_answered_in_its_own_version() {
    let mut cluster = Cluster::settled(3, &Config::lan());
    let from: SocketAddr = "10.77.0.1:7000".parse().unwrap();
    let puppet = Puppet::new("old", from);
    let profile = puppet.profile();
    let id = puppet.id();
    let stream = cluster.connect_from(from, 0).expect("there is room");
    let join = Message::Join(swim_proto::wire::Join { source: id });
    let opening = craft::frame("swim", &[craft::alive(id, Incarnation::first(1), &profile), join]);
    cluster.say(0, stream, StreamInput::Data(&opening));
    let (bytes, _) = cluster.heard(0, stream);
    let mut reader = FrameReader::new();
    reader.push(&bytes);
    let mut alive = 0;
    while let Some(packet) = reader.next().expect("frames") {
        let messages = decode(packet, cluster_hash(), 65_536).expect("the first release takes it");
        alive += messages.filter(|message| matches!(message, frozen_v1::wire::Message::Alive(_))).count();
    }
    assert!(alive >= 4, "what the seed holds of the joiner, and all it holds; {alive}");
}

#[test]
fn what_the_first_release_does_not_know_it_passes_over() {
    let ping = Message::Ping(Ping { seq: 1, target: id("a"), source: id("b") });
    for kind in [9, 12, 14, 15, 29, 200, 255] {
        let mut packet = craft::datagram("swim", &[ping]);
        packet.extend_from_slice(&[kind, 3, 1, 2, 3]);
        packet.extend_from_slice(&craft::datagram("swim", &[ping])[11..]);
        craft::recheck(&mut packet);
        let messages = decode(&packet, cluster_hash(), 1400).expect("the rest is in order");
        assert_eq!(messages.count(), 2);
    }
    let mut packet = craft::datagram("swim", &[ping]);
    packet[1] = 2;
    craft::recheck(&mut packet);
    assert_eq!(decode(&packet, cluster_hash(), 1400).err(), Some(frozen_v1::DatagramError::Version(2)));
}

fn id(name: &str) -> swim_proto::NodeId {
    swim_proto::NodeId::of("swim", name)
}

fn node(versions: Versions) -> Result<Node, ConfigError> {
    let local = LocalMember {
        name: String::from("a"),
        address: "10.77.0.2:7000".parse().unwrap(),
        endpoint: None,
        metadata: Bytes::new(),
        life: 1,
    };
    Node::new(Instant::ZERO, local, speaking(versions), 1)
}

#[test]
fn a_node_speaks_no_version_but_those_it_was_given() {
    let from = "10.77.0.1:7000".parse().unwrap();
    let ping = Message::Ping(Ping { seq: 1, target: id("a"), source: id("b") });
    for versions in [FIRST, SECOND_ONLY, VERSIONS] {
        let mut node = node(versions).unwrap();
        assert_eq!(node.local().versions, versions);
        for version in [1, 2, 3] {
            let mut packet = craft::datagram("swim", &[ping]);
            packet[1] = version;
            craft::recheck(&mut packet);
            let expected = match versions.contain(version) {
                true => Ok(()),
                false => Err(DatagramError::Version(version)),
            };
            assert_eq!(node.handle_datagram(Instant::ZERO, from, &packet), expected, "{versions:?} {version}");
            // A stranger is answered in the version in which it asked.
            let (mut answers, mut buf) = (0, Vec::new());
            while let Some(action) = node.poll_action(&mut buf) {
                if let swim_proto::Action::Transmit { datagram, .. } = action {
                    assert_eq!(datagram[1], version, "{versions:?}");
                    answers += 1;
                }
            }
            assert_eq!(answers, u32::from(expected.is_ok()), "{versions:?} {version}");
        }
    }
    for (min, max) in [(0, 1), (2, 1), (1, 3), (3, 3)] {
        let versions = Versions { min, max };
        assert_eq!(node(versions).err(), Some(ConfigError::Versions(versions)));
    }
}
