//! Accused: confirming, verifying and, if nobody contradicts, burying.

use core::time::Duration;

use super::Node;
use super::changing::Spread;
use crate::detection::probe::{Purpose, Waiting};
use crate::detection::suspicion::Accusation;
use crate::dissemination::rumors::Topic;
use crate::event::Cause;
use crate::membership::precedence::Standing;
use crate::membership::{Incarnation, NodeId, Slot, State};
use crate::outbox::Body;
use crate::random::mix;
use crate::time::Instant;
use crate::timers::{Chore, Timer};

/// Most suspects that wait to be probed out of turn.
const SOLICITED_MAX: usize = 8;

/// In the last stretch before a burial the suspect is asked this often.
const VERIFICATIONS: u8 = 2;

impl Node {
    /// Our own probe of this member failed.
    pub(super) fn accuse(&mut self, now: Instant, slot: Slot) {
        let record = self.table.at(slot);
        let (standing, accuser) = (record.standing(), self.local_id());
        match standing.state {
            State::Alive => {
                let suspected = Standing::new(standing.incarnation, State::Suspect);
                self.change(now, slot, suspected, None, Some(accuser), Cause::ProbeFailed, Spread::Gossip);
            }
            State::Suspect => self.confirm(now, slot, accuser),
            State::Dead | State::Left => {}
        }
    }

    /// One more accuser of a suspect (\[LG\] IV-B): the first `K` bring the end nearer, and are told on.
    pub(super) fn confirm(&mut self, now: Instant, slot: Slot, accuser: NodeId) {
        let known = accuser == self.local_id() || self.is_known_accuser(accuser);
        let case = self.table.at(slot).case().filter(|_| known);
        let accusation = case.map_or(Accusation::Ignored, |case| self.cases.accuse(case, accuser));
        let heard = u64::from(accuser != self.local_id());
        match accusation {
            Accusation::Ignored => self.stats.claims_old += heard,
            Accusation::Confirms => {
                self.stats.claims_news += heard;
                let of = self.table.at(slot).id;
                // The one whom the rumor of the standing names is told already: it was not known when it accused first.
                if accuser != self.table.at(slot).accuser()
                    && let Some(case) = case.map(|case| self.cases.at(case).number)
                {
                    self.add_rumor(slot, Topic::Accuser { case, by: accuser });
                }
                self.changed.push(of);
                self.arm_suspicion(now, slot);
                self.arm_gossip();
            }
        }
    }

    /// Somebody else suspects this member. A few members find out for themselves at once, so that a crash is confirmed
    /// within a period or two however many members there are. Who they are follows from the suspicion and their own id:
    /// nobody has to be asked.
    pub(super) fn solicit(&mut self, now: Instant, slot: Slot) {
        let wanted = usize::from(self.config.solicited_confirmations);
        let record = self.table.at(slot);
        let (id, Incarnation { life, refutation }) = (record.id, record.incarnation());
        let solicitable = wanted > 0 && record.case().is_some() && self.solicited.len() < SOLICITED_MAX;
        if !solicitable {
            return;
        }
        // Of the others, neither the suspect nor its accuser.
        let others = self.table.live_count().saturating_sub(2).max(1);
        let suspicion = mix(mix(id.as_u64() ^ life).wrapping_add(refutation.into()));
        let lot = mix(suspicion ^ self.local_id().as_u64());
        if (u128::from(lot) * others as u128) >> 64 >= wanted as u128 {
            return;
        }
        self.solicited.push_back(id);
        if self.probe.is_none() && !self.was_solicited {
            // A moment later, not now: what is heard may follow a time-out, after which nothing is due.
            self.timers.set(Chore::Probe, now + Duration::from_nanos(1));
        }
    }

    /// The next suspect that this node is to probe before anybody else, if it has not accused it meanwhile.
    pub(super) fn next_solicited(&mut self) -> Option<Slot> {
        while let Some(id) = self.solicited.pop_front() {
            let local = self.local_id();
            let slot = self.table.find(id).filter(|&slot| {
                let case = self.table.at(slot).case();
                case.is_some_and(|case| !self.cases.at(case).is_accused_by(local))
            });
            if slot.is_some() {
                return slot;
            }
        }
        None
    }

    /// Sets the timer of a suspicion for its next step, unless an earlier one is set already: that one will see to it.
    pub(super) fn arm_suspicion(&mut self, now: Instant, slot: Slot) {
        let Some(case) = self.table.at(slot).case().filter(|_| self.is_running()) else { return };
        let step_at = self.next_step(case);
        let at = self.clock.real(step_at).max(now);
        let armed = &mut self.cases.at_mut(case).armed;
        if armed.is_none_or(|armed| at < armed) {
            *armed = Some(at);
            self.timers.push(at, Timer::Suspicion(slot));
        }
    }

    /// When the case's next step is due, on the suspicion clock: a verification, or the burial.
    fn next_step(&self, case: u32) -> Instant {
        let case = self.cases.at(case);
        if !self.config.verify_burial {
            return case.deadline();
        }
        let stretch = self.config.probe_interval.min(case.timeout_min / 2);
        case.next_step(stretch, VERIFICATIONS)
    }

