//! The command line. Values are taken as text and judged in [`crate::config`] with those of file and environment.
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "doc comments here are the text of --help, where [NAME] is a variable"
)]

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use swim_proto::Config;

use crate::config::Profile;
use crate::given::{Given, Key, Origin, parse_set};
use swim_proto::messaging::MessagingConfig;
use swim_settings::{MESSAGING, SETTINGS};

/// What was asked for.
#[derive(Parser, Debug)]
#[command(
    name = "swim-node",
    version,
    about = "An agent that makes this host a member of a cluster and tells of every change in it",
    override_usage = "swim-node --addr HOST:PORT [--seeds HOST:PORT,...] [FLAGS]\n       swim-node demo [--nodes N] [--json]",
    args_conflicts_with_subcommands = true,
    styles = Styles::styled().header(AnsiColor::Green.on_default().bold()).usage(AnsiColor::Green.on_default().bold())
        .literal(AnsiColor::Cyan.on_default()).placeholder(AnsiColor::Cyan.on_default()),
)]
pub(crate) struct Cli {
    /// A command, in place of running the agent.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// The agent's flags.
    #[command(flatten)]
    pub(crate) agent: AgentArgs,
}

/// What can be done instead of running the agent.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Show a whole cluster on this machine: it forms, loses a node, notices, and takes it back
    Demo(DemoArgs),
}

/// Flags of the demo.
#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// How many nodes, 2 to 100
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = parse_nodes)]
    pub(crate) nodes: u8,
    /// One JSON object a line; the last is the summary
    #[arg(long)]
    pub(crate) json: bool,
    /// Protocol settings to start from: lan, wan or local
    #[arg(long, value_name = "PROFILE", default_value = "lan", value_parser = Profile::parse)]
    pub(crate) profile: Profile,
}

