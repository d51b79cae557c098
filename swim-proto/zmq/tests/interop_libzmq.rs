//! Our links and libzmq, either way round.

mod foreign;
mod libzmq;
mod sockets;

use std::ffi::OsStr;
use std::time::Duration;

use bytes::Bytes;
use foreign::{Foreign, exchange_with_dealer, exchange_with_router};
use libzmq::{Libzmq, python};
use sockets::{Caller, Driven, accept, listen};
use swim_zmq::{HeartbeatConfig, LinkConfig, LinkError, Peer, Socket};

impl Foreign for Libzmq {
    fn send(&mut self, parts: &[Bytes]) {
        Libzmq::send(self, parts);
    }

    fn receive(&mut self) -> Vec<Bytes> {
        Libzmq::receive(self)
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn quick_beats(config: LinkConfig) -> LinkConfig {
    LinkConfig {
        heartbeat: HeartbeatConfig { interval: millis(50), timeout: millis(400), ttl: Duration::ZERO },
        ..config
    }
}

/// Their DEALER and our end of it.
fn meet(python: &OsStr, config: LinkConfig, options: &[&str]) -> (Driven, Libzmq) {
    let listener = listen();
    let address = listener.local_addr().expect("it is bound").to_string();
    let theirs = Libzmq::start(python, "dealer", "connect", &address, options);
    let mut ours = Driven::new(accept(&listener), config);
    ours.ready();
    (ours, theirs)
}

#[test]
fn its_dealer_talks_with_our_router() {
    let Some(python) = python() else { return };
    let (mut ours, mut theirs) = meet(&python, LinkConfig::router("us"), &["IDENTITY=their dealer"]);
    assert_eq!(ours.peer, Some(Peer { socket: Socket::Dealer, identity: "their dealer".into(), minor: 1 }));
    exchange_with_dealer(&mut ours, &mut theirs);
}

#[test]
fn its_dealer_need_not_have_an_identity_and_may_have_the_longest() {
    let Some(python) = python() else { return };
    let (ours, _theirs) = meet(&python, LinkConfig::router("us"), &[]);
    assert_eq!(ours.peer.expect("it is ready").identity, "");
    let longest = "x".repeat(255);
    let (ours, _theirs) = meet(&python, LinkConfig::router("us"), &[&format!("IDENTITY={longest}")]);
    assert_eq!(ours.peer.expect("it is ready").identity, longest);
}

#[test]
fn our_dealer_talks_with_its_router() {
    let Some(python) = python() else { return };
    let mut theirs = Libzmq::start(&python, "router", "bind", "127.0.0.1:*", &[]);
    let mut caller = Caller::new(theirs.address, LinkConfig::dealer("our dealer"));
    let ours = caller.ready();
    let peer = ours.ready();
    assert_eq!((peer.socket, peer.minor), (Socket::Router, 1));
    exchange_with_router(ours, &mut theirs, "our dealer");
}

#[test]
fn it_answers_our_heartbeats_and_its_silence_is_noticed() {
    let Some(python) = python() else { return };
    let (mut ours, theirs) = meet(&python, quick_beats(LinkConfig::router("us")), &[]);
    ours.until("three PONGs", |ours| {
        assert_eq!(ours.link.closed(), None);
        (ours.link.stats().pongs_in >= 3).then_some(())
    });
    assert_eq!(ours.link.stats().pings_in, 0);
    #[cfg(unix)]
    {
        theirs.signal("-STOP");
        assert_eq!(ours.end(), LinkError::Silent { after: millis(400) });
    }
    drop(theirs);
}

#[test]
fn we_answer_its_heartbeats_and_hold_it_to_its_promise() {
    let Some(python) = python() else { return };
    let config = LinkConfig { heartbeat: HeartbeatConfig::OFF, ..LinkConfig::router("us") };
    // It would close the link if it heard nothing for the time-out.
    let beats = ["HEARTBEAT_IVL=50", "HEARTBEAT_TIMEOUT=2000", "HEARTBEAT_TTL=1000"];
    let (mut ours, theirs) = meet(&python, config, &beats);
    ours.until("PINGs for longer than its time-out", |ours| {
        assert!(ours.link.closed().is_none() && !ours.hung_up, "{:?}", ours.link.closed());
        (ours.link.stats().pings_in >= 60).then_some(())
    });
    assert_eq!(ours.link.stats().pings_out, 0);
    #[cfg(unix)]
    {
        theirs.signal("-STOP");
        assert_eq!(ours.end(), LinkError::PeerTtl { ttl: millis(1000) });
    }
    drop(theirs);
}

/// Our DEALER, connected to their ROUTER.
fn call(python: &OsStr, config: LinkConfig, options: &[&str]) -> (Driven, Libzmq) {
    let theirs = Libzmq::start(python, "router", "bind", "127.0.0.1:*", options);
    let mut caller = Caller::new(theirs.address, config);
    caller.ready();
    (caller.driven.expect("it is ready"), theirs)
}

#[test]
fn its_router_answers_our_heartbeats_and_its_silence_is_noticed() {
    let Some(python) = python() else { return };
    let (mut ours, theirs) = call(&python, quick_beats(LinkConfig::dealer("us")), &[]);
    ours.until("three PONGs", |ours| {
        assert_eq!(ours.link.closed(), None);
        (ours.link.stats().pongs_in >= 3).then_some(())
    });
    assert_eq!(ours.link.stats().pings_in, 0);
    #[cfg(unix)]
    {
        theirs.signal("-STOP");
        assert_eq!(ours.end(), LinkError::Silent { after: millis(400) });
    }
    drop(theirs);
}

#[test]
fn our_dealer_answers_its_routers_heartbeats_and_holds_it_to_its_promise() {
    let Some(python) = python() else { return };
    let config = LinkConfig { heartbeat: HeartbeatConfig::OFF, ..LinkConfig::dealer("us") };
    // It would close the link if it heard nothing for the time-out.
    let beats = ["HEARTBEAT_IVL=50", "HEARTBEAT_TIMEOUT=2000", "HEARTBEAT_TTL=1000"];
    let (mut ours, mut theirs) = call(&python, config, &beats);
    ours.until("PINGs for longer than its time-out", |ours| {
        assert!(ours.link.closed().is_none() && !ours.hung_up, "{:?}", ours.link.closed());
        (ours.link.stats().pings_in >= 60).then_some(())
    });
    assert_eq!(ours.link.stats().pings_out, 0);
    theirs.send(&["us", "and messages"].map(Bytes::from));
    assert_eq!(ours.receive(), ["and messages"]);
    #[cfg(unix)]
    {
        theirs.signal("-STOP");
        assert_eq!(ours.end(), LinkError::PeerTtl { ttl: millis(1000) });
    }
    drop(theirs);
}

#[test]
fn its_router_gives_our_dealer_up_when_it_falls_silent_and_takes_the_next() {
    let Some(python) = python() else { return };
    // By the time that it has hung up it need not have forgotten the identity.
    let options = ["ROUTER_HANDOVER=1", "HEARTBEAT_IVL=50", "HEARTBEAT_TIMEOUT=1000"];
    let (mut silent, mut theirs) = call(&python, LinkConfig::dealer("d"), &options);
    silent.read_and_say_nothing();
    let mut caller = Caller::new(theirs.address, LinkConfig::dealer("d"));
    caller.ready().send(&[Bytes::from_static(b"again")]);
    assert_eq!(theirs.receive(), ["d", "again"]);
}

#[test]
fn heartbeats_of_both_at_once_end_nothing() {
    let Some(python) = python() else { return };
    let beats = ["HEARTBEAT_IVL=50", "HEARTBEAT_TIMEOUT=2000", "HEARTBEAT_TTL=2000"];
    let config = |config: LinkConfig| LinkConfig {
        heartbeat: HeartbeatConfig { interval: millis(50), timeout: millis(2000), ttl: millis(2000) },
        ..config
    };
    let last = |mut ours: Driven| {
        ours.until("PINGs and PONGs for longer than the time-outs", |ours| {
            assert!(ours.link.closed().is_none() && !ours.hung_up, "{:?}", ours.link.closed());
            let stats = ours.link.stats();
            (stats.pings_in >= 60 && stats.pongs_in >= 60).then_some(())
        });
    };
    let (dealer, _theirs) = call(&python, config(LinkConfig::dealer("us")), &beats);
    last(dealer);
    let (router, _theirs) = meet(&python, config(LinkConfig::router("us")), &beats);
    last(router);
}

#[test]
fn its_dealer_gives_us_up_when_we_fall_silent_and_comes_back() {
    let Some(python) = python() else { return };
    let listener = listen();
    let address = listener.local_addr().expect("it is bound").to_string();
    let options = ["HEARTBEAT_IVL=50", "HEARTBEAT_TIMEOUT=300", "RECONNECT_IVL=20"];
    let mut theirs = Libzmq::start(&python, "dealer", "connect", &address, &options);
    let mut silent = Driven::new(accept(&listener), LinkConfig::router("us"));
    silent.ready();
    // From here on nobody drives the first link, until it is gone.
    let mut second = Driven::new(accept(&listener), LinkConfig::router("us"));
    second.ready();
    theirs.send(&[Bytes::from_static(b"again")]);
    assert_eq!(second.receive(), ["again"]);
    silent.until("the end of the first", |silent| silent.hung_up.then_some(()));
}

#[test]
fn our_dealer_comes_back_to_its_router_that_was_killed() {
    let Some(python) = python() else { return };
    let mut theirs = Libzmq::start(&python, "router", "bind", "127.0.0.1:*", &[]);
    let address = theirs.address;
    let mut caller = Caller::new(address, LinkConfig::dealer("d"));
    caller.ready().send(&[Bytes::from_static(b"before")]);
    assert_eq!(theirs.receive(), ["d", "before"]);
    theirs.kill();
    caller.lose();
    let mut theirs = Libzmq::start(&python, "router", "bind", &address.to_string(), &[]);
    caller.ready().send(&[Bytes::from_static(b"after")]);
    assert_eq!(theirs.receive(), ["d", "after"]);
    assert!(caller.attempts >= 2);
}

#[test]
fn its_router_takes_our_dealer_back_that_was_killed() {
    let Some(python) = python() else { return };
    let mut theirs = Libzmq::start(&python, "router", "bind", "127.0.0.1:*", &["ROUTER_HANDOVER=1"]);
    for round in [Bytes::from_static(b"1"), Bytes::from_static(b"2")] {
        let mut caller = Caller::new(theirs.address, LinkConfig::dealer("d"));
        caller.ready().send(std::slice::from_ref(&round));
        assert_eq!(theirs.receive(), [Bytes::from_static(b"d"), round]);
    }
}

#[test]
fn its_dealer_that_was_killed_leaves_whole_messages_and_another_process_goes_on() {
    let Some(python) = python() else { return };
    let listener = listen();
    let address = listener.local_addr().expect("it is bound").to_string();
    let config = || {
        let mut config = LinkConfig::router("us");
        config.limits.received_messages_max = 2;
        config
    };
    let mut theirs = Libzmq::start(&python, "dealer", "connect", &address, &["IDENTITY=d", "SNDHWM=0"]);
    let mut ours = Driven::new(accept(&listener), config());
    ours.ready();
    let message = |number: u8| [Bytes::from(vec![number]), Bytes::from(vec![number; 1_000_000])];
    for number in 0..100 {
        theirs.send(&message(number));
    }
    let took = 3;
    for number in 0..took {
        assert!(ours.receive() == message(number), "{number}");
    }
    // In the middle of the others: of what it had sent until then, whole messages are received, and then no more.
    theirs.kill();
    let mut expected = took;
    ours.until("the end of the link", |ours| {
        while let Some(received) = ours.link.poll_message(sockets::now()) {
            assert!(received == message(expected), "{expected}");
            expected += 1;
        }
        ours.hung_up.then_some(())
    });
    assert!((took..100).contains(&expected), "{expected} messages came");

    let mut theirs = Libzmq::start(&python, "dealer", "connect", &address, &["IDENTITY=d"]);
    let mut ours = Driven::new(accept(&listener), config());
    assert_eq!(ours.ready().identity, "d");
    exchange_with_dealer(&mut ours, &mut theirs);
}

#[test]
fn its_dealer_comes_back_to_our_router_that_was_killed() {
    let Some(python) = python() else { return };
    let listener = listen();
    let address = listener.local_addr().expect("it is bound");
    let mut theirs = Libzmq::start(&python, "dealer", "connect", &address.to_string(), &["RECONNECT_IVL=20"]);
    let mut first = Driven::new(accept(&listener), LinkConfig::router("us"));
    first.ready();
    drop((first, listener));
    let listener = sockets::until("the port to be free", || std::net::TcpListener::bind(address).ok());
    let mut second = Driven::new(accept(&listener), LinkConfig::router("us"));
    second.ready();
    theirs.send(&[Bytes::from_static(b"still here")]);
    assert_eq!(second.receive(), ["still here"]);
}

#[test]
fn a_slow_reader_makes_it_wait_and_loses_nothing() {
    let Some(python) = python() else { return };
    let mut config = LinkConfig::router("us");
    config.limits.received_messages_max = 2;
    let (mut ours, mut theirs) = meet(&python, config, &["SNDHWM=0"]);
    for number in 0..50u8 {
        theirs.send(&[Bytes::from(vec![number; 100_000])]);
    }
    ours.until("a full link", |ours| (!ours.link.wants_input()).then_some(()));
    for number in 0..50u8 {
        let message = ours.receive();
        assert!(message[0].len() == 100_000 && message[0][0] == number, "{number}");
    }
}
