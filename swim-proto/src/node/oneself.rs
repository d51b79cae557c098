//! Heard about ourselves: contradicting, and giving way to a newer process of our name (\[SWIM\] 4.2).

use core::net::SocketAddr;

use super::claims::{Spread, Via};
use super::{Node, Status as Standing};
use crate::event::Cause;
use crate::membership::precedence::Status;
use crate::membership::table::News;
use crate::membership::{Incarnation, Slot, State};
use crate::outbox::{Body, Notice};
use crate::time::Instant;
use crate::wire::Alive;

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
            if let Via::Datagram { from, len } = via {
                self.echo(now, self.local_id(), from, len);
            }
            return;
        }
        if elsewhere {
            // A newer life elsewhere has our name. At equal lives nobody can say who is newer; the bytes decide, so that
            // exactly one of the two gives way.
            let newer = alive.incarnation.life > own.life;
            let tie = alive.incarnation.life == own.life && than_ours.is_gt();
            if newer || tie {
                return self.give_way(profile.address, alive.incarnation.life);
            }
        }
        if alive.incarnation > own || than_ours.is_ne() {
            self.go_past(now, alive.incarnation, via);
        }
    }

    /// Somebody holds us suspect, dead or departed. A leaver lets it be; anybody else goes past it.
    pub(super) fn hear_self_accused(&mut self, now: Instant, incarnation: Incarnation, via: Via) {
        if !self.is_running() {
            return;
        }
        if incarnation < self.table.local().incarnation() {
            if let Via::Datagram { from, len } = via {
                self.echo(now, self.local_id(), from, len);
            }
            return;
        }
        self.health.refuted_self();
        self.go_past(now, incarnation, via);
    }

    /// Raises our own incarnation past what was heard, and says so: first to whoever told us.
    fn go_past(&mut self, now: Instant, heard: Incarnation, via: Via) {
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
        if let Via::Datagram { from, len } = via
            && !core::mem::replace(&mut self.answered, true)
        {
            let about = self.local_id();
            self.send_urgent(from, Body::Claim { about }, len);
        }
    }

    /// The local member is Alive with this incarnation, and with this profile if it is a new one.
    pub(super) fn renew_self(&mut self, now: Instant, incarnation: Incarnation, profile: Option<&[u8]>) {
        let content = profile.map(|profile| News { incarnation, profile });
        let status = Status::new(incarnation, State::Alive);
        self.change(now, Slot::LOCAL, status, content, None, Cause::Itself, Spread::Gossip);
    }

    fn give_way(&mut self, by: SocketAddr, life: u64) {
        self.status = Standing::Superseded;
        self.timers.clear_all();
        self.outbox.drop_datagrams();
        self.probe = None;
        while let Some((&stream, _)) = self.streams.first_key_value() {
            self.reset_stream(stream);
        }
        self.outbox.notices.push_back(Notice::Superseded { by, life });
    }
}
