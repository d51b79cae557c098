//! `kinship-core` 0.5.0, with `Config::lan`, unsealed, since the others do not seal either.
//!
//! One setting differs from its default: `max_members` is raised from 8,192 to our own 65,536, so that 10,000 members
//! can be known. The adapter splits streams into frames, as kinship's drivers do.

use std::collections::HashMap;

use kinship_core::{Command, Config, Event, Identity, Instant, Node, Security, StreamEvent, StreamId, Transmit};
use kinship_proto::{FrameReader, Limits};

use crate::packets::{self, Content};
use crate::peer::{Index, Nanos, Peer, STARTED_MS, StreamInput, address, index, name};
use crate::world::Outbox;

/// A node of kinship.
pub(crate) struct Kinship {
    pub(crate) node: Node,
    /// What came on each stream and is not a whole frame yet.
    readers: HashMap<u64, FrameReader>,
    accepted: u64,
}

/// A machine at the LAN defaults.
pub(crate) fn machine(now: Nanos, index: Index, seed: u64) -> Node {
    let config = Config { max_members: 65_536, ..Config::lan(Security::InsecurePlaintext) };
    let identity = Identity::new(name(index), address(index)).expect("an address is short").with_epoch(STARTED_MS);
    Node::new(config, identity, Instant::from_nanos(now), seed, &[7; 32]).expect("a preset is valid")
}

impl Kinship {
    fn act(&mut self, out: &mut Outbox<'_>) {
        while let Some(transmit) = self.node.poll_transmit() {
            match transmit {
                Transmit::Datagram { to, payload } => out.send(index(to), &payload),
                Transmit::Connect { conn, to } => {
                    self.readers.insert(conn.to_raw(), FrameReader::new(Limits::DEFAULT_MAX_STREAM_FRAME));
                    out.connect(conn.to_raw(), index(to));
                }
                Transmit::Stream { conn, frame } => out.write(conn.to_raw(), &frame),
                Transmit::Close { conn } => {
                    self.readers.remove(&conn.to_raw());
                    out.finish(conn.to_raw());
                }
            }
        }
        while let Some(event) = self.node.poll_event() {
            match event {
                Event::MemberJoined(member) => out.up(index(member.addr)),
                Event::MemberDead(member) | Event::MemberLeft(member) => out.down(index(member.addr)),
                _ => {}
            }
        }
    }
}

impl Peer for Kinship {
    fn start(now: Nanos, index: Index, _size: u32, seed: u64) -> Kinship {
        Kinship { node: machine(now, index, seed), readers: HashMap::new(), accepted: 0 }
    }

    fn join(&mut self, now: Nanos, seed: Index, out: &mut Outbox<'_>) {
        self.node.command(Instant::from_nanos(now), Command::Join { seeds: vec![address(seed)] });
        self.act(out);
    }

    fn datagram(&mut self, now: Nanos, from: Index, bytes: &[u8], out: &mut Outbox<'_>) {
        self.node.handle_datagram(Instant::from_nanos(now), address(from), bytes);
        self.act(out);
    }

    fn accept(&mut self, _now: Nanos, _from: Index, _out: &mut Outbox<'_>) -> Option<u64> {
        let stream = StreamId::inbound(self.accepted).to_raw();
        self.accepted += 1;
        self.readers.insert(stream, FrameReader::new(Limits::DEFAULT_MAX_STREAM_FRAME));
        Some(stream)
    }

    fn stream(&mut self, now: Nanos, stream: u64, input: StreamInput<'_>, out: &mut Outbox<'_>) {
        let now = Instant::from_nanos(now);
        let conn = StreamId::from_raw(stream);
        match input {
            StreamInput::Connected => {}
            StreamInput::Data(bytes) => {
                let Some(reader) = self.readers.get_mut(&stream) else { return };
                reader.push(bytes);
                while let Some(reader) = self.readers.get_mut(&stream)
                    && let Some(frame) = reader.next_frame().expect("its own kind wrote it")
                {
                    self.node.handle_stream(now, conn, StreamEvent::Frame(&frame));
                    self.act(out);
                }
            }
            StreamInput::Closed | StreamInput::Failed => {
                if self.readers.remove(&stream).is_none() {
                    return;
                }
                let closed = matches!(input, StreamInput::Closed);
                let event = if closed { StreamEvent::Closed } else { StreamEvent::Failed };
                self.node.handle_stream(now, conn, event);
                self.act(out);
                out.finish(stream);
            }
        }
    }

    fn timeout(&mut self, now: Nanos, out: &mut Outbox<'_>) {
        self.node.handle_timeout(Instant::from_nanos(now));
        self.act(out);
    }

    fn packet(content: Content<impl Iterator<Item = Index>>) -> Option<(Vec<u8>, u32)> {
        Some(packets::kinship(content))
    }

    fn deadline(&self) -> Option<Nanos> {
        self.node.poll_timeout().map(Instant::as_nanos)
    }
}
