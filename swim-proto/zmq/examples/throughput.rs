//! How fast two links are that lie back to back in memory: no sockets, no threads, one core.
//!
//! ```console
//! $ cargo run --release -p swim-zmq --example throughput             # 100 B, 1 KiB, 64 KiB
//! $ cargo run --release -p swim-zmq --example throughput -- 100 2    # messages of 2 parts of 100 B
//! ```
//!
//! What is counted is a message's whole way: queued, framed, copied once as a socket would, taken apart, polled.
//! A third argument is the number of messages, for counting instructions: run it under
//! `valgrind --tool=callgrind` with two numbers and divide the difference.

use std::io::IoSlice;
use std::time::Instant as Clock;

use bytes::Bytes;
use swim_proto::Instant;
use swim_zmq::{Link, LinkConfig, SendError};

/// What is read at once.
const READ_BYTES: usize = 64 * 1024;

/// What a driver and a wire do: at most one read's worth of what waits.
fn carry(from: &mut Link, to: &mut Link, wire: &mut Vec<u8>) {
    wire.clear();
    let mut slices = [IoSlice::new(&[]); 64];
    let count = from.transmit(&mut slices);
    for slice in &slices[..count] {
        let room = READ_BYTES - wire.len();
        wire.extend_from_slice(&slice[..slice.len().min(room)]);
    }
    from.transmitted(Instant::ZERO, wire.len());
    to.handle_input(Instant::ZERO, wire);
}

fn run(bytes: usize, parts: usize, count: u64) {
    let mut dealer = Link::new(Instant::ZERO, LinkConfig::dealer("d")).expect("the defaults can be");
    let mut router = Link::new(Instant::ZERO, LinkConfig::router("r")).expect("the defaults can be");
    let mut wire = Vec::with_capacity(READ_BYTES);
    while !(dealer.is_ready() && router.is_ready()) {
        carry(&mut dealer, &mut router, &mut wire);
        carry(&mut router, &mut dealer, &mut wire);
    }
    let message = vec![Bytes::from(vec![7; bytes]); parts];
    let (mut sent, mut received) = (0, 0);
    let begun = Clock::now();
    while received < count {
        while sent < count {
            match dealer.send(&message) {
                Ok(()) => sent += 1,
                Err(SendError::Full) => break,
                Err(error) => panic!("{error}"),
            }
        }
        while dealer.pending() > 0 {
            if router.wants_input() {
                carry(&mut dealer, &mut router, &mut wire);
            }
            while let Some(message) = router.poll_message(Instant::ZERO) {
                assert_eq!(message.len(), parts);
                received += 1;
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{parts} x {bytes:>6} B {:>12.0} messages/s {:>8.0} ns each {:>9.1} MiB/s",
        count as f64 / seconds,
        seconds * 1e9 / count as f64,
        (bytes * parts) as f64 * count as f64 / seconds / (1 << 20) as f64
    );
}

fn main() {
    let arguments: Vec<u64> = std::env::args().skip(1).map(|text| text.parse().expect("numbers")).collect();
    if let [bytes, rest @ ..] = &arguments[..] {
        let parts = rest.first().copied().unwrap_or(1);
        run(*bytes as usize, parts as usize, rest.get(1).copied().unwrap_or(1_000_000));
        return;
    }
    for (bytes, count) in [(100, 2_000_000), (1024, 1_000_000), (64 * 1024, 50_000)] {
        run(bytes, 1, count);
    }
}
