//! One node, and a script of inputs for it: sense, nonsense, and lies.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use swim_proto::wire::{
    Ack, Announce, Ask, Broadcast, Join, Message, Nack, Ping, PingReq, Pull, SEQUENCE_MAX, SyncRoot, UserMessage,
};
use swim_proto::{
    Action, Config, Event, Incarnation, Instant, LocalMember, Node, NodeId, STREAM_CREDIT, SeedId, StreamId,
    StreamInput, Way,
};
use swim_tests::Told;
use swim_tests::craft::{self, Puppet};
use swim_tests::told::Content;

use std::time::Duration;

/// Puppets 0 to 4 may be members; number 5 is the node itself.
const SELF: u8 = 5;

/// One input, or some time.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Time passes; timers fire when they are due.
    Run {
        ms: u16,
    },
    /// Time passes; timers fire late, if ever.
    Sleep {
        ms: u16,
    },
    /// A timer fires now, due or not.
    Timeout,
    /// Any bytes from anyone.
    Bytes {
        from: u8,
        bytes: Vec<u8>,
    },
    /// Well-formed messages, perhaps with one byte bent afterwards, under a right checksum or a wrong one.
    Messages {
        from: u8,
        says: Vec<Says>,
        bend: Option<(u16, u8, bool)>,
    },
    /// Everybody who was pinged since the last time answers.
    Answer,
    /// Somebody opens a stream.
    Accept {
        from: u8,
    },
    /// Something happens to one of the streams.
    Stream {
        which: u8,
        what: StreamStep,
    },
    Resolved {
        seed: u8,
        puppets: Vec<u8>,
    },
    Join {
        seeds: u8,
    },
    Leave,
    SetMetadata {
        len: u16,
    },
    ForceLeave {
        who: u8,
    },
    Broadcast {
        len: u16,
    },
    SendMessage {
        who: u8,
        len: u16,
        way: u8,
    },
}

/// A message, with puppets for members.
#[derive(Clone, Debug)]
pub(crate) enum Says {
    Alive { who: u8, life: u8, refutation: u8, metadata: u8 },
    Suspect { who: u8, life: u8, refutation: u8, by: u8 },
    Dead { who: u8, life: u8, refutation: u8, by: u8 },
    Left { who: u8, life: u8, refutation: u8 },
    Top { who: u8, kind: u8 },
    Ask { who: u8, life: u8 },
    Ping { seq: u32, target: u8, source: u8 },
    Ack { seq: u32, life: u8 },
    Nack { seq: u32 },
    PingReq { seq: u32, source: u8, target: u8, budget_ms: u16 },
    Broadcast { who: u8, life: u8, sequence: u64, len: u8 },
    Announce { who: u8, life: u8, sequence: u64, len: u16 },
    Message { source: u8, target: u8, len: u8 },
}

#[derive(Clone, Debug)]
pub(crate) enum StreamStep {
    Connected,
    Written,
    Finished,
    Failed,
    Bytes(Vec<u8>),
    Frame(Vec<Says>),
    Join { who: u8 },
    Sync { who: u8, root: u64 },
    Pull { who: u8, life: u8, sequence: u64 },
}

impl Step {
    /// Whether the clock moves.
    pub(crate) fn takes_time(&self) -> bool {
        matches!(self, Step::Run { .. } | Step::Sleep { .. })
    }

    /// All puppets are alive.
    pub(crate) fn introduce_all() -> Step {
        let says = (0..SELF).map(|who| Says::Alive { who, life: 1, refutation: 0, metadata: 0 }).collect();
        Step::Messages { from: 0, says, bend: None }
    }
}

/// Scripts that begin with an introduction more often than not.
pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    (any::<bool>(), vec(step(), 1..60)).prop_map(|(introduce, mut steps)| {
        if introduce {
            steps.insert(0, Step::introduce_all());
        }
        steps
    })
}

