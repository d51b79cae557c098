//! Messengers in a random scenario: what is sent, with which settings, and what befalls links and applications.

use std::time::Duration;

use swim_proto::messaging::{MessagingConfig, OVERHEAD};

use crate::faults::{Fault, Restart, Timed};
use crate::messaging::{LinkCut, LinkSettings, Lossy};
use crate::scenario::Scenario;
use crate::seeds::{Chance, Draw};
use crate::workload::{Letters, Talk};

/// Of all clusters, as many have messengers.
const SHARE: f64 = 35.0;

/// More would cost more than it could show.
const NODES_MAX: u32 = 200;

/// Where there are messengers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Messengers {
    /// In a share of all scenarios.
    InSome,
    /// In all that are not too large.
    WhereverTheyMay,
}

/// Has the members of some scenarios send each other messages.
pub(super) fn add(scenario: &mut Scenario, messengers: Messengers, draw: &mut Draw) {
    // Drawn in any case: what is drawn after it is the same.
    let drawn = draw.happens(Chance::percent(SHARE));
    if !(drawn || messengers == Messengers::WhereverTheyMay) || scenario.nodes > NODES_MAX {
        return;
    }
    scenario.messaging = config(draw);
    let longest = scenario.messaging.message_max;
    let every = Duration::from_millis(*draw.pick(&[20, 50, 200, 1_000]));
    let (len_min, len_max) = *draw.pick(&[(8, 64), (8, 200), (8, 200), (100, 2_000), (8, 20_000)]);
    let talk = Talk { every, len_min, len_max: len_max.min(longest) };
    scenario.workload.reliable = Some(Letters {
        talk: Talk { len_min: talk.len_min.min(talk.len_max), ..talk },
        streams: draw.below(4) as u32,
        burst: *draw.pick(&[1, 16, 16, 100]),
        extremes: false,
    });
    if draw.happens(Chance::percent(20.0)) {
        scenario.links =
            LinkSettings { frames_max: draw.between(1, 16) as usize, bytes_max: 16 * 1024, ..scenario.links };
    }
    for _ in 0..draw.below(6) {
        befall(scenario, draw);
    }
}

/// In some of these scenarios settings are not the same everywhere or for ever, members lose their endpoints, links are
/// few, and messages are short or long: what waits that end by expiry come of (M12).
pub(super) fn vary(scenario: &mut Scenario, draw: &mut Draw) {
    let Some(letters) = scenario.workload.reliable else { return };
    let sometimes = |draw: &mut Draw| draw.happens(Chance::percent(25.0));
    if sometimes(draw) {
        scenario.messaging_odd = Some(config(draw));
    }
    if sometimes(draw) {
        scenario.messaging_successor = Some(config(draw));
        restart_some(scenario, draw);
    }
    let (extremes, few_links, hasty) = (sometimes(draw), sometimes(draw), sometimes(draw));
    let longest = 1_000 << draw.below(5) as u32;
    let links_max = *draw.pick(&[1, 1, 2, 4]);
    for config in scenario.all_messaging_mut() {
        if extremes {
            allow(config, longest);
        }
        if few_links {
            config.links_max = links_max;
        }
        if hasty {
            haste(config, draw);
        }
    }
    if extremes {
        let every = letters.talk.every.max(Duration::from_micros(10 * u64::from(longest)));
        let talk = Talk { every, len_min: 64, len_max: longest };
        scenario.workload.reliable = Some(Letters { talk, extremes, ..letters });
    }
    if draw.happens(Chance::percent(20.0)) {
        withdraw_some(scenario, draw);
    }
}

/// Messages of this length fit, and so few of them that they are often in each other's way.
fn allow(config: &mut MessagingConfig, message_max: u32) {
    config.message_max = message_max;
    let message = cost(config);
    config.window_bytes = config.window_bytes.clamp(2 * message, 8 * message);
    config.window_messages = config.window_messages.min(64);
    config.queue_bytes_max = config.queue_bytes_max.clamp(8 * message, 64 * message);
    config.outgoing_bytes_max = config.outgoing_bytes_max.max(config.queue_bytes_max);
    config.incoming_bytes_max = config.incoming_bytes_max.max(u64::from(message) * 4);
    config.flight_bytes_min = config.flight_bytes_min.min(message).max(1_024);
    config.rate_burst = config.rate_burst.max(2 * message);
}

/// What fails is found to have failed soon, so that messages live long enough to wait for nothing.
fn haste(config: &mut MessagingConfig, draw: &mut Draw) {
    config.link_timeout = Duration::from_millis(draw.between(500, 2_000));
    config.link_retry_max = Duration::from_millis(draw.between(500, 3_000));
    config.rto_min = Duration::from_millis(draw.between(100, 500));
    config.rto_max = Duration::from_secs(draw.between(1, 4));
    config.breaker_failures = draw.between(0, 5) as u8;
    config.breaker_open_max = Duration::from_millis(draw.between(1_000, 5_000));
    config.expiry_default = Duration::from_secs(draw.between(20, 60));
}

/// Some are started again, one by one.
fn restart_some(scenario: &mut Scenario, draw: &mut Draw) {
    let nodes = scenario.nodes as usize;
    let count = draw.between(1, nodes.div_ceil(2) as u64) as usize;
    let mut at = scenario.duration.mul_f64(draw.between(5, 60) as f64 / 100.0);
    let gap = ((scenario.duration - at) / (count as u32 + 1)).min(Duration::from_secs(draw.between(1, 30)));
    let how = *draw.pick(&[Restart::WithState, Restart::WithoutState, Restart::NewAddress]);
    for slot in draw.sample(count, nodes) {
        scenario.schedule.push(Timed { at, fault: Fault::Restart { slot: slot as u32, how } });
        at += gap;
    }
}

