//! The application on other threads: messages that were sent, that came, and what happens around them.

use std::cell::OnceCell;
use std::ops::Deref;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use swim_driver::Closed;
use swim_driver::messaging::{
    MessageEvent, MessageEventsError, MessageId, Outcome, Received, UnknownMessage, UnknownReceipt,
};
use swim_proto::NodeId;
use swim_proto::messaging::Receipt;

use super::Shared;
use crate::handle::{Handle, WeakHandle};
use crate::ring::{Listener, Missed};
use crate::signal::Waited;
use crate::waiting::Until;

/// A message that was accepted, and is on its way. Dropped, it goes its way all the same.
#[derive(Debug)]
#[must_use = "the message is on its way; wait for this to learn what becomes of it, or drop it to send without knowing"]
pub struct Pending {
    id: MessageId,
    to: NodeId,
    outcome: Receiver<Outcome>,
    /// It, once it was asked for.
    told: OnceCell<Outcome>,
    node: WeakHandle,
}

impl Pending {
    pub(crate) fn new(id: MessageId, to: NodeId, outcome: Receiver<Outcome>, node: WeakHandle) -> Pending {
        Pending { id, to, outcome, told: OnceCell::new(), node }
    }

    /// The message's name.
    pub fn id(&self) -> MessageId {
        self.id
    }

    /// To whom it is.
    pub fn to(&self) -> NodeId {
        self.to
    }

    /// Waits for what becomes of it.
    pub fn wait(self) -> Outcome {
        let Pending { id, to, outcome, told, .. } = self;
        told.into_inner().unwrap_or_else(|| outcome.recv().unwrap_or_else(|_| Outcome::lost(id, to)))
    }

    /// The same, for so long at most; none: it is on its way still. Once told, it is told again to whoever asks again.
    pub fn wait_within(&self, limit: Duration) -> Option<Outcome> {
        if let Some(&outcome) = self.told.get() {
            return Some(outcome);
        }
        let outcome = match self.outcome.recv_timeout(limit) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => return None,
            // By a defect of ours.
            Err(RecvTimeoutError::Disconnected) => Outcome::lost(self.id, self.to),
        };
        Some(*self.told.get_or_init(|| outcome))
    }

    /// Ends it as [`Ending::Cancelled`](crate::Ending::Cancelled), unless it is done. It may have been delivered: its
    /// outcome, which is there at once, says what is known.
    ///
    /// # Errors
    /// It has had its outcome.
    pub fn cancel(&self) -> Result<(), UnknownMessage> {
        self.node.upgrade().ok_or(UnknownMessage(self.id))?.cancel(self.id)
    }
}

/// A message that came, and waits to be acknowledged: to its sender it is processed when
/// [`Unacknowledged::acknowledge`] is called, and never if this is dropped before. It takes up a place in its sender's
/// window until then; one that was dropped does so until its sender or this process is started anew.
#[derive(Debug)]
#[must_use = "its sender does not take it for processed until `acknowledge` is called"]
pub struct Unacknowledged {
    received: Received,
    receipt: Receipt,
    node: WeakHandle,
}

impl Unacknowledged {
    /// Tells the sender that the message is processed, and gives it.
    ///
    /// # Errors
    /// The sender's process has ended meanwhile, or this node has, and nobody waits for this.
    pub fn acknowledge(self) -> Result<Received, UnknownReceipt> {
        self.node.upgrade().ok_or(UnknownReceipt)?.acknowledge(self.receipt)?;
        Ok(self.received)
    }
}

impl Deref for Unacknowledged {
    type Target = Received;

    fn deref(&self) -> &Received {
        &self.received
    }
}

/// Receives messages, on any thread but the loop's. All receivers of a node take from one queue: each message comes to one
/// of them. What was not taken when the node is shut down is gone with it; its senders learn that it was not processed.
///
/// Who takes nothing is sent nothing more: what waits is bounded for each sender and in all, and senders wait.
#[derive(Clone, Debug)]
pub struct Incoming {
    pub(crate) node: WeakHandle,
    pub(crate) messages: Option<Shared>,
}

