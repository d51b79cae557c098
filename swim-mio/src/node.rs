//! A node inside a loop of readiness events.
//!
//! The loop is its caller's: it waits, passes events on, and lets the node have its turn. In a turn, input comes before
//! time, and each kind of input has a budget; what is left over is told by the deadline, which has come then.

mod api;

use std::net::TcpListener;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::time::{Duration, Instant as SystemInstant};

use mio::event::Event;
use mio::{Registry, Token};
use socket2::SockRef;
use swim_driver::messaging::{self, MessageEvent};
use swim_driver::runner::{EVENTS_MAX, End, FLUSH_MAX, LATE, MOVES_PER_TURN, REQUESTS_MAX, REQUESTS_PER_TURN};
use swim_driver::seeds::Answer;
use swim_driver::{Built, Identity, Notice, Runner, StartError, sockets};
use swim_proto::{Instant, Transport};
use tracing::Span;

use crate::events::Events;
use crate::handle::{Request, Shared, Wish};
use crate::messages::{self, Messages};
use crate::net::{Fixed, Net};
use crate::ring::{Listener, Ring};
use crate::standing::Standing;
use crate::streams::{Moved, READ_MAX, Streams};
use crate::tokens::GENERATIONS_MIN;

/// Connections accepted in one turn, at most.
const ACCEPTS_PER_TURN: usize = 16;
/// Tokens for what is there from the beginning.
const FIXED: usize = 3;

/// A node that is part of your own loop: [`Options::bind`](crate::Options::bind), then
/// [`Bound::register`](crate::Bound::register).
///
/// ```no_run
/// # fn example(mut poll: mio::Poll, mut node: swim_mio::Node, waker: mio::Token) -> std::io::Result<()> {
/// let mut events = mio::Events::with_capacity(64);
/// while !node.is_closed() {
///     match poll.poll(&mut events, node.timeout()) {
///         // A signal came, which is no reason to stop.
///         Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
///         polled => polled?,
///     }
///     for event in &events {
///         if !node.handle_event(event) && event.token() != waker {
///             // One of your own.
///         }
///     }
///     node.handle_timeout();
///     loop {
///         match node.poll_event() {
///             Ok(Some(notice)) => println!("{}", notice.event.kind()),
///             // Look at all members anew.
///             Err(swim_mio::EventsError::Lagged(_)) => println!("{} members", node.members().len()),
///             Ok(None) | Err(swim_mio::EventsError::Closed) => break,
///         }
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// Whatever the loop woke for, [`handle_timeout`](Node::handle_timeout) is called once it has passed on the events, and
/// [`deadline`](Node::deadline) is asked anew before it waits again. A loop that does less than that loses nothing for
/// good, but is late. Nothing here waits, except for a lock that is held for an instant when there is something to tell.
///
/// Dropping it closes everything without a word to anyone, as a crash would; [`shut_down`](Node::shut_down) begins to say
/// goodbye, which is done when [`is_closed`](Node::is_closed).
#[derive(Debug)]
pub struct Node {
    identity: Arc<Identity>,
    runner: Runner,
    net: Net,
    fixed: Fixed,
    /// Where streams' bytes are read to.
    buffer: Box<[u8]>,
    answers: Receiver<Answer>,
    requests: Receiver<Request>,
    /// Given to handles.
    shared: Option<Arc<Shared>>,
    /// Whether it ends when there are no handles any more.
    is_held: bool,
    /// Requests may wait beyond this turn's budget, or one was made of us since.
    has_requests: bool,
    wish: Arc<Wish>,
    /// What its own loop has not heard yet, where that listens.
    events: Option<Events>,
    /// The same of messages.
    message_events: Option<Listener<MessageEvent>>,
    stage: Stage,
    span: Span,
}

/// How far it is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    /// Streams write what they have, until then at most.
    Flushing {
        until: Instant,
    },
    Closed,
}

/// Wakes the loop of a node.
pub(crate) type Wake = Arc<dyn Fn() + Send + Sync>;

