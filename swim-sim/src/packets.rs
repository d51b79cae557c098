//! The bytes under way: a pool of packets, so that a simulation in its stride allocates nothing for the next one.
//!
//! A packet is named by a [`PacketId`] from when it is sent until it is taken in or lost; then its buffer goes back to
//! the pool with its capacity, and is the next to be used.

use std::net::SocketAddr;

use crate::streams::SegmentHead;

/// Names one packet of a [`Packets`] pool while it is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PacketId(u32);

/// One packet under way.
#[derive(Debug)]
pub(crate) struct Packet {
    /// The sending host's number.
    pub(crate) from: u32,
    /// The receiving host's number.
    pub(crate) to: u32,
    /// Where the receiver takes it to come from.
    pub(crate) source: SocketAddr,
    /// What it is.
    pub(crate) kind: PacketKind,
    /// A datagram's content, or a segment's bytes of the stream.
    pub(crate) bytes: Vec<u8>,
}

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PacketKind {
    /// A datagram.
    Datagram,
    /// Part of a stream, or word about one.
    Segment(SegmentHead),
}

/// All packets under way, and the buffers of those that were.
#[derive(Debug, Default)]
pub(crate) struct Packets {
    slots: Vec<Packet>,
    free: Vec<u32>,
}

impl Packets {
    /// A new packet with these bytes.
    pub(crate) fn add(&mut self, from: u32, to: u32, source: SocketAddr, kind: PacketKind, bytes: &[u8]) -> PacketId {
        if let Some(slot) = self.free.pop() {
            let packet = &mut self.slots[slot as usize];
            debug_assert!(packet.bytes.is_empty());
            (packet.from, packet.to, packet.source, packet.kind) = (from, to, source, kind);
            packet.bytes.extend_from_slice(bytes);
            PacketId(slot)
        } else {
            self.slots.push(Packet { from, to, source, kind, bytes: bytes.to_vec() });
            PacketId(self.slots.len() as u32 - 1)
        }
    }

    /// The same packet once more.
    pub(crate) fn copy(&mut self, id: PacketId) -> PacketId {
        let bytes = core::mem::take(&mut self.slots[id.0 as usize].bytes);
        let Packet { from, to, source, kind, .. } = self.slots[id.0 as usize];
        let copy = self.add(from, to, source, kind, &bytes);
        self.slots[id.0 as usize].bytes = bytes;
        copy
    }

    /// A packet.
    pub(crate) fn at(&self, id: PacketId) -> &Packet {
        &self.slots[id.0 as usize]
    }

    /// A packet's bytes, to be damaged on the way.
    pub(crate) fn bytes_mut(&mut self, id: PacketId) -> &mut [u8] {
        &mut self.slots[id.0 as usize].bytes
    }

    /// Takes the bytes out, to be read while the pool is used for others; [`Packets::put_back`] returns the buffer.
    pub(crate) fn take_bytes(&mut self, id: PacketId) -> Vec<u8> {
        core::mem::take(&mut self.slots[id.0 as usize].bytes)
    }

    /// Ends a packet whose bytes were taken out, and keeps their buffer for the next.
    pub(crate) fn put_back(&mut self, id: PacketId, bytes: Vec<u8>) {
        self.slots[id.0 as usize].bytes = bytes;
        self.end(id);
    }

    /// Ends a packet: it was taken in, or lost.
    pub(crate) fn end(&mut self, id: PacketId) {
        self.slots[id.0 as usize].bytes.clear();
        self.free.push(id.0);
    }

    /// How many packets are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_with_its_capacity() {
        let mut packets = Packets::default();
        let source = SocketAddr::from(([10, 0, 0, 0], 7946));
        let first = packets.add(0, 1, source, PacketKind::Datagram, &[7; 1000]);
        let copy = packets.copy(first);
        assert_eq!(packets.at(copy).bytes, [7; 1000]);
        assert_eq!(packets.under_way(), 2);
        packets.end(copy);
        let bytes = packets.take_bytes(first);
        packets.put_back(first, bytes);
        assert_eq!(packets.under_way(), 0);
        let again = packets.add(2, 3, source, PacketKind::Datagram, &[1]);
        assert_eq!(again, first);
        assert!(packets.at(again).bytes.capacity() >= 1000);
        assert_eq!(packets.at(again).bytes, [1]);
    }
}
