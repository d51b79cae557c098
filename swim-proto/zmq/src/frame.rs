//! Frame headers, and what they may declare.
//!
//! A frame is one byte of flags, a length of one byte or eight, and a body; a message is frames with MORE and one
//! without. The [`Gate`] looks at every header before its body is kept, and adds up what the message will be: a peer
//! that declares too much is refused on its word, and nothing is reserved for it.

use crate::error::LinkError;
use crate::limits::{COMMAND_BYTES_MAX, HANDSHAKE_BYTES_MAX, Limits};

/// One byte of flags and eight of length.
pub(crate) const HEADER_BYTES_MAX: usize = 9;

const MORE: u8 = 0x01;
const LONG: u8 = 0x02;
const COMMAND: u8 = 0x04;

/// A frame whose header was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) header_len: usize,
    pub(crate) body_len: usize,
    pub(crate) kind: Kind,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Command,
    /// A part, and others follow.
    Part,
    LastPart,
}

impl Frame {
    pub(crate) fn len(&self) -> usize {
        self.header_len + self.body_len
    }
}

/// How long the header that begins so is; `None` while not even that can be known.
pub(crate) fn header_len(begin: &[u8]) -> Option<usize> {
    begin.first().map(|flags| if flags & LONG != 0 { HEADER_BYTES_MAX } else { 2 })
}

/// How many bytes a part of this length takes with its header.
pub(crate) const fn framed_len(body_len: usize) -> usize {
    body_len + if body_len > u8::MAX as usize { HEADER_BYTES_MAX } else { 2 }
}

/// Admits frames, one header after the other.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: Limits,
    ready: bool,
    /// Of the message that is coming in.
    parts: usize,
    bytes: u64,
}

impl Gate {
    pub(crate) fn new(limits: Limits) -> Self {
        Gate { limits, ready: false, parts: 0, bytes: 0 }
    }

    /// The handshake is done.
    pub(crate) fn ready(&mut self) {
        self.ready = true;
    }

    /// Admits the frame whose header is at the beginning of `bytes`, once for each frame; `None` while its header is
    /// not all there. `bytes` may go on.
    pub(crate) fn admit(&mut self, bytes: &[u8]) -> Result<Option<Frame>, LinkError> {
        let Some(&flags) = bytes.first() else { return Ok(None) };
        let command = flags & COMMAND != 0;
        if flags & !(MORE | LONG | COMMAND) != 0 || (command && flags & MORE != 0) {
            return Err(LinkError::Flags(flags));
        }
        let header_len = if flags & LONG != 0 { HEADER_BYTES_MAX } else { 2 };
        let Some(length) = bytes.get(1..header_len) else { return Ok(None) };
        let declared = length.iter().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
        let kind = match (command, flags & MORE != 0) {
            (true, _) => Kind::Command,
            (false, true) => Kind::Part,
            (false, false) => Kind::LastPart,
        };
        self.check(kind, declared)?;
        let body_len = usize::try_from(declared).expect("the limits are in usize and it is within them");
        Ok(Some(Frame { header_len, body_len, kind }))
    }

