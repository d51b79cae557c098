//! One link's task: moves bytes between a connection and the link machine, and packets between that and the desk.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use swim_driver::Clock;
use swim_proto::Instant;
use swim_proto::messaging::LinkId;
use swim_zmq::{Event, Link, LinkConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tracing::{debug, trace};

use super::guests::GuestId;
use super::pipe::Pipe;
use super::post::Post;
use crate::clock::Alarm;

/// Bytes read at once, at most.
const READ_MAX: usize = 64 * 1024;
/// Reads and writes between two looks at what else there is to do in the runtime.
const MOVES_MAX: usize = 16;
/// How long a closed link may take to write what was put on it.
const LINGER: Duration = Duration::from_secs(1);
/// Pieces written at once, at most.
const SLICES: usize = 64;
/// Packets handed over at once, at most: for so long the desk's lock is held.
const BATCH_MAX: usize = 128;
/// Room for so many packets is kept between two reads.
const BATCH_KEPT: usize = 16;

thread_local! {
    /// Where bytes are read to before the link takes them. One for all links of a thread: silent ones cost none.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_MAX].into());
}

/// A connection and its two machines' ends.
pub(super) struct Line {
    tcp: TcpStream,
    peer: SocketAddr,
    link: Link,
    stage: Stage,
    post: Arc<Post>,
    clock: Clock,
    alarm: Alarm,
    /// Messages on their way to the desk.
    batch: Vec<Vec<Bytes>>,
    is_finished: bool,
}

enum Stage {
    /// We connected, for this.
    Opening(LinkId, Arc<Pipe>),
    /// Somebody connected.
    Guest(GuestId),
    Up(LinkId, Arc<Pipe>),
    /// What was put on it is written, until then at most.
    Closing(Arc<Pipe>, Instant),
    /// The desk has heard of the end, or needs not.
    Ended,
}

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("all is written")]
    Flushed,
    #[error("what was to be written was not taken in time")]
    Unread,
    #[error("there is no room for it")]
    Refused,
    #[error("the peer has closed it")]
    Finished,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Link(#[from] swim_zmq::LinkError),
    #[error(transparent)]
    Send(#[from] swim_zmq::SendError),
}

impl Line {
    /// Of a connection that we made.
    pub(super) fn ours(
        tcp: TcpStream,
        peer: SocketAddr,
        (link, pipe): (LinkId, Arc<Pipe>),
        config: LinkConfig,
        (post, clock): (Arc<Post>, Clock),
    ) -> Line {
        Line::new(tcp, peer, Stage::Opening(link, pipe), config, post, clock)
    }

    /// Of one that somebody made to us.
    pub(super) fn theirs(
        tcp: TcpStream,
        peer: SocketAddr,
        guest: GuestId,
        config: LinkConfig,
        (post, clock): (Arc<Post>, Clock),
    ) -> Line {
        Line::new(tcp, peer, Stage::Guest(guest), config, post, clock)
    }

    fn new(tcp: TcpStream, peer: SocketAddr, stage: Stage, config: LinkConfig, post: Arc<Post>, clock: Clock) -> Line {
        // Packets are written together already; to wait for more would only delay them.
        let _ = tcp.set_nodelay(true);
        let link = Link::new(clock.now(), config).expect("the limits were checked when the node was started");
        Line { tcp, peer, link, stage, post, clock, alarm: Alarm::unset(), batch: Vec::new(), is_finished: false }
    }

    /// Serves the link until it ends.
    pub(super) async fn serve(mut self) {
        let end = poll_fn(|cx| self.turn(cx)).await;
        self.is_finished = matches!(end, End::Flushed | End::Finished | End::Refused);
        match (&end, &self.stage) {
            (End::Flushed, _) => trace!(peer = %self.peer, "a link is closed"),
            (end, Stage::Up(..)) => debug!(peer = %self.peer, %end, "a link broke"),
            (end, _) => debug!(peer = %self.peer, %end, "a link did not come about"),
        }
    }

    /// Moves what can be moved. Ready: it is over.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        match self.moves(cx) {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }

    fn moves(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        for _ in 0..MOVES_MAX {
            self.fill(cx)?;
            let has_written = self.write(cx)?.is_ready();
            let has_read = self.read(cx)?.is_ready();
            self.heed()?;
            if !(has_written || has_read) {
                return self.wait(cx);
            }
        }
        // Others want their turn too.
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Takes what is to be sent from the pipe.
    fn fill(&mut self, cx: &Context<'_>) -> Result<(), End> {
        let (Stage::Opening(_, pipe) | Stage::Up(_, pipe) | Stage::Closing(pipe, _)) = &self.stage else {
            return Ok(());
        };
        if !self.link.is_ready() {
            // Closed before it was up: nobody waits for anything.
            return if pipe.watch(cx) { Err(End::Flushed) } else { Ok(()) };
        }
        let standing = pipe.drain(cx, &mut self.link)?;
        if let Stage::Up(link, pipe) = &self.stage {
            if standing.is_closed {
                self.stage = Stage::Closing(pipe.clone(), self.clock.now() + LINGER);
            } else if standing.has_room_again {
                self.post.writable(*link);
            }
        }
        if standing.is_closed && standing.is_empty && self.link.pending() == 0 {
            return Err(End::Flushed);
        }
        Ok(())
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, End> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = self.link.transmit(&mut slices);
        if count == 0 {
            return Ok(Poll::Pending);
        }
        let Poll::Ready(written) = Pin::new(&mut self.tcp).poll_write_vectored(cx, &slices[..count]) else {
            return Ok(Poll::Pending);
        };
        match written? {
            0 => Err(io::Error::from(io::ErrorKind::WriteZero).into()),
            written => {
                self.link.transmitted(self.clock.now(), written);
                Ok(Poll::Ready(()))
            }
        }
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, End> {
        if !self.link.wants_input() || matches!(self.stage, Stage::Closing(..)) {
            return Ok(Poll::Pending);
        }
        let Line { tcp, link, clock, .. } = self;
        let read = SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(tcp).poll_read(cx, &mut buffer))?;
            link.handle_input(clock.now(), buffer.filled());
            Poll::Ready(Ok::<_, io::Error>(buffer.filled().len()))
        })?;
        match read {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(0) => Err(End::Finished),
            Poll::Ready(_) => Ok(Poll::Ready(())),
        }
    }

    /// Tells the desk what the link has to tell.
    fn heed(&mut self) -> Result<(), End> {
        // Of a link that ended, too, what came before counts; and it can only have come after it was up.
        let mut end = None;
        while let Some(event) = self.link.poll_event() {
            match event {
                Event::Ready(_) => self.up()?,
                Event::Writable => {}
                Event::Closed(error) => end = Some(error),
            }
        }
        self.hand_over();
        end.map_or(Ok(()), |error| Err(error.into()))
    }

    fn up(&mut self) -> Result<(), End> {
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Opening(link, pipe) => {
                self.post.up(link);
                self.stage = Stage::Up(link, pipe);
            }
            Stage::Guest(guest) => {
                let (link, pipe) = self.post.accept(self.peer, guest).ok_or(End::Refused)?;
                self.stage = Stage::Up(link, pipe);
            }
            stage => self.stage = stage,
        }
        Ok(())
    }

    fn hand_over(&mut self) {
        let Stage::Up(id, _) = self.stage else { return };
        let now = self.clock.now();
        loop {
            while self.batch.len() < BATCH_MAX
                && let Some(message) = self.link.poll_message(now)
            {
                self.batch.push(message);
            }
            if self.batch.is_empty() || !self.post.packets(id, &mut self.batch) {
                break;
            }
        }
        self.batch.clear();
        self.batch.shrink_to(BATCH_KEPT);
    }

    /// Sets the alarm for what comes first of all that waits for time.
    fn wait(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        loop {
            let now = self.clock.now();
            let deadline = match &self.stage {
                Stage::Closing(_, until) if *until <= now => return Err(End::Unread),
                Stage::Closing(_, until) => Some(*until),
                _ => self.link.deadline(),
            };
            if deadline.is_some_and(|deadline| deadline <= now) {
                self.link.handle_timeout(now);
                self.heed()?;
                // What it wants written is written in the next turn.
                cx.waker().wake_by_ref();
                return Ok(());
            }
            // An alarm that rings too early costs less than one that is set anew with each packet.
            self.alarm.set_at_most(deadline, &self.clock);
            if self.alarm.poll(cx).is_pending() {
                return Ok(());
            }
        }
    }
}

impl Drop for Line {
    /// However it ends, the desk hears of it.
    fn drop(&mut self) {
        if !self.is_finished {
            // Nothing of it is to stay behind in the system.
            let _ = self.tcp.set_zero_linger();
        }
        let stats = self.link.stats();
        let moved = (stats.bytes_in, stats.bytes_out);
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Guest(guest) => self.post.goes(self.peer, guest),
            Stage::Opening(link, _) => self.post.down(link, false, moved),
            Stage::Up(link, _) => self.post.down(link, true, moved),
            Stage::Closing(..) => self.post.moved(moved),
            Stage::Ended => {}
        }
    }
}
