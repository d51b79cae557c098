//! Random scenarios: each seed is a cluster, a network and a bad day of its own.
//!
//! A seed decides the scenario and the run. The mix is made to be worth its time: at least half of all scenarios have 16
//! or more nodes, 120 s or more and three or more kinds of faults, and some have 300 nodes or more ([swarm testing]:
//! each seed also leaves out most of what could happen, for faults together can hide each other). Large and long ones are
//! few, since a hundred small ones can be run in the time of one, and find more.
//!
//! [swarm testing]: https://dl.acm.org/doi/10.1145/2338965.2336763

mod messaging;
mod rare;
mod schedule;

use std::time::Duration;

use swim_proto::{Config, Transport};

use crate::network::{Bursts, Latency, Network, Zones};
use crate::scenario::Scenario;
use crate::seeds::{Chance, Draw, Purpose, Seeds};
use crate::workload::{Talk, Workload};
use messaging::Messengers;

/// The scenario of a seed.
pub fn scenario(seed: u64) -> Scenario {
    with(seed, Messengers::InSome)
}

/// The same with messengers, unless it is too large for them: to look for faults of messaging alone.
pub fn scenario_with_messengers(seed: u64) -> Scenario {
    with(seed, Messengers::WhereverTheyMay)
}

fn with(seed: u64, messengers: Messengers) -> Scenario {
    let mut draw = Seeds::of(seed).draw(Purpose::Scenario, 0);
    let nodes = nodes(&mut draw);
    let duration = Duration::from_secs(if draw.happens(Chance::percent(85.0)) {
        draw.between(120, if nodes > 200 { 150 } else { 200 })
    } else {
        draw.between(30, 120)
    });
    let mut scenario = Scenario::new(nodes, duration);
    scenario.config = config(&mut draw);
    scenario.network = network(&mut draw);
    paths(&mut scenario, &mut draw);
    scenario.seeds = draw.between(1, 3).min(nodes.into()) as u32;
    scenario.join_over = Duration::from_millis(draw.between(0, 20_000));
    scenario.drift_ppm = *draw.pick(&[0, 0, 0, 50, 1_000, 20_000]);
    scenario.metadata_len = *draw.pick(&[0, 0, 0, 16, 200, 512]);
    if draw.happens(Chance::percent(10.0)) {
        scenario.streams.send_buffer = 4 * 1024;
        scenario.streams.receive_buffer = 4 * 1024;
    }
    scenario.schedule = schedule::schedule(&scenario, &mut draw);
    scenario.workload = workload(&mut Seeds::of(seed).draw(Purpose::Scenario, 1));
    rare::rarities(&mut scenario, seed);
    // Draws of its own: what befalls the membership is the same without messengers.
    messaging::add(&mut scenario, messengers, &mut Seeds::of(seed).draw(Purpose::Scenario, 2));
    messaging::vary(&mut scenario, &mut Seeds::of(seed).draw(Purpose::Scenario, 3));
    scenario
}

/// Half of all clusters talk, to all or to one or both; mostly what fits into a datagram.
fn workload(draw: &mut Draw) -> Workload {
    let talk = |draw: &mut Draw| {
        let talks = draw.happens(Chance::percent(35.0));
        let every = Duration::from_millis(*draw.pick(&[50, 200, 1_000, 5_000]));
        let (len_min, len_max) = *draw.pick(&[(0, 64), (0, 64), (64, 512), (0, 2_000), (1_000, 61_440)]);
        // Long ones are seldom: each is carried to each.
        let every = if len_max > 2_000 { every.max(Duration::from_secs(2)) } else { every };
        talks.then_some(Talk { every, len_min, len_max })
    };
    Workload { broadcasts: talk(draw), messages: talk(draw), reliable: None }
}

