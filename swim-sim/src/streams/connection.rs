//! What happens at an end of a connection: segments arrive, timers run out, the application asks what is new.

use swim_proto::StreamId;

use super::receiving::Receiver;
use super::sending::Sender;
use super::{EndId, Moved, Owner, Port, Segment, Side, StreamNews, StreamSettings, Streams};
use crate::medium::Medium;
use crate::network::Carried;

/// A connection: two ends, the server's only once a SYN has arrived there.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) generation: u32,
    pub(super) client: Option<End>,
    pub(super) server: Option<End>,
    /// Where the client's segments go.
    pub(super) server_host: Option<u32>,
    pub(super) port: Port,
}

impl Connection {
    pub(super) fn empty() -> Connection {
        Connection { generation: 0, client: None, server: None, server_host: None, port: Port::Gossip }
    }

    pub(super) fn side(&self, side: Side) -> &Option<End> {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    pub(super) fn side_mut(&mut self, side: Side) -> &mut Option<End> {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    pub(super) fn host(&self, side: Side) -> Option<u32> {
        match side {
            Side::Client => self.client.as_ref().map(|end| end.owner.host),
            Side::Server => self.server_host,
        }
    }

    /// Neither end is waiting for anything.
    pub(super) fn is_over(&self) -> bool {
        [&self.client, &self.server]
            .into_iter()
            .flatten()
            .all(|end| matches!(end.phase, Phase::Over | Phase::Done) && !end.failed_untold)
    }
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct End {
    pub(super) owner: Owner,
    /// The application's name for it; none while it has not accepted.
    pub(super) stream: Option<StreamId>,
    pub(super) phase: Phase,
    pub(super) sender: Sender,
    pub(super) receiver: Receiver,
    /// When the timer of `phase` runs out.
    pub(super) deadline: u64,
    /// The earliest entry of the agenda for this end.
    pub(super) scheduled: u64,
    /// No later segment from here arrives before this.
    pub(super) arrives_after: u64,
    /// The window last told to the peer.
    pub(super) window_told: u64,
    pub(super) opened_at: u64,
    pub(super) open_untold: bool,
    pub(super) failed_untold: bool,
    pub(super) finish_told: bool,
}

/// The slot of an end that never was: it only has a voice to refuse with.
const NOBODY: u32 = u32::MAX;

/// Where an end stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The SYN, or the answer to it, was sent so many times.
    Opening { attempts: u32 },
    /// Bytes flow.
    Open,
    /// Both directions ended in good order; a peer that asks again is told so.
    Done,
    /// Gone: whatever comes is answered by a reset.
    Over,
}

/// Whether a host takes a stream to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listening {
    /// This process does.
    Yes(Owner),
    /// No process listens: the kernel refuses.
    No,
    /// Too many wait for a process that does not accept: the kernel ignores the SYN, and what would end a handshake.
    Full,
}

/// What a segment brought about that its host must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    Nothing,
    /// A connection to this host is being opened.
    Opening(EndId),
}

impl End {
    pub(super) fn new(owner: Owner, settings: StreamSettings, now: u64) -> End {
        End {
            owner,
            stream: None,
            phase: Phase::Opening { attempts: 0 },
            sender: Sender::new(settings),
            receiver: Receiver::new(settings.receive_buffer),
            deadline: u64::MAX,
            scheduled: u64::MAX,
            arrives_after: 0,
            window_told: settings.receive_buffer as u64,
            opened_at: now,
            open_untold: false,
            failed_untold: false,
            finish_told: false,
        }
    }

    /// Nothing more is sent or taken in here; what is ready stays.
    pub(super) fn end(&mut self, medium: &mut Medium) {
        self.phase = Phase::Over;
        self.failed_untold = false;
        self.deadline = u64::MAX;
        self.receiver.drop_early(&mut medium.packets);
    }

    /// Whether [`Streams::next_input`] has something to tell.
    pub(super) fn has_news(&self) -> bool {
        self.open_untold
            || self.failed_untold
            || matches!(self.phase, Phase::Open)
                && (self.sender.has_written()
                    || self.receiver.has_ready()
                    || self.receiver.is_ended() && !self.finish_told
                    || self.finish_told && self.sender.is_done())
    }
}

