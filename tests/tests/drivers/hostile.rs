//! Whatever arrives at the real sockets, the cluster goes on undisturbed.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use swim_driver::Event;

use crate::node::{Events, Mix, Node, PATIENCE, all_alive, cluster, eventually, start};

crate::on_every_mix!(
    noise_on_the_datagram_socket_is_dropped_and_counted,
    noise_on_streams_resets_them_and_nothing_else,
    a_stream_that_never_ends_costs_its_sender_only,
    peers_that_say_nothing_and_read_nothing_stall_nobody,
    an_application_that_asks_without_end_stalls_nobody,
);

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

pub(crate) fn watch(nodes: &[Node]) -> Vec<Events> {
    nodes.iter().map(Node::events).collect()
}

/// Nobody died or left, nobody new came, and all are still alive to each other.
pub(crate) fn undisturbed(nodes: &[Node], watched: &mut [Events]) {
    for (node, events) in nodes.iter().zip(watched) {
        all_alive(node, nodes.len());
        for event in events.told() {
            assert!(matches!(event, Event::Suspected(_) | Event::Refuted(_)), "{} was told {event:?}", node.name());
        }
    }
}

fn probes_go_on(node: &Node) {
    let probes = node.stats().node.probes_acked;
    eventually("probes go on", || node.stats().node.probes_acked > probes + 3);
}

fn noise_on_the_datagram_socket_is_dropped_and_counted(mix: Mix) {
    let nodes = cluster(mix, 3);
    let mut watched = watch(&nodes);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut noise = Noise(1);
    for round in 0..3_000 {
        let mut bytes = noise.bytes(if round % 100 == 0 { 60_000 } else { 1_500 });
        // Some of it looks right at first.
        if round % 2 == 0 && bytes.len() > 2 {
            bytes[..3].copy_from_slice(&[0x5A, 1, 0]);
        }
        for node in &nodes {
            socket.send_to(&bytes, node.address()).unwrap();
        }
    }
    for node in &nodes {
        eventually("noise was counted", || {
            let drops = node.stats().node.drops;
            drops.magic > 0 && drops.length + drops.foreign + drops.checksum > 0
        });
    }
    undisturbed(&nodes, &mut watched);
}

fn noise_on_streams_resets_them_and_nothing_else(mix: Mix) {
    let nodes = cluster(mix, 3);
    let mut watched = watch(&nodes);
    let mut noise = Noise(2);
    for round in 0..60 {
        let mut stream = TcpStream::connect(nodes[round % 3].address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut bytes = noise.bytes(10_000);
        if round % 2 == 0 && bytes.len() > 7 {
            // A frame's length that could be, of a packet that could be.
            bytes[..7].copy_from_slice(&[40, 0, 0, 0, 0x5A, 1, 0]);
        }
        // It may be reset before it is all written.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(Shutdown::Write);
        if let Err(error) = stream.read_to_end(&mut Vec::new()) {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the stream never ended");
        }
    }
    undisturbed(&nodes, &mut watched);
    for node in &nodes {
        let stats = node.stats();
        assert!(stats.node.drops.streams_broken > 0, "{stats:?}");
    }
}

fn a_stream_that_never_ends_costs_its_sender_only(mix: Mix) {
    let nodes = cluster(mix, 3);
    let mut watched = watch(&nodes);
    let is_over = Arc::new(AtomicBool::new(false));
    let flood = |to| {
        let is_over = is_over.clone();
        std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                let Ok(mut stream) = TcpStream::connect(to) else { continue };
                stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
                while !is_over.load(Ordering::Relaxed) && stream.write_all(&[0x5A; 65_536]).is_ok() {}
            }
        })
    };
    let floods: Vec<_> = nodes.iter().map(|node| flood(node.address())).collect();
    // Under it, a newcomer is let in and says goodbye.
    let fourth = start(mix, 3, "fourth", &[&nodes[0]]);
    fourth.joined().unwrap();
    all_alive(&fourth, 4);
    fourth.shutdown();
    is_over.store(true, Ordering::Relaxed);
    for flood in floods {
        flood.join().unwrap();
    }
    for (node, events) in nodes.iter().zip(&mut watched) {
        all_alive(node, 3);
        for event in events.told() {
            assert!(!matches!(event, Event::Died(_)), "{} was told {event:?}", node.name());
        }
    }
}

fn peers_that_say_nothing_and_read_nothing_stall_nobody(mix: Mix) {
    let nodes = cluster(mix, 2);
    for target in &nodes {
        // More than the node takes, all at once, and all mute.
        let mut mute = Vec::new();
        for _ in 0..300 {
            // Those beyond the limit may be reset before they know that they are connected.
            mute.push(TcpStream::connect(target.address()));
        }
        eventually("the limit was reached", || target.stats().driver.accepts_refused > 0);
        let mut watched = watch(&nodes);
        // The application is answered, members are probed, nobody is suspected for long.
        probes_go_on(target);
        undisturbed(&nodes, &mut watched);
    }
    // Once they are gone there is room again.
    let third = start(mix, 1, "third", &[&nodes[0]]);
    third.joined().unwrap();
    all_alive(&nodes[1], 3);
}

fn an_application_that_asks_without_end_stalls_nobody(mix: Mix) {
    let nodes = cluster(mix, 2);
    let mut watched = watch(&nodes);
    for node in &nodes {
        let is_over = Arc::new(AtomicBool::new(false));
        let asking: Vec<_> = (0..16)
            .map(|_| {
                let (node, is_over) = (node.clone(), is_over.clone());
                std::thread::spawn(move || while !is_over.load(Ordering::Relaxed) && node.members().is_ok() {})
            })
            .collect();
        probes_go_on(node);
        is_over.store(true, Ordering::Relaxed);
        asking.into_iter().for_each(|asking| asking.join().unwrap());
    }
    undisturbed(&nodes, &mut watched);
}
