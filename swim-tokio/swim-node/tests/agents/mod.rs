//! Agents as real processes: started, read line by line, signalled, and killed at the latest when a test ends.
//!
//! Waiting is for conditions, with a deadline so generous that only a hang exceeds it; nothing is asserted about how
//! long something took.

#![allow(dead_code)] // each test file uses a part of this

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Only a hang takes longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);

/// An address free for UDP and TCP: a port of a loopback address that no other agent of these tests has, where the
/// system has more than one. A port given back there is still free when it is asked for again.
pub(crate) fn free_address() -> SocketAddr {
    static AGENTS: AtomicU16 = AtomicU16::new(0);
    let host = if cfg!(target_os = "linux") {
        let [high, low] = AGENTS.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        [127, 1 + (std::process::id() % 250) as u8, high, 1 + low % 250]
    } else {
        [127, 0, 0, 1]
    };
    loop {
        let tcp = TcpListener::bind(SocketAddr::from((host, 0))).expect("loopback has a free port");
        let address = tcp.local_addr().expect("a bound socket has an address");
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

/// The binary, in an environment without settings for it.
pub(crate) fn swim_node() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swim-node"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SWIM_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// A running agent with JSON output.
pub(crate) struct Agent {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    lines: Receiver<(Stream, String)>,
    /// What it said on stdout, as far as it was read.
    pub(crate) events: Vec<Value>,
    /// What it said on stderr, as far as it was read.
    pub(crate) logs: Vec<String>,
    /// Events before this one were waited for already.
    seen: usize,
}

#[derive(Clone, Copy)]
enum Stream {
    Out,
    Err,
}

impl Agent {
    /// Starts one at this address.
    pub(crate) fn start(address: SocketAddr, arguments: &[&str]) -> Agent {
        let mut command = swim_node();
        command.args(["--addr", &address.to_string(), "--json-logging"]).args(arguments);
        Agent::spawn(command, address)
    }

    /// Starts this command, which must say `--json-logging`.
    pub(crate) fn spawn(mut command: Command, address: SocketAddr) -> Agent {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let (sender, lines) = channel();
        read(Stream::Out, child.stdout.take().expect("stdout is a pipe"), sender.clone());
        read(Stream::Err, child.stderr.take().expect("stderr is a pipe"), sender);
        Agent { child, address, lines, events: Vec::new(), logs: Vec::new(), seen: 0 }
    }

    /// The next event like this, of those not waited for yet; what comes before it is passed.
    pub(crate) fn wait_for(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + DEADLINE;
        loop {
            while self.seen < self.events.len() {
                self.seen += 1;
                if is_it(&self.events[self.seen - 1]) {
                    return self.events[self.seen - 1].clone();
                }
            }
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok((Stream::Out, line)) => {
                    let event = serde_json::from_str(&line);
                    self.events.push(event.unwrap_or_else(|error| panic!("{error}: {line}")));
                }
                Ok((Stream::Err, line)) => self.logs.push(line),
                Err(RecvTimeoutError::Timeout) => panic!("never came: {what}\n{}", self.transcript()),
                Err(RecvTimeoutError::Disconnected) => panic!("ended without: {what}\n{}", self.transcript()),
            }
        }
    }

    /// The next such event about this member, in any order with events about others.
    pub(crate) fn wait_for_member(&mut self, kinds: &[&str], member: SocketAddr) -> Value {
        let address = member.to_string();
        let is_it = |event: &Value| {
            kinds.iter().any(|kind| event["event"] == *kind) && event["member"]["addr"] == address.as_str()
        };
        // Events about others, waited for later, may stand before it.
        let passed = self.seen;
        let found = self.wait_for(&format!("{kinds:?} {member}"), is_it);
        self.seen = passed;
        found
    }

    /// From now on, only what comes after now counts.
    pub(crate) fn turn_the_page(&mut self) {
        while let Ok((stream, line)) = self.lines.try_recv() {
            match stream {
                Stream::Out => self.events.push(serde_json::from_str(&line).expect("each line is JSON")),
                Stream::Err => self.logs.push(line),
            }
        }
        self.seen = self.events.len();
    }

    /// Waits until a log line contains this.
    pub(crate) fn wait_for_log(&mut self, part: &str) -> String {
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some(line) = self.logs.iter().find(|line| line.contains(part)) {
                return line.clone();
            }
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok((Stream::Out, line)) => self.events.push(serde_json::from_str(&line).expect("each line is JSON")),
                Ok((Stream::Err, line)) => self.logs.push(line),
                Err(_) => panic!("never logged: {part}\n{}", self.transcript()),
            }
        }
    }

    /// Sends a signal by its name: "TERM", "INT".
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("kill is there").success());
    }

    /// SIGKILL: no goodbye.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("it has ended");
    }

    /// Waits for its end and reads what it still said.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                while let Ok((stream, line)) = self.lines.recv_timeout(Duration::from_secs(10)) {
                    match stream {
                        Stream::Out => self.events.push(serde_json::from_str(&line).expect("each line is JSON")),
                        Stream::Err => self.logs.push(line),
                    }
                }
                return status;
            }
            assert!(Instant::now() < until, "does not end\n{}", self.transcript());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Everything it said, for the message of a test that failed.
    pub(crate) fn transcript(&self) -> String {
        let events: Vec<_> = self.events.iter().map(Value::to_string).collect();
        format!("--- stdout of {}\n{}\n--- stderr\n{}", self.address, events.join("\n"), self.logs.join("\n"))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(stream: Stream, from: impl Read + Send + 'static, to: Sender<(Stream, String)>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if to.send((stream, line)).is_err() {
                break;
            }
        }
    });
}
