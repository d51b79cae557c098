//! Something that other threads wait for to happen again.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::waiting::Until;

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

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// It happened again.
    Again,
    /// It will not happen any more.
    Over,
    /// The time for it is over.
    Out,
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

    /// Waits until it has happened more often than that, or will not any more.
    pub(crate) fn wait(&self, times: u64, until: Until) -> Waited {
        let mut inside = self.lock();
        loop {
            if inside.is_over {
                return Waited::Over;
            }
            if inside.times != times {
                return Waited::Again;
            }
            let Some(waited) = until.wait(&self.happened, inside) else { return Waited::Out };
            inside = waited;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        // Nothing in here can fail half way.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
