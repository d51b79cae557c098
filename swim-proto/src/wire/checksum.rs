//! CRC32C (Castagnoli; RFC 3720 appendix B.4), which finds every damage of up to 32 adjacent bits.
//!
//! It protects against the network, not against an attacker: anyone can compute it.

use crc::{CRC_32_ISCSI, Crc, Table};

static CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// The checksum of a packet: of what its header holds before the checksum, then of its messages.
pub(super) fn checksum(header: &[u8; 7], messages: &[u8]) -> u32 {
    let mut digest = CRC32C.digest();
    digest.update(header);
    digest.update(messages);
    digest.finalize()
}
