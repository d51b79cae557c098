//! One run of a scenario: first the faults, then, with faults stopped, the demand that all comes right.
//!
//! A run ends well when, after its duration, every live node holds exactly the live members (and, on a network that
//! loses nothing, all views are the same), and no rule was broken on the way. It is given until a bound that follows
//! from its settings ([`Scenario::liveness_bound`], or the judges' own), and ends as soon as it has converged.

use std::fmt;
use std::time::{Duration, Instant as Wall};

use swim_proto::ConfigError;

use crate::judges::{Judges, Rule, Settings, Violation};
use crate::measure::{Counters, Delivery, Percentiles};
use crate::network::Traffic;
use crate::scenario::Scenario;
use crate::world::World;

/// How often, in simulated time, it is asked whether the cluster has converged.
const ASKED_EVERY: Duration = Duration::from_secs(1);
/// For how long a converged cluster is watched for burials of the living: the longest that a suspicion can last which
/// begins then, but within these.
const WATCHED_MIN: Duration = Duration::from_secs(10);
const WATCHED_MAX: Duration = Duration::from_secs(60);

/// How to run a scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Judges watch every event. They cost several times what the cluster itself does.
    pub judges: bool,
    /// With judges: more false deaths than this are a violation.
    pub false_deaths_max: Option<u64>,
    /// With judges: violations of these rules are passed over.
    pub ignore: Vec<Rule>,
}

/// A run in progress.
pub struct Run {
    world: World,
    seed: u64,
    phase: Phase,
    converged: bool,
    /// How long after faults stopped all was right again.
    recovered: Option<Duration>,
    lacking: Option<Violation>,
    settled: Settled,
    /// What the last step did to the world besides letting it go on.
    intervened: Option<Intervention>,
    began: Wall,
}

/// What the run does to the world, which of itself only goes on.
#[derive(Clone, Copy, Debug)]
enum Intervention {
    /// No more faults from now on.
    StopFaults,
    /// Everybody sends somebody a last message.
    LastWords,
    /// Those that were refused are sent once more.
    LastWordsAgain,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Faults may happen.
    Faults,
    /// They have stopped: by `due` it must have converged, which is asked at `ask`.
    Liveness {
        ask: Duration,
        due: Duration,
    },
    /// It has converged, and what members send each other now must be processed by `due`, which is asked at `ask`.
    Answers {
        ask: Duration,
        due: Duration,
    },
    /// It has converged, and is watched a little longer.
    Watched {
        until: Duration,
    },
    /// On a network that loses nothing, all news must have been told by `due`, which is asked at `ask`.
    Resting {
        ask: Duration,
        due: Duration,
    },
    Over,
}

/// The traffic between convergence and the first fault after it.
#[derive(Clone, Copy, Debug)]
enum Settled {
    NotYet,
    Since(Duration, Traffic),
    Measured(Duration, Traffic),
    Never,
}

impl Run {
    /// A run about to begin.
    pub fn new(scenario: Scenario, seed: u64, options: Options) -> Result<Run, ConfigError> {
        let mut world = World::new(scenario, seed)?;
        if options.judges {
            world.set_judges(Judges::new(Settings { false_deaths_max: options.false_deaths_max, fingerprint: false }));
            world.ignore(options.ignore);
        }
        Ok(Run {
            world,
            seed,
            phase: Phase::Faults,
            converged: false,
            recovered: None,
            lacking: None,
            settled: Settled::NotYet,
            intervened: None,
            began: Wall::now(),
        })
    }

    /// The world it runs in.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The world it runs in, to be changed.
    pub fn world_mut(&mut self) -> &mut World {
        &mut self.world
    }

    /// Lets the next thing happen. `false`: it is over.
    pub fn step(&mut self) -> bool {
        self.intervened = None;
        if self.world.violation().is_some() {
            self.phase = Phase::Over;
        }
        let until = match self.phase {
            Phase::Faults => self.world.scenario().duration,
            Phase::Liveness { ask, .. } | Phase::Answers { ask, .. } | Phase::Resting { ask, .. } => ask,
            Phase::Watched { until } => until,
            Phase::Over => return false,
        };
        if self.world.next_time().is_some_and(|next| next <= until) {
            self.world.step();
            self.note_traffic();
        } else {
            self.world.run_until(until);
            self.phase_ends();
        }
        true
    }

