//! L1, L2, L4, L5: what must come to hold, and by when.
//!
//! L2 is judged all the time, at each node that is able to act, for each member whose processes are all down. The others
//! are judged once faults have stopped: `lacking` says what does not hold yet, `due` by when it must.
//!
//! The bounds are generous where the protocol draws lots (which member is asked, which is tried); they are missed with a
//! probability that no number of runs will see. They follow from the settings and the number of members `n`, and are
//! derived at each function.

use std::time::Duration;

use swim_proto::{Config, Instant, Member, NodeId, State, Status};

use super::bounds::suspicion_min;
use super::fault::Fault;
use super::mirror::{Held, profile_of};
use super::oneself::takes_part;
use super::oracle::Oracle;
use super::{Rule, Violation};
use crate::observe::{Condition, Slot, Truth, View};

/// Periods within which at least one of many members probes a given one: each misses it for so many periods with
/// probability `(1 − 1/n)^(40 n) < e^−40`.
const PERIODS_FIRST: u32 = 40;

/// Attempts at something that half the members would answer, each with probability of at least a quarter under loss:
/// all fail with probability `(7/8)^100 < 2·10^−6`, and every node tries.
const ATTEMPTS: u32 = 100;

/// The longest protocol period: health at its greatest, and behind all the time (protocol 14.6).
fn period_max(config: &Config) -> Duration {
    let stretch = if config.lha_probe { 1 + u32::from(config.health_max) } else { 1 };
    config.probe_interval * stretch * if config.adaptive_interval { 4 } else { 1 }
}

/// The longest that a suspicion of a crashed member can last in a cluster of `n`: Max, and time that stands still
/// (at most `stall_max`), and one Min for an ack that was still on its way.
fn suspicion_max(config: &Config, n: usize) -> Duration {
    let min = suspicion_min(config, n);
    min.mul_f64(config.suspicion_beta) + min + config.stall_max
}

/// L2: by when a node that is able to act holds a crashed member dead, counted from the crash or from the last news of
/// the member, on the node's own clock.
///
/// The member stands in the probe list; between two probes of it lie at most `2n − 1` periods, of which one may just
/// have begun and one is the probe itself: `2n + 1` periods of at most `T'·(S + 1)` each (\[SWIM\] 4.3, \[LG\] IV-A). A
/// period's probe may be void once, when the node was just stalled: one more. The probe fails, and the suspicion
/// lasts as long as it can.
pub fn completeness_max(config: &Config, n: usize) -> Duration {
    let periods = 2 * n.max(2) as u32 + 2;
    period_max(config) * periods + suspicion_max(config, n) + Duration::from_secs(1)
}

/// L1: by when everyone holds every crashed member dead, counted from when faults stopped.
///
/// Somebody among `n` members probes it within `PERIODS_FIRST` periods, or everybody within L2's bound, whichever is
/// less; its suspicion lasts as long as it can; then the news spreads, and whom gossip misses learns of it by a sync as
/// of a suspicion, which again lasts as long as it can.
///
/// Where nothing is compared each may have to find out for itself (L2).
pub fn strong_completeness_max(config: &Config, n: usize) -> Duration {
    if config.sync_interval.is_zero() {
        return completeness_max(config, n) + spreading_max(config, n);
    }
    let first = period_max(config) * (2 * n.max(2) as u32 + 2).min(PERIODS_FIRST);
    first + suspicion_max(config, n) * 2 + spreading_max(config, n)
}

/// By when news that one member has is everywhere: `10·⌈log2(n + 1)⌉` gossip rounds, epidemic spreading taking about
/// `log2 n + ln n` of them, and for whom all copies miss, ten rounds of sync, each of which leaves out a member that is
/// still without it with probability of at most one half, and which a lost segment may stall for a stream's time-out.
pub fn spreading_max(config: &Config, n: usize) -> Duration {
    let rounds = 10 * (usize::BITS - n.leading_zeros());
    config.gossip_interval * rounds + (config.sync_interval + config.stream_timeout) * 10
}

