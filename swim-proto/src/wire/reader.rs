//! Reads the parts of a message's body, front to back. `None` is always: this is no such part.

use super::varint::split_varint;
use crate::membership::{Incarnation, NodeId};

/// What is left to read.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline(always)]
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// All that has not been read.
    #[inline(always)]
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// `value`, which was read last of all.
    #[inline(always)]
    pub(crate) fn finish<T>(self, value: T) -> Option<T> {
        self.rest.is_empty().then_some(value)
    }

    #[inline(always)]
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*array)
    }

    #[inline(always)]
    pub(crate) fn u32_le(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    #[inline(always)]
    pub(crate) fn id(&mut self) -> Option<NodeId> {
        self.array().map(u64::from_le_bytes).map(NodeId::from_u64)
    }

    /// An incarnation, if neither of its parts is above that of `max`.
    #[inline(always)]
    pub(crate) fn incarnation(&mut self, max: Incarnation) -> Option<Incarnation> {
        let life = self.varint(max.life)?;
        let refutation = self.varint(max.refutation.into())? as u32;
        Some(Incarnation { life, refutation })
    }

    /// A canonical varint, if it is at most `max`.
    #[inline(always)]
    pub(crate) fn varint(&mut self, max: u64) -> Option<u64> {
        let (value, rest) = split_varint(self.rest)?;
        self.rest = rest;
        (value <= max).then_some(value)
    }
}
