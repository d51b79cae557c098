//! The task that owns the node: moves bytes and time between it and the system, and has no opinion about either.
//!
//! Each turn takes what has arrived, up to a budget of each kind, and only then looks at the clock and fires timers:
//! an answer that waits in a socket is heard before its absence is judged. After each input, whatever the node wants
//! done is done at once. Nothing here ever waits for a peer, a subscriber or a lookup.

mod acting;
mod joining;
mod remarks;
mod requests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use swim_proto::{Backlog, DatagramError, Instant, Node, SeedId, Status, StreamId, StreamInput};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tracing::{Instrument, debug, trace, warn};

use self::joining::Joining;
use self::remarks::Remarks;
use crate::accept::accept;
use crate::clock::{Alarm, Clock};
use crate::inputs::{INPUTS_MAX, Input, Moved};
use crate::losses::Losses;
use crate::messaging::{Keeper, Listening, MessagingOptions, Post};
use crate::notice::Notice;
use crate::request::{REQUESTS_MAX, Request};
use crate::seeds::{Seeds, Unresolved};
use crate::sockets::{Reach, Sockets};
use crate::stats::DriverStats;
use crate::streams::Streams;

/// Datagrams taken in one turn, at most.
const DATAGRAMS_PER_TURN: usize = 64;
/// Inputs of streams and lookups taken in one turn, at most.
const INPUTS_PER_TURN: usize = 64;
/// The time that a turn gives to datagrams nobody waits for, though at least one is taken.
const TURN_TIME: Duration = Duration::from_millis(10);
/// Datagrams that were read and not yet handed to the node, at most.
const BACKLOG_LEN: usize = 1024;
/// Their bytes, at most.
const BACKLOG_BYTES: usize = 1 << 20;
/// The longest datagram there is.
const DATAGRAM_MAX: usize = 64 * 1024;
/// Later than this, the runtime was busy elsewhere and may not have looked at the sockets yet: it gets the chance.
const LATE: Duration = Duration::from_millis(5);
/// The longest ring of notices, whatever was asked for.
const EVENTS_MAX: usize = 1 << 20;
/// How long a shutdown waits for streams to take what was written.
const FLUSH_MAX: Duration = Duration::from_millis(500);
/// How long beyond the protocol's own limit a shutdown waits for the departure.
const LEAVE_GRACE: Duration = Duration::from_secs(1);

/// How long beyond its own limit a shutdown waits to be told that messages are drained.
const DRAIN_GRACE: Duration = Duration::from_millis(500);

/// The node, and everything that serves it.
pub(crate) struct Driver {
    node: Node,
    clock: Clock,
    /// None where members are reached by streams alone.
    udp: Option<UdpSocket>,
    reach: Reach,
    streams: Streams,
    seeds: Seeds,
    /// Seeds that needed no lookup, to be told to the node.
    resolved: Vec<(SeedId, Result<Vec<SocketAddr>, Unresolved>)>,
    joining: Joining,
    remarks: Remarks,
    /// Holds one task, which accepts streams.
    acceptor: JoinSet<()>,
    inputs: mpsc::Receiver<Input>,
    requests: mpsc::Receiver<Request>,
    /// The messages' side, where there is one, and the one task that keeps it.
    post: Option<Arc<Post>>,
    keeper: JoinSet<()>,
    drain_timeout: Duration,
    /// Our life as messages were told of it.
    life: u64,
    notices: broadcast::Sender<Arc<Notice>>,
    status: watch::Sender<Status>,
    stats: DriverStats,
    phase: Phase,
    /// Whether the last handle was dropped.
    is_orphan: bool,
    alarm: Alarm,
    /// Where datagrams are received.
    datagram: Box<[u8]>,
    /// What was read and is not yet handed over.
    backlog: Backlog,
    /// The datagram that is being handed over.
    handed: Vec<u8>,
    /// What the system says it had no room for.
    losses: Losses,
    /// Where the node puts what it wants sent.
    action: Vec<u8>,
}

/// The application's ends of a driver's channels.
pub(crate) struct Ends {
    pub(crate) requests: mpsc::Sender<Request>,
    pub(crate) notices: broadcast::WeakSender<Arc<Notice>>,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) post: Option<Arc<Post>>,
}

