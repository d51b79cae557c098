//! Heard about a member: what a claim changes here, and what follows from the change.
//!
//! Every claim, by whatever way it came, ends in [`Node::change`], the only place where a member's state changes.

use core::net::SocketAddr;
use core::time::Duration;

use super::graves::ID_ONLY_RETENTION;
use super::{Answered, Node, Status};
use crate::action::StreamId;
use crate::dissemination::exchange::Step;
use crate::dissemination::rumors::Topic;
use crate::event::Cause;
use crate::membership::precedence::{Standing, content_prevails};
use crate::membership::record::{Entry, RoundTrip, Route};
use crate::membership::table::News;
use crate::membership::transition::{Change, changes};
use crate::membership::{NodeId, Slot, State};
use crate::outbox::Body;
use crate::time::Instant;
use crate::timers::Chore;
use crate::wire::message::Grave;
use crate::wire::{Alive, Dead, Left, Suspect, Tombstone};

/// By which way a claim came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// In a datagram of `len` bytes.
    Datagram { from: SocketAddr, len: usize },
    /// In an exchange of state.
    Exchange(StreamId),
}

/// Whether a change is told to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spread {
    Gossip,
    Quiet,
}

impl Node {
    pub(super) fn hear_alive(&mut self, now: Instant, alive: &Alive<'_>, via: Via) {
        if alive.id == self.local_id() {
            return self.hear_self_alive(now, alive, via);
        }
        let Some(slot) = self.table.find(alive.id) else {
            let takes = !matches!(via, Via::Datagram { .. }) || self.takes_newcomer();
            if takes && self.is_named_right(alive) && self.has_room(true) {
                let standing = Standing::new(alive.incarnation, State::Alive);
                let slot = self.table.insert(alive.id, standing, alive.id, None, now);
                let content = news_of(alive);
                self.after_change(
                    now,
                    slot,
                    None,
                    None,
                    standing,
                    None,
                    Some(content),
                    Cause::Itself,
                    self.spread(via),
                );
            }
            return;
        };
        let record = self.table.at(slot);
        let claimed = Standing::new(alive.incarnation, State::Alive);
        let held_content = record.content().map(|content| (content.incarnation, content.profile));
        let content_news = content_prevails((alive.incarnation, alive.profile.as_bytes()), held_content);
        let standing = record.standing().max(claimed);
        if standing == record.standing() && !content_news {
            return self.hear_nothing_new(now, slot, claimed, via);
        }
        let same_name = record.content().is_some_and(|held| held.parse().name == alive.profile.parse().name);
        let outranked = record.standing() > claimed;
        let accuser = record.accuser();
        if content_news && !same_name && !self.is_named_right(alive) {
            return;
        }
        let content = content_news.then(|| news_of(alive));
        // Who it was may come to light after its death: what is told then is the death.
        let cause = match standing.state {
            State::Alive | State::Left => Cause::Itself,
            State::Suspect => Cause::Accused { by: accuser },
            State::Dead => Cause::DeclaredBy { by: accuser },
        };
        self.change(now, slot, standing, content, None, cause, self.spread(via));
        if outranked && let Via::Exchange(stream) = via {
            self.contradict(now, slot, State::Alive, stream);
        }
    }

    pub(super) fn hear_suspect(&mut self, now: Instant, suspect: &Suspect, via: Via) {
        let Suspect { id, incarnation, accuser } = *suspect;
        if id == self.local_id() {
            return self.hear_self_accused(now, incarnation, via);
        }
        let claimed = Standing::new(incarnation, State::Suspect);
        let Some(slot) = self.table.find(id) else {
            if !matches!(via, Via::Datagram { .. }) || self.takes_newcomer() {
                self.remember_id_only(now, id, claimed, accuser, None);
            }
            return;
        };
        let record = self.table.at(slot);
        if record.standing() < claimed {
            let cause = Cause::Accused { by: accuser };
            self.change(now, slot, claimed, None, Some(accuser), cause, self.spread(via));
            self.solicit(now, slot);
        } else if record.standing() == claimed {
            self.count_heard(slot, accuser);
            self.confirm(now, slot, accuser);
        } else {
            self.hear_nothing_new(now, slot, claimed, via);
        }
    }

