//! Where the node's [`Runner`](swim_driver::Runner) reaches: sockets, and whoever listens to what happens.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream, UdpSocket};
use mio::{Interest, Registry, Token};
use socket2::SockRef;
use swim_driver::sockets::{ACCEPT_PAUSE, Sockets, is_about_one_connection};
use swim_driver::{Clock, Notice, Outside};
use swim_proto::{Event, Instant, Node, Status, StreamId};

use crate::ring::Ring;
use crate::standing::Standing;
use crate::streams::Streams;

/// The sockets of a node, and what is known of their readiness.
#[derive(Debug)]
pub(crate) struct Net {
    /// None where members are reached by streams alone, and after the end.
    udp: Option<UdpSocket>,
    /// Whether it may have datagrams.
    is_readable: bool,
    listener: Option<TcpListener>,
    /// Whether somebody may have connected.
    has_guests: bool,
    /// After an error of accepting, not before then.
    accepts_from: Option<Instant>,
    pub(crate) streams: Streams,
    pub(crate) ring: Arc<Ring<Arc<Notice>>>,
    pub(crate) standing: Arc<Standing>,
    clock: Clock,
}

/// The tokens of the sockets that are there from the beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixed {
    pub(crate) udp: Token,
    pub(crate) listener: Token,
}

impl Net {
    pub(crate) fn new(
        sockets: Sockets,
        registry: &Registry,
        fixed: Fixed,
        streams: Streams,
        (ring, standing, clock): (Arc<Ring<Arc<Notice>>>, Arc<Standing>, Clock),
    ) -> io::Result<Net> {
        let mut udp = sockets.udp.map(UdpSocket::from_std);
        if let Some(udp) = &mut udp {
            registry.register(udp, fixed.udp, Interest::READABLE)?;
        }
        let mut listener = TcpListener::from_std(sockets.tcp);
        registry.register(&mut listener, fixed.listener, Interest::READABLE)?;
        Ok(Net {
            // Something may have come before they were registered.
            is_readable: udp.is_some(),
            has_guests: true,
            udp,
            listener: Some(listener),
            accepts_from: None,
            streams,
            ring,
            standing,
            clock,
        })
    }

    /// Bytes of the UDP socket's buffers, as the system reports them.
    pub(crate) fn buffers(&self) -> (usize, usize) {
        self.udp.as_ref().map_or((0, 0), |udp| {
            let socket = SockRef::from(udp);
            (socket.recv_buffer_size().unwrap_or(0), socket.send_buffer_size().unwrap_or(0))
        })
    }

    pub(crate) fn may_have_datagrams(&mut self) {
        self.is_readable = self.udp.is_some();
    }

    pub(crate) fn has_datagrams(&self) -> bool {
        self.is_readable
    }

    pub(crate) fn may_have_guests(&mut self) {
        self.has_guests = self.listener.is_some();
    }

    /// When somebody may be accepted again, if that is to be tried.
    pub(crate) fn accepts_at(&self) -> Option<Instant> {
        self.has_guests.then(|| self.accepts_from.unwrap_or(Instant::ZERO))
    }

    /// Somebody who connected. An error is told once; the system is left alone for a while then, unless it was of one
    /// connection.
    pub(crate) fn accept(&mut self) -> Option<io::Result<(TcpStream, SocketAddr)>> {
        if self.accepts_at().is_none_or(|at| at > self.clock.now()) {
            return None;
        }
        self.accepts_from = None;
        match self.listener.as_ref()?.accept() {
            Ok(accepted) => Some(Ok(accepted)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.has_guests = false;
                None
            }
            Err(error) => {
                if !is_about_one_connection(&error) {
                    self.accepts_from = Some(self.clock.now() + ACCEPT_PAUSE);
                }
                Some(Err(error))
            }
        }
    }

    /// Closes the sockets for newcomers and datagrams.
    pub(crate) fn close(&mut self) {
        (self.is_readable, self.has_guests) = (false, false);
        (self.udp, self.listener) = (None, None);
    }
}

impl Outside for Net {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let Some(udp) = self.udp.as_ref().filter(|_| self.is_readable) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        udp.recv_from(buffer).inspect_err(|error| self.is_readable = error.kind() != io::ErrorKind::WouldBlock)
    }

    fn transmit(&mut self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        let udp = self.udp.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        udp.send_to(datagram, to).map(|_| ())
    }

    fn connect(&mut self, stream: StreamId, to: SocketAddr) {
        self.streams.connect(self.clock.now(), stream, to);
    }

    fn write(&mut self, stream: StreamId, bytes: &[u8]) {
        self.streams.write(stream, bytes);
    }

    fn finish(&mut self, stream: StreamId) {
        self.streams.finish(stream);
    }

    fn reset(&mut self, stream: StreamId) {
        self.streams.reset(stream);
    }

    fn peer(&self, stream: StreamId) -> Option<SocketAddr> {
        self.streams.peer(stream)
    }

    fn tell(&mut self, event: &Event<'_>, node: &Node, clock: &Clock) {
        if self.ring.listeners() == 0 {
            return;
        }
        if let Some(notice) = Notice::of(event, node, clock) {
            self.ring.tell(Arc::new(notice));
        }
    }

    fn standing(&mut self, status: Status) {
        self.standing.set(status);
    }

    fn life(&mut self, _: u64) {}

    fn drain(&mut self, _: Duration) -> bool {
        false
    }
}
