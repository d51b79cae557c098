//! Why something asked of a node was not done.

use swim_proto::CommandError;

use crate::seeds::SeedError;

/// The node is no more: it was shut down, or whatever ran it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node was shut down; start another")]
pub struct Closed;

/// Why something asked of a node was not done. The node is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The core refused.
    #[error(transparent)]
    Refused(#[from] CommandError),
    /// A seed is not one host's address, nor a name, with a port.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The node is no more.
    #[error(transparent)]
    Closed(#[from] Closed),
}
