//! One end of a link at its driver: packets framed on a stream, and the queue before the socket.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;
use swim_proto::messaging::LinkId;

use super::{LinkSettings, Parts};
use crate::streams::EndId;

/// One end of a link.
#[derive(Debug)]
pub(crate) struct LinkEnd {
    /// The messenger's name for it; none while it has not been accepted.
    pub(crate) link: Option<LinkId>,
    /// Its stream; none while blocked I/O keeps it from being opened.
    pub(crate) end: Option<EndId>,
    /// Where it leads, if it was opened here.
    pub(crate) to: Option<SocketAddr>,
    /// Frames that blocked I/O holds back.
    held: VecDeque<Vec<u8>>,
    /// The lengths of frames that the socket has not taken whole, and what it has of the first.
    frames: VecDeque<usize>,
    taken: usize,
    /// Bytes that the socket has not taken.
    waiting: usize,
    /// Whether the messenger was told that it is full.
    full: bool,
    /// What was read and is no whole packet yet, from `read` on.
    partial: Vec<u8>,
    read: usize,
}

impl LinkEnd {
    pub(crate) fn new(link: Option<LinkId>, end: Option<EndId>, to: Option<SocketAddr>) -> LinkEnd {
        LinkEnd {
            link,
            end,
            to,
            held: VecDeque::new(),
            frames: VecDeque::new(),
            taken: 0,
            waiting: 0,
            full: false,
            partial: Vec::new(),
            read: 0,
        }
    }

    /// Takes a packet in line: the frame to be written, unless I/O is `blocked`.
    pub(crate) fn put(&mut self, header: &[u8], payload: Option<&[u8]>, blocked: bool) -> Option<Vec<u8>> {
        let mut frame = vec![1 + u8::from(payload.is_some())];
        for part in [Some(header), payload].into_iter().flatten() {
            frame.extend_from_slice(&(part.len() as u32).to_le_bytes());
            frame.extend_from_slice(part);
        }
        self.frames.push_back(frame.len());
        self.waiting += frame.len();
        if blocked || !self.held.is_empty() || self.end.is_none() {
            self.held.push_back(frame);
            return None;
        }
        Some(frame)
    }

    /// What was held back and may now be written.
    pub(crate) fn take_held(&mut self) -> Option<Vec<u8>> {
        self.held.pop_front()
    }

    /// The socket took so many bytes.
    pub(crate) fn took(&mut self, bytes: usize) {
        self.waiting -= bytes;
        self.taken += bytes;
        while let Some(&len) = self.frames.front()
            && self.taken >= len
        {
            self.taken -= len;
            self.frames.pop_front();
        }
    }

    /// Whether the messenger is to be told that it is full.
    pub(crate) fn fills(&mut self, settings: LinkSettings) -> bool {
        let is = self.frames.len() >= settings.frames_max || self.waiting >= settings.bytes_max;
        is && !std::mem::replace(&mut self.full, true)
    }

    /// Whether it is to be told that packets fit again.
    pub(crate) fn empties(&mut self, settings: LinkSettings) -> bool {
        let room = self.frames.len() <= settings.frames_max / 2 && self.waiting <= settings.bytes_max / 2;
        room && std::mem::replace(&mut self.full, false)
    }

    /// Bytes were read from the socket.
    pub(crate) fn came(&mut self, bytes: &[u8]) {
        self.partial.drain(..std::mem::take(&mut self.read));
        self.partial.extend_from_slice(bytes);
    }

    /// The next whole packet among what was read.
    pub(crate) fn next_packet(&mut self) -> Option<Parts> {
        let rest = &self.partial[self.read..];
        let (&count, mut rest) = rest.split_first()?;
        let mut lens = [0; 2];
        let mut at = rest;
        for len in &mut lens[..usize::from(count)] {
            let (head, tail) = at.split_first_chunk::<4>()?;
            *len = u32::from_le_bytes(*head) as usize;
            at = tail.get(*len..)?;
        }
        let mut parts = Parts::with_capacity(count.into());
        for len in &lens[..usize::from(count)] {
            parts.push(Bytes::copy_from_slice(&rest[4..4 + len]));
            rest = &rest[4 + len..];
        }
        self.read = self.partial.len() - rest.len();
        if self.read == self.partial.len() {
            self.partial.clear();
            self.read = 0;
        }
        Some(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_whole_however_the_stream_is_cut() {
        let mut sender = LinkEnd::new(None, None, None);
        let mut bytes = Vec::new();
        for (header, payload) in [(&b"one"[..], None), (b"", Some(&b"payload"[..])), (b"three", Some(b""))] {
            assert!(sender.put(header, payload, false).is_none(), "there is no stream yet");
            bytes.extend(sender.take_held().expect("it was held back"));
        }
        for step in 1..bytes.len() {
            let mut receiver = LinkEnd::new(None, None, None);
            let mut came = Vec::new();
            for piece in bytes.chunks(step) {
                receiver.came(piece);
                came.extend(std::iter::from_fn(|| receiver.next_packet()));
            }
            let expected: [&[&[u8]]; 3] = [&[b"one"], &[b"", b"payload"], &[b"three", b""]];
            assert_eq!(came, expected, "in pieces of {step}");
        }
    }

    #[test]
    fn a_full_queue_says_so_once_and_is_writable_below_half() {
        let settings = LinkSettings { frames_max: 4, ..LinkSettings::default() };
        let mut link = LinkEnd::new(None, None, None);
        let lens: Vec<usize> = (0..4).map(|_| link.put(b"x", None, true)).map(|_| 6).collect();
        assert!(link.fills(settings) && !link.fills(settings) && !link.empties(settings));
        link.took(lens[0] + 3);
        assert!(!link.empties(settings), "three of four are not below half");
        link.took(3);
        assert!(link.empties(settings) && !link.empties(settings));
        assert!(!link.fills(settings));
    }
}