impl Node {
    /// How many tokens it needs.
    pub(crate) fn tokens_min(built: &Built) -> usize {
        FIXED + (Node::width(built) + Node::links_width(built)) * GENERATIONS_MIN
    }

    /// How many streams there may be at once: as many as the core opens and accepts, and as many again that it has
    /// finished with, and which still write.
    fn width(built: &Built) -> usize {
        2 * usize::from(built.node.config().streams_max)
    }

    /// How many links.
    fn links_width(built: &Built) -> usize {
        built.messages.as_ref().map_or(0, |(_, options)| messages::width(options))
    }

    pub(crate) fn new(
        (built, listener): (Built, Option<TcpListener>),
        registry: &Registry,
        tokens: Range<usize>,
        wake: Wake,
    ) -> Result<Node, StartError> {
        let span = tracing::debug_span!("node", name = built.identity.name);
        let entered = span.clone().entered();
        let (width, links_width) = (Node::width(&built), Node::links_width(&built));
        let Built { node, clock, sockets, seeds, messages, identity, limits } = built;
        let bound = sockets.bound;
        let registered = registry.try_clone().map_err(StartError::System)?;
        let fixed = [0, 1, 2].map(|index| Token(tokens.start.saturating_add(index)));
        let fixed = Fixed { udp: fixed[0], listener: fixed[1], links: fixed[2] };
        let first = tokens.start.saturating_add(FIXED).min(tokens.end);
        // As many generations for streams as for links.
        let links_first = first + (tokens.end - first) / (width + links_width) * width;
        let streams = Streams::new(registered, (first..links_first, width), bound, limits.connect_timeout);
        let streams = streams.map_err(StartError::System)?;
        let drain_timeout = messages.as_ref().map_or(Duration::ZERO, |(_, options)| options.drain_timeout);
        let messages = match messages.zip(listener) {
            Some(((messenger, options), listener)) => {
                let id = node.local().id.to_string();
                let tokens = (fixed.links, links_first..tokens.end);
                let way = (listener, bound, sockets::home(&node.local(), options.config.trust));
                let messages = Messages::new((messenger, &options), &id, way, registry, tokens, clock);
                Some(messages.map_err(StartError::System)?)
            }
            None => None,
        };
        let ring = Ring::new(limits.events_max.clamp(1, EVENTS_MAX));
        let standing = Arc::new(Standing::new(node.status()));
        debug_assert_eq!(sockets.udp.is_none(), node.config().transport == Transport::Stream);
        let message_events = messages.as_ref().map(Messages::listen);
        let of_messages = messages.as_ref().map(Messages::shared);
        let net = Net::new(sockets, registry, fixed, (streams, messages), (ring.clone(), standing.clone(), clock));
        let net = net.map_err(StartError::System)?;

        let (answer, answers) = mpsc::channel();
        let woken = wake.clone();
        let answered = move |found| {
            // A refusal means that the node is no more.
            if answer.send(found).is_ok() {
                woken();
            }
        };
        let mut runner = Runner::new((node, clock), bound, &limits, drain_timeout, answered);
        let (receive_buffer, send_buffer) = net.buffers();
        runner.set_buffers(receive_buffer, send_buffer);

        let (request, requests): (SyncSender<Request>, _) = mpsc::sync_channel(REQUESTS_MAX);
        let identity = Arc::new(identity);
        let wish = Arc::new(Wish::default());
        let shared = Shared::new(identity.clone(), request, wake, (ring.clone(), standing, wish.clone()), of_messages);
        let mut node = Node {
            identity,
            runner,
            net,
            fixed,
            buffer: vec![0; if links_width > 0 { messaging::READ_MAX } else { READ_MAX }].into(),
            answers,
            requests,
            shared: Some(Arc::new(shared)),
            is_held: false,
            has_requests: false,
            wish,
            events: Some(Events { listener: ring.listen() }),
            message_events,
            stage: Stage::Running,
            span: Span::none(),
        };
        if !seeds.is_empty() {
            node.runner.join(&mut node.net, seeds)?;
        }
        drop(entered);
        node.span = span;
        Ok(node)
    }

