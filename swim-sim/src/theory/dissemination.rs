//! R3: news reaches half of a cluster in time logarithmic in its size, and in the end all of it (\[SWIM\] 4.1, figure
//! 3b).
//!
//! In the paper every pair meets in a period with probability `β = 1 − (1 − 1/n)²`, and so `x(t) = n / (1 + (n − 1) ·
//! e^(−(2 − 1/n)·t))` know after `t` periods; half of them after `ln(n − 1)/(βn)`.
//!
//! **Expected.** That formula is of a population without size: from one member on, chance makes the start slower (by
//! about 0.29 periods for half of them, whatever the size: `γ/2` with Euler's γ), and one who has just learnt something
//! by the ack to its own ping cannot ping for a whole period. Both are in a model that plays the epidemic out with
//! nothing of the core's code ([`super::epidemic`]); its mean is what is expected.
//!
//! **All.** The paper leaves out `n^(−(2λ−2))` members where each update is told for `λ·ln n` periods. Members here are to
//! tell it `3⌈ln(n + 1)⌉` times, half of that in pings, and so for `λ·ln n` periods with a `λ` of 1.5 and more: whom that
//! leaves out are fewer than `1/n` in a run.

use std::time::Duration;

use rayon::prelude::*;

use super::cluster::{each_seed, settled};
use super::statistics::{DEVIATIONS, Sample, deviations, slope};
use super::{Claim, Plan, Row, TheoryError, epidemic, paper};
use crate::faults::{Fault, Timed};
use crate::seeds::{Purpose, Seeds};

/// For how many periods news is watched: more than it is told.
const PERIODS: u32 = 24;

/// After how many periods those who know are counted.
const COUNTED: [u32; 3] = [1, 2, 3];

/// How often, in a period, it is asked who knows: a member is seen to know half such a time late, which is accounted for.
const LOOKS: u32 = 100;

/// How often the model is played for each run.
const PLAYS: u64 = 20;

/// When each learnt of one piece of news.
struct Spread {
    half: f64,
    known: [f64; COUNTED.len()],
    left_out: f64,
}

impl Spread {
    /// From the times, in order, at which members knew.
    fn of(times: &[f64], nodes: u32) -> Spread {
        let half = times.get(nodes.div_ceil(2) as usize - 1).copied().unwrap_or(f64::from(PERIODS));
        let known = COUNTED.map(|by| times.iter().filter(|&&time| time <= f64::from(by)).count() as f64);
        Spread { half, known, left_out: f64::from(nodes) - times.len() as f64 }
    }
}

