//! What is going to happen, in the order of time, and of planning where times are equal.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::streams::Moved;
use crate::peer::{Index, Nanos};

/// Which end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The one that asked for it.
    Opener,
    /// The one that was asked.
    Acceptor,
}

impl Side {
    pub(crate) fn other(self) -> Side {
        match self {
            Side::Opener => Side::Acceptor,
            Side::Acceptor => Side::Opener,
        }
    }
}

/// Something that happens at one moment.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A node starts, and joins by way of this seed if there is one.
    Start { node: Index, join: Option<Index> },
    /// A node is handed its view.
    Know { node: Index, members: Range<Index> },
    /// A node's host is gone: it says nothing, and nobody says so.
    Crash { node: Index },
    /// From now on so many of a thousand packets are lost.
    Lose { per_mille: u32 },
    /// A node wanted to be woken.
    Wake { node: Index },
    /// A datagram arrives.
    Datagram { from: Index, to: Index, bytes: Vec<u8> },
    /// Something happens at one end of a stream.
    Stream { stream: usize, side: Side, input: Moved },
}

/// The events to come. Buffers and places of those that are over are used again.
pub(crate) struct Agenda {
    order: BinaryHeap<Reverse<(Nanos, u64, u32)>>,
    happenings: Vec<Option<Happening>>,
    free: Vec<u32>,
    planned: u64,
    buffers: Vec<Vec<u8>>,
}

impl Agenda {
    pub(crate) fn new() -> Agenda {
        Agenda { order: BinaryHeap::new(), happenings: Vec::new(), free: Vec::new(), planned: 0, buffers: Vec::new() }
    }

    pub(crate) fn push(&mut self, when: Nanos, happening: Happening) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.happenings.push(None);
            u32::try_from(self.happenings.len() - 1).expect("fewer events than memory")
        });
        self.happenings[place as usize] = Some(happening);
        self.order.push(Reverse((when, self.planned, place)));
        self.planned += 1;
    }

    /// The next event, if it is not later than `until`.
    pub(crate) fn pop(&mut self, until: Nanos) -> Option<(Nanos, Happening)> {
        let Reverse((when, _, place)) = *self.order.peek()?;
        if when > until {
            return None;
        }
        self.order.pop();
        self.free.push(place);
        let happening = self.happenings[place as usize].take().expect("each place is in the order once");
        Some((when, happening))
    }

    /// How many events were planned so far.
    pub(crate) fn planned(&self) -> u64 {
        self.planned
    }

    /// A copy of these bytes, in a buffer used before if there is one.
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut buffer = self.buffers.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(bytes);
        buffer
    }

    pub(crate) fn recycle(&mut self, buffer: Vec<u8>) {
        self.buffers.push(buffer);
    }
}
