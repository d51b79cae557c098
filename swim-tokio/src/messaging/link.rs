//! One link's task: lends the link's line its connection and the desk, and wakes it when it is to have its turn.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use swim_driver::Clock;
use swim_driver::messaging::{End, GuestId, Line, Move, Moved, Office, READ_MAX, Standing, Wire};
use swim_proto::messaging::LinkId;
use swim_zmq::{Link, LinkConfig, SendError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tracing::{debug, trace};

use super::pipe::Pipe;
use super::post::Post;
use crate::clock::Alarm;

/// Reads and writes between two looks at what else there is to do in the runtime.
const MOVES_MAX: usize = 16;
/// And the time for them, but for the last: what they bring may cost much. While there are tasks to run, a runtime looks to
/// its sockets, the node's among them, after every 61 alone, so this may hold up the node 61 times over.
const MOVES_TIME: Duration = Duration::from_micros(200);

thread_local! {
    /// Where bytes are read to before the link takes them. One for all links of a thread: silent ones cost none.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_MAX].into());
}

/// A connection and its line.
pub(super) struct Served {
    tcp: TcpStream,
    line: Line<Arc<Pipe>>,
    post: Arc<Post>,
    clock: Clock,
    alarm: Alarm,
}

impl Served {
    /// Of a connection that we made.
    pub(super) fn ours(
        tcp: TcpStream,
        peer: SocketAddr,
        link: (LinkId, Arc<Pipe>),
        config: LinkConfig,
        (post, clock): (Arc<Post>, Clock),
    ) -> Served {
        Served::new(tcp, Line::ours(&clock, peer, link, config), post, clock)
    }

    /// Of one that somebody made to us.
    pub(super) fn theirs(
        tcp: TcpStream,
        peer: SocketAddr,
        guest: GuestId,
        config: LinkConfig,
        (post, clock): (Arc<Post>, Clock),
    ) -> Served {
        Served::new(tcp, Line::theirs(&clock, peer, guest, config), post, clock)
    }

    fn new(tcp: TcpStream, line: Line<Arc<Pipe>>, post: Arc<Post>, clock: Clock) -> Served {
        // Packets are written together already; to wait for more would only delay them.
        let _ = tcp.set_nodelay(true);
        Served { tcp, line, post, clock, alarm: Alarm::unset() }
    }

    /// Serves the link until it ends.
    pub(super) async fn serve(mut self) {
        let end = loop {
            match poll_fn(|cx| self.turns(cx)).await {
                Some(end) => break end,
                // Others want their turn too: who yields comes after them, and after the runtime's look to its sockets.
                None => yield_now().await,
            }
        };
        let peer = self.line.peer();
        match &end {
            End::Flushed => trace!(%peer, "a link is closed"),
            end if self.line.is_up() => debug!(%peer, %end, "a link broke"),
            end => debug!(%peer, %end, "a link did not come about"),
        }
    }

    /// Moves what can be moved. Ready: it is over, or there may be more.
    fn turns(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        let until = self.clock.now() + MOVES_TIME;
        for _ in 0..MOVES_MAX {
            let Served { tcp, line, post, clock, .. } = self;
            let mut wire = Polled { tcp, waker: cx.waker() };
            let mut office = AtPost { post, waker: cx.waker() };
            let moved = SCRATCH.with_borrow_mut(|scratch| line.turn(clock, &mut wire, &mut office, scratch));
            match moved {
                Ok(Move::More) if self.clock.now() >= until => break,
                Ok(Move::More) => {}
                Ok(Move::Wait(deadline)) => {
                    // An alarm that rings too early costs less than one that is set anew with each packet.
                    self.alarm.set_at_most(deadline, &self.clock);
                    if self.alarm.poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
                Err(end) => return Poll::Ready(Some(end)),
            }
        }
        Poll::Ready(None)
    }
}

impl Drop for Served {
    /// However it ends, the desk hears of it.
    fn drop(&mut self) {
        if !self.line.is_finished() {
            // Nothing of it is to stay behind in the system.
            let _ = self.tcp.set_zero_linger();
        }
        self.line.end(&mut AtPost { post: &self.post, waker: Waker::noop() });
    }
}

/// A connection that says that it would wait, and wakes when it need not any more.
struct Polled<'a> {
    tcp: &'a mut TcpStream,
    waker: &'a Waker,
}

impl Wire for Polled<'_> {
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        at_once(Pin::new(&mut *self.tcp).poll_write_vectored(&mut Context::from_waker(self.waker), slices))
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        at_once(Pin::new(&mut *self.tcp).poll_read(&mut Context::from_waker(self.waker), &mut buffer))?;
        Ok(buffer.filled().len())
    }

    fn finish(&mut self) -> io::Result<()> {
        // Of a TCP connection this is a word to the system, which waits for nothing.
        at_once(Pin::new(&mut *self.tcp).poll_shutdown(&mut Context::from_waker(self.waker)))
    }
}

fn at_once<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(done) => done,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// The desk, by way of its lock.
struct AtPost<'a> {
    post: &'a Arc<Post>,
    waker: &'a Waker,
}

impl Office for AtPost<'_> {
    type Pipe = Arc<Pipe>;

    fn up(&mut self, link: LinkId) {
        self.post.up(link);
    }

    fn accept(&mut self, from: SocketAddr, guest: GuestId) -> Option<(LinkId, Arc<Pipe>)> {
        self.post.accept(from, guest)
    }

    fn packets(&mut self, link: LinkId, packets: &mut Vec<Vec<Bytes>>) -> bool {
        self.post.packets(link, packets)
    }

    fn writable(&mut self, link: LinkId) {
        self.post.writable(link);
    }

    fn drain(&mut self, _: LinkId, pipe: &Arc<Pipe>, link: &mut Link) -> Result<Standing, SendError> {
        pipe.drain(self.waker, link)
    }

    fn is_closed(&mut self, _: LinkId, pipe: &Arc<Pipe>) -> bool {
        pipe.watch(self.waker)
    }

    fn closes(&mut self) -> bool {
        self.post.closes()
    }

    fn goes(&mut self, from: SocketAddr, guest: GuestId) {
        self.post.goes(from, guest);
    }

    fn down(&mut self, link: LinkId, was_up: bool, moved: Moved) {
        self.post.down(link, was_up, moved);
    }

    fn done(&mut self, _: LinkId, moved: Moved) {
        self.post.done(moved);
    }
}
