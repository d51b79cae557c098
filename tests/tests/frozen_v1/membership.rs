//! What a packet says of members, as the first release knows it.

use serde::{Deserialize, Serialize};

/// Orders what is said about one member: greater is newer. Compared by `life`, then by `refutation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Incarnation {
    /// Grows with each restart of the member: milliseconds of the wall clock, or more than the last persisted one.
    pub life: u64,
    /// Raised by the member alone, within one life: on being accused, on changing its metadata, and on seeing its own
    /// incarnation with other content.
    pub refutation: u32,
}

impl Incarnation {
    /// The greatest incarnation an Alive claim may carry. Anything above is refused when decoded.
    pub const MAX: Incarnation = Incarnation { life: (1 << 63) - 1, refutation: u32::MAX - 1 };

    /// The greatest incarnation an accusation or a departure may carry. Anything above is refused when decoded.
    pub const ACCUSED_MAX: Incarnation = Incarnation { life: (1 << 62) - 1, refutation: u32::MAX - 1 };

    /// The first incarnation of a life.
    pub const fn first(life: u64) -> Incarnation {
        Incarnation { life, refutation: 0 }
    }
}

pub const NAME_MAX: usize = 255;
pub const METADATA_MAX: usize = 512;

/// A member's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(#[serde(with = "postcard::fixint::le")] u64);

impl NodeId {
    pub const fn from_u64(bits: u64) -> NodeId {
        NodeId(bits)
    }
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// The range of versions a member speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Versions {
    pub min: u8,
    pub max: u8,
}

/// The first release speaks version 1 alone.
pub const VERSIONS: Versions = Versions { min: 1, max: 1 };

/// A cluster's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterHash(pub u32);
