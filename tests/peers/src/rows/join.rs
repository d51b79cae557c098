//! Nodes join through one seed, spread over ten seconds; twenty seconds later one in a hundred crashes; a minute in all.

use super::for_library;
use crate::libraries::{Library, foca::Foca, kinship::Kinship, ours::Ours};
use crate::peer::{Index, Nanos, Peer, SECOND};
use crate::table::{Count, Figure, Table};
use crate::world::{Happening, Links, World};
use crate::{cpu, heap};

/// Joining is spread over this long.
const JOINING: Nanos = 10 * SECOND;
const CRASH_AT: Nanos = 30 * SECOND;
const END: Nanos = 60 * SECOND;

struct Outcome {
    cpu_s: f64,
    events: u64,
    heap_bytes: f64,
    full_after_s: Option<f64>,
    fullness: f64,
    noticed_after_s: Option<f64>,
    false_deaths: u64,
}

fn run<P: Peer>(nodes: u32, seed: u64) -> Outcome {
    let mut world = World::<P>::new(nodes, nodes, Links::LAN, seed);
    // The seed is there first; the last joins at the very end, so that "after the last join" is the same for all.
    world.at(0, Happening::Start { node: 0, join: None });
    for node in 1..nodes - 1 {
        world.within(1, JOINING, Happening::Start { node, join: Some(0) });
    }
    world.at(JOINING, Happening::Start { node: nodes - 1, join: Some(0) });
    let (before, _) = cpu::seconds(|| world.run(CRASH_AT - 1, |_| false));
    let fullness = world.views.fullness();
    // Every hundredth, the seed not among them.
    for node in (0..nodes).skip(50.min(nodes as usize - 1)).step_by(100) {
        world.at(CRASH_AT, Happening::Crash { node });
    }
    let (after, _) = cpu::seconds(|| world.run(END, |_| false));
    let seconds = |at: Nanos, since: Nanos| at.saturating_sub(since) as f64 / SECOND as f64;
    let running: Vec<Index> = (0..nodes).filter(|&node| world.runs(node)).collect();
    let peers: Vec<P> = running.into_iter().map(|node| world.take(node)).collect();
    let count = peers.len();
    // What the nodes own; themselves they lie in this vector.
    let heap_bytes = (heap::owned_by(peers) as f64) / count as f64;
    Outcome {
        cpu_s: before + after,
        events: world.network.agenda.planned(),
        heap_bytes,
        full_after_s: world.views.full_at.map(|at| seconds(at, JOINING)),
        fullness,
        noticed_after_s: world.views.noticed_at.map(|at| seconds(at, CRASH_AT)),
        false_deaths: world.views.false_deaths,
    }
}

/// What ours are to reach (`docs/benchmarks.md`): CPU seconds, KiB a node, seconds until every view is full.
fn targets(nodes: u32) -> [Option<f64>; 3] {
    match nodes {
        1_000 => [Some(5.0), Some(100.0), Some(5.0)],
        // 12 GiB in all.
        10_000 => [Some(300.0), Some(1_258.0), Some(30.0)],
        _ => [None; 3],
    }
}

/// Adds the rows for this many nodes.
pub(crate) fn add(table: &mut Table, library: Library, nodes: u32, seed: u64) {
    let outcome = for_library!(library, run(nodes, seed));
    let [cpu_s, heap_kib, full_s] = targets(nodes);
    let row = |what: &str| format!("{} nodes join, 60 s, 1 % crash: {what}", Count(nodes));
    table.add(row("CPU"), "s", cpu_s, library, outcome.cpu_s);
    table.add(row("events of the harness"), "", None, library, outcome.events);
    table.add(row("heap per node"), "KiB", heap_kib, library, outcome.heap_bytes / 1024.0);
    let full = outcome.full_after_s.map_or(Figure::Missed("never"), Figure::Number);
    table.add(row("every view full, after the last join"), "s", full_s, library, full);
    table.add(row("fullness of the views before the crash"), "%", None, library, outcome.fullness * 100.0);
    let noticed = outcome.noticed_after_s.map_or(Figure::Missed("never"), Figure::Number);
    table.add(row("all survivors noticed, after the crash"), "s", None, library, noticed);
    table.add(row("false deaths"), "", Some(0.0), library, outcome.false_deaths);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_repeatable<P: Peer>() {
        let [one, two, other] = [run::<P>(30, 1), run::<P>(30, 1), run::<P>(30, 2)];
        let virtually = |outcome: &Outcome| (outcome.events, outcome.full_after_s, outcome.noticed_after_s);
        assert_eq!(virtually(&one), virtually(&two));
        assert_ne!(virtually(&one), virtually(&other));
    }

    #[test]
    fn the_same_seed_gives_the_same_figures() {
        for library in Library::ALL {
            for_library!(library, is_repeatable());
        }
    }
}
