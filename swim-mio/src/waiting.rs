//! How other threads wait for something to change: for so long at most, or for as long as it takes.

use std::sync::{Condvar, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// When a wait ends; never, if there is no limit, or one beyond what the system's clock can say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Until(Option<Instant>);

impl Until {
    /// So long from now on.
    pub(crate) fn within(limit: Option<Duration>) -> Until {
        Until(limit.and_then(|limit| Instant::now().checked_add(limit)))
    }

    /// Waits for this to change, or for no reason at all. `None`: the time is over.
    pub(crate) fn wait<'a, T>(self, changed: &Condvar, guard: MutexGuard<'a, T>) -> Option<MutexGuard<'a, T>> {
        // Nothing behind these locks can fail half way.
        let Some(until) = self.0 else { return Some(changed.wait(guard).unwrap_or_else(PoisonError::into_inner)) };
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| changed.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_limit_beyond_the_clock_is_none_and_one_of_nothing_has_passed() {
        let (mutex, changed) = (Mutex::new(()), Condvar::new());
        assert!(Until::within(Some(Duration::ZERO)).wait(&changed, mutex.lock().unwrap()).is_none());
        for limit in [None, Some(Duration::MAX), Some(Duration::from_secs(u64::MAX >> 2))] {
            std::thread::scope(|scope| {
                let guard = mutex.lock().unwrap();
                scope.spawn(|| {
                    // Had once the other waits.
                    drop(mutex.lock().unwrap());
                    changed.notify_all();
                });
                assert!(Until::within(limit).wait(&changed, guard).is_some(), "{limit:?}");
            });
        }
    }
}
