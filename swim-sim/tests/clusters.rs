//! Whole clusters of the core's own nodes: the same seed is the same run, and the figures mean what they say.

use std::time::Duration;

use swim_sim::{
    Chance, Crash, Fault, Latency, Letters, Network, Options, Run, Scenario, Talk, Verdict, World, check_determinism,
    swarm,
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn lossy() -> Scenario {
    let latency = Latency::Uniform { least: Duration::from_millis(1), most: Duration::from_millis(5) };
    Scenario::new(60, seconds(40))
        .join_over(seconds(5))
        .network(Network::new(latency).with_loss(Chance::percent(5.0)))
        .at(seconds(15), Fault::Crash { slot: 17, how: Crash::Process })
}

fn unjudged(scenario: Scenario, seed: u64) -> swim_sim::Report {
    Run::new(scenario, seed, Options::default()).expect("the settings are valid").finish()
}

#[test]
fn the_same_seed_is_the_same_run_and_another_is_another() {
    let (first, again, other) = (unjudged(lossy(), 3), unjudged(lossy(), 3), unjudged(lossy(), 4));
    assert_eq!((first.trace_hash, first.events), (again.trace_hash, again.events));
    assert_ne!(first.trace_hash, other.trace_hash);
}

#[test]
fn judges_change_nothing_of_what_they_watch() {
    let unjudged = unjudged(lossy(), 3);
    let options = Options { judges: true, ..Options::default() };
    let judged =
        check_determinism(&lossy(), 3, options).expect("the settings are valid").expect("it is the same twice");
    assert!(judged.judged);
    // They watch on for a while after convergence; up to there the two are one run.
    assert_eq!(judged.converged_s, unjudged.converged_s);
    assert_eq!(judged.first, unjudged.first);
}

#[test]
fn two_runs_are_one_though_only_the_judges_demand_last_messages() {
    let mut scenario = lossy();
    scenario.network = scenario.network.with_loss(Chance::percent(0.0));
    scenario.workload.reliable = Some(Letters::of(Talk::per_second(2.0, 100)));
    let options = Options { judges: true, ..Options::default() };
    let judged =
        check_determinism(&scenario, 3, options).expect("the settings are valid").expect("it is the same twice");
    let letters = judged.letters.expect("there are messengers");
    assert!(letters.accepted > 100 && judged.verdict == Verdict::Passed, "{letters:?}");
}

#[test]
fn stepping_by_hand_is_the_same_as_running() {
    let mut by_step = World::new(lossy(), 9).expect("the settings are valid");
    while by_step.next_time().is_some_and(|next| next <= seconds(20)) {
        by_step.step();
    }
    let mut by_run = World::new(lossy(), 9).expect("the settings are valid");
    by_run.run_until(seconds(7));
    by_run.run_until(seconds(20));
    assert_eq!(by_step.trace_hash(), by_run.trace_hash());
}

#[test]
fn a_crash_at_5_percent_loss_is_noticed_by_all_and_nobody_is_buried_alive() {
    let report = unjudged(lossy(), 3);
    assert_eq!(report.verdict, Verdict::Passed, "{report}");
    assert_eq!((report.crashed, report.detected, report.false_deaths), (1, 1, 0), "{report}");
    let (first, last) = (report.first.max.expect("one crashed"), report.last.max.expect("one crashed"));
    assert!(first <= last && last < 30.0, "{report}");
    // What gossip misses, the periodic exchange brings.
    assert!(report.converged_s.is_some_and(|s| s < 35.0), "{report}");
}

#[test]
fn packets_under_way_are_few_once_a_cluster_has_settled() {
    let mut world = World::new(lossy(), 3).expect("the settings are valid");
    world.run_until(seconds(14));
    assert!(world.packets_under_way() < 100, "{}", world.packets_under_way());
    let (opened, open) = world.streams();
    assert!(opened > 60 && open < 20, "{opened} opened, {open} open");
}

#[test]
fn a_swarms_scenarios_are_the_same_run_twice() {
    let mut befallen = 0;
    for seed in 0..6 {
        let mut scenario = swarm::scenario(seed);
        scenario.nodes = scenario.nodes.min(40);
        scenario.duration = scenario.duration.min(seconds(60));
        scenario.schedule.retain(|timed| timed.at < seconds(60) && timed.fault.fits(scenario.nodes));
        befallen += usize::from(!scenario.schedule.is_empty());
        let checked = check_determinism(&scenario, seed, Options::default()).expect("the settings are valid");
        assert!(checked.is_ok(), "seed {seed}: {checked:?}");
    }
    assert!(befallen >= 4, "{befallen} scenarios have faults");
}