    fn check(&mut self, kind: Kind, declared: u64) -> Result<(), LinkError> {
        let Limits { part_bytes_max, parts_max, message_bytes_max, .. } = self.limits;
        match (self.ready, kind) {
            (false, Kind::Command) => {
                let max = HANDSHAKE_BYTES_MAX;
                if declared > max as u64 {
                    return Err(LinkError::HandshakeTooLong { declared, max });
                }
            }
            (false, Kind::Part | Kind::LastPart) => return Err(LinkError::DataBeforeReady),
            (true, Kind::Command) => {
                let max = COMMAND_BYTES_MAX;
                if declared > max as u64 {
                    return Err(LinkError::CommandTooLong { declared, max });
                }
            }
            (true, Kind::Part | Kind::LastPart) => {
                if declared > part_bytes_max as u64 {
                    return Err(LinkError::PartTooLong { declared, max: part_bytes_max });
                }
                self.parts += 1;
                self.bytes += declared;
                if self.parts > parts_max {
                    return Err(LinkError::TooManyParts { max: parts_max });
                }
                if self.bytes > message_bytes_max as u64 {
                    return Err(LinkError::MessageTooLong { declared: self.bytes, max: message_bytes_max });
                }
                if kind == Kind::LastPart {
                    (self.parts, self.bytes) = (0, 0);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Gate {
        let limits = Limits { part_bytes_max: 1000, parts_max: 3, message_bytes_max: 1500, ..Limits::default() };
        let mut gate = Gate::new(limits);
        gate.ready();
        gate
    }

    fn long(flags: u8, length: u64) -> Vec<u8> {
        let mut header = vec![flags | LONG];
        header.extend(length.to_be_bytes());
        header
    }

    #[test]
    fn a_header_is_admitted_only_when_it_is_all_there() {
        let header = long(0, 300);
        for end in 0..header.len() {
            assert_eq!(open().admit(&header[..end]), Ok(None), "{end} bytes");
        }
        let frame = Frame { header_len: 9, body_len: 300, kind: Kind::LastPart };
        assert_eq!(open().admit(&header), Ok(Some(frame)));
        assert_eq!(frame.len(), framed_len(300));
    }

    #[test]
    fn every_flag_byte_but_six_is_refused() {
        let admitted: Vec<u8> =
            (0..=255).filter(|&flags| open().admit(&[flags; 9]).is_ok_and(|f| f.is_some())).collect();
        // With the length that repeats the flags, the long ones are too long.
        assert_eq!(admitted, [0, 1, 4]);
        for flags in [0x02, 0x03, 0x06] {
            assert!(matches!(open().admit(&long(flags, 1)), Ok(Some(_))), "{flags:#x}");
        }
        for flags in [0x05, 0x07, 0x08, 0x80, 0xff] {
            assert_eq!(open().admit(&[flags; 9]), Err(LinkError::Flags(flags)));
        }
    }

    #[test]
    fn a_length_is_refused_on_its_word() {
        for declared in [1001, 1 << 33, 1 << 40, 1 << 62, 1 << 63, u64::MAX] {
            let part = Err(LinkError::PartTooLong { declared, max: 1000 });
            assert_eq!(open().admit(&long(0, declared)), part);
            assert_eq!(open().admit(&long(MORE, declared)), part);
            let max = COMMAND_BYTES_MAX;
            if declared > max as u64 {
                assert_eq!(open().admit(&long(COMMAND, declared)), Err(LinkError::CommandTooLong { declared, max }));
            }
        }
    }

    #[test]
    fn a_message_is_the_sum_of_its_parts() {
        let mut gate = open();
        assert!(gate.admit(&long(MORE, 900)).is_ok());
        assert_eq!(gate.admit(&long(0, 601)), Err(LinkError::MessageTooLong { declared: 1501, max: 1500 }));

        let mut gate = open();
        for _ in 0..3 {
            // A command between the parts is none of them.
            for flags in [MORE, COMMAND, MORE, 0] {
                assert!(gate.admit(&[flags, 200]).is_ok());
            }
        }
        for _ in 0..3 {
            assert!(gate.admit(&[MORE, 0]).is_ok());
        }
        assert_eq!(gate.admit(&[MORE, 0]), Err(LinkError::TooManyParts { max: 3 }));
    }

    #[test]
    fn before_ready_there_are_short_commands_only() {
        let mut gate = Gate::new(Limits::default());
        assert_eq!(gate.admit(&[0, 0]), Err(LinkError::DataBeforeReady));
        let (declared, max) = (HANDSHAKE_BYTES_MAX as u64 + 1, HANDSHAKE_BYTES_MAX);
        assert_eq!(gate.admit(&long(COMMAND, declared)), Err(LinkError::HandshakeTooLong { declared, max }));
        assert!(matches!(gate.admit(&long(COMMAND, max as u64)), Ok(Some(_))));
    }
}
