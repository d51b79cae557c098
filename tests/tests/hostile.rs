//! A million well-formed lies, and bent packets under right checksums, into live nodes.

use std::net::SocketAddr;
use std::time::Duration;

use swim_proto::wire::{Join, Message, SyncRoot};
use swim_proto::{Config, Drops, Incarnation, State, StreamInput};
use swim_tests::craft::{self, Puppet};
use swim_tests::liar::Liar;
use swim_tests::{Cluster, What};

const NODES: usize = 5;

fn members(cluster: &Cluster) -> Vec<Puppet> {
    (0..cluster.len()).map(|i| Puppet::new(cluster.name(i), cluster.address(i))).collect()
}

fn small() -> Config {
    Config { members_max: 64, tombstones_max: 48, streams_max: 16, ..Config::lan() }
}

fn dropped(drops: &Drops) -> u64 {
    drops.length + drops.magic + drops.version + drops.foreign + drops.checksum + drops.sealed + drops.malformed
}

/// The liar falls silent: who lives is alive in every view at once, and what was invented is found out.
fn assert_that_the_truth_returns(cluster: &mut Cluster) {
    let alive = cluster.run_until(Duration::from_secs(15), |cluster| {
        (0..NODES).all(|i| (0..NODES).all(|j| cluster.state(i, j) == Some(State::Alive)))
    });
    assert!(alive.is_some(), "{}", cluster.views());
    // Sixty members that never answer make each node doubt itself as much as it can: a period of 9 s for each of them, of
    // whom each is probed within 2n − 1 periods (L2), and the time-out of a suspicion.
    let clean =
        cluster.run_until(Duration::from_secs(1_200), |cluster| (0..NODES).all(|i| cluster.node(i).live() == NODES));
    assert!(clean.is_some(), "{}", cluster.views());
    for i in 0..NODES {
        assert!((0..NODES).all(|j| cluster.state(i, j) == Some(State::Alive)), "{}", cluster.views());
    }
}

#[test]
fn a_million_lies_leave_the_cluster_whole_and_its_memory_bounded() {
    let mut cluster = Cluster::settled(NODES, &small());
    cluster.check_replays_seldom();
    let mut liar = Liar::new(members(&cluster), 7);
    let mut refused = [0; NODES];
    let before: Vec<u64> = (0..NODES).map(|i| dropped(&cluster.node(i).stats().drops)).collect();
    for round in 0..1_000 {
        for _ in 0..1_000 {
            let packet = if liar.random.one_in(3) { liar.bent() } else { liar.datagram() };
            let (from, to) = (liar.address(), liar.random.below(NODES));
            refused[to] += u64::from(cluster.inject(from, to, &packet).is_err());
        }
        cluster.run_for(Duration::from_millis(20));
        if round % 50 == 0 {
            for i in 0..NODES {
                let stats = cluster.node(i).stats();
                assert!(cluster.node(i).members().count() <= 64, "{stats:?}");
                assert!(stats.tombstones <= 48 && stats.streams <= 16, "{stats:?}");
                assert_eq!(cluster.node(i).local().state, State::Alive);
            }
        }
    }
    for i in 0..NODES {
        let stats = cluster.node(i).stats();
        println!("{}: {stats:?}", cluster.name(i));
        assert_eq!(dropped(&stats.drops) - before[i], refused[i], "each refusal is counted once, by its reason");
        for (reason, count) in [
            ("length", stats.drops.length),
            ("foreign", stats.drops.foreign),
            ("checksum", stats.drops.checksum),
            ("malformed", stats.drops.malformed),
            ("members_full", stats.drops.members_full),
            ("misdirected", stats.drops.misdirected),
            ("unmatched", stats.drops.unmatched),
            ("echoes_limited", stats.drops.echoes_limited),
        ] {
            assert!(count > 0, "nothing was dropped for {reason}: {:?}", stats.drops);
        }
    }
    assert_that_the_truth_returns(&mut cluster);
    for i in 0..NODES {
        assert!(cluster.told(i).iter().all(|told| told.what != What::Superseded));
    }
}

#[test]
fn lies_on_streams_break_nothing_but_the_stream() {
    let mut cluster = Cluster::settled(NODES, &small());
    cluster.check_replays_seldom();
    let mut liar = Liar::new(members(&cluster), 8);
    for round in 0..3_000 {
        let to = liar.random.below(NODES);
        let from = SocketAddr::from(([172, 17, 0, (round % 200) as u8 + 1], 40_000));
        let Some(stream) = cluster.connect_from(from, to) else {
            cluster.run_for(Duration::from_secs(11));
            continue;
        };
        let puppet = liar.invent();
        let profile = puppet.profile();
        let hello = craft::alive(puppet.id(), Incarnation::first(1), &profile);
        let first = match liar.random.below(4) {
            0 => craft::frame("swim", &[hello, Message::Join(Join { source: puppet.id() })]),
            1 => craft::frame(
                "swim",
                &[hello, Message::SyncRoot(SyncRoot { source: puppet.id(), root: liar.random.draw() })],
            ),
            2 => liar.random.draw().to_le_bytes().to_vec(),
            _ => Vec::new(),
        };
        cluster.say(to, stream, StreamInput::Data(&first));
        for _ in 0..liar.random.below(4) {
            let packet = if liar.random.one_in(2) { liar.bent() } else { liar.datagram() };
            let len = if liar.random.one_in(8) { liar.random.draw() as u32 } else { packet.len() as u32 };
            let mut frame = len.to_le_bytes().to_vec();
            frame.extend(packet);
            for piece in frame.chunks(1 + liar.random.below(2_000)) {
                cluster.say(to, stream, StreamInput::Data(piece));
            }
        }
        match liar.random.below(3) {
            0 => cluster.say(to, stream, StreamInput::Finished),
            1 => cluster.say(to, stream, StreamInput::Failed),
            _ => {}
        }
        if round % 10 == 0 {
            cluster.run_for(Duration::from_millis(100));
        }
        assert!(cluster.node(to).stats().streams <= 16);
    }
    let broken: u64 = (0..NODES).map(|i| cluster.node(i).stats().drops.streams_broken).sum();
    assert!(broken > 0);
    assert_that_the_truth_returns(&mut cluster);
    // Carriers between the members themselves are kept for a while.
    let besides = |i| cluster.node(i).stats().streams - cluster.node(i).stats().carriers;
    assert!((0..NODES).all(|i| besides(i) <= 2), "idle streams are reset");
}
