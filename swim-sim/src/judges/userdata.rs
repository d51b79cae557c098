//! U1 to U6: what applications say to all and to one (protocol.md 12).
//!
//! Written from the rules and from what applications said ([`Said`]), which the core does not see. Not seen: that a
//! message arrived at all (it is best effort), or twice (it is not deduplicated).
//!
//! **U5, reach.** Where nothing is lost, every view is full and stays so, and, without datagrams, all know it, a broadcast misses a member only if none of
//! its copies happens to go there. Each of `n` members tells it `L` times to members that are as good as random, so that
//! of each member `e^(−L)` is the likelihood to be missed, as for any epidemic of `L·n` contacts; nothing repairs it.
//! Misses are counted, among all pairs of a broadcast and a member that was to hear it, and are too many when a sound
//! cluster would have so many once in a thousand million runs (Poisson, of twice that mean: a copy may go back to where
//! the news is from). *By when:* the news doubles at least each gossip interval until all know, and each member tells it
//! `L` times in `L` intervals at most, since it may tell one member at a time: `log2 n + L` intervals, each longer by
//! two times on the way, or, if it is announced, by twenty (a handshake, a request, and the payload in a few flights
//! of segments); that, doubled. Only where what is said is less than an eighth of what gossip can carry, since
//! otherwise it waits.
//!
//! **U6, starvation.** Claims and broadcasts share what a datagram has left (12.5). One side starves if so many
//! datagrams in a row ([`STARVED`]) carry news of the other side alone, while it has some of its own: claims, as long as
//! [`Stats::rumors`](swim_proto::Stats) says so after each input; broadcasts, as long as there is one that this process was told and never
//! told on (with `count_heard` that is no sign: others may have told it often enough; and of what the only other member
//! said there is nobody to tell).

mod carried;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use swim_proto::wire::{Message, decode};
use swim_proto::{ClusterHash, Event, Instant, NodeId, Path, Status};

use super::load::rumor_limit;
use super::{Rule, Violation};
use crate::observe::{Command, Condition, Input, Observation, Said, Slot, Truth, View};
use carried::Carried;

/// Clusters of at most so many slots are asked whether broadcasts reach all.
const REACHED_SLOTS_MAX: usize = 64;

/// So many datagrams with news of one side alone are too many.
const STARVED: u32 = 64;

/// Fewer live members than this, and there may be nobody whom a claim could be told to.
const STARVED_LIVE_MIN: usize = 8;

/// Most pulls that run or wait (protocol.md 12.4).
const PULLS_MAX: u32 = 8 + 256;

/// A broadcast: origin, life, sequence.
type BroadcastId = (NodeId, u64, u64);

/// What is known of what applications said, and of what each process did with it.
#[derive(Debug, Default)]
pub(super) struct UserData {
    /// What was said under each number: by several processes, where a clock went back and a life was lived twice.
    broadcasts: BTreeMap<BroadcastId, Vec<Bytes>>,
    /// What was said to one: sender, target, payload; how often, and how often put into a datagram.
    messages: BTreeMap<(NodeId, NodeId, Bytes), (u64, u64)>,
    /// By slot.
    processes: Vec<Process>,
    reach: Reach,
}

#[derive(Debug, Default)]
struct Process {
    carried: Carried,
    /// Its own.
    said: BTreeSet<BroadcastId>,
    told: BTreeSet<BroadcastId>,
    /// How often it put a broadcast into a datagram; 0: it knows it and has not told it yet.
    sends: BTreeMap<BroadcastId, u32>,
    untold: BTreeSet<BroadcastId>,
    live_max: usize,
    given_up: u64,
    /// Whether it had rumors after its last input.
    rumors: bool,
    /// Datagrams in a row with broadcasts and no claims while there were rumors, and the other way round.
    without_claims: u32,
    without_broadcasts: u32,
}

/// Who is still to hear what, and who did not.
#[derive(Debug, Default)]
struct Reach {
    waiting: Vec<Waiting>,
    /// Bytes to be sent for what waits.
    offered: f64,
    pairs: u64,
    misses: u64,
    likely: f64,
}

#[derive(Debug)]
struct Waiting {
    id: BroadcastId,
    due: Instant,
    offered: f64,
    missing: BTreeSet<Slot>,
    pairs: u64,
    likely: f64,
}

