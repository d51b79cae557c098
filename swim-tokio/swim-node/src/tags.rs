//! Tags, `key=value` pairs that describe a member, and how they travel in its metadata.
//!
//! The protocol gives each member 512 bytes of metadata that belong to the application. Agents put tags there:
//!
//! ```text
//! metadata = empty                       no tags
//!          | 0x01 tag*                   tags, in rising order of their keys, each key once
//! tag      = len key len value           len: one byte, or two for 128 and more (low seven bits first, 0x80 on the first)
//! ```
//!
//! Nodes that are not agents may keep something else there: what does not decode is shown as it is, in hexadecimal.

use std::collections::BTreeMap;

use swim_proto::METADATA_MAX;

/// The first byte of metadata that holds tags.
const MARK: u8 = 0x01;

/// A member's tags by key.
pub(crate) type Tags = BTreeMap<String, String>;

/// Reads one `key=value`.
pub(crate) fn parse(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        None => Err(format!("{text:?} is no tag; write key=value, such as role=database")),
        Some((key, _)) if key.trim().is_empty() => Err(format!("{text:?} has no key; write key=value")),
        Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
    }
}

/// The metadata that carries these tags; as an error, how many bytes they would need if that is too many.
pub(crate) fn encode(tags: &Tags) -> Result<Vec<u8>, usize> {
    if tags.is_empty() {
        return Ok(Vec::new());
    }
    let mut bytes = vec![MARK];
    for (key, value) in tags {
        put(&mut bytes, key);
        put(&mut bytes, value);
    }
    if bytes.len() > METADATA_MAX { Err(bytes.len()) } else { Ok(bytes) }
}

/// The tags that this metadata carries, unless it is something else.
pub(crate) fn decode(metadata: &[u8]) -> Option<Tags> {
    let mut tags = Tags::new();
    let Some((&mark, mut rest)) = metadata.split_first() else { return Some(tags) };
    if mark != MARK {
        return None;
    }
    while !rest.is_empty() {
        let key = take(&mut rest)?;
        let value = take(&mut rest)?;
        if key.is_empty() || tags.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return None;
        }
        tags.insert(key, value);
    }
    Some(tags)
}

fn put(bytes: &mut Vec<u8>, text: &str) {
    let len = text.len();
    if len < 0x80 {
        bytes.push(len as u8);
    } else {
        // Above 14 bits the length is wrong, but then the whole is refused for its size.
        bytes.extend([len as u8 | 0x80, (len >> 7) as u8 & 0x7f]);
    }
    bytes.extend(text.as_bytes());
}

fn take(bytes: &mut &[u8]) -> Option<String> {
    let (len, rest) = match **bytes {
        [low, ref rest @ ..] if low < 0x80 => (usize::from(low), rest),
        [low, high, ref rest @ ..] if high != 0 && high < 0x80 => {
            (usize::from(low & 0x7f) | usize::from(high) << 7, rest)
        }
        _ => return None,
    };
    let (text, rest) = rest.split_at_checked(len)?;
    *bytes = rest;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    #[test]
    fn tags_have_the_documented_bytes() {
        assert_eq!(encode(&tags(&[])), Ok(vec![]));
        assert_eq!(encode(&tags(&[("role", "db"), ("az", "")])), Ok(b"\x01\x02az\x00\x04role\x02db".to_vec()));
        let long = "x".repeat(300);
        let bytes = encode(&tags(&[("k", &long)])).unwrap();
        assert_eq!(bytes[..5], [0x01, 1, b'k', 0x80 | 44, 2]);
    }

    #[test]
    fn tags_survive_the_way_through_metadata() {
        for pairs in [&[][..], &[("a", "1")], &[("a", ""), ("b", "=,="), ("ü", "ß")], &[("k", &"y".repeat(400))]] {
            let tags = tags(pairs);
            assert_eq!(decode(&encode(&tags).unwrap()), Some(tags));
        }
    }

    #[test]
    fn exactly_512_bytes_fit() {
        // Mark, one byte and one letter of key, two bytes of the value's length: five bytes around the value.
        assert_eq!(encode(&tags(&[("k", &"v".repeat(507))])).map(|bytes| bytes.len()), Ok(512));
        assert_eq!(encode(&tags(&[("k", &"v".repeat(508))])), Err(513));
        assert!(encode(&tags(&[("k", &"v".repeat(100_000))])).is_err());
    }

    #[test]
    fn metadata_of_other_applications_is_not_taken_for_tags() {
        for bytes in [
            &b"\x02"[..],
            b"plain text",
            b"\x01\x05ab",
            b"\x01\x01a",
            b"\x01\x00\x00",
            b"\x01\x01b\x00\x01a\x00",
            b"\x01\x01a\x00\x01a\x00",
            b"\x01\x81\x00a\x00",
            b"\x01\x01\xff\x00",
            b"\x01\x80",
        ] {
            assert_eq!(decode(bytes), None, "{bytes:?}");
        }
        assert_eq!(decode(b"\x01"), Some(Tags::new()));
    }
}
