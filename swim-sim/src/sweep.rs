//! Settings against figures: several scenarios, each run with the same seeds, on all cores.
//!
//! What is compared is run with the same seeds throughout: the same members crash at the same times in the same places,
//! and what differs between two cells is what was set differently (and chance that this moved).

use std::ops::Range;
use std::time::Duration;

use rayon::prelude::*;
use serde_json::{Value, json};
use swim_proto::ConfigError;

use crate::measure::Percentiles;
use crate::run::{Options, Run, Verdict};
use crate::scenario::Scenario;

/// What came of all runs of one cell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// How many runs.
    pub runs: u64,
    /// Of these, in which views were not right in time.
    pub not_converged: u64,
    /// How many members crashed and stayed away.
    pub crashed: u64,
    /// How many of them everyone noticed.
    pub detected: u64,
    /// Seconds from crashes, of all runs together, to the first who noticed.
    pub first: Percentiles,
    /// And to the last.
    pub last: Percentiles,
    /// Members declared dead while up and connected to the accuser during the whole suspicion, by however many.
    pub false_deaths: u64,
    /// Members declared dead while up, but they or the accuser were held up, or they were cut off, for a while.
    pub excused_deaths: u64,
    /// Suspicions of members that were down: each node's counts.
    pub suspicions: u64,
    /// Suspicions of members that were up.
    pub false_suspicions: u64,
    /// Datagrams sent per node and second, on average over all runs.
    pub datagrams_per_node_s: f64,
    /// Bytes in datagrams and streams, without headers, likewise.
    pub bytes_per_node_s: f64,
}

/// One run's part in it.
struct Ran {
    figures: Figures,
    first: Vec<Duration>,
    last: Vec<Duration>,
}

/// Runs each cell's scenario, made by `scenario` for a seed, with each seed; `ran` is called after each run. In the
/// order of the cells, whatever the number of cores.
pub fn sweep<C: Sync>(
    cells: &[C],
    seeds: Range<u64>,
    scenario: impl Fn(&C, u64) -> Scenario + Sync,
    ran: impl Fn() + Sync,
) -> Result<Vec<Figures>, ConfigError> {
    let jobs: Vec<(&C, u64)> = cells.iter().flat_map(|cell| seeds.clone().map(move |seed| (cell, seed))).collect();
    let one = |&(cell, seed): &(&C, u64)| {
        let done = run(scenario(cell, seed), seed);
        ran();
        done
    };
    let done: Vec<Result<Ran, ConfigError>> = jobs.par_iter().with_max_len(1).map(one).collect();
    let done: Vec<Ran> = done.into_iter().collect::<Result<_, _>>()?;
    let per_cell = (seeds.end.saturating_sub(seeds.start)).max(1) as usize;
    Ok(done.chunks(per_cell).map(summed).collect())
}

fn run(scenario: Scenario, seed: u64) -> Result<Ran, ConfigError> {
    let mut run = Run::new(scenario, seed, Options::default())?;
    while run.step() {}
    let measure = run.world().measure();
    let first = measure.crashes().filter_map(|crash| crash.first_noticed()).collect();
    let last = measure.crashes().filter_map(|crash| crash.last_noticed()).collect();
    let (suspicions, false_suspicions) = (measure.suspicions, measure.false_suspicions);
    let report = run.report();
    let figures = Figures {
        runs: 1,
        not_converged: u64::from(report.verdict == Verdict::NotConverged),
        crashed: report.crashed as u64,
        detected: report.detected as u64,
        first: Percentiles::default(),
        last: Percentiles::default(),
        false_deaths: report.false_deaths,
        excused_deaths: report.excused_deaths,
        suspicions,
        false_suspicions,
        datagrams_per_node_s: report.load.datagrams_per_node_s,
        bytes_per_node_s: report.load.bytes_per_node_s(),
    };
    Ok(Ran { figures, first, last })
}

fn summed(runs: &[Ran]) -> Figures {
    let sum = |of: fn(&Figures) -> u64| runs.iter().map(|ran| of(&ran.figures)).sum::<u64>();
    let mean = |of: fn(&Figures) -> f64| runs.iter().map(|ran| of(&ran.figures)).sum::<f64>() / runs.len() as f64;
    let times = |of: fn(&Ran) -> &Vec<Duration>| Percentiles::of(runs.iter().flat_map(|ran| of(ran).iter().copied()));
    Figures {
        runs: sum(|figures| figures.runs),
        not_converged: sum(|figures| figures.not_converged),
        crashed: sum(|figures| figures.crashed),
        detected: sum(|figures| figures.detected),
        first: times(|ran| &ran.first),
        last: times(|ran| &ran.last),
        false_deaths: sum(|figures| figures.false_deaths),
        excused_deaths: sum(|figures| figures.excused_deaths),
        suspicions: sum(|figures| figures.suspicions),
        false_suspicions: sum(|figures| figures.false_suspicions),
        datagrams_per_node_s: mean(|figures| figures.datagrams_per_node_s),
        bytes_per_node_s: mean(|figures| figures.bytes_per_node_s),
    }
}

impl Figures {
    /// The figures by name, in one order; `None` where nothing was measured.
    pub fn columns(&self) -> [(&'static str, Option<f64>); 16] {
        let count = |count: u64| Some(count as f64);
        [
            ("runs", count(self.runs)),
            ("not_converged", count(self.not_converged)),
            ("crashed", count(self.crashed)),
            ("detected", count(self.detected)),
            ("first_p50_s", self.first.p50),
            ("first_p99_s", self.first.p99),
            ("first_max_s", self.first.max),
            ("last_p50_s", self.last.p50),
            ("last_p99_s", self.last.p99),
            ("last_max_s", self.last.max),
            ("false_deaths", count(self.false_deaths)),
            ("excused_deaths", count(self.excused_deaths)),
            ("suspicions", count(self.suspicions)),
            ("false_suspicions", count(self.false_suspicions)),
            ("datagrams_per_node_s", Some(self.datagrams_per_node_s)),
            ("bytes_per_node_s", Some(self.bytes_per_node_s)),
        ]
    }

    /// As one JSON object.
    pub fn to_json(&self) -> Value {
        self.columns().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
    }
}
