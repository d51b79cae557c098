//! The protocol's settings as people write them: one table that drives the agent's file, environment, `--set`, help and
//! docs, and the simulator's `--set` and `--vary`.
//!
//! Each row is a field of [`Config`] under the field's own name, or of [`MessagingConfig`], whose rows stand in a table
//! of their own ([`MESSAGING`]) because some names are in both. A test takes the fields' names from these types
//! themselves and fails when one of them has no row here.
//!
//! ```
//! let mut config = swim_proto::Config::lan();
//! let setting = swim_settings::find("probe_interval").expect("it is a field of Config");
//! setting.set(&mut config, "1500ms").expect("it is a duration");
//! assert_eq!(config.probe_interval.as_millis(), 1500);
//! assert_eq!(setting.set(&mut config, "soon"), Err("a duration with its unit, such as 500ms, 10s or 72h".into()));
//! ```

use std::time::Duration;

use swim_proto::messaging::MessagingConfig;
use swim_proto::{Config, ConfigError, Transport, VERSIONS, Versions};

mod messaging;

pub use messaging::{MESSAGING, MESSAGING_PREFIX, find_messaging};

/// What settings are of: [`Config`] or [`MessagingConfig`].
pub trait Settings: Clone + 'static {
    /// With every setting at the value it has if nothing else is said.
    fn usual() -> Self;
    /// Whether everything is within its bounds.
    fn check(&self) -> Result<(), ConfigError>;
}

impl Settings for Config {
    fn usual() -> Config {
        Config::lan()
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.validate()
    }
}

impl Settings for MessagingConfig {
    fn usual() -> MessagingConfig {
        MessagingConfig::default()
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.validate()
    }
}

/// A field of a configuration that can be set from outside.
pub struct Setting<C: Settings = Config> {
    /// The field's name: the key in the file and in `--set`; in capitals after `SWIM_`, the variable.
    pub key: &'static str,
    /// What kind of value it takes, and where it is kept.
    pub field: Field<C>,
    /// What it does, in one sentence.
    pub meaning: &'static str,
}

/// Where a setting is kept, by the kind of its value.
pub enum Field<C: Settings = Config> {
    /// One of these words: how it is shown, and how it is set, if it is one.
    Word(&'static [&'static str], fn(&C) -> &'static str, fn(&mut C, &str) -> bool),
    /// Any text.
    Text(fn(&mut C) -> &mut String),
    /// On or off.
    Switch(fn(&mut C) -> &mut bool),
    /// A duration with its unit.
    Time(fn(&mut C) -> &mut Duration),
    /// A number with decimals.
    Factor(fn(&mut C) -> &mut f64),
    /// A small count.
    Count8(fn(&mut C) -> &mut u8),
    /// A count.
    Count16(fn(&mut C) -> &mut u16),
    /// A large count.
    Count32(fn(&mut C) -> &mut u32),
    /// A very large one.
    Count64(fn(&mut C) -> &mut u64),
    /// Four shares: `8,4,2,1`.
    Shares(fn(&mut C) -> &mut [u8; 4]),
    /// The least and the greatest of some numbers: `1..2`, or `1` for both.
    Span(fn(&mut C) -> &mut Versions),
}

use Field::{Count8, Count16, Count32, Count64, Factor, Shares, Span, Switch, Text, Time, Word};

const fn row<C: Settings>(key: &'static str, field: Field<C>, meaning: &'static str) -> Setting<C> {
    Setting { key, field, meaning }
}

