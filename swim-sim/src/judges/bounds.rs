//! S10, S11 and the contract: collections, time-outs and health stay within their bounds, and the views agree.
//!
//! **S10.** Members within `members_max`, tombstones within `tombstones_max` and their retention, streams within
//! `streams_max`, carriers within half of that, rumors within the members known. Memory behind no view is not seen: tests that count allocations do.
//!
//! **S11.** Health in `[0, S]`. A suspicion's Min is that of the cluster's size when it began (several members may come
//! and go in one input, so it lies between two sizes), its Max is `β` times that, its deadline no earlier than the
//! formula of protocol 4.2 gives for the accusers counted, and no later than Max and the time that stood still (lateness,
//! silence, burials averted: protocol 4.5, 10), and it does not stay open beyond them. It comes nearer only when accusers
//! are added, or when a silence ends that was shown at its full length. A death that ends it must not come sooner than the
//! formula gives for the accusers that are named as its cause, with time in which the process was stalled not counted
//! (S5). Silence is known to the node alone, so here every gap of more than `3 · T'` in what it heard from members may
//! have stood still.

use std::time::Duration;

use swim_proto::{Config, Incarnation, Instant, NodeId, Suspicion};

use super::Rule;
use super::fault::{Verdict, fault, fault_about};
use super::oneself;
use crate::observe::View;

/// What rounding and a timer's firing may cost.
const SLACK: Duration = Duration::from_millis(5);

/// For how long a member is remembered that is known by id alone, or lies above the ceiling (protocol 2.4, 2.9).
pub(super) const ID_RETENTION: Duration = Duration::from_secs(600);

/// How much later than its retention a tombstone may be forgotten by a node that runs.
const REAP_SLACK: Duration = Duration::from_secs(10);

/// Rumors that wait besides those about members: constants of the implementation.
const RUMORS_SPARE: u64 = 256;

/// A suspicion that runs at one process, as the judge sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) incarnation: Incarnation,
    /// When it began, on the node's clock.
    pub(super) since: Instant,
    /// When it began, in simulated time.
    pub(super) began: Instant,
    /// The cluster's size when it began lies between these.
    pub(super) live: (usize, usize),
    /// What stood still before it began.
    pub(super) standstill: Duration,
    /// For how long the process had been stalled before it began.
    pub(super) stalled: Duration,
    /// Burials averted before it began.
    pub(super) averted: u64,
    /// Streams for which there was no room before it began.
    pub(super) streams_full: u64,
    /// Own probes and questions that had failed before the input in which it began.
    pub(super) failed: u64,
    /// Deadline and accusers as last shown.
    pub(super) shown: Option<(Instant, u8)>,
}

/// Time that a process was late or heard nothing, all told. Grows only.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standstill {
    /// Time that it spent behind its deadline.
    late: Duration,
    /// Until when that is counted, on its clock.
    late_until: Instant,
    /// The deadline that it showed last, and since when, on its clock.
    deadline: Option<(Instant, Instant)>,
    /// The part of it that was a stall, each of `stall_min` or more (protocol 10.2), and until when that is counted.
    stalled: Duration,
    stalled_until: Instant,
    /// Gaps in what it heard, each of at most `stall_max`.
    silent: Duration,
    /// When it last heard anybody, on its clock.
    heard: Instant,
    /// Since when nothing runs, on its clock.
    resting_since: Option<Instant>,
    /// Since when something runs again, on its clock.
    acting_since: Instant,
}

impl Standstill {
    /// Of a process that starts now.
    pub(super) fn new(clock: Instant) -> Standstill {
        Standstill { heard: clock, acting_since: clock, ..Standstill::default() }
    }

    /// Its deadline as shown after the last input, which came at this time: when it is due. One that lay in the past when
    /// it was set is due from then on, and nobody is late for it before.
    pub(super) fn due(&mut self, deadline: Option<Instant>, clock: Instant) -> Option<Instant> {
        let since = |deadline| self.deadline.filter(|&(shown, _)| shown == deadline).map_or(clock, |(_, since)| since);
        self.deadline = deadline.map(|deadline| (deadline, since(deadline)));
        self.deadline.map(|(deadline, since)| deadline.max(since))
    }

    /// How late the input is that is handled now, by the deadline that was shown before it: so late it is for being behind
    /// (protocol 14.2). A deadline that came to light in the past belongs to a timer that an earlier one hid, and that was
    /// due all the while, or to one that was set into the past: nothing shows which, so that here, where being late
    /// excuses, it counts as the first, and for [`Standstill::due`], where it would accuse, as the second.
    pub(super) fn lag(&self, clock: Instant) -> Duration {
        self.deadline.map_or(Duration::ZERO, |(deadline, _)| clock.saturating_since(deadline))
    }

    /// Whatever came, came at this time and found this deadline.
    pub(super) fn late(&mut self, deadline: Instant, clock: Instant, stall_min: Duration) {
        let stall = clock.saturating_since(deadline.max(self.stalled_until));
        if !stall_min.is_zero() && stall >= stall_min {
            self.stalled += stall;
            self.stalled_until = clock;
        }
        if clock > deadline {
            self.late += clock.saturating_since(deadline.max(self.late_until));
            self.late_until = clock;
        }
    }

