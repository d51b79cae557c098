//! Who is in the cluster, and which claim about whom holds.
//!
//! [`identity`] and [`incarnation`] name members and order what is said about them, `precedence` says which of two
//! claims holds, `transition` which change raises which event. `table` keeps the result, a `record` for each member and
//! their `profiles`, and `digest` sums it up.

use alloc::vec::Vec;

pub(crate) mod digest;
mod identity;
mod incarnation;
mod member;
pub(crate) mod precedence;
mod profiles;
pub(crate) mod record;
pub(crate) mod table;
pub(crate) mod transition;

pub use identity::{ClusterHash, METADATA_MAX, NAME_MAX, NodeId};
pub use incarnation::Incarnation;
pub use member::{LocalMember, Member, Path, State, Suspicion, VERSIONS, Versions};
pub(crate) use table::Slot;

/// Makes room for so many more. Once it is large it grows by an eighth: tables are most of what a node holds, and half
/// of one that doubles may stand empty.
fn grow_gently<T>(vec: &mut Vec<T>, more: usize) {
    const LARGE: usize = 64 * 1024;
    if vec.capacity() - vec.len() < more {
        let len = vec.len();
        let by = if len * size_of::<T>() < LARGE { len } else { len / 8 };
        vec.reserve_exact(by.max(more).max(16));
    }
}
