//! libzmq as the peer of a node, speaking for a member by what `docs/messaging.md` 11 says and nothing of this project.
//!
//! The member itself is a node without messages, whose links are libzmq's, in a process that is killed and started anew.
//! Without SWIM_PYZMQ these tests say that they did not run, and with SWIM_INTEROP=required they fail.

use std::ffi::OsStr;
use std::net::SocketAddr;

use bytes::Bytes;
use swim_driver::messaging::{Class, Delivery, Ending, FailReason, Received, SendOptions};
use swim_proto::{ClusterHash, NodeId, State};

use crate::libzmq::{Libzmq, python};
use crate::node::{Mix, Node, Wanted, all_alive, holds, loopback};

crate::on_every_mix!(
    a_dealer_of_libzmq_is_welcomed_by_a_node_and_again_after_it_was_killed,
    a_router_of_libzmq_is_sent_to_by_a_node_and_again_after_it_was_killed,
    a_dealer_of_libzmq_that_nobody_knows_is_refused,
);

/// Kinds of packets.
const HELLO: u8 = 1;
const WELCOME: u8 = 2;
const REFUSE: u8 = 3;
const DATA: u8 = 4;
const ACK: u8 = 6;
const PROBE: u8 = 7;

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// Takes a packet's first part apart, field by field.
struct Fields(Bytes);

impl Fields {
    fn of(kind: u8, packet: &Bytes) -> Fields {
        assert_eq!(packet.first(), Some(&kind), "{packet:?}");
        Fields(packet.slice(1..))
    }

    fn u8(&mut self) -> u8 {
        self.0.split_to(1)[0]
    }

    fn le32(&mut self) -> u32 {
        u32::from_le_bytes(self.0.split_to(4)[..].try_into().unwrap())
    }

    fn le64(&mut self) -> u64 {
        u64::from_le_bytes(self.0.split_to(8)[..].try_into().unwrap())
    }

    fn id(&mut self) -> NodeId {
        NodeId::from_u64(self.le64())
    }

    fn varint(&mut self) -> u64 {
        let len = self.0.iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
        self.0.split_to(len).iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
    }

    fn end(self) {
        assert_eq!(self.0, "", "nothing may follow");
    }
}

fn cluster() -> u32 {
    let ClusterHash(cluster) = ClusterHash::of("swim");
    cluster
}

fn hello(from: (NodeId, u64), to: NodeId, session: u64) -> Vec<u8> {
    let (source, life) = from;
    let ids = [source.as_u64().to_le_bytes(), to.as_u64().to_le_bytes()].concat();
    [&[HELLO][..], b"swim", &cluster().to_le_bytes(), &[1, 1], &ids, &varint(life), &session.to_le_bytes()].concat()
}

/// A message's first part, of class Normal, in no stream.
fn data(number: u64) -> Vec<u8> {
    [&[DATA][..], &varint(number), &[0, 1]].concat()
}

/// Up to which numbers an Ack says that messages are delivered, and processed, and whether it answers Hello.
fn acknowledged(packet: &Bytes) -> (u64, u64, bool) {
    let mut fields = Fields::of(ACK, packet);
    let (delivered, behind) = (fields.varint(), fields.varint());
    let (_messages, _bytes, echo) = (fields.varint(), fields.varint(), fields.varint());
    assert_eq!((fields.u8(), fields.u8()), (0, 0), "no ranges");
    fields.end();
    (delivered, delivered - behind, echo == 1)
}

/// A node, and the member for which libzmq speaks, which may have an endpoint on its host.
fn node_and_foreigner(mix: Mix, index: usize, endpoint: Option<SocketAddr>) -> (Node, Node) {
    let node = Wanted::named("node").start(mix, index).unwrap();
    let bind = endpoint.map_or_else(loopback, |endpoint| (endpoint.ip(), 0).into());
    let foreigner = Wanted { messaging: None, endpoint, bind, ..Wanted::named("foreigner") };
    let foreigner = foreigner.with_seeds(&[&node]).start(mix, index + 1).unwrap();
    for each in [&node, &foreigner] {
        all_alive(each, 2);
    }
    (node, foreigner)
}

/// A DEALER that speaks for a member.
struct Dealer(Libzmq);

impl Dealer {
    /// Connects from the member's host.
    fn connects(python: &OsStr, from: &Node, to: &Node) -> Dealer {
        let endpoint = to.local().endpoint.unwrap();
        let at = format!("{}:0;{endpoint}", from.address().ip());
        Dealer(Libzmq::start(python, "dealer", "connect", &at, &["IDENTITY=foreigner"]))
    }

