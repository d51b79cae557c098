//! Packets on a stream: each is preceded by its length, four bytes little-endian.
//!
//! A declared length buys nothing: memory follows the bytes that came. What a peer can make a reader hold is what one
//! read of its driver brings, plus one frame.

use alloc::vec::Vec;

use super::header::{FRAME_MAX, HEADER_LEN};

/// Bytes of a frame before its packet.
pub(crate) const PREFIX_LEN: usize = 4;

/// A stream that is not of this protocol, or is out of step. It stays so: reset it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {len} bytes; it must have {HEADER_LEN} to {FRAME_MAX}")]
pub struct FrameError {
    /// The length it declares.
    pub len: u32,
}

/// Makes packets of a stream's bytes, in whatever pieces they come.
#[derive(Debug, Default)]
pub struct FrameReader {
    buf: Vec<u8>,
    /// Where in `buf` the first frame that was not handed out begins.
    start: usize,
}

impl FrameReader {
    /// A reader at the beginning of a stream. It owns no memory yet.
    pub const fn new() -> FrameReader {
        FrameReader { buf: Vec::new(), start: 0 }
    }

    /// Takes in the stream's next bytes. Call [`FrameReader::next`] until it gives `None`, then come back with more.
    pub fn push(&mut self, bytes: &[u8]) {
        // Moves at most as many bytes as were handed out since the last move.
        if self.start >= self.buf.len() - self.start {
            self.forget_handed_out();
        }
        self.buf.extend_from_slice(bytes);
    }

    /// The next whole packet. `None`: not until more bytes come.
    ///
    /// # Errors
    /// The stream is not in order, and nothing after that can be: the same error for ever.
    #[expect(clippy::should_implement_trait, reason = "the packet is borrowed from the reader")]
    pub fn next(&mut self) -> Result<Option<&[u8]>, FrameError> {
        match self.next_len()? {
            Some(len) => {
                let packet = self.start + PREFIX_LEN;
                self.start = packet + len;
                Ok(Some(&self.buf[packet..self.start]))
            }
            None => {
                self.settle();
                Ok(None)
            }
        }
    }

    /// Whether no frame has begun: the stream may end here.
    pub fn is_empty(&self) -> bool {
        self.start == self.buf.len()
    }

    /// Bytes of memory held.
    pub fn capacity(&self) -> usize {
        self.buf.capacity()
    }

    /// The length of the next packet, if all of it is here.
    fn next_len(&self) -> Result<Option<usize>, FrameError> {
        let Some((prefix, rest)) = self.buf[self.start..].split_first_chunk::<PREFIX_LEN>() else {
            return Ok(None);
        };
        let declared = u32::from_le_bytes(*prefix);
        let len = declared as usize;
        if !(HEADER_LEN..=FRAME_MAX).contains(&len) {
            return Err(FrameError { len: declared });
        }
        Ok((len <= rest.len()).then_some(len))
    }

    /// All whole frames are out. What remains is less than the last push brought, so moving it costs what that did.
    fn settle(&mut self) {
        if self.start > 0 {
            self.forget_handed_out();
            self.buf.shrink_to_fit();
        }
    }

    fn forget_handed_out(&mut self) {
        self.buf.drain(..self.start);
        self.start = 0;
    }
}
