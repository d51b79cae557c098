//! What a peer may make us keep.
//!
//! All of it is checked against what a frame *declares*, as soon as its header is there; nothing is reserved for what
//! is only declared.

/// Greatest identity, in bytes: the specification's.
pub const IDENTITY_BYTES_MAX: usize = 255;

/// Greatest body of a command before READY. A READY takes some 40 bytes and an identity; one of 8 KiB has hundreds of
/// properties that nobody asked for. (The codec would take 256 KiB from whoever can open a connection.)
pub const HANDSHAKE_BYTES_MAX: usize = 8 * 1024;

/// Greatest body of a command after READY. PING and PONG take at most 23 bytes, ERROR 262; the others mean nothing
/// between DEALER and ROUTER and are skipped. (The codec would take as much as for a message.)
pub const COMMAND_BYTES_MAX: usize = 1024;

/// What a link keeps at most. A message that is greater closes the link; a queue that is full makes the other side
/// wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest part, in bytes; sent or received. Default 16 MiB.
    pub part_bytes_max: usize,
    /// Most parts of a message; sent or received. Default 64.
    pub parts_max: usize,
    /// Bytes of all parts of a message together; sent or received. Default 16 MiB.
    pub message_bytes_max: usize,
    /// Bytes that wait to be written, headers included. Must have room for a message of `message_bytes_max`. At this
    /// limit [`SendError::Full`](crate::SendError::Full). Default 32 MiB.
    pub send_bytes_max: usize,
    /// Messages that wait to be written; at this limit [`SendError::Full`](crate::SendError::Full). Default 1,024.
    pub send_messages_max: usize,
    /// Received bytes that wait to be polled; at this limit the link no longer wants input. A message that begins
    /// below the limit is taken whole, so up to `message_bytes_max` more may wait. Default 1 MiB.
    pub received_bytes_max: usize,
    /// Received messages that wait to be polled; at this limit the link no longer wants input. Default 256.
    pub received_messages_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            part_bytes_max: 16 << 20,
            parts_max: 64,
            message_bytes_max: 16 << 20,
            send_bytes_max: 32 << 20,
            send_messages_max: 1024,
            received_bytes_max: 1 << 20,
            received_messages_max: 256,
        }
    }
}
