//! What a member says about itself, as fields and as the bytes that tables keep.
//!
//! A profile has one encoding. So tables store and compare its bytes, and hand them on without taking them apart.

use core::fmt;
use std::vec::Vec;

use super::address::{ADDRESS_MAX, is_unicast, parse_address, split_address, write_address};
use super::message::Profile;
use super::varint::{split_varint, varint};
use crate::frozen_v1::membership::{METADATA_MAX, NAME_MAX, Versions};

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
        parse_profile(bytes).map(|_| ProfileBytes(bytes))
    }

    /// Bytes that were a `ProfileBytes` before.
    pub(crate) fn from_validated(bytes: &'a [u8]) -> ProfileBytes<'a> {
        debug_assert!(parse_profile(bytes).is_some(), "not a profile: {bytes:02x?}");
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
        parse_profile(self.0).expect("was validated when it was made")
    }
}

impl fmt::Debug for ProfileBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match parse_profile(self.0) {
            Some(profile) => profile.fmt(f),
            None => write!(f, "not a profile: {:02x?}", self.0),
        }
    }
}

impl Profile<'_> {
    /// Appends the canonical encoding. The profile must be valid: addresses that are [unicast](super::is_unicast), a
    /// name of 1 to 255 bytes, at most 512 bytes of metadata, `1 <= versions.min <= versions.max`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        debug_assert!(self.is_valid(), "cannot be told to others: {self:?}");
        write_address(self.address, out);
        out.push(self.endpoint.is_some().into());
        if let Some(endpoint) = self.endpoint {
            write_address(endpoint, out);
        }
        out.extend_from_slice(&[self.versions.min, self.versions.max]);
        write_counted(self.name.as_bytes(), out);
        write_counted(self.metadata, out);
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

/// Appends bytes after their count.
fn write_counted(bytes: &[u8], out: &mut Vec<u8>) {
    let (count, count_len) = varint(bytes.len() as u64);
    out.extend_from_slice(&count[..count_len]);
    out.extend_from_slice(bytes);
}

/// Whether `bytes` are a valid profile, all of them.
#[inline]
pub(super) fn is_profile(bytes: &[u8]) -> bool {
    split_profile(bytes).is_some()
}

/// The profile that `bytes` are, all of them, if it is valid.
fn parse_profile(bytes: &[u8]) -> Option<Profile<'_>> {
    let parts = split_profile(bytes)?;
    Some(Profile {
        address: parse_address(parts.address)?,
        endpoint: match parts.endpoint {
            Some(endpoint) => Some(parse_address(endpoint)?),
            None => None,
        },
        versions: parts.versions,
        name: str::from_utf8(parts.name).ok()?,
        metadata: parts.metadata,
    })
}

/// A profile known to be valid, its addresses and its name still bytes: whoever only wants to know that is not made to
/// pay for more.
struct Parts<'a> {
    address: &'a [u8],
    endpoint: Option<&'a [u8]>,
    versions: Versions,
    name: &'a [u8],
    metadata: &'a [u8],
}

#[inline]
fn split_profile(bytes: &[u8]) -> Option<Parts<'_>> {
    let (address, rest) = split_address(bytes)?;
    let (endpoint, rest) = match rest {
        [0, rest @ ..] => (None, rest),
        [1, rest @ ..] => {
            let (endpoint, rest) = split_address(rest)?;
            (Some(endpoint), rest)
        }
        _ => return None,
    };
    let [min, max, rest @ ..] = rest else { return None };
    let versions = Versions { min: *min, max: *max };
    let (name, rest) = split_counted(rest, NAME_MAX)?;
    let (metadata, rest) = split_counted(rest, METADATA_MAX)?;
    let in_bounds = 1 <= versions.min && versions.min <= versions.max && !name.is_empty() && rest.is_empty();
    if in_bounds && is_text(name) { Some(Parts { address, endpoint, versions, name, metadata }) } else { None }
}

/// Bytes after their count, which is at most `len_max`, and what follows them.
#[inline]
fn split_counted(bytes: &[u8], len_max: usize) -> Option<(&[u8], &[u8])> {
    let (len, rest) = split_varint(bytes)?;
    if len > len_max as u64 {
        return None;
    }
    rest.split_at_checked(len as usize)
}

/// Whether a name is UTF-8. Most are short and ASCII, for which the library's own check takes much longer than this.
#[inline]
fn is_text(name: &[u8]) -> bool {
    is_ascii(name) || str::from_utf8(name).is_ok()
}

#[inline]
fn is_ascii(name: &[u8]) -> bool {
    const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
    let (words, rest) = name.as_chunks::<8>();
    let bits = words.iter().fold(0, |bits, word| bits | u64::from_le_bytes(*word));
    // The last eight bytes hold the rest, and may overlap the words.
    let last = match name.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last),
        None => rest.iter().fold(0, |bits, &byte| bits | u64::from(byte)),
    };
    (bits | last) & HIGH_BITS == 0
}
