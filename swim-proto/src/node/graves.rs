//! The dead and the departed: remembered so that nothing old resurrects, within bounds, and forgotten in the end.

use core::time::Duration;

use super::Node;
use crate::event::Cause;
use crate::membership::precedence::Standing;
use crate::membership::record::Entry;
use crate::membership::transition::Change;
use crate::membership::{NodeId, Slot};
use crate::time::Instant;
use crate::timers::Timer;

/// How long somebody known by id alone is remembered as dead or departed, at most: long enough for old news to die out,
/// short enough that invented ids do not push out those we knew.
pub(super) const ID_ONLY_RETENTION: Duration = Duration::from_secs(600);

impl Node {
    /// Remembers somebody by id alone, so that older news of it does not bring it to life.
    pub(super) fn remember_id_only(
        &mut self,
        now: Instant,
        id: NodeId,
        standing: Standing,
        accuser: NodeId,
        remaining: Option<Duration>,
    ) {
        if !self.has_room(false) {
            return;
        }
        let slot = self.table.insert(id, standing, accuser, None, now);
        let retention = self.config.tombstone_retention.min(ID_ONLY_RETENTION);
        self.set_forget_at(slot, now + remaining.map_or(retention, |remaining| remaining.min(retention)));
        self.arm_reaping(slot);
        self.changed.push(id);
        self.stats.claims_news += 1;
        self.trim_graves(slot);
    }

    pub(super) fn arm_reaping(&mut self, slot: Slot) {
        let Some(plight) = self.table.plight_mut(slot) else { return };
        if !core::mem::replace(&mut plight.reap_armed, true) {
            let at = plight.forget_at;
            self.timers.push(at, Timer::Reap(slot));
        }
    }

    /// A grave that nobody can be told of, its owner neither, is not kept for long (`docs/protocol.md` 2.4).
    pub(super) fn forget_soon(&mut self, now: Instant, slot: Slot) {
        self.set_forget_at(slot, now + ID_ONLY_RETENTION);
        self.rearm_reaping(slot);
    }

    /// The same, after its end has come nearer.
    pub(super) fn rearm_reaping(&mut self, slot: Slot) {
        if let Some(plight) = self.table.plight_mut(slot) {
            plight.reap_armed = false;
        }
        self.arm_reaping(slot);
    }

    pub(super) fn set_forget_at(&mut self, slot: Slot, at: Instant) {
        if let Some(plight) = self.table.plight_mut(slot) {
            plight.forget_at = at;
        }
    }

    /// Keeps the graves within their limit: of sixteen picked at random, the one nearest its end is forgotten.
    pub(super) fn trim_graves(&mut self, except: Slot) {
        while self.table.graves_len() > self.config.tombstones_max as usize {
            if !self.forget_nearest(|slot, _| slot != except) {
                return;
            }
        }
    }

    /// Forgets, of sixteen graves picked at random (or of all, where there are no more), the one nearest its end that
    /// may be forgotten.
    pub(super) fn forget_nearest(&mut self, may_go: impl Fn(Slot, Entry<'_>) -> bool) -> bool {
        let picked = self.table.some_graves(&mut self.random);
        let graves = picked.into_iter().flatten().filter(|&slot| may_go(slot, self.table.at(slot)));
        let Some(nearest) = graves.min_by_key(|&slot| (self.table.at(slot).forget_at(), slot)) else { return false };
        self.stats.drops.tombstones_full += 1;
        self.forget(nearest);
        true
    }

    /// Forgets a member for good.
    pub(super) fn forget(&mut self, slot: Slot) {
        if self.table.at(slot).has_content() {
            self.notify(Change::Reaped, slot, Cause::Forgotten);
        }
        self.changed.push(self.table.at(slot).id);
        let (case, rumor) = self.table.remove(slot);
        if let Some(case) = case {
            self.cases.close(case);
        }
        if let Some(rumor) = rumor {
            self.rumors.remove(rumor);
        }
    }
}
