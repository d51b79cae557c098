//! Every setting of the protocol, its meaning and its bounds.
//!
//! Three presets are ours ([`Config::lan`], [`Config::wan`], [`Config::local`]); [`Config::published`] is the Lifeguard
//! paper's, with nothing of ours, so that its ablation can be repeated. [`Config::validate`] runs in
//! [`Node::new`](crate::Node::new): a node never runs with settings that cannot work.

use alloc::string::String;
use core::time::Duration;

use crate::membership::{NAME_MAX, VERSIONS, Versions};
use crate::wire::{AddressFault, PAYLOAD_MAX};

/// The settings of one node. Nodes of one cluster should agree on them, but need not.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The cluster's name; packets of any other cluster are dropped. 1 to 255 bytes.
    pub cluster: String,
    /// Most members known at once, live and dead together, the local one included. One more that lives may take the
    /// place of one that does not; any other claim about one more is dropped and counted
    /// ([`Stats::drops`](crate::Stats)).
    pub members_max: u32,

    /// The protocol period `T'` (\[SWIM\] 3.1): how often a member is probed, before local health stretches it.
    pub probe_interval: Duration,
    /// How long a direct ping may take before others are asked to try, before local health stretches it.
    /// At most two thirds of `probe_interval`, so that an indirect probe has time to succeed.
    pub probe_timeout: Duration,
    /// The time-out follows each member's measured round trips, between an eighth of `probe_timeout` and all of it.
    pub adaptive_timeout: bool,
    /// `k`, how many members are asked to ping one that did not answer (\[SWIM\] 3.1). At most 16.
    pub indirect_probes: u8,
    /// The target is pinged once more, directly, when others are asked: one lost datagram is then no failure of theirs.
    pub retry_probe: bool,
    /// A ping over a stream in parallel with the indirect probes (\[LG\] III-B).
    pub stream_probe: bool,
    /// Helpers that get no answer say so at 80 % of the budget they were given (\[LG\] IV-A).
    pub nack: bool,
    /// LHA-Probe (\[LG\] IV-A): interval and time-out are multiplied by `1 + health`.
    pub lha_probe: bool,
    /// `S`, the greatest value of the local health multiplier (\[LG\] IV-A). At most 64.
    pub health_max: u8,
    /// A failed probe counts against our own health even when every helper's nack arrived, as published (\[LG\] IV-A).
    /// When off, nacks that arrived show that the fault is not ours.
    pub health_counts_nacked_failure: bool,

    /// `α`: the least suspicion time-out is `α · max(1, log10 n) · probe_interval` (\[LG\] IV-B). 0.5 to 100.
    pub suspicion_alpha: f64,
    /// `β`: the greatest suspicion time-out is `β` times the least (\[LG\] IV-B). 1 to 100.
    pub suspicion_beta: f64,
    /// `K`: how many independent confirmations shrink the time-out from greatest to least (\[LG\] IV-B). At most 8.
    pub suspicion_confirmations: u8,
    /// How many members, on average, probe a suspect as soon as they hear of it, each chosen by what it knows alone
    /// (`docs/protocol.md` 4.10); 0: nobody does. At most 16.
    pub solicited_confirmations: u8,
    /// LHA-Suspicion (\[LG\] IV-B). When off, the time-out is the least one, always.
    pub lha_suspicion: bool,
    /// Buddy System (\[LG\] IV-C): whoever pings a suspected member tells it so in the same datagram.
    pub buddy: bool,
    /// Before burying a suspect, ping it once more and ask members what they hold (`docs/protocol.md` 4.5).
    pub verify_burial: bool,

    /// `λ`: a rumor is sent at most `λ · ⌈log10(n + 1)⌉` times by each member (\[SWIM\] 4.1); in clusters so small that
    /// this would not reach everybody, more often ([`Config::reach_all`]). 1 to 32.
    pub retransmit_mult: u8,
    /// How often news is gossiped while there is any.
    pub gossip_interval: Duration,
    /// To how many members each time. 1 to 16.
    pub gossip_fanout: u8,
    /// For how long the dead are still gossiped to, so that the falsely buried hear of it.
    pub gossip_to_dead: Duration,
    /// In small clusters, where chance would leave somebody out: gossip to each in turn, tell each rumor at least once for
    /// each other member (up to `2λ`), and compare state with whoever pings us and is not known.
    pub reach_all: bool,
    /// Hearing a rumor from others counts towards its limit.
    pub count_heard: bool,
    /// A claim that our own table outranks is answered with what we hold (`docs/protocol.md` 5.4).
    pub echo: bool,

    /// How often state is compared with a random member over a stream (\[LG\] III-B); zero: never, otherwise at least
    /// 1 ms.
    pub sync_interval: Duration,
    /// Most exchanges served at once; beyond it a joiner is told whom to ask instead. 1 to 1,024.
    pub syncs_max: u16,
    /// Most streams open at once, both ways; others may open three quarters of them. A stream more is refused. 2 to
    /// 65,535.
    pub streams_max: u16,
    /// How much of the room that others have, of streams and of exchanges, one IP address may hold at a time, in
    /// percent: so that one host that opens streams and says little leaves the rest to others. 1 to 100; a cluster
    /// behind one address may need 100, which is no limit.
    pub host_share_percent: u8,
    /// A stream that moves nothing for this long, neither a packet in that says something nor a byte out, is reset; and
    /// so is one that has lasted six times as long, however it moves.
    pub stream_timeout: Duration,

    /// The first wait before a failed join is tried again; it doubles with each attempt, with jitter.
    pub join_retry_min: Duration,
    /// The longest wait between attempts to join.
    pub join_retry_max: Duration,
    /// How often one of the dead, or a seed, is tried, so that a partition heals by itself; zero: never,
    /// otherwise at least 1 ms.
    pub heal_interval: Duration,
    /// How long the dead and the departed are remembered.
    pub tombstone_retention: Duration,
    /// Most dead and departed members remembered; at the limit the one nearest its end is forgotten.
    pub tombstones_max: u32,
    /// How long a leaving node spreads its departure at most.
    pub leave_timeout: Duration,

    /// A stall: being this far behind the own deadline voids the probes it held and stops suspicion time. Zero: never,
    /// otherwise at least 50 ms: any process is late by less now and then.
    pub stall_min: Duration,
    /// How long, in all, silence from everyone holds suspicion time still before [`Event::Isolated`](crate::Event)
    /// is raised; zero: never.
    pub stall_max: Duration,

    /// Most members that one datagram may make known; claims about more are dropped and counted, and left to the next
    /// sync. 1 to 65,535.
    pub newcomers_per_datagram: u16,
    /// Bytes of datagrams taken in per second. Above it what datagrams say of members is passed over, and beyond twice
    /// the burst all they say. 0: no limit; otherwise at least 4,096.
    pub rate_in: u32,
    /// Bytes of datagrams sent per second. Above it news waits; probes, answers and refutations are sent all the same,
    /// on credit. 0: no limit; otherwise at least 4,096.
    pub rate_out: u32,
    /// Bytes that may come or go at once under these rates. At least `datagram_max`.
    pub rate_burst: u32,
    /// While this node is behind, its protocol period and its gossip grow up to four times as long, and shrink back
    /// afterwards.
    pub adaptive_interval: bool,

    /// The versions of the wire format that this node speaks, within [`VERSIONS`]: told to all, and each peer is spoken
    /// to in the highest that both know.
    pub versions: Versions,
    /// The longest broadcast that is gossiped whole, in bytes. A longer one is announced by its number, and fetched over a
    /// stream by whoever lacks it. At most 512.
    pub broadcast_inline_max: u16,
    /// Most broadcasts that wait to be told or fetched, our own and those of others. At the limit one of another member
    /// is given up, the most told first; where all are our own, [`Node::broadcast`](crate::Node::broadcast) is refused.
    /// 1 to 1,048,576.
    pub broadcasts_max: u32,
    /// Most bytes of payload in them, with the same at the limit. 61,440 (the longest payload) to 2^30.
    pub broadcast_bytes_max: u32,

    /// Most bytes of a datagram, headers of UDP and IP not counted. 900 (room for the longest Alive
    /// beside an ack) to 65,507.
    pub datagram_max: u16,

    /// By which paths members are reached (`docs/protocol.md` 13). The members of a cluster should all be able to reach
    /// one another: [`Transport::Hybrid`] reaches any, [`Transport::Datagram`] and [`Transport::Stream`] do not reach
    /// each other.
    pub transport: Transport,
    /// Most carriers (streams that carry what would be datagrams) kept while they have nothing to carry, whoever opened
    /// them; for one more, the one that was not used for longest is closed. While each has something to carry there may
    /// be more, up to half of `streams_max`. 1 to 1,024.
    pub carriers_max: u16,
    /// A carrier that nothing was put on and nothing came from for this long is closed.
    pub carrier_idle: Duration,
}

