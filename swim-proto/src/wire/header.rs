//! What every packet begins with.
//!
//! | bytes | field |
//! |---|---|
//! | 0 | [`MAGIC`] |
//! | 1 | the version, one of [`VERSIONS`](crate::VERSIONS) |
//! | 2 | flags: bit 0 is [`FLAG_SEALED`], the others are zero |
//! | 3..7 | the cluster's hash, little-endian |
//! | 7..11 | CRC32C of all the packet's other bytes, little-endian |

use super::checksum::checksum;
use super::error::DatagramError;
use crate::membership::{ClusterHash, VERSIONS};

/// The first byte of every packet.
pub const MAGIC: u8 = 0x5A;

/// The second byte of a packet in the lowest version this crate speaks. Higher ones differ by this byte alone.
pub const VERSION: u8 = VERSIONS.min;

/// The header's flag of a sealed (encrypted and authenticated) packet. Reserved: such a packet is refused today.
pub const FLAG_SEALED: u8 = 0b0000_0001;

/// Bytes of a packet before its first message.
pub const HEADER_LEN: usize = 11;

/// The longest packet on a stream, in bytes, not counting the length before it.
pub const FRAME_MAX: usize = 64 * 1024;

/// Where the version stands in the header.
const VERSION_AT: usize = 1;

/// Where the checksum stands in the header.
const CHECKSUM_AT: usize = 7;

const _: () = assert!(CHECKSUM_AT + size_of::<u32>() == HEADER_LEN);

/// The version that a packet's header names.
pub(crate) fn version_of(packet: &[u8]) -> Option<u8> {
    packet.get(VERSION_AT).copied()
}

/// Has a packet whose checksum is still to come be of this version.
pub(super) fn set_version(packet: &mut [u8], version: u8) {
    packet[VERSION_AT] = version;
}

/// A header whose checksum is still to come.
pub(super) fn open(cluster: ClusterHash) -> [u8; HEADER_LEN] {
    let [c0, c1, c2, c3] = cluster.0.to_le_bytes();
    [MAGIC, VERSION, 0, c0, c1, c2, c3, 0, 0, 0, 0]
}

/// Writes the checksum of a packet that is otherwise complete.
pub(super) fn seal_with_checksum(packet: &mut [u8]) {
    let (header, messages) = packet.split_first_chunk_mut::<HEADER_LEN>().expect("a packet begins with its header");
    let sum = checksum(covered(header), messages);
    header[CHECKSUM_AT..].copy_from_slice(&sum.to_le_bytes());
}

/// The messages of a packet whose header is in order.
pub(super) fn strip(packet: &[u8], cluster: ClusterHash, len_max: usize) -> Result<&[u8], DatagramError> {
    let Some((header, messages)) = packet.split_first_chunk::<HEADER_LEN>() else {
        return Err(DatagramError::Length { len: packet.len(), max: len_max });
    };
    if packet.len() > len_max {
        return Err(DatagramError::Length { len: packet.len(), max: len_max });
    }
    let mut ours = open(cluster);
    ours[VERSION_AT] = header[VERSION_AT];
    if *covered(header) != *covered(&ours) || !VERSIONS.contain(header[VERSION_AT]) {
        return Err(stranger(header));
    }
    let [.., s0, s1, s2, s3] = *header;
    if checksum(covered(header), messages) != u32::from_le_bytes([s0, s1, s2, s3]) {
        return Err(DatagramError::Checksum);
    }
    Ok(messages)
}

/// What is wrong with a header that is not ours, the first thing first.
#[cold]
fn stranger(header: &[u8; HEADER_LEN]) -> DatagramError {
    let [magic, version, flags, ..] = *header;
    if magic != MAGIC {
        DatagramError::Magic
    } else if !VERSIONS.contain(version) {
        DatagramError::Version(version)
    } else if flags != 0 {
        DatagramError::Flags(flags)
    } else {
        DatagramError::Cluster
    }
}

/// The header without its checksum.
fn covered(header: &[u8; HEADER_LEN]) -> &[u8; CHECKSUM_AT] {
    header.first_chunk().expect("a header is longer than what its checksum covers of it")
}
