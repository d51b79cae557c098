//! Peers that mean harm, or do it: the link ends with the right error, and memory stays where it was.

mod wire;

use allocation_counter::measure;
use bytes::Bytes;
use swim_proto::Instant;
use swim_zmq::{COMMAND_BYTES_MAX, HANDSHAKE_BYTES_MAX, IdentityError, Limits, Link, LinkError, Role};
use wire::{COMMAND, LONG, MORE, at, command, fate, frame, greeting, header, open_router_with, ready, router};

/// Why a link of this state ends on these bytes, fed in pieces of this length, and the most memory it took for them.
fn ends(mut link: Link, bytes: &[u8], piece: usize) -> (Option<LinkError>, u64) {
    let mut closed = None;
    let memory = measure(|| {
        for piece in bytes.chunks(piece) {
            link.handle_input(Instant::ZERO, piece);
        }
        closed = fate(&mut link).1;
    });
    (closed, memory.bytes_max)
}

#[track_caller]
fn ends_with(link: impl Fn() -> Link, bytes: &[u8], error: LinkError) {
    for piece in [1, 3, 64, 1 << 20] {
        let (closed, memory) = ends(link(), bytes, piece);
        assert_eq!(closed.as_ref(), Some(&error), "in pieces of {piece}");
        // The codec's block for headers is 64 KiB.
        assert!(memory < 160 * 1024, "{memory} bytes, in pieces of {piece}");
    }
}

fn open() -> Link {
    open_router_with(|_| {})
}

#[test]
fn declared_lengths_are_refused_before_anything_is_kept_for_them() {
    let max = Limits::default().part_bytes_max;
    for power in 33..64 {
        let declared = 1u64 << power;
        ends_with(open, &header(LONG, declared), LinkError::PartTooLong { declared, max });
        ends_with(open, &header(LONG | MORE, declared), LinkError::PartTooLong { declared, max });
        let command = LinkError::CommandTooLong { declared, max: COMMAND_BYTES_MAX };
        ends_with(open, &header(LONG | COMMAND, declared), command);
        let handshake = LinkError::HandshakeTooLong { declared, max: HANDSHAKE_BYTES_MAX };
        ends_with(router, &[greeting(), header(LONG | COMMAND, declared)].concat(), handshake);
        ends_with(router, &[greeting(), header(LONG, declared)].concat(), LinkError::DataBeforeReady);
    }
    let declared = u64::MAX;
    ends_with(open, &header(LONG, declared), LinkError::PartTooLong { declared, max });
}

#[test]
fn a_declared_length_that_is_allowed_costs_what_has_arrived() {
    let mut link = open();
    let memory = measure(|| link.handle_input(at(0), &header(LONG, 16 << 20)));
    assert!(memory.bytes_max < 1024, "{memory:?}");
    let piece = [0; 1000];
    for round in 1..=100u64 {
        let memory = measure(|| link.handle_input(at(0), &piece));
        // A buffer that grows is doubled, and for a moment there are both.
        assert!(memory.bytes_max <= 3 * round * 1000 + 4096, "{round}: {memory:?}");
    }
}

#[test]
fn a_part_sent_byte_by_byte_costs_a_few_times_its_length() {
    let body = vec![7; 200_000];
    let bytes = frame(0, &body);
    let mut link = open();
    let memory = measure(|| bytes.chunks(1).for_each(|byte| link.handle_input(at(0), byte)));
    assert!(memory.bytes_max < 4 * 200_000, "{memory:?}");
    assert_eq!(link.poll_message(at(0)).unwrap(), [body]);
}

#[test]
fn endless_multiparts_end() {
    let parts = frame(MORE, &[1; 100]).repeat(1000);
    ends_with(open, &parts, LinkError::TooManyParts { max: 64 });
    let empty = frame(MORE, b"").repeat(100_000);
    ends_with(open, &empty, LinkError::TooManyParts { max: 64 });
    // Commands between the parts do not make it a new message.
    let mixed = [frame(MORE, b""), command("SUBSCRIBE", b"topic")].concat().repeat(1000);
    ends_with(open, &mixed, LinkError::TooManyParts { max: 64 });
}

#[test]
fn parts_that_are_too_long_together_end_by_what_they_declare() {
    let limits = Limits { part_bytes_max: 1000, message_bytes_max: 2500, ..Limits::default() };
    let open = || open_router_with(|config| config.limits = limits);
    let bytes = [frame(MORE, &[0; 1000]).repeat(2), header(LONG, 501)].concat();
    ends_with(open, &bytes, LinkError::MessageTooLong { declared: 2501, max: 2500 });
    let bytes = [frame(MORE, &[0; 1000]).repeat(2), header(LONG, 500)].concat();
    assert_eq!(ends(open(), &bytes, 77).0, None);
}

