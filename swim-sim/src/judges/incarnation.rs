//! S1, S2, S4: incarnations only grow, by their owner's will alone, and the dead return only by a greater one.
//!
//! Not seen: what is held about members known by id alone, which are in no view; and the content's incarnation, which
//! is in no view either (a record shows that of its status).

use swim_proto::{Incarnation, Member, NodeId};

use super::Rule;
use super::fault::{Verdict, fault_about};
use super::mirror::Held;
use super::oracle::Oracle;

/// A record before and after an input, without the member having been forgotten in between (S1, S4).
pub(super) fn record(before: &Held, after: &Member<'_>) -> Verdict {
    if after.incarnation < before.incarnation {
        let what = format!("member {} went back from {} to {}", after.id, before.incarnation, after.incarnation);
        return fault_about(Rule::S1, after.id, what);
    }
    if !before.state.is_live() && after.state.is_live() && after.incarnation <= before.incarnation {
        let what = format!(
            "member {} was {} at {} and is {} at the same",
            after.id, before.state, before.incarnation, after.state
        );
        return fault_about(Rule::S4, after.id, what);
    }
    Ok(())
}

/// Somebody holds or says this of a member: it must have been said by its owner, or by a forger (S2).
pub(super) fn owned(oracle: &Oracle, id: NodeId, incarnation: Incarnation, how: &str) -> Verdict {
    match oracle.ceiling(id) {
        Some(ceiling) if incarnation <= ceiling => Ok(()),
        Some(ceiling) => {
            fault_about(Rule::S2, id, format!("{how} {incarnation} of member {id}, which only reached {ceiling}"))
        }
        None => fault_about(Rule::S2, id, format!("{how} {incarnation} of member {id}, which nobody ever was")),
    }
}
