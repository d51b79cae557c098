//! Random scenarios: each seed is a cluster, a network and a bad day of its own.
//!
//! A seed decides the scenario and the run. The mix is made to be worth its time: at least half of all scenarios have 16
//! or more nodes, 120 s or more and three or more kinds of faults, and some have 300 nodes or more ([swarm testing]:
//! each seed also leaves out most of what could happen, for faults together can hide each other).
//!
//! [swarm testing]: https://dl.acm.org/doi/10.1145/2338965.2336763

use std::time::Duration;

use swim_proto::Config;

use crate::faults::{Crash, Fault, Restart, Timed};
use crate::network::{Bursts, Latency, LinkFault, Network, Partition, Zones};
use crate::scenario::Scenario;
use crate::seeds::{Chance, Draw, Purpose, Seeds};

/// The scenario of a seed.
pub fn scenario(seed: u64) -> Scenario {
    let mut draw = Seeds::of(seed).draw(Purpose::Scenario, 0);
    let nodes = nodes(&mut draw);
    let duration = Duration::from_secs(if draw.happens(Chance::percent(80.0)) {
        draw.between(120, if nodes > 200 { 180 } else { 300 })
    } else {
        draw.between(30, 120)
    });
    let mut scenario = Scenario::new(nodes, duration);
    scenario.config = config(&mut draw);
    scenario.network = network(&mut draw);
    scenario.seeds = draw.between(1, 3).min(nodes.into()) as u32;
    scenario.join_over = Duration::from_millis(draw.between(0, 20_000));
    scenario.drift_ppm = *draw.pick(&[0, 0, 0, 50, 1_000, 20_000]);
    scenario.metadata_len = *draw.pick(&[0, 0, 0, 16, 200, 512]);
    if draw.happens(Chance::percent(10.0)) {
        scenario.streams.send_buffer = 4 * 1024;
        scenario.streams.receive_buffer = 4 * 1024;
    }
    scenario.schedule = schedule(&scenario, &mut draw);
    scenario
}

fn nodes(draw: &mut Draw) -> u32 {
    let size = draw.below(100);
    let (least, most) = match size {
        0..15 => (1, 7),
        15..25 => (8, 15),
        25..85 => (16, 64),
        85..96 => (65, 200),
        _ => (300, 400),
    };
    draw.between(least, most) as u32
}

fn config(draw: &mut Draw) -> Config {
    let mut config = match draw.below(10) {
        0 => Config::wan(),
        1..=2 => Config::local(),
        _ => Config::lan(),
    };
    let sometimes = |draw: &mut Draw| draw.happens(Chance::percent(8.0));
    if sometimes(draw) {
        config.count_heard = true;
    }
    if sometimes(draw) {
        config.adaptive_timeout = true;
    }
    if sometimes(draw) {
        config.stream_probe = false;
    }
    if sometimes(draw) {
        config.indirect_probes = draw.between(0, 5) as u8;
    }
    if sometimes(draw) {
        config.lha_probe = false;
        config.nack = draw.happens(Chance::percent(50.0));
    }
    if sometimes(draw) {
        config.lha_suspicion = false;
    }
    if sometimes(draw) {
        config.buddy = false;
    }
    if sometimes(draw) {
        config.verify_burial = false;
    }
    if sometimes(draw) {
        config.health_counts_nacked_failure = true;
    }
    if sometimes(draw) {
        config.suspicion_alpha = draw.between(2, 6) as f64;
        config.suspicion_beta = draw.between(1, 8) as f64;
        config.suspicion_confirmations = draw.between(0, 6) as u8;
    }
    if sometimes(draw) {
        config.gossip_fanout = draw.between(1, 6) as u8;
        config.retransmit_mult = draw.between(2, 6) as u8;
    }
    if sometimes(draw) {
        config.syncs_max = draw.between(1, 4) as u16;
        config.streams_max = draw.between(8, 32) as u16;
    }
    if sometimes(draw) {
        config.datagram_max = draw.between(900, 1400) as u16;
    }
    if sometimes(draw) {
        config.tombstone_retention = Duration::from_secs(draw.between(300, 900));
    }
    config
}

