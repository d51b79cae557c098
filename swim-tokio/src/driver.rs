//! The task that owns the node: waits for what may happen, and has the node's [`Runner`] take its turns.
//!
//! Nothing here ever waits for a peer, a subscriber or a lookup.

mod outside;
mod requests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use swim_driver::messaging::MessagingOptions;
use swim_driver::runner::{EVENTS_MAX, End, FLUSH_MAX, LATE, MOVES_PER_TURN, REQUESTS_MAX};
use swim_driver::seeds::SeedName;
use swim_driver::{Clock, Limits, Notice, Runner, sockets};
use swim_proto::messaging::Messenger;
use swim_proto::{CommandError, Node, Status};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tracing::{Instrument, debug};

use self::outside::Net;
use crate::accept::accept;
use crate::clock::Alarm;
use crate::inputs::{INPUTS_MAX, Input, Moved};
use crate::messaging::{Keeper, Listening, Post};
use crate::request::{Request, Wish};
use crate::streams::Streams;

/// The node, and everything that serves it.
pub(crate) struct Driver {
    runner: Runner,
    net: Net,
    /// Holds one task, which accepts streams.
    acceptor: JoinSet<()>,
    inputs: mpsc::Receiver<Input>,
    requests: mpsc::Receiver<Request>,
    /// How the node is to end.
    wish: watch::Receiver<Wish>,
    /// The one task that keeps the messages' side, where there is one.
    keeper: JoinSet<()>,
    /// Whether the last handle was dropped.
    is_orphan: bool,
    alarm: Alarm,
}

/// The application's ends of a driver's channels.
pub(crate) struct Ends {
    pub(crate) requests: mpsc::Sender<Request>,
    pub(crate) wish: watch::Sender<Wish>,
    pub(crate) notices: broadcast::WeakSender<Arc<Notice>>,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) post: Option<Arc<Post>>,
}

/// What moves messages, ready to be kept.
pub(crate) struct Messages {
    post: Arc<Post>,
    listening: Listening,
    options: MessagingOptions,
}

impl Messages {
    pub(crate) fn new(messenger: Messenger, clock: Clock, listening: Listening, options: MessagingOptions) -> Messages {
        Messages { post: Arc::new(Post::new(messenger, clock, options.events_max)), listening, options }
    }
}

/// Why a turn begins.
enum Wake {
    Datagrams,
    Input(Input),
    /// `None`: the last handle was dropped.
    Request(Option<Request>),
    Wish,
    Timer,
}

impl Driver {
    pub(crate) fn new(
        (node, clock): (Node, Clock),
        (udp, tcp, bound): (Option<UdpSocket>, TcpListener, SocketAddr),
        limits: &Limits,
        messages: Option<Messages>,
    ) -> (Driver, Ends) {
        let (input, inputs) = mpsc::channel(INPUTS_MAX);
        let (request, requests) = mpsc::channel(REQUESTS_MAX);
        let (wish, wished) = watch::channel(Wish::None);
        let notices = broadcast::Sender::new(limits.events_max.clamp(1, EVENTS_MAX));
        let (status, status_seen) = watch::channel(node.status());
        let mut acceptor = JoinSet::new();
        acceptor.spawn(accept(tcp, input.clone()).in_current_span());
        let mut keeper = JoinSet::new();
        let (post, drain_timeout) = match messages {
            Some(Messages { post, listening, options }) => {
                let identity = node.local().id.to_string();
                let home = sockets::home(&node.local(), options.config.trust);
                let way = (listening, bound, home);
                let kept = Keeper::new(post.clone(), clock, way, &options, &identity, input.clone());
                keeper.spawn(kept.run().in_current_span());
                (Some(post), options.drain_timeout)
            }
            None => (None, Duration::ZERO),
        };
        let ends =
            Ends { requests: request, wish, notices: notices.downgrade(), status: status_seen, post: post.clone() };
        // Called on threads of their own, which may wait for the driver.
        let answers = input.clone();
        let answer = move |answer| drop(answers.blocking_send(Input::Answered(answer)));
        let mut runner = Runner::new((node, clock), bound, limits, drain_timeout, answer);
        if let Some(udp) = &udp {
            let socket = SockRef::from(udp);
            runner.set_buffers(socket.recv_buffer_size().unwrap_or(0), socket.send_buffer_size().unwrap_or(0));
        }
        let streams = Streams::new(bound, limits.connect_timeout, input);
        let net = Net { udp, streams, notices, status, post };
        let alarm = Alarm::unset();
        (Driver { runner, net, acceptor, inputs, requests, wish: wished, keeper, is_orphan: false, alarm }, ends)
    }

