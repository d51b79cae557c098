//! What two links say to one another, and what one does when it may not go on.

mod wire;

use std::time::Duration;

use bytes::Bytes;
use swim_proto::Instant;
use swim_zmq::{Event, HeartbeatConfig, Limits, Link, LinkConfig, LinkError, SendError};
use wire::{Pair, at, fate, open_router_with, ping, router, write_all};

fn parts(texts: &[&'static str]) -> Vec<Bytes> {
    texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect()
}

#[test]
fn messages_arrive_whole_in_order_and_either_way() {
    let mut pair = Pair::new(|_| {});
    let great = Bytes::from((0..4 << 20).map(|byte| (byte % 251) as u8).collect::<Vec<u8>>());
    let messages = [
        parts(&["one"]),
        parts(&["", "two", ""]),
        parts(&[""]),
        vec![great.clone(), Bytes::from_static(b"and a short one"), great.slice(..70_000)],
        (0..64).map(|part| Bytes::from(vec![part; usize::from(part) * 10])).collect(),
    ];
    for message in &messages {
        pair.dealer.send(message).unwrap();
        pair.router.send(message).unwrap();
        pair.carry();
    }
    for link in [&mut pair.dealer, &mut pair.router] {
        let mut seen = Vec::new();
        while let Some(message) = link.poll_message(at(0)) {
            seen.push(message);
        }
        pair_eq(&seen, &messages[..seen.len()]);
        assert_eq!(link.stats().messages_out, 5);
        assert!(link.stats().messages_in >= 4);
    }
}

#[track_caller]
fn pair_eq(seen: &[Vec<Bytes>], expected: &[Vec<Bytes>]) {
    // Megabytes of difference would be of use to nobody.
    assert!(seen == expected, "{} messages of {} parts", seen.len(), seen.iter().map(Vec::len).sum::<usize>());
}

#[test]
fn what_cannot_be_sent_says_why_and_changes_nothing() {
    let limits = Limits { part_bytes_max: 100, parts_max: 3, message_bytes_max: 150, ..Limits::default() };
    let mut link = wire::router_with(|config| config.limits = limits);
    assert_eq!(link.send(&parts(&["early"])), Err(SendError::NotReady));
    let mut link = open_router_with(|config| config.limits = limits);
    let long = |len| Bytes::from(vec![0; len]);
    assert_eq!(link.send(&[]), Err(SendError::NoParts));
    assert_eq!(link.send(&parts(&["", "", "", ""])), Err(SendError::TooManyParts { parts: 4, max: 3 }));
    assert_eq!(link.send(&[long(101)]), Err(SendError::PartTooLong { bytes: 101, max: 100 }));
    assert_eq!(link.send(&[long(100), long(51)]), Err(SendError::MessageTooLong { bytes: 151, max: 150 }));
    assert_eq!(link.pending(), 0);
    link.send(&[long(100), long(50)]).unwrap();
    link.handle_input(at(0), b"\xff");
    assert_eq!(link.send(&parts(&["late"])), Err(SendError::Closed));
}

#[test]
fn a_full_queue_refuses_and_says_when_half_of_it_is_written() {
    let limits = Limits { send_messages_max: 4, ..Limits::default() };
    let mut link = open_router_with(|config| config.limits = limits);
    for _ in 0..4 {
        link.send(&parts(&["12345678"])).unwrap();
    }
    assert_eq!(link.poll_event(), None);
    for _ in 0..3 {
        assert_eq!(link.send(&parts(&["x"])), Err(SendError::Full));
    }
    assert_eq!((link.pending_messages(), link.pending()), (4, 40));
    link.transmitted(at(0), 19);
    assert_eq!((link.pending_messages(), link.poll_event()), (3, None));
    link.transmitted(at(0), 1);
    assert_eq!((link.pending_messages(), link.poll_event()), (2, Some(Event::Writable)));
    link.transmitted(at(0), 20);
    assert_eq!(link.poll_event(), None, "it is said once");
}

#[test]
fn a_queue_of_bytes_has_room_for_the_greatest_message_when_it_is_empty() {
    let limits = Limits { part_bytes_max: 1000, parts_max: 4, message_bytes_max: 1000, ..Limits::default() };
    let tight = Limits { send_bytes_max: 1036, ..limits };
    let mut link = open_router_with(|config| config.limits = tight);
    let message = vec![Bytes::from(vec![1; 300]), Bytes::from(vec![2; 300]), Bytes::from(vec![3; 400]), Bytes::new()];
    link.send(&message).unwrap();
    assert_eq!(link.send(&parts(&["and that is all of it"])), Err(SendError::Full));
    let lacking = Limits { send_bytes_max: 1035, ..limits };
    let config = LinkConfig { limits: lacking, ..LinkConfig::router("r") };
    assert!(Link::new(at(0), config).unwrap_err().to_string().contains("send_bytes_max"));
}

#[test]
fn a_link_stops_reading_while_nobody_takes_what_it_has() {
    let limits = Limits { received_messages_max: 10, ..Limits::default() };
    let mut link = open_router_with(|config| config.limits = limits);
    let burst: Vec<u8> = (0..35u8).flat_map(|number| wire::message(&[&[number]])).collect();
    link.handle_input(at(0), &burst);
    assert!(!link.wants_input());
    assert_eq!(link.stats().messages_in, 10);
    let mut seen = Vec::new();
    let mut wanted = Vec::new();
    while let Some(message) = link.poll_message(at(0)) {
        seen.push(message[0][0]);
        wanted.push(link.wants_input());
    }
    assert_eq!(seen, (0..35).collect::<Vec<u8>>());
    // It goes on by itself each time that fewer than half are left; with the 30th it takes the last that waited.
    assert_eq!(wanted.iter().position(|wanted| *wanted), Some(29), "{wanted:?}");
}

#[test]
fn a_link_stops_reading_when_the_bytes_it_has_are_many() {
    let limits = Limits { received_bytes_max: 1000, ..Limits::default() };
    let mut link = open_router_with(|config| config.limits = limits);
    link.handle_input(at(0), &wire::message(&[&[0; 999]]));
    assert!(link.wants_input());
    link.handle_input(at(0), &wire::message(&[&[0; 5000]]));
    assert!(!link.wants_input());
    assert_eq!(link.poll_message(at(0)).unwrap()[0].len(), 999);
    assert!(!link.wants_input());
    assert_eq!(link.poll_message(at(0)).unwrap()[0].len(), 5000);
    assert!(link.wants_input());
}

#[test]
fn a_peer_that_does_not_read_its_answers_is_not_read() {
    let mut link = open_router_with(|_| {});
    let mut pings = 0;
    while link.wants_input() {
        link.handle_input(at(0), &ping(0, b"sixteen byte ctx").repeat(100));
        pings += 100;
        assert!(link.pending() < 40_000, "{}", link.pending());
    }
    assert!(link.stats().pings_in < pings, "what came on top waits");
    link.handle_input(at(0), &wire::message(&[b"after"]));
    assert_eq!(link.poll_message(at(0)), None);
    while link.pending() > 0 {
        link.transmitted(at(0), link.pending().min(1000));
    }
    assert_eq!(link.poll_message(at(0)).unwrap(), ["after"]);
    assert_eq!(link.stats().pings_in, pings);
    assert!(link.wants_input());
}

#[test]
fn a_ping_is_answered_with_its_context() {
    let mut link = open_router_with(|_| {});
    for context in [&b""[..], b"a", b"sixteen byte ctx"] {
        link.handle_input(at(0), &ping(0, context));
        assert_eq!(write_all(&mut link, at(0)), wire::command("PONG", context));
    }
    link.handle_input(at(0), &ping(0, b"seventeen byte ct"));
    assert!(matches!(link.closed(), Some(LinkError::Codec(_))), "{:?}", link.closed());
}

fn beats(interval: u64, timeout: u64, ttl: u64) -> HeartbeatConfig {
    let millis = Duration::from_millis;
    HeartbeatConfig { interval: millis(interval), timeout: millis(timeout), ttl: millis(ttl) }
}

#[test]
fn heartbeats_keep_two_idle_links_alive_until_one_falls_silent() {
    let mut pair = Pair::new(|config| config.heartbeat = beats(100, 250, 300));
    for _ in 0..50 {
        pair.now = pair.dealer.deadline().into_iter().chain(pair.router.deadline()).min().expect("they beat");
        pair.dealer.handle_timeout(pair.now);
        pair.router.handle_timeout(pair.now);
        assert!(pair.dealer.deadline() > Some(pair.now) && pair.router.deadline() > Some(pair.now));
        pair.carry();
    }
    assert!(pair.now >= at(2400), "{:?}", pair.now);
    let stats = pair.dealer.stats();
    assert!(stats.pings_out >= 24 && stats.pongs_in == stats.pings_out && stats.pings_in >= 24, "{stats:?}");

    // The dealer is unplugged. The router closes when the dealer's promise is broken, which is before its own time-out.
    let begun = pair.now;
    while pair.router.closed().is_none() {
        pair.now = pair.router.deadline().expect("it beats");
        pair.router.handle_timeout(pair.now);
        write_all(&mut pair.router, pair.now);
    }
    let error = fate(&mut pair.router).1.expect("it is closed");
    let ttl = LinkError::PeerTtl { ttl: Duration::from_millis(300) };
    let silent = LinkError::Silent { after: Duration::from_millis(250) };
    assert!(error == ttl || error == silent, "{error}");
    assert!(pair.now - begun <= Duration::from_millis(350), "{:?}", pair.now - begun);
    assert_eq!(pair.router.deadline(), None);
}

#[test]
fn a_promise_counts_from_the_last_thing_heard_and_not_while_we_do_not_read() {
    let open = || {
        open_router_with(|config| {
            config.heartbeat = HeartbeatConfig::OFF;
            config.limits.received_messages_max = 1;
        })
    };
    let mut link = open();
    assert_eq!(link.deadline(), None);
    link.handle_input(at(0), &ping(5, b""));
    assert_eq!(link.deadline(), Some(at(500)));
    link.handle_input(at(100), &wire::message(&[b"x"])[..1]);
    assert_eq!(link.deadline(), Some(at(600)), "half a header is a sign of life");
    link.handle_input(at(200), &wire::message(&[b"x"])[1..]);
    assert_eq!((link.wants_input(), link.deadline()), (false, None));
    assert!(link.poll_message(at(300)).is_some());
    assert_eq!(link.deadline(), Some(at(800)), "a message does not end the promise");
    link.handle_input(at(400), &ping(0, b""));
    assert_eq!(link.deadline(), None, "a PING that promises nothing does");

    let mut link = open();
    link.handle_input(at(0), &[wire::message(&[b"x"]), ping(5, b"")].concat());
    assert!(!link.wants_input());
    assert_eq!(link.deadline(), None);
    assert!(link.poll_message(at(9_000)).is_some());
    assert_eq!(link.deadline(), Some(at(9_500)));
    link.handle_timeout(at(9_500));
    assert_eq!(link.closed(), Some(&LinkError::PeerTtl { ttl: Duration::from_millis(500) }));
}

#[test]
fn a_peer_of_zmtp_3_0_is_sent_no_ping() {
    let mut link = wire::router_with(|config| config.heartbeat = beats(100, 100, 0));
    let mut opening = wire::opening();
    opening[11] = 0;
    link.handle_input(at(0), &opening);
    assert!(matches!(link.poll_event(), Some(Event::Ready(peer)) if peer.minor == 0));
    assert_eq!(link.deadline(), None);
    // It may send them all the same.
    write_all(&mut link, at(0));
    link.handle_input(at(0), &ping(0, b"?"));
    assert_eq!(write_all(&mut link, at(0)), wire::command("PONG", b"?"));
}

#[test]
fn only_one_ping_waits_to_be_written() {
    let mut link = open_router_with(|config| config.heartbeat = beats(100, 60_000, 0));
    for _ in 0..20 {
        let now = link.deadline().expect("it beats");
        link.handle_timeout(now);
    }
    assert_eq!(link.stats().pings_out, 1);
    write_all(&mut link, at(3000));
    let now = link.deadline().expect("it beats");
    link.handle_timeout(now);
    assert_eq!(link.stats().pings_out, 2);
}

#[test]
fn a_handshake_that_takes_too_long_ends() {
    let mut link = router();
    link.handle_input(at(4_000), &wire::greeting());
    let opening = wire::ready("DEALER", b"slow");
    let (all_but_one, last) = opening.split_at(opening.len() - 1);
    for (count, byte) in all_but_one.iter().enumerate() {
        link.handle_input(at(4_000 + count as u64), &[*byte]);
    }
    assert_eq!(link.deadline(), Some(at(5_000)));
    link.handle_timeout(at(4_999));
    assert_eq!(link.closed(), None);
    link.handle_timeout(at(5_000));
    assert_eq!(link.closed(), Some(&LinkError::HandshakeTimeout { after: Duration::from_secs(5) }));
    link.handle_input(at(5_000), last);
    assert_eq!(link.poll_event(), Some(Event::Closed(LinkError::HandshakeTimeout { after: Duration::from_secs(5) })));
    assert_eq!((link.poll_event(), link.deadline(), link.wants_input()), (None, None, false));
}

#[test]
fn timeouts_early_late_and_twice_are_harmless() {
    let mut pair = Pair::new(|config| config.heartbeat = beats(100, 250, 0));
    for millis in [0, 1, 1, 50, 99, 100, 100, 340, 340] {
        pair.now = at(millis).max(pair.now);
        for link in [&mut pair.dealer, &mut pair.router] {
            link.handle_timeout(Instant::ZERO.max(pair.now));
            assert!(link.deadline() > Some(pair.now));
        }
        pair.carry();
    }
    assert_eq!((pair.dealer.closed(), pair.router.closed()), (None, None));
}

#[test]
fn a_link_may_move_between_threads() {
    fn moves<T: Send + 'static>() {}
    moves::<Link>();
}

#[test]
fn configurations_that_cannot_be_are_refused() {
    let refused = |change: &dyn Fn(&mut LinkConfig)| {
        let mut config = LinkConfig::dealer("d");
        change(&mut config);
        Link::new(at(0), config).expect_err("it cannot be").to_string()
    };
    assert!(refused(&|config| config.identity = vec![b'x'; 256].into()).starts_with("identity"));
    assert!(refused(&|config| config.identity = vec![0].into()).starts_with("identity"));
    assert!(refused(&|config| config.handshake_timeout = Duration::ZERO).starts_with("handshake_timeout"));
    assert!(refused(&|config| config.heartbeat.timeout = Duration::ZERO).starts_with("heartbeat.timeout"));
    assert!(refused(&|config| config.heartbeat.ttl = Duration::from_secs(6554)).starts_with("heartbeat.ttl"));
    assert!(refused(&|config| config.limits.parts_max = 0).starts_with("limits.parts_max"));
    assert!(refused(&|config| config.limits.message_bytes_max = 1).starts_with("limits.message_bytes_max"));
    assert!(refused(&|config| config.limits.message_bytes_max = usize::MAX).starts_with("limits.message_bytes_max"));
    assert!(refused(&|config| config.limits.received_messages_max = 0).starts_with("limits.received"));
}
