//! R1: a member's messages per period do not depend on the size of the cluster (\[SWIM\] 3.1, figure 2).
//!
//! Where nothing fails and nothing is news, a member sends one ping each period and one ack for each ping that it gets.
//! Each of its `m = n − 1` peers pings it with probability `1/m`: so it gets `Binomial(m, 1/m)` pings, of mean 1 and
//! variance `1 − 1/m`, and none with probability `(1 − 1/m)^m`, which tends to `1/e`.

use super::cluster::{Tap, each_seed, settled};
use super::statistics::{Sample, slope};
use super::{Claim, Plan, Row, TheoryError, paper};

/// For how many periods a cluster is overheard.
const PERIODS: u32 = 40;

/// One run in so many of the plan's is enough: each observes every member in every period.
const RUNS: usize = 5;

/// What one run gives.
struct Overheard {
    /// Messages sent by a member in a period: mean, and deviation among members and periods.
    mean: f64,
    deviation: f64,
    /// The part of members that are pinged in a period.
    pinged: f64,
}

pub(super) fn compare(plan: &Plan) -> Result<Vec<Row>, TheoryError> {
    let runs = ((plan.seeds.end - plan.seeds.start) as usize / RUNS).max(super::SEEDS_MIN as usize);
    let seeds: Vec<u64> = plan.seeds.clone().take(runs).collect();
    let (mut means, mut deviations, mut pinged, mut points) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for &nodes in &plan.sizes {
        let overheard = each_seed(seeds.clone(), |seed| overhear(plan, nodes, seed))?;
        let peers = f64::from(nodes - 1);
        let row = |what, formula, published, expected, values: &dyn Fn(&Overheard) -> f64, least: f64| {
            let sample: Sample = overheard.iter().map(values).collect();
            Row {
                claim: Claim::R1,
                what,
                given: format!("{nodes} nodes"),
                formula,
                published,
                expected,
                simulated: sample.mean(),
                error: sample.error(),
                samples: sample.count(),
                tolerance: sample.tolerance().max(least),
            }
        };
        // Every member pings once in a period, whatever happens; what is random of the mean is alone whether the last
        // ping's ack still belongs to it.
        let boundary = 1.0 / f64::from(PERIODS * nodes);
        let mean = row(
            "messages sent per member and period",
            "1 ping + 1 ack = 2",
            2.0,
            2.0,
            &|heard: &Overheard| heard.mean,
            boundary,
        );
        points.push((f64::from(nodes), mean.simulated, mean.tolerance));
        means.push(mean);
        deviations.push(row(
            "their standard deviation",
            "√(1 − 1/(n−1)) → 1",
            1.0,
            (1.0 - 1.0 / peers).sqrt(),
            &|heard: &Overheard| heard.deviation,
            0.0,
        ));
        pinged.push(row(
            "part of members pinged in a period",
            "1 − (1 − 1/(n−1))^(n−1) → 1 − 1/e",
            1.0 - (-1.0_f64).exp(),
            1.0 - (1.0 - 1.0 / peers).powf(peers),
            &|heard: &Overheard| heard.pinged,
            0.0,
        ));
    }
    if points.len() > 1 {
        let (slope, error) = slope(&points);
        means.push(Row {
            claim: Claim::R1,
            what: "messages sent per member and period",
            given: "more per node more".to_owned(),
            formula: "1 ping + 1 ack = 2",
            published: 0.0,
            expected: 0.0,
            simulated: slope,
            error,
            samples: runs as u64,
            // The points weigh by their tolerances, and so does the slope's error.
            tolerance: error,
        });
    }
    Ok([means, deviations, pinged].into_iter().flatten().collect())
}

fn overhear(plan: &Plan, nodes: u32, seed: u64) -> Result<Overheard, TheoryError> {
    let paper = paper(nodes, 1);
    let mut world = settled(plan, &paper, nodes, seed)?;
    let tap = Tap::on(&mut world);
    let (mut sent, mut pinged) = (Sample::default(), Sample::default());
    for _ in 0..PERIODS {
        world.run_until(world.now() + paper.probe_interval);
        let mut heard = tap.heard();
        heard.datagrams.iter().for_each(|&count| sent.add(count.into()));
        heard.datagrams.fill(0);
        let mut targets: Vec<_> = heard.pings.drain(..).map(|ping| ping.target).collect();
        targets.sort_unstable();
        targets.dedup();
        pinged.add(targets.len() as f64 / f64::from(nodes));
    }
    Ok(Overheard { mean: sent.mean(), deviation: sent.deviation(), pinged: pinged.mean() })
}
