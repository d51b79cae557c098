//! The task that owns the node: moves bytes and time between it and the system, and has no opinion about either.
//!
//! Each turn takes what has arrived, up to a budget of each kind, and only then looks at the clock and fires timers:
//! an answer that waits in a socket is heard before its absence is judged. After each input, whatever the node wants
//! done is done at once. Nothing here ever waits for a peer, a subscriber or a lookup.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use swim_proto::{Action, CommandError, Instant, Node, Status, StreamInput};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tracing::{Instrument, debug, trace, warn};

use crate::accept::accept;
use crate::clock::{Alarm, Clock};
use crate::inputs::{INPUTS_MAX, Input, Moved};
use crate::member::MemberInfo;
use crate::notice::{Events, Notice};
use crate::request::{REQUESTS_MAX, Reply, Request};
use crate::seeds::{SeedName, Seeds};
use crate::sockets::{Reach, Sockets};
use crate::stats::{DriverStats, Stats};
use crate::streams::Streams;

/// Datagrams taken in one turn, at most.
const DATAGRAMS_PER_TURN: usize = 64;
/// Inputs of streams and lookups taken in one turn, at most.
const INPUTS_PER_TURN: usize = 64;
/// Requests of the application answered in one turn, at most.
const REQUESTS_PER_TURN: usize = 16;
/// The longest datagram there is.
const DATAGRAM_MAX: usize = 64 * 1024;
/// Later than this, the runtime was busy elsewhere and may not have looked at the sockets yet: it gets the chance.
const LATE: Duration = Duration::from_millis(5);
/// How long a shutdown waits for streams to take what was written.
const FLUSH_MAX: Duration = Duration::from_millis(500);
/// How long beyond the protocol's own limit a shutdown waits for the departure.
const LEAVE_GRACE: Duration = Duration::from_secs(1);

/// The node, and everything that serves it.
pub(crate) struct Driver {
    node: Node,
    clock: Clock,
    udp: UdpSocket,
    reach: Reach,
    streams: Streams,
    seeds: Seeds,
    /// Holds one task, which accepts streams.
    acceptor: JoinSet<()>,
    inputs: mpsc::Receiver<Input>,
    requests: mpsc::Receiver<Request>,
    notices: broadcast::Sender<Notice>,
    status: watch::Sender<Status>,
    stats: DriverStats,
    life: Life,
    /// Whether the last handle was dropped.
    is_orphan: bool,
    alarm: Alarm,
    /// Where datagrams are received.
    datagram: Box<[u8]>,
    /// Where the node puts what it wants sent.
    action: Vec<u8>,
}

/// The application's ends of a driver's channels.
pub(crate) struct Ends {
    pub(crate) requests: mpsc::Sender<Request>,
    pub(crate) notices: broadcast::WeakSender<Notice>,
    pub(crate) status: watch::Receiver<Status>,
}

/// What a driver is to know beyond its node and sockets.
pub(crate) struct Limits {
    pub(crate) connect_timeout: Duration,
    pub(crate) resolve_timeout: Duration,
    pub(crate) events_max: usize,
}

