//! Streams are TCP, as far as the protocol can tell: opened by a handshake, in order, lossless and therefore late.
//!
//! What a program sees of TCP on a bad network is not loss but time: a lost SYN costs a second, a lost segment 200 ms or
//! three duplicate acknowledgements, and each wait doubles. So segments go through [`Links`](crate::network) like
//! datagrams and are lost like them, and two simulated kernels make up for it. The kernel is not the process: while a
//! process is paused or its I/O is blocked, its kernel goes on accepting, acknowledging and buffering, until its window
//! is shut.
//!
//! Ends meet the application through [`Streams::next_input`], which tells one thing at a time, in the order in which a
//! program would see it; a *poke* says that there may be something to tell.

mod connection;
mod receiving;
mod sending;

use std::net::SocketAddr;
use std::time::Duration;

use swim_proto::StreamId;

pub(crate) use connection::{Arrived, Listening};
use connection::{Connection, End, Phase};

use crate::medium::{Due, Medium};
use crate::network::{Carried, Fate};
use crate::packets::{PacketId, PacketKind};

/// Most bytes of a stream in one segment: Ethernet's MTU less the headers of IPv4 and TCP.
pub(crate) const MSS: u64 = 1460;

/// How the simulated kernels run TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    /// Bytes a socket takes from its application before they are acknowledged.
    pub send_buffer: usize,
    /// Bytes a socket keeps for an application that does not read.
    pub receive_buffer: usize,
    /// The first wait for the answer to a SYN, in nanoseconds; it doubles with each attempt.
    pub open_timeout: u64,
    /// How often a SYN is sent again before the attempt fails.
    pub open_retries: u32,
    /// The least wait for an acknowledgement, in nanoseconds; it doubles with each attempt.
    pub segment_timeout: u64,
    /// The longest such wait.
    pub timeout_max: u64,
    /// How often a segment is sent again before the stream breaks.
    pub segment_retries: u32,
    /// How many open streams wait at most for a process that does not accept them; at the limit SYNs are ignored, and
    /// the handshakes under way do not end. Those are not counted: a kernel with SYN cookies answers any number.
    pub backlog: usize,
}

impl Default for StreamSettings {
    /// Linux's.
    fn default() -> StreamSettings {
        StreamSettings {
            send_buffer: 64 * 1024,
            receive_buffer: 64 * 1024,
            open_timeout: nanos(Duration::from_secs(1)),
            open_retries: 6,
            segment_timeout: nanos(Duration::from_millis(200)),
            timeout_max: nanos(Duration::from_secs(60)),
            segment_retries: 15,
            backlog: 128,
        }
    }
}

const fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

/// One end of one connection. The number of a connection is used again, but never with the same generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndId {
    pub(crate) connection: u32,
    pub(crate) generation: u32,
    pub(crate) side: Side,
}

/// For what a connection was opened: at which of a host's two ports it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// A stream of the node.
    Gossip,
    /// A link of the messenger.
    Messages,
}

/// Which end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The one that opened it.
    Client,
    /// The one that accepted it.
    Server,
}

impl EndId {
    pub(crate) fn peer(self) -> EndId {
        let side = match self.side {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        };
        EndId { side, ..self }
    }
}

/// What a segment says besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHead {
    /// The end it goes to.
    pub(crate) to: EndId,
    pub(crate) carried: Carried,
    pub(crate) sequence: u64,
    /// Nothing follows its bytes (FIN).
    pub(crate) last: bool,
    pub(crate) acknowledged: u64,
    pub(crate) window: u64,
}

/// One thing for an application to be told about a stream.
#[derive(Debug)]
pub(crate) enum StreamNews {
    /// Somebody opened it, from this address.
    Accept(SocketAddr),
    /// The stream that it calls so moved.
    Moved(StreamId, Moved),
}

/// How a stream moved.
#[derive(Debug)]
pub(crate) enum Moved {
    Connected,
    Written(usize),
    /// These bytes arrived; [`Streams::give_back`] returns their buffer.
    Data(Vec<u8>),
    Finished,
    Failed,
}

/// All connections.
#[derive(Debug)]
pub(crate) struct Streams {
    connections: Vec<Connection>,
    free: Vec<u32>,
    settings: StreamSettings,
    scratch: Vec<u8>,
    opened: u64,
}

