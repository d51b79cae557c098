//! The receiver at which the application is told what happens.
//!
//! Each receiver has a bounded ring behind it. Whoever reads too slowly loses the oldest notices and is told how many;
//! the protocol never waits for anyone.

use std::sync::Arc;

use swim_driver::{EventsError, Notice};
use tokio::sync::broadcast;

/// Receives notices, each exactly once and in order, for as long as it keeps up.
#[derive(Debug)]
pub struct Events {
    /// Shared, so that a ring of many costs little while it is empty.
    pub(crate) receiver: broadcast::Receiver<Arc<Notice>>,
}

impl Events {
    /// The next notice, when there is one. Safe to cancel: nothing is lost.
    ///
    /// # Errors
    /// Some were lost, or there will be none any more.
    pub async fn recv(&mut self) -> Result<Notice, EventsError> {
        self.receiver.recv().await.map(Arc::unwrap_or_clone).map_err(|error| match error {
            broadcast::error::RecvError::Lagged(lost) => EventsError::Lagged(lost),
            broadcast::error::RecvError::Closed => EventsError::Closed,
        })
    }

    /// The next notice, if there is one now.
    ///
    /// # Errors
    /// Some were lost, or there will be none any more.
    pub fn try_recv(&mut self) -> Result<Option<Notice>, EventsError> {
        match self.receiver.try_recv() {
            Ok(notice) => Ok(Some(Arc::unwrap_or_clone(notice))),
            Err(broadcast::error::TryRecvError::Empty) => Ok(None),
            Err(broadcast::error::TryRecvError::Lagged(lost)) => Err(EventsError::Lagged(lost)),
            Err(broadcast::error::TryRecvError::Closed) => Err(EventsError::Closed),
        }
    }
}
