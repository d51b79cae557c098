//! What a receiver knows of one sending session: which numbers came, which wait for others, what may be sent
//! (`docs/messaging.md` 6, 7).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::message::{Class, OVERHEAD, Order};
use super::numbers::Numbers;
use super::packet::{Ack, NUMBER_MAX, RANGES_MAX, Range};
use crate::time::Instant;

/// A message as it came.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) class: Class,
    pub(super) order: Order,
    pub(super) repeated: bool,
    pub(super) payload: Bytes,
}

/// Who sends half of a step in less time than this needs more: what holds it is the credit.
const QUICK: Duration = Duration::from_secs(1);

/// What a number brings.
#[derive(Debug)]
pub(super) enum Content {
    Message(Parcel),
    /// Nothing: its message has ended. What it counted.
    Forward(u32),
}

/// What a payload counts.
pub(super) fn cost(payload: &[u8]) -> u64 {
    (payload.len() + OVERHEAD) as u64
}

/// What a number that came was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    New,
    Again,
    /// Beyond the credit, or not a place in any order.
    Wrong,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It has not come, but a later one has.
    Missing,
    /// It waits for another.
    Held,
    /// It is in the application's queue.
    Queued,
    /// The application has it, and has not acknowledged it.
    Taken,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    state: State,
    /// What waits for it; 0: nothing.
    then: u64,
}

const MISSING: Slot = Slot { state: State::Missing, then: 0 };

#[derive(Debug)]
pub(super) struct Inbox {
    /// Its number.
    pub(super) id: u64,
    /// Most numbers open.
    window: u64,
    slots: Numbers<Slot>,
    held: BTreeMap<u64, Content>,
    /// Bytes of what came.
    received: u64,
    /// Of these, bytes of what the application took, or was passed over.
    taken: u64,
    credit_bytes: u64,
    /// How much it may hold or be promised.
    share: u64,
    /// Bytes of what had come, and when, as its need was looked at last.
    looked_at: (u64, Instant),
    delivered_to: u64,
    /// Ranges that were not told yet.
    delivered: Vec<Range>,
    processed: Vec<Range>,
    /// The question to answer: 1 more than its number; 0: none.
    echo: u64,
    /// Something is to be told.
    dirty: bool,
    /// Messages that the application has and has not acknowledged.
    unacknowledged: u32,
    /// Numbers that have not come, while later ones have.
    missing: usize,
}

impl Inbox {
    pub(super) fn new(id: u64, window: u32) -> Inbox {
        Inbox {
            id,
            window: window.into(),
            slots: Numbers::new(2 * window as usize),
            held: BTreeMap::new(),
            received: 0,
            taken: 0,
            credit_bytes: 0,
            share: 0,
            looked_at: (0, Instant::ZERO),
            delivered_to: 0,
            delivered: Vec::new(),
            processed: Vec::new(),
            echo: 0,
            dirty: false,
            unacknowledged: 0,
            missing: 0,
        }
    }

    /// A number came. What can be delivered by that is put into `out`, in order.
    pub(super) fn come(&mut self, number: u64, back: u64, content: Content, out: &mut Vec<(u64, Parcel)>) -> Came {
        let fresh = number > self.slots.last();
        if !fresh && self.slots.get(number).is_none_or(|slot| slot.state != State::Missing) {
            self.dirty = true;
            return Came::Again;
        }
        let (cost, credit) = match &content {
            Content::Message(parcel) => (cost(&parcel.payload), self.credit_bytes),
            // No bytes come: what it counts needs no credit, and uses none up.
            Content::Forward(cost) => (u64::from(*cost), self.credit_bytes + u64::from(*cost)),
        };
        if number > self.credit_messages() || self.received + cost > credit || credit > NUMBER_MAX {
            return Came::Wrong;
        }
        while self.slots.last() < number {
            self.slots.push(MISSING);
            self.missing += 1;
        }
        // An end of the window that is set aside later is looked up by its number like any.
        if back > 0
            && let Some(before) = self.slots.get_mut(number - back)
            && matches!(before.state, State::Missing | State::Held)
        {
            if before.then != 0 {
                return Came::Wrong;
            }
            before.then = number;
            self.slots.get_mut(number).expect("it was made above").state = State::Held;
            self.held.insert(number, content);
        } else {
            self.deliver(number, content, out);
        }
        self.received += cost;
        self.missing -= 1;
        let passed_over = credit - self.credit_bytes;
        (self.credit_bytes, self.taken) = (credit, self.taken + passed_over);
        self.looked_at.0 += passed_over;
        self.dirty |= passed_over > 0;
        Came::New
    }

