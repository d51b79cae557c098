//! What the tasks beside the driver tell it: streams moved, somebody connected, a seed was looked up.
//!
//! They share one bounded queue. Each task waits for room with one input in hand, first come first served, so a peer
//! that floods its stream costs one chunk and delays the others by at most one chunk each.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use swim_driver::seeds::Answer;
use swim_proto::StreamId;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// Most inputs that wait for the driver.
pub(crate) const INPUTS_MAX: usize = 64;

pub(crate) type Inputs = mpsc::Sender<Input>;

pub(crate) enum Input {
    Stream(StreamId, Moved),
    Accepted(io::Result<(TcpStream, SocketAddr)>),
    /// A seed was looked up.
    Answered(Answer),
    /// The messages that were under way are done, or had their time.
    Drained,
}

/// What happened to a stream, with bytes of its own.
pub(crate) type Moved = swim_driver::runner::Moved<Bytes>;
