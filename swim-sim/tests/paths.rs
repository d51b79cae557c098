//! Members that are reached by stream, because nothing else passes or because theirs is the pair that loses datagrams.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use swim_proto::{Config, Path, Transport};
use swim_sim::{Carried, Crash, Fault, Latency, Network, Options, Run, Scenario, Talk, Verdict, Workload, World};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A cluster on a network without datagrams, of which one crashes: 120 s of it, under judges.
fn without_datagrams(nodes: u32, transport: Transport, how: Crash) {
    let scenario = Scenario::new(nodes, seconds(120))
        .join_over(seconds(2))
        .config(Config { transport, ..Config::lan() })
        .network(Network::default().without_datagrams())
        .at(seconds(40), Fault::Crash { slot: 7, how });
    let options = Options { judges: true, false_deaths_max: Some(0), ..Options::default() };
    let report = Run::new(scenario, 5, options).expect("the settings are valid").finish();
    assert_eq!(report.verdict, Verdict::Passed, "{report}");
    assert_eq!((report.crashed, report.detected), (1, 1), "{report}");
    assert_eq!((report.false_deaths, report.excused_deaths), (0, 0), "{report}");
    if transport == Transport::Stream {
        assert_eq!(report.traffic.datagrams, 0, "{report}");
    }
    // Three probes tell a hybrid node what the others are told beforehand.
    assert!(report.converged_s.is_some_and(|s| s < 5.0), "{report}");
    assert!(report.last.max.is_some_and(|s| s < 30.0), "{report}");
}

#[test]
fn ten_nodes_live_without_datagrams_and_notice_a_killed_process() {
    without_datagrams(10, Transport::Stream, Crash::Process);
}

#[test]
fn ten_nodes_live_without_datagrams_and_notice_a_host_that_is_gone() {
    without_datagrams(10, Transport::Stream, Crash::Host);
}

#[test]
fn a_hundred_nodes_live_without_datagrams_and_notice_a_host_that_is_gone() {
    without_datagrams(100, Transport::Stream, Crash::Host);
}

#[test]
fn nodes_that_use_both_find_out_that_no_datagrams_pass() {
    without_datagrams(10, Transport::Hybrid, Crash::Process);
}

#[test]
fn a_hundred_nodes_that_use_both_find_it_out_together() {
    without_datagrams(100, Transport::Hybrid, Crash::Host);
}

/// Pairs between whom no datagrams pass.
fn is_cut(a: u32, b: u32) -> bool {
    matches!((a.min(b), a.max(b)), (0, 3) | (1, 4) | (1, 5) | (7, 8))
}

fn paths(world: &World, nodes: u32) -> Vec<(u32, u32)> {
    let path = |a: u32, b: u32| world.view(a).and_then(|view| view.member(world.id(b))).map(|member| member.path);
    let pairs = (0..nodes).flat_map(|a| (0..nodes).map(move |b| (a, b)));
    pairs.filter(|&(a, b)| a != b && path(a, b) == Some(Path::Stream)).collect()
}

#[test]
fn pairs_that_lose_their_datagrams_are_served_by_stream_until_the_loss_ends() {
    const NODES: u32 = 10;
    let faulty = Arc::new(AtomicBool::new(false));
    let scenario = Scenario::new(NODES, seconds(1_000));
    let mut world = World::new(scenario, 11).expect("the settings are valid");
    let cut = Arc::clone(&faulty);
    world.filter(move |passing| {
        passing.carried != Carried::Datagram || !cut.load(Ordering::Relaxed) || !is_cut(passing.from, passing.to)
    });
    world.run_until(seconds(30));
    assert_eq!(paths(&world, NODES), []);

    faulty.store(true, Ordering::Relaxed);
    world.run_until(seconds(30 + 120));
    let expected: Vec<_> =
        (0..NODES).flat_map(|a| (0..NODES).map(move |b| (a, b))).filter(|&(a, b)| a != b && is_cut(a, b)).collect();
    assert_eq!(paths(&world, NODES), expected);
    let suspicions =
        |world: &World| (0..NODES).map(|slot| world.view(slot).map_or(0, |view| view.stats().suspicions)).sum::<u64>();
    assert_eq!(suspicions(&world), 0, "helpers and streams answer for whoever datagrams do not reach");
    assert_eq!((world.measure().false_deaths, world.measure().excused_deaths), (0, 0));

    faulty.store(false, Ordering::Relaxed);
    world.run_until(seconds(150 + 300));
    assert_eq!(paths(&world, NODES), []);
    assert_eq!(suspicions(&world), 0);
    let carriers = (0..NODES).map(|slot| world.view(slot).map_or(0, |view| view.stats().carriers)).sum::<u32>();
    assert_eq!(carriers, 0, "a carrier that nobody uses is closed");
}

