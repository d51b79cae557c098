//! One teller, any number of listeners, and what each of them has not heard yet: as much as the ring holds.
//!
//! Whoever listens too slowly loses the oldest and is told how much; what all have heard is not kept. The teller waits for
//! nobody, and takes the lock only when there is something to tell and somebody to hear it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::waiting::Until;

/// What is told, for a while.
pub(crate) struct Ring<T> {
    inside: Mutex<Inside<T>>,
    news: Condvar,
    listeners: AtomicUsize,
    len_max: usize,
}

struct Inside<T> {
    /// Each listener hears in order, and begins at the end: none has more listeners before it than one told later.
    kept: VecDeque<Kept<T>>,
    /// The number of the first that is kept.
    first: u64,
    is_closed: bool,
}

struct Kept<T> {
    value: T,
    /// Listeners that have not heard it.
    unheard: usize,
}

impl<T: Clone> Inside<T> {
    /// What has this number, for one listener more.
    fn hear(&mut self, number: u64) -> Option<T> {
        let kept = self.kept.get_mut((number - self.first) as usize)?;
        kept.unheard -= 1;
        if kept.unheard > 0 {
            return Some(kept.value.clone());
        }
        debug_assert_eq!(number, self.first, "whoever heard this has heard what came before");
        self.first += 1;
        self.kept.pop_front().map(|kept| kept.value)
    }

    /// A listener goes, that would have heard this number next.
    fn forgo(&mut self, next: u64) {
        let heard = next.saturating_sub(self.first) as usize;
        self.kept.iter_mut().skip(heard).for_each(|kept| kept.unheard -= 1);
        while self.kept.front().is_some_and(|kept| kept.unheard == 0) {
            self.kept.pop_front();
            self.first += 1;
        }
    }
}

/// Why there is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missed {
    Lagged(u64),
    Closed,
}

impl<T> fmt::Debug for Ring<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("len_max", &self.len_max).finish_non_exhaustive()
    }
}

impl<T: Clone> Ring<T> {
    pub(crate) fn new(len_max: usize) -> Arc<Ring<T>> {
        let inside = Inside { kept: VecDeque::new(), first: 0, is_closed: false };
        Arc::new(Ring { inside: Mutex::new(inside), news: Condvar::new(), listeners: AtomicUsize::new(0), len_max })
    }

    pub(crate) fn listeners(&self) -> usize {
        self.listeners.load(Ordering::Relaxed)
    }

    pub(crate) fn tell(&self, value: T) {
        let mut inside = self.lock();
        let unheard = self.listeners();
        if unheard == 0 {
            return;
        }
        if inside.kept.len() >= self.len_max {
            inside.kept.pop_front();
            inside.first += 1;
        }
        inside.kept.push_back(Kept { value, unheard });
        drop(inside);
        self.news.notify_all();
    }

    /// There is nothing more to tell.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.news.notify_all();
    }

    /// Hears what is told from now on.
    pub(crate) fn listen(self: &Arc<Self>) -> Listener<T> {
        let inside = self.lock();
        self.listeners.fetch_add(1, Ordering::Relaxed);
        Listener { ring: self.clone(), next: inside.first + inside.kept.len() as u64 }
    }

    fn lock(&self) -> MutexGuard<'_, Inside<T>> {
        // Nothing in here can fail half way.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hears each value once, in order.
#[derive(Debug)]
pub(crate) struct Listener<T: Clone> {
    ring: Arc<Ring<T>>,
    next: u64,
}

impl<T: Clone> Listener<T> {
    /// The next, or none within `limit`; without a limit, waits for it.
    pub(crate) fn hear(&mut self, limit: Option<Duration>) -> Result<Option<T>, Missed> {
        let until = Until::within(limit);
        let mut inside = self.ring.lock();
        loop {
            if self.next < inside.first {
                let lost = inside.first - self.next;
                self.next = inside.first;
                return Err(Missed::Lagged(lost));
            }
            if let Some(value) = inside.hear(self.next) {
                self.next += 1;
                return Ok(Some(value));
            }
            if inside.is_closed {
                return Err(Missed::Closed);
            }
            let Some(waited) = until.wait(&self.ring.news, inside) else { return Ok(None) };
            inside = waited;
        }
    }
}