    /// It ends when the handles that were given out are gone, and nobody listens to it but by them.
    pub(crate) fn end_with_handles(&mut self) {
        (self.is_held, self.shared) = (true, None);
        (self.events, self.message_events) = (None, None);
    }
}

/// The loop's side.
impl Node {
    /// The loop was told that a socket is ready. `false`: none of this node's. Nothing is read or written yet:
    /// [`Node::handle_timeout`] does that.
    pub fn handle_event(&mut self, event: &Event) -> bool {
        let token = event.token();
        if token == self.fixed.udp {
            self.net.may_have_datagrams();
        } else if token == self.fixed.listener {
            self.net.acceptor.may_have_guests();
        } else if self.net.streams.owns(token) {
            self.net.streams.handle_event(event);
        } else {
            return self.net.messages.as_mut().is_some_and(|messages| messages.handle_event(event));
        }
        true
    }

    /// Does what readiness, handles and time ask for, as much as fits one turn. Early, late or twice is harmless.
    pub fn handle_timeout(&mut self) {
        let _entered = self.span.clone().entered();
        match self.stage {
            Stage::Running => self.turn(),
            Stage::Flushing { until } => self.flush(until),
            Stage::Closed => {}
        }
    }

    /// When to call [`Node::handle_timeout`], should nothing happen before: a time that has come, while there is more to
    /// do than one turn does. None, once it is closed.
    pub fn deadline(&self) -> Option<SystemInstant> {
        let clock = self.runner.clock();
        self.next().map(|at| clock.instant(at))
    }

    /// How long a loop may wait: until [`Node::deadline`]. For [`Poll::poll`](mio::Poll::poll).
    pub fn timeout(&self) -> Option<Duration> {
        let now = self.runner.clock().now();
        self.next().map(|at| if at <= now { Duration::ZERO } else { at - now })
    }

    /// What happened, the earliest first, if there is something. Meant to be asked until there is nothing after each
    /// [`Node::handle_timeout`].
    ///
    /// # Errors
    /// [`EventsError::Lagged`](crate::EventsError::Lagged): it was not asked for so long that some were lost.
    /// [`EventsError::Closed`](crate::EventsError::Closed): the node is closed, and there will be none any more.
    pub fn poll_event(&mut self) -> Result<Option<Notice>, swim_driver::EventsError> {
        self.events.as_mut().map_or(Ok(None), Events::try_recv)
    }

    /// Whether it is no more: its sockets are closed, and it needs no loop.
    pub fn is_closed(&self) -> bool {
        self.stage == Stage::Closed
    }

    fn next(&self) -> Option<Instant> {
        match self.stage {
            Stage::Closed => None,
            _ if self.net.streams.are_ready() || self.has_requests => Some(Instant::ZERO),
            Stage::Flushing { .. } if self.net.messages.as_ref().is_some_and(Messages::are_ready) => {
                Some(Instant::ZERO)
            }
            Stage::Flushing { until } => Some(until),
            Stage::Running if self.net.has_datagrams() && !self.runner.is_deaf() => Some(Instant::ZERO),
            Stage::Running => {
                let Net { acceptor, streams, messages, .. } = &self.net;
                let of_messages = messages.as_ref().and_then(Messages::deadline);
                let deadlines = [self.runner.deadline(), acceptor.deadline(), streams.deadline(), of_messages];
                deadlines.into_iter().flatten().min()
            }
        }
    }

    /// Input first, then what the application wants, then time.
    fn turn(&mut self) {
        self.runner.take_datagrams(&mut self.net);
        self.accept();
        self.serve();
        while let Ok(answer) = self.answers.try_recv() {
            self.runner.answered(&mut self.net, answer);
        }
        self.take_requests();
        self.serve_messages();
        if self.runner.overdue().is_some_and(|late| late >= LATE) {
            self.net.may_have_datagrams();
            self.net.streams.suspect_all();
            self.runner.take_datagrams(&mut self.net);
            self.serve();
        }
        self.runner.pass_time(&mut self.net);
        // What that wrote need not wait for the next turn.
        self.serve();
        if let Some(end) = self.runner.end() {
            self.end(end);
        }
    }

