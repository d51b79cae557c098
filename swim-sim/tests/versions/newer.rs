//! A node of some later release: a node of today that adds a message nobody knows yet to every packet it sends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use swim_proto::{
    Action, CommandError, Config, DatagramError, Event, Instant, Member, MemberEvent, Node, NodeId, SeedId, Stats,
    Status, StreamId, StreamInput, Way,
};
use swim_sim::Driven;
use swim_sim::observe::View;

/// Kinds that are not in use: one for datagrams, one for streams.
const UNKNOWN: [u8; 2] = [15, 63];

/// Bytes of a packet's header; its checksum is the last four.
const HEADER: usize = 11;

pub(crate) struct Newer {
    node: Node,
    said: Arc<AtomicU64>,
    scratch: Vec<u8>,
}

impl Newer {
    pub(crate) fn new(node: Node, said: Arc<AtomicU64>) -> Newer {
        Newer { node, said, scratch: Vec::new() }
    }
}

/// The packet with one more message.
fn add_unknown(packet: &mut Vec<u8>, kind: u8) {
    packet.extend_from_slice(&[kind, 4, 0xde, 0xad, 0xbe, 0xef]);
    let sum = crc32c(packet[..HEADER - 4].iter().chain(&packet[HEADER..]));
    packet[HEADER - 4..HEADER].copy_from_slice(&sum.to_le_bytes());
}

fn crc32c<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    !bytes.fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}

impl View for Newer {
    fn local(&self) -> Member<'_> {
        self.node.local()
    }
    fn status(&self) -> Status {
        self.node.status()
    }
    fn members(&self, each: &mut dyn FnMut(Member<'_>)) {
        self.node.members().for_each(each);
    }
    fn member(&self, id: NodeId) -> Option<Member<'_>> {
        self.node.member(id)
    }
    fn changed(&self) -> &[NodeId] {
        self.node.changed()
    }
    fn live(&self) -> usize {
        self.node.live()
    }
    fn digest(&self) -> u64 {
        self.node.digest()
    }
    fn health(&self) -> u8 {
        self.node.health()
    }
    fn stats(&self) -> Stats {
        self.node.stats()
    }
    fn deadline(&self) -> Option<Instant> {
        self.node.deadline()
    }
    fn config(&self) -> &Config {
        self.node.config()
    }
}

impl Driven for Newer {
    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Result<(), DatagramError> {
        self.node.handle_datagram(now, from, datagram)
    }
    fn accept_stream(&mut self, now: Instant, from: SocketAddr) -> Option<StreamId> {
        self.node.accept_stream(now, from)
    }
    fn handle_stream(&mut self, now: Instant, stream: StreamId, input: StreamInput<'_>) {
        self.node.handle_stream(now, stream, input);
    }
    fn handle_resolved(&mut self, now: Instant, seed: SeedId, addresses: &[SocketAddr]) {
        self.node.handle_resolved(now, seed, addresses);
    }
    fn handle_timeout(&mut self, now: Instant) {
        self.node.handle_timeout(now);
    }
    fn report_loss(&mut self, now: Instant, datagrams: u64) {
        self.node.report_loss(now, datagrams);
    }
    fn join(&mut self, now: Instant, seeds: &[SeedId]) -> Result<(), CommandError> {
        self.node.join(now, seeds)
    }
    fn leave(&mut self, now: Instant) -> Result<(), CommandError> {
        self.node.leave(now)
    }
    fn set_metadata(&mut self, now: Instant, metadata: Bytes) -> Result<(), CommandError> {
        self.node.set_metadata(now, metadata)
    }
    fn force_leave(&mut self, now: Instant, member: NodeId) -> Result<(), CommandError> {
        self.node.force_leave(now, member)
    }

    fn broadcast(&mut self, now: Instant, payload: Bytes) -> Result<u64, CommandError> {
        self.node.broadcast(now, payload)
    }

    fn send_message(&mut self, now: Instant, to: NodeId, payload: Bytes, by: Way) -> Result<(), CommandError> {
        self.node.send_message(now, to, payload, by)
    }

    fn poll_action<'b>(&mut self, buf: &'b mut Vec<u8>) -> Option<Action<'b>> {
        // What is borrowed lives in a buffer of ours until it is known what it is.
        let scratch = &mut self.scratch;
        let kept = loop {
            break match self.node.poll_action(scratch)? {
                Action::Transmit { to, .. } => Kept::Transmit(to),
                Action::Write { stream, .. } => Kept::Write(stream),
                Action::Connect { stream, to } => Kept::Other(Action::Connect { stream, to }),
                Action::Finish { stream } => Kept::Other(Action::Finish { stream }),
                Action::Reset { stream } => Kept::Other(Action::Reset { stream }),
                Action::Resolve { seed } => Kept::Other(Action::Resolve { seed }),
                Action::Event(Event::Died(change)) => Kept::Other(Action::Event(Event::Died(nameless(&change)))),
                // The world listens to deaths alone.
                Action::Event(_) => continue,
            };
        };
        buf.clear();
        self.said.fetch_add(1, Ordering::Relaxed);
        Some(match kept {
            Kept::Transmit(to) => {
                buf.extend_from_slice(scratch);
                add_unknown(buf, UNKNOWN[0]);
                Action::Transmit { to, datagram: buf }
            }
            Kept::Write(stream) => {
                // A frame is its length, four bytes, and the packet; a carrier takes several at once.
                let mut frames = scratch.as_slice();
                while let Some((len, rest)) = frames.split_first_chunk() {
                    let (packet, after) = rest.split_at(u32::from_le_bytes(*len) as usize);
                    let mut packet = packet.to_vec();
                    add_unknown(&mut packet, UNKNOWN[1]);
                    buf.extend_from_slice(&(packet.len() as u32).to_le_bytes());
                    buf.extend_from_slice(&packet);
                    frames = after;
                }
                Action::Write { stream, bytes: buf }
            }
            Kept::Other(action) => action,
        })
    }
}

/// The change, without what it borrows.
fn nameless(change: &MemberEvent<'_>) -> MemberEvent<'static> {
    let Member { id, address, endpoint, versions, state, incarnation, since, rtt, path, suspicion, .. } = change.member;
    let member = Member {
        id,
        name: "",
        address,
        endpoint,
        metadata: &[],
        versions,
        state,
        incarnation,
        since,
        rtt,
        path,
        suspicion,
    };
    MemberEvent { member, cause: change.cause }
}

enum Kept {
    Transmit(SocketAddr),
    Write(StreamId),
    Other(Action<'static>),
}
