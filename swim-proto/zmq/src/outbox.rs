//! Bytes that wait to be written, in order.
//!
//! Small messages and commands are laid side by side in one block, so that a hundred of them leave with one slice;
//! great ones stay the caller's `Bytes` and are not copied. What was queued is counted by the position of its end in
//! the stream, so that a partial write says by itself how many messages it finished.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf as _, Bytes, BytesMut};

/// Bytes of chunks below this are copied side by side.
pub(crate) const COPY_BELOW: usize = 4 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Whole chunks, before what is in `tail`.
    chunks: VecDeque<Bytes>,
    tail: BytesMut,
    /// Positions in the stream: what was written, and what was queued.
    written: u64,
    queued: u64,
    /// Where each message ends that is not yet written.
    ends: VecDeque<u64>,
    /// Where the last command ends, and how many bytes of commands there are at most until there.
    commands_end: u64,
    command_bytes: usize,
}

impl Outbox {
    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        (self.queued - self.written) as usize
    }

    /// Messages of which something waits.
    pub(crate) fn messages(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of commands that wait: at least, and all since there were none.
    pub(crate) fn command_bytes(&self) -> usize {
        self.command_bytes
    }

    /// The position up to which everything was queued.
    pub(crate) fn end(&self) -> u64 {
        self.queued
    }

    /// The position up to which everything was written.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Bytes that are laid beside those before them.
    pub(crate) fn tail(&mut self) -> Tail<'_> {
        let before = self.tail.len();
        Tail { outbox: self, before }
    }

    pub(crate) fn push(&mut self, chunk: Bytes) {
        if chunk.len() < COPY_BELOW {
            self.tail().bytes().extend_from_slice(&chunk);
            return;
        }
        if !self.tail.is_empty() {
            self.chunks.push_back(self.tail.split().freeze());
        }
        self.queued += chunk.len() as u64;
        self.chunks.push_back(chunk);
    }

    /// All that was queued since the last end is a message.
    pub(crate) fn end_message(&mut self) {
        self.ends.push_back(self.queued);
    }

    /// The last `bytes` that were queued are commands.
    pub(crate) fn end_commands(&mut self, bytes: usize) {
        self.command_bytes += bytes;
        self.commands_end = self.queued;
    }

    /// Fills `slices` with what waits; says how many.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let tail = (!self.tail.is_empty()).then_some(&self.tail[..]);
        let waiting = self.chunks.iter().map(|chunk| &chunk[..]).chain(tail);
        slices.iter_mut().zip(waiting).map(|(slot, bytes)| *slot = IoSlice::new(bytes)).count()
    }

    /// All that waits, copied together.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        self.chunks.iter().map(|chunk| &chunk[..]).chain([&self.tail[..]]).collect::<Vec<_>>().concat()
    }

    /// The first `count` bytes were written.
    ///
    /// # Panics
    /// If so many do not wait.
    pub(crate) fn advance(&mut self, mut count: usize) {
        assert!(count <= self.bytes(), "{count} bytes written of {} that waited", self.bytes());
        self.written += count as u64;
        while let Some(chunk) = self.chunks.front_mut() {
            if count < chunk.len() {
                chunk.advance(count);
                count = 0;
                break;
            }
            count -= chunk.len();
            self.chunks.pop_front();
        }
        if count == self.tail.len() {
            self.tail.clear();
        } else {
            self.tail.advance(count);
        }
        while self.ends.front().is_some_and(|end| *end <= self.written) {
            self.ends.pop_front();
        }
        if self.commands_end <= self.written {
            self.command_bytes = 0;
        }
    }
}

/// The block of small things, and what was in it before.
pub(crate) struct Tail<'a> {
    outbox: &'a mut Outbox,
    before: usize,
}

impl Tail<'_> {
    /// Where to append.
    pub(crate) fn bytes(&mut self) -> &mut BytesMut {
        &mut self.outbox.tail
    }
}

impl Drop for Tail<'_> {
    fn drop(&mut self) {
        self.outbox.queued += (self.outbox.tail.len() - self.before) as u64;
        if self.outbox.tail.len() >= 16 * COPY_BELOW {
            self.outbox.chunks.push_back(self.outbox.tail.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a writer sees that takes `step` bytes at a time.
    fn drain(outbox: &mut Outbox, step: usize) -> Vec<u8> {
        let mut seen = Vec::new();
        while outbox.bytes() > 0 {
            let mut slices = [IoSlice::new(&[]); 4];
            let count = outbox.slices(&mut slices);
            let waiting = slices[..count].iter().flat_map(|slice| slice.iter().copied());
            let taken: Vec<u8> = waiting.take(step).collect();
            seen.extend(&taken);
            outbox.advance(taken.len());
        }
        seen
    }

    #[test]
    fn what_goes_in_comes_out_in_order_however_it_is_written() {
        for step in [1, 7, 4095, 4096, 5000, 1 << 20] {
            let mut outbox = Outbox::default();
            let mut expected = Vec::new();
            for (count, len) in [3, 5000, 0, 4096, 4095, 1, 70_000, 12].into_iter().enumerate() {
                let bytes: Vec<u8> = (0..len).map(|at| (at * 7 + count) as u8).collect();
                expected.extend(&bytes);
                outbox.push(Bytes::from(bytes));
                outbox.end_message();
            }
            assert_eq!((outbox.bytes(), outbox.messages()), (expected.len(), 8));
            assert_eq!(outbox.to_vec(), expected);
            assert_eq!(drain(&mut outbox, step), expected);
            assert_eq!((outbox.bytes(), outbox.messages()), (0, 0));
        }
    }

    #[test]
    fn a_great_chunk_is_not_copied() {
        let chunk = Bytes::from(vec![1; 4096]);
        let mut outbox = Outbox::default();
        outbox.push(chunk.clone());
        let mut slices = [IoSlice::new(&[]); 1];
        assert_eq!(outbox.slices(&mut slices), 1);
        assert_eq!(slices[0].as_ptr(), chunk.as_ptr());
    }

    #[test]
    fn commands_wait_until_the_last_of_them_is_written() {
        let mut outbox = Outbox::default();
        for _ in 0..2 {
            outbox.push(Bytes::from_static(b"PONG"));
            outbox.end_commands(4);
        }
        outbox.push(Bytes::from_static(b"data"));
        outbox.advance(7);
        assert_eq!(outbox.command_bytes(), 8);
        outbox.advance(1);
        assert_eq!((outbox.command_bytes(), outbox.bytes()), (0, 4));
    }

    #[test]
    fn a_queue_that_never_runs_empty_keeps_no_more_than_what_waits() {
        let mut outbox = Outbox::default();
        for _ in 0..100_000 {
            outbox.push(Bytes::from_static(&[7; 100]));
            if outbox.bytes() > 10_000 {
                outbox.advance(90);
            }
            if outbox.bytes() > 20_000 {
                outbox.advance(10_000);
            }
        }
        assert!(outbox.tail.capacity() <= 256 * 1024, "{}", outbox.tail.capacity());
        assert!(outbox.chunks.len() < 10);
    }
}
