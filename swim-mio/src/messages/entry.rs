//! One connection for messages: about to be, or with its line.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use socket2::SockRef;
use swim_driver::messaging::{Line, Wire};
use swim_driver::sockets::is_in_progress;
use swim_proto::Instant;
use swim_proto::messaging::LinkId;

/// A connection, and what is known of its readiness.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) wired: Wired,
    pub(super) stage: Stage,
    /// For when its turn is due, though nothing happens.
    pub(super) alarm: Option<Instant>,
    /// Whether it is in the list of those that are ready.
    pub(super) is_listed: bool,
}

#[derive(Debug)]
pub(super) enum Stage {
    /// For this link, to there.
    Connecting(LinkId, SocketAddr),
    /// The queue of its packets is the desk's.
    Line(Box<Line<()>>),
}

/// A socket, and what the system has said of it, or we have seen.
#[derive(Debug)]
pub(super) struct Wired {
    pub(super) socket: TcpStream,
    is_readable: bool,
    is_writable: bool,
}

impl Entry {
    pub(super) fn connecting(link: LinkId, to: SocketAddr, socket: TcpStream, until: Instant) -> Entry {
        let wired = Wired::new(socket, false);
        Entry { wired, stage: Stage::Connecting(link, to), alarm: Some(until), is_listed: false }
    }

    pub(super) fn accepted(line: Line<()>, socket: TcpStream) -> Entry {
        Entry { wired: Wired::new(socket, true), stage: Stage::Line(Box::new(line)), alarm: None, is_listed: false }
    }

    /// Which link it is, once it is one.
    pub(super) fn id(&self) -> Option<LinkId> {
        match &self.stage {
            Stage::Connecting(link, _) => Some(*link),
            Stage::Line(line) => line.id(),
        }
    }

    /// It is about to be dropped. Unless it ended in order, nothing of it is to stay behind in the system.
    pub(super) fn let_go(&mut self) {
        if !matches!(&self.stage, Stage::Line(line) if line.is_finished()) {
            let _ = SockRef::from(&self.wired.socket).set_linger(Some(Duration::ZERO));
        }
    }
}

impl Wired {
    fn new(socket: TcpStream, is_open: bool) -> Wired {
        // Packets are written together already; to wait for more would only delay them.
        let _ = socket.set_nodelay(true);
        Wired { socket, is_readable: is_open, is_writable: is_open }
    }

    pub(super) fn mark(&mut self, is_readable: bool, is_writable: bool) {
        self.is_readable |= is_readable;
        self.is_writable |= is_writable;
    }

    /// Whether it stands by now, whatever the system has said.
    pub(super) fn is_connected(&mut self) -> io::Result<bool> {
        if !self.is_writable {
            return Ok(false);
        }
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        match self.socket.peer_addr() {
            // On one host, a connection to a port that nobody listens on may meet itself.
            Ok(peer) if self.socket.local_addr()? == peer => Err(io::ErrorKind::ConnectionRefused.into()),
            Ok(_) => {
                self.is_readable = true;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected || is_in_progress(&error) => {
                self.is_writable = false;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

impl Wire for Wired {
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let Wired { socket, is_writable, .. } = self;
        at_once(is_writable, || socket.write_vectored(slices))
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Wired { socket, is_readable, .. } = self;
        at_once(is_readable, || socket.read(buffer))
    }
}

/// Asks the socket if it is said to be ready, and takes note if it is not.
fn at_once(is_ready: &mut bool, mut ask: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    while *is_ready {
        match ask() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => *is_ready = false,
            done => return done,
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}
