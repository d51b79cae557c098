//! A socket of libzmq to test with, in a process of its own.
//!
//! libzmq comes with pyzmq, in an environment that `pyzmq-venv.sh` makes; SWIM_PYZMQ says where its Python is. Without
//! it these tests say that they did not run: `cargo test` must need nothing but Rust. With SWIM_INTEROP=required, as
//! `.ci/run` has it, that is a failure.
#![allow(dead_code, unreachable_pub, missing_docs)] // each test file uses some of it

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bytes::Bytes;

/// Longer than it may take to say anything, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The Python that has libzmq; `None`, and it is said so, where nobody asked for these tests.
///
/// # Panics
/// There is none, and these tests are required.
#[track_caller]
pub fn python() -> Option<OsString> {
    let python = std::env::var_os("SWIM_PYZMQ");
    if python.is_none() {
        let test = std::thread::current();
        let test = test.name().unwrap_or("a test");
        let said = format!("{test} did not run: SWIM_PYZMQ is not set, see swim-proto/zmq/tests/pyzmq-venv.sh");
        match std::env::var("SWIM_INTEROP") {
            // Not by print, which the test harness would keep to itself.
            Err(std::env::VarError::NotPresent) => {
                let _ = std::io::stderr().write_all(format!("{said}\n").as_bytes());
            }
            required => panic!("{said}; SWIM_INTEROP is {required:?}, and this may not be left out"),
        }
    }
    python
}

/// The socket. Its process ends with this.
pub struct Libzmq {
    child: Child,
    commands: ChildStdin,
    received: Receiver<String>,
    /// Where it is bound, or connects to.
    pub address: SocketAddr,
}

impl Libzmq {
    /// `kind` is dealer or router, `way` connect or bind; `at` may be `from:0;to`, where it is to connect from. An option
    /// is the name of one of pyzmq, and its value, with = between.
    pub fn start(python: &OsStr, kind: &str, way: &str, at: &str, options: &[&str]) -> Libzmq {
        let mut command = Command::new(python);
        command.args(["-c", include_str!("peer.py"), kind, way, &format!("tcp://{at}")]).args(options);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("SWIM_PYZMQ is a Python");
        let commands = child.stdin.take().expect("it is piped");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let first = lines.next().expect("it says where it is").expect("it prints text");
        let address = first.strip_prefix("at tcp://").expect("an address");
        let address = address.rsplit(';').next().and_then(|to| to.parse().ok()).expect("an address");
        let (sender, received) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Libzmq { child, commands, received, address }
    }

    /// Sends a message; a ROUTER's begins with the identity of whom it is for.
    pub fn send(&mut self, parts: &[Bytes]) {
        let hex = |part: &Bytes| part.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(digit).collect::<String>();
        let line = parts.iter().map(hex).collect::<Vec<_>>().join(",");
        writeln!(self.commands, "send {line}").expect("it reads");
    }

    /// The next message that it received; a ROUTER's begins with the identity of whom it is from.
    #[track_caller]
    pub fn receive(&mut self) -> Vec<Bytes> {
        let line = self.received.recv_timeout(PATIENCE).expect("a message");
        let parts = line.strip_prefix("got ").expect("a message");
        parts.split(',').map(|part| part.as_bytes().chunks(2).map(byte).collect()).collect()
    }

    /// Ends the process without a word, on unix by SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    #[cfg(unix)]
    pub fn signal(&self, signal: &str) {
        let done = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(done.expect("there is kill").success());
    }
}

impl Drop for Libzmq {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).expect("it is below 16")
}

fn byte(hex: &[u8]) -> u8 {
    let text = std::str::from_utf8(hex).expect("hex is text");
    u8::from_str_radix(text, 16).expect("it is hex")
}
