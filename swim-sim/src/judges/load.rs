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
//! verifies and by what an exchange told it, and not by the cluster's size: so many datagrams with pings, with ping-reqs,
//! with questions, and with nothing but news, each by the rules that have it send them ([`Due`]). What it sends on taking a
//! datagram is bounded by that datagram's messages, and what of it answers none of them counts as of its own accord. A
//! packet that is written to a carrier was sent of its own accord in some period before, no longer ago than it may have
//! waited. Nacks are bounded by the ping-reqs it took.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use swim_proto::wire::{Message, Messages};
use swim_proto::{Config, Instant, NodeId, Transport};

use super::Rule;
use super::bounds::suspicion_min;
use super::fault::{Verdict, fault, fault_about};
use super::maps::NumberMap;

/// Claims of one process that are counted. Past it all counts begin anew.
const COUNTED_MAX: usize = 1 << 17;

/// Datagrams that may answer a datagram whatever it says: a claim (protocol 1.10), and one that nobody can explain.
const ANSWERS: u64 = 2;

/// Echoes, and pings about what exchanges told, in one `T'` (protocol 5.4).
const ECHOES: u64 = 32;

/// What a datagram that is sent of one's own accord is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It pings somebody.
    Ping,
    /// It asks a helper to.
    PingReq,
    /// It asks what somebody holds.
    Ask,
    /// It tells news, and nothing else.
    News,
}

impl Purpose {
    /// Of a datagram with these messages.
    pub(super) fn of(messages: Messages<'_>) -> Purpose {
        let purpose = |message: Message<'_>| match message {
            Message::Ping(_) => Some(Purpose::Ping),
            Message::PingReq(_) => Some(Purpose::PingReq),
            Message::Ask(_) => Some(Purpose::Ask),
            _ => None,
        };
        { messages }.find_map(purpose).unwrap_or(Purpose::News)
    }
}

/// Datagrams by what they are for.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    pings: u64,
    ping_reqs: u64,
    asks: u64,
    news: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { pings, ping_reqs, asks, news } = self;
        write!(f, "{pings} datagrams with pings, {ping_reqs} with ping-reqs, {asks} with questions, {news} with news")
    }
}

impl Counts {
    fn add(&mut self, purpose: Purpose) {
        *match purpose {
            Purpose::Ping => &mut self.pings,
            Purpose::PingReq => &mut self.ping_reqs,
            Purpose::Ask => &mut self.asks,
            Purpose::News => &mut self.news,
        } += 1;
    }

    fn all(self) -> u64 {
        self.pings + self.ping_reqs + self.asks + self.news
    }

    /// Whether none of these is more than there.
    fn is_within(self, most: Counts) -> bool {
        self.pings <= most.pings && self.ping_reqs <= most.ping_reqs && self.asks <= most.asks && self.news <= most.news
    }
}

/// Counts of one process.
#[derive(Debug, Default)]
pub(super) struct Load {
    sent: NumberMap<Sent>,
    window: Window,
    before: Window,
    nacks: u64,
    ping_reqs: u64,
    /// What it might have sent of its own accord and did not: when, and how much, as long as it may wait for a carrier.
    unspent: VecDeque<(Instant, u64)>,
    /// When how many began to be asked whether they have a name, as long as they may be asked once more.
    names: VecDeque<(Instant, u64)>,
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
    /// Datagrams that the node sent of its own accord, and those beyond what answers one, whatever they are for.
    initiated: Counts,
    beyond: u64,
    /// Packets that it wrote to carriers of its own accord. They may have waited there for long.
    carried: u64,
    /// Members that an exchange named, each of which may be asked.
    exchanged: u64,
    /// Members that asked to be let in, and claims about ourselves: the holder of each one's name, or whoever is said to
    /// have ours, may be asked three times, by way of helpers too.
    names: u64,
    /// Pings by processes that the node has no live member for, each of which may be asked whether it is there.
    strangers: u64,
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
    pub(super) fn initiated(&mut self, purpose: Purpose) {
        self.window.initiated.add(purpose);
    }

    /// A packet was written to a carrier of the node's own accord.
    pub(super) fn carried(&mut self) {
        self.window.carried += 1;
    }

    /// So many datagrams were sent on taking one with so many messages that want an answer. One more may be a claim
    /// (protocol 1.10); what goes beyond it is the node's own accord.
    pub(super) fn beyond_answers(&mut self, asks: u64, datagrams: u64) {
        self.window.beyond += datagrams.saturating_sub(asks + 1);
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
        self.window.names += 1;
    }