type Verdict = Result<(), Violation>;

impl UserData {
    pub(super) fn observe(&mut self, now: Instant, observation: &Observation<'_>, truth: &dyn Truth) -> Verdict {
        match *observation {
            Observation::Started { slot } => {
                self.reach.disturbed();
                let slots = self.processes.len().max(slot.index() + 1);
                self.processes.resize_with(slots, Process::default);
                self.processes[slot.index()] = Process::default();
                Ok(())
            }
            Observation::Input { input: Input::Command(command), .. } => {
                if !matches!(command, Command::Broadcast | Command::Message(_) | Command::SetMetadata) {
                    self.reach.disturbed();
                }
                Ok(())
            }
            Observation::Said { slot, said } => self.said(now, slot, said, truth),
            Observation::Event { slot, event } => self.told(now, slot, &event, truth),
            Observation::Transmit { slot, bytes, .. } => self.told_on(now, slot, bytes, truth),
            Observation::StreamWrite { slot, stream, bytes } => {
                let Some(view) = truth.view(slot) else { return Ok(()) };
                let cluster = ClusterHash::of(&view.config().cluster);
                let packets = self.process(slot).carried.written(stream, bytes, cluster);
                packets.iter().try_for_each(|packet| self.told_on(now, slot, packet, truth))
            }
            Observation::Input { slot, input: Input::StreamData { stream, bytes } } => {
                if let Some(view) = truth.view(slot) {
                    let cluster = ClusterHash::of(&view.config().cluster);
                    self.process(slot).carried.read(stream, bytes, cluster);
                }
                Ok(())
            }
            Observation::StreamClosed { slot, stream } => {
                self.process(slot).carried.closed(stream);
                Ok(())
            }
            Observation::Settled { slot } => self.settled(now, slot, truth),
            Observation::Stopped { .. }
            | Observation::ConditionChanged { .. }
            | Observation::LinksChanged
            | Observation::Injected { .. }
            | Observation::FaultsStopped { .. } => {
                self.reach.disturbed();
                Ok(())
            }
            Observation::Input { .. } | Observation::Post { .. } | Observation::StreamConnect { .. } => Ok(()),
        }
    }

    fn said(&mut self, now: Instant, slot: Slot, said: Said<'_>, truth: &dyn Truth) -> Verdict {
        let Some(view) = truth.view(slot) else { return Ok(()) };
        let own = view.local().id;
        match said {
            Said::Broadcast { life, sequence, payload } => {
                let id = (own, life, sequence);
                let said = self.broadcasts.entry(id).or_default();
                said.push(Bytes::copy_from_slice(payload));
                let is_first = said.len() == 1;
                let process = self.process(slot);
                if !process.said.insert(id) {
                    return violated(Rule::U2, now, slot, format!("gave number {sequence} of life {life} twice"));
                }
                process.knows(id, view.config().count_heard);
                // Of another process's number others believe that they were told it.
                if is_first {
                    self.reach.said(now, slot, id, payload.len(), truth);
                }
            }
            Said::Message { to, payload } => {
                self.messages.entry((own, to, Bytes::copy_from_slice(payload))).or_default().0 += 1;
            }
        }
        Ok(())
    }

    fn told(&mut self, now: Instant, slot: Slot, event: &Event<'_>, truth: &dyn Truth) -> Verdict {
        let Some(view) = truth.view(slot) else { return Ok(()) };
        let own = view.local().id;
        match *event {
            Event::Broadcast { origin, life, sequence, payload } => {
                let id = (origin, life, sequence);
                let named = format!("broadcast {sequence} of life {life} of member {origin}");
                match self.broadcasts.get(&id) {
                    None => return violated(Rule::U2, now, slot, format!("told {named}, which nobody said")),
                    Some(said) if !said.iter().any(|said| said == payload) => {
                        return violated(Rule::U2, now, slot, format!("told {named} in other words"));
                    }
                    Some(_) if origin == own => return violated(Rule::U2, now, slot, format!("told itself {named}")),
                    Some(_) => {}
                }
                self.reach.heard(slot, id);
                let process = self.process(slot);
                if !process.told.insert(id) {
                    return violated(Rule::U1, now, slot, format!("told {named} twice"));
                }
                process.knows(id, view.config().count_heard);
                Ok(())
            }
            Event::Message { from, payload } => {
                if self.messages.contains_key(&(from, own, Bytes::copy_from_slice(payload))) {
                    return Ok(());
                }
                let what = format!("told a message of {} bytes that member {from} did not say to it", payload.len());
                violated(Rule::U3, now, slot, what)
            }
            _ => Ok(()),
        }
    }