/// Flags of the agent.
#[derive(Args, Clone, Debug)]
pub(crate) struct AgentArgs {
    /// Address to listen on, UDP and TCP; port 0 takes a free one [SWIM_ADDR]
    #[arg(long, value_name = "HOST:PORT")]
    addr: Option<String>,
    /// Address others are told, if not the one listened on; port 0 means the same port [SWIM_ADVERTISE]
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// Members to join by, separated by commas or spaces [SWIM_SEEDS]
    #[arg(long, value_name = "HOST:PORT,...", num_args = 1..)]
    seeds: Vec<String>,
    /// Unique name of this member; by default its address [SWIM_NAME]
    #[arg(long)]
    name: Option<String>,
    /// A tag that others see on this member; repeatable [SWIM_TAGS=k=v,k=v]
    #[arg(long, value_name = "KEY=VALUE")]
    tag: Vec<String>,
    /// Protocol settings to start from: lan, wan or local [SWIM_PROFILE, default: lan]
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// How long opening a TCP connection may take [SWIM_CONNECT_TIMEOUT, default: 5s]
    #[arg(long, value_name = "DURATION")]
    connect_timeout: Option<String>,
    /// After how long a lookup of a seed's name has failed [SWIM_RESOLVE_TIMEOUT, default: 20s]
    #[arg(long, value_name = "DURATION")]
    resolve_timeout: Option<String>,
    /// By which paths members are reached: udp, tcp or hybrid [SWIM_TRANSPORT, default: hybrid]
    #[arg(long, value_name = "PATHS")]
    transport: Option<String>,
    /// Port for messages' ZeroMQ links, so far above the one of --addr [SWIM_ZMQ_PORT_OFFSET, default: 1000]
    #[arg(long, value_name = "N")]
    zmq_port_offset: Option<String>,
    /// Neither send nor receive messages; nothing listens for links [SWIM_NO_ZMQ]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    no_zmq: Option<String>,
    /// What moves bytes and time: tokio, or mio on a thread of its own [SWIM_DRIVER, default: tokio]
    #[arg(long, value_name = "DRIVER")]
    driver: Option<String>,
    /// A setting of the protocol, or messaging.KEY=VALUE; repeatable (all of them: --help) [SWIM_KEY]
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Logs on stderr: off, error, warn, info, debug or trace [SWIM_LOG_LEVEL, default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Events on stdout and logs on stderr as JSON, one object a line [SWIM_JSON_LOGGING]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    json_logging: Option<String>,
    /// Take commands from stdin, a line each: broadcast TEXT, send NAME TEXT, deliver NAME TEXT, force-leave NAME, metadata KEY=VALUE ...,
    /// members, leave [SWIM_STDIN_COMMANDS]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    stdin_commands: Option<String>,
    /// Configuration file, TOML; environment and flags override it [SWIM_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// Reads the command line; the error is for [`clap::Error::print`], and may be the help that was asked for.
pub(crate) fn parse(args: impl Iterator<Item = std::ffi::OsString>) -> Result<Cli, clap::Error> {
    let matches = Cli::command().after_long_help(settings_help()).try_get_matches_from(args)?;
    Cli::from_arg_matches(&matches)
}

fn parse_nodes(text: &str) -> Result<u8, &'static str> {
    text.parse().ok().filter(|nodes| (2..=100).contains(nodes)).ok_or("it must be a number from 2 to 100")
}

impl AgentArgs {
    /// What the flags say. What is wrong with them is added to `problems`.
    pub(crate) fn given(&self, problems: &mut Vec<String>) -> Vec<Given> {
        let one =
            |key, flag: &str, text: &String| Given { key, text: text.clone(), origin: Origin::Flag(flag.to_owned()) };
        let mut given = Vec::new();
        given.extend(self.addr.iter().map(|text| one(Key::Addr, "--addr", text)));
        given.extend(self.advertise.iter().map(|text| one(Key::Advertise, "--advertise", text)));
        given.extend(self.seeds.iter().map(|text| one(Key::Seeds, "--seeds", text)));
        given.extend(self.name.iter().map(|text| one(Key::Name, "--name", text)));
        given.extend(self.tag.iter().map(|text| one(Key::Tag, "--tag", text)));
        given.extend(self.profile.iter().map(|text| one(Key::Profile, "--profile", text)));
        given.extend(self.connect_timeout.iter().map(|text| one(Key::ConnectTimeout, "--connect-timeout", text)));
        given.extend(self.resolve_timeout.iter().map(|text| one(Key::ResolveTimeout, "--resolve-timeout", text)));
        given.extend(self.log_level.iter().map(|text| one(Key::LogLevel, "--log-level", text)));
        given.extend(self.json_logging.iter().map(|text| one(Key::JsonLogging, "--json-logging", text)));
        given.extend(self.stdin_commands.iter().map(|text| one(Key::StdinCommands, "--stdin-commands", text)));
        given.extend(self.zmq_port_offset.iter().map(|text| one(Key::ZmqPortOffset, "--zmq-port-offset", text)));
        given.extend(self.no_zmq.iter().map(|text| one(Key::NoZmq, "--no-zmq", text)));
        given.extend(self.driver.iter().map(|text| one(Key::Driver, "--driver", text)));
        given.extend(self.transport.iter().filter_map(|text| {
            let setting = swim_settings::find("transport")?;
            Some(one(Key::Protocol(setting), "--transport", text))
        }));
        for text in &self.set {
            match parse_set(text) {
                Ok(setting) => given.push(setting),
                Err(problem) => problems.push(problem),
            }
        }
        given
    }
}

/// The end of the long help: every protocol setting.
fn settings_help() -> String {
    let mut help = String::from(
        "Protocol settings, with the profiles' values: each by --set KEY=VALUE, as SWIM_KEY in capitals, or in the file\n\
         below a line [protocol]. The file gives way to the environment, and that to the flags.\n\n",
    );
    let _ = writeln!(help, "  {:<30} {:<9} {:<9} {:<9} bounds", "key", "lan", "wan", "local");
    for setting in SETTINGS {
        let [lan, wan, local] = [Config::lan(), Config::wan(), Config::local()].map(|config| setting.show(&config));
        let _ = writeln!(help, "  {:<30} {lan:<9} {wan:<9} {local:<9} {}", setting.key, setting.bounds());
        let _ = writeln!(help, "      {}", setting.meaning);
    }
    help.push_str(
        "\nSettings of messages: each by --set messaging.KEY=VALUE, as SWIM_MESSAGING_KEY in capitals, or in the file below\n\
         a line [messaging].\n\n",
    );
    let _ = writeln!(help, "  {:<30} {:<11} bounds", "key", "default");
    for setting in MESSAGING {
        let value = setting.show(&MessagingConfig::default());
        let _ = writeln!(help, "  {:<30} {value:<11} {}", setting.key, setting.bounds());
        let _ = writeln!(help, "      {}", setting.meaning);
    }
    help.push_str(
        "\nExit status: 0 done, 1 usage, 2 could not start, 3 demo incomplete, 4 superseded under its name, 5 failed.",
    );
    help
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_operators_manual_tells_of_every_flag() {
        let manual = include_str!("../../../docs/operations.md");
        let command = Cli::command();
        let demo = command.find_subcommand("demo").unwrap();
        for argument in command.get_arguments().chain(demo.get_arguments()).filter_map(|argument| argument.get_long()) {
            assert!(manual.contains(&format!("`--{argument}")), "--{argument}");
        }
    }

    #[test]
    fn the_help_lists_every_setting() {
        let help = settings_help();
        for setting in SETTINGS {
            assert!(help.contains(&format!("  {} ", setting.key)), "{}", setting.key);
        }
        let (_, help) = help.split_once("Settings of messages").unwrap();
        for setting in MESSAGING {
            assert!(help.contains(&format!("  {} ", setting.key)), "{}", setting.key);
        }
    }
}