/// Every setting, in the order of [`Config`].
pub static SETTINGS: &[Setting] = &[
    row("cluster", Text(|c| &mut c.cluster), "The cluster's name; packets of any other cluster are dropped"),
    row("members_max", Count32(|c| &mut c.members_max), "Most members known at once, live and dead together"),
    row("probe_interval", Time(|c| &mut c.probe_interval), "How often a member is probed"),
    row(
        "probe_timeout",
        Time(|c| &mut c.probe_timeout),
        "How long a direct ping may take before others are asked to try; at most two thirds of probe_interval",
    ),
    row(
        "adaptive_timeout",
        Switch(|c| &mut c.adaptive_timeout),
        "The time-out follows each member's measured round trips, between an eighth of probe_timeout and all of it",
    ),
    row(
        "indirect_probes",
        Count8(|c| &mut c.indirect_probes),
        "How many members are asked to ping one that did not answer",
    ),
    row("retry_probe", Switch(|c| &mut c.retry_probe), "Ping the target once more when others are asked to"),
    row("stream_probe", Switch(|c| &mut c.stream_probe), "Beside the indirect probes, ping over TCP"),
    row(
        "nack",
        Switch(|c| &mut c.nack),
        "Helpers that get no answer say so, which tells a sick prober from a sick target",
    ),
    row("lha_probe", Switch(|c| &mut c.lha_probe), "A node that doubts its own health probes slower (Lifeguard)"),
    row(
        "health_max",
        Count8(|c| &mut c.health_max),
        "How far a node may doubt itself; it probes up to 1 + this slower",
    ),
    row(
        "health_counts_nacked_failure",
        Switch(|c| &mut c.health_counts_nacked_failure),
        "A failed probe counts against our own health even when every helper answered, as Lifeguard was published",
    ),
    row(
        "suspicion_alpha",
        Factor(|c| &mut c.suspicion_alpha),
        "A suspicion lasts at least this times max(1, log10 of the cluster's size) probe intervals",
    ),
    row("suspicion_beta", Factor(|c| &mut c.suspicion_beta), "A suspicion lasts at most this times its least"),
    row(
        "suspicion_confirmations",
        Count8(|c| &mut c.suspicion_confirmations),
        "How many further accusers bring a suspicion from its most to its least",
    ),
    row(
        "solicited_confirmations",
        Count8(|c| &mut c.solicited_confirmations),
        "How many members, on average, probe a suspect as soon as they hear of it; 0: none",
    ),
    row(
        "lha_suspicion",
        Switch(|c| &mut c.lha_suspicion),
        "A suspicion starts long and shortens as others confirm it (Lifeguard); off: always the least",
    ),
    row("buddy", Switch(|c| &mut c.buddy), "Whoever pings a suspected member tells it so at once (Lifeguard)"),
    row(
        "verify_burial",
        Switch(|c| &mut c.verify_burial),
        "Before declaring a suspect dead, ping it once more and ask others what they hold",
    ),
    row(
        "retransmit_mult",
        Count8(|c| &mut c.retransmit_mult),
        "Each piece of news is sent this times ceil(log10(n + 1)) times by each member",
    ),
    row("gossip_interval", Time(|c| &mut c.gossip_interval), "How often news is gossiped while there is any"),
    row("gossip_fanout", Count8(|c| &mut c.gossip_fanout), "To how many members each time"),
    row(
        "gossip_to_dead",
        Time(|c| &mut c.gossip_to_dead),
        "For how long the dead are still gossiped to, so that the falsely buried hear of it",
    ),
    row("reach_all", Switch(|c| &mut c.reach_all), "Small clusters are told in turn, and strangers who ping are met"),
    row("count_heard", Switch(|c| &mut c.count_heard), "News heard back from others counts as sent"),
    row("echo", Switch(|c| &mut c.echo), "Old news is answered with what is held here"),
    row(
        "sync_interval",
        Time(|c| &mut c.sync_interval),
        "How often state is compared with a random member over TCP; 0s: never",
    ),
    row(
        "syncs_max",
        Count16(|c| &mut c.syncs_max),
        "Most comparisons served at once; beyond it joiners are sent elsewhere",
    ),
    row("streams_max", Count16(|c| &mut c.streams_max), "Most TCP connections at once, both ways; more are refused"),
    row(
        "host_share_percent",
        Count8(|c| &mut c.host_share_percent),
        "How much of the connections and comparisons that others may hold one IP address may have, in percent",
    ),
    row(
        "stream_timeout",
        Time(|c| &mut c.stream_timeout),
        "A TCP connection that moves nothing for this long, or lasts six times as long, is cut",
    ),
    row(
        "join_retry_min",
        Time(|c| &mut c.join_retry_min),
        "The wait before a failed join is tried again; it doubles with each attempt",
    ),
    row("join_retry_max", Time(|c| &mut c.join_retry_max), "The longest wait between attempts to join"),
    row(
        "heal_interval",
        Time(|c| &mut c.heal_interval),
        "How often a dead member or a seed is tried, so that a partition heals by itself; 0s: never",
    ),
    row(
        "tombstone_retention",
        Time(|c| &mut c.tombstone_retention),
        "How long dead and departed members are remembered",
    ),
    row(
        "tombstones_max",
        Count32(|c| &mut c.tombstones_max),
        "Most dead and departed members remembered; more than can die or leave within minutes (protocol 2.8)",
    ),
    row("leave_timeout", Time(|c| &mut c.leave_timeout), "How long a leaving node spreads its departure at most"),
    row(
        "stall_min",
        Time(|c| &mut c.stall_min),
        "Being this late oneself voids the running probes and stops suspicion time; 0s: never",
    ),
    row(
        "stall_max",
        Time(|c| &mut c.stall_max),
        "How long silence from everyone holds suspicion time still before the node calls itself isolated; 0s: never",
    ),
    row(
        "newcomers_per_datagram",
        Count16(|c| &mut c.newcomers_per_datagram),
        "Most members that one datagram may make known; the rest is left to the next comparison",
    ),
    row(
        "rate_in",
        Count32(|c| &mut c.rate_in),
        "Bytes of datagrams taken in per second, at least 4096; above it only probing is heard; 0: no limit",
    ),
    row(
        "rate_out",
        Count32(|c| &mut c.rate_out),
        "Bytes of datagrams sent per second, at least 4096; above it only probing and refutations are sent; 0: no limit",
    ),
    row("rate_burst", Count32(|c| &mut c.rate_burst), "Bytes that may come or go at once under these rates"),
    row(
        "adaptive_interval",
        Switch(|c| &mut c.adaptive_interval),
        "While the node does not keep up, its protocol period grows up to four times as long",
    ),
    row(
        "versions",
        Span(|c| &mut c.versions),
        "The versions of the wire format it speaks, as 1..2 or 1; each peer is spoken to in the highest both know",
    ),
    row(
        "broadcast_inline_max",
        Count16(|c| &mut c.broadcast_inline_max),
        "The longest broadcast that is gossiped whole, in bytes; a longer one is announced, and fetched over TCP",
    ),
    row(
        "broadcasts_max",
        Count32(|c| &mut c.broadcasts_max),
        "Most broadcasts that wait to be told or fetched; beyond it others' are given up and our own refused",
    ),
    row(
        "broadcast_bytes_max",
        Count32(|c| &mut c.broadcast_bytes_max),
        "Most bytes of payload in them, with the same beyond it",
    ),
    row(
        "datagram_max",
        Count16(|c| &mut c.datagram_max),
        "Most bytes of a datagram, headers of UDP and IP not counted",
    ),
    row(
        "transport",
        Word(&["udp", "tcp", "hybrid"], |c| c.transport.name(), set_transport),
        "By which paths members are reached: udp (TCP for exchanges of state alone), tcp (nothing by UDP, which is not even bound), or hybrid (TCP for the members that UDP does not reach)",
    ),
    row(
        "carriers_max",
        Count16(|c| &mut c.carriers_max),
        "Most TCP connections that stand in for UDP kept while nothing is to be sent on them; the one unused for longest makes room",
    ),
    row("carrier_idle", Time(|c| &mut c.carrier_idle), "How long such a connection is kept when nothing is sent on it"),
];

