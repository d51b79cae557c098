//! What lies around a node: sockets, streams, the application, and the messages' machine beside it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use swim_proto::{Event, Node, Status, StreamId};

use crate::clock::Clock;

/// What a [`Runner`](crate::Runner) asks of its driver. Nothing here may wait.
pub trait Outside {
    /// Takes a datagram from the socket, into `buffer`: how long it is, and from where, as the socket spells it.
    /// [`io::ErrorKind::WouldBlock`]: there is none.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)>;

    /// Gives a datagram to the socket. If that does not take it, it is lost: the protocol expects loss, not delay.
    fn transmit(&mut self, to: SocketAddr, datagram: &[u8]) -> io::Result<()>;

    /// Opens a stream, and tells later what came of it ([`Runner::moved`](crate::Runner::moved)).
    fn connect(&mut self, stream: StreamId, to: SocketAddr);

    /// Writes these bytes after those given before, and tells as the socket takes them. For a stream that has ended: in
    /// vain.
    fn write(&mut self, stream: StreamId, bytes: &[u8]);

    /// Shuts the sending side down, after what was written.
    fn finish(&mut self, stream: StreamId);

    /// Drops the stream at once.
    fn reset(&mut self, stream: StreamId);

    /// Whom a stream leads to.
    fn peer(&self, stream: StreamId) -> Option<SocketAddr>;

    /// Tells the application, and the messages' machine, what happened.
    fn tell(&mut self, event: &Event<'_>, node: &Node, clock: &Clock);

    /// Tells the application that the node's standing is another. Superseded, it sends no messages any more either.
    fn standing(&mut self, status: Status);

    /// Tells the messages' machine that our life was raised.
    fn life(&mut self, life: u64);

    /// Accepts no more messages, and sees to those that are under way for so long at most, which is told by
    /// [`Runner::drained`](crate::Runner::drained). `false`: there is nothing to wait for.
    fn drain(&mut self, limit: Duration) -> bool;
}
