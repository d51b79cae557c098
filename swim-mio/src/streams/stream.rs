//! One connection: what is known of its readiness, and what it is to write.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use mio::net::TcpStream;
use socket2::SockRef;
use swim_driver::sockets;
use swim_proto::StreamId;

/// More memory than this is given back once all is written.
const KEPT: usize = 4096;

/// A connection, open or about to be.
#[derive(Debug)]
pub(super) struct Stream {
    id: StreamId,
    peer: SocketAddr,
    socket: TcpStream,
    is_opening: bool,
    /// What the system has said, or we have seen.
    is_readable: bool,
    is_writable: bool,
    /// Whether it is in the list of those that are ready.
    is_listed: bool,
    unwritten: BytesMut,
    /// Whether nothing more is to be written after that.
    is_finishing: bool,
    our_side_open: bool,
    peer_open: bool,
}

/// What a stream did in its turn.
#[derive(Debug)]
pub(super) enum Turn {
    Nothing,
    Connected,
    Read(usize),
    Wrote(usize),
    /// The peer has shut its side down.
    Finished,
    /// Both have.
    Over,
    /// And whether it had been open.
    Failed(io::Error, bool),
}

impl Stream {
    pub(super) fn opening(id: StreamId, peer: SocketAddr, socket: TcpStream) -> Stream {
        Stream { is_opening: true, is_readable: false, is_writable: false, ..Stream::open(id, peer, socket) }
    }

    pub(super) fn open(id: StreamId, peer: SocketAddr, socket: TcpStream) -> Stream {
        // Frames are written whole: waiting for more would only delay them.
        let _ = socket.set_nodelay(true);
        Stream {
            id,
            peer,
            socket,
            is_opening: false,
            is_readable: true,
            is_writable: true,
            is_listed: false,
            unwritten: BytesMut::new(),
            is_finishing: false,
            our_side_open: true,
            peer_open: true,
        }
    }

    pub(super) fn id(&self) -> StreamId {
        self.id
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(super) fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    pub(super) fn is_opening(&self) -> bool {
        self.is_opening
    }

    pub(super) fn mark(&mut self, is_readable: bool, is_writable: bool) {
        self.is_readable |= is_readable;
        self.is_writable |= is_writable;
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.unwritten.extend_from_slice(bytes);
    }

    pub(super) fn finish(&mut self) {
        self.is_finishing = true;
    }

    /// Whether it is to be put into the list of those that are ready: it counts as there from now on.
    pub(super) fn is_newly_ready(&mut self) -> bool {
        !std::mem::replace(&mut self.is_listed, true)
    }

    /// It has nothing to do, and is in the list no more.
    pub(super) fn rests(&mut self) {
        self.is_listed = false;
    }

    /// Does one thing.
    pub(super) fn turn(&mut self, buffer: &mut [u8]) -> Turn {
        let was_open = !self.is_opening;
        loop {
            match self.try_turn(buffer) {
                Ok(turn) => return turn,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Turn::Failed(error, was_open),
            }
        }
    }

    fn try_turn(&mut self, buffer: &mut [u8]) -> io::Result<Turn> {
        if self.is_opening {
            return self.connected();
        }
        if self.our_side_open && self.unwritten.is_empty() && self.is_finishing {
            self.socket.shutdown(Shutdown::Write)?;
            self.our_side_open = false;
        }
        if !(self.our_side_open || self.peer_open) {
            return Ok(Turn::Over);
        }
        if self.is_writable && !self.unwritten.is_empty() {
            match self.socket.write(&self.unwritten) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => {
                    self.unwritten.advance(len);
                    if self.unwritten.is_empty() && self.unwritten.capacity() > KEPT {
                        self.unwritten = BytesMut::new();
                    }
                    return Ok(Turn::Wrote(len));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_writable = false,
                Err(error) => return Err(error),
            }
        }
        if self.is_readable && self.peer_open {
            match self.socket.read(buffer) {
                Ok(0) => {
                    self.peer_open = false;
                    return Ok(Turn::Finished);
                }
                Ok(len) => return Ok(Turn::Read(len)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_readable = false,
                Err(error) => return Err(error),
            }
        }
        Ok(Turn::Nothing)
    }

    /// Whether it stands by now, whatever the system has said.
    fn connected(&mut self) -> io::Result<Turn> {
        if !self.is_writable {
            return Ok(Turn::Nothing);
        }
        let stands = sockets::is_connected(SockRef::from(&self.socket))?;
        (self.is_opening, self.is_readable, self.is_writable) = (!stands, stands, stands);
        Ok(if stands { Turn::Connected } else { Turn::Nothing })
    }

    /// How much waits to be written.
    #[cfg(test)]
    pub(super) fn unwritten(&self) -> usize {
        self.unwritten.len()
    }

    /// Whether anything was said of its readiness.
    #[cfg(test)]
    pub(super) fn is_marked(&self) -> bool {
        self.is_readable || self.is_writable
    }

    /// It is about to be dropped. Unless both sides have finished, nothing of it is to stay behind in the system.
    pub(super) fn let_go(&mut self) {
        if self.our_side_open || self.peer_open {
            let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        }
    }
}
