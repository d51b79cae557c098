//! This protocol beside other libraries: same agenda, same network, same scenario (`docs/benchmarks.md`).

mod cpu;
mod heap;
mod libraries;
mod packets;
mod peer;
mod rows;
mod table;
mod world;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use libraries::Library;
use rows::Group;
use rows::events::Arrival;
use table::Table;

/// Measures swim-proto, foca and kinship side by side, and prints a table.
///
/// Without further words: everything, which takes about half an hour. Figures are CPU time of one thread, instructions,
/// bytes and virtual time, so that other work on the machine disturbs them little.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Command {
    #[command(subcommand)]
    child: Option<Child>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Args)]
struct Options {
    /// Which rows to measure [default: all]
    #[arg(value_enum)]
    groups: Vec<Group>,
    /// Which libraries
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Library::ALL)]
    libraries: Vec<Library>,
    /// Members known, for `events`
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    members: Vec<u32>,
    /// Members known, for the instructions of our own events besides, to see whether they grow with the cluster
    #[arg(long, value_delimiter = ',', default_value = "100,300,3000")]
    flat: Vec<u32>,
    /// Nodes, for `join` and `settled`
    #[arg(long, value_delimiter = ',', default_value = "1000")]
    nodes: Vec<u32>,
    /// Nodes, for `loss`
    #[arg(long, default_value_t = 500)]
    loss_nodes: u32,
    /// Percentages, for `loss`
    #[arg(long, value_delimiter = ',', default_value = "5,10,20")]
    loss: Vec<f64>,
    /// How many seeds, for `loss`
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Everything, small, in seconds: fails if it does not run as it should. The figures mean nothing.
    #[arg(long)]
    smoke: bool,
}

#[derive(Debug, Subcommand)]
enum Child {
    /// What runs under callgrind
    #[command(hide = true)]
    Count {
        #[arg(long, value_enum)]
        library: Library,
        #[arg(long, value_enum)]
        arrival: Arrival,
        #[arg(long)]
        members: u32,
    },
}

fn main() -> ExitCode {
    let command = Command::parse();
    match command.child {
        Some(Child::Count { library, arrival, members }) => {
            rows::events::count(library, arrival, members);
            ExitCode::SUCCESS
        }
        None => measure(command.options),
    }
}

fn measure(mut options: Options) -> ExitCode {
    if options.smoke {
        options.members = vec![60];
        options.flat = vec![30];
        options.nodes = vec![60];
        options.loss_nodes = 40;
        options.loss = vec![5.0];
        options.seeds = 1;
    }
    let mut table = Table::default();
    let measures = |group| options.groups.is_empty() || options.groups.contains(&group);
    let mut without = None;
    for &library in &options.libraries {
        if measures(Group::Events) {
            progress(format_args!("{library}: single events"));
            let also: &[u32] = if library == Library::Ours { &options.flat } else { &[] };
            without = rows::events::add(&mut table, library, &options.members, also).or(without);
        }
    }
    for &library in &options.libraries {
        if measures(Group::Sync) {
            progress(format_args!("{library}: comparison of state"));
            rows::sync::add(&mut table, library, if options.smoke { 500 } else { 10_000 });
        }
    }
    for &nodes in &options.nodes {
        for &library in &options.libraries {
            if measures(Group::Join) {
                progress(format_args!("{library}: {nodes} nodes join"));
                rows::join::add(&mut table, library, nodes, options.seed);
            }
        }
    }
    for &nodes in &options.nodes {
        for &library in &options.libraries {
            if measures(Group::Settled) {
                progress(format_args!("{library}: {nodes} settled nodes"));
                rows::settled::add(&mut table, library, nodes, options.seed);
            }
        }
    }
    for &percent in &options.loss {
        for &library in &options.libraries {
            if measures(Group::Loss) {
                progress(format_args!("{library}: {} nodes at {percent} % loss", options.loss_nodes));
                let per_mille = (percent * 10.0).round() as u32;
                let seconds = if options.smoke { 30 } else { rows::loss::LASTING };
                let seeds = options.seed..options.seed + options.seeds;
                rows::loss::add(&mut table, library, options.loss_nodes, per_mille, seconds, seeds);
            }
        }
    }
    if options.json {
        println!("{:#}", table.json());
    } else {
        print!("{}", table.text(&options.libraries));
    }
    if let Some(reason) = without {
        eprintln!("\n{reason}");
    }
    let missed: Vec<String> = table.missed().collect();
    if options.smoke && !missed.is_empty() {
        eprintln!("\nthis did not come about:\n{}", missed.join("\n"));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn progress(doing: std::fmt::Arguments<'_>) {
    eprintln!("{doing} …");
}
