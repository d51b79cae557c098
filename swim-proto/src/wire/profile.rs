//! What a member says about itself, as fields and as the bytes that tables keep.
//!
//! A profile has one encoding. So tables store and compare its bytes, and hand them on without taking them apart.

use alloc::vec::Vec;
use core::fmt;

use super::address::{ADDRESS_MAX, is_unicast, read_address, write_address};
use super::message::Profile;
use super::varint::{Reader, write_varint};
use crate::membership::{METADATA_MAX, NAME_MAX, Versions};

/// Most bytes of an encoded profile: two addresses, versions, the longest name and metadata with their lengths.
pub const PROFILE_MAX: usize = ADDRESS_MAX + (1 + ADDRESS_MAX) + 2 + (2 + NAME_MAX) + (2 + METADATA_MAX);

/// The canonical bytes of a valid [`Profile`].
///
/// Ordered as bytes: of two profiles said with one incarnation the greater holds, everywhere the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileBytes<'a>(&'a [u8]);

impl<'a> ProfileBytes<'a> {
    /// These bytes, if they are a valid profile's canonical encoding.
    pub fn new(bytes: &'a [u8]) -> Option<ProfileBytes<'a>> {
        read_profile(bytes).map(|_| ProfileBytes(bytes))
    }

    /// Bytes that were a `ProfileBytes` before.
    pub(crate) fn from_validated(bytes: &'a [u8]) -> ProfileBytes<'a> {
        debug_assert!(read_profile(bytes).is_some(), "not a profile: {bytes:02x?}");
        ProfileBytes(bytes)
    }

    /// The tail of an Alive's body, which [`decode`](super::decode()) has looked at or is about to.
    pub(super) fn from_body(bytes: &'a [u8]) -> ProfileBytes<'a> {
        ProfileBytes(bytes)
    }

    /// The bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The fields.
    pub fn parse(self) -> Profile<'a> {
        read_profile(self.0).expect("was validated when it was made")
    }
}

impl fmt::Debug for ProfileBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        read_profile(self.0).fmt(f)
    }
}

impl Profile<'_> {
    /// Appends the canonical encoding. The profile must be valid: addresses that are [unicast](super::is_unicast), a
    /// name of 1 to 255 bytes, at most 512 bytes of metadata, `1 <= versions.min <= versions.max`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        debug_assert!(self.is_valid(), "cannot be told to others: {self:?}");
        let mut write = |bytes: &[u8]| out.extend_from_slice(bytes);
        write_address(self.address, &mut write);
        match self.endpoint {
            None => write(&[0]),
            Some(endpoint) => {
                write(&[1]);
                write_address(endpoint, &mut write);
            }
        }
        write(&[self.versions.min, self.versions.max]);
        write_varint(self.name.len() as u64, &mut write);
        write(self.name.as_bytes());
        write_varint(self.metadata.len() as u64, &mut write);
        write(self.metadata);
    }

    fn is_valid(&self) -> bool {
        is_unicast(self.address)
            && self.endpoint.is_none_or(is_unicast)
            && 1 <= self.versions.min
            && self.versions.min <= self.versions.max
            && (1..=NAME_MAX).contains(&self.name.len())
            && self.metadata.len() <= METADATA_MAX
    }
}

/// The profile that `bytes` are, all of them, if it is valid.
fn read_profile(bytes: &[u8]) -> Option<Profile<'_>> {
    let mut reader = Reader::new(bytes);
    let address = read_address(&mut reader)?;
    let endpoint = match reader.byte()? {
        0 => None,
        1 => Some(read_address(&mut reader)?),
        _ => return None,
    };
    let versions = Versions { min: reader.byte()?, max: reader.byte()? };
    let name_len = reader.varint(NAME_MAX as u64)? as usize;
    let name = core::str::from_utf8(reader.bytes(name_len)?).ok()?;
    let metadata_len = reader.varint(METADATA_MAX as u64)? as usize;
    let metadata = reader.bytes(metadata_len)?;
    let whole = reader.rest().is_empty();
    let in_bounds = 1 <= versions.min && versions.min <= versions.max && !name.is_empty();
    (whole && in_bounds).then_some(Profile { address, endpoint, versions, name, metadata })
}

/// Whether `bytes` are a valid profile.
pub(super) fn is_profile(bytes: &[u8]) -> bool {
    read_profile(bytes).is_some()
}
