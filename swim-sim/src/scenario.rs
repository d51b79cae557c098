//! A scenario: everything about a run but its seed, as data.

use std::time::Duration;

use swim_proto::Config;

use crate::faults::{Fault, Timed};
use swim_proto::messaging::MessagingConfig;

use crate::messaging::LinkSettings;
use crate::network::Network;
use crate::streams::StreamSettings;
use crate::workload::Workload;

/// What is to happen to how many nodes on what network. Everything left to chance is decided by the run's seed.
///
/// ```
/// use std::time::Duration;
/// use swim_sim::{Chance, Crash, Fault, Network, Scenario};
///
/// let scenario = Scenario::new(20, Duration::from_secs(30))
///     .join_over(Duration::from_secs(2))
///     .network(Network::default().with_loss(Chance::percent(2.0)))
///     .at(Duration::from_secs(10), Fault::Crash { slot: 7, how: Crash::Host });
/// assert_eq!(scenario.schedule.len(), 1);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// How many nodes, in slots 0 to `nodes − 1`.
    pub nodes: u32,
    /// How many of them, the first ones, are named as seeds to all.
    pub seeds: u32,
    /// Over how long the nodes start: the seeds at once, the others at random, the last one at the end.
    pub join_over: Duration,
    /// So many of the nodes, the last ones, start later than the others: all at once, over `join_over`.
    pub late: u32,
    /// When those start.
    pub late_at: Duration,
    /// For how long faults may happen.
    pub duration: Duration,
    /// The settings every node runs with.
    pub config: Config,
    /// The settings of every process started in a slot after its first, if others: to upgrade a cluster.
    pub successor: Option<Config>,
    /// The network to begin with.
    pub network: Network,
    /// How kernels run TCP.
    pub streams: StreamSettings,
    /// Each node's clock runs fast or slow by at most so many parts in a million.
    pub drift_ppm: u32,
    /// How many bytes of metadata each node starts with.
    pub metadata_len: u16,
    /// What its applications say.
    pub workload: Workload,
    /// The settings of every messenger, where messages are exchanged.
    pub messaging: MessagingConfig,
    /// Those of the messengers in every other slot, if others.
    pub messaging_odd: Option<MessagingConfig>,
    /// Those of every messenger whose process is not the first of its slot, if others: to change the settings of a
    /// cluster, member by member.
    pub messaging_successor: Option<MessagingConfig>,
    /// How drivers run the links of messengers.
    pub links: LinkSettings,
    /// What befalls it, in any order.
    pub schedule: Vec<Timed>,
    /// After `duration` the network loses nothing any more; otherwise only its nodes and links are healed.
    pub heal_network: bool,
}

impl Scenario {
    /// So many nodes on a network without faults, for so long, with the LAN preset, all started within a tenth of a
    /// second.
    pub fn new(nodes: u32, duration: Duration) -> Scenario {
        Scenario {
            nodes,
            seeds: 1,
            join_over: Duration::from_millis(100),
            late: 0,
            late_at: Duration::ZERO,
            duration,
            config: Config::lan(),
            successor: None,
            network: Network::default(),
            streams: StreamSettings::default(),
            drift_ppm: 0,
            metadata_len: 0,
            workload: Workload::default(),
            messaging: MessagingConfig::default(),
            messaging_odd: None,
            messaging_successor: None,
            links: LinkSettings::default(),
            schedule: Vec::new(),
            heal_network: true,
        }
    }

    /// The same with so many seeds.
    #[must_use]
    pub fn seeds(self, seeds: u32) -> Scenario {
        Scenario { seeds, ..self }
    }

    /// The same with nodes starting over so long.
    #[must_use]
    pub fn join_over(self, join_over: Duration) -> Scenario {
        Scenario { join_over, ..self }
    }

    /// The same with so many of its nodes starting only then: a storm of joins.
    #[must_use]
    pub fn late(self, late: u32, late_at: Duration) -> Scenario {
        Scenario { late, late_at, ..self }
    }

