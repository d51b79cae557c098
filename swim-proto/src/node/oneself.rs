//! Heard about ourselves: contradicting, and giving way to a newer process of our name (\[SWIM\] 4.2).
//!
//! That there is a newer process elsewhere may be a lie, or be told of one that is long gone. So it is asked first, at
//! the address that it is said to have, and only an answer from there makes us give way (`docs/protocol.md` 7.5).

use core::net::SocketAddr;

use super::changing::Spread;
use super::claims::Via;
use super::exchanges::HOLDER_ASKED;
use super::{Node, Status};
use crate::detection::probe::{Purpose, Waiting};
use crate::event::Cause;
use crate::membership::precedence::Standing;
use crate::membership::table::News;
use crate::membership::{Incarnation, Slot, State};
use crate::outbox::{Body, Notice};
use crate::time::Instant;
use crate::timers::Chore;
use crate::wire::Alive;

/// Another process of our name, as somebody says: asked, and not yet heard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rival {
    address: SocketAddr,
    /// The greatest that was said of it.
    incarnation: Incarnation,
    asked: u8,
}

impl Node {
    pub(super) fn hear_self_alive(&mut self, now: Instant, alive: &Alive<'_>, via: Via) {
        if !self.is_running() {
            return;
        }
        let local = self.table.local();
        let own = local.incarnation();
        let Some(content) = local.content() else { return };
        let (held, profile) = (content.parse(), alive.profile.parse());
        let than_ours = alive.profile.as_bytes().cmp(content.profile);
        if profile.name != held.name {
            self.stats.drops.misnamed += 1;
            return;
        }
        let elsewhere = profile.address != held.address;
        if alive.incarnation < own {
            self.stats.claims_old += 1;
            if let Via::Datagram { from, len } = via {
                self.echo(now, self.local_id(), from, len);
            }
            return;
        }
        if elsewhere {
            // A newer life elsewhere has our name. At equal lives nobody can say who is newer; the bytes decide, so
            // that exactly one of the two gives way.
            let newer = alive.incarnation.life > own.life;
            let tie = alive.incarnation.life == own.life && than_ours.is_gt();
            if newer || tie {
                return self.meet_rival(now, profile.address, alive.incarnation);
            }
        }
        if alive.incarnation == own && than_ours.is_eq() {
            self.stats.claims_old += 1;
        } else {
            self.stats.claims_news += 1;
            self.go_past(now, alive.incarnation);
            self.answer_with_ourselves(via);
        }
    }

    /// Somebody holds us suspect, dead or departed. A leaver lets it be; anybody else goes past it.
    pub(super) fn hear_self_accused(&mut self, now: Instant, incarnation: Incarnation, via: Via) {
        if !self.is_running() {
            return;
        }
        let own = self.table.local().incarnation();
        if incarnation < own {
            self.stats.claims_old += 1;
            if let Via::Datagram { from, len } = via {
                self.echo(now, self.local_id(), from, len);
            }
            return;
        }
        if let Some(rival) = &mut self.rival
            && (own.life + 1..=rival.incarnation.life).contains(&incarnation.life)
        {
            // It is the rival that is accused. Whether there is one is being asked.
            rival.incarnation = rival.incarnation.max(incarnation);
            self.stats.claims_old += 1;
            return;
        }
        self.stats.claims_news += 1;
        self.health.refuted_self();
        self.go_past(now, incarnation);
        self.answer_with_ourselves(via);
    }

    /// Raises our own incarnation past what was heard.
    fn go_past(&mut self, now: Instant, heard: Incarnation) {
        let own = self.table.local().incarnation();
        // A greater life of ours was an earlier process of a clock that was ahead: this process is another, and has a
        // life of its own.
        let incarnation = if heard.life > own.life && heard.life < Incarnation::MAX.life {
            Incarnation::first(heard.life + 1)
        } else {
            own.max(heard).past()
        };
        if incarnation == self.table.local().incarnation() {
            return;
        }
        self.stats.refutations += 1;
        self.renew_self(now, incarnation, None);
    }

    /// Whoever told us what is said of us hears first what we say, and of nobody else.
    fn answer_with_ourselves(&mut self, via: Via) {
        if let Via::Datagram { from, len } = via
            && self.may_answer()
        {
            let about = self.local_id();
            self.send_urgent(from, Body::Claim { about }, len);
        }
    }

    /// The local member is Alive with this incarnation, and with this profile if it is a new one.
    pub(super) fn renew_self(&mut self, now: Instant, incarnation: Incarnation, profile: Option<&[u8]>) {
        let content = profile.map(|profile| News { incarnation, profile });
        let standing = Standing::new(incarnation, State::Alive);
        self.change(now, Slot::LOCAL, standing, content, None, Cause::Itself, Spread::Gossip);
    }

    /// A newer process elsewhere is said to have our name, or one of our age that goes before us. One at a time is
    /// asked, whatever else is said meanwhile, so that nobody has us ask without end.
    fn meet_rival(&mut self, now: Instant, address: SocketAddr, incarnation: Incarnation) {
        self.stats.claims_old += 1;
        if self.rival.is_none() {
            self.rival = Some(Rival { address, incarnation, asked: 0 });
            self.ask_rival(now);
        }
    }

    /// Asks the rival, a few times and by way of others too: one lost datagram brings nobody back. If nobody answers
    /// there is none, and its incarnation is gone past.
    pub(super) fn ask_rival(&mut self, now: Instant) {
        let Some(rival) = &mut self.rival else { return };
        let Rival { address, incarnation, asked } = *rival;
        let own = self.table.local().incarnation();
        if asked >= HOLDER_ASKED || incarnation < own {
            self.rival = None;
            if incarnation >= own {
                self.go_past(now, incarnation);
            }
            return;
        }
        rival.asked += 1;
        let wait = self.health.stretch(self.config.probe_timeout) / 2;
        self.timers.set(Chore::Rival, now + wait);
        let (seq, target) = (self.draw_seq(), self.local_id());
        let gives_up = now + self.health.stretch(self.config.probe_interval);
        self.pings.push(now, Waiting { seq, target, purpose: Purpose::Rival, gives_up });
        self.send_question(address, Body::Ping { seq, target, tell: false });
        // Of two of one life, others might ask us in the rival's stead: their answers would tell nothing.
        if incarnation.life == own.life {
            return;
        }
        let budget_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        self.choose_others(self.config.indirect_probes.into(), None);
        for index in 0..self.chosen.len() {
            self.send_to_member(self.chosen[index], Body::PingReq { seq, target, address, budget_ms });
        }
    }

    /// A process of our name answered at the rival's address.
    pub(super) fn rival_answered(&mut self, answered: Incarnation) {
        let Some(Rival { address, incarnation, .. }) = self.rival else { return };
        let own = self.table.local().incarnation();
        let tie = answered.life == own.life && incarnation.life == own.life;
        if answered.life > own.life || tie {
            self.give_way(address, answered.life);
        }
    }

    fn give_way(&mut self, by: SocketAddr, life: u64) {
        self.status = Status::Superseded;
        self.rival = None;
        self.timers.clear_all();
        self.outbox.drop_datagrams();
        self.probe = None;
        while let Some((&stream, _)) = self.streams.first_key_value() {
            self.reset_stream(stream);
        }
        self.fall_silent();
        self.outbox.notices.push_back(Notice::Superseded { by, life });
    }
}
