//! Signals interrupt what waits, and end nothing.
#![cfg(target_os = "linux")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use swim_mio::Options;

/// Set in the child, which is stopped and goes on.
const CHILD: &str = "SWIM_INTERRUPTED";

#[test]
fn a_process_that_is_stopped_and_goes_on_keeps_its_node() {
    let test = std::env::current_exe().unwrap();
    let mut child = Command::new(test)
        .args(["--exact", "--ignored", "--nocapture", "in_a_process_that_is_stopped"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("it runs")), "it did not start");
    // To go on after a stop interrupts whatever waits for readiness, as a signal with a handler does.
    for signal in ["-STOP", "-CONT"].repeat(10) {
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        std::thread::sleep(Duration::from_millis(20));
    }
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let rest: Vec<String> = said.collect();
    assert!(child.wait().unwrap().success() && rest.iter().any(|line| line.contains("1 passed")), "{rest:?}");
}

#[test]
#[ignore = "run by the other test, in a process of its own"]
fn in_a_process_that_is_stopped() {
    assert!(std::env::var_os(CHILD).is_some(), "it is stopped by the other test");
    let any = "127.0.0.1:0".parse().unwrap();
    let node = Options::new(any).with_name("node").start().unwrap();
    println!("it runs");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    assert_eq!(node.health(), Ok(0), "its loop goes on");
    assert!(!node.closed_within(Duration::ZERO));
}
