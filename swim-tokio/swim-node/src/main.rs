//! The agent: makes a host a member of a cluster, and tells of every change in it.
//!
//! `cli`, `environment` and `file` read what the user said, `config` weighs it, `agent` runs it on a `driver`, `console`
//! takes commands, `output` tells what happens; `demo` shows a whole cluster on one machine.

mod address;
mod agent;
mod cli;
mod config;
mod console;
mod demo;
mod driver;
mod environment;
mod exit;
mod file;
mod given;
mod output;
mod signals;
mod suggest;
mod tags;

use std::process::ExitCode;

use crate::cli::{AgentArgs, Command};
use crate::config::AgentConfig;
use crate::exit::Exit;

fn main() -> ExitCode {
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for, and go to stdout; all else is a mistake. A closed pipe is no matter.
            let _ = error.print();
            let asked_for = !error.use_stderr();
            return if asked_for { Exit::Done.into() } else { Exit::Usage.into() };
        }
    };
    let exit = match cli.command {
        Some(Command::Demo(args)) => demo::run(&args),
        None => match configure(&cli.agent) {
            Ok((config, strangers)) => agent::run(config, &strangers, &cli.agent),
            Err(problems) => {
                for problem in problems {
                    complain(&format!("error: {problem}"));
                }
                complain("\nswim-node --help lists every flag and setting; swim-node demo shows a cluster at work.");
                Exit::Usage
            }
        },
    };
    exit.into()
}

/// The file that [`configure`] reads, if there is one.
fn config_file(args: &AgentArgs) -> Option<std::path::PathBuf> {
    args.config.clone().or_else(|| environment::read(std::env::vars_os(), &mut Vec::new()).config)
}

/// Reads flags, environment and file. With the configuration come the variables that were passed over.
fn configure(args: &AgentArgs) -> Result<(AgentConfig, Vec<String>), Vec<String>> {
    let mut problems = Vec::new();
    let environment = environment::read(std::env::vars_os(), &mut problems);
    let flags = args.given(&mut problems);
    let file = match (&args.config, &environment.config) {
        (Some(path), _) => file::read(path, "--config", &mut problems),
        (None, Some(path)) => file::read(path, "SWIM_CONFIG", &mut problems),
        (None, None) => Vec::new(),
    };
    let config = config::merge(&[file, environment.given, flags], problems)?;
    Ok((config, environment.strangers))
}

/// Writes to stderr. That nobody reads there is no reason to stop.
fn complain(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{text}");
}
