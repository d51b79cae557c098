//! Packets put together, at the end of a buffer that the caller owns.
//!
//! A message is measured before it is written: what does not fit leaves no trace.

use alloc::vec::Vec;

use serde::Serialize;

use super::decode::is_in_order;
use super::frame::PREFIX_LEN;
use super::header::{self, FRAME_MAX, HEADER_LEN};
use super::message::Message;
use super::varint::write_varint;
use crate::membership::{ClusterHash, Incarnation, NodeId};

/// Room for the longest body, or part of one, that is not copied from elsewhere: that of a ping-req, 45 bytes.
const HEAD_MAX: usize = 64;

/// One packet being written at the end of a buffer.
#[derive(Debug)]
#[must_use = "a packet is complete only when finished"]
pub struct PacketWriter<'b> {
    buf: &'b mut Vec<u8>,
    /// Where the frame's length is, if it is one, or else the packet.
    start: usize,
    /// Where the packet is.
    packet: usize,
    /// The most bytes the packet may have.
    len_max: usize,
}

impl<'b> PacketWriter<'b> {
    /// Begins a datagram of at most `len_max` bytes.
    pub fn datagram(buf: &'b mut Vec<u8>, cluster: ClusterHash, len_max: usize) -> Self {
        let start = buf.len();
        Self::begin(buf, start, cluster, len_max)
    }

    /// Begins a frame, for a stream, whose packet has at most `len_max` bytes, and at most [`FRAME_MAX`].
    pub fn frame(buf: &'b mut Vec<u8>, cluster: ClusterHash, len_max: usize) -> Self {
        let start = buf.len();
        buf.extend_from_slice(&[0; PREFIX_LEN]);
        Self::begin(buf, start, cluster, len_max.min(FRAME_MAX))
    }

    fn begin(buf: &'b mut Vec<u8>, start: usize, cluster: ClusterHash, len_max: usize) -> Self {
        let packet = buf.len();
        buf.extend_from_slice(&header::open(cluster));
        PacketWriter { buf, start, packet, len_max }
    }

    /// Adds a message. `false`: it does not fit, and nothing was written.
    ///
    /// The message must be one that [`decode`](super::decode()) would take.
    pub fn push(&mut self, message: &Message<'_>) -> bool {
        let kind = message.kind();
        match message {
            Message::Ping(m) => self.append(kind, Head::new().u32_le(m.seq).id(m.target).id(m.source), &[]),
            Message::Ack(m) => self.append(kind, Head::new().u32_le(m.seq).incarnation(m.incarnation), &[]),
            Message::PingReq(m) => self.append(kind, Head::postcard(m), &[]),
            Message::Nack(m) => self.append(kind, Head::postcard(m), &[]),
            Message::Alive(m) => {
                self.append(kind, Head::new().id(m.id).incarnation(m.incarnation), m.profile.as_bytes())
            }
            Message::Suspect(m) => {
                self.append(kind, Head::new().id(m.id).incarnation(m.incarnation).id(m.accuser), &[])
            }
            Message::Dead(m) => self.append(kind, Head::new().id(m.id).incarnation(m.incarnation).id(m.accuser), &[]),
            Message::Left(m) => self.append(kind, Head::new().id(m.id).incarnation(m.incarnation), &[]),
            Message::From(m) => self.append(kind, Head::postcard(m), &[]),
            Message::Ask(m) => self.append(kind, Head::new().id(m.id).incarnation(m.incarnation), &[]),
            Message::Join(m) => self.append(kind, Head::postcard(m), &[]),
            Message::SyncRoot(m) => self.append(kind, Head::postcard(m), &[]),
            Message::SyncAgree(m) => self.append(kind, Head::postcard(m), &[]),
            Message::SyncBuckets(m) => self.append(kind, Head::new(), m.sums),
            Message::SyncFilter(m) => self.append(kind, Head::new(), m.buckets),
            Message::Held(m) => self.append(kind, Head::new().id(m.id).incarnation(m.incarnation), &[]),
            Message::Want(m) => self.append(kind, Head::postcard(m), &[]),
            Message::Tombstone(m) => self.append(kind, Head::postcard(m), &[]),
            Message::SyncEnd(m) => self.append(kind, Head::postcard(m), &[]),
            Message::NameTaken(m) => self.append(kind, Head::postcard(m), &[]),
            Message::Busy(m) => self.append(kind, Head::postcard(m), &[]),
        }
    }

    /// Adds a message whose body is `head` and then `tail`, if it fits.
    fn append(&mut self, kind: u8, head: Head, tail: &[u8]) -> bool {
        let body_len = head.len + tail.len();
        if 1 + varint_len(body_len) + body_len > self.remaining() {
            return false;
        }
        self.buf.push(kind);
        write_varint(body_len as u64, |bytes| self.buf.extend_from_slice(bytes));
        self.buf.extend_from_slice(&head.bytes[..head.len]);
        self.buf.extend_from_slice(tail);
        debug_assert!(
            is_in_order(kind, &self.buf[self.buf.len() - body_len..]),
            "no member would take this message of kind {kind}: {:02x?}",
            &self.buf[self.buf.len() - body_len..]
        );
        true
    }

    /// Bytes of the packet so far, its header included; a frame's length field not.
    pub fn len(&self) -> usize {
        self.buf.len() - self.packet
    }

    /// Whether it holds no message yet.
    pub fn is_empty(&self) -> bool {
        self.len() == HEADER_LEN
    }

    /// Bytes left for messages, each with its kind and length.
    pub fn remaining(&self) -> usize {
        self.len_max.saturating_sub(self.len())
    }

    /// Completes the packet, and gives its length (a frame's length field not counted).
    pub fn finish(self) -> usize {
        let len = self.len();
        if self.packet > self.start {
            let prefix = &mut self.buf[self.start..self.packet];
            prefix.copy_from_slice(&(len as u32).to_le_bytes());
        }
        header::seal_with_checksum(&mut self.buf[self.packet..]);
        len
    }

    /// Takes everything back: the buffer is as it was.
    pub fn cancel(self) {
        self.buf.truncate(self.start);
    }
}

/// The part of a body that is not copied from elsewhere.
struct Head {
    bytes: [u8; HEAD_MAX],
    len: usize,
}

impl Head {
    fn new() -> Head {
        Head { bytes: [0; HEAD_MAX], len: 0 }
    }

    /// A whole body, by way of serde.
    fn postcard<T: Serialize>(body: &T) -> Head {
        let mut bytes = [0; HEAD_MAX];
        let len = postcard::to_slice(body, &mut bytes).expect("HEAD_MAX holds the longest body").len();
        Head { bytes, len }
    }

    fn u32_le(mut self, value: u32) -> Head {
        self.push(&value.to_le_bytes());
        self
    }

    fn id(mut self, id: NodeId) -> Head {
        self.push(&id.as_u64().to_le_bytes());
        self
    }

    fn incarnation(mut self, incarnation: Incarnation) -> Head {
        for part in [incarnation.life, incarnation.refutation.into()] {
            write_varint(part, |bytes| self.push(bytes));
        }
        self
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..][..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}

/// Bytes of a message length.
fn varint_len(len: usize) -> usize {
    match len {
        ..0x80 => 1,
        0x80..0x4000 => 2,
        _ => 3,
    }
}
