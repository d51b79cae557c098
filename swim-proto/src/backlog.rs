//! What waits between a socket and the node: sorted so that under load the right part is shed
//! (`docs/protocol.md` 14.1).
//!
//! A driver reads what its socket holds into a [`Backlog`], then hands over to the node as much as its turn allows. As
//! long as the node keeps up that is all of it. When it does not, probes and their answers overtake news, and in each of
//! the two the newest goes first: whoever sent an old probe has given it up, and answering that takes the time in which
//! the others' become as old. What finds no room is the oldest news, which later gossip and syncs bring again.
//!
//! ```
//! use swim_proto::Backlog;
//!
//! let mut backlog = Backlog::new(64, 65_536);
//! backlog.push("192.0.2.1:7946".parse().unwrap(), b"whatever came");
//! let mut datagram = Vec::new();
//! let from = backlog.pop(&mut datagram).unwrap();
//! assert_eq!((from.port(), &datagram[..]), (7946, &b"whatever came"[..]));
//! ```

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;
use core::net::SocketAddr;

use crate::wire::HEADER_LEN;
use crate::wire::message::is_probing;

/// Datagrams that were read and not yet handed to the node. Bounded in number and in bytes.
#[derive(Debug)]
pub struct Backlog {
    /// Probes and answers, the newest at the back.
    urgent: VecDeque<Waiting>,
    /// Everything else, the newest at the back.
    news: VecDeque<Waiting>,
    /// Memory of datagrams that were handed over.
    spare: Vec<Vec<u8>>,
    bytes: usize,
    len_max: usize,
    bytes_max: usize,
    shed: u64,
}

#[derive(Debug)]
struct Waiting {
    from: SocketAddr,
    bytes: Vec<u8>,
}

impl Backlog {
    /// Room for so many datagrams that together have so many bytes.
    pub fn new(len_max: usize, bytes_max: usize) -> Backlog {
        let (urgent, news, spare) = Default::default();
        Backlog { urgent, news, spare, bytes: 0, len_max: len_max.max(1), bytes_max, shed: 0 }
    }

    /// Takes in what was read. Should there be no room, the oldest news makes it, or, if there is none, the oldest of
    /// all; what is longer than all the room is shed itself.
    pub fn push(&mut self, from: SocketAddr, datagram: &[u8]) {
        if datagram.len() > self.bytes_max {
            self.shed += 1;
            return;
        }
        while self.len() >= self.len_max || self.bytes + datagram.len() > self.bytes_max {
            let Some(oldest) = self.news.pop_front().or_else(|| self.urgent.pop_front()) else { break };
            self.put_back(oldest.bytes);
            self.shed += 1;
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(datagram);
        self.bytes += bytes.len();
        let lane = if is_urgent(datagram) { &mut self.urgent } else { &mut self.news };
        lane.push_back(Waiting { from, bytes });
    }

    /// The next to be handed to [`Node::handle_datagram`](crate::Node::handle_datagram): its bytes are put into
    /// `datagram`, in place of what was there. Gives where it came from.
    pub fn pop(&mut self, datagram: &mut Vec<u8>) -> Option<SocketAddr> {
        let Waiting { from, bytes } = self.urgent.pop_back().or_else(|| self.news.pop_back())?;
        let used = mem::replace(datagram, bytes);
        self.bytes -= datagram.len();
        self.keep(used);
        Some(from)
    }

    /// Whether the next is a probe or an answer to one.
    pub fn has_urgent(&self) -> bool {
        !self.urgent.is_empty()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.urgent.len() + self.news.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many were shed since this was last asked: the node should know
    /// ([`Node::report_loss`](crate::Node::report_loss)).
    pub fn take_shed(&mut self) -> u64 {
        mem::take(&mut self.shed)
    }

    fn put_back(&mut self, bytes: Vec<u8>) {
        self.bytes -= bytes.len();
        self.keep(bytes);
    }

    fn keep(&mut self, bytes: Vec<u8>) {
        // After an onslaught its memory is given back, but for some. What a long one had would hold short ones later,
        // which are counted by their bytes.
        if self.spare.len() < SPARE_MAX && bytes.capacity() <= SPARE_LEN_MAX {
            self.spare.push(bytes);
        }
    }
}

/// Memory of so many datagrams is kept.
const SPARE_MAX: usize = 64;

/// Of those that are at most so long.
const SPARE_LEN_MAX: usize = 2_048;

/// Whether somebody waits for this, or for the answer to it: it begins with a message of probing. A look, no check.
fn is_urgent(datagram: &[u8]) -> bool {
    datagram.get(HEADER_LEN).is_some_and(|&kind| is_probing(kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::{ClusterHash, Incarnation, NodeId};
    use crate::wire::{Ack, Left, Message, Nack, PacketWriter, Ping};

    fn packet(message: &Message<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = PacketWriter::datagram(&mut bytes, ClusterHash::of("swim"), 1400);
        writer.push(message);
        writer.finish();
        bytes
    }

    fn left(number: u64) -> Vec<u8> {
        packet(&Message::Left(Left { id: NodeId::from_u64(number), incarnation: Incarnation::first(1) }))
    }

    fn ack(seq: u32) -> Vec<u8> {
        packet(&Message::Ack(Ack { seq, incarnation: Incarnation::first(1) }))
    }

    fn from() -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], 7946))
    }

