//! Whether what a process holds is the join of what it heard (S3), and whether it says what changed.

use swim_proto::wire::Messages;

use super::*;

impl Process {
    /// Whoever an event told of has changed: the record, and what was told, against what was held, said and told before.
    pub(super) fn judge_told(&mut self, at: Moment<'_>) -> Verdict {
        if self.turn.told.is_empty() {
            return Ok(());
        }
        let mut changed = at.view.changed().to_vec();
        changed.sort_unstable();
        for index in 0..self.turn.told.len() {
            let id = self.turn.told[index];
            if changed.binary_search(&id).is_err() {
                let what = format!("changed() did not name member {id}, of which an event told");
                return fault_about(Rule::Contract, id, what);
            }
            let told = self.mirrors.get(&id).and_then(|mirror| mirror.told);
            events::shows(told, at.view.member(id).as_ref())?;
        }
        Ok(())
    }

    /// The table against each claim that was heard and not passed over.
    pub(super) fn judge_claims(&mut self, at: Moment<'_>, status: Status) -> Verdict {
        if !oneself::takes_part(status) {
            return Ok(());
        }
        let (before, after) = (self.turn.drops, at.view.stats().drops);
        // For want of room (protocol 11.1), or because one datagram told of too many.
        let mut passed_over = after.members_full - before.members_full + after.newcomers - before.newcomers;
        let remembers = passed_over == 0;
        let keeps_all = remembers && after.tombstones_full == before.tombstones_full;
        let exchanged = std::mem::take(&mut self.turn.exchanged);
        let gossiped = std::mem::take(&mut self.turn.claims);
        let all = gossiped.iter().chain(exchanged.iter().map(|(_, claim)| claim));
        let verdict = { all }.try_for_each(|claim| {
            let is_held = |held: &Held| claim.is_absorbed_by(held.incarnation, held.state);
            if claim.id == self.id || self.record(claim.id).is_some_and(is_held) {
                return Ok(());
            }
            let Some(member) = at.view.member(claim.id) else {
                return self.unknown(at, claim, remembers, &mut passed_over);
            };
            if !keeps_all && self.turn.told.contains(&claim.id) {
                // It may have been pushed out after this claim, and met anew by the next one.
                return Ok(());
            }
            lattice::absorbed(claim, &member)?;
            let what = format!("changed() did not name member {}, of which it heard and which is {member:?}", claim.id);
            fault_about(Rule::Contract, claim.id, what)
        });
        (self.turn.exchanged, self.turn.claims) = (exchanged, gossiped);
        verdict
    }

    /// A claim about somebody who is in no view after it: an Alive one would bring it there (protocol 2.9), any other is
    /// remembered by its id alone.
    fn unknown(&mut self, at: Moment<'_>, claim: &Claim, remembers: bool, passed_over: &mut u64) -> Verdict {
        let &Claim { id, incarnation, state } = claim;
        if self.mirrors_full || !self.mirrors.contains_key(&id) || self.turn.told.contains(&id) {
            return Ok(());
        }
        let until = at.clock + at.view.config().tombstone_retention.min(bounds::ID_RETENTION);
        // It may have been pushed out already.
        let pushed_out = self.turn.drops.tombstones_full;
        match state {
            State::Alive if *passed_over > 0 => *passed_over -= 1,
            State::Alive => {
                let what = format!("does not know member {id} after the claim that it is alive at {incarnation}");
                return fault_about(Rule::S3, id, what);
            }
            // If it was this one that was taken, it is forgotten when this one is, whoever tells of it again.
            _ if !remembers => self.evidence.remembered_until(id, until),
            State::Suspect => self.evidence.suspected(id, incarnation, until, pushed_out),
            State::Dead | State::Left => self.evidence.buried(id, incarnation, until, pushed_out),
        }
        Ok(())
    }

    /// Whoever comes into view is no less than suspect at what it was accused of while it was known by its id alone.
    pub(super) fn judge_suspected(&mut self, at: Moment<'_>, after: &Member<'_>) -> Verdict {
        let id = after.id;
        let Some(suspected) = self.evidence.takes_suspected(id) else { return Ok(()) };
        let forgotten = at.clock + Duration::from_secs(2) >= suspected.until
            || at.view.stats().drops.tombstones_full != suspected.pushed_out;
        if forgotten || (after.incarnation, after.state) >= (suspected.incarnation, State::Suspect) {
            return Ok(());
        }
        let what = format!(
            "member {id} is {} at {}, having been accused at {}",
            after.state, after.incarnation, suspected.incarnation
        );
        fault_about(Rule::S3, id, what)
    }
}

/// Whether a packet on a stream is a step of an exchange in which all that it says is heard. Who opens a stream may be
/// sent away (protocol 6.9, 7.6), and so what it says of itself is not looked at.
pub(super) fn is_step(mut messages: Messages<'_>) -> bool {
    !messages.any(|message| {
        matches!(
            message,
            Message::Join(_)
                | Message::SyncRoot(_)
                | Message::Carry(_)
                | Message::Pull(_)
                | Message::Busy(_)
                | Message::NameTaken(_)
        )
    })
}

/// What a claim of an exchange makes of its subject at least (protocol 6.5 to 6.7, 7.2): the Dead tombstone of a live
/// member is an accusation.
pub(super) fn exchanged(message: &Message<'_>) -> Option<State> {
    match message {
        Message::Alive(_) => Some(State::Alive),
        Message::Suspect(_) | Message::Tombstone(Tombstone { grave: Grave::Dead(_), .. }) => Some(State::Suspect),
        Message::Tombstone(Tombstone { grave: Grave::Left, .. }) => Some(State::Left),
        _ => None,
    }
}
