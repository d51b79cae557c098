//! Who is in the cluster, and which claim about whom holds.

mod identity;
mod incarnation;
mod member;

pub use identity::{ClusterHash, METADATA_MAX, NAME_MAX, NodeId};
pub use incarnation::Incarnation;
pub use member::{LocalMember, Member, State, Suspicion, VERSIONS, Versions};
