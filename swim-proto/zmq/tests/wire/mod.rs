//! Bytes as a peer would write them, and links without a network.
#![allow(dead_code, unreachable_pub, missing_docs)] // each test file uses some of it

use bytes::Bytes;
use swim_proto::Instant;
use swim_zmq::{Event, Link, LinkConfig, LinkError, Peer};

pub const MORE: u8 = 1;
pub const LONG: u8 = 2;
pub const COMMAND: u8 = 4;

pub fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

pub fn greeting() -> Vec<u8> {
    let mut bytes = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1];
    bytes.extend(b"NULL");
    bytes.resize(64, 0);
    bytes
}

/// A header that declares what it likes.
pub fn header(flags: u8, length: u64) -> Vec<u8> {
    if flags & LONG != 0 {
        [&[flags][..], &length.to_be_bytes()].concat()
    } else {
        vec![flags, u8::try_from(length).expect("a short header has one byte")]
    }
}

pub fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    let long = if body.len() > 255 { LONG } else { 0 };
    [header(flags | long, body.len() as u64), body.to_vec()].concat()
}

pub fn command(name: &str, body: &[u8]) -> Vec<u8> {
    frame(COMMAND, &[&[name.len() as u8], name.as_bytes(), body].concat())
}

pub fn property(name: &str, value: &[u8]) -> Vec<u8> {
    [&[name.len() as u8], name.as_bytes(), &(value.len() as u32).to_be_bytes(), value].concat()
}

pub fn ready(socket: &str, identity: &[u8]) -> Vec<u8> {
    command("READY", &[property("Socket-Type", socket.as_bytes()), property("Identity", identity)].concat())
}

/// Greeting and READY of a DEALER.
pub fn opening() -> Vec<u8> {
    [greeting(), ready("DEALER", b"peer")].concat()
}

pub fn ping(ttl: u16, context: &[u8]) -> Vec<u8> {
    command("PING", &[&ttl.to_be_bytes(), context].concat())
}

pub fn message(parts: &[&[u8]]) -> Vec<u8> {
    let last = parts.len() - 1;
    parts.iter().enumerate().flat_map(|(at, part)| frame(if at < last { MORE } else { 0 }, part)).collect()
}

pub fn router() -> Link {
    router_with(|_| {})
}

pub fn router_with(change: impl FnOnce(&mut LinkConfig)) -> Link {
    let mut config = LinkConfig::router("us");
    change(&mut config);
    Link::new(Instant::ZERO, config).expect("the configuration can be")
}

/// A ROUTER's end on which a peer's handshake is done.
pub fn open_router_with(change: impl FnOnce(&mut LinkConfig)) -> Link {
    let mut link = router_with(change);
    link.handle_input(Instant::ZERO, &opening());
    write_all(&mut link, Instant::ZERO);
    assert!(matches!(link.poll_event(), Some(Event::Ready(_))));
    link
}

/// What waits to be written, written.
pub fn write_all(link: &mut Link, now: Instant) -> Vec<u8> {
    let bytes = link.transmit_bytes();
    link.transmitted(now, bytes.len());
    bytes
}

/// Why it was closed, with what had come before.
pub fn fate(link: &mut Link) -> (Vec<Vec<Bytes>>, Option<LinkError>) {
    let messages = std::iter::from_fn(|| link.poll_message(Instant::ZERO)).collect();
    let closed = std::iter::from_fn(|| link.poll_event()).find_map(|event| match event {
        Event::Closed(error) => Some(error),
        Event::Ready(_) | Event::Writable => None,
    });
    assert_eq!(closed.as_ref(), link.closed());
    (messages, closed)
}

pub struct Pair {
    pub dealer: Link,
    pub router: Link,
    pub now: Instant,
}

impl Pair {
    /// Both ends, the handshake done.
    pub fn new(change: impl Fn(&mut LinkConfig)) -> Pair {
        let mut configs = [LinkConfig::dealer("d"), LinkConfig::router("r")];
        configs.iter_mut().for_each(change);
        let now = Instant::ZERO;
        let [dealer, router] = configs.map(|config| Link::new(now, config).expect("the configuration can be"));
        let mut pair = Pair { dealer, router, now };
        pair.carry();
        let ready = |identity| {
            Some(Event::Ready(Peer { socket: identity_socket(identity), identity: identity.into(), minor: 1 }))
        };
        assert_eq!(pair.dealer.poll_event(), ready("r"));
        assert_eq!(pair.router.poll_event(), ready("d"));
        pair
    }

    /// Everything either way, until nothing moves.
    pub fn carry(&mut self) {
        loop {
            let (there, back) = (self.dealer.pending(), self.router.pending());
            let (hears, heard) = (self.router.wants_input(), self.dealer.wants_input());
            if !(there > 0 && hears || back > 0 && heard) {
                return;
            }
            if hears {
                let bytes = write_all(&mut self.dealer, self.now);
                self.router.handle_input(self.now, &bytes);
            }
            if heard {
                let bytes = write_all(&mut self.router, self.now);
                self.dealer.handle_input(self.now, &bytes);
            }
        }
    }
}

fn identity_socket(identity: &str) -> swim_zmq::Socket {
    if identity == "r" { swim_zmq::Socket::Router } else { swim_zmq::Socket::Dealer }
}
