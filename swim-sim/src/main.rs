//! The simulator, as a command: `swim-sim run` for one scenario, `swarm` for many random ones, `sweep` for settings against
//! figures, `theory` for figures against formulas.

mod command {
    pub(crate) mod quantity;
    pub(crate) mod run;
    pub(crate) mod say;
    pub(crate) mod schedule;
    pub(crate) mod setting;
    pub(crate) mod stage;
    pub(crate) mod swarm;
    pub(crate) mod sweep;
    pub(crate) mod theory;
}

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Exit codes: 0 passed, 1 usage, 2 safety violated, 3 not converged, 4 not deterministic, 5 not as in theory.
#[derive(Parser)]
#[command(
    name = "swim-sim",
    version,
    about = "Simulates clusters of thousands of nodes, reproducible from a seed",
    after_help = "Exit codes: 0 passed, 1 usage, 2 safety violated, 3 not converged, 4 not deterministic, 5 not as in theory."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one scenario, put together from flags
    Run(Box<command::run::Flags>),
    /// Run random scenarios, one per seed, on all cores, until one fails
    Swarm(command::swarm::Flags),
    /// Run every combination of some settings and compare their figures
    Sweep(Box<command::sweep::Flags>),
    /// Print SWIM's analytic results beside what the core does
    Theory(command::theory::Flags),
}

/// Exit code of a command that was not understood.
const USAGE: u8 = 1;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; what cannot be printed has no one to read it.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let ended = match cli.command {
        Command::Run(flags) => command::run::run(&flags),
        Command::Swarm(flags) => command::swarm::swarm(&flags),
        Command::Sweep(flags) => command::sweep::sweep(&flags),
        Command::Theory(flags) => command::theory::theory(&flags),
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            command::say::remark(format_args!("error: {message}"));
            ExitCode::from(USAGE)
        }
    }
}