    pub(super) fn hear_dead(&mut self, now: Instant, dead: &Dead, via: Via) {
        let Dead { id, incarnation, accuser } = *dead;
        if id == self.local_id() {
            return self.hear_self_accused(now, incarnation, via);
        }
        self.hear_grave(now, id, Standing::new(incarnation, State::Dead), accuser, via);
    }

    pub(super) fn hear_left(&mut self, now: Instant, left: &Left, via: Via) {
        let Left { id, incarnation } = *left;
        if id == self.local_id() {
            return self.hear_self_accused(now, incarnation, via);
        }
        self.hear_grave(now, id, Standing::new(incarnation, State::Left), id, via);
    }

    fn hear_grave(&mut self, now: Instant, id: NodeId, claimed: Standing, accuser: NodeId, via: Via) {
        let Some(slot) = self.table.find(id) else {
            if !matches!(via, Via::Datagram { .. }) || self.takes_newcomer() {
                self.remember_id_only(now, id, claimed, accuser, None);
            }
            return;
        };
        if self.table.at(slot).standing() < claimed {
            let cause = if claimed.state == State::Left { Cause::Itself } else { Cause::DeclaredBy { by: accuser } };
            self.change(now, slot, claimed, None, Some(accuser), cause, self.spread(via));
        } else {
            self.hear_nothing_new(now, slot, claimed, via);
        }
    }

    /// An obituary from an exchange may be old news of a partition: whoever we hold alive is suspected quietly, and
    /// asked. A departure is taken as it is.
    pub(super) fn hear_tombstone(&mut self, now: Instant, tombstone: &Tombstone, stream: StreamId) {
        let Tombstone { id, incarnation, grave, remaining_s } = *tombstone;
        if id == self.local_id() {
            return self.hear_self_accused(now, incarnation, Via::Exchange(stream));
        }
        let remaining = Duration::from_secs(remaining_s.into());
        let (state, accuser) = match grave {
            Grave::Dead(accuser) => (State::Dead, accuser),
            Grave::Left => (State::Left, id),
        };
        let claimed = Standing::new(incarnation, state);
        let Some(slot) = self.table.find(id) else {
            return self.remember_id_only(now, id, claimed, accuser, Some(remaining));
        };
        let record = self.table.at(slot);
        if record.is_live() && state == State::Dead {
            let suspected = Standing::new(incarnation, State::Suspect);
            if record.standing() < suspected {
                let cause = Cause::DeclaredBy { by: accuser };
                self.change(now, slot, suspected, None, Some(accuser), cause, Spread::Quiet);
            }
            if self.table.at(slot).standing() == suspected {
                self.send_obituary(now, slot);
            }
            return;
        }
        if record.standing() < claimed {
            let cause = if state == State::Left { Cause::Itself } else { Cause::DeclaredBy { by: accuser } };
            self.change(now, slot, claimed, None, Some(accuser), cause, Spread::Quiet);
        }
        let record = self.table.at(slot);
        let forget_at = record.forget_at();
        if record.incarnation() == incarnation
            && !record.state().is_live()
            && now + remaining + (forget_at - now) / 16 < forget_at
        {
            // Tombstones of one member die out together: the lesser remaining life holds everywhere. Small differences
            // are let be, so that no sequence of them sets timers without end.
            self.set_forget_at(slot, now + remaining);
            self.rearm_reaping(slot);
        }
    }

