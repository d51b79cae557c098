//! In steady state no event allocates: counted around each call into the node, by kind of event
//! (`docs/protocol.md` 11.3).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use allocation_counter::measure;
use swim_proto::wire::{Ack, Broadcast, Message, Nack, Ping, PingReq};
use swim_proto::{Action, Config, Incarnation, Instant, LocalMember, Node, NodeId};
use swim_tests::craft::{self, Puppet};

const MEMBERS: usize = 300;

/// A node among puppets that answer, ask, and tell, while allocations inside the node are counted.
struct Bench {
    node: Node,
    now: Instant,
    puppets: Vec<Puppet>,
    incarnations: Vec<Incarnation>,
    buf: Vec<u8>,
    /// Pings and ping-reqs that the node sent: to whom, and what it wants answered.
    asked: Vec<(usize, Message<'static>)>,
    /// Allocations by kind of event: how many events, how many allocations.
    counts: BTreeMap<&'static str, (u64, u64)>,
    /// Broadcasts said by each puppet.
    sequences: Vec<u64>,
}

impl Bench {
    fn new() -> Bench {
        let config = Config { members_max: 1_000, ..Config::lan() };
        let local = LocalMember::new(SocketAddr::from(([10, 1, 0, 1], 7000)), 1).with_name("self");
        let node = Node::new(Instant::ZERO, local, config, 1).expect("a preset is valid");
        let puppets: Vec<Puppet> = (0..MEMBERS)
            .map(|i| {
                let address = SocketAddr::from(([10, 2, (i / 200) as u8, (i % 200) as u8 + 1], 7000));
                Puppet { metadata: vec![i as u8; 40], ..Puppet::new(&format!("puppet-{i}"), address) }
            })
            .collect();
        let mut bench = Bench {
            node,
            now: Instant::ZERO,
            incarnations: vec![Incarnation::first(1); puppets.len()],
            puppets,
            buf: Vec::with_capacity(1 << 17),
            asked: Vec::with_capacity(1_000),
            counts: BTreeMap::new(),
            sequences: vec![0; MEMBERS],
        };
        for i in 0..MEMBERS {
            bench.hear("introduction", i, &[bench.claim(i)]);
        }
        bench
    }

    fn claim(&self, i: usize) -> Vec<u8> {
        let profile = self.puppets[i].profile();
        craft::datagram("swim", &[craft::alive(self.puppets[i].id(), self.incarnations[i], &profile)])
    }

    fn own_id(&self) -> NodeId {
        self.node.local().id
    }

    /// Datagrams from puppet `i`.
    fn hear(&mut self, event: &'static str, i: usize, datagrams: &[Vec<u8>]) {
        let from = self.puppets[i].address;
        for datagram in datagrams {
            let allocations = measure(|| {
                self.node.handle_datagram(self.now, from, datagram).expect("it is well-formed");
            });
            self.count(event, allocations.count_total);
            self.drain(event);
        }
    }

    /// Time passes, timers fire; puppets answer what they are asked.
    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(deadline) = self.node.deadline().filter(|&deadline| deadline <= end) {
            self.now = self.now.max(deadline);
            let timer = self.node.next_timer().map_or("none", |(_, name)| name);
            let allocations = measure(|| self.node.handle_timeout(self.now));
            self.count(timer, allocations.count_total);
            self.drain(timer);
            self.answer();
        }
        self.now = end;
    }

    fn answer(&mut self) {
        for (i, question) in std::mem::take(&mut self.asked) {
            if let Message::Ping(Ping { seq, target, .. }) = question
                && target == self.puppets[i].id()
            {
                let ack = Message::Ack(Ack { seq, incarnation: self.incarnations[i] });
                self.hear("ack", i, &[craft::datagram("swim", &[ack])]);
            }
        }
    }

    fn drain(&mut self, event: &'static str) {
        loop {
            let mut more = true;
            let mut asked = None;
            let allocations = measure(|| {
                match self.node.poll_action(&mut self.buf) {
                    None => more = false,
                    // What the test does with it is not counted: see below.
                    Some(Action::Transmit { to, datagram }) => asked = Some((to, datagram.len())),
                    Some(_) => {}
                }
            });
            self.count(event, allocations.count_total);
            if let Some((to, len)) = asked {
                self.note(to, len);
            }
            if !more {
                return;
            }
        }
    }

    fn note(&mut self, to: SocketAddr, len: usize) {
        let Some(i) = self.puppets.iter().position(|puppet| puppet.address == to) else { return };
        for message in craft::messages("swim", &self.buf[..len]) {
            if let Message::Ping(ping) = message {
                self.asked.push((i, Message::Ping(ping)));
            }
        }
    }

