//! Who a member is: its name, the id derived from it, and the numbers that order what is said about it.
//!
//! A member is known by a unique *name*. Tables and most messages use its [`NodeId`], the first 64 bits of
//! `SHA-256("swim.member" 0x00 len(cluster) cluster name)`, where `len` is one byte: nobody can cheaply craft a name
//! whose id collides with another's. Claims about it are ordered by its [`Incarnation`].

use core::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Longest member or cluster name, in bytes of UTF-8.
pub const NAME_MAX: usize = 255;

/// Most metadata a member may carry, in bytes.
pub const METADATA_MAX: usize = 512;

/// A member's identity in tables and on the wire: 64 bits of a cryptographic hash of cluster and name.
///
/// ```
/// use swim_proto::NodeId;
///
/// assert_eq!(NodeId::of("swim", "127.0.0.1:5000").to_string(), NodeId::of("swim", "127.0.0.1:5000").to_string());
/// assert_ne!(NodeId::of("swim", "a"), NodeId::of("swim", "b"));
/// assert_ne!(NodeId::of("swim", "a"), NodeId::of("other", "a"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(
    /// Little-endian on the wire: eight bytes, always.
    #[serde(with = "postcard::fixint::le")]
    u64,
);

impl NodeId {
    /// The id of the member called `name` in `cluster`. Both are at most [`NAME_MAX`] bytes.
    pub fn of(cluster: &str, name: &str) -> NodeId {
        let hash = Sha256::new()
            .chain_update(b"swim.member\0")
            .chain_update([cluster.len().min(NAME_MAX) as u8])
            .chain_update(cluster.as_bytes())
            .chain_update(name.as_bytes())
            .finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        NodeId(u64::from_le_bytes(first))
    }

    /// The id with these 64 bits: for tools that read wire captures or build test messages.
    pub const fn from_u64(bits: u64) -> NodeId {
        NodeId(bits)
    }

    /// The id's 64 bits.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The 32 bits of a cluster's name that every packet carries: `SHA-256("swim.cluster" 0x00 cluster)`, first four bytes.
///
/// It keeps clusters apart that share a network by mistake; it is no secret and no protection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct ClusterHash(pub u32);

impl ClusterHash {
    /// The hash of the cluster called `cluster`.
    pub fn of(cluster: &str) -> ClusterHash {
        let hash = Sha256::new().chain_update(b"swim.cluster\0").chain_update(cluster.as_bytes()).finalize();
        ClusterHash(u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]]))
    }
}
