//! The task beside the desk: opens and accepts links, keeps time, passes on what is new of members, and sees to the end.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use swim_driver::Clock;
use swim_driver::messaging::{Backend, MessagingOptions, Moved, Stage, dealer_config, link_config};
use swim_driver::runner::FLUSH_MAX;
use swim_driver::sockets::{self, ACCEPT_PAUSE, Reach, is_about_one_connection};
use swim_zmq::LinkConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant as TokioInstant, sleep_until, timeout};
use tracing::{Instrument, debug, error};

use super::link::Served;
use super::mail::Open;
use super::post::{Kept, Post};
#[cfg(feature = "zeromq")]
use super::zeromq_crate;
use crate::clock::Alarm;
use crate::connect::connect_link;
use crate::inputs::{Input, Inputs};

/// Where others' links are accepted.
pub(crate) enum Listening {
    Links(TcpListener),
    #[cfg(feature = "zeromq")]
    ZeromqCrate(zeromq_crate::Router),
}

impl Listening {
    pub(crate) async fn at(backend: Backend, address: SocketAddr) -> io::Result<Listening> {
        match backend {
            Backend::Links => Ok(Listening::Links(TcpListener::from_std(sockets::bind_tcp(address)?)?)),
            #[cfg(feature = "zeromq")]
            Backend::ZeromqCrate => {
                zeromq_crate::Router::bind(address).await.map(Listening::ZeromqCrate).map_err(io::Error::other)
            }
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Listening::Links(listener) => listener.local_addr(),
            #[cfg(feature = "zeromq")]
            Listening::ZeromqCrate(router) => Ok(router.at),
        }
    }
}

/// Owns the links' tasks. Dropping it ends everything at once.
pub(crate) struct Keeper {
    post: Arc<Post>,
    clock: Clock,
    /// `None`: others' links come another way.
    listener: Option<TcpListener>,
    bound: SocketAddr,
    /// From where links leave, if that may be chosen.
    home: Option<IpAddr>,
    #[cfg(feature = "zeromq")]
    backend: Backend,
    links: JoinSet<()>,
    config: LinkConfig,
    connect_timeout: Duration,
    handshakes_max: usize,
    /// Who is told when all is drained.
    inputs: Inputs,
    is_drained: bool,
    /// After an error of accepting, not before then.
    accepts_from: Option<TokioInstant>,
}

impl Keeper {
    pub(crate) fn new(
        post: Arc<Post>,
        clock: Clock,
        (listening, bound, home): (Listening, SocketAddr, Option<IpAddr>),
        options: &MessagingOptions,
        identity: &str,
        inputs: Inputs,
    ) -> Keeper {
        let mut keeper = Keeper {
            post,
            clock,
            listener: None,
            bound,
            home,
            #[cfg(feature = "zeromq")]
            backend: options.backend,
            links: JoinSet::new(),
            config: link_config(&options.config, identity),
            connect_timeout: options.config.link_timeout,
            handshakes_max: options.handshakes_max,
            inputs,
            is_drained: false,
            accepts_from: None,
        };
        match listening {
            Listening::Links(listener) => keeper.listener = Some(listener),
            #[cfg(feature = "zeromq")]
            Listening::ZeromqCrate(router) => {
                let route = zeromq_crate::route(router, keeper.post.clone());
                keeper.links.spawn(route.in_current_span());
            }
        }
        keeper
    }

    /// Runs until the post is closed.
    pub(crate) async fn run(mut self) {
        let mut alarm = Alarm::unset();
        loop {
            let Kept { opens, stage, deadline, is_drained, is_unfinished } = self.post.keep();
            for open in opens {
                self.open(open);
            }
            let until = match stage {
                Stage::Closed => break,
                Stage::Draining { until } if is_drained || until <= self.clock.now() => {
                    self.drained().await;
                    None
                }
                Stage::Draining { until } => Some(until),
                Stage::Open => None,
            };
            let deadline = match until {
                Some(until) if !self.is_drained => deadline.map_or(Some(until), |deadline| Some(deadline.min(until))),
                _ => deadline,
            };
            alarm.set(deadline, &self.clock);
            tokio::select! {
                () = self.post.called() => {}
                () = yield_now(), if is_unfinished => {}
                () = alarm.rings() => {}
                accepted = accept(self.listener.as_ref(), self.accepts_from) => self.take(accepted),
                Some(ended) = self.links.join_next() => self.reap(ended),
            }
        }
        #[cfg(feature = "zeromq")]
        if self.backend == Backend::ZeromqCrate {
            // Its receiver never ends by itself, and its own queues take a moment.
            tokio::time::sleep(FLUSH_MAX / 5).await;
            return self.links.shutdown().await;
        }
        // What was put on links, the last words included, goes out.
        let flushed = async { while self.links.join_next().await.is_some() {} };
        let _ = timeout(FLUSH_MAX, flushed).await;
        self.links.shutdown().await;
    }

    async fn drained(&mut self) {
        if !std::mem::replace(&mut self.is_drained, true) {
            // A refusal means that the driver waits no more.
            let _ = self.inputs.send(Input::Drained).await;
        }
    }

    fn open(&mut self, open: Open) {
        let Open { link, to, pipe } = open;
        let (from, limit, config) = ((self.bound, self.home), self.connect_timeout, self.config.clone());
        let (post, clock) = (self.post.clone(), self.clock);
        self.post.count(|counts| counts.connects += 1);
        #[cfg(feature = "zeromq")]
        if self.backend == Backend::ZeromqCrate {
            self.links.spawn(zeromq_crate::dial(to, (link, pipe), limit, post).in_current_span());
            return;
        }
        let task = async move {
            match connect_link(from, to, limit).await {
                Ok(tcp) => {
                    let config = dealer_config(&config, link);
                    Served::ours(tcp, to, (link, pipe), config, (post, clock)).serve().await;
                }
                Err(error) => {
                    debug!(%to, %error, "cannot open a link");
                    post.down(link, false, Moved::default());
                }
            }
        };
        self.links.spawn(task.in_current_span());
    }

    fn take(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        self.accepts_from = None;
        match accepted {
            Ok((tcp, from)) => {
                let from = Reach::inward(from);
                let guest = self.post.admit(from.ip(), self.handshakes_max);
                let served = Served::theirs(tcp, from, guest, self.config.clone(), (self.post.clone(), self.clock));
                let task = self.links.spawn(served.serve().in_current_span());
                self.post.served_by(from.ip(), guest, task);
            }
            Err(error) => {
                self.post.accept_failed(&error);
                if !is_about_one_connection(&error) {
                    self.accepts_from = Some(TokioInstant::now() + ACCEPT_PAUSE);
                }
            }
        }
    }

    fn reap(&self, ended: Result<(), tokio::task::JoinError>) {
        // The desk has heard of the link's end when the task dropped it.
        if let Err(error) = ended
            && error.is_panic()
        {
            error!(%error, "the task of a link for messages failed; please report this");
        }
    }
}

impl Drop for Keeper {
    /// However it ends, whoever sent something learns what became of it.
    fn drop(&mut self) {
        self.post.close();
    }
}

async fn accept(listener: Option<&TcpListener>, from: Option<TokioInstant>) -> io::Result<(TcpStream, SocketAddr)> {
    let Some(listener) = listener else { return std::future::pending().await };
    if let Some(from) = from {
        sleep_until(from).await;
    }
    listener.accept().await
}
