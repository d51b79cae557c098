//! The agent's configuration: file, environment and flags laid over one another, and the whole checked.
//!
//! Precedence rises from file to environment to flags. What is given in a higher place replaces the same key of a
//! lower one: seeds as a whole, tags one by one, protocol settings one by one over the chosen profile. Every value is
//! checked where it stands, even one that is overridden: a file with a mistake in it should not work by luck.

use std::collections::BTreeMap;
use std::time::Duration;

use swim_proto::messaging::MessagingConfig;
use swim_proto::{Config, ConfigError, NAME_MAX};
use tracing::level_filters::LevelFilter;

use crate::address::{self, For};
use crate::driver::Driver;
use crate::given::{Given, Key, Origin};
use crate::suggest;
use crate::tags::{self, Tags};
use swim_settings::{self as settings, Setting};

/// What the agent runs with.
#[derive(Clone, Debug)]
pub(crate) struct AgentConfig {
    /// Where to bind, `HOST:PORT`.
    pub(crate) addr: String,
    /// What others are told, if not that.
    pub(crate) advertise: Option<String>,
    /// Where what the start depends on was said.
    pub(crate) places: Places,
    /// Whom to join by.
    pub(crate) seeds: Vec<String>,
    /// The member's name, if not its address.
    pub(crate) name: Option<String>,
    /// The tags, as metadata.
    pub(crate) metadata: Vec<u8>,
    /// How long opening a stream may take.
    pub(crate) connect_timeout: Duration,
    /// After how long a lookup of a seed has failed.
    pub(crate) resolve_timeout: Duration,
    /// The preset.
    pub(crate) profile: Profile,
    /// The protocol's settings: the preset and what was changed.
    pub(crate) protocol: Config,
    /// What was changed, and where: for the log.
    pub(crate) changed: Vec<String>,
    /// How much is logged.
    pub(crate) log_level: LevelFilter,
    /// JSON lines instead of text.
    pub(crate) json: bool,
    /// Commands are taken from stdin.
    pub(crate) stdin_commands: bool,
    /// What moves bytes and time.
    pub(crate) driver: Driver,
    /// How far above the membership's port that for messages is; none: no messages.
    pub(crate) zmq_port_offset: Option<u16>,
    /// The settings of messages.
    pub(crate) messaging: MessagingConfig,
}

/// Where addresses were said, for what turns out when they are used: a flag, a variable, or a line of a file.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) addr: String,
    pub(crate) advertise: String,
    pub(crate) zmq_port_offset: String,
}

impl Default for Places {
    fn default() -> Places {
        let [addr, advertise, zmq_port_offset] = ["--addr", "--advertise", "--zmq-port-offset"].map(str::to_owned);
        Places { addr, advertise, zmq_port_offset }
    }
}

impl AgentConfig {
    /// The keys whose values differ, the tags apart: what a running agent cannot change.
    pub(crate) fn differences(&self, other: &AgentConfig) -> Vec<&'static str> {
        // Taken apart, so that whatever is added is compared as well.
        let AgentConfig {
            addr,
            advertise,
            places: _,
            seeds,
            name,
            metadata: _,
            connect_timeout,
            resolve_timeout,
            profile,
            protocol,
            changed: _,
            log_level,
            json,
            stdin_commands,
            driver,
            zmq_port_offset,
            messaging,
        } = self;
        let options = [
            ("addr", *addr != other.addr),
            ("advertise", *advertise != other.advertise),
            ("seeds", *seeds != other.seeds),
            ("name", *name != other.name),
            ("connect_timeout", *connect_timeout != other.connect_timeout),
            ("resolve_timeout", *resolve_timeout != other.resolve_timeout),
            ("profile", *profile != other.profile),
            ("log_level", *log_level != other.log_level),
            ("json_logging", *json != other.json),
            ("stdin_commands", *stdin_commands != other.stdin_commands),
            ("driver", *driver != other.driver),
            ("zmq_port_offset", *zmq_port_offset != other.zmq_port_offset),
        ];
        let options = options.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key);
        let settings =
            settings::SETTINGS.iter().filter(|setting| setting.show(protocol) != setting.show(&other.protocol));
        let of_messages =
            settings::MESSAGING.iter().filter(|setting| setting.show(messaging) != setting.show(&other.messaging));
        options.chain(settings.map(|setting| setting.key)).chain(of_messages.map(|setting| setting.key)).collect()
    }
}

/// A preset of protocol settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Profile {
    /// [`Config::lan`].
    #[default]
    Lan,
    /// [`Config::wan`].
    Wan,
    /// [`Config::local`].
    Local,
}

