//! A listening socket, and when to ask it.

use std::io;
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use swim_driver::sockets::{ACCEPT_PAUSE, is_about_one_connection};
use swim_proto::Instant;

/// Accepts connections, and leaves the system alone for a while when that has no room.
#[derive(Debug)]
pub(crate) struct Acceptor {
    /// None after the end.
    listener: Option<TcpListener>,
    /// Whether somebody may have connected.
    has_guests: bool,
    /// After an error, not before then.
    from: Option<Instant>,
}

impl Acceptor {
    pub(crate) fn new(listener: std::net::TcpListener, registry: &Registry, token: Token) -> io::Result<Acceptor> {
        let mut listener = TcpListener::from_std(listener);
        registry.register(&mut listener, token, Interest::READABLE)?;
        // Somebody may have come before it was registered.
        Ok(Acceptor { listener: Some(listener), has_guests: true, from: None })
    }

    pub(crate) fn may_have_guests(&mut self) {
        self.has_guests = self.listener.is_some();
    }

    /// When somebody may be accepted, if that is to be tried.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.has_guests.then(|| self.from.unwrap_or(Instant::ZERO))
    }

    /// Somebody who connected. An error is told once; the system is left alone for a while then, unless it was of one
    /// connection.
    pub(crate) fn accept(&mut self, now: Instant) -> Option<io::Result<(TcpStream, SocketAddr)>> {
        if self.deadline().is_none_or(|at| at > now) {
            return None;
        }
        self.from = None;
        match self.listener.as_ref()?.accept() {
            Ok(accepted) => Some(Ok(accepted)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.has_guests = false;
                None
            }
            Err(error) => {
                if !is_about_one_connection(&error) {
                    self.from = Some(now + ACCEPT_PAUSE);
                }
                Some(Err(error))
            }
        }
    }

    pub(crate) fn close(&mut self) {
        (self.listener, self.has_guests) = (None, false);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream as Guest;

    use mio::Poll;

    use super::*;

    const NOW: Instant = Instant::ZERO;

    #[test]
    fn readiness_that_lies_is_asked_once_and_costs_no_pause() {
        let poll = Poll::new().unwrap();
        let listener = swim_driver::sockets::bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let at = listener.local_addr().unwrap();
        let mut acceptor = Acceptor::new(listener, poll.registry(), Token(0)).unwrap();
        for _ in 0..3 {
            assert_eq!(acceptor.deadline(), Some(Instant::ZERO));
            assert!(acceptor.accept(NOW).is_none());
            assert_eq!(acceptor.deadline(), None, "there is nobody, and nothing to wait for");
            acceptor.may_have_guests();
        }
        let guest = Guest::connect(at).unwrap();
        let (_, from) = acceptor.accept(NOW).expect("somebody is there").unwrap();
        assert_eq!(from, guest.local_addr().unwrap());
        // There may be more.
        assert_eq!(acceptor.deadline(), Some(Instant::ZERO));
        assert!(acceptor.accept(NOW).is_none() && acceptor.deadline().is_none());
        acceptor.close();
        acceptor.may_have_guests();
        assert!(acceptor.accept(NOW).is_none() && acceptor.deadline().is_none());
    }
}
