//! What a process tells of its members, event by event.

use super::*;

impl Process {
    /// The node tells its application something.
    pub(in crate::judges) fn event(&mut self, at: Moment<'_>, event: &Event<'_>) -> Verdict {
        let Some(change) = event.change() else { return Ok(()) };
        let id = change.member.id;
        if id == self.id {
            return Ok(());
        }
        self.keep_time(at)?;
        self.turn.told.push(id);
        let mirror = self.mirrors.entry(id).or_default();
        let was = mirror.told;
        events::replay(&mut mirror.told, event)?;
        let (was_live, is_live) = (is_live(was), is_live(mirror.told));
        if is_live && !was_live {
            self.probing.came();
            let turn = self.probing.turn(at.view);
            self.mirrors.entry(id).or_default().turn = turn;
        }
        self.turn.came += usize::from(is_live && !was_live);
        self.turn.gone += usize::from(was_live && !is_live);
        match event {
            Event::Suspected(change) => self.suspected(at, change),
            Event::Died(change) => self.died(at, change)?,
            Event::Left(change) => {
                self.cases.remove(&id);
                self.evidence.judge_left(id, change.member.incarnation, "holds")?;
            }
            Event::Reaped(change) => self.reaped(at, change)?,
            // A suspect's own word may come late, and bring its new life to light: the suspicion goes on.
            Event::Refuted(change) | Event::Restarted(change) | Event::Joined(change)
                if change.member.state == State::Alive =>
            {
                self.cases.remove(&id);
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn suspected(&mut self, at: Moment<'_>, change: &MemberEvent<'_>) {
        let Member { id, incarnation, .. } = change.member;
        if self.cases.get(&id).is_some_and(|case| case.incarnation == incarnation) {
            return;
        }
        self.load.suspicion_began();
        self.begin_case(at, id, incarnation);
    }

    pub(super) fn begin_case(&mut self, at: Moment<'_>, id: NodeId, incarnation: Incarnation) {
        let case = Case {
            incarnation,
            since: at.clock,
            began: at.now,
            // Some came and some went in this input, in whatever order; and the node itself may have come or gone.
            live: (self.turn.live.saturating_sub(self.turn.gone + 1), self.turn.live + self.turn.came + 1),
            standstill: self.standstill.ended(),
            stalled: self.standstill.stalled(),
            averted: at.view.stats().burials_averted,
            streams_full: at.view.stats().drops.streams_full,
            failed: self.turn.failed,
            shown: None,
        };
        self.cases.insert(id, case);
    }

    pub(super) fn died(&mut self, at: Moment<'_>, change: &MemberEvent<'_>) -> Verdict {
        let Member { id, incarnation, .. } = change.member;
        let case = self.cases.remove(&id);
        if !matches!(change.cause, Cause::SuspicionExpired { .. }) {
            return self.evidence.judge_dead(id, incarnation, "holds");
        }
        self.evidence.declared(id, incarnation);
        let Some(case) = case.filter(|case| case.incarnation == incarnation) else {
            return fault_about(
                Rule::S5,
                id,
                format!("declared member {id} dead at {incarnation}, which was not suspected here"),
            );
        };
        let Cause::SuspicionExpired { accusers, .. } = change.cause else { return Ok(()) };
        self.judge_accusers(at, (id, incarnation), accusers, &case)?;
        let (config, held) = (at.view.config(), at.clock.saturating_since(case.since));
        let ran = held.saturating_sub(self.standstill.stalled().saturating_sub(case.stalled));
        let least = case.timeout(config, accusers);
        if ran < least {
            let what = format!(
                "declared member {id} dead at {incarnation} after a suspicion that ran for {ran:?}; with {accusers} \
                 accusers it takes {least:?}"
            );
            return fault_about(Rule::S5, id, what);
        }
        self.judge_verified(at, &change.member, &case)?;
        let max = case.max(config, self.standstill.most(at.clock, config), at.view.stats().burials_averted);
        if held > max {
            let what =
                format!("declared member {id} dead after a suspicion of {held:?}; at most {max:?} are explained");
            return fault_about(Rule::S11, id, what);
        }
        Ok(())
    }

    /// Whoever is buried was pinged in the last stretch of its suspicion (protocol 4.5).
    fn judge_verified(&self, at: Moment<'_>, buried: &Member<'_>, case: &Case) -> Verdict {
        let Member { id, address, .. } = *buried;
        let config = at.view.config();
        if !config.verify_burial || at.view.stats().drops.outbox_full > 0 {
            return Ok(());
        }
        let most = self.standstill.most(at.clock, config);
        let pinged = self.mirrors.get(&id).and_then(|mirror| mirror.pinged);
        let in_time = |asked: Instant, still: Duration| {
            let stretch = case.stretch(config) + most.saturating_sub(still);
            asked >= case.since && at.clock <= asked + stretch
        };
        // By carrier in any case, where there are any (protocol 13.3); by which path it was reached it no longer shows.
        // Its grave may have been pushed out in the same input: where it was, the event says.
        let tried = self.carriers.tried((at.clock, most), address);
        // By carrier alone nobody is asked for whom there is no room, or who is thought to be at one's own address.
        let cannot = config.transport == Transport::Stream
            && (address == at.view.local().address || at.view.stats().drops.streams_full > case.streams_full);
        if cannot || [pinged, tried].into_iter().flatten().any(|(asked, still)| in_time(asked, still)) {
            return Ok(());
        }
        let what = format!("declared member {id} dead without asking it in the last {:?}", case.stretch(config));
        fault_about(Rule::S5, id, what)
    }

    pub(super) fn reaped(&mut self, at: Moment<'_>, change: &MemberEvent<'_>) -> Verdict {
        let id = change.member.id;
        let burial = self.evidence.burial(id);
        self.evidence.exhumed(id);
        self.cases.remove(&id);
        self.load.forgotten();
        self.evidence.begins_anew();
        if let Some(mirror) = self.mirrors.get_mut(&id)
            && let Some(held) = mirror.held.take()
        {
            self.held -= 1;
            if held.state.is_live() {
                self.turn.forgotten.push(id);
            }
        }
        let pushed_out = at.view.stats().drops.tombstones_full > self.turn.drops.tombstones_full;
        match burial {
            Some(burial) if at.clock + Duration::from_secs(2) < burial.until && !pushed_out => {
                let what = format!("forgot member {id} at {:?}, to be remembered until {:?}", at.clock, burial.until);
                fault_about(Rule::S4, id, what)
            }
            Some(_) | None => Ok(()),
        }
    }
}