fn step() -> impl Strategy<Value = Step> {
    let bend = proptest::option::weighted(0.2, (any::<u16>(), any::<u8>(), any::<bool>()));
    prop_oneof![
        6 => (1..3_000_u16).prop_map(|ms| Step::Run { ms }),
        1 => (1..20_000_u16).prop_map(|ms| Step::Sleep { ms }),
        1 => Just(Step::Timeout),
        2 => (who(), vec(any::<u8>(), 0..64)).prop_map(|(from, bytes)| Step::Bytes { from, bytes }),
        8 => (who(), vec(says(), 1..8), bend).prop_map(|(from, says, bend)| Step::Messages { from, says, bend }),
        6 => Just(Step::Answer),
        2 => who().prop_map(|from| Step::Accept { from }),
        8 => (any::<u8>(), stream_step()).prop_map(|(which, what)| Step::Stream { which, what }),
        1 => (any::<u8>(), vec(who(), 0..4)).prop_map(|(seed, puppets)| Step::Resolved { seed: seed % 4, puppets }),
        1 => (0..4_u8).prop_map(|seeds| Step::Join { seeds }),
        1 => Just(Step::Leave),
        1 => (0..600_u16).prop_map(|len| Step::SetMetadata { len }),
        1 => who().prop_map(|who| Step::ForceLeave { who }),
        3 => payload_len().prop_map(|len| Step::Broadcast { len }),
        2 => (who(), payload_len(), 0..3_u8).prop_map(|(who, len, way)| Step::SendMessage { who, len, way }),
    ]
}

/// Mostly short, sometimes long, sometimes too long.
fn payload_len() -> impl Strategy<Value = u16> {
    prop_oneof![6 => 0..600_u16, 2 => 600..20_000_u16, 1 => 61_430..61_450_u16]
}

/// The first numbers, and the last.
fn sequence() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 1..6_u64, 2 => 100..400_u64, 1 => SEQUENCE_MAX - 2..=SEQUENCE_MAX]
}

fn who() -> impl Strategy<Value = u8> {
    0..=SELF + 1
}

fn says() -> impl Strategy<Value = Says> {
    let claim = || (who(), 0..3_u8, 0..3_u8, who());
    prop_oneof![
        4 => claim().prop_map(|(who, life, refutation, metadata)| Says::Alive { who, life, refutation, metadata }),
        3 => claim().prop_map(|(who, life, refutation, by)| Says::Suspect { who, life, refutation, by }),
        2 => claim().prop_map(|(who, life, refutation, by)| Says::Dead { who, life, refutation, by }),
        1 => claim().prop_map(|(who, life, refutation, _)| Says::Left { who, life, refutation }),
        1 => (who(), 0..4_u8).prop_map(|(who, kind)| Says::Top { who, kind }),
        1 => (who(), 0..3_u8).prop_map(|(who, life)| Says::Ask { who, life }),
        2 => (any::<u32>(), who(), who()).prop_map(|(seq, target, source)| Says::Ping { seq, target, source }),
        1 => (any::<u32>(), 0..3_u8).prop_map(|(seq, life)| Says::Ack { seq, life }),
        1 => any::<u32>().prop_map(|seq| Says::Nack { seq }),
        3 => (who(), 0..3_u8, sequence(), any::<u8>())
            .prop_map(|(who, life, sequence, len)| Says::Broadcast { who, life, sequence, len }),
        2 => (who(), 0..3_u8, sequence(), any::<u16>())
            .prop_map(|(who, life, sequence, len)| Says::Announce { who, life, sequence, len: len % 61_440 }),
        1 => (who(), who(), any::<u8>()).prop_map(|(source, target, len)| Says::Message { source, target, len }),
        2 => (any::<u32>(), who(), who(), any::<u16>()).prop_map(|(seq, source, target, budget_ms)| Says::PingReq {
            seq,
            source,
            target,
            budget_ms
        }),
    ]
}

fn stream_step() -> impl Strategy<Value = StreamStep> {
    prop_oneof![
        4 => Just(StreamStep::Connected),
        4 => Just(StreamStep::Written),
        1 => Just(StreamStep::Finished),
        1 => Just(StreamStep::Failed),
        1 => vec(any::<u8>(), 0..40).prop_map(StreamStep::Bytes),
        3 => vec(says(), 0..8).prop_map(StreamStep::Frame),
        3 => who().prop_map(|who| StreamStep::Join { who }),
        2 => (who(), any::<u64>()).prop_map(|(who, root)| StreamStep::Sync { who, root }),
        2 => (who(), 0..3_u8, sequence()).prop_map(|(who, life, sequence)| StreamStep::Pull { who, life, sequence }),
    ]
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Taken,
    Refused,
}

impl Outcome {
    pub(crate) fn was_refused(self) -> bool {
        self == Outcome::Refused
    }
}

/// A node under a script.
pub(crate) struct Run {
    node: Node,
    now: Instant,
    puppets: Vec<Puppet>,
    trace: Vec<String>,
    /// The same without any time in it.
    said: Vec<String>,
    /// Pings that puppets have not answered.
    asked: Vec<(SocketAddr, u32)>,
    /// Bytes written and not yet reported, of all streams that are.
    streams: BTreeMap<StreamId, usize>,
    gone: Vec<StreamId>,
    /// Broadcasts that the application was told.
    told: BTreeSet<(NodeId, u64, u64)>,
    buf: Vec<u8>,
}

