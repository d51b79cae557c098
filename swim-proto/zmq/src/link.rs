//! One end of one TCP connection.
//!
//! `inbound` takes bytes apart; here is the rest: what is asked of a link, when it has to be looked at again, and how
//! it ends.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use omq_proto::proto::connection::ConnectionConfig;
use omq_proto::proto::{Command, Connection, SocketType};
use omq_proto::{MechanismSetup, Message};
use swim_proto::Instant;

use crate::config::{ConfigError, LinkConfig, Mechanism, Role, Socket};
use crate::error::{LinkError, SendError};
use crate::frame::{Frame, Gate, framed_len};
use crate::greeting::Greeting;
use crate::heartbeat::{Due, Heartbeat};
use crate::limits::Limits;
use crate::outbox::{COPY_BELOW, Outbox};

mod inbound;

/// What a link tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The handshake is done: messages can be sent.
    Ready(Peer),
    /// A message was refused with [`SendError::Full`], and since then half of the queue has been written.
    Writable,
    /// The end, and the last event. What was received before can still be polled.
    Closed(LinkError),
}

/// Who is at the other end, as it says itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// What kind of socket.
    pub socket: Socket,
    /// Its identity: at most 255 bytes, not beginning with a zero; empty if it gave none. Two links may give the same
    /// one; which of them counts is for the owner of the links to say.
    pub identity: Bytes,
    /// The minor of the ZMTP 3 that both speak, 0 or 1. Heartbeats are part of 1.
    pub minor: u8,
}

/// What passed through a link since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes handed to [`Link::handle_input`].
    pub bytes_in: u64,
    /// Bytes that [`Link::transmitted`] told of.
    pub bytes_out: u64,
    /// Whole messages received.
    pub messages_in: u64,
    /// Messages taken by [`Link::send`].
    pub messages_out: u64,
    /// PINGs received, each of which was answered.
    pub pings_in: u64,
    /// PINGs sent.
    pub pings_out: u64,
    /// PONGs received.
    pub pongs_in: u64,
    /// Other commands received, which mean nothing between these sockets.
    pub commands_skipped: u64,
}

/// One end of a ZeroMQ link. The crate's page says how it is driven.
#[derive(Debug)]
pub struct Link {
    role: Role,
    mechanism: Mechanism,
    limits: Limits,
    handshake_timeout: Duration,
    state: State,
    codec: Connection,
    /// The peer's greeting, until it is whole.
    greeting: Option<Greeting>,
    gate: Gate,
    /// The frame that has begun, from the first byte of its header on.
    partial: BytesMut,
    /// And what its header said, once that is all there.
    frame: Option<Frame>,
    /// Input that waits until there is room for what it brings.
    rest: BytesMut,
    /// Set when the received queue was full, until half of it was polled.
    paused: bool,
    received: VecDeque<Vec<Bytes>>,
    received_bytes: usize,
    /// What the peer's last PING promises, until the heartbeat has been told.
    promise: Option<Duration>,
    /// The peer's minor version, from READY until the heartbeat has begun.
    opened: Option<u8>,
    outbox: Outbox,
    /// Where the last PING ends, until it is written.
    ping_end: Option<u64>,
    /// A message was refused for want of room, and nobody was told yet that there is some.
    refused: bool,
    heartbeat: Heartbeat,
    events: VecDeque<Event>,
    stats: Stats,
}

#[derive(Debug)]
enum State {
    /// The handshake goes on, until then.
    Opening {
        until: Instant,
    },
    Ready,
    Closed(LinkError),
}

impl Link {
    /// The end of a connection that has just been made. Its greeting waits to be written.
    ///
    /// # Errors
    /// What cannot be about the configuration.
    pub fn new(now: Instant, config: LinkConfig) -> Result<Link, ConfigError> {
        config.validate()?;
        let LinkConfig { role, identity, mechanism, handshake_timeout, heartbeat, limits } = config;
        let mut link = Link {
            role,
            codec: codec(role, identity, &mechanism, &limits),
            mechanism,
            limits,
            handshake_timeout,
            state: State::Opening { until: now + handshake_timeout },
            greeting: Some(Greeting::new()),
            gate: Gate::new(limits),
            partial: BytesMut::new(),
            frame: None,
            rest: BytesMut::new(),
            paused: false,
            received: VecDeque::new(),
            received_bytes: 0,
            promise: None,
            opened: None,
            outbox: Outbox::default(),
            ping_end: None,
            refused: false,
            heartbeat: Heartbeat::new(heartbeat),
            events: VecDeque::new(),
            stats: Stats::default(),
        };
        link.collect_commands();
        Ok(link)
    }

