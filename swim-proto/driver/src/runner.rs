//! Runs a node: what every driver does between its sockets and the machine, turn by turn.
//!
//! A turn takes what has arrived, up to a budget of each kind, and only then looks at the clock and fires timers: an
//! answer that waits in a socket is heard before its absence is judged. After each input, whatever the node wants done is
//! done at once. What waits, and for what, is the driver's business; how bytes move is that of its [`Outside`].

mod acting;
mod commands;
mod ending;
mod joining;
mod receiving;
mod remarks;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use swim_proto::{Backlog, Instant, Node, SeedId, Status, StreamId};

pub use self::ending::End;
use self::ending::Phase;
use self::joining::Joining;
use self::remarks::Remarks;
use crate::clock::Clock;
use crate::losses::Losses;
use crate::outside::Outside;
use crate::preparing::Limits;
use crate::seeds::{Answer, Resolved, Seeds};
use crate::sockets::Reach;
use crate::stats::DriverStats;

/// Datagrams taken in one turn, at most.
pub const DATAGRAMS_PER_TURN: usize = 64;
/// The longest datagram there is.
pub const DATAGRAM_MAX: usize = 64 * 1024;
/// The longest ring of notices, whatever was asked for.
pub const EVENTS_MAX: usize = 1 << 20;
/// Requests of handles that wait, at most; whoever asks one more waits.
pub const REQUESTS_MAX: usize = 64;
/// Requests answered in one turn, at most.
pub const REQUESTS_PER_TURN: usize = 16;
/// Things that streams, or links for messages, do in one turn, at most.
pub const MOVES_PER_TURN: usize = 64;
/// So late or later, a driver asks all its sockets once more before the node judges anybody.
pub const LATE: Duration = Duration::from_millis(5);
/// How long a shutdown waits for streams, and then links, to take what was written.
pub const FLUSH_MAX: Duration = Duration::from_millis(500);

/// A node, and what serves it that is the same for every driver.
#[derive(Debug)]
pub struct Runner {
    /// The machine, to be looked at. What is done to it is done here.
    node: Node,
    clock: Clock,
    reach: Reach,
    seeds: Seeds,
    /// Seeds that needed no lookup, to be told to the node.
    resolved: Vec<(SeedId, Resolved)>,
    joining: Joining,
    remarks: Remarks,
    /// Our life, and our standing, as was told of them.
    life: u64,
    status: Status,
    stats: DriverStats,
    phase: Phase,
    drain_timeout: Duration,
    /// Where datagrams are received.
    datagram: Box<[u8]>,
    /// What was read and is not yet handed over.
    backlog: Backlog,
    /// The datagram that is being handed over.
    handed: Vec<u8>,
    /// What the system says it had no room for.
    losses: Losses,
    /// Errors of the socket since it last gave a datagram, or none.
    errors: u32,
    /// Until then, the socket is not asked.
    deaf_until: Option<Instant>,
    /// Where the node puts what it wants sent.
    action: Vec<u8>,
}

/// What happened to a stream. A driver passes on where the bytes are as suits it, and the runner is given them.
#[derive(Debug)]
pub enum Moved<B> {
    /// It is open.
    Connected,
    /// It could not be opened, and why: to the core, it failed.
    Unconnected(io::Error),
    /// Bytes came.
    Data(B),
    /// The socket took so many of ours.
    Written(usize),
    /// The peer sends nothing more.
    Finished,
    /// It is gone.
    Failed,
}

impl<B> Moved<B> {
    /// The same of other bytes.
    pub fn map<C>(self, other: impl FnOnce(B) -> C) -> Moved<C> {
        match self {
            Moved::Connected => Moved::Connected,
            Moved::Unconnected(error) => Moved::Unconnected(error),
            Moved::Data(bytes) => Moved::Data(other(bytes)),
            Moved::Written(len) => Moved::Written(len),
            Moved::Finished => Moved::Finished,
            Moved::Failed => Moved::Failed,
        }
    }
}