/// L4: by when everyone holds everyone who is live for alive, counted from when faults stopped.
///
/// A joiner's next attempt comes within `join_retry_max`, and the second one finds everything healed. Whoever is buried
/// alive is met again by healing: each interval each member tries one of its dead, of whom at least one in a few is
/// alive and answers, `ATTEMPTS` times. What is wrongly suspected is refuted or, if its owner cannot be told in time,
/// buried and met again. Then the news spreads.
///
/// Where nothing is compared, or nobody met again, it is by their own probes that the buried hear of it: within L2's bound
/// each probes each. And where there is no room for all, the dead make it once they are no longer told.
pub fn accuracy_max(config: &Config, n: usize) -> Duration {
    let alone = config.sync_interval.is_zero() || config.heal_interval.is_zero();
    let room = if n > config.members_max as usize { config.gossip_to_dead } else { Duration::ZERO };
    let probed = if alone { completeness_max(config, n) } else { Duration::ZERO };
    room + probed
        + config.join_retry_max * 4
        + config.heal_interval * ATTEMPTS
        + period_max(config) * PERIODS_FIRST
        + suspicion_max(config, n) * 2
        + spreading_max(config, n)
}

/// L5: by when all live views are the same: when nothing is left to detect and nobody left to meet, news spreads once
/// more.
pub fn convergence_max(config: &Config, n: usize) -> Duration {
    strong_completeness_max(config, n).max(accuracy_max(config, n)) + spreading_max(config, n) + config.leave_timeout
}

/// What the settings of all promise of the end.
#[derive(Clone, Copy, Debug)]
struct Promise {
    /// Whoever was buried alive is met again, or a seed is (protocol 8.1): so all meet whom a seed knows, or a chain of
    /// members. Otherwise only those do between whom there is a chain of members that hold the next one live.
    meets: bool,
    /// Views are compared (6.1), so that whoever was left out by gossip hears all the same.
    compares: bool,
    /// The falsely buried hear of it from those whom they probe (5.4).
    echoes: bool,
    /// Every table has room for all (11.1). Where some do not, views are partial; a refutation need not reach whoever is
    /// a stranger to the refuter (1.8), and its news is told by those alone that hold it.
    has_room: bool,
    /// Everybody has a tombstone for each who is gone. Where somebody has not, those who are gone come back by the claims of
    /// others, and are found gone, by turns (2.8).
    remembers: bool,
    /// The network loses nothing.
    lossless: bool,
}

impl Promise {
    fn of(truth: &dyn Truth, members: usize, lossless: bool) -> Promise {
        let all = |holds: &dyn Fn(&Config) -> bool| {
            let mut views = (0..truth.slots() as u32).filter_map(|slot| truth.view(Slot(slot)));
            views.all(|view| holds(view.config()))
        };
        Promise {
            meets: all(&|config| !config.heal_interval.is_zero()),
            compares: all(&|config| !config.sync_interval.is_zero()),
            echoes: all(&|config| config.echo),
            has_room: all(&|config| config.members_max as usize >= truth.slots()),
            remembers: all(&|config| config.tombstones_max as usize >= truth.slots() - members),
            lossless,
        }
    }

    /// Views become the same: members, incarnations, content.
    fn is_equality(self) -> bool {
        self.compares && self.has_room && self.remembers
    }

    /// Whoever lives is not held dead by this observer. `heard`: it holds the observer live, and so speaks to it.
    fn is_revival(self, heard: bool) -> bool {
        match (self.meets, self.compares, self.has_room) {
            (true, _, true) | (_, true, true) => true,
            (true, _, false) => heard,
            (false, _, _) => heard && self.echoes,
        }
    }

    /// Nor departed, which it never tries by itself.
    fn is_return(self, heard: bool) -> bool {
        self.is_equality() || heard && self.echoes
    }

    /// Nor is it suspected in the end.
    fn is_refutation(self, heard: bool) -> bool {
        self.lossless && (self.has_room || heard)
    }
}

