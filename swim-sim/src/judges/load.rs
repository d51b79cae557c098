//! S8, S9: how often one piece of news is sent, and how much a node sends in all.
//!
//! **S8.** A rumor is sent at most `λ · ⌈log10(n + 1)⌉` times by each member, or once for each other member up to `2λ`
//! where that is more (protocol 5.2), each further accusation being a rumor of its own (4.4). Every claim in a datagram is counted, but for those that are no rumors: a claim sent
//! to its own subject or with a ping, ping-req or Ask about it (buddy, obituary, verification), and one that goes back
//! to the sender of the datagram being answered, about a member that this named, at the head of a datagram of its own
//! (echo, answer to an Ask: protocol 1.10). What a carrier carries counts as a
//! datagram; claims on other streams are an exchange's. A count begins anew when the claim
//! could have been forgotten, and when the node asks to be let in. So a rumor that also rides to its subject is not
//! seen. Once a cluster whose network loses nothing has converged, each of its nodes must at some time have no news left
//! to tell (protocol 5.6).
//!
//! **S9.** What a node sends of its own accord in a protocol period is bounded by its settings, by how many suspects it
//! verifies and by what an exchange told it, and not by the cluster's size; what it sends on taking a datagram, by that
//! datagram's messages, and what of it answers none of them counts as of its own accord; nacks by the ping-reqs it took.

use std::time::Duration;

use swim_proto::{Config, Instant, NodeId, Transport};

use super::Rule;
use super::fault::{Verdict, fault, fault_about};
use super::maps::NumberMap;

/// Claims of one process that are counted. Past it all counts begin anew.
const COUNTED_MAX: usize = 1 << 17;

/// Datagrams that may answer a datagram whatever it says: a claim (protocol 1.10), and one that nobody can explain.
const ANSWERS: u64 = 2;

/// Datagrams of a period that no formula explains: a first contact, the end of a leave.
const SPARE: u64 = 6;

/// Counts of one process.
#[derive(Debug, Default)]
pub(super) struct Load {
    sent: NumberMap<Sent>,
    window: Window,
    before: Window,
    nacks: u64,
    ping_reqs: u64,
    /// What it might have sent of its own accord so far and did not.
    unspent: u64,
}

/// One claim's sends.
#[derive(Clone, Copy, Debug)]
struct Sent {
    times: u32,
    /// When it was first sent since the count began, in seconds on the node's clock.
    first_s: u32,
}

/// What happened since `start` on the node's clock.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    start: Instant,
    /// Datagrams that the node sent of its own accord.
    initiated: u64,
    /// Packets that it wrote to carriers of its own accord. They may have waited there for long.
    carried: u64,
    /// Members that an exchange named, each of which may be asked.
    exchanged: u64,
    /// Members that asked to be let in, and claims about ourselves: the holder of each one's name, or whoever is said to
    /// have ours, may be asked three times, by way of helpers too.
    joins: u64,
    /// Suspicions that ran when it began, or began in it.
    suspicions: u64,
    /// Whether it was leaving.
    leaving: bool,
}

impl Load {
    pub(super) fn new(clock: Instant) -> Load {
        let window = Window { start: clock, ..Window::default() };
        Load { window, before: window, ..Load::default() }
    }

    /// A rumor was put into a datagram: `claim` tells it from all others, `about` whom it is about (S8).
    pub(super) fn rumor(
        &mut self,
        clock: Instant,
        config: &Config,
        claim: u64,
        about: NodeId,
        live_max: usize,
    ) -> Verdict {
        if self.sent.len() >= COUNTED_MAX {
            self.sent.clear();
        }
        let now_s = (clock.as_nanos() / 1_000_000_000) as u32;
        let sent = self.sent.entry(claim).or_insert(Sent { times: 0, first_s: now_s });
        // Whoever forgot the member may hear of it as news again.
        if u64::from(now_s - sent.first_s) >= config.tombstone_retention.as_secs() {
            *sent = Sent { times: 0, first_s: now_s };
        }
        sent.times += 1;
        let limit = rumor_limit(config, live_max);
        if sent.times <= limit {
            return Ok(());
        }
        let what =
            format!("sent one claim about member {about} {} times; {limit} are allowed among {live_max}", sent.times);
        fault_about(Rule::S8, about, what)
    }

    /// A datagram was sent of the node's own accord; nacks are counted by [`Load::nack`] instead.
    pub(super) fn initiated(&mut self) {
        self.window.initiated += 1;
    }

    /// A packet was written to a carrier of the node's own accord.
    pub(super) fn carried(&mut self) {
        self.window.carried += 1;
    }

    /// So many datagrams were sent on taking one with so many messages that want an answer. One more may be a claim
    /// (protocol 1.10); what goes beyond it is the node's own accord.
    pub(super) fn beyond_answers(&mut self, asks: u64, datagrams: u64) {
        self.window.initiated += datagrams.saturating_sub(asks + 1);
    }

