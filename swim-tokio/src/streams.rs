//! TCP connections, each served by a task of its own.
//!
//! What a stream can cost is bounded: it holds one chunk read and not yet taken by the driver, and at most
//! [`STREAM_CREDIT`](swim_proto::STREAM_CREDIT) bytes to be written, by the core's promise. A peer that reads slowly,
//! or floods, holds up its own task only.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use swim_proto::StreamId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::WriteHalf;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tracing::{Instrument, debug, error, trace};

use crate::connect::connect;
use crate::inputs::{Input, Inputs, Moved};

/// Bytes read at once, at most.
const READ_MAX: usize = 16 * 1024;

/// All streams of a node. Dropping it resets them.
pub(crate) struct Streams {
    bound: SocketAddr,
    connect_timeout: Duration,
    inputs: Inputs,
    open: BTreeMap<StreamId, Open>,
    /// Each gives its stream's id when it ends by itself.
    tasks: JoinSet<StreamId>,
}

/// The driver's end of a stream.
struct Open {
    peer: SocketAddr,
    /// Unbounded, because the core's write credit bounds it.
    orders: mpsc::UnboundedSender<Order>,
    task: AbortHandle,
}

enum Order {
    Write(Bytes),
    Finish,
}

impl Streams {
    pub(crate) fn new(bound: SocketAddr, connect_timeout: Duration, inputs: Inputs) -> Streams {
        Streams { bound, connect_timeout, inputs, open: BTreeMap::new(), tasks: JoinSet::new() }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Whom a stream leads to.
    pub(crate) fn peer(&self, stream: StreamId) -> Option<SocketAddr> {
        self.open.get(&stream).map(|open| open.peer)
    }

    pub(crate) fn connect(&mut self, stream: StreamId, to: SocketAddr) {
        let (bound, timeout, inputs) = (self.bound, self.connect_timeout, self.inputs.clone());
        self.spawn(stream, to, async move |orders| match connect(bound, to, timeout).await {
            Ok(tcp) => {
                report(&inputs, stream, Moved::Connected).await;
                serve(stream, tcp, orders, inputs).await;
            }
            Err(error) => {
                debug!(stream = stream.0, %to, %error, "cannot open a stream");
                report(&inputs, stream, Moved::Unconnected(error)).await;
            }
        });
    }

    pub(crate) fn accept(&mut self, stream: StreamId, tcp: TcpStream, from: SocketAddr) {
        let inputs = self.inputs.clone();
        self.spawn(stream, from, move |orders| serve(stream, tcp, orders, inputs));
    }

    fn spawn<F>(&mut self, stream: StreamId, peer: SocketAddr, task: impl FnOnce(mpsc::UnboundedReceiver<Order>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (orders, received) = mpsc::unbounded_channel();
        let task = task(received);
        let task = self.tasks.spawn(
            async move {
                task.await;
                stream
            }
            .in_current_span(),
        );
        self.open.insert(stream, Open { peer, orders, task });
    }

    /// Writes these bytes after those given before. For a stream that has ended: in vain.
    pub(crate) fn write(&mut self, stream: StreamId, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.order(stream, Order::Write(Bytes::copy_from_slice(bytes)));
        }
    }

    /// Shuts the sending side down, after what was written.
    pub(crate) fn finish(&mut self, stream: StreamId) {
        self.order(stream, Order::Finish);
    }

    fn order(&mut self, stream: StreamId, order: Order) {
        if let Some(open) = self.open.get(&stream) {
            // A refusal means that the task has ended and said so.
            let _ = open.orders.send(order);
        }
    }

    /// Drops the stream at once.
    pub(crate) fn reset(&mut self, stream: StreamId) {
        if let Some(open) = self.open.remove(&stream) {
            open.task.abort();
        }
    }

    /// Forgets the streams that have ended, and gives those whose task failed without a word: nobody else will tell the
    /// core.
    pub(crate) fn reap(&mut self) -> Vec<StreamId> {
        let mut failed = Vec::new();
        while let Some(ended) = self.tasks.try_join_next() {
            match ended {
                Ok(stream) => drop(self.open.remove(&stream)),
                Err(error) => {
                    // One that was reset is known here no more.
                    let stream = self.open.iter().find(|(_, open)| open.task.id() == error.id()).map(|(id, _)| *id);
                    if let Some(stream) = stream {
                        error!(stream = stream.0, %error, "the task of a stream failed; please report this");
                        self.open.remove(&stream);
                        failed.push(stream);
                    }
                }
            }
        }
        failed
    }

    /// Writes what is to be written, shuts down, and resets what has not ended within `limit`.
    pub(crate) async fn flush(&mut self, limit: Duration) {
        // Without its order queue, a task writes what it has and ends.
        self.open.clear();
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(limit, all_ended).await;
    }

    /// Resets all streams, and returns when their sockets are closed.
    pub(crate) async fn abort(&mut self) {
        self.open.clear();
        self.tasks.shutdown().await;
    }
}

async fn report(inputs: &Inputs, stream: StreamId, moved: Moved) {
    // A refusal means that the driver is closing; it flushes the streams without listening to them.
    let _ = inputs.send(Input::Stream(stream, moved)).await;
}

/// Moves bytes both ways until both sides have finished, or one has failed.
async fn serve(stream: StreamId, tcp: TcpStream, orders: mpsc::UnboundedReceiver<Order>, inputs: Inputs) {
    let mut socket = Socket { tcp, is_finished: false };
    // Frames are written whole: waiting for more would only delay them.
    let _ = socket.tcp.set_nodelay(true);
    match exchange(stream, &mut socket.tcp, orders, &inputs).await {
        Ok(()) => socket.is_finished = true,
        Err(error) => {
            trace!(stream = stream.0, %error, "a stream failed");
            report(&inputs, stream, Moved::Failed).await;
        }
    }
}

/// A connection that is reset when dropped before its end, and leaves nothing behind in the system.
struct Socket {
    tcp: TcpStream,
    is_finished: bool,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if !self.is_finished {
            let _ = self.tcp.set_zero_linger();
        }
    }
}

