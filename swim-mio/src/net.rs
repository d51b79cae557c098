//! Where the node's [`Runner`](swim_driver::Runner) reaches: sockets, and whoever listens to what happens.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use socket2::SockRef;
use swim_driver::sockets::Sockets;
use swim_driver::{Clock, Notice, Outside};
use swim_proto::{Event, Node, Status, StreamId};

use crate::acceptor::Acceptor;
use crate::messages::Messages;
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
    pub(crate) acceptor: Acceptor,
    pub(crate) streams: Streams,
    /// Reliable messages, where there are any.
    pub(crate) messages: Option<Messages>,
    pub(crate) ring: Arc<Ring<Arc<Notice>>>,
    pub(crate) standing: Arc<Standing>,
    clock: Clock,
}

/// The tokens of the sockets that are there from the beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixed {
    pub(crate) udp: Token,
    pub(crate) listener: Token,
    pub(crate) links: Token,
}

impl Net {
    pub(crate) fn new(
        sockets: Sockets,
        registry: &Registry,
        fixed: Fixed,
        (streams, messages): (Streams, Option<Messages>),
        (ring, standing, clock): (Arc<Ring<Arc<Notice>>>, Arc<Standing>, Clock),
    ) -> io::Result<Net> {
        let mut udp = sockets.udp.map(UdpSocket::from_std);
        if let Some(udp) = &mut udp {
            registry.register(udp, fixed.udp, Interest::READABLE)?;
        }
        Ok(Net {
            // Something may have come before it was registered.
            is_readable: udp.is_some(),
            udp,
            acceptor: Acceptor::new(sockets.tcp, registry, fixed.listener)?,
            streams,
            messages,
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

    /// Closes the sockets for newcomers and datagrams, and ends messages.
    pub(crate) fn close(&mut self) {
        (self.udp, self.is_readable) = (None, false);
        self.acceptor.close();
        if let Some(messages) = &mut self.messages {
            messages.close();
        }
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
        if let Some(messages) = &mut self.messages {
            messages.hear(event);
        }
        if self.ring.listeners() == 0 {
            return;
        }
        if let Some(notice) = Notice::of(event, node, clock) {
            self.ring.tell(Arc::new(notice));
        }
    }

    fn standing(&mut self, status: Status) {
        if let (Status::Superseded, Some(messages)) = (status, &mut self.messages) {
            // Another process has our name, and the messages to it.
            messages.close();
        }
        self.standing.set(status);
    }

    fn life(&mut self, life: u64) {
        if let Some(messages) = &mut self.messages {
            messages.set_life(life);
        }
    }

    fn drain(&mut self, limit: Duration) -> bool {
        if let Some(messages) = &mut self.messages {
            messages.drain(limit);
        }
        self.messages.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant as SystemInstant;

    use mio::Poll;

    use super::*;

    fn net(poll: &Poll) -> (Net, SocketAddr) {
        let sockets = Sockets::bind("127.0.0.1:0".parse().unwrap(), 1 << 16, 1 << 16).unwrap();
        let bound = sockets.bound;
        let fixed = Fixed { udp: Token(0), listener: Token(1), links: Token(2) };
        let registry = poll.registry().try_clone().unwrap();
        let streams = Streams::new(registry, (3..1000, 16), bound, Duration::from_secs(1)).unwrap();
        let told = (Ring::new(1), Arc::new(Standing::new(Status::Alone)), Clock::start());
        (Net::new(sockets, poll.registry(), fixed, (streams, None), told).unwrap(), bound)
    }

    fn would_block(received: io::Result<(usize, SocketAddr)>) -> bool {
        received.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    #[test]
    fn readiness_of_datagrams_that_lies_is_asked_once_and_believed_no_longer() {
        let poll = Poll::new().unwrap();
        let (mut net, at) = net(&poll);
        let mut buffer = [0; 64];
        // At first, for what may have come before; then whenever somebody says so.
        for _ in 0..3 {
            assert!(net.has_datagrams() && would_block(net.receive(&mut buffer)) && !net.has_datagrams());
            net.may_have_datagrams();
        }
        assert!(would_block(net.receive(&mut buffer)));
        // What was not said to be ready is not asked.
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for datagram in [&b"one"[..], b"two"] {
            peer.send_to(datagram, at).unwrap();
        }
        assert!(would_block(net.receive(&mut buffer)) && !net.has_datagrams());
        net.may_have_datagrams();
        let until = SystemInstant::now() + Duration::from_secs(10);
        let mut received = Vec::new();
        while received.len() < 2 {
            assert!(SystemInstant::now() < until, "they never came");
            match net.receive(&mut buffer) {
                Ok((len, from)) => {
                    assert_eq!(from, peer.local_addr().unwrap());
                    received.push(buffer[..len].to_vec());
                    assert!(net.has_datagrams(), "it is ready until it says otherwise");
                }
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    net.may_have_datagrams();
                }
            }
        }
        assert_eq!(received, [b"one", b"two"]);
        assert!(would_block(net.receive(&mut buffer)) && !net.has_datagrams());
        // After the end there is nothing to ask.
        net.close();
        net.may_have_datagrams();
        assert!(!net.has_datagrams() && would_block(net.receive(&mut buffer)));
    }
}
