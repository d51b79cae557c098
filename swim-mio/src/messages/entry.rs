//! One connection for messages: about to be, or with its line.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use socket2::SockRef;
use swim_driver::messaging::{Line, Wire};
use swim_driver::sockets;
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
        let stands = sockets::is_connected(SockRef::from(&self.socket))?;
        (self.is_readable, self.is_writable) = (stands, stands);
        Ok(stands)
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

    fn finish(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
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

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream as Peer};

    use super::*;

    fn open() -> (Wired, Peer) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = Peer::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        (Wired::new(TcpStream::from_std(socket), false), peer)
    }

    fn would_block<T: std::fmt::Debug>(done: io::Result<T>) -> bool {
        done.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    #[test]
    fn readiness_that_lies_is_asked_and_believed_no_longer() {
        let (mut wired, mut peer) = open();
        let mut buffer = [0; 16];
        for _ in 0..3 {
            wired.mark(true, false);
            assert!(would_block(wired.read(&mut buffer)) && !wired.is_readable);
        }
        // What was not said to be ready is not asked.
        peer.write_all(b"hello").unwrap();
        assert!(would_block(wired.read(&mut buffer)) && would_block(wired.write(&[IoSlice::new(b"x")])));
        wired.mark(true, true);
        let until = std::time::Instant::now() + Duration::from_secs(10);
        while would_block(wired.read(&mut buffer[..4])) {
            assert!(std::time::Instant::now() < until, "it never came");
            wired.mark(true, false);
        }
        assert_eq!(&buffer[..4], b"hell");
        assert_eq!(wired.read(&mut buffer).unwrap(), 1, "it is ready until it says otherwise");
        // Full, it says so once, and is asked again when it is said to be ready.
        let much = vec![0; 1 << 20];
        while !would_block(wired.write(&[IoSlice::new(&much)])) {}
        assert!(!wired.is_writable);
    }

    #[test]
    fn a_connection_that_is_said_to_stand_before_it_does_goes_on_opening() {
        // A listener that does not accept, its backlog filled.
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        listener.listen(0).unwrap();
        let to = listener.local_addr().unwrap().as_socket().unwrap();
        let mut connections: Vec<Wired> = (0..8).map(|_| Wired::new(TcpStream::connect(to).unwrap(), false)).collect();
        std::thread::sleep(Duration::from_millis(200));
        let mut opening = 0;
        for wired in &mut connections {
            assert!(!wired.is_connected().unwrap(), "nothing was said of it");
            wired.mark(true, true);
            if !wired.is_connected().unwrap() {
                assert!(!wired.is_writable, "it is believed no longer");
                opening += 1;
            }
        }
        assert!(opening > 0, "all found room");
    }

    #[test]
    fn a_signal_is_no_end() {
        let mut signals = 3;
        let mut is_ready = true;
        let done = at_once(&mut is_ready, || {
            signals -= 1;
            if signals >= 0 { Err(io::ErrorKind::Interrupted.into()) } else { Ok(7) }
        });
        assert!(matches!(done, Ok(7)) && is_ready && signals < 0);
    }
}
