//! L2, seen from below: that a node goes on probing, and probes everyone.
//!
//! How long a death takes to be noticed depends on how long the periods of whoever is to notice it are, which its own
//! health decides. So it is counted in its probes instead. A node that takes part among others begins one in each period
//! of `T' · (1 + h)`, `h` being its health when the last one began; between two of one member lie at most `2n − 1` others
//! (protocol 3.2; probes out of turn, 4.10, do not count), and as many more as members came meanwhile, since each may take
//! a place before it; and one that is down is suspected by the end of the probe that finds it so.
//!
//! Not seen: whether a ping outside the regular probing (4.5, 6.5, 8.1) stands in for one within.

use std::time::Duration;

use swim_proto::{Config, Instant, NodeId, State};

use super::Rule;
use super::fault::{Verdict, fault, fault_about};
use super::oneself::takes_part;
use crate::observe::View;

/// What a timer's firing may cost.
const SLACK: Duration = Duration::from_millis(5);

/// Readings kept. Past it the older half is forgotten, and with it what it would have shown.
const READINGS_MAX: usize = 1 << 14;

/// By how much a period is longer at most for being behind.
const FACTOR_MAX: u32 = 4;

/// How a process probes.
#[derive(Debug)]
pub(super) struct Probing {
    /// Probes begun.
    begun: u64,
    /// When the last one was, or since when there is somebody to probe, on the node's clock; and how late it had been
    /// in all by then.
    since: Instant,
    late: Duration,
    /// The longest that this period may last.
    period: Duration,
    /// By how much it may be longer for having been behind (protocol 14.6), and until when it was, on the node's clock.
    factor: u32,
    behind_until: Instant,
    /// Members that began to live here.
    came: u64,
    /// Readings of it, by simulated time.
    readings: Vec<(Instant, Reading)>,
}

/// How far the probing of a process has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    /// Probes begun in turn, those that a stall made void not counted.
    probes: u64,
    came: u64,
}

/// The longest period.
fn period(config: &Config, health: u8) -> Duration {
    config.probe_interval * (1 + u32::from(health))
}

impl Probing {
    pub(super) fn new(clock: Instant, config: &Config) -> Probing {
        let period = period(config, config.health_max);
        let (late, behind_until) = (Duration::ZERO, Instant::ZERO);
        Probing { begun: 0, since: clock, late, period, factor: 1, behind_until, came: 0, readings: Vec::new() }
    }

    /// A member began to live here.
    pub(super) fn came(&mut self) {
        self.came += 1;
    }

    /// How far it has come.
    pub(super) fn reading(&self, view: &dyn View) -> Reading {
        let stats = view.stats();
        Reading { probes: stats.probes.saturating_sub(stats.probes_solicited + stats.probes_void), came: self.came }
    }

    /// Keeps a reading.
    pub(super) fn read(&mut self, now: Instant, view: &dyn View) {
        if self.readings.len() >= READINGS_MAX {
            self.readings.drain(..READINGS_MAX / 2);
        }
        self.readings.push((now, self.reading(view)));
    }

    /// The node has settled, having been late for so long in all. `behind`: so late just now, or told that datagrams were
    /// lost.
    pub(super) fn settled(
        &mut self,
        clock: Instant,
        late: Duration,
        behind: (Duration, bool),
        view: &dyn View,
    ) -> Verdict {
        let (config, begun) = (view.config(), view.stats().probes);
        let nobody = !takes_part(view.status()) || view.live() < 2;
        self.fall_behind(clock, behind, config);
        if nobody || begun != self.begun {
            let health = if nobody { config.health_max } else { view.health() };
            self.stretch(begun, nobody, config);
            (self.begun, self.since, self.late, self.period) =
                (begun, clock, late, period(config, health) * self.factor);
            return Ok(());
        }
        let waited = clock.saturating_since(self.since).saturating_sub(late.saturating_sub(self.late));
        if waited <= self.period + SLACK {
            return Ok(());
        }
        fault(Rule::L2, format!("has begun no probe for {waited:?}; a period lasts {:?} at most", self.period))
    }

    /// Whoever is late by half a stall, or has lost something, is behind for one `T'` (protocol 14.2).
    fn fall_behind(&mut self, clock: Instant, (late, lost): (Duration, bool), config: &Config) {
        if !config.stall_min.is_zero() && (lost || late >= config.stall_min / 2) {
            self.behind_until = clock + config.probe_interval;
        }
    }

    /// Periods have ended, all but the last of them just now.
    fn stretch(&mut self, begun: u64, nobody: bool, config: &Config) {
        if !config.adaptive_interval {
            return;
        }
        let ended = begun.saturating_sub(self.begun);
        self.factor = match self.behind_until >= self.since {
            _ if nobody => FACTOR_MAX,
            true => (self.factor + ended as u32).min(FACTOR_MAX),
            false => (self.factor - 1).max(1),
        };
    }

    /// A member held in this state, all of whose processes have been down since then: whether it should be suspected by
    /// now (L2).
    pub(super) fn judge_down(
        &self,
        (id, state): (NodeId, State),
        since: Instant,
        live_max: usize,
        view: &dyn View,
    ) -> Verdict {
        let kept = self.readings.partition_point(|&(at, _)| at < since);
        let Some(&(_, then)) = self.readings.get(kept).filter(|_| state == State::Alive) else { return Ok(()) };
        let now = self.reading(view);
        let (probes, max) = (now.probes.saturating_sub(then.probes), between(live_max, then, now) + 3);
        if probes <= max {
            return Ok(());
        }
        let what = format!(
            "holds member {id} alive though it is down; it has begun {probes} probes since, and {max} are enough"
        );
        fault_about(Rule::L2, id, what)
    }

    /// A live member that was last pinged at this reading, or began to live then.
    pub(super) fn judge_turn(&self, id: NodeId, then: Reading, live_max: usize, view: &dyn View) -> Verdict {
        let now = self.turn(view);
        let (probes, max) = (now.probes.saturating_sub(then.probes), between(live_max, then, now));
        if probes <= max {
            return Ok(());
        }
        fault_about(Rule::L2, id, format!("has begun {probes} probes since it pinged member {id}; {max} are enough"))
    }

    /// What a member's turn is counted from: probes in turn, void ones included.
    pub(super) fn turn(&self, view: &dyn View) -> Reading {
        let stats = view.stats();
        Reading { probes: stats.probes.saturating_sub(stats.probes_solicited), came: self.came }
    }
}

/// The most probes from one of a member to the next.
fn between(live_max: usize, then: Reading, now: Reading) -> u64 {
    2 * live_max as u64 + 1 + (now.came - then.came)
}