    fn phase_ends(&mut self) {
        let now = self.world.now();
        self.phase = match self.phase {
            Phase::Faults => {
                self.traffic_settled();
                self.intervene(Intervention::StopFaults);
                let bound = now + self.world.scenario().liveness_bound();
                let due = self.world.with_judges(|judges, _, truth| judges.due(truth)).flatten();
                let due = due.map_or(bound, |due| Duration::from_nanos(due.as_nanos()).max(bound));
                Phase::Liveness { ask: now, due }
            }
            Phase::Liveness { due, .. } => {
                self.converged = self.has_converged();
                if self.converged {
                    let right = self.world.measure().right_since().unwrap_or(now);
                    self.recovered = Some(right.saturating_sub(self.world.scenario().duration));
                }
                if self.converged && self.world.has_judges() {
                    match self.world.demand_answers() {
                        Some(due) => {
                            self.intervene(Intervention::LastWords);
                            Phase::Answers { ask: now, due }
                        }
                        None => self.watched(),
                    }
                } else if self.converged || now >= due {
                    Phase::Over
                } else {
                    Phase::Liveness { ask: (now + ASKED_EVERY).min(due), due }
                }
            }
            Phase::Answers { due, .. } => match self.world.unanswered() {
                Some(_) if now < due => {
                    self.intervene(Intervention::LastWordsAgain);
                    Phase::Answers { ask: (now + ASKED_EVERY).min(due), due }
                }
                unanswered => {
                    self.world.violate(unanswered);
                    self.watched()
                }
            },
            Phase::Watched { .. } if self.world.scenario().heal_network => {
                Phase::Resting { ask: now, due: self.world.rest_due() }
            }
            Phase::Resting { ask, due } if ask < due && self.world.restless().is_some() => {
                Phase::Resting { ask: (now + ASKED_EVERY).min(due), due }
            }
            Phase::Resting { .. } => {
                let restless = self.world.restless();
                self.world.violate(restless);
                self.world.inspect();
                Phase::Over
            }
            Phase::Watched { .. } | Phase::Over => {
                self.world.inspect();
                Phase::Over
            }
        };
    }

    fn intervene(&mut self, what: Intervention) {
        self.intervened = Some(what);
        match what {
            Intervention::StopFaults => {
                let healed = self.world.scenario().heal_network.then(|| self.world.network().clone().healed());
                self.world.stop_faults(healed);
            }
            Intervention::LastWords => self.world.last_words(),
            Intervention::LastWordsAgain => self.world.last_words_again(),
        }
    }

    /// It is watched for as long as a suspicion raised now may last.
    fn watched(&self) -> Phase {
        let suspected = self.world.scenario().suspicion_bound() + WATCHED_MIN;
        Phase::Watched { until: self.world.now() + suspected.min(WATCHED_MAX) }
    }

    fn has_converged(&mut self) -> bool {
        self.lacking = self.world.with_judges(|judges, now, truth| judges.lacking(now, truth)).flatten();
        let measure = self.world.measure();
        let equal = measure.is_converged() || !self.world.network().is_lossless();
        let full = measure.is_full() && measure.all_detected();
        // Judges know better who can find whom, and what settings promise.
        if self.world.has_judges() { self.lacking.is_none() } else { full && equal }
    }

    /// Sees where the time between convergence and the next fault begins and ends.
    fn note_traffic(&mut self) {
        let now = self.world.now();
        match self.settled {
            Settled::NotYet if self.world.measure().converged_at().is_some() => {
                self.settled = Settled::Since(now, self.world.traffic());
            }
            Settled::Since(..) if self.world.faults_begun() => self.traffic_settled(),
            _ => {}
        }
        if matches!(self.settled, Settled::NotYet) && self.world.faults_begun() {
            self.settled = Settled::Never;
        }
    }

    fn traffic_settled(&mut self) {
        if let Settled::Since(since, before) = self.settled {
            self.settled = Settled::Measured(self.world.now() - since, self.world.traffic().since(before));
        }
    }

    /// Runs to the end.
    pub fn finish(mut self) -> Report {
        while self.step() {}
        self.report()
    }

