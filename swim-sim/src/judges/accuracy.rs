//! False deaths: members buried alive.
//!
//! A *false death* is one that a node declares (its own suspicion ran out) although, during the whole suspicion, the
//! member ran, in the life that is declared dead, and the two could reach each other. Lifeguard's measures are counted
//! beside it (\[LG\] V): `FP`, burials of members that ran throughout, whoever declares them; `FP−`, those of them declared
//! by nodes that ran throughout themselves.
//!
//! On a network that loses nothing there is no excuse for a false death (L6; published-results 5.2, design 11): the
//! declarer asked the member once more (protocol 4.5), and the answer, an Ack at least, puts the end off. Unless settings
//! have the declarer not ask, or one of the two passed over what it heard, or had no room for what it had to send.
//!
//! Deaths by hearsay are not counted again. A suspicion that began before the member could be reached is not false,
//! though it might have been refuted in time.

use swim_proto::{Incarnation, Instant, Member, NodeId, Path, Transport};

use super::oracle::Oracle;
use crate::observe::{Condition, Slot, Truth, View};

/// What was counted of burials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accuracy {
    /// Deaths declared by nodes whose suspicion ran out.
    pub declared: u64,
    /// Of these, of members that were up and connected to the accuser during the suspicion.
    pub false_deaths: u64,
    /// Of these declared, of members that ran throughout (\[LG\] FP).
    pub false_positives: u64,
    /// Of the false positives, by nodes that ran throughout themselves (\[LG\] FP−).
    pub false_positives_at_healthy: u64,
    /// The first false deaths, for whoever looks into them.
    pub first: Vec<FalseDeath>,
}

/// How many false deaths are kept.
const FIRST_MAX: usize = 16;

/// A member buried alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FalseDeath {
    /// When it was declared, in simulated time.
    pub at: Instant,
    /// By whom.
    pub by: Slot,
    /// Who.
    pub member: Slot,
    /// When the suspicion began, in simulated time.
    pub suspected_at: Instant,
}

impl Accuracy {
    /// The node in `by`, started at `started`, declares this member dead, suspected since `began`. Gives the false
    /// death, if it is one.
    pub(super) fn declared(
        &mut self,
        (now, began): (Instant, Instant),
        (by, started): (Slot, Instant),
        (id, incarnation): (NodeId, Incarnation),
        oracle: &Oracle,
        truth: &dyn Truth,
    ) -> Option<FalseDeath> {
        self.declared += 1;
        let member =
            *oracle.slots(id).iter().find(|&&slot| ran_since(truth, slot, began) && lives(truth, slot, incarnation))?;
        self.false_positives += 1;
        if ran_since(truth, by, began.max(started)) {
            self.false_positives_at_healthy += 1;
        }
        let linked = truth.linked_since(by, member).is_some_and(|since| since <= began);
        if !linked || !ran_since(truth, by, began) {
            return None;
        }
        self.false_deaths += 1;
        let death = FalseDeath { at: now, by, member, suspected_at: began };
        if self.first.len() < FIRST_MAX {
            self.first.push(death);
        }
        Some(death)
    }
}

/// Whether, on a network that loses nothing, a node that declares this member dead must have heard from it in the last
/// stretch of the suspicion. `streams_full`: streams for which the declarer had no room before the suspicion began.
pub(super) fn hears(accuser: &dyn View, member: &dyn View, declared: &Member<'_>, streams_full: u64) -> bool {
    let is_silent = |view: &dyn View| {
        let drops = view.stats().drops;
        drops.rate_in_whole > 0 || drops.outbox_full > 0
    };
    let room = accuser.stats().drops.streams_full == streams_full && member.stats().drops.streams_full == 0;
    accuser.config().verify_burial
        && declared.address == member.local().address
        && (declared.path == Path::Datagram && accuser.config().transport != Transport::Stream || room)
        && !is_silent(accuser)
        && !is_silent(member)
}

/// Whether the slot's process has been running since then at the latest.
fn ran_since(truth: &dyn Truth, slot: Slot, began: Instant) -> bool {
    let (condition, since) = truth.condition(slot);
    condition == Condition::Running && since <= began
}

/// Whether the slot's process takes part in the life that is declared dead.
fn lives(truth: &dyn Truth, slot: Slot, incarnation: Incarnation) -> bool {
    truth.view(slot).is_some_and(|view| {
        super::oneself::takes_part(view.status()) && view.local().incarnation.life == incarnation.life
    })
}
