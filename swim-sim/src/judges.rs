//! The judges: what must hold at every event (safety), and what must come to hold once faults stop (liveness).
//!
//! The rules are those of [published-results 5.2], S1 to S14, L1, L2 and L4 to L6, those of what applications say, U1 to
//! U6, those of messages between members, M1 to M12, and the node's own contract. They were
//! written from the protocol's rules (`docs/protocol.md`), not from its implementation, and see it only by its public
//! face ([`View`]), its packets and its events. A judge must be *sound* first: right behaviour under any fault that the
//! simulator can make is never a violation; what a judge therefore cannot see is written at its head.

mod accuracy;
mod bounds;
mod causes;
mod determinism;
mod events;
mod fault;
mod incarnation;
mod lattice;
pub mod liveness;
mod load;
mod maps;
mod messages;
mod mirror;
mod oneself;
mod oracle;
mod probing;
mod process;
mod rates;
mod userdata;
mod wire;

use std::fmt;
use std::time::Duration;

use swim_proto::{Cause, ClusterHash, Event, Instant};

pub use accuracy::{Accuracy, FalseDeath};
pub use determinism::Fingerprint;

use crate::observe::{Condition, Observation, Slot, Truth, View};
use fault::{Fault, Verdict};
use oracle::Oracle;
use process::{Moment, Process};

/// How often each node's members are all looked at, in small clusters; in large ones so much less often that it costs
/// the same.
const SCAN_INTERVAL: Duration = Duration::from_secs(1);

/// From how many slots on a cluster is large.
const SCAN_SLOTS: usize = 32;

/// All judges of one run.
#[derive(Debug)]
pub struct Judges {
    settings: Settings,
    oracle: Oracle,
    /// By slot; `None`: down.
    processes: Vec<Option<Process>>,
    userdata: userdata::UserData,
    messages: messages::Messages,
    accuracy: Accuracy,
    fingerprint: Fingerprint,
    stopped: Option<Stopped>,
    /// By slot, once the cluster has converged: whether its node has had no news to tell since.
    rested: Vec<bool>,
}

/// When faults stopped.
#[derive(Clone, Copy, Debug)]
struct Stopped {
    at: Instant,
    lossless: bool,
}

/// What the judges are to do besides what they always do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// More false deaths than this are a violation. `None`: they are counted only.
    pub false_deaths_max: Option<u64>,
    /// Keep a fingerprint of what each node did after each input, to compare two runs of one seed (S12).
    pub fingerprint: bool,
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// When it was seen, in simulated time.
    pub at: Instant,
    /// Whom it concerns: first the node at which it was seen.
    pub slots: Vec<Slot>,
    /// What was seen, as a sentence.
    pub what: String,
}

/// The rules: S and L by their numbers in published-results 5.2, U of what applications say (protocol.md 12), M of what
/// members send each other by messenger (messaging.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// An incarnation held never decreases; nor does a member's own.
    S1,
    /// Only its owner raises an incarnation.
    S2,
    /// What is held only rises in the order of precedence, by what was heard.
    S3,
    /// The dead and the departed return only with a greater incarnation.
    S4,
    /// A death has a cause: a suspicion held for its least time, or somebody else's word.
    S5,
    /// Events replayed give the table.
    S6,
    /// What is sent is within its size, decodes, and is in its own name.
    S7,
    /// A rumor is sent a bounded number of times.
    S8,
    /// A node's datagrams per period do not depend on the cluster's size.
    S9,
    /// Tables and queues stay within their bounds.
    S10,
    /// Health and suspicion time-outs stay within theirs.
    S11,
    /// Two runs of one seed are the same.
    S12,
    /// A live node holds itself alive and accuses itself of nothing.
    S13,
    /// Accusers are real, and each counts once.
    S14,
    /// In the end every crashed member is held dead by everyone.
    L1,
    /// And no later than a bound that follows from the settings.
    L2,
    /// In the end every live member is held live by everyone, and from then on nobody is buried alive.
    L4,
    /// In the end all views are the same.
    L5,
    /// On a network that loses nothing, whoever asks a suspect once more buries nobody who is up and linked to it.
    L6,
    /// A process tells its application a broadcast at most once.
    U1,
    /// What is told as a broadcast was said so by its origin.
    U2,
    /// A direct message is sent as it was said, and told to nobody but its target.
    U3,
    /// Broadcasts are told a bounded number of times, and what waits of them stays within bounds.
    U4,
    /// Where nothing stands in the way a broadcast reaches everyone in time.
    U5,
    /// Neither claims nor broadcasts starve the other side.
    U6,
    /// A message that was accepted has exactly one outcome, with what is so of it.
    M1,
    /// What a messenger says of delivery and processing is true.
    M2,
    /// A message is told once in each life of its receiver, as it was said, to its target alone.
    M3,
    /// A stream is told in order, and nothing is left out but what has ended.
    M4,
    /// What an earlier life of the receiver may have is given to no other, unless that is wanted.
    M5,
    /// No more is sent than was granted, and no more granted than there is room for.
    M6,
    /// What a messenger keeps stays within its bounds.
    M7,
    /// Links: what is put on them is due, whole, and not repeated without need; one to each member.
    M8,
    /// A member that is not live is not waited for.
    M9,
    /// No class, no sender and no peer starves.
    M10,
    /// Every message ends in its time, and in the end every message arrives.
    M11,
    /// Nobody waits for what nobody holds up.
    M12,
    /// The node's contract: its deadline lies ahead after a time-out, and its views agree with each other.
    Contract,
    /// More members were buried alive than the settings allow.
    FalseDeath,
}

