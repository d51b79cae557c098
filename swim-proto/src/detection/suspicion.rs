//! The cases against suspected members (\[LG\] IV-B).
//!
//! A case opens at the first accusation with the time-out at its greatest, and each further *independent* accuser
//! brings it nearer to its least:
//!
//! `timeout = max(Min, Max − (Max − Min) · log(C + 1) / log(K + 1))`
//!
//! with `C` further accusers, `Min = α · max(1, log10 n) · probe_interval` and `Max = β · Min`. Where fewer than `K`
//! others could confirm, waiting for them is in vain and the time-out is Min at once.
//!
//! Times here are on the suspicion clock (`silence`), which stands still while our own judgement is worth nothing.

use alloc::vec::Vec;
use core::time::Duration;

use crate::config::Config;
use crate::membership::{Incarnation, NodeId, Slot};
use crate::time::Instant;

/// Most accusers kept in one case: the first, and `K` more.
const ACCUSERS_MAX: usize = 9;

/// Above so much room for cases what a storm has left is given back once none is open, down to a quarter.
const ROOM: usize = 8;

/// One case.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Tells it from all other cases, of this member too.
    pub(crate) number: u64,
    pub(crate) slot: Slot,
    /// The accused incarnation.
    pub(crate) incarnation: Incarnation,
    /// When it opened, on the node's clock.
    pub(crate) opened: Instant,
    /// When it opened, on the suspicion clock.
    since: Instant,
    /// When it runs out, on the suspicion clock.
    deadline: Instant,
    pub(crate) timeout_min: Duration,
    pub(crate) timeout_max: Duration,
    accusers: [NodeId; ACCUSERS_MAX],
    accuser_count: u8,
    /// `K` of this case: 0 where too few could confirm.
    confirmations: u8,
    /// How many times the accused was asked once more, before it is buried.
    pub(crate) verified: u8,
    /// When it was first asked so.
    verified_at: Option<Instant>,
    /// It has answered since.
    contradicted: bool,
    /// It was put off because we were behind.
    was_put_off: bool,
    /// When the earliest timer for it fires that is known to be set, on the node's clock.
    pub(crate) armed: Option<Instant>,
}

/// What an accusation did to a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accusation {
    /// One of the first `K` further accusers: worth telling others, and the deadline may have moved.
    Confirms,
    /// Known already, or one too many.
    Ignored,
}

impl Case {
    pub(crate) fn accusers(&self) -> u8 {
        self.accuser_count
    }

    pub(crate) fn is_accused_by(&self, member: NodeId) -> bool {
        self.accusers[..usize::from(self.accuser_count)].contains(&member)
    }

    /// When it runs out, on the suspicion clock.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The time-out for `further` independent accusers.
    fn timeout(&self, further: u8) -> Duration {
        if self.confirmations == 0 || further >= self.confirmations {
            return self.timeout_min;
        }
        let shrink = libm::log(f64::from(further) + 1.0) / libm::log(f64::from(self.confirmations) + 1.0);
        let range = (self.timeout_max - self.timeout_min).as_nanos() as f64;
        (self.timeout_max - Duration::from_nanos((range * shrink) as u64)).max(self.timeout_min)
    }

    fn accuse(&mut self, accuser: NodeId) -> Accusation {
        let known = &self.accusers[..usize::from(self.accuser_count)];
        if known.contains(&accuser) || self.accuser_count > self.confirmations {
            return Accusation::Ignored;
        }
        self.accusers[usize::from(self.accuser_count)] = accuser;
        self.accuser_count += 1;
        // The first accuser opens the case (or fills an empty one); each after it confirms.
        if self.accuser_count == 1 {
            return Accusation::Ignored;
        }
        self.deadline = self.deadline.min(self.since + self.timeout(self.accuser_count - 1));
        Accusation::Confirms
    }