/// What moves messages, ready to be kept.
pub(crate) struct Messages {
    pub(crate) post: Arc<Post>,
    pub(crate) listening: Listening,
    pub(crate) options: MessagingOptions,
}

/// What a driver is to know beyond its node and sockets.
pub(crate) struct Limits {
    pub(crate) connect_timeout: Duration,
    pub(crate) resolve_timeout: Duration,
    pub(crate) events_max: usize,
}

/// How far the driver is from its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// Asked to shut down; messages that are under way have until then at most.
    Draining {
        until: Instant,
    },
    /// The departure is being spread, until then at most.
    Leaving {
        until: Instant,
    },
    /// Departed, or given up: what is written is flushed.
    Flushing,
    /// To stop at once.
    Aborting,
}

/// Why a turn begins.
enum Wake {
    Datagrams,
    Input(Input),
    /// `None`: the last handle was dropped.
    Request(Option<Request>),
    Timer,
}

impl Driver {
    pub(crate) fn new(
        node: Node,
        clock: Clock,
        sockets: Sockets,
        limits: &Limits,
        messages: Option<Messages>,
    ) -> (Driver, Ends) {
        let Sockets { udp, tcp, bound } = sockets;
        let (input, inputs) = mpsc::channel(INPUTS_MAX);
        let (request, requests) = mpsc::channel(REQUESTS_MAX);
        let notices = broadcast::Sender::new(limits.events_max.clamp(1, EVENTS_MAX));
        let (status, status_seen) = watch::channel(node.status());
        let mut acceptor = JoinSet::new();
        acceptor.spawn(accept(tcp, input.clone()).in_current_span());
        let reach = Reach::of(bound);
        let mut keeper = JoinSet::new();
        let (post, drain_timeout) = match messages {
            Some(Messages { post, listening, options }) => {
                let identity = node.local().id.to_string();
                let kept = Keeper::new(post.clone(), clock, (listening, bound), &options, &identity, input.clone());
                keeper.spawn(kept.run().in_current_span());
                (Some(post), options.drain_timeout)
            }
            None => (None, Duration::ZERO),
        };
        let ends = Ends { requests: request, notices: notices.downgrade(), status: status_seen, post: post.clone() };
        let driver = Driver {
            clock,
            reach,
            streams: Streams::new(bound, limits.connect_timeout, input.clone()),
            seeds: Seeds::new(reach, limits.resolve_timeout, input),
            resolved: Vec::new(),
            joining: Joining::default(),
            remarks: Remarks::default(),
            acceptor,
            inputs,
            requests,
            post,
            keeper,
            drain_timeout,
            life: node.local().incarnation.life,
            notices,
            status,
            stats: udp.as_ref().map(buffers).unwrap_or_default(),
            udp,
            phase: Phase::Running,
            is_orphan: false,
            alarm: Alarm::unset(),
            datagram: vec![0; DATAGRAM_MAX].into(),
            backlog: Backlog::new(BACKLOG_LEN, BACKLOG_BYTES),
            handed: Vec::new(),
            losses: Losses::of(bound),
            action: Vec::with_capacity(DATAGRAM_MAX),
            node,
        };
        (driver, ends)
    }

    /// Runs the node until it is shut down or the last handle is dropped.
    pub(crate) async fn run(mut self) {
        debug!("started");
        while matches!(self.phase, Phase::Running | Phase::Draining { .. } | Phase::Leaving { .. }) {
            let wake = self.wait().await;
            self.turn(wake).await;
        }
        self.close().await;
        debug!("stopped");
    }

    async fn wait(&mut self) -> Wake {
        let deadline = match self.phase {
            Phase::Draining { until } | Phase::Leaving { until } => {
                self.node.deadline().map_or(Some(until), |deadline| Some(deadline.min(until)))
            }
            Phase::Running | Phase::Flushing | Phase::Aborting => self.node.deadline(),
        };
        if !self.backlog.is_empty() {
            return Wake::Datagrams;
        }
        self.alarm.set(deadline, &self.clock);
        tokio::select! {
            () = readable(self.udp.as_ref()) => Wake::Datagrams,
            Some(input) = self.inputs.recv() => Wake::Input(input),
            request = self.requests.recv(), if !self.is_orphan => Wake::Request(request),
            () = self.alarm.rings() => Wake::Timer,
        }
    }

