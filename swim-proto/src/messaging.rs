//! Application messages between members: acknowledged, ordered, flow-controlled (`docs/messaging.md`).
//!
//! A [`Messenger`] is a machine of its own beside [`Node`](crate::Node), of the same kind and with the same contract:
//! it opens no socket, reads no clock, and is told what happened. Three sides tell it:
//!
//! - the application: [`Messenger::send`], [`Messenger::cancel`], [`Messenger::take`], [`Messenger::acknowledge`];
//! - the membership: [`Messenger::handle_member`], or whole events of a `Node` by [`Messenger::handle_event`];
//! - links, which move whole multipart messages between two processes, such as a ZeroMQ connection:
//!   [`Messenger::accept_link`], [`Messenger::handle_link`].
//!
//! What is to be done comes out of [`Messenger::poll_action`], and when to come back of [`Messenger::deadline`].
//!
//! Messages go on the links that their sender opened, acknowledgements come back on them.

mod action;
mod alarms;
mod breaker;
mod config;
mod error;
mod flight;
mod inbox;
mod link;
mod message;
mod messenger;
mod meter;
mod numbers;
mod outgoing;
pub mod packet;
mod peer;
mod sent;
mod share;
mod slab;
mod stats;

pub use action::{Action, BreakerState, Buffer, Event, Level, LinkId, LinkInput, MemberInput};
pub use config::{MessagingConfig, Trust};
pub use error::{Queue, SendError, UnknownMessage, UnknownReceipt};
pub use message::{
    Class, Confirm, Delivery, Ending, FailReason, MessageId, OVERHEAD, Order, Outcome, Outgoing, Receipt, Received,
};
pub use messenger::{LocalPeer, Messenger};
pub use stats::{Drops, PeerView, Stats};
