//! Two hundred nodes in one process, in one loop on one thread.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Poll};
use swim_mio::{Config, Event, Node, Options, State};

/// Tokens for each node.
const TOKENS: usize = 1 << 13;
const NODES: usize = 200;

fn alive(node: &Node) -> usize {
    node.members().iter().filter(|member| member.state == State::Alive).count()
}

#[test]
#[ignore = "takes more than a minute, and most of a processor for a moment: run it alone, optimised"]
fn two_hundred_nodes_converge_and_stay_stable_for_a_minute() {
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(1024);
    let mut nodes: Vec<Node> = Vec::new();
    let began = Instant::now();
    for index in 0..NODES {
        let seeds: Vec<String> = nodes.first().map(|seed| seed.address().to_string()).into_iter().collect();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let mut options =
            Options::new(any).without_messaging().with_name(format!("node-{index}")).with_config(Config::lan());
        // Two hundred times the default is more than a host gives.
        (options.receive_buffer, options.send_buffer) = (256 << 10, 128 << 10);
        let tokens = index * TOKENS..(index + 1) * TOKENS;
        nodes.push(options.with_seeds(seeds).bind().unwrap().register(poll.registry(), tokens, || {}).unwrap());
    }
    let mut run = |nodes: &mut Vec<Node>, until: &mut dyn FnMut(&mut Vec<Node>) -> bool| {
        while !until(nodes) {
            let timeout = nodes.iter().filter_map(Node::timeout).min();
            poll.poll(&mut events, timeout).unwrap();
            for event in &events {
                // Each node's tokens are its own, so it is known whose this is.
                nodes[event.token().0 / TOKENS].handle_event(event);
            }
            nodes.iter_mut().for_each(Node::handle_timeout);
        }
    };
    let mut looked = Instant::now();
    run(&mut nodes, &mut |nodes| {
        assert!(began.elapsed() < Duration::from_secs(120), "they do not converge");
        // To look costs more than a turn.
        if looked.elapsed() < Duration::from_millis(200) {
            return false;
        }
        looked = Instant::now();
        nodes.iter().all(|node| alive(node) == NODES)
    });
    println!("{NODES} nodes converged after {:?}", began.elapsed());
    for node in &mut nodes {
        while !matches!(node.poll_event(), Ok(None)) {}
    }

    let (before, stable) = (cpu(), Instant::now());
    run(&mut nodes, &mut |_| stable.elapsed() >= Duration::from_secs(60));
    for node in &mut nodes {
        while let Some(notice) = node.poll_event().expect("a thousand events are enough for a quiet minute") {
            assert!(!matches!(notice.event, Event::Suspected(_) | Event::Died(_) | Event::Left(_)), "{notice:?}");
        }
        assert_eq!(alive(node), NODES);
    }
    let datagrams: u64 = nodes.iter().map(|node| node.stats().node.datagrams_in).sum();
    let cpu = (cpu() - before).as_secs_f64() / 60.0 * 100.0;
    println!("nobody was suspected for 60 s: {cpu:.1} % of a processor, {datagrams} datagrams since the start");
}

/// The process's time on the processor, where the system tells.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The fields after the command's name, which may contain anything but ends with the last parenthesis.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields.get(11..13).unwrap_or_default().iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