impl Streams {
    pub(crate) fn new(settings: StreamSettings) -> Streams {
        Streams { connections: Vec::new(), free: Vec::new(), settings, scratch: Vec::new(), opened: 0 }
    }

    /// How many connections were asked for.
    pub(crate) fn opened(&self) -> u64 {
        self.opened
    }

    /// How many connections there are, those half gone included.
    pub(crate) fn open(&self) -> usize {
        self.connections.len() - self.free.len()
    }

    /// A process asks for a stream to another host. `to` is `None` if there is no such host: the attempt will time out.
    pub(crate) fn connect(&mut self, medium: &mut Medium, owner: Owner, stream: StreamId, to: Option<u32>) -> EndId {
        self.opened += 1;
        self.connect_at(medium, owner, stream, (to, Port::Gossip))
    }

    /// The same, at either port.
    pub(crate) fn connect_at(
        &mut self,
        medium: &mut Medium,
        owner: Owner,
        stream: StreamId,
        to: (Option<u32>, Port),
    ) -> EndId {
        let number = self.free.pop().unwrap_or_else(|| {
            self.connections.push(Connection::empty());
            self.connections.len() as u32 - 1
        });
        let connection = &mut self.connections[number as usize];
        let generation = connection.generation;
        let mut client = End::new(owner, self.settings, medium.now);
        client.stream = Some(stream);
        connection.client = Some(client);
        (connection.server_host, connection.port) = to;
        let id = EndId { connection: number, generation, side: Side::Client };
        self.send_opening(medium, id);
        id
    }

    /// The application writes.
    pub(crate) fn write(&mut self, medium: &mut Medium, id: EndId, bytes: &[u8]) {
        if let Some(end) = self.end(id) {
            end.sender.write(bytes);
            self.pump(medium, id);
        }
    }

    /// The application will write no more.
    pub(crate) fn finish(&mut self, medium: &mut Medium, id: EndId) {
        if let Some(end) = self.end(id) {
            end.sender.finish();
            self.pump(medium, id);
        }
    }

    /// The application drops the stream, or its process was killed: the kernel tells the peer.
    pub(crate) fn reset(&mut self, medium: &mut Medium, id: EndId) {
        if let Some(end) = self.end(id) {
            let told = matches!(end.phase, Phase::Open | Phase::Opening { .. });
            end.end(medium);
            if told {
                self.send_reset(medium, id);
            }
            self.release(id);
        }
    }

    /// The end is gone without a word: its host lost power.
    pub(crate) fn vanish(&mut self, medium: &mut Medium, id: EndId) {
        if let Some(end) = self.end(id) {
            end.end(medium);
            self.release(id);
        }
    }

    /// The stream breaks, and both parties hear of it at once.
    pub(crate) fn break_both(&mut self, medium: &mut Medium, id: EndId) {
        self.fail(medium, id);
        self.fail(medium, id.peer());
    }

    /// Whether the application has nothing more to do with this end.
    pub(crate) fn is_gone(&mut self, id: EndId) -> bool {
        self.end(id).is_none_or(|end| matches!(end.phase, Phase::Done | Phase::Over) && !end.failed_untold)
    }

    /// Whether both parties are through with the connection; its number is then free.
    fn release(&mut self, id: EndId) {
        let connection = &mut self.connections[id.connection as usize];
        if connection.generation == id.generation && connection.is_over() {
            *connection = Connection { generation: connection.generation.wrapping_add(1), ..Connection::empty() };
            self.free.push(id.connection);
        }
    }

    /// The application accepted the stream and calls it so.
    pub(crate) fn accepted(&mut self, id: EndId, stream: StreamId) {
        if let Some(end) = self.end(id) {
            end.stream = Some(stream);
        }
    }

    /// Whether its handshake is over and it is not.
    pub(crate) fn is_open(&self, id: EndId) -> bool {
        let connection = self.connections.get(id.connection as usize);
        let end = connection.filter(|connection| connection.generation == id.generation);
        end.and_then(|connection| connection.side(id.side).as_ref()).is_some_and(|end| end.phase == Phase::Open)
    }

    /// Whose end this is.
    pub(crate) fn owner(&self, id: EndId) -> Option<Owner> {
        let connection = self.connections.get(id.connection as usize)?;
        let end = connection.side(id.side).as_ref()?;
        (connection.generation == id.generation).then_some(end.owner)
    }

