//! How news travels: `rumors` by piggyback and gossip, `exchange` by comparing state over a stream, and what the
//! application has to say: `broadcasts` and `pulls` bring it to all, `seen` remembers what was told, `share` divides
//! the room in datagrams between it and the rumors; `turns` keeps both in order.

pub(crate) mod broadcasts;
pub(crate) mod exchange;
pub(crate) mod pulls;
pub(crate) mod rumors;
pub(crate) mod seen;
pub(crate) mod share;
mod turns;

use crate::membership::NodeId;

/// Names one broadcast among all there ever are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BroadcastId {
    pub(crate) origin: NodeId,
    pub(crate) life: u64,
    /// From 1.
    pub(crate) sequence: u64,
}
