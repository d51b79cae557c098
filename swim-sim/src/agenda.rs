//! What is to happen, in order: one heap for the whole simulation.
//!
//! Entries are ordered by time and, at equal times, by the order in which they were made. That order is total, so a run
//! never depends on how the heap happens to be arranged. Entries cannot be taken back: whoever makes one checks, when
//! it comes up, whether it still means anything (a timer is a hint, state decides).
//!
//! The heap has four children to a node instead of two: half the depth, and the four lie in two cache lines.

/// The agenda of a simulation; `T` says what happens.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    heap: Vec<Entry<T>>,
    made: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry<T> {
    time: u64,
    order: u64,
    what: T,
}

impl<T> Entry<T> {
    fn key(&self) -> (u64, u64) {
        (self.time, self.order)
    }
}

const CHILDREN: usize = 4;

impl<T: Copy> Default for Agenda<T> {
    fn default() -> Self {
        Agenda { heap: Vec::new(), made: 0 }
    }
}

impl<T: Copy> Agenda<T> {
    /// Lets `what` happen at `time`, in nanoseconds, after whatever is already to happen at that time.
    pub(crate) fn add(&mut self, time: u64, what: T) {
        let entry = Entry { time, order: self.made, what };
        self.made += 1;
        self.heap.push(entry);
        self.sift_up(self.heap.len() - 1);
    }

    /// When the next entry is due.
    pub(crate) fn next_time(&self) -> Option<u64> {
        self.heap.first().map(|entry| entry.time)
    }

    /// Takes the next entry.
    pub(crate) fn take(&mut self) -> Option<(u64, T)> {
        let last = self.heap.pop()?;
        let Some(first) = self.heap.first_mut() else { return Some((last.time, last.what)) };
        let taken = core::mem::replace(first, last);
        self.sift_down();
        Some((taken.time, taken.what))
    }

    /// How many entries wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing is to happen any more.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    fn sift_up(&mut self, mut at: usize) {
        let entry = self.heap[at];
        while at > 0 {
            let parent = (at - 1) / CHILDREN;
            if self.heap[parent].key() <= entry.key() {
                break;
            }
            self.heap[at] = self.heap[parent];
            at = parent;
        }
        self.heap[at] = entry;
    }

    fn sift_down(&mut self) {
        let len = self.heap.len();
        let entry = self.heap[0];
        let mut at = 0;
        loop {
            let first = at * CHILDREN + 1;
            if first >= len {
                break;
            }
            let mut least = first;
            for child in first + 1..len.min(first + CHILDREN) {
                if self.heap[child].key() < self.heap[least].key() {
                    least = child;
                }
            }
            if entry.key() <= self.heap[least].key() {
                break;
            }
            self.heap[at] = self.heap[least];
            at = least;
        }
        self.heap[at] = entry;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeds::Draw;

    #[test]
    fn entries_come_in_order_of_time_and_then_of_making() {
        let mut agenda = Agenda::default();
        let mut draw = Draw::new(1);
        let mut expected = Vec::new();
        for made in 0..5_000_u64 {
            let time = draw.below(200);
            agenda.add(time, made);
            expected.push((time, made));
        }
        expected.sort_unstable();
        let taken: Vec<_> = core::iter::from_fn(|| agenda.take()).collect();
        assert_eq!(taken, expected);
        assert!(agenda.is_empty());
    }

    #[test]
    fn entries_made_while_others_are_taken_keep_the_order() {
        let mut agenda = Agenda::default();
        let mut draw = Draw::new(2);
        let mut last = 0;
        agenda.add(0, ());
        for _ in 0..50_000 {
            let (now, ()) = agenda.take().expect("each round puts back at least what it takes");
            assert!(now >= last);
            last = now;
            agenda.add(now + draw.below(1_000), ());
            if agenda.len() < 300 {
                agenda.add(now + draw.below(10), ());
            }
        }
    }
}
