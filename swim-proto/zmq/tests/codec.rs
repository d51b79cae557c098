//! What the codec does by itself, where that is not what a link does: why there is a gate before it.
//!
//! Each test shows a way in which a peer can make `omq-proto` 0.37.0 keep more than it should, and that the link does
//! not. When the codec's version is raised and one of these fails, the guard named in it can be looked at again.

mod wire;

use allocation_counter::measure;
use bytes::{Bytes, BytesMut};
use omq_proto::frame_buffer::FrameBuffer;
use omq_proto::proto::connection::ConnectionConfig;
use omq_proto::proto::{Connection, Role, SocketType};
use omq_proto::{Error, Message};
use swim_proto::Instant;
use swim_zmq::LinkError;
use wire::{COMMAND, LONG, MORE, command, frame, greeting, header, open_router_with, opening, router};

/// The codec as a ROUTER that takes messages of up to 16 MiB.
fn codec() -> Connection {
    Connection::new(ConnectionConfig::new(Role::Server, SocketType::Router).max_message_size(16 << 20))
}

fn open_codec() -> Connection {
    let mut codec = codec();
    codec.handle_input(opening().into()).expect("a good handshake");
    assert!(codec.is_ready());
    codec
}

/// What it costs to be given these bytes one by one.
fn byte_by_byte(bytes: &[u8], mut give: impl FnMut(&[u8])) -> u64 {
    measure(|| bytes.chunks(1).for_each(&mut give)).bytes_max
}

/// Guard: `Link::step` gathers a frame in one buffer before the codec sees it.
#[test]
fn the_codec_keeps_every_piece_of_an_unfinished_frame_by_itself() {
    let unfinished = [header(LONG, 1 << 20), vec![0; 100_000]].concat();
    let mut codec = open_codec();
    let kept = byte_by_byte(&unfinished, |byte| codec.handle_input(Bytes::copy_from_slice(byte)).expect("so far good"));
    assert!(kept > 25 * 100_000, "{kept}");
    let mut link = open_router_with(|_| {});
    let kept = byte_by_byte(&unfinished, |byte| link.handle_input(Instant::ZERO, byte));
    assert!(kept < 4 * 100_000, "{kept}");
}

/// Guard: `HANDSHAKE_BYTES_MAX` in the gate.
#[test]
fn the_codec_takes_a_quarter_of_a_megabyte_from_whoever_can_connect() {
    let declared = 256 * 1024;
    let begun = [greeting(), header(LONG | COMMAND, declared), vec![0; 200_000]].concat();
    assert!(codec().handle_input(begun.clone().into()).is_ok());
    let mut link = router();
    link.handle_input(Instant::ZERO, &begun);
    assert_eq!(link.closed(), Some(&LinkError::HandshakeTooLong { declared, max: swim_zmq::HANDSHAKE_BYTES_MAX }));
}

/// Guard: `COMMAND_BYTES_MAX` in the gate.
#[test]
fn the_codec_takes_commands_as_long_as_messages() {
    let whole = frame(COMMAND, &[&b"\x04JUNK"[..], &vec![0; 10 << 20]].concat());
    assert!(open_codec().handle_input(whole.clone().into()).is_ok());
    let mut link = open_router_with(|_| {});
    link.handle_input(Instant::ZERO, &whole[..9]);
    assert!(matches!(link.closed(), Some(LinkError::CommandTooLong { .. })), "{:?}", link.closed());
}

/// Guard: `Limits::parts_max` in the gate.
#[test]
fn the_codec_limits_parts_only_by_what_they_weigh() {
    let parts = frame(MORE, b"").repeat(200_000);
    assert!(open_codec().handle_input(parts.clone().into()).is_ok());
    let mut link = open_router_with(|_| {});
    link.handle_input(Instant::ZERO, &parts);
    assert_eq!(link.closed(), Some(&LinkError::TooManyParts { max: 64 }));
}

/// Guard: `own` in `link/inbound.rs` copies short parts. `a_short_part_that_is_kept_does_not_keep_what_came_with_it` in
/// `hostile.rs` shows it.
#[test]
fn the_codec_lets_a_short_part_keep_what_was_read_with_it() {
    let bytes = [frame(0, &[1; 100]), command("WHATEVER", &[0; 1000]).repeat(63)].concat();
    let mut codec = open_codec();
    let mut kept = Vec::new();
    let memory = measure(|| {
        for _ in 0..200 {
            codec.handle_input(Bytes::copy_from_slice(&bytes)).expect("all good");
            while codec.poll_event().is_some() {}
            kept.extend(codec.poll_message());
        }
    });
    assert_eq!(kept.len(), 200);
    assert!(memory.bytes_current > 200 * 60_000, "{memory:?}");
}

/// Guard: `Outbox`, a queue of this crate's own.
#[test]
fn the_codecs_output_queue_grows_while_it_never_runs_empty() {
    let mut queue = FrameBuffer::new();
    let message = Message::multipart([Bytes::from(vec![0; 8 * 1024])]);
    queue.frame(&message);
    for _ in 0..100_000 {
        queue.frame(&message);
        queue.advance(message.byte_len() + 9);
    }
    assert_eq!(queue.total_bytes(), message.byte_len() + 9);
    assert!(queue.arena_bytes().len() >= 900_000, "{} bytes of headers", queue.arena_bytes().len());
}

/// Where it is as strict as a link, it is the second line behind the gate.
#[test]
fn the_codec_too_refuses_lengths_identities_and_a_second_ready() {
    for power in 33..64 {
        let refused = open_codec().handle_input(header(LONG, 1 << power).into());
        assert!(matches!(refused, Err(Error::MessageTooLarge { .. } | Error::Protocol(_))), "2^{power}");
    }
    for identity in [&[b'x'; 256][..], b"\0"] {
        let opening = [greeting(), wire::ready("DEALER", identity)].concat();
        assert!(codec().handle_input(opening.into()).is_err());
    }
    assert!(open_codec().handle_input(wire::ready("DEALER", b"").into()).is_err());
    let mut answers = BytesMut::new();
    let mut codec = open_codec();
    codec.handle_input(wire::ping(0, b"context").into()).expect("all good");
    answers.extend_from_slice(&codec.poll_transmit());
    assert!(answers.ends_with(&command("PONG", b"context")));
}