impl Judges {
    /// Judges that have seen nothing yet.
    pub fn new(settings: Settings) -> Judges {
        Judges {
            settings,
            oracle: Oracle::default(),
            processes: Vec::new(),
            userdata: userdata::UserData::default(),
            messages: messages::Messages::default(),
            accuracy: Accuracy::default(),
            fingerprint: Fingerprint::default(),
            stopped: None,
            rested: Vec::new(),
        }
    }

    /// Takes note of what happened, and judges it. After a violation they judge no more.
    pub fn observe(&mut self, now: Instant, observation: Observation<'_>, truth: &dyn Truth) -> Result<(), Violation> {
        if self.settings.fingerprint {
            let deadline = match observation {
                Observation::Settled { slot } => truth.view(slot).and_then(|view| view.deadline()),
                _ => None,
            };
            self.fingerprint.observe(now, &observation, deadline);
        }
        self.userdata.observe(now, &observation, truth)?;
        self.messages.observe(now, &observation, truth)?;
        match observation {
            Observation::Started { slot } => self.start(now, slot, truth),
            Observation::Input { slot, input } => self.judge(now, slot, truth, |process, at| {
                process.input(at, input);
                Ok(())
            }),
            Observation::Transmit { slot, to, bytes } => {
                self.owner_speaks(slot, truth);
                self.judge(now, slot, truth, |process, at| process.transmit(at, to, bytes))
            }
            Observation::StreamConnect { slot, stream, to } => self.judge(now, slot, truth, |process, _| {
                process.connect(stream, to);
                Ok(())
            }),
            Observation::StreamWrite { slot, stream, bytes } => {
                self.owner_speaks(slot, truth);
                self.judge(now, slot, truth, |process, at| process.write(at, stream, bytes))
            }
            Observation::StreamClosed { slot, stream } => self.judge(now, slot, truth, |process, at| {
                process.stream_closed(at, stream);
                Ok(())
            }),
            Observation::Event { slot, event } => {
                self.judge_burial(now, slot, &event, truth)?;
                self.judge(now, slot, truth, |process, at| process.event(at, &event))
            }
            Observation::Settled { slot } => self.settle(now, slot, truth),
            Observation::Stopped { slot } => {
                if let Some(process) = self.processes.get_mut(slot.index()) {
                    *process = None;
                }
                Ok(())
            }
            Observation::ConditionChanged { .. }
            | Observation::LinksChanged
            | Observation::Said { .. }
            | Observation::Post { .. } => Ok(()),
            Observation::Injected { packet } => {
                self.inject(packet, truth);
                Ok(())
            }
            Observation::FaultsStopped { lossless } => {
                self.stopped = Some(Stopped { at: now, lossless });
                Ok(())
            }
        }
    }

    fn start(&mut self, now: Instant, slot: Slot, truth: &dyn Truth) -> Result<(), Violation> {
        let view = truth.view(slot).expect("a process that was started shows itself");
        self.oracle.started(slot, view.local());
        let mut process = Process::new(now, truth.clock(slot), view);
        process.scan_at = now + self.scan_interval(truth).mul_f64(0.5 + f64::from(slot.0 % 16) / 16.0);
        if self.processes.len() <= slot.index() {
            self.processes.resize_with(slot.index() + 1, || None);
        }
        self.processes[slot.index()] = Some(process);
        Ok(())
    }

    fn scan_interval(&self, truth: &dyn Truth) -> Duration {
        SCAN_INTERVAL * (truth.slots() / SCAN_SLOTS).max(1) as u32
    }

    /// Whatever a node says, its own incarnation is what it shows of it now.
    fn owner_speaks(&mut self, slot: Slot, truth: &dyn Truth) {
        let process = self.processes.get(slot.index()).and_then(Option::as_ref);
        if let (Some(process), Some(view)) = (process, truth.view(slot)) {
            let incarnation = view.local().incarnation;
            if incarnation > process.own() {
                self.oracle.raised(process.id, incarnation);
            }
        }
    }

