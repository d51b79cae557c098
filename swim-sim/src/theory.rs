//! SWIM's analytic results beside what the core does (\[SWIM\] 2, 3.1, 4.1; the targets R1, R2, R3 and R5).
//!
//! Each [`Row`] holds three values of one quantity: what the paper's *formula* gives, which knows neither the size of
//! the cluster nor phases; what is *expected* of a sound node in a cluster of this size whose nodes' periods begin when
//! they begin, derived in the module of the quantity; and what was *simulated* with the core's own code, over seeds. A
//! row holds if the simulated value lies within its tolerance of the expected one.
//!
//! **The tolerance** is statistical: so many standard errors of the mean over independent runs (or of a count of
//! independent trials) that a sound node falls outside once in 16,000 rows; with few runs, as much more as Student's
//! distribution has for it ([`statistics`]). It shrinks with the number of runs, and so a deviation of any size is found
//! by enough of them.
//!
//! **The protocol** is the paper's ([`paper`]): pings, ping-reqs and piggyback alone. That is
//! [`Config::published`] without what memberlist adds to SWIM: the ping over a stream beside the indirect ones, the
//! gossip timer, the periodic exchange.

mod accuracy;
mod cluster;
mod detection;
mod dissemination;
mod epidemic;
mod load;
pub mod statistics;

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use serde_json::{Value, json};
use swim_proto::{Config, ConfigError, Variant};

/// Longer than any run.
const AGES: Duration = Duration::from_secs(300 * 86_400);

/// Fewest seeds from which a spread can be told.
pub const SEEDS_MIN: u64 = 10;

/// What is to be compared.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Cluster sizes, each from 8 to 1,000.
    pub sizes: Vec<u32>,
    /// A run for each seed; at least [`SEEDS_MIN`].
    pub seeds: Range<u64>,
    /// Which results; all if empty.
    pub only: Vec<Claim>,
    /// Changes the settings that nodes really run with: to see what deviates from the paper, and by how much.
    pub deviation: fn(&mut Config),
}

impl Plan {
    /// All results, for these sizes and seeds, with the paper's protocol.
    pub fn new(sizes: Vec<u32>, seeds: Range<u64>) -> Plan {
        Plan { sizes, seeds, only: Vec::new(), deviation: |_| () }
    }

    fn includes(&self, claim: Claim) -> bool {
        self.only.is_empty() || self.only.contains(&claim)
    }

    /// The settings that nodes run with, where the paper's would be these.
    fn settings(&self, mut paper: Config) -> Config {
        (self.deviation)(&mut paper);
        paper
    }
}

/// A result of the paper, by its number in published-results 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// The message load of a member is constant (\[SWIM\] 3.1, figure 2).
    R1,
    /// The time to the first detection of a failure (\[SWIM\] 3.1, figure 3a).
    R2,
    /// News infects a cluster in time logarithmic in its size (\[SWIM\] 4.1, figure 3b).
    R3,
    /// The rate of false detections (\[SWIM\] 3.1).
    R5,
}

impl Claim {
    /// All of them.
    pub const ALL: [Claim; 4] = [Claim::R1, Claim::R2, Claim::R3, Claim::R5];
}

/// One quantity, in one setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Whose result it is.
    pub claim: Claim,
    /// What was measured, with its unit.
    pub what: &'static str,
    /// In which setting.
    pub given: String,
    /// The paper's formula.
    pub formula: &'static str,
    /// What that gives.
    pub published: f64,
    /// What is expected of a sound node here.
    pub expected: f64,
    /// What was simulated: the mean.
    pub simulated: f64,
    /// Its standard error, that of the expectation included where that is itself a mean.
    pub error: f64,
    /// How many independent runs or trials it is the mean of.
    pub samples: u64,
    /// How far the simulated value may lie from the expected one.
    pub tolerance: f64,
}

impl Row {
    /// The simulated value, as a part of the formula's. Without meaning where that is 0.
    pub fn ratio(&self) -> f64 {
        self.simulated / self.published
    }

    /// Whether the simulated value is what is expected.
    pub fn holds(&self) -> bool {
        (self.simulated - self.expected).abs() <= self.tolerance
    }

    fn to_json(&self) -> Value {
        json!({
            "result": format!("{:?}", self.claim),
            "what": self.what,
            "given": self.given,
            "formula": self.formula,
            "published": self.published,
            "expected": self.expected,
            "simulated": self.simulated,
            "standard_error": self.error,
            "samples": self.samples,
            "ratio": (self.published != 0.0).then(|| self.ratio()),
            "tolerance": self.tolerance,
            "holds": self.holds(),
        })
    }
}

