//! A puppet in a node's place: it does what its script says, when it says so, and writes down what it is told.

// Each test binary uses its own part of it.
#![allow(dead_code)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use swim_proto::{
    Action, CommandError, Config, DatagramError, Instant, Member, Node, NodeId, SeedId, Stats, Status, StreamId,
    StreamInput, Way,
};
use swim_sim::observe::View;
use swim_sim::{Driven, Latency, Machine, Network, Scenario, World};

/// Something a puppet is told, or does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Datagram(Vec<u8>),
    Accepted(StreamId),
    Connected(StreamId),
    Data(StreamId, Vec<u8>),
    Written(StreamId, usize),
    Finished(StreamId),
    Failed(StreamId),
    Timer,
}

/// Something a puppet does.
#[derive(Clone, Debug)]
pub(crate) enum Do {
    Send {
        to: u32,
        bytes: Vec<u8>,
    },
    Connect {
        stream: u64,
        to: u32,
    },
    Write {
        stream: u64,
        bytes: Vec<u8>,
    },
    Finish {
        stream: u64,
    },
    Reset {
        stream: u64,
    },
    /// From now on streams are not accepted.
    Refuse,
    /// Nothing, but be woken.
    Wake,
}

/// What a puppet is to do, by time in milliseconds.
pub(crate) type Script = Vec<(u64, Do)>;

/// What each puppet was told: by slot, the time in milliseconds, and what.
pub(crate) type Log = Arc<Mutex<Vec<(u32, f64, Told)>>>;

struct Puppet {
    node: Node,
    slot: u32,
    script: Vec<(Instant, Do)>,
    due: Vec<Do>,
    accepted: u64,
    refuses: bool,
    log: Log,
}

/// The address of a slot's first host.
pub(crate) fn address(slot: u32) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1 + slot as u8], 7946))
}

/// A world of puppets, all started at once, 1 ms apart; slot by slot their scripts.
pub(crate) fn stage(scripts: &[Script]) -> (World, Log) {
    let latency = Latency::Constant(Duration::from_millis(1));
    staged(Scenario::new(scripts.len() as u32, Duration::from_secs(1_000)).network(Network::new(latency)), scripts)
}

/// The same in a scenario of its own.
pub(crate) fn staged(scenario: Scenario, scripts: &[Script]) -> (World, Log) {
    let log = Log::default();
    let (scripts, kept) = (scripts.to_vec(), log.clone());
    let mut world = World::new(scenario.join_over(Duration::ZERO), 1).expect("the settings are valid");
    world.set_maker(Box::new(move |slot, node| {
        let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
        let script = scripts[slot.index()].iter().map(|(millis, what)| (at(*millis), what.clone()));
        Machine::Custom(Box::new(Puppet {
            node,
            slot: slot.0,
            script: script.collect(),
            due: Vec::new(),
            accepted: 0,
            refuses: false,
            log: kept.clone(),
        }))
    }));
    (world, log)
}

/// What this slot was told, with the time of each.
pub(crate) fn told(log: &Log, slot: u32) -> Vec<(f64, Told)> {
    let log = log.lock().expect("nobody panics while holding it");
    log.iter().filter(|(at, ..)| *at == slot).map(|(_, millis, told)| (*millis, told.clone())).collect()
}

/// When it was first told this, in milliseconds.
pub(crate) fn when(log: &Log, slot: u32, what: &Told) -> Option<f64> {
    told(log, slot).into_iter().find(|(_, told)| told == what).map(|(millis, _)| millis)
}

/// All bytes that arrived in its streams.
pub(crate) fn received(log: &Log, slot: u32) -> Vec<u8> {
    let pieces = told(log, slot).into_iter().filter_map(|(_, told)| match told {
        Told::Data(_, bytes) => Some(bytes),
        _ => None,
    });
    pieces.flatten().collect()
}

/// How many bytes it was told are taken.
pub(crate) fn written(log: &Log, slot: u32) -> usize {
    let written = told(log, slot).into_iter().map(|(_, told)| match told {
        Told::Written(_, len) => len,
        _ => 0,
    });
    written.sum()
}