    /// Nothing runs any more, or something does again.
    pub(super) fn rests(&mut self, clock: Instant, rests: bool) {
        match (self.resting_since, rests) {
            (None, true) => self.resting_since = Some(clock),
            (Some(since), false) => {
                self.late += clock.saturating_since(since);
                self.resting_since = None;
                self.acting_since = clock;
            }
            (None, false) | (Some(_), true) => {}
        }
    }

    pub(super) fn is_resting(&self) -> bool {
        self.resting_since.is_some()
    }

    /// For how long something has run without a rest.
    pub(super) fn acts_for(&self, clock: Instant) -> Duration {
        if self.is_resting() { Duration::ZERO } else { clock.saturating_since(self.acting_since) }
    }

    /// A packet was taken.
    pub(super) fn heard(&mut self, clock: Instant, config: &Config) {
        self.silent += self.gap(clock, config);
        self.heard = clock;
    }

    fn gap(&self, clock: Instant, config: &Config) -> Duration {
        let gap = clock.saturating_since(self.heard);
        if gap + SLACK > config.probe_interval * 3 { gap.min(config.stall_max) } else { Duration::ZERO }
    }

    /// What has ended: a silence in which a suspicion begins may stand still at any time after.
    pub(super) fn ended(&self) -> Duration {
        self.late + self.silent
    }

    /// The most of it until now: a silence that has just begun may be shown at its full length.
    pub(super) fn most(&self, clock: Instant, config: &Config) -> Duration {
        let silent = !self.gap(clock, config).is_zero();
        self.ended() + if silent { config.stall_max } else { Duration::ZERO }
    }

    /// For how long it was behind its deadlines.
    pub(super) fn all_late(&self) -> Duration {
        self.late
    }

    /// For how long it was stalled: so long at least no suspicion ran.
    pub(super) fn stalled(&self) -> Duration {
        self.stalled
    }
}

impl Case {
    /// The least that its Min can be.
    fn min(&self, config: &Config) -> Duration {
        suspicion_min(config, self.live.0).saturating_sub(SLACK)
    }

    /// The most that it may last until now: Max, or Min where too few could confirm, and the time that stood still, a
    /// Min for each burial averted, and the stretch of verification.
    pub(super) fn max(&self, config: &Config, standstill: Duration, averted: u64) -> Duration {
        let min = suspicion_min(config, self.live.1);
        let averted = averted.saturating_sub(self.averted).min(1 << 20) as u32;
        let stood_still = standstill.saturating_sub(self.standstill);
        let stretch = if confirmable(config, self.live.1) { config.suspicion_beta } else { 1.0 };
        min.mul_f64(stretch) + min * averted + stood_still + config.probe_interval + SLACK
    }

    /// The longest that its last stretch can be, in which the suspect is asked once more (protocol 4.5).
    pub(super) fn stretch(&self, config: &Config) -> Duration {
        config.probe_interval.min(suspicion_min(config, self.live.1) / 2) + SLACK
    }

    /// What the node shows of it, against the bounds (S11).
    pub(super) fn judge(
        &mut self,
        (id, clock): (NodeId, Instant),
        config: &Config,
        shown: &Suspicion,
        standstill: Duration,
        averted: u64,
    ) -> Verdict {
        let wrong = |what: String| fault_about(Rule::S11, id, format!("the suspicion of member {id} {what}"));
        let least = self.min(config);
        let most = suspicion_min(config, self.live.1) + SLACK;
        if shown.accusers > config.suspicion_confirmations + 1 {
            return wrong(format!("keeps {} accusers", shown.accusers));
        }
        if shown.timeout_min < least || shown.timeout_min > most {
            return wrong(format!("has Min {:?}, which should be {least:?} to {most:?}", shown.timeout_min));
        }
        let stretched = if config.lha_suspicion { config.suspicion_beta } else { 1.0 };
        let beta = shown.timeout_max.as_secs_f64() / shown.timeout_min.as_secs_f64();
        // With too few to confirm, Max may be shown as Min, which is what it then lasts.
        let fixed = !confirmable(config, self.live.0) && (beta - 1.0).abs() <= 0.01;
        if (beta - stretched).abs() > 0.01 && !fixed {
            return wrong(format!("has Max {:?} over Min {:?}", shown.timeout_max, shown.timeout_min));
        }
        let lasts = shown.deadline.saturating_since(self.since);
        let formula = self.timeout(config, shown.accusers);
        if lasts + SLACK < formula {
            return wrong(format!("lasts {lasts:?} with {} accusers; it must last {formula:?}", shown.accusers));
        }
        let max = self.max(config, standstill, averted);
        let open = clock.saturating_since(self.since);
        if open > max {
            return wrong(format!("has been open for {open:?}; at most {max:?} are explained"));
        }
        if lasts > max {
            return wrong(format!("lasts {lasts:?}; at most {max:?} are explained"));
        }
        if let Some((deadline, accusers)) = self.shown
            && shown.deadline + config.stall_max + SLACK < deadline
            && shown.deadline > clock
            && shown.accusers <= accusers
        {
            return wrong(format!("came nearer, from {deadline:?} to {:?}, with no new accuser", shown.deadline));
        }
        self.shown = Some((shown.deadline, shown.accusers));
        Ok(())
    }