async fn exchange(
    stream: StreamId,
    tcp: &mut TcpStream,
    mut orders: mpsc::UnboundedReceiver<Order>,
    inputs: &Inputs,
) -> io::Result<()> {
    let (mut reading, mut writing) = tcp.split();
    let mut unwritten: VecDeque<Bytes> = VecDeque::new();
    let mut chunk = BytesMut::new();
    // Whether the driver listens; whether the core may write more; whether our side, and the peer's, is not shut down yet.
    let (mut driver_open, mut core_open, mut our_side_open, mut peer_open) = (true, true, true, true);
    while peer_open || our_side_open {
        // A new chunk in time, rather than reading the last bytes of the old one's room one by one.
        if chunk.capacity() < READ_MAX / 4 {
            chunk.reserve(READ_MAX);
        }
        tokio::select! {
            order = orders.recv(), if driver_open => match order {
                Some(Order::Write(bytes)) => unwritten.push_back(bytes),
                Some(Order::Finish) => core_open = false,
                // The driver is closing: what was written goes out. What still arrives is read all the same, because
                // closing over unread bytes would reset the connection and take the written ones with it.
                None => (driver_open, core_open) = (false, false),
            },
            wrote = write_some(&mut writing, unwritten.front()), if our_side_open && !(core_open && unwritten.is_empty()) => {
                match wrote? {
                    0 => our_side_open = false,
                    written => {
                        unwritten[0].advance(written);
                        if unwritten[0].is_empty() {
                            unwritten.pop_front();
                        }
                        report(inputs, stream, Moved::Written(written)).await;
                    }
                }
            }
            read = reading.read_buf(&mut chunk), if peer_open => {
                if read? == 0 {
                    peer_open = false;
                    report(inputs, stream, Moved::Finished).await;
                } else {
                    report(inputs, stream, Moved::Data(chunk.split().freeze())).await;
                }
            }
        }
    }
    Ok(())
}

/// Writes some bytes, never none; or, when there are none to write, shuts our side down and gives 0.
async fn write_some(writing: &mut WriteHalf<'_>, bytes: Option<&Bytes>) -> io::Result<usize> {
    let Some(bytes) = bytes else {
        writing.shutdown().await?;
        return Ok(0);
    };
    match writing.write(bytes).await? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        written => Ok(written),
    }
}

#[cfg(test)]
mod tests;
