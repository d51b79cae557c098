//! What one link is to send, bounded by bytes.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use swim_zmq::{Link, SendError};

/// From so many bytes on no more is wanted, until half of it is gone.
const FULL_BYTES: usize = 256 * 1024;
/// Below so many bytes that wait to be written, a link takes more packets.
const WRITE_AHEAD: usize = 64 * 1024;
/// Headers are cut out of blocks of this size.
const HEADERS_BLOCK: usize = 16 * 1024;

/// Room for so many packets is kept by an empty queue.
const CAPACITY_KEPT: usize = 64;

/// A bounded queue of packets.
#[derive(Debug, Default)]
pub struct Packets {
    packets: VecDeque<Packet>,
    bytes: usize,
    headers: BytesMut,
    /// The messenger was told that no more fits.
    is_full: bool,
    /// Nothing more will come.
    is_closed: bool,
}

/// The one or two parts of a message.
#[derive(Debug)]
struct Packet {
    header: Bytes,
    payload: Option<Bytes>,
}

impl Packet {
    fn len(&self) -> usize {
        self.header.len() + self.payload.as_ref().map_or(0, Bytes::len)
    }
}

/// How a queue stands after packets were taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// It was full and has room again, and the messenger does not know yet.
    pub has_room_again: bool,
    /// Nothing more comes.
    pub is_closed: bool,
    /// Nothing is in it.
    pub is_empty: bool,
}

impl Packets {
    /// Puts a packet in. `false`: that was the last that fits for now.
    pub fn push(&mut self, header: &[u8], payload: Option<Bytes>) -> bool {
        if self.headers.capacity() < header.len() {
            self.headers.reserve(HEADERS_BLOCK);
        }
        self.headers.extend_from_slice(header);
        let packet = Packet { header: self.headers.split().freeze(), payload };
        self.bytes += packet.len();
        self.packets.push_back(packet);
        self.is_full = self.bytes >= FULL_BYTES;
        !self.is_full
    }

    /// Nothing more comes; what is in it still goes out.
    pub fn close(&mut self) {
        self.is_closed = true;
    }

    /// Whether nothing more comes.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Puts packets on the link while little waits there to be written.
    ///
    /// # Errors
    /// The link takes none.
    pub fn drain(&mut self, link: &mut Link) -> Result<Standing, SendError> {
        while link.pending() < WRITE_AHEAD {
            let Some(packet) = self.packets.pop_front() else { break };
            self.bytes -= packet.len();
            match packet.payload {
                Some(payload) => link.send(&[packet.header, payload])?,
                None => link.send(&[packet.header])?,
            }
        }
        if self.packets.is_empty() && self.packets.capacity() > CAPACITY_KEPT {
            // What a burst took is given back.
            self.packets = VecDeque::new();
        }
        Ok(self.standing(link.pending()))
    }

    /// The parts of the next packet, if there is one; and whether it was full and has room again.
    pub fn pop(&mut self) -> Option<(Vec<Bytes>, bool)> {
        let packet = self.packets.pop_front()?;
        self.bytes -= packet.len();
        let parts = [Some(packet.header), packet.payload].into_iter().flatten().collect();
        Some((parts, self.standing(0).has_room_again))
    }

    /// How it stands, told once of each room. What waits on the link counts: while a long message is written, the messenger
    /// is to ask for no answer, which could not come before the question behind it.
    fn standing(&mut self, on_link: usize) -> Standing {
        let has_room_again = self.is_full && self.bytes + on_link <= FULL_BYTES / 2;
        self.is_full &= !has_room_again;
        Standing { has_room_again, is_closed: self.is_closed, is_empty: self.packets.is_empty() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_says_so_and_says_once_that_half_of_it_is_gone() {
        let mut packets = Packets::default();
        let payload = Bytes::from(vec![0; 65_536 - 4]);
        assert!((0..3).all(|_| packets.push(b"head", Some(payload.clone()))));
        assert!(!packets.push(b"head", Some(payload)));
        let rooms: Vec<bool> = std::iter::from_fn(|| packets.pop()).map(|(_, has_room_again)| has_room_again).collect();
        assert_eq!(rooms, [false, true, false, false]);
        packets.close();
        assert!(packets.is_closed() && packets.pop().is_none());
    }
}
