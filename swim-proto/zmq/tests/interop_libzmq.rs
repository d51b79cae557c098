//! Our links and libzmq, either way round.
//!
//! libzmq comes with pyzmq, in an environment that `pyzmq-venv.sh` makes; SWIM_PYZMQ says where its Python is. Without
//! it these tests say that they did not run: `cargo test` must need nothing but Rust. `.ci/run` sets it.

mod foreign;
mod sockets;

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bytes::Bytes;
use foreign::{Foreign, exchange_with_dealer, exchange_with_router};
use sockets::{Caller, Driven, PATIENCE, accept, listen};
use swim_zmq::{HeartbeatConfig, LinkConfig, LinkError, Peer, Socket};

/// A socket of libzmq in a process of its own, which ends with this.
struct Libzmq {
    child: Child,
    commands: ChildStdin,
    received: Receiver<String>,
    address: SocketAddr,
}

/// The Python that has libzmq; `None`, and it is said so, where nobody asked for these tests.
fn python(test: &str) -> Option<OsString> {
    let python = std::env::var_os("SWIM_PYZMQ");
    if python.is_none() {
        // Not by print, which the test harness would keep to itself.
        let said = format!(
            "interop_libzmq::{test} did not run: SWIM_PYZMQ is not set, see swim-proto/zmq/tests/pyzmq-venv.sh\n"
        );
        let _ = std::io::stderr().write_all(said.as_bytes());
    }
    python
}

impl Libzmq {
    fn start(python: &OsString, kind: &str, way: &str, at: &str, options: &[&str]) -> Libzmq {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/libzmq_peer.py");
        let mut command = Command::new(python);
        command.args([script, kind, way, &format!("tcp://{at}")]).args(options);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("SWIM_PYZMQ is a Python");
        let commands = child.stdin.take().expect("it is piped");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let first = lines.next().expect("it says where it is").expect("it prints text");
        let address = first.strip_prefix("at tcp://").expect("an address").parse().expect("an address");
        let (sender, received) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Libzmq { child, commands, received, address }
    }

    fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    #[cfg(unix)]
    fn signal(&self, signal: &str) {
        let done = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(done.expect("there is kill").success());
    }
}

impl Drop for Libzmq {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Foreign for Libzmq {
    fn send(&mut self, parts: &[Bytes]) {
        let hex = |part: &Bytes| part.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(digit).collect::<String>();
        let line = parts.iter().map(hex).collect::<Vec<_>>().join(",");
        writeln!(self.commands, "send {line}").expect("it reads");
    }

    fn receive(&mut self) -> Vec<Bytes> {
        let line = self.received.recv_timeout(PATIENCE).expect("a message");
        let parts = line.strip_prefix("got ").expect("a message");
        parts.split(',').map(|part| part.as_bytes().chunks(2).map(byte).collect()).collect()
    }
}

fn digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).expect("it is below 16")
}

fn byte(hex: &[u8]) -> u8 {
    let text = std::str::from_utf8(hex).expect("hex is text");
    u8::from_str_radix(text, 16).expect("it is hex")
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
fn meet(python: &OsString, config: LinkConfig, options: &[&str]) -> (Driven, Libzmq) {
    let listener = listen();
    let address = listener.local_addr().expect("it is bound").to_string();
    let theirs = Libzmq::start(python, "dealer", "connect", &address, options);
    let mut ours = Driven::new(accept(&listener), config);
    ours.ready();
    (ours, theirs)
}

#[test]
fn its_dealer_talks_with_our_router() {
    let Some(python) = python("its_dealer_talks_with_our_router") else { return };
    let (mut ours, mut theirs) = meet(&python, LinkConfig::router("us"), &["IDENTITY=their dealer"]);
    assert_eq!(ours.peer, Some(Peer { socket: Socket::Dealer, identity: "their dealer".into(), minor: 1 }));
    exchange_with_dealer(&mut ours, &mut theirs);
}

#[test]
fn its_dealer_need_not_have_an_identity_and_may_have_the_longest() {
    let Some(python) = python("its_dealer_need_not_have_an_identity_and_may_have_the_longest") else { return };
    let (ours, _theirs) = meet(&python, LinkConfig::router("us"), &[]);
    assert_eq!(ours.peer.expect("it is ready").identity, "");
    let longest = "x".repeat(255);
    let (ours, _theirs) = meet(&python, LinkConfig::router("us"), &[&format!("IDENTITY={longest}")]);
    assert_eq!(ours.peer.expect("it is ready").identity, longest);
}

#[test]
fn our_dealer_talks_with_its_router() {
    let Some(python) = python("our_dealer_talks_with_its_router") else { return };
    let mut theirs = Libzmq::start(&python, "router", "bind", "127.0.0.1:*", &[]);
    let mut caller = Caller::new(theirs.address, LinkConfig::dealer("our dealer"));
    let ours = caller.ready();
    let peer = ours.ready();
    assert_eq!((peer.socket, peer.minor), (Socket::Router, 1));
    exchange_with_router(ours, &mut theirs, "our dealer");
}

#[test]
fn it_answers_our_heartbeats_and_its_silence_is_noticed() {
    let Some(python) = python("it_answers_our_heartbeats_and_its_silence_is_noticed") else { return };
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
    let Some(python) = python("we_answer_its_heartbeats_and_hold_it_to_its_promise") else { return };
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

#[test]
fn its_dealer_gives_us_up_when_we_fall_silent_and_comes_back() {
    let Some(python) = python("its_dealer_gives_us_up_when_we_fall_silent_and_comes_back") else { return };
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
    let Some(python) = python("our_dealer_comes_back_to_its_router_that_was_killed") else { return };
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
    let Some(python) = python("its_router_takes_our_dealer_back_that_was_killed") else { return };
    let mut theirs = Libzmq::start(&python, "router", "bind", "127.0.0.1:*", &["ROUTER_HANDOVER=1"]);
    for round in [Bytes::from_static(b"1"), Bytes::from_static(b"2")] {
        let mut caller = Caller::new(theirs.address, LinkConfig::dealer("d"));
        caller.ready().send(std::slice::from_ref(&round));
        assert_eq!(theirs.receive(), [Bytes::from_static(b"d"), round]);
    }
}

#[test]
fn its_dealer_comes_back_to_our_router_that_was_killed() {
    let Some(python) = python("its_dealer_comes_back_to_our_router_that_was_killed") else { return };
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
    let Some(python) = python("a_slow_reader_makes_it_wait_and_loses_nothing") else { return };
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
