//! Varints, in the one form that is canonical.
//!
//! Postcard's varint is LEB128: seven bits a byte, least significant first, the top bit set in all bytes but the last.
//! Postcard itself also takes `80 00` for zero. Here a last byte of zero, which adds nothing, is refused.
//!
//! A life is six bytes long and stands in nearly every message, so up to eight bytes are handled at once, as one word.

/// Most bytes of a varint of 64 bits.
pub(super) const VARINT_MAX: usize = 10;

/// The top bit of each byte of a word: set in all bytes of a varint but the last.
const MORE: u64 = 0x8080_8080_8080_8080;

/// The varint that `bytes` begin with, if it is canonical and fits 64 bits, and what follows it.
#[inline(always)]
pub(super) fn split_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        return Some((first.into(), rest));
    }
    let word = u64::from_le_bytes(*bytes.first_chunk::<8>().unwrap_or(&[0xff; 8]));
    let ends = !word & MORE;
    if ends == 0 {
        return split_varint_slowly(bytes);
    }
    let bits = ends.trailing_zeros() + 1;
    let rest = bytes.get(bits as usize / 8..)?;
    // What follows is shifted out, which leaves the varint's last byte on top.
    let top = word << (u64::BITS - bits);
    let canonical = top >> (u64::BITS - 8) != 0;
    if canonical { Some((join_sevens(top >> (u64::BITS - bits)), rest)) } else { None }
}

/// The same for one longer than eight bytes, or closer than eight bytes to the end.
#[inline(never)]
fn split_varint_slowly(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let len = 1 + bytes.iter().take(VARINT_MAX).position(|&byte| byte < 0x80)?;
    let (varint, rest) = bytes.split_at(len);
    let last = varint[len - 1];
    let canonical = last != 0 || len == 1;
    let fits = len < VARINT_MAX || last == 1;
    let value = varint.iter().rev().fold(0, |value, &byte| value << 7 | u64::from(byte & 0x7f));
    (canonical && fits).then_some((value, rest))
}

/// The varint of `value`: the first so many of these bytes. (The others are of no meaning.)
#[inline(always)]
pub(crate) fn varint(value: u64) -> ([u8; VARINT_MAX], usize) {
    let mut bytes = [0; VARINT_MAX];
    if value < 0x80 {
        bytes[0] = value as u8;
        return (bytes, 1);
    }
    let len = varint_len(value);
    if len > 8 {
        return varint_slowly(value);
    }
    let word = split_sevens(value) | MORE & !(u64::MAX << (8 * (len - 1)));
    bytes[..8].copy_from_slice(&word.to_le_bytes());
    (bytes, len)
}

/// The same for one longer than eight bytes.
#[inline(never)]
fn varint_slowly(mut value: u64) -> ([u8; VARINT_MAX], usize) {
    let mut bytes = [0; VARINT_MAX];
    let len = varint_len(value);
    for byte in &mut bytes[..len - 1] {
        *byte = value as u8 | 0x80;
        value >>= 7;
    }
    bytes[len - 1] = value as u8;
    (bytes, len)
}

/// Bytes of the varint of `value`: one for each seven bits begun, from the first on.
#[inline]
pub(super) const fn varint_len(value: u64) -> usize {
    let bit_max = 63 - (value | 1).leading_zeros();
    // 1 + bit_max / 7, for all of 0..64.
    ((bit_max * 9 + 73) / 64) as usize
}

/// Takes the seven low bits of each byte for one number.
#[inline]
fn join_sevens(word: u64) -> u64 {
    let word = word & 0x007f_007f_007f_007f | word >> 1 & 0x3f80_3f80_3f80_3f80;
    let word = word & 0x0000_3fff_0000_3fff | word >> 2 & 0x0fff_c000_0fff_c000;
    word & 0x0fff_ffff | word >> 4 & 0x00ff_ffff_f000_0000
}

/// The reverse, of up to 56 bits.
#[inline]
fn split_sevens(value: u64) -> u64 {
    let word = value & 0x0fff_ffff | (value & 0x00ff_ffff_f000_0000) << 4;
    let word = word & 0x0000_3fff_0000_3fff | (word & 0x0fff_c000_0fff_c000) << 2;
    word & 0x007f_007f_007f_007f | (word & 0x3f80_3f80_3f80_3f80) << 1
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// Numbers around every change of length.
    fn edges() -> impl Iterator<Item = u64> {
        (0..64).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1]).chain([u64::MAX, u64::MAX - 1])
    }

    #[test]
    fn a_varint_is_postcards_and_read_back_whatever_follows() {
        for value in edges() {
            let (bytes, len) = varint(value);
            let canonical = postcard::to_slice(&value, &mut [0; 10]).unwrap().to_vec();
            assert_eq!(bytes[..len], canonical);
            assert_eq!(varint_len(value), len);
            for after in [&[][..], &[0], &[0xff; 20], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]] {
                let bytes = [&canonical, after].concat();
                assert_eq!(split_varint(&bytes), Some((value, after)));
            }
        }
    }

    #[test]
    fn a_varint_that_is_cut_short_or_longer_than_needed_is_none() {
        for value in edges() {
            let (bytes, len) = varint(value);
            for cut in 0..len {
                assert_eq!(split_varint(&bytes[..cut]), None);
            }
            let mut padded: Vec<u8> = bytes[..len].to_vec();
            while padded.len() < 20 {
                *padded.last_mut().unwrap() |= 0x80;
                padded.push(0);
                assert_eq!(split_varint(&padded), None);
                assert_eq!(split_varint(&[&padded[..], &[9; 9]].concat()), None);
            }
        }
        assert_eq!(split_varint(&[0xff; 30]), None);
        assert_eq!(split_varint(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]), None);
    }
}
