//! Maps by member id, and the like.
//!
//! Ids are hashes already, so one multiplication spreads them; judges look up several of them per packet. Nothing
//! depends on the order of these maps: they are never iterated.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use swim_proto::NodeId;

/// A map by member id.
pub(super) type IdMap<V> = HashMap<NodeId, V, BuildHasherDefault<Spread>>;

/// A map by some 64-bit number that is a hash already.
pub(super) type NumberMap<V> = HashMap<u64, V, BuildHasherDefault<Spread>>;

/// A map by what members are known by besides, such as an address and an id.
pub(super) type SpreadMap<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;

/// Hashes what is a hash already, or a small number.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
