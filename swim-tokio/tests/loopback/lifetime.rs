//! A node ends when it is told to, or when nobody holds it any more, and leaves nothing behind.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use swim_tokio::{Closed, RequestError, State};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::cluster::{cluster, eventually, holds, is_closed, soon, start};

/// Waits until both ports can be bound: the node's sockets are closed.
async fn freed(at: SocketAddr) {
    eventually(&format!("{at} is free again"), async || UdpSocket::bind(at).is_ok() && TcpListener::bind(at).is_ok())
        .await;
}

/// Waits until the runtime runs no task at all. (The test itself is none.)
async fn no_tasks() {
    let metrics = tokio::runtime::Handle::current().metrics();
    eventually("all tasks have ended", async || metrics.num_alive_tasks() == 0).await;
}

#[tokio::test]
async fn dropping_the_last_handle_closes_everything() {
    let node = start("node", &[]).await;
    let at = node.bound();
    let clone = node.clone();
    let mut events = node.events();
    let mut stream = TcpStream::connect(at).await.unwrap();
    eventually("the stream is open", async || clone.stats().await.unwrap().driver.streams == 1).await;
    drop(node);
    assert!(!is_closed(&clone).await, "a clone keeps it running");
    drop(clone);
    freed(at).await;
    no_tasks().await;
    assert!(soon("the stream's end", stream.read_u8()).await.is_err());
    // The receiver alone keeps nothing alive.
    while soon("the end", events.recv()).await.is_ok() {}
}

#[tokio::test]
async fn a_shutdown_has_closed_everything_when_it_returns() {
    let nodes = cluster(2).await;
    let at = nodes[1].bound();
    soon("shutting down", nodes[1].shutdown()).await;
    UdpSocket::bind(at).expect("the UDP port is free");
    TcpListener::bind(at).expect("the TCP port is free");

    // It stays shut down, and says so.
    assert_eq!(nodes[1].members().await, Err(Closed));
    assert_eq!(nodes[1].join(["127.0.0.1:1"]).await, Err(RequestError::Closed(Closed)));
    soon("shutting down again", nodes[1].shutdown()).await;
    soon("aborting", nodes[1].abort()).await;

    soon("shutting down", nodes[0].shutdown()).await;
    no_tasks().await;
}

#[tokio::test]
async fn an_abort_says_nothing() {
    let nodes = cluster(2).await;
    let at = nodes[1].bound();
    soon("aborting", nodes[1].abort()).await;
    UdpSocket::bind(at).expect("the UDP port is free");
    TcpListener::bind(at).expect("the TCP port is free");
    // It is missed, not said goodbye to.
    holds(&nodes[0], "node-1", State::Dead).await;
}

#[tokio::test]
async fn a_shutdown_that_nobody_waits_for_still_says_goodbye() {
    let nodes = cluster(2).await;
    let [first, second] = nodes.try_into().unwrap();
    let at = second.bound();
    {
        let shutdown = second.shutdown();
        tokio::pin!(shutdown);
        // Asked once, then forgotten.
        assert!(futures_poll_once(shutdown.as_mut()).await.is_pending());
    }
    drop(second);
    holds(&first, "node-1", State::Left).await;
    freed(at).await;
}

async fn futures_poll_once<F: Future + Unpin>(mut future: F) -> std::task::Poll<F::Output> {
    std::future::poll_fn(|context| std::task::Poll::Ready(std::pin::Pin::new(&mut future).poll(context))).await
}

#[tokio::test]
async fn all_handles_learn_of_the_end() {
    let nodes = cluster(2).await;
    let waiting = nodes[1].clone();
    let waiting = tokio::spawn(async move { waiting.closed().await });
    nodes[1].shutdown().await;
    soon("the clone's wait", waiting).await.unwrap();
}

#[test]
fn a_runtime_that_ends_takes_its_nodes_with_it() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let node = runtime.block_on(start("node", &[]));
    let at = node.bound();
    drop(runtime);
    UdpSocket::bind(at).expect("the UDP port is free");
    TcpListener::bind(at).expect("the TCP port is free");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert!(runtime.block_on(is_closed(&node)));
}
