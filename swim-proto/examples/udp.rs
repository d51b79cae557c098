//! The whole of a driver, by hand: one thread, `std::net`, no runtime.
//!
//! ```text
//! cargo run --example udp -- 127.0.0.1:6000
//! cargo run --example udp -- 127.0.0.1:6001 127.0.0.1:6000
//! ```
//!
//! The first argument is this member's address (port 0: any that is free), the others are seeds. It waits for a datagram
//! until the node's next deadline, but looks after its streams, of which a small cluster has few, every 10 ms. What a
//! driver for production adds is readiness instead of looking, and opening streams without waiting: see `swim-tokio`.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Duration, SystemTime};

use swim_proto::{Action, Config, Instant, LocalMember, Node, SeedId, StreamId, StreamInput};

const USAGE: &str = "usage: udp ADDRESS [SEED]...
  ADDRESS   where to listen, for UDP and TCP, such as 127.0.0.1:6000
  SEED      a member to join by, such as 127.0.0.1:6001; none for the first";

struct Driver {
    node: Node,
    epoch: std::time::Instant,
    udp: UdpSocket,
    streams: BTreeMap<StreamId, Stream>,
    seeds: Vec<String>,
}

// Called by `tests/udp.rs`, too.
pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let Some(address) = args.next().and_then(|address| address.parse::<SocketAddr>().ok()) else {
        eprintln!("{USAGE}");
        std::process::exit(1);
    };
    let seeds: Vec<String> = args.collect();
    let ids: Vec<SeedId> = (0..seeds.len() as u32).map(SeedId).collect();
    let listener = TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    let udp = UdpSocket::bind(address)?;
    listener.set_nonblocking(true)?;
    println!("listening at {address}");

    let life = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as u64;
    let node = Node::new(Instant::ZERO, LocalMember::new(address, life), Config::lan(), life)?;
    let mut driver = Driver { node, epoch: std::time::Instant::now(), udp, streams: BTreeMap::new(), seeds };
    if !ids.is_empty() {
        driver.node.join(driver.now(), &ids)?;
    }
    let mut buffer = vec![0; 65_536];
    loop {
        driver.act();
        if let Ok((tcp, from)) = listener.accept() {
            if let Some(stream) = driver.node.accept_stream(driver.now(), from) {
                driver.streams.insert(stream, Stream::new(tcp)?);
            }
            driver.act();
        }
        for stream in driver.streams.keys().copied().collect::<Vec<_>>() {
            driver.serve(stream, &mut buffer);
        }
        driver.streams.retain(|_, stream| !stream.is_over());

        let look = driver.now() + Duration::from_millis(10);
        let until = driver.node.deadline().map_or(look, |deadline| deadline.min(look));
        driver.udp.set_read_timeout(Some((until - driver.now()).max(Duration::from_micros(1))))?;
        for _ in 0..64 {
            let Ok((len, from)) = driver.udp.recv_from(&mut buffer) else { break };
            // What is wrong with a datagram that is refused, the node counts.
            let _ = driver.node.handle_datagram(driver.now(), from, &buffer[..len]);
            driver.act();
            driver.udp.set_nonblocking(true)?;
        }
        driver.udp.set_nonblocking(false)?;
        // After the datagrams: an answer is heard before its absence is judged.
        if driver.node.deadline().is_some_and(|deadline| deadline <= driver.now()) {
            driver.node.handle_timeout(driver.now());
        }
    }
}

impl Driver {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.epoch.elapsed().as_nanos() as u64)
    }

    /// Does whatever the node wants done; after each input.
    fn act(&mut self) {
        let mut buffer = Vec::new();
        while let Some(action) = self.node.poll_action(&mut buffer) {
            match action {
                // A datagram that the socket does not take is lost: the protocol expects that.
                Action::Transmit { to, datagram } => drop(self.udp.send_to(datagram, to)),
                Action::Connect { stream, to } => match Stream::connect(to) {
                    Ok(tcp) => {
                        self.streams.insert(stream, tcp);
                        self.node.handle_stream(self.now(), stream, StreamInput::Connected);
                    }
                    Err(_) => self.node.handle_stream(self.now(), stream, StreamInput::Failed),
                },
                Action::Write { stream, bytes } => {
                    self.streams.entry(stream).and_modify(|stream| stream.unwritten.extend_from_slice(bytes));
                }
                Action::Finish { stream } => {
                    self.streams.entry(stream).and_modify(|stream| stream.is_finishing = true);
                }
                Action::Reset { stream } => drop(self.streams.remove(&stream)),
                Action::Resolve { seed } => {
                    let addresses = self.seeds[seed.0 as usize].to_socket_addrs().map(Vec::from_iter);
                    self.node.handle_resolved(self.now(), seed, &addresses.unwrap_or_default());
                }
                Action::Event(event) => println!("{event:?}"),
            }
        }
    }

    /// Moves what a stream's socket takes and gives at once, up to a budget.
    fn serve(&mut self, id: StreamId, buffer: &mut [u8]) {
        for _ in 0..16 {
            let Some(input) = self.streams.get_mut(&id).and_then(|stream| stream.step(buffer)) else { return };
            if input == StreamInput::Failed {
                self.streams.remove(&id);
            }
            self.node.handle_stream(self.now(), id, input);
            self.act();
        }
    }
}

struct Stream {
    tcp: TcpStream,
    /// At most [`swim_proto::STREAM_CREDIT`] bytes, by the node's promise.
    unwritten: Vec<u8>,
    is_finishing: bool,
    is_peer_finished: bool,
}

impl Stream {
    fn new(tcp: TcpStream) -> io::Result<Stream> {
        tcp.set_nonblocking(true)?;
        Ok(Stream { tcp, unwritten: Vec::new(), is_finishing: false, is_peer_finished: false })
    }

    fn connect(to: SocketAddr) -> io::Result<Stream> {
        Stream::new(TcpStream::connect_timeout(&to, Duration::from_millis(100))?)
    }

    /// The next thing that happened to it, if anything did.
    fn step<'b>(&mut self, buffer: &'b mut [u8]) -> Option<StreamInput<'b>> {
        if !self.unwritten.is_empty() {
            match self.tcp.write(&self.unwritten) {
                Ok(len) => {
                    self.unwritten.drain(..len);
                    return Some(StreamInput::Written(len));
                }
                Err(error) if is_nothing_yet(&error) => {}
                Err(_) => return Some(StreamInput::Failed),
            }
        } else if self.is_finishing {
            let _ = self.tcp.shutdown(Shutdown::Write);
        }
        if self.is_peer_finished {
            return None;
        }
        match self.tcp.read(buffer) {
            Ok(0) => {
                self.is_peer_finished = true;
                Some(StreamInput::Finished)
            }
            Ok(len) => Some(StreamInput::Data(&buffer[..len])),
            Err(error) => (!is_nothing_yet(&error)).then_some(StreamInput::Failed),
        }
    }

    fn is_over(&self) -> bool {
        self.is_finishing && self.unwritten.is_empty() && self.is_peer_finished
    }
}

/// Whether it is to be tried again: the socket is not ready, or a signal came.
fn is_nothing_yet(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
