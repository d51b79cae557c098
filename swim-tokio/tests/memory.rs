//! What strangers on the port for messages cost in memory. In a process of its own, since that is what is measured.
#![cfg(target_os = "linux")]

use std::net::SocketAddr;
use std::time::Duration;

use swim_tokio::{Handle, Options, SendOptions, State};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// Generous: it is only waited out when something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much more of the system's memory this process may have by 2,000 of them, their own ends included: 12 KiB for each. A
/// buffer of 64 KiB for each would take 128 MiB, and 32 for those 512 alone that may have shaken hands and say nothing.
const GROWN_MAX: usize = 24 << 20;

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

/// So many strangers that say this, and nothing more; once the node has looked at all of them.
async fn strangers(node: &Handle, says: &[u8]) -> Vec<TcpStream> {
    const COUNT: usize = 2_000;
    let target = node.local().await.expect("the node runs").endpoint.expect("it takes messages");
    let before = node.stats().await.expect("the node runs").messaging.expect("it takes messages").1.accepts;
    let mut strangers = Vec::with_capacity(COUNT);
    for _ in 0..COUNT {
        let mut stranger = timeout(PATIENCE, TcpStream::connect(target)).await.expect("in time").expect("it listens");
        // One that was pushed out already may not be written to.
        let _ = stranger.write_all(says).await;
        strangers.push(stranger);
    }
    eventually("all have been accepted", async || {
        let stats = node.stats().await.expect("the node runs").messaging.expect("it takes messages").1;
        stats.accepts >= before + COUNT as u64
    })
    .await;
    strangers
}

#[tokio::test]
async fn two_thousand_strangers_cost_little_memory() {
    room_for(5_000);
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let first = Options::new(any).with_name("first").start().await.expect("loopback has a free port");
    let seed = first.address().to_string();
    let second = Options::new(any).with_name("second").with_seeds([seed]).start().await.expect("and another");
    let nodes = [first, second];
    all_is_well(&nodes).await;

    let before = resident();
    let silent = strangers(&nodes[1], &[]).await;
    all_is_well(&nodes).await;
    let grown = resident().saturating_sub(before);
    assert!(grown < GROWN_MAX, "2,000 that say nothing cost {grown} bytes");
    drop(silent);

    // A greeting of ZMTP 3.1 with NULL, and what a dealer says next; then nothing.
    let mut greeting = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 1];
    greeting.extend(b"NULL");
    greeting.resize(64, 0);
    greeting.extend(b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER");
    let len = greeting.len() - 64 - 2;
    greeting[65] = len as u8;
    let before = resident();
    let shaken = strangers(&nodes[1], &greeting).await;
    all_is_well(&nodes).await;
    let grown = resident().saturating_sub(before);
    assert!(grown < GROWN_MAX, "2,000 that say who they are and nothing more cost {grown} bytes");
    let (stats, _) = nodes[1].stats().await.expect("the node runs").messaging.expect("it takes messages");
    assert!(stats.links_accepted > 500, "they shook hands: {stats:?}");
    drop(shaken);
}
