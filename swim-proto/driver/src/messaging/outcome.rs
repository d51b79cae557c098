//! What becomes of a message that was sent, and what one that came is.

use std::time::Duration;

use bytes::Bytes;
use swim_proto::NodeId;
use swim_proto::messaging::{self as proto, Class, Delivery, Ending, FailReason, MessageId, Order, Outgoing, Receipt};

use super::options::SendOptions;

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
    /// What the machine told, in spans of time.
    pub fn of(outcome: &proto::Outcome) -> Outcome {
        let proto::Outcome { id, to, ending, delivery, accepted, sent, ended } = *outcome;
        let waited = sent.map(|sent| sent - accepted);
        Outcome { id, to, ending, delivery, waited, took: ended - accepted }
    }

    /// Of a message whose driver ended without a word, which is a defect of ours.
    pub fn lost(id: MessageId, to: NodeId) -> Outcome {
        let ending = Ending::Failed(FailReason::Closed);
        Outcome { id, to, ending, delivery: Delivery::Possible, waited: None, took: Duration::ZERO }
    }

    /// Whether it ended as its sender wished: sent, delivered or processed.
    pub fn is_success(&self) -> bool {
        matches!(self.ending, Ending::Sent | Ending::Delivered | Ending::Processed)
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
    /// So many outcomes of earlier messages wait to be read by the loop that sent them (`swim-mio`).
    #[error("{0} outcomes of earlier messages wait to be read; read them first")]
    Unread(usize),
    /// The node was shut down, or is about to be, or was superseded.
    #[error("the node sends no more, because it was shut down or superseded; start another")]
    Closed,
}

/// A message that came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// Who sent it, as far as [`Trust`](swim_proto::messaging::Trust) goes.
    pub from: NodeId,
    /// In which life.
    pub life: u64,
    /// How urgent it is.
    pub class: Class,
    /// Its stream.
    pub order: Order,
    /// It is redeliverable, and an earlier process of this member may have seen it.
    pub repeated: bool,
    /// The application's bytes.
    pub payload: Bytes,
}

impl Received {
    /// What the machine gave, and by what it is acknowledged.
    pub fn of(received: proto::Received) -> (Received, Receipt) {
        let proto::Received { receipt, from, life, class, order, repeated, payload } = received;
        (Received { from, life, class, order, repeated, payload }, receipt)
    }
}

/// Why there is no event around messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageEventsError {
    /// This receiver read too slowly. What it missed is gone; `peer` and `stats` say how things stand.
    #[error("read too slowly: {0} events were lost; look at peers and stats anew")]
    Lagged(u64),
    /// The node was shut down, or runs without messaging, and everything it had to say has been read.
    #[error("the node moves no messages")]
    Closed,
}

/// A message as the machine takes it.
pub fn outgoing(to: NodeId, payload: Bytes, how: SendOptions) -> Outgoing {
    let SendOptions { class, order, confirm, expiry, redeliverable } = how;
    Outgoing { class, order, confirm, expiry, redeliverable, ..Outgoing::new(to, payload) }
}
