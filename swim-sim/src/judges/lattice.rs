//! S3: what is held is the join of what was heard.
//!
//! Precedence has a test of its own in the core, exhaustive and over all orders. On-line three of its consequences are
//! judged: a record only rises (by incarnation, then `Alive < Suspect < Dead < Left`); after a packet it is at least
//! as high as every claim of the packet; and its incarnation is one that was heard.
//!
//! Claims of an exchange are left out of the second: sync has rules of its own (protocol 6.5 to 6.7). So is everything
//! at a node that left or was superseded.

use swim_proto::{Incarnation, Member, NodeId, State};

use super::Rule;
use super::fault::{Verdict, fault_about};
use super::mirror::Held;

/// A claim that came in a datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) id: NodeId,
    pub(super) incarnation: Incarnation,
    pub(super) state: State,
}

impl Claim {
    /// Whether a record with this status is at least as high.
    pub(super) fn is_absorbed_by(&self, incarnation: Incarnation, state: State) -> bool {
        (incarnation, state) >= (self.incarnation, self.state)
    }
}

/// A record before and after an input, without the member having been forgotten in between. S1 and S4 were judged.
pub(super) fn record(before: &Held, after: &Member<'_>) -> Verdict {
    if (after.incarnation, after.state) < (before.incarnation, before.state) {
        let what =
            format!("member {} fell from {} to {} at {}", after.id, before.state, after.state, after.incarnation);
        return fault_about(Rule::S3, after.id, what);
    }
    Ok(())
}

/// The record after a datagram that brought this claim.
pub(super) fn absorbed(claim: &Claim, after: &Member<'_>) -> Verdict {
    if !claim.is_absorbed_by(after.incarnation, after.state) {
        let what = format!(
            "member {} is {} at {} after the claim that it is {} at {}",
            claim.id, after.state, after.incarnation, claim.state, claim.incarnation
        );
        return fault_about(Rule::S3, claim.id, what);
    }
    Ok(())
}

/// The record against the greatest incarnation ever heard of the member here.
pub(super) fn heard(heard: Incarnation, after: &Member<'_>) -> Verdict {
    if after.incarnation > heard {
        let what = format!("member {} is held at {}, but only {} was heard of", after.id, after.incarnation, heard);
        return fault_about(Rule::S3, after.id, what);
    }
    Ok(())
}