impl<T: Clone> Drop for Listener<T> {
    fn drop(&mut self) {
        let mut inside = self.ring.lock();
        inside.forgo(self.next);
        if self.ring.listeners.fetch_sub(1, Ordering::Relaxed) == 1 {
            debug_assert!(inside.kept.is_empty(), "nobody hears what is kept");
            inside.kept = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Option<Duration> = Some(Duration::ZERO);

    #[test]
    fn each_listener_hears_everything_once_and_in_order() {
        let ring = Ring::new(8);
        let mut one = ring.listen();
        ring.tell(1);
        let mut two = ring.listen();
        ring.tell(2);
        assert_eq!((one.hear(NOW), one.hear(NOW), one.hear(NOW)), (Ok(Some(1)), Ok(Some(2)), Ok(None)));
        assert_eq!((two.hear(NOW), two.hear(NOW)), (Ok(Some(2)), Ok(None)));
    }

    #[test]
    fn who_is_too_slow_is_told_how_much_is_lost_and_hears_the_rest() {
        let ring = Ring::new(4);
        let mut slow = ring.listen();
        (0..10).for_each(|number| ring.tell(number));
        assert_eq!(slow.hear(NOW), Err(Missed::Lagged(6)));
        let rest: Vec<_> = std::iter::from_fn(|| slow.hear(NOW).unwrap()).collect();
        assert_eq!(rest, [6, 7, 8, 9]);
    }

    #[test]
    fn what_all_have_heard_is_kept_no_more() {
        let ring = Ring::new(8);
        let told = |ring: &Arc<Ring<Arc<()>>>| {
            let value = Arc::new(());
            ring.tell(value.clone());
            Arc::downgrade(&value)
        };
        let is_gone = |value: &std::sync::Weak<()>| value.strong_count() == 0;
        let (mut quick, mut slow) = (ring.listen(), ring.listen());
        let values: Vec<_> = (0..3).map(|_| told(&ring)).collect();
        while quick.hear(NOW).unwrap().is_some() {}
        assert!(!values.iter().any(is_gone), "one has heard nothing");
        slow.hear(NOW).unwrap();
        assert!(is_gone(&values[0]) && !is_gone(&values[1]));
        // One that comes later is told what comes later.
        let mut late = ring.listen();
        let last = told(&ring);
        drop(slow);
        assert!(values.iter().all(is_gone) && !is_gone(&last));
        assert!(late.hear(NOW).unwrap().is_some() && !is_gone(&last));
        assert!(quick.hear(NOW).unwrap().is_some() && is_gone(&last));
        // One that fell behind owes nothing for what it lost.
        (0..20).for_each(|_| drop(told(&ring)));
        assert_eq!(late.hear(NOW), Err(Missed::Lagged(12)));
        drop(late);
        assert_eq!(quick.hear(NOW), Err(Missed::Lagged(12)));
        assert_eq!(std::iter::from_fn(|| quick.hear(NOW).unwrap()).count(), 8);
        assert_eq!(ring.lock().kept.len(), 0);
    }

    #[test]
    fn what_was_told_before_the_end_is_heard_before_the_end() {
        let ring = Ring::new(4);
        let mut listener = ring.listen();
        ring.tell(1);
        ring.close();
        assert_eq!((listener.hear(None), listener.hear(None)), (Ok(Some(1)), Err(Missed::Closed)));
        assert_eq!(ring.listen().hear(None), Err(Missed::Closed));
    }

    #[test]
    fn who_waits_is_woken() {
        let ring = Ring::new(4);
        let mut listener = ring.listen();
        let waits = std::thread::spawn(move || listener.hear(None));
        while ring.listeners() == 0 {
            std::thread::yield_now();
        }
        ring.tell(1);
        assert_eq!(waits.join().unwrap(), Ok(Some(1)));
        assert_eq!(ring.listeners(), 0);
    }
}