    /// Bytes were read. All of them are taken; if there is no room for what they bring, the link keeps the rest and
    /// wants no more.
    pub fn handle_input(&mut self, now: Instant, bytes: &[u8]) {
        if bytes.is_empty() || self.closed().is_some() {
            return;
        }
        self.stats.bytes_in += bytes.len() as u64;
        self.heartbeat.heard(now);
        if self.rest.is_empty() {
            let taken = self.take(bytes);
            self.rest.extend_from_slice(&bytes[taken..]);
        } else {
            self.rest.extend_from_slice(bytes);
        }
        self.settle(now);
    }

    /// Time passed: [`Link::deadline`], or any other.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Opening { until } if until <= now => {
                self.close(LinkError::HandshakeTimeout { after: self.handshake_timeout });
            }
            State::Opening { .. } | State::Closed(_) => {}
            State::Ready => loop {
                match self.heartbeat.due(now) {
                    Due::Nothing => break,
                    Due::Ping => self.ping(),
                    Due::Gone(error) => return self.close(error),
                }
            },
        }
    }

    /// When [`Link::handle_timeout`] is to be called; never before something else happens, if `None`.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Opening { until } => Some(until),
            State::Ready => self.heartbeat.deadline(),
            State::Closed(_) => None,
        }
    }

    /// Whether to read. Not while received messages wait for [`Link::poll_message`], nor while answers to the peer's
    /// PINGs wait to be written, nor after the end.
    pub fn wants_input(&self) -> bool {
        self.closed().is_none() && self.rest.is_empty() && !self.paused && !self.owes_answers()
    }

    /// The next message, of at least one part.
    ///
    /// Parts below 4 KiB are copied side by side into a block of this message's own; longer ones share what was read.
    /// A message that is kept therefore keeps at most a few times its own length.
    pub fn poll_message(&mut self, now: Instant) -> Option<Vec<Bytes>> {
        let message = self.received.pop_front()?;
        self.received_bytes -= message.iter().map(Bytes::len).sum::<usize>();
        self.settle(now);
        Some(message)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Puts a message of these parts into the queue, whole or not at all.
    ///
    /// # Errors
    /// Nothing of it is sent. [`SendError::NotReady`] and [`SendError::Full`] will pass: [`Event::Ready`] and
    /// [`Event::Writable`] say when. The others will not: the link has ended, or the message has no parts, or exceeds a limit.
    pub fn send(&mut self, parts: &[Bytes]) -> Result<(), SendError> {
        match self.state {
            State::Opening { .. } => return Err(SendError::NotReady),
            State::Closed(_) => return Err(SendError::Closed),
            State::Ready => {}
        }
        let framed = self.check(parts)?;
        if self.outbox.messages() >= self.limits.send_messages_max
            || self.outbox.bytes() + framed > self.limits.send_bytes_max
        {
            self.refused = true;
            return Err(SendError::Full);
        }
        let message = Message::multipart(parts.iter().cloned());
        if framed < COPY_BELOW && !self.codec.has_frame_transform() {
            self.codec.send_message_flat(&message, self.outbox.tail().bytes());
        } else {
            self.codec.send_message(&message).expect("the handshake is done, and NULL refuses nothing");
            self.collect();
        }
        self.outbox.end_message();
        self.stats.messages_out += 1;
        Ok(())
    }

    /// How long the message is with its headers, if it may be sent at all.
    fn check(&self, parts: &[Bytes]) -> Result<usize, SendError> {
        let Limits { part_bytes_max, parts_max, message_bytes_max, .. } = self.limits;
        if parts.is_empty() {
            return Err(SendError::NoParts);
        }
        if parts.len() > parts_max {
            return Err(SendError::TooManyParts { parts: parts.len(), max: parts_max });
        }
        if let Some(long) = parts.iter().find(|part| part.len() > part_bytes_max) {
            return Err(SendError::PartTooLong { bytes: long.len(), max: part_bytes_max });
        }
        let bytes = parts.iter().map(Bytes::len).sum();
        if bytes > message_bytes_max {
            return Err(SendError::MessageTooLong { bytes, max: message_bytes_max });
        }
        Ok(parts.iter().map(|part| framed_len(part.len())).sum())
    }

    /// Fills `slices` with what waits to be written, for a vectored write; says how many.
    pub fn transmit<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.outbox.slices(slices)
    }

    /// All that waits to be written, copied together: for tests, and writers without vectored writes.
    pub fn transmit_bytes(&self) -> Vec<u8> {
        self.outbox.to_vec()
    }

    /// How many bytes wait to be written.
    pub fn pending(&self) -> usize {
        self.outbox.bytes()
    }

    /// How many messages wait to be written, the one that is being written included.
    pub fn pending_messages(&self) -> usize {
        self.outbox.messages()
    }

    /// The socket took the first `count` bytes.
    ///
    /// # Panics
    /// If fewer waited.
    pub fn transmitted(&mut self, now: Instant, count: usize) {
        if count == 0 {
            return;
        }
        self.outbox.advance(count);
        self.stats.bytes_out += count as u64;
        if let Some(end) = self.ping_end {
            let written = end <= self.outbox.written();
            self.heartbeat.ping_moves(now, written);
            self.ping_end = Some(end).filter(|_| !written);
        }
        if self.refused
            && self.closed().is_none()
            && self.outbox.bytes() <= self.limits.send_bytes_max / 2
            && self.outbox.messages() <= self.limits.send_messages_max / 2
        {
            self.refused = false;
            self.events.push_back(Event::Writable);
        }
        self.settle(now);
    }

    /// Whether the handshake is done and the link has not ended.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready)
    }

    /// Why the link ended, if it has.
    pub fn closed(&self) -> Option<&LinkError> {
        match &self.state {
            State::Closed(error) => Some(error),
            State::Opening { .. } | State::Ready => None,
        }
    }

    /// What passed so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// After whatever may have made room, or taken it: goes on with input that waits for room, and begins or ceases
    /// to count silence.
    fn settle(&mut self, now: Instant) {
        let mut rest = std::mem::take(&mut self.rest);
        let taken = self.take(&rest);
        rest.advance(taken);
        if !rest.is_empty() {
            self.rest = rest;
        }
        if let Some(minor) = self.opened.take() {
            self.heartbeat.begin(now, minor >= 1);
        }
        if let Some(ttl) = self.promise.take() {
            self.heartbeat.promised(now, ttl);
        }
        self.heartbeat.listening(now, self.wants_input());
    }

    fn ping(&mut self) {
        // While one waits to be written another would say nothing new.
        if self.ping_end.is_some() {
            return;
        }
        let ping = Command::Ping { ttl_deciseconds: self.heartbeat.ttl_deciseconds(), context: Bytes::new() };
        self.codec.send_command(&ping).expect("the handshake is done");
        self.collect();
        self.ping_end = Some(self.outbox.end());
        self.stats.pings_out += 1;
    }

    fn close(&mut self, error: LinkError) {
        self.codec.close();
        self.partial = BytesMut::new();
        self.frame = None;
        self.rest = BytesMut::new();
        self.promise = None;
        self.state = State::Closed(error.clone());
        self.events.push_back(Event::Closed(error));
    }

    /// Takes what the codec wants to be written; says how many bytes.
    fn collect(&mut self) -> usize {
        let bytes = self.codec.pending_transmit_size();
        if bytes > 0 {
            self.codec.clone_transmit_chunks().into_iter().for_each(|chunk| self.outbox.push(chunk));
            self.codec.advance_transmit(bytes);
        }
        bytes
    }

    /// The same, for what the codec said by itself.
    fn collect_commands(&mut self) {
        let bytes = self.collect();
        if bytes > 0 {
            self.outbox.end_commands(bytes);
        }
    }
}

/// The codec of a link. It is told the limits as well, though nothing reaches it that exceeds them: where frames are
/// encrypted, what a gate before it sees is not all.
fn codec(role: Role, identity: Bytes, mechanism: &Mechanism, limits: &Limits) -> Connection {
    use omq_proto::proto::Role as Side;
    let (side, socket) = match role {
        Role::Dealer => (Side::Client, SocketType::Dealer),
        Role::Router => (Side::Server, SocketType::Router),
    };
    let setup = match mechanism {
        Mechanism::Null => MechanismSetup::Null,
    };
    // It counts a slot of its own for each part.
    let slots = limits.parts_max * size_of::<omq_proto::Payload>();
    let config = ConnectionConfig::new(side, socket)
        .identity(identity)
        .mechanism(setup)
        .max_message_size(limits.message_bytes_max + slots);
    Connection::new(config)
}
