//! The smallest cluster that can tell a dead member from a lost packet, from its start to a crash and the return.

use std::time::Duration;

use swim_proto::State;
use swim_sim::{Crash, Fault, Latency, Network, Restart, Scenario, Timed, World};

const SEEDS: std::ops::Range<u64> = 0..200;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Runs until `done`, asked each 10 ms, and says how long that took; or 20 s later gives up.
fn until(world: &mut World, done: impl Fn(&World) -> bool) -> Duration {
    let begun = world.now();
    while !done(world) && world.now() < begun + seconds(20) {
        world.run_until(world.now() + Duration::from_millis(10));
    }
    world.now() - begun
}

fn holds(world: &World, observer: u32, subject: u32) -> Option<State> {
    Some(world.node(observer)?.member(world.id(subject))?.state)
}

fn all_know_all(world: &World) -> bool {
    (0..3).all(|i| (0..3).all(|j| holds(world, i, j) == Some(State::Alive)))
}

/// Three hosts of a LAN: two are named as seeds to all, and the third is started within two seconds; or all three are
/// seeds, and start at once.
fn three(seed: u64) -> World {
    let latency = Latency::Uniform { least: Duration::from_micros(100), most: Duration::from_micros(500) };
    let scenario = Scenario::new(3, seconds(600))
        .seeds(2 + (seed % 2) as u32)
        .join_over(seconds(2))
        .network(Network::new(latency));
    World::new(scenario, seed).expect("the settings are valid")
}

#[test]
fn three_know_each_other_at_once_miss_the_one_that_dies_and_have_it_back_at_once() {
    let mut most = [Duration::ZERO; 3];
    for seed in SEEDS {
        let mut world = three(seed);
        while !(0..3).all(|i| world.node(i).is_some()) {
            world.step();
        }
        let known = until(&mut world, all_know_all);
        assert!(known < seconds(1), "seed {seed}: known to each other after {known:?}");

        // Some time later, so that the crash is at any phase of the others' periods.
        world.run_until(world.now() + seconds(10) + Duration::from_millis(seed * 37));
        assert!(all_know_all(&world), "seed {seed}: nothing has happened");
        let gone = (seed % 3) as u32;
        let others = [(gone + 1) % 3, (gone + 2) % 3];
        world.inject(Timed { at: world.now(), fault: Fault::Crash { slot: gone, how: Crash::Host } });
        let missed = until(&mut world, |world| others.iter().all(|&i| holds(world, i, gone) == Some(State::Dead)));
        assert!(missed <= seconds(8), "seed {seed}: missed by both after {missed:?}");
        assert!(holds(&world, others[0], others[1]) == Some(State::Alive), "seed {seed}: the other lives");

        world.run_until(world.now() + seconds(5));
        world.inject(Timed { at: world.now(), fault: Fault::Restart { slot: gone, how: Restart::WithoutState } });
        let back = until(&mut world, all_know_all);
        assert!(back < seconds(1), "seed {seed}: back after {back:?}");
        for (most, took) in most.iter_mut().zip([known, missed, back]) {
            *most = took.max(*most);
        }
    }
    println!("at most: known {:?}, missed {:?}, back {:?}", most[0], most[1], most[2]);
}