    /// The same with other settings.
    #[must_use]
    pub fn config(self, config: Config) -> Scenario {
        Scenario { config, ..self }
    }

    /// The same with other settings for every process that takes the place of an earlier one.
    #[must_use]
    pub fn successor(self, config: Config) -> Scenario {
        Scenario { successor: Some(config), ..self }
    }

    /// The same on another network.
    #[must_use]
    pub fn network(self, network: Network) -> Scenario {
        Scenario { network, ..self }
    }

    /// The same with clocks that run fast or slow.
    #[must_use]
    pub fn drift(self, ppm: u32) -> Scenario {
        Scenario { drift_ppm: ppm, ..self }
    }

    /// The same with applications that talk.
    #[must_use]
    pub fn workload(self, workload: Workload) -> Scenario {
        Scenario { workload, ..self }
    }

    /// The same with other settings of its messengers.
    #[must_use]
    pub fn messaging(self, messaging: MessagingConfig) -> Scenario {
        Scenario { messaging, ..self }
    }

    /// The same with other settings for every messenger whose process takes the place of an earlier one.
    #[must_use]
    pub fn messaging_successor(self, messaging: MessagingConfig) -> Scenario {
        Scenario { messaging_successor: Some(messaging), ..self }
    }

    /// The settings of a slot's messenger in one of its processes, counted from 1.
    pub(crate) fn messaging_of(&self, slot: u32, boot: u32) -> &MessagingConfig {
        let odd = self.messaging_odd.as_ref().filter(|_| slot % 2 == 1);
        let later = self.messaging_successor.as_ref().filter(|_| boot > 1);
        later.or(odd).unwrap_or(&self.messaging)
    }

    /// All settings that a messenger may have.
    pub(crate) fn all_messaging(&self) -> impl Iterator<Item = &MessagingConfig> {
        [&self.messaging].into_iter().chain(&self.messaging_odd).chain(&self.messaging_successor)
    }

    /// The same, to be changed.
    pub(crate) fn all_messaging_mut(&mut self) -> impl Iterator<Item = &mut MessagingConfig> {
        [&mut self.messaging].into_iter().chain(&mut self.messaging_odd).chain(&mut self.messaging_successor)
    }

    /// The same with something more befalling it.
    #[must_use]
    pub fn at(mut self, at: Duration, fault: Fault) -> Scenario {
        self.schedule.push(Timed { at, fault });
        self
    }

    /// How long a suspicion may last among all of them: Max.
    pub(crate) fn suspicion_bound(&self) -> Duration {
        let config = &self.config;
        let min = config.suspicion_alpha * libm::log10(f64::from(self.nodes.max(2))).max(1.0);
        config.probe_interval.mul_f64(min).mul_f64(config.suspicion_beta)
    }

    /// How long the cluster may take, once faults have stopped, until every view is right.
    ///
    /// The longest chain that recovery can need: a stall is waited out, a suspicion runs its longest (twice: it may have
    /// been raised anew), the two sides of a healed partition find each other by the heal timer, joins back off to
    /// their longest wait, and two periodic syncs carry what gossip no longer does.
    pub fn liveness_bound(&self) -> Duration {
        let config = &self.config;
        let suspicion_max = self.suspicion_bound();
        // Everyone probes everyone once in this time, and some live node probes a given dead one much sooner.
        let health = if config.lha_probe { u32::from(config.health_max) + 1 } else { 1 };
        let stretch = if config.adaptive_interval { 4 } else { 1 };
        let probes = config.probe_interval * health * stretch * 4;
        let spread = config.gossip_interval * 8 * (32 - self.nodes.leading_zeros());
        let fixed =
            config.stall_max + config.stream_timeout * 2 + config.join_retry_max * 2 + config.heal_interval * 12;
        suspicion_max * 2 + probes + spread + fixed + config.sync_interval * 4
    }
}
