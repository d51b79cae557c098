//! Messages between two processes on loopback, each acknowledged, beside what ZeroMQ alone does without acknowledging.
//!
//! The process that was started measures nothing: it starts two others for each figure, a receiver and a sender, and
//! puts what they say into a table.

mod raw;
mod swim;
mod table;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use clap::{Parser, Subcommand};
use serde_json::{Value, json};

/// What can be asked for.
#[derive(Parser, Debug)]
#[command(about = "Messages between two processes on loopback, beside raw ZeroMQ")]
struct Cli {
    #[command(subcommand)]
    role: Option<Role>,
    /// Payloads, in bytes
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1024, 65536])]
    sizes: Vec<usize>,
    /// How long each figure is measured, in seconds
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Messages a second while delays are measured; 64 KiB come at a hundredth of it
    #[arg(long, default_value_t = 50_000)]
    rate: u64,
    /// Threads of each node's runtime
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Only these: swim, zeromq, libzmq
    #[arg(long, value_delimiter = ',', default_values_t = ["swim".to_owned(), "zeromq".to_owned(), "libzmq".to_owned()])]
    libraries: Vec<String>,
    /// One JSON object in place of the table
    #[arg(long)]
    json: bool,
    /// Seconds in all: does it still run?
    #[arg(long)]
    smoke: bool,
}

/// What the other processes are.
#[derive(Subcommand, Debug)]
enum Role {
    /// Receives and acknowledges.
    #[command(hide = true)]
    SwimReceive { threads: usize },
    /// Sends as fast as it is acknowledged, or at a rate.
    #[command(hide = true)]
    SwimSend { threads: usize, seed: String, size: usize, seconds: f64, rate: u64 },
    /// Counts what comes, by the zeromq crate.
    #[command(hide = true)]
    ZeromqReceive { seconds: f64 },
    /// Sends by it.
    #[command(hide = true)]
    ZeromqSend { address: String, size: usize },
    /// Counts what comes, by libzmq.
    #[command(hide = true)]
    LibzmqReceive { seconds: f64 },
    /// Sends by it.
    #[command(hide = true)]
    LibzmqSend { address: String, size: usize },
}

fn main() {
    let mut cli = Cli::parse();
    match cli.role.take() {
        Some(Role::SwimReceive { threads }) => swim::receive(threads),
        Some(Role::SwimSend { threads, seed, size, seconds, rate }) => {
            swim::send(threads, &seed, size, seconds, rate);
        }
        Some(Role::ZeromqReceive { seconds }) => raw::zeromq_crate::receive(seconds),
        Some(Role::ZeromqSend { address, size }) => raw::zeromq_crate::send(&address, size),
        Some(Role::LibzmqReceive { seconds }) => raw::libzmq::receive(seconds),
        Some(Role::LibzmqSend { address, size }) => raw::libzmq::send(&address, size),
        None => measure(&cli),
    }
}

fn measure(cli: &Cli) {
    let seconds = if cli.smoke { 0.5 } else { cli.seconds };
    let has = |library: &str| cli.libraries.iter().any(|wanted| wanted == library);
    let mut rows = Vec::new();
    for &size in &cli.sizes {
        let mut row = table::Row { size, ..table::Row::default() };
        if has("swim") {
            row.acknowledged = Some(swim_figures(cli, size, seconds, 0));
            let rate = if size >= 16 * 1024 { (cli.rate / 100).max(1) } else { cli.rate };
            row.paced = Some((rate, swim_figures(cli, size, seconds, rate)));
        }
        if has("zeromq") {
            row.zeromq = Some(raw_figures("zeromq", size, seconds));
        }
        if has("libzmq") {
            row.libzmq = Some(raw_figures("libzmq", size, seconds));
        }
        rows.push(row);
    }
    table::print(&rows, cli.json);
}

/// What a pair of nodes measured.
fn swim_figures(cli: &Cli, size: usize, seconds: f64, rate: u64) -> Value {
    let me = std::env::current_exe().expect("the system knows what runs");
    let threads = cli.threads.to_string();
    let mut receiver = Process::start(Command::new(&me).args(["swim-receive", &threads]));
    let seed = receiver.line();
    let mut sender = Process::start(Command::new(&me).args([
        "swim-send",
        &threads,
        &seed,
        &size.to_string(),
        &seconds.to_string(),
        &rate.to_string(),
    ]));
    let mut figures: Value = serde_json::from_str(&sender.line()).expect("the sender gives JSON");
    figures["cpu_us"] = cpu_micros([&receiver, &sender], figures["sent_in_all"].as_u64().unwrap_or(0));
    figures
}

/// Messages a second that come after the first, and what each costs.
fn raw_figures(library: &str, size: usize, seconds: f64) -> Value {
    let me = std::env::current_exe().expect("the system knows what runs");
    let mut receiver = Process::start(Command::new(&me).args([&format!("{library}-receive"), &seconds.to_string()]));
    let address = receiver.line();
    let sender = Process::start(Command::new(&me).args([&format!("{library}-send"), &address, &size.to_string()]));
    let mut figures: Value = serde_json::from_str(&receiver.line()).expect("the receiver gives JSON");
    let messages = figures["messages"].as_u64().expect("it counts");
    figures["cpu_us"] = cpu_micros([&receiver, &sender], messages);
    figures["per_second"] = json!(messages as f64 / figures["seconds"].as_f64().expect("it has a clock"));
    figures
}

/// Microseconds of processor time for each message, of these processes together; null where the system does not say.
fn cpu_micros(processes: [&Process; 2], messages: u64) -> Value {
    let seconds: Option<f64> = processes.iter().map(|process| process.cpu_seconds()).sum();
    seconds.map_or(Value::Null, |seconds| json!(seconds * 1e6 / messages as f64))
}

/// Another process, which ends with its input.
struct Process {
    child: Child,
    /// Open as long as this is there.
    _stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Process {
    fn start(command: &mut Command) -> Process {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it can be started");
        let stdin = child.stdin.take().expect("it is a pipe");
        let stdout = BufReader::new(child.stdout.take().expect("it is a pipe"));
        Process { child, _stdin: stdin, stdout }
    }

    /// Processor time so far, by the system and by itself, to a hundredth of a second.
    fn cpu_seconds(&self) -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // After the name, which stands in brackets and may hold anything.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<f64>().ok();
        Some((ticks()? + ticks()?) / 100.0)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("it is a pipe");
        assert!(!line.is_empty(), "the other process has ended early");
        line.trim().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