impl Run {
    pub(crate) fn new(seed: u64) -> Run {
        let mut puppets: Vec<Puppet> = (0..=SELF + 1).map(|i| Puppet::new(&format!("p{i}"), address(i))).collect();
        puppets[usize::from(SELF)].name = String::from("self");
        let local = LocalMember::new(address(SELF), 1).with_name("self");
        let config = Config { stream_timeout: Duration::from_secs(3), ..Config::lan() };
        let node = Node::new(Instant::from_nanos(77), local, config, seed).expect("a preset is valid");
        let mut run = Run {
            node,
            now: Instant::from_nanos(77),
            puppets,
            trace: Vec::new(),
            said: Vec::new(),
            asked: Vec::new(),
            streams: BTreeMap::new(),
            gone: Vec::new(),
            told: BTreeSet::new(),
            buf: Vec::new(),
        };
        run.drain();
        run
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.node.deadline()
    }

    pub(crate) fn trace(&self) -> &[String] {
        &self.trace
    }

    /// What was done, whenever it was.
    pub(crate) fn said(&self) -> &[String] {
        &self.said
    }

    /// All that the node shows of itself, its counters aside.
    pub(crate) fn views(&self) -> String {
        let members: Vec<_> = self.node.members().collect();
        let node = &self.node;
        format!("{:?} {:x} {:?} {} {members:?}", node.status(), node.digest(), node.deadline(), node.health())
    }

    /// The same without any time in it.
    pub(crate) fn timeless_views(&self) -> String {
        let members: Vec<_> = self
            .node
            .members()
            .map(|member| {
                let accusers = member.suspicion.map(|suspicion| suspicion.accusers);
                (member.name, member.state, member.incarnation, Content::of(&member), member.path, accusers)
            })
            .collect();
        let node = &self.node;
        let mut stats = node.stats();
        stats.lag = Duration::ZERO;
        format!("{:?} {:x} {members:?} {stats:?}", node.status(), node.digest())
    }

    pub(crate) fn poll_again_gives_nothing(&mut self) -> bool {
        self.node.poll_action(&mut self.buf).is_none()
    }

    /// A time-out at this moment.
    pub(crate) fn nudge(&mut self) {
        self.node.handle_timeout(self.now);
        self.drain();
    }

