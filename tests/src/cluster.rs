//! The nodes, their clock, and what is on its way between them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use swim_proto::{
    Action, Config, DatagramError, Incarnation, Instant, LocalMember, Node, NodeId, SeedId, State, StreamId,
    StreamInput,
};

use crate::network::{Fate, Network};
use crate::told::{Content, Told, What};

mod links;
mod replay;

use links::{Feedback, Links};

/// A few nodes on one virtual clock.
pub struct Cluster {
    now: Instant,
    peers: Vec<Peer>,
    /// The paths between them.
    pub network: Network,
    agenda: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    /// What waits on the agenda, by its last number; taken out when its time has come.
    waiting: Vec<Option<Pending>>,
    free: Vec<usize>,
    count: u64,
    links: Links,
    caught: BTreeMap<SocketAddr, Vec<Vec<u8>>>,
    watch: Option<Watcher>,
    /// Checks events against tables after each input, not only at a timer's.
    checks_often: bool,
}

type Watcher = Box<dyn FnMut(Seen<'_>)>;

/// One place for one member, whose process may be killed and started again.
struct Peer {
    node: Option<Node>,
    local: LocalMember,
    config: Config,
    /// Counts the processes that ran here.
    generation: u64,
    paused: bool,
    inbox: Vec<Pending>,
    told: Vec<Told>,
    /// The members other than itself, replayed from events alone.
    replayed: BTreeMap<NodeId, (State, Content)>,
    /// And what it says of itself.
    own_content: Option<Content>,
}

/// What is on its way.
enum Pending {
    Datagram {
        from: SocketAddr,
        to: SocketAddr,
        bytes: Vec<u8>,
    },
    /// The next segment of this link, to its end 0 or 1.
    Segment {
        link: usize,
        end: usize,
    },
    Feedback {
        peer: usize,
        generation: u64,
        stream: StreamId,
        feedback: Feedback,
    },
    Resolved {
        peer: usize,
        generation: u64,
        seed: SeedId,
    },
}

/// What a watcher is shown.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum Seen<'a> {
    /// A datagram leaves.
    Datagram { at: Instant, from: SocketAddr, to: SocketAddr, bytes: &'a [u8], fate: Fate },
    /// Bytes are written to the stream between these two; `link` tells streams apart.
    Stream { at: Instant, from: SocketAddr, to: SocketAddr, link: usize, bytes: &'a [u8] },
    /// The node at this address tells its application something.
    Told { node: usize, told: &'a Told },
}

/// The first life of a process; each restart adds as much again.
pub const LIFE: u64 = 1_000;

impl Default for Cluster {
    fn default() -> Cluster {
        Cluster::new()
    }
}

impl Cluster {
    /// No nodes yet, at time zero.
    pub fn new() -> Cluster {
        Cluster {
            now: Instant::ZERO,
            peers: Vec::new(),
            network: Network::new(),
            agenda: BinaryHeap::new(),
            waiting: Vec::new(),
            free: Vec::new(),
            count: 0,
            links: Links::default(),
            caught: BTreeMap::new(),
            watch: None,
            checks_often: true,
        }
    }

    /// `n` nodes with this configuration, let in by the first, and given time to know one another.
    pub fn settled(n: usize, config: &Config) -> Cluster {
        let mut cluster = Cluster::new();
        for _ in 0..n {
            cluster.start(config.clone());
        }
        for i in 1..n {
            cluster.join(i, &[0]);
        }
        let took = cluster.run_until(Duration::from_secs(30), |cluster| cluster.is_full());
        assert!(took.is_some(), "{n} nodes did not find one another in 30 s:\n{}", cluster.views());
        // Let the news of the joins die down.
        cluster.run_for(Duration::from_secs(10));
        cluster
    }

    /// The address of the `i`th node that is started by [`Cluster::start`].
    pub fn address_of(i: usize) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, (i / 200) as u8, (i % 200) as u8 + 1)), 7000)
    }

    /// Starts a node with a name of one letter (or "n26" and so on) at the next address.
    pub fn start(&mut self, config: Config) -> usize {
        let i = self.peers.len();
        let name = if i < 26 { char::from(b'a' + i as u8).to_string() } else { format!("n{i}") };
        self.start_as(LocalMember::new(Cluster::address_of(i), LIFE).with_name(name), config)
    }

    /// Starts a node.
    pub fn start_as(&mut self, local: LocalMember, config: Config) -> usize {
        let i = self.peers.len();
        self.peers.push(Peer {
            node: None,
            local,
            config,
            generation: 0,
            paused: false,
            inbox: Vec::new(),
            told: Vec::new(),
            replayed: BTreeMap::new(),
            own_content: None,
        });
        self.boot(i);
        i
    }

    fn boot(&mut self, i: usize) {
        let seed = 1 + i as u64 * 1_000 + self.peers[i].generation;
        let peer = &mut self.peers[i];
        let node = Node::new(self.now, peer.local.clone(), peer.config.clone(), seed);
        let node = node.expect("a test's configuration is valid");
        peer.own_content = Some(Content::of(&node.local()));
        peer.node = Some(node);
        peer.replayed.clear();
        self.drain(i);
    }

    /// Asks node `i` to join by way of these nodes.
    pub fn join(&mut self, i: usize, seeds: &[usize]) {
        let seeds: Vec<SeedId> = seeds.iter().map(|&seed| SeedId(seed as u32)).collect();
        self.command(i, |node, now| node.join(now, &seeds)).expect("joining is possible");
    }

    /// Asks node `i` to leave.
    pub fn leave(&mut self, i: usize) {
        self.command(i, Node::leave).expect("leaving is possible");
    }

    /// Gives node `i` a command and does what it then wants done.
    pub fn command<T>(&mut self, i: usize, command: impl FnOnce(&mut Node, Instant) -> T) -> T {
        let now = self.now;
        let result = command(self.peers[i].node.as_mut().expect("the process runs"), now);
        self.drain(i);
        result
    }

    /// Kills the process of node `i`. Its host lives on and resets its streams.
    pub fn crash(&mut self, i: usize) {
        self.peers[i].node = None;
        self.peers[i].generation += 1;
        self.peers[i].inbox.clear();
        self.peers[i].paused = false;
        for (link, end) in self.links.of_peer(i) {
            self.reset_link(link, end);
        }
    }

    /// Starts the process of node `i` again, with a greater life and nothing remembered.
    pub fn restart(&mut self, i: usize) {
        assert!(self.peers[i].node.is_none(), "it runs already");
        self.peers[i].local.life += LIFE;
        self.boot(i);
    }

    /// Starts the process of node `i` again with this life, whatever it was before.
    pub fn restart_with_life(&mut self, i: usize, life: u64) {
        assert!(self.peers[i].node.is_none(), "it runs already");
        self.peers[i].local.life = life;
        self.boot(i);
    }

    /// [`Cluster::restart`] at another address.
    pub fn restart_at(&mut self, i: usize, address: SocketAddr) {
        self.peers[i].local.address = address;
        self.restart(i);
    }

    /// [`Cluster::restart_with_life`] at another address.
    pub fn restart_with_life_at(&mut self, i: usize, life: u64, address: SocketAddr) {
        self.peers[i].local.address = address;
        self.restart_with_life(i, life);
    }

    /// Stops the process of node `i` as SIGSTOP does: its sockets fill, its timers do not fire.
    pub fn pause(&mut self, i: usize) {
        self.peers[i].paused = true;
    }

    /// Lets it run on: first what waits in its sockets, then its timers.
    pub fn resume(&mut self, i: usize) {
        self.peers[i].paused = false;
        for pending in std::mem::take(&mut self.peers[i].inbox) {
            self.deliver(pending);
        }
    }

    /// Lets nothing pass between these nodes and those.
    pub fn cut(&mut self, these: &[usize], those: &[usize]) {
        let addresses = |nodes: &[usize]| nodes.iter().map(|&i| self.peers[i].local.address).collect::<Vec<_>>();
        let (these, those) = (addresses(these), addresses(those));
        self.network.cut(&these, &those);
    }

    /// A datagram from anywhere, now; the answer is the node's own.
    pub fn inject(&mut self, from: SocketAddr, to: usize, datagram: &[u8]) -> Result<(), DatagramError> {
        self.command(to, |node, now| node.handle_datagram(now, from, datagram))
    }

    /// Keeps what is sent by datagram to `address`, where no node is.
    pub fn catch(&mut self, address: SocketAddr) {
        self.caught.entry(address).or_default();
    }

    /// What was sent to a caught address since this was last asked.
    pub fn caught(&mut self, address: SocketAddr) -> Vec<Vec<u8>> {
        self.caught.get_mut(&address).map(std::mem::take).unwrap_or_default()
    }

    /// Opens a stream to node `to` from an address where no node is.
    pub fn connect_from(&mut self, from: SocketAddr, to: usize) -> Option<StreamId> {
        let stream = self.command(to, |node, now| node.accept_stream(now, from))?;
        self.links.puppet(from, self.end(to, stream));
        Some(stream)
    }

    /// Bytes on such a stream.
    pub fn say(&mut self, to: usize, stream: StreamId, input: StreamInput<'_>) {
        self.command(to, |node, now| node.handle_stream(now, stream, input));
    }

    /// What the node wrote to such a stream, and whether it has ended it.
    pub fn heard(&mut self, to: usize, stream: StreamId) -> (Vec<u8>, bool) {
        self.links.heard(to, stream)
    }

    /// Compares events with tables when time has passed only: for tests with a million inputs.
    pub fn check_replays_seldom(&mut self) {
        self.checks_often = false;
    }

    /// Shows everything that leaves a node to this watcher.
    pub fn watch(&mut self, watch: impl FnMut(Seen<'_>) + 'static) {
        self.watch = Some(Box::new(watch));
    }
}

