//! Bytes arrived.
//!
//! The codec is only ever given whole frames. It would keep the pieces of an unfinished one as they come, each with an
//! allocation and a list entry of its own, so that a peer that sends a frame byte by byte would cost it a hundred
//! times what it sent; here an unfinished frame is one buffer that grows by what has arrived. And it would cut parts
//! out of whatever block they were read with, so that a short part kept for a while would keep that block with it.

use bytes::{Bytes, BytesMut};
use omq_proto::Message;
use omq_proto::proto::Event as CodecEvent;

use super::{Event, Link, Peer, State};
use crate::error::LinkError;
use crate::frame::{Frame, Kind, header_len};
use crate::greeting::Greeting;
use crate::ready;

/// Frames are given to the codec in runs of about so many bytes: what one part of a run may keep alive.
const RUN_BYTES: usize = 16 * 1024;

/// Parts below this are copied out of their run.
const SHARE_FROM: usize = 4 * 1024;

/// Answers to PINGs that may wait to be written before no more are read.
const ANSWERS_BYTES_MAX: usize = 16 * 1024;

impl Link {
    /// Whether the peer has to read before it is heard again.
    pub(super) fn owes_answers(&self) -> bool {
        self.outbox.command_bytes() >= ANSWERS_BYTES_MAX
    }

    /// Whether more may be received: not from when a limit is reached until half of it is free again.
    fn has_room(&mut self) -> bool {
        let share = if self.paused { 2 } else { 1 };
        self.paused = self.received.len() >= self.limits.received_messages_max.div_ceil(share)
            || self.received_bytes >= self.limits.received_bytes_max.div_ceil(share);
        !self.paused && !self.owes_answers()
    }