impl Runner {
    /// Of a node whose sockets are bound at `bound`. `answer` is called by the threads that look seeds up, once for each
    /// lookup, and passes the answer to [`Runner::answered`]; it may wait. `drain_timeout` is for messages.
    pub fn new(
        (node, clock): (Node, Clock),
        bound: SocketAddr,
        limits: &Limits,
        drain_timeout: Duration,
        answer: impl Fn(Answer) + Send + Sync + 'static,
    ) -> Runner {
        let reach = Reach::of(bound);
        Runner {
            clock,
            reach,
            seeds: Seeds::new(reach, limits.resolve_timeout, answer),
            resolved: Vec::new(),
            joining: Joining::default(),
            remarks: Remarks::default(),
            life: node.local().incarnation.life,
            status: node.status(),
            stats: DriverStats::default(),
            phase: Phase::Running,
            drain_timeout,
            datagram: vec![0; DATAGRAM_MAX].into(),
            backlog: receiving::backlog(),
            handed: Vec::new(),
            losses: Losses::of(bound),
            errors: 0,
            deaf_until: None,
            action: Vec::with_capacity(DATAGRAM_MAX),
            node,
        }
    }

    /// The machine, to be looked at.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// By which the node is told the time.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// When to look again, should nothing happen before: for [`Runner::pass_time`], or for what was read and not handed
    /// over.
    pub fn deadline(&self) -> Option<Instant> {
        if !self.backlog.is_empty() {
            return Some(Instant::ZERO);
        }
        let deadlines = [self.node.deadline(), self.phase.until(), self.seeds.deadline(), self.deaf_until];
        deadlines.into_iter().flatten().min()
    }

    /// By how much the node's deadline has passed, if it has. The clock says so, not whoever woke us.
    pub fn overdue(&self) -> Option<Duration> {
        let (now, deadline) = (self.clock.now(), self.node.deadline()?);
        (now >= deadline).then(|| now - deadline)
    }

    /// Fires what is due, and looks to the end: the last thing in a turn.
    pub fn pass_time(&mut self, outside: &mut impl Outside) {
        let now = self.clock.now();
        if self.node.deadline().is_some_and(|deadline| deadline <= now) {
            self.node.handle_timeout(now);
            self.act(outside);
            self.remarks.refuted(now, self.node.stats().refutations, self.node.local().address);
        }
        while let Some((seed, outcome)) = self.seeds.poll_overdue(now) {
            self.take_resolved(seed, outcome);
            self.act(outside);
        }
        let life = self.node.local().incarnation.life;
        if std::mem::replace(&mut self.life, life) != life {
            outside.life(life);
        }
        self.look_to_the_end(outside);
    }

    /// A thread has looked a seed up.
    pub fn answered(&mut self, outside: &mut impl Outside, answer: Answer) {
        if let Some((seed, outcome)) = self.seeds.answered(self.clock.now(), answer) {
            self.take_resolved(seed, outcome);
            self.act(outside);
        }
    }

    /// Something happened to a stream.
    pub fn moved(&mut self, outside: &mut impl Outside, stream: StreamId, moved: &Moved<impl AsRef<[u8]>>) {
        let foreign = self.node.stats().drops.foreign;
        self.take_move(stream, moved);
        if self.node.stats().drops.foreign > foreign {
            self.remarks.foreign(outside.peer(stream), &self.node);
        }
        self.act(outside);
    }

    /// Somebody connected, from there as the socket spells it. `None`: there is no room for the stream.
    pub fn accept(&mut self, outside: &mut impl Outside, from: SocketAddr) -> Option<StreamId> {
        self.stats.accepts += 1;
        let accepted = self.node.accept_stream(self.clock.now(), Reach::inward(from));
        self.stats.accepts_refused += u64::from(accepted.is_none());
        self.act(outside);
        accepted
    }

    /// Nobody could be accepted.
    pub fn accept_failed(&mut self, error: &io::Error) {
        self.stats.accept_errors += 1;
        // Such errors come in rows; the log need not.
        if self.stats.accept_errors.is_power_of_two() {
            tracing::warn!(%error, errors = self.stats.accept_errors, "cannot accept streams");
        }
    }

    fn take_resolved(&mut self, seed: SeedId, outcome: Resolved) {
        let addresses = outcome.as_deref().unwrap_or_default();
        self.stats.resolves_failed += u64::from(addresses.is_empty());
        self.node.handle_resolved(self.clock.now(), seed, addresses);
        self.joining.resolved(seed, outcome);
    }
}

#[cfg(test)]
mod tests;
