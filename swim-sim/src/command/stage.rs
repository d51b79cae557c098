//! What a scenario is put together from: the flags that `run` and `sweep` have in common.

use std::time::Duration;

use clap::{Args, ValueEnum};
use swim_proto::{Config, Transport, Variant};
use swim_sim::{
    Bursts, Chance, Crash, Draw, Fault, Latency, Letters, LinkCut, LinkFault, Lossy, Network, Purpose, Restart,
    Scenario, Seeds, Talk, Workload, Zones,
};

use super::quantity::{Share, bursts, chance, duration, latency, letters, share, talk};
use super::schedule::{Moment, Parting, Spell, Who, latecomers, moment, parting, spell};
use super::setting::{Set, setting};

/// What happens to how many nodes on what network.
#[derive(Args, Clone, Debug)]
pub(crate) struct Stage {
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    nodes: u32,
    /// For how long faults may happen; afterwards the cluster must converge
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = duration)]
    duration: Duration,
    /// Over how long the nodes start
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    join_over: Duration,
    /// How many of the nodes start later than the others, and when, all at once: COUNT@AT, such as 500@30s
    #[arg(long, value_name = "COUNT@AT", value_parser = latecomers)]
    late: Option<(u32, Duration)>,
    /// How many of the nodes are named to all as seeds
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    seeds_count: u32,
    /// The settings each node starts from
    #[arg(long, value_name = "PROFILE", default_value = "lan")]
    profile: Profile,
    /// By which paths members are reached; hybrid in all profiles of ours
    #[arg(long, value_name = "PATHS")]
    transport: Option<Paths>,
    /// A protocol setting other than the profile's: KEY=VALUE, named as in docs/operations.md; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) set: Vec<Set>,
    /// Bytes of metadata of each node
    #[arg(long, value_name = "BYTES", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=512))]
    metadata: u16,
    /// Clocks run fast or slow by at most so many parts in a million
    #[arg(long, value_name = "PPM", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=500_000))]
    drift: u32,

    /// What is said to all, from when all have started: RATE[xSIZE], so many a second in the whole cluster of so many
    /// bytes: 5, 5x1000, 0.5x16..60000
    #[arg(long, value_name = "RATE[xSIZE]", value_parser = talk)]
    broadcasts: Option<Talk>,
    /// What is said to one other, by datagram or stream: RATE[xSIZE]
    #[arg(long, value_name = "RATE[xSIZE]", value_parser = talk)]
    messages: Option<Talk>,
    /// What members send each other by messenger, acknowledged: RATE[xSIZE][/STREAMS], so many a second in the whole
    /// cluster, in so many ordered streams from each to each: 20, 20x100..4000, 50x1000/4
    #[arg(long, value_name = "RATE[xSIZE][/STREAMS]", value_parser = letters)]
    reliable: Option<Letters>,

    /// How likely a packet, datagram or segment, is lost: 5%
    #[arg(long, value_name = "CHANCE", default_value = "0%", value_parser = chance, help_heading = "Network")]
    loss: Chance,
    /// Loss in bursts: EVERY/LASTING[/LOSS], such as 10s/500ms/80%
    #[arg(long, value_name = "BURSTS", value_parser = bursts, help_heading = "Network")]
    bursts: Option<Bursts>,
    /// One-way delay: 3ms, 1ms..5ms, 20ms~3ms (mean and deviation), 1ms+2ms (and an exponential tail)
    #[arg(long, value_name = "DELAY", default_value = "500us..1ms", value_parser = latency, help_heading = "Network")]
    latency: Latency,
    /// How many zones the nodes stand in, in turn
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024), help_heading = "Network")]
    zones: u32,
    /// One-way delay between zones; within a zone --latency holds
    #[arg(long, value_name = "DELAY", default_value = "20ms~2ms", value_parser = latency, help_heading = "Network")]
    zone_latency: Latency,
    /// How likely a datagram arrives twice
    #[arg(long, value_name = "CHANCE", default_value = "0%", value_parser = chance, help_heading = "Network")]
    duplicate: Chance,
    /// How likely a datagram is held up so that others overtake it
    #[arg(long, value_name = "CHANCE", default_value = "0%", value_parser = chance, help_heading = "Network")]
    reorder: Chance,
    /// For how long at most
    #[arg(long, value_name = "TIME", default_value = "50ms", value_parser = duration, help_heading = "Network")]
    reorder_by: Duration,
    /// How likely a datagram arrives with one to three bits flipped
    #[arg(long, value_name = "CHANCE", default_value = "0%", value_parser = chance, help_heading = "Network")]
    corrupt: Chance,
    /// The largest datagram that passes, headers included
    #[arg(long, value_name = "BYTES", default_value_t = 1500, help_heading = "Network")]
    mtu: usize,
    /// No datagram passes, ever
    #[arg(long, help_heading = "Network")]
    no_udp: bool,
    /// What each node's uplink carries
    #[arg(long, value_name = "BYTES/S", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Network")]
    bandwidth: Option<u64>,
    /// After --for the network loses nothing any more
    #[arg(long, help_heading = "Network")]
    heal: bool,

    /// How many nodes crash, seeds spared: 3 or 1%
    #[arg(long, value_name = "SHARE", value_parser = share, help_heading = "Faults")]
    crash: Option<Share>,
    /// When; half of --for if not said
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Faults")]
    crash_at: Option<Duration>,
    /// What others notice of a crash
    #[arg(long, value_name = "KIND", default_value = "process", help_heading = "Faults")]
    crash_kind: CrashKind,
    /// How long after their crash they are started again; never if not said
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Faults")]
    restart_after: Option<Duration>,
    /// How processes are started again
    #[arg(long, value_name = "HOW", default_value = "without-state", help_heading = "Faults")]
    restart_how: RestartHow,
    /// Processes killed and started again at once: WHO@AT, such as 5%@30s or n17@30s
    #[arg(long, value_name = "WHO@AT", value_parser = moment, help_heading = "Faults")]
    restart: Vec<Moment>,
    /// Nodes that leave: WHO@AT
    #[arg(long, value_name = "WHO@AT", value_parser = moment, help_heading = "Faults")]
    leave: Vec<Moment>,
    /// Nodes given other metadata of 64 bytes: WHO@AT
    #[arg(long, value_name = "WHO@AT", value_parser = moment, help_heading = "Faults")]
    set_metadata: Vec<Moment>,
    /// Processes stopped for a while: WHO@AT..UNTIL, such as 5%@30s..40s
    #[arg(long, value_name = "WHO@SPAN", value_parser = spell, help_heading = "Faults")]
    pause: Vec<Spell>,
    /// Processes whose I/O is blocked for a while, timers running: WHO@AT..UNTIL
    #[arg(long, value_name = "WHO@SPAN", value_parser = spell, help_heading = "Faults")]
    block: Vec<Spell>,
    /// Processes short of CPU for a while: WHO@AT..UNTIL
    #[arg(long, value_name = "WHO@SPAN", value_parser = spell, help_heading = "Faults")]
    slow: Vec<Spell>,
    /// How long each input and each datagram sent takes those
    #[arg(long, value_name = "TIME", default_value = "50ms", value_parser = duration, help_heading = "Faults")]
    slow_each: Duration,
    /// Nodes whose own link loses half of all packets for a while: WHO@AT..UNTIL
    #[arg(long, value_name = "WHO@SPAN", value_parser = spell, help_heading = "Faults")]
    flaky: Vec<Spell>,
    /// Nodes from and to which no datagrams pass for a while, and streams do: WHO@AT..UNTIL
    #[arg(long, value_name = "WHO@SPAN", value_parser = spell, help_heading = "Faults")]
    no_datagrams: Vec<Spell>,
    /// Members whose messengers' links break: WHO@AT
    #[arg(long, value_name = "WHO@AT", value_parser = moment, help_heading = "Faults")]
    cut_links: Vec<Moment>,
    /// Members whose messengers' links are open for a while, and nothing is read from them: WHO@AT..UNTIL
    #[arg(long, value_name = "WHO@SPAN", value_parser = spell, help_heading = "Faults")]
    stall_links: Vec<Spell>,
    /// Members whose messengers' links lose a tenth of all packets for a while, and repeat a tenth: WHO@AT..UNTIL
    #[arg(long, value_name = "WHO@SPAN", value_parser = spell, help_heading = "Faults")]
    lossy_links: Vec<Spell>,
    /// Applications that take no messages for a while: WHO@AT..UNTIL
    #[arg(long, value_name = "WHO@SPAN", value_parser = spell, help_heading = "Faults")]
    slow_reader: Vec<Spell>,
    /// They take one in so much time
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Faults")]
    slow_reader_each: Option<Duration>,
    /// halves, isolate[:WHO], ring[:REACH], bridge, one-way or flip-flop[:PERIOD], then @AT..UNTIL
    #[arg(long, value_name = "SHAPE@SPAN", value_parser = parting, help_heading = "Faults")]
    partition: Vec<Parting>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Profile {
    /// Hosts in one data centre
    Lan,
    /// Hosts far apart
    Wan,
    /// One host
    Local,
    /// The Lifeguard paper's baseline
    PublishedSwim,
    /// The Lifeguard paper's, with all of its extensions
    PublishedLifeguard,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Paths {
    /// Datagrams, streams for exchanges alone
    Udp,
    /// Streams alone
    Tcp,
    /// Datagrams, and streams where those fail
    Hybrid,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CrashKind {
    /// The process is killed: its streams are reset, new ones refused
    Process,
    /// The host loses power: nothing answers
    Host,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RestartHow {
    /// The next life after the one kept on disk
    WithState,
    /// The clock's milliseconds for a life
    WithoutState,
    /// The clock has gone back
    ClockBack,
    /// At another address
    NewAddress,
    /// Without an endpoint: it takes no messages by messenger
    WithoutEndpoint,
}

impl Stage {
    /// The flags that can be varied besides the protocol's settings.
    pub(crate) const VARIED: [&str; 9] =
        ["nodes", "profile", "loss", "latency", "crash", "pause", "block", "slow", "flaky"];

    /// Gives one flag another value. `false`: it is none of [`Stage::VARIED`].
    pub(crate) fn vary(&mut self, flag: &str, value: &str) -> Result<bool, String> {
        match flag {
            "nodes" => {
                let nodes = value.parse().ok().filter(|nodes| (1..=1_000_000).contains(nodes));
                self.nodes = nodes.ok_or_else(|| format!("{value:?} is not a number of nodes from 1 to 1000000"))?;
            }
            "profile" => self.profile = Profile::from_str(value, false)?,
            "loss" => self.loss = chance(value)?,
            "latency" => self.latency = latency(value)?,
            "crash" => self.crash = Some(share(value)?),
            "pause" => self.pause = spells_or_none(value)?,
            "block" => self.block = spells_or_none(value)?,
            "slow" => self.slow = spells_or_none(value)?,
            "flaky" => self.flaky = spells_or_none(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The scenario, with what is random of it drawn from this seed.
    pub(crate) fn scenario(&self, seed: u64) -> Result<Scenario, String> {
        let mut config = match self.profile {
            Profile::Lan => Config::lan(),
            Profile::Wan => Config::wan(),
            Profile::Local => Config::local(),
            Profile::PublishedSwim => Config::published(Variant::Swim),
            Profile::PublishedLifeguard => Config::published(Variant::Lifeguard),
        };
        if let Some(paths) = self.transport {
            config.transport = paths.into();
        }
        for set in &self.set {
            set.apply(&mut config)?;
        }
        let mut scenario = Scenario {
            seeds: self.seeds_count.min(self.nodes),
            join_over: self.join_over,
            late: self.late.map_or(0, |(late, _)| late),
            late_at: self.late.map_or(Duration::ZERO, |(_, at)| at),
            config,
            network: self.network(),
            drift_ppm: self.drift,
            metadata_len: self.metadata,
            workload: Workload { broadcasts: self.broadcasts, messages: self.messages, reliable: self.reliable },
            heal_network: self.heal,
            ..Scenario::new(self.nodes, self.duration)
        };
        self.add_faults(seed, &mut scenario);
        match scenario.schedule.iter().find(|timed| timed.at > self.duration) {
            Some(late) => {
                Err(format!("a {} at {:?} comes after the end, --for {:?}", late.fault.kind(), late.at, self.duration))
            }
            None => Ok(scenario),
        }
    }

    fn network(&self) -> Network {
        let zones = (self.zones > 1).then(|| Zones::alike(self.zones as usize, self.latency, self.zone_latency));
        Network {
            zones,
            loss: self.loss,
            bursts: self.bursts,
            duplicate: self.duplicate,
            reorder: self.reorder,
            reorder_by: self.reorder_by,
            corrupt: self.corrupt,
            mtu: self.mtu,
            datagrams: !self.no_udp,
            bandwidth: self.bandwidth,
            ..Network::new(self.latency)
        }
    }

    fn add_faults(&self, seed: u64, scenario: &mut Scenario) {
        // Each kind of fault has draws of its own: one more of a kind leaves the others as they were.
        let draw = |kind: u64| Seeds::of(seed).draw(Purpose::Faults, kind);
        let (nodes, sparing) = (self.nodes, self.seeds_count);
        let mut add = |at: Duration, fault: Fault| scenario.schedule.push(swim_sim::Timed { at, fault });
        if let Some(share) = self.crash {
            let at = self.crash_at.unwrap_or(self.duration / 2);
            for slot in share.pick(nodes, sparing, &mut draw(1)) {
                add(at, Fault::Crash { slot, how: self.crash_kind.into() });
                if let Some(after) = self.restart_after {
                    add(at + after, Fault::Restart { slot, how: self.restart_how.into() });
                }
            }
        }
        let each = |kind: u64, who: &[(Who, Duration, Duration)], add: &mut dyn FnMut(Duration, u32, Duration)| {
            let mut draw: Draw = draw(kind);
            for &(who, at, lasting) in who {
                who.pick(nodes, sparing, &mut draw).into_iter().for_each(|slot| add(at, slot, lasting));
            }
        };
        let how = self.restart_how.into();
        each(2, &moments(&self.restart), &mut |at, slot, _| add(at, Fault::Restart { slot, how }));
        each(3, &moments(&self.leave), &mut |at, slot, _| add(at, Fault::Leave { slot }));
        each(4, &moments(&self.set_metadata), &mut |at, slot, _| add(at, Fault::Metadata { slot, len: 64 }));
        each(5, &spells(&self.pause), &mut |at, slot, lasting| add(at, Fault::Pause { slot, lasting }));
        each(6, &spells(&self.block), &mut |at, slot, lasting| add(at, Fault::Block { slot, lasting }));
        let slowly = self.slow_each;
        each(9, &spells(&self.slow), &mut |at, slot, lasting| add(at, Fault::Slow { slot, lasting, each: slowly }));
        let half = Chance::percent(50.0);
        let fault = LinkFault { outbound: half, inbound: half, ..LinkFault::default() };
        each(7, &spells(&self.flaky), &mut |at, slot, lasting| add(at, Fault::Link { slot, fault, lasting }));
        let fault = LinkFault { no_datagrams: true, ..LinkFault::default() };
        each(10, &spells(&self.no_datagrams), &mut |at, slot, lasting| add(at, Fault::Link { slot, fault, lasting }));
        each(11, &moments(&self.cut_links), &mut |at, slot, _| {
            add(at, Fault::CutLinks { slot, how: LinkCut::Broken });
        });
        each(12, &spells(&self.stall_links), &mut |at, slot, lasting| add(at, Fault::StallLinks { slot, lasting }));
        let how = Lossy { lost: Chance::percent(10.0), repeated: Chance::percent(10.0) };
        each(13, &spells(&self.lossy_links), &mut |at, slot, lasting| {
            add(at, Fault::LossyLinks { slot, how, lasting })
        });
        let slowly = self.slow_reader_each;
        each(14, &spells(&self.slow_reader), &mut |at, slot, lasting| {
            add(at, Fault::SlowReader { slot, each: slowly, lasting });
        });
        let mut draw = draw(8);
        for parting in &self.partition {
            let (partition, flips) = parting.draw(nodes, &mut draw);
            add(parting.at, Fault::Partition { partition, lasting: parting.lasting, flips });
        }
    }
}

/// One spell, or `none`.
fn spells_or_none(text: &str) -> Result<Vec<Spell>, String> {
    if text == "none" { Ok(Vec::new()) } else { spell(text).map(|spell| vec![spell]) }
}

fn moments(moments: &[Moment]) -> Vec<(Who, Duration, Duration)> {
    moments.iter().map(|moment| (moment.who, moment.at, Duration::ZERO)).collect()
}

fn spells(spells: &[Spell]) -> Vec<(Who, Duration, Duration)> {
    spells.iter().map(|spell| (spell.who, spell.at, spell.lasting)).collect()
}

impl From<Paths> for Transport {
    fn from(paths: Paths) -> Transport {
        match paths {
            Paths::Udp => Transport::Datagram,
            Paths::Tcp => Transport::Stream,
            Paths::Hybrid => Transport::Hybrid,
        }
    }
}

impl From<CrashKind> for Crash {
    fn from(kind: CrashKind) -> Crash {
        match kind {
            CrashKind::Process => Crash::Process,
            CrashKind::Host => Crash::Host,
        }
    }
}

impl From<RestartHow> for Restart {
    fn from(how: RestartHow) -> Restart {
        match how {
            RestartHow::WithState => Restart::WithState,
            RestartHow::WithoutState => Restart::WithoutState,
            RestartHow::ClockBack => Restart::ClockBack,
            RestartHow::NewAddress => Restart::NewAddress,
            RestartHow::WithoutEndpoint => Restart::WithoutEndpoint,
        }
    }
}
