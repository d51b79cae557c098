//! R2: how long a crash goes unnoticed (\[SWIM\] 3.1, figure 3a).
//!
//! The paper counts whole periods until one in which the crashed member is pinged, and gets `1/(1 − e^(−q_f))` of them
//! where a part `q_f` of all members is well. Periods that begin at the crash are counted here: every member sends one
//! ping in each of them, whatever its own phase, and so it is the same count. Besides it is measured when the first ping
//! that cannot be answered is sent, and when its sender declares it, one period later.
//!
//! **Expected.** Of one pinger that goes through a shuffled list of `m` members, let `S(j)` be the probability that `j`
//! pings in a row are not for the crashed one. At a random place `p` of the traversal and with the target at a random
//! place,
//!
//! ```text
//! S(j) = 1/m · Σ_p { 1 − j/m                    if p + j ≤ m
//!                  { p/m · (1 − (p + j − m)/m)   otherwise
//! ```
//!
//! (for `j ≤ m`; more are never needed). With a random phase the probability of none in `j + s` periods, `0 ≤ s < 1`, is
//! `(1 − s) · S(j) + s · S(j + 1)`; `L` pingers are independent of each other. So the whole periods until the first are
//! `Σ_j S(j)^L` on average, and the time is `Σ_j (S(j)^(L+1) − S(j+1)^(L+1)) / ((L + 1) · (S(j) − S(j+1)))`.

use std::time::Duration;

use swim_proto::State;

use super::cluster::{Tap, each_seed, settled};
use super::statistics::Sample;
use super::{Claim, Plan, Row, TheoryError, paper};
use crate::faults::{Crash, Fault, Timed};
use crate::seeds::{Purpose, Seeds};

/// For how many periods a crash is waited to be noticed at most: where half of all are well, one in 10^13 is pinged by
/// nobody for longer.
const PATIENCE: u32 = 60;

/// How many members crash at once.
#[derive(Clone, Copy, PartialEq)]
enum Share {
    One,
    Quarter,
    Half,
}

impl Share {
    fn of(self, nodes: u32) -> u32 {
        match self {
            Share::One => 1,
            Share::Quarter => nodes / 4,
            Share::Half => nodes / 2,
        }
    }

    /// The `q_f` that the formula is asked for: a single crash in a large cluster leaves all well.
    fn well(self) -> f64 {
        match self {
            Share::One => 1.0,
            Share::Quarter => 0.75,
            Share::Half => 0.5,
        }
    }
}

/// What one run gives: means over the members that crashed in it, in periods.
struct Noticed {
    whole: f64,
    pinged: f64,
    declared: f64,
}

pub(super) fn compare(plan: &Plan) -> Result<Vec<Row>, TheoryError> {
    let (mut whole, mut pinged, mut declared) = (Vec::new(), Vec::new(), Vec::new());
    for share in [Share::One, Share::Quarter, Share::Half] {
        for &nodes in &plan.sizes {
            let noticed = each_seed(plan.seeds.clone(), |seed| notice(plan, nodes, share, seed))?;
            let crashed = share.of(nodes);
            let (periods, time) = expected(nodes - 1, nodes - crashed);
            let row = |what, formula, published, expected, values: &dyn Fn(&Noticed) -> f64| {
                let sample: Sample = noticed.iter().map(values).collect();
                Row {
                    claim: Claim::R2,
                    what,
                    given: format!("{crashed} of {nodes} crash"),
                    formula,
                    published,
                    expected,
                    simulated: sample.mean(),
                    error: sample.error(),
                    samples: sample.count(),
                    tolerance: sample.tolerance(),
                }
            };
            whole.push(row(
                "whole periods until a crashed member is pinged",
                "1/(1 − e^(−q_f)); for q_f = 1: e/(e−1)",
                1.0 / (1.0 - (-share.well()).exp()),
                periods,
                &|noticed: &Noticed| noticed.whole,
            ));
            pinged.push(row(
                "periods until the first ping that cannot be answered",
                "1/q_f",
                1.0 / share.well(),
                time,
                &|noticed: &Noticed| noticed.pinged,
            ));
            declared.push(row(
                "periods until somebody suspects it",
                "1/q_f + 1",
                1.0 / share.well() + 1.0,
                time + 1.0,
                &|noticed: &Noticed| noticed.declared,
            ));
        }
    }
    Ok([whole, pinged, declared].into_iter().flatten().collect())
}