/// By which paths members are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams, as in \[SWIM\]; streams for joins, for comparing state and for the ping over a stream alone.
    Datagram,
    /// Streams alone, for networks without UDP: what would be a datagram goes by a carrier.
    Stream,
    /// Datagrams, and carriers for those peers whose datagrams keep failing while their streams work.
    #[default]
    Hybrid,
}

impl Transport {
    /// Every one, in the order of what they try.
    pub const ALL: [Transport; 3] = [Transport::Datagram, Transport::Stream, Transport::Hybrid];

    /// What operators call it: `udp`, `tcp` or `hybrid`.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Datagram => "udp",
            Transport::Stream => "tcp",
            Transport::Hybrid => "hybrid",
        }
    }

    /// The one of this [`Transport::name`].
    pub fn of_name(name: &str) -> Option<Transport> {
        Transport::ALL.into_iter().find(|transport| transport.name() == name)
    }
}

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
            gossip_fanout: 3,
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
            gossip_fanout: 4,
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
            echo: false,
            reach_all: false,
            heal_interval: Duration::ZERO,
            stall_min: Duration::ZERO,
            stall_max: Duration::ZERO,
            transport: Transport::Datagram,
            ..Config::lan()
        }
    }

    /// Checks every setting against its bounds; the error names the first that is outside, and what would be right.
    pub fn validate(&self) -> Result<(), ConfigError> {
        use ConfigError::{ClusterName, OutOfRange, ProbeTimeout, ZeroOrRange};
        let range = |setting, value: f64, min: f64, max: f64| {
            if value >= min && value <= max { Ok(()) } else { Err(OutOfRange { setting, value, min, max }) }
        };
        // Every duration is at most a year; those that may not be zero are at least a millisecond.
        let year = 365.0 * 86_400.0;
        let time = |setting, value: Duration| range(setting, value.as_secs_f64(), 0.001, year);
        let zero_or = |setting, value: Duration, min: f64| {
            let never = value.is_zero();
            let value = value.as_secs_f64();
            if never || value >= min && value <= year {
                Ok(())
            } else {
                Err(ZeroOrRange { setting, value, min, max: year })
            }
        };
        // How often something is done, or never.
        let interval_or_never = |setting, value| zero_or(setting, value, 0.001);
        let time_or_none = |setting, value: Duration| range(setting, value.as_secs_f64(), 0.0, year);

        if self.cluster.is_empty() || self.cluster.len() > NAME_MAX {
            return Err(ClusterName { len: self.cluster.len() });
        }
        range("members_max", self.members_max.into(), 2.0, 16_777_216.0)?;
        time("probe_interval", self.probe_interval)?;
        time("probe_timeout", self.probe_timeout)?;
        if self.probe_timeout * 3 > self.probe_interval * 2 {
            return Err(ProbeTimeout { timeout: self.probe_timeout, interval: self.probe_interval });
        }
        range("indirect_probes", self.indirect_probes.into(), 0.0, 16.0)?;
        range("health_max", self.health_max.into(), 0.0, 64.0)?;
        range("suspicion_alpha", self.suspicion_alpha, 0.5, 100.0)?;
        range("suspicion_beta", self.suspicion_beta, 1.0, 100.0)?;
        range("suspicion_confirmations", self.suspicion_confirmations.into(), 0.0, 8.0)?;
        range("solicited_confirmations", self.solicited_confirmations.into(), 0.0, 16.0)?;
        range("retransmit_mult", self.retransmit_mult.into(), 1.0, 32.0)?;
        time("gossip_interval", self.gossip_interval)?;
        range("gossip_fanout", self.gossip_fanout.into(), 1.0, 16.0)?;
        time_or_none("gossip_to_dead", self.gossip_to_dead)?;
        interval_or_never("sync_interval", self.sync_interval)?;
        range("syncs_max", self.syncs_max.into(), 1.0, 1024.0)?;
        range("streams_max", self.streams_max.into(), 2.0, 65_535.0)?;
        range("host_share_percent", self.host_share_percent.into(), 1.0, 100.0)?;
        time("stream_timeout", self.stream_timeout)?;
        time("join_retry_min", self.join_retry_min)?;
        time("join_retry_max", self.join_retry_max)?;
        range("join_retry_max", self.join_retry_max.as_secs_f64(), self.join_retry_min.as_secs_f64(), year)?;
        interval_or_never("heal_interval", self.heal_interval)?;
        time("tombstone_retention", self.tombstone_retention)?;
        range("tombstones_max", self.tombstones_max.into(), 1.0, 16_777_216.0)?;
        time("leave_timeout", self.leave_timeout)?;
        // Less is not told apart from what any scheduler does to a process now and then.
        zero_or("stall_min", self.stall_min, 0.05)?;
        time_or_none("stall_max", self.stall_max)?;
        range("broadcast_inline_max", self.broadcast_inline_max.into(), 0.0, 512.0)?;
        range("broadcasts_max", self.broadcasts_max.into(), 1.0, 1_048_576.0)?;
        range("broadcast_bytes_max", self.broadcast_bytes_max.into(), PAYLOAD_MAX as f64, f64::from(1 << 30))?;
        range("newcomers_per_datagram", self.newcomers_per_datagram.into(), 1.0, 65_535.0)?;
        range("datagram_max", self.datagram_max.into(), 900.0, 65_507.0)?;
        range("carriers_max", self.carriers_max.into(), 1.0, 1024.0)?;
        time("carrier_idle", self.carrier_idle)?;
        // Bytes per second; less than the least would not carry what a small cluster says when nothing happens.
        const RATE_MAX: f64 = 1e9;
        for (setting, rate) in [("rate_in", self.rate_in), ("rate_out", self.rate_out)] {
            range(setting, rate.into(), 0.0, RATE_MAX)?;
            if rate > 0 {
                range(setting, rate.into(), 4096.0, RATE_MAX)?;
            }
        }
        range("rate_burst", self.rate_burst.into(), self.datagram_max.into(), RATE_MAX)?;
        let Versions { min, max } = self.versions;
        if min > max || !VERSIONS.contain(min) || !VERSIONS.contain(max) {
            return Err(ConfigError::Versions(self.versions));
        }
        Ok(())
    }
}

