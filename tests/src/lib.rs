//! A handful of nodes on one virtual clock, for tests that cross crates.
//!
//! [`Cluster`] runs real [`swim_proto::Node`]s over a scripted [`Network`]: whatever one node transmits reaches the
//! other after a fixed latency, unless the script cuts the path, loses the datagram, or bends it. Nothing is random but
//! what a seed decides, nothing sleeps, and all that the nodes tell their application is kept as [`Told`]. For
//! thousands of nodes, judges and random faults there is `swim-sim`; here a test says exactly what happens.

pub mod cluster;
pub mod craft;
pub mod liar;
pub mod network;
pub mod post;
pub mod repository;
pub mod story;
pub mod told;

pub use cluster::Cluster;
pub use network::Network;
pub use told::{Told, What};

/// The examples of `README.md` and of `docs/embedding.md` run as tests of this crate.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../README.md")]
    pub struct Readme;
    #[doc = include_str!("../../docs/embedding.md")]
    pub struct Embedding;
}
