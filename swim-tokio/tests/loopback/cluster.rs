//! Nodes to test with, and the patience to do so.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use swim_tokio::{Closed, Config, Event, Events, EventsError, Handle, MemberInfo, Options, StartError, State};
use tokio::time::{Instant, sleep, timeout};

/// Longer than anything here may take, on however busy a machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Quick, yet not so quick that a busy machine is taken for a dead one.
pub(crate) fn quick() -> Config {
    Config {
        probe_interval: Duration::from_millis(400),
        probe_timeout: Duration::from_millis(200),
        gossip_interval: Duration::from_millis(50),
        sync_interval: Duration::from_secs(2),
        join_retry_min: Duration::from_millis(100),
        join_retry_max: Duration::from_millis(500),
        heal_interval: Duration::from_secs(1),
        leave_timeout: Duration::from_secs(2),
        ..Config::lan()
    }
}

/// Any port of a loopback address that no other node of these tests has, where the system has more than one: a port
/// given back there is still free when it is asked for again.
pub(crate) fn loopback() -> SocketAddr {
    static NODES: AtomicU16 = AtomicU16::new(0);
    let host = if cfg!(target_os = "linux") {
        let [high, low] = (NODES.fetch_add(1, Ordering::Relaxed)).to_be_bytes();
        [127, 1 + (std::process::id() % 250) as u8, high, 1 + low % 250]
    } else {
        [127, 0, 0, 1]
    };
    SocketAddr::from((host, 0))
}

/// A node-to-be on any port of loopback.
pub(crate) fn options(name: &str) -> Options {
    Options::new(loopback()).with_name(name).with_config(quick())
}

pub(crate) async fn start(name: &str, seeds: &[&Handle]) -> Handle {
    let seeds = seeds.iter().map(|seed| seed.address().to_string());
    options(name).with_seeds(seeds).start().await.expect("loopback has a free port")
}

/// A new process of this name at this address, as soon as the system gives the port back.
pub(crate) async fn restart(name: &str, at: SocketAddr, seed: &Handle) -> Handle {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let options = Options::new(at).with_name(name).with_config(quick()).with_seeds([seed.address().to_string()]);
        match options.start().await {
            Ok(node) => return node,
            Err(StartError::Bind { .. }) if Instant::now() < deadline => sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// `len` nodes that all hold one another alive.
pub(crate) async fn cluster(len: usize) -> Vec<Handle> {
    let mut nodes = vec![start("node-0", &[]).await];
    for index in 1..len {
        let node = start(&format!("node-{index}"), &[&nodes[0]]).await;
        nodes.push(node);
    }
    for node in &nodes {
        all_alive(node, len).await;
    }
    nodes
}

/// Waits until `node` holds exactly `len` members alive, and none suspect.
pub(crate) async fn all_alive(node: &Handle, len: usize) {
    eventually(&format!("{} holds {len} members alive", node.name()), async || {
        let members = node.members().await.expect("the node runs");
        let alive = members.iter().filter(|member| member.state == State::Alive).count();
        let suspects = members.iter().filter(|member| member.state == State::Suspect).count();
        alive == len && suspects == 0
    })
    .await;
}

/// Waits until `node` holds the member called `name` in this state.
pub(crate) async fn holds(node: &Handle, name: &str, state: State) {
    eventually(&format!("{} holds {name} {state}", node.name()), async || {
        member(node, name).await.is_some_and(|member| member.state == state)
    })
    .await;
}

pub(crate) async fn member(node: &Handle, name: &str) -> Option<MemberInfo> {
    node.member(node.id_of(name)).await.expect("the node runs")
}

/// Waits until something is so, and says what never was.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "never came about: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Waits for the first event that fits.
pub(crate) async fn event(events: &mut Events, what: &str, mut fits: impl FnMut(&Event) -> bool) -> Event {
    let found = async {
        loop {
            match events.recv().await {
                Ok(notice) if fits(&notice.event) => return notice.event,
                Ok(_) => {}
                Err(error) => panic!("no event for: {what}: {error}"),
            }
        }
    };
    timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("never told: {what}"))
}

/// What has been told so far and not been read.
pub(crate) fn told(events: &mut Events) -> Vec<Event> {
    let mut told = Vec::new();
    loop {
        match events.try_recv() {
            Ok(Some(notice)) => told.push(notice.event),
            Ok(None) | Err(EventsError::Closed) => return told,
            Err(EventsError::Lagged(lost)) => panic!("{lost} events were lost"),
        }
    }
}

/// Within the patience, or the test has failed.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("took for ever: {what}"))
}

pub(crate) async fn is_closed(node: &Handle) -> bool {
    matches!(node.health().await, Err(Closed))
}
