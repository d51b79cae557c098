//! `swim-sim run`: one scenario, put together from flags.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use clap::Args;
use swim_sim::judges::Rule;
use swim_sim::{Difference, Options, Run, check_determinism};

use super::quantity::rule;
use super::say::{remark, say};
use super::stage::Stage;

#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// Decides everything that is left to chance
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    stage: Stage,

    /// Print one JSON object instead of a report for people
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Measure without judges, who cost several times what the cluster does
    #[arg(long, help_heading = "Output")]
    no_judges: bool,
    /// More members than this buried alive are a violation
    #[arg(long, value_name = "N", help_heading = "Output")]
    false_deaths_max: Option<u64>,
    /// Pass over violations of this rule: S1 to S14, L1, L2, L4 to L6, U1 to U6,
    /// M1 to M12
    #[arg(long, value_name = "RULE", value_parser = rule, help_heading = "Output")]
    ignore: Vec<Rule>,
    /// Run twice and compare, event by event
    #[arg(long, help_heading = "Output")]
    check_determinism: bool,
    /// Write one line per change of state to this file
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    trace: Option<PathBuf>,
}

pub(crate) fn run(flags: &Flags) -> Result<u8, String> {
    let scenario = flags.stage.scenario(flags.seed)?;
    let options =
        Options { judges: !flags.no_judges, false_deaths_max: flags.false_deaths_max, ignore: flags.ignore.clone() };
    let refused = |error: swim_proto::ConfigError| error.to_string();
    let report = if flags.check_determinism {
        match check_determinism(&scenario, flags.seed, options).map_err(refused)? {
            Ok(report) => report,
            Err(parted) => {
                remark(format_args!("NOT DETERMINISTIC: seed {} {parted}", flags.seed));
                return Ok(Difference::EXIT_CODE);
            }
        }
    } else {
        let mut run = Run::new(scenario, flags.seed, options).map_err(refused)?;
        if let Some(path) = &flags.trace {
            let file = File::create(path).map_err(|error| format!("--trace {}: {error}", path.display()))?;
            run.world_mut().write_trace(Box::new(BufWriter::new(file)));
        }
        run.finish()
    };
    let command: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--json").collect();
    let command = format!("swim-sim {}", command.join(" "));
    if flags.json {
        say(report.to_json(&command));
    } else {
        say(&report);
        say(format_args!("again: {command}"));
    }
    Ok(report.verdict.exit_code())
}
