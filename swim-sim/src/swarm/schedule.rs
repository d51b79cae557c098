//! What befalls a random scenario, and when.

use std::time::Duration;

use crate::faults::{Crash, Fault, Restart, Timed};
use crate::network::{LinkFault, Partition};
use crate::scenario::Scenario;
use crate::seeds::{Chance, Draw};

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

/// A few kinds of faults, each a few times.
pub(super) fn schedule(scenario: &Scenario, draw: &mut Draw) -> Vec<Timed> {
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