    /// A process sends a datagram, or a packet by carrier.
    fn told_on(&mut self, now: Instant, slot: Slot, bytes: &[u8], truth: &dyn Truth) -> Verdict {
        let Some(view) = truth.view(slot) else { return Ok(()) };
        let (config, live) = (view.config(), view.live());
        let own = || view.local().id;
        if live == 2 {
            self.process(slot).owes_nothing_to_origin(view);
        }
        // What cannot be taken apart is another judge's.
        let Ok(messages) = decode(bytes, ClusterHash::of(&config.cluster), config.datagram_max.into()) else {
            return Ok(());
        };
        let (mut claims, mut broadcasts) = (false, false);
        for message in messages {
            let id = match message {
                Message::Broadcast(m) => (m.origin, m.life, m.sequence),
                // That it is at an earlier one is an answer to its origin (protocol 12.8), and no news of a broadcast.
                Message::Announce(m) if m.len == 0 => continue,
                Message::Announce(m) => (m.origin, m.life, m.sequence),
                // Above the rate, what one says of oneself goes alone (14.8).
                Message::Alive(alive) if config.rate_out > 0 && alive.id == own() => continue,
                Message::Alive(_) | Message::Suspect(_) | Message::Dead(_) | Message::Left(_) => {
                    claims = true;
                    continue;
                }
                Message::UserMessage(m) => {
                    let key = (own(), m.target, Bytes::copy_from_slice(m.payload));
                    match self.messages.get_mut(&key) {
                        Some((said, sent)) if *sent < *said => *sent += 1,
                        _ => {
                            let what = format!("sent a message to member {} more often than it was said", m.target);
                            return violated(Rule::U3, now, slot, what);
                        }
                    }
                    continue;
                }
                _ => continue,
            };
            broadcasts = true;
            let process = self.process(slot);
            process.live_max = process.live_max.max(live);
            process.untold.remove(&id);
            let limit = rumor_limit(config, process.live_max);
            let sends = process.sends.entry(id).or_insert(0);
            *sends += 1;
            if *sends > limit {
                let (origin, _, sequence) = id;
                let what = format!("told broadcast {sequence} of member {origin} {sends} times; {limit} are allowed");
                return violated(Rule::U4, now, slot, what);
            }
        }
        self.process(slot).shared(claims, broadcasts, live).map_or(Ok(()), |what| violated(Rule::U6, now, slot, what))
    }

    fn settled(&mut self, now: Instant, slot: Slot, truth: &dyn Truth) -> Verdict {
        let Some(view) = truth.view(slot) else { return Ok(()) };
        let (stats, config) = (view.stats(), view.config());
        let process = self.process(slot);
        process.live_max = process.live_max.max(view.live());
        process.rumors = stats.rumors > 0;
        // Who may say nothing more, or gave something up, owes nobody a word.
        if stats.broadcasts_given_up != process.given_up || stats.broadcasts_waiting == 0 {
            process.given_up = stats.broadcasts_given_up;
            process.untold.clear();
        }
        for (what, held, max) in [
            ("broadcasts", stats.broadcasts_waiting, config.broadcasts_max),
            ("bytes of broadcasts", stats.broadcast_bytes, config.broadcast_bytes_max),
            ("pulls", stats.pulls, PULLS_MAX),
        ] {
            if held > max {
                return violated(Rule::U4, now, slot, format!("keeps {held} {what}; {max} are allowed"));
            }
        }
        self.reach.review(now, truth).map_or(Ok(()), |(slot, what)| violated(Rule::U5, now, slot, what))
    }

    fn process(&mut self, slot: Slot) -> &mut Process {
        if self.processes.len() <= slot.index() {
            self.processes.resize_with(slot.index() + 1, Process::default);
        }
        &mut self.processes[slot.index()]
    }
}

