//! Nodes that reach each other by TCP alone, and with those that use both.

use std::net::UdpSocket;

use swim_proto::{Config, Path, State, Transport};

use crate::node::{Mix, Node, Wanted, all_alive, eventually, holds, quick};

crate::on_every_mix!(
    three_nodes_live_by_streams_alone_and_notice_who_dies_and_who_leaves,
    a_node_that_uses_both_serves_one_that_has_no_udp_by_stream,
);

fn node(mix: Mix, index: usize, name: &str, transport: Transport, seeds: &[&Node]) -> Node {
    let config = Config { transport, ..quick() };
    Wanted { config, ..Wanted::named(name) }.with_seeds(seeds).start(mix, index).expect("loopback has a free port")
}

fn three_nodes_live_by_streams_alone_and_notice_who_dies_and_who_leaves(mix: Mix) {
    let a = node(mix, 1, "a", Transport::Stream, &[]);
    let b = node(mix, 2, "b", Transport::Stream, &[&a]);
    let c = node(mix, 3, "c", Transport::Stream, &[&a]);
    for node in [&a, &b, &c] {
        all_alive(node, 3);
        UdpSocket::bind(node.bound()).expect("the node has not bound UDP");
    }
    eventually("probes are answered by stream", || {
        let stats = a.stats().node;
        stats.probes_acked > 4 && stats.carried_in > 4
    });
    let stats = a.stats();
    assert_eq!((stats.node.datagrams_out, stats.driver.receive_buffer), (0, 0));
    eventually("carriers are used again", || {
        let stats = a.stats().node;
        stats.carried_in > 2 * (stats.carriers_opened + stats.carriers_accepted)
    });
    assert_eq!(a.member("b").map(|member| member.path), Some(Path::Stream));

    drop(b);
    holds(&a, "b", State::Dead);
    holds(&c, "b", State::Dead);
    c.shutdown();
    holds(&a, "c", State::Left);
}

fn a_node_that_uses_both_serves_one_that_has_no_udp_by_stream(mix: Mix) {
    let both = node(mix, 0, "both", Transport::Hybrid, &[]);
    let streams = node(mix, 1, "streams", Transport::Stream, &[&both]);
    let other = node(mix, 2, "other", Transport::Hybrid, &[&both]);
    for node in [&both, &streams, &other] {
        all_alive(node, 3);
    }
    eventually("it is reached by stream, and the other by datagram", || {
        let path = |name| both.member(name).map(|member| member.path);
        (path("streams"), path("other")) == (Some(Path::Stream), Some(Path::Datagram))
    });
    all_alive(&both, 3);
}
