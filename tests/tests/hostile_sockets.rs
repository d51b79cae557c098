//! A million lies at the real sockets of real nodes.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use swim_tests::craft::Puppet;
use swim_tests::liar::Liar;
use swim_tokio::{Config, Handle, Options, State};

const NODES: usize = 3;
const LIES: usize = 1_000_000;

async fn start(name: &str, seeds: &[SocketAddr]) -> Handle {
    let config = Config { members_max: 64, tombstones_max: 48, streams_max: 16, ..Config::lan() };
    let options = Options::new("127.0.0.1:0".parse().expect("an address")).with_name(name).with_config(config);
    let seeds = seeds.iter().map(SocketAddr::to_string);
    options.with_seeds(seeds).start().await.expect("a port is free")
}

async fn all_hold_all_alive(nodes: &[Handle]) -> bool {
    for observer in nodes {
        for subject in nodes {
            let held = observer.member(subject.id()).await.expect("it runs");
            if held.is_none_or(|member| member.state != State::Alive) {
                return false;
            }
        }
    }
    true
}

async fn wait_until_all_hold_all_alive(nodes: &[Handle], limit: Duration) {
    let begun = Instant::now();
    while !all_hold_all_alive(nodes).await {
        if begun.elapsed() > limit {
            for node in nodes {
                println!("{}: {:#?}", node.name(), node.members().await);
            }
            panic!("not everybody holds everybody alive after {limit:?}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Bytes of memory this process holds; 0 where the system does not say.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

/// Sends lies from a socket of its own, now and then resting, so that most of them get past the sockets' buffers.
fn lie(members: Vec<Puppet>) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let targets: Vec<SocketAddr> = members.iter().map(|member| member.address).collect();
    let mut liar = Liar::new(members, 9);
    for i in 0..LIES {
        let packet = if liar.random.one_in(3) { liar.bent() } else { liar.datagram() };
        // What is longer than any datagram the system itself refuses.
        let _ = socket.send_to(&packet, targets[i % targets.len()]);
        if i % 192 == 0 {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_lies_at_real_sockets_leave_the_cluster_whole() {
    let mut nodes = vec![start("a", &[]).await];
    for name in ["b", "c"] {
        nodes.push(start(name, &[nodes[0].address()]).await);
    }
    wait_until_all_hold_all_alive(&nodes, Duration::from_secs(10)).await;

    let before = resident();
    let members = nodes.iter().map(|node| Puppet::new(node.name(), node.address())).collect();
    tokio::task::spawn_blocking(|| lie(members)).await.expect("the liar does not panic");
    let grown = resident().saturating_sub(before);

    let mut taken_in = 0;
    for node in &nodes {
        let stats = node.stats().await.expect("it runs").node;
        let drops = stats.drops;
        let refused = drops.length + drops.magic + drops.version + drops.foreign + drops.checksum + drops.malformed;
        println!("{}: {} taken in, {refused} refused: {drops:?}", node.name(), stats.datagrams_in);
        for (reason, count) in [
            ("foreign", drops.foreign),
            ("checksum", drops.checksum),
            ("malformed", drops.malformed),
            ("members_full", drops.members_full),
            ("misdirected", drops.misdirected),
            ("unmatched", drops.unmatched),
        ] {
            assert!(count > 0, "nothing was dropped for {reason}: {drops:?}");
        }
        assert!(node.members().await.expect("it runs").len() <= 64);
        assert!(stats.tombstones <= 48 && stats.streams <= 16);
        taken_in += stats.datagrams_in + refused;
    }
    println!("{taken_in} of {LIES} lies got in; {grown} bytes more resident");
    assert!(taken_in as usize > LIES / 4, "only {taken_in} lies got in");
    assert!(grown < 64 << 20, "{grown} bytes more are resident");

    wait_until_all_hold_all_alive(&nodes, Duration::from_secs(30)).await;
    for (i, node) in nodes.iter().enumerate() {
        assert_eq!(node.local().await.expect("it runs").state, State::Alive, "node {i} of {NODES}");
        node.shutdown().await;
    }
}