    fn inject(&mut self, packet: &[u8], truth: &dyn Truth) {
        let views = (0..truth.slots() as u32).filter_map(|slot| truth.view(Slot(slot)));
        for view in views.take(1) {
            self.oracle.injected(packet, ClusterHash::of(&view.config().cluster));
        }
    }

    /// Has one process judged; what is wrong is a violation with its slot, and those of whom it is about.
    fn judge(
        &mut self,
        now: Instant,
        slot: Slot,
        truth: &dyn Truth,
        judge: impl FnOnce(&mut Process, Moment<'_>) -> Verdict,
    ) -> Result<(), Violation> {
        let Some(process) = self.processes.get_mut(slot.index()).and_then(Option::as_mut) else { return Ok(()) };
        let Some(view) = truth.view(slot) else { return Ok(()) };
        let at = Moment { now, clock: truth.clock(slot), view, oracle: &self.oracle };
        judge(process, at).map_err(|fault| violation(now, slot, fault, &self.oracle))
    }

    fn settle(&mut self, now: Instant, slot: Slot, truth: &dyn Truth) -> Result<(), Violation> {
        self.owner_speaks(slot, truth);
        self.judge(now, slot, truth, Process::settled)?;
        let process = self.processes.get(slot.index()).and_then(Option::as_ref);
        if process.is_some_and(|process| process.scan_at <= now) { self.scan(now, slot, truth) } else { Ok(()) }
    }

    /// Looks at all that one node holds.
    fn scan(&mut self, now: Instant, slot: Slot, truth: &dyn Truth) -> Result<(), Violation> {
        let interval = self.scan_interval(truth);
        let oracle = &self.oracle;
        let (Some(process), Some(view)) =
            (self.processes.get_mut(slot.index()).and_then(Option::as_mut), truth.view(slot))
        else {
            return Ok(());
        };
        process.scan_at = now + interval;
        let (condition, since) = truth.condition(slot);
        let rate = truth.clock_rate(slot);
        let able_since = if condition == Condition::Running { since.max(process.started) } else { now };
        let rested = now.saturating_since(able_since).mul_f64(rate);
        let at = Moment { now, clock: truth.clock(slot), view, oracle };
        let mut complete = |process: &Process, member: &swim_proto::Member<'_>| {
            if !member.state.is_live() {
                return Ok(());
            }
            match (process.record(member.id), oracle.down_since(member.id, truth)) {
                (Some(held), Some(down)) => {
                    let since = down.max(able_since).max(held.news_at);
                    if oneself::takes_part(view.status()) {
                        process.probing.judge_down((member.id, member.state), since, process.live_max, view)?;
                    }
                    liveness::completeness(now, (view, able_since, rate), process.live_max, (member, held), down)
                }
                _ => Ok(()),
            }
        };
        process.scan(at, rested, &mut complete).map_err(|fault| violation(now, slot, fault, oracle))
    }

    /// Counts burials, and judges those of the living.
    fn judge_burial(
        &mut self,
        now: Instant,
        slot: Slot,
        event: &Event<'_>,
        truth: &dyn Truth,
    ) -> Result<(), Violation> {
        let Event::Died(change) = event else { return Ok(()) };
        let Cause::SuspicionExpired { .. } = change.cause else { return Ok(()) };
        let Some(process) = self.processes.get(slot.index()).and_then(Option::as_ref) else { return Ok(()) };
        let subject = (change.member.id, change.member.incarnation);
        let Some(&case) = process.case(subject.0) else { return Ok(()) };
        let began = case.began;
        let by = (slot, process.started);
        let Some(death) = self.accuracy.declared((now, began), by, subject, &self.oracle, truth) else { return Ok(()) };
        let violated = |rule, what| Err(Violation { rule, at: now, slots: vec![slot, death.member], what });
        if self.settings.false_deaths_max.is_some_and(|max| self.accuracy.false_deaths > max) {
            let what = format!("declared member {} dead, which was up and connected since {began:?}", subject.0);
            return violated(Rule::FalseDeath, what);
        }
        let (Some(accuser), Some(member)) = (truth.view(slot), truth.view(death.member)) else { return Ok(()) };
        // Whoever does not ask may not hear of a refutation in time where no datagram passes, or while the news of those
        // who were cut off is told.
        let config = accuser.config();
        let verifies = config.verify_burial;
        let hears = verifies || truth.lossless_since().is_some();
        let told = bounds::suspicion_min(config, accuser.live()).mul_f64(config.suspicion_beta);
        let calm = if verifies { Duration::ZERO } else { told };
        if self.stopped.is_some_and(|stopped| stopped.lossless && stopped.at + calm <= began) && hears {
            let what =
                format!("declared member {} dead after faults stopped; it was suspected since {began:?}", subject.0);
            return violated(Rule::L4, what);
        }
        let lossless = truth.lossless_since().is_some_and(|since| since <= began);
        if lossless && accuracy::hears(accuser, member, &change.member, case.streams_full) {
            let what =
                format!("declared member {} dead, suspected since {began:?}, which any ping could reach", subject.0);
            return violated(Rule::L6, what);
        }
        Ok(())
    }

