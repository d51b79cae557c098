//! Our links and the `zeromq` crate, either way round.

mod foreign;
mod sockets;

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bytes::Bytes;
use foreign::{Foreign, exchange_with_dealer, exchange_with_router};
use sockets::{Caller, Driven, PATIENCE, accept, listen};
use swim_zmq::{HeartbeatConfig, LinkConfig, Peer, Socket};
use tokio::runtime::Runtime;
use zeromq::util::PeerIdentity;
use zeromq::{DealerSocket, RouterSocket, Socket as _, SocketOptions, SocketRecv, SocketSend, ZmqMessage};

/// A socket of the crate on a runtime of its own. What it receives is taken from it at once: it reads from its
/// connections only while somebody waits.
struct Crate<S> {
    runtime: Option<Runtime>,
    sending: S,
    received: Receiver<Vec<Bytes>>,
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads can be had")
}

impl<S: SocketSend> Crate<S> {
    fn new(runtime: Runtime, sending: S, mut receiving: impl SocketRecv + Send + 'static) -> Self {
        let (sender, received) = channel();
        runtime.spawn(async move {
            // A connection that ends is an error to a DEALER; nothing else comes of it.
            loop {
                match receiving.recv().await {
                    Ok(message) => {
                        if sender.send(message.into_vec()).is_err() {
                            return;
                        }
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        });
        Crate { runtime: Some(runtime), sending, received }
    }
}

impl<S> Drop for Crate<S> {
    fn drop(&mut self) {
        // Its tasks and its sockets end with it.
        self.runtime.take().expect("it runs").shutdown_timeout(Duration::from_secs(10));
    }
}

impl<S: SocketSend> Foreign for Crate<S> {
    fn send(&mut self, parts: &[Bytes]) {
        let message = ZmqMessage::try_from(parts.to_vec()).expect("it has parts");
        let runtime = self.runtime.as_ref().expect("it runs");
        runtime.block_on(self.sending.send(message)).expect("it is connected");
    }

    fn receive(&mut self) -> Vec<Bytes> {
        self.received.recv_timeout(PATIENCE).expect("a message")
    }
}

fn dealer(to: SocketAddr, identity: &str) -> Crate<impl SocketSend + use<>> {
    let runtime = runtime();
    let mut options = SocketOptions::default();
    options.peer_identity(identity.parse::<PeerIdentity>().expect("it is short enough"));
    let mut socket = DealerSocket::with_options(options);
    let connecting = async move {
        socket.connect(&format!("tcp://{to}")).await.expect("somebody listens");
        socket
    };
    // Its `connect` waits for the handshake, which somebody else has to do meanwhile.
    let socket = runtime.block_on(connecting);
    let (sending, receiving) = socket.split();
    Crate::new(runtime, sending, receiving)
}

fn router(at: &str) -> (Crate<impl SocketSend + use<>>, SocketAddr) {
    let runtime = runtime();
    let mut socket = RouterSocket::new();
    let bound = runtime.block_on(socket.bind(&format!("tcp://{at}"))).expect("the port is free");
    let address = bound.to_string().trim_start_matches("tcp://").parse().expect("it is an address");
    let (sending, receiving) = socket.split();
    (Crate::new(runtime, sending, receiving), address)
}

/// Our ROUTER's end of the next connection, and the crate's DEALER at the other.
fn meet(identity: &'static str, config: LinkConfig) -> (Driven, Crate<impl SocketSend + use<>>) {
    let listener = listen();
    let address = listener.local_addr().expect("it is bound");
    let dealing = std::thread::spawn(move || dealer(address, identity));
    let mut ours = Driven::new(accept(&listener), config);
    ours.ready();
    (ours, dealing.join().expect("it connects"))
}

/// Ours would be cut by the crate if it sent it PINGs; see the last test.
fn beating(config: LinkConfig) -> LinkConfig {
    let heartbeat = HeartbeatConfig { interval: Duration::from_millis(20), ..HeartbeatConfig::default() };
    LinkConfig { heartbeat, ..config }
}

#[test]
fn its_dealer_talks_with_our_router() {
    let (mut ours, mut dealer) = meet("their dealer", beating(LinkConfig::router("us")));
    let minor = 0;
    assert_eq!(ours.peer, Some(Peer { socket: Socket::Dealer, identity: "their dealer".into(), minor }));
    exchange_with_dealer(&mut ours, &mut dealer);
    assert_eq!(ours.link.stats().pings_out, 0);
}

#[test]
fn our_dealer_talks_with_its_router() {
    let (mut router, address) = router("127.0.0.1:0");
    let mut caller = Caller::new(address, beating(LinkConfig::dealer("our dealer")));
    let ours = caller.ready();
    assert_eq!(ours.ready().socket, Socket::Router);
    exchange_with_router(ours, &mut router, "our dealer");
}

#[test]
fn our_dealer_comes_back_to_its_router_that_was_killed() {
    let (mut first, address) = router("127.0.0.1:0");
    let mut caller = Caller::new(address, LinkConfig::dealer("d"));
    caller.ready().send(&[Bytes::from_static(b"before")]);
    assert_eq!(first.receive(), ["d", "before"]);
    drop(first);
    caller.lose();
    let (mut second, _) = router(&address.to_string());
    caller.ready().send(&[Bytes::from_static(b"after")]);
    assert_eq!(second.receive(), ["d", "after"]);
    assert!(caller.attempts >= 2);
}

#[test]
fn its_router_takes_our_dealer_back_that_was_killed() {
    let (mut router, address) = router("127.0.0.1:0");
    for round in [Bytes::from_static(b"1"), Bytes::from_static(b"2")] {
        let mut caller = Caller::new(address, LinkConfig::dealer("d"));
        caller.ready().send(std::slice::from_ref(&round));
        assert_eq!(router.receive(), [Bytes::from_static(b"d"), round]);
    }
}

/// The reason why links send no PING to peers of ZMTP 3.0; should this fail, the crate has learnt of PING, and the
/// decision page on the default link can be looked at again.
#[test]
fn its_router_cuts_a_peer_that_sends_a_ping() {
    use std::io::{Read as _, Write as _};
    let (_router, address) = router("127.0.0.1:0");
    let mut stream = std::net::TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("it can be set");
    let mut opening = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 1];
    opening.extend(b"NULL");
    opening.resize(64, 0);
    opening.extend(b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06DEALER");
    opening.extend(b"\x04\x07\x04PING\0\0");
    stream.write_all(&opening).expect("it is connected");
    // Its greeting and READY, and then the end, with or without a reset.
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => assert!(said.len() > 64, "{} bytes", said.len()),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
    }
}

/// Nor does this: a link that is lost stays lost, and its owner finds out by sending.
#[test]
fn its_dealer_does_not_come_back() {
    let (ours, mut dealer) = meet("d", LinkConfig::router("us"));
    drop(ours);
    let error = sockets::until("a refusal", || {
        std::thread::sleep(Duration::from_millis(5));
        let runtime = dealer.runtime.as_ref().expect("it runs");
        runtime.block_on(dealer.sending.send(ZmqMessage::from("anyone?"))).err()
    });
    assert!(!error.to_string().is_empty());
}
