//! What strangers on the port for messages cost in memory and in open files. Each measurement in a process of its own:
//! what an allocator kept of one would hide the next.
#![cfg(target_os = "linux")]

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use swim_proto::messaging::packet::{Hello, Packet, VERSION};
use swim_proto::{ClusterHash, NodeId};
use swim_tokio::{Config, Handle, Options, SendOptions, State};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// Generous: it is only waited out when something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);
/// Set in the process that measures.
const CHILD: &str = "SWIM_MEMORY";

const STRANGERS: usize = 2_000;
/// How much more of the system's memory the process may have by them, their own ends included: 8 KiB for each. A buffer
/// of 64 KiB for each would take 128 MiB, 16 for those 256 alone that may stand before their handshake, and 32 for the 512
/// that may stand behind it.
const GROWN_MAX: usize = 16 << 20;
/// How many of their connections the node may have open at once (`docs/tokio.md`, what it costs at most): before
/// ZeroMQ's handshake; behind it and silent, or refused and not gone; and some that have not had their turn to end.
const OPEN_MAX: usize = 256 + 512 + 64;

/// Runs one of the tests below in a process of its own.
fn alone(name: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", name])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    // What was measured.
    println!("{said}");
}

#[test]
fn two_thousand_that_say_nothing_cost_little() {
    alone("that_say_nothing");
}

#[test]
fn two_thousand_that_shake_hands_and_say_nothing_cost_little() {
    alone("that_shake_hands");
}

#[test]
fn two_thousand_that_are_refused_and_stay_cost_little() {
    alone("that_are_refused");
}

/// Room for so many open files: a shell mostly allows 1,024.
fn room_for(files: u64) {
    let allowed = rlimit::increase_nofile_limit(files).expect("the system says how many files may be open");
    assert!(allowed >= files, "{files} files are opened at once, of which {allowed} are allowed (`ulimit -Hn`)");
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux says so");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it says this");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number of KiB") * 1024
}

/// Files that this process has open.
fn files() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux says so").count()
}

async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "never came about: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Each holds the other alive, and messages pass both ways.
async fn all_is_well(nodes: &[Handle; 2]) {
    for (node, other) in [(&nodes[0], &nodes[1]), (&nodes[1], &nodes[0])] {
        eventually("both are alive", async || {
            let members = node.members().await.expect("the node runs");
            members.iter().filter(|member| member.state == State::Alive).count() == 2
        })
        .await;
        let sent = node.send(other.id(), "payload", SendOptions::default()).await.expect("there is room");
        assert!(timeout(PATIENCE, sent).await.expect("it has an outcome").is_success());
    }
}

/// What so many strangers cost that say this, and nothing more; once the node has looked at all of them.
async fn measure(says: impl Fn(&Handle) -> Vec<u8>) -> [Handle; 2] {
    assert!(std::env::var_os(CHILD).is_some(), "run by the other test, in a process of its own");
    room_for(5_000);
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let first = Options::new(any).with_name("first").start().await.expect("loopback has a free port");
    let seed = first.address().to_string();
    let second = Options::new(any).with_name("second").with_seeds([seed]).start().await.expect("and another");
    let nodes = [first, second];
    all_is_well(&nodes).await;

    let node = &nodes[1];
    let target = node.local().await.expect("the node runs").endpoint.expect("it takes messages");
    let says = says(node);
    let counts = async || node.stats().await.expect("the node runs").messaging.expect("it takes messages").1;
    let (accepts, resident_before, files_before) = (counts().await.accepts, resident(), files());
    let (mut strangers, mut open_max) = (Vec::with_capacity(STRANGERS), 0);
    for count in 1..=STRANGERS {
        let mut stranger = timeout(PATIENCE, TcpStream::connect(target)).await.expect("in time").expect("it listens");
        // One that was pushed out already may not be written to.
        let _ = stranger.write_all(&says).await;
        strangers.push(stranger);
        if count % 50 == 0 {
            open_max = open_max.max((files() - files_before).saturating_sub(count));
        }
    }
    eventually("all have been accepted", async || counts().await.accepts >= accepts + STRANGERS as u64).await;
    all_is_well(&nodes).await;
    let grown = resident().saturating_sub(resident_before);
    println!("{STRANGERS} of them cost {grown} bytes, and {open_max} files at once");
    assert!(grown < GROWN_MAX, "{grown} bytes");
    assert!(open_max <= OPEN_MAX, "{open_max} files at once");
    drop(strangers);
    nodes
}

/// A greeting of ZMTP 3.1 with NULL, and what a dealer says next.
fn handshake() -> Vec<u8> {
    let mut greeting = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 1];
    greeting.extend(b"NULL");
    greeting.resize(64, 0);
    greeting.extend(b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER");
    greeting[65] = (greeting.len() - 66) as u8;
    greeting
}

#[tokio::test]
#[ignore = "run by the other test, in a process of its own"]
async fn that_say_nothing() {
    let nodes = measure(|_| Vec::new()).await;
    let (_, counts) = nodes[1].stats().await.expect("the node runs").messaging.expect("it takes messages");
    assert!(counts.pushed_out > 1_000, "there were too many: {counts:?}");
}

#[tokio::test]
#[ignore = "run by the other test, in a process of its own"]
async fn that_shake_hands() {
    let nodes = measure(|_| handshake()).await;
    let (stats, _) = nodes[1].stats().await.expect("the node runs").messaging.expect("it takes messages");
    assert!(stats.links_accepted > 500, "they shook hands: {stats:?}");
}

#[tokio::test]
#[ignore = "run by the other test, in a process of its own"]
async fn that_are_refused() {
    let nodes = measure(|node| {
        let cluster = Config::lan().cluster;
        let hello = Packet::Hello(Hello {
            cluster: ClusterHash::of(&cluster),
            version_min: VERSION,
            version_max: VERSION,
            source: NodeId::of(&cluster, "nobody"),
            target: node.id(),
            life: 1,
            session: 7,
        });
        let mut packet = Vec::new();
        hello.encode(&mut packet);
        [handshake(), vec![0, packet.len() as u8], packet].concat()
    })
    .await;
    let (stats, _) = nodes[1].stats().await.expect("the node runs").messaging.expect("it takes messages");
    assert!(stats.drops.strangers > 500, "they were told so: {stats:?}");
}