fn nodes(draw: &mut Draw) -> u32 {
    let size = draw.below(100);
    let (least, most) = match size {
        0..15 => (1, 7),
        15..25 => (8, 15),
        25..88 => (16, 64),
        88..97 => (65, 200),
        97..99 => (16, 64),
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
        config.host_share_percent = draw.between(40, 100) as u8;
    }
    if sometimes(draw) {
        config.broadcast_inline_max = draw.between(0, 512) as u16;
        config.broadcasts_max = draw.between(1, 64) as u32;
    }
    if sometimes(draw) {
        config.datagram_max = draw.between(900, 1400) as u16;
    }
    if sometimes(draw) {
        config.broadcast_inline_max = draw.between(0, 512) as u16;
        config.broadcasts_max = draw.between(2, 200) as u32;
        config.broadcast_bytes_max = draw.between(61_440, 1 << 20) as u32;
    }
    if sometimes(draw) {
        config.tombstone_retention = Duration::from_secs(draw.between(300, 900));
    }
    config
}

/// By which paths members are reached; and sometimes there is no way for datagrams at all.
fn paths(scenario: &mut Scenario, draw: &mut Draw) {
    let config = &mut scenario.config;
    config.transport = match draw.below(10) {
        0..=2 => Transport::Datagram,
        3..=5 => Transport::Stream,
        _ => Transport::Hybrid,
    };
    let few = draw.happens(Chance::percent(15.0));
    if few {
        config.carriers_max = draw.between(1, 16) as u16;
    }
    if draw.happens(Chance::percent(25.0)) {
        config.carrier_idle = Duration::from_millis(draw.between(500, 60_000));
    }
    // Without the ping over a stream nothing would reach anybody.
    let reaches = config.transport == Transport::Stream || config.transport == Transport::Hybrid && config.stream_probe;
    if reaches && draw.happens(Chance::percent(25.0)) {
        scenario.network.datagrams = false;
    }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::faults::{Fault, Restart};

    #[test]
    fn at_least_half_of_all_scenarios_are_worth_running_and_some_are_large() {
        let mut worth = 0;
        let mut large = 0;
        let mut talkative = 0;
        let mut varied = [0; 5];
        for seed in 0..1_000 {
            let scenario = scenario(seed);
            assert!(scenario.config.validate().is_ok(), "{seed}");
            assert_eq!(scenario.all_messaging().try_for_each(|config| config.validate()), Ok(()), "{seed}");
            talkative += u32::from(scenario.workload.reliable.is_some());
            let withdrawn = Fault::Restart { slot: 0, how: Restart::WithoutEndpoint }.kind();
            let is = [
                scenario.messaging_odd.is_some(),
                scenario.messaging_successor.is_some(),
                scenario.schedule.iter().any(|timed| timed.fault.kind() == withdrawn),
                scenario.workload.reliable.is_some_and(|letters| letters.extremes),
                scenario.workload.reliable.is_some() && scenario.messaging.links_max * 4 <= scenario.nodes,
            ];
            (0..is.len()).for_each(|at| varied[at] += u32::from(is[at]));
            assert!(scenario.schedule.iter().all(|timed| timed.at <= scenario.duration), "{seed}");
            let kinds: BTreeSet<_> = scenario.schedule.iter().map(|timed| timed.fault.kind()).collect();
            worth += u32::from(scenario.nodes >= 16 && scenario.duration.as_secs() >= 120 && kinds.len() >= 3);
            large += u32::from(scenario.nodes >= 300);
        }
        assert!(worth >= 500, "{worth}");
        assert!(large >= 5, "{large}");
        assert!((280..400).contains(&talkative), "{talkative}");
        assert!(varied.iter().all(|&count| count >= 30), "{varied:?}");
    }

    #[test]
    fn messengers_may_be_in_all_but_the_largest_and_are_the_same_where_they_were() {
        for seed in 0..300 {
            let (scenario, with) = (scenario(seed), scenario_with_messengers(seed));
            assert_eq!(with.workload.reliable.is_some(), with.nodes <= 200, "{seed}");
            if scenario.workload.reliable.is_some() {
                assert_eq!(scenario, with);
            } else {
                assert_eq!((&scenario.config, &scenario.network), (&with.config, &with.network));
            }
        }
    }

    #[test]
    fn a_seed_is_always_the_same_scenario() {
        assert_eq!(scenario(77), scenario(77));
        assert_ne!(scenario(77), scenario(78));
    }
}
