//! What a run is measured by: when views were equal and full, who noticed a crash and when, who was buried alive.
//!
//! All of it is kept as it changes, at a cost that does not depend on the number of nodes: no figure is found by looking
//! at every node. (But for a crash, which counts once who holds the crashed member live.)

mod letters;
mod said;

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use swim_proto::NodeId;

pub use letters::{Counters, LettersSeen};
pub use said::{Delivery, Said};

/// The figures of one run.
#[derive(Debug)]
pub struct Measure {
    /// How many nodes hold each view: a digest of live members, and their number.
    views: BTreeMap<(u64, usize), u32>,
    /// By slot: what it is counted under.
    counted: Vec<Option<(u64, usize)>>,
    /// How many members should be in every view: processes that are up and not told to leave.
    members: usize,
    /// Of their views, how many have the right number of live members.
    full: usize,
    last_start_due: u64,
    last_start: u64,
    converged_at: Option<u64>,
    full_at: Option<u64>,
    /// Since when all views have been equal and full.
    right_since: Option<u64>,
    crashes: Vec<CrashSeen>,
    watched: Vec<usize>,
    /// Members declared dead, by a suspicion that ran out, while up and linked to the accuser all the time.
    pub false_deaths: u64,
    /// Members declared dead while up, but held up or cut off from the accuser at some time of the suspicion, or the
    /// accuser itself was held up.
    pub excused_deaths: u64,
    /// How often a node began to suspect a member that was down, or had departed.
    pub suspicions: u64,
    /// How often a node began to suspect a member that was up.
    pub false_suspicions: u64,
    /// What applications said, and what became of it.
    pub said: Said,
    /// What members sent each other by messenger, and what became of it.
    pub letters: LettersSeen,
}

/// One crash, and who has noticed.
#[derive(Debug)]
pub struct CrashSeen {
    /// Whose.
    pub slot: u32,
    id: NodeId,
    at: u64,
    /// By slot: whether it still holds the member live.
    holds: Vec<bool>,
    holders: usize,
    first: Option<u64>,
    last: Option<u64>,
    returned: bool,
}

impl CrashSeen {
    /// Whether no live node holds the member live any more.
    pub fn is_detected(&self) -> bool {
        self.holders == 0
    }
}

impl Measure {
    pub(crate) fn new(slots: usize) -> Measure {
        Measure {
            views: BTreeMap::new(),
            counted: vec![None; slots],
            members: 0,
            full: 0,
            last_start_due: 0,
            last_start: 0,
            converged_at: None,
            full_at: None,
            right_since: None,
            crashes: Vec::new(),
            watched: Vec::new(),
            false_deaths: 0,
            excused_deaths: 0,
            suspicions: 0,
            false_suspicions: 0,
            said: Said::default(),
            letters: LettersSeen::default(),
        }
    }

    /// A node will start at this time: convergence is not measured before.
    pub(crate) fn will_start(&mut self, at: u64) {
        self.last_start_due = self.last_start_due.max(at);
    }

    /// A node starts, or joins again.
    pub(crate) fn started(&mut self, now: u64, slot: u32) {
        if now <= self.last_start_due {
            self.last_start = now;
        }
        if self.counted[slot as usize].is_none() {
            self.members += 1;
            self.recount_full();
            self.count(now, slot, (0, 0));
        }
    }

    /// A member crashed or was told to leave: its view no longer counts.
    pub(crate) fn departed(&mut self, now: u64, slot: u32) {
        if let Some(view) = self.counted[slot as usize].take() {
            self.uncount(view);
            self.members -= 1;
            self.recount_full();
        }
        for at in 0..self.watched.len() {
            self.crashes[self.watched[at]].lets_go(now, slot);
        }
        self.check(now);
    }

    /// Whether a slot's view is counted.
    pub(crate) fn counts(&self, slot: u32) -> bool {
        self.counted[slot as usize].is_some()
    }

    /// A member's view is now this.
    pub(crate) fn count(&mut self, now: u64, slot: u32, view: (u64, usize)) {
        let counted = &mut self.counted[slot as usize];
        if *counted == Some(view) {
            return;
        }
        if let Some(before) = counted.replace(view) {
            self.uncount(before);
        }
        *self.views.entry(view).or_default() += 1;
        self.full += usize::from(view.1 == self.members);
        self.check(now);
    }

    fn uncount(&mut self, view: (u64, usize)) {
        if let Some(count) = self.views.get_mut(&view) {
            *count -= 1;
            if *count == 0 {
                self.views.remove(&view);
            }
        }
        self.full -= usize::from(view.1 == self.members);
    }