    /// A claim that our own table equals or outranks. If outranked, whoever believes it is told (`docs/protocol.md` 5.4).
    fn hear_nothing_new(&mut self, now: Instant, slot: Slot, claimed: Standing, via: Via) {
        self.stats.claims_old += 1;
        let record = self.table.at(slot);
        let (held, id) = (record.standing(), record.id);
        if held == claimed {
            let accuser = record.accuser();
            return self.count_heard(slot, accuser);
        }
        match via {
            Via::Exchange(stream) => self.contradict(now, slot, claimed.state, stream),
            Via::Datagram { from, len } => {
                let accused = matches!(held.state, State::Suspect | State::Dead);
                // An accusation goes to its subject, who alone can refute it; anything else to whoever is behind.
                let (to, len_max) = match self.table.at(slot).address() {
                    Some(subject) if accused => (subject, usize::from(self.config.datagram_max)),
                    _ if accused => return,
                    _ => (from, len),
                };
                self.echo(now, id, to, len_max);
            }
        }
    }

    /// The peer of an exchange holds more alive of a member than we do, by an older claim. If we hold it dead or
    /// departed, both the peer and the subject should know.
    fn contradict(&mut self, now: Instant, slot: Slot, claimed: State, stream: StreamId) {
        let (held, id) = (self.table.at(slot).state(), self.table.at(slot).id);
        if held == State::Dead && claimed.is_live() {
            self.send_obituary(now, slot);
        }
        let known = self.table.len();
        if !held.is_live()
            && let Some(stream) = self.streams.get_mut(&stream)
            && stream.step == Step::Listed
            && stream.wanted.len() < known
        {
            stream.wanted.push(id);
        }
    }

    /// Others tell what we tell: where that counts, it need not be told as often.
    fn count_heard(&mut self, slot: Slot, accuser: NodeId) {
        let record = self.table.at(slot);
        if self.config.count_heard
            && record.accuser() == accuser
            && let Some(rumor) = record.rumor()
        {
            self.count_sent(rumor);
        }
    }

    pub(super) fn echo(&mut self, now: Instant, about: NodeId, to: SocketAddr, len_max: usize) {
        if !self.config.echo || !self.is_running() {
            return;
        }
        if self.answered != Answered::No || !self.echoes.take(now, self.config.probe_interval) {
            self.stats.drops.echoes_limited += 1;
            return;
        }
        self.answered = Answered::Echo;
        self.stats.echoes += 1;
        self.send_limited(to, Body::Claim { about }, len_max);
    }

    // The change itself.

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
    fn after_change(
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

    // What a claim must fulfil.

    /// Whether one more can be known. One that lives takes the place of one that does not; but of one of whom more is
    /// known than the id, not before its death has been told on, nor while it may still contradict it.
    pub(super) fn has_room(&mut self, lives: bool) -> bool {
        let full = self.table.len() >= self.config.members_max as usize;
        let (now, contradicts_for) = (self.now, self.config.gossip_to_dead);
        let may_go = |_, record: Entry<'_>| {
            !record.has_content() || record.rumor().is_none() && now - record.since > contradicts_for
        };
        let room = !full || lives && self.forget_nearest(may_go);
        self.stats.drops.members_full += u64::from(!room);
        room
    }

    /// Ids are derived from names: nobody is taken in under an id that is not its own.
    fn is_named_right(&mut self, alive: &Alive<'_>) -> bool {
        let right = NodeId::of(&self.config.cluster, alive.profile.parse().name) == alive.id;
        self.stats.drops.misnamed += u64::from(!right);
        right
    }

    /// What is learnt is told on, but for what a newcomer learns in its first exchange: everybody knows it already.
    fn spread(&self, via: Via) -> Spread {
        match via {
            Via::Exchange(stream) if self.streams.get(&stream).is_some_and(|stream| stream.newcomer) => Spread::Quiet,
            Via::Exchange(_) | Via::Datagram { .. } => Spread::Gossip,
        }
    }
}

fn news_of<'a>(alive: &Alive<'a>) -> News<'a> {
    News { incarnation: alive.incarnation, profile: alive.profile.as_bytes() }
}
