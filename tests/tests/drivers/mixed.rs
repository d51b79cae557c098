//! Ten nodes, five on each driver, through everything that happens to a cluster.

use swim_driver::Event;
use swim_driver::messaging::{Ending, FailReason, SendOptions};
use swim_proto::{State, Way};

use crate::node::{Mix, Node, all_alive, cluster, holds, restart, start};
use crate::post::Incoming;

/// Each delivers a message to the next one, who is on the other driver, and hears that it was processed.
fn all_deliver_to_a_neighbour_on_the_other_driver(nodes: &[&Node], what: &str) {
    let (tokio, mio): (Vec<&Node>, Vec<&Node>) = nodes.iter().partition(|node| matches!(node, Node::Tokio(_)));
    assert_eq!(tokio.len(), mio.len());
    let ring: Vec<&Node> = tokio.into_iter().zip(mio).flat_map(|(one, other)| [one, other]).collect();
    let mut neighbours = ring.clone();
    neighbours.rotate_left(1);
    let incoming: Vec<Incoming> = neighbours.iter().map(|node| node.incoming()).collect();
    let how = SendOptions::default().until_processed();
    let text = |from: &Node| format!("{what}, says {}", from.name());
    let send = |(from, to): (&&Node, &&Node)| from.send(to.id(), text(from), how).unwrap();
    let pending: Vec<_> = ring.iter().zip(&neighbours).map(send).collect();
    for (from, mut incoming) in ring.iter().zip(incoming) {
        let message = incoming.next();
        assert_eq!((message.from, &message.payload[..]), (from.id(), text(from).as_bytes()));
    }
    for sent in pending {
        assert_eq!(sent.wait().ending, Ending::Processed);
    }
}

#[test]
fn ten_nodes_of_both_drivers_join_crash_restart_leave_and_talk() {
    let nodes = cluster(Mix::Both, 10);
    assert_eq!(nodes.iter().filter(|node| matches!(node, Node::Mio(_))).count(), 5);

    // Each says something to all, and to its neighbour, who is on the other driver.
    let mut events: Vec<_> = nodes.iter().map(Node::events).collect();
    for (index, node) in nodes.iter().enumerate() {
        node.broadcast(format!("broadcast of {index}")).unwrap();
        let neighbour = (index + 1) % nodes.len();
        node.send_message(nodes[neighbour].id(), format!("message of {index}"), Way::Auto).unwrap();
    }
    for (index, events) in events.iter_mut().enumerate() {
        let (mut broadcasts, mut message) = (0, false);
        events.wait("nine broadcasts and a message", |event| {
            broadcasts += usize::from(matches!(event, Event::Broadcast { .. }));
            if let Event::Message { payload, .. } = event {
                assert_eq!(payload, format!("message of {}", (index + 9) % 10).as_bytes());
                message = true;
            }
            broadcasts == 9 && message
        });
    }

    all_deliver_to_a_neighbour_on_the_other_driver(&nodes.iter().collect::<Vec<_>>(), "before");

    // One of each driver crashes; the others notice, and nobody else is missed.
    let crashed = [3, 6];
    for index in crashed {
        nodes[index].abort();
    }
    for (index, node) in nodes.iter().enumerate().filter(|(index, _)| !crashed.contains(index)) {
        for crashed in crashed {
            holds(node, nodes[crashed].name(), State::Dead);
        }
        all_alive(node, 8);
        let told = events[index].told();
        let died = |event: &&Event| matches!(event, Event::Died(_));
        assert_eq!(told.iter().filter(died).count(), 2, "{told:?}");
    }

    let rest: Vec<&Node> =
        nodes.iter().enumerate().filter(|(index, _)| !crashed.contains(index)).map(|(_, node)| node).collect();
    all_deliver_to_a_neighbour_on_the_other_driver(&rest, "meanwhile");

    // Each comes back on the other driver.
    let again =
        crashed.map(|index| restart(Mix::Both, index + 1, nodes[index].name(), nodes[index].address(), &nodes[0]));
    let running: Vec<&Node> = rest.into_iter().chain(&again).collect();
    for node in &running {
        all_alive(node, 10);
    }
    all_deliver_to_a_neighbour_on_the_other_driver(&running, "after");

    // One of each leaves, by a shutdown and by a departure, and one of each stays away.
    nodes[1].shutdown();
    nodes[2].leave().unwrap();
    for node in running.iter().filter(|node| ![nodes[1].id(), nodes[2].id()].contains(&node.id())) {
        holds(node, nodes[1].name(), State::Left);
        holds(node, nodes[2].name(), State::Left);
        all_alive(node, 8);
    }
    // And newcomers of both are let in by whomever they ask.
    let newcomers = [start(Mix::Both, 0, "new-0", &[&nodes[5]]), start(Mix::Both, 1, "new-1", &[&nodes[4]])];
    for node in &newcomers {
        all_alive(node, 10);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_partition_of_ten_nodes_of_both_drivers_heals_by_itself() {
    use crate::switch::Switch;

    let switch = Switch::new();
    let mut nodes: Vec<Node> = Vec::new();
    for index in 0..10 {
        // Five on each side, of both drivers.
        let wanted = switch.behind(index < 5, &format!("node-{index}"));
        let seeds: Vec<&Node> = nodes.first().into_iter().collect();
        nodes.push(wanted.with_seeds(&seeds).start(Mix::Both, index).unwrap());
    }
    for node in &nodes {
        all_alive(node, 10);
    }
    // To one's own side and to the other one, on either driver: from there on links stand, of which the cut ends four.
    let both_sides = [(0, 1), (5, 6), (0, 5), (5, 0), (1, 6), (6, 1)];
    let how = SendOptions::default().until_processed();
    let deliver = |from: usize, to: usize, what: &'static str| {
        let (mut incoming, sent) = (nodes[to].incoming(), nodes[from].send(nodes[to].id(), what, how).unwrap());
        let message = incoming.next();
        assert_eq!((message.from, &message.payload[..]), (nodes[from].id(), what.as_bytes()));
        assert_eq!(sent.wait().ending, Ending::Processed);
    };
    for (from, to) in both_sides {
        deliver(from, to, "before");
    }
    switch.cut();
    let lost = both_sides[2..].iter().map(|&(from, to)| nodes[from].send(nodes[to].id(), "lost", how).unwrap());
    let lost: Vec<_> = lost.collect();
    for (index, node) in nodes.iter().enumerate() {
        for other in nodes.iter().enumerate().filter(|(other, _)| (*other < 5) != (index < 5)).map(|(_, other)| other) {
            holds(node, other.name(), State::Dead);
        }
        all_alive(node, 5);
    }
    assert!(switch.dropped() > 0);
    // What was to cross is told to have failed, and links end with the line.
    for sent in lost {
        assert_eq!(sent.wait().ending, Ending::Failed(FailReason::Died));
    }
    for index in [0, 1, 5, 6] {
        assert!(nodes[index].post().1.broken > 0, "{:?}", nodes[index].post().1);
    }
    // Both sides talk on among themselves.
    for (from, to) in [(0, 1), (5, 6)] {
        let mut events = nodes[to].events();
        nodes[from].send_message(nodes[to].id(), "still here", Way::Auto).unwrap();
        events.wait("a message", |event| matches!(event, Event::Message { payload, .. } if payload == "still here"));
        deliver(from, to, "meanwhile");
    }
    switch.mend();
    for node in &nodes {
        all_alive(node, 10);
    }
    for (from, to) in both_sides {
        deliver(from, to, "after");
    }
}
