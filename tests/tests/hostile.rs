//! A million well-formed lies, and bent packets under right checksums, into live nodes.

use std::net::SocketAddr;
use std::time::Duration;

use swim_proto::wire::{Ack, Ask, Join, Message, Nack, Ping, PingReq, SyncRoot};
use swim_proto::{Config, Drops, Incarnation, NodeId, State, StreamInput};
use swim_tests::cluster::LIFE;
use swim_tests::craft::{self, Puppet};
use swim_tests::{Cluster, What};

const NODES: usize = 5;

/// Splitmix64: the same lies in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

struct Liar {
    random: Random,
    members: Vec<Puppet>,
    invented: u64,
    /// Claims no member to be alive: what is bent afterwards could become the lie left out below.
    spares_members: bool,
}

impl Liar {
    fn new(cluster: &Cluster, seed: u64) -> Liar {
        let members = (0..cluster.len()).map(|i| Puppet::new(cluster.name(i), cluster.address(i))).collect();
        Liar { random: Random(seed), members, invented: 0, spares_members: false }
    }

    fn address(&mut self) -> SocketAddr {
        match self.random.below(4) {
            0 => self.members[self.random.below(NODES)].address,
            _ => {
                let bits = self.random.next().to_le_bytes();
                SocketAddr::from(([172, 16, bits[0], bits[1]], 1 + u16::from(bits[2])))
            }
        }
    }

    fn invent(&mut self) -> Puppet {
        self.invented += 1;
        let mut puppet = Puppet::new(&format!("nobody-{}", self.invented), self.address());
        puppet.metadata = vec![1; self.random.below(513)];
        puppet
    }

    fn incarnation(&mut self) -> Incarnation {
        let around = |value: u64, random: &mut Random| value.saturating_sub(2).saturating_add(random.below(5) as u64);
        let life = match self.random.below(6) {
            0 => 0,
            1 => around(LIFE, &mut self.random),
            2 => around(Incarnation::ACCUSED_MAX.life - 2, &mut self.random),
            3 => self.random.next() >> 2,
            _ => LIFE,
        };
        let refutation = match self.random.below(4) {
            0 => u32::MAX - 1 - self.random.below(3) as u32,
            1 => self.random.next() as u32 & (u32::MAX >> 1),
            _ => self.random.below(4) as u32,
        };
        Incarnation { life, refutation }.min(Incarnation::ACCUSED_MAX)
    }

    fn id(&mut self) -> NodeId {
        if self.random.one_in(3) {
            NodeId::from_u64(self.random.next())
        } else {
            self.members[self.random.below(NODES)].id()
        }
    }

    /// A datagram with up to eight lies.
    ///
    /// Left out is one lie, that a member runs elsewhere with a greater life: it makes its victim stop, by design
    /// (`docs/protocol.md` 7.5), and only authenticated packets could tell it from the truth.
    fn datagram(&mut self) -> Vec<u8> {
        let count = 1 + self.random.below(8);
        let claimed: Vec<(NodeId, Incarnation, Vec<u8>)> = (0..count)
            .map(|_| {
                let puppet = if self.spares_members || self.random.one_in(2) {
                    self.invent()
                } else {
                    self.members[self.random.below(NODES)].clone()
                };
                (puppet.id(), self.incarnation(), puppet.profile())
            })
            .collect();
        let mut messages = Vec::new();
        for (id, incarnation, profile) in &claimed {
            messages.push(self.message(*id, *incarnation, profile));
        }
        craft::datagram(if self.random.one_in(20) { "another" } else { "swim" }, &messages)
    }

    fn message<'a>(&mut self, subject: NodeId, incarnation: Incarnation, profile: &'a [u8]) -> Message<'a> {
        let (id, other, seq) = (self.id(), NodeId::from_u64(self.random.next()), self.random.next() as u32);
        match self.random.below(12) {
            0..=3 => craft::alive(subject, incarnation, profile),
            4 | 5 => craft::suspect(id, incarnation, if self.random.one_in(2) { other } else { self.other_than(id) }),
            6 => craft::dead(id, incarnation, self.other_than(id)),
            7 => craft::left(id, incarnation),
            8 => Message::Ping(Ping { seq, target: id, source: other }),
            9 => Message::Ack(Ack { seq, incarnation }),
            10 => Message::PingReq(PingReq {
                seq,
                source: other,
                target: id,
                address: self.address(),
                budget_ms: self.random.next() as u32,
            }),
            _ if self.random.one_in(2) => Message::Nack(Nack { seq }),
            _ => Message::Ask(Ask { id, incarnation }),
        }
    }

    fn other_than(&mut self, id: NodeId) -> NodeId {
        let member = self.members[self.random.below(NODES)].id();
        if member == id { NodeId::from_u64(id.as_u64() ^ 1) } else { member }
    }

    /// A lie with something wrong about it, and often a checksum that says all is well.
    fn bent(&mut self) -> Vec<u8> {
        self.spares_members = true;
        let mut packet = self.datagram();
        self.spares_members = false;
        match self.random.below(5) {
            0 => packet.truncate(self.random.below(packet.len())),
            1 => packet.extend((0..self.random.below(64)).map(|i| i as u8)),
            2 => packet.resize(70_000, 0),
            _ => {
                for _ in 0..=self.random.below(4) {
                    let at = self.random.below(packet.len());
                    packet[at] ^= 1 << self.random.below(8);
                }
            }
        }
        if !self.random.one_in(10) {
            craft::recheck(&mut packet);
        }
        packet
    }
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
    // Sixty members that never answer make each node doubt itself as much as it can: a period of 9 s for each of them,
    // shared by five nodes, and the time-out of a suspicion.
    let clean =
        cluster.run_until(Duration::from_secs(600), |cluster| (0..NODES).all(|i| cluster.node(i).live() == NODES));
    assert!(clean.is_some(), "{}", cluster.views());
    for i in 0..NODES {
        assert!((0..NODES).all(|j| cluster.state(i, j) == Some(State::Alive)), "{}", cluster.views());
    }
}

#[test]
fn a_million_lies_leave_the_cluster_whole_and_its_memory_bounded() {
    let mut cluster = Cluster::settled(NODES, &small());
    cluster.check_replays_seldom();
    let mut liar = Liar::new(&cluster, 7);
    let mut refused = vec![0; NODES];
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
    let mut liar = Liar::new(&cluster, 8);
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
                &[hello, Message::SyncRoot(SyncRoot { source: puppet.id(), root: liar.random.next() })],
            ),
            2 => liar.random.next().to_le_bytes().to_vec(),
            _ => Vec::new(),
        };
        cluster.say(to, stream, StreamInput::Data(&first));
        for _ in 0..liar.random.below(4) {
            let packet = if liar.random.one_in(2) { liar.bent() } else { liar.datagram() };
            let len = if liar.random.one_in(8) { liar.random.next() as u32 } else { packet.len() as u32 };
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
    assert!((0..NODES).all(|i| cluster.node(i).stats().streams <= 2), "idle streams are reset");
}
