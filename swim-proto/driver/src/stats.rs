//! What was counted: by the core, and by the driver.

use crate::messaging::{LinkCounts, MessagingStats};

/// A snapshot of all counters of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// What the core counted.
    pub node: swim_proto::Stats,
    /// What the driver counted.
    pub driver: DriverStats,
    /// What was counted of messages and their links, where the node moves any.
    pub messaging: Option<(MessagingStats, LinkCounts)>,
}

/// What the driver counted. All counters start at zero and only grow; the last ones say what holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DriverStats {
    /// Datagrams dropped because the socket's send buffer was full.
    pub sends_blocked: u64,
    /// Datagrams dropped because the system refused to send them: no route, not permitted …
    pub sends_failed: u64,
    /// Errors reported by the socket in place of a datagram: mostly that nobody listens where one was sent.
    pub receive_errors: u64,
    /// Times the socket was not asked for a while, because it gave nothing but errors.
    pub receive_pauses: u64,
    /// Datagrams read and then shed, because the node did not keep up.
    pub datagrams_shed: u64,
    /// Datagrams that the system's receive buffer had no room for, as far as the system says (Linux does), asked while
    /// there is more to do than one turn does.
    pub datagrams_lost: u64,
    /// Turns that stopped at their budget of datagrams with more waiting.
    pub turns_full: u64,
    /// Streams accepted.
    pub accepts: u64,
    /// Of these, refused: by the core, which was at its limit.
    pub accepts_refused: u64,
    /// Errors of accepting: mostly too many open files.
    pub accept_errors: u64,
    /// Streams opened, or tried to.
    pub connects: u64,
    /// Of these, failed or not open in time.
    pub connects_failed: u64,
    /// Times the core wanted a seed looked up. One at most is under way for each seed.
    pub resolves: u64,
    /// Lookups without a usable address, or not answered in time.
    pub resolves_failed: u64,
    /// Streams open now.
    pub streams: u32,
    /// Receivers of events now.
    pub subscribers: u32,
    /// Bytes of the UDP socket's receive buffer, as the system reports it; 0 without such a socket. (Linux reports twice
    /// what was granted.)
    pub receive_buffer: usize,
    /// Bytes of the UDP socket's send buffer, likewise.
    pub send_buffer: usize,
}
