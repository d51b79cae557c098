//! Heard about a member: whether a claim is news here, and what is said to whoever is behind.
//!
//! What is news, by whatever way it came, ends in [`Node::change`].

use core::net::SocketAddr;
use core::time::Duration;

use super::changing::Spread;
use super::{Answered, Node};
use crate::action::StreamId;
use crate::dissemination::exchange::Step;
use crate::event::Cause;
use crate::membership::precedence::{Standing, content_prevails};
use crate::membership::record::Entry;
use crate::membership::table::News;
use crate::membership::{NodeId, Slot, State};
use crate::outbox::Body;
use crate::time::Instant;
use crate::wire::message::Grave;
use crate::wire::{Alive, Dead, Left, Message, Messages, Suspect, Tombstone};

/// By which way a claim came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// In a datagram of `len` bytes.
    Datagram { from: SocketAddr, len: usize },
    /// In an exchange of state.
    Exchange(StreamId),
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

    /// A claim that our own table equals or outranks. If outranked, whoever believes it is told (`docs/protocol.md`
    /// 5.4).
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

    // What a claim must fulfil.

    /// Whether one more can be known. One that lives takes the place of one that does not; but of one of whom more is
    /// known than the id, not before its death has been told on, if there is anybody to tell it to, nor while it may
    /// still contradict it.
    pub(super) fn has_room(&mut self, lives: bool) -> bool {
        let full = self.table.len() >= self.config.members_max as usize;
        let (now, contradicts_for) = (self.now, self.config.gossip_to_dead);
        let is_alone = self.table.live_count() <= 1;
        let may_go = |_, record: Entry<'_>| {
            let is_told = record.rumor().is_none() || is_alone;
            !record.has_content() || is_told && now - record.since > contradicts_for
        };
        let room = !full || lives && self.forget_nearest(may_go);
        self.stats.drops.members_full += u64::from(!room);
        room
    }

    /// Whether this is somebody unknown, who is accused in the same breath, and for whom somebody else would have to be
    /// forgotten. Else, where there is no room for all the dead, they are forgotten by turns and taken up again as suspects
    /// from whoever had forgotten them before, for ever.
    pub(super) fn is_not_worth_room(&self, alive: &Alive<'_>, mut then: Messages<'_>) -> bool {
        self.table.len() >= self.config.members_max as usize
            && self.table.find(alive.id).is_none()
            && matches!(then.next(), Some(Message::Suspect(suspect)) if suspect.id == alive.id && suspect.incarnation >= alive.incarnation)
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