/// A member that an able node holds live, against L2.
pub(super) fn completeness(
    now: Instant,
    observer: (&dyn View, Instant, f64),
    live_max: usize,
    (member, held): (&Member<'_>, &Held),
    down_since: Instant,
) -> Result<(), Fault> {
    let (view, able_since, clock_rate) = observer;
    if !member.state.is_live() || !takes_part(view.status()) {
        return Ok(());
    }
    let since = down_since.max(able_since).max(held.news_at);
    let waited = now.saturating_since(since);
    // The formula costs more than this glance, and is hardly ever needed.
    if waited < view.config().probe_interval * 4 {
        return Ok(());
    }
    let bound = completeness_max(view.config(), live_max).div_f64(clock_rate.clamp(0.1, 1.0));
    if waited <= bound {
        return Ok(());
    }
    let what = format!(
        "holds member {} {} though it is down; for {waited:?} it could have noticed, and {bound:?} are enough",
        member.id, member.state
    );
    Err(Fault { rule: Rule::L2, about: Some(member.id), what })
}

/// By when the cluster must have converged, counted from when faults stopped.
///
/// Of whom there is no tombstone no sync tells that it is gone, so each may have to find out for itself (L2).
pub(super) fn due(truth: &dyn Truth) -> Duration {
    let slots = (0..truth.slots() as u32).map(Slot);
    let n = truth.slots();
    let remembers = remembers(truth);
    let bounds = slots.filter_map(|slot| {
        let config = truth.view(slot)?.config();
        let rate = truth.clock_rate(slot).clamp(0.1, 1.0);
        let alone = if remembers { Duration::ZERO } else { completeness_max(config, n) };
        Some(convergence_max(config, n).max(alone).div_f64(rate))
    });
    bounds.max().unwrap_or(Duration::ZERO)
}

/// A member that everyone is to find who can.
#[derive(Clone, Copy)]
struct Expected<'a> {
    slot: Slot,
    view: &'a dyn View,
    local: Member<'a>,
    profile: u64,
}

/// Where those who are gone are seen to be gone.
#[derive(Clone, Copy)]
pub(super) struct Witness<'a> {
    pub(super) oracle: &'a Oracle,
    pub(super) truth: &'a dyn Truth,
    /// Whether this node holds this member live since a moment after faults stopped: before that it did not.
    pub(super) came: &'a dyn Fn(Slot, NodeId) -> bool,
}

impl Witness<'_> {
    /// Whether this member had processes, which all are down or have departed.
    fn is_gone(&self, id: NodeId) -> bool {
        let slots = self.oracle.slots(id);
        let gone = |status| matches!(status, Status::Left | Status::Superseded);
        !slots.is_empty() && slots.iter().all(|&slot| self.truth.view(slot).is_none_or(|view| gone(view.status())))
    }
}

/// Whether everybody has a tombstone for each who is gone, so that views and news come to rest.
pub(super) fn remembers(truth: &dyn Truth) -> bool {
    Promise::of(truth, expected(truth).len(), false).remembers
}

/// The first thing that a converged cluster would not show.
pub(super) fn lacking(now: Instant, witness: Witness<'_>, lossless: bool) -> Option<Violation> {
    let Witness { oracle, truth, .. } = witness;
    let members = expected(truth);
    let promise = Promise::of(truth, members.len(), lossless);
    let seeded = members.iter().any(|member| truth.is_seed(member.slot));
    let parts = match (promise.meets, seeded) {
        (true, true) => vec![members],
        (true, false) => parts(&members, &|state| state != State::Left),
        (false, _) => parts(&members, &State::is_live),
    };
    let found = parts.iter().find_map(|part| {
        part.iter().find_map(|observer| amiss(observer, part, witness, promise).map(|fault| (observer.slot, fault)))
    });
    let (slot, fault) = found?;
    let mut slots = vec![slot];
    slots.extend(fault.about.iter().flat_map(|&id| oracle.slots(id)));
    Some(Violation { rule: fault.rule, at: now, slots, what: fault.what })
}

fn expected(truth: &dyn Truth) -> Vec<Expected<'_>> {
    let slots = (0..truth.slots() as u32).map(Slot);
    slots
        .filter(|&slot| truth.condition(slot).0 == Condition::Running)
        .filter_map(|slot| truth.view(slot).map(|view| (slot, view)))
        .filter(|(_, view)| takes_part(view.status()))
        .map(|(slot, view)| Expected { slot, view, local: view.local(), profile: profile_of(&view.local()) })
        .collect()
}

