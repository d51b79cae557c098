//! A digest of the live members, kept as they change.
//!
//! The sum of one hash per live member does not depend on order and is mended in O(1) when one changes: subtract the
//! old hash, add the new. Suspect counts as live, and what is hashed is the incarnation of the *content*, so two nodes
//! agree exactly when each knows every live member's latest word about itself. Equal sums of different sets would need
//! a collision of 64 bits; the next change ends even that.

use alloc::boxed::Box;

use super::{ClusterHash, Incarnation, NodeId};
use crate::random::mix;

/// Buckets of the sync digest: the top eight bits of a member's id choose one.
pub const BUCKETS: usize = 256;

/// The bucket of an id.
pub(crate) const fn bucket(id: NodeId) -> usize {
    (id.as_u64() >> 56) as usize
}

/// Which buckets: one bit each, least significant first.
pub(crate) type Buckets = [u8; BUCKETS / 8];

/// Whether `id`'s bucket is among `buckets`.
pub(crate) fn contains(buckets: &Buckets, id: NodeId) -> bool {
    let bucket = bucket(id);
    buckets[bucket / 8] >> (bucket % 8) & 1 == 1
}

pub(crate) struct Digest {
    key: u64,
    root: u64,
    sums: Box<[u64; BUCKETS]>,
}

impl Digest {
    pub(crate) fn new(cluster: ClusterHash) -> Digest {
        Digest { key: mix(u64::from(cluster.0)), root: 0, sums: Box::new([0; BUCKETS]) }
    }

    fn hash(&self, id: NodeId, incarnation: Incarnation) -> u64 {
        mix(mix(mix(self.key ^ id.as_u64()).wrapping_add(incarnation.life)).wrapping_add(incarnation.refutation.into()))
    }

    pub(crate) fn add(&mut self, id: NodeId, incarnation: Incarnation) {
        let hash = self.hash(id, incarnation);
        self.root = self.root.wrapping_add(hash);
        self.sums[bucket(id)] = self.sums[bucket(id)].wrapping_add(hash);
    }

    pub(crate) fn remove(&mut self, id: NodeId, incarnation: Incarnation) {
        let hash = self.hash(id, incarnation);
        self.root = self.root.wrapping_sub(hash);
        self.sums[bucket(id)] = self.sums[bucket(id)].wrapping_sub(hash);
    }

    pub(crate) fn root(&self) -> u64 {
        self.root
    }

    /// The sums as they go on the wire.
    pub(crate) fn wire_sums(&self) -> [u8; 8 * BUCKETS] {
        let mut bytes = [0; 8 * BUCKETS];
        for (sum, bytes) in self.sums.iter().zip(bytes.chunks_exact_mut(8)) {
            bytes.copy_from_slice(&sum.to_le_bytes());
        }
        bytes
    }

    /// The buckets in which these sums differ from ours.
    pub(crate) fn differing(&self, wire_sums: &[u8; 8 * BUCKETS]) -> Buckets {
        let mut buckets = [0; BUCKETS / 8];
        for (bucket, theirs) in wire_sums.chunks_exact(8).enumerate() {
            if theirs != self.sums[bucket].to_le_bytes() {
                buckets[bucket / 8] |= 1 << (bucket % 8);
            }
        }
        buckets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_changes_does_not_matter_and_removal_undoes_addition() {
        let (a, b) = (NodeId::from_u64(1 << 56), NodeId::from_u64(2 << 56));
        let [one, two] = [Incarnation::first(1), Incarnation::first(2)];
        let mut left = Digest::new(ClusterHash(9));
        left.add(a, one);
        left.add(b, one);
        left.remove(a, one);
        left.add(a, two);
        let mut right = Digest::new(ClusterHash(9));
        right.add(a, two);
        let differing = left.differing(&right.wire_sums());
        assert!(contains(&differing, b) && !contains(&differing, a));
        right.add(b, one);
        assert_eq!(left.root(), right.root());
        assert_eq!(left.differing(&right.wire_sums()), [0; BUCKETS / 8]);
    }
}