#[test]
fn where_nodes_have_fewer_carriers_than_members_gossip_goes_by_those_that_are_open() {
    // Each has news in each interval, for four others of a hundred: 20 packets a second for which there is no carrier
    // mostly, if those are chosen at random.
    let config = Config { transport: Transport::Stream, carriers_max: 16, streams_max: 64, ..Config::lan() };
    let talk = Some(Talk::per_second(20.0, 32));
    let scenario = Scenario::new(100, seconds(60))
        .join_over(seconds(5))
        .config(config)
        .network(Network::default().without_datagrams())
        .workload(Workload { broadcasts: talk, messages: None, reliable: None });
    let options = Options { judges: true, ..Options::default() };
    let report = Run::new(scenario, 6, options).expect("the settings are valid").finish();
    assert_eq!(report.verdict, Verdict::Passed, "{report}");
    // One for each probe, mostly.
    assert!(report.load.streams_per_node_s < 2.5, "{report}");
}

#[test]
fn whoever_lost_all_its_streams_is_told_as_much_as_others() {
    // Each time those of ten break. If gossip goes by the carriers that are open, there is hardly one by which it comes to
    // these, and it goes there last.
    const NODES: u32 = 52;
    let config = Config { transport: Transport::Stream, ..Config::lan() };
    let mut scenario = Scenario::new(NODES, seconds(200))
        .join_over(seconds(5))
        .config(config)
        .network(Network::new(Latency::Constant(Duration::from_millis(13))))
        .workload(Workload { broadcasts: Some(Talk::per_second(1.0, 32)), messages: None, reliable: None });
    for (first, at) in (40..200).step_by(25).enumerate() {
        for slot in (first as u32..NODES).step_by(5) {
            scenario = scenario.at(seconds(at), Fault::BreakStreams { slot });
        }
    }
    let options = Options { judges: true, ..Options::default() };
    let report = Run::new(scenario, 6, options).expect("the settings are valid").finish();
    assert_eq!(report.verdict, Verdict::Passed, "{report}");
    assert!(report.load.streams_per_node_s < 0.6, "{report}");
}

#[test]
fn where_streams_are_few_gossip_leaves_room_for_probes() {
    // What a probe needs of eight streams: one for a third of a second, two round trips and the close, and another for
    // whoever probes this one. If each packet of gossip may open one in the place of another, probes fail; each that does
    // is news, a refutation as well, and it never ends.
    const NODES: u32 = 40;
    let config = Config { transport: Transport::Stream, streams_max: 8, lha_probe: false, ..Config::lan() };
    let latency = Latency::Normal { mean: Duration::from_millis(54), deviation: Duration::from_millis(17) };
    let scenario = Scenario::new(NODES, seconds(60))
        .join_over(seconds(5))
        .config(config)
        .network(Network::new(latency).without_datagrams())
        .workload(Workload { broadcasts: Some(Talk::per_second(5.0, 32)), messages: None, reliable: None });
    let mut world = World::new(scenario, 4).expect("the settings are valid");
    let (mut probes, mut failed) = (0, 0);
    world.run_until(seconds(60));
    for view in (0..NODES).filter_map(|slot| world.view(slot)) {
        (probes, failed) = (probes + view.stats().probes, failed + view.stats().probes_failed);
        assert_eq!(view.live(), NODES as usize);
    }
    assert!(probes > 2_000, "{probes}");
    // A few while all join at once; of the others one in a hundred at most.
    assert!(failed * 100 < probes, "{failed} of {probes} probes failed");
}

#[test]
fn gossip_by_carriers_ends_where_there_are_fewer_members_than_it_goes_to() {
    let config = Config { transport: Transport::Stream, reach_all: false, gossip_fanout: 16, ..Config::lan() };
    let scenario = Scenario::new(7, seconds(20))
        .config(config)
        .network(Network::default().without_datagrams())
        .workload(Workload { broadcasts: Some(Talk::per_second(5.0, 32)), messages: None, reliable: None });
    let options = Options { judges: true, ..Options::default() };
    let report = Run::new(scenario, 7, options).expect("the settings are valid").finish();
    assert_eq!(report.verdict, Verdict::Passed, "{report}");
}
