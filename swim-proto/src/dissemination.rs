//! How news travels: `rumors` by piggyback and gossip, `exchange` by comparing state over a stream.

pub(crate) mod exchange;
pub(crate) mod rumors;
