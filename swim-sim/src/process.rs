//! One slot of the world and the process in it: its machine, its clock, and the kernel between it and the network.
//!
//! A process can be *paused*: it does nothing at all, and its kernel keeps what arrives. Or its I/O can be *blocked*
//! while its timers run (Lifeguard's anomaly, \[LG\] V-C): what it would send is held back, what arrives waits. Either way
//! datagrams wait in a buffer of bounded size and those that no longer fit are lost; afterwards input is taken before
//! timers fire. A process may also be *slow*, short of CPU: then each thing that it takes in or sends keeps it busy for a
//! while, and the next one waits. It takes turns as a driver does: datagrams, streams, timers, each with a budget, so
//! none of them starves the others.

use std::collections::VecDeque;
use std::net::SocketAddr;

use swim_proto::{Backlog, Instant, NodeId, SeedId, StreamId};

use crate::machine::Machine;
use crate::messaging::{Lossy, Office};
use crate::observe::Condition;
use crate::packets::PacketId;
use crate::streams::{EndId, Owner, Streams};

/// Bytes of datagrams a kernel keeps for a process that does not take them (Linux's default for a UDP socket).
pub(crate) const RECEIVE_BUFFER: usize = 212_992;

/// What one datagram costs of that besides its bytes (Linux counts the packet's whole memory).
pub(crate) const RECEIVE_OVERHEAD: usize = 768;

/// How many probes and answers, how many other datagrams, and how many other inputs, a slow process takes in one turn
/// before it lets its timers fire; the latter two no more than fit into [`TURN_TIME`] each.
pub(crate) const INPUT_BUDGET: u32 = 32;

/// The time that a driver gives to each of these in a turn, though at least one is taken.
pub(crate) const TURN_TIME: u64 = 10_000_000;

/// How many datagrams a process reads at a time before it handles any.
pub(crate) const READ_BUDGET: u32 = 64;

/// Reading and sorting so many datagrams takes a slow process as long as handling one.
pub(crate) const READS_PER_INPUT: u64 = 4;

/// What a driver keeps of datagrams that it has read.
pub(crate) const BACKLOG_LEN: usize = 256;
/// In bytes.
pub(crate) const BACKLOG_BYTES: usize = 262_144;

/// Bytes of datagrams held back while I/O is blocked; what is more, the socket does not take.
pub(crate) const SEND_BUFFER: usize = 212_992;

/// One slot: the name of a member and whatever process bears it.
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) id: NodeId,
    pub(crate) machine: Option<Machine>,
    /// Its messenger, where messages are exchanged.
    pub(crate) office: Option<Office>,
    /// Which of the slot's processes this is; 0: there was none yet.
    pub(crate) boot: u32,
    /// The life of the last process.
    pub(crate) life: u64,
    pub(crate) host: u32,
    pub(crate) clock: Clock,
    /// The `now` of its last input, by its own clock.
    pub(crate) local_now: Instant,
    /// When its entry in the agenda comes up; `u64::MAX`: it has none. Other entries for it are stale.
    pub(crate) wake: u64,
    pub(crate) paused: Hold,
    pub(crate) blocked: Hold,
    pub(crate) slowed: Hold,
    /// While it is slow: how long each input, and each datagram or piece of a stream sent, keeps it busy.
    pub(crate) each: u64,
    /// Whether it goes without an endpoint.
    pub(crate) withdrawn: bool,
    /// Nothing is read from its links.
    pub(crate) stalled: Hold,
    /// What befalls packets put on its links, each under the number of the entry in the schedule that brought it.
    pub(crate) lossy: Vec<(u32, Lossy)>,
    /// How slowly its application takes messages, likewise; `None`: not at all.
    pub(crate) reads: Vec<(u32, Option<u64>)>,
    /// When what befalls its links or its application's reading last changed.
    pub(crate) befallen: u64,
    /// Whether an input keeps it busy now.
    pub(crate) busy: bool,
    /// Datagrams read in this turn, while it is slow.
    pub(crate) read: u32,
    /// Datagrams taken in this turn, while it is slow.
    pub(crate) datagrams_taken: u32,
    /// Everything else taken in this turn but timers, while it is slow.
    pub(crate) inputs_taken: u32,
    /// What the last input had it send.
    pub(crate) sent: u32,
    /// Datagrams that found no room in the kernel since the process was last told.
    pub(crate) lost: u64,
    /// When what [`Process::condition`] says last changed.
    pub(crate) condition_since: u64,
    /// Datagrams waiting in the kernel.
    pub(crate) inbox: VecDeque<PacketId>,
    pub(crate) inbox_bytes: usize,
    /// Datagrams that its driver has read and sorted, and not yet handed over.
    pub(crate) backlog: Backlog,
    /// Seeds whose addresses wait to be handed over.
    pub(crate) resolved: VecDeque<SeedId>,
    /// What blocked I/O holds back.
    pub(crate) held: VecDeque<Held>,
    pub(crate) held_bytes: usize,
    /// Its streams, oldest first.
    pub(crate) streams: Vec<(Option<StreamId>, EndId)>,
    /// Whether the application wants it to be a member: false once it was told to leave.
    pub(crate) member: bool,
}