fn set_transport(config: &mut Config, text: &str) -> bool {
    let found = Transport::of_name(text);
    config.transport = found.unwrap_or(config.transport);
    found.is_some()
}

/// The setting of this name.
pub fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

impl<C: Settings> Setting<C> {
    /// Sets it in `config` from its text, whose form it checks; as an error, the end of "it must be …". The bounds of
    /// what has the right form are [`Config::validate`]'s.
    pub fn set(&self, config: &mut C, text: &str) -> Result<(), String> {
        fn put<T: std::str::FromStr>(field: &mut T, text: &str) -> Option<()> {
            *field = text.parse().ok()?;
            Some(())
        }
        let is_set = match self.field {
            Word(_, _, set) => set(config, text).then_some(()),
            Text(field) => put(field(config), text),
            Switch(field) => put(field(config), text),
            Factor(field) => put(field(config), text),
            Count8(field) => put(field(config), text),
            Count16(field) => put(field(config), text),
            Count32(field) => put(field(config), text),
            Count64(field) => put(field(config), text),
            Shares(field) => parse_shares(text).map(|shares| *field(config) = shares),
            Span(field) => parse_span(text).map(|span| *field(config) = span),
            Time(field) => humantime::parse_duration(text).ok().map(|duration| *field(config) = duration),
        };
        is_set.ok_or_else(|| match self.field {
            Word(words, ..) => one_of(words),
            Text(_) => "text".to_owned(),
            Switch(_) => "true or false".to_owned(),
            Time(_) => "a duration with its unit, such as 500ms, 10s or 72h".to_owned(),
            Span(_) => format!("one number or two with .. between, such as 1..2, from {}", self.bounds()),
            Factor(_) => format!("a number from {}", self.bounds()),
            Shares(_) => format!("four whole numbers such as 8,4,2,1, each from {}", self.bounds()),
            Count8(_) | Count16(_) | Count32(_) | Count64(_) => format!("a whole number from {}", self.bounds()),
        })
    }

