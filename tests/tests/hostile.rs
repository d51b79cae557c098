//! A million well-formed lies, and bent packets under right checksums, into live nodes.

use std::net::SocketAddr;
use std::time::Duration;

use swim_proto::wire::{Join, Message, SyncRoot};
use swim_proto::{Cause, Config, Drops, Incarnation, Member, NodeId, State, Status, StreamInput};
use swim_tests::cluster::LIFE;
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

/// How long a forged Dead or Left can last: until its subject hears of it. Gossip tells it mostly at once, and at the latest
/// the ack of whoever believes it (5.4), each of whom the subject probes within 2n - 1 periods (3.2), which are of 9 s
/// for one that is accused without end (3.10).
const BURIED_MAX: Duration = Duration::from_secs((2 * NODES as u64 - 1) * 9);

/// For how long each time a living member was held dead or departed.
///
/// That such a claim is believed at once (5.5) is what whoever forges it can do (1.9). What it cannot is make others judge
/// so, or last.
fn burials(cluster: &Cluster) -> Vec<Duration> {
    let mut burials = Vec::new();
    for (observer, subject) in (0..NODES).flat_map(|i| (0..NODES).map(move |j| (i, j))) {
        let mut since = None;
        for told in cluster.told(observer).iter().filter(|told| told.id == Some(cluster.id(subject))) {
            if let (What::Died, Some(cause)) = (told.what, told.cause) {
                assert!(matches!(cause, Cause::DeclaredBy { .. }), "{observer} judged so itself: {told:?}");
            }
            let Some(is_live) = told.state.map(State::is_live) else { continue };
            match since {
                None if !is_live => since = Some(told.at),
                Some(at) if is_live => burials.push(told.at - since.take().unwrap_or(at)),
                _ => {}
            }
        }
        assert_eq!(since, None, "{observer} holds {subject} dead:\n{}", cluster.views());
    }
    burials.sort();
    burials
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
    // Few: within the first of these seconds each member goes past the greatest accusation that there is (2.4).
    let burials = burials(&cluster);
    println!("{} burials, the longest {:?}", burials.len(), burials.last());
    assert!(burials.last().is_some_and(|&longest| longest <= BURIED_MAX), "{burials:?}");
}

/// A liar that overhears everything accuses members of what they said last, for a minute, so many times a second.
fn accuse(
    cluster: &mut Cluster,
    seed: u64,
    per_second: u32,
    kinds: &[fn(NodeId, Incarnation, NodeId) -> Message<'static>],
) {
    let mut liar = Liar::new(members(cluster), seed);
    for _ in 0..60 * per_second {
        let (subject, to, from) = (liar.random.below(NODES), liar.random.below(NODES), liar.address());
        let (id, accuser) = (cluster.id(subject), cluster.id((subject + 1) % NODES));
        let lie = kinds[liar.random.below(kinds.len())](id, cluster.node(subject).local().incarnation, accuser);
        cluster.inject(from, to, &craft::datagram("swim", &[lie])).expect("it is well-formed");
        cluster.run_for(Duration::from_secs(1) / per_second);
    }
}

#[test]
fn accusations_without_end_bury_nobody() {
    for per_second in [1, 10, 100] {
        let mut cluster = Cluster::settled(NODES, &small());
        accuse(&mut cluster, 10, per_second, &[craft::suspect]);
        assert_eq!(burials(&cluster), []);
        for i in 0..NODES {
            let Member { incarnation, state, .. } = cluster.node(i).local();
            assert_eq!((state, incarnation.life), (State::Alive, LIFE));
            // Often in vain for the liar, who repeats what has not been heard of yet.
            assert!(incarnation.refutation > 5 + per_second, "it refuted {} times", incarnation.refutation);
        }
        let trusted = cluster.run_until(Duration::from_secs(5), Cluster::is_full);
        assert!(trusted.is_some(), "{}", cluster.views());
    }
}

#[test]
fn forged_deaths_and_departures_last_until_their_subject_hears_of_them() {
    let (mut all, mut last) = (Vec::new(), Duration::ZERO);
    for (seed, per_second) in (0..5).flat_map(|seed| [1, 5, 20].map(|per_second| (seed, per_second))) {
        let mut cluster = Cluster::settled(NODES, &small());
        let departure = |id, incarnation, _| craft::left(id, incarnation);
        accuse(&mut cluster, seed, per_second, &[craft::suspect, craft::dead, departure]);
        // Its health mends with each probe that is acked: 9, 8, 7 s, and so on.
        let back = cluster.run_until(BURIED_MAX, Cluster::is_full);
        last = last.max(back.unwrap_or_else(|| panic!("seed {seed}:\n{}", cluster.views())));
        let burials = burials(&cluster);
        assert!(burials.len() > 20, "the lies are believed");
        assert!(burials.last().is_some_and(|&longest| longest <= BURIED_MAX), "{burials:?}");
        all.extend(burials);
        for i in 0..NODES {
            assert_eq!(cluster.node(i).status(), Status::Joined);
            assert_eq!(cluster.node(i).local().incarnation.life, LIFE);
        }
    }
    all.sort();
    let at = |share: f64| all[(share * (all.len() - 1) as f64) as usize];
    println!(
        "{} burials: p50 {:?}, p99 {:?}, at most {:?}; all back after {last:?}",
        all.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    // Most are over as soon as gossip has told the subject.
    assert!(at(0.5) <= Duration::from_millis(500), "{:?}", at(0.5));
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
    // A death that comes by an exchange is a question, not a verdict (6.7).
    assert_eq!(burials(&cluster), []);
    // Carriers between the members themselves are kept for a while.
    let besides = |i| cluster.node(i).stats().streams - cluster.node(i).stats().carriers;
    assert!((0..NODES).all(|i| besides(i) <= 2), "idle streams are reset");
}