pub(super) fn compare(plan: &Plan) -> Result<Vec<Row>, TheoryError> {
    let (mut halves, mut known, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    let mut points = [Vec::new(), Vec::new(), Vec::new()];
    for &nodes in &plan.sizes {
        let paper = paper(nodes, 1);
        let sends = u32::from(paper.retransmit_mult) * (f64::from(nodes) + 1.0).log10().ceil() as u32;
        let simulated = each_seed(plan.seeds.clone(), |seed| spread(plan, nodes, seed))?;
        let plays = plan.seeds.start..plan.seeds.start + PLAYS * (plan.seeds.end - plan.seeds.start);
        let played: Vec<Spread> = plays
            .into_par_iter()
            .map(|play| Seeds::of(play).draw(Purpose::Scenario, u64::from(nodes)))
            .map(|mut draw| Spread::of(&epidemic::outbreak(nodes, sends, PERIODS, &mut draw), nodes))
            .collect();
        let n = f64::from(nodes);
        let contacts = 2.0 - 1.0 / n;
        let row = |what, given: String, formula, published, values: &dyn Fn(&Spread) -> f64| {
            let (expected, simulated): (Sample, Sample) =
                (played.iter().map(values).collect(), simulated.iter().map(values).collect());
            let error = simulated.error().hypot(expected.error());
            Row {
                claim: Claim::R3,
                what,
                given,
                formula,
                published,
                expected: expected.mean(),
                simulated: simulated.mean(),
                error,
                samples: simulated.count(),
                tolerance: deviations(simulated.count()) * error,
            }
        };
        let half = row(
            "periods until half of all know",
            format!("{nodes} nodes"),
            "ln(n−1)/(βn), βn = 2 − 1/n",
            (n - 1.0).ln() / contacts,
            &|spread: &Spread| spread.half,
        );
        for (points, value) in points.iter_mut().zip([half.published, half.expected, half.simulated]) {
            points.push((n.ln(), value, half.error));
        }
        halves.push(half);
        for (at, after) in COUNTED.into_iter().enumerate() {
            known.push(row(
                "how many know",
                format!("{nodes} nodes, t = {after}"),
                "n / (1 + (n−1)·e^(−(2−1/n)·t))",
                n / (1.0 + (n - 1.0) * (-contacts * f64::from(after)).exp()),
                &|spread: &Spread| spread.known[at],
            ));
        }
        let mut missed = row(
            "members left out, for each run",
            format!("{nodes} nodes, {sends} sends"),
            "n^(−(2λ−2)), λ = sends/(2·ln n)",
            n.powf(2.0 - f64::from(sends) / n.ln()),
            &|spread: &Spread| spread.left_out,
        );
        // Left out are one or none: a count, of which so many are plausible where the formula's are expected.
        let mean = missed.published.max(missed.expected) * missed.samples as f64;
        missed.tolerance = (mean + DEVIATIONS * mean.sqrt() + DEVIATIONS) / missed.samples as f64;
        left_out.push(missed);
    }
    if points[0].len() > 1 {
        let [published, expected, simulated] = points.map(|points| slope(&points));
        halves.push(Row {
            claim: Claim::R3,
            what: "periods until half of all know",
            given: "more per ln n".to_owned(),
            formula: "ln(n−1)/(βn), βn = 2 − 1/n",
            published: published.0,
            expected: expected.0,
            simulated: simulated.0,
            error: simulated.1,
            samples: plan.seeds.end - plan.seeds.start,
            tolerance: deviations(plan.seeds.end - plan.seeds.start) * simulated.1,
        });
    }
    Ok([halves, known, left_out].into_iter().flatten().collect())
}

/// Has one member of a settled cluster change its metadata, and sees when the others know.
fn spread(plan: &Plan, nodes: u32, seed: u64) -> Result<Spread, TheoryError> {
    let period = paper(nodes, 1).probe_interval;
    let mut world = settled(plan, &paper(nodes, 1), nodes, seed)?;
    let source = Seeds::of(seed).draw(Purpose::Faults, 0).index(nodes as usize) as u32;
    let (id, begun) = (world.id(source), world.now());
    world.inject(Timed { at: begun, fault: Fault::Metadata { slot: source, len: 16 } });
    world.run_until(begun);
    let incarnation = |world: &crate::World, at| world.view(at)?.member(id).map(|member| member.incarnation);
    let news = incarnation(&world, source);
    let mut waiting: Vec<u32> = (0..nodes).filter(|&at| incarnation(&world, at) < news).collect();
    if waiting.len() + 1 != nodes as usize {
        return Err(TheoryError::Nothing { nodes, seed, what: "no news began", within: Duration::ZERO });
    }
    let mut times = vec![0.0];
    for look in 1..=PERIODS * LOOKS {
        world.run_until(begun + Duration::from_nanos(period.as_nanos() as u64 / u64::from(LOOKS)) * look);
        let before = waiting.len();
        waiting.retain(|&at| incarnation(&world, at) < news);
        let seen = (f64::from(look) - 0.5) / f64::from(LOOKS);
        times.resize(times.len() + before - waiting.len(), seen);
        if waiting.is_empty() {
            break;
        }
    }
    Ok(Spread::of(&times, nodes))
}
