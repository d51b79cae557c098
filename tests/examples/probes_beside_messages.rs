//! How long a node takes to answer a ping while another sends it as many reliable messages as it takes: on `swim-tokio` and
//! on `swim-mio`, beside the same node with nothing to do.
//!
//! ```text
//! cargo run --release -p swim-tests --example probes_beside_messages
//! ```
//!
//! Three threads want two or more processors: whoever sends, the node (and the application beside it, which takes what
//! comes), and whoever asks, one ping at a time, with a pause after each, from a socket that is no member.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use swim_proto::NodeId;
use swim_proto::wire::{Message, Ping};
use swim_tests::craft;
use swim_tokio::{Handle, Options, SendOptions};

/// How long pings are asked.
const RUN: Duration = Duration::from_secs(5);
/// Between an answer and the next question.
const PAUSE: Duration = Duration::from_micros(500);
/// Messages under way.
const WINDOW: usize = 8192;

fn main() {
    println!(
        "{:<12} {:>10} {:>12} {:>10} {:>10} {:>10} {:>10} {:>8}",
        "", "payload", "messages/s", "p50 us", "p99 us", "p99.9 us", "most us", "lost"
    );
    let loopback = "127.0.0.1:0".parse().expect("an address");
    for size in [None, Some(100), Some(16 * 1024)] {
        on_tokio(loopback, size);
        on_mio(loopback, size);
    }
}

fn on_tokio(loopback: SocketAddr, size: Option<usize>) {
    let runtime = runtime();
    let taken = Arc::new(AtomicU64::new(0));
    let node = runtime.block_on(Options::new(loopback).with_name("receiver").start()).expect("loopback has a port");
    let (mut incoming, count) = (node.incoming(), taken.clone());
    runtime.spawn(async move {
        let mut messages = Vec::new();
        while incoming.recv_many(&mut messages, 256).await > 0 {
            count.fetch_add(messages.len() as u64, Ordering::Relaxed);
            messages.clear();
        }
    });
    measure("swim-tokio", node.address(), &taken, size);
    runtime.block_on(node.shutdown());
}

fn on_mio(loopback: SocketAddr, size: Option<usize>) {
    let taken = Arc::new(AtomicU64::new(0));
    let node = swim_mio::Options::new(loopback).with_name("receiver").start().expect("loopback has a port");
    let (mut incoming, count) = (node.incoming(), taken.clone());
    let application = std::thread::spawn(move || {
        let mut messages = Vec::new();
        while incoming.recv_many(&mut messages, 256) > 0 {
            count.fetch_add(messages.len() as u64, Ordering::Relaxed);
            messages.clear();
        }
    });
    measure("swim-mio", node.address(), &taken, size);
    node.shutdown();
    application.join().expect("it has nothing to fail by");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// Asks while messages of this size come, or none, and prints what it took.
fn measure(what: &str, at: SocketAddr, taken: &AtomicU64, size: Option<usize>) {
    let is_over = Arc::new(AtomicBool::new(false));
    let sender = size.map(|size| {
        let is_over = is_over.clone();
        std::thread::spawn(move || {
            runtime().block_on(async {
                let options = Options::new("127.0.0.1:0".parse().expect("an address")).with_name("sender");
                let node = options.with_seeds([at.to_string()]).start().await.expect("loopback has a port");
                node.joined().await.expect("the receiver lets it in");
                flood(&node, &Bytes::from(vec![7; size]), &is_over).await;
                node.shutdown().await;
            });
        })
    });
    // The link is up, and messages come.
    let limit = Instant::now() + Duration::from_secs(30);
    while size.is_some() && taken.load(Ordering::Relaxed) < WINDOW as u64 {
        assert!(Instant::now() < limit, "no messages come");
        std::thread::sleep(Duration::from_millis(10));
    }
    let (begun, before) = (Instant::now(), taken.load(Ordering::Relaxed));
    let (answers, lost) = ask(at);
    let rate = (taken.load(Ordering::Relaxed) - before) as f64 / begun.elapsed().as_secs_f64();
    is_over.store(true, Ordering::Relaxed);
    if let Some(sender) = sender {
        sender.join().expect("it has nothing to fail by");
    }
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| answers.value_at_quantile(share) as f64 / 1e3);
    let (most, size) = (answers.max() as f64 / 1e3, size.map_or("-".to_owned(), |size| size.to_string()));
    println!("{what:<12} {size:>10} {rate:>12.0} {p50:>10.1} {p99:>10.1} {p999:>10.1} {most:>10.1} {lost:>8}");
}

/// As many messages as there is room for.
async fn flood(node: &Handle, payload: &Bytes, is_over: &AtomicBool) {
    let to = node.id_of("receiver");
    let how = SendOptions::default().in_stream(1);
    let mut under_way = VecDeque::with_capacity(WINDOW);
    while !is_over.load(Ordering::Relaxed) {
        if under_way.len() == WINDOW
            && let Some(oldest) = under_way.pop_front()
        {
            let _ = oldest.await;
        }
        under_way.push_back(node.send(to, payload.clone(), how).await.expect("it is accepted"));
    }
}

/// One question at a time: how long answers took, in nanoseconds, and how many never came.
fn ask(at: SocketAddr) -> (Histogram<u64>, u64) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has a port");
    socket.connect(at).expect("it is an address");
    socket.set_read_timeout(Some(Duration::from_secs(1))).expect("it is no zero");
    let (target, source) = (NodeId::of("swim", "receiver"), NodeId::of("swim", "asks"));
    let mut answers = Histogram::new_with_max(10_000_000_000, 3).expect("its bounds are in order");
    let (begun, mut lost, mut buffer) = (Instant::now(), 0, [0; 2048]);
    for seq in 0.. {
        if begun.elapsed() >= RUN {
            break;
        }
        let asked = Instant::now();
        let question = craft::datagram("swim", &[Message::Ping(Ping { seq, target, source })]);
        socket.send(&question).expect("loopback takes it");
        match socket.recv(&mut buffer) {
            Ok(_) => answers.saturating_record(asked.elapsed().as_nanos() as u64),
            Err(_) => lost += 1,
        }
        std::thread::sleep(PAUSE);
    }
    (answers, lost)
}