impl Streams {
    /// A segment arrived at its host, which is up.
    pub(crate) fn arrive(&mut self, medium: &mut Medium, segment: Segment, listening: Listening) -> Arrived {
        let Segment { packet, head } = segment;
        let id = head.to;
        let mut arrived = Arrived::Nothing;
        let is_opening = |end: &mut End| matches!(end.phase, Phase::Opening { .. });
        let ends_handshake = id.side == Side::Server && matches!(head.carried, Carried::Ack | Carried::Data);
        if ends_handshake && listening == Listening::Full && self.end(id).is_some_and(is_opening) {
            // The answer to the SYN will be sent again, and be acknowledged again.
            medium.packets.end(packet);
            return arrived;
        }
        match head.carried {
            Carried::Syn => arrived = self.syn_arrived(medium, id, listening),
            Carried::SynAck => self.syn_ack_arrived(medium, id, head.window),
            Carried::Reset => self.fail(medium, id),
            Carried::Data => {
                self.data_arrived(medium, segment);
                return arrived;
            }
            Carried::Ack | Carried::Datagram => self.ack_arrived(medium, id, head.acknowledged, head.window, true),
        }
        medium.packets.end(packet);
        arrived
    }

    fn syn_arrived(&mut self, medium: &mut Medium, id: EndId, listening: Listening) -> Arrived {
        let settings = self.settings;
        let Some(connection) = self.connections.get_mut(id.connection as usize) else { return Arrived::Nothing };
        if connection.generation != id.generation {
            return Arrived::Nothing; // The client gave up long ago.
        }
        match connection.server.as_ref().map(|end| (end.phase, end.owner.slot)) {
            // The answer was lost, or this is an old copy.
            Some((Phase::Opening { .. }, _)) => {
                self.send(medium, id, Carried::SynAck, 0, false, &[]);
                return Arrived::Nothing;
            }
            Some((Phase::Over, slot)) if slot != NOBODY => {
                self.send_reset(medium, id);
                return Arrived::Nothing;
            }
            Some((Phase::Open | Phase::Done, _)) => return Arrived::Nothing,
            // The first, or one that was refused before, of which the client has not heard.
            Some((Phase::Over, _)) | None => {}
        }
        match listening {
            Listening::Full => Arrived::Nothing,
            Listening::No => {
                let host = connection.server_host.unwrap_or(0);
                let nobody = Owner { slot: NOBODY, boot: 0, host };
                connection.server = Some(End { phase: Phase::Over, ..End::new(nobody, settings, medium.now) });
                self.send_reset(medium, id);
                self.release(id);
                Arrived::Nothing
            }
            Listening::Yes(owner) => {
                connection.server = Some(End::new(owner, settings, medium.now));
                self.send_opening(medium, id);
                Arrived::Opening(id)
            }
        }
    }

    fn syn_ack_arrived(&mut self, medium: &mut Medium, id: EndId, window: u64) {
        let Some(end) = self.end(id) else { return };
        match end.phase {
            Phase::Opening { attempts } => {
                end.phase = Phase::Open;
                end.open_untold = true;
                end.deadline = u64::MAX;
                if attempts == 1 {
                    let round_trip = medium.now - end.opened_at;
                    end.sender.measured(round_trip);
                }
                end.sender.acknowledge(medium.now, 0, window, false);
                self.send_acknowledgement(medium, id);
                self.pump(medium, id);
            }
            Phase::Open | Phase::Done => self.send_acknowledgement(medium, id),
            Phase::Over => self.send_reset(medium, id),
        }
    }

    fn ack_arrived(&mut self, medium: &mut Medium, id: EndId, acknowledged: u64, window: u64, alone: bool) {
        let Some(end) = self.end(id) else { return };
        match end.phase {
            Phase::Opening { attempts } if id.side == Side::Server => {
                end.phase = Phase::Open;
                end.open_untold = true;
                end.deadline = u64::MAX;
                if attempts == 1 {
                    let round_trip = medium.now - end.opened_at;
                    end.sender.measured(round_trip);
                }
            }
            Phase::Opening { .. } | Phase::Done => return,
            Phase::Open => {}
            Phase::Over => return self.send_reset(medium, id),
        }
        end.sender.acknowledge(medium.now, acknowledged, window, alone);
        self.pump(medium, id);
    }