    /// Takes as much of `bytes` as there is room for what it brings, all of it if it is wrong; says how much.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        // Room is looked at after the last byte too, so that it is known whether there is any.
        while self.has_room() && at < bytes.len() {
            match self.step(&bytes[at..]) {
                Ok(taken) => at += taken,
                Err(error) => {
                    self.close(error);
                    return bytes.len();
                }
            }
        }
        at
    }

    /// Takes some of `bytes`, of which there are any; says how much.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, LinkError> {
        if let Some(greeting) = self.greeting.take() {
            return self.greet(greeting, bytes);
        }
        if let Some(frame) = self.frame {
            let missing = frame.len() - self.partial.len();
            let taken = missing.min(bytes.len());
            make_room(&mut self.partial, frame, taken);
            self.partial.extend_from_slice(&bytes[..taken]);
            if taken == missing {
                self.whole_frame(frame)?;
            }
            return Ok(taken);
        }
        if let Some(needed) = header_len(&self.partial) {
            let taken = (needed - self.partial.len()).min(bytes.len());
            self.partial.extend_from_slice(&bytes[..taken]);
            self.frame = self.gate.admit(&self.partial)?;
            if let Some(frame) = self.frame.filter(|frame| frame.body_len == 0) {
                self.whole_frame(frame)?;
            }
            return Ok(taken);
        }
        self.run(bytes)
    }

    fn greet(&mut self, mut greeting: Greeting, bytes: &[u8]) -> Result<usize, LinkError> {
        let taken = greeting.missing().min(bytes.len());
        greeting.take(&bytes[..taken], &self.mechanism)?;
        self.feed(Bytes::copy_from_slice(&bytes[..taken]))?;
        if greeting.missing() > 0 {
            self.greeting = Some(greeting);
        }
        Ok(taken)
    }

    /// A frame that came in pieces is whole.
    fn whole_frame(&mut self, frame: Frame) -> Result<(), LinkError> {
        self.frame = None;
        let bytes = std::mem::take(&mut self.partial).freeze();
        match frame.kind {
            Kind::Command => self.command(frame, bytes),
            Kind::Part | Kind::LastPart => self.feed(bytes),
        }
    }

    /// Whole frames from the beginning of `bytes`: one command, or parts as long as there is room; then the beginning
    /// of one that is not whole yet.
    fn run(&mut self, bytes: &[u8]) -> Result<usize, LinkError> {
        let mut at = 0;
        let mut room = self.limits.received_messages_max - self.received.len();
        let ended = loop {
            if at >= RUN_BYTES || room == 0 {
                break Ok(None);
            }
            let frame = match self.gate.admit(&bytes[at..]) {
                Ok(Some(frame)) => frame,
                Ok(None) => break Ok(Some(None)),
                Err(error) => break Err(error),
            };
            let whole = bytes.len() - at >= frame.len();
            match (frame.kind, whole) {
                // It is admitted again in its turn: of commands the gate remembers nothing.
                (Kind::Command, _) if at > 0 => break Ok(None),
                (Kind::Command, true) => {
                    self.command(frame, Bytes::copy_from_slice(&bytes[..frame.len()]))?;
                    return Ok(frame.len());
                }
                (_, false) => break Ok(Some(Some(frame))),
                (Kind::Part, true) => at += frame.len(),
                (Kind::LastPart, true) => {
                    at += frame.len();
                    room -= 1;
                }
            }
        };
        if at > 0 {
            self.feed(Bytes::copy_from_slice(&bytes[..at]))?;
        }
        let Some(begun) = ended? else { return Ok(at) };
        self.frame = begun;
        if let Some(frame) = begun {
            make_room(&mut self.partial, frame, bytes.len() - at);
        }
        self.partial.extend_from_slice(&bytes[at..]);
        Ok(bytes.len())
    }

    /// Gives the codec what is whole, and takes what that makes.
    fn feed(&mut self, bytes: Bytes) -> Result<(), LinkError> {
        let fed = self.codec.handle_input(bytes);
        while let Some(message) = self.codec.poll_message() {
            let parts = own(&message);
            self.received_bytes += parts.iter().map(Bytes::len).sum::<usize>();
            self.received.push_back(parts);
            self.stats.messages_in += 1;
        }
        self.collect_commands();
        fed.map_err(|error| LinkError::Codec(error.to_string()))
    }

    /// A whole command.
    fn command(&mut self, frame: Frame, bytes: Bytes) -> Result<(), LinkError> {
        let Some((name, body)) = ready::command(&bytes[frame.header_len..]) else {
            return Err(LinkError::Codec("a command is cut short in its name".into()));
        };
        match (&self.state, name) {
            (_, b"ERROR") => Err(LinkError::Refused { reason: ready::reason(body) }),
            (State::Opening { .. }, b"READY") => {
                let (socket, identity) = ready::properties(self.role, body)?;
                self.feed(bytes.clone())?;
                self.became_ready(socket, identity)
            }
            (State::Opening { .. }, _) => Err(LinkError::Ready("another command came first")),
            (_, b"READY") => Err(LinkError::SecondReady),
            (_, b"PING") => {
                self.stats.pings_in += 1;
                self.feed(bytes.clone())?;
                self.promise = Some(self.codec.peer_heartbeat_ttl().unwrap_or_default());
                Ok(())
            }
            (_, b"PONG") => {
                self.stats.pongs_in += 1;
                self.feed(bytes.clone())
            }
            (_, _) => {
                self.stats.commands_skipped += 1;
                self.feed(bytes.clone())?;
                while self.codec.poll_event().is_some() {}
                Ok(())
            }
        }
    }

    fn became_ready(&mut self, socket: crate::Socket, identity: Bytes) -> Result<(), LinkError> {
        let Some(CodecEvent::HandshakeSucceeded { peer_minor: minor, .. }) = self.codec.poll_event() else {
            return Err(LinkError::Codec("READY did not end the handshake".into()));
        };
        self.state = State::Ready;
        self.gate.ready();
        self.opened = Some(minor);
        self.events.push_back(Event::Ready(Peer { socket, identity, minor }));
        Ok(())
    }
}

/// Room for so many more bytes of a frame: twice what will have arrived, and never more than the frame is long.
fn make_room(partial: &mut BytesMut, frame: Frame, more: usize) {
    let needed = partial.len() + more;
    if needed > partial.capacity() {
        partial.reserve(frame.len().min(2 * needed) - partial.len());
    }
}

/// The parts of a message, each of which keeps alive little more than itself.
fn own(message: &Message) -> Vec<Bytes> {
    if let (1, Some(part)) = (message.len(), message.part_slice(0).filter(|part| part.len() < SHARE_FROM)) {
        return vec![Bytes::copy_from_slice(part)];
    }
    let short = |part: &&[u8]| part.len() < SHARE_FROM;
    let slices = || (0..message.len()).filter_map(|index| message.part_slice(index));
    let mut block = BytesMut::with_capacity(slices().filter(short).map(<[u8]>::len).sum());
    slices().filter(short).for_each(|part| block.extend_from_slice(part));
    let mut block = block.freeze();
    let own = |(index, part): (usize, &[u8])| {
        if short(&part) {
            block.split_to(part.len())
        } else {
            message.part_bytes(index).expect("its slice was just there")
        }
    };
    slices().enumerate().map(own).collect()
}
