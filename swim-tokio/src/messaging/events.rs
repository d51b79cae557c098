//! What the application is told of queues, links and breakers.

use swim_driver::messaging::{MessageEvent, MessageEventsError};
use tokio::sync::broadcast;

/// Receives what happens around messages: room in queues, levels, breakers, links. Outcomes are told to whoever sent
/// ([`Pending`](crate::Pending)), and messages to [`Incoming`](crate::Incoming).
///
/// Behind it is a bounded ring of its own, so that busy queues push no news of members out of
/// [`Events`](crate::Events).
#[derive(Debug)]
pub struct MessageEvents {
    pub(super) receiver: broadcast::Receiver<MessageEvent>,
}

impl MessageEvents {
    /// Of a node that has nothing to tell.
    pub(crate) fn none() -> MessageEvents {
        MessageEvents { receiver: broadcast::channel(1).1 }
    }

    /// The next event, when there is one. Safe to cancel: nothing is lost.
    ///
    /// # Errors
    /// Some were lost, or there will be none any more.
    pub async fn recv(&mut self) -> Result<MessageEvent, MessageEventsError> {
        self.receiver.recv().await.map_err(|error| match error {
            broadcast::error::RecvError::Lagged(lost) => MessageEventsError::Lagged(lost),
            broadcast::error::RecvError::Closed => MessageEventsError::Closed,
        })
    }

    /// The next event, if there is one now.
    ///
    /// # Errors
    /// Some were lost, or there will be none any more.
    pub fn try_recv(&mut self) -> Result<Option<MessageEvent>, MessageEventsError> {
        match self.receiver.try_recv() {
            Ok(event) => Ok(Some(event)),
            Err(broadcast::error::TryRecvError::Empty) => Ok(None),
            Err(broadcast::error::TryRecvError::Lagged(lost)) => Err(MessageEventsError::Lagged(lost)),
            Err(broadcast::error::TryRecvError::Closed) => Err(MessageEventsError::Closed),
        }
    }
}