/// Who can find whom, where no seed is asked any more: those between whom there is a chain of members that know the next
/// one's present address, and hold it in such a state. Nobody else finds a member that moved, or was forgotten.
fn parts<'a>(members: &[Expected<'a>], such: &dyn Fn(State) -> bool) -> Vec<Vec<Expected<'a>>> {
    let mut rest: Vec<Expected<'a>> = members.to_vec();
    let mut parts = Vec::new();
    while let Some(first) = rest.pop() {
        let mut part = vec![first];
        let mut looked_at = 0;
        while looked_at < part.len() {
            let from = part[looked_at];
            let (near, far) = rest.into_iter().partition(|to| knows(&from, to, such) || knows(to, &from, such));
            part.extend::<Vec<Expected<'a>>>(near);
            rest = far;
            looked_at += 1;
        }
        parts.push(part);
    }
    parts
}

fn knows(one: &Expected<'_>, other: &Expected<'_>, such: &dyn Fn(State) -> bool) -> bool {
    let held = one.view.member(other.local.id);
    held.is_some_and(|held| held.address == other.local.address && such(held.state))
}

/// What one observer's view lacks. The number it holds and the digest spare looking at each member most of the time.
fn amiss(observer: &Expected<'_>, members: &[Expected<'_>], witness: Witness<'_>, promise: Promise) -> Option<Fault> {
    let view = observer.view;
    let agreed = members.first().is_some_and(|first| first.view.digest() == view.digest());
    let full = view.live() == members.len();
    if promise.is_equality() && full && agreed && observer.slot != members[0].slot {
        // The first observer's view was looked at member by member; an equal digest is an equal view.
        if promise.lossless && view.stats().suspected > 0 {
            return members.iter().find_map(|member| held_wrongly(observer, member, promise));
        }
        return None;
    }
    if let Some(fault) = members.iter().find_map(|member| held_wrongly(observer, member, promise)) {
        return Some(fault);
    }
    let fault = |what| Some(Fault { rule: Rule::L5, about: None, what });
    match (superfluous(observer, members, witness, promise), promise.is_equality()) {
        (None, true) if !full => {
            fault(format!("says that it holds {} live members, of {} that there are", view.live(), members.len()))
        }
        (None, true) if promise.lossless && !agreed => {
            fault("has another digest than others, of the same members".to_owned())
        }
        (found, _) => found,
    }
}

fn held_wrongly(observer: &Expected<'_>, member: &Expected<'_>, promise: Promise) -> Option<Fault> {
    let (view, id) = (observer.view, member.local.id);
    let fault = |rule, what| Some(Fault { rule, about: Some(id), what });
    let heard = || knows(member, observer, &State::is_live);
    let Some(held) = view.member(id) else {
        // Among the living alone there may be no room for one more (protocol 11.1).
        let has_room = view.live() < view.config().members_max as usize;
        let missed = promise.compares && has_room;
        return if missed { fault(Rule::L5, format!("does not know member {id}, which is live")) } else { None };
    };
    let wrong = match held.state {
        State::Dead => promise.is_revival(heard()),
        State::Left => promise.is_return(heard()),
        State::Suspect => promise.is_refutation(heard()),
        State::Alive => false,
    };
    if wrong {
        let what = format!("holds member {id} {} at {}, though it is live", held.state, held.incarnation);
        return fault(Rule::L4, what);
    }
    let differs = profile_of(&held) != member.profile || held.incarnation.life != member.local.incarnation.life;
    if promise.is_equality() && differs {
        return fault(Rule::L5, format!("holds member {id} as it was and not as it is: {held:?}"));
    }
    None
}

/// Somebody is held live who is not among the expected. Where the gone come back, each need only have been found gone once.
fn superfluous(
    observer: &Expected<'_>,
    members: &[Expected<'_>],
    witness: Witness<'_>,
    promise: Promise,
) -> Option<Fault> {
    let mut found = None;
    observer.view.members(&mut |held| {
        if found.is_some() || !held.state.is_live() || members.iter().any(|member| member.local.id == held.id) {
            return;
        }
        let id = held.id;
        if !promise.remembers && witness.is_gone(id) && (witness.came)(observer.slot, id) {
            return;
        }
        let (rule, what) = if witness.oracle.down_since(id, witness.truth).is_some() {
            (Rule::L1, format!("holds member {id} {}, though it is down", held.state))
        } else {
            (Rule::L5, format!("holds member {id} {}, which takes no part", held.state))
        };
        found = Some(Fault { rule, about: Some(id), what });
    });
    found
}
