//! Reliable messages: their options, outcomes and counts.

mod counts;
mod options;
mod outcome;

pub use self::counts::LinkCounts;
pub use self::options::{Backend, MessagingOptions, Port, SendOptions};
pub use self::outcome::{MessageEventsError, Outcome, Received, SendError, outgoing};
pub use swim_proto::messaging::{
    BreakerState, Buffer, Class, Confirm, Delivery, Drops, Ending, Event as MessageEvent, FailReason, Level, MessageId,
    MessagingConfig, Order, PeerView, Queue, SendError as Refusal, Stats as MessagingStats, Trust, UnknownMessage,
    UnknownReceipt,
};
