//! Reliable messages: their options, outcomes and counts, and what every driver does between the messages' machine and
//! the links, [`Desk`] and [`Line`].

mod counts;
mod desk;
mod guests;
mod line;
mod news;
mod options;
mod outcome;
mod packets;

pub use self::counts::LinkCounts;
pub use self::desk::{Desk, Mail, Stage};
pub use self::guests::{GuestId, Guests};
pub use self::line::{End, Line, Move, Moved, Office, READ_MAX, Wire};
pub use self::news::{dealer_config, link_config, news};
pub use self::options::{Backend, MessagingOptions, Port, SendOptions};
pub use self::outcome::{MessageEventsError, Outcome, Received, SendError, outgoing};
pub use self::packets::{Packets, Standing};
pub use swim_proto::messaging::{
    BreakerState, Buffer, Class, Confirm, Delivery, Drops, Ending, Event as MessageEvent, FailReason, Level, MessageId,
    MessagingConfig, Order, PeerView, Queue, SendError as Refusal, Stats as MessagingStats, Trust, UnknownMessage,
    UnknownReceipt,
};