    /// Input first, then what the application wants, then time.
    async fn turn(&mut self, wake: Wake) {
        let mut request = None;
        match wake {
            Wake::Datagrams | Wake::Timer => {}
            Wake::Input(input) => self.take_input(input),
            Wake::Request(Some(first)) => request = Some(first),
            Wake::Request(None) => self.orphan(),
        }
        let mut is_full = self.take_datagrams();
        is_full |= self.take_inputs();
        self.take_requests(request);
        if let Some(late) = self.overdue() {
            if late >= LATE {
                tokio::task::yield_now().await;
                is_full |= self.take_datagrams();
                is_full |= self.take_inputs();
            }
            let now = self.clock.now();
            self.node.handle_timeout(now);
            self.act();
            self.remarks.refuted(now, self.node.stats().refutations, self.node.local().address);
        }
        for stream in self.streams.reap() {
            self.take_input(Input::Stream(stream, Moved::Failed));
        }
        self.tell_life();
        self.look_to_the_end();
        if is_full {
            // More is waiting, and so are others.
            tokio::task::yield_now().await;
        }
    }

    /// By how much the node's deadline has passed, if it has. The clock says so, not the alarm.
    fn overdue(&self) -> Option<Duration> {
        let (now, deadline) = (self.clock.now(), self.node.deadline()?);
        (now >= deadline).then(|| now - deadline)
    }

    /// Whether the turn's budget ended before the datagrams did. Under load, probes and their answers come first.
    fn take_datagrams(&mut self) -> bool {
        let more_waits = self.read_datagrams();
        let begun = self.clock.now();
        let mut now = begun;
        for _ in 0..DATAGRAMS_PER_TURN {
            if !self.backlog.has_urgent() && now - begun >= TURN_TIME {
                break;
            }
            let Some(from) = self.backlog.pop(&mut self.handed) else { break };
            now = self.clock.now();
            if let Err(error) = self.node.handle_datagram(now, from, &self.handed) {
                trace!(%from, len = self.handed.len(), %error, "a datagram was refused");
                if error == DatagramError::Cluster {
                    self.remarks.foreign(Some(from), &self.node);
                }
            }
            self.act();
        }
        let is_full = more_waits || !self.backlog.is_empty();
        let shed = self.backlog.take_shed();
        self.stats.datagrams_shed += shed;
        let lost = if is_full || shed > 0 { self.losses.since_last(now) } else { 0 };
        self.stats.datagrams_lost += lost;
        if shed + lost > 0 {
            self.node.report_loss(now, shed + lost);
            self.act();
        }
        is_full
    }