/// Crashes members of a settled cluster and sees when they are pinged, and when suspected.
fn notice(plan: &Plan, nodes: u32, share: Share, seed: u64) -> Result<Noticed, TheoryError> {
    let paper = paper(nodes, 1);
    let period = paper.probe_interval;
    let mut world = settled(plan, &paper, nodes, seed)?;
    let crashed = Seeds::of(seed).draw(Purpose::Faults, 0).sample(share.of(nodes) as usize, nodes as usize);
    let crash = world.now();
    for &slot in &crashed {
        world.inject(Timed { at: crash, fault: Fault::Crash { slot: slot as u32, how: Crash::Host } });
    }
    // They happen now, and whoever pinged them a moment ago gets no answer either: those pings count, as sent at once.
    world.run_until(crash);
    let tap = Tap::on(&mut world);
    let survivors: Vec<u32> = (0..nodes).filter(|slot| !crashed.contains(&(*slot as usize))).collect();
    let (mut whole, mut pinged, mut declared) = (Sample::default(), Sample::default(), Sample::default());
    let suspected = |world: &crate::World, slot: usize| {
        let id = world.id(slot as u32);
        let suspected = survivors.iter().filter_map(|&at| {
            let member = world.view(at)?.member(id)?;
            (member.state == State::Suspect).then_some(member.suspicion?.since)
        });
        suspected.min().map(|since| Duration::from_nanos(since.as_nanos()))
    };
    let all_suspected = |world: &crate::World| crashed.iter().all(|&slot| suspected(world, slot).is_some());
    while !all_suspected(&world) && world.now() < crash + period * PATIENCE {
        world.run_until(world.now() + period);
    }
    let heard = tap.heard();
    for &slot in &crashed {
        let id = world.id(slot as u32);
        let nothing = |what| TheoryError::Nothing { nodes, seed, what, within: period * PATIENCE };
        let first = heard.pings.iter().find(|ping| ping.target == id).map(|ping| ping.at);
        let first = first.ok_or(nothing("a crashed member was pinged by nobody"))?;
        let suspected = suspected(&world, slot);
        let suspected = suspected.ok_or(nothing("a crashed member was suspected by nobody"))?;
        let periods = |time: Duration| (time - crash).as_secs_f64() / period.as_secs_f64();
        whole.add(periods(first).floor() + 1.0);
        pinged.add(periods(first));
        declared.add(periods(suspected));
    }
    Ok(Noticed { whole: whole.mean(), pinged: pinged.mean(), declared: declared.mean() })
}

/// The whole periods, and the time in periods, until one of `pingers` with `peers` members on its list pings one of them.
fn expected(peers: u32, pingers: u32) -> (f64, f64) {
    let pingers = f64::from(pingers);
    let none = |pings: u32| {
        let m = f64::from(peers);
        let places = (0..peers).map(|place| {
            if place + pings <= peers {
                1.0 - f64::from(pings) / m
            } else {
                f64::from(place) / m * (1.0 - f64::from(place + pings - peers) / m)
            }
        });
        places.sum::<f64>() / m
    };
    let (mut periods, mut time) = (0.0, 0.0);
    for pings in 0..peers {
        let (here, next) = (none(pings), none(pings + 1));
        periods += here.powf(pingers);
        time += (here.powf(pingers + 1.0) - next.powf(pingers + 1.0)) / ((pingers + 1.0) * (here - next));
    }
    (periods, time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expected_tends_to_the_formula_in_large_clusters() {
        let (periods, time) = expected(2_000, 2_000);
        let formula = 1.0 / (1.0 - (-1.0_f64).exp());
        assert!((periods / formula - 1.0).abs() < 0.002, "{periods}, not {formula}");
        assert!((time - 1.0).abs() < 0.002, "{time}");
        let (periods, time) = expected(2_000, 1_000);
        assert!((periods / (1.0 / (1.0 - (-0.5_f64).exp())) - 1.0).abs() < 0.002, "{periods}");
        assert!((time - 2.0).abs() < 0.005, "{time}");
    }

    #[test]
    fn what_is_expected_of_a_pair_can_be_worked_out_by_hand() {
        // One pinger with one member on its list pings it in the first period, on average at its half.
        assert_eq!(expected(1, 1), (1.0, 0.5));
    }
}