/// Why there is nothing to compare.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TheoryError {
    /// The plan's nodes would refuse their settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A cluster did not come together before anything was to be measured.
    #[error("{nodes} nodes, seed {seed}: not every view was full and equal {after:?} after the start")]
    NotSettled {
        /// How many nodes.
        nodes: u32,
        /// The run's seed.
        seed: u64,
        /// When it was asked.
        after: Duration,
    },
    /// A crash was noticed by nobody, or news went nowhere.
    #[error("{nodes} nodes, seed {seed}: {what} within {within:?}")]
    Nothing {
        /// How many nodes.
        nodes: u32,
        /// The run's seed.
        seed: u64,
        /// What did not happen.
        what: &'static str,
        /// For how long it was waited for.
        within: Duration,
    },
    /// Too few seeds.
    #[error("{0} seeds tell no spread; at least {SEEDS_MIN} do")]
    Seeds(u64),
    /// A cluster too small for the formulas, or too large for patience.
    #[error("clusters of {0} nodes are not compared; of 8 to 1000 are")]
    Size(u32),
}

/// The rows of a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Theory {
    /// In the order of the results.
    pub rows: Vec<Row>,
}

impl Theory {
    /// Simulates what the plan says, on all cores.
    pub fn compare(plan: &Plan) -> Result<Theory, TheoryError> {
        let seeds = plan.seeds.end.saturating_sub(plan.seeds.start);
        if seeds < SEEDS_MIN {
            return Err(TheoryError::Seeds(seeds));
        }
        if let Some(&size) = plan.sizes.iter().find(|size| !(8..=1000).contains(*size)) {
            return Err(TheoryError::Size(size));
        }
        let mut rows = Vec::new();
        for (claim, compare) in [
            (Claim::R1, load::compare as fn(&Plan) -> Result<Vec<Row>, TheoryError>),
            (Claim::R2, detection::compare),
            (Claim::R3, dissemination::compare),
            (Claim::R5, accuracy::compare),
        ] {
            if plan.includes(claim) {
                rows.extend(compare(plan)?);
            }
        }
        Ok(Theory { rows })
    }

    /// Whether every row holds.
    pub fn holds(&self) -> bool {
        self.rows.iter().all(Row::holds)
    }

    /// As one JSON object.
    pub fn to_json(&self) -> Value {
        json!({ "rows": self.rows.iter().map(Row::to_json).collect::<Vec<_>>(), "holds": self.holds() })
    }
}

/// The paper's protocol with `k` helpers, for a cluster of this size: probes of a second, of which half is for the direct
/// ping; suspicions that outlast any run, so that the number of members stays what it is; updates told
/// `3⌈ln(N + 1)⌉` times, or the least multiple of our `⌈log10(N + 1)⌉` that is as much (\[SWIM\] 5).
pub fn paper(nodes: u32, helpers: u8) -> Config {
    let sends = 3.0 * libm::ceil(libm::log(f64::from(nodes) + 1.0));
    let digits = libm::ceil(libm::log10(f64::from(nodes) + 1.0));
    Config {
        indirect_probes: helpers,
        stream_probe: false,
        suspicion_alpha: 100.0,
        retransmit_mult: libm::ceil(sends / digits) as u8,
        // The first news, a join, is gossiped once, and nothing is ever again.
        gossip_interval: AGES,
        // After a join, state is compared until all agree (protocol.md 7.6), and never again.
        sync_interval: AGES,
        ..Config::published(Variant::Swim)
    }
}

impl fmt::Display for Theory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = None;
        for row in &self.rows {
            let head = (row.claim, row.what);
            if before.replace(head) != Some(head) {
                writeln!(f, "{:?}  {}: {}", row.claim, row.what, row.formula)?;
                let columns = ["formula", "expected", "simulated", "±", "tolerance", "ratio", "runs"];
                write!(f, "    {:<22}", "")?;
                columns.iter().try_for_each(|column| write!(f, "{column:>11}"))?;
                writeln!(f)?;
            }
            write!(f, "    {:<22}", row.given)?;
            for value in [row.published, row.expected, row.simulated, row.error, row.tolerance] {
                write!(f, "{:>11}", figures(value))?;
            }
            let ratio = if row.published == 0.0 { "-".to_owned() } else { format!("{:.3}", row.ratio()) };
            writeln!(f, "{ratio:>11}{:>11}{}", row.samples, if row.holds() { "" } else { "   OUTSIDE" })?;
        }
        let outside = self.rows.iter().filter(|row| !row.holds()).count();
        match outside {
            0 => write!(f, "all {} values are within their tolerances", self.rows.len()),
            _ => write!(f, "{outside} of {} values are OUTSIDE their tolerances", self.rows.len()),
        }
    }
}

/// Four significant figures, or as an exponent where they would not be seen.
fn figures(value: f64) -> String {
    match value.abs() {
        nothing if nothing < 1e-12 => "0".to_owned(),
        small if small < 0.000_95 => format!("{value:.2e}"),
        small if small < 0.1 => format!("{value:.5}"),
        small if small < 10.0 => format!("{value:.4}"),
        _ => format!("{value:.2}"),
    }
}