impl Profile {
    /// All of them by name.
    pub(crate) const ALL: [(&str, Profile); 3] =
        [("lan", Profile::Lan), ("wan", Profile::Wan), ("local", Profile::Local)];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Profile::Lan => "lan",
            Profile::Wan => "wan",
            Profile::Local => "local",
        }
    }

    /// Its settings.
    pub(crate) fn settings(self) -> Config {
        match self {
            Profile::Lan => Config::lan(),
            Profile::Wan => Config::wan(),
            Profile::Local => Config::local(),
        }
    }

    /// The profile of this name; as an error, what would be right.
    pub(crate) fn parse(text: &str) -> Result<Profile, String> {
        let text = text.trim();
        let found = Profile::ALL.into_iter().find(|(name, _)| *name == text);
        found.map(|(_, profile)| profile).ok_or_else(|| {
            let hint = suggest::did_you_mean(text, Profile::ALL.map(|(name, _)| name));
            format!("{text:?} is not a profile; it must be lan, wan or local{hint}")
        })
    }
}

const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

/// Lays the layers, lowest first, over one another. As an error, everything wrong with them, after the `problems` met
/// when they were read.
pub(crate) fn merge(layers: &[Vec<Given>], problems: Vec<String>) -> Result<AgentConfig, Vec<String>> {
    let mut said = Said { problems, ..Said::default() };
    for layer in layers {
        said.add(layer);
    }
    let config = said.decide();
    if said.problems.is_empty() { Ok(config) } else { Err(said.problems) }
}

/// What was said last about each thing.
#[derive(Default)]
struct Said {
    addr: Option<String>,
    advertise: Option<String>,
    places: Places,
    seeds: Vec<String>,
    name: Option<String>,
    tags: Tags,
    tags_origin: Option<Origin>,
    connect_timeout: Option<Duration>,
    resolve_timeout: Option<Duration>,
    profile: Profile,
    log_level: Option<LevelFilter>,
    json: bool,
    stdin_commands: bool,
    driver: Driver,
    zmq_port_offset: Option<u16>,
    no_zmq: bool,
    messaging: BTreeMap<&'static str, (&'static Setting<MessagingConfig>, String, Origin)>,
    protocol: BTreeMap<&'static str, (&'static Setting, String, Origin)>,
    problems: Vec<String>,
}

impl Said {
    fn add(&mut self, layer: &[Given]) {
        self.refuse_doubles(layer);
        if layer.iter().any(|given| matches!(given.key, Key::Seeds)) {
            self.seeds.clear();
        }
        for given in layer {
            if let Err(problem) = self.take(given) {
                self.problems.push(format!("{}: {problem}", given.origin));
            }
        }
    }

    fn take(&mut self, given: &Given) -> Result<(), String> {
        let text = given.text.trim();
        match given.key {
            Key::Addr => {
                address::check(text, For::Binding)?;
                self.addr = Some(text.to_owned());
                self.places.addr = given.origin.to_string();
            }
            Key::Advertise => {
                address::check(text, For::Telling)?;
                self.advertise = Some(text.to_owned());
                self.places.advertise = given.origin.to_string();
            }
            Key::Seeds => {
                for seed in text.split([',', ' ', '\t', '\n']).filter(|seed| !seed.is_empty()) {
                    address::check(seed, For::Asking)?;
                    self.seeds.push(seed.to_owned());
                }
            }
            Key::Name => self.name = Some(check_name(text)?),
            Key::Tag => {
                let (key, value) = tags::parse(text)?;
                self.tags.insert(key, value);
                self.tags_origin = Some(given.origin.clone());
            }
            Key::Profile => self.profile = Profile::parse(text)?,
            Key::ConnectTimeout => self.connect_timeout = Some(parse_timeout(text)?),
            Key::ResolveTimeout => self.resolve_timeout = Some(parse_timeout(text)?),
            Key::LogLevel => self.log_level = Some(parse_level(text)?),
            Key::JsonLogging => self.json = parse_switch(text)?,
            Key::StdinCommands => self.stdin_commands = parse_switch(text)?,
            Key::ZmqPortOffset => {
                self.zmq_port_offset = Some(parse_offset(text)?);
                self.places.zmq_port_offset = given.origin.to_string();
            }
            Key::NoZmq => self.no_zmq = parse_switch(text)?,
            Key::Driver => self.driver = Driver::parse(text)?,
            Key::Messaging(setting) => {
                let wanted = |wanted| format!("{text:?} must be {wanted}");
                setting.set(&mut MessagingConfig::default(), text).map_err(wanted)?;
                self.messaging.insert(setting.key, (setting, text.to_owned(), given.origin.clone()));
            }
            Key::Protocol(setting) => {
                let wanted = |wanted| format!("{text:?} must be {wanted}");
                setting.set(&mut Config::lan(), text).map_err(wanted)?;
                self.protocol.insert(setting.key, (setting, text.to_owned(), given.origin.clone()));
            }
        }
        Ok(())
    }