    /// Connects, and says Hello.
    fn greets(python: &OsStr, from: &Node, to: &Node, session: u64) -> Dealer {
        let mut dealer = Dealer::connects(python, from, to);
        let life = from.local().incarnation.life;
        dealer.say(&[hello((from.id(), life), to.id(), session)]);
        dealer
    }

    fn say(&mut self, parts: &[Vec<u8>]) {
        let parts: Vec<Bytes> = parts.iter().map(|part| Bytes::copy_from_slice(part)).collect();
        self.0.send(&parts);
    }

    fn hear(&mut self) -> Bytes {
        let [packet] = <[Bytes; 1]>::try_from(self.0.receive()).expect("packets to an opener have one part");
        packet
    }

    /// Reads the Welcome of this node, and the state of things after it; says which inbox it is, and up to where that has
    /// everything.
    fn welcomed(&mut self, by: &Node) -> ((u64, u64), u64) {
        let mut fields = Fields::of(WELCOME, &self.hear());
        assert_eq!((fields.u8(), fields.id()), (1, by.id()));
        assert_eq!(fields.varint(), by.local().incarnation.life);
        let inbox = (fields.le64(), fields.varint());
        assert_eq!(fields.varint(), 256 * 1024, "the longest message");
        assert!(fields.varint() > 0 && fields.varint() > 0, "room");
        fields.end();
        loop {
            if let (delivered, _, true) = acknowledged(&self.hear()) {
                return (inbox, delivered);
            }
        }
    }

    fn sends(&mut self, number: u64, text: &str) {
        self.say(&[data(number), text.into()]);
    }

    /// Until this number is processed.
    fn processed(&mut self, number: u64) {
        while acknowledged(&self.hear()).1 < number {}
    }
}

/// What a node received.
fn told(message: &Received) -> (NodeId, &str, Class) {
    (message.from, std::str::from_utf8(&message.payload).unwrap(), message.class)
}

fn a_dealer_of_libzmq_is_welcomed_by_a_node_and_again_after_it_was_killed(mix: Mix) {
    let Some(python) = python() else { return };
    for index in 0..2 {
        let (node, foreigner) = node_and_foreigner(mix, index, None);
        let mut incoming = node.incoming();
        let told_by = |text| (foreigner.id(), text, Class::Normal);

        let mut dealer = Dealer::greets(&python, &foreigner, &node, 7);
        let (inbox, delivered) = dealer.welcomed(&node);
        assert_eq!(delivered, 0);
        dealer.sends(1, "one");
        assert_eq!(told(&incoming.next()), told_by("one"));
        dealer.processed(1);
        dealer.0.kill();

        // A process that goes on in the same session, and does not know what arrived, may say it again.
        let mut dealer = Dealer::greets(&python, &foreigner, &node, 7);
        assert_eq!(dealer.welcomed(&node), (inbox, 1));
        dealer.sends(1, "one");
        dealer.sends(2, "two");
        assert_eq!(told(&incoming.next()), told_by("two"));
        dealer.processed(2);
        dealer.0.kill();

        // One that knows nothing of it has a session of its own.
        let mut dealer = Dealer::greets(&python, &foreigner, &node, 8);
        let (another, delivered) = dealer.welcomed(&node);
        assert!(another != inbox && delivered == 0, "{another:?}, {delivered}");
        dealer.sends(1, "anew");
        assert_eq!(told(&incoming.next()), told_by("anew"));
        dealer.processed(1);
        assert_eq!(incoming.try_recv(), None);
        all_alive(&node, 2);
    }
}

fn a_dealer_of_libzmq_that_nobody_knows_is_refused(mix: Mix) {
    let Some(python) = python() else { return };
    let (node, foreigner) = node_and_foreigner(mix, 0, None);
    let (source, life) = (foreigner.id(), foreigner.local().incarnation.life);
    let stranger = foreigner.id_of("stranger");
    const UNKNOWN: u8 = 1;
    const MISDIRECTED: u8 = 3;
    for (source, target, expected) in [(stranger, node.id(), UNKNOWN), (source, stranger, MISDIRECTED)] {
        let mut dealer = Dealer::connects(&python, &foreigner, &node);
        dealer.say(&[hello((source, life), target, 7)]);
        let mut fields = Fields::of(REFUSE, &dealer.hear());
        let (why, retry_ms) = (fields.u8(), fields.varint());
        fields.end();
        assert_eq!(why, expected);
        assert!(retry_ms <= 3_600_000, "{retry_ms} ms");
    }
    assert_eq!(node.post().0.delivered, 0);
}

