//! Reading from the front of a body; varints in the one form that is canonical.
//!
//! Postcard's varint is LEB128: seven bits a byte, least significant first, the top bit set in all bytes but the last.
//! Postcard itself also takes `80 00` for zero. Here a last byte of zero, which adds nothing, is refused.

use crate::membership::{Incarnation, NodeId};

/// Most bytes of a varint of 64 bits.
const VARINT_MAX: usize = 10;

/// What is left to read of a body.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// All that has not been read.
    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (array, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(array)
    }

    pub(super) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(bytes)
    }

    pub(super) fn u32_le(&mut self) -> Option<u32> {
        self.array().copied().map(u32::from_le_bytes)
    }

    pub(super) fn id(&mut self) -> Option<NodeId> {
        self.array().copied().map(u64::from_le_bytes).map(NodeId::from_u64)
    }

    /// An incarnation, if neither of its parts exceeds that of `max`.
    pub(super) fn incarnation(&mut self, max: Incarnation) -> Option<Incarnation> {
        let life = self.varint(max.life)?;
        let refutation = self.varint(max.refutation.into())? as u32;
        Some(Incarnation { life, refutation })
    }

    pub(super) fn varint_u16(&mut self) -> Option<u16> {
        self.varint(u16::MAX.into()).map(|value| value as u16)
    }

    /// A canonical varint, if it is at most `max`.
    #[inline]
    pub(super) fn varint(&mut self, max: u64) -> Option<u64> {
        let mut value = 0;
        for (i, &byte) in self.rest.iter().enumerate().take(VARINT_MAX) {
            let shift = 7 * i as u32;
            let part = u64::from(byte & 0x7f);
            if i == VARINT_MAX - 1 && part > 1 {
                return None; // beyond 64 bits
            }
            value |= part << shift;
            if byte < 0x80 {
                if byte == 0 && i > 0 {
                    return None; // not canonical
                }
                self.rest = &self.rest[i + 1..];
                return (value <= max).then_some(value);
            }
        }
        None
    }
}

/// Hands the bytes of `value`'s varint to `write`.
pub(super) fn write_varint(mut value: u64, mut write: impl FnMut(&[u8])) {
    let mut bytes = [0; VARINT_MAX];
    let mut len = 0;
    while value >= 0x80 {
        bytes[len] = value as u8 | 0x80;
        value >>= 7;
        len += 1;
    }
    bytes[len] = value as u8;
    write(&bytes[..=len]);
}
