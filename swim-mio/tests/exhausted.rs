//! A process with no room for one more file goes on, and accepts again once it has.
#![cfg(unix)]

use std::fs::File;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use swim_mio::{Config, Handle, Options, State};

const SOON: Duration = Duration::from_secs(60);
/// Set in the child, which has little room.
const CHILD: &str = "SWIM_EXHAUSTED";

#[test]
fn too_many_open_files_cost_newcomers_time_and_members_nothing() {
    // The limit is the process's: a child has one of its own.
    let test = std::env::current_exe().unwrap();
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" --exact --ignored --nocapture in_a_process_with_little_room"])
        .arg(&test)
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

fn start(name: &str, seeds: &[&Handle]) -> Handle {
    let config = Config {
        probe_interval: Duration::from_millis(300),
        probe_timeout: Duration::from_millis(150),
        sync_interval: Duration::from_secs(1),
        ..Config::lan()
    };
    let seeds = seeds.iter().map(|seed| seed.address().to_string());
    Options::new("127.0.0.1:0".parse().unwrap()).with_name(name).with_config(config).with_seeds(seeds).start().unwrap()
}

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < deadline, "never came about: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn alive(node: &Handle) -> usize {
    node.members().unwrap().iter().filter(|member| member.state == State::Alive).count()
}

#[test]
#[ignore = "run by the other test, in a process with a limit"]
fn in_a_process_with_little_room() {
    assert!(std::env::var_os(CHILD).is_some(), "the limit is set by the other test");
    let nodes = [start("one", &[]), start("two", &[])];
    // A connection whose other end finds no room.
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    assert!(files.len() < 64, "the limit holds");
    files.pop();
    let waits = TcpStream::connect(nodes[0].address()).unwrap();
    eventually("it is counted", || nodes[0].stats().unwrap().driver.accept_errors > 0);
    // It is not tried as fast as can be.
    let before = nodes[0].stats().unwrap().driver.accept_errors;
    std::thread::sleep(Duration::from_millis(1_000));
    let tried = nodes[0].stats().unwrap().driver.accept_errors - before;
    assert!((1..=20).contains(&tried), "tried {tried} times in a second");

    // Nor can a stream be opened: that fails, and is tried again by whoever wanted it.
    nodes[1].join([nodes[0].address().to_string()]).unwrap();
    eventually("a stream cannot be opened", || nodes[1].stats().unwrap().driver.connects_failed > 0);

    // As soon as there is room, all goes on.
    drop(files);
    eventually("the one that waited is accepted", || nodes[0].stats().unwrap().driver.accepts > 0);
    drop(waits);
    eventually("they know each other", || nodes.iter().all(|node| alive(node) == 2));
}