    /// A process was heard to ping of which the node holds nothing, or that it is dead.
    pub(super) fn stranger_pinged(&mut self) {
        self.window.strangers += 1;
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
        let due = Due {
            config,
            elapsed,
            suspicions: window.suspicions,
            exchanged: window.exchanged + self.before.exchanged,
            names: self.names_asked(clock, config, window.names),
            strangers: window.strangers + self.before.strangers,
            live: live_max,
        };
        let (most, sent) = (due.counts(window.leaving), window.initiated);
        self.before = window;
        self.window = Window { start: clock, suspicions: suspects, leaving, ..Window::default() };
        let spent = sent.all() + window.beyond;
        let is_carried = self.is_carried(clock, config, window.carried, most.all().saturating_sub(spent));
        if sent.is_within(most) && spent <= most.all() && is_carried {
            return Ok(());
        }
        let what = format!(
            "sent {sent}, {} datagrams beyond answers and {} packets by carrier of its own accord in {elapsed:?}; {most} \
             are explained ({} suspicions, {} members exchanged)",
            window.beyond, window.carried, window.suspicions, due.exchanged
        );
        fault(Rule::S9, what)
    }

    /// How many names' holders may be asked by now, of which so many are new. Three questions take three waits, each
    /// stretched by the health (protocol 7.5, 7.6).
    fn names_asked(&mut self, clock: Instant, config: &Config, new: u64) -> u64 {
        let waits = config.probe_timeout.mul_f64(1.5 * f64::from(config.health_max + 1));
        self.names.push_back((clock, new));
        self.names.retain(|&(at, _)| clock.saturating_since(at) <= waits + config.probe_interval * 2);
        self.names.iter().map(|&(_, names)| names).sum()
    }

    /// Whether so many packets that were written to carriers were left over in the periods in which they may have been
    /// decided upon: what waits for a carrier that does not open or does not take it is lost after `stream_timeout`
    /// (protocol 13.2), and once that of opening has passed there is that of writing.
    fn is_carried(&mut self, clock: Instant, config: &Config, mut carried: u64, left: u64) -> bool {
        let oldest = config.stream_timeout * 2 + config.probe_interval;
        self.unspent.retain(|&(at, _)| clock.saturating_since(at) <= oldest);
        self.unspent.push_back((clock, left));
        for (_, left) in &mut self.unspent {
            let from = carried.min(*left);
            (*left, carried) = (*left - from, carried - from);
        }
        carried == 0
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

/// What the rules have a node send of its own accord in so long a time.
#[derive(Clone, Copy, Debug)]
struct Due<'a> {
    config: &'a Config,
    elapsed: Duration,
    /// Suspicions that ran or began.
    suspicions: u64,
    /// Members that exchanges named.
    exchanged: u64,
    /// Names whose holders may be asked.
    names: u64,
    /// Strangers that pinged.
    strangers: u64,
    live: usize,
}

impl Due<'_> {
    /// How often something may happen that happens at most so often.
    fn times(&self, every: Duration) -> u64 {
        if every.is_zero() { 0 } else { (self.elapsed.as_nanos() / every.as_nanos()) as u64 + 1 }
    }

    /// Probes begun: one in each period, and one at once for whoever's suspicion was just heard of (protocol 3.1, 4.10).
    fn probes(&self) -> u64 {
        let solicited = if self.config.solicited_confirmations > 0 { self.suspicions } else { 0 };
        self.times(self.config.probe_interval) + solicited
    }

    /// Rounds of verification: two for each suspicion, and two more for each Min by which its end was put off (4.5).
    fn verifying(&self) -> u64 {
        let min = suspicion_min(self.config, self.live.min(10));
        if self.config.verify_burial { self.suspicions * 2 * self.times(min) } else { 0 }
    }

    fn counts(&self, leaving: bool) -> Counts {
        let config = self.config;
        let (probes, verifying, k) = (self.probes(), self.verifying(), u64::from(config.indirect_probes));
        // When others are asked the target may be pinged once more (3.5), for a probe that began before as well. One that
        // is reached by carrier is tried by datagram besides, and once more at the time-out (13.3).
        let tried = u64::from(config.transport == Transport::Hybrid);
        let again = u64::from(config.retry_probe) + tried;
        let probing = probes * (1 + tried) + (probes + 1) * again;
        // Echoes and pings that tell of an obituary, whatever for, are limited together (5.4).
        let limited = ECHOES * (self.times(config.probe_interval) + 1);
        let heal = self.times(config.heal_interval.mul_f64(0.875));
        // Whoever is asked whether it has a name is asked three times, by way of helpers too (7.5, 7.6).
        let names = self.names * 3;
        // Strangers whose pings came are asked, one each half interval (7.3).
        let strangers = self.strangers.min(self.times(config.probe_interval / 2));
        // To so many each interval, and to one of the dead (5.1, 5.3).
        let news = self.times(config.gossip_interval) * (u64::from(config.gossip_fanout) + 1);
        // A leaver's Left goes on its way at once, and with the end of it (9.1).
        let leave = if leaving { u64::from(rumor_limit(config, self.live)) } else { 0 };
        Counts {
            pings: probing + verifying * (1 + tried) + self.exchanged.min(limited) + heal + names + strangers,
            ping_reqs: (probes + 1 + names) * k,
            asks: verifying * k,
            news: news + leave,
        }
    }
}
