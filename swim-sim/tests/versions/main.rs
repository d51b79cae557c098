//! A cluster is upgraded while it runs (`docs/protocol.md` 15).

mod newer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use swim_proto::{Config, Node, Versions};
use swim_sim::{Fault, Machine, Restart, Scenario, World};

use newer::Newer;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn speaking(min: u8, max: u8) -> Config {
    Config { versions: Versions { min, max }, ..Config::lan() }
}

/// 200 nodes of the first version are restarted one after the other, two in a second, as nodes of both versions that say
/// things in every packet that nobody has heard of. Gives the world a minute after the last.
fn upgraded(seed: u64) -> (World, u64) {
    const NODES: u32 = 200;
    let mut scenario = Scenario::new(NODES, seconds(180)).seeds(3).config(speaking(1, 1)).successor(speaking(1, 2));
    for slot in 0..NODES {
        let at = seconds(15) + Duration::from_millis(500) * slot;
        scenario = scenario.at(at, Fault::Restart { slot, how: Restart::WithoutState });
    }
    let mut world = World::new(scenario, seed).expect("the settings are valid");
    let said = Arc::new(AtomicU64::new(0));
    let kept = Arc::clone(&said);
    world.set_maker(Box::new(move |_, node: Node| match node.config().versions.max {
        1 => node.into(),
        _ => Machine::Custom(Box::new(Newer::new(node, Arc::clone(&kept)))),
    }));
    world.run_until(seconds(180));
    (world, said.load(Ordering::Relaxed))
}

#[test]
fn two_hundred_nodes_are_upgraded_one_by_one_and_nobody_is_buried() {
    let (world, said) = upgraded(7);
    assert_eq!((world.measure().false_deaths, world.measure().excused_deaths), (0, 0));
    assert!(world.measure().is_converged(), "{:?}", world.odd_views());
    assert!(said > 10_000, "{said} unknown messages were said");
    let mut downgraded = 0;
    for slot in 0..200 {
        let view = world.view(slot).expect("it runs");
        assert_eq!(view.local().versions, Versions { min: 1, max: 2 });
        let drops = view.stats().drops;
        assert_eq!((drops.version, drops.malformed, drops.checksum), (0, 0, 0), "n{slot}");
        downgraded += view.stats().packets_downgraded;
    }
    assert!(downgraded > 0, "the newer spoke version 1 to the older");
}

#[test]
fn nodes_without_a_common_version_do_not_meet() {
    let scenario = Scenario::new(2, seconds(20)).config(speaking(1, 1)).successor(speaking(2, 2));
    let restart = Fault::Restart { slot: 1, how: Restart::WithoutState };
    let mut world = World::new(scenario.at(seconds(5), restart), 1).expect("the settings are valid");
    world.run_until(seconds(4));
    assert!(world.measure().is_converged());
    world.run_until(seconds(20));
    assert!(!world.measure().is_converged());
    let refused: u64 = (0..2).map(|slot| world.view(slot).expect("it runs").stats().drops.version).sum();
    assert!(refused > 0);
}
