//! How fast two messengers exchange acknowledged messages when nothing lies between them: what the machine alone costs.
//!
//! ```console
//! $ cargo run --release -p swim-proto --example messenger
//! ```
//!
//! One thread runs both, hands packets over in batches as a socket would, and takes each message. An instant passes
//! with each turn, so acknowledgements have a delay; the figures are of wall time.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use swim_proto::messaging::{
    Action, Confirm, Event, LinkId, LinkInput, LocalPeer, MemberInput, MessagingConfig, Messenger, Order, Outgoing,
};
use swim_proto::{ClusterHash, Instant, NodeId};

/// Messages given to the sender in one turn.
const BATCH: usize = 64;

struct Pair {
    ends: [Messenger; 2],
    /// The one link, as each end names it.
    links: [Option<LinkId>; 2],
    /// Packets on their way to each end, and headers as one buffer.
    on_way: [Vec<[Option<Bytes>; 2]>; 2],
    now: Instant,
    buf: Vec<u8>,
    done: u64,
    taken: u64,
    accepted: u64,
}

fn address(end: usize) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 9_000 + end as u16))
}

fn id(end: usize) -> NodeId {
    NodeId::of("bench", ["sender", "receiver"][end])
}

impl Pair {
    fn new() -> Pair {
        let now = Instant::ZERO;
        let config = MessagingConfig::default();
        let ends = [0, 1].map(|end| {
            let local = LocalPeer { id: id(end), life: 1, cluster: ClusterHash::of("bench") };
            let mut messenger = Messenger::new(now, local, config.clone(), end as u64).expect("the default is valid");
            let other = 1 - end;
            let input = MemberInput::Live { life: 1, address: address(other), endpoint: Some(address(other)) };
            messenger.handle_member(now, id(other), input);
            messenger
        });
        Pair {
            ends,
            links: [None; 2],
            on_way: [Vec::new(), Vec::new()],
            now,
            buf: Vec::new(),
            done: 0,
            taken: 0,
            accepted: 0,
        }
    }

    /// Does what an end wants done.
    fn poll(&mut self, end: usize) {
        let other = 1 - end;
        while let Some(action) = self.ends[end].poll_action(&mut self.buf) {
            match action {
                Action::Open { link, .. } => {
                    self.links[end] = Some(link);
                    self.links[other] = self.ends[other].accept_link(self.now, address(end));
                    self.ends[end].handle_link(self.now, link, LinkInput::Up);
                }
                Action::Send { header, payload, .. } => {
                    self.on_way[other].push([Some(Bytes::copy_from_slice(header)), payload]);
                }
                Action::Event(Event::Outcome(_)) => self.done += 1,
                Action::Event(_) | Action::Close { .. } => {}
            }
        }
    }

    /// Hands over what is on its way to an end, which takes what it is given.
    fn deliver(&mut self, end: usize) {
        let Some(link) = self.links[end] else { return };
        for parts in std::mem::take(&mut self.on_way[end]) {
            match parts {
                [Some(header), Some(payload)] => {
                    self.ends[end].handle_link(self.now, link, LinkInput::Packet(&[header, payload]));
                }
                [Some(header), None] => self.ends[end].handle_link(self.now, link, LinkInput::Packet(&[header])),
                [None, _] => {}
            }
        }
        while self.ends[end].take(self.now).is_some() {
            self.taken += 1;
        }
        self.poll(end);
    }

    fn turn(&mut self, message: &Outgoing, most: u64, batch: usize) {
        self.now += Duration::from_micros(20);
        for end in 0..2 {
            if self.ends[end].deadline().is_some_and(|deadline| deadline <= self.now) {
                self.ends[end].handle_timeout(self.now);
            }
        }
        for _ in 0..batch {
            if self.accepted == most || self.ends[0].send(self.now, message.clone()).is_err() {
                break;
            }
            self.accepted += 1;
        }
        self.poll(0);
        self.deliver(1);
        self.deliver(0);
    }
}

fn main() {
    let count: u64 = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(3_000_000);
    println!("{:>8}  {:>10}  {:>9}  {:>12}  {:>9}", "bytes", "confirm", "ordered", "messages/s", "ns each");
    for (len, count) in [(100, count), (1_024, count), (65_536, count / 10)] {
        for (confirm, order) in [
            (Confirm::Delivered, Order::Unordered),
            (Confirm::Delivered, Order::Stream(1)),
            (Confirm::Processed, Order::Stream(1)),
        ] {
            let mut pair = Pair::new();
            let payload = Bytes::from(vec![7; len]);
            let message = Outgoing { confirm, order, ..Outgoing::new(id(1), payload) };
            let begun = std::time::Instant::now();
            while pair.done < count {
                pair.turn(&message, count, BATCH);
            }
            let taken = begun.elapsed();
            assert_eq!((pair.done, pair.taken), (count, count));
            let each = taken.as_nanos() as f64 / count as f64;
            println!(
                "{len:>8}  {:>10}  {:>9}  {:>12.0}  {each:>9.0}",
                format!("{confirm:?}"),
                order != Order::Unordered,
                1e9 / each
            );
        }
    }
}
