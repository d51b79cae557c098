//! Nodes that reach each other by TCP alone, and with those that use both.

use std::net::UdpSocket;

use swim_tokio::{Config, Handle, Options, Path, State, Transport};

use super::cluster::{all_alive, eventually, holds, loopback, member, quick};

async fn node(name: &str, transport: Transport, seeds: &[&Handle]) -> Handle {
    let seeds = seeds.iter().map(|seed| seed.address().to_string());
    let config = Config { transport, ..quick() };
    let options = Options::new(loopback()).with_name(name).with_config(config);
    options.with_seeds(seeds).start().await.expect("loopback has a free port")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_live_by_streams_alone_and_notice_who_dies_and_who_leaves() {
    let a = node("a", Transport::Stream, &[]).await;
    let b = node("b", Transport::Stream, &[&a]).await;
    let c = node("c", Transport::Stream, &[&a]).await;
    for node in [&a, &b, &c] {
        all_alive(node, 3).await;
        UdpSocket::bind(node.bound()).expect("the node has not bound UDP");
    }
    eventually("probes are answered by stream", async || {
        let stats = a.stats().await.expect("the node runs").node;
        stats.probes_acked > 4 && stats.carried_in > 4
    })
    .await;
    let stats = a.stats().await.expect("the node runs");
    assert_eq!((stats.node.datagrams_out, stats.driver.receive_buffer), (0, 0));
    // However busy this machine is, and however many probes are late for it, carriers are used again.
    eventually("carriers are used again", async || {
        let stats = a.stats().await.expect("the node runs").node;
        stats.carried_in > 2 * (stats.carriers_opened + stats.carriers_accepted)
    })
    .await;
    assert_eq!(member(&a, "b").await.map(|member| member.path), Some(Path::Stream));

    drop(b);
    holds(&a, "b", State::Dead).await;
    holds(&c, "b", State::Dead).await;
    c.shutdown().await;
    holds(&a, "c", State::Left).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_uses_both_serves_one_that_has_no_udp_by_stream() {
    let both = node("both", Transport::Hybrid, &[]).await;
    let streams = node("streams", Transport::Stream, &[&both]).await;
    let other = node("other", Transport::Hybrid, &[&both]).await;
    for node in [&both, &streams, &other] {
        all_alive(node, 3).await;
    }
    eventually("it is reached by stream, and the other by datagram", async || {
        let path = async |name| member(&both, name).await.map(|member| member.path);
        (path("streams").await, path("other").await) == (Some(Path::Stream), Some(Path::Datagram))
    })
    .await;
    all_alive(&both, 3).await;
}