    /// When the next step is due, on the suspicion clock: `verifications` within the last `stretch` before the end, at
    /// even distances, then the end. If the end comes near all at once, because accusers came, the stretch is still
    /// waited for.
    pub(crate) fn next_step(&self, stretch: Duration, verifications: u8) -> Instant {
        match self.verified_at {
            None => self.deadline - stretch,
            Some(first) if self.verified < verifications => {
                first + stretch * self.verified.into() / verifications.into()
            }
            Some(first) => self.deadline.max(first + stretch),
        }
    }

    /// The accused is being asked once more.
    pub(crate) fn verify(&mut self, suspicion_now: Instant) {
        if self.verified == 0 {
            self.verified_at = Some(suspicion_now);
            self.contradicted = false;
        }
        self.verified += 1;
    }

    /// For how long the accused is being asked once more, if it is.
    pub(crate) fn asked_for(&self, suspicion_now: Instant) -> Option<Duration> {
        self.verified_at.map(|first| suspicion_now - first)
    }

    /// The accused answered a ping that told it of the accusation.
    pub(crate) fn answered(&mut self) {
        self.contradicted = true;
    }

    /// The end has come. If the accused has answered since it was asked, it is not buried for another Min, in which its
    /// refutation arrives, and will be asked again. Whether that is so.
    pub(crate) fn reprieve(&mut self, suspicion_now: Instant) -> bool {
        let reprieved = core::mem::take(&mut self.contradicted);
        if reprieved {
            self.begin_again(suspicion_now);
        }
        reprieved
    }

    /// The end has come while we are behind, so that a refutation may wait in our own queue: it is put off once, by one
    /// Min. Whether that is so.
    pub(crate) fn put_off(&mut self, suspicion_now: Instant) -> bool {
        let first = !core::mem::replace(&mut self.was_put_off, true);
        if first {
            self.begin_again(suspicion_now);
        }
        first
    }

    fn begin_again(&mut self, suspicion_now: Instant) {
        self.deadline = suspicion_now + self.timeout_min;
        self.verified = 0;
        self.verified_at = None;
    }
}

/// All open cases.
pub(crate) struct Cases {
    cases: Vec<Option<Case>>,
    free: Vec<u32>,
    /// Opened so far.
    opened: u64,
}

impl Cases {
    pub(crate) fn new() -> Cases {
        Cases { cases: Vec::new(), free: Vec::new(), opened: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.cases.len() - self.free.len()
    }

    /// Opens a case; `accuser` is `None` if it is nobody we know, and then counts for nothing.
    #[expect(clippy::too_many_arguments, reason = "all that a case begins with")]
    pub(crate) fn open(
        &mut self,
        config: &Config,
        live: usize,
        now: Instant,
        suspicion_now: Instant,
        slot: Slot,
        incarnation: Incarnation,
        accuser: Option<NodeId>,
    ) -> u32 {
        let timeout_min = timeout_min(config, live);
        let timeout_max = if config.lha_suspicion { timeout_min.mul_f64(config.suspicion_beta) } else { timeout_min };
        // The accused and the first accuser cannot confirm.
        let could_confirm = live.saturating_sub(2);
        let confirmations = config.suspicion_confirmations;
        let enough = config.lha_suspicion && could_confirm >= usize::from(confirmations);
        self.opened += 1;
        let mut case = Case {
            number: self.opened,
            slot,
            incarnation,
            opened: now,
            since: suspicion_now,
            deadline: suspicion_now,
            timeout_min,
            timeout_max,
            accusers: [NodeId::from_u64(0); ACCUSERS_MAX],
            accuser_count: 0,
            confirmations: if enough { confirmations } else { 0 },
            verified: 0,
            verified_at: None,
            contradicted: false,
            was_put_off: false,
            armed: None,
        };
        case.deadline = suspicion_now + case.timeout(0);
        if let Some(accuser) = accuser {
            case.accuse(accuser);
        }
        let index = self.free.pop().unwrap_or(self.cases.len() as u32);
        match self.cases.get_mut(index as usize) {
            Some(place) => *place = Some(case),
            None => self.cases.push(Some(case)),
        }
        index
    }

    pub(crate) fn close(&mut self, index: u32) -> Case {
        let case = self.cases[index as usize].take().expect("a record names its case only while it is open");
        self.free.push(index);
        // After a storm their room is given back.
        if self.len() == 0 && self.cases.capacity() > ROOM {
            self.cases.clear();
            self.cases.shrink_to(ROOM / 4);
            self.free.clear();
            self.free.shrink_to(ROOM / 4);
        }
        case
    }

    /// The case under this index, if one is open.
    pub(crate) fn get(&self, index: u32) -> Option<&Case> {
        self.cases.get(index as usize)?.as_ref()
    }

    pub(crate) fn at(&self, index: u32) -> &Case {
        self.cases[index as usize].as_ref().expect("a record names its case only while it is open")
    }

    pub(crate) fn at_mut(&mut self, index: u32) -> &mut Case {
        self.cases[index as usize].as_mut().expect("a record names its case only while it is open")
    }

    /// One more accuser, one that we know.
    pub(crate) fn accuse(&mut self, index: u32, accuser: NodeId) -> Accusation {
        self.at_mut(index).accuse(accuser)
    }

    /// Every open case.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter().flatten()
    }
}

