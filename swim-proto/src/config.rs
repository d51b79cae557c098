//! Every setting of the protocol, its meaning and its bounds.
//!
//! Three presets are ours ([`Config::lan`], [`Config::wan`], [`Config::local`]); [`Config::published`] is the Lifeguard
//! paper's, with nothing of ours, so that its ablation can be repeated. [`Config::validate`] runs in
//! [`Node::new`](crate::Node::new): a node never runs with settings that cannot work.

mod bounds;
mod presets;

use alloc::string::String;
use core::time::Duration;

pub use bounds::ConfigError;
pub use presets::Variant;

use crate::membership::Versions;

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
    /// In small clusters, where chance would leave somebody out: gossip to each in turn, tell each rumor at least once
    /// for each other member (up to `2λ`), and compare state with whoever pings us and is not known.
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
    /// Most dead and departed members remembered; at the limit the one nearest its end is forgotten. More than can die within
    /// minutes, or the dead come back by turns (`docs/protocol.md` 2.8).
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

    /// The versions of the wire format that this node speaks, within [`VERSIONS`](crate::VERSIONS): told to all, and
    /// each peer is spoken to in the highest that both know.
    pub versions: Versions,
    /// The longest broadcast that is gossiped whole, in bytes. A longer one is announced by its number, and fetched
    /// over a stream by whoever lacks it. At most 512.
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
