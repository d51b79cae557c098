//! TCP connections of the membership, served in turns as their readiness allows.
//!
//! The system's word is taken for a hint: a socket that was said to be readable or writable is asked, and says itself
//! when there is nothing more. It is told of a change once only (edge-triggered), so what it was asked last is kept, and a
//! stream whose turn ended before its bytes did waits for the next in a list.
//!
//! What a stream can cost is bounded: at most [`STREAM_CREDIT`](swim_proto::STREAM_CREDIT) bytes to be written, by the
//! core's promise, and nothing read that the core has not been given.

mod stream;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use swim_driver::sockets;
use swim_proto::{Instant, StreamId};
use tracing::{debug, trace};

use self::stream::{Stream, Turn};
use crate::tokens::Slots;

/// Bytes read at once, at most.
pub(crate) const READ_MAX: usize = 16 * 1024;

/// All streams of a node.
#[derive(Debug)]
pub(crate) struct Streams {
    registry: Registry,
    bound: SocketAddr,
    connect_timeout: Duration,
    slots: Slots<Stream>,
    by_id: BTreeMap<StreamId, Token>,
    /// Those with something to do, each once; some may have ended meanwhile.
    ready: VecDeque<Token>,
    /// Those that open, by when they must be; some may have ended meanwhile.
    opening: VecDeque<(Instant, Token)>,
    /// Those that could not even begin, and why, or that could not be taken in.
    stillborn: VecDeque<(StreamId, Moved)>,
    /// Whether what comes is of no interest any more.
    is_closing: bool,
}

/// What happened to a stream. What was read lies in the buffer, so many bytes of it.
pub(crate) type Moved = swim_driver::runner::Moved<usize>;

