//! The receiver at which the application is told what happens.

use std::sync::Arc;
use std::time::Duration;

use swim_driver::{EventsError, Notice};

use crate::ring::{Listener, Missed};

/// Receives notices, each exactly once and in order, for as long as it keeps up. Goes to any thread.
///
/// Behind it is a bounded ring. Whoever reads too slowly loses the oldest notices and is told how many; the protocol
/// never waits for anyone.
#[derive(Debug)]
pub struct Events {
    pub(crate) listener: Listener<Arc<Notice>>,
}

impl Events {
    /// Waits for the next notice.
    ///
    /// # Errors
    /// Some were lost, or there will be none any more.
    pub fn recv(&mut self) -> Result<Notice, EventsError> {
        loop {
            // Without a limit there is always one, or an error.
            if let Some(notice) = self.hear(None)? {
                return Ok(notice);
            }
        }
    }

    /// Waits for the next notice, for so long at most.
    ///
    /// # Errors
    /// Some were lost, or there will be none any more.
    pub fn recv_within(&mut self, limit: Duration) -> Result<Option<Notice>, EventsError> {
        self.hear(Some(limit))
    }

    /// The next notice, if there is one now.
    ///
    /// # Errors
    /// Some were lost, or there will be none any more.
    pub fn try_recv(&mut self) -> Result<Option<Notice>, EventsError> {
        self.hear(Some(Duration::ZERO))
    }

    fn hear(&mut self, limit: Option<Duration>) -> Result<Option<Notice>, EventsError> {
        let told = self.listener.hear(limit).map_err(|missed| match missed {
            Missed::Lagged(lost) => EventsError::Lagged(lost),
            Missed::Closed => EventsError::Closed,
        })?;
        Ok(told.map(Arc::unwrap_or_clone))
    }
}
