//! In steady state no event allocates but those of streams, which cost what is written here: counted around each call
//! into the node, by kind of event (`docs/protocol.md` 11.3).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use allocation_counter::measure;
use swim_proto::wire::{Ack, Broadcast, Carry, Message, Nack, Ping, PingReq, SyncRoot};
use swim_proto::{Action, Config, Incarnation, Instant, LocalMember, Node, NodeId, State, StreamId, StreamInput};
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
    /// By kind of event.
    counts: BTreeMap<&'static str, Count>,
    /// Broadcasts said by each puppet.
    sequences: Vec<u64>,
    /// What answers pings.
    answers: Answers,
    /// Streams that the node opened, and what was written to those and to others.
    opened: Vec<StreamId>,
    written: Vec<(StreamId, Vec<u8>)>,
}

/// How many events there were, and how many allocations in all.
#[derive(Clone, Copy, Default)]
struct Count {
    events: u64,
    allocations: u64,
}

/// What becomes of a ping to a puppet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answers {
    /// It acks.
    Ack,
    /// It is silent, and whoever is asked to ping it nacks; the ping over a stream is acked.
    ByStream,
    /// Nobody answers, and its host refuses streams.
    Refused,
    /// Nobody answers, and nothing comes of the stream.
    Nothing,
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
            answers: Answers::Ack,
            opened: Vec::with_capacity(100),
            written: Vec::with_capacity(100),
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
            self.input(event, allocations.count_total);
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
            self.input(timer, allocations.count_total);
            self.drain(timer);
            self.answer();
        }
        self.now = end;
    }

    fn answer(&mut self) {
        for (i, question) in std::mem::take(&mut self.asked) {
            match question {
                Message::Ping(Ping { seq, target, .. })
                    if target == self.puppets[i].id() && self.answers == Answers::Ack =>
                {
                    let ack = Message::Ack(Ack { seq, incarnation: self.incarnations[i] });
                    self.hear("ack", i, &[craft::datagram("swim", &[ack])]);
                }
                Message::PingReq(PingReq { seq, .. }) if self.answers == Answers::ByStream => {
                    self.hear("nack", i, &[craft::datagram("swim", &[Message::Nack(Nack { seq })])]);
                }
                _ => {}
            }
        }
        for stream in std::mem::take(&mut self.opened) {
            match self.answers {
                Answers::Ack | Answers::Nothing => {}
                Answers::Refused => self.stream("stream refused", stream, StreamInput::Failed),
                Answers::ByStream => self.stream("stream opens", stream, StreamInput::Connected),
            }
        }
        for (stream, bytes) in std::mem::take(&mut self.written) {
            self.stream("stream took bytes", stream, StreamInput::Written(bytes.len()));
            for message in craft::messages("swim", &bytes[4..]) {
                if let Message::Ping(Ping { seq, target, .. }) = message {
                    let i = self.puppets.iter().position(|puppet| puppet.id() == target).expect("a puppet");
                    let ack = Message::Ack(Ack { seq, incarnation: self.incarnations[i] });
                    self.stream("ack by stream", stream, StreamInput::Data(&craft::frame("swim", &[ack])));
                }
            }
        }
    }

    /// Something happens to a stream.
    fn stream(&mut self, event: &'static str, stream: StreamId, input: StreamInput<'_>) {
        let allocations = measure(|| self.node.handle_stream(self.now, stream, input));
        self.input(event, allocations.count_total);
        self.drain(event);
    }

    /// Puppet `i` opens a stream.
    fn accept(&mut self, event: &'static str, i: usize) -> StreamId {
        let (from, mut accepted) = (self.puppets[i].address, None);
        let allocations = measure(|| accepted = self.node.accept_stream(self.now, from));
        self.input(event, allocations.count_total);
        self.drain(event);
        accepted.expect("there is room")
    }

    fn drain(&mut self, event: &'static str) {
        loop {
            let (mut more, mut asked, mut wrote, mut opened) = (true, None, None, None);
            let allocations = measure(|| {
                match self.node.poll_action(&mut self.buf) {
                    None => more = false,
                    // What the test does with it is not counted: see below.
                    Some(Action::Transmit { to, datagram }) => asked = Some((to, datagram.len())),
                    Some(Action::Write { stream, bytes }) => wrote = Some((stream, bytes.len())),
                    Some(Action::Connect { stream, .. }) => opened = Some(stream),
                    Some(_) => {}
                }
            });
            self.count(event, allocations.count_total);
            self.opened.extend(opened);
            if let Some((stream, len)) = wrote {
                self.written.push((stream, self.buf[..len].to_vec()));
            }
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
            match message {
                Message::Ping(ping) => self.asked.push((i, Message::Ping(ping))),
                Message::PingReq(request) => self.asked.push((i, Message::PingReq(request))),
                _ => {}
            }
        }
    }

    /// An input is one event; so is all that is polled after it.
    fn input(&mut self, event: &'static str, allocations: u64) {
        self.counts.entry(event).or_default().events += 1;
        self.count(event, allocations);
    }

    fn count(&mut self, event: &'static str, allocations: u64) {
        self.counts.entry(event).or_default().allocations += allocations;
    }

    fn calls(&self, event: &'static str) -> u64 {
        self.counts.get(event).map_or(0, |count| count.events)
    }

    fn table(&self) -> String {
        let line = |(event, count): (&&str, &Count)| {
            let Count { events, allocations } = count;
            format!("{event:>24} {events:>8} events {allocations:>6} allocations\n")
        };
        self.counts.iter().map(line).collect()
    }

    /// A node in good health is answered so for six seconds: nobody is buried so soon.
    fn fail_probes(&mut self, answers: Answers) {
        self.run(Duration::from_secs(60));
        assert_eq!(self.node.health(), 0);
        self.counts.clear();
        self.answers = answers;
        self.run(Duration::from_secs(6));
        self.answers = Answers::Ack;
    }

    /// Those refute who are accused.
    fn refute_all(&mut self) {
        for i in 0..MEMBERS {
            if self.node.member(self.puppets[i].id()).is_some_and(|member| member.state == State::Suspect) {
                self.incarnations[i] = self.incarnations[i].past();
                let claim = self.claim(i);
                self.hear("refutation", i, &[claim]);
            }
        }
    }

    /// The socket takes what the node wrote to streams.
    fn take_written(&mut self) {
        for (stream, bytes) in std::mem::take(&mut self.written) {
            self.stream("stream took bytes", stream, StreamInput::Written(bytes.len()));
        }
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
    let table = bench.table();
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
        assert!(bench.counts.contains_key(event), "{event} did not happen:\n{table}");
    }
    // To compare state every half minute a stream is opened: see below.
    let Count { events, allocations } = bench.counts["sync"];
    assert_eq!(allocations, 2 * events, "{table}");
    assert_eq!(costs(&mut bench), [], "{table}");
}