    pub(crate) fn sleep(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    /// The least time that there is.
    pub(crate) fn tick(&mut self) {
        self.now += Duration::from_nanos(1);
    }

    pub(crate) fn perform(&mut self, step: &Step) -> Outcome {
        let taken = match step {
            Step::Run { ms } => {
                self.run(*ms);
                true
            }
            Step::Sleep { ms } => {
                self.sleep((*ms).into());
                // A sleeper's driver has no choice but to be late.
                self.nudge();
                true
            }
            Step::Timeout => {
                self.nudge();
                true
            }
            Step::Bytes { from, bytes } => self.node.handle_datagram(self.now, address(*from), bytes).is_ok(),
            Step::Messages { from, says, bend } => {
                let mut datagram = self.packet(says, craft::datagram);
                if let Some((at, with, recheck)) = *bend {
                    let at = usize::from(at) % datagram.len();
                    datagram[at] ^= with;
                    if recheck {
                        craft::recheck(&mut datagram);
                    }
                }
                self.node.handle_datagram(self.now, address(*from), &datagram).is_ok()
            }
            Step::Answer => {
                self.answer();
                true
            }
            Step::Accept { from } => {
                if let Some(stream) = self.node.accept_stream(self.now, address(*from)) {
                    assert!(self.streams.insert(stream, 0).is_none(), "{stream:?} is named twice");
                }
                true
            }
            Step::Stream { which, what } => {
                self.stream_step(*which, what);
                true
            }
            Step::Resolved { seed, puppets } => {
                let addresses: Vec<_> = puppets.iter().map(|&puppet| address(puppet)).collect();
                self.node.handle_resolved(self.now, SeedId((*seed).into()), &addresses);
                true
            }
            Step::Join { seeds } => {
                let seeds: Vec<_> = (0..*seeds).map(|seed| SeedId(seed.into())).collect();
                self.node.join(self.now, &seeds).is_ok()
            }
            Step::Leave => self.node.leave(self.now).is_ok(),
            Step::SetMetadata { len } => {
                self.node.set_metadata(self.now, Bytes::from(vec![7; usize::from(*len)])).is_ok()
            }
            Step::ForceLeave { who } => self.node.force_leave(self.now, self.id(*who)).is_ok(),
            Step::Broadcast { len } => self.node.broadcast(self.now, payload(*len)).is_ok(),
            Step::SendMessage { who, len, way } => {
                let way = [Way::Datagram, Way::Stream, Way::Auto][usize::from(*way)];
                self.node.send_message(self.now, self.id(*who), payload(*len), way).is_ok()
            }
        };
        self.drain();
        if taken { Outcome::Taken } else { Outcome::Refused }
    }

    fn run(&mut self, ms: u16) {
        let end = self.now + Duration::from_millis(ms.into());
        while let Some(deadline) = self.node.deadline().filter(|&deadline| deadline <= end) {
            self.now = self.now.max(deadline);
            self.nudge();
            assert!(self.node.deadline().is_none_or(|next| next > self.now), "busy with {:?}", self.node.next_timer());
        }
        self.now = end;
    }

    fn answer(&mut self) {
        for (from, seq) in std::mem::take(&mut self.asked) {
            let ack = Message::Ack(Ack { seq, incarnation: Incarnation { life: 2, refutation: 2 } });
            let datagram = craft::datagram("swim", &[ack]);
            self.node.handle_datagram(self.now, from, &datagram).expect("an ack is in order");
            self.drain();
        }
    }

    fn stream_step(&mut self, which: u8, what: &StreamStep) {
        let Some((&stream, _)) = self.streams.iter().nth(usize::from(which) % self.streams.len().max(1)) else {
            return;
        };
        let frame = |run: &Run, says: &[Says]| run.packet(says, craft::frame);
        let bytes = match what {
            StreamStep::Connected => return self.tell(stream, StreamInput::Connected),
            StreamStep::Written => {
                let unreported = std::mem::take(self.streams.get_mut(&stream).expect("it is there"));
                return self.tell(stream, StreamInput::Written(unreported));
            }
            StreamStep::Finished => return self.tell(stream, StreamInput::Finished),
            StreamStep::Failed => {
                self.streams.remove(&stream);
                self.gone.push(stream);
                return self.tell(stream, StreamInput::Failed);
            }
            StreamStep::Bytes(bytes) => bytes.clone(),
            StreamStep::Frame(says) => frame(self, says),
            StreamStep::Join { who } => {
                let join = Message::Join(Join { source: self.id(*who) });
                self.greeting(*who, join)
            }
            StreamStep::Pull { who, life, sequence } => {
                let pull = Pull { origin: self.id(*who), life: (*life).into(), sequence: *sequence };
                craft::frame("swim", &[Message::Pull(pull)])
            }
            StreamStep::Sync { who, root } => {
                let root = Message::SyncRoot(SyncRoot { source: self.id(*who), root: *root });
                self.greeting(*who, root)
            }
        };
        self.tell(stream, StreamInput::Data(&bytes));
    }

    fn tell(&mut self, stream: StreamId, input: StreamInput<'_>) {
        self.node.handle_stream(self.now, stream, input);
    }

    fn greeting(&self, who: u8, message: Message<'_>) -> Vec<u8> {
        let puppet = &self.puppets[usize::from(who)];
        let profile = puppet.profile();
        craft::frame("swim", &[craft::alive(puppet.id(), Incarnation::first(2), &profile), message])
    }

    fn id(&self, who: u8) -> NodeId {
        self.puppets[usize::from(who)].id()
    }

    fn packet(&self, says: &[Says], make: fn(&str, &[Message<'_>]) -> Vec<u8>) -> Vec<u8> {
        let profiles: Vec<Vec<u8>> = says
            .iter()
            .map(|says| match says {
                Says::Alive { who, metadata, .. } => {
                    let puppet = &self.puppets[usize::from(*who)];
                    Puppet { metadata: vec![*metadata; usize::from(*metadata) * 20], ..puppet.clone() }.profile()
                }
                Says::Top { who, .. } => self.puppets[usize::from(*who)].profile(),
                _ => Vec::new(),
            })
            .collect();
        let messages: Vec<Message<'_>> =
            says.iter().zip(&profiles).map(|(says, profile)| self.message(says, profile)).collect();
        make("swim", &messages)
    }

    fn message<'a>(&self, says: &Says, profile: &'a [u8]) -> Message<'a> {
        let at = |life: u8, refutation: u8| Incarnation { life: life.into(), refutation: refutation.into() };
        // Nobody can accuse itself on the wire: the next one does.
        let by = |who: u8, by: u8| self.id(if who == by { (by + 1) % (SELF + 2) } else { by });
        match *says {
            Says::Alive { who, life, refutation, .. } => craft::alive(self.id(who), at(life, refutation), profile),
            Says::Suspect { who, life, refutation, by: accuser } => {
                craft::suspect(self.id(who), at(life, refutation), by(who, accuser))
            }
            Says::Dead { who, life, refutation, by: accuser } => {
                craft::dead(self.id(who), at(life, refutation), by(who, accuser))
            }
            Says::Left { who, life, refutation } => craft::left(self.id(who), at(life, refutation)),
            Says::Top { who, kind: 0 } => craft::alive(self.id(who), Incarnation::MAX, profile),
            Says::Top { who, kind: 1 } => craft::suspect(self.id(who), Incarnation::ACCUSED_MAX, by(who, 0)),
            Says::Top { who, kind: 2 } => craft::dead(self.id(who), Incarnation::ACCUSED_MAX, by(who, 0)),
            Says::Top { who, .. } => craft::left(self.id(who), Incarnation::ACCUSED_MAX),
            Says::Ask { who, life } => Message::Ask(Ask { id: self.id(who), incarnation: at(life, 0) }),
            Says::Ping { seq, target, source } => {
                Message::Ping(Ping { seq, target: self.id(target), source: self.id(source) })
            }
            Says::Ack { seq, life } => Message::Ack(Ack { seq, incarnation: at(life, 0) }),
            Says::Nack { seq } => Message::Nack(Nack { seq }),
            Says::PingReq { seq, source, target, budget_ms } => Message::PingReq(PingReq {
                seq,
                source: self.id(source),
                target: self.id(target),
                address: address(target),
                budget_ms: budget_ms.into(),
            }),
            Says::Broadcast { who, life, sequence, len } => {
                let payload = &[0x62; 255][..len.into()];
                Message::Broadcast(Broadcast { origin: self.id(who), life: life.into(), sequence, payload })
            }
            Says::Announce { who, life, sequence, len } => {
                Message::Announce(Announce { origin: self.id(who), life: life.into(), sequence, len: len.into() })
            }
            Says::Message { source, target, len } => {
                let payload = &[0x6d; 255][..len.into()];
                let target = by(source, target);
                Message::UserMessage(UserMessage { source: self.id(source), target, payload })
            }
        }
    }

    fn drain(&mut self) {
        let mut buf = std::mem::take(&mut self.buf);
        let mut count = 0;
        while let Some(action) = self.node.poll_action(&mut buf) {
            count += 1;
            assert!(count < 10_000, "the node never runs out of actions");
            self.trace.push(format!("{:?} {action:?}", self.now));
            self.said.push(match action {
                Action::Event(event) => format!("{:?}", Told { cause: None, ..Told::new(Instant::ZERO, event) }),
                // Tombstones tell on streams how many seconds they have left.
                Action::Write { stream, bytes } => format!("Write {{ {stream:?}, {} bytes }}", bytes.len()),
                action => format!("{action:?}"),
            });
            match action {
                Action::Transmit { to, datagram } => {
                    assert!(datagram.len() <= 1400, "a datagram of {} bytes", datagram.len());
                    for message in craft::messages("swim", datagram) {
                        if let Message::Ping(ping) = message {
                            self.asked.push((to, ping.seq));
                        }
                    }
                }
                Action::Connect { stream, .. } => {
                    assert!(self.streams.insert(stream, 0).is_none(), "{stream:?} is named twice");
                }
                Action::Write { stream, bytes } => {
                    let unreported = self.streams.get_mut(&stream).expect("only open streams are written to");
                    *unreported += bytes.len();
                    assert!(*unreported <= STREAM_CREDIT, "{unreported} bytes unreported on {stream:?}");
                }
                Action::Finish { stream } => {
                    assert!(self.streams.contains_key(&stream), "{stream:?} is finished, and is not open");
                }
                Action::Reset { stream } => {
                    assert!(self.streams.remove(&stream).is_some(), "{stream:?} is reset, and is not open");
                    self.gone.push(stream);
                }
                Action::Event(Event::Broadcast { origin, life, sequence, .. }) => {
                    assert!(
                        self.told.insert((origin, life, sequence)),
                        "{origin}'s {sequence} of {life} is told twice"
                    );
                    assert_ne!(origin, self.node.local().id, "its own");
                }
                Action::Resolve { .. } | Action::Event(_) => {}
            }
        }
        self.buf = buf;
    }

    /// Streams that are gone are never named again; everything else was asserted on the way.
    pub(crate) fn assert_that_streams_were_in_order(&self) {
        assert!(self.gone.iter().all(|gone| !self.streams.contains_key(gone)));
    }
}

fn payload(len: u16) -> Bytes {
    Bytes::from(vec![0x70; usize::from(len)])
}

fn address(who: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, who + 1], 7000))
}
