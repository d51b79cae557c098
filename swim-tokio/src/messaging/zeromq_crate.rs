//! The opt-in backend: links by the `zeromq` crate, for networks that are trusted.
//!
//! The same wire as the other, so nodes of both kinds talk to each other. What the crate does not do is done here as far
//! as it can be from outside: a DEALER is made for each link and dropped with it, because one never connects again; each
//! send has a time-out; and no more bytes are given to the crate than the messenger's flight window and the pipe allow,
//! because it queues 100,000 messages before it says stop. What cannot be done is why this is for trusted networks
//! only: a stranger who can connect can end the process (`docs/tokio.md`, "Messages").

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use swim_driver::messaging::Moved;
use swim_driver::sockets::Reach;
use swim_proto::messaging::LinkId;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::debug;
use zeromq::util::PeerIdentity;
use zeromq::{
    DealerSendHalf, DealerSocket, Endpoint, Host, RouterRecvHalf, RouterSendHalf, RouterSocket, Socket as _,
    SocketEvent, SocketOptions, SocketRecv as _, SocketSend as _, ZmqError, ZmqMessage,
};

use super::pipe::Pipe;
use super::post::Post;

/// How long one message may take to be taken by the crate's queue.
const SEND_MAX: Duration = Duration::from_secs(5);
/// How often it is looked whether a connection has ended: the crate wakes nobody for it.
const LOOK: Duration = Duration::from_millis(50);
/// How long after its first message it may take to learn whose a connection is.
const INTRODUCTION_MAX: Duration = Duration::from_millis(500);

type Monitor = futures_channel::mpsc::Receiver<SocketEvent>;

/// A ROUTER that is bound.
pub(crate) struct Router {
    socket: RouterSocket,
    monitor: Monitor,
    pub(crate) at: SocketAddr,
}

impl Router {
    pub(crate) async fn bind(address: SocketAddr) -> Result<Router, ZmqError> {
        let mut socket = RouterSocket::new();
        let monitor = socket.monitor();
        match socket.bind(&format!("tcp://{address}")).await? {
            Endpoint::Tcp(_, port) => Ok(Router { socket, monitor, at: SocketAddr::new(address.ip(), port) }),
            _ => Err(ZmqError::Socket("bound to something that is not TCP")),
        }
    }
}

/// Who is connected to our ROUTER, by the identity of the connection.
#[derive(Default)]
struct Guests {
    addresses: BTreeMap<Vec<u8>, SocketAddr>,
    /// `None`: the messenger has closed it; the crate offers no way to.
    links: BTreeMap<Vec<u8>, Option<LinkId>>,
}

type Shared = Arc<Mutex<Guests>>;

fn lock(guests: &Shared) -> std::sync::MutexGuard<'_, Guests> {
    guests.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Receives for all links that others made, for as long as it is polled.
pub(super) async fn route(router: Router, post: Arc<Post>) {
    let Router { socket, mut monitor, .. } = router;
    let (sending, mut receiving) = socket.split();
    let guests = Shared::default();
    let mut links = JoinSet::new();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = next(&mut receiving) => {
                let mut parts = message.into_vec();
                let identity = parts.remove(0).to_vec();
                if !lock(&guests).links.contains_key(&identity) {
                    introduce(&identity, &guests, &mut monitor, &post).await;
                    greet(&identity, &guests, &post, &sending, &mut links);
                }
                let link = lock(&guests).links.get(&identity).copied().flatten();
                if let Some(link) = link
                    && !post.packets(link, &mut vec![parts])
                    && let Some(closed) = lock(&guests).links.get_mut(&identity)
                {
                    *closed = None;
                }
            }
            _ = look.tick() => heed(&guests, &mut monitor, &post),
            Some(_) = links.join_next() => {}
        }
    }
}

/// The next message; errors are of one connection, and the crate has ended it then.
async fn next(receiving: &mut RouterRecvHalf) -> ZmqMessage {
    loop {
        match receiving.recv().await {
            Ok(message) if message.len() > 1 => return message,
            Ok(_) => {}
            Err(error) => {
                debug!(%error, "the zeromq crate reports an error");
                sleep(LOOK).await;
            }
        }
    }
}

