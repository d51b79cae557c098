//! A million lies at the real sockets of real nodes.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use swim_proto::Drops;
use swim_tests::craft::Puppet;
use swim_tests::liar::Liar;
use swim_tokio::{Cause, Config, Event, Events, Handle, MemberInfo, NodeId, Options, State, Stats};

const NODES: usize = 3;
const LIES: usize = 1_000_000;
/// So many are under way at once: what the nodes' sockets have room for.
const BATCH: usize = 192;

async fn start(name: &str, seeds: &[SocketAddr]) -> Handle {
    let config = Config { members_max: 64, tombstones_max: 48, streams_max: 16, ..Config::lan() };
    let mut options = Options::new("127.0.0.1:0".parse().expect("an address")).with_name(name).with_config(config);
    // As many as may be told in the time between two looks at them.
    options.events_max = 1 << 14;
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

/// Datagrams that a node has taken in, refused, or told us that it lost.
async fn accounted(node: &Handle) -> u64 {
    let Stats { node, driver, .. } = node.stats().await.expect("it runs");
    node.datagrams_in + refused(&node.drops) + driver.datagrams_shed + driver.datagrams_lost
}

fn refused(drops: &Drops) -> u64 {
    drops.length + drops.magic + drops.version + drops.foreign + drops.checksum + drops.sealed + drops.malformed
}

/// What a node says of the others while it is lied to.
struct Witness {
    events: Events,
    /// Who is held dead or departed, and since when.
    buried: BTreeMap<NodeId, Instant>,
    burials: Vec<Duration>,
}

impl Witness {
    fn listen(&mut self, members: &[NodeId]) {
        while let Some(notice) = self.events.try_recv().expect("it is asked often enough") {
            let (Event::Joined(change) | Event::Died(change) | Event::Left(change) | Event::Restarted(change)) =
                &notice.event
            else {
                continue;
            };
            let MemberInfo { id, state, .. } = change.member;
            if !members.contains(&id) {
                continue;
            }
            // That a forged one is believed at once is what whoever can forge it can do (docs/protocol.md 1.9, 5.5).
            assert!(!matches!(change.cause, Cause::SuspicionExpired { .. }), "it judged so itself: {notice:?}");
            if !state.is_live() {
                self.buried.entry(id).or_insert_with(Instant::now);
            } else if let Some(since) = self.buried.remove(&id) {
                self.burials.push(since.elapsed());
            }
        }
    }
}

/// Sends lies from a socket of its own, and goes on when they have been taken in; the number of those that the system
/// took.
async fn lie(nodes: &[Handle], witnesses: &mut [Witness]) -> u64 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let members: Vec<NodeId> = nodes.iter().map(Handle::id).collect();
    let mut liar = Liar::new(nodes.iter().map(|node| Puppet::new(node.name(), node.address())).collect(), 9);
    let mut all = 0;
    for _ in 0..LIES / BATCH {
        let mut sent = [0; NODES];
        let mut before = [0; NODES];
        for (before, node) in before.iter_mut().zip(nodes) {
            *before = accounted(node).await;
        }
        for i in 0..BATCH {
            let packet = if liar.random.one_in(3) { liar.bent() } else { liar.datagram() };
            // What is longer than any datagram the system itself refuses.
            sent[i % NODES] += u64::from(socket.send_to(&packet, nodes[i % NODES].address()).is_ok());
        }
        let begun = Instant::now();
        for (node, due) in nodes.iter().zip(before.iter().zip(sent).map(|(before, sent)| before + sent)) {
            while accounted(node).await < due {
                assert!(
                    begun.elapsed() < Duration::from_secs(60),
                    "{} has lost lies that it does not count",
                    node.name()
                );
                tokio::task::yield_now().await;
            }
        }
        witnesses.iter_mut().for_each(|witness| witness.listen(&members));
        all += sent.iter().sum::<u64>();
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_lies_at_real_sockets_leave_the_cluster_whole() {
    let mut nodes = vec![start("a", &[]).await];
    for name in ["b", "c"] {
        nodes.push(start(name, &[nodes[0].address()]).await);
    }
    wait_until_all_hold_all_alive(&nodes, Duration::from_secs(10)).await;

    let before = resident();
    let witness = |node: &Handle| Witness { events: node.events(), buried: BTreeMap::new(), burials: Vec::new() };
    let mut witnesses: Vec<Witness> = nodes.iter().map(witness).collect();
    let sent = lie(&nodes, &mut witnesses).await;
    let grown = resident().saturating_sub(before);

    let (mut taken_in, mut lost) = (0, 0);
    for node in &nodes {
        let Stats { node: stats, driver, .. } = node.stats().await.expect("it runs");
        let drops = stats.drops;
        println!("{}: {} taken in, {} refused: {drops:?}", node.name(), stats.datagrams_in, refused(&drops));
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
        taken_in += stats.datagrams_in + refused(&drops);
        lost += driver.datagrams_shed + driver.datagrams_lost;
    }
    println!(
        "{sent} of {LIES} lies were sent: {taken_in} datagrams got in, {lost} did not; {grown} bytes more resident"
    );
    assert!(taken_in + lost >= sent && lost < sent / 100, "{taken_in} of {sent} got in, and {lost} did not");
    assert!(grown < 64 << 20, "{grown} bytes more are resident");

    wait_until_all_hold_all_alive(&nodes, Duration::from_secs(30)).await;
    let members: Vec<NodeId> = nodes.iter().map(Handle::id).collect();
    for (node, witness) in nodes.iter().zip(&mut witnesses) {
        witness.listen(&members);
        println!("{}: {} burials, the longest {:?}", node.name(), witness.burials.len(), witness.burials.iter().max());
        assert!(witness.buried.is_empty(), "{} holds {:?} dead", node.name(), witness.buried);
    }
    for (i, node) in nodes.iter().enumerate() {
        assert_eq!(node.local().await.expect("it runs").state, State::Alive, "node {i} of {NODES}");
        node.shutdown().await;
    }
}
