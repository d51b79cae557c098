//! What the application is told of queues, links and breakers.

use swim_proto::messaging::Event as MessageEvent;
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

/// Why there is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageEventsError {
    /// This receiver read too slowly. What it missed is gone; [`Handle::peer`](crate::Handle::peer) and
    /// [`Handle::stats`](crate::Handle::stats) say how things stand.
    #[error("read too slowly: {0} events were lost; look at peers and stats anew")]
    Lagged(u64),
    /// The node was shut down, or runs without messaging, and everything it had to say has been read.
    #[error("the node moves no messages")]
    Closed,
}

impl MessageEvents {
    /// Of a node that has nothing to tell.
    pub(crate) fn none() -> MessageEvents {
        MessageEvents { receiver: broadcast::channel(1).1 }
    }

    /// The next event, when there is one. Safe to cancel: nothing is lost.
    pub async fn recv(&mut self) -> Result<MessageEvent, MessageEventsError> {
        self.receiver.recv().await.map_err(|error| match error {
            broadcast::error::RecvError::Lagged(lost) => MessageEventsError::Lagged(lost),
            broadcast::error::RecvError::Closed => MessageEventsError::Closed,
        })
    }

    /// The next event, if there is one now.
    pub fn try_recv(&mut self) -> Result<Option<MessageEvent>, MessageEventsError> {
        match self.receiver.try_recv() {
            Ok(event) => Ok(Some(event)),
            Err(broadcast::error::TryRecvError::Empty) => Ok(None),
            Err(broadcast::error::TryRecvError::Lagged(lost)) => Err(MessageEventsError::Lagged(lost)),
            Err(broadcast::error::TryRecvError::Closed) => Err(MessageEventsError::Closed),
        }
    }
}