fn network(draw: &mut Draw) -> Network {
    let ms = Duration::from_millis;
    let latency = match draw.below(5) {
        0 => Latency::Constant(ms(draw.between(1, 20))),
        1 | 2 => {
            let least = draw.between(100, 2_000);
            Latency::Uniform {
                least: Duration::from_micros(least),
                most: Duration::from_micros(least * draw.between(1, 20)),
            }
        }
        3 => Latency::Normal { mean: ms(draw.between(5, 60)), deviation: ms(draw.between(1, 20)) },
        _ => Latency::Tailed { least: ms(1), tail: ms(draw.between(1, 30)) },
    };
    let mut network = Network::new(latency);
    if draw.happens(Chance::percent(15.0)) {
        let between = Latency::Normal { mean: ms(draw.between(10, 80)), deviation: ms(3) };
        network = network.with_zones(Zones::alike(draw.between(2, 4) as usize, latency, between));
    }
    if draw.happens(Chance::percent(50.0)) {
        network.loss = Chance::percent(draw.between(1, 20) as f64);
    }
    if draw.happens(Chance::percent(20.0)) {
        network.bursts = Some(Bursts {
            every: Duration::from_secs(draw.between(5, 60)),
            lasting: ms(draw.between(50, 2_000)),
            loss: Chance::percent(draw.between(30, 100) as f64),
        });
    }
    if draw.happens(Chance::percent(25.0)) {
        network.duplicate = Chance::percent(draw.between(1, 30) as f64);
    }
    if draw.happens(Chance::percent(25.0)) {
        network.reorder = Chance::percent(draw.between(1, 30) as f64);
        network.reorder_by = ms(draw.between(5, 2_000));
    }
    if draw.happens(Chance::percent(10.0)) {
        // Rarely, and very late: what arrives was overtaken by whole protocol periods.
        network.reorder = Chance::percent(1.0);
        network.reorder_by = Duration::from_secs(draw.between(5, 120));
    }
    if draw.happens(Chance::percent(20.0)) {
        network.corrupt = Chance::percent(draw.between(1, 10) as f64);
    }
    if draw.happens(Chance::percent(5.0)) {
        network.mtu = draw.between(700, 1_400) as usize;
    }
    if draw.happens(Chance::percent(5.0)) {
        network.bandwidth = Some(draw.between(50_000, 1_000_000));
    }
    network
}

/// What a schedule is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Crash,
    CrashAndRestart,
    RollingRestart,
    Move,
    Pause,
    Block,
    Slow,
    TakeAddress,
    Partition,
    FlipFlop,
    OneWay,
    Link,
    OnlyStreams,
    OnlyDatagrams,
    BreakStreams,
    LeaveAndJoin,
    Metadata,
    ForceLeave,
}

const KINDS: [Kind; 18] = [
    Kind::Crash,
    Kind::CrashAndRestart,
    Kind::RollingRestart,
    Kind::Move,
    Kind::Pause,
    Kind::Block,
    Kind::Slow,
    Kind::TakeAddress,
    Kind::Partition,
    Kind::FlipFlop,
    Kind::OneWay,
    Kind::Link,
    Kind::OnlyStreams,
    Kind::OnlyDatagrams,
    Kind::BreakStreams,
    Kind::LeaveAndJoin,
    Kind::Metadata,
    Kind::ForceLeave,
];

fn schedule(scenario: &Scenario, draw: &mut Draw) -> Vec<Timed> {
    let mut kinds = KINDS;
    draw.shuffle(&mut kinds);
    let count = if draw.happens(Chance::percent(85.0)) { draw.between(3, 7) } else { draw.between(0, 2) };
    let mut maker = Maker { scenario, draw, made: Vec::new() };
    for &kind in &kinds[..count as usize] {
        for _ in 0..maker.draw.between(1, 3) {
            maker.make(kind);
        }
    }
    maker.made
}