    /// Its value in `config`, as [`Setting::set`] would take it.
    pub fn show(&self, config: &C) -> String {
        let config = &mut config.clone();
        match self.field {
            Word(_, show, _) => show(config).to_owned(),
            Text(field) => field(config).clone(),
            Switch(field) => field(config).to_string(),
            Time(field) => show_duration(*field(config)),
            Factor(field) => field(config).to_string(),
            Count8(field) => field(config).to_string(),
            Count16(field) => field(config).to_string(),
            Count32(field) => field(config).to_string(),
            Count64(field) => field(config).to_string(),
            Shares(field) => field(config).map(|share| share.to_string()).join(","),
            Span(field) => {
                let Versions { min, max } = *field(config);
                format!("{min}..{max}")
            }
        }
    }

    /// A number within this setting's bounds, as people write it: seconds become durations.
    pub fn show_number(&self, value: f64) -> String {
        match self.field {
            Time(_) => Duration::try_from_secs_f64(value).map_or_else(|_| format!("{value}s"), show_duration),
            _ => value.to_string(),
        }
    }

    /// Its bounds in words, asked of [`Config::validate`] itself: a value beyond them is refused with them.
    pub fn bounds(&self) -> String {
        const BEYOND: f64 = 1e12;
        let extremes = |config: &mut C, end: End| match self.field {
            Word(..) | Text(_) | Switch(_) | Span(_) => {}
            Time(field) => *field(config) = Duration::from_secs(end.of(BEYOND as u64)),
            Factor(field) => *field(config) = if end == End::Greatest { BEYOND } else { -BEYOND },
            Count8(field) => *field(config) = end.of(u8::MAX),
            Count16(field) => *field(config) = end.of(u16::MAX),
            Count32(field) => *field(config) = end.of(u32::MAX),
            Count64(field) => *field(config) = end.of(u64::MAX),
            Shares(field) => *field(config) = [end.of(u8::MAX); 4],
        };
        // The least end first: that of join_retry_max would otherwise be told as whatever join_retry_min is. Where neither
        // is refused, 0 means something of its own, and 1 is too little.
        for end in [End::Least, End::Greatest, End::One] {
            let mut config = C::usual();
            extremes(&mut config, end);
            if let Err(ConfigError::OutOfRange { setting, min, max, .. }) = config.check()
                && setting == self.key
            {
                let or_none = if end == End::One { "0, or " } else { "" };
                return format!("{or_none}{} to {}", self.show_number(min), self.show_number(max));
            }
            if let Err(ConfigError::ZeroOrRange { setting, min, max, .. }) = config.check()
                && setting == self.key
            {
                return format!("0s, or {} to {}", self.show_number(min), self.show_number(max));
            }
        }
        match self.field {
            Word(words, ..) => one_of(words),
            Text(_) => "1 to 255 bytes".to_owned(),
            Span(_) => format!("{} to {}", VERSIONS.min, VERSIONS.max),
            // All that the type holds.
            Count8(_) => format!("{} to {}", u8::MIN, u8::MAX),
            _ => "true or false".to_owned(),
        }
    }
}

/// A value that may be beyond a setting's bounds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Least,
    Greatest,
    One,
}

impl End {
    fn of<N: From<u8>>(self, greatest: N) -> N {
        match self {
            End::Least => N::from(0),
            End::Greatest => greatest,
            End::One => N::from(1),
        }
    }
}

fn parse_shares(text: &str) -> Option<[u8; 4]> {
    let shares: Vec<u8> = text.split(',').map(|share| share.trim().parse().ok()).collect::<Option<_>>()?;
    shares.try_into().ok()
}

fn parse_span(text: &str) -> Option<Versions> {
    let (min, max) = text.split_once("..").unwrap_or((text, text));
    Some(Versions { min: min.trim().parse().ok()?, max: max.trim().parse().ok()? })
}

/// `a, b or c`.
fn one_of(words: &[&str]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        words => words.concat(),
    }
}

