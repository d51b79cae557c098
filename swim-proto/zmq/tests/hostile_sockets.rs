//! Peers that mean harm, on real sockets: their links end, and what they cost is little.

mod sockets;
mod wire;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use allocation_counter::measure;
use sockets::{Driven, accept, listen};
use swim_zmq::{Event, Link, LinkConfig, LinkError};
use wire::{COMMAND, LONG, MORE, frame, greeting, header, opening, ready};

/// A peer's socket and our end.
fn meet(config: LinkConfig) -> (TcpStream, Driven) {
    let listener = listen();
    let theirs = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    (theirs, Driven::new(accept(&listener), config))
}

fn after(bytes: Vec<u8>) -> Vec<u8> {
    [opening(), bytes].concat()
}

#[test]
fn whoever_declares_too_much_or_goes_on_for_ever_is_cut_off() {
    let declared = 1u64 << 40;
    let max = swim_zmq::Limits::default().part_bytes_max;
    let cases: Vec<(Vec<u8>, LinkError)> = vec![
        (after(header(LONG, declared)), LinkError::PartTooLong { declared, max }),
        (after(header(LONG | MORE, u64::MAX)), LinkError::PartTooLong { declared: u64::MAX, max }),
        (
            after(header(LONG | COMMAND, declared)),
            LinkError::CommandTooLong { declared, max: swim_zmq::COMMAND_BYTES_MAX },
        ),
        (
            [greeting(), header(LONG | COMMAND, declared)].concat(),
            LinkError::HandshakeTooLong { declared, max: swim_zmq::HANDSHAKE_BYTES_MAX },
        ),
        (after(frame(MORE, b"").repeat(10_000)), LinkError::TooManyParts { max: 64 }),
        (after(frame(MORE, &[0; 60_000]).repeat(100)), LinkError::TooManyParts { max: 64 }),
        (after(ready("DEALER", b"")), LinkError::SecondReady),
        (b"GET / HTTP/1.1\r\nHost: us\r\n\r\n".to_vec(), LinkError::NotZmtp { offset: 0, byte: b'G' }),
    ];
    for (bytes, error) in cases {
        let (mut theirs, mut ours) = meet(LinkConfig::router("us"));
        let writing = std::thread::spawn(move || {
            // It may be cut off before it has said everything.
            let _ = theirs.write_all(&bytes);
            let _ = theirs.read_to_end(&mut Vec::new());
        });
        assert_eq!(ours.end(), error);
        drop(ours);
        writing.join().expect("it is cut off");
    }
}

#[test]
fn a_handshake_byte_by_byte_ends_when_its_time_is_up() {
    let config = LinkConfig { handshake_timeout: Duration::from_millis(300), ..LinkConfig::router("us") };
    let (mut theirs, mut ours) = meet(config);
    let writing = std::thread::spawn(move || {
        for byte in opening() {
            if theirs.write_all(&[byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    assert_eq!(ours.end(), LinkError::HandshakeTimeout { after: Duration::from_millis(300) });
    drop(ours);
    writing.join().expect("it ends");
}

/// What a link costs that nobody uses, before its handshake and after: the codec's block for headers and little else.
#[test]
fn two_thousand_silent_links_cost_no_more_than_two_thousand_blocks() {
    let mut links = Vec::with_capacity(2000);
    let memory = measure(|| {
        for number in 0..2000 {
            let mut link = Link::new(sockets::now(), LinkConfig::router("us")).expect("the configuration can be");
            if number % 2 == 0 {
                link.handle_input(sockets::now(), &opening());
                assert!(matches!(link.poll_event(), Some(Event::Ready(_))));
            }
            links.push(link);
        }
    });
    let each = memory.bytes_max / 2000;
    assert!(each < 72 * 1024, "{each} bytes a link");
}