    fn all(backlog: &mut Backlog) -> Vec<Vec<u8>> {
        let mut popped = Vec::new();
        let mut datagram = Vec::new();
        while backlog.pop(&mut datagram).is_some() {
            popped.push(datagram.clone());
        }
        popped
    }

    #[test]
    fn long_datagrams_leave_no_memory_behind_for_short_ones() {
        let (mut backlog, mut datagram) = (Backlog::new(1_024, 1 << 20), Vec::new());
        for _ in 0..100 {
            (0..8).for_each(|_| backlog.push(from(), &[0; 65_507]));
            while backlog.pop(&mut datagram).is_some() {}
            (0..10).for_each(|number| backlog.push(from(), &left(number)));
        }
        let held: usize = backlog.news.iter().map(|waiting| waiting.bytes.capacity()).sum();
        assert!(backlog.len() >= 10 && held <= backlog.len() * SPARE_LEN_MAX, "{held} bytes for {}", backlog.len());
        assert!(backlog.spare.iter().all(|bytes| bytes.capacity() <= SPARE_LEN_MAX));
    }

    #[test]
    fn probes_and_answers_come_first_then_news_and_the_newest_of_each_first() {
        let ping = Ping { seq: 1, target: NodeId::from_u64(1), source: NodeId::from_u64(2) };
        let (ping, nack) = (packet(&Message::Ping(ping)), packet(&Message::Nack(Nack { seq: 3 })));
        let mut backlog = Backlog::new(10, 10_000);
        for datagram in [&left(1), &ping, &left(2), &ack(2), &nack, &left(3)] {
            backlog.push(from(), datagram);
        }
        assert_eq!(all(&mut backlog), [nack, ack(2), ping, left(3), left(2), left(1)]);
        assert_eq!(backlog.take_shed(), 0);
    }

    #[test]
    fn the_oldest_news_is_shed_first_and_probes_only_for_probes() {
        let mut backlog = Backlog::new(3, 10_000);
        for datagram in [&ack(1), &left(1), &left(2), &ack(2)] {
            backlog.push(from(), datagram);
        }
        assert_eq!(all(&mut backlog), [ack(2), ack(1), left(2)]);
        for seq in 0..5 {
            backlog.push(from(), &ack(seq));
        }
        assert_eq!(all(&mut backlog), [ack(4), ack(3), ack(2)]);
        assert_eq!(backlog.take_shed(), 3);
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut backlog = Backlog::new(100, 3 * left(1).len());
        for number in 0..9 {
            backlog.push(from(), &left(number));
        }
        backlog.push(from(), &[0; 1000]);
        assert_eq!((backlog.len(), backlog.take_shed()), (3, 7));
        assert_eq!(all(&mut backlog), [left(8), left(7), left(6)]);
        assert!(backlog.is_empty() && backlog.bytes == 0);
    }
}
