//! A stream moved: opened, accepted, read, written, ended. What is said on it is `exchanges`' matter.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::mem;
use core::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::carriers::Whose;
use super::{Node, Status};
use crate::action::{STREAM_CREDIT, StreamId, StreamInput};
use crate::config::Transport;
use crate::dissemination::BroadcastId;
use crate::dissemination::exchange::{Part, Step};
use crate::membership::digest::Buckets;
use crate::membership::{Incarnation, NodeId};
use crate::outbox::Control;
use crate::time::Instant;
use crate::timers::Timer;
use crate::wire::{FRAME_MAX, FrameReader, PAYLOAD_MAX, PREFIX_LEN, VERSION, canonical};

/// The packets of a long step are about this long: a few fit into a stream's credit.
pub(super) const PACKET_LEN: usize = 16 * 1024;

/// A packet with a payload may be as long as the credit that a stream has when all is written.
pub(super) const LONG_PACKET_LEN: usize = STREAM_CREDIT - PREFIX_LEN;

const _: () = assert!(PAYLOAD_MAX + 100 < LONG_PACKET_LEN && LONG_PACKET_LEN <= FRAME_MAX);

/// However it moves, a stream is reset after so many times [`Config::stream_timeout`](crate::Config::stream_timeout).
const TIMEOUTS_MAX: u32 = 6;

/// One stream.
pub(super) struct Stream {
    pub(super) step: Step,
    pub(super) connected: bool,
    /// From where the peer opened it, if it was the peer who did.
    pub(super) guest: Option<SocketAddr>,
    /// The version that its packets are written in.
    pub(super) version: u8,
    pub(super) reader: FrameReader,
    pub(super) parts: VecDeque<Part>,
    /// Finish once the parts are written.
    pub(super) finish: bool,
    pub(super) finished: bool,
    pub(super) peer_finished: bool,
    /// Given to the driver and not reported as written.
    pub(super) unwritten: usize,
    /// A write is announced to whoever polls.
    pub(super) announced: bool,
    pub(super) opened: Instant,
    pub(super) moved: Instant,
    /// We serve an exchange on it that is not over: it counts towards the limit.
    pub(super) exchange: bool,
    /// We opened it for a direct message.
    pub(super) mail: bool,
    /// The first exchange of a newcomer: what it learns is not told on.
    pub(super) newcomer: bool,
    /// The buckets that differ.
    pub(super) buckets: Buckets,
    /// What the peer says it holds, sorted once complete.
    pub(super) held: Vec<(NodeId, Incarnation)>,
    /// What the peer wants, and where our graves contradict it.
    pub(super) wanted: Vec<NodeId>,
}

impl Stream {
    /// One that we open, for this step.
    pub(super) fn to_peer(now: Instant, step: Step) -> Stream {
        Stream::new(now, step, None)
    }

    /// One that was opened from there.
    pub(super) fn from_guest(now: Instant, from: SocketAddr) -> Stream {
        Stream::new(now, Step::Accepted, Some(from))
    }

    fn new(now: Instant, step: Step, guest: Option<SocketAddr>) -> Stream {
        Stream {
            step,
            connected: guest.is_some(),
            guest,
            version: VERSION,
            reader: FrameReader::new(),
            parts: VecDeque::new(),
            finish: false,
            finished: false,
            peer_finished: false,
            unwritten: 0,
            announced: false,
            opened: now,
            moved: now,
            exchange: false,
            mail: false,
            newcomer: false,
            buckets: Buckets::default(),
            held: Vec::new(),
            wanted: Vec::new(),
        }
    }
}

/// What others hold of our room, in all and host by host.
#[derive(Default)]
pub(super) struct Guests {
    all: Held,
    hosts: BTreeMap<IpAddr, Held>,
}

#[derive(Clone, Copy, Default)]
struct Held {
    streams: usize,
    exchanges: usize,
}

impl Guests {
    fn of(&self, host: IpAddr) -> Held {
        self.hosts.get(&host).copied().unwrap_or_default()
    }

    fn change(&mut self, host: IpAddr, change: impl Fn(&mut Held)) {
        change(&mut self.all);
        let held = self.hosts.entry(host).or_default();
        change(held);
        if held.streams == 0 {
            self.hosts.remove(&host);
        }
    }
}

/// What a stream is opened for.
#[derive(Clone, Debug)]
pub(super) enum Opening {
    Ping { seq: u32, target: NodeId },
    Join,
    Sync,
    Pull(BroadcastId),
    Mail { target: NodeId, payload: Bytes },
}

/// What came on a stream is not a packet of ours, or not what is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken;

