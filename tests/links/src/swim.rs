//! Two nodes of this project.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use serde_json::json;
use swim_tokio::{Ending, Handle, Options, Pending, SendOptions};

/// Messages sent and not waited for, at most.
const UNDER_WAY: usize = 8192;
/// How often a paced sender sends what is due: a message waits for up to so long for its batch, and that counts.
const BEAT: Duration = Duration::from_micros(200);

fn runtime(threads: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().expect("a runtime")
}

fn options(name: &str) -> Options {
    Options::new("127.0.0.1:0".parse().expect("an address")).with_name(name)
}

/// Takes what comes, which acknowledges it, until its input ends.
pub(crate) fn receive(threads: usize) {
    runtime(threads).block_on(async {
        let node = options("receiver").start().await.expect("loopback has a free port");
        println!("{}", node.address());
        let (mut incoming, mut messages) = (node.incoming(), Vec::new());
        while incoming.recv_many(&mut messages, 256).await > 0 {
            messages.clear();
        }
    });
}

/// Sends for so long, at this rate, or, if it is 0, as fast as it is acknowledged. Prints what it measured.
pub(crate) fn send(threads: usize, seed: &str, size: usize, seconds: f64, rate: u64) {
    let runtime = runtime(threads);
    let figures = runtime.block_on(async {
        let node = options("sender").with_seeds([seed]).start().await.expect("loopback has a free port");
        node.joined().await.expect("the receiver lets it in");
        let payload = Bytes::from(vec![7; size]);
        // The link is up, and everything has been used once.
        fast(&node, &payload, Duration::from_millis(300)).await;
        let limit = Duration::from_secs_f64(seconds);
        let mut figures =
            if rate == 0 { fast(&node, &payload, limit).await } else { paced(&node, &payload, limit, rate).await };
        let sent = node.stats().await.expect("it runs").messaging.expect("with messages").0.accepted;
        figures["sent_in_all"] = json!(sent);
        figures
    });
    println!("{figures}");
    // Until whoever measures has seen what it took.
    let _ = std::io::stdin().read_line(&mut String::new());
}

async fn fast(node: &Handle, payload: &Bytes, limit: Duration) -> serde_json::Value {
    let to = node.id_of("receiver");
    let how = SendOptions::default().in_stream(1);
    let mut under_way: VecDeque<Pending> = VecDeque::with_capacity(UNDER_WAY);
    let (begun, mut done) = (Instant::now(), 0_u64);
    while begun.elapsed() < limit {
        for _ in 0..64 {
            if under_way.len() == UNDER_WAY {
                finish(under_way.pop_front().expect("it is full")).await;
                done += 1;
            }
            under_way.push_back(node.send(to, payload.clone(), how).await.expect("it is accepted"));
        }
    }
    for pending in under_way {
        finish(pending).await;
        done += 1;
    }
    let seconds = begun.elapsed().as_secs_f64();
    json!({ "messages": done, "seconds": seconds, "per_second": done as f64 / seconds })
}

async fn finish(pending: Pending) {
    let outcome = pending.await;
    assert_eq!(outcome.ending, Ending::Delivered);
}

/// Delays from when a message was to be sent, also if the sender was late, until its outcome is there.
async fn paced(node: &Handle, payload: &Bytes, limit: Duration, rate: u64) -> serde_json::Value {
    let (give, mut given) = tokio::sync::mpsc::unbounded_channel::<(Instant, Pending)>();
    let (node, payload, to) = (node.clone(), payload.clone(), node.id_of("receiver"));
    let how = SendOptions::default().in_stream(1);
    let sender = std::thread::spawn(move || {
        let (begun, mut sent) = (Instant::now(), 0_u64);
        loop {
            let elapsed = begun.elapsed();
            if elapsed >= limit {
                return;
            }
            let due = (elapsed.as_secs_f64() * rate as f64) as u64;
            while sent < due {
                sent += 1;
                let scheduled = begun + Duration::from_secs_f64(sent as f64 / rate as f64);
                let pending = node.try_send(to, payload.clone(), how).expect("it is accepted");
                give.send((scheduled, pending)).expect("it is collected");
            }
            std::thread::sleep(BEAT);
        }
    });
    let mut delays = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are bounds");
    while let Some((scheduled, pending)) = given.recv().await {
        finish(pending).await;
        delays.record(scheduled.elapsed().as_nanos() as u64).expect("less than a minute");
    }
    sender.join().expect("it sends to the end");
    let micros = |quantile: f64| delays.value_at_quantile(quantile) as f64 / 1e3;
    json!({
        "messages": delays.len(), "p50_us": micros(0.5), "p90_us": micros(0.9), "p99_us": micros(0.99),
        "p999_us": micros(0.999), "max_us": delays.max() as f64 / 1e3,
    })
}
