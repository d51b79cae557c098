//! `swim-sim theory`: SWIM's analytic results beside what the core does.

use std::ops::Range;

use clap::{Args, ValueEnum};
use swim_sim::theory::{Claim, Plan, Theory};

use super::quantity::seeds;
use super::say::say;

/// Exit code of figures that are not those of the theory.
const OUTSIDE: u8 = 5;

#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// Cluster sizes, each from 8 to 1000
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "16,32,64", value_parser = clap::value_parser!(u32).range(8..=1000))]
    nodes: Vec<u32>,
    /// A run for each seed: FIRST..END, the last not included; ten or more
    #[arg(long, value_name = "SEEDS", default_value = "1..201", value_parser = seeds)]
    seeds: Range<u64>,
    /// These results alone
    #[arg(long, value_name = "RESULT,…", value_delimiter = ',')]
    only: Vec<Result>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "UPPER")]
enum Result {
    /// Message load
    R1,
    /// Time to detection
    R2,
    /// Dissemination
    R3,
    /// False detections
    R5,
}

pub(crate) fn theory(flags: &Flags) -> core::result::Result<u8, String> {
    let only = flags.only.iter().map(|result| match result {
        Result::R1 => Claim::R1,
        Result::R2 => Claim::R2,
        Result::R3 => Claim::R3,
        Result::R5 => Claim::R5,
    });
    let plan = Plan { only: only.collect(), ..Plan::new(flags.nodes.clone(), flags.seeds.clone()) };
    let theory = Theory::compare(&plan).map_err(|error| error.to_string())?;
    if flags.json {
        say(theory.to_json());
    } else {
        say(&theory);
    }
    Ok(if theory.holds() { 0 } else { OUTSIDE })
}
