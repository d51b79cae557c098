//! Reliable messages between members: [`swim_proto::messaging::Messenger`] on ZeroMQ links over TCP.
//!
//! The machine lies behind a lock, on a [`Desk`](swim_driver::messaging::Desk) that links of every driver come to. Whoever
//! has something for it (the application's threads that send, take and acknowledge, and the links' tasks when packets
//! came) takes the lock, says it, and does what the machine wants done, which is never more than to put packets on `pipe`s
//! and to wake others. The lock is never held across an `.await`, and for a bounded number of packets that come and that
//! leave. Beside it a task, the `keeper`, opens and accepts links, keeps time, hears of the members, and does what was too
//! much for once. Each `link` is served by a task of its own, which moves bytes between its connection and its pipe: a peer
//! that reads slowly, or floods, or is silent holds up its own task only.
//!
//! The membership protocol takes no part in any of this, and does not wait for the lock while it runs: news of members is left in a
//! `letterbox`, where the newest of each member replaces the one before.

mod events;
mod incoming;
mod keeper;
mod letterbox;
mod link;
mod mail;
mod outcome;
mod pipe;
mod post;
#[cfg(feature = "zeromq")]
mod zeromq_crate;

pub use events::MessageEvents;
pub use incoming::{Incoming, Unacknowledged};
pub use outcome::Pending;

pub(crate) use keeper::{Keeper, Listening};
pub(crate) use post::Post;