/// Why a [`Config`] or a [`LocalMember`](crate::LocalMember) cannot be run. Nothing was started.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// A setting lies outside its bounds. Durations are told in seconds.
    #[error("{setting} is {value}; it must be between {min} and {max}")]
    OutOfRange {
        /// The field of [`Config`].
        setting: &'static str,
        /// What it was set to.
        value: f64,
        /// Its least value.
        min: f64,
        /// Its greatest value.
        max: f64,
    },
    /// A duration that may be zero, which means never, is neither zero nor within its bounds. In seconds.
    #[error("{setting} is {value} s; it must be 0, which is never, or between {min} s and {max} s")]
    ZeroOrRange {
        /// The field of [`Config`].
        setting: &'static str,
        /// What it was set to.
        value: f64,
        /// Its least value but zero.
        min: f64,
        /// Its greatest value.
        max: f64,
    },
    /// The cluster's name is empty or too long.
    #[error("the cluster's name is {len} bytes long; it must be 1 to 255")]
    ClusterName {
        /// Its length in bytes.
        len: usize,
    },
    /// Indirect probes could never save anyone: the period ends before they can answer.
    #[error("probe_timeout ({timeout:?}) must be at most two thirds of probe_interval ({interval:?})")]
    ProbeTimeout {
        /// The configured time-out.
        timeout: Duration,
        /// The configured interval.
        interval: Duration,
    },
    /// The member's name is empty or too long.
    #[error("the member's name is {len} bytes long; it must be 1 to 255")]
    MemberName {
        /// Its length in bytes.
        len: usize,
    },
    /// The metadata is too long.
    #[error("the metadata is {len} bytes long; it must be at most 512")]
    Metadata {
        /// Its length in bytes.
        len: usize,
    },
    /// These versions are no range within those that this crate speaks.
    #[error("versions {} to {} are no range within {} to {}", .0.min, .0.max, VERSIONS.min, VERSIONS.max)]
    Versions(Versions),
    /// Others could not reach this address.
    #[error("{address} cannot be advertised to others: {fault}")]
    Address {
        /// What was to be advertised.
        address: core::net::SocketAddr,
        /// What is wrong with it.
        fault: AddressFault,
    },
    /// The life is above what an honest restart may use.
    #[error("life {0} is too great: it must be below 2^62 (milliseconds of the wall clock are about 2^41)")]
    Life(u64),
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

    #[test]
    fn what_may_be_never_is_not_almost_always() {
        type Field = fn(&mut Config) -> &mut Duration;
        let fields: [(&str, Field, u64); 3] = [
            ("sync_interval", |config| &mut config.sync_interval, 1),
            ("heal_interval", |config| &mut config.heal_interval, 1),
            ("stall_min", |config| &mut config.stall_min, 50),
        ];
        for (name, field, min_ms) in fields {
            let validated = |value| {
                let mut config = Config::lan();
                *field(&mut config) = value;
                config.validate()
            };
            let min = Duration::from_millis(min_ms);
            assert_eq!(validated(Duration::ZERO), Ok(()), "{name}");
            assert_eq!(validated(min), Ok(()), "{name}");
            for value in [Duration::from_nanos(1), min - Duration::from_nanos(1), Duration::from_secs(1 << 40)] {
                let refused = validated(value);
                assert!(
                    matches!(refused, Err(ConfigError::ZeroOrRange { setting, .. }) if setting == name),
                    "{name}, {value:?}: {refused:?}"
                );
            }
        }
    }
}
