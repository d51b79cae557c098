//! What becomes of a message that was sent.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use swim_driver::messaging::{MessageId, Outcome, UnknownMessage};
use swim_proto::NodeId;
use tokio::sync::oneshot;

use super::post::Post;

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

    /// Ends it as [`Ending::Cancelled`](crate::Ending::Cancelled), unless it is done. It may have been delivered: its outcome, which is there at
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
        let lost = || Outcome::lost(id, to);
        Pin::new(&mut self.outcome).poll(cx).map(|outcome| outcome.unwrap_or_else(|_| lost()))
    }
}
