//! Packets are lost for five minutes, segments of streams like datagrams, and one node in a hundred crashes on the way.

use super::for_library;
use super::settled::{SETTLED, settle};
use crate::libraries::{Library, foca::Foca, kinship::Kinship, ours::Ours};
use crate::peer::{Nanos, Peer, SECOND};
use crate::table::{Figure, Table};
use crate::world::{Happening, Links};

/// How long packets are lost.
pub(crate) const LASTING: u64 = 300;
/// When the crash happens, after the loss began.
const CRASH_AFTER: Nanos = 100 * SECOND;

#[derive(Default)]
struct Outcome {
    false_deaths: u64,
    false_notices: u64,
    rejoins: u64,
    unnoticed: u64,
    noticed_after_s_max: f64,
}

fn run<P: Peer>(nodes: u32, per_mille: u32, seconds: u64, seed: u64) -> Outcome {
    let links = Links { latency_min: SECOND / 2_000, latency_max: 3 * SECOND / 2_000, loss: 0.0 };
    let mut world = settle::<P>(nodes, links, seed);
    let calm = (world.views.false_deaths, world.views.false_notices, world.views.rejoins);
    let crash = SETTLED + CRASH_AFTER.min(seconds * SECOND / 3);
    world.at(SETTLED, Happening::Lose { per_mille });
    for node in (0..nodes).skip(50.min(nodes as usize - 1)).step_by(100) {
        world.at(crash, Happening::Crash { node });
    }
    world.run(SETTLED + seconds * SECOND, |_| false);
    let noticed = world.views.noticed_at;
    Outcome {
        false_deaths: world.views.false_deaths - calm.0,
        false_notices: world.views.false_notices - calm.1,
        rejoins: world.views.rejoins - calm.2,
        unnoticed: u64::from(noticed.is_none()),
        noticed_after_s_max: noticed.map_or(0.0, |at| at.saturating_sub(crash) as f64 / SECOND as f64),
    }
}

/// Adds the rows for this many nodes and this loss, over several seeds.
pub(crate) fn add(
    table: &mut Table,
    library: Library,
    nodes: u32,
    per_mille: u32,
    seconds: u64,
    seeds: std::ops::Range<u64>,
) {
    let (first, count) = (seeds.start, seeds.end - seeds.start);
    let mut all = Outcome::default();
    for seed in seeds {
        let one = for_library!(library, run(nodes, per_mille, seconds, seed));
        all.false_deaths += one.false_deaths;
        all.false_notices += one.false_notices;
        all.rejoins += one.rejoins;
        all.unnoticed += one.unnoticed;
        all.noticed_after_s_max = all.noticed_after_s_max.max(one.noticed_after_s_max);
    }
    let percent = f64::from(per_mille) / 10.0;
    let row = |what: &str| {
        format!(
            "{nodes} nodes, {seconds} s at {percent} % loss, 1 % crash, seeds {} to {}: {what}",
            first,
            first + count - 1
        )
    };
    table.add(row("live members declared dead"), "", Some(0.0), library, all.false_deaths);
    table.add(row("views that held one dead"), "", Some(0.0), library, all.false_notices);
    table.add(row("forced rejoins"), "", Some(0.0), library, all.rejoins);
    table.add(row("runs with a crash unnoticed by some"), "", Some(0.0), library, all.unnoticed);
    // A run in which somebody never noticed is worse than any that has a time.
    let worst = if all.unnoticed > 0 { Figure::Missed("never") } else { Figure::Number(all.noticed_after_s_max) };
    table.add(row("all survivors noticed, worst run"), "s", None, library, worst);
}