/// A ROUTER that speaks for a member, in a messenger's place.
struct Router {
    zmq: Libzmq,
    identity: Bytes,
    /// All up to this number is processed.
    processed: u64,
}

impl Router {
    fn at(python: &OsStr, address: &str) -> Router {
        let zmq = Libzmq::start(python, "router", "bind", address, &[]);
        Router { zmq, identity: Bytes::new(), processed: 0 }
    }

    fn say(&mut self, packet: &[u8]) {
        self.zmq.send(&[self.identity.clone(), Bytes::copy_from_slice(packet)]);
    }

    /// The next packet but for Probes, which are answered.
    fn hear(&mut self) -> Vec<Bytes> {
        loop {
            let mut parts = self.zmq.receive();
            self.identity = parts.remove(0);
            if parts[0].first() != Some(&PROBE) {
                return parts;
            }
            let mut fields = Fields::of(PROBE, &parts[0]);
            let number = fields.varint();
            fields.end();
            self.acknowledges(self.processed, number + 1);
        }
    }

    /// Reads a Hello of this node to that member, and answers it; gives its session.
    fn welcomes(&mut self, node: &Node, me: &Node, session: u64) -> u64 {
        let parts = self.hear();
        assert_eq!(parts.len(), 1);
        let mut fields = Fields::of(HELLO, &parts[0]);
        assert_eq!(fields.0.split_to(4), "swim");
        assert_eq!((fields.le32(), fields.u8(), fields.u8()), (cluster(), 1, 1));
        assert_eq!((fields.id(), fields.id()), (node.id(), me.id()));
        assert_eq!(fields.varint(), node.local().incarnation.life);
        let theirs = fields.le64();
        fields.end();
        let source = me.id().as_u64().to_le_bytes();
        let inbox_and_room = [1, 1000, 100, 100_000].map(varint).concat();
        let life = varint(me.local().incarnation.life);
        self.say(&[&[WELCOME, 1][..], &source, &life, &session.to_le_bytes(), &inbox_and_room].concat());
        self.acknowledges(0, 1);
        theirs
    }

    /// A message's number, whether it may have been seen by an earlier process, and what it says.
    fn takes(&mut self) -> (u64, bool, Bytes) {
        let [first, payload] = <[Bytes; 2]>::try_from(self.hear()).expect("a message has two parts");
        let mut fields = Fields::of(DATA, &first);
        let (number, back, flags) = (fields.varint(), fields.varint(), fields.u8());
        fields.end();
        assert_eq!((back, flags & 0b0111), (0, 1), "of class Normal, in no stream");
        (number, flags & 0b1000 != 0, payload)
    }

    /// Delivered and processed up to this number.
    fn acknowledges(&mut self, number: u64, echo: u64) {
        self.processed = number;
        let room = [number, 0, 100 + number, 1_000_000, echo, 0, 0].map(varint).concat();
        self.say(&[&[ACK][..], &room].concat());
    }
}

fn a_router_of_libzmq_is_sent_to_by_a_node_and_again_after_it_was_killed(mix: Mix) {
    let Some(python) = python() else { return };
    for index in 0..2 {
        let mut router = Router::at(&python, &format!("{}:*", loopback().ip()));
        let endpoint = router.zmq.address;
        let (node, foreigner) = node_and_foreigner(mix, index, Some(endpoint));
        let how = SendOptions::default().until_processed();

        let first = node.send(foreigner.id(), "first", how).unwrap();
        let session = router.welcomes(&node, &foreigner, 7);
        assert_eq!(router.takes(), (1, false, "first".into()));
        router.acknowledges(1, 0);
        let outcome = first.wait();
        assert_eq!((outcome.ending, outcome.delivery), (Ending::Processed, Delivery::Certain));

        // Killed with two messages that it has not acknowledged, of which one may be given twice.
        let once = node.send(foreigner.id(), "once", how).unwrap();
        assert_eq!(router.takes(), (2, false, "once".into()));
        let twice = node.send(foreigner.id(), "twice", how.redeliverable()).unwrap();
        assert_eq!(router.takes(), (3, false, "twice".into()));
        router.zmq.kill();

        let mut router = Router::at(&python, &endpoint.to_string());
        assert_eq!(router.welcomes(&node, &foreigner, 8), session, "the node's is what it was");
        let outcome = once.wait();
        assert_eq!((outcome.ending, outcome.delivery), (Ending::Failed(FailReason::Restarted), Delivery::Possible));
        assert_eq!(router.takes(), (1, true, "twice".into()));
        router.acknowledges(1, 0);
        assert_eq!(twice.wait().ending, Ending::Processed);
        holds(&node, "foreigner", State::Alive);
    }
}
