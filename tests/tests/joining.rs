//! Whom a node asks to be let in, and whom not.

use std::net::SocketAddr;

use swim_proto::{Action, Config, Instant, LocalMember, Node, SeedId, StreamId};
use swim_tests::{Cluster, What};

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 7000))
}

fn node() -> Node {
    Node::new(Instant::ZERO, LocalMember::new(address(1), 1), Config::lan(), 7).expect("the configuration is valid")
}

/// What a node wants done, as far as it is about joining.
#[derive(Debug, PartialEq)]
enum Wanted {
    Resolve(SeedId),
    Connect(StreamId, SocketAddr),
    Reset(StreamId),
}

fn wanted(node: &mut Node) -> Vec<Wanted> {
    let (mut buffer, mut wanted) = (Vec::new(), Vec::new());
    while let Some(action) = node.poll_action(&mut buffer) {
        match action {
            Action::Resolve { seed } => wanted.push(Wanted::Resolve(seed)),
            Action::Connect { stream, to } => wanted.push(Wanted::Connect(stream, to)),
            Action::Reset { stream } => wanted.push(Wanted::Reset(stream)),
            _ => {}
        }
    }
    wanted
}

#[test]
fn the_late_lookup_of_a_replaced_seed_is_ignored() {
    let (mut node, now) = (node(), Instant::ZERO);
    node.join(now, &[SeedId(0)]).unwrap();
    assert_eq!(wanted(&mut node), [Wanted::Resolve(SeedId(0))]);
    node.join(now, &[SeedId(1)]).unwrap();
    assert_eq!(wanted(&mut node), [Wanted::Resolve(SeedId(1))]);

    node.handle_resolved(now, SeedId(0), &[address(2)]);
    assert_eq!(wanted(&mut node), []);
    node.handle_resolved(now, SeedId(1), &[address(3)]);
    assert!(matches!(wanted(&mut node)[..], [Wanted::Connect(_, to)] if to == address(3)));
}

#[test]
fn a_stream_that_asks_a_replaced_seed_is_reset() {
    let (mut node, now) = (node(), Instant::ZERO);
    node.join(now, &[SeedId(0)]).unwrap();
    node.handle_resolved(now, SeedId(0), &[address(2)]);
    let asked = wanted(&mut node);
    let [Wanted::Resolve(_), Wanted::Connect(stream, _)] = asked[..] else { panic!("{asked:?}") };

    node.join(now, &[SeedId(1)]).unwrap();
    assert_eq!(wanted(&mut node), [Wanted::Reset(stream), Wanted::Resolve(SeedId(1))]);
}

#[test]
fn whoever_names_other_seeds_while_joining_is_let_in_by_those() {
    let mut cluster = Cluster::new();
    for _ in 0..3 {
        cluster.start(Config::lan());
    }
    // The first seed is asked already when the second is named instead.
    cluster.join(2, &[0]);
    cluster.run_until(std::time::Duration::from_secs(1), |cluster| cluster.node(2).stats().streams > 0);
    cluster.join(2, &[1]);
    cluster.run_for(std::time::Duration::from_secs(1));
    assert_eq!(cluster.times_told(2, What::Joined, 1), 1, "{}", cluster.views());
    assert_eq!(cluster.times_told(2, What::Joined, 0), 0, "{}", cluster.views());
}
