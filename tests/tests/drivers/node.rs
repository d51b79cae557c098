//! Nodes to test with, of either driver behind one face, and the patience to do so.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use swim_driver::messaging::MessagingOptions;
use swim_driver::{Closed, Event, EventsError, MemberInfo, Notice, RequestError, StartError, Stats};
use swim_proto::{Config, NodeId, State, Status, Way};
use tokio::runtime::Runtime;

/// Longer than anything here may take, on however busy a machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Where the nodes on tokio run.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("the system has threads")
});

/// Which drivers the nodes of a test are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mix {
    Tokio,
    Mio,
    /// Every other one on each.
    Both,
}

impl Mix {
    fn is_tokio(self, index: usize) -> bool {
        match self {
            Mix::Tokio => true,
            Mix::Mio => false,
            Mix::Both => index.is_multiple_of(2),
        }
    }
}

/// A node of either driver.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Tokio(swim_tokio::Handle),
    Mio(swim_mio::Handle),
}

/// How a node is to be run.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) bind: SocketAddr,
    pub(crate) advertise: Option<SocketAddr>,
    pub(crate) name: Option<String>,
    pub(crate) metadata: Bytes,
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) messaging: Option<MessagingOptions>,
    pub(crate) seeds: Vec<String>,
    pub(crate) config: Config,
    pub(crate) life: Option<u64>,
    pub(crate) events_max: usize,
    pub(crate) connect_timeout: Duration,
}

impl Wanted {
    pub(crate) fn at(bind: SocketAddr) -> Wanted {
        Wanted {
            bind,
            advertise: None,
            name: None,
            metadata: Bytes::new(),
            endpoint: None,
            messaging: Some(MessagingOptions::default()),
            seeds: Vec::new(),
            config: quick(),
            life: None,
            events_max: 1024,
            connect_timeout: Duration::from_secs(5),
        }
    }

    /// On any port of loopback.
    pub(crate) fn named(name: &str) -> Wanted {
        Wanted { name: Some(name.to_owned()), ..Wanted::at(loopback()) }
    }

    pub(crate) fn with_seeds(self, seeds: &[&Node]) -> Wanted {
        Wanted { seeds: seeds.iter().map(|seed| seed.address().to_string()).collect(), ..self }
    }

    /// Starts it; `index` decides on which driver of the mix.
    pub(crate) fn start(self, mix: Mix, index: usize) -> Result<Node, StartError> {
        macro_rules! options {
            ($driver:ident) => {{
                let mut options = $driver::Options::new(self.bind);
                options.advertise = self.advertise;
                options.name = self.name;
                options.metadata = self.metadata;
                options.endpoint = self.endpoint;
                options.messaging = self.messaging;
                options.seeds = self.seeds;
                options.config = self.config;
                options.life = self.life;
                options.events_max = self.events_max;
                options.connect_timeout = self.connect_timeout;
                options
            }};
        }
        if mix.is_tokio(index) {
            RUNTIME.block_on(options!(swim_tokio).start()).map(Node::Tokio)
        } else {
            options!(swim_mio).start().map(Node::Mio)
        }
    }
}

/// Asks either driver the same.
macro_rules! ask {
    ($node:expr, $method:ident($($argument:expr),*)) => {
        match $node {
            Node::Tokio(node) => RUNTIME.block_on(node.$method($($argument),*)),
            Node::Mio(node) => node.$method($($argument),*),
        }
    };
}

/// The same, where neither waits.
macro_rules! tell {
    ($node:expr, $method:ident($($argument:expr),*)) => {
        match $node {
            Node::Tokio(node) => node.$method($($argument),*),
            Node::Mio(node) => node.$method($($argument),*),
        }
    };
}

impl Node {
    pub(crate) fn name(&self) -> &str {
        tell!(self, name())
    }

    pub(crate) fn id(&self) -> NodeId {
        tell!(self, id())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        tell!(self, address())
    }

    pub(crate) fn bound(&self) -> SocketAddr {
        tell!(self, bound())
    }

    pub(crate) fn id_of(&self, name: &str) -> NodeId {
        tell!(self, id_of(name))
    }

    pub(crate) fn status(&self) -> Status {
        tell!(self, status())
    }

    pub(crate) fn members(&self) -> Result<Arc<[MemberInfo]>, Closed> {
        ask!(self, members())
    }

    pub(crate) fn member(&self, name: &str) -> Option<MemberInfo> {
        ask!(self, member(self.id_of(name))).expect("the node runs")
    }

    pub(crate) fn local(&self) -> MemberInfo {
        ask!(self, local()).expect("the node runs")
    }

    pub(crate) fn is_closed(&self) -> bool {
        ask!(self, health()).is_err()
    }

    pub(crate) fn stats(&self) -> Stats {
        ask!(self, stats()).expect("the node runs")
    }

    pub(crate) fn events(&self) -> Events {
        match self {
            Node::Tokio(node) => Events::Tokio(node.events()),
            Node::Mio(node) => Events::Mio(node.events()),
        }
    }

    pub(crate) fn follow(&self) -> (Arc<[MemberInfo]>, Events) {
        match self {
            Node::Tokio(node) => {
                let (members, events) = RUNTIME.block_on(node.follow()).expect("the node runs");
                (members, Events::Tokio(events))
            }
            Node::Mio(node) => {
                let (members, events) = node.follow().expect("the node runs");
                (members, Events::Mio(events))
            }
        }
    }

