//! Settings that go together: ours for three kinds of networks, and the Lifeguard paper's.
//!
//! `docs/decisions/0010-the-lan-preset.md` has the measurements behind the first.

use alloc::string::String;
use core::time::Duration;

use super::{Config, Transport};
use crate::membership::VERSIONS;

/// A variant of the Lifeguard paper's ablation (\[LG\] III to IV, Tables IV to VI).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The baseline: memberlist's SWIM with all three extensions off.
    Swim,
    /// LHA-Probe alone.
    LhaProbe,
    /// LHA-Suspicion alone.
    LhaSuspicion,
    /// Buddy System alone.
    Buddy,
    /// All three.
    Lifeguard,
}

impl Config {
    /// For hosts in one data centre: probes each second, answers within half of it.
    pub fn lan() -> Config {
        Config {
            cluster: String::from("swim"),
            members_max: 65_536,
            probe_interval: Duration::from_secs(1),
            probe_timeout: Duration::from_millis(500),
            adaptive_timeout: false,
            indirect_probes: 3,
            retry_probe: true,
            stream_probe: true,
            nack: true,
            lha_probe: true,
            health_max: 8,
            health_counts_nacked_failure: false,
            suspicion_alpha: 3.0,
            suspicion_beta: 6.0,
            suspicion_confirmations: 3,
            solicited_confirmations: 4,
            lha_suspicion: true,
            buddy: true,
            verify_burial: true,
            retransmit_mult: 4,
            gossip_interval: Duration::from_millis(200),
            gossip_fanout: 4,
            gossip_to_dead: Duration::from_secs(30),
            reach_all: true,
            count_heard: false,
            echo: true,
            sync_interval: Duration::from_secs(30),
            syncs_max: 16,
            streams_max: 256,
            host_share_percent: 50,
            stream_timeout: Duration::from_secs(10),
            join_retry_min: Duration::from_secs(1),
            join_retry_max: Duration::from_secs(8),
            heal_interval: Duration::from_secs(5),
            tombstone_retention: Duration::from_secs(72 * 3600),
            tombstones_max: 16_384,
            leave_timeout: Duration::from_secs(5),
            stall_min: Duration::from_millis(250),
            stall_max: Duration::from_secs(10),
            newcomers_per_datagram: 64,
            rate_in: 0,
            rate_out: 0,
            rate_burst: 65_536,
            adaptive_interval: false,
            versions: VERSIONS,
            broadcast_inline_max: 256,
            broadcasts_max: 1024,
            broadcast_bytes_max: 4 << 20,
            datagram_max: 1400,
            transport: Transport::Hybrid,
            carriers_max: 64,
            carrier_idle: Duration::from_secs(30),
        }
    }

    /// For hosts far apart: slower probes that wait longer.
    pub fn wan() -> Config {
        Config {
            probe_interval: Duration::from_secs(5),
            probe_timeout: Duration::from_secs(3),
            suspicion_alpha: 6.0,
            gossip_interval: Duration::from_millis(500),
            gossip_to_dead: Duration::from_secs(60),
            sync_interval: Duration::from_secs(60),
            stream_timeout: Duration::from_secs(30),
            heal_interval: Duration::from_secs(15),
            leave_timeout: Duration::from_secs(10),
            stall_min: Duration::from_secs(1),
            stall_max: Duration::from_secs(30),
            ..Config::lan()
        }
    }

    /// For one host, over loopback: quick answers, one helper, all streams from one address.
    pub fn local() -> Config {
        Config {
            probe_timeout: Duration::from_millis(200),
            indirect_probes: 1,
            suspicion_alpha: 3.0,
            retransmit_mult: 2,
            gossip_interval: Duration::from_millis(100),
            gossip_fanout: 3,
            gossip_to_dead: Duration::from_secs(15),
            sync_interval: Duration::from_secs(15),
            host_share_percent: 100,
            ..Config::lan()
        }
    }

    /// The Lifeguard paper's configurations (\[LG\] III to V): α = 5, β = 6, K = 3, S = 8, nothing of ours.
    ///
    /// The baseline's fixed time-out is `α · log10 n`, that is β = 1.
    pub fn published(variant: Variant) -> Config {
        let lha_probe = matches!(variant, Variant::LhaProbe | Variant::Lifeguard);
        let lha_suspicion = matches!(variant, Variant::LhaSuspicion | Variant::Lifeguard);
        let buddy = matches!(variant, Variant::Buddy | Variant::Lifeguard);
        Config {
            suspicion_alpha: 5.0,
            suspicion_beta: if lha_suspicion { 6.0 } else { 1.0 },
            lha_probe,
            nack: lha_probe,
            health_counts_nacked_failure: true,
            lha_suspicion,
            buddy,
            verify_burial: false,
            retry_probe: false,
            solicited_confirmations: 0,
            gossip_fanout: 3,
            echo: false,
            reach_all: false,
            heal_interval: Duration::ZERO,
            stall_min: Duration::ZERO,
            stall_max: Duration::ZERO,
            transport: Transport::Datagram,
            ..Config::lan()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_presets_are_valid() {
        let variants = [Variant::Swim, Variant::LhaProbe, Variant::LhaSuspicion, Variant::Buddy, Variant::Lifeguard];
        let ours = [Config::lan(), Config::wan(), Config::local()];
        for config in variants.map(Config::published).iter().chain(&ours) {
            assert_eq!(config.validate(), Ok(()));
        }
    }
}
