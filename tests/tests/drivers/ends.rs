//! A node ends when it is told to, or when nobody holds it any more, and leaves nothing behind.

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

use swim_driver::{Closed, EventsError, RequestError};
use swim_proto::State;

use crate::node::{Mix, cluster, eventually, holds, start};

crate::on_every_mix!(
    dropping_the_last_handle_closes_everything,
    a_shutdown_has_closed_everything_when_it_returns,
    an_abort_says_nothing,
    a_shutdown_whose_caller_goes_away_still_says_goodbye,
    all_handles_learn_of_the_end,
);

/// Waits until both ports can be bound: the node's sockets are closed.
fn freed(at: SocketAddr) {
    eventually(&format!("{at} is free again"), || UdpSocket::bind(at).is_ok() && TcpListener::bind(at).is_ok());
}

fn dropping_the_last_handle_closes_everything(mix: Mix) {
    for index in 0..2 {
        let node = start(mix, index, "node", &[]);
        let at = node.bound();
        let clone = node.clone();
        let mut events = node.events();
        let mut stream = TcpStream::connect(at).unwrap();
        eventually("the stream is open", || clone.stats().driver.streams == 1);
        drop(node);
        assert!(!clone.is_closed(), "a clone keeps it running");
        drop(clone);
        freed(at);
        assert!(stream.read_exact(&mut [0]).is_err());
        // The receiver alone keeps nothing alive.
        while events.next() != Err(EventsError::Closed) {}
    }
}

fn a_shutdown_has_closed_everything_when_it_returns(mix: Mix) {
    let nodes = cluster(mix, 2);
    for (node, other) in [(&nodes[1], &nodes[0]), (&nodes[0], &nodes[1])] {
        let at = node.bound();
        node.shutdown();
        UdpSocket::bind(at).expect("the UDP port is free");
        TcpListener::bind(at).expect("the TCP port is free");

        // It stays shut down, and says so.
        assert_eq!(node.members(), Err(Closed));
        assert_eq!(node.join(&[other.address().to_string()]), Err(RequestError::Closed(Closed)));
        node.shutdown();
        node.abort();
    }
}

fn an_abort_says_nothing(mix: Mix) {
    let nodes = cluster(mix, 2);
    let at = nodes[1].bound();
    nodes[1].abort();
    UdpSocket::bind(at).expect("the UDP port is free");
    TcpListener::bind(at).expect("the TCP port is free");
    // It is missed, not said goodbye to.
    holds(&nodes[0], "node-1", State::Dead);
}

fn a_shutdown_whose_caller_goes_away_still_says_goodbye(mix: Mix) {
    for index in 0..2 {
        let nodes = cluster(mix, 2);
        let [first, second] = nodes.try_into().unwrap();
        let (node, other) = if index == 0 { (first, second) } else { (second, first) };
        let (at, name) = (node.bound(), node.name().to_owned());
        // The only handle is the caller's, and there is no other to keep the node running.
        let caller = std::thread::spawn(move || node.shutdown());
        holds(&other, &name, State::Left);
        freed(at);
        caller.join().unwrap();
    }
}

fn all_handles_learn_of_the_end(mix: Mix) {
    let nodes = cluster(mix, 2);
    for node in &nodes {
        let waiting = node.clone();
        let waiting = std::thread::spawn(move || waiting.closed());
        node.shutdown();
        waiting.join().unwrap();
        assert!(node.is_closed());
    }
}