/// Waits until the crate has told from where a connection comes.
async fn introduce(identity: &[u8], guests: &Shared, monitor: &mut Monitor, post: &Arc<Post>) {
    let known = async {
        loop {
            heed(guests, monitor, post);
            if lock(guests).addresses.contains_key(identity) {
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
    };
    let _ = timeout(INTRODUCTION_MAX, known).await;
}

/// Takes a connection in, or remembers that it is not to be heard.
fn greet(identity: &[u8], guests: &Shared, post: &Arc<Post>, sending: &RouterSendHalf, links: &mut JoinSet<()>) {
    let mut held = lock(guests);
    let accepted = held.addresses.get(identity).and_then(|from| post.accept_up(*from));
    held.links.insert(identity.to_vec(), accepted.as_ref().map(|(link, _)| *link));
    if let Some((link, pipe)) = accepted {
        let way = Way::Router(sending.clone(), Bytes::copy_from_slice(identity));
        let post = post.clone();
        links.spawn(async move { serve(&pipe, link, &post, way).await });
    }
}

/// What happened to connections since last time.
fn heed(guests: &Shared, monitor: &mut Monitor, post: &Arc<Post>) {
    while let Ok(event) = monitor.try_recv() {
        match event {
            SocketEvent::Accepted(Endpoint::Tcp(host, port), peer) => {
                let ip = match host {
                    Host::Ipv4(ip) => ip.into(),
                    Host::Ipv6(ip) => ip.into(),
                    Host::Domain(_) => continue,
                };
                lock(guests).addresses.insert(peer.to_vec(), Reach::inward(SocketAddr::new(ip, port)));
            }
            SocketEvent::Disconnected(peer) => {
                let mut held = lock(guests);
                held.addresses.remove(&peer[..]);
                let link = held.links.remove(&peer[..]).flatten();
                drop(held);
                if let Some(link) = link {
                    post.down(link, true, Moved::default());
                }
            }
            _ => {}
        }
    }
}

/// One link that we open, from its beginning to its end.
pub(super) async fn dial(to: SocketAddr, (link, pipe): (LinkId, Arc<Pipe>), limit: Duration, post: Arc<Post>) {
    // An identity of its own, so that a ROUTER never takes it for the one before.
    let mut options = SocketOptions::default();
    options.peer_identity(PeerIdentity::new()).connect_timeout(limit);
    let mut socket = DealerSocket::with_options(options);
    let mut monitor = socket.monitor();
    match timeout(limit, socket.connect(&format!("tcp://{to}"))).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            debug!(%to, %error, "cannot open a link");
            return post.down(link, false, Moved::default());
        }
        Err(_) => return post.down(link, false, Moved::default()),
    }
    let (sending, mut receiving) = socket.split();
    post.up(link);
    let send = serve(&pipe, link, &post, Way::Dealer(sending));
    let receive = async {
        while let Ok(message) = receiving.recv().await {
            if !post.packets(link, &mut vec![message.into_vec()]) {
                // Closed; what is to be written still is.
                std::future::pending::<()>().await;
            }
        }
    };
    let gone = async {
        let mut look = interval(LOOK);
        loop {
            look.tick().await;
            while let Ok(event) = monitor.try_recv() {
                if let SocketEvent::Disconnected(_) = event {
                    return;
                }
            }
        }
    };
    tokio::select! {
        () = send => {}
        () = receive => {}
        () = gone => {}
    }
    // Unless it was closed, that is news.
    post.down(link, true, Moved::default());
}

/// How packets leave.
enum Way {
    Dealer(DealerSendHalf),
    /// To the connection of this identity.
    Router(RouterSendHalf, Bytes),
}

impl Way {
    async fn send(&mut self, parts: Vec<Bytes>) -> Result<(), ZmqError> {
        let mut message = ZmqMessage::try_from(parts).map_err(|_| ZmqError::NoMessage)?;
        match self {
            Way::Dealer(half) => half.send(message).await,
            Way::Router(half, identity) => {
                message.push_front(identity.clone());
                half.send(message).await
            }
        }
    }
}

/// Sends what is in the pipe until it is closed, or a send fails.
async fn serve(pipe: &Pipe, link: LinkId, post: &Post, mut way: Way) {
    loop {
        let (parts, has_room_again) = poll_fn(|cx| pipe.poll_packet(cx)).await;
        if has_room_again {
            post.writable(link);
        }
        let Some(parts) = parts else { return };
        if !matches!(timeout(SEND_MAX, way.send(parts)).await, Ok(Ok(()))) {
            return post.down(link, true, Moved::default());
        }
    }
}
