//! What one link is to send: filled by whoever works at the desk, emptied by the link's task.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
#[cfg(feature = "zeromq")]
use std::task::{Context, Poll};

use bytes::Bytes;
use swim_driver::messaging::{Packets, Standing};
use swim_zmq::{Link, SendError};

/// A bounded queue of packets, and who is to know of them.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    packets: Packets,
    /// The task that waits for something to change.
    waker: Option<Waker>,
}

impl Pipe {
    /// Puts a packet in. `false`: that was the last that fits for now.
    pub(super) fn push(&self, header: &[u8], payload: Option<Bytes>) -> bool {
        let (fits, waker) = {
            let mut inside = self.lock();
            (inside.packets.push(header, payload), inside.waker.take())
        };
        waker.inspect(Waker::wake_by_ref);
        fits
    }

    /// Nothing more comes; what is in it still goes out.
    pub(super) fn close(&self) {
        let waker = {
            let mut inside = self.lock();
            inside.packets.close();
            inside.waker.take()
        };
        waker.inspect(Waker::wake_by_ref);
    }

    /// Puts packets on the link while little waits there to be written. From now on this task is woken when there is
    /// something new.
    pub(super) fn drain(&self, waker: &Waker, link: &mut Link) -> Result<Standing, SendError> {
        let mut inside = self.lock();
        let standing = inside.packets.drain(link)?;
        inside.is_watched_by(waker);
        Ok(standing)
    }

    /// The parts of the next packet, none once the pipe is closed; and whether it was full and has room again.
    #[cfg(feature = "zeromq")]
    pub(super) fn poll_packet(&self, cx: &Context<'_>) -> Poll<(Option<Vec<Bytes>>, bool)> {
        let mut inside = self.lock();
        match inside.packets.pop() {
            Some((parts, has_room_again)) => Poll::Ready((Some(parts), has_room_again)),
            None if inside.packets.is_closed() => Poll::Ready((None, false)),
            None => {
                inside.is_watched_by(cx.waker());
                Poll::Pending
            }
        }
    }

    /// Whether nothing more comes. From now on this task is woken when that, or anything else, is new.
    pub(super) fn watch(&self, waker: &Waker) -> bool {
        let mut inside = self.lock();
        inside.is_watched_by(waker);
        inside.packets.is_closed()
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        // Nothing in here can fail half way.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn is_watched_by(&mut self, waker: &Waker) {
        if self.waker.as_ref().is_none_or(|watching| !watching.will_wake(waker)) {
            self.waker = Some(waker.clone());
        }
    }
}
