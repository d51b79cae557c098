//! Whatever arrives at the real sockets, the cluster goes on undisturbed.

use std::time::Duration;

use swim_tokio::{Event, Events, Handle, State};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::cluster::{all_alive, cluster, eventually, soon, start, told};

/// Bytes without sense, the same each time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, len_max: usize) -> Vec<u8> {
        let len = self.next() as usize % (len_max + 1);
        (0..len).map(|_| self.next() as u8).collect()
    }
}

pub(crate) async fn watch(nodes: &[Handle]) -> Vec<Events> {
    let mut watched = Vec::new();
    for node in nodes {
        watched.push(node.events());
    }
    watched
}

/// Nobody died or left, nobody new came, and all are still alive to each other.
pub(crate) async fn undisturbed(nodes: &[Handle], watched: &mut [Events]) {
    for (node, events) in nodes.iter().zip(watched) {
        all_alive(node, nodes.len()).await;
        for event in told(events) {
            assert!(matches!(event, Event::Suspected(_) | Event::Refuted(_)), "{} was told {event:?}", node.name());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noise_on_the_datagram_socket_is_dropped_and_counted() {
    let nodes = cluster(3).await;
    let mut watched = watch(&nodes).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut noise = Noise(1);
    for round in 0..5_000 {
        let mut bytes = noise.bytes(if round % 100 == 0 { 60_000 } else { 1_500 });
        // Some of it looks right at first.
        if round % 2 == 0 && bytes.len() > 2 {
            bytes[..3].copy_from_slice(&[0x5A, 1, 0]);
        }
        for node in &nodes {
            socket.send_to(&bytes, node.address()).await.unwrap();
        }
    }
    for node in &nodes {
        eventually("noise was counted", async || {
            let drops = node.stats().await.unwrap().node.drops;
            drops.magic > 0 && drops.length + drops.foreign + drops.checksum > 0
        })
        .await;
    }
    undisturbed(&nodes, &mut watched).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noise_on_streams_resets_them_and_nothing_else() {
    let nodes = cluster(3).await;
    let mut watched = watch(&nodes).await;
    let mut noise = Noise(2);
    for round in 0..100 {
        let mut stream = TcpStream::connect(nodes[round % 3].address()).await.unwrap();
        let mut bytes = noise.bytes(10_000);
        if round % 2 == 0 && bytes.len() > 7 {
            // A frame's length that could be, of a packet that could be.
            bytes[..7].copy_from_slice(&[40, 0, 0, 0, 0x5A, 1, 0]);
        }
        // It may be reset before it is all written.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let _ = soon("the stream's end", stream.read_to_end(&mut Vec::new())).await;
    }
    undisturbed(&nodes, &mut watched).await;
    for node in &nodes {
        let stats = node.stats().await.unwrap();
        assert!(stats.node.drops.streams_broken > 0, "{stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_never_ends_costs_its_sender_only() {
    let nodes = cluster(3).await;
    let mut watched = watch(&nodes).await;
    let flood = |to| async move {
        loop {
            let Ok(mut stream) = TcpStream::connect(to).await else { continue };
            while stream.write_all(&[0x5A; 65_536]).await.is_ok() {}
        }
    };
    let floods: Vec<_> = nodes.iter().map(|node| tokio::spawn(flood(node.address()))).collect();
    // Under it, a newcomer is let in and says goodbye.
    let fourth = start("fourth", &[&nodes[0]]).await;
    soon("joining", fourth.joined()).await.unwrap();
    all_alive(&fourth, 4).await;
    soon("leaving", fourth.shutdown()).await;
    for flood in floods {
        flood.abort();
    }
    for (node, events) in nodes.iter().zip(&mut watched) {
        all_alive(node, 3).await;
        for event in told(events) {
            assert!(!matches!(event, Event::Died(_)), "{} was told {event:?}", node.name());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_say_nothing_and_read_nothing_stall_nobody() {
    let nodes = cluster(2).await;
    // More than the node takes, all at once, and all mute.
    let mut mute = Vec::new();
    for _ in 0..300 {
        // Those beyond the limit may be reset before they know that they are connected.
        mute.push(TcpStream::connect(nodes[0].address()).await);
    }
    eventually("the limit was reached", async || nodes[0].stats().await.unwrap().driver.accepts_refused > 0).await;
    let mut watched = watch(&nodes).await;
    // The application is answered, members are probed, nobody is suspected for long.
    let probes = nodes[0].stats().await.unwrap().node.probes_acked;
    eventually("probes go on", async || nodes[0].stats().await.unwrap().node.probes_acked > probes + 3).await;
    undisturbed(&nodes, &mut watched).await;

    // Once they are gone there is room again.
    drop(mute);
    let third = start("third", &[&nodes[0]]).await;
    soon("joining", third.joined()).await.unwrap();
    all_alive(&nodes[1], 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_asks_without_end_stalls_nobody() {
    let nodes = cluster(3).await;
    let mut watched = watch(&nodes).await;
    let asking: Vec<_> = (0..64)
        .map(|_| {
            let node = nodes[0].clone();
            tokio::spawn(async move { while node.members().await.is_ok() {} })
        })
        .collect();
    let probes = nodes[0].stats().await.unwrap().node.probes_acked;
    eventually("probes go on", async || nodes[0].stats().await.unwrap().node.probes_acked > probes + 3).await;
    for asking in asking {
        asking.abort();
    }
    undisturbed(&nodes, &mut watched).await;
}

#[tokio::test]
async fn a_runtime_held_up_by_its_application_buries_nobody() {
    // All on one thread, which then does nothing for a while: answers wait in the sockets, timers are late.
    let nodes = cluster(3).await;
    let mut watched = watch(&nodes).await;
    std::thread::sleep(Duration::from_secs(3));
    for (node, events) in nodes.iter().zip(&mut watched) {
        all_alive(node, 3).await;
        for event in told(events) {
            assert!(!matches!(event, Event::Died(_)), "{} was told {event:?}", node.name());
        }
        assert!(node.members().await.unwrap().iter().all(|member| member.state == State::Alive));
    }
}