fn violated(rule: Rule, at: Instant, slot: Slot, what: String) -> Verdict {
    Err(Violation { rule, at, slots: vec![slot], what })
}

impl Process {
    /// It has this to tell; unless others can tell it often enough before it does.
    fn knows(&mut self, id: BroadcastId, others_count: bool) {
        if !others_count && !self.sends.contains_key(&id) {
            self.untold.insert(id);
        }
    }

    /// It knows one other member, and speaks: a broadcast of that one's own, of which nobody is left to be told, it drops
    /// (protocol 12.3), whoever comes to be known later. Who is the origin goes by addresses, as it does there.
    fn owes_nothing_to_origin(&mut self, view: &dyn View) {
        if self.untold.is_empty() {
            return;
        }
        let (own, mut other) = (view.local().id, None);
        view.members(&mut |member| {
            if member.id != own && member.state.is_live() {
                other = Some(member.address);
            }
        });
        let is_there = |origin| view.member(origin).is_some_and(|member| Some(member.address) == other);
        self.untold.retain(|&(origin, _, _)| origin == own || !is_there(origin));
    }

    /// A datagram carried news of these sides.
    fn shared(&mut self, claims: bool, broadcasts: bool, live: usize) -> Option<String> {
        match (claims, broadcasts) {
            (false, false) => return None,
            (true, true) => (self.without_claims, self.without_broadcasts) = (0, 0),
            (true, false) => {
                self.without_claims = 0;
                self.without_broadcasts = if self.untold.is_empty() { 0 } else { self.without_broadcasts + 1 };
            }
            (false, true) => {
                self.without_broadcasts = 0;
                self.without_claims = if self.rumors { self.without_claims + 1 } else { 0 };
            }
        }
        let starved = self.without_claims.max(self.without_broadcasts) >= STARVED && live >= STARVED_LIVE_MIN;
        let side = match self.untold.first().filter(|_| self.without_broadcasts > 0) {
            Some((origin, _, sequence)) => format!("broadcasts, such as the {sequence}. of member {origin}"),
            None => "claims, of which it has some".to_owned(),
        };
        starved.then(|| format!("sent {STARVED} datagrams with news and none of its {side}"))
    }
}

impl Reach {
    /// Something befell the cluster: who should have heard what is said no more.
    fn disturbed(&mut self) {
        self.waiting.clear();
        self.offered = 0.0;
    }

    fn said(&mut self, now: Instant, slot: Slot, id: BroadcastId, len: usize, truth: &dyn Truth) {
        let (Some(view), Some(way)) = (truth.view(slot), truth.carries_within()) else { return };
        let slots = truth.slots();
        let (Some(audience), true) = (audience(slot, truth), slots <= REACHED_SLOTS_MAX) else { return };
        let (config, members) = (view.config(), audience.len() + 1);
        let limit = rumor_limit(config, members);
        let announced = len > usize::from(config.broadcast_inline_max);
        // Who counts what it hears tells it less often, by how much cannot be said.
        // Nor whoever is held back by a rate, or passes over what it hears.
        let limited = config.rate_in > 0 || config.rate_out > 0;
        if audience.is_empty()
            || config.count_heard
            || limited
            || announced && usize::from(config.streams_max) < 4 * members
        {
            return;
        }
        // What each member sends for it, and what its gossip can carry of such in all.
        let offered = f64::from(limit) * (40 + if announced { 0 } else { len }) as f64;
        let a_second = f64::from(config.gossip_fanout) * f64::from(config.datagram_max)
            / 2.0
            / config.gossip_interval.as_secs_f64();
        let slowest = (0..slots as u32).map(|slot| truth.clock_rate(Slot(slot))).fold(1.0, f64::min);
        let intervals = members.ilog2() + 1 + limit;
        let trips = if announced { 20 } else { 2 };
        let within = ((config.gossip_interval + way * trips) * intervals).mul_f64(2.0 / slowest);
        if self.offered + offered > a_second * within.as_secs_f64() / 8.0 {
            return self.disturbed();
        }
        self.offered += offered;
        let missed = (-f64::from(limit)).exp();
        let (pairs, due) = (audience.len() as u64, now + within);
        let likely = 2.0 * missed * audience.len() as f64;
        self.waiting.push(Waiting { id, due, offered, missing: audience, pairs, likely });
    }

