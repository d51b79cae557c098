//! What the user said, before it is weighed: a key, its text, and where it was said.
//!
//! Three places are read (`file`, `environment`, `cli`), each giving a list of these; [`crate::config`] lays the lists
//! over one another. Because each item remembers its place, an error can name the line, variable or flag at fault.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::suggest;
use swim_proto::messaging::MessagingConfig;
use swim_settings::{MESSAGING, MESSAGING_PREFIX, SETTINGS, Setting};

/// Something that can be said.
#[derive(Clone, Copy)]
pub(crate) enum Key {
    /// The address to bind.
    Addr,
    /// The address others are told.
    Advertise,
    /// Whom to join by.
    Seeds,
    /// The member's name.
    Name,
    /// One tag, `key=value`.
    Tag,
    /// The preset of protocol settings.
    Profile,
    /// How long opening a stream may take.
    ConnectTimeout,
    /// After how long a lookup has failed.
    ResolveTimeout,
    /// How much is logged.
    LogLevel,
    /// JSON lines instead of text.
    JsonLogging,
    /// Commands from stdin.
    StdinCommands,
    /// How far above the membership's port that for messages is.
    ZmqPortOffset,
    /// No messages.
    NoZmq,
    /// What moves bytes and time.
    Driver,
    /// A protocol setting.
    Protocol(&'static Setting),
    /// A setting of messages.
    Messaging(&'static Setting<MessagingConfig>),
}

/// The agent's own options by their names in file and environment. Tags are told apart: `[tags]` and `SWIM_TAGS`.
pub(crate) const OPTIONS: [(&str, Key); 13] = [
    ("addr", Key::Addr),
    ("advertise", Key::Advertise),
    ("seeds", Key::Seeds),
    ("name", Key::Name),
    ("profile", Key::Profile),
    ("connect_timeout", Key::ConnectTimeout),
    ("resolve_timeout", Key::ResolveTimeout),
    ("log_level", Key::LogLevel),
    ("json_logging", Key::JsonLogging),
    ("stdin_commands", Key::StdinCommands),
    ("zmq_port_offset", Key::ZmqPortOffset),
    ("no_zmq", Key::NoZmq),
    ("driver", Key::Driver),
];

/// One thing said.
#[derive(Clone)]
pub(crate) struct Given {
    /// What about.
    pub(crate) key: Key,
    /// Its value, as written.
    pub(crate) text: String,
    /// Where.
    pub(crate) origin: Origin,
}

/// Where something was said, for messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// In a configuration file.
    File {
        /// Its path as given.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key.
        key: String,
    },
    /// In this environment variable.
    Variable(String),
    /// By this flag, with its value where the flag alone does not say which setting.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { path, line, key } => write!(f, "{}:{line}: {key}", path.display()),
            Origin::Variable(name) => f.write_str(name),
            Origin::Flag(flag) => f.write_str(flag),
        }
    }
}

impl Origin {
    /// This key on this line of this file.
    pub(crate) fn file(path: &Path, line: usize, key: &str) -> Origin {
        Origin::File { path: path.to_owned(), line, key: key.to_owned() }
    }
}

/// Reads `--set key=value`.
pub(crate) fn parse_set(text: &str) -> Result<Given, String> {
    let flag = format!("--set {text}");
    let Some((key, value)) = text.split_once('=') else {
        return Err(format!("{flag}: write key=value, such as --set probe_interval=500ms"));
    };
    let name = key.trim().replace('-', "_");
    if let Some(name) = name.strip_prefix(MESSAGING_PREFIX) {
        let Some(setting) = swim_settings::find_messaging(name) else {
            let hint = suggest::did_you_mean(name, MESSAGING.iter().map(|setting| setting.key));
            return Err(format!("{flag}: there is no setting of messages {name:?}{hint}"));
        };
        return Ok(Given { key: Key::Messaging(setting), text: value.trim().to_owned(), origin: Origin::Flag(flag) });
    }
    match swim_settings::find(&name) {
        Some(setting) => {
            Ok(Given { key: Key::Protocol(setting), text: value.trim().to_owned(), origin: Origin::Flag(flag) })
        }
        None if OPTIONS.iter().any(|(option, _)| *option == name) => {
            let option = name.replace('_', "-");
            Err(format!("{flag}: {name} is not a protocol setting but a flag of its own; write --{option} {value}"))
        }
        None => {
            if swim_settings::find_messaging(&name).is_some() {
                return Err(format!(
                    "{flag}: {name} is a setting of messages; write --set {MESSAGING_PREFIX}{name}={value}"
                ));
            }
            let hint = suggest::did_you_mean(&name, SETTINGS.iter().map(|setting| setting.key));
            Err(format!("{flag}: there is no setting {key:?}{hint}"))
        }
    }
}
