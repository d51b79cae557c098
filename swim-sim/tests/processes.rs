//! Processes that are paused or blocked, clocks that run fast, and hosts that move.

mod puppet;

use std::time::Duration;

use puppet::{Do, Told, received, stage, staged, told, when};
use swim_sim::observe::Condition;
use swim_sim::{Crash, Fault, Latency, LinkFault, Network, Restart, Scenario, Timed, World};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn send(at: u64, byte: u8) -> (u64, Do) {
    (at, Do::Send { to: 1, bytes: vec![byte] })
}

fn pause(at: u64, lasting: u64) -> Timed {
    Timed { at: Duration::from_millis(at), fault: Fault::Pause { slot: 1, lasting: Duration::from_millis(lasting) } }
}

fn block(at: u64, lasting: u64) -> Timed {
    Timed { at: Duration::from_millis(at), fault: Fault::Block { slot: 1, lasting: Duration::from_millis(lasting) } }
}

#[test]
fn a_paused_process_takes_its_input_when_it_goes_on_and_then_its_timers() {
    let (mut world, log) = stage(&[vec![send(200, 1), send(300, 2)], vec![(250, Do::Wake)]]);
    world.inject(pause(100, 900));
    world.run_until(Duration::from_millis(500));
    assert_eq!(world.condition(1), Condition::Paused);
    world.run_until(seconds(2));
    // Neither is a probe: the newest goes first.
    let expected = [(1_000.0, Told::Datagram(vec![2])), (1_000.0, Told::Datagram(vec![1])), (1_000.0, Told::Timer)];
    assert_eq!(told(&log, 1), expected);
}

#[test]
fn a_blocked_process_has_timers_but_neither_sends_nor_receives() {
    let back = |at, byte| (at, Do::Send { to: 0, bytes: vec![byte] });
    let (mut world, log) = stage(&[vec![send(200, 1)], vec![back(250, 9), back(260, 8)]]);
    world.inject(block(100, 900));
    world.run_until(seconds(2));
    assert_eq!(told(&log, 1), [(250.0, Told::Timer), (260.0, Told::Timer), (1_000.0, Told::Datagram(vec![1]))]);
    assert_eq!(when(&log, 0, &Told::Datagram(vec![9])), Some(1_001.0));
    assert_eq!(when(&log, 0, &Told::Datagram(vec![8])), Some(1_001.0));
}

#[test]
fn a_stream_of_a_blocked_process_is_held_back_with_its_bytes() {
    let server = vec![
        (200, Do::Connect { stream: 7, to: 0 }),
        (300, Do::Write { stream: 7, bytes: b"held".to_vec() }),
        (300, Do::Finish { stream: 7 }),
    ];
    let (mut world, log) = stage(&[vec![], server]);
    world.inject(block(100, 900));
    world.run_until(Duration::from_millis(999));
    assert_eq!(told(&log, 0), []);
    world.run_until(seconds(2));
    assert_eq!(received(&log, 0), b"held");
}

#[test]
fn a_kernel_keeps_so_many_datagrams_for_a_process_and_loses_the_rest() {
    let script: Vec<_> = (0..1_000).map(|at| (200 + at, Do::Send { to: 1, bytes: vec![0; 1_300] })).collect();
    let (mut world, log) = stage(&[script, vec![]]);
    world.inject(pause(100, 4_900));
    world.run_until(seconds(10));
    // 212,992 bytes, of which each takes its 1,300 and 768 more.
    assert_eq!(told(&log, 1).len(), 212_992 / 2_068);
}

#[test]
fn holds_that_overlap_end_with_the_last_of_them() {
    let (mut world, _) = stage(&[vec![], vec![]]);
    world.inject(pause(100, 1_000));
    world.inject(pause(500, 1_000));
    world.inject(block(1_200, 1_000));
    for (at, expected) in [
        (1_150, Condition::Paused),
        (1_300, Condition::Paused),
        (1_600, Condition::Blocked),
        (2_300, Condition::Running),
    ] {
        world.run_until(Duration::from_millis(at));
        assert_eq!(world.condition(1), expected, "{at}");
    }
}