    fn count(&mut self, event: &'static str, allocations: u64) {
        let (events, total) = self.counts.entry(event).or_default();
        *events += 1;
        *total += allocations;
    }

    /// One second of a busy settled cluster: everything that happens in steady state happens.
    fn second(&mut self, round: usize) {
        let own = self.own_id();
        let seq = round as u32;
        for k in 0..5 {
            let i = (round * 7 + k * 31) % MEMBERS;
            let source = self.puppets[i].id();
            self.hear("ping", i, &[craft::datagram("swim", &[Message::Ping(Ping { seq, target: own, source })])]);

            // A ping that brings ten claims, most of them known.
            let profiles: Vec<_> = (0..10).map(|c| self.puppets[(i + c) % MEMBERS].profile()).collect();
            let mut messages = vec![Message::Ping(Ping { seq, target: own, source })];
            for (c, profile) in profiles.iter().enumerate() {
                let about = (i + c) % MEMBERS;
                messages.push(craft::alive(self.puppets[about].id(), self.incarnations[about], profile));
            }
            self.hear("ping with known claims", i, &[craft::datagram("swim", &messages)]);

            // Fresh claims: a new incarnation with the same and with other metadata of the same length; an accusation
            // and its refutation.
            self.incarnations[i] = self.incarnations[i].past();
            let claim = self.claim(i);
            self.hear("fresh claim", i, &[claim]);
            self.incarnations[i] = self.incarnations[i].past();
            self.puppets[i].metadata[0] ^= 1;
            let claim = self.claim(i);
            self.hear("fresh metadata", i, &[claim]);

            let accuser = (i + 1) % MEMBERS;
            let accusation = craft::suspect(self.puppets[i].id(), self.incarnations[i], self.puppets[accuser].id());
            self.hear("accusation", accuser, &[craft::datagram("swim", &[accusation])]);
            self.incarnations[i] = self.incarnations[i].past();
            let claim = self.claim(i);
            self.hear("refutation", i, &[claim]);

            // Somebody wants another one pinged; it answers, or the node nacks.
            let target = (i + 5) % MEMBERS;
            let request = Message::PingReq(PingReq {
                seq,
                source,
                target: self.puppets[target].id(),
                address: self.puppets[target].address,
                budget_ms: 500,
            });
            self.hear("ping-req", i, &[craft::datagram("swim", &[request])]);
            if k % 2 == 0 {
                self.answer();
            } else {
                self.asked.clear();
            }
            // What an application said to all: new, and once more from another; what it said to us.
            self.sequences[i] += 1;
            let (life, sequence) = (self.incarnations[i].life, self.sequences[i]);
            let words = [i as u8; 200];
            let payload = &words[..20 * (1 + k)];
            let news =
                craft::datagram("swim", &[Message::Broadcast(Broadcast { origin: source, life, sequence, payload })]);
            self.hear("broadcast", i, std::slice::from_ref(&news));
            self.hear("broadcast again", target, &[news]);
            self.hear("nack", i, &[craft::datagram("swim", &[Message::Nack(Nack { seq })])]);
            self.hear(
                "echo",
                i,
                &[craft::datagram(
                    "swim",
                    &[craft::dead(self.puppets[i].id(), Incarnation::first(1), self.puppets[accuser].id())],
                )],
            );
            self.run(Duration::from_millis(200));
        }
    }
}

#[test]
fn no_event_of_the_steady_state_allocates() {
    let mut bench = Bench::new();
    // Long enough for every queue and every buffer to have seen its usual length.
    for round in 0..120 {
        bench.second(round);
    }
    bench.counts.clear();
    for round in 120..240 {
        bench.second(round);
    }
    let counts = std::mem::take(&mut bench.counts);
    let table: String = counts
        .iter()
        .map(|(event, (events, allocations))| format!("{event:>24} {events:>8} calls {allocations:>6} allocations\n"))
        .collect();
    println!("{table}");
    for event in [
        "ping",
        "ping with known claims",
        "fresh claim",
        "accusation",
        "refutation",
        "broadcast",
        "broadcast again",
        "ping-req",
        "ack",
        "probe",
        "gossip",
    ] {
        assert!(counts.contains_key(event), "{event} did not happen:\n{table}");
    }
    // To compare state every half minute a stream is opened, and its record made: that is not the steady state's pace.
    let guilty: Vec<_> =
        counts.iter().filter(|(event, (_, allocations))| **event != "sync" && *allocations > 0).collect();
    assert!(guilty.is_empty(), "{guilty:?}:\n{table}");
    let (syncs, allocations) = counts["sync"];
    assert!(allocations <= syncs, "more than a record for each stream:\n{table}");
}
