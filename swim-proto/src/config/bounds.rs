//! What a setting may be, and why a node is not started.

use core::time::Duration;

use super::Config;
use crate::membership::{NAME_MAX, VERSIONS, Versions};
use crate::wire::{AddressFault, PAYLOAD_MAX};

impl Config {
    /// Checks every setting against its bounds.
    ///
    /// # Errors
    /// The first setting that is outside, and what would be right.
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
