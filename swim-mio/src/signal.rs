//! Something that other threads wait for to happen again.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Counts how often it happened.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    inside: Mutex<Inside>,
    happened: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct Inside {
    times: u64,
    is_over: bool,
}

impl Signal {
    pub(crate) fn happens(&self) {
        self.lock().times += 1;
        self.happened.notify_all();
    }

    /// It will not happen any more.
    pub(crate) fn is_over(&self) {
        self.lock().is_over = true;
        self.happened.notify_all();
    }

    /// How often it happened so far.
    pub(crate) fn times(&self) -> u64 {
        self.lock().times
    }

    /// Waits until it has happened more often, or will not any more. `false`: neither, within `limit`.
    pub(crate) fn wait(&self, times: u64, until: Option<Instant>) -> bool {
        let mut inside = self.lock();
        while inside.times == times && !inside.is_over {
            inside = match until {
                None => self.happened.wait(inside).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left: Duration = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    self.happened.wait_timeout(inside, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        // Nothing in here can fail half way.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