/// Whether something is held up, by any number of reasons that may overlap.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hold {
    pub(crate) reasons: u32,
}

impl Hold {
    pub(crate) fn is_on(self) -> bool {
        self.reasons > 0
    }
}

/// An output of a process whose I/O is blocked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Held {
    /// A datagram: the packet already has its destination.
    Datagram(PacketId),
    Connect {
        stream: StreamId,
        to: SocketAddr,
    },
    /// Bytes for a stream, kept in a packet.
    Write {
        stream: StreamId,
        packet: PacketId,
    },
    Finish {
        stream: StreamId,
    },
    Reset {
        stream: StreamId,
    },
    Resolve {
        seed: SeedId,
    },
}

impl Process {
    pub(crate) fn new(name: String, id: NodeId, host: u32) -> Process {
        Process {
            name,
            id,
            machine: None,
            office: None,
            boot: 0,
            life: 0,
            host,
            clock: Clock::default(),
            local_now: Instant::ZERO,
            wake: u64::MAX,
            paused: Hold::default(),
            blocked: Hold::default(),
            slowed: Hold::default(),
            withdrawn: false,
            stalled: Hold::default(),
            lossy: Vec::new(),
            reads: Vec::new(),
            befallen: 0,
            each: 0,
            busy: false,
            read: 0,
            datagrams_taken: 0,
            inputs_taken: 0,
            sent: 0,
            lost: 0,
            condition_since: 0,
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            backlog: Backlog::new(BACKLOG_LEN, BACKLOG_BYTES),
            resolved: VecDeque::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            streams: Vec::new(),
            member: false,
        }
    }

