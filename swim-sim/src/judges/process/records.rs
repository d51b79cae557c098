//! What a process holds of its members, record by record: after each input those it names, now and then all.

use super::*;

impl Process {
    /// A record that may have changed, against what was held, said and told of it before.
    pub(super) fn judge_record(&mut self, at: Moment<'_>, id: NodeId) -> Verdict {
        let after = at.view.member(id);
        let mirror = self.mirrors.entry(id).or_default();
        if id == self.id {
            // The local member's row follows commands and accusations, not claims and events: `oneself` judges it.
            if let (Some(after), Some(before)) = (&after, &mut mirror.held) {
                incarnation::owned(at.oracle, id, after.incarnation, "holds")?;
                *before = held_of(after, at.now, at.clock);
            }
            return Ok(());
        }
        events::settled(id, mirror.told, after.as_ref())?;
        let Some(after) = after else {
            self.held -= usize::from(mirror.held.take().is_some());
            return Ok(());
        };
        let before = mirror.held;
        incarnation::owned(at.oracle, id, after.incarnation, "holds")?;
        match &before {
            Some(before) => {
                incarnation::record(before, &after)?;
                lattice::record(before, &after)?;
            }
            None => self.held += 1,
        }
        if !self.mirrors_full {
            lattice::heard(mirror.heard, &after)?;
        }
        if before.is_none() {
            self.judge_suspected(at, &after)?;
        }
        let mirror = self.mirrors.entry(id).or_default();
        mirror.held = Some(held_after(before.as_ref(), &after, at.now, at.clock));
        self.judge_grave(at, before.as_ref(), &after)?;
        self.judge_case(at, &after)
    }

    /// Whoever is dead must be remembered; whoever is live must not lie in a grave as new as he is.
    pub(super) fn judge_grave(&mut self, at: Moment<'_>, before: Option<&Held>, after: &Member<'_>) -> Verdict {
        let id = after.id;
        if !after.state.is_live() {
            let buried_anew =
                before.is_none_or(|before| (before.incarnation, before.state) != (after.incarnation, after.state));
            if buried_anew && after.incarnation.is_accusable() {
                let until = at.clock + at.view.config().tombstone_retention;
                self.evidence.buried(id, after.incarnation, until, self.turn.drops.tombstones_full);
            }
            return Ok(());
        }
        if before.is_none()
            && let Some(burial) = self.evidence.burial(id)
            && after.incarnation <= burial.incarnation
            && at.clock + Duration::from_secs(2) < burial.until
            && at.view.stats().drops.tombstones_full == burial.pushed_out
        {
            let what = format!(
                "member {id} is {} at {}, having ended at {}",
                after.state, after.incarnation, burial.incarnation
            );
            return fault_about(Rule::S4, id, what);
        }
        self.evidence.exhumed(id);
        Ok(())
    }

    pub(super) fn judge_case(&mut self, at: Moment<'_>, after: &Member<'_>) -> Verdict {
        let id = after.id;
        if after.state != State::Suspect {
            self.cases.remove(&id);
            return match after.suspicion {
                Some(_) => {
                    fault_about(Rule::Contract, id, format!("member {id} is {} and shows a suspicion", after.state))
                }
                None => Ok(()),
            };
        }
        if !self.took_part {
            // A leaver buries nobody, whatever cases it still shows.
            return Ok(());
        }
        let Some(shown) = after.suspicion else {
            return fault_about(Rule::Contract, id, format!("member {id} is suspect and shows no suspicion"));
        };
        if self.cases.get(&id).is_none_or(|case| case.incarnation != after.incarnation) {
            self.begin_case(at, id, after.incarnation);
        }
        let config = at.view.config();
        let case = self.cases[&id];
        self.judge_accusers(at, (id, after.incarnation), shown.accusers, &case)?;
        let standstill = self.standstill.most(at.clock, config);
        let case = self.cases.get_mut(&id).expect("it was begun if it was missing");
        case.judge((id, at.clock), config, &shown, standstill, at.view.stats().burials_averted)
    }

    /// So many accusers are counted against a member.
    pub(super) fn judge_accusers(
        &mut self,
        at: Moment<'_>,
        accused: (NodeId, Incarnation),
        counted: u8,
        case: &Case,
    ) -> Verdict {
        let own = (self.id, failures(at.view) > case.failed);
        let is_live = |accuser| at.view.member(accuser).is_some_and(|member| member.state.is_live());
        self.evidence.judge_accusers(accused, counted, own, is_live)
    }

    pub(super) fn judge_spoken(&self) -> Verdict {
        self.turn.spoken.iter().try_for_each(|&(id, incarnation, accuser)| match accuser {
            None => self.evidence.judge_left(id, incarnation, "called"),
            Some(accuser) => {
                self.evidence.judge_dead(id, incarnation, "called")?;
                self.evidence.judge_declarer(&Accusation { id, incarnation, accuser }, self.id)
            }
        })
    }

    /// Looks at every member that the process holds. `rested` says for how long it has been able to act, on its clock.
    pub(in crate::judges) fn scan(
        &mut self,
        at: Moment<'_>,
        rested: Duration,
        each: &mut dyn FnMut(&Process, &Member<'_>) -> Verdict,
    ) -> Verdict {
        self.probing.read(at.now, at.view);
        let (mut census, mut found, mut verdict) = (Census::default(), 0, Ok(()));
        at.view.members(&mut |member| {
            if verdict.is_ok() {
                found += 1;
                self.count(&mut census, &member);
                verdict = self.scan_member(at, &member, rested).and_then(|()| each(self, &member));
            }
        });
        verdict?;
        if found != self.held {
            let what = format!("{found} members are in its table and {} were told of by changed()", self.held);
            return super::super::fault::fault(Rule::Contract, what);
        }
        bounds::census(&census, at.view)
    }

    pub(super) fn count(&self, census: &mut Census, member: &Member<'_>) {
        if member.state.is_live() {
            census.live += 1;
        } else if member.id != self.id {
            census.gone += 1;
        }
        census.suspects += usize::from(member.state == State::Suspect);
    }

    pub(super) fn scan_member(&mut self, at: Moment<'_>, member: &Member<'_>, rested: Duration) -> Verdict {
        let id = member.id;
        if at.view.member(id).as_ref() != Some(member) {
            return fault_about(Rule::Contract, id, format!("members() shows {member:?} and member() does not"));
        }
        let held = self.record(id).copied();
        let profile = mirror::profile_of(member);
        let told_of = held.is_some_and(|held| {
            (held.incarnation, held.state, held.profile) == (member.incarnation, member.state, profile)
        });
        if !told_of {
            let what = format!("changed() did not name member {id}, which was {held:?} and is {member:?}");
            return fault_about(Rule::Contract, id, what);
        }
        if id == self.id {
            return Ok(());
        }
        if member.state.is_live()
            && oneself::takes_part(at.view.status())
            && let Some(mirror) = self.mirrors.get(&id)
            && (member.path == Path::Datagram || !self.carriers.tries(member.address))
        {
            self.probing.judge_turn(id, mirror.turn, self.live_max, at.view)?;
        }
        if let (Some(held), false) = (held, member.state.is_live()) {
            let kept = at.clock.saturating_since(held.since);
            // Whoever departed forgets nobody until it comes back.
            let able_for = rested.min(self.standstill.acts_for(at.clock));
            if able_for > at.view.config().tombstone_retention / 8 {
                bounds::retention(id, member.incarnation, kept, at.view.config())?;
            }
        }
        self.judge_case(at, member)
    }
}
