//! How a node stands, for handles to look at and to wait for.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use swim_driver::Closed;
use swim_proto::Status;

use crate::waiting::Until;

/// Written when it changes, which is rarely.
#[derive(Debug)]
pub(crate) struct Standing {
    inside: Mutex<Inside>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug)]
struct Inside {
    status: Status,
    is_closed: bool,
}

impl Standing {
    pub(crate) fn new(status: Status) -> Standing {
        Standing { inside: Mutex::new(Inside { status, is_closed: false }), changed: Condvar::new() }
    }

    pub(crate) fn set(&self, status: Status) {
        self.lock().status = status;
        self.changed.notify_all();
    }

    /// The node is no more.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    pub(crate) fn status(&self) -> Status {
        self.lock().status
    }

    /// Waits until the status fits, or the node is no more; none: neither is so within `limit`.
    pub(crate) fn wait_for(
        &self,
        limit: Option<Duration>,
        mut fits: impl FnMut(Status) -> bool,
    ) -> Result<Option<Status>, Closed> {
        let told = self.wait(limit, |inside| fits(inside.status) || inside.is_closed);
        match told {
            Some(Inside { status, .. }) if fits(status) => Ok(Some(status)),
            Some(_) => Err(Closed),
            None => Ok(None),
        }
    }

    /// Waits until the node is no more. `false`: it is not, within `limit`.
    pub(crate) fn wait_closed(&self, limit: Option<Duration>) -> bool {
        self.wait(limit, |inside| inside.is_closed).is_some()
    }

    fn wait(&self, limit: Option<Duration>, mut fits: impl FnMut(Inside) -> bool) -> Option<Inside> {
        let until = Until::within(limit);
        let mut inside = self.lock();
        while !fits(*inside) {
            inside = until.wait(&self.changed, inside)?;
        }
        Some(*inside)
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        // Nothing in here can fail half way.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
