//! What each driver adds to a datagram: pings answered by a node on `swim-tokio` and on `swim-mio`, beside a bare socket that
//! sends back what it gets.
//!
//! ```text
//! cargo run --release -p swim-tests --example driver_costs
//! ```
//!
//! One thread asks, so many questions under way, for some seconds each. Of the thread that answers, the time on the processor
//! is counted, as the system and as the program (Linux says so in hundredths of a second): for the bare socket that is what
//! the kernel charges for the same traffic. Then one question at a time is asked, and it is told how long the answers take.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use swim_proto::NodeId;
use swim_proto::wire::{Message, Ping};
use swim_tests::craft;

const RUN: Duration = Duration::from_secs(5);
/// Questions under way.
const WINDOW: usize = 32;
/// Questions asked one at a time.
const QUESTIONS: u32 = 100_000;
/// So the threads that answer are called.
const THREAD: &str = "answers";

fn main() -> io::Result<()> {
    println!(
        "{:<12} {:>12} {:>16} {:>16} {:>14} {:>10} {:>10} {:>10}",
        "", "answered/s", "kernel us each", "program us each", "all us each", "p50 us", "p99 us", "p99.9 us"
    );
    let loopback: SocketAddr = "127.0.0.1:0".parse().expect("an address");

    let socket = UdpSocket::bind(loopback)?;
    let (at, is_over) = (socket.local_addr()?, Arc::new(AtomicBool::new(false)));
    let over = is_over.clone();
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let echo = std::thread::Builder::new().name(THREAD.to_owned()).spawn(move || {
        let mut buffer = [0; 2048];
        while !over.load(Ordering::Relaxed) {
            if let Ok((len, from)) = socket.recv_from(&mut buffer) {
                // What is not sent is not counted.
                let _ = socket.send_to(&buffer[..len], from);
            }
        }
    })?;
    measure("bare socket", at, NodeId::of("swim", "echo"))?;
    is_over.store(true, Ordering::Relaxed);
    echo.join().expect("it has nothing to fail by");

    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name(THREAD).enable_all().build()?;
    let node = runtime.block_on(swim_tokio::Options::new(loopback).start()).expect("loopback has a free port");
    measure("swim-tokio", node.address(), node.id())?;
    runtime.block_on(node.shutdown());

    let options = swim_mio::Options::new(loopback).bind().expect("loopback has a free port");
    let (at, id) = (options.address(), options.id());
    let is_over = Arc::new(AtomicBool::new(false));
    let over = is_over.clone();
    // In a loop of our own, which is that of `Options::start`, so that its thread can be told.
    let node = std::thread::Builder::new().name(THREAD.to_owned()).spawn(move || -> io::Result<()> {
        let mut poll = mio::Poll::new()?;
        let mut events = mio::Events::with_capacity(256);
        let mut node = options.register(poll.registry(), 0..usize::MAX, || {}).map_err(io::Error::other)?;
        while !over.load(Ordering::Relaxed) {
            poll.poll(&mut events, node.timeout())?;
            for event in &events {
                node.handle_event(event);
            }
            node.handle_timeout();
        }
        Ok(())
    })?;
    measure("swim-mio", at, id)?;
    is_over.store(true, Ordering::Relaxed);
    node.join().expect("it has nothing to fail by")
}

/// Asks for a while, and says what it took to be answered.
fn measure(what: &str, at: SocketAddr, target: NodeId) -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(at)?;
    socket.set_read_timeout(Some(Duration::from_millis(20)))?;
    let source = NodeId::of("swim", "asks");
    let mut seq = 0;
    let mut ask = || {
        seq += 1;
        socket.send(&craft::datagram("swim", &[Message::Ping(Ping { seq, target, source })]))
    };
    let mut buffer = [0; 2048];
    let mut answered = 0_u64;
    // Once around, so that everything has been used.
    let (mut begun, mut before) = (Instant::now(), (0, 0));
    let mut is_warm = false;
    for _ in 0..WINDOW {
        ask()?;
    }
    while !is_warm || begun.elapsed() < RUN {
        match socket.recv(&mut buffer) {
            Ok(_) => {
                answered += 1;
                ask()?;
            }
            // Lost: asked anew.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                for _ in 0..WINDOW {
                    ask()?;
                }
            }
            Err(error) => return Err(error),
        }
        if !is_warm && begun.elapsed() > Duration::from_millis(500) {
            (is_warm, begun, before, answered) = (true, Instant::now(), ticks(), 0);
        }
    }
    let (seconds, after) = (begun.elapsed().as_secs_f64(), ticks());
    let micros = |ticks: u64| ticks as f64 * 10_000.0 / answered as f64;
    let (program, kernel) = (micros(after.0 - before.0), micros(after.1 - before.1));
    let rate = answered as f64 / seconds;
    let all = kernel + program;
    let taken = latencies(&socket, target)?;
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| taken.value_at_quantile(share) as f64 / 1_000.0);
    println!("{what:<12} {rate:>12.0} {kernel:>16.2} {program:>16.2} {all:>14.2} {p50:>10.1} {p99:>10.1} {p999:>10.1}");
    Ok(())
}

/// How long answers take, in nanoseconds, where one question is under way at a time.
fn latencies(socket: &UdpSocket, target: NodeId) -> io::Result<Histogram<u64>> {
    let source = NodeId::of("swim", "asks");
    let mut taken = Histogram::new_with_max(10_000_000_000, 3).expect("its bounds are in order");
    let mut buffer = [0; 2048];
    // What is still under way from before.
    while socket.recv(&mut buffer).is_ok() {}
    for seq in 0..QUESTIONS {
        let asked = Instant::now();
        socket.send(&craft::datagram("swim", &[Message::Ping(Ping { seq, target, source })]))?;
        // One that is lost takes as long as we wait for it.
        let _ = socket.recv(&mut buffer);
        taken.saturating_record(asked.elapsed().as_nanos() as u64);
    }
    Ok(taken)
}

/// Hundredths of a second that the threads which answer spent as the program, and as the kernel for it.
fn ticks() -> (u64, u64) {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let stats = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
    let of_ours = stats.filter(|stat| stat.contains(&format!("({THREAD})")));
    of_ours.fold((0, 0), |(program, kernel), stat| {
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let field = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        (program + field(11), kernel + field(12))
    })
}