/// Time.
impl Cluster {
    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Lets this much time pass.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(end) {}
        for peer in &self.peers {
            if let Some(node) = &peer.node {
                peer.check_replay(node);
            }
        }
    }

    /// Lets time pass until `done`, and says how long that took; `None`: not within `limit`.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Cluster) -> bool) -> Option<Duration> {
        let start = self.now;
        while !done(self) {
            if !self.step(start + limit) {
                return None;
            }
        }
        Some(self.now - start)
    }

    /// The next thing that happens until `end`.
    fn step(&mut self, end: Instant) -> bool {
        let arrival = self.agenda.peek().map(|Reverse((at, ..))| *at);
        let timer = (0..self.peers.len()).filter_map(|i| Some((self.deadline(i)?, i))).min();
        // What has arrived comes before what is due (docs/protocol.md 10.1).
        match (arrival, timer) {
            (Some(at), _) if at <= end && timer.is_none_or(|(due, _)| at <= due) => {
                let Reverse((_, _, slot)) = self.agenda.pop().expect("it was just seen");
                self.now = self.now.max(at);
                let pending = self.waiting[slot].take().expect("each slot waits once");
                self.free.push(slot);
                self.deliver(pending);
                true
            }
            (_, Some((due, i))) if due <= end => {
                self.now = self.now.max(due);
                let now = self.now;
                self.command(i, Node::handle_timeout);
                let next = self.peers[i].node.as_ref().and_then(Node::deadline);
                assert!(next.is_none_or(|next| next > now), "node {i} is busy at {now:?}: its deadline is {next:?}");
                true
            }
            _ => {
                self.now = end;
                false
            }
        }
    }

    fn deadline(&self, i: usize) -> Option<Instant> {
        let peer = &self.peers[i];
        if peer.paused { None } else { peer.node.as_ref()?.deadline() }
    }

    fn after(&mut self, delay: Duration, pending: Pending) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.waiting.push(None);
            self.waiting.len() - 1
        });
        self.waiting[slot] = Some(pending);
        self.count += 1;
        self.agenda.push(Reverse((self.now + delay, self.count, slot)));
    }

    fn peer_at(&self, address: SocketAddr) -> Option<usize> {
        self.peers.iter().position(|peer| peer.node.is_some() && peer.local.address == address)
    }

    fn deliver(&mut self, pending: Pending) {
        let to = match &pending {
            Pending::Datagram { to, .. } => match self.peer_at(*to) {
                Some(peer) => peer,
                None => return,
            },
            Pending::Feedback { peer, generation, .. } | Pending::Resolved { peer, generation, .. } => {
                if self.peers[*peer].generation != *generation {
                    return;
                }
                *peer
            }
            Pending::Segment { link, end } => return self.deliver_segment(*link, *end),
        };
        if self.peers[to].paused {
            return self.peers[to].inbox.push(pending);
        }
        match pending {
            Pending::Datagram { from, bytes, .. } => {
                // A refusal is the node's to count; tests look at its statistics.
                let _ = self.command(to, |node, now| node.handle_datagram(now, from, &bytes));
            }
            Pending::Feedback { stream, feedback, .. } => {
                let input = match feedback {
                    Feedback::Connected => StreamInput::Connected,
                    Feedback::Written(len) => StreamInput::Written(len),
                    Feedback::Failed => StreamInput::Failed,
                };
                self.command(to, |node, now| node.handle_stream(now, stream, input));
            }
            Pending::Resolved { seed, .. } => {
                // A seed's id is the number of its node; what has no node has no address.
                let address = self.peers.get(seed.0 as usize).map(|peer| peer.local.address);
                self.command(to, |node, now| node.handle_resolved(now, seed, address.as_slice()));
            }
            Pending::Segment { .. } => unreachable!("segments went their own way above"),
        }
    }

    /// Does all that node `i` wants done.
    fn drain(&mut self, i: usize) {
        let mut node = self.peers[i].node.take().expect("the process runs");
        let mut buf = Vec::new();
        let mut actions = 0;
        while let Some(action) = node.poll_action(&mut buf) {
            actions += 1;
            assert!(actions < 100_000, "node {i} never runs out of actions");
            self.act(i, action);
        }
        if self.checks_often {
            self.peers[i].check_replay(&node);
        }
        self.peers[i].node = Some(node);
    }

    fn act(&mut self, i: usize, action: Action<'_>) {
        let from = self.peers[i].local.address;
        match action {
            Action::Transmit { to, datagram } => self.transmit(from, to, datagram),
            Action::Resolve { seed } => {
                let generation = self.peers[i].generation;
                self.after(self.network.latency, Pending::Resolved { peer: i, generation, seed });
            }
            Action::Event(event) => {
                let told = Told::new(self.now, event);
                if let Some(watch) = &mut self.watch {
                    watch(Seen::Told { node: i, told: &told });
                }
                self.peers[i].replay(&told);
                self.peers[i].told.push(told);
            }
            Action::Connect { stream, to } => self.connect(i, stream, to),
            Action::Write { stream, bytes } => self.write(i, stream, bytes),
            Action::Finish { stream } => self.finish(i, stream),
            Action::Reset { stream } => self.reset(i, stream),
        }
    }

    fn transmit(&mut self, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        let fate = self.network.fate(from, to, datagram);
        if let Some(watch) = &mut self.watch {
            watch(Seen::Datagram { at: self.now, from, to, bytes: datagram, fate });
        }
        if let Some(caught) = self.caught.get_mut(&to) {
            caught.push(datagram.to_vec());
        }
        let latency = self.network.latency;
        let arrive = |delay| (delay, Pending::Datagram { from, to, bytes: datagram.to_vec() });
        let arrivals = match fate {
            Fate::Lost => vec![],
            Fate::Arrives => vec![arrive(latency)],
            Fate::Late(by) => vec![arrive(latency + by)],
            Fate::Twice => vec![arrive(latency), arrive(latency)],
        };
        for (delay, pending) in arrivals {
            self.after(delay, pending);
        }
    }
}