    /// Delivers a number, and what waited for it.
    fn deliver(&mut self, number: u64, content: Content, out: &mut Vec<(u64, Parcel)>) {
        self.dirty = true;
        let (mut number, mut content) = (number, content);
        loop {
            let slot = self.slots.get_mut(number).expect("what is delivered is not done");
            let then = core::mem::take(&mut slot.then);
            slot.state = State::Queued;
            match content {
                Content::Message(parcel) => out.push((number, parcel)),
                Content::Forward(_) => self.done(number),
            }
            if number == self.delivered_to + 1 {
                self.delivered_to = number;
                while self.delivered_to < self.slots.last() && self.is_delivered(self.delivered_to + 1) {
                    self.delivered_to += 1;
                }
            } else {
                note(&mut self.delivered, number);
            }
            if then == 0 {
                return;
            }
            (number, content) = (then, self.held.remove(&then).expect("what waits is held"));
        }
    }

    fn is_delivered(&self, number: u64) -> bool {
        self.slots.get(number).is_none_or(|slot| matches!(slot.state, State::Queued | State::Taken))
    }

    fn done(&mut self, number: u64) {
        self.slots.remove(number);
        if number >= self.slots.first_open() {
            note(&mut self.processed, number);
        }
        self.dirty = true;
    }

    /// The application took a message of this cost; `processed`: and needs not acknowledge it.
    pub(super) fn take(&mut self, number: u64, cost: u64, processed: bool) {
        self.taken += cost;
        if processed {
            self.done(number);
        } else if let Some(slot) = self.slots.get_mut(number) {
            slot.state = State::Taken;
            self.unacknowledged += 1;
        }
    }

    /// The application acknowledged a message that it took. Whether it is one.
    pub(super) fn acknowledge(&mut self, number: u64) -> bool {
        let taken = self.slots.get(number).is_some_and(|slot| slot.state == State::Taken);
        if taken {
            self.unacknowledged -= 1;
            self.done(number);
        }
        taken
    }

    pub(super) fn unacknowledged(&self) -> u32 {
        self.unacknowledged
    }

    /// Whether numbers have not come of which later ones have.
    pub(super) fn is_missing_some(&self) -> bool {
        self.missing > 0
    }

    /// The number up to which may be sent.
    fn credit_messages(&self) -> u64 {
        (self.slots.last() - self.slots.open() as u64 + self.window).min(NUMBER_MAX)
    }

    /// Bytes received and not taken, and room promised.
    pub(super) fn outstanding(&self) -> u64 {
        self.credit_bytes - self.taken
    }

    /// Of what was promised, what is not used.
    pub(super) fn unused(&self) -> u64 {
        self.credit_bytes - self.received
    }

    /// How much it may hold or be promised, as its sender's need is.
    pub(super) fn share(&self) -> u64 {
        self.share
    }

    /// A link begins: nothing is known of what its sender needs beyond the base.
    pub(super) fn begin_share(&mut self, now: Instant, base: u64) {
        (self.share, self.looked_at) = (base, (self.received, now));
    }

