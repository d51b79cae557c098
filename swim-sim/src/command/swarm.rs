//! `swim-sim swarm`: random scenarios on all cores.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use swim_sim::judges::Rule;

use swim_sim::{Difference, Options, Percentiles, Report, Run, Scenario, Verdict, check_determinism, swarm};

use super::quantity::{rule, seeds};
use super::say::{remark, say};

#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// Which seeds: FIRST..END, the last not included, or one alone
    #[arg(long, value_name = "SEEDS", value_parser = seeds)]
    seeds: Range<u64>,
    /// Go on after a failure, and list all of them
    #[arg(long)]
    keep_going: bool,
    /// Pass over violations of this rule: S1 to S14, L1, L2, L4 to L6, U1 to U6,
    /// M1 to M12
    #[arg(long, value_name = "RULE", value_parser = rule)]
    ignore: Vec<Rule>,
    /// Have messengers in each scenario of up to 200 nodes, and not in a third of them
    #[arg(long)]
    reliable: bool,
    /// Run each seed twice and compare, event by event
    #[arg(long)]
    check_determinism: bool,
    /// On how many cores; all if not said
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Print what the scenarios are, without running them
    #[arg(long)]
    show: bool,
    /// With one seed: write one line per change of state to this file
    #[arg(long, value_name = "FILE")]
    trace: Option<std::path::PathBuf>,
}

/// How many seeds are run between two lines about progress, where there is no terminal.
const SAID_EVERY: u64 = 100;

/// What came of one seed.
enum Outcome {
    Ran(Box<Report>),
    Parted(Difference),
}

pub(crate) fn swarm(flags: &Flags) -> Result<u8, String> {
    if flags.show {
        for seed in flags.seeds.clone() {
            say(format_args!("seed {seed}: {:#?}", scenario(seed, flags)));
        }
        return Ok(0);
    }
    if let Some(jobs) = flags.jobs {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).build_global();
        pool.map_err(|error| format!("--jobs {jobs}: {error}"))?;
    }
    let count = flags.seeds.end - flags.seeds.start;
    let bar = ProgressBar::new(count);
    bar.set_style(
        ProgressStyle::with_template("{elapsed_precise} {wide_bar} {pos}/{len} seeds, {eta} to go")
            .expect("the template is well formed"),
    );
    let recovered = Mutex::new(Vec::new());
    let mut failures = failures_among(flags, &bar, &recovered);
    bar.finish_and_clear();
    failures.sort_by_key(|(seed, _)| *seed);
    let Some((seed, outcome)) = failures.first() else {
        say(format_args!("{count} seeds passed: {}..{}", flags.seeds.start, flags.seeds.end));
        say(recoveries(recovered.into_inner().expect("nobody panics while holding it")));
        return Ok(0);
    };
    if flags.keep_going {
        say(format_args!("{} of {count} seeds failed", failures.len()));
    }
    say(told(*seed, outcome, flags));
    Ok(match outcome {
        Outcome::Ran(report) => report.verdict.exit_code(),
        Outcome::Parted(_) => Difference::EXIT_CODE,
    })
}

/// Runs the seeds, begun in order on all cores; so that when one fails, all before it have been or are being run, and
/// the first failure told is the same on any number of cores.
fn failures_among(flags: &Flags, bar: &ProgressBar, recovered: &Mutex<Vec<(u64, f64)>>) -> Vec<(u64, Outcome)> {
    let next = AtomicU64::new(flags.seeds.start);
    let failures = Mutex::new(Vec::new());
    let failed = AtomicBool::new(false);
    rayon::broadcast(|_| {
        while flags.keep_going || !failed.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= flags.seeds.end {
                break;
            }
            let outcome = one(seed, flags);
            bar.inc(1);
            say_progress(bar);
            if let Outcome::Ran(report) = &outcome
                && report.verdict == Verdict::Passed
            {
                let recovered_s = report.recovered_s.map(|recovered_s| (seed, recovered_s));
                recovered.lock().expect("nobody panics while holding it").extend(recovered_s);
                continue;
            }
            failed.store(true, Ordering::Relaxed);
            if flags.keep_going {
                bar.suspend(|| say(told(seed, &outcome, flags)));
            }
            failures.lock().expect("nobody panics while holding it").push((seed, outcome));
        }
    });
    failures.into_inner().expect("nobody panics while holding it")
}

/// Where nobody sees a bar, now and then a line.
fn say_progress(bar: &ProgressBar) {
    if bar.is_hidden() && bar.position().is_multiple_of(SAID_EVERY) {
        remark(format_args!("{} of {} seeds", bar.position(), bar.length().unwrap_or_default()));
    }
}

/// How long clusters took to be right again once faults had stopped, and which took longest.
fn recoveries(mut recovered: Vec<(u64, f64)>) -> String {
    recovered.sort_by(|(one, a), (other, b)| a.total_cmp(b).then(one.cmp(other)));
    let times = Percentiles::of(recovered.iter().map(|&(_, recovered_s)| Duration::from_secs_f64(recovered_s)));
    match recovered.last() {
        Some((seed, _)) => format!("recovered once faults had stopped in {times} (seed {seed})"),
        None => "none recovered".to_owned(),
    }
}

fn scenario(seed: u64, flags: &Flags) -> Scenario {
    if flags.reliable { swarm::scenario_with_messengers(seed) } else { swarm::scenario(seed) }
}

fn one(seed: u64, flags: &Flags) -> Outcome {
    let scenario = scenario(seed, flags);
    let options = Options { judges: true, ignore: flags.ignore.clone(), ..Options::default() };
    let valid = "a swarm's settings are within their bounds";
    if flags.check_determinism {
        return match check_determinism(&scenario, seed, options).expect(valid) {
            Ok(report) => Outcome::Ran(Box::new(report)),
            Err(parted) => Outcome::Parted(parted),
        };
    }
    let mut run = Run::new(scenario, seed, options).expect(valid);
    if let Some(path) = &flags.trace
        && let Ok(file) = std::fs::File::create(path)
    {
        run.world_mut().write_trace(Box::new(std::io::BufWriter::new(file)));
    }
    Outcome::Ran(Box::new(run.finish()))
}

fn told(seed: u64, outcome: &Outcome, flags: &Flags) -> String {
    let reliable = if flags.reliable { " --reliable" } else { "" };
    let again = format!("swim-sim swarm{reliable} --seeds {seed}..{}", seed + 1);
    match outcome {
        Outcome::Ran(report) => format!("seed {seed} FAILED\n{report}\nagain: {again}"),
        Outcome::Parted(parted) => {
            format!("seed {seed} NOT DETERMINISTIC {parted}\nagain: {again} --check-determinism")
        }
    }
}