/// Views.
impl Cluster {
    /// How many places for nodes there are, whether or not their processes run.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether no node was started yet.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// Node `i`, which runs.
    pub fn node(&self, i: usize) -> &Node {
        self.peers[i].node.as_ref().expect("the process runs")
    }

    /// Whether node `i` runs.
    pub fn is_up(&self, i: usize) -> bool {
        self.peers[i].node.is_some()
    }

    /// Where node `i` is.
    pub fn address(&self, i: usize) -> SocketAddr {
        self.peers[i].local.address
    }

    /// Node `i`'s name.
    pub fn name(&self, i: usize) -> &str {
        &self.peers[i].local.name
    }

    /// Node `i`'s id.
    pub fn id(&self, i: usize) -> NodeId {
        NodeId::of(&self.peers[i].config.cluster, &self.peers[i].local.name)
    }

    /// What node `observer` holds about node `subject`.
    pub fn state(&self, observer: usize, subject: usize) -> Option<State> {
        self.node(observer).member(self.id(subject)).map(|member| member.state)
    }

    /// How new what node `observer` holds about node `subject` is.
    pub fn incarnation(&self, observer: usize, subject: usize) -> Option<Incarnation> {
        self.node(observer).member(self.id(subject)).map(|member| member.incarnation)
    }

    /// Whether each running node holds exactly the running nodes Alive.
    pub fn is_full(&self) -> bool {
        let up: Vec<usize> = (0..self.len()).filter(|&i| self.is_up(i)).collect();
        up.iter()
            .all(|&i| self.node(i).live() == up.len() && up.iter().all(|&j| self.state(i, j) == Some(State::Alive)))
    }

    /// All that node `i` told its application, in all its lives.
    pub fn told(&self, i: usize) -> &[Told] {
        &self.peers[i].told
    }

    /// How often node `i` told `what` about node `subject`.
    pub fn times_told(&self, i: usize, what: What, subject: usize) -> usize {
        let id = self.id(subject);
        self.told(i).iter().filter(|told| told.what == what && told.id == Some(id)).count()
    }

    /// Every running node's view, for failure messages.
    pub fn views(&self) -> String {
        let mut text = String::new();
        for i in (0..self.len()).filter(|&i| self.is_up(i)) {
            let mut members: Vec<String> = self
                .node(i)
                .members()
                .map(|member| format!("{} {} {}", member.name, member.state, member.incarnation))
                .collect();
            members.sort();
            text += &format!("{} ({:?}): {}\n", self.name(i), self.node(i).status(), members.join(", "));
        }
        text
    }
}