struct Maker<'a> {
    scenario: &'a Scenario,
    draw: &'a mut Draw,
    made: Vec<Timed>,
}

impl Maker<'_> {
    fn add(&mut self, at: Duration, fault: Fault) {
        self.made.push(Timed { at, fault });
    }

    /// A time at which something may begin.
    fn time(&mut self) -> Duration {
        Duration::from_nanos(self.draw.between(0, self.scenario.duration.as_nanos() as u64))
    }

    /// A time at which something lasting may begin, and for how long.
    fn spell(&mut self, most: u64) -> (Duration, Duration) {
        let at = self.time();
        let left = (self.scenario.duration - at).max(Duration::from_millis(1));
        // Short ones are as interesting as long ones: uniform in the logarithm, roughly.
        let most = most << 10 >> self.draw.below(10) >> 10;
        let lasting = Duration::from_millis(self.draw.between(1, 1_000 * most.max(1)));
        (at, lasting.min(left))
    }

    fn slot(&mut self) -> u32 {
        self.draw.below(self.scenario.nodes.into()) as u32
    }

    /// A few slots: often one, sometimes many.
    fn slots(&mut self) -> Vec<u32> {
        let nodes = self.scenario.nodes as usize;
        let count =
            if self.draw.happens(Chance::percent(60.0)) { 1 } else { self.draw.between(1, nodes.div_ceil(4) as u64) };
        self.draw.sample(count as usize, nodes).into_iter().map(|slot| slot as u32).collect()
    }

    fn how_to_restart(&mut self) -> Restart {
        *self.draw.pick(&[Restart::WithState, Restart::WithoutState, Restart::WithoutState, Restart::ClockBack])
    }

    fn make(&mut self, kind: Kind) {
        match kind {
            Kind::Crash => {
                // One seed always comes back: those who join after all seeds are gone never find each other.
                let (at, how) = (self.time(), *self.draw.pick(&[Crash::Process, Crash::Host]));
                let slots = self.slots().into_iter().filter(|&slot| slot > 0);
                slots.for_each(|slot| self.add(at, Fault::Crash { slot, how }));
            }
            Kind::CrashAndRestart => {
                let how = *self.draw.pick(&[Crash::Process, Crash::Host]);
                for slot in self.slots() {
                    let (at, lasting) = self.spell(60);
                    let restart = self.how_to_restart();
                    self.add(at, Fault::Crash { slot, how });
                    self.add(at + lasting, Fault::Restart { slot, how: restart });
                }
            }
            Kind::RollingRestart => {
                let (mut at, how) = (self.time(), self.how_to_restart());
                let gap = Duration::from_millis(self.draw.between(10, 5_000));
                for slot in self.slots() {
                    if at > self.scenario.duration {
                        break;
                    }
                    self.add(at, Fault::Restart { slot, how });
                    at += gap;
                }
            }
            Kind::Move => {
                let at = self.time();
                self.slots()
                    .into_iter()
                    .for_each(|slot| self.add(at, Fault::Restart { slot, how: Restart::NewAddress }));
            }
            Kind::Pause => {
                let (at, lasting) = self.spell(60);
                self.slots().into_iter().for_each(|slot| self.add(at, Fault::Pause { slot, lasting }));
            }
            Kind::Block => {
                let (at, lasting) = self.spell(60);
                self.slots().into_iter().for_each(|slot| self.add(at, Fault::Block { slot, lasting }));
            }
            Kind::Slow => {
                let (at, lasting) = self.spell(60);
                let each = Duration::from_micros(self.draw.between(100, 300_000));
                self.slots().into_iter().for_each(|slot| self.add(at, Fault::Slow { slot, lasting, each }));
            }
            Kind::TakeAddress => {
                let (at, slot, of) = (self.time(), self.slot(), self.slot());
                let left = self.scenario.duration - at;
                let later = at + left.mul_f64(self.draw.below(100) as f64 / 100.0);
                if slot != of {
                    self.add(at, Fault::Crash { slot: of, how: Crash::Host });
                    self.add(later, Fault::TakeAddress { slot, of });
                    if of == 0 || self.draw.happens(Chance::percent(50.0)) {
                        self.add(later, Fault::Restart { slot: of, how: Restart::WithoutState });
                    }
                }
            }
            Kind::Partition | Kind::FlipFlop | Kind::OneWay => self.part(kind),
            Kind::Link => {
                let fault = LinkFault {
                    outbound: Chance::percent(self.draw.below(101) as f64),
                    inbound: Chance::percent(self.draw.below(101) as f64),
                    ..LinkFault::default()
                };
                self.link(fault);
            }
            Kind::OnlyStreams => self.link(LinkFault { no_datagrams: true, ..LinkFault::default() }),
            Kind::OnlyDatagrams => self.link(LinkFault { no_streams: true, ..LinkFault::default() }),
            Kind::BreakStreams => {
                let at = self.time();
                self.slots().into_iter().for_each(|slot| self.add(at, Fault::BreakStreams { slot }));
            }
            Kind::LeaveAndJoin => {
                for slot in self.slots() {
                    let (at, lasting) = self.spell(60);
                    self.add(at, Fault::Leave { slot });
                    if self.draw.happens(Chance::percent(60.0)) {
                        self.add(at + lasting, Fault::Join { slot });
                    }
                }
            }
            Kind::Metadata => {
                for slot in self.slots() {
                    let (at, len) = (self.time(), self.draw.between(0, 512) as u16);
                    self.add(at, Fault::Metadata { slot, len });
                }
            }
            Kind::ForceLeave => {
                let (at, slot, member) = (self.time(), self.slot(), self.slot());
                if slot != member {
                    self.add(at, Fault::ForceLeave { slot, member });
                }
            }
        }
    }

    fn link(&mut self, fault: LinkFault) {
        let (at, lasting) = self.spell(60);
        self.slots().into_iter().for_each(|slot| self.add(at, Fault::Link { slot, fault, lasting }));
    }

    fn part(&mut self, kind: Kind) {
        let nodes = self.scenario.nodes;
        let (at, lasting) = self.spell(120);
        let partition = match (kind, self.draw.below(4)) {
            (Kind::OneWay, 0) => Partition::OneWay { from: self.slots(), to: Vec::new() },
            (Kind::OneWay, 1) => Partition::OneWay { from: Vec::new(), to: self.slots() },
            (Kind::OneWay, _) => Partition::one_way(nodes, self.draw),
            (_, 0) => Partition::Isolate(self.slots()),
            (_, 1) => Partition::bridge(nodes, self.draw),
            (Kind::Partition, 2) => Partition::Ring { reach: self.draw.between(1, 4) as u32 },
            (_, _) => Partition::halves(nodes, self.draw),
        };
        let flips = (kind == Kind::FlipFlop).then(|| Duration::from_millis(self.draw.between(200, 20_000)));
        self.add(at, Fault::Partition { partition, lasting, flips });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn at_least_half_of_all_scenarios_are_worth_running_and_some_are_large() {
        let mut worth = 0;
        let mut large = 0;
        for seed in 0..1_000 {
            let scenario = scenario(seed);
            assert!(scenario.config.validate().is_ok(), "{seed}");
            assert!(scenario.schedule.iter().all(|timed| timed.at <= scenario.duration), "{seed}");
            let kinds: BTreeSet<_> = scenario.schedule.iter().map(|timed| timed.fault.kind()).collect();
            worth += u32::from(scenario.nodes >= 16 && scenario.duration.as_secs() >= 120 && kinds.len() >= 3);
            large += u32::from(scenario.nodes >= 300);
        }
        assert!(worth >= 500, "{worth}");
        assert!(large >= 20, "{large}");
    }

    #[test]
    fn a_seed_is_always_the_same_scenario() {
        assert_eq!(scenario(77), scenario(77));
        assert_ne!(scenario(77), scenario(78));
    }
}