/// The kinds of events that allocated, how many there were of each, and how often they did. Comparisons of state, of
/// which some fall into any minute, are left out.
fn costs(bench: &mut Bench) -> Vec<(&'static str, u64, u64)> {
    let counts = std::mem::take(&mut bench.counts);
    let costly = counts.into_iter().filter(|(event, count)| *event != "sync" && count.allocations > 0);
    costly.map(|(event, count)| (event, count.events, count.allocations)).collect()
}

/// A settled node that has seen each of these probes before.
fn settled_and_doubtful() -> Bench {
    let mut bench = Bench::new();
    for round in 0..120 {
        bench.second(round);
    }
    for answers in [Answers::ByStream, Answers::Refused, Answers::Nothing] {
        bench.fail_probes(answers);
        bench.refute_all();
    }
    bench
}

#[test]
fn a_probe_that_times_out_allocates_for_its_stream_alone() {
    let mut bench = settled_and_doubtful();
    for (answers, per_ack) in [(Answers::ByStream, 1), (Answers::Refused, 0), (Answers::Nothing, 0)] {
        let before = bench.node.stats().probes_failed;
        bench.fail_probes(answers);
        println!("{}", bench.table());
        let (asked, acks) = (bench.calls("probe time-out"), bench.calls("ack by stream"));
        assert!(asked >= 2, "{}", bench.table());
        assert_eq!(acks, asked * per_ack);
        // The stream's record and the list of what is to be said on it; and what comes is read into a buffer.
        let mut expected = vec![("ack by stream", acks, acks), ("probe time-out", asked, 2 * asked)];
        expected.retain(|(_, _, allocations)| *allocations > 0);
        assert_eq!(costs(&mut bench), expected);
        let failed = bench.node.stats().probes_failed - before;
        // But for the last, whose period has not ended.
        assert!(failed + 1 >= asked - acks, "{failed} of {asked} probes failed");
        bench.refute_all();
    }
}

#[test]
fn a_stream_that_another_opens_allocates_three_times_and_a_carriers_packet_once() {
    const STREAMS: u64 = 20;
    let mut bench = settled_and_doubtful();
    // Where nobody has a stream open the first costs one more, for the list of who has.
    bench.accept("accept", 30);
    bench.counts.clear();
    let reading = |seq, bench: &Bench, i: usize| {
        let ping = Message::Ping(Ping { seq, target: bench.own_id(), source: bench.puppets[i].id() });
        craft::frame("swim", &[ping])
    };
    for i in 0..STREAMS as usize {
        let stream = bench.accept("accept", i);
        let ping = reading(1, &bench, i);
        bench.stream("ping by stream", stream, StreamInput::Data(&ping));
        bench.take_written();
        bench.stream("finished", stream, StreamInput::Finished);
    }
    // Its record; and a buffer to read into, and the list of what is to be said.
    assert_eq!(costs(&mut bench), [("accept", STREAMS, STREAMS), ("ping by stream", STREAMS, 2 * STREAMS)]);

    let agreed = bench.node.stats().syncs_agreed;
    for i in 0..STREAMS as usize {
        let stream = bench.accept("accept", i);
        let (source, profile) = (bench.puppets[i].id(), bench.puppets[i].profile());
        let root = Message::SyncRoot(SyncRoot { source, root: bench.node.digest() });
        let hello = craft::alive(source, bench.incarnations[i], &profile);
        bench.stream("root", stream, StreamInput::Data(&craft::frame("swim", &[hello, root])));
        bench.take_written();
        bench.stream("finished", stream, StreamInput::Finished);
    }
    assert_eq!(bench.node.stats().syncs_agreed - agreed, STREAMS);
    assert_eq!(costs(&mut bench), [("accept", STREAMS, STREAMS), ("root", STREAMS, 2 * STREAMS)]);

    let stream = bench.accept("accept", 0);
    let (source, profile) = (bench.puppets[0].id(), bench.puppets[0].profile());
    let carry = craft::frame(
        "swim",
        &[craft::alive(source, bench.incarnations[0], &profile), Message::Carry(Carry { source })],
    );
    bench.stream("carry", stream, StreamInput::Data(&carry));
    for seq in 0..40 {
        if seq == 20 {
            bench.counts.clear();
        }
        let ping = reading(seq, &bench, 0);
        bench.stream("ping by carrier", stream, StreamInput::Data(&ping));
        bench.take_written();
    }
    // A buffer to read into; the answer is written into the caller's.
    assert_eq!(costs(&mut bench), [("ping by carrier", 20, 20)]);
}
