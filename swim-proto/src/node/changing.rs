//! A member's state changes: the one place where it does, and everything that follows from it.

use super::graves::ID_ONLY_RETENTION;
use super::{Node, Status};
use crate::dissemination::rumors::Topic;
use crate::event::Cause;
use crate::membership::precedence::Standing;
use crate::membership::record::{RoundTrip, Route};
use crate::membership::table::News;
use crate::membership::transition::{Change, changes};
use crate::membership::{NodeId, Slot, State};
use crate::time::Instant;
use crate::timers::Chore;

/// Whether a change is told to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spread {
    Gossip,
    Quiet,
}

impl Node {
    /// Brings a member's record to this standing and content; everything that follows from it follows here.
    #[expect(
        clippy::too_many_arguments,
        reason = "the one place where a member's state changes takes all there is to say"
    )]
    pub(super) fn change(
        &mut self,
        now: Instant,
        slot: Slot,
        standing: Standing,
        content: Option<News<'_>>,
        accuser: Option<NodeId>,
        cause: Cause,
        spread: Spread,
    ) {
        let record = self.table.at(slot);
        let held = record.standing();
        debug_assert!(standing >= held, "what is held only rises: {held:?} to {standing:?}");
        let in_view = record.has_content().then_some(held.state);
        // The case is closed by anything that is not the same accusation.
        if let Some(case) = record.case()
            && (standing.state != State::Suspect || standing.incarnation > self.cases.at(case).incarnation)
        {
            self.cases.close(case);
            if let Some(plight) = self.table.plight_mut(slot) {
                plight.case = None;
            }
            match (standing.state, cause) {
                (State::Alive, _) => self.stats.suspicions_refuted += 1,
                (_, Cause::SuspicionExpired { .. }) => self.stats.suspicions_expired += 1,
                _ => self.stats.suspicions_overtaken += 1,
            }
        }
        self.after_change(now, slot, Some(held), in_view, standing, accuser, content, cause, spread);
    }

    #[expect(clippy::too_many_arguments, reason = "the second half of `change`, shared with insertion")]
    pub(super) fn after_change(
        &mut self,
        now: Instant,
        slot: Slot,
        held: Option<Standing>,
        in_view: Option<State>,
        standing: Standing,
        accuser: Option<NodeId>,
        content: Option<News<'_>>,
        cause: Cause,
        spread: Spread,
    ) {
        let concluded = matches!(cause, Cause::ProbeFailed | Cause::SuspicionExpired { .. } | Cause::Operator);
        self.stats.claims_news += u64::from(slot != Slot::LOCAL && !concluded);
        let greater_life = held.is_some_and(|held| standing.incarnation.life > held.incarnation.life);
        let held_content = self.table.at(slot).content();
        let content_changed = match (&content, held_content) {
            (Some(new), Some(held)) => new.profile != held.profile,
            (new, _) => new.is_some(),
        };
        // Of what the application knows: an accusation may have spoken of the new life first.
        let restarted = match (&content, held_content) {
            (Some(new), Some(held)) => new.incarnation.life > held.incarnation.life,
            (_, None) | (None, _) => false,
        };
        self.table.rise(slot, standing, accuser, content, now);
        let id_only = !self.table.at(slot).has_content();
        let retention = self.config.tombstone_retention;
        let retention = if id_only { retention.min(ID_ONLY_RETENTION) } else { retention };
        let entered_grave = held.is_none_or(|held| held.incarnation < standing.incarnation || held.state.is_live());
        if !standing.state.is_live() && slot != Slot::LOCAL && entered_grave {
            self.set_forget_at(slot, now + retention);
            self.arm_reaping(slot);
        }
        if !standing.state.is_live() && held.is_some() && in_view.is_none() && self.table.at(slot).has_content() {
            // No longer known by its id alone: it is remembered like others.
            self.set_forget_at(slot, now + self.config.tombstone_retention);
        }
        if greater_life || !standing.state.is_live() {
            self.table.at_mut(slot).round_trip = RoundTrip::default();
        }
        if greater_life {
            self.table.set_route(slot, Route::FRESH);
        }

        self.open_case(now, slot, !matches!(cause, Cause::DeclaredBy { .. }));
        if self.table.at(slot).has_content() && slot != Slot::LOCAL {
            let changes = changes(in_view, standing.state, restarted, content_changed);
            for change in changes.into_iter().flatten() {
                self.notify(change, slot, cause);
            }
        }
        if slot == Slot::LOCAL && content_changed {
            self.notify(Change::Updated, slot, cause);
        }
        // Late content of a suspect is no new rumor: its suspicion is told already, and is all that would be told.
        if held != Some(standing) || standing.state == State::Alive {
            self.tell_on(slot, spread);
        }
        self.changed.push(self.table.at(slot).id);
        if slot != Slot::LOCAL && self.status != Status::Joined && self.is_running() && !self.table.others().is_empty()
        {
            self.status = Status::Joined;
        }
        if self.status == Status::Leaving && self.table.others().is_empty() {
            // Nobody is left to tell.
            self.timers.set(Chore::Leave, now);
        }
        self.trim_graves(slot);
    }

    /// Opens the case against a member that is now Suspect and has none.
    /// An obituary by hearsay opens it, but is no accusation that others could confirm.
    pub(super) fn open_case(&mut self, now: Instant, slot: Slot, accused: bool) {
        let record = self.table.at(slot);
        if record.state() != State::Suspect || record.case().is_some() || !record.is_live() || !self.is_running() {
            return;
        }
        let (incarnation, accuser) = (record.incarnation(), record.accuser());
        let accuser = (accused && self.is_known_accuser(accuser)).then_some(accuser);
        let live = self.table.live_count();
        let suspicion_now = self.clock.now(now);
        let case = self.cases.open(&self.config, live, now, suspicion_now, slot, incarnation, accuser);
        if let Some(plight) = self.table.plight_mut(slot) {
            plight.case = Some(case);
        }
        self.stats.suspicions += 1;
        self.arm_suspicion(now, slot);
    }

    /// Accusers count that are live members, as far as we know.
    pub(super) fn is_known_accuser(&self, accuser: NodeId) -> bool {
        self.table.find(accuser).is_some_and(|slot| self.table.at(slot).is_live())
    }

    /// Starts the member's rumor anew, or, if it is not to be told, ends it.
    pub(super) fn tell_on(&mut self, slot: Slot, spread: Spread) {
        let record = self.table.at(slot);
        if slot == Slot::LOCAL && spread == Spread::Gossip {
            self.told_of_self = Some(record.incarnation());
        }
        match (spread, record.rumor()) {
            (Spread::Gossip, Some(rumor)) => self.rumors.renew(rumor),
            (Spread::Gossip, None) => {
                let rumor = self.add_rumor(slot, Topic::Standing);
                self.table.at_mut(slot).set_rumor(Some(rumor));
            }
            (Spread::Quiet, Some(rumor)) => {
                self.rumors.remove(rumor);
                self.table.at_mut(slot).set_rumor(None);
            }
            (Spread::Quiet, None) => {}
        }
        self.arm_gossip();
    }

    pub(super) fn add_rumor(&mut self, slot: Slot, topic: Topic) -> u32 {
        let (rumor, given_up) = self.rumors.add(slot, topic);
        if let Some((_, subject, topic)) = given_up {
            self.stats.drops.rumors_full += 1;
            if topic == Topic::Standing {
                self.table.at_mut(subject).set_rumor(None);
            }
        }
        rumor
    }

    /// Claims or broadcasts wait to be told.
    pub(super) fn has_news(&self) -> bool {
        !self.rumors.is_empty() || self.broadcasts.has_news()
    }

    /// News is gossiped at once, but never twice within a gossip interval.
    pub(super) fn arm_gossip(&mut self) {
        if self.timers.at(Chore::Gossip).is_none() && self.has_news() {
            self.timers.set(Chore::Gossip, self.now.max(self.gossiped + self.config.gossip_interval));
        }
    }

    pub(super) fn notify(&mut self, change: Change, slot: Slot, cause: Cause) {
        self.outbox.notify(change, self.table.at(slot), cause);
    }
}