    /// At which port it arrives, or arrived.
    pub(crate) fn port(&self, id: EndId) -> Port {
        self.connections.get(id.connection as usize).map_or(Port::Gossip, |connection| connection.port)
    }

    /// What this end has sent, and sends until then, arrives no sooner.
    pub(crate) fn hold_up(&mut self, id: EndId, until: u64) {
        if let Some(end) = self.end(id) {
            end.arrives_after = end.arrives_after.max(until);
        }
    }

    /// Returns the buffer of [`StreamNews::Data`]; the peer may be told that there is room again.
    pub(crate) fn give_back(&mut self, medium: &mut Medium, id: EndId, buffer: Vec<u8>) {
        if let Some(end) = self.end(id) {
            let was = end.window_told;
            end.receiver.put_back(buffer);
            let room = end.receiver.window() as u64;
            if matches!(end.phase, Phase::Open) && was < 2 * MSS && room >= was + MSS {
                self.send_acknowledgement(medium, id);
            }
        }
    }

    /// The end of this name, unless its connection is no more.
    fn end(&mut self, id: EndId) -> Option<&mut End> {
        let connection = self.connections.get_mut(id.connection as usize)?;
        if connection.generation != id.generation {
            return None;
        }
        connection.side_mut(id.side).as_mut()
    }

    /// Sends what may be sent, and sees to the timer.
    fn pump(&mut self, medium: &mut Medium, id: EndId) {
        let mut scratch = core::mem::take(&mut self.scratch);
        while let Some(end) = self.end(id)
            && matches!(end.phase, Phase::Open)
            && let Some(segment) = end.sender.next_segment(medium.now)
        {
            scratch.clear();
            end.sender.copy_into(segment, &mut scratch);
            self.send(medium, id, Carried::Data, segment.sequence, segment.last, &scratch);
        }
        self.scratch = scratch;
        if let Some(end) = self.end(id) {
            if matches!(end.phase, Phase::Open) {
                end.deadline = end.sender.deadline;
            }
            if end.has_news() {
                medium.pokes.push_back(id);
            }
            self.schedule(medium, id);
        }
    }

    /// Makes sure that the agenda holds an entry no later than the end's deadline.
    fn schedule(&mut self, medium: &mut Medium, id: EndId) {
        if let Some(end) = self.end(id)
            && end.deadline < end.scheduled
        {
            end.scheduled = end.deadline;
            medium.agenda.add(end.deadline, Due::Stream(id));
        }
    }

    fn send_acknowledgement(&mut self, medium: &mut Medium, id: EndId) {
        self.send(medium, id, Carried::Ack, 0, false, &[]);
    }

    fn send_reset(&mut self, medium: &mut Medium, id: EndId) {
        self.send(medium, id, Carried::Reset, 0, false, &[]);
    }

    /// Puts a segment on the network.
    fn send(&mut self, medium: &mut Medium, from: EndId, carried: Carried, sequence: u64, last: bool, bytes: &[u8]) {
        let connection = &self.connections[from.connection as usize];
        let Some(to_host) = connection.host(from.peer().side) else { return };
        let Some(end) = self.end(from) else { return };
        end.window_told = end.receiver.window() as u64;
        let head = SegmentHead {
            to: from.peer(),
            carried,
            sequence,
            last,
            acknowledged: end.receiver.acknowledged(),
            window: end.window_told,
        };
        let from_host = end.owner.host;
        let earliest = end.arrives_after;
        medium.trace.segment(medium.now, end.owner.slot, &head, bytes);
        let Fate::Arrives { after, .. } = medium.links.fate(medium.now, from_host, to_host, carried, bytes) else {
            return;
        };
        // One path: segments of one stream do not overtake each other.
        let arrival = (medium.now + after).max(earliest);
        let source = medium.address(from_host);
        let packet = medium.packets.add(from_host, to_host, source, PacketKind::Segment(head), bytes);
        medium.agenda.add(arrival, Due::Packet(packet));
        if let Some(end) = self.end(from) {
            end.arrives_after = arrival;
        }
    }
}

/// The process that holds an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) slot: u32,
    /// Which of the slot's processes, one after the other.
    pub(crate) boot: u32,
    pub(crate) host: u32,
}

/// Where a packet that arrived as a segment is kept while it is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) packet: PacketId,
    pub(crate) head: SegmentHead,
}