    pub(crate) fn join(&mut self, seeds: Vec<SeedName>) -> Result<(), CommandError> {
        self.runner.join(&mut self.net, seeds)
    }

    /// Runs the node until it is shut down or the last handle is dropped.
    pub(crate) async fn run(mut self) {
        debug!("started");
        let end = loop {
            if let Some(end) = self.runner.end() {
                break end;
            }
            let wake = self.wait().await;
            self.turn(wake).await;
        };
        self.close(end).await;
        debug!("stopped");
    }

    async fn wait(&mut self) -> Wake {
        let deadline = self.runner.deadline();
        if deadline.is_some_and(|deadline| deadline <= self.runner.clock().now()) {
            return Wake::Timer;
        }
        self.alarm.set(deadline, self.runner.clock());
        let is_heard = !self.runner.is_deaf();
        tokio::select! {
            () = readable(self.net.udp.as_ref()), if is_heard => Wake::Datagrams,
            Some(input) = self.inputs.recv() => Wake::Input(input),
            request = self.requests.recv(), if !self.is_orphan => Wake::Request(request),
            // An error means that the last handle was dropped, which the requests tell as well.
            Ok(()) = self.wish.changed() => Wake::Wish,
            () = self.alarm.rings() => Wake::Timer,
        }
    }

    /// Input first, then what the application wants, then time.
    async fn turn(&mut self, wake: Wake) {
        let mut request = None;
        match wake {
            Wake::Datagrams | Wake::Wish | Wake::Timer => {}
            Wake::Input(input) => self.take_input(input),
            Wake::Request(Some(first)) => request = Some(first),
            Wake::Request(None) => self.orphan(),
        }
        let mut is_full = self.runner.take_datagrams(&mut self.net);
        is_full |= self.take_inputs();
        self.take_requests(request);
        if self.runner.overdue().is_some_and(|late| late >= LATE) {
            // The runtime was busy elsewhere, and may not have looked at the sockets yet.
            tokio::task::yield_now().await;
            is_full |= self.runner.take_datagrams(&mut self.net);
            is_full |= self.take_inputs();
        }
        for stream in self.net.streams.reap() {
            self.take_input(Input::Stream(stream, Moved::Failed));
        }
        self.runner.pass_time(&mut self.net);
        if is_full {
            // More is waiting, and so are others.
            tokio::task::yield_now().await;
        }
    }

    /// Whether the turn's budget ended before the inputs did, those of lookups among them.
    fn take_inputs(&mut self) -> bool {
        for _ in 0..MOVES_PER_TURN {
            match self.inputs.try_recv() {
                Ok(input) => self.take_input(input),
                Err(_) => return false,
            }
        }
        true
    }

    fn take_input(&mut self, input: Input) {
        match input {
            Input::Stream(stream, moved) => self.runner.moved(&mut self.net, stream, &moved),
            Input::Accepted(Ok((tcp, from))) => self.take_connection(tcp, from),
            Input::Accepted(Err(error)) => self.runner.accept_failed(&error),
            Input::Answered(answer) => self.runner.answered(&mut self.net, answer),
            Input::Drained => self.runner.drained(&mut self.net),
        }
    }

    fn take_connection(&mut self, tcp: TcpStream, from: SocketAddr) {
        match self.runner.accept(&mut self.net, from) {
            Some(stream) => self.net.streams.accept(stream, tcp, from),
            None => {
                // Nothing of it is to stay behind in the system.
                let _ = tcp.set_zero_linger();
            }
        }
    }

    /// The last handle is gone. Whoever asked for a shutdown before gets it.
    fn orphan(&mut self) {
        self.is_orphan = true;
        self.heed_wish();
        self.runner.orphan();
    }

    /// Closes everything. The request queue is last, because handles take its end for the end of all.
    async fn close(self, end: End) {
        let Driver { runner, net, mut acceptor, inputs, requests, mut keeper, .. } = self;
        let Net { udp, mut streams, notices, status, post } = net;
        drop(inputs);
        if let Some(post) = post.filter(|_| end == End::Flush) {
            post.close();
            while keeper.join_next().await.is_some() {}
        }
        // Dropped before its end, the keeper closes everything, and leaves nothing unsaid.
        keeper.shutdown().await;
        acceptor.shutdown().await;
        if end == End::Flush {
            streams.flush(FLUSH_MAX).await;
        }
        streams.abort().await;
        drop(udp);
        drop((runner, notices, status));
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

/// Where a node has no socket for datagrams.
fn no_datagrams<T>() -> io::Result<T> {
    Err(io::ErrorKind::WouldBlock.into())
}