/// A few lose their endpoint for a while, or for good.
fn withdraw_some(scenario: &mut Scenario, draw: &mut Draw) {
    let nodes = scenario.nodes as usize;
    let count = draw.between(1, nodes.div_ceil(8) as u64) as usize;
    for slot in draw.sample(count, nodes) {
        let slot = slot as u32;
        let at = Duration::from_millis(draw.below(scenario.duration.as_millis() as u64));
        let later = at + (scenario.duration - at).mul_f64(draw.below(100) as f64 / 100.0);
        let how = Restart::WithoutEndpoint;
        scenario.schedule.push(Timed { at, fault: Fault::Restart { slot, how } });
        if draw.happens(Chance::percent(80.0)) {
            let how = *draw.pick(&[Restart::WithState, Restart::WithoutState]);
            scenario.schedule.push(Timed { at: later, fault: Fault::Restart { slot, how } });
        }
    }
}

/// The default settings, or small bounds here and there, so that they are met.
fn config(draw: &mut Draw) -> MessagingConfig {
    let mut config = MessagingConfig::default();
    let sometimes = |draw: &mut Draw| draw.happens(Chance::percent(20.0));
    if sometimes(draw) {
        config.message_max = draw.between(200, 8_000) as u32;
        config.rate_burst = config.rate_burst.max(2 * cost(&config));
    }
    let message = cost(&config);
    if sometimes(draw) {
        config.queue_messages_max = draw.between(8, 64) as u32;
        config.queue_bytes_max = 8 * message + draw.below(64 * 1024) as u32;
        config.outgoing_messages_max = config.queue_messages_max * draw.between(1, 4) as u32;
        config.outgoing_bytes_max = config.queue_bytes_max * draw.between(1, 4) as u32;
        config.flight_bytes_min = config.flight_bytes_min.min(config.queue_bytes_max);
    }
    if sometimes(draw) {
        config.window_messages = draw.between(16, 64) as u32;
        config.window_bytes = 2 * message + draw.below(32 * 1024) as u32;
    }
    if sometimes(draw) {
        config.incoming_bytes_max = u64::from(message) * draw.between(4, 40);
    }
    if sometimes(draw) {
        config.flight_bytes_min = draw.between(1_024, 8_192).min(config.queue_bytes_max.into()) as u32;
        config.delay_target = Duration::from_millis(draw.between(1, 100));
    }
    if sometimes(draw) {
        config.links_max = draw.between(1, 8) as u32;
    }
    if sometimes(draw) {
        config.accepted_max = draw.between(4, 16) as u32;
    }
    if sometimes(draw) {
        config.peers_max = draw.between(2, 16) as u32;
    }
    if sometimes(draw) {
        config.link_idle = Duration::from_secs(draw.between(1, 10));
        config.link_timeout = Duration::from_millis(draw.between(500, 5_000));
        config.link_retry_max = Duration::from_millis(draw.between(500, 10_000));
    }
    if sometimes(draw) {
        config.rto_min = Duration::from_millis(draw.between(100, 1_000));
        config.rto_max = Duration::from_secs(draw.between(2, 20));
    }
    if sometimes(draw) {
        config.inbox_retention = Duration::from_secs(draw.between(1, 30));
    }
    if sometimes(draw) {
        config.class_weights = [0; 4].map(|_| draw.between(1, 16) as u8);
    }
    if sometimes(draw) {
        let rate =
            |draw: &mut Draw| if draw.happens(Chance::percent(50.0)) { draw.between(4_096, 100_000) as u32 } else { 0 };
        (config.rate_out, config.rate_out_peer) = (rate(draw), rate(draw));
        (config.rate_in, config.rate_in_peer) = (rate(draw), rate(draw));
    }
    if sometimes(draw) {
        config.breaker_failures = draw.between(0, 3) as u8;
        config.breaker_open_max = Duration::from_secs(draw.between(1, 10));
    }
    if sometimes(draw) {
        config.expiry_default = Duration::from_millis(draw.between(500, 60_000));
    }
    config
}

/// What the longest message counts.
fn cost(config: &MessagingConfig) -> u32 {
    config.message_max + OVERHEAD as u32
}

/// Something befalls the links or the application of a few.
fn befall(scenario: &mut Scenario, draw: &mut Draw) {
    let whole = scenario.duration.as_millis() as u64;
    let at = Duration::from_millis(draw.below(whole));
    let left = scenario.duration - at;
    // Short ones as often as long ones, roughly.
    let most = 60_000 >> draw.below(10);
    let lasting = Duration::from_millis(draw.between(1, most)).min(left);
    let nodes = scenario.nodes as usize;
    let count =
        if draw.happens(Chance::percent(60.0)) { 1 } else { draw.between(1, nodes.div_ceil(3) as u64) as usize };
    let kind = draw.below(6);
    let (lost, repeated) = (Chance::percent(draw.below(40) as f64), Chance::percent(draw.below(40) as f64));
    let each = draw.happens(Chance::percent(70.0)).then(|| Duration::from_millis(draw.between(1, 2_000)));
    let later = Duration::from_millis(draw.between(0, 900));
    for slot in draw.sample(count, nodes) {
        let slot = slot as u32;
        let fault = match kind {
            0 => Fault::CutLinks { slot, how: LinkCut::Broken },
            1 => Fault::CutLinks { slot, how: LinkCut::Abandoned { later } },
            2 => Fault::StallLinks { slot, lasting },
            3 => Fault::LossyLinks { slot, how: Lossy { lost, repeated }, lasting },
            _ => Fault::SlowReader { slot, each, lasting },
        };
        scenario.schedule.push(Timed { at, fault });
    }
}
