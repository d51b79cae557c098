//! Who is in the cluster, and which claim about whom holds.
//!
//! [`identity`] and [`incarnation`] name members and order what is said about them, `precedence` says which of two
//! claims holds, `transition` which change raises which event, `table` keeps the result and `digest` sums it up.

pub(crate) mod digest;
mod identity;
mod incarnation;
mod member;
pub(crate) mod precedence;
pub(crate) mod table;
pub(crate) mod transition;

pub use identity::{ClusterHash, METADATA_MAX, NAME_MAX, NodeId};
pub use incarnation::Incarnation;
pub use member::{LocalMember, Member, State, Suspicion, VERSIONS, Versions};
pub(crate) use table::Slot;
