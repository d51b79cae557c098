//! Time passed.

use super::{Node, Status};
use crate::detection::silence::Finding;
use crate::membership::Slot;
use crate::outbox::{Body, Notice};
use crate::time::Instant;
use crate::timers::{Chore, Fired, Timer};

impl Node {
    /// Time passed. Harmless when early, late or repeated.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.begin(now);
        self.stats.lag = self.deadline().map_or_else(Default::default, |deadline| now - deadline);
        while let Some(fired) = self.timers.pop(now) {
            match fired {
                Fired::Chore(Chore::Probe) => self.probe_period(now),
                Fired::Chore(Chore::ProbeTimeout) => self.probe_timed_out(now),
                Fired::Chore(Chore::Gossip) => self.gossip(now),
                Fired::Chore(Chore::Sync) => self.sync_with_somebody(now),
                Fired::Chore(Chore::Join) => self.try_joining_again(now),
                Fired::Chore(Chore::Heal) => self.heal(now),
                Fired::Chore(Chore::Leave) => self.departed(),
                Fired::Chore(Chore::Rival) => self.ask_rival(now),
                Fired::Chore(Chore::Stranger) => self.ask_stranger(now),
                Fired::Chore(Chore::Silence) => self.look_for_silence(now),
                Fired::Chore(Chore::Payloads) => self.let_payloads_go(now),
                Fired::Timer(Timer::Suspicion(slot)) => self.review_suspicion(now, slot),
                Fired::Timer(Timer::Reap(slot)) => self.reap(now, slot),
                Fired::Timer(Timer::Relay(seq)) => self.relay_timed_out(seq),
                Fired::Timer(Timer::Stream(stream)) => self.stream_timed_out(now, stream),
                Fired::Timer(Timer::Admit(stream)) => self.ask_holder_or_admit(now, stream),
            }
        }
        debug_assert!(self.deadline().is_none_or(|deadline| deadline > now), "a timer was set that is due at once");
    }

    /// When to call [`Node::handle_timeout`] next, if nothing happens before.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.deadline()
    }

    /// News to a few random members, and now and then to one of the recently dead.
    fn gossip(&mut self, now: Instant) {
        if !self.has_news() {
            return;
        }
        self.gossiped = now;
        let fanout = usize::from(self.config.gossip_fanout);
        if self.config.reach_all && self.table.others().len() <= 4 * fanout {
            // So few that chance would leave somebody out: each in turn.
            self.chosen.clear();
            self.table.walk_live(fanout, &mut self.chosen);
        } else {
            self.choose_to_tell(fanout);
        }
        for index in 0..self.chosen.len() {
            let member = self.chosen[index];
            self.send_to_member(member, Body::Gossip);
        }
        if let Some(slot) = self.recently_dead(now) {
            self.send_to_member(slot, Body::Gossip);
        } else if self.chosen.is_empty() {
            // Nobody to tell: somebody who appears brings news, and news sets the timer.
            return;
        }
        let pause = self.gossip_pause();
        self.timers.set(Chore::Gossip, now + pause);
    }

    /// One of the recently dead, with the chance that it would be chosen among all members.
    fn recently_dead(&mut self, now: Instant) -> Option<Slot> {
        let dead = self.table.dead().len();
        if self.config.gossip_to_dead.is_zero() || dead == 0 {
            return None;
        }
        let all = self.table.others().len() + dead;
        let drawn = self.random.below(all.div_ceil(self.config.gossip_fanout.into()));
        // The latest are at the end, but for holes filled since.
        let slot = *self.table.dead().iter().rev().nth(drawn)?;
        (now - self.table.at(slot).since <= self.config.gossip_to_dead).then_some(slot)
    }

    fn look_for_silence(&mut self, now: Instant) {
        let look_again = match self.clock.look(now, self.table.others().len()) {
            Finding::LookAgain(at) => at,
            Finding::Isolated { since, look_again } => {
                self.outbox.notices.push_back(Notice::Isolated { since });
                self.rearm_suspicions(now);
                look_again
            }
        };
        self.timers.set(Chore::Silence, look_again);
    }

    /// Tries one of the dead, or a seed: so two sides of a partition that buried each other meet again.
    fn heal(&mut self, now: Instant) {
        let interval = self.config.heal_interval;
        self.timers.set(Chore::Heal, now + interval - interval / 8 + self.random.duration_up_to(interval / 4));
        let (dead, seeds) = (self.table.dead().len(), self.joins.seeds.len());
        let try_seed = seeds > 0 && (dead == 0 || self.random.below(4) == 0);
        if try_seed {
            let seed = self.joins.seeds[self.random.below(seeds)];
            self.heal_by_seed(seed);
        } else if dead > 0 {
            let slot = self.table.dead()[self.random.below(dead)];
            self.send_obituary(now, slot);
        }
    }

    fn reap(&mut self, now: Instant, slot: Slot) {
        let Some(record) = self.table.try_at(slot) else { return };
        let (state, forget_at, id_only) = (record.state(), record.forget_at(), !record.has_content());
        if let Some(plight) = self.table.plight_mut(slot) {
            plight.reap_armed = false;
        }
        if slot == Slot::LOCAL || state.is_live() && !id_only {
            return;
        }
        if forget_at <= now {
            self.forget(slot);
        } else {
            self.arm_reaping(slot);
        }
    }

    /// The departure has been spread.
    fn departed(&mut self) {
        if self.status == Status::Leaving {
            self.finish_leaving();
        }
    }
}