    fn recount_full(&mut self) {
        self.full =
            self.views.iter().filter(|(view, _)| view.1 == self.members).map(|(_, &count)| count as usize).sum();
    }

    fn check(&mut self, now: u64) {
        if now >= self.last_start_due {
            if self.full_at.is_none() && self.is_full() {
                self.full_at = Some(now);
            }
            if self.converged_at.is_none() && self.is_converged() {
                self.converged_at = Some(now);
            }
        }
        self.right_since = if self.is_converged() { self.right_since.or(Some(now)) } else { None };
    }

    /// Whether every member's view has as many live members as there are.
    pub fn is_full(&self) -> bool {
        self.full == self.members
    }

    /// Whether all members' views are the same, and full.
    pub fn is_converged(&self) -> bool {
        self.members == 0 || self.views.len() == 1 && self.is_full()
    }

    /// How many different views there are.
    pub fn views(&self) -> usize {
        self.views.len()
    }

    /// The digest of the view that most members have.
    pub(crate) fn usual_view(&self) -> Option<u64> {
        self.views.iter().max_by_key(|(_, count)| **count).map(|((digest, _), _)| *digest)
    }

    /// How many members there are: processes that are up and were not told to leave.
    pub fn members(&self) -> usize {
        self.members
    }

    /// Seconds from the last join until every view was equal and full for the first time.
    pub fn converged_s(&self) -> Option<f64> {
        self.converged_at.map(|at| seconds(at - self.last_start))
    }

    /// Seconds from the last join until every view was full for the first time.
    pub fn full_s(&self) -> Option<f64> {
        self.full_at.map(|at| seconds(at - self.last_start))
    }

    /// Since when every view has been equal and full, and every crash noticed by all; `None` if that is not so.
    pub fn right_since(&self) -> Option<Duration> {
        let noticed = self.crashes().map(|crash| crash.last.filter(|_| crash.is_detected()).ok_or(()));
        let noticed = noticed.collect::<Result<Vec<u64>, ()>>().ok()?;
        let right = self.right_since?.max(noticed.into_iter().max().unwrap_or(0));
        Some(Duration::from_nanos(right))
    }

    /// When every view was equal and full for the first time, since the start.
    pub(crate) fn converged_at(&self) -> Option<u64> {
        self.converged_at
    }

    /// A member crashed; `holds`: by slot, who holds it live.
    pub(crate) fn crashed(&mut self, now: u64, slot: u32, id: NodeId, mut holds: Vec<bool>) {
        holds[slot as usize] = false;
        for (holder, holds) in holds.iter_mut().enumerate() {
            *holds &= self.counted[holder].is_some();
        }
        let holders = holds.iter().filter(|holds| **holds).count();
        self.watched.push(self.crashes.len());
        let (first, last) = (None, (holders == 0).then_some(now));
        self.crashes.push(CrashSeen { slot, id, at: now, holds, holders, first, last, returned: false });
    }

    /// A crashed member's process is started again: from here nobody need notice any more.
    pub(crate) fn returned(&mut self, slot: u32) {
        let crashes = &mut self.crashes;
        self.watched.retain(|&at| {
            let back = crashes[at].slot == slot;
            crashes[at].returned |= back;
            !back
        });
    }

    /// Whether anybody's crash is being watched.
    pub(crate) fn watches(&self) -> bool {
        !self.watched.is_empty()
    }

    /// The crash of this member, if it is being watched.
    pub(crate) fn watched(&self, id: NodeId) -> Option<usize> {
        self.watched.iter().copied().find(|&at| self.crashes[at].id == id)
    }

    /// A node now holds a crashed member live, or no longer.
    pub(crate) fn holds(&mut self, now: u64, crash: usize, slot: u32, live: bool) {
        if !self.counts(slot) {
            return;
        }
        let seen = &mut self.crashes[crash];
        if !live {
            seen.first = seen.first.or(seen.holds[slot as usize].then_some(now));
            seen.lets_go(now, slot);
        } else if !core::mem::replace(&mut seen.holds[slot as usize], true) {
            seen.holders += 1;
            seen.last = None;
        }
    }

    pub(crate) fn suspected(&mut self, up: bool) {
        *if up { &mut self.false_suspicions } else { &mut self.suspicions } += 1;
    }

    pub(crate) fn buried_alive(&mut self, well_and_linked: bool) {
        if well_and_linked {
            self.false_deaths += 1;
        } else {
            self.excused_deaths += 1;
        }
    }

