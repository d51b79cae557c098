//! What few scenarios have: settings that are seldom changed, and situations that are seldom met.
//!
//! Each is drawn from a stream of its own, so that one more of them, or other bounds, leaves the rest of every scenario
//! as it was.

use std::time::Duration;

use swim_proto::Versions;

use crate::faults::{Fault, Restart};
use crate::scenario::Scenario;
use crate::seeds::{Chance, Draw, Purpose, Seeds};

/// In how many scenarios of a hundred each is found.
const SHARE: f64 = 6.0;

/// The first stream of a scenario that is drawn from here.
const FIRST: u64 = 16;

/// What it makes of a scenario.
type Rarity = fn(&mut Scenario, &mut Draw);

const RARITIES: [Rarity; 19] = [
    |scenario, draw| {
        scenario.config.rate_in = draw.between(4_096, 65_536) as u32;
        scenario.config.rate_burst = burst(scenario, draw);
    },
    |scenario, draw| {
        scenario.config.rate_out = draw.between(4_096, 65_536) as u32;
        scenario.config.rate_burst = burst(scenario, draw);
    },
    |scenario, draw| scenario.config.newcomers_per_datagram = draw.between(1, 8) as u16,
    |scenario, _| scenario.config.adaptive_interval = true,
    |scenario, draw| scenario.config.versions = *draw.pick(&[Versions { min: 1, max: 1 }, Versions { min: 2, max: 2 }]),
    // Room for everyone, and hardly for more.
    |scenario, draw| scenario.config.members_max = scenario.nodes.max(2) + draw.below(4) as u32,
    // Not even that.
    |scenario, draw| {
        let nodes = scenario.nodes.max(4);
        scenario.config.members_max = draw.between(nodes.div_ceil(2).into(), u64::from(nodes) - 1) as u32;
    },
    |scenario, draw| scenario.config.tombstones_max = draw.between(1, 8) as u32,
    |scenario, draw| scenario.config.tombstone_retention = Duration::from_secs(draw.between(20, 90)),
    |scenario, _| scenario.config.reach_all = false,
    |scenario, _| scenario.config.echo = false,
    |scenario, _| scenario.config.sync_interval = Duration::ZERO,
    |scenario, draw| scenario.config.heal_interval = Duration::from_secs(*draw.pick(&[0, 0, 1, 2, 30])),
    |scenario, draw| scenario.config.gossip_to_dead = Duration::from_secs(*draw.pick(&[0, 1, 120])),
    |scenario, draw| {
        scenario.config.solicited_confirmations = draw.between(0, 8) as u8;
        scenario.config.retry_probe = draw.happens(Chance::percent(50.0));
    },
    |scenario, draw| {
        let config = &mut scenario.config;
        let (stall_min, stall_max) = *draw.pick(&[(false, true), (true, false), (false, false)]);
        config.stall_min = if stall_min { config.stall_min } else { Duration::ZERO };
        config.stall_max = if stall_max { config.stall_max } else { Duration::ZERO };
    },
    |scenario, draw| scenario.config.health_max = *draw.pick(&[0, 1, 3, 16]),
    storm,
    // The settings of those who follow are drawn last.
    upgrade,
];

/// Gives the scenario of a seed what is rare.
pub(super) fn rarities(scenario: &mut Scenario, seed: u64) {
    for (stream, rarity) in (FIRST..).zip(RARITIES) {
        let mut draw = Seeds::of(seed).draw(Purpose::Scenario, stream);
        if draw.happens(Chance::percent(SHARE)) {
            rarity(scenario, &mut draw);
        }
    }
}

/// What may come or go at once under a rate.
fn burst(scenario: &Scenario, draw: &mut Draw) -> u32 {
    draw.between(scenario.config.datagram_max.into(), 65_536) as u32
}

/// Every process that follows another speaks one version more, or one less; and in the middle of it all each is
/// restarted, one by one (protocol.md 15.4).
fn upgrade(scenario: &mut Scenario, draw: &mut Draw) {
    let (one, both, other) = (Versions { min: 1, max: 1 }, Versions { min: 1, max: 2 }, Versions { min: 2, max: 2 });
    let (before, after) = *draw.pick(&[(one, both), (both, other), (both, one), (other, both)]);
    scenario.config.versions = before;
    scenario.successor = Some(swim_proto::Config { versions: after, ..scenario.config.clone() });
    let mut slots: Vec<u32> = (0..scenario.nodes).collect();
    draw.shuffle(&mut slots);
    let mut at = scenario.duration.mul_f64(draw.between(10, 50) as f64 / 100.0);
    let gap = (scenario.duration - at).min(Duration::from_secs(draw.between(1, 60))) / (scenario.nodes + 1);
    let how = *draw.pick(&[Restart::WithState, Restart::WithoutState]);
    for slot in slots {
        scenario.schedule.push(crate::faults::Timed { at, fault: Fault::Restart { slot, how } });
        at += gap;
    }
}

/// Most start only after a while and all at once, while those who are to let them in are short of CPU, or all are.
fn storm(scenario: &mut Scenario, draw: &mut Draw) {
    let nodes = u64::from(scenario.nodes);
    if nodes < 8 {
        return;
    }
    scenario.late = draw.between(nodes / 4, nodes * 4 / 5) as u32;
    scenario.late_at = Duration::from_secs(draw.between(5, 30)).min(scenario.duration / 3);
    scenario.join_over = Duration::from_millis(draw.between(0, 2_000)).min(scenario.join_over);
    let slow = if draw.happens(Chance::percent(50.0)) { scenario.nodes } else { scenario.nodes - scenario.late };
    let each = Duration::from_micros(draw.between(1_000, 100_000));
    let lasting = Duration::from_secs(draw.between(5, 60)).min(scenario.duration - scenario.late_at);
    for slot in 0..slow {
        let fault = Fault::Slow { slot, lasting, each };
        scenario.schedule.push(crate::faults::Timed { at: scenario.late_at, fault });
    }
}
