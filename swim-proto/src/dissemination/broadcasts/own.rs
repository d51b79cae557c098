//! Our own broadcasts, a few at a time, in the order of their numbers (`docs/protocol.md` 12.3).
//!
//! The next begins once all before it have begun and the oldest that is still told is not too far behind.

use alloc::collections::VecDeque;

/// So many of our own are told at a time: half of what receivers tell apart ([`super::super::seen::WINDOW`]).
pub(crate) const OWN_AT_ONCE: usize = 64;

#[derive(Clone, Copy, Debug)]
struct Own {
    entry: u32,
    len: usize,
    /// Told often enough, while an earlier one is not.
    spent: bool,
}

#[derive(Default)]
pub(super) struct OwnQueue {
    /// Those that are told, or spent behind one that is, and then those that wait.
    queue: VecDeque<Own>,
    /// How many have begun to be told.
    begun: usize,
    /// Those that are not spent, and bytes of payload in them.
    count: usize,
    bytes: usize,
}

impl OwnQueue {
    /// How many are not spent.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Bytes of payload in those.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, entry: u32, len: usize) {
        self.queue.push_back(Own { entry, len, spent: false });
        self.count += 1;
        self.bytes += len;
    }

    /// The next that begins to be told, if one may.
    pub(super) fn begin_next(&mut self) -> Option<u32> {
        let &Own { entry, .. } = self.queue.get(self.begun).filter(|_| self.begun < OWN_AT_ONCE)?;
        self.begun += 1;
        Some(entry)
    }

    /// It was told often enough, or is given up. Whether it was one of these.
    pub(super) fn spent(&mut self, entry: u32) -> bool {
        let mut begun = self.queue.iter_mut().take(self.begun);
        let Some(own) = begun.find(|own| own.entry == entry && !own.spent) else { return false };
        own.spent = true;
        self.count -= 1;
        self.bytes -= own.len;
        while self.queue.front().is_some_and(|own| own.spent) {
            self.queue.pop_front();
            self.begun -= 1;
        }
        true
    }
}