/// How far the driver is from its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Running,
    /// Asked to shut down; the departure is being spread, until then at most.
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
    pub(crate) fn new(node: Node, clock: Clock, sockets: Sockets, limits: &Limits) -> (Driver, Ends) {
        let Sockets { udp, tcp, bound } = sockets;
        let (input, inputs) = mpsc::channel(INPUTS_MAX);
        let (request, requests) = mpsc::channel(REQUESTS_MAX);
        let notices = broadcast::Sender::new(limits.events_max.max(1));
        let (status, status_seen) = watch::channel(node.status());
        let mut acceptor = JoinSet::new();
        acceptor.spawn(accept(tcp, input.clone()).in_current_span());
        let reach = Reach::of(bound);
        let ends = Ends { requests: request, notices: notices.downgrade(), status: status_seen };
        let driver = Driver {
            node,
            clock,
            reach,
            streams: Streams::new(bound, limits.connect_timeout, input.clone()),
            seeds: Seeds::new(reach, limits.resolve_timeout, input),
            acceptor,
            inputs,
            requests,
            notices,
            status,
            stats: buffers(&udp),
            udp,
            life: Life::Running,
            is_orphan: false,
            alarm: Alarm::unset(),
            datagram: vec![0; DATAGRAM_MAX].into(),
            action: Vec::with_capacity(DATAGRAM_MAX),
        };
        (driver, ends)
    }

    /// Runs the node until it is shut down or the last handle is dropped.
    pub(crate) async fn run(mut self) {
        debug!("started");
        while matches!(self.life, Life::Running | Life::Leaving { .. }) {
            let wake = self.wait().await;
            self.turn(wake).await;
        }
        self.close().await;
        debug!("stopped");
    }

    async fn wait(&mut self) -> Wake {
        let deadline = match self.life {
            Life::Leaving { until } => self.node.deadline().map_or(Some(until), |deadline| Some(deadline.min(until))),
            Life::Running | Life::Flushing | Life::Aborting => self.node.deadline(),
        };
        self.alarm.set(deadline, &self.clock);
        tokio::select! {
            // An error would say that the runtime is going away, and this task with it.
            _ = self.udp.readable() => Wake::Datagrams,
            Some(input) = self.inputs.recv() => Wake::Input(input),
            request = self.requests.recv(), if !self.is_orphan => Wake::Request(request),
            () = self.alarm.rings() => Wake::Timer,
        }
    }

    /// Input first, then what the application wants, then time.
    async fn turn(&mut self, wake: Wake) {
        let mut is_full = false;
        match wake {
            Wake::Datagrams | Wake::Timer => {}
            Wake::Input(input) => self.take_input(input),
            Wake::Request(request) => self.take_request(request, &mut None),
        }
        is_full |= self.take_datagrams();
        is_full |= self.take_inputs();
        self.take_requests();
        if let Some(late) = self.overdue() {
            if late >= LATE {
                tokio::task::yield_now().await;
                is_full |= self.take_datagrams();
                is_full |= self.take_inputs();
            }
            self.node.handle_timeout(self.clock.now());
            self.act();
        }
        self.streams.reap();
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

    /// Whether the turn's budget ended before the socket's datagrams did.
    fn take_datagrams(&mut self) -> bool {
        for _ in 0..DATAGRAMS_PER_TURN {
            match self.udp.try_recv_from(&mut self.datagram) {
                Ok((len, from)) => {
                    let from = Reach::inward(from);
                    if let Err(error) = self.node.handle_datagram(self.clock.now(), from, &self.datagram[..len]) {
                        trace!(%from, len, %error, "a datagram was refused");
                    }
                    self.act();
                }
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
            Input::Stream(stream, moved) => {
                let input = match &moved {
                    Moved::Connected => StreamInput::Connected,
                    Moved::Unconnected => StreamInput::Failed,
                    Moved::Data(bytes) => StreamInput::Data(bytes),
                    Moved::Written(len) => StreamInput::Written(*len),
                    Moved::Finished => StreamInput::Finished,
                    Moved::Failed => StreamInput::Failed,
                };
                self.stats.connects_failed += u64::from(matches!(moved, Moved::Unconnected));
                self.node.handle_stream(now, stream, input);
            }
            Input::Accepted(Ok((tcp, from))) => self.take_connection(now, tcp, Reach::inward(from)),
            Input::Accepted(Err(error)) => {
                self.stats.accept_errors += 1;
                // Such errors come in rows; the log need not.
                if self.stats.accept_errors.is_power_of_two() {
                    warn!(%error, errors = self.stats.accept_errors, "cannot accept streams");
                }
            }
            Input::Resolved(seed, addresses) => {
                self.stats.resolves_failed += u64::from(addresses.is_empty());
                self.node.handle_resolved(now, seed, &addresses);
            }
        }
        self.act();
    }

    fn take_connection(&mut self, now: Instant, tcp: TcpStream, from: SocketAddr) {
        self.stats.accepts += 1;
        match self.node.accept_stream(now, from) {
            Some(stream) => self.streams.accept(stream, tcp),
            None => {
                self.stats.accepts_refused += 1;
                // Nothing of it is to stay behind in the system.
                let _ = tcp.set_zero_linger();
            }
        }
    }

    /// Does whatever the node wants done.
    fn act(&mut self) {
        while let Some(action) = self.node.poll_action(&mut self.action) {
            match action {
                Action::Transmit { to, datagram } => send(&self.udp, self.reach, to, datagram, &mut self.stats),
                Action::Connect { stream, to } => {
                    self.stats.connects += 1;
                    self.streams.connect(stream, to);
                }
                Action::Write { stream, bytes } => self.streams.write(stream, bytes),
                Action::Finish { stream } => self.streams.finish(stream),
                Action::Reset { stream } => self.streams.reset(stream),
                Action::Resolve { seed } => {
                    self.stats.resolves += 1;
                    self.seeds.resolve(seed);
                }
                Action::Event(event) => notify(&self.notices, &event, &self.node, &self.clock),
            }
        }
        let status = self.node.status();
        self.status.send_if_modified(|seen| std::mem::replace(seen, status) != status);
    }
}

/// A datagram that the socket does not take is lost, and counted: the protocol expects loss, not delay.
fn send(udp: &UdpSocket, reach: Reach, to: SocketAddr, datagram: &[u8], stats: &mut DriverStats) {
    let Some(address) = reach.outward(to) else {
        stats.sends_failed += 1;
        trace!(%to, "not of a family that the node is bound to");
        return;
    };
    match udp.try_send_to(datagram, address) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => stats.sends_blocked += 1,
        Err(error) => {
            stats.sends_failed += 1;
            trace!(%to, %error, "cannot send a datagram");
        }
    }
}