    /// What the cluster still lacks, after [`Observation::FaultsStopped`]: the first liveness property that does not
    /// hold at this moment, or `None`: it has converged. Asked now and then (each simulated second, say), not at each event.
    pub fn lacking(&mut self, now: Instant, truth: &dyn Truth) -> Option<Violation> {
        let stopped = self.stopped;
        let process = |slot: Slot| self.processes.get(slot.index()).and_then(Option::as_ref);
        let came = |observer, id| {
            let held = process(observer).and_then(|process| process.record(id));
            held.zip(stopped).is_some_and(|(held, stopped)| held.news_at > stopped.at)
        };
        let witness = liveness::Witness { oracle: &self.oracle, truth, came: &came };
        liveness::lacking(now, witness, stopped.is_some_and(|stopped| stopped.lossless))
    }

    /// By when it must have converged, once faults have stopped. Past it, what is [`Judges::lacking`] is a violation.
    pub fn due(&self, truth: &dyn Truth) -> Option<Instant> {
        Some(self.stopped?.at + liveness::due(truth))
    }

    /// A node that takes part among others and has had news to tell whenever this was asked (S8), or `None`. To be
    /// asked now and then of a cluster that has converged on a network that loses nothing, until [`Judges::rest_due`].
    ///
    /// Where more are gone than are remembered there is news all the time (protocol 2.8).
    pub fn restless(&mut self, now: Instant, truth: &dyn Truth) -> Option<Violation> {
        if !liveness::remembers(truth) {
            return None;
        }
        self.rested.resize(truth.slots(), false);
        let mut found = None;
        for slot in (0..truth.slots() as u32).map(Slot) {
            let tells =
                |view: &dyn View| oneself::takes_part(view.status()) && view.live() > 1 && view.stats().rumors > 0;
            let view = truth.view(slot).filter(|&view| tells(view));
            self.rested[slot.index()] |= view.is_none();
            if let (Some(view), None, false) = (view, &found, self.rested[slot.index()]) {
                let what = format!("still has {} rumors to tell, and nothing is new", view.stats().rumors);
                found = Some(Violation { rule: Rule::S8, at: now, slots: vec![slot], what });
            }
        }
        found
    }

    /// By when every node must have had nothing to tell, if nothing happens any more from now on.
    pub fn rest_due(&self, now: Instant, truth: &dyn Truth) -> Instant {
        let views = (0..truth.slots() as u32).filter_map(|slot| truth.view(Slot(slot)));
        let bounds = views.map(|view| load::rest_max(view.config(), view.stats().rumors, view.live()));
        now + bounds.max().unwrap_or_default()
    }

    /// From now on what members send each other must be processed: by when, at the latest.
    pub fn demand_answers(&mut self, now: Instant, truth: &dyn Truth) -> Instant {
        self.messages.demand(now, truth)
    }

    /// A message sent since then that is not processed, or `None`.
    pub fn unanswered(&mut self, now: Instant) -> Option<Violation> {
        self.messages.unanswered(now)
    }

    /// Looks at every node and every member it holds, whatever the cost: at the end of a run.
    pub fn inspect(&mut self, now: Instant, truth: &dyn Truth) -> Result<(), Violation> {
        (0..truth.slots() as u32).try_for_each(|slot| self.scan(now, Slot(slot), truth))
    }

    /// What was counted of burials.
    pub fn accuracy(&self) -> &Accuracy {
        &self.accuracy
    }

    /// What each node did on each input, if it was to be kept.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

fn violation(at: Instant, slot: Slot, fault: Fault, oracle: &Oracle) -> Violation {
    let mut slots = vec![slot];
    for &about in fault.about.iter().flat_map(|&id| oracle.slots(id)) {
        if !slots.contains(&about) {
            slots.push(about);
        }
    }
    Violation { rule: fault.rule, at, slots, what: fault.what }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Contract => f.write_str("contract"),
            Rule::FalseDeath => f.write_str("false death"),
            rule => write!(f, "{rule:?}"),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:?}, node", self.rule, self.at)?;
        for (index, slot) in self.slots.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { " " } else { ", " }, slot.0)?;
        }
        write!(f, ": {}", self.what)
    }
}