#[test]
fn a_restart_ends_a_pause() {
    let (mut world, log) = stage(&[vec![send(2_500, 1)], vec![]]);
    world.inject(pause(100, 60_000));
    world.inject(Timed { at: seconds(2), fault: Fault::Restart { slot: 1, how: Restart::WithState } });
    world.run_until(seconds(100));
    assert_eq!(world.condition(1), Condition::Running);
    assert_eq!(when(&log, 1, &Told::Datagram(vec![1])), Some(2_501.0));
}

#[test]
fn a_clock_that_runs_fast_fires_its_timers_early() {
    let scenario = Scenario::new(8, seconds(100)).drift(100_000).network(Network::new(Latency::Constant(seconds(0))));
    let scripts: Vec<_> = (0..8).map(|_| vec![(10_000, Do::Send { to: 1, bytes: vec![7] })]).collect();
    let (mut world, log) = staged(scenario, &scripts);
    // By its own clock each sends at 10 s; by that of slot 1 they arrive at different times.
    world.run_until(seconds(50));
    let arrived: Vec<f64> = told(&log, 1).iter().filter(|(_, told)| *told != Told::Timer).map(|(at, _)| *at).collect();
    assert_eq!(arrived.len(), 8);
    let (least, most) = (arrived[0], arrived[7]);
    assert!(least < 9_900.0 || most > 10_100.0, "{arrived:?}");
    assert!(least > 8_000.0 && most < 12_500.0, "{arrived:?}");
    assert!(when(&log, 0, &Told::Timer) == Some(10_000.0), "each is woken at 10 s of its own");
}

#[test]
fn whoever_moves_is_reached_at_the_new_address_only() {
    let script = vec![
        send(1_000, 1),
        send(3_000, 2),
        (4_000, Do::Send { to: 2, bytes: vec![3] }), // The address after the last slot's: the new one.
    ];
    let (mut world, log) = stage(&[script, vec![]]);
    world.inject(Timed { at: seconds(2), fault: Fault::Restart { slot: 1, how: Restart::NewAddress } });
    world.run_until(seconds(5));
    let datagrams: Vec<Told> = told(&log, 1).into_iter().map(|(_, told)| told).collect();
    assert_eq!(datagrams, [Told::Datagram(vec![1]), Told::Datagram(vec![3])]);
    assert_eq!(world.address(1), puppet::address(2));
}

#[test]
fn each_start_has_a_greater_life_unless_the_clock_went_back() {
    let (mut world, _) = stage(&[vec![], vec![]]);
    let mut last = 0;
    for (at, how, greater) in [
        (10, Restart::WithoutState, true),
        (20, Restart::WithState, true),
        (30, Restart::NewAddress, true),
        (40, Restart::ClockBack, false),
    ] {
        world.inject(Timed { at: seconds(at), fault: Fault::Restart { slot: 1, how } });
        world.run_until(seconds(at));
        let life = world.view(1).expect("it runs").local().incarnation.life;
        assert_eq!(life > last, greater, "{how:?}: {life} after {last}");
        last = life;
    }
}

#[test]
fn datagrams_can_be_blocked_while_streams_pass() {
    let script = vec![send(100, 1), (100, Do::Connect { stream: 7, to: 1 })];
    let (mut world, log) = stage(&[script, vec![]]);
    let fault = LinkFault { no_datagrams: true, ..LinkFault::default() };
    world.inject(Timed { at: seconds(0), fault: Fault::Link { slot: 1, fault, lasting: seconds(10) } });
    world.run_until(seconds(5));
    assert_eq!(told(&log, 1).len(), 1);
    assert!(when(&log, 0, &Told::Connected(swim_proto::StreamId(7))).is_some());
}