    /// Within one layer a tag or a setting is said once: which of two was meant, nobody can tell.
    fn refuse_doubles(&mut self, layer: &[Given]) {
        let mut seen = BTreeMap::new();
        for given in layer {
            let what = match given.key {
                Key::Tag => given.text.split('=').next().map(|key| format!("the tag {:?}", key.trim())),
                Key::Protocol(setting) => Some(setting.key.to_owned()),
                Key::Messaging(setting) => Some(format!("{}{}", settings::MESSAGING_PREFIX, setting.key)),
                _ => None,
            };
            let Some(what) = what else { continue };
            if let Some(earlier) = seen.insert(what.clone(), given) {
                let texts = format!("{:?} and {:?}", earlier.text.trim(), given.text.trim());
                self.problems.push(format!("{}: {what} is given twice ({texts}); give it once", given.origin));
            }
        }
    }

    fn decide(&mut self) -> AgentConfig {
        let addr = self.addr.take().unwrap_or_else(|| {
            // With other problems about, it may have been given where something could not be read.
            if self.problems.is_empty() {
                let how = "give --addr HOST:PORT, such as --addr 127.0.0.1:5000 (or SWIM_ADDR, or addr in the file)";
                self.problems.push(format!("no address to listen on; {how}"));
            }
            String::new()
        });
        let metadata = tags::encode(&self.tags).unwrap_or_else(|len| {
            let origin = self.tags_origin.as_ref().map(|origin| format!("{origin}: ")).unwrap_or_default();
            self.problems.push(format!("{origin}the tags need {len} bytes together; 512 is the most a member carries"));
            Vec::new()
        });
        let protocol = self.settings();
        let messaging = self.messages();
        let changed = self.protocol.values().map(|(setting, text, origin)| (setting.key, text, origin));
        let changed = changed.chain(self.messaging.values().map(|(setting, text, origin)| (setting.key, text, origin)));
        AgentConfig {
            addr,
            advertise: self.advertise.take(),
            places: std::mem::take(&mut self.places),
            seeds: std::mem::take(&mut self.seeds),
            name: self.name.take(),
            metadata,
            connect_timeout: self.connect_timeout.unwrap_or(Duration::from_secs(5)),
            resolve_timeout: self.resolve_timeout.unwrap_or(Duration::from_secs(20)),
            profile: self.profile,
            changed: changed.map(|(key, text, origin)| format!("{key} = {text} ({origin})")).collect(),
            protocol,
            log_level: self.log_level.unwrap_or(LevelFilter::INFO),
            json: self.json,
            stdin_commands: self.stdin_commands,
            driver: self.driver,
            zmq_port_offset: (!self.no_zmq).then_some(self.zmq_port_offset.unwrap_or(1000)),
            messaging,
        }
    }

    fn settings(&mut self) -> Config {
        let mut config = self.profile.settings();
        for (setting, text, _) in self.protocol.values() {
            // Its form was checked when it was taken.
            let _ = setting.set(&mut config, text);
        }
        if let Err(error) = config.validate() {
            let problem = self.blame(&error);
            self.problems.push(problem);
        }
        config
    }

    fn messages(&mut self) -> MessagingConfig {
        let mut config = MessagingConfig::default();
        for (setting, text, _) in self.messaging.values() {
            // Its form was checked when it was taken.
            let _ = setting.set(&mut config, text);
        }
        if let Err(error) = config.validate() {
            let problem = match &error {
                ConfigError::OutOfRange { setting: key, value, min, max } => {
                    let show = |value: f64| {
                        settings::find_messaging(key)
                            .map_or_else(|| value.to_string(), |setting| setting.show_number(value))
                    };
                    // It may be another that moved its bounds.
                    let at = self.messaging.get(key).map(|(.., origin)| origin);
                    let at = at.or(self.messaging.values().map(|(.., origin)| origin).next());
                    let at = at.map(|origin| format!("{origin}: ")).unwrap_or_default();
                    let (value, min, max) = (show(*value), show(*min), show(*max));
                    format!("{at}{}{key} would be {value}; it must be from {min} to {max}", settings::MESSAGING_PREFIX)
                }
                other => other.to_string(),
            };
            self.problems.push(problem);
        }
        config
    }

