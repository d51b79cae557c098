//! The first 64 bytes, looked at as they come.
//!
//! ```text
//!   0          10      11      12           32         33     64
//!   FF .. 7F | major | minor | mechanism | as-server | zeros |
//! ```
//!
//! Of the ten bytes of signature only the first and the last mean something: libzmq puts other things between them for
//! peers of ZMTP 1. Whoever speaks something else altogether is found out by its first byte, not only by its 64th.

use crate::config::Mechanism;
use crate::error::LinkError;

/// What a greeting takes.
pub(crate) const GREETING_BYTES: usize = 64;

/// The peer's greeting, as far as it has come.
#[derive(Debug)]
pub(crate) struct Greeting {
    bytes: [u8; GREETING_BYTES],
    len: usize,
}

impl Greeting {
    pub(crate) fn new() -> Self {
        Greeting { bytes: [0; GREETING_BYTES], len: 0 }
    }

    /// How much is missing.
    pub(crate) fn missing(&self) -> usize {
        GREETING_BYTES - self.len
    }

    /// Takes the next bytes, at most as many as are missing.
    pub(crate) fn take(&mut self, bytes: &[u8], ours: &Mechanism) -> Result<(), LinkError> {
        for &byte in bytes {
            let offset = self.len;
            self.bytes[offset] = byte;
            self.len += 1;
            match (offset, byte) {
                (0, 0xff) | (9, 0x7f) => {}
                (0 | 9, byte) => return Err(LinkError::NotZmtp { offset, byte }),
                (10, major) if major < 3 => return Err(LinkError::Version { major }),
                (31, _) => self.mechanism(ours)?,
                // Where there is no server, nobody is one.
                (32, flag) if flag != 0 => return Err(LinkError::AsServer(flag)),
                _ => {}
            }
        }
        Ok(())
    }

    fn mechanism(&self, ours: &Mechanism) -> Result<(), LinkError> {
        let mut expected = [0; 20];
        expected[..ours.name().len()].copy_from_slice(ours.name().as_bytes());
        let theirs = &self.bytes[12..32];
        if theirs == expected {
            return Ok(());
        }
        let named = theirs.iter().position(|&byte| byte == 0).unwrap_or(theirs.len());
        // Where the name is right, what follows it is not.
        let shown = if theirs[..named] == *ours.name().as_bytes() { theirs } else { &theirs[..named] };
        let theirs = String::from_utf8_lossy(shown).into_owned();
        Err(LinkError::Mechanism { ours: ours.name(), theirs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As libzmq 4.3 sends it.
    fn good() -> [u8; GREETING_BYTES] {
        let mut bytes = [0; GREETING_BYTES];
        bytes[..12].copy_from_slice(&[0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1]);
        bytes[12..16].copy_from_slice(b"NULL");
        bytes
    }

    fn with(offset: usize, byte: u8) -> Result<(), LinkError> {
        let mut bytes = good();
        bytes[offset] = byte;
        // One byte after the other: the error is there with its byte, and nothing after it is looked at.
        let mut greeting = Greeting::new();
        let until = bytes
            .iter()
            .enumerate()
            .find_map(|(at, byte)| Some((at, greeting.take(&[*byte], &Mechanism::Null).err()?)));
        let all = Greeting::new().take(&bytes, &Mechanism::Null);
        assert_eq!(until.map(|(_, error)| error), all.clone().err());
        all
    }

    #[test]
    fn a_good_greeting_is_taken_whole() {
        let mut greeting = Greeting::new();
        greeting.take(&good(), &Mechanism::Null).unwrap();
        assert_eq!(greeting.missing(), 0);
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(with(0, b'G'), Err(LinkError::NotZmtp { offset: 0, byte: b'G' }));
        assert_eq!(with(9, 0), Err(LinkError::NotZmtp { offset: 9, byte: 0 }));
        assert_eq!(with(10, 1), Err(LinkError::Version { major: 1 }));
        assert_eq!(with(10, 4), Ok(()), "a later major speaks 3 with us");
        assert_eq!(with(32, 1), Err(LinkError::AsServer(1)));
        let theirs = "NULLX".to_owned();
        assert_eq!(with(16, b'X'), Err(LinkError::Mechanism { ours: "NULL", theirs }));
        let theirs = format!("NULL{}X{}", "\0".repeat(3), "\0".repeat(12));
        assert_eq!(with(19, b'X'), Err(LinkError::Mechanism { ours: "NULL", theirs }));
        for insignificant in (1..9).chain([11]).chain(33..64) {
            assert_eq!(with(insignificant, 0xaa), Ok(()), "byte {insignificant}");
        }
    }
}
