//! A well-informed liar: packets that are in order and not true, and packets that are neither under right checksums.

use std::net::SocketAddr;

use swim_proto::wire::{Ack, Announce, Ask, Broadcast, Message, Nack, Ping, PingReq, SEQUENCE_MAX, UserMessage};
use swim_proto::{Incarnation, NodeId, PAYLOAD_MAX};

use crate::cluster::LIFE;
use crate::craft::{self, Puppet};

/// Splitmix64: the same lies in every run.
pub struct Random(u64);

impl Random {
    /// Any number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// A number less than `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.draw() % n as u64) as usize
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// Knows the members of a cluster and lies about them and about others.
pub struct Liar {
    /// What it leaves to chance.
    pub random: Random,
    members: Vec<Puppet>,
    invented: u64,
    /// Claims no member to be alive: what is bent afterwards could become the lie left out below.
    spares_members: bool,
}

impl Liar {
    /// A liar about these members.
    pub fn new(members: Vec<Puppet>, seed: u64) -> Liar {
        Liar { random: Random(seed), members, invented: 0, spares_members: false }
    }

    /// A member's address, or any other.
    pub fn address(&mut self) -> SocketAddr {
        match self.random.below(4) {
            0 => self.member().address,
            _ => {
                let bits = self.random.draw().to_le_bytes();
                SocketAddr::from(([172, 16, bits[0], bits[1]], 1 + u16::from(bits[2])))
            }
        }
    }

    /// A member that there is not.
    pub fn invent(&mut self) -> Puppet {
        self.invented += 1;
        let mut puppet = Puppet::new(&format!("nobody-{}", self.invented), self.address());
        puppet.metadata = vec![1; self.random.below(513)];
        puppet
    }

    fn member(&mut self) -> &Puppet {
        let i = self.random.below(self.members.len());
        &self.members[i]
    }

    fn incarnation(&mut self) -> Incarnation {
        let around = |value: u64, random: &mut Random| value.saturating_sub(2).saturating_add(random.below(5) as u64);
        let life = match self.random.below(6) {
            0 => 0,
            1 => around(LIFE, &mut self.random),
            2 => around(Incarnation::ACCUSED_MAX.life - 2, &mut self.random),
            3 => self.random.draw() >> 2,
            _ => LIFE,
        };
        let refutation = match self.random.below(4) {
            0 => u32::MAX - 1 - self.random.below(3) as u32,
            1 => self.random.draw() as u32 & (u32::MAX >> 1),
            _ => self.random.below(4) as u32,
        };
        Incarnation { life, refutation }.min(Incarnation::ACCUSED_MAX)
    }

    fn id(&mut self) -> NodeId {
        if self.random.one_in(3) { NodeId::from_u64(self.random.draw()) } else { self.member().id() }
    }

    /// A datagram with up to eight lies.
    ///
    /// Left out is one lie, that a member runs elsewhere with a greater life: it makes its victim stop, by design
    /// (`docs/protocol.md` 7.5), and only authenticated packets could tell it from the truth.
    pub fn datagram(&mut self) -> Vec<u8> {
        let count = 1 + self.random.below(8);
        let claimed: Vec<(NodeId, Incarnation, Vec<u8>)> = (0..count)
            .map(|_| {
                let puppet =
                    if self.spares_members || self.random.one_in(2) { self.invent() } else { self.member().clone() };
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
        let (id, other, seq) = (self.id(), NodeId::from_u64(self.random.draw()), self.random.draw() as u32);
        match self.random.below(15) {
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
                budget_ms: self.random.draw() as u32,
            }),
            11 => Message::Broadcast(Broadcast {
                origin: id,
                life: incarnation.life,
                sequence: self.sequence(),
                payload: profile,
            }),
            12 => Message::Announce(Announce {
                origin: id,
                life: incarnation.life,
                sequence: self.sequence(),
                len: self.random.below(PAYLOAD_MAX) as u32,
            }),
            13 => Message::UserMessage(UserMessage { source: self.other_than(id), target: id, payload: profile }),
            _ if self.random.one_in(2) => Message::Nack(Nack { seq }),
            _ => Message::Ask(Ask { id, incarnation }),
        }
    }

    /// A number that may be the next, or the last.
    fn sequence(&mut self) -> u64 {
        match self.random.below(3) {
            0 => SEQUENCE_MAX - self.random.below(3) as u64,
            1 => 1 + (self.random.draw() >> 2),
            _ => 1 + self.random.below(300) as u64,
        }
    }

    fn other_than(&mut self, id: NodeId) -> NodeId {
        let member = self.member().id();
        if member == id { NodeId::from_u64(id.as_u64() ^ 1) } else { member }
    }

    /// A lie with something wrong about it, and often a checksum that says all is well.
    pub fn bent(&mut self) -> Vec<u8> {
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
