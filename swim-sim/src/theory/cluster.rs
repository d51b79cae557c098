//! A cluster that has come together and has nothing to tell any more: where every measurement begins.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rayon::prelude::*;
use swim_proto::wire::{Message, decode};
use swim_proto::{ClusterHash, Config, NodeId};

use super::{Plan, TheoryError};
use crate::network::{Carried, Latency, Network};
use crate::scenario::Scenario;
use crate::seeds::{Purpose, Seeds};
use crate::world::World;

/// How many periods a cluster is given to come together.
const SETTLING: u32 = 40;

/// Round trips so short that a period has room for any number of them, as the formulas assume.
fn network() -> Network {
    Network::new(Latency::Uniform { least: Duration::from_micros(50), most: Duration::from_micros(100) })
}

/// A cluster of so many nodes, settled, at a random moment within one traversal of its nodes' lists.
pub(super) fn settled(plan: &Plan, paper: &Config, nodes: u32, seed: u64) -> Result<World, TheoryError> {
    let period = paper.probe_interval;
    let scenario = Scenario::new(nodes, period * SETTLING)
        // Over a period: phases are random even if nodes began to probe at once.
        .join_over(period)
        .network(network())
        .config(plan.settings(paper.clone()));
    let mut world = World::new(scenario, seed)?;
    let wait = Seeds::of(seed).draw(Purpose::Start, 1).between(0, (period * nodes).as_nanos() as u64);
    world.run_until(period * SETTLING + Duration::from_nanos(wait));
    if world.measure().is_converged() {
        Ok(world)
    } else {
        Err(TheoryError::NotSettled { nodes, seed, after: world.now() })
    }
}

/// Runs what is to be measured for each seed, on all cores; in the seeds' order.
pub(super) fn each_seed<T: Send>(
    seeds: impl IntoParallelIterator<Item = u64>,
    measure: impl Fn(u64) -> Result<T, TheoryError> + Sync + Send,
) -> Result<Vec<T>, TheoryError> {
    seeds.into_par_iter().map(measure).collect::<Vec<_>>().into_iter().collect()
}

/// One ping, as it was sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sent {
    /// When, in simulated time.
    pub(super) at: Duration,
    /// The sender's slot.
    pub(super) from: u32,
    /// Whom it is for: the member that it names, not the address that it goes to.
    pub(super) target: NodeId,
}

/// What is overheard on a world's network.
#[derive(Clone, Default)]
pub(super) struct Tap(Arc<Mutex<Heard>>);

#[derive(Default)]
pub(super) struct Heard {
    /// Datagrams sent, by their senders' slots.
    pub(super) datagrams: Vec<u32>,
    /// Pings.
    pub(super) pings: Vec<Sent>,
}

impl Tap {
    /// Overhears a world from now on.
    pub(super) fn on(world: &mut World) -> Tap {
        let tap = Tap::default();
        tap.heard().datagrams = vec![0; world.slots()];
        let (heard, cluster) = (tap.clone(), ClusterHash::of(&world.scenario().config.cluster));
        let len_max = world.scenario().config.datagram_max.into();
        world.filter(move |passing| {
            if passing.carried == Carried::Datagram {
                let mut heard = heard.heard();
                heard.datagrams[passing.from as usize] += 1;
                for message in decode(passing.bytes, cluster, len_max).into_iter().flatten() {
                    if let Message::Ping(ping) = message {
                        let at = Duration::from_nanos(passing.now);
                        heard.pings.push(Sent { at, from: passing.from, target: ping.target });
                    }
                }
            }
            true
        });
        tap
    }

    /// What was overheard since.
    pub(super) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().expect("nobody panics while holding it")
    }
}