/// A duration in its largest unit that leaves no fraction: `72h`, `1500ms`, `0s`.
pub fn show_duration(duration: Duration) -> String {
    const UNITS: [(u128, &str); 7] = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let (unit, name) = UNITS.into_iter().find(|(unit, _)| nanos.is_multiple_of(*unit)).unwrap_or(UNITS[6]);
    format!("{}{name}", nanos / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of a configuration's fields, as its own `Debug` tells them.
    pub(super) fn fields_of(config: &impl std::fmt::Debug) -> Vec<String> {
        let debug = format!("{config:#?}");
        let fields = debug.lines().filter_map(|line| line.strip_prefix("    "));
        fields
            .filter(|line| !line.starts_with([' ', '}', ']']))
            .map(|line| line.split(':').next().unwrap().to_owned())
            .collect()
    }

    /// Compares, or replaces, what stands in the operators' manual between `head` and the next end of settings.
    pub(super) fn documented_as(head: &str, table: &str) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
        // Two tests write to it.
        static MANUAL: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _alone = MANUAL.lock();
        let manual = std::fs::read_to_string(path).unwrap();
        let (before, rest) = manual.split_once(head).unwrap();
        let (found, after) = rest.split_once("<!-- settings end -->").unwrap();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, format!("{before}{head}{table}<!-- settings end -->{after}")).unwrap();
        } else {
            assert_eq!(found, table, "UPDATE_DOCS=1 writes it anew");
        }
    }

    #[test]
    fn every_field_of_config_can_be_set_and_no_other() {
        let keys: Vec<_> = SETTINGS.iter().map(|setting| setting.key).collect();
        assert_eq!(keys, fields_of(&Config::lan()));
        assert!(keys.len() > 30, "the fields' names were found: {keys:?}");
    }

    #[test]
    fn a_setting_changes_its_own_field_and_leaves_the_others() {
        for setting in SETTINGS {
            let mut config = Config::lan();
            let other = match setting.field {
                Word(words, show, _) => words.iter().find(|&&word| word != show(&config)).unwrap(),
                Text(_) => "another",
                Switch(_) => ["true", "false"][usize::from(setting.show(&config) == "true")],
                Time(_) => "4711ms",
                Factor(_) => "7.25",
                Count8(_) | Count16(_) | Count32(_) | Count64(_) => "77",
                Shares(_) => "7,5,3,2",
                Span(_) => "1..1",
            };
            setting.set(&mut config, other).unwrap();
            assert_eq!(setting.show(&config), other);
            let changed = SETTINGS.iter().filter(|each| each.show(&config) != each.show(&Config::lan()));
            let changed: Vec<_> = changed.map(|each| each.key).collect();
            assert_eq!(changed, [setting.key]);
        }
    }

    #[test]
    fn what_is_shown_can_be_set_again() {
        for config in [Config::lan(), Config::wan(), Config::local()] {
            let mut copy = Config::published(swim_proto::Variant::Swim);
            for setting in SETTINGS {
                setting.set(&mut copy, &setting.show(&config)).unwrap();
            }
            assert_eq!(copy, config);
        }
    }

    #[test]
    fn every_number_and_duration_has_bounds_that_its_validation_knows() {
        for setting in SETTINGS {
            let bounds = setting.bounds();
            assert_eq!(
                bounds.contains(" to "),
                !matches!(setting.field, Switch(_) | Word(..)),
                "{}: {bounds}",
                setting.key
            );
        }
        assert_eq!(find("probe_interval").unwrap().bounds(), "1ms to 365d");
        assert_eq!(find("sync_interval").unwrap().bounds(), "0s, or 1ms to 365d");
        assert_eq!(find("stall_min").unwrap().bounds(), "0s, or 50ms to 365d");
        assert_eq!(find("stall_max").unwrap().bounds(), "0s to 365d");
        assert_eq!(find("suspicion_alpha").unwrap().bounds(), "0.5 to 100");
        assert_eq!(find("streams_max").unwrap().bounds(), "2 to 65535");
    }

    /// The table of `docs/operations.md`.
    fn documented() -> String {
        let mut table = String::from("| key | lan | wan | local | bounds | meaning |\n|---|---|---|---|---|---|\n");
        for setting in SETTINGS {
            let values = [Config::lan(), Config::wan(), Config::local()].map(|config| setting.show(&config));
            let (key, values) = (setting.key, values.join(" | "));
            table += &format!("| `{key}` | {values} | {} | {}. |\n", setting.bounds(), setting.meaning);
        }
        table
    }

    #[test]
    fn the_operators_manual_lists_every_setting_as_it_is() {
        documented_as("<!-- settings: generated; UPDATE_DOCS=1 cargo test -p swim-settings -->\n", &documented());
    }

    #[test]
    fn durations_are_shown_in_their_largest_whole_unit() {
        for (nanos, shown) in [
            (0, "0s"),
            (1, "1ns"),
            (500_000_000, "500ms"),
            (1_500_000_000, "1500ms"),
            (60_000_000_000, "1m"),
            (72 * 3_600_000_000_000, "3d"),
        ] {
            assert_eq!(show_duration(Duration::from_nanos(nanos)), shown);
        }
    }
}
