//! A run's fingerprint, and, if wanted, its story.
//!
//! Everything that happens is mixed into one hash: each entry of the agenda, each packet sent with its bytes, each event
//! told to an application. Two runs of one seed are the same run if and only if their hashes agree, on any machine and
//! with or without judges, so nothing else may enter it. The same items can be kept for the step in hand, so that a
//! second run of the seed is compared item by item (`--check-determinism`), and lines can be written, one per change of
//! state, for people.

use std::fmt;
use std::io::Write;

use swim_proto::{Cause, Event};

use crate::streams::SegmentHead;

/// The trace of one run.
pub(crate) struct Trace {
    hash: u64,
    step: Option<Vec<Item>>,
    lines: Option<Box<dyn Write + Send>>,
}

/// One thing that happened, as it is compared between runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// Simulated time in nanoseconds.
    pub at: u64,
    /// At which node, by slot; `u32::MAX`: at none.
    pub slot: u32,
    /// What it was.
    pub what: &'static str,
    /// The hash of its content.
    pub content: u64,
    /// The number of its bytes, where it has any.
    pub len: u32,
}

const K0: u64 = 0xa076_1d64_78bd_642f;
const K1: u64 = 0xe703_7ed1_a0b4_28db;

/// Multiplies to 128 bits and folds: every bit of both reaches every bit of the result.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

fn hash_words(words: &[u64]) -> u64 {
    words.iter().fold(K1, |hash, &word| fold(hash ^ word, K0))
}

/// Sixteen bytes at a time, little-endian on every machine, the length with the last.
fn hash_bytes(bytes: &[u8]) -> u64 {
    let word = |bytes: &[u8]| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    };
    let mut hash = K1;
    let mut chunks = bytes.chunks_exact(16);
    for chunk in &mut chunks {
        let (low, high) = chunk.split_at(8);
        hash = fold(hash ^ word(low), K0 ^ word(high));
    }
    let (low, high) = chunks.remainder().split_at(chunks.remainder().len().min(8));
    fold(fold(hash ^ word(low), K0 ^ word(high)), K1 ^ bytes.len() as u64)
}

impl Trace {
    pub(crate) fn new() -> Trace {
        Trace { hash: K0, step: None, lines: None }
    }

    /// The hash of all that happened so far.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Keeps the items of each step from now on.
    pub(crate) fn keep_steps(&mut self) {
        self.step = Some(Vec::new());
    }

    /// Forgets the items kept: a new step begins.
    pub(crate) fn begin_step(&mut self) {
        if let Some(step) = &mut self.step {
            step.clear();
        }
    }

    /// The items of the last step, if they are kept.
    pub(crate) fn step(&self) -> &[Item] {
        self.step.as_deref().unwrap_or(&[])
    }

    /// Writes a line per change of state from now on.
    pub(crate) fn write_lines(&mut self, to: Box<dyn Write + Send>) {
        self.lines = Some(to);
    }

    fn item(&mut self, at: u64, slot: u32, what: &'static str, content: u64, len: usize) {
        let kind = u64::from(what.as_bytes()[0]) << 8 | what.len() as u64;
        self.hash = fold(self.hash ^ at ^ (u64::from(slot) << 40), K1 ^ content ^ kind);
        if let Some(step) = &mut self.step {
            step.push(Item { at, slot, what, content, len: len as u32 });
        }
    }

    /// Something was sent or arrived, with these bytes.
    pub(crate) fn bytes(&mut self, at: u64, slot: u32, what: &'static str, bytes: &[u8]) {
        self.item(at, slot, what, hash_bytes(bytes), bytes.len());
    }

    /// Something happened that these numbers tell apart.
    pub(crate) fn words(&mut self, at: u64, slot: u32, what: &'static str, words: &[u64]) {
        self.item(at, slot, what, hash_words(words), 0);
    }

    /// A segment was sent.
    pub(crate) fn segment(&mut self, at: u64, slot: u32, head: &SegmentHead, bytes: &[u8]) {
        let words = [
            u64::from(head.to.connection),
            u64::from(head.to.generation) << 16 | (head.to.side as u64) << 8 | head.carried as u64,
            head.sequence << 1 | u64::from(head.last),
            head.acknowledged,
            head.window,
            hash_bytes(bytes),
        ];
        self.item(at, slot, "segment", hash_words(&words), bytes.len());
    }

    /// An application was told something.
    pub(crate) fn event(&mut self, at: u64, slot: u32, event: &Event<'_>) {
        let (what, words) = words_of(event);
        self.item(at, slot, what, hash_words(&words), 0);
        if self.lines.is_some() {
            self.line(at, format_args!("n{slot} {}", Told(event)));
        }
    }