    /// Whether the turn's budget ended before the socket's datagrams did.
    fn read_datagrams(&mut self) -> bool {
        for _ in 0..DATAGRAMS_PER_TURN {
            let Some(udp) = &self.udp else { return false };
            match udp.try_recv_from(&mut self.datagram) {
                Ok((len, from)) => self.backlog.push(Reach::inward(from), &self.datagram[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // Mostly that nobody listens where something was sent: the node will see for itself.
                Err(error) => {
                    self.stats.receive_errors += 1;
                    trace!(%error, "the socket reports an error");
                }
            }
        }
        self.stats.turns_full += 1;
        true
    }

    /// Whether the turn's budget ended before the inputs did.
    fn take_inputs(&mut self) -> bool {
        for _ in 0..INPUTS_PER_TURN {
            match self.inputs.try_recv() {
                Ok(input) => self.take_input(input),
                Err(_) => return false,
            }
        }
        true
    }

    fn take_input(&mut self, input: Input) {
        let now = self.clock.now();
        match input {
            Input::Stream(stream, moved) => self.take_move(now, stream, &moved),
            Input::Accepted(Ok((tcp, from))) => self.take_connection(now, tcp, Reach::inward(from)),
            Input::Accepted(Err(error)) => {
                self.stats.accept_errors += 1;
                // Such errors come in rows; the log need not.
                if self.stats.accept_errors.is_power_of_two() {
                    warn!(%error, errors = self.stats.accept_errors, "cannot accept streams");
                }
            }
            Input::Resolved(seed, outcome) => self.take_resolved(seed, outcome),
            Input::Drained => {
                if let Phase::Draining { .. } = self.phase {
                    self.depart(now);
                }
            }
        }
        self.act();
    }

    fn take_move(&mut self, now: Instant, stream: StreamId, moved: &Moved) {
        let foreign = self.node.stats().drops.foreign;
        let input = match moved {
            Moved::Connected => StreamInput::Connected,
            Moved::Unconnected(error) => {
                self.stats.connects_failed += 1;
                self.joining.unconnected(stream, error);
                StreamInput::Failed
            }
            Moved::Data(bytes) => StreamInput::Data(bytes),
            Moved::Written(len) => StreamInput::Written(*len),
            Moved::Finished => StreamInput::Finished,
            Moved::Failed => StreamInput::Failed,
        };
        if matches!(moved, Moved::Finished | Moved::Failed) {
            self.joining.ended(stream);
        }
        self.node.handle_stream(now, stream, input);
        if self.node.stats().drops.foreign > foreign {
            self.remarks.foreign(self.streams.peer(stream), &self.node);
        }
    }

    fn take_resolved(&mut self, seed: SeedId, outcome: Result<Vec<SocketAddr>, Unresolved>) {
        let addresses = outcome.as_deref().unwrap_or_default();
        self.stats.resolves_failed += u64::from(addresses.is_empty());
        self.node.handle_resolved(self.clock.now(), seed, addresses);
        self.joining.resolved(seed, outcome);
    }

    fn take_connection(&mut self, now: Instant, tcp: TcpStream, from: SocketAddr) {
        self.stats.accepts += 1;
        match self.node.accept_stream(now, from) {
            Some(stream) => self.streams.accept(stream, tcp, from),
            None => {
                self.stats.accepts_refused += 1;
                // Nothing of it is to stay behind in the system.
                let _ = tcp.set_zero_linger();
            }
        }
    }
}

/// The end.
impl Driver {
    /// The last handle is gone. Whoever asked for a shutdown before gets it.
    fn orphan(&mut self) {
        self.is_orphan = true;
        if self.phase == Phase::Running {
            self.phase = Phase::Aborting;
        }
    }

    /// Our life may be raised while we run, and others are to know whose messages they get.
    fn tell_life(&mut self) {
        if let Some(post) = &self.post {
            let life = self.node.local().incarnation.life;
            if std::mem::replace(&mut self.life, life) != life {
                post.life(life);
            }
        }
    }

    fn look_to_the_end(&mut self) {
        if let Phase::Draining { until } = self.phase
            && (self.node.status() == Status::Superseded || self.clock.now() >= until)
        {
            self.depart(self.clock.now());
        }
        if let Phase::Leaving { until } = self.phase
            && (self.node.status() != Status::Leaving || self.clock.now() >= until)
        {
            self.phase = Phase::Flushing;
        }
    }

    /// Closes everything. The request queue is last, because handles take its end for the end of all.
    async fn close(self) {
        let Driver { phase, udp, mut streams, mut seeds, mut acceptor, inputs, requests, notices, status, .. } = self;
        let (post, mut keeper) = (self.post, self.keeper);
        drop(inputs);
        if let Some(post) = post.filter(|_| phase == Phase::Flushing) {
            post.close();
            while keeper.join_next().await.is_some() {}
        }
        // Dropped before its end, the keeper closes everything, and leaves nothing unsaid.
        keeper.shutdown().await;
        acceptor.shutdown().await;
        seeds.abort().await;
        if phase == Phase::Flushing {
            streams.flush(FLUSH_MAX).await;
        }
        streams.abort().await;
        drop(udp);
        drop((notices, status));
        drop(requests);
    }
}

/// Returns when there may be datagrams: never without a socket for them.
async fn readable(udp: Option<&UdpSocket>) {
    match udp {
        // An error would say that the runtime is going away, and this task with it.
        Some(udp) => _ = udp.readable().await,
        None => std::future::pending().await,
    }
}

fn buffers(udp: &UdpSocket) -> DriverStats {
    let socket = SockRef::from(udp);
    DriverStats {
        receive_buffer: socket.recv_buffer_size().unwrap_or(0),
        send_buffer: socket.send_buffer_size().unwrap_or(0),
        ..DriverStats::default()
    }
}