    /// The timer of a suspicion fired.
    pub(super) fn review_suspicion(&mut self, now: Instant, slot: Slot) {
        let Some(record) = self.table.try_at(slot) else { return };
        let Some(case_index) = record.case() else { return };
        // What fires may have been set for an earlier case, while this one's own is still to come.
        let armed = &mut self.cases.at_mut(case_index).armed;
        *armed = armed.filter(|&armed| armed > now);
        let suspicion_now = self.clock.now(now);
        if suspicion_now < self.next_step(case_index) {
            return self.arm_suspicion(now, slot);
        }
        let behind = self.is_behind();
        let case = self.cases.at_mut(case_index);
        if self.config.verify_burial && case.verified < VERIFICATIONS {
            let asked_for = case.asked_for(suspicion_now);
            case.verify(suspicion_now);
            if let (Some(asked_for), Some(to)) = (asked_for, self.table.at(slot).address()) {
                self.doubt_carrier(now, to, now - asked_for);
            }
            self.verify(now, slot);
        } else if self.config.verify_burial && case.reprieve(suspicion_now) {
            self.stats.burials_averted += 1;
        } else if self.config.verify_burial && behind && case.put_off(suspicion_now) {
            self.stats.burials_averted += 1;
            self.stats.burials_damped += 1;
        } else {
            return self.bury(now, slot, case_index);
        }
        self.arm_suspicion(now, slot);
    }

    /// Asks the suspect once more, telling it what it is accused of, and asks others whether they hold more.
    fn verify(&mut self, now: Instant, slot: Slot) {
        let id = self.table.at(slot).id;
        self.verify_by_both_ways(now, slot);
        if !self.table.at(slot).incarnation().is_accusable() {
            return;
        }
        self.choose_others(self.config.indirect_probes.into(), Some(slot));
        for index in 0..self.chosen.len() {
            let helper = self.chosen[index];
            self.send_to_member(helper, Body::Ask { about: id });
        }
    }

    /// The suspect answered. It is told in the same breath what it is accused of, so its refutation is on its way.
    pub(super) fn suspect_answered(&mut self, slot: Slot) {
        if let Some(case) = self.table.at(slot).case() {
            self.cases.at_mut(case).answered();
        }
    }

    fn bury(&mut self, now: Instant, slot: Slot, case: u32) {
        let case = self.cases.at(case);
        let cause = Cause::SuspicionExpired { accusers: case.accusers(), since: case.opened };
        let incarnation = self.table.at(slot).incarnation();
        let (dead, accuser) = (Standing::new(incarnation, State::Dead), self.local_id());
        if incarnation.is_accusable() {
            self.change(now, slot, dead, None, Some(accuser), cause, Spread::Gossip);
        } else {
            // Nobody can be told: each finds out for itself, and remembers it for as long as the others may need.
            self.change(now, slot, dead, None, Some(accuser), cause, Spread::Quiet);
            self.forget_soon(now, slot);
        }
    }

    /// Tells a member that it is held dead, or accused by hearsay, and waits for an answer. Limited like an echo.
    pub(super) fn send_obituary(&mut self, now: Instant, slot: Slot) {
        let record = self.table.at(slot);
        let buried = (record.state() == State::Dead).then(|| record.incarnation());
        if !self.is_running() || !record.has_content() {
            return;
        }
        if self.echoes.take(now, self.config.probe_interval) {
            self.ping_apart(now, slot, Purpose::Obituary { buried });
        } else {
            self.stats.drops.echoes_limited += 1;
        }
    }

    /// A ping outside the regular probing, with what we hold against its target.
    pub(super) fn ping_apart(&mut self, now: Instant, slot: Slot, purpose: Purpose) -> Option<u32> {
        let record = self.table.at(slot);
        let (target, address) = (record.id, record.address()?);
        let seq = self.wait_for_answer(now, target, purpose);
        self.send(address, Body::Ping { seq, target, tell: true });
        Some(seq)
    }

    /// The sequence number of a ping outside the regular probing, which is about to be sent.
    pub(super) fn wait_for_answer(&mut self, now: Instant, target: NodeId, purpose: Purpose) -> u32 {
        let seq = self.draw_seq();
        let gives_up = now + self.health.stretch(self.config.probe_interval);
        self.pings.push(now, Waiting { seq, target, purpose, gives_up });
        seq
    }

    /// Suspicion timers anew, after the suspicion clock stood still.
    pub(super) fn rearm_suspicions(&mut self, now: Instant) {
        let mut slots: alloc::vec::Vec<Slot> = self.cases.iter().map(|case| case.slot).collect();
        for slot in slots.drain(..) {
            self.arm_suspicion(now, slot);
        }
    }

    pub(super) fn slot_of_live(&self, id: NodeId) -> Option<Slot> {
        self.table.find(id).filter(|&slot| self.table.at(slot).is_live())
    }
}
