//! What one link is to send: filled by whoever works at the desk, emptied by the link's task.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
#[cfg(feature = "zeromq")]
use std::task::Poll;
use std::task::{Context, Waker};

use bytes::{Bytes, BytesMut};
use swim_zmq::{Link, SendError};

/// From so many bytes on no more is wanted, until half of it is gone.
const FULL_BYTES: usize = 256 * 1024;
/// Below so many bytes that wait to be written, a link takes more packets.
const WRITE_AHEAD: usize = 64 * 1024;
/// Headers are cut out of blocks of this size.
const HEADERS_BLOCK: usize = 16 * 1024;

/// Room for so many packets is kept by an empty pipe.
const CAPACITY_KEPT: usize = 64;

/// A bounded queue of packets, and what else a link's task is to know.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    packets: VecDeque<Packet>,
    bytes: usize,
    headers: BytesMut,
    /// The desk was told that no more fits.
    is_full: bool,
    /// Nothing more will come.
    is_closed: bool,
    /// The task that waits for something to change.
    waker: Option<Waker>,
}

/// The one or two parts of a message.
#[derive(Debug)]
struct Packet {
    header: Bytes,
    payload: Option<Bytes>,
}

impl Packet {
    fn len(&self) -> usize {
        self.header.len() + self.payload.as_ref().map_or(0, Bytes::len)
    }
}

/// How a pipe stands after packets were taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// It was full and has room again, and the desk does not know yet.
    pub(super) has_room_again: bool,
    /// Nothing more comes.
    pub(super) is_closed: bool,
    /// Nothing is in it.
    pub(super) is_empty: bool,
}

impl Pipe {
    /// Puts a packet in. `false`: that was the last that fits for now.
    pub(super) fn push(&self, header: &[u8], payload: Option<Bytes>) -> bool {
        let (fits, waker) = {
            let mut inside = self.lock();
            if inside.headers.capacity() < header.len() {
                inside.headers.reserve(HEADERS_BLOCK);
            }
            inside.headers.extend_from_slice(header);
            let packet = Packet { header: inside.headers.split().freeze(), payload };
            inside.bytes += packet.len();
            inside.packets.push_back(packet);
            inside.is_full = inside.bytes >= FULL_BYTES;
            (!inside.is_full, inside.waker.take())
        };
        waker.inspect(Waker::wake_by_ref);
        fits
    }

    /// Nothing more comes; what is in it still goes out.
    pub(super) fn close(&self) {
        let waker = {
            let mut inside = self.lock();
            inside.is_closed = true;
            inside.waker.take()
        };
        waker.inspect(Waker::wake_by_ref);
    }

    /// Puts packets on the link while little waits there to be written. From now on this task is woken when there is
    /// something new.
    pub(super) fn drain(&self, cx: &Context<'_>, link: &mut Link) -> Result<Standing, SendError> {
        let mut inside = self.lock();
        while link.pending() < WRITE_AHEAD {
            let Some(packet) = inside.packets.pop_front() else { break };
            inside.bytes -= packet.len();
            match packet.payload {
                Some(payload) => link.send(&[packet.header, payload])?,
                None => link.send(&[packet.header])?,
            }
        }
        let has_room_again = inside.is_full && inside.bytes <= FULL_BYTES / 2;
        inside.is_full &= !has_room_again;
        let (is_closed, is_empty) = (inside.is_closed, inside.packets.is_empty());
        if is_empty && inside.packets.capacity() > CAPACITY_KEPT {
            // What a burst took is given back.
            inside.packets = VecDeque::new();
        }
        inside.is_watched_by(cx);
        Ok(Standing { has_room_again, is_closed, is_empty })
    }

    /// The parts of the next packet, none once the pipe is closed; and whether it was full and has room again.
    #[cfg(feature = "zeromq")]
    pub(super) fn poll_packet(&self, cx: &Context<'_>) -> Poll<(Option<Vec<Bytes>>, bool)> {
        let mut inside = self.lock();
        let Some(packet) = inside.packets.pop_front() else {
            inside.is_watched_by(cx);
            return if inside.is_closed { Poll::Ready((None, false)) } else { Poll::Pending };
        };
        inside.bytes -= packet.len();
        let has_room_again = inside.is_full && inside.bytes <= FULL_BYTES / 2;
        inside.is_full &= !has_room_again;
        let parts = [Some(packet.header), packet.payload].into_iter().flatten().collect();
        Poll::Ready((Some(parts), has_room_again))
    }

    /// Whether nothing more comes. From now on this task is woken when that, or anything else, is new.
    pub(super) fn watch(&self, cx: &Context<'_>) -> bool {
        let mut inside = self.lock();
        inside.is_watched_by(cx);
        inside.is_closed
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        // Nothing in here can fail half way.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn is_watched_by(&mut self, cx: &Context<'_>) {
        if self.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }
}