    /// A nack was sent (S9).
    pub(super) fn nack(&mut self) -> Verdict {
        self.nacks += 1;
        if self.nacks <= self.ping_reqs {
            return Ok(());
        }
        fault(Rule::S9, format!("sent {} nacks having taken {} ping-reqs", self.nacks, self.ping_reqs))
    }

    pub(super) fn ping_req_taken(&mut self) {
        self.ping_reqs += 1;
    }

    pub(super) fn exchanged(&mut self) {
        self.window.exchanged += 1;
    }

    /// Somebody is to be asked whether it has a name.
    pub(super) fn name_asked(&mut self) {
        self.window.joins += 1;
    }

    pub(super) fn suspicion_began(&mut self) {
        self.window.suspicions += 1;
    }

    /// A datagram was answered by so many datagrams (S9): one for each of its messages that wants an answer, one claim,
    /// news told at once (and to one of the dead), and the verification of whom it accuses.
    pub(super) fn answered(config: &Config, asks: u64, accusations: u64, datagrams: u64) -> Verdict {
        let gossip = u64::from(config.gossip_fanout) + 1;
        let verifying = accusations * (1 + u64::from(config.indirect_probes));
        let max = asks + gossip + verifying + ANSWERS;
        if datagrams <= max {
            return Ok(());
        }
        fault(Rule::S9, format!("sent {datagrams} datagrams on taking one; {max} are explained"))
    }

    /// The node has settled; so many suspicions run. Once a period, what it sent in it is judged (S9).
    pub(super) fn settled(
        &mut self,
        clock: Instant,
        config: &Config,
        suspects: u64,
        live_max: usize,
        leaving: bool,
    ) -> Verdict {
        self.window.leaving |= leaving;
        let elapsed = clock.saturating_since(self.window.start);
        if elapsed < config.probe_interval {
            return Ok(());
        }
        let window = self.window;
        let exchanged = window.exchanged + self.before.exchanged;
        let asked = (window.joins + self.before.joins) * 3 * (1 + u64::from(config.indirect_probes));
        let bound =
            initiated_max(config, elapsed, window.suspicions, exchanged, window.leaving.then_some(live_max)) + asked;
        self.before = window;
        self.window = Window { start: clock, suspicions: suspects, leaving, ..Window::default() };
        self.unspent += bound.saturating_sub(window.initiated);
        if window.initiated <= bound && window.carried <= self.unspent {
            self.unspent -= window.carried;
            return Ok(());
        }
        let what = format!(
            "sent {} datagrams and {} packets by carrier of its own accord in {elapsed:?}; {bound} are explained ({} suspects, {exchanged} members exchanged)",
            window.initiated, window.carried, window.suspicions
        );
        fault(Rule::S9, what)
    }

    /// Rumors are counted anew: a member was forgotten, or this one asks to be let in or came back.
    pub(super) fn forgotten(&mut self) {
        self.sent.clear();
    }
}

/// By when so many rumors have been told as often as they may, if nothing new comes: a gossip packet each interval
/// tells at least one of them. Twice that, for clocks that run slow and intervals that begin late.
pub(super) fn rest_max(config: &Config, rumors: u32, live: usize) -> Duration {
    config.gossip_interval * 2 * rumors.saturating_mul(rumor_limit(config, live)).saturating_add(50)
}

/// `λ · ⌈log10(n + 1)⌉` (\[SWIM\] 4.1), or once for each of the others up to `2λ` ([`Config::retransmit_mult`]).
pub(super) fn rumor_limit(config: &Config, live: usize) -> u32 {
    let mult = u32::from(config.retransmit_mult);
    // ⌈log10(n + 1)⌉ is the number of decimal digits of n.
    let digits = live.max(1).ilog10() + 1;
    let others = live.saturating_sub(1).min(2 * usize::from(config.retransmit_mult)) as u32;
    if config.reach_all { (mult * digits).max(others) } else { mult * digits }
}

/// Most datagrams that a node sends of its own accord in so long a time: for each probe a ping and `k` ping-reqs; each
/// gossip tick its fanout, and as many to the dead; for each suspect two rounds of a ping and `k` questions; a ping
/// for each member that an exchange named; one heal attempt per interval; a departure's rumor.
fn initiated_max(config: &Config, elapsed: Duration, suspects: u64, exchanged: u64, leaving: Option<usize>) -> u64 {
    let times = |every: Duration| {
        if every.is_zero() { 0 } else { (elapsed.as_nanos() / every.as_nanos()) as u64 + 2 }
    };
    let k = u64::from(config.indirect_probes);
    // A member that is reached by carrier is tried by datagram besides, and once more at the time-out.
    let tried = if config.transport == Transport::Hybrid { 2 } else { 0 };
    let probing = times(config.probe_interval) * (1 + k + tried);
    let gossip = times(config.gossip_interval) * 2 * u64::from(config.gossip_fanout);
    let verifying = suspects * 2 * (1 + k) * times(config.probe_interval);
    let leave = leaving.map_or(0, |live| 2 * u64::from(rumor_limit(config, live)));
    probing + gossip + verifying + exchanged + times(config.heal_interval) + leave + SPARE
}
