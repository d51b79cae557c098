//! When to come back, and why.
//!
//! One queue for the node. A timer is a hint, state decides: whatever fires looks at the state it concerns and finds
//! out by itself whether there is still something to do. So nothing is taken out of the queue but by firing, and
//! an input that makes a timer pointless costs nothing.
//!
//! Timers of which there is one ([`Chore`]) have a place each and can be moved and cleared; timers of which there are
//! many ([`Timer`]) wait in a heap. Equal times fire in the order in which they were set.

use alloc::collections::BinaryHeap;
use core::cmp::Reverse;

use crate::action::StreamId;
use crate::membership::Slot;
use crate::time::Instant;

/// What the node does again and again: one timer each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Chore {
    /// The protocol period ends: conclude the probe that runs, begin the next.
    Probe,
    /// The probe that runs was not answered directly: ask others, and ping over a stream.
    ProbeTimeout,
    /// Gossip again, if there is still news.
    Gossip,
    /// Compare state with somebody.
    Sync,
    /// Try to join again.
    Join,
    /// Try one of the dead, or a seed.
    Heal,
    /// The departure has been spread for long enough.
    Leave,
    /// Ask again whoever is said to have our name, or go past it.
    Rival,
    /// Ask a member that we do not know whether it is where its ping came from.
    Stranger,
    /// See whether anybody was heard lately.
    Silence,
    /// Let payloads go that were kept for whoever was told of them.
    Payloads,
}

const CHORES: [Chore; 11] = [
    Chore::Probe,
    Chore::ProbeTimeout,
    Chore::Gossip,
    Chore::Sync,
    Chore::Join,
    Chore::Heal,
    Chore::Leave,
    Chore::Rival,
    Chore::Stranger,
    Chore::Silence,
    Chore::Payloads,
];

/// Timers of which there are many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Look at the suspicion of this member: verify, bury, or wait on.
    Suspicion(Slot),
    /// Forget this dead or departed member, if its time has come.
    Reap(Slot),
    /// Nack the ping-req served under this sequence, if it is still unanswered.
    Relay(u32),
    /// Reset this stream if nothing has moved on it.
    Stream(StreamId),
    /// Ask the holder of the joiner's name on this stream again, or admit the joiner.
    Admit(StreamId),
}

/// What fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fired {
    Chore(Chore),
    Timer(Timer),
}

const NEVER: Instant = Instant::from_nanos(u64::MAX);

pub(crate) struct Timers {
    chores: [Instant; CHORES.len()],
    heap: BinaryHeap<Reverse<(Instant, u64, Timer)>>,
    /// Orders timers of equal time.
    count: u64,
}

impl Timers {
    pub(crate) fn new() -> Timers {
        Timers { chores: [NEVER; CHORES.len()], heap: BinaryHeap::new(), count: 0 }
    }

    pub(crate) fn set(&mut self, chore: Chore, at: Instant) {
        self.chores[chore as usize] = at;
    }

    pub(crate) fn clear(&mut self, chore: Chore) {
        self.chores[chore as usize] = NEVER;
    }

    pub(crate) fn clear_all(&mut self) {
        self.chores = [NEVER; CHORES.len()];
        self.heap.clear();
    }

    pub(crate) fn at(&self, chore: Chore) -> Option<Instant> {
        Some(self.chores[chore as usize]).filter(|&at| at != NEVER)
    }

    pub(crate) fn push(&mut self, at: Instant, timer: Timer) {
        self.count += 1;
        self.heap.push(Reverse((at, self.count, timer)));
    }

    /// How many wait in the heap, those that will find nothing to do included.
    pub(crate) fn heap_len(&self) -> usize {
        self.heap.len()
    }

    /// Empties the heap, for whoever sets anew what the state needs.
    pub(crate) fn clear_heap(&mut self) {
        self.heap.clear();
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let first_chore = self.chores.iter().copied().min().unwrap_or(NEVER);
        let first = self.heap.peek().map_or(first_chore, |Reverse((at, ..))| first_chore.min(*at));
        (first != NEVER).then_some(first)
    }

    /// The first timer that is due, removed.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Fired> {
        let chore = CHORES.into_iter().min_by_key(|&chore| self.chores[chore as usize])?;
        let chore_at = self.chores[chore as usize];
        if let Some(&Reverse((at, _, timer))) = self.heap.peek()
            && at <= now
            && at < chore_at
        {
            self.heap.pop();
            return Some(Fired::Timer(timer));
        }
        (chore_at <= now && chore_at != NEVER).then(|| {
            self.clear(chore);
            Fired::Chore(chore)
        })
    }

    /// What comes first, for people.
    pub(crate) fn next(&self) -> Option<(Instant, &'static str)> {
        let deadline = self.deadline()?;
        let chore = CHORES.into_iter().find(|&chore| self.chores[chore as usize] == deadline);
        let word = match chore {
            Some(Chore::Probe) => "probe",
            Some(Chore::ProbeTimeout) => "probe time-out",
            Some(Chore::Gossip) => "gossip",
            Some(Chore::Sync) => "sync",
            Some(Chore::Join) => "join",
            Some(Chore::Heal) => "heal",
            Some(Chore::Leave) => "leave",
            Some(Chore::Rival) => "rival",
            Some(Chore::Stranger) => "stranger",
            Some(Chore::Silence) => "silence",
            Some(Chore::Payloads) => "payloads",
            None => match self.heap.peek().map(|Reverse((_, _, timer))| *timer)? {
                Timer::Suspicion(_) => "suspicion",
                Timer::Reap(_) => "reap",
                Timer::Relay(_) => "relay",
                Timer::Stream(_) => "stream",
                Timer::Admit(_) => "admit",
            },
        };
        Some((deadline, word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_first_fires_first_and_nothing_fires_early() {
        let at = Instant::from_nanos;
        let mut timers = Timers::new();
        timers.push(at(5), Timer::Relay(1));
        timers.push(at(3), Timer::Relay(2));
        timers.push(at(3), Timer::Relay(3));
        timers.set(Chore::Gossip, at(4));
        assert_eq!(timers.deadline(), Some(at(3)));
        let fired: [_; 4] = core::array::from_fn(|_| timers.pop(at(4)));
        assert_eq!(
            fired,
            [
                Some(Fired::Timer(Timer::Relay(2))),
                Some(Fired::Timer(Timer::Relay(3))),
                Some(Fired::Chore(Chore::Gossip)),
                None
            ]
        );
        assert_eq!(timers.next(), Some((at(5), "relay")));
    }
}
