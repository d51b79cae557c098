//! Links on real sockets, driven in the simplest way there is: in turns, one thread, without a runtime.
#![allow(dead_code, unreachable_pub, missing_docs)] // each test file uses some of it

use std::io::{ErrorKind, IoSlice, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant as Clock};

use bytes::Bytes;
use swim_proto::Instant;
use swim_zmq::{Event, Link, LinkConfig, LinkError, Peer, SendError};

/// How long anything may take before a test gives up. Nothing is expected to take nearly as long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The time since the first question.
pub fn now() -> Instant {
    static EPOCH: std::sync::OnceLock<Clock> = std::sync::OnceLock::new();
    Instant::from_nanos(EPOCH.get_or_init(Clock::now).elapsed().as_nanos() as u64)
}

/// Asks until there is an answer.
#[track_caller]
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Clock::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
    }
}

pub fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("loopback has ports")
}

/// The next connection.
#[track_caller]
pub fn accept(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).expect("it can be set");
    until("a connection", || match listener.accept() {
        Ok((stream, _)) => Some(stream),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            std::thread::sleep(Duration::from_millis(1));
            None
        }
        Err(error) => panic!("{error}"),
    })
}

/// A link and its connection.
pub struct Driven {
    pub link: Link,
    stream: TcpStream,
    /// The peer has closed the connection, or it has failed.
    pub hung_up: bool,
    pub peer: Option<Peer>,
}

impl Driven {
    pub fn new(stream: TcpStream, config: LinkConfig) -> Driven {
        stream.set_nonblocking(true).expect("it can be set");
        stream.set_nodelay(true).expect("it can be set");
        let link = Link::new(now(), config).expect("the configuration can be");
        Driven { link, stream, hung_up: false, peer: None }
    }

    /// Everything once: write, read, look at the time. Rests a little if there was nothing to do.
    pub fn turn(&mut self) {
        let moved = self.write() | self.read();
        if self.link.deadline().is_some_and(|at| at <= now()) {
            self.link.handle_timeout(now());
        }
        while let Some(event) = self.link.poll_event() {
            if let Event::Ready(peer) = event {
                self.peer = Some(peer);
            }
        }
        if !moved {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn write(&mut self) -> bool {
        let mut slices = [IoSlice::new(&[]); 64];
        let count = self.link.transmit(&mut slices);
        if count == 0 || self.hung_up {
            return false;
        }
        match self.stream.write_vectored(&slices[..count]) {
            Ok(written) => {
                self.link.transmitted(now(), written);
                written > 0
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(_) => {
                self.hung_up = true;
                false
            }
        }
    }

    fn read(&mut self) -> bool {
        if !self.link.wants_input() || self.hung_up {
            return false;
        }
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.hung_up = true,
            Ok(count) => {
                self.link.handle_input(now(), &buffer[..count]);
                return true;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.hung_up = true,
        }
        false
    }

    /// Turns until there is an answer.
    #[track_caller]
    pub fn until<T>(&mut self, what: &str, mut ask: impl FnMut(&mut Driven) -> Option<T>) -> T {
        until(what, || {
            self.turn();
            ask(self)
        })
    }

    /// Who is there, once the handshake is done and the peer can know it too.
    #[track_caller]
    pub fn ready(&mut self) -> Peer {
        self.until("READY", |driven| {
            assert_eq!(driven.link.closed(), None);
            driven.peer.clone().filter(|_| driven.link.pending() == 0)
        })
    }

    #[track_caller]
    pub fn send(&mut self, parts: &[Bytes]) {
        self.until("room for a message", |driven| match driven.link.send(parts) {
            Ok(()) => Some(()),
            Err(SendError::Full) => None,
            Err(error) => panic!("{error}: {:?}", driven.link.closed()),
        });
        self.until("a message to be written", |driven| {
            assert!(!driven.hung_up && driven.link.closed().is_none(), "{:?}", driven.link.closed());
            (driven.link.pending() == 0).then_some(())
        });
    }

    #[track_caller]
    pub fn receive(&mut self) -> Vec<Bytes> {
        self.until("a message", |driven| {
            let message = driven.link.poll_message(now());
            assert!(message.is_some() || !driven.hung_up, "the peer hung up: {:?}", driven.link.closed());
            message
        })
    }

    /// Reads what comes, past the link, and answers nothing, until the peer hangs up.
    #[track_caller]
    pub fn read_and_say_nothing(&mut self) {
        self.stream.set_nonblocking(false).expect("it can be set");
        self.stream.set_read_timeout(Some(PATIENCE)).expect("it can be set");
        match std::io::copy(&mut self.stream, &mut std::io::sink()) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
        }
        self.hung_up = true;
    }

    /// Why the link ended.
    #[track_caller]
    pub fn end(&mut self) -> LinkError {
        self.until("the end", |driven| driven.link.closed().cloned())
    }
}

/// How long a caller waits before it connects again.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(10);

/// A DEALER that connects until it is connected, and again when it no longer is.
pub struct Caller {
    to: SocketAddr,
    config: LinkConfig,
    pub driven: Option<Driven>,
    pub attempts: usize,
}

impl Caller {
    pub fn new(to: SocketAddr, config: LinkConfig) -> Caller {
        Caller { to, config, driven: None, attempts: 0 }
    }

    pub fn turn(&mut self) {
        if let Some(driven) = &mut self.driven {
            driven.turn();
            if driven.hung_up || driven.link.closed().is_some() {
                self.driven = None;
            }
            return;
        }
        if self.attempts > 0 {
            std::thread::sleep(BETWEEN_ATTEMPTS);
        }
        self.attempts += 1;
        if let Ok(stream) = TcpStream::connect_timeout(&self.to, Duration::from_secs(5)) {
            self.driven = Some(Driven::new(stream, self.config.clone()));
        }
    }

    /// A link that is ready.
    #[track_caller]
    pub fn ready(&mut self) -> &mut Driven {
        until("a link", || {
            self.turn();
            self.driven.as_ref().is_some_and(|driven| driven.link.is_ready()).then_some(())
        });
        let driven = self.driven.as_mut().expect("it was just there");
        driven.ready();
        driven
    }

    /// Until the link is no more.
    #[track_caller]
    pub fn lose(&mut self) {
        until("the end of the link", || {
            self.turn();
            self.driven.is_none().then_some(())
        });
    }
}