fn notify(notices: &broadcast::Sender<Notice>, event: &swim_proto::Event<'_>, node: &Node, clock: &Clock) {
    if notices.receiver_count() == 0 {
        return;
    }
    if let Some(notice) = Notice::of(event, node, clock) {
        // A refusal means that the last receiver went away just now.
        let _ = notices.send(notice);
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

/// What the application wants.
impl Driver {
    fn take_requests(&mut self) {
        // Those who ask in one turn share one copy of the members.
        let mut members = None;
        for _ in 0..REQUESTS_PER_TURN {
            match self.requests.try_recv() {
                Ok(request) => self.take_request(Some(request), &mut members),
                Err(_) => return,
            }
        }
    }

    /// A reply that cannot be delivered is one that nobody waits for any more.
    fn take_request(&mut self, request: Option<Request>, members: &mut Option<Arc<[MemberInfo]>>) {
        let now = self.clock.now();
        let Some(request) = request else { return self.orphan() };
        match request {
            Request::Members(reply) => drop(reply.send(self.members(members))),
            Request::Member(id, reply) => {
                drop(reply.send(self.node.member(id).map(|member| MemberInfo::of(&member, &self.clock))));
            }
            Request::Local(reply) => drop(reply.send(MemberInfo::of(&self.node.local(), &self.clock))),
            Request::Health(reply) => drop(reply.send(self.node.health())),
            Request::Stats(reply) => drop(reply.send(self.stats())),
            Request::Follow(reply) => {
                let events = Events { receiver: self.notices.subscribe() };
                drop(reply.send((self.members(members), events)));
            }
            Request::Join(seeds, reply) => {
                let outcome = self.join(seeds);
                self.answer(outcome, reply, members);
            }
            Request::Leave(reply) => {
                let outcome = self.node.leave(now);
                self.answer(outcome, reply, members);
            }
            Request::SetMetadata(metadata, reply) => {
                let outcome = self.node.set_metadata(now, metadata);
                self.answer(outcome, reply, members);
            }
            Request::ForceLeave(member, reply) => {
                let outcome = self.node.force_leave(now, member);
                self.answer(outcome, reply, members);
            }
            Request::Shutdown => self.shutdown(now),
            Request::Abort => self.life = Life::Aborting,
        }
    }

    /// Does what follows from a command, then replies.
    fn answer(
        &mut self,
        outcome: Result<(), CommandError>,
        reply: Reply<Result<(), CommandError>>,
        members: &mut Option<Arc<[MemberInfo]>>,
    ) {
        self.act();
        *members = None;
        let _ = reply.send(outcome);
    }

    fn members(&self, copy: &mut Option<Arc<[MemberInfo]>>) -> Arc<[MemberInfo]> {
        let members = || self.node.members().map(|member| MemberInfo::of(&member, &self.clock)).collect();
        copy.get_or_insert_with(members).clone()
    }

    fn stats(&self) -> Stats {
        let driver = DriverStats {
            streams: self.streams.len() as u32,
            subscribers: self.notices.receiver_count() as u32,
            ..self.stats
        };
        Stats { node: self.node.stats(), driver }
    }

    pub(crate) fn join(&mut self, seeds: Vec<SeedName>) -> Result<(), CommandError> {
        self.node.join(self.clock.now(), &self.seeds.next_ids(seeds.len()))?;
        self.seeds.replace(seeds);
        self.act();
        Ok(())
    }
}

/// The end.
impl Driver {
    fn shutdown(&mut self, now: Instant) {
        if self.life == Life::Running {
            // A refusal means that it has departed already, or is about to.
            let _ = self.node.leave(now);
            self.life = Life::Leaving { until: now + self.node.config().leave_timeout + LEAVE_GRACE };
            self.act();
        }
    }

    /// The last handle is gone. Whoever asked for a shutdown before gets it.
    fn orphan(&mut self) {
        self.is_orphan = true;
        if self.life == Life::Running {
            self.life = Life::Aborting;
        }
    }

    fn look_to_the_end(&mut self) {
        if let Life::Leaving { until } = self.life
            && (self.node.status() != Status::Leaving || self.clock.now() >= until)
        {
            self.life = Life::Flushing;
        }
    }

    /// Closes everything. The request queue is last, because handles take its end for the end of all.
    async fn close(self) {
        let Driver { life, udp, mut streams, mut seeds, mut acceptor, inputs, requests, notices, status, .. } = self;
        drop(inputs);
        acceptor.shutdown().await;
        seeds.abort().await;
        if life == Life::Flushing {
            streams.flush(FLUSH_MAX).await;
        }
        streams.abort().await;
        drop(udp);
        drop((notices, status));
        drop(requests);
    }
}
