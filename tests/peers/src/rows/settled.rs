//! A settled cluster: what it costs at rest, and how long a newcomer takes.

use super::for_library;
use crate::cpu;
use crate::libraries::{Library, foca::Foca, kinship::Kinship, ours::Ours};
use crate::peer::{Nanos, Peer, SECOND};
use crate::table::{Count, Figure, Table};
use crate::world::{Happening, Links, World};

/// When everything that joining stirred up has settled.
pub(crate) const SETTLED: Nanos = 90 * SECOND;
/// How long rest is measured.
const REST: u64 = 60;
/// How long the newcomer is waited for.
const PATIENCE: Nanos = 1_800 * SECOND;

/// A world of `nodes` nodes at [`SETTLED`], with full views; room for one more.
///
/// Nodes join through the first one, or are handed their views if joining does not fill them.
pub(crate) fn settle<P: Peer>(nodes: u32, links: Links, seed: u64) -> World<P> {
    let mut world = World::<P>::new(nodes + 1, nodes, links, seed);
    world.at(0, Happening::Start { node: 0, join: None });
    for node in 1..nodes {
        if P::GIVEN_ITS_VIEW {
            world.at(0, Happening::Start { node, join: None });
        } else {
            world.within(1, 10 * SECOND, Happening::Start { node, join: Some(0) });
        }
    }
    if P::GIVEN_ITS_VIEW {
        for node in 0..nodes {
            world.within(1, SECOND, Happening::Know { node, members: 0..nodes });
        }
    }
    world.run(SETTLED, |_| false);
    world
}

struct Outcome {
    settled: bool,
    cpu_ms_per_s: f64,
    datagram_bytes: f64,
    stream_bytes: f64,
    knows_all_s: Option<f64>,
    known_by_all_s: Option<f64>,
}

fn run<P: Peer>(nodes: u32, seed: u64) -> Outcome {
    let mut world = settle::<P>(nodes, Links::LAN, seed);
    let settled = world.views.fullness() == 1.0;
    let before = world.network.traffic;
    let (cpu_s, _) = cpu::seconds(|| world.run(SETTLED + REST * SECOND, |_| false));
    let traffic = world.network.traffic.since(before);
    let per_node = |bytes: u64| bytes as f64 / f64::from(nodes) / REST as f64;

    let joins = world.now + SECOND / 3;
    world.at(joins, Happening::Start { node: nodes, join: Some(0) });
    world.run(joins, |_| false);
    let mut knows_all = None;
    let mut known_by_all = None;
    let since = |at: Nanos| (at - joins) as f64 / SECOND as f64;
    while world.now < joins + PATIENCE && !(knows_all.is_some() && known_by_all.is_some()) {
        let waits = (knows_all.is_none(), known_by_all.is_none());
        world.run(joins + PATIENCE, |views| waits.0 && views.knows_all(nodes) || waits.1 && views.known_by_all(nodes));
        knows_all = knows_all.or(world.views.knows_all(nodes).then(|| since(world.now)));
        known_by_all = known_by_all.or(world.views.known_by_all(nodes).then(|| since(world.now)));
    }
    Outcome {
        settled,
        cpu_ms_per_s: cpu_s * 1_000.0 / REST as f64,
        datagram_bytes: per_node(traffic.datagram_bytes),
        stream_bytes: per_node(traffic.stream_bytes),
        knows_all_s: knows_all,
        known_by_all_s: known_by_all,
    }
}

/// Adds the rows for this many nodes.
pub(crate) fn add(table: &mut Table, library: Library, nodes: u32, seed: u64) {
    let outcome = for_library!(library, run(nodes, seed));
    let target = |value: f64| (nodes == 1_000).then_some(value);
    let rest = |what: &str| format!("{} nodes at rest, per simulated second: {what}", Count(nodes));
    let figure = |value: f64| if outcome.settled { Figure::Number(value) } else { Figure::Missed("not settled") };
    table.add(rest("CPU"), "ms", target(2.7), library, figure(outcome.cpu_ms_per_s));
    table.add(rest("datagrams, per node"), "B", None, library, figure(outcome.datagram_bytes));
    table.add(rest("streams, per node"), "B", None, library, figure(outcome.stream_bytes));
    let bytes = outcome.datagram_bytes + outcome.stream_bytes;
    table.add(rest("both, per node"), "B", target(65.0), library, figure(bytes));
    let newcomer = |what: &str| format!("newcomer to {} settled nodes: {what}", Count(nodes));
    let time = |at: Option<f64>| at.map_or(Figure::Missed("> 1,800"), Figure::Number);
    table.add(newcomer("knows all"), "s", target(0.010), library, time(outcome.knows_all_s));
    table.add(newcomer("is known by all"), "s", target(0.3), library, time(outcome.known_by_all_s));
}