impl Node {
    /// Somebody at this address, however the socket spells it, opened a stream to us. `None`: there is no room for it,
    /// or its host has its share; close it.
    pub fn accept_stream(&mut self, now: Instant, from: SocketAddr) -> Option<StreamId> {
        let now = self.begin(now);
        let from = canonical(from);
        let host = from.ip();
        // The last quarter of the room is our own: others cannot keep us from opening streams.
        let room = usize::from(self.config.streams_max) * 3 / 4;
        let has_its_share = self.guests.of(host).streams >= self.share_of(room);
        if has_its_share || self.guests.all.streams >= room && !self.displace_carrier(now, Whose::Guests) {
            self.stats.drops.streams_full += 1;
            return None;
        }
        // Where pings may come by carrier, one who leaves goes on answering them.
        let answers = matches!(self.status, Status::Leaving | Status::Left);
        let takes = self.is_running() || answers && self.config.transport != Transport::Datagram;
        if !takes || !self.has_stream_room(now) {
            return None;
        }
        self.guests.change(host, |held| held.streams += 1);
        let mut stream = Stream::from_guest(now, from);
        stream.version = self.config.versions.min;
        Some(self.add_stream(now, stream))
    }

    /// How much of this room one host may have.
    fn share_of(&self, room: usize) -> usize {
        (room * usize::from(self.config.host_share_percent) / 100).max(1)
    }

    /// Something happened to a stream. Input for a stream that is gone is ignored.
    pub fn handle_stream(&mut self, now: Instant, stream: StreamId, input: StreamInput<'_>) {
        let now = self.begin(now);
        self.stream_moved(now, stream, input);
        self.start_pulls(now);
    }

