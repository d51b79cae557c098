//! A process with no room for one more file goes on, and accepts again once it has.
#![cfg(unix)]

use std::fs::File;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use swim_mio::{Config, Ending, Handle, Options, SendOptions, State};

const SOON: Duration = Duration::from_secs(60);
/// Set in the child, which has little room.
const CHILD: &str = "SWIM_EXHAUSTED";

/// Runs another of these tests in a process of its own: the limit is the process's.
fn with_little_room(name: &str) {
    let test = std::env::current_exe().unwrap();
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" --exact --ignored --nocapture \"$1\""])
        .arg(&test)
        .arg(name)
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn too_many_open_files_cost_newcomers_time_and_members_nothing() {
    with_little_room("in_a_process_with_little_room");
}

#[test]
fn too_many_open_files_delay_messages_and_lose_none() {
    with_little_room("links_in_a_process_with_little_room");
}

/// Files, until there is room for none.
fn all_files() -> Vec<File> {
    let files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).take(64).collect();
    assert!(files.len() < 64, "the limit holds");
    files
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
    let mut files = all_files();
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

#[test]
#[ignore = "run by the other test, in a process with a limit"]
fn links_in_a_process_with_little_room() {
    assert!(std::env::var_os(CHILD).is_some(), "the limit is set by the other test");
    let one = start("one", &[]);
    let two = start("two", &[&one]);
    let nodes = [one, two];
    eventually("they know each other", || nodes.iter().all(|node| alive(node) == 2));
    let links = |node: &Handle| node.stats().unwrap().messaging.unwrap().1;
    // A link whose other end finds no room.
    let mut files = all_files();
    files.pop();
    let waits = TcpStream::connect(nodes[0].endpoint().unwrap()).unwrap();
    eventually("it is counted", || links(&nodes[0]).accept_errors > 0);
    // It is not tried as fast as can be.
    let before = links(&nodes[0]).accept_errors;
    std::thread::sleep(Duration::from_millis(1_000));
    let tried = links(&nodes[0]).accept_errors - before;
    assert!((1..=20).contains(&tried), "tried {tried} times in a second");

    // Nor can one be opened: the message waits.
    let how = SendOptions::default().until_processed().with_expiry(Duration::from_secs(60));
    let sent = nodes[1].send(nodes[0].id(), "at last", how).unwrap();
    eventually("a link cannot be opened", || links(&nodes[1]).connects_failed > 0);
    assert_eq!(sent.wait_within(Duration::ZERO), None, "it is on its way still");

    // As soon as there is room, all goes on.
    drop(files);
    assert_eq!(&nodes[0].incoming().recv().unwrap().payload[..], b"at last");
    assert_eq!(sent.wait().ending, Ending::Processed);
    assert!(links(&nodes[0]).accepts >= 2, "the one that waited is accepted, too");
    drop(waits);
}