/// `Min = α · max(1, log10 n) · probe_interval` (\[LG\] IV-B; `n` counts live members only, ourselves included: the
/// recently dead do not make a small cluster wait like a large one).
fn timeout_min(config: &Config, live: usize) -> Duration {
    let scale = libm::log10(live.max(1) as f64).max(1.0);
    config.probe_interval.mul_f64(config.suspicion_alpha * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> NodeId {
        NodeId::from_u64(n)
    }

    fn open(cases: &mut Cases, config: &Config, live: usize) -> u32 {
        let now = Instant::ZERO;
        cases.open(config, live, now, now, Slot::LOCAL, Incarnation::first(1), Some(id(1)))
    }

    #[test]
    fn accusers_shrink_the_timeout_as_published() {
        // [LG] IV-B, n = 128, α = 5, β = 6: Min 10.536 s (the paper's code truncates to 10.535), Max 63.2 s; between
        // them 100 %, 50 %, 20.8 % and 0 % for 0 to 3 further accusers.
        let config = Config::published(crate::config::Variant::Lifeguard);
        let mut cases = Cases::new();
        let index = open(&mut cases, &config, 128);
        let mut shares = Vec::new();
        for accuser in 2..=5 {
            let case = cases.at(index);
            let over = (case.deadline() - Instant::ZERO) - case.timeout_min;
            shares.push((over.as_secs_f64() / (case.timeout_max - case.timeout_min).as_secs_f64() * 1000.0) as u32);
            cases.accuse(index, id(accuser));
        }
        assert_eq!(shares, [1000, 500, 207, 0]);
        assert_eq!(cases.at(index).timeout_min.as_millis(), 10_536);
        assert_eq!(cases.at(index).timeout_max.as_millis(), 63_216);
    }

    #[test]
    fn the_same_accuser_counts_once_and_more_than_k_are_ignored() {
        let mut cases = Cases::new();
        let index = open(&mut cases, &Config::lan(), 100);
        assert_eq!(cases.accuse(index, id(1)), Accusation::Ignored);
        for accuser in 2..=4 {
            assert_eq!(cases.accuse(index, id(accuser)), Accusation::Confirms);
        }
        assert_eq!(cases.accuse(index, id(5)), Accusation::Ignored);
        assert_eq!(cases.at(index).accusers(), 4);
    }

    #[test]
    fn where_too_few_could_confirm_the_timeout_is_the_least_at_once() {
        let mut cases = Cases::new();
        // LAN, three members, one accused: 3 s, whatever died before.
        let index = open(&mut cases, &Config::lan(), 3);
        assert_eq!(cases.at(index).deadline() - Instant::ZERO, Duration::from_secs(3));
    }
}
