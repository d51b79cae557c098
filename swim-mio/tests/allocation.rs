//! What a node costs in its loop: nothing is allocated for a datagram.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use mio::{Events, Poll};
use swim_mio::{Config, Node, Options, State};

/// Tokens for each node.
const TOKENS: usize = 1 << 16;

#[test]
fn nothing_is_allocated_for_a_datagram() {
    // Many probes, and nothing else: no syncs, which open streams, and no looking for the lost at the seeds' addresses.
    let config = Config {
        probe_interval: Duration::from_millis(100),
        probe_timeout: Duration::from_millis(50),
        sync_interval: Duration::from_secs(3_600),
        heal_interval: Duration::from_secs(3_600),
        ..Config::lan()
    };
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(64);
    let mut nodes: Vec<Node> = Vec::new();
    for index in 0..3 {
        let seeds: Vec<String> = nodes.first().map(|seed| seed.address().to_string()).into_iter().collect();
        let options = Options::new("127.0.0.1:0".parse().unwrap()).with_config(config.clone()).with_seeds(seeds);
        let tokens = index * TOKENS..(index + 1) * TOKENS;
        nodes.push(options.bind().unwrap().register(poll.registry(), tokens, || {}).unwrap());
    }
    let mut run = |nodes: &mut Vec<Node>, until: &dyn Fn(&[Node]) -> bool| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !until(nodes) {
            assert!(Instant::now() < deadline, "never came about");
            let timeout = nodes.iter().filter_map(Node::timeout).min();
            poll.poll(&mut events, timeout).unwrap();
            for event in &events {
                nodes.iter_mut().for_each(|node| _ = node.handle_event(event));
            }
            nodes.iter_mut().for_each(Node::handle_timeout);
        }
    };
    let datagrams = |nodes: &[Node]| nodes.iter().map(|node| node.stats().node.datagrams_in).sum::<u64>();
    // Until they know each other, have said all there is to say, and what joining opened is closed.
    run(&mut nodes, &|nodes| {
        let alive = |node: &Node| node.members().iter().filter(|member| member.state == State::Alive).count();
        nodes.iter().all(|node| alive(node) == 3 && node.stats().driver.streams == 0) && datagrams(nodes) > 500
    });
    // And until as many have waited at once as a turn takes: what those needed is kept.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for node in &nodes {
        (0..64).for_each(|_| _ = socket.send_to(&[0; 1_400], node.address()).unwrap());
    }
    run(&mut nodes, &|nodes| nodes.iter().all(|node| node.stats().node.drops.magic >= 64));

    let before = datagrams(&nodes);
    let goal = before + 200;
    let allocated = allocation_counter::measure(|| run(&mut nodes, &|nodes| datagrams(nodes) >= goal));
    assert!(datagrams(&nodes) >= goal);
    assert_eq!(allocated.count_total, 0, "{allocated:?} for {} datagrams", datagrams(&nodes) - before);
}