    fn stream_moved(&mut self, now: Instant, id: StreamId, input: StreamInput<'_>) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        match input {
            StreamInput::Connected => {
                stream.moved = now;
                stream.connected = true;
                self.announce_write(id);
            }
            StreamInput::Data(bytes) => {
                self.stats.stream_bytes_in += bytes.len() as u64;
                if self.read_stream(now, id, bytes).is_err() {
                    self.stats.drops.streams_broken += 1;
                    self.reset_stream(id);
                    self.stream_ended(now, id);
                }
            }
            StreamInput::Written(len) => {
                stream.moved = now;
                stream.unwritten = stream.unwritten.saturating_sub(len);
                let carries = stream.step == Step::Carrying;
                self.announce_write(id);
                if carries {
                    self.carrier_written(now, id);
                }
                self.end_if_done(id);
            }
            StreamInput::Finished => {
                stream.peer_finished = true;
                // Whatever is still due will not come.
                if stream.step == Step::Ending {
                    self.end_if_done(id);
                } else if stream.step == Step::Carrying {
                    self.carrier_finished(now, id);
                } else {
                    self.reset_stream(id);
                    self.stream_ended(now, id);
                }
            }
            StreamInput::Failed => {
                self.remove_stream(id);
                self.stream_ended(now, id);
            }
        }
    }

    fn read_stream(&mut self, now: Instant, id: StreamId, bytes: &[u8]) -> Result<(), Broken> {
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        let mut reader = mem::replace(&mut stream.reader, FrameReader::new());
        reader.push(bytes);
        while let Some(packet) = reader.next().map_err(|_| Broken)? {
            self.heard(now);
            // Bytes keep no stream open, nor does a packet that says nothing: only what was due does.
            let said = self.hear_packet(now, id, packet)?;
            if let Some(stream) = self.streams.get_mut(&id).filter(|_| said) {
                stream.moved = now;
            }
            // The first packet says what it is about.
            if self.streams.get(&id).is_some_and(|stream| stream.step == Step::Accepted) {
                return Err(Broken);
            }
        }
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.reader = reader;
        }
        self.announce_write(id);
        Ok(())
    }

    /// Opens a stream, if there is room, and counts it if there is none.
    pub(super) fn open_stream(&mut self, now: Instant, to: SocketAddr, opening: Opening) -> Option<StreamId> {
        if !self.has_stream_room(now) {
            return None;
        }
        self.stats.syncs_started += u64::from(matches!(opening, Opening::Join | Opening::Sync));
        let (step, part) = match opening {
            Opening::Ping { seq, target } => (Step::Pinged(target), Part::Ping { seq, target }),
            Opening::Join => (Step::Joining, Part::Join),
            Opening::Sync => (Step::Rooted, Part::Root),
            Opening::Pull(id) => (Step::Pulling, Part::Pull(id)),
            Opening::Mail { target, payload } => (Step::Ending, Part::Mail { target, payload }),
        };
        let mut stream = Stream::to_peer(now, step);
        stream.mail = matches!(part, Part::Mail { .. });
        stream.finish = stream.mail;
        stream.parts.push_back(part);
        stream.newcomer = self.table.others().is_empty();
        stream.version = self.version_for(to);
        let id = self.add_stream(now, stream);
        self.outbox.control.push_back(Control::Connect { stream: id, to });
        Some(id)
    }

    /// Whether one more stream may be open.
    pub(super) fn is_stream_free(&self) -> bool {
        self.streams.len() < usize::from(self.config.streams_max)
    }

    /// Whether one more stream may be open, if need be instead of a carrier that nobody uses.
    pub(super) fn has_stream_room(&mut self, now: Instant) -> bool {
        let room = self.is_stream_free() || self.displace_carrier(now, Whose::Anybodys);
        self.stats.drops.streams_full += u64::from(!room);
        room
    }

    pub(super) fn add_stream(&mut self, now: Instant, stream: Stream) -> StreamId {
        self.stream_count += 1;
        let id = StreamId(self.stream_count);
        self.streams.insert(id, Box::new(stream));
        self.timers.push(now + self.config.stream_timeout, Timer::Stream(id));
        id
    }

    /// Has a stream's next write polled, if it has something to write, may write, and is not announced yet.
    pub(super) fn announce_write(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let waits = stream.step == Step::Carrying && self.carriers.has_waiting(id);
        let due = waits || !stream.parts.is_empty() || stream.finish && !stream.finished;
        let long = stream.parts.front().is_some_and(Part::stands_alone);
        let packet_len = if long { LONG_PACKET_LEN } else { PACKET_LEN };
        let credit = stream.unwritten + packet_len + PREFIX_LEN <= STREAM_CREDIT;
        if stream.connected && due && credit && !stream.announced {
            stream.announced = true;
            self.outbox.control.push_back(Control::Write { stream: id });
        }
    }

    /// Forgets a stream that both sides have finished, once the socket has taken what was written: until then it holds its
    /// place, and has its time, as any other. Whoever finishes and does not read keeps nothing for ever.
    pub(super) fn end_if_done(&mut self, id: StreamId) {
        let is_done = |stream: &Stream| stream.finished && stream.peer_finished && stream.unwritten == 0;
        if self.streams.get(&id).is_some_and(|stream| is_done(stream)) {
            self.remove_stream(id);
        }
    }

    fn remove_stream(&mut self, id: StreamId) -> Option<Box<Stream>> {
        let stream = self.streams.remove(&id)?;
        if let Some(from) = stream.guest {
            let exchanges = usize::from(stream.exchange);
            self.guests.change(from.ip(), |held| {
                held.streams -= 1;
                held.exchanges -= exchanges;
            });
        }
        self.stats.messages_failed += u64::from(stream.mail && !stream.finished);
        if stream.step == Step::Carrying {
            self.stats.drops.carrier_lost += self.carriers.remove(id) as u64;
        }
        Some(stream)
    }

    /// Drops a stream at once. Whoever waits for its outcome is told by the caller.
    pub(super) fn reset_stream(&mut self, id: StreamId) {
        if self.remove_stream(id).is_some() {
            self.outbox.control.push_back(Control::Reset { stream: id });
        }
    }

    /// A stream ended before what it was for was done.
    fn stream_ended(&mut self, now: Instant, id: StreamId) {
        self.join_attempt_failed(now, id);
        self.pull_failed(id);
    }

    /// When a stream has had its time: nothing has moved for long, or it has lasted too long in all.
    pub(super) fn stream_ends_at(&self, stream: &Stream) -> Instant {
        let timeout = self.config.stream_timeout;
        (stream.moved + timeout).min(stream.opened + timeout * TIMEOUTS_MAX)
    }

    /// Resets a stream that has had its time.
    pub(super) fn stream_timed_out(&mut self, now: Instant, id: StreamId) {
        let Some(stream) = self.streams.get(&id) else { return };
        if stream.step == Step::Carrying {
            return self.carrier_timed_out(now, id);
        }
        let ends_at = self.stream_ends_at(stream);
        if ends_at > now {
            return self.timers.push(ends_at, Timer::Stream(id));
        }
        // A stream that has done all it was for waits only for the peer's goodbye.
        self.stats.drops.streams_idle += u64::from(stream.step != Step::Ending);
        self.reset_stream(id);
        self.stream_ended(now, id);
        self.start_pulls(now);
    }

    /// Takes a place among the exchanges that are served, if there is one for this stream's host.
    pub(super) fn begin_serving(&mut self, id: StreamId) -> bool {
        let room = self.exchanges_max();
        let share = self.share_of(room);
        let Some(stream) = self.streams.get_mut(&id) else { return false };
        let Some(host) = stream.guest.map(|guest| guest.ip()) else { return false };
        let taken = self.guests.all.exchanges >= room || self.guests.of(host).exchanges >= share;
        if taken || self.status == Status::Leaving {
            return false;
        }
        stream.exchange = true;
        self.guests.change(host, |held| held.exchanges += 1);
        self.stats.syncs_served += 1;
        true
    }

    /// Gives that place back.
    pub(super) fn end_serving(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id)
            && mem::take(&mut stream.exchange)
            && let Some(guest) = stream.guest
        {
            self.guests.change(guest.ip(), |held| held.exchanges -= 1);
        }
    }
}
