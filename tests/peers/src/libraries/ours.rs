//! `swim-proto`, with [`Config::lan`] as it is.
//!
//! What the adapter does is what any driver does: it resolves the seed, and says that the socket took what was written,
//! at once.

use std::net::SocketAddr;

use swim_proto::{Action, Config, Event, Instant, LocalMember, Node, SeedId, StreamId};

use crate::packets::{self, Content};
use crate::peer::{Index, Nanos, Peer, STARTED_MS, StreamInput, address, index};
use crate::world::Outbox;

/// A node of `swim-proto`.
pub(crate) struct Ours {
    pub(crate) node: Node,
    seed: Option<SocketAddr>,
    buffer: Vec<u8>,
    written: Vec<(StreamId, usize)>,
    unresolved: Vec<SeedId>,
}

fn instant(now: Nanos) -> Instant {
    Instant::from_nanos(now)
}

impl Ours {
    /// All that the node wants done, and what it wants done about that.
    fn act(&mut self, now: Nanos, out: &mut Outbox<'_>) {
        let now = instant(now);
        loop {
            while let Some(action) = self.node.poll_action(&mut self.buffer) {
                match action {
                    Action::Transmit { to, datagram } => out.send(index(to), datagram),
                    Action::Connect { stream, to } => out.connect(stream.0, index(to)),
                    Action::Write { stream, bytes } => {
                        out.write(stream.0, bytes);
                        self.written.push((stream, bytes.len()));
                    }
                    Action::Finish { stream } => out.finish(stream.0),
                    Action::Reset { stream } => out.reset(stream.0),
                    Action::Resolve { seed } => self.unresolved.push(seed),
                    Action::Event(event) => tell(event, out),
                }
            }
            if self.written.is_empty() && self.unresolved.is_empty() {
                return;
            }
            for (stream, len) in self.written.drain(..) {
                self.node.handle_stream(now, stream, swim_proto::StreamInput::Written(len));
            }
            for seed in self.unresolved.drain(..) {
                self.node.handle_resolved(now, seed, self.seed.as_slice());
            }
        }
    }
}

fn tell(event: Event<'_>, out: &mut Outbox<'_>) {
    match event {
        Event::Joined(change) | Event::Restarted(change) => out.up(index(change.member.address)),
        Event::Died(change) | Event::Left(change) => out.down(index(change.member.address)),
        _ => {}
    }
}

impl Peer for Ours {
    fn start(now: Nanos, index: Index, _size: u32, seed: u64) -> Ours {
        let local = LocalMember::new(address(index), STARTED_MS);
        let node = Node::new(instant(now), local, Config::lan(), seed).expect("a preset is valid");
        Ours { node, seed: None, buffer: Vec::new(), written: Vec::new(), unresolved: Vec::new() }
    }

    fn join(&mut self, now: Nanos, seed: Index, out: &mut Outbox<'_>) {
        self.seed = Some(address(seed));
        self.node.join(instant(now), &[SeedId(0)]).expect("a node that runs may join");
        self.act(now, out);
    }

    fn datagram(&mut self, now: Nanos, from: Index, bytes: &[u8], out: &mut Outbox<'_>) {
        self.node.handle_datagram(instant(now), address(from), bytes).expect("its own kind sent it");
        self.act(now, out);
    }

    fn accept(&mut self, now: Nanos, from: Index, out: &mut Outbox<'_>) -> Option<u64> {
        let stream = self.node.accept_stream(instant(now), address(from));
        self.act(now, out);
        stream.map(|stream| stream.0)
    }

    fn stream(&mut self, now: Nanos, stream: u64, input: StreamInput<'_>, out: &mut Outbox<'_>) {
        let input = match input {
            StreamInput::Connected => swim_proto::StreamInput::Connected,
            StreamInput::Data(bytes) => swim_proto::StreamInput::Data(bytes),
            StreamInput::Closed => swim_proto::StreamInput::Finished,
            StreamInput::Failed => swim_proto::StreamInput::Failed,
        };
        self.node.handle_stream(instant(now), StreamId(stream), input);
        self.act(now, out);
    }

    fn timeout(&mut self, now: Nanos, out: &mut Outbox<'_>) {
        self.node.handle_timeout(instant(now));
        self.act(now, out);
    }

    fn packet(content: Content<impl Iterator<Item = Index>>) -> Option<(Vec<u8>, u32)> {
        Some(packets::ours(content))
    }

    fn deadline(&self) -> Option<Nanos> {
        self.node.deadline().map(Instant::as_nanos)
    }
}
