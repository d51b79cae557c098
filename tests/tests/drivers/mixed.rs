//! Ten nodes, five on each driver, through everything that happens to a cluster.

use swim_driver::Event;
use swim_proto::{State, Way};

use crate::node::{Mix, Node, all_alive, cluster, holds, restart, start};

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

    // Each comes back on the other driver.
    let again =
        crashed.map(|index| restart(Mix::Both, index + 1, nodes[index].name(), nodes[index].address(), &nodes[0]));
    let running: Vec<&Node> = nodes
        .iter()
        .enumerate()
        .filter(|(index, _)| !crashed.contains(index))
        .map(|(_, node)| node)
        .chain(&again)
        .collect();
    for node in &running {
        all_alive(node, 10);
    }

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
    switch.cut();
    for (index, node) in nodes.iter().enumerate() {
        for other in nodes.iter().enumerate().filter(|(other, _)| (*other < 5) != (index < 5)).map(|(_, other)| other) {
            holds(node, other.name(), State::Dead);
        }
        all_alive(node, 5);
    }
    assert!(switch.dropped() > 0);
    // Both sides talk on among themselves.
    for (from, to) in [(0, 1), (5, 6)] {
        let mut events = nodes[to].events();
        nodes[from].send_message(nodes[to].id(), "still here", Way::Auto).unwrap();
        events.wait("a message", |event| matches!(event, Event::Message { payload, .. } if payload == "still here"));
    }
    switch.mend();
    for node in &nodes {
        all_alive(node, 10);
    }
}
