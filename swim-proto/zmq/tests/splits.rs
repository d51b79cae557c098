//! Properties over any bytes in any pieces.

mod wire;

use allocation_counter::measure;
use bytes::Bytes;
use proptest::prelude::*;
use swim_proto::Instant;
use swim_zmq::{Limits, Link, LinkError};
use wire::{COMMAND, LONG, MORE, command, frame, header, message, opening, ping, router_with, write_all};

/// Things that a peer might write after its opening, and things that it should not.
fn utterance() -> impl Strategy<Value = Vec<u8>> {
    let body = || prop_oneof![8 => 0..300usize, 1 => 4000..4200usize, 1 => Just(20_000usize)];
    prop_oneof![
        8 => prop::collection::vec(body(), 1..6).prop_map(|lens| {
            let parts: Vec<Vec<u8>> = lens.iter().map(|&len| (0..len).map(|at| at as u8).collect()).collect();
            message(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
        }),
        2 => (any::<u16>(), prop::collection::vec(any::<u8>(), 0..16)).prop_map(|(ttl, context)| ping(ttl, &context)),
        1 => Just(command("PONG", b"")),
        1 => Just(command("CANCEL", b"topic")),
        1 => Just(frame(MORE, b"a part of what follows")),
        1 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (0..8u8, any::<u64>()).prop_map(|(flags, length)| header(flags | LONG, length)),
        1 => (prop::collection::vec(any::<u8>(), 0..300)).prop_map(|body| frame(COMMAND, &body)),
    ]
}

fn limits() -> Limits {
    Limits { part_bytes_max: 25_000, parts_max: 8, message_bytes_max: 50_000, ..Limits::default() }
}

/// Messages, end and answers of a link that is given `bytes` in these pieces, and read as it goes.
fn outcome(bytes: &[u8], pieces: &[usize], tight: bool) -> (Vec<Vec<Bytes>>, Option<LinkError>, Vec<u8>) {
    let mut link: Link = router_with(|config| {
        config.limits = limits();
        if tight {
            config.limits.received_messages_max = 1;
        }
    });
    let (mut messages, mut written) = (Vec::new(), Vec::new());
    let mut at = 0;
    let mut pieces = pieces.iter().cycle();
    while at < bytes.len() {
        let end = bytes.len().min(at + pieces.next().expect("it goes round"));
        link.handle_input(Instant::ZERO, &bytes[at..end]);
        at = end;
        while !link.wants_input() && link.closed().is_none() {
            written.extend(write_all(&mut link, Instant::ZERO));
            messages.extend(link.poll_message(Instant::ZERO));
        }
    }
    written.extend(write_all(&mut link, Instant::ZERO));
    messages.extend(std::iter::from_fn(|| link.poll_message(Instant::ZERO)));
    written.extend(write_all(&mut link, Instant::ZERO));
    (messages, link.closed().cloned(), written)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_split_of_the_bytes_gives_the_same(
        said in prop::collection::vec(utterance(), 0..12),
        pieces in prop::collection::vec(prop_oneof![1..4usize, 1..100usize, 1..40_000usize], 1..6),
        tight in any::<bool>(),
    ) {
        let bytes = [opening(), said.concat()].concat();
        let whole = outcome(&bytes, &[usize::MAX / 2], false);
        let split = outcome(&bytes, &pieces, tight);
        prop_assert_eq!(&split.0, &whole.0);
        prop_assert_eq!(&split.1, &whole.1);
        prop_assert_eq!(&split.2, &whole.2);
    }

    #[test]
    fn any_bytes_leave_the_link_within_its_limits(
        opened in any::<bool>(),
        bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(2), Just(3), Just(4), any::<u8>()], 0..4000),
        piece in 1..2000usize,
    ) {
        let mut all = if opened { opening() } else { Vec::new() };
        all.extend(&bytes);
        let memory = measure(|| drop(outcome(&all, &[piece], false)));
        // The codec's block of 64 KiB for headers; what arrived, a few times; a slot for each of the messages.
        prop_assert!(memory.bytes_max < 160 * 1024 + 100 * all.len() as u64, "{:?}", memory);
    }

    #[test]
    fn a_bent_handshake_never_panics(at in 0..110usize, byte in any::<u8>(), cut in 0..110usize) {
        let mut bytes = opening();
        let len = bytes.len();
        bytes[at % len] = byte;
        bytes.truncate(cut.max(at % len + 1));
        bytes.extend(message(&[b"x"]));
        outcome(&bytes, &[7], false);
    }
}
