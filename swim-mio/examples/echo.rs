//! A server with a loop of its own that is a member of a cluster: one thread, one `Poll`, no runtime.
//!
//! It sends back whatever it is sent, on a TCP port of its own. The others learn that port from its metadata, so anybody who
//! connects to one of them is told where all of them are. It says goodbye when stdin ends (Ctrl-D).
//!
//! ```text
//! cargo run --example echo -p swim-mio -- 127.0.0.1:7000
//! cargo run --example echo -p swim-mio -- 127.0.0.1:7001 127.0.0.1:7000
//! nc 127.0.0.1 PORT        # as the first line says
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use swim_mio::{EventsError, Node, Options};

const USAGE: &str = "usage: echo ADDRESS [SEED]...
  ADDRESS   where the member listens, for UDP and TCP, such as 127.0.0.1:7000; the server takes a free port beside it
  SEED      a member to join by, such as 127.0.0.1:7001; none for the first";

const WAKER: Token = Token(0);
const LISTENER: Token = Token(1);
/// Clients have the tokens from here on, and the member has those above.
const CLIENTS: usize = 2;
const MEMBER: usize = 1 << 20;

/// Bytes that wait to be sent back, at most; a client that sends more is not read until it reads.
const UNSENT_MAX: usize = 64 * 1024;

/// After an error of accepting, the system is left alone for so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let Some(bind) = args.next().and_then(|bind| bind.parse::<std::net::SocketAddr>().ok()) else {
        eprintln!("{USAGE}");
        std::process::exit(1);
    };
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind((bind.ip(), 0).into())?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("echoes at {}", listener.local_addr()?);

    // The member shares the loop: it registers its sockets, and wakes us when a name server has answered.
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    let wakes = waker.clone();
    let options = Options::new(bind).with_metadata(listener.local_addr()?.to_string()).with_seeds(args);
    let mut node = options.bind()?.register(poll.registry(), MEMBER..usize::MAX, move || drop(wakes.wake()))?;

    // When stdin ends (Ctrl-D), it is over: the others are to hear of it.
    let is_over = Arc::new(AtomicBool::new(false));
    let ends = is_over.clone();
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        ends.store(true, Ordering::Relaxed);
        waker.wake()
    });

    let mut server = Server { listener, clients: BTreeMap::new(), next: CLIENTS, accepts_from: None };
    let mut events = Events::with_capacity(128);
    while !node.is_closed() {
        let timeouts = [node.timeout(), server.timeout()];
        match poll.poll(&mut events, timeouts.into_iter().flatten().min()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            polled => polled?,
        }
        for event in &events {
            if node.handle_event(event) {
                continue;
            }
            match event.token() {
                WAKER => {}
                LISTENER => {
                    // Not sooner, if that is to wait.
                    server.accepts_from.get_or_insert_with(Instant::now);
                }
                client => server.serve(&poll, client),
            }
        }
        server.accept(&poll, &node);
        if is_over.load(Ordering::Relaxed) {
            // Begins to say goodbye; the loop goes on until that is done.
            node.shut_down();
        }
        node.handle_timeout();
        loop {
            match node.poll_event() {
                Ok(Some(notice)) => match notice.event.member() {
                    Some(member) => println!("{} {}", notice.event.kind(), member.name),
                    None => println!("{:?}", notice.event),
                },
                Ok(None) | Err(EventsError::Closed) => break,
                Err(EventsError::Lagged(lost)) => println!("{lost} events were lost"),
            }
        }
    }
    Ok(())
}

struct Server {
    listener: TcpListener,
    clients: BTreeMap<Token, Client>,
    next: usize,
    /// When to ask for clients, if there may be some.
    accepts_from: Option<Instant>,
}

struct Client {
    socket: TcpStream,
    unsent: Vec<u8>,
    has_finished: bool,
}

impl Server {
    fn timeout(&self) -> Option<Duration> {
        self.accepts_from.map(|from| from.saturating_duration_since(Instant::now()))
    }

    /// Takes in whoever has connected. That the system has no room for them is no reason to stop.
    fn accept(&mut self, poll: &Poll, node: &Node) {
        while self.accepts_from.is_some_and(|from| from <= Instant::now()) {
            let mut socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.accepts_from = None;
                    return;
                }
                Err(error)
                    if [io::ErrorKind::Interrupted, io::ErrorKind::ConnectionAborted].contains(&error.kind()) =>
                {
                    continue;
                }
                Err(error) => {
                    // Too many open files, mostly: they are as many the next moment.
                    println!("cannot accept clients: {error}");
                    self.accepts_from = Some(Instant::now() + ACCEPT_PAUSE);
                    return;
                }
            };
            let token = Token(self.next);
            // An example does not live so long that these meet those of the member.
            self.next += 1;
            if let Err(error) = poll.registry().register(&mut socket, token, Interest::READABLE | Interest::WRITABLE) {
                println!("cannot serve a client: {error}");
                continue;
            }
            let mut greeting = String::from("echoes at:");
            for member in node.members().iter().filter(|member| member.state.is_live()) {
                greeting += &format!(" {}", String::from_utf8_lossy(&member.metadata));
            }
            greeting.push('\n');
            let client = Client { socket, unsent: greeting.into_bytes(), has_finished: false };
            self.clients.insert(token, client);
            self.serve(poll, token);
        }
    }

    fn serve(&mut self, poll: &Poll, token: Token) {
        let Some(client) = self.clients.get_mut(&token) else { return };
        if !matches!(client.echo(), Ok(true)) {
            let _ = poll.registry().deregister(&mut client.socket);
            self.clients.remove(&token);
        }
    }
}

impl Client {
    /// Reads and sends back until the socket says that there is no more. `false`: the client is done.
    fn echo(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        loop {
            while !self.unsent.is_empty() {
                match self.socket.write(&self.unsent) {
                    Ok(sent) => drop(self.unsent.drain(..sent)),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
            if self.has_finished || self.unsent.len() >= UNSENT_MAX {
                return Ok(!self.unsent.is_empty());
            }
            match self.socket.read(&mut buffer) {
                Ok(0) => self.has_finished = true,
                Ok(read) => self.unsent.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }
}
