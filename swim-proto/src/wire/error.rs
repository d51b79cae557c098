//! Why a packet was refused.

/// Why a packet was refused. The node is as it was, but for [`Stats::drops`](crate::stats::Drops).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatagramError {
    /// Shorter than a header, or longer than any packet of its kind.
    #[error("a packet of {len} bytes; it must have 11 to {max}")]
    Length {
        /// Its bytes.
        len: usize,
        /// The most it may have.
        max: usize,
    },
    /// Not a packet of this protocol.
    #[error("does not begin with this protocol's magic number")]
    Magic,
    /// Of a version this node does not speak.
    #[error("protocol version {0} is not spoken here")]
    Version(u8),
    /// Flags this node does not know, or a sealed packet without a key to open it.
    #[error("flags {0:#04x}: sealed without a key here, or unknown")]
    Flags(u8),
    /// Of another cluster.
    #[error("of another cluster")]
    Cluster,
    /// Damaged on the way.
    #[error("the checksum is wrong: damaged on the way")]
    Checksum,
    /// A message of this kind has a body that is not one canonical encoding, or values out of bounds.
    #[error("a message of kind {kind} is malformed")]
    Malformed {
        /// The kind byte; 0 where the message's frame itself is broken.
        kind: u8,
    },
}