impl Incoming {
    /// Waits for the next message, which is thereby processed. `None`: there will be none any more, because the node was
    /// shut down or superseded, or runs without messaging.
    pub fn recv(&mut self) -> Option<Received> {
        self.arrival(None, Handle::take).ok().flatten()
    }

    /// The same, for so long at most.
    ///
    /// # Errors
    /// There will be none any more.
    pub fn recv_within(&mut self, limit: Duration) -> Result<Option<Received>, Closed> {
        self.arrival(Some(limit), Handle::take)
    }

    /// Waits for the next message, which is processed when it is acknowledged. Otherwise like [`Incoming::recv`].
    pub fn recv_unacknowledged(&mut self) -> Option<Unacknowledged> {
        let (received, receipt) = self.arrival(None, Handle::take_unacknowledged).ok()??;
        Some(Unacknowledged { received, receipt, node: self.node.clone() })
    }

    /// Appends up to `limit` messages to `buffer`, at least one, as soon as there is one; says how many. 0: there will
    /// be none any more. They are thereby processed. Where many come, this costs less than taking them one by one.
    pub fn recv_many(&mut self, buffer: &mut Vec<Received>, limit: usize) -> usize {
        let taken = self.arrival(None, |node| {
            let taken = node.take_many(limit)?;
            Ok(Some(taken).filter(|taken| !taken.is_empty() || limit == 0))
        });
        let taken = taken.ok().flatten().unwrap_or_default();
        let count = taken.len();
        buffer.extend(taken);
        count
    }

    /// The next message, if there is one now; it is thereby processed.
    pub fn try_recv(&mut self) -> Option<Received> {
        self.node.upgrade()?.take().ok().flatten()
    }

    fn arrival<T>(
        &self,
        limit: Option<Duration>,
        take: impl Fn(&Handle) -> Result<Option<T>, Closed>,
    ) -> Result<Option<T>, Closed> {
        let until = Until::within(limit);
        let messages = self.messages.as_ref().ok_or(Closed)?;
        let mut is_over = false;
        loop {
            // Whatever comes after this is not missed.
            let times = messages.signals.readable.times();
            // Not held while this waits: a receiver keeps no node alive.
            if let Some(taken) = take(&self.node.upgrade().ok_or(Closed)?)? {
                return Ok(Some(taken));
            }
            // The node may go on without messages, after another process took its name.
            if is_over {
                return Err(Closed);
            }
            match messages.signals.readable.wait(times, until) {
                Waited::Again => {}
                // What came before that is still there to be taken.
                Waited::Over => is_over = true,
                Waited::Out => return Ok(None),
            }
        }
    }
}

/// Receives what happens around messages: room in queues, levels, breakers, links. Outcomes are told to whoever sent, and
/// messages to [`Incoming`]. Behind it is a bounded ring of its own.
#[derive(Debug)]
pub struct MessageEvents {
    /// None: of a node that has nothing to tell.
    pub(crate) listener: Option<Listener<MessageEvent>>,
}

impl MessageEvents {
    /// Waits for the next event.
    ///
    /// # Errors
    /// Some were lost, or there will be none any more.
    pub fn recv(&mut self) -> Result<MessageEvent, MessageEventsError> {
        loop {
            // Without a limit there is always one, or an error.
            if let Some(event) = self.hear(None)? {
                return Ok(event);
            }
        }
    }

    /// Waits for the next event, for so long at most.
    ///
    /// # Errors
    /// Some were lost, or there will be none any more.
    pub fn recv_within(&mut self, limit: Duration) -> Result<Option<MessageEvent>, MessageEventsError> {
        self.hear(Some(limit))
    }

    /// The next event, if there is one now.
    ///
    /// # Errors
    /// Some were lost, or there will be none any more.
    pub fn try_recv(&mut self) -> Result<Option<MessageEvent>, MessageEventsError> {
        self.hear(Some(Duration::ZERO))
    }

    fn hear(&mut self, limit: Option<Duration>) -> Result<Option<MessageEvent>, MessageEventsError> {
        let Some(listener) = &mut self.listener else { return Err(MessageEventsError::Closed) };
        listener.hear(limit).map_err(|missed| match missed {
            Missed::Lagged(lost) => MessageEventsError::Lagged(lost),
            Missed::Closed => MessageEventsError::Closed,
        })
    }
}