    /// The crashes of members that did not return.
    pub fn crashes(&self) -> impl Iterator<Item = &CrashSeen> {
        self.crashes.iter().filter(|crash| !crash.returned)
    }

    /// Whether every crash was noticed by all.
    pub fn all_detected(&self) -> bool {
        self.crashes().all(CrashSeen::is_detected)
    }

    /// Seconds from each crash until the first, and until the last live member held the crashed one dead.
    pub fn detection(&self) -> (Percentiles, Percentiles) {
        let times = |when: fn(&CrashSeen) -> Option<Duration>| Percentiles::of(self.crashes().filter_map(when));
        (times(CrashSeen::first_noticed), times(CrashSeen::last_noticed))
    }
}

impl CrashSeen {
    /// How long after it somebody held the member dead for the first time.
    pub fn first_noticed(&self) -> Option<Duration> {
        self.first.map(|at| Duration::from_nanos(at - self.at))
    }

    /// How long after it nobody held the member live any more.
    pub fn last_noticed(&self) -> Option<Duration> {
        let last = self.last.filter(|_| self.first.is_some());
        last.map(|at| Duration::from_nanos(at - self.at))
    }

    fn lets_go(&mut self, now: u64, slot: u32) {
        if core::mem::replace(&mut self.holds[slot as usize], false) {
            self.holders -= 1;
            if self.holders == 0 {
                self.last = Some(now);
            }
        }
    }
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

/// A distribution of durations, in seconds; nothing if there were none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Percentiles {
    /// The median.
    pub p50: Option<f64>,
    /// What all but one in a hundred stay below.
    pub p99: Option<f64>,
    /// The longest.
    pub max: Option<f64>,
}

impl Percentiles {
    /// Of these.
    pub fn of(durations: impl Iterator<Item = Duration>) -> Percentiles {
        // Microseconds, to three significant digits.
        let mut histogram = Histogram::<u64>::new(3).expect("three digits are within what it offers");
        for duration in durations {
            histogram.record(duration.as_micros() as u64).expect("it grows as it must");
        }
        if histogram.is_empty() {
            return Percentiles::default();
        }
        let at = |quantile: f64| Some(histogram.value_at_quantile(quantile) as f64 / 1e6);
        Percentiles { p50: at(0.5), p99: at(0.99), max: Some(histogram.max() as f64 / 1e6) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn started(slots: u32) -> Measure {
        let mut measure = Measure::new(slots as usize);
        for slot in 0..slots {
            measure.will_start(u64::from(slot) * SECOND);
        }
        for slot in 0..slots {
            measure.started(u64::from(slot) * SECOND, slot);
            measure.count(u64::from(slot) * SECOND, slot, (u64::from(slot), 1));
        }
        measure
    }

    #[test]
    fn convergence_counts_from_the_last_join_until_all_views_are_equal_and_full() {
        let mut measure = started(3);
        for slot in 0..3 {
            assert!(!measure.is_converged());
            measure.count((5 + u64::from(slot)) * SECOND, slot, (77, 3));
        }
        assert!(measure.is_converged());
        assert_eq!((measure.converged_s(), measure.full_s()), (Some(5.0), Some(5.0)));
        measure.count(9 * SECOND, 0, (78, 3));
        assert!(measure.is_full() && !measure.is_converged());
        measure.departed(10 * SECOND, 0);
        assert!(!measure.is_full());
        measure.count(11 * SECOND, 1, (79, 2));
        measure.count(11 * SECOND, 2, (79, 2));
        assert!(measure.is_converged());
        assert_eq!(measure.converged_s(), Some(5.0));
        assert_eq!(measure.right_since(), Some(Duration::from_secs(11)));
        measure.count(12 * SECOND, 2, (80, 2));
        assert_eq!(measure.right_since(), None);
    }

    #[test]
    fn a_crash_is_detected_when_the_last_that_held_it_live_no_longer_does() {
        let mut measure = started(4);
        let id = NodeId::from_u64(3);
        measure.departed(20 * SECOND, 3);
        measure.crashed(20 * SECOND, 3, id, vec![true; 4]);
        let crash = measure.watched(id).expect("it is watched");
        measure.holds(25 * SECOND, crash, 1, false);
        measure.holds(27 * SECOND, crash, 0, false);
        assert!(!measure.all_detected());
        measure.departed(28 * SECOND, 2);
        assert!(measure.all_detected());
        let (first, last) = measure.detection();
        assert_eq!((first.p50.map(f64::round), last.max.map(f64::round)), (Some(5.0), Some(8.0)));
        measure.returned(3);
        assert_eq!(measure.crashes().count(), 0);
    }
}
