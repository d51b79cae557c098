//! One direction of a stream at its receiving end: what arrived in order and waits for the application, and what came
//! too early.

use crate::packets::{PacketId, Packets};

/// The receiving half of one end.
#[derive(Debug)]
pub(crate) struct Receiver {
    /// In order, and not yet given to the application.
    ready: Vec<u8>,
    /// The sequence of the next byte in order.
    next: u64,
    /// Segments beyond `next`, by sequence: their packets are kept until what is missing has come.
    early: Vec<Early>,
    /// Where the stream ends, once that is known.
    end: Option<u64>,
    capacity: usize,
}

#[derive(Clone, Copy, Debug)]
struct Early {
    sequence: u64,
    packet: PacketId,
}

impl Receiver {
    pub(crate) fn new(capacity: usize) -> Receiver {
        Receiver { ready: Vec::new(), next: 0, early: Vec::new(), end: None, capacity }
    }

    /// A segment arrived. It is kept, taken in or found useless; in the last two cases its packet is ended.
    pub(crate) fn take_in(&mut self, sequence: u64, last: bool, packet: PacketId, packets: &mut Packets) {
        let bytes = &packets.at(packet).bytes;
        let end = sequence + bytes.len() as u64;
        if last {
            self.end = Some(end);
        }
        if sequence > self.next {
            if end <= self.next + self.window() as u64
                && !bytes.is_empty()
                && let Err(place) = self.early.binary_search_by_key(&sequence, |early| early.sequence)
            {
                self.early.insert(place, Early { sequence, packet });
            } else {
                packets.end(packet);
            }
            return;
        }
        self.append(sequence, packet, packets);
        while let Some(&Early { sequence, packet }) = self.early.first()
            && sequence <= self.next
        {
            self.early.remove(0);
            self.append(sequence, packet, packets);
        }
    }

    /// Takes in what is new of a segment that begins at or below `next`, as far as there is room.
    fn append(&mut self, sequence: u64, packet: PacketId, packets: &mut Packets) {
        let bytes = &packets.at(packet).bytes;
        let known = ((self.next - sequence) as usize).min(bytes.len());
        let fresh = &bytes[known..];
        let fresh = &fresh[..fresh.len().min(self.window())];
        self.ready.extend_from_slice(fresh);
        self.next += fresh.len() as u64;
        packets.end(packet);
    }

    /// What the sender is told it may forget.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.next + u64::from(self.is_ended())
    }

    /// How many more bytes there is room for.
    pub(crate) fn window(&self) -> usize {
        self.capacity.saturating_sub(self.ready.len())
    }

    /// Whether everything up to the stream's end has arrived.
    pub(crate) fn is_ended(&self) -> bool {
        self.end == Some(self.next)
    }

    /// Whether bytes wait for the application.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Takes what waits for the application; [`Receiver::put_back`] returns the buffer.
    pub(crate) fn take_ready(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.ready)
    }

    /// Takes a buffer back, emptied, for the next bytes.
    pub(crate) fn put_back(&mut self, mut buffer: Vec<u8>) {
        if self.ready.is_empty() {
            buffer.clear();
            self.ready = buffer;
        }
    }

    /// Ends the packets that are kept.
    pub(crate) fn drop_early(&mut self, packets: &mut Packets) {
        for early in self.early.drain(..) {
            packets.end(early.packet);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packets::PacketKind;

    fn take_in(receiver: &mut Receiver, packets: &mut Packets, sequence: u64, bytes: &[u8], last: bool) {
        let source = std::net::SocketAddr::from(([10, 0, 0, 1], 7946));
        let packet = packets.add(0, 1, source, PacketKind::Datagram, bytes);
        receiver.take_in(sequence, last, packet, packets);
    }

    #[test]
    fn bytes_become_ready_in_order_however_they_arrive() {
        let mut packets = Packets::default();
        let mut receiver = Receiver::new(100);
        take_in(&mut receiver, &mut packets, 4, b"ef", true);
        take_in(&mut receiver, &mut packets, 2, b"cd", false);
        take_in(&mut receiver, &mut packets, 2, b"cd", false);
        assert!(!receiver.has_ready() && !receiver.is_ended());
        take_in(&mut receiver, &mut packets, 0, b"abc", false);
        assert!(receiver.is_ended());
        assert_eq!(receiver.acknowledged(), 7);
        assert_eq!(receiver.take_ready(), b"abcdef");
        assert_eq!(packets.under_way(), 0);
    }

    #[test]
    fn nothing_is_taken_in_beyond_the_window() {
        let mut packets = Packets::default();
        let mut receiver = Receiver::new(4);
        take_in(&mut receiver, &mut packets, 0, b"abcdef", true);
        assert_eq!((receiver.acknowledged(), receiver.window()), (4, 0));
        take_in(&mut receiver, &mut packets, 4, b"ef", true);
        assert_eq!(receiver.acknowledged(), 4);
        assert_eq!(receiver.take_ready(), b"abcd");
        take_in(&mut receiver, &mut packets, 4, b"ef", true);
        assert_eq!((receiver.take_ready().as_slice(), receiver.acknowledged()), (&b"ef"[..], 7));
    }
}
