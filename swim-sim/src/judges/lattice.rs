//! S3: what is held is the join of what was heard.
//!
//! Precedence has a test of its own in the core, exhaustive and over all orders. On-line three of its consequences are
//! judged: a record only rises (by incarnation, then `Alive < Suspect < Dead < Left`); after a packet it is at least
//! as high as every claim of the packet; and its incarnation is one that was heard. Whoever was not known is after a claim
//! that it is alive, unless as many claims were passed over for want of room, or as too many for one datagram; and what
//! was heard against it before it was known counts (protocol 2.9).
//!
//! Of an exchange, what a stream brings that does not break is heard. A Dead tombstone makes its subject a suspect at
//! least (6.7). Not seen: what whoever opens a stream says of itself, who may be sent away (6.9, 7.6); and everything at a
//! node that left or was superseded.

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
