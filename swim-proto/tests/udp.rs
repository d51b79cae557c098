//! `examples/udp.rs` at work: two processes of it, of which one names the other as its seed, find each other, and the one
//! that is left misses the other.
//!
//! The processes are this test's own program, started with [`MEMBER`] in its environment: so they are what the example
//! says now, whatever was built before.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

#[path = "../examples/udp.rs"]
mod udp;

/// Says to be the example, and not the test.
const MEMBER: &str = "SWIM_UDP_EXAMPLE";

/// Only a hang takes longer.
const DEADLINE: Duration = Duration::from_secs(90);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::var_os(MEMBER).is_some() {
        return udp::main();
    }
    two_members_find_each_other_and_one_is_missed();
    println!("test two_members_find_each_other_and_one_is_missed ... ok");
    Ok(())
}

fn two_members_find_each_other_and_one_is_missed() {
    let mut first = Member::start(&[]);
    let second = Member::start(&[&first.address]);
    let (one, other) = (first.address.clone(), second.address.clone());
    first.wait_for(&["Joined", &other]);
    let mut second = second;
    second.wait_for(&["Joined", &one]);
    drop(second);
    first.wait_for(&["Died", &other]);
}

/// A process of the example, killed when the test is done with it.
struct Member {
    child: Child,
    address: String,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Member {
    /// At a port that the system chooses. It chooses it for TCP; where somebody has it for UDP, it is asked again.
    fn start(seeds: &[&str]) -> Member {
        for _ in 0..20 {
            let program = std::env::current_exe().expect("the test has a path");
            let mut command = Command::new(program);
            command.env(MEMBER, "1").arg("127.0.0.1:0").args(seeds).stdin(Stdio::null()).stdout(Stdio::piped());
            let mut child = command.spawn().expect("the test can be run once more");
            let stdout = child.stdout.take().expect("stdout is a pipe");
            let (sender, lines) = channel();
            std::thread::spawn(move || {
                BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
            });
            let mut member = Member { child, address: String::new(), lines, said: Vec::new() };
            if let Some(line) = member.next(Instant::now() + DEADLINE) {
                member.address = line.strip_prefix("listening at ").expect("it says so first").to_owned();
                return member;
            }
        }
        panic!("no port is free for both UDP and TCP");
    }

    /// The next line; `None`: it has ended, or it is too late.
    fn next(&mut self, until: Instant) -> Option<String> {
        let line = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())).ok()?;
        self.said.push(line.clone());
        Some(line)
    }

    /// Waits for a line in which all of this stands.
    fn wait_for(&mut self, parts: &[&str]) {
        let until = Instant::now() + DEADLINE;
        while let Some(line) = self.next(until) {
            if parts.iter().all(|part| line.contains(part)) {
                return;
            }
        }
        panic!("{} never said {parts:?}:\n{}", self.address, self.said.join("\n"));
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