    /// The least that `timeout(C)` can be (protocol 4.2) with so many accusers counted, in the smallest of the clusters
    /// that it may have begun in.
    ///
    /// The first accuser that counts is not counted in `C`, whether the suspicion began with it or not (protocol 4.3).
    pub(super) fn timeout(&self, config: &Config, accusers: u8) -> Duration {
        let min = suspicion_min(config, self.live.0).as_secs_f64();
        let shrink = if confirmable(config, self.live.0) {
            let (further, k) = (accusers.saturating_sub(1), config.suspicion_confirmations);
            ((f64::from(further) + 1.0).ln() / (f64::from(k) + 1.0).ln()).min(1.0)
        } else {
            1.0
        };
        let max = min * config.suspicion_beta;
        // A thousandth for logarithms in fixed point.
        Duration::from_secs_f64((max - (max - min) * shrink) * 0.999).saturating_sub(SLACK)
    }
}

/// Whether, among so many live members, `K` besides the first accuser and the accused could confirm (protocol 4.2).
fn confirmable(config: &Config, live: usize) -> bool {
    let k = usize::from(config.suspicion_confirmations);
    config.lha_suspicion && k > 0 && live.saturating_sub(2) >= k
}

/// `Min = α · max(1, log10 n) · T'` (protocol 4.2).
pub(super) fn suspicion_min(config: &Config, live: usize) -> Duration {
    let scale = (live.max(1) as f64).log10().max(1.0);
    config.probe_interval.mul_f64(config.suspicion_alpha * scale)
}

/// Health within its bounds (S11).
pub(super) fn health(health: u8, config: &Config) -> Verdict {
    if health <= config.health_max {
        return Ok(());
    }
    fault(Rule::S11, format!("health is {health}, above {}", config.health_max))
}

/// After a time-out the deadline lies ahead (contract 3).
pub(super) fn deadline(clock: Instant, deadline: Option<Instant>) -> Verdict {
    match deadline {
        Some(deadline) if deadline <= clock => {
            fault(Rule::Contract, format!("its deadline {deadline:?} is not after the time-out at {clock:?}"))
        }
        Some(_) | None => Ok(()),
    }
}

/// What a scan of all members counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Census {
    pub(super) live: usize,
    pub(super) suspects: usize,
    /// Dead or departed, the local member not counted.
    pub(super) gone: usize,
}

/// The views against each other (contract), and against their bounds (S10).
pub(super) fn census(census: &Census, view: &dyn View) -> Verdict {
    let (stats, config, live) = (view.stats(), view.config(), view.live());
    let disagree = |what: &str, counted: usize, shown: usize| {
        fault(Rule::Contract, format!("{counted} {what} are in its table and it says {shown}"))
    };
    if census.live != live {
        return disagree("live members", census.live, live);
    }
    if stats.live as usize != live {
        return disagree("live members (live())", live, stats.live as usize);
    }
    // A leaver buries nobody: it holds no cases.
    if oneself::takes_part(view.status()) && stats.suspected as usize != census.suspects {
        return disagree("suspects", census.suspects, stats.suspected as usize);
    }
    if census.gone > stats.tombstones as usize {
        return disagree("tombstones", census.gone, stats.tombstones as usize);
    }
    let known = census.live + census.gone;
    let over =
        |what: &str, count: u64, max: u64| fault(Rule::S10, format!("{count} {what}; at most {max} are allowed"));
    if known > config.members_max as usize {
        return over("members", known as u64, config.members_max.into());
    }
    if stats.tombstones > config.tombstones_max {
        return over("tombstones", stats.tombstones.into(), config.tombstones_max.into());
    }
    if stats.streams > config.streams_max.into() {
        return over("streams", stats.streams.into(), config.streams_max.into());
    }
    // While each has something to carry there may be more than are kept.
    let carriers_max = u32::from(config.streams_max) / 2;
    if stats.carriers > carriers_max {
        return over("carriers", stats.carriers.into(), carriers_max.into());
    }
    let rumored = census.live as u64 + u64::from(stats.tombstones);
    let rumors_max = rumored * (2 + u64::from(config.suspicion_confirmations)) + RUMORS_SPARE;
    if u64::from(stats.rumors) > rumors_max {
        return over("rumors", stats.rumors.into(), rumors_max);
    }
    Ok(())
}

/// A tombstone kept longer than its retention by a node that was able to forget it (S10).
pub(super) fn retention(id: NodeId, incarnation: Incarnation, kept: Duration, config: &Config) -> Verdict {
    let max = if incarnation.is_accusable() { config.tombstone_retention } else { ID_RETENTION };
    if kept <= max + max / 8 + REAP_SLACK {
        return Ok(());
    }
    fault_about(Rule::S10, id, format!("remembers member {id} for {kept:?}; {max:?} are allowed"))
}