    /// Waits until it is joined, or cannot be.
    pub(crate) fn joined(&self) -> Result<(), RequestError> {
        match self {
            Node::Tokio(node) => RUNTIME
                .block_on(async { tokio::time::timeout(PATIENCE, node.joined()).await })
                .expect("it joins in time"),
            Node::Mio(node) => node.joined_within(PATIENCE).map(|joined| assert!(joined, "it joins in time")),
        }
    }

    pub(crate) fn join(&self, seeds: &[String]) -> Result<(), RequestError> {
        ask!(self, join(seeds))
    }

    pub(crate) fn leave(&self) -> Result<(), RequestError> {
        ask!(self, leave())
    }

    pub(crate) fn set_metadata(&self, metadata: impl Into<Bytes>) -> Result<(), RequestError> {
        let metadata = metadata.into();
        ask!(self, set_metadata(metadata))
    }

    pub(crate) fn force_leave(&self, member: NodeId) -> Result<(), RequestError> {
        ask!(self, force_leave(member))
    }

    pub(crate) fn broadcast(&self, payload: impl Into<Bytes>) -> Result<u64, RequestError> {
        let payload = payload.into();
        ask!(self, broadcast(payload))
    }

    pub(crate) fn send_message(&self, to: NodeId, payload: impl Into<Bytes>, by: Way) -> Result<(), RequestError> {
        let payload = payload.into();
        ask!(self, send_message(to, payload, by))
    }

    pub(crate) fn shutdown(&self) {
        ask!(self, shutdown());
    }

    pub(crate) fn abort(&self) {
        ask!(self, abort());
    }

    pub(crate) fn closed(&self) {
        ask!(self, closed());
    }
}

/// Receives the notices of either driver.
#[derive(Debug)]
pub(crate) enum Events {
    Tokio(swim_tokio::Events),
    Mio(swim_mio::Events),
}

impl Events {
    /// The next within the patience.
    pub(crate) fn next(&mut self) -> Result<Notice, EventsError> {
        match self {
            Events::Tokio(events) => RUNTIME
                .block_on(async { tokio::time::timeout(PATIENCE, events.recv()).await })
                .unwrap_or_else(|_| panic!("nothing was told")),
            Events::Mio(events) => events.recv_within(PATIENCE).map(|notice| notice.expect("something was told")),
        }
    }

    pub(crate) fn try_next(&mut self) -> Result<Option<Notice>, EventsError> {
        match self {
            Events::Tokio(events) => events.try_recv(),
            Events::Mio(events) => events.try_recv(),
        }
    }

    /// Waits for the first event that fits.
    pub(crate) fn wait(&mut self, what: &str, mut fits: impl FnMut(&Event) -> bool) -> Event {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.next() {
                Ok(notice) if fits(&notice.event) => return notice.event,
                Ok(_) => assert!(Instant::now() < until, "never told: {what}"),
                Err(error) => panic!("no event for: {what}: {error}"),
            }
        }
    }

    /// What has been told so far and not been read.
    pub(crate) fn told(&mut self) -> Vec<Event> {
        let mut told = Vec::new();
        loop {
            match self.try_next() {
                Ok(Some(notice)) => told.push(notice.event),
                Ok(None) | Err(EventsError::Closed) => return told,
                Err(EventsError::Lagged(lost)) => panic!("{lost} events were lost"),
            }
        }
    }
}

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

pub(crate) fn start(mix: Mix, index: usize, name: &str, seeds: &[&Node]) -> Node {
    Wanted::named(name).with_seeds(seeds).start(mix, index).expect("loopback has a free port")
}

/// A new process of this name at this address, as soon as the system gives the port back.
pub(crate) fn restart(mix: Mix, index: usize, name: &str, at: SocketAddr, seed: &Node) -> Node {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let wanted = Wanted { bind: at, ..Wanted::named(name) }.with_seeds(&[seed]);
        match wanted.start(mix, index) {
            Ok(node) => return node,
            Err(StartError::Bind { .. }) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
            Err(error) => panic!("{error}"),
        }
    }
}

/// `len` nodes that all hold one another alive.
pub(crate) fn cluster(mix: Mix, len: usize) -> Vec<Node> {
    let mut nodes = vec![start(mix, 0, "node-0", &[])];
    for index in 1..len {
        let node = start(mix, index, &format!("node-{index}"), &[&nodes[0]]);
        nodes.push(node);
    }
    for node in &nodes {
        all_alive(node, len);
    }
    nodes
}

/// Waits until `node` holds exactly `len` members alive, and none suspect.
pub(crate) fn all_alive(node: &Node, len: usize) {
    eventually(&format!("{} holds {len} members alive", node.name()), || {
        let members = node.members().expect("the node runs");
        let alive = members.iter().filter(|member| member.state == State::Alive).count();
        let suspects = members.iter().filter(|member| member.state == State::Suspect).count();
        alive == len && suspects == 0
    });
}

/// Waits until `node` holds the member called `name` in this state.
pub(crate) fn holds(node: &Node, name: &str, state: State) {
    eventually(&format!("{} holds {name} {state}", node.name()), || {
        node.member(name).is_some_and(|member| member.state == state)
    });
}

/// Waits until something is so, and says what never was.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never came about: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