#[test]
fn wrong_greetings_end_at_their_first_wrong_byte() {
    ends_with(router, b"GET / HTTP/1.1\r\n", LinkError::NotZmtp { offset: 0, byte: b'G' });
    ends_with(router, b"\x16\x03\x01", LinkError::NotZmtp { offset: 0, byte: 0x16 });
    ends_with(router, &[0xff; 10], LinkError::NotZmtp { offset: 9, byte: 0xff });
    let old = [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 1];
    ends_with(router, &old, LinkError::Version { major: 1 });
    let mut curve = greeting();
    curve[12..17].copy_from_slice(b"CURVE");
    let theirs = "CURVE".to_owned();
    ends_with(router, &curve[..32], LinkError::Mechanism { ours: "NULL", theirs });
    let mut server = greeting();
    server[32] = 1;
    ends_with(router, &server, LinkError::AsServer(1));
}

#[test]
fn a_second_ready_ends_the_link() {
    ends_with(open, &ready("DEALER", b"peer"), LinkError::SecondReady);
    let both = [greeting(), ready("DEALER", b"a"), ready("DEALER", b"b")].concat();
    ends_with(router, &both, LinkError::SecondReady);
}

#[test]
fn identities_that_no_peer_may_have_end_the_link() {
    let with = |identity: &[u8]| [greeting(), ready("DEALER", identity)].concat();
    ends_with(router, &with(&[b'x'; 256]), IdentityError::TooLong(256).into());
    ends_with(router, &with(&[b'x'; 4000]), IdentityError::TooLong(4000).into());
    ends_with(router, &with(b"\0"), IdentityError::LeadingZero.into());
    ends_with(router, &with(b"\0peer"), IdentityError::LeadingZero.into());
    assert_eq!(ends(router(), &with(&[b'x'; 255]), 100).0, None);
    assert_eq!(ends(router(), &with(b""), 100).0, None);
}

#[test]
fn handshakes_that_are_none_end() {
    let after = |bytes: Vec<u8>| [greeting(), bytes].concat();
    ends_with(router, &after(command("HELLO", b"")), LinkError::Ready("another command came first"));
    ends_with(router, &after(command("PING", &[0; 2])), LinkError::Ready("another command came first"));
    ends_with(router, &after(frame(COMMAND, b"")), LinkError::Codec("a command is cut short in its name".into()));
    ends_with(router, &after(command("READY", b"\x01")), LinkError::Ready("a property is cut short"));
    let theirs = "PUB".to_owned();
    ends_with(router, &after(ready("PUB", b"")), LinkError::Socket { ours: Role::Router, theirs });
    let reason = "no room".to_owned();
    ends_with(router, &after(command("ERROR", b"\x07no room")), LinkError::Refused { reason: reason.clone() });
    ends_with(open, &command("ERROR", b"\x07no room"), LinkError::Refused { reason });
    // Many properties, within the limit of bytes.
    let many = [wire::property("Socket-Type", b"DEALER"), wire::property("X", b"").repeat(1000)].concat();
    let (closed, memory) = ends(router(), &after(command("READY", &many)), 1000);
    assert!(matches!(closed, Some(LinkError::Codec(_))), "{closed:?}");
    assert!(memory < 160 * 1024, "{memory}");
}

#[test]
fn malformed_commands_end_the_link() {
    for body in [&b"\x05PIN"[..], b"\x00", b"\x04PING", b"\x04PING\x00", b"\x01\xff"] {
        let (closed, _) = ends(open(), &frame(COMMAND, body), 5);
        assert!(matches!(closed, Some(LinkError::Codec(_))), "{body:?}: {closed:?}");
    }
}

#[test]
fn a_flood_of_what_means_nothing_is_skipped_in_little_memory() {
    let mut link = open();
    let flood = [command("SUBSCRIBE", b"topic"), command("WHATEVER", &[0; 200])].concat().repeat(500);
    let memory = measure(|| (0..100).for_each(|_| link.handle_input(at(0), &flood)));
    assert_eq!(link.stats().commands_skipped, 100_000);
    assert_eq!(link.closed(), None);
    assert!(memory.bytes_max < 64 * 1024, "{memory:?}");
}

#[test]
fn messages_that_nobody_takes_wait_within_the_limits() {
    for message in
        [frame(0, b""), frame(0, &[1; 100]), frame(0, &[2; 60_000]), [frame(MORE, b""), frame(0, b"")].concat()]
    {
        let mut link = open();
        let memory = measure(|| {
            while link.wants_input() {
                link.handle_input(at(0), &message.repeat(64 * 1024 / message.len()));
            }
        });
        let limits = Limits::default();
        let allowed = 2 * limits.received_bytes_max + limits.received_messages_max * 256 + 256 * 1024;
        assert!(memory.bytes_max < allowed as u64, "{} bytes a message: {memory:?}", message.len());
    }
}

#[test]
fn a_short_part_that_is_kept_does_not_keep_what_came_with_it() {
    // Each is followed by as much of nothing as fits into what is read at once.
    let nothing = command("WHATEVER", &[0; 1000]).repeat(63);
    let mut link = open();
    let mut kept: Vec<Vec<Bytes>> = Vec::new();
    let memory = measure(|| {
        for _ in 0..200 {
            link.handle_input(at(0), &[frame(MORE, &[1; 100]), frame(0, &[2; 64]), nothing.clone()].concat());
            kept.push(link.poll_message(at(0)).expect("it is whole"));
        }
    });
    assert!(memory.bytes_current < 200 * 1024, "{memory:?}");
    assert_eq!(kept.len(), 200);
}
