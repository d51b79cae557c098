//! Messages that came.

use std::ops::Deref;
use std::sync::Arc;

use swim_driver::messaging::{Received, UnknownReceipt};
use swim_proto::messaging::Receipt;

use super::post::Post;

/// A message that came, and waits to be acknowledged: to its sender it is processed when
/// [`Unacknowledged::acknowledge`] is called, and never if this is dropped before.
///
/// It takes up a place in its sender's window ([`MessagingConfig::window_messages`]) until then; one that was dropped
/// does so until its sender or this process is started anew. Whoever drops as many as the window is wide hears no more
/// from that sender: acknowledge what cannot be done as well, and answer that it could not.
///
/// [`MessagingConfig::window_messages`]: crate::MessagingConfig::window_messages
#[derive(Debug)]
#[must_use = "its sender does not take it for processed until `acknowledge` is called"]
pub struct Unacknowledged {
    received: Received,
    receipt: Receipt,
    post: Arc<Post>,
}

impl Unacknowledged {
    /// Tells the sender that the message is processed, and gives it.
    ///
    /// # Errors
    /// The sender's process has ended meanwhile, and nobody waits for this.
    pub fn acknowledge(self) -> Result<Received, UnknownReceipt> {
        self.post.acknowledge(self.receipt)?;
        Ok(self.received)
    }
}

impl Deref for Unacknowledged {
    type Target = Received;

    fn deref(&self) -> &Received {
        &self.received
    }
}

/// Receives messages. All receivers of a node take from one queue: each message comes to one of them.
///
/// Who takes nothing is sent nothing more: what waits is bounded for each sender and in all, and senders wait.
#[derive(Clone, Debug)]
pub struct Incoming {
    post: Option<Arc<Post>>,
}

impl Incoming {
    pub(crate) fn of(post: Option<Arc<Post>>) -> Incoming {
        Incoming { post }
    }

    /// The next message, which is thereby processed. `None`: the node was shut down, and all that came was taken; or it
    /// runs without messaging. Safe to cancel: nothing is lost.
    pub async fn recv(&mut self) -> Option<Received> {
        let post = self.post.as_ref()?;
        post.arrival(|post| post.take(true)).await.map(|(received, _)| received)
    }

    /// The next message, which is processed when it is acknowledged. Otherwise like [`Incoming::recv`].
    pub async fn recv_unacknowledged(&mut self) -> Option<Unacknowledged> {
        let post = self.post.as_ref()?;
        let (received, receipt) = post.arrival(|post| post.take(false)).await?;
        Some(Unacknowledged { received, receipt, post: post.clone() })
    }

    /// Appends up to `limit` messages to `buffer`, at least one, as soon as there is one; says how many. 0: there will
    /// be none any more. They are thereby processed. Where many come, this costs less than taking them one by one.
    pub async fn recv_many(&mut self, buffer: &mut Vec<Received>, limit: usize) -> usize {
        let Some(post) = self.post.as_ref().filter(|_| limit > 0) else { return 0 };
        post.arrival(|post| post.take_many(buffer, limit)).await.unwrap_or(0)
    }

    /// The next message, if there is one now; it is thereby processed.
    pub fn try_recv(&mut self) -> Option<Received> {
        self.post.as_ref()?.take(true).map(|(received, _)| received)
    }
}
