//! What the links' side of the driver counted.

/// What was counted of the links that messages go by. All start at zero and only grow; the last ones say what holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkCounts {
    /// Connections accepted.
    pub accepts: u64,
    /// Errors of accepting: mostly too many open files.
    pub accept_errors: u64,
    /// Connections of others that ended before ZeroMQ's handshake was done: no ZeroMQ, or too slow.
    pub handshakes_failed: u64,
    /// Connections of others closed before that, because there were too many of them
    /// ([`MessagingOptions::handshakes_max`](super::MessagingOptions::handshakes_max)).
    pub pushed_out: u64,
    /// Links of others that the messenger had no room for.
    pub refused: u64,
    /// Connections tried.
    pub connects: u64,
    /// Of these, failed, not open in time, or not ZeroMQ.
    pub connects_failed: u64,
    /// Links that broke after they had been up: closed by the peer, silent, or against ZeroMQ's rules.
    pub broken: u64,
    /// Bytes read from links that have ended.
    pub bytes_in: u64,
    /// Bytes written to them.
    pub bytes_out: u64,
    /// Links that are up.
    pub links: u32,
    /// Connections of others that are not, yet.
    pub handshakes: u32,
}