#[test]
fn a_slow_process_takes_one_input_after_the_other() {
    let script = (0..5).map(|at| send(200 + at, at as u8)).collect();
    let (mut world, log) = stage(&[script, vec![(210, Do::Wake)]]);
    let each = Duration::from_millis(100);
    world.inject(Timed { at: seconds(0), fault: Fault::Slow { slot: 1, lasting: seconds(10), each } });
    world.run_until(seconds(5));
    // The four that wait after the first take a quarter of that each to be read. The first has used the turn's time up, so
    // the timer is next, which fell due at 210; and of the others, which are news, the newest goes first.
    let datagram = |content: u8| Told::Datagram(vec![content]);
    let expected = [
        (201.0, datagram(0)),
        (401.0, Told::Timer),
        (501.0, datagram(4)),
        (601.0, datagram(3)),
        (701.0, datagram(2)),
        (801.0, datagram(1)),
    ];
    assert_eq!(told(&log, 1), expected);
}

#[test]
fn an_address_can_become_anothers() {
    let (mut world, log) = stage(&[vec![send(5_000, 1)], vec![], vec![]]);
    let crash = Fault::Crash { slot: 1, how: Crash::Host };
    world.inject(Timed { at: seconds(1), fault: crash });
    world.inject(Timed { at: seconds(2), fault: Fault::TakeAddress { slot: 2, of: 1 } });
    world.inject(Timed { at: seconds(3), fault: Fault::Restart { slot: 1, how: Restart::WithoutState } });
    world.run_until(seconds(10));
    assert_eq!(when(&log, 2, &Told::Datagram(vec![1])), Some(5_001.0));
    assert_eq!(when(&log, 1, &Told::Datagram(vec![1])), None);
    assert_eq!((world.address(2), world.address(1)), (puppet::address(1), puppet::address(3)));
}

#[test]
fn whoever_moves_on_does_not_take_down_the_host_that_another_has_taken_over() {
    let late = |of, at| (at, Do::Send { to: of, bytes: vec![1] });
    for then in [
        Fault::TakeAddress { slot: 1, of: 3 },
        Fault::Restart { slot: 1, how: Restart::NewAddress },
        Fault::Crash { slot: 1, how: Crash::Host },
    ] {
        let (mut world, log) = stage(&[vec![late(1, 5_000)], vec![], vec![], vec![]]);
        for slot in [1, 3] {
            world.inject(Timed { at: seconds(1), fault: Fault::Crash { slot, how: Crash::Host } });
        }
        world.inject(Timed { at: seconds(2), fault: Fault::TakeAddress { slot: 2, of: 1 } });
        world.inject(Timed { at: seconds(3), fault: then.clone() });
        world.run_until(seconds(10));
        assert_eq!(when(&log, 2, &Told::Datagram(vec![1])), Some(5_001.0), "{then:?}");
    }
}

#[test]
fn who_was_started_before_its_time_and_crashed_stays_down_when_its_time_comes() {
    let scenario = Scenario::new(3, seconds(10))
        .join_over(seconds(5))
        .at(seconds(1), Fault::Restart { slot: 2, how: Restart::WithoutState })
        .at(seconds(2), Fault::Crash { slot: 2, how: Crash::Host });
    let mut world = World::new(scenario, 1).expect("the settings are valid");
    world.run_until(Duration::from_millis(1_500));
    assert_eq!(world.condition(2), Condition::Running);
    world.run_until(seconds(10));
    assert_eq!(world.condition(2), Condition::Down);
}

#[test]
fn the_link_of_whoever_lost_its_address_to_another_is_not_the_others() {
    let unheard = LinkFault { outbound: swim_sim::Chance::ALWAYS, ..LinkFault::default() };
    let (mut world, log) = stage(&[vec![], vec![], vec![(5_000, Do::Send { to: 0, bytes: vec![7] })]]);
    world.inject(Timed { at: seconds(1), fault: Fault::Crash { slot: 1, how: Crash::Host } });
    world.inject(Timed { at: seconds(2), fault: Fault::TakeAddress { slot: 2, of: 1 } });
    world.inject(Timed { at: seconds(3), fault: Fault::Link { slot: 1, fault: unheard, lasting: seconds(60) } });
    world.run_until(seconds(10));
    assert_eq!(when(&log, 0, &Told::Datagram(vec![7])), Some(5_001.0));
}