    /// The error of the core's validation, with the place that is at fault and the units people write.
    fn blame(&self, error: &ConfigError) -> String {
        let place = |key: &str| match self.protocol.get(key) {
            Some((_, _, origin)) => origin.to_string(),
            None => format!("profile {}", self.profile.name()),
        };
        let show = |key: &str, value: f64| {
            settings::find(key).map_or_else(|| value.to_string(), |setting| setting.show_number(value))
        };
        match error {
            ConfigError::ZeroOrRange { setting: key, value, min, max } => {
                let [value, min, max] = [*value, *min, *max].map(|value| show(key, value));
                format!("{}: {value} is out of bounds; it must be 0s, or from {min} to {max}", place(key))
            }
            ConfigError::OutOfRange { setting: key, value, min, max } => {
                let show = |value: f64| show(key, value);
                let (value, min, max) = (show(*value), show(*min), show(*max));
                if *key == "join_retry_max" && !self.protocol.contains_key(key) {
                    // Its least is join_retry_min, and that is what was set.
                    let at = place("join_retry_min");
                    return format!("{at}: {min} is too great while join_retry_max is {value}; raise that, too");
                }
                format!("{}: {value} is out of bounds; it must be from {min} to {max}", place(key))
            }
            ConfigError::ProbeTimeout { timeout, interval } => {
                let most = Duration::from_millis((*interval * 2 / 3).as_millis() as u64);
                let [timeout, interval, most] = [*timeout, *interval, most].map(settings::show_duration);
                let (at_timeout, at_interval) = (place("probe_timeout"), place("probe_interval"));
                format!(
                    "probe_timeout is {timeout} ({at_timeout}) and probe_interval {interval} ({at_interval}); \
                     the time-out must be at most two thirds of the interval, here {most}, \
                     so that an indirect probe has time to succeed"
                )
            }
            ConfigError::ClusterName { .. } => format!("{}: {error}", place("cluster")),
            other => other.to_string(),
        }
    }
}

fn parse_offset(text: &str) -> Result<u16, String> {
    let offset = text.parse().ok().filter(|offset| *offset > 0);
    offset.ok_or_else(|| format!("{text:?} must be a whole number from 1 to 65535"))
}

fn check_name(name: &str) -> Result<String, String> {
    match name.len() {
        0 => Err("the name is empty; leave it away to be named after the address".to_owned()),
        len if len > NAME_MAX => Err(format!("the name is {len} bytes long; it must be at most {NAME_MAX}")),
        _ if name.contains(char::is_control) => Err(format!("{name:?} has control characters; a name is plain text")),
        _ => Ok(name.to_owned()),
    }
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    let timeout = humantime::parse_duration(text)
        .map_err(|_| format!("{text:?} must be a duration with its unit, such as 500ms or 10s"))?;
    let (min, max) = (Duration::from_millis(1), Duration::from_secs(3600));
    if (min..=max).contains(&timeout) {
        Ok(timeout)
    } else {
        Err(format!("{text} is out of bounds; it must be from 1ms to 1h"))
    }
}

fn parse_switch(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("{text:?} must be true or false"))
}

