//! The first release's decoder, frozen: what a peer that speaks version 1 alone makes of a packet.
//!
//! A copy of `swim-proto/src/wire/` as it was before there was a version 2, with what it needs of `membership/`, and
//! without its encoder and its tests. It is never changed: whatever nodes of today send to such a peer, this takes.

pub(crate) mod membership;
pub(crate) mod wire;

/// Why the first release refuses a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatagramError {
    /// Shorter than a header, or longer than any packet of its kind.
    Length { len: usize, max: usize },
    /// Not a packet of this protocol.
    Magic,
    /// Of another version.
    Version(u8),
    /// Flags it does not know.
    Flags(u8),
    /// Of another cluster.
    Cluster,
    /// Damaged.
    Checksum,
    /// A message of this kind is malformed.
    Malformed { kind: u8 },
}
