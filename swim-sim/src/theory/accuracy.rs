//! R5: how often the healthy are taken for failed (\[SWIM\] 3.1).
//!
//! Where each packet arrives in time with probability `q_ml`, a probe fails if its ping or ack is lost and for each of `k`
//! helpers one of four packets is: `(1 − q_ml²) · (1 − q_ml⁴)^k`. The paper gives what befalls a member in the time that
//! a detection is expected to take, which is `e/(e − 1)` periods of one ping each where all are well.
//!
//! **Expected** is the formula itself, for any number of members that is greater than `k + 1`: probes are independent of
//! each other, so that their failures are binomial. A probe is taken for failed if its period ends without an ack. (The
//! core raises no suspicion where the member has refuted another meanwhile, protocol.md 3.8; such probes count here.)

use super::cluster::{each_seed, settled};
use super::statistics::DEVIATIONS;
use super::{Claim, Plan, Row, TheoryError, paper};
use crate::faults::{Fault, Timed};
use crate::seeds::{Chance, Purpose, Seeds};

/// How many nodes probe each other.
const NODES: u32 = 32;

/// For how many periods.
const PERIODS: u32 = 100;

/// One run in so many of the plan's is enough: each makes thousands of probes.
const RUNS: u64 = 10;

/// How many periods of loss go before: what is still under way at the end stands for what was at the beginning.
const BEFORE: u32 = 3;

/// The greatest number of helpers.
const HELPERS_MAX: u8 = 3;

/// How likely a packet arrives.
const ARRIVES: [f64; 3] = [0.90, 0.95, 0.98];

/// Fewest failures to be expected of sound nodes for a count of them to be compared.
const FAILURES_MIN: f64 = 16.0;

pub(super) fn compare(plan: &Plan) -> Result<Vec<Row>, TheoryError> {
    // Periods in the expected time to a detection.
    let periods = 1.0 / (1.0 - (-1.0_f64).exp());
    let runs = ((plan.seeds.end - plan.seeds.start) / RUNS).max(super::SEEDS_MIN);
    let mut rows = Vec::new();
    for arrives in ARRIVES {
        for helpers in 0..=HELPERS_MAX {
            let fails = (1.0 - arrives.powi(2)) * (1.0 - arrives.powi(4)).powi(helpers.into());
            let expected = fails * f64::from(NODES * PERIODS) * runs as f64;
            if expected < FAILURES_MIN {
                continue;
            }
            // Seeds of their own: one seed would lose the same packets at each loss, and rows would err together.
            let row = rows.len() as u64;
            let seeds: Vec<u64> = plan
                .seeds
                .clone()
                .take(runs as usize)
                .map(|seed| Seeds::of(seed).derive(Purpose::Scenario, row))
                .collect();
            let counts = each_seed(seeds, |seed| failures(plan, arrives, helpers, seed))?;
            let (failed, probes) =
                counts.iter().fold((0, 0), |(failed, probes), count| (failed + count.0, probes + count.1));
            let error = (fails * (1.0 - fails) / probes as f64).sqrt();
            // A count of a few is not normal: one more to either side.
            let tolerance = DEVIATIONS * error + 1.0 / probes as f64;
            rows.push(Row {
                claim: Claim::R5,
                what: "false detections of a member in the expected time to a detection",
                given: format!("{:.0} % loss, k = {helpers}", (1.0 - arrives) * 100.0),
                formula: "(1 − q_ml²)·(1 − q_ml⁴)^k·e/(e−1)",
                published: fails * periods,
                expected: fails * periods,
                simulated: failed as f64 / probes as f64 * periods,
                error: error * periods,
                samples: probes,
                tolerance: tolerance * periods,
            });
        }
    }
    Ok(rows)
}

/// How many probes failed, and how many there were.
fn failures(plan: &Plan, arrives: f64, helpers: u8, seed: u64) -> Result<(u64, u64), TheoryError> {
    let paper = paper(NODES, helpers);
    let period = paper.probe_interval;
    let mut world = settled(plan, &paper, NODES, seed)?;
    let lossy = world.network().clone().with_loss(Chance::of(1.0 - arrives));
    world.inject(Timed { at: world.now(), fault: Fault::Network(Box::new(lossy)) });
    world.run_until(world.now() + period * BEFORE);
    let counted = |world: &crate::World| {
        let stats = (0..NODES).filter_map(|slot| world.view(slot)).map(|view| view.stats());
        stats.fold((0, 0), |(acked, probes), stats| (acked + stats.probes_acked, probes + stats.probes))
    };
    let before = counted(&world);
    world.run_until(world.now() + period * PERIODS);
    let after = counted(&world);
    let (acked, probes) = (after.0 - before.0, after.1 - before.1);
    Ok((probes.saturating_sub(acked), probes))
}
