//! One small run whose every event is pinned: debug or release, whatever the machine, it is the same to the last byte.

use std::time::Duration;

use swim_sim::{
    Chance, Crash, Fault, Latency, Letters, Network, Options, Restart, Run, Scenario, Talk, Verdict, Workload,
};

/// The run's hash and how many entries its agenda had.
///
/// They change with whatever changes what nodes, messengers or the simulated network do, if only by one byte or one
/// draw of a lot: whoever changes them has changed behaviour, and knows why. Between two builds of one commit, on
/// whatever machine, they never differ.
const PINNED: (u64, u64) = (0x33b0_b1cc_3073_5f66, 13441);

fn scenario() -> Scenario {
    let second = Duration::from_secs;
    // Logarithms are in it, too: of delays here, and of the cluster's size in what nodes do.
    let latency = Latency::Tailed { least: Duration::from_millis(1), tail: Duration::from_millis(2) };
    Scenario::new(12, second(40))
        .join_over(second(3))
        .drift(200)
        .network(Network::new(latency).with_loss(Chance::percent(5.0)))
        .workload(Workload {
            broadcasts: Some(Talk::per_second(1.0, 100)),
            messages: Some(Talk::per_second(1.0, 100)),
            reliable: Some(Letters::of(Talk::per_second(4.0, 200))),
        })
        .at(second(8), Fault::Crash { slot: 3, how: Crash::Process })
        .at(second(10), Fault::Pause { slot: 5, lasting: second(4) })
        .at(second(20), Fault::Restart { slot: 3, how: Restart::NewAddress })
        .at(second(22), Fault::Leave { slot: 7 })
}

#[test]
fn a_run_is_the_same_in_every_build_and_on_every_machine() {
    let report = Run::new(scenario(), 1, Options::default()).expect("the settings are valid").finish();
    assert_eq!(report.verdict, Verdict::Passed, "{report}");
    let found = (report.trace_hash, report.events);
    assert_eq!(found, PINNED, "PINNED is to be ({:#018x}, {}), if that is meant to be:\n{report}", found.0, found.1);
}
