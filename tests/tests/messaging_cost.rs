//! A message, once everything has its size, allocates nothing in the machine: counted around each call into either
//! messenger. Its payload is shared from end to end.

use std::net::SocketAddr;
use std::time::Duration;

use allocation_counter::measure;
use bytes::Bytes;
use swim_proto::messaging::{
    Action, Class, Confirm, Event, LinkId, LinkInput, LocalPeer, MemberInput, MessagingConfig, Messenger, Order,
    Outgoing, Received,
};
use swim_proto::{ClusterHash, Instant, NodeId};

fn id(end: usize) -> NodeId {
    NodeId::of("cost", ["sender", "receiver"][end])
}

fn address(end: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, end as u8 + 1], 9_000))
}

/// What one of the two wants done, owned.
enum Wish {
    Open(LinkId),
    Send(Vec<Bytes>),
    Outcome,
}

/// Makes a message the so-manieth of its kind.
type Kind = fn(&mut Outgoing, u64);

struct Pair {
    ends: [Messenger; 2],
    links: [Option<LinkId>; 2],
    on_way: [Vec<Vec<Bytes>>; 2],
    now: Instant,
    buf: Vec<u8>,
    allocated: u64,
    outcomes: u64,
    payload: Bytes,
}

impl Pair {
    fn new() -> Pair {
        let ends = [0, 1].map(|end| {
            let local = LocalPeer { id: id(end), life: 1, cluster: ClusterHash::of("cost") };
            let config = MessagingConfig::default();
            let mut messenger = Messenger::new(Instant::ZERO, local, config, end as u64).unwrap();
            let other = 1 - end;
            let input = MemberInput::Live { life: 1, address: address(other), endpoint: Some(address(other)) };
            messenger.handle_member(Instant::ZERO, id(other), input);
            messenger
        });
        Pair {
            ends,
            links: [None; 2],
            on_way: [Vec::new(), Vec::new()],
            now: Instant::ZERO,
            buf: Vec::with_capacity(2_000),
            allocated: 0,
            outcomes: 0,
            payload: Bytes::from(vec![1; 100]),
        }
    }

    /// Calls into an end, and counts.
    fn call<T>(&mut self, end: usize, call: impl FnOnce(&mut Messenger, Instant) -> T) -> T {
        let mut result = None;
        let (messenger, now) = (&mut self.ends[end], self.now);
        self.allocated += measure(|| result = Some(call(messenger, now))).count_total;
        result.expect("it was called")
    }

    fn poll(&mut self, end: usize) {
        let other = 1 - end;
        loop {
            let mut wish = None;
            let mut buf = std::mem::take(&mut self.buf);
            let messenger = &mut self.ends[end];
            let mut action = None;
            self.allocated += measure(|| action = messenger.poll_action(&mut buf)).count_total;
            let done = action.is_none();
            match action {
                None | Some(Action::Close { .. }) => {}
                Some(Action::Open { link, .. }) => wish = Some(Wish::Open(link)),
                Some(Action::Send { header, payload, .. }) => {
                    if let Some(payload) = &payload {
                        assert_eq!(payload.as_ptr(), self.payload.as_ptr(), "the payload is shared");
                    }
                    let header = Bytes::copy_from_slice(header);
                    wish = Some(Wish::Send([header].into_iter().chain(payload).collect()));
                }
                Some(Action::Event(Event::Outcome(_))) => wish = Some(Wish::Outcome),
                Some(Action::Event(_)) => {}
            }
            self.buf = buf;
            match wish {
                None => {}
                Some(Wish::Open(link)) => {
                    let there = self.call(other, |messenger, now| messenger.accept_link(now, address(end)));
                    (self.links[end], self.links[other]) = (Some(link), there);
                    self.call(end, |messenger, now| messenger.handle_link(now, link, LinkInput::Up));
                }
                Some(Wish::Send(parts)) => self.on_way[other].push(parts),
                Some(Wish::Outcome) => self.outcomes += 1,
            }
            if done {
                return;
            }
        }
    }

    fn deliver(&mut self, end: usize) {
        for parts in std::mem::take(&mut self.on_way[end]) {
            let link = self.links[end].expect("packets come on links");
            self.call(end, |messenger, now| messenger.handle_link(now, link, LinkInput::Packet(&parts)));
        }
        while let Some(received) = self.call(end, |messenger, now| messenger.take(now)) {
            let Received { payload, .. } = received;
            assert_eq!(payload.as_ptr(), self.payload.as_ptr(), "the payload is shared");
        }
        self.poll(end);
    }

    /// So many messages, each of the given kind, a few at a time.
    fn exchange(&mut self, count: u64, kind: impl Fn(&mut Outgoing, u64)) {
        for number in 0..count {
            let mut message = Outgoing::new(id(1), self.payload.clone());
            kind(&mut message, number);
            self.call(0, |messenger, now| messenger.send(now, message)).expect("there is room");
            if number % 16 == 15 {
                self.now += Duration::from_micros(100);
                for end in 0..2 {
                    if self.ends[end].deadline().is_some_and(|deadline| deadline <= self.now) {
                        self.call(end, |messenger, now| messenger.handle_timeout(now));
                    }
                }
                self.poll(0);
                self.deliver(1);
                self.deliver(0);
            }
        }
    }
}

#[test]
fn in_steady_state_a_message_allocates_nothing() {
    let kinds: [(&str, Kind); 4] = [
        ("unordered, delivered", |_, _| {}),
        ("ordered, delivered", |message, _| message.order = Order::Stream(1)),
        ("ordered, processed", |message, _| {
            (message.order, message.confirm) = (Order::Stream(1), Confirm::Processed);
        }),
        ("all classes, 50 streams", |message, number| {
            message.class = Class::ALL[number as usize % 4];
            message.order = Order::Stream(number % 50);
        }),
    ];
    for (name, kind) in kinds {
        let mut pair = Pair::new();
        pair.exchange(60_000, kind);
        let (before, done) = (pair.allocated, pair.outcomes);
        pair.exchange(32_000, kind);
        assert_eq!(pair.outcomes - done, 32_000);
        assert_eq!(pair.allocated - before, 0, "{name}");
    }
}