    fn serve_messages(&mut self) {
        let Some(messages) = &mut self.net.messages else { return };
        messages.turn(&mut self.buffer);
        if messages.is_drained() {
            self.runner.drained(&mut self.net);
        }
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTS_PER_TURN {
            match self.net.acceptor.accept(self.runner.clock().now()) {
                None => return,
                Some(Err(error)) => self.runner.accept_failed(&error),
                Some(Ok((socket, from))) => match self.runner.accept(&mut self.net, from) {
                    Some(stream) => self.net.streams.accept(stream, socket, from),
                    None => {
                        // Nothing of it is to stay behind in the system.
                        let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
                    }
                },
            }
        }
    }

    fn serve(&mut self) {
        let now = self.runner.clock().now();
        while let Some((stream, moved)) = self.net.streams.poll_late(now) {
            self.moved(stream, moved);
        }
        // Each that is ready now at least once, before those that take long come again.
        let budget = self.net.streams.ready().max(MOVES_PER_TURN);
        for _ in 0..budget {
            if !self.net.streams.are_ready() {
                return;
            }
            if let Some((stream, moved)) = self.net.streams.serve(&mut self.buffer) {
                self.moved(stream, moved);
            }
        }
    }

    fn moved(&mut self, stream: swim_proto::StreamId, moved: Moved) {
        self.runner.moved(&mut self.net, stream, &moved.map(|len| &self.buffer[..len]));
    }

    fn take_requests(&mut self) {
        self.has_requests = true;
        for _ in 0..REQUESTS_PER_TURN {
            match self.requests.try_recv() {
                Ok(request) => request(self),
                Err(TryRecvError::Empty) => {
                    self.has_requests = false;
                    break;
                }
                Err(TryRecvError::Disconnected) => {
                    self.has_requests = false;
                    if self.is_held {
                        self.heed_wish();
                        self.runner.orphan();
                    }
                    break;
                }
            }
        }
        self.heed_wish();
    }

    fn heed_wish(&mut self) {
        if self.wish.is_abort() {
            self.runner.abort();
        } else if self.wish.is_shutdown() {
            self.runner.shut_down(&mut self.net);
        }
    }
}

/// The end.
impl Node {
    fn end(&mut self, end: End) {
        let now = self.runner.clock().now();
        // Nobody answers those that wait any more; they hear so when it is closed.
        self.has_requests = false;
        match end {
            End::Flush => {
                self.net.close();
                self.net.streams.flush();
                let until = now + FLUSH_MAX;
                self.stage = Stage::Flushing { until };
                self.flush(until);
            }
            End::Reset => self.close(),
        }
    }

    fn flush(&mut self, until: Instant) {
        let budget = self.net.streams.ready().max(MOVES_PER_TURN);
        for _ in 0..budget {
            self.net.streams.serve(&mut self.buffer);
        }
        let mut links = 0;
        if let Some(messages) = &mut self.net.messages {
            messages.turn(&mut self.buffer);
            links = messages.len();
        }
        if self.net.streams.len() + links == 0 || self.runner.clock().now() >= until {
            self.close();
        }
    }

    fn close(&mut self) {
        self.net.close();
        self.net.streams.abort();
        if let Some(messages) = &mut self.net.messages {
            messages.abort();
        }
        self.net.ring.close();
        self.stage = Stage::Closed;
        self.has_requests = false;
        // Whoever waits for an answer hears that there is none; and last, that all is over.
        let (_, nobody) = mpsc::sync_channel(0);
        self.requests = nobody;
        self.net.standing.close();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.stage != Stage::Closed {
            self.close();
        }
    }
}
