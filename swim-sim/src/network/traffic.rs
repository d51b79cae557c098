//! What a network counts.

/// What passed through the network, and what did not. Bytes are those of the content, without headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams sent.
    pub datagrams: u64,
    /// Their bytes.
    pub datagram_bytes: u64,
    /// Segments of streams sent, those without bytes included.
    pub segments: u64,
    /// Their bytes, those sent again included.
    pub segment_bytes: u64,
    /// Streams that a host agreed to open, and once more each time that it had to say so again.
    pub opened: u64,
    /// Packets lost by chance, in bursts included.
    pub lost: u64,
    /// Packets lost to partitions and other faults of links.
    pub severed: u64,
    /// Datagrams larger than the MTU.
    pub oversized: u64,
    /// Packets dropped at a busy uplink.
    pub congested: u64,
    /// Packets a filter refused.
    pub filtered: u64,
    /// Datagrams doubled.
    pub doubled: u64,
    /// Datagrams damaged.
    pub damaged: u64,
}

impl Traffic {
    /// What passed since it was so much.
    #[must_use]
    pub fn since(self, before: Traffic) -> Traffic {
        Traffic {
            datagrams: self.datagrams - before.datagrams,
            datagram_bytes: self.datagram_bytes - before.datagram_bytes,
            segments: self.segments - before.segments,
            segment_bytes: self.segment_bytes - before.segment_bytes,
            opened: self.opened - before.opened,
            lost: self.lost - before.lost,
            severed: self.severed - before.severed,
            oversized: self.oversized - before.oversized,
            congested: self.congested - before.congested,
            filtered: self.filtered - before.filtered,
            doubled: self.doubled - before.doubled,
            damaged: self.damaged - before.damaged,
        }
    }
}