    /// What came of it, so far.
    pub fn report(mut self) -> Report {
        self.world.flush_trace();
        let world = &self.world;
        let (measure, traffic) = (world.measure(), world.traffic());
        let verdict = match (world.violation(), self.converged) {
            (Some(_), _) => Verdict::Safety,
            (None, true) => Verdict::Passed,
            (None, false) => Verdict::NotConverged,
        };
        let violation = world.violation().cloned().or(self.lacking.filter(|_| verdict != Verdict::Passed));
        let (first, last) = measure.detection();
        let simulated = world.now();
        let node_seconds = f64::from(world.scenario().nodes) * simulated.as_secs_f64();
        let settled = match self.settled {
            Settled::Measured(time, traffic) if time >= Duration::from_secs(1) => {
                Some(Load::of(traffic, f64::from(world.scenario().nodes) * time.as_secs_f64()))
            }
            _ => None,
        };
        Report {
            seed: self.seed,
            nodes: world.scenario().nodes,
            simulated,
            wall: self.began.elapsed(),
            verdict,
            violation,
            unequal: if verdict == Verdict::NotConverged { world.odd_views() } else { Vec::new() },
            trace_hash: world.trace_hash(),
            converged_s: measure.converged_s(),
            full_s: measure.full_s(),
            recovered_s: self.recovered.map(|recovered| recovered.as_secs_f64()),
            first,
            last,
            crashed: measure.crashes().count(),
            detected: measure.crashes().filter(|crash| crash.is_detected()).count(),
            false_deaths: measure.false_deaths,
            excused_deaths: measure.excused_deaths,
            broadcasts: measure.said.broadcasts(),
            messages: measure.said.messages(),
            refused: measure.said.refused,
            duplicates: (0..world.slots() as u32)
                .filter_map(|slot| world.view(slot))
                .map(|view| view.stats().broadcasts_duplicate)
                .sum(),
            load: Load::of(traffic, node_seconds),
            letters: world.scenario().workload.reliable.map(|_| LettersReport::of(world)),
            settled,
            traffic,
            events: world.entries(),
            judged: world.has_judges(),
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All rules were kept, and in the end every view was right.
    Passed,
    /// A rule was broken.
    Safety,
    /// Views were not right in time.
    NotConverged,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The run's seed.
    pub seed: u64,
    /// How many nodes there were.
    pub nodes: u32,
    /// How much time was simulated.
    pub simulated: Duration,
    /// How much time that took.
    pub wall: Duration,
    /// How it ended.
    pub verdict: Verdict,
    /// The rule that was broken, or what was still lacking.
    pub violation: Option<Violation>,
    /// If it did not converge: nodes whose view is not that of most, and how many members they hold live.
    pub unequal: Vec<(u32, usize)>,
    /// The hash of all that happened.
    pub trace_hash: u64,
    /// Seconds from the last join until every live view was equal and full.
    pub converged_s: Option<f64>,
    /// Seconds from the last join until every live view was full.
    pub full_s: Option<f64>,
    /// Seconds from when faults stopped until all was right again: every view equal and full, and every crash noticed; or
    /// what settings promise of that, which is looked at each second. `None`: never.
    pub recovered_s: Option<f64>,
    /// Seconds from crashes to the first who noticed.
    pub first: Percentiles,
    /// Seconds from crashes to the last who noticed.
    pub last: Percentiles,
    /// How many members crashed and stayed away.
    pub crashed: usize,
    /// How many of them everyone noticed.
    pub detected: usize,
    /// Members declared dead while up and connected to the accuser during the whole suspicion.
    pub false_deaths: u64,
    /// Members declared dead while up, but held up or cut off from the accuser for a while.
    pub excused_deaths: u64,
    /// What became of what applications said to all.
    pub broadcasts: Delivery,
    /// And to one.
    pub messages: Delivery,
    /// How often a node refused what its application wanted to say.
    pub refused: u64,
    /// How often a node that is still up heard a broadcast that it had told already.
    pub duplicates: u64,
    /// The load over the whole run.
    pub load: Load,
    /// What became of messages by messenger; nothing, where there are none.
    pub letters: Option<LettersReport>,
    /// The load from convergence to the first fault, if that was a second or more.
    pub settled: Option<Load>,
    /// What passed through the network.
    pub traffic: Traffic,
    /// How many entries of the agenda came up.
    pub events: u64,
    /// Whether judges watched.
    pub judged: bool,
}

/// Messages that members sent each other by messenger, and what became of them.
#[derive(Clone, Debug, PartialEq)]
pub struct LettersReport {
    /// How many were accepted, and how many taken by applications.
    pub accepted: u64,
    /// How many applications took.
    pub taken: u64,
    /// How many were refused, by reason.
    pub refused: Vec<(&'static str, u64)>,
    /// Outcomes by kind. (Of messages whose sender's process ended first nothing is told.)
    pub outcomes: Vec<(&'static str, u64)>,
    /// Seconds from acceptance to the outcome "delivered".
    pub delivered: Percentiles,
    /// Seconds from acceptance to the outcome "processed".
    pub processed: Percentiles,
    /// Seconds from acceptance to the receiver's application.
    pub reached: Percentiles,
    /// What messengers counted.
    pub counters: Counters,
}

impl LettersReport {
    fn of(world: &World) -> LettersReport {
        let seen = &world.measure().letters;
        let listed = |counts: &std::collections::BTreeMap<&'static str, u64>| {
            counts.iter().map(|(&what, &count)| (what, count)).collect()
        };
        LettersReport {
            accepted: seen.accepted,
            taken: seen.taken,
            refused: listed(&seen.refused),
            outcomes: listed(&seen.outcomes),
            delivered: seen.delivered(),
            processed: seen.processed(),
            reached: seen.reached(),
            counters: world.messenger_counters(),
        }
    }
}

/// What each node sent, per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Datagrams.
    pub datagrams_per_node_s: f64,
    /// Bytes in datagrams, without headers.
    pub datagram_bytes_per_node_s: f64,
    /// Bytes in streams, without headers, those sent again included.
    pub stream_bytes_per_node_s: f64,
    /// Streams opened; each has two ends, and counts once.
    pub streams_per_node_s: f64,
}

impl Load {
    fn of(traffic: Traffic, node_seconds: f64) -> Load {
        let per = |count: u64| if node_seconds > 0.0 { count as f64 / node_seconds } else { 0.0 };
        Load {
            datagrams_per_node_s: per(traffic.datagrams),
            datagram_bytes_per_node_s: per(traffic.datagram_bytes),
            stream_bytes_per_node_s: per(traffic.segment_bytes),
            streams_per_node_s: per(traffic.opened),
        }
    }

    /// Bytes in datagrams and streams together.
    pub fn bytes_per_node_s(&self) -> f64 {
        self.datagram_bytes_per_node_s + self.stream_bytes_per_node_s
    }
}

/// Where two runs of one seed part.
#[derive(Clone, Debug)]
pub struct Difference {
    /// In which step, counted from 1.
    pub step: u64,
    /// What the first run did there.
    pub first: String,
    /// What the second did.
    pub second: String,
}

/// Runs a scenario twice, step by step: once as `options` say, once unwatched. Gives the first's report, or where they
/// part.
pub fn check_determinism(
    scenario: &Scenario,
    seed: u64,
    options: Options,
) -> Result<Result<Report, Difference>, ConfigError> {
    let first = Run::new(scenario.clone(), seed, options)?;
    let second = Run::new(scenario.clone(), seed, Options::default())?;
    Ok(compare(first, second))
}

/// Runs these two, which have not begun, step by step. Gives the first's report, or where they part.
pub fn compare(mut first: Run, mut second: Run) -> Result<Report, Difference> {
    first.world.keep_steps();
    second.world.keep_steps();
    let mut step = 0;
    while first.step() {
        step += 1;
        // The second run has no judges to end its phases, so it follows the first's.
        second.follow(&first);
        if first.world.trace_hash() != second.world.trace_hash() {
            let (a, b) = (first.world.last_step(), second.world.last_step());
            let at = (0..a.len().max(b.len())).find(|&at| a.get(at) != b.get(at)).unwrap_or(0);
            let told =
                |items: &[crate::Item]| items.get(at).map_or_else(|| "nothing more".into(), |item| format!("{item:?}"));
            return Err(Difference { step, first: told(a), second: told(b) });
        }
    }
    Ok(first.report())
}

impl Difference {
    /// The command's exit code for it.
    pub const EXIT_CODE: u8 = 4;
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at step {}\n  first run:  {}\n  second run: {}", self.step, self.first, self.second)
    }
}

impl Run {
    /// Does what the other run just did.
    fn follow(&mut self, other: &Run) {
        if let Some(what) = other.intervened {
            self.world.run_until(other.world.now());
            self.intervene(what);
        }
        if self.world.entries() < other.world.entries() {
            self.world.step();
        }
    }
}
