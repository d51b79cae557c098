//! What becomes of a message that was sent.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use swim_proto::NodeId;
use swim_proto::messaging::{self as proto, Delivery, Ending, FailReason, MessageId, UnknownMessage};
use tokio::sync::oneshot;

use super::post::Post;

/// What became of a message. Each that was accepted has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// Which message.
    pub id: MessageId,
    /// To whom it was.
    pub to: NodeId,
    /// How it ended.
    pub ending: Ending,
    /// What is known of its delivery.
    pub delivery: Delivery,
    /// How long it waited before it was first put on a link, if it was.
    pub waited: Option<Duration>,
    /// How long it took in all.
    pub took: Duration,
}

impl Outcome {
    pub(super) fn of(outcome: &proto::Outcome) -> Outcome {
        let proto::Outcome { id, to, ending, delivery, accepted, sent, ended } = *outcome;
        let waited = sent.map(|sent| sent - accepted);
        Outcome { id, to, ending, delivery, waited, took: ended - accepted }
    }

    /// Whether it ended as its sender wished: sent, delivered or processed.
    pub fn is_success(&self) -> bool {
        matches!(self.ending, Ending::Sent | Ending::Delivered | Ending::Processed)
    }
}

/// A message that was accepted, and is on its way: await it for its [`Outcome`]. Dropped, it goes its way all the same.
#[derive(Debug)]
#[must_use = "the message is on its way; await this to learn what becomes of it, or drop it to send without knowing"]
pub struct Pending {
    pub(super) id: MessageId,
    pub(super) to: NodeId,
    pub(super) outcome: oneshot::Receiver<Outcome>,
    pub(super) post: Arc<Post>,
}

impl Pending {
    /// The message's name.
    pub fn id(&self) -> MessageId {
        self.id
    }

    /// To whom it is.
    pub fn to(&self) -> NodeId {
        self.to
    }

    /// Ends it as [`Ending::Cancelled`], unless it is done. It may have been delivered: its outcome, which is there at
    /// once, says what is known.
    ///
    /// # Errors
    /// It has had its outcome.
    pub fn cancel(&self) -> Result<(), UnknownMessage> {
        self.post.cancel(self.id)
    }
}

impl Future for Pending {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let (id, to) = (self.id, self.to);
        // The desk tells an outcome for every message before it goes, unless a defect of ours ended it.
        let lost = Outcome {
            id,
            to,
            ending: Ending::Failed(FailReason::Closed),
            delivery: Delivery::Possible,
            waited: None,
            took: Duration::ZERO,
        };
        Pin::new(&mut self.outcome).poll(cx).map(|outcome| outcome.unwrap_or(lost))
    }
}

/// Why a message was not accepted. It goes nowhere and has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The machine refused it, and says why.
    #[error(transparent)]
    Refused(#[from] proto::SendError),
    /// This node sends and receives no messages.
    #[error("this node was started without messaging; set Options::messaging")]
    Off,
    /// The node was shut down, or is about to be, or was superseded.
    #[error("the node sends no more, because it was shut down or superseded; start another")]
    Closed,
}
