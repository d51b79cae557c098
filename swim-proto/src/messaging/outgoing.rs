//! A message that was accepted and is not done, and how ordered ones follow one another.

use bytes::Bytes;
use hashbrown::HashTable;

use super::inbox::cost;
use super::message::{Class, Confirm, MessageId, Order};
use crate::random::mix;
use crate::time::Instant;

/// Bits of a message's id that are its place; the rest counts messages. More than enough places for
/// [`MessagingConfig::outgoing_messages_max`](super::MessagingConfig::outgoing_messages_max).
const PLACE_BITS: u32 = 21;

/// The id of the so-manieth message, which lives there.
pub(super) fn id(count: u64, place: u32) -> MessageId {
    MessageId(count << PLACE_BITS | u64::from(place))
}

/// Where the message of this id would live.
pub(super) fn place(id: MessageId) -> u32 {
    (id.0 & ((1 << PLACE_BITS) - 1)) as u32
}

/// How far a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It was not put on a link, or is to be put on one of another life of its receiver.
    Waiting,
    /// It was put on a link under this number.
    Flying(u64),
    /// It was delivered under this number, and is waited for to be processed.
    Delivered(u64),
}

#[derive(Debug)]
pub(super) struct Pending {
    pub(super) id: MessageId,
    /// The place of its receiver.
    pub(super) peer: u32,
    pub(super) payload: Bytes,
    pub(super) class: Class,
    pub(super) order: Order,
    pub(super) confirm: Confirm,
    pub(super) redeliverable: bool,
    /// An earlier life may have seen it.
    pub(super) repeated: bool,
    /// Its outcome was told.
    pub(super) told: bool,
    pub(super) progress: Progress,
    pub(super) accepted: Instant,
    pub(super) sent: Option<Instant>,
}

impl Pending {
    pub(super) fn cost(&self) -> u64 {
        cost(&self.payload)
    }
}

#[derive(Clone, Copy, Debug)]
struct Chain {
    peer: u32,
    class: Class,
    stream: u64,
    last: u64,
}

/// The last number of each stream of which anything is under way.
#[derive(Debug)]
pub(super) struct Chains {
    chains: HashTable<Chain>,
    key: u64,
}

impl Chains {
    pub(super) fn new(key: u64) -> Chains {
        Chains { chains: HashTable::new(), key }
    }

    fn hash(key: u64, peer: u32, class: Class, stream: u64) -> u64 {
        mix(mix(stream ^ key).wrapping_add(u64::from(peer) << 2 | class as u64))
    }

    /// `number` is the last of its stream from now on; how far back the one before it is.
    pub(super) fn follow(&mut self, peer: u32, class: Class, order: Order, number: u64) -> u64 {
        let Order::Stream(stream) = order else { return 0 };
        let key = self.key;
        let hash = Chains::hash(key, peer, class, stream);
        let same = |chain: &Chain| (chain.peer, chain.class, chain.stream) == (peer, class, stream);
        if let Some(chain) = self.chains.find_mut(hash, same) {
            return number - core::mem::replace(&mut chain.last, number);
        }
        let chain = Chain { peer, class, stream, last: number };
        self.chains.insert_unique(hash, chain, |chain| Chains::hash(key, chain.peer, chain.class, chain.stream));
        0
    }

    /// This number is delivered: what comes next in its stream, if it was the last, follows nothing.
    pub(super) fn landed(&mut self, peer: u32, class: Class, order: Order, number: u64) {
        let Order::Stream(stream) = order else { return };
        let hash = Chains::hash(self.key, peer, class, stream);
        let same = |chain: &Chain| (chain.peer, chain.class, chain.stream, chain.last) == (peer, class, stream, number);
        if let Ok(entry) = self.chains.find_entry(hash, same) {
            entry.remove();
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.chains.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_follows_the_last_of_its_stream_that_is_under_way() {
        let mut chains = Chains::new(7);
        let stream = Order::Stream(5);
        assert_eq!(chains.follow(1, Class::Normal, stream, 10), 0);
        assert_eq!(chains.follow(1, Class::High, stream, 11), 0);
        assert_eq!(chains.follow(2, Class::Normal, stream, 12), 0);
        assert_eq!(chains.follow(1, Class::Normal, Order::Unordered, 13), 0);
        assert_eq!(chains.follow(1, Class::Normal, stream, 14), 4);
        chains.landed(1, Class::Normal, stream, 10);
        assert_eq!(chains.follow(1, Class::Normal, stream, 15), 1);
        chains.landed(1, Class::Normal, stream, 15);
        assert_eq!(chains.follow(1, Class::Normal, stream, 16), 0);
        for (peer, class, number) in [(1, Class::Normal, 16), (1, Class::High, 11), (2, Class::Normal, 12)] {
            chains.landed(peer, class, stream, number);
        }
        assert_eq!(chains.len(), 0);
    }
}
