//! What the driver is to do, and what it feeds back from streams.

use core::net::SocketAddr;

use crate::event::Event;

/// One thing to do now. Borrowed parts live in the buffer given to [`Node::poll_action`](crate::Node::poll_action).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action<'b> {
    /// Send this datagram. If the socket won't take it now, drop and count it: the protocol expects loss, not delay.
    Transmit {
        /// Where to.
        to: SocketAddr,
        /// At most [`Config::datagram_max`](crate::Config::datagram_max) bytes.
        datagram: &'b [u8],
    },
    /// Open a stream (TCP) and report [`StreamInput::Connected`] or [`StreamInput::Failed`].
    Connect {
        /// Its id from now on.
        stream: StreamId,
        /// Where to.
        to: SocketAddr,
    },
    /// Write these bytes to the stream, whole and in order, and report [`StreamInput::Written`] as the socket takes
    /// them. At most [`STREAM_CREDIT`] bytes are ever unreported on one stream, so that is all a driver must buffer.
    Write {
        /// The stream.
        stream: StreamId,
        /// The bytes.
        bytes: &'b [u8],
    },
    /// Nothing more will be written: shut the sending side down after what was written.
    Finish {
        /// The stream.
        stream: StreamId,
    },
    /// Drop the stream at once, both ways. Its id is not used again and no input for it is expected.
    Reset {
        /// The stream.
        stream: StreamId,
    },
    /// Look up a seed's addresses, anew each time, and call [`Node::handle_resolved`](crate::Node::handle_resolved),
    /// with no addresses if it failed.
    Resolve {
        /// The seed, as named in [`Node::join`](crate::Node::join).
        seed: SeedId,
    },
    /// Tell the application.
    Event(Event<'b>),
}

/// What happened to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamInput<'a> {
    /// The stream asked for by [`Action::Connect`] is open.
    Connected,
    /// Bytes arrived, in order, in pieces of any size.
    Data(&'a [u8]),
    /// The socket took this many more of the bytes given by [`Action::Write`].
    Written(usize),
    /// The peer will send nothing more.
    Finished,
    /// The stream is gone, whatever the reason. No further input for it follows.
    Failed,
}

/// Names one stream of one node. Never used twice in a node's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// Names a seed: an index, or whatever the driver likes, into its own list of host names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeedId(pub u32);

/// Most bytes written to one stream and not yet reported as [`StreamInput::Written`].
pub const STREAM_CREDIT: usize = 64 * 1024;