    pub(crate) fn condition(&self) -> Condition {
        if self.machine.is_none() {
            Condition::Down
        } else if self.paused.is_on() {
            Condition::Paused
        } else if self.blocked.is_on() || self.slowed.is_on() {
            Condition::Blocked
        } else {
            Condition::Running
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.machine.is_some()
    }

    /// Whether input reaches it now.
    pub(crate) fn takes_input(&self) -> bool {
        self.runs() && !self.blocked.is_on()
    }

    /// Whether its timers fire now.
    pub(crate) fn runs(&self) -> bool {
        self.machine.is_some() && !self.paused.is_on() && !self.busy
    }

    /// Whether its links are read now.
    pub(crate) fn reads_links(&self) -> bool {
        self.corresponds() && !self.blocked.is_on() && !self.stalled.is_on()
    }

    /// How long its application takes for each message; `None`: it takes none. On a slow host everything takes its time.
    pub(crate) fn slowest_reader(&self) -> Option<u64> {
        self.reads.iter().try_fold(self.each, |slowest, &(_, each)| Some(slowest.max(each?)))
    }

    /// Since when nothing befalls its links and its application's reading.
    pub(crate) fn undisturbed_since(&self) -> Option<u64> {
        let disturbed = self.stalled.is_on() || !self.lossy.is_empty() || !self.reads.is_empty();
        (!disturbed).then_some(self.befallen)
    }

    /// Whether its messenger runs now.
    pub(crate) fn corresponds(&self) -> bool {
        self.machine.is_some() && !self.paused.is_on() && self.office.as_ref().is_some_and(|office| !office.busy)
    }

    pub(crate) fn owner(&self, slot: u32) -> Owner {
        Owner { slot, boot: self.boot, host: self.host }
    }

    /// Its end of the stream that it calls so.
    pub(crate) fn end_of(&self, stream: StreamId) -> Option<EndId> {
        self.streams.iter().find(|(named, _)| *named == Some(stream)).map(|&(_, end)| end)
    }

    /// As it is for a process just started: nothing holds it up, though its host may be slow.
    pub(crate) fn unhindered(&mut self) {
        (self.paused, self.blocked) = Default::default();
        (self.busy, self.lost) = (false, 0);
        self.resolved.clear();
        self.backlog = Backlog::new(BACKLOG_LEN, BACKLOG_BYTES);
        self.begin_turn();
    }

    /// How many datagrams that nobody waits for, and how many other inputs, it takes in one turn.
    pub(crate) fn turn_budget(&self) -> u32 {
        TURN_TIME.checked_div(self.each).map_or(INPUT_BUDGET, |fit| fit.clamp(1, INPUT_BUDGET.into()) as u32)
    }

    /// Whether another datagram is taken in this turn.
    pub(crate) fn takes_datagram(&self) -> bool {
        let budget = if self.backlog.has_urgent() { INPUT_BUDGET } else { self.turn_budget() };
        self.takes_input() && self.datagrams_taken < budget
    }

    /// Its driver's loop begins anew.
    pub(crate) fn begin_turn(&mut self) {
        (self.datagrams_taken, self.inputs_taken, self.read) = (0, 0, 0);
    }

    /// How many open streams wait to be accepted.
    pub(crate) fn backlog(&self, streams: &Streams) -> usize {
        self.streams.iter().filter(|&&(named, end)| named.is_none() && streams.is_open(end)).count()
    }
}

/// A node's own clock: it starts with the simulation and runs fast or slow by so many parts in a million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clock {
    ppm: i32,
}

const MILLION: u128 = 1_000_000;

impl Clock {
    /// A clock that runs fast by so many parts in a million, or slow if negative; at most half as fast again.
    pub(crate) fn fast_by(ppm: i32) -> Clock {
        Clock { ppm: ppm.clamp(-500_000, 500_000) }
    }

    fn rate_in_millionths(self) -> u128 {
        (1_000_000 + i64::from(self.ppm)) as u128
    }

    /// Seconds it shows per simulated second.
    pub(crate) fn rate(self) -> f64 {
        f64::from(1_000_000 + self.ppm) / 1e6
    }

    /// What it shows at this time of the simulation.
    pub(crate) fn shows(self, now: u64) -> Instant {
        if self.ppm == 0 {
            return Instant::from_nanos(now);
        }
        Instant::from_nanos((u128::from(now) * self.rate_in_millionths() / MILLION) as u64)
    }

    /// The first time of the simulation at which it shows this, or later.
    pub(crate) fn time_of(self, shown: Instant) -> u64 {
        if self.ppm == 0 {
            return shown.as_nanos();
        }
        let time = (u128::from(shown.as_nanos()) * MILLION).div_ceil(self.rate_in_millionths());
        u64::try_from(time).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_its_deadline_when_it_is_reached_and_not_before() {
        for ppm in [0, 1, -1, 100, -100, 50_000, -500_000, 500_000] {
            let clock = Clock::fast_by(ppm);
            for nanos in [0, 1, 999, 1_000_000_007, 86_400_000_000_001] {
                let shown = Instant::from_nanos(nanos);
                let time = clock.time_of(shown);
                assert!(clock.shows(time) >= shown, "{ppm} {nanos}");
                assert!(time == 0 || clock.shows(time - 1) < shown, "{ppm} {nanos}");
            }
            assert!((clock.rate() - (1.0 + f64::from(ppm) / 1e6)).abs() < 1e-12);
        }
    }
}
