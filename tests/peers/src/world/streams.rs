//! Streams: bytes arrive whole and in order, and lost segments cost time.
//!
//! A segment that is lost is sent again after 200 ms, then after twice that, and so on; a handshake after 1 s, then twice
//! that: TCP's time-outs without its cleverer recoveries. What is written arrives when its last segment has.

use std::collections::HashMap;

use super::agenda::Side;
use super::network::Network;
use crate::peer::{Index, Nanos, SECOND, StreamInput};

/// Bytes of a stream in one packet.
const SEGMENT: usize = 1_400;

/// The first time-out of a segment.
const RESEND: Nanos = SECOND / 5;

/// The first time-out of a handshake.
const RECONNECT: Nanos = SECOND;

/// What happens at one end of a stream.
#[derive(Debug)]
pub(crate) enum Moved {
    /// This node asks whether it may open it.
    Asked { from: Index },
    /// Something for the node.
    Peer(Input),
}

/// [`StreamInput`] with bytes of its own.
#[derive(Debug)]
pub(crate) enum Input {
    Connected,
    Data(Vec<u8>),
    Closed,
    Failed,
}

impl Input {
    pub(super) fn borrowed(&self) -> StreamInput<'_> {
        match self {
            Input::Connected => StreamInput::Connected,
            Input::Data(bytes) => StreamInput::Data(bytes),
            Input::Closed => StreamInput::Closed,
            Input::Failed => StreamInput::Failed,
        }
    }
}

/// One end.
#[derive(Clone, Copy, Debug)]
struct End {
    node: Index,
    /// What the node calls it, as long as it does.
    number: Option<u64>,
    /// When the last of what it wrote arrives: nothing overtakes.
    arrives: Nanos,
    finished: bool,
}

#[derive(Debug)]
struct Stream {
    ends: [End; 2],
    /// When the handshake is done at the opener; `None`: it was not answered yet.
    opens: Option<Nanos>,
    /// What the opener wrote before.
    waiting: Vec<Input>,
    /// How many ends have heard that the other writes no more.
    closed: u8,
}

/// All streams. A number is not used twice.
pub(crate) struct Streams {
    streams: Vec<Option<Stream>>,
    /// Which stream a node means by a number.
    named: HashMap<(Index, u64), (usize, Side)>,
    /// Bytes written to each, from both ends.
    written: Vec<u64>,
}

impl Streams {
    pub(super) fn new() -> Streams {
        Streams { streams: Vec::new(), named: HashMap::new(), written: Vec::new() }
    }

    /// Who is at this end, and what it calls the stream.
    pub(super) fn end(&self, stream: usize, side: Side) -> Option<(Index, Option<u64>)> {
        let end = &self.streams[stream].as_ref()?.ends[side as usize];
        Some((end.node, end.number))
    }

    /// Bytes written to each stream, from both ends, in the order of their opening.
    pub(crate) fn written(&self) -> &[u64] {
        &self.written
    }

    /// An end has heard that the other writes no more.
    pub(super) fn closed(&mut self, stream: usize) {
        let Some(open) = self.streams[stream].as_mut() else { return };
        open.closed += 1;
        if open.closed == 2 {
            self.forget(stream);
        }
    }

    /// The stream is gone for both ends.
    pub(super) fn forget(&mut self, stream: usize) {
        let Some(gone) = self.streams[stream].take() else { return };
        for end in gone.ends {
            if let Some(number) = end.number {
                self.named.remove(&(end.node, number));
            }
        }
    }
}

impl Network {
    pub(super) fn connect(&mut self, now: Nanos, node: Index, number: u64, to: Index) {
        let asked = now + self.delay(1, RECONNECT);
        let opener = End { node, number: Some(number), arrives: 0, finished: false };
        let acceptor = End { node: to, number: None, ..opener };
        let stream = self.streams.streams.len();
        let open = Stream { ends: [opener, acceptor], opens: None, waiting: Vec::new(), closed: 0 };
        self.streams.streams.push(Some(open));
        self.streams.written.push(0);
        self.streams.named.insert((node, number), (stream, Side::Opener));
        self.plan(asked, stream, Side::Acceptor, Moved::Asked { from: node });
    }

    /// The acceptor took it, and calls it `number`.
    pub(super) fn establish(&mut self, now: Nanos, stream: usize, number: u64) {
        let opens = now + self.delay(1, RECONNECT);
        let Some(open) = self.streams.streams[stream].as_mut() else { return };
        open.opens = Some(opens);
        open.ends[1].number = Some(number);
        let node = open.ends[1].node;
        let waiting = std::mem::take(&mut open.waiting);
        self.streams.named.insert((node, number), (stream, Side::Acceptor));
        self.plan(opens, stream, Side::Opener, Moved::Peer(Input::Connected));
        for input in waiting {
            self.carry_between(opens, stream, Side::Opener, input);
        }
    }

    /// The acceptor has no room for it.
    pub(super) fn refuse(&mut self, now: Nanos, stream: usize) {
        let when = now + self.delay(1, RECONNECT);
        self.plan(when, stream, Side::Opener, Moved::Peer(Input::Failed));
    }

    /// Takes what a node writes to, or does with, its end of a stream to the other end.
    pub(super) fn carry(&mut self, now: Nanos, (node, number): (Index, u64), input: Input) {
        let Some(&(stream, side)) = self.streams.named.get(&(node, number)) else { return };
        let Some(open) = self.streams.streams[stream].as_mut() else { return };
        if let Input::Data(bytes) = &input {
            self.streams.written[stream] += bytes.len() as u64;
        }
        if matches!(input, Input::Failed) {
            self.streams.named.remove(&(node, number));
            open.ends[side as usize].number = None;
            if open.opens.is_none() {
                return self.streams.forget(stream);
            }
        }
        match (side, open.opens) {
            (Side::Opener, None) => open.waiting.push(input),
            (Side::Opener, Some(opens)) => self.carry_between(opens.max(now), stream, side, input),
            (Side::Acceptor, _) => self.carry_between(now, stream, side, input),
        }
    }

    fn carry_between(&mut self, leaves: Nanos, stream: usize, side: Side, input: Input) {
        let segments = match &input {
            Input::Data(bytes) => bytes.len().div_ceil(SEGMENT),
            _ => 1,
        };
        let delay = self.delay(segments, RESEND);
        let Some(open) = self.streams.streams[stream].as_mut() else { return };
        let end = &mut open.ends[side as usize];
        if end.finished && !matches!(input, Input::Failed) {
            return;
        }
        end.finished |= matches!(input, Input::Closed);
        end.arrives = end.arrives.max(leaves + delay);
        let when = end.arrives;
        self.plan(when, stream, side.other(), Moved::Peer(input));
    }

    /// How long these segments take, the time-outs of those that are lost included.
    fn delay(&mut self, segments: usize, timeout: Nanos) -> Nanos {
        let mut longest = 0;
        for _ in 0..segments {
            let mut delay = self.latency();
            let mut wait = timeout;
            while self.loses() {
                delay += wait;
                wait *= 2;
            }
            longest = longest.max(delay);
        }
        longest
    }
}
