//! What every foreign ZeroMQ must be able to do with our links, either way round.
#![allow(dead_code, unreachable_pub, missing_docs)] // each test file uses some of it

use bytes::Bytes;

use crate::sockets::Driven;

/// A socket of another implementation, running by itself.
pub trait Foreign {
    /// Sends a message; a ROUTER's begins with the identity of whom it is for.
    fn send(&mut self, parts: &[Bytes]);
    /// The next message that it received; a ROUTER's begins with the identity of whom it is from.
    fn receive(&mut self) -> Vec<Bytes>;
}

/// Messages with everything in them that a message may have.
pub fn messages() -> Vec<Vec<Bytes>> {
    let bytes = |len: usize| Bytes::from((0..len).map(|at| (at * 31 % 253) as u8).collect::<Vec<u8>>());
    vec![
        vec![bytes(3)],
        vec![Bytes::new()],
        vec![Bytes::new(), bytes(255), Bytes::new(), bytes(256), Bytes::new()],
        (0..40).map(|part| bytes(part * 13)).collect(),
        vec![bytes(4 << 20)],
        vec![bytes(1), bytes(4 << 20), Bytes::new(), bytes(70_000)],
    ]
}

#[track_caller]
fn same(what: &str, seen: &[Bytes], sent: &[Bytes]) {
    // Megabytes of difference would be of use to nobody.
    let lens = |parts: &[Bytes]| parts.iter().map(Bytes::len).collect::<Vec<_>>();
    assert!(seen == sent, "{what}: parts of {:?} instead of {:?}", lens(seen), lens(sent));
}

/// Every message to our end and back, where the foreign one is a DEALER.
pub fn exchange_with_dealer(ours: &mut Driven, dealer: &mut impl Foreign) {
    for message in messages() {
        dealer.send(&message);
        same("from their DEALER", &ours.receive(), &message);
        ours.send(&message);
        same("to their DEALER", &dealer.receive(), &message);
    }
}

/// Every message from our end and back, where the foreign one is a ROUTER who knows us by this identity.
pub fn exchange_with_router(ours: &mut Driven, router: &mut impl Foreign, identity: &'static str) {
    for message in messages() {
        ours.send(&message);
        let routed = [&[Bytes::from_static(identity.as_bytes())], &message[..]].concat();
        same("to their ROUTER", &router.receive(), &routed);
        router.send(&routed);
        same("from their ROUTER", &ours.receive(), &message);
    }
}
