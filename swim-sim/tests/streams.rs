//! Streams are TCP: what a program sees of loss, crashes and slow readers, to the millisecond.

mod puppet;

use std::time::Duration;

use puppet::{Do, Told, received, stage, staged, told, when, written};
use swim_proto::StreamId;
use swim_sim::{Carried, Chance, Crash, Fault, Latency, LinkFault, Network, Partition, Scenario, Timed};

const CLIENT: StreamId = StreamId(7);
const SERVER: StreamId = StreamId(1_000_001);

fn connect() -> (u64, Do) {
    (10, Do::Connect { stream: 7, to: 1 })
}

fn write(at: u64, bytes: &[u8]) -> (u64, Do) {
    (at, Do::Write { stream: 7, bytes: bytes.to_vec() })
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Loses the first `count` packets of a kind.
fn losing(count: u32, kind: Carried) -> impl FnMut(&swim_sim::Passing<'_>) -> bool + Send {
    let mut left = count;
    move |passing| {
        let lost = passing.carried == kind && left > 0;
        left -= u32::from(lost);
        !lost
    }
}

#[test]
fn a_stream_opens_in_one_round_trip() {
    let (mut world, log) = stage(&[vec![connect()], vec![]]);
    world.run_until(seconds(1));
    assert_eq!(when(&log, 0, &Told::Connected(CLIENT)), Some(12.0));
    assert_eq!(when(&log, 1, &Told::Accepted(SERVER)), Some(13.0));
}

#[test]
fn a_lost_syn_is_sent_again_after_1_s_then_2_then_4() {
    let (mut world, log) = stage(&[vec![connect()], vec![]]);
    world.filter(losing(3, Carried::Syn));
    world.run_until(seconds(10));
    assert_eq!(when(&log, 0, &Told::Connected(CLIENT)), Some(10.0 + 7_000.0 + 2.0));
}

#[test]
fn a_lost_answer_to_a_syn_costs_a_second_too() {
    let (mut world, log) = stage(&[vec![connect()], vec![]]);
    world.filter(losing(1, Carried::SynAck));
    world.run_until(seconds(10));
    // The client asks again after a second, and the server answers again.
    let connected = when(&log, 0, &Told::Connected(CLIENT)).expect("it opens");
    assert!((1_010.0..1_013.0).contains(&connected), "{connected}");
}

#[test]
fn a_lost_segment_is_sent_again_after_200_ms_then_400_then_800() {
    let (mut world, log) = stage(&[vec![connect(), write(100, b"hello")], vec![]]);
    world.filter(losing(3, Carried::Data));
    world.run_until(seconds(10));
    assert_eq!(when(&log, 1, &Told::Data(SERVER, b"hello".to_vec())), Some(100.0 + 1_400.0 + 1.0));
    assert_eq!(received(&log, 1), b"hello");
}

#[test]
fn a_lost_acknowledgement_delays_nothing() {
    let (mut world, log) = stage(&[vec![connect(), write(100, b"hello"), write(110, b"again")], vec![]]);
    world.filter(losing(2, Carried::Ack));
    world.run_until(seconds(10));
    assert_eq!(when(&log, 1, &Told::Data(SERVER, b"again".to_vec())), Some(111.0));
    assert_eq!(received(&log, 1), b"helloagain");
}

#[test]
fn bytes_arrive_once_and_in_order_however_many_segments_are_lost() {
    let sent: Vec<u8> = (0..60_000_u32).map(|at| (at * 7 + at / 251) as u8).collect();
    for loss in [5.0, 20.0, 40.0] {
        let network =
            Network::new(Latency::Uniform { least: Duration::from_millis(1), most: Duration::from_millis(9) })
                .with_loss(Chance::percent(loss));
        let script =
            vec![connect(), write(60_000, &sent), write(120_000, b"the end"), (120_000, Do::Finish { stream: 7 })];
        let (mut world, log) = staged(Scenario::new(2, seconds(1_000)).network(network), &[script, vec![]]);
        world.run_until(seconds(900));
        let received = received(&log, 1);
        assert!(received.starts_with(&sent) && received.ends_with(b"the end"), "{loss} %: {} bytes", received.len());
        assert_eq!(received.len(), 60_007);
        assert!(when(&log, 1, &Told::Finished(SERVER)).is_some());
        assert_eq!(written(&log, 0), 60_007);
    }
}

#[test]
fn a_reader_that_stands_still_stops_the_writer_at_the_two_buffers_and_loses_nothing() {
    let mut script = vec![connect()];
    script.extend((0..5).map(|at| write(100 + at, &[at as u8; 60_000])));
    let (mut world, log) = stage(&[script, vec![]]);
    world.inject(Timed { at: Duration::from_millis(50), fault: Fault::Pause { slot: 1, lasting: seconds(30) } });
    world.run_until(seconds(29));
    // The reader's kernel took 64 KiB, the writer's holds as many unacknowledged.
    assert_eq!(written(&log, 0), 2 * 65_536);
    assert_eq!(received(&log, 1), b"");
    world.run_until(seconds(60));
    assert_eq!(written(&log, 0), 300_000);
    let expected: Vec<u8> = (0..5_u8).flat_map(|at| [at; 60_000]).collect();
    assert!(received(&log, 1) == expected);
}

#[test]
fn a_killed_process_resets_its_streams_and_its_kernel_refuses_new_ones() {
    let script = vec![connect(), (5_000, Do::Connect { stream: 8, to: 1 })];
    let (mut world, log) = stage(&[script, vec![]]);
    world.inject(Timed { at: seconds(1), fault: Fault::Crash { slot: 1, how: Crash::Process } });
    world.run_until(seconds(10));
    assert_eq!(when(&log, 0, &Told::Failed(CLIENT)), Some(1_001.0));
    assert_eq!(when(&log, 0, &Told::Failed(StreamId(8))), Some(5_002.0));
    assert_eq!(world.streams().1, 0);
}

#[test]
fn a_host_without_power_says_nothing_and_an_attempt_to_reach_it_fails_after_127_s() {
    let script = vec![connect(), (5_000, Do::Connect { stream: 8, to: 1 })];
    let (mut world, log) = stage(&[script, vec![]]);
    world.inject(Timed { at: seconds(1), fault: Fault::Crash { slot: 1, how: Crash::Host } });
    world.run_until(seconds(300));
    assert_eq!(when(&log, 0, &Told::Failed(CLIENT)), None, "an idle stream notices nothing");
    assert_eq!(when(&log, 0, &Told::Failed(StreamId(8))), Some(5_000.0 + 127_000.0));
}

#[test]
fn a_restarted_host_answers_the_streams_of_its_past_with_a_reset() {
    let (mut world, log) = stage(&[vec![connect(), write(20_000, b"are you there?")], vec![]]);
    world.inject(Timed { at: seconds(1), fault: Fault::Crash { slot: 1, how: Crash::Host } });
    let how = swim_sim::Restart::WithoutState;
    world.inject(Timed { at: seconds(10), fault: Fault::Restart { slot: 1, how } });
    world.run_until(seconds(30));
    assert_eq!(when(&log, 0, &Told::Failed(CLIENT)), Some(20_002.0));
    assert_eq!(received(&log, 1), b"");
}

#[test]
fn a_process_that_accepts_no_more_resets_the_attempt() {
    let (mut world, log) = stage(&[vec![connect()], vec![(1, Do::Refuse)]]);
    world.run_until(seconds(1));
    // The handshake is the kernel's: the client first takes the stream for open.
    let told: Vec<Told> = told(&log, 0).into_iter().map(|(_, told)| told).collect();
    assert_eq!(told, [Told::Timer, Told::Connected(CLIENT), Told::Failed(CLIENT)]);
    assert_eq!(world.streams().1, 0);
}

#[test]
fn one_direction_can_end_while_the_other_goes_on() {
    let client = vec![connect(), write(100, b"question"), (100, Do::Finish { stream: 7 })];
    let server =
        vec![(500, Do::Write { stream: SERVER.0, bytes: b"answer".to_vec() }), (600, Do::Finish { stream: SERVER.0 })];
    let (mut world, log) = stage(&[client, server]);
    world.run_until(seconds(5));
    assert_eq!(when(&log, 1, &Told::Finished(SERVER)), Some(101.0));
    assert_eq!(when(&log, 0, &Told::Data(CLIENT, b"answer".to_vec())), Some(501.0));
    assert_eq!(when(&log, 0, &Told::Finished(CLIENT)), Some(601.0));
    assert_eq!((world.streams().1, world.packets_under_way()), (0, 0));
}

#[test]
fn a_stream_outlasts_a_short_partition_and_breaks_in_a_long_one() {
    for (lasting, survives) in [(20, true), (800, false)] {
        let (mut world, log) = stage(&[vec![connect(), write(2_000, b"hello")], vec![]]);
        let partition = Partition::Split(vec![0]);
        let fault = Fault::Partition { partition, lasting: seconds(lasting), flips: None };
        world.inject(Timed { at: seconds(1), fault });
        world.run_until(seconds(900));
        assert_eq!(received(&log, 1) == b"hello", survives);
        assert_eq!(when(&log, 0, &Told::Failed(CLIENT)).is_none(), survives);
    }
}

#[test]
fn a_reset_by_the_application_reaches_the_peer_after_what_it_still_has_to_read() {
    let (mut world, log) = stage(&[vec![connect(), write(100, b"last words"), (100, Do::Reset { stream: 7 })], vec![]]);
    world.run_until(seconds(5));
    let told: Vec<Told> = told(&log, 1).into_iter().map(|(_, told)| told).collect();
    assert_eq!(told, [Told::Accepted(SERVER), Told::Data(SERVER, b"last words".to_vec()), Told::Failed(SERVER)]);
    assert_eq!(world.streams().1, 0);
}

#[test]
fn segments_are_lost_with_the_probability_that_datagrams_are() {
    // A stream to a process that never reads a byte more than the first: acknowledgements and probes for a long time.
    let network = Network::new(Latency::Constant(Duration::from_millis(1))).with_loss(Chance::percent(10.0));
    let script: Vec<_> = (0..2_000).map(|at| (at * 100, Do::Send { to: 1, bytes: vec![0; 10] })).collect();
    let mut streams = script.clone();
    streams.extend((0..2_000).map(|at| (at * 100 + 50, Do::Connect { stream: at + 1, to: 1 })));
    streams.sort_by_key(|(at, _)| *at);
    let (mut world, _) = staged(Scenario::new(2, seconds(1_000)).network(network), &[streams, vec![]]);
    world.run_until(seconds(400));
    let traffic = world.traffic();
    let sent = traffic.datagrams + traffic.segments;
    let deviation = (sent as f64 * 0.1 * 0.9).sqrt();
    assert!((traffic.lost as f64 - sent as f64 * 0.1).abs() < 5.0 * deviation, "{traffic:?}");
    assert!(traffic.segments > 4_000, "{traffic:?}");
}

#[test]
fn an_attempt_that_was_refused_unheard_succeeds_once_a_process_listens() {
    let (mut world, log) = stage(&[vec![(2_000, Do::Connect { stream: 7, to: 1 })], vec![]]);
    world.filter(losing(1, Carried::Reset));
    world.inject(Timed { at: seconds(1), fault: Fault::Crash { slot: 1, how: Crash::Process } });
    let how = swim_sim::Restart::WithState;
    world.inject(Timed { at: Duration::from_millis(2_500), fault: Fault::Restart { slot: 1, how } });
    world.run_until(seconds(10));
    assert_eq!(when(&log, 0, &Told::Connected(CLIENT)), Some(3_002.0));
}

#[test]
fn who_waited_in_vain_to_be_accepted_makes_room_for_others() {
    // More than the backlog holds, whose answers are lost, and who give up.
    let attempts = 0..200;
    let connect = |stream| (100 + stream, Do::Connect { stream, to: 1 });
    let mut script: Vec<_> = attempts.clone().map(connect).collect();
    script.extend(attempts.map(|stream| (5_000 + stream, Do::Reset { stream })));
    script.push((20_000, Do::Connect { stream: 999, to: 1 }));
    let (mut world, log) = stage(&[script, vec![]]);
    let fault = LinkFault { outbound: Chance::ALWAYS, ..LinkFault::default() };
    let lasting = Duration::from_secs(10);
    world.inject(Timed { at: Duration::from_millis(50), fault: Fault::Link { slot: 1, fault, lasting } });
    world.run_until(Duration::from_secs(30));
    assert!(when(&log, 0, &Told::Connected(StreamId(999))).is_some_and(|at| at < 20_100.0));
}

#[test]
fn who_does_not_hear_the_answer_to_a_syn_takes_no_room_from_others() {
    let mut script: Vec<_> = (0..200).map(|stream| (100, Do::Connect { stream, to: 1 })).collect();
    script.push((500, Do::Connect { stream: 999, to: 1 }));
    let (mut world, log) = stage(&[script, vec![]]);
    world.filter(losing(200, Carried::SynAck));
    world.run_until(seconds(1));
    assert_eq!(when(&log, 0, &Told::Connected(StreamId(999))), Some(502.0));
}

#[test]
fn more_open_streams_than_the_backlog_holds_wait_for_no_process() {
    // All are being opened when the first is open.
    let mut script: Vec<_> = (0..200).map(|stream| (100, Do::Connect { stream, to: 1 })).collect();
    script.push((500, Do::Connect { stream: 999, to: 1 }));
    let (mut world, log) = stage(&[script, vec![]]);
    let lasting = Duration::from_secs(10);
    world.inject(Timed { at: Duration::from_millis(50), fault: Fault::Pause { slot: 1, lasting } });
    let accepted = || told(&log, 1).iter().filter(|(_, told)| matches!(told, Told::Accepted(_))).count();
    world.run_until(seconds(11));
    assert_eq!(accepted(), 128);
    assert_eq!(when(&log, 0, &Told::Connected(StreamId(999))), None);
    // Answers to SYNs are sent again, and SYNs.
    world.run_until(seconds(20));
    assert_eq!(accepted(), 201);
}
