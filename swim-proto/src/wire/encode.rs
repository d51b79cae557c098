//! Packets put together, at the end of a buffer that the caller owns.
//!
//! A message is measured before it is written: what does not fit leaves no trace.

use alloc::vec::Vec;

use serde::Serialize;

use super::address::ADDRESS_MAX;
use super::decode::is_in_order;
use super::frame::PREFIX_LEN;
use super::header::{self, FRAME_MAX, HEADER_LEN};
use super::message::Message;
use super::varint::{VARINT_MAX, varint};
use crate::membership::{ClusterHash, Incarnation, NodeId, VERSIONS};

/// Where a body begins in a [`Head`]: after a kind and the longest length.
const BODY_AT: usize = 1 + 3;

/// Room for the longest body, or part of one, that is not copied from elsewhere, a ping-req's: sequence, two ids, an
/// address, a budget. A varint more, since they are copied whole.
const HEAD_MAX: usize = BODY_AT + (4 + 8 + 8 + ADDRESS_MAX + 5) + VARINT_MAX;

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

    /// Has the packet be of this version instead of [`VERSION`](super::VERSION).
    pub fn speak(self, version: u8) -> Self {
        debug_assert!(VERSIONS.contain(version), "no version of ours: {version}");
        header::set_version(&mut self.buf[self.packet..], version);
        self
    }

    /// Adds a message. `false`: it does not fit, and nothing was written.
    ///
    /// The message must be one that [`decode`](super::decode()) would take.
    pub fn push(&mut self, message: &Message<'_>) -> bool {
        let mut head = Head::new();
        let mut tail: &[u8] = &[];
        match message {
            Message::Ping(m) => head.u32_le(m.seq).id(m.target).id(m.source),
            Message::Ack(m) => head.u32_le(m.seq).incarnation(m.incarnation),
            Message::Alive(m) => {
                tail = m.profile.as_bytes();
                head.id(m.id).incarnation(m.incarnation)
            }
            Message::Suspect(m) => head.id(m.id).incarnation(m.incarnation).id(m.accuser),
            Message::Dead(m) => head.id(m.id).incarnation(m.incarnation).id(m.accuser),
            Message::Left(m) => head.id(m.id).incarnation(m.incarnation),
            Message::Ask(m) => head.id(m.id).incarnation(m.incarnation),
            Message::Held(m) => head.id(m.id).incarnation(m.incarnation),
            Message::SyncBuckets(m) => {
                tail = m.sums;
                &mut head
            }
            Message::SyncFilter(m) => {
                tail = m.buckets;
                &mut head
            }
            Message::Broadcast(m) => {
                tail = m.payload;
                head.id(m.origin).varint(m.life).varint(m.sequence).varint(m.payload.len() as u64)
            }
            Message::UserMessage(m) => {
                tail = m.payload;
                head.id(m.source).id(m.target).varint(m.payload.len() as u64)
            }
            Message::Announce(m) => head.id(m.origin).varint(m.life).varint(m.sequence).varint(m.len.into()),
            Message::Pull(m) => head.id(m.origin).varint(m.life).varint(m.sequence),
            Message::PingReq(m) => head.postcard(m),
            Message::Nack(m) => head.postcard(m),
            Message::Join(m) => head.postcard(m),
            Message::SyncRoot(m) => head.postcard(m),
            Message::SyncAgree(m) => head.postcard(m),
            Message::Want(m) => head.postcard(m),
            Message::Tombstone(m) => head.postcard(m),
            Message::SyncEnd(m) => head.postcard(m),
            Message::NameTaken(m) => head.postcard(m),
            Message::Busy(m) => head.postcard(m),
            Message::Carry(m) => head.postcard(m),
        };
        let body_len = head.body_len() + tail.len();
        head.precede(message.kind(), body_len);
        let head = head.as_bytes();
        if head.len() + tail.len() > self.remaining() {
            return false;
        }
        self.buf.extend_from_slice(head);
        if !tail.is_empty() {
            self.buf.extend_from_slice(tail);
        }
        debug_assert!(
            is_in_order(message.kind(), &self.buf[self.buf.len() - body_len..]),
            "no member would take this: {message:?}"
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

/// The first part of a message: what of it is not copied from elsewhere.
struct Head {
    bytes: [u8; HEAD_MAX],
    /// Where the message begins: its kind, its length, its body.
    start: usize,
    end: usize,
}

impl Head {
    #[inline(always)]
    fn new() -> Head {
        Head { bytes: [0; HEAD_MAX], start: BODY_AT, end: BODY_AT }
    }

    /// A whole body, by way of serde.
    #[inline(never)]
    fn postcard<T: Serialize>(&mut self, body: &T) -> &mut Head {
        self.end += postcard::to_slice(body, &mut self.bytes[BODY_AT..]).expect("HEAD_MAX holds any body").len();
        self
    }

    #[inline(always)]
    fn u32_le(&mut self, value: u32) -> &mut Head {
        self.add(value.to_le_bytes(), 4)
    }

    #[inline(always)]
    fn id(&mut self, id: NodeId) -> &mut Head {
        self.add(id.as_u64().to_le_bytes(), 8)
    }

    #[inline(always)]
    fn incarnation(&mut self, incarnation: Incarnation) -> &mut Head {
        self.varint(incarnation.life).varint(incarnation.refutation.into())
    }

    #[inline(always)]
    fn varint(&mut self, value: u64) -> &mut Head {
        let (bytes, len) = varint(value);
        self.add(bytes, len)
    }

    /// Adds the first `len` of `bytes`. Copies all of them: that is a store or two, and no loop.
    #[inline(always)]
    fn add<const N: usize>(&mut self, bytes: [u8; N], len: usize) -> &mut Head {
        self.bytes[self.end..][..N].copy_from_slice(&bytes);
        self.end += len;
        self
    }

    #[inline(always)]
    fn body_len(&self) -> usize {
        self.end - BODY_AT
    }

    /// Puts kind and length before the body, which may be longer than what is here of it.
    #[inline(always)]
    fn precede(&mut self, kind: u8, body_len: usize) {
        if body_len < 0x80 {
            self.start = BODY_AT - 2;
            self.bytes[self.start + 1] = body_len as u8;
        } else {
            let (bytes, len) = varint(body_len as u64);
            self.start = BODY_AT - 1 - len;
            self.bytes[self.start + 1..BODY_AT].copy_from_slice(&bytes[..len]);
        }
        self.bytes[self.start] = kind;
    }

    #[inline(always)]
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }
}