    /// Looks at what its sender needs once half of a step has come since the last look: more, up to `max`, if that was
    /// quick; less, down to `base`, if it took long (`docs/messaging.md` 7.5). Whether the share grew.
    pub(super) fn settle_share(&mut self, now: Instant, (base, max): (u64, u64)) -> bool {
        let (received, at) = self.looked_at;
        let step = if self.share <= base { self.share } else { self.share / 2 };
        if self.received - received < step / 2 {
            return false;
        }
        self.looked_at = (self.received, now);
        let before = self.share;
        if now < at + QUICK {
            self.share = (before * 2).min(max);
        } else if now >= at + QUICK * 8 {
            self.share = (before / 2).max(base);
        }
        self.share > before
    }

    /// Promises room for so many bytes more.
    pub(super) fn grant(&mut self, bytes: u64) {
        self.credit_bytes = self.credit_bytes.saturating_add(bytes).min(NUMBER_MAX);
        self.dirty = true;
    }

    /// The link is gone, and with it what was promised: what was on its way will be sent again, and can wait. But what
    /// is missing, while later numbers came, has its place in what was promised, and keeps it. How much is taken back.
    pub(super) fn unlink(&mut self) -> u64 {
        (self.echo, self.dirty) = (0, false);
        let unused = if self.missing == 0 { self.unused() } else { 0 };
        self.credit_bytes -= unused;
        unused
    }

    /// The whole state of things is to be told, in answer to this question.
    pub(super) fn ask(&mut self, question: u64) {
        self.echo = question + 1;
        self.dirty = true;
        self.delivered.clear();
        self.processed.clear();
        let last = self.slots.last();
        let (mut delivered_from, mut processed_from) = (self.delivered_to + 1, self.slots.first_open());
        let mut open = self.slots.next_open(0);
        while let Some(number) = open {
            if !self.is_delivered(number) {
                push_run(&mut self.delivered, delivered_from, number);
                delivered_from = number + 1;
            }
            push_run(&mut self.processed, processed_from, number);
            processed_from = number + 1;
            open = self.slots.next_open(number + 1);
        }
        push_run(&mut self.delivered, delivered_from, last + 1);
        push_run(&mut self.processed, processed_from, last + 1);
    }

    /// The next Ack, if there is something to tell.
    pub(super) fn ack(&mut self) -> Option<Ack> {
        if !core::mem::take(&mut self.dirty) {
            return None;
        }
        let processed_to = self.slots.first_open() - 1;
        let delivered = next_ranges(&mut self.delivered, self.delivered_to);
        let processed = next_ranges(&mut self.processed, processed_to);
        let is_last = self.delivered.is_empty() && self.processed.is_empty();
        self.dirty = !is_last;
        Some(Ack {
            delivered_to: self.delivered_to,
            processed_to,
            credit_messages: self.credit_messages(),
            credit_bytes: self.credit_bytes,
            echo: if is_last { core::mem::take(&mut self.echo) } else { 0 },
            delivered,
            processed,
        })
    }
}

/// Adds a number to ranges, which need not be in order.
fn note(ranges: &mut Vec<Range>, number: u64) {
    match ranges.last_mut() {
        Some(range) if range.last + 1 == number => range.last = number,
        Some(range) if number + 1 == range.first => range.first = number,
        _ => ranges.push(Range { first: number, last: number }),
    }
}

/// Adds the numbers from `first` to before `end`, if there are any.
fn push_run(ranges: &mut Vec<Range>, first: u64, end: u64) {
    if first < end {
        ranges.push(Range { first, last: end - 1 });
    }
}

/// As many of the ranges as fit an Ack, in order and apart from one another. They are taken out, and those that `to`
/// has overtaken are thrown out.
fn next_ranges(ranges: &mut Vec<Range>, to: u64) -> Vec<Range> {
    if ranges.is_empty() {
        return Vec::new();
    }
    ranges.retain(|range| range.last > to);
    if !ranges.is_sorted_by(|one, other| one.last + 1 < other.first) {
        ranges.sort_unstable_by_key(|range| range.first);
        ranges.dedup_by(|next, range| {
            let touches = next.first <= range.last + 1;
            if touches {
                range.last = range.last.max(next.last);
            }
            touches
        });
    }
    ranges.drain(..ranges.len().min(RANGES_MAX)).collect()
}

#[cfg(test)]
mod tests;
