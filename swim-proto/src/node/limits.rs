//! Under load, and under limits: what is left out, and what never is (`docs/protocol.md` 14 and 15).

use core::net::SocketAddr;
use core::time::Duration;

use super::Node;
use crate::membership::{NodeId, Slot, Versions};
use crate::time::Instant;
use crate::wire::ProfileBytes;

/// While behind, so many failed probes of one member in a row are not held against it.
const DAMPED_MAX: u8 = 3;

/// While behind, news is gossiped that many times less often, and so many times fewer exchanges are served.
const THINNED: u16 = 4;

/// A member whose probe failed while we were behind, and how often in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Damped {
    pub(super) member: NodeId,
    times: u8,
    /// It is still to be probed again.
    again: bool,
}

impl Node {
    /// So many datagrams were lost, or shed by a [`Backlog`](crate::Backlog), before they could be handed over: the
    /// node is behind, though its timers may not show it (`docs/protocol.md` 14.2). 0 is no loss.
    pub fn report_loss(&mut self, now: Instant, datagrams: u64) {
        let now = self.begin(now);
        if datagrams > 0 {
            self.stats.datagrams_lost += datagrams;
            self.load.lost(now);
        }
    }

    /// Whether we do not keep up.
    pub(super) fn is_behind(&self) -> bool {
        self.load.is_behind(self.now)
    }

    /// Our probe of this member failed: whether that is not held against it this time, because we are behind. It is
    /// probed again at once then, instead of the next one in turn.
    pub(super) fn damps(&mut self, member: NodeId) -> bool {
        let times = self.damped.take().filter(|damped| damped.member == member).map_or(0, |damped| damped.times);
        let damps = self.is_behind() && times < DAMPED_MAX;
        if damps {
            self.stats.accusations_damped += 1;
            self.damped = Some(Damped { member, times: times + 1, again: true });
        }
        damps
    }

    /// Whom to probe again, out of turn: once for each probe that was not held against it.
    pub(super) fn probed_again(&mut self) -> Option<Slot> {
        let damped = self.damped.as_mut()?;
        let (member, again) = (damped.member, core::mem::take(&mut damped.again));
        if again { self.slot_of_live(member) } else { None }
    }

    /// How long until the next round of gossip.
    pub(super) fn gossip_pause(&mut self) -> Duration {
        let thinned = self.is_behind();
        self.stats.gossip_thinned += u64::from(thinned) * u64::from(THINNED - 1);
        self.config.gossip_interval * if thinned { THINNED.into() } else { 1 }
    }

    /// How long a protocol period lasts: stretched by our health and, where the interval adapts, by our load.
    pub(super) fn period(&self) -> Duration {
        let stretch = if self.config.adaptive_interval { self.load.stretch() } else { 1 };
        self.health.stretch(self.config.probe_interval) * stretch.into()
    }

    /// How many exchanges are served at once.
    pub(super) fn exchanges_max(&self) -> usize {
        let max = self.config.syncs_max;
        usize::from(if self.is_behind() { (max / THINNED).max(1) } else { max })
    }

    /// Whether the datagram being handled may make one more member known.
    pub(super) fn takes_newcomer(&mut self) -> bool {
        let takes = self.newcomers_left > 0;
        self.newcomers_left = self.newcomers_left.saturating_sub(1);
        self.stats.drops.newcomers += u64::from(!takes);
        takes
    }

    /// The same for somebody who is known to be a member, as almost always, without a look where everybody speaks our
    /// newest.
    pub(super) fn version_for_member(&self, to: SocketAddr) -> u8 {
        let newest = self.config.versions.max;
        if self.table.spoken_by_all().contain(newest) { newest } else { self.version_for(to) }
    }

    /// The version in which to speak to whoever is there: the highest that both know; to whom we do not know, and to
    /// whom we have none in common with, that of the datagram from there that is answered, or else the lowest of ours.
    pub(super) fn version_for(&self, to: SocketAddr) -> u8 {
        let ours = self.config.versions;
        if ours.min == ours.max {
            return ours.min;
        }
        let content = self.table.find_address(to).and_then(|slot| self.table.at(slot).content());
        let theirs = content.map(|content| ProfileBytes::from_validated(content.profile).versions());
        let heard = || self.heard_in.filter(|&(from, _)| from == to).map(|(_, version)| version);
        theirs.and_then(|theirs| ours.highest_common(theirs)).or_else(heard).unwrap_or(ours.min)
    }

    /// The version in which to speak to whoever is there, the `turn`-th time that it is tried: at first as to anybody, and
    /// then by turns in each of ours.
    pub(super) fn version_in_turn(&self, to: SocketAddr, turn: u8) -> u8 {
        let Versions { min, max } = self.config.versions;
        let spoken = max - min + 1;
        min + (self.version_for(to) - min + turn % spoken) % spoken
    }

    pub(super) fn count_version(&mut self, version: u8) {
        self.stats.packets_downgraded += u64::from(version < self.config.versions.max);
    }
}