    fn data_arrived(&mut self, medium: &mut Medium, segment: Segment) {
        let Segment { packet, head } = segment;
        self.ack_arrived(medium, head.to, head.acknowledged, head.window, false);
        let Some(end) = self.end(head.to) else { return medium.packets.end(packet) };
        match end.phase {
            Phase::Open => {
                end.receiver.take_in(head.sequence, head.last, packet, &mut medium.packets);
                if end.has_news() {
                    medium.pokes.push_back(head.to);
                }
                self.send_acknowledgement(medium, head.to);
            }
            Phase::Done => {
                medium.packets.end(packet);
                self.send_acknowledgement(medium, head.to);
            }
            Phase::Opening { .. } | Phase::Over => medium.packets.end(packet),
        }
    }

    /// The stream is broken at this end.
    pub(super) fn fail(&mut self, medium: &mut Medium, id: EndId) {
        let Some(end) = self.end(id) else { return };
        if matches!(end.phase, Phase::Open | Phase::Opening { .. }) {
            end.end(medium);
            // An application that never heard of the stream need not hear of its end.
            end.failed_untold = end.stream.is_some();
            end.open_untold = false;
            medium.pokes.push_back(id);
            self.release(id);
        }
    }

    /// An entry of the agenda for this end came up.
    pub(crate) fn timer(&mut self, medium: &mut Medium, id: EndId) {
        let retries = self.settings.open_retries;
        let Some(end) = self.end(id) else { return };
        if end.scheduled > medium.now {
            return; // An entry that a later, earlier one replaced.
        }
        end.scheduled = u64::MAX;
        if end.deadline > medium.now {
            return self.schedule(medium, id);
        }
        match end.phase {
            Phase::Opening { attempts } if attempts > retries => self.fail(medium, id),
            Phase::Opening { .. } => self.send_opening(medium, id),
            Phase::Open if !end.sender.time_out() => self.fail(medium, id),
            Phase::Open => self.pump(medium, id),
            Phase::Done | Phase::Over => {}
        }
    }

    /// Sends a SYN, or the answer to one, and waits for what it should bring.
    pub(super) fn send_opening(&mut self, medium: &mut Medium, id: EndId) {
        let settings = self.settings;
        let Some(end) = self.end(id) else { return };
        let Phase::Opening { attempts } = &mut end.phase else { return };
        *attempts += 1;
        end.deadline = medium.now + (settings.open_timeout << (*attempts - 1).min(20)).min(2 * settings.timeout_max);
        let carried = if id.side == Side::Client { Carried::Syn } else { Carried::SynAck };
        self.send(medium, id, carried, 0, false, &[]);
        self.schedule(medium, id);
    }

    /// The next thing to tell the application about this end, which it calls by this name.
    pub(crate) fn next_input(&mut self, medium: &mut Medium, id: EndId) -> Option<StreamNews> {
        let from = self.remote_address(medium, id);
        let end = self.end(id)?;
        if core::mem::take(&mut end.open_untold) {
            match id.side {
                Side::Client => return Some(StreamNews::Moved(end.stream?, Moved::Connected)),
                Side::Server => return Some(StreamNews::Accept(from)),
            }
        }
        let stream = end.stream?;
        let moved = match end.phase {
            Phase::Opening { .. } | Phase::Done => return None,
            Phase::Over if !end.failed_untold => return None,
            Phase::Open if end.sender.has_written() => Moved::Written(end.sender.take_written()),
            Phase::Open | Phase::Over if end.receiver.has_ready() => Moved::Data(end.receiver.take_ready()),
            Phase::Over => {
                end.failed_untold = false;
                self.release(id);
                Moved::Failed
            }
            Phase::Open if end.receiver.is_ended() && !end.finish_told => {
                end.finish_told = true;
                Moved::Finished
            }
            Phase::Open => {
                if end.finish_told && end.sender.is_done() {
                    end.phase = Phase::Done;
                    end.deadline = u64::MAX;
                    self.release(id);
                }
                return None;
            }
        };
        Some(StreamNews::Moved(stream, moved))
    }

    /// What an application sees of its peer: the client's host, with a port of the moment.
    fn remote_address(&self, medium: &Medium, id: EndId) -> std::net::SocketAddr {
        let host = self.connections.get(id.connection as usize).and_then(|connection| connection.host(id.peer().side));
        let mut address = medium.address(host.unwrap_or(0));
        if id.side == Side::Server {
            address.set_port(49_152 + (id.connection % 16_384) as u16);
        }
        address
    }
}