    fn heard(&mut self, slot: Slot, id: BroadcastId) {
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.id == id) {
            waiting.missing.remove(&slot);
        }
    }

    /// What is due is counted. Who missed too much.
    fn review(&mut self, now: Instant, truth: &dyn Truth) -> Option<(Slot, String)> {
        if self.waiting.is_empty() || !self.waiting.iter().any(|waiting| waiting.due <= now) {
            return None;
        }
        if truth.carries_within().is_none() {
            self.disturbed();
            return None;
        }
        let mut missed = None;
        for waiting in self.waiting.extract_if(.., |waiting| waiting.due <= now) {
            self.offered -= waiting.offered;
            self.pairs += waiting.pairs;
            self.misses += waiting.missing.len() as u64;
            self.likely += waiting.likely;
            missed = missed.or(waiting.missing.first().map(|&slot| (slot, waiting.id)));
        }
        let (slot, (origin, _, sequence)) = missed?;
        if !is_too_many(self.misses, self.likely) {
            return None;
        }
        let (misses, pairs) = (self.misses, self.pairs);
        let what = format!(
            "never heard broadcast {sequence} of member {origin}, one of {misses} of {pairs} times that a member missed one"
        );
        Some((slot, what))
    }
}

/// Who is to hear what this slot says, if every view is full, nobody is held up, and all send by a way that leads there.
fn audience(speaker: Slot, truth: &dyn Truth) -> Option<BTreeSet<Slot>> {
    let mut up = BTreeSet::new();
    for slot in (0..truth.slots() as u32).map(Slot) {
        match truth.condition(slot).0 {
            Condition::Down => continue,
            Condition::Running => up.insert(slot),
            Condition::Paused | Condition::Blocked => return None,
        };
    }
    let all_know = up.iter().all(|&slot| {
        let joined = |view: &dyn View| view.status() == Status::Joined || truth.is_seed(slot);
        truth.view(slot).is_some_and(|view| view.live() == up.len() && joined(view))
    });
    // Who does not know yet that a datagram does not arrive still sends one.
    let by_path = |view: &dyn View| {
        let (own, mut all) = (view.local().id, true);
        view.members(&mut |member| all &= member.id == own || member.path == Path::Stream);
        all
    };
    let carried = truth.carries_datagrams() || up.iter().all(|&slot| truth.view(slot).is_some_and(by_path));
    let linked = up.iter().all(|&slot| slot == speaker || truth.linked_since(slot, speaker).is_some());
    up.remove(&speaker);
    (all_know && carried && linked).then_some(up)
}

/// Whether a Poisson distribution of this mean gives so many, or more, once in 10^9 times at most.
fn is_too_many(count: u64, mean: f64) -> bool {
    // 1 − Σ_{i<count} e^(−mean)·mean^i/i!, summed from the other end, where nothing cancels.
    let first = -mean + count as f64 * mean.max(f64::MIN_POSITIVE).ln() - libm::lgamma(count as f64 + 1.0);
    let (mut term, mut tail) = (first.exp(), 0.0);
    for at in count..count + 1_000 {
        tail += term;
        term *= mean / (at + 1) as f64;
    }
    count > 0 && tail < 1e-9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_misses_are_chance_and_many_are_not() {
        assert!(!is_too_many(0, 0.0) && is_too_many(1, 0.0));
        assert!(!is_too_many(1, 0.01) && !is_too_many(3, 0.01) && is_too_many(5, 0.01));
        assert!(!is_too_many(10, 2.0) && is_too_many(20, 2.0));
        assert!(!is_too_many(130, 100.0) && is_too_many(170, 100.0));
    }

    #[test]
    fn a_side_starves_that_has_news_and_is_never_told() {
        let mut process = Process { rumors: true, ..Process::default() };
        for _ in 1..STARVED {
            assert_eq!(process.shared(false, true, 20), None);
        }
        assert!(process.shared(false, true, 20).is_some_and(|what| what.contains("claims")));
        let mut quiet = Process::default();
        assert!((0..2 * STARVED).all(|_| quiet.shared(true, false, 20).is_none()));
        quiet.knows((NodeId::from_u64(1), 1, 1), false);
        assert!((0..STARVED).any(|_| quiet.shared(true, false, 20).is_some()));
    }
}
