//! `swim-sim sweep`: settings against figures.

use std::ops::Range;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use swim_proto::Config;
use swim_sim::sweep::{Figures, sweep as run_all};

use super::quantity::seeds;
use super::say::say;
use super::setting::Set;
use super::stage::Stage;

#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// What is varied: KEY=VALUE,VALUE,…, a protocol setting or one of the flags nodes, profile, loss, latency, crash,
    /// pause, block, slow, flaky; repeatable: every combination is run
    #[arg(long, value_name = "KEY=VALUES", value_parser = varied, required = true)]
    vary: Vec<Varied>,
    /// Which seeds each combination is run with: FIRST..END, the last not included
    #[arg(long, value_name = "SEEDS", default_value = "1..21", value_parser = seeds)]
    seeds: Range<u64>,
    #[command(flatten)]
    stage: Stage,

    /// Print comma-separated values instead of a table
    #[arg(long, conflicts_with = "json", help_heading = "Output")]
    csv: bool,
    /// Print one JSON object instead of a table
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// On how many cores; all if not said
    #[arg(long, value_name = "N", help_heading = "Output")]
    jobs: Option<usize>,
}

/// One thing that is varied, and its values as they were written.
#[derive(Clone, Debug)]
struct Varied {
    key: String,
    values: Vec<String>,
}

/// `KEY=VALUE,VALUE,…`.
fn varied(text: &str) -> Result<Varied, String> {
    let (key, values) = text.split_once('=').ok_or_else(|| format!("{text:?} is not KEY=VALUE,VALUE,…"))?;
    let values: Vec<String> = values.split(',').map(|value| value.trim().to_owned()).collect();
    if values.iter().any(String::is_empty) {
        return Err(format!("{text:?} has an empty value"));
    }
    Ok(Varied { key: key.trim().to_owned(), values })
}

/// One combination of values, and the stage that it makes.
struct Cell {
    values: Vec<String>,
    stage: Stage,
}

pub(crate) fn sweep(flags: &Flags) -> Result<u8, String> {
    if let Some(jobs) = flags.jobs {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).build_global();
        pool.map_err(|error| format!("--jobs {jobs}: {error}"))?;
    }
    let cells = cells(flags)?;
    let bar = ProgressBar::new(cells.len() as u64 * (flags.seeds.end - flags.seeds.start));
    bar.set_style(
        ProgressStyle::with_template("{elapsed_precise} {wide_bar} {pos}/{len} runs, {eta} to go")
            .expect("the template is well formed"),
    );
    let scenario = |cell: &Cell, seed: u64| cell.stage.scenario(seed).expect("it was made once already");
    let figures = run_all(&cells, flags.seeds.clone(), scenario, || bar.inc(1)).map_err(|error| error.to_string())?;
    bar.finish_and_clear();
    let keys: Vec<&str> = flags.vary.iter().map(|varied| varied.key.as_str()).collect();
    if flags.json {
        say(to_json(&keys, &cells, &figures));
    } else if flags.csv {
        say(to_csv(&keys, &cells, &figures).trim_end_matches('\n'));
    } else {
        say(to_table(&keys, &cells, &figures).trim_end_matches('\n'));
    }
    Ok(0)
}

/// Every combination, the last key varying fastest; each is put together once, so that what is wrong with it is said
/// before anything runs.
fn cells(flags: &Flags) -> Result<Vec<Cell>, String> {
    let mut cells = vec![Cell { values: Vec::new(), stage: flags.stage.clone() }];
    for Varied { key, values } in &flags.vary {
        let mut more = Vec::with_capacity(cells.len() * values.len());
        for cell in &cells {
            for value in values {
                let mut stage = cell.stage.clone();
                if !stage.vary(key, value)? {
                    let setting = swim_settings::find(key).ok_or_else(|| unknown(key))?;
                    stage.set.push(Set::new(setting, value)?);
                }
                more.push(Cell { values: [cell.values.clone(), vec![value.clone()]].concat(), stage });
            }
        }
        cells = more;
    }
    for cell in &cells {
        let config: Config = cell.stage.scenario(flags.seeds.start)?.config;
        config.validate().map_err(|error| format!("with {}: {error}", cell.values.join(", ")))?;
    }
    Ok(cells)
}

fn unknown(key: &str) -> String {
    let settings = swim_settings::SETTINGS.iter().map(|setting| setting.key);
    let all: Vec<&str> = Stage::VARIED.into_iter().chain(settings).collect();
    format!("{key:?} cannot be varied; {} can", all.join(", "))
}

fn to_json(keys: &[&str], cells: &[Cell], figures: &[Figures]) -> Value {
    let cells = cells.iter().zip(figures).map(|(cell, figures)| {
        let set: serde_json::Map<String, Value> =
            keys.iter().zip(&cell.values).map(|(&key, value)| (key.to_owned(), json!(value))).collect();
        json!({ "set": set, "figures": figures.to_json() })
    });
    json!({ "cells": cells.collect::<Vec<_>>() })
}

fn to_csv(keys: &[&str], cells: &[Cell], figures: &[Figures]) -> String {
    let names = Figures::default().columns().map(|(name, _)| name);
    let mut lines = [keys, &names].concat().join(",") + "\n";
    for (cell, figures) in cells.iter().zip(figures) {
        let values = figures.columns().map(|(_, value)| value.map_or_else(String::new, |value| value.to_string()));
        lines += &([&cell.values[..], &values].concat().join(",") + "\n");
    }
    lines
}

/// For people: the figures that decide, each column as wide as it must be.
fn to_table(keys: &[&str], cells: &[Cell], figures: &[Figures]) -> String {
    let head = [
        "first p50",
        "p99",
        "last p50",
        "p99",
        "missed",
        "false",
        "excused",
        "suspected",
        "falsely",
        "dgrams",
        "bytes",
    ];
    let mut rows = vec![[keys, &head].concat().into_iter().map(str::to_owned).collect::<Vec<String>>()];
    for (cell, figures) in cells.iter().zip(figures) {
        let seconds = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
        let mut row = cell.values.clone();
        row.extend([figures.first.p50, figures.first.p99, figures.last.p50, figures.last.p99].map(seconds));
        row.push((figures.crashed - figures.detected).to_string());
        row.extend([figures.false_deaths, figures.excused_deaths].map(|count| count.to_string()));
        row.extend([figures.suspicions, figures.false_suspicions].map(|count| count.to_string()));
        row.extend([format!("{:.2}", figures.datagrams_per_node_s), format!("{:.0}", figures.bytes_per_node_s)]);
        rows.push(row);
    }
    let widths: Vec<usize> =
        (0..rows[0].len()).map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0)).collect();
    let mut table = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:>width$}")).collect();
        table += &(cells.join("  ") + "\n");
    }
    let runs: u64 = figures.iter().map(|figures| figures.runs).sum();
    let apart: u64 = figures.iter().map(|figures| figures.not_converged).sum();
    table
        + &format!("{runs} runs, of which {apart} did not converge; seconds from crashes, loads per node and second\n")
}