fn parse_level(text: &str) -> Result<LevelFilter, String> {
    let found = LEVELS.into_iter().find(|(name, _)| *name == text);
    found.map(|(_, level)| level).ok_or_else(|| {
        let hint = suggest::did_you_mean(text, LEVELS.map(|(name, _)| name));
        format!("{text:?} is not a log level; it must be off, error, warn, info, debug or trace{hint}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn flag(key: Key, text: &str) -> Given {
        Given { key, text: text.to_owned(), origin: Origin::Flag("--flag".to_owned()) }
    }

    fn setting(key: &str, text: &str) -> Given {
        flag(Key::Protocol(settings::find(key).unwrap()), text)
    }

    fn addr() -> Given {
        flag(Key::Addr, "127.0.0.1:0")
    }

    #[test]
    fn a_higher_layer_replaces_scalars_and_seeds_and_adds_tags_and_settings() {
        let file = vec![
            flag(Key::Addr, "127.0.0.1:1"),
            flag(Key::Seeds, "a:1,b:2"),
            flag(Key::Tag, "role=db"),
            flag(Key::Tag, "az=a"),
            flag(Key::Profile, "wan"),
            setting("probe_interval", "7s"),
            setting("gossip_fanout", "5"),
        ];
        let environment = vec![flag(Key::Seeds, "c:3 d:4"), flag(Key::Tag, "az=b"), setting("probe_interval", "8s")];
        let flags = vec![flag(Key::Addr, "127.0.0.1:2"), setting("nack", "false"), setting("probe_interval", "9s")];
        let config = merge(&[file, environment, flags], vec![]).unwrap();
        assert_eq!(config.addr, "127.0.0.1:2");
        assert_eq!(config.seeds, ["c:3", "d:4"]);
        let tags = tags::decode(&config.metadata).unwrap();
        assert_eq!(tags.into_iter().collect::<Vec<_>>(), [("az".into(), "b".into()), ("role".into(), "db".into())]);
        let expected =
            Config { probe_interval: Duration::from_secs(9), gossip_fanout: 5, nack: false, ..Config::wan() };
        assert_eq!(config.protocol, expected);
    }

    #[test]
    fn a_mistake_is_told_even_where_it_is_overridden() {
        let problems =
            merge(&[vec![addr(), setting("nack", "maybe")], vec![setting("nack", "true")]], vec![]).unwrap_err();
        assert_eq!(problems, ["--flag: \"maybe\" must be true or false"]);
    }

    #[test]
    fn a_value_out_of_bounds_is_blamed_on_its_place_in_the_units_it_is_written_in() {
        let place = Origin::file(Path::new("swim.toml"), 7, "probe_interval");
        let slow = Given { origin: place, ..setting("probe_interval", "600d") };
        assert_eq!(
            merge(&[vec![addr(), slow]], vec![]).unwrap_err(),
            ["swim.toml:7: probe_interval: 600d is out of bounds; it must be from 1ms to 365d"]
        );
        assert_eq!(
            merge(&[vec![addr(), setting("indirect_probes", "17")]], vec![]).unwrap_err(),
            ["--flag: 17 is out of bounds; it must be from 0 to 16"]
        );
        assert_eq!(
            merge(&[vec![addr(), setting("join_retry_min", "1m")]], vec![]).unwrap_err(),
            ["--flag: 1m is too great while join_retry_max is 8s; raise that, too"]
        );
        assert_eq!(
            merge(&[vec![addr(), setting("suspicion_alpha", "NaN")]], vec![]).unwrap_err(),
            ["--flag: NaN is out of bounds; it must be from 0.5 to 100"]
        );
    }

    #[test]
    fn two_settings_at_odds_are_both_named_with_their_places() {
        let problems =
            merge(&[vec![addr(), flag(Key::Profile, "wan"), setting("probe_interval", "1s")]], vec![]).unwrap_err();
        assert_eq!(
            problems,
            ["probe_timeout is 3s (profile wan) and probe_interval 1s (--flag); the time-out must be at most two \
              thirds of the interval, here 666ms, so that an indirect probe has time to succeed"]
        );
    }

    #[test]
    fn tags_beyond_512_bytes_are_refused() {
        let long = format!("k={}", "v".repeat(508));
        assert_eq!(
            merge(&[vec![addr(), flag(Key::Tag, &long)]], vec![]).unwrap_err(),
            ["--flag: the tags need 513 bytes together; 512 is the most a member carries"]
        );
    }

    #[test]
    fn what_a_running_agent_cannot_change_is_named() {
        let one = merge(&[vec![addr(), flag(Key::Tag, "a=1")]], vec![]).unwrap();
        let mut other = one.clone();
        assert_eq!(one.differences(&other), [""; 0]);
        other.metadata = Vec::new();
        assert_eq!(one.differences(&other), [""; 0], "tags can be changed");
        other.seeds.push("a:1".to_owned());
        other.resolve_timeout = Duration::from_secs(1);
        other.protocol.gossip_fanout += 1;
        assert_eq!(one.differences(&other), ["seeds", "resolve_timeout", "gossip_fanout"]);
    }

    #[test]
    fn time_outs_have_units_and_bounds() {
        let config = merge(&[vec![addr(), flag(Key::ResolveTimeout, "3s")]], vec![]).unwrap();
        assert_eq!((config.connect_timeout, config.resolve_timeout), (Duration::from_secs(5), Duration::from_secs(3)));
        for (wrong, says) in [("3", "a duration with its unit"), ("0s", "from 1ms to 1h"), ("2h", "from 1ms to 1h")] {
            let problems = merge(&[vec![addr(), flag(Key::ConnectTimeout, wrong)]], vec![]).unwrap_err();
            assert!(problems[0].contains(says), "{problems:?}");
        }
    }
}