impl Streams {
    /// `width` streams at most, with tokens of this range.
    pub(crate) fn new(
        registry: Registry,
        (tokens, width): (Range<usize>, usize),
        bound: SocketAddr,
        connect_timeout: Duration,
    ) -> io::Result<Streams> {
        Ok(Streams {
            registry,
            bound,
            connect_timeout,
            slots: Slots::new(tokens, width)?,
            by_id: BTreeMap::new(),
            ready: VecDeque::new(),
            opening: VecDeque::new(),
            stillborn: VecDeque::new(),
            is_closing: false,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whom a stream leads to.
    pub(crate) fn peer(&self, id: StreamId) -> Option<SocketAddr> {
        self.slots.get(*self.by_id.get(&id)?).map(Stream::peer)
    }

    /// Whether the token is of these, be it of the present or not.
    pub(crate) fn owns(&self, token: Token) -> bool {
        self.slots.owns(token)
    }

    /// Whether some stream can do something now.
    pub(crate) fn are_ready(&self) -> bool {
        !(self.ready.is_empty() && self.stillborn.is_empty())
    }

    /// When the first of those that open must be open.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.opening.front().map(|(until, _)| *until)
    }

    /// Begins to open a stream.
    pub(crate) fn connect(&mut self, now: Instant, id: StreamId, to: SocketAddr) {
        let begun = sockets::connect(self.bound, to).map(TcpStream::from_std);
        match begun.and_then(|socket| self.insert(Stream::opening(id, to, socket))) {
            Ok(token) => self.opening.push_back((now + self.connect_timeout, token)),
            Err(error) => {
                debug!(stream = id.0, %to, %error, "cannot open a stream");
                self.stillborn.push_back((id, Moved::Unconnected(error)));
            }
        }
    }

    /// Takes in a connection that somebody made.
    pub(crate) fn accept(&mut self, id: StreamId, socket: TcpStream, from: SocketAddr) {
        match self.insert(Stream::open(id, from, socket)) {
            // Something may have come before it was registered.
            Ok(token) => self.wake(token),
            Err(error) => {
                debug!(stream = id.0, %from, %error, "cannot take a stream in");
                self.stillborn.push_back((id, Moved::Failed));
            }
        }
    }

    fn insert(&mut self, mut stream: Stream) -> io::Result<Token> {
        let none_free = || io::Error::other("all tokens for streams are taken");
        let registered = self.slots.next().ok_or_else(none_free).and_then(|token| {
            self.registry.register(stream.socket(), token, Interest::READABLE | Interest::WRITABLE)?;
            Ok(token)
        });
        if let Err(error) = registered {
            stream.let_go();
            return Err(error);
        }
        let id = stream.id();
        let token = self.slots.insert(stream).ok_or_else(none_free)?;
        self.by_id.insert(id, token);
        Ok(token)
    }

    /// The system says that a socket is ready.
    pub(crate) fn handle_event(&mut self, event: &Event) {
        let is_readable = event.is_readable() || event.is_read_closed() || event.is_error();
        let is_writable = event.is_writable() || event.is_write_closed() || event.is_error();
        self.mark(event.token(), is_readable, is_writable);
    }

    fn mark(&mut self, token: Token, is_readable: bool, is_writable: bool) {
        if let Some(stream) = self.slots.get_mut(token) {
            stream.mark(is_readable, is_writable);
            self.wake(token);
        }
    }

    /// Whatever the system has said so far, all sockets are asked anew: when we are so late that it may have more to say.
    pub(crate) fn suspect_all(&mut self) {
        for token in self.slots.tokens() {
            self.mark(token, true, true);
        }
    }

    /// Writes these bytes after those given before. For a stream that has ended: in vain.
    pub(crate) fn write(&mut self, id: StreamId, bytes: &[u8]) {
        self.with(id, |stream| stream.write(bytes));
    }

    /// Shuts the sending side down, after what was written.
    pub(crate) fn finish(&mut self, id: StreamId) {
        self.with(id, Stream::finish);
    }

    fn with(&mut self, id: StreamId, change: impl FnOnce(&mut Stream)) {
        let Some(&token) = self.by_id.get(&id) else { return };
        if let Some(stream) = self.slots.get_mut(token) {
            change(stream);
            self.wake(token);
        }
    }

    fn wake(&mut self, token: Token) {
        if self.slots.get_mut(token).is_some_and(Stream::is_newly_ready) {
            self.ready.push_back(token);
        }
    }

    /// Drops the stream at once.
    pub(crate) fn reset(&mut self, id: StreamId) {
        if let Some(token) = self.by_id.get(&id) {
            self.remove(*token);
        }
    }

    /// Forgets a stream. One that has not come to its end leaves nothing behind in the system.
    fn remove(&mut self, token: Token) -> Option<StreamId> {
        let mut stream = self.slots.remove(token)?;
        self.by_id.remove(&stream.id());
        // It goes with the socket, wherever this fails.
        let _ = self.registry.deregister(stream.socket());
        stream.let_go();
        Some(stream.id())
    }

    /// How many are ready now: those that become so meanwhile are for later.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len() + self.stillborn.len()
    }

    /// The next thing that one of them does, the first first; what was read is in `buffer`. Those that take long take turns.
    /// `None`: it had nothing to do, or its end is nobody's business.
    pub(crate) fn serve(&mut self, buffer: &mut [u8]) -> Option<(StreamId, Moved)> {
        if let Some(stillborn) = self.stillborn.pop_front() {
            return Some(stillborn);
        }
        let token = self.ready.pop_front()?;
        let stream = self.slots.get_mut(token)?;
        let id = stream.id();
        let moved = match stream.turn(buffer) {
            Turn::Nothing => {
                stream.rests();
                return None;
            }
            Turn::Connected => Moved::Connected,
            Turn::Read(len) => Moved::Data(len),
            Turn::Wrote(len) => Moved::Written(len),
            Turn::Finished => Moved::Finished,
            Turn::Over => {
                self.remove(token);
                return None;
            }
            Turn::Failed(error, was_open) => {
                trace!(stream = id.0, %error, "a stream failed");
                self.remove(token);
                return Some((id, if was_open { Moved::Failed } else { Moved::Unconnected(error) }));
            }
        };
        // There may be more.
        self.ready.push_back(token);
        Some((id, moved)).filter(|_| !self.is_closing)
    }

    /// One that should be open by now, and is not.
    pub(crate) fn poll_late(&mut self, now: Instant) -> Option<(StreamId, Moved)> {
        while let Some(&(until, token)) = self.opening.front() {
            let is_opening = self.slots.get(token).is_some_and(Stream::is_opening);
            if is_opening && until > now {
                return None;
            }
            self.opening.pop_front();
            if is_opening {
                let id = self.remove(token)?;
                return Some((id, Moved::Unconnected(io::ErrorKind::TimedOut.into())));
            }
        }
        None
    }

    /// Lets all of them write what they have, and end. What still comes is read and dropped, because closing over unread
    /// bytes would reset the connection and take the written ones with it.
    pub(crate) fn flush(&mut self) {
        self.is_closing = true;
        for token in self.slots.tokens() {
            if self.slots.get(token).is_some_and(Stream::is_opening) {
                self.remove(token);
            } else if let Some(stream) = self.slots.get_mut(token) {
                stream.finish();
                self.wake(token);
            }
        }
    }

    /// Resets all of them.
    pub(crate) fn abort(&mut self) {
        for token in self.slots.tokens() {
            self.remove(token);
        }
    }
}

#[cfg(test)]
mod tests;