impl Puppet {
    fn note(&self, now: Instant, told: Told) {
        let millis = now.as_nanos() as f64 / 1e6;
        self.log.lock().expect("nobody panics while holding it").push((self.slot, millis, told));
    }
}

impl View for Puppet {
    fn local(&self) -> Member<'_> {
        self.node.local()
    }
    fn status(&self) -> Status {
        self.node.status()
    }
    fn members(&self, each: &mut dyn FnMut(Member<'_>)) {
        self.node.members().for_each(each);
    }
    fn member(&self, id: NodeId) -> Option<Member<'_>> {
        self.node.member(id)
    }
    fn changed(&self) -> &[NodeId] {
        &[]
    }
    fn live(&self) -> usize {
        1
    }
    fn digest(&self) -> u64 {
        0
    }
    fn health(&self) -> u8 {
        0
    }
    fn stats(&self) -> Stats {
        Stats::default()
    }
    fn deadline(&self) -> Option<Instant> {
        self.script.first().map(|(at, _)| *at)
    }
    fn config(&self) -> &Config {
        self.node.config()
    }
}

impl Driven for Puppet {
    fn handle_datagram(&mut self, now: Instant, _: SocketAddr, datagram: &[u8]) -> Result<(), DatagramError> {
        self.note(now, Told::Datagram(datagram.to_vec()));
        Ok(())
    }

    fn accept_stream(&mut self, now: Instant, _: SocketAddr) -> Option<StreamId> {
        if self.refuses {
            return None;
        }
        self.accepted += 1;
        let stream = StreamId(1_000_000 + self.accepted);
        self.note(now, Told::Accepted(stream));
        Some(stream)
    }

    fn handle_stream(&mut self, now: Instant, stream: StreamId, input: StreamInput<'_>) {
        let told = match input {
            StreamInput::Connected => Told::Connected(stream),
            StreamInput::Data(bytes) => Told::Data(stream, bytes.to_vec()),
            StreamInput::Written(len) => Told::Written(stream, len),
            StreamInput::Finished => Told::Finished(stream),
            StreamInput::Failed => Told::Failed(stream),
        };
        self.note(now, told);
    }

    fn handle_resolved(&mut self, _: Instant, _: SeedId, _: &[SocketAddr]) {}

    fn handle_timeout(&mut self, now: Instant) {
        self.note(now, Told::Timer);
        while self.script.first().is_some_and(|(at, _)| *at <= now) {
            let (_, what) = self.script.remove(0);
            self.due.push(what);
        }
    }

    fn report_loss(&mut self, _: Instant, _: u64) {}

    fn join(&mut self, _: Instant, _: &[SeedId]) -> Result<(), CommandError> {
        Ok(())
    }

    fn leave(&mut self, _: Instant) -> Result<(), CommandError> {
        Ok(())
    }

    fn set_metadata(&mut self, _: Instant, _: Bytes) -> Result<(), CommandError> {
        Ok(())
    }

    fn force_leave(&mut self, _: Instant, _: NodeId) -> Result<(), CommandError> {
        Ok(())
    }

    fn broadcast(&mut self, _: Instant, _: Bytes) -> Result<u64, CommandError> {
        Ok(1)
    }

    fn send_message(&mut self, _: Instant, _: NodeId, _: Bytes, _: Way) -> Result<(), CommandError> {
        Ok(())
    }

    fn poll_action<'b>(&mut self, buf: &'b mut Vec<u8>) -> Option<Action<'b>> {
        while !self.due.is_empty() {
            buf.clear();
            return Some(match self.due.remove(0) {
                Do::Send { to, bytes } => {
                    buf.extend(bytes);
                    Action::Transmit { to: address(to), datagram: buf }
                }
                Do::Connect { stream, to } => Action::Connect { stream: StreamId(stream), to: address(to) },
                Do::Write { stream, bytes } => {
                    buf.extend(bytes);
                    Action::Write { stream: StreamId(stream), bytes: buf }
                }
                Do::Finish { stream } => Action::Finish { stream: StreamId(stream) },
                Do::Reset { stream } => Action::Reset { stream: StreamId(stream) },
                Do::Refuse => {
                    self.refuses = true;
                    continue;
                }
                Do::Wake => continue,
            });
        }
        None
    }
}