    /// Whether lines are wanted at all.
    pub(crate) fn has_lines(&self) -> bool {
        self.lines.is_some()
    }

    /// Writes a line, if lines are wanted. A file that can no longer be written to ends the story, not the run.
    pub(crate) fn line(&mut self, at: u64, what: fmt::Arguments<'_>) {
        if let Some(lines) = &mut self.lines
            && writeln!(lines, "{:5}.{:06} {what}", at / 1_000_000_000, at % 1_000_000_000 / 1_000).is_err()
        {
            self.lines = None;
        }
    }

    /// Writes out what is still in a buffer.
    pub(crate) fn flush(&mut self) {
        if let Some(lines) = &mut self.lines {
            let _ = lines.flush();
        }
    }
}

/// An event's name, and the numbers that tell it from others of that name.
fn words_of(event: &Event<'_>) -> (&'static str, [u64; 6]) {
    let Some(change) = event.change() else {
        return match event {
            Event::Superseded { life, .. } => ("superseded", [*life, 0, 0, 0, 0, 0]),
            Event::NameTaken { holder } => ("name taken", [holder.port().into(), 0, 0, 0, 0, 0]),
            Event::Isolated { since } => ("isolated", [since.as_nanos(), 0, 0, 0, 0, 0]),
            Event::Reconnected { after } => ("reconnected", [after.as_nanos() as u64, 0, 0, 0, 0, 0]),
            Event::Broadcast { origin, life, sequence, payload } => {
                ("broadcast", [origin.as_u64(), *life, *sequence, payload.len() as u64, 0, 0])
            }
            Event::Message { from, payload } => ("message", [from.as_u64(), payload.len() as u64, 0, 0, 0, 0]),
            other => (other.kind(), [0; 6]),
        };
    };
    let cause = match change.cause {
        Cause::Itself => [1, 0],
        Cause::ProbeFailed => [2, 0],
        Cause::Accused { by } => [3, by.as_u64()],
        Cause::SuspicionExpired { accusers, since } => [4 + (u64::from(accusers) << 8), since.as_nanos()],
        Cause::DeclaredBy { by } => [5, by.as_u64()],
        Cause::Operator => [6, 0],
        Cause::Forgotten => [7, 0],
        _ => [0, 0],
    };
    let member = &change.member;
    let incarnation = member.incarnation;
    let id = member.id.as_u64();
    (event.kind(), [id, member.state as u64, incarnation.life, incarnation.refutation.into(), cause[0], cause[1]])
}

/// An event in words.
struct Told<'a>(&'a Event<'a>);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, change) = match self.0 {
            Event::Joined(change) => ("sees joining", change),
            Event::Updated(change) => ("sees changed", change),
            Event::Suspected(change) => ("suspects", change),
            Event::Refuted(change) => ("no longer suspects", change),
            Event::Died(change) => ("holds dead", change),
            Event::Left(change) => ("sees departed", change),
            Event::Restarted(change) => ("sees restarted", change),
            Event::Reaped(change) => ("forgets", change),
            other => return write!(f, "{other:?}"),
        };
        let member = &change.member;
        write!(f, "{what} {} {} ({:?})", member.name, member.incarnation, change.cause)
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09} ", self.at / 1_000_000_000, self.at % 1_000_000_000)?;
        if self.slot != u32::MAX {
            write!(f, "n{} ", self.slot)?;
        }
        write!(f, "{}", self.what)?;
        if self.len > 0 {
            write!(f, " of {} bytes", self.len)?;
        }
        write!(f, " [{:016x}]", self.content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_tells_apart_bytes_lengths_and_order() {
        let mut hashes: Vec<u64> = (0..64).map(|len| hash_bytes(&[0; 64][..len])).collect();
        for at in 0..40 {
            let mut bytes = [0; 40];
            bytes[at] = 1;
            hashes.push(hash_bytes(&bytes));
        }
        hashes.push(hash_words(&[1, 2]));
        hashes.push(hash_words(&[2, 1]));
        let count = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
    }

    #[test]
    fn the_hash_is_the_same_on_every_machine() {
        assert_eq!(hash_bytes(b"the quick brown fox"), hash_bytes(b"the quick brown fox"));
        let mut trace = Trace::new();
        trace.bytes(1, 2, "datagram", b"hello");
        trace.words(3, 4, "wake", &[5]);
        assert_eq!(format!("{:016x}", trace.hash()), "0844e3f6aadd4679");
    }
}
