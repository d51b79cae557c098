//! SWIM cluster membership on tokio: the machine of [`swim_proto`] on real sockets, behind a cloneable [`Handle`].
//!
//! ```
//! use swim_tokio::{Event, Options};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Two members of one cluster, on ports of the system's choice.
//! let any = "127.0.0.1:0".parse()?;
//! let web = Options::new(any).with_name("web").start().await?;
//! let (members, mut events) = web.follow().await?;
//! assert_eq!(members.len(), 1);
//!
//! let db = Options::new(any).with_name("db").with_seeds([web.address().to_string()]).start().await?;
//! db.joined().await?;
//! assert!(matches!(events.recv().await?.event, Event::Joined(change) if change.member.name == "db"));
//!
//! // One says goodbye, the other hears of it.
//! db.shutdown().await;
//! assert!(matches!(events.recv().await?.event, Event::Left(change) if change.member.name == "db"));
//! # Ok(())
//! # }
//! ```
//!
//! [`Options::start`] binds UDP and TCP on one port and spawns one task, which owns the node and moves bytes and time
//! between it and the system; it has no opinion about SWIM. What the application asks goes to that task by a bounded
//! queue and is answered between two inputs of the protocol. What happens is told to any number of [`Events`], each with
//! a bounded ring behind it: whoever reads too slowly is told [`EventsError::Lagged`] and begins anew with
//! [`Handle::follow`]. The protocol waits for nobody: not for a subscriber, a peer that does not read, or a name server.
//!
//! [`Handle::send`] delivers messages to other members, [`Handle::incoming`] receives them: acknowledged, in order where
//! wanted, flow-controlled, over ZeroMQ links that never hold up the membership.
//!
//! # What it costs at most
//!
//! | what | bound |
//! |---|---|
//! | a stream | 16 KiB read and not yet taken, 64 KiB to be written; [`Config::streams_max`] of them |
//! | inputs of streams waiting | 64, of 16 KiB at most |
//! | datagrams read and not yet handed to the node | 1,024, and 1 MiB; under load the oldest news is shed |
//! | requests waiting | 64; whoever asks one more waits |
//! | notices kept for slow receivers | [`Options::events_max`], about 1 KiB each at most, and the payload of a broadcast or a message |
//! | a turn | 64 datagrams, 64 inputs of streams, 16 requests, then timers |
//! | reliable messages and their links | `docs/tokio.md` of the repository, "Messages" |
//! | lookups of seeds at once | 8, on threads of their own; 32 with those of replaced seeds that still hang |
//!
//! A datagram that the socket does not take at once is dropped and counted ([`DriverStats`]); the protocol expects loss.
//!
//! # Ends
//!
//! [`Handle::shutdown`] leaves the cluster, flushes, closes, and returns when all of that is done. When the last handle
//! is dropped, the node stops without goodbye, and nothing of it stays behind. (A lookup of a seed that hangs in the
//! system cannot be called back: its thread, which belongs to no runtime and holds nothing up, ends when the system
//! gives up, mostly within half a minute.)
//!
//! What to do when a node is superseded, isolated, or read too slowly is in `docs/tokio.md` of the repository.
#![forbid(unsafe_code)]

mod accept;
mod clock;
mod connect;
mod driver;
mod handle;
mod inputs;
mod messaging;
mod notice;
mod options;
mod request;
mod streams;

pub use handle::Handle;
pub use messaging::{Incoming, MessageEvents, Pending, Unacknowledged};
pub use notice::Events;
pub use options::Options;
pub use swim_driver::messaging::{
    Backend, BreakerState, Buffer, Class, Confirm, Delivery, Drops, Ending, FailReason, Level, LinkCounts,
    MessageEvent, MessageEventsError, MessageId, MessagingConfig, MessagingOptions, MessagingStats, Order, Outcome,
    PeerView, Port, Queue, Received, Refusal, SendError, SendOptions, Trust, UnknownMessage, UnknownReceipt,
};
pub use swim_driver::{
    Cause, Change, Closed, DriverStats, Event, EventsError, MemberInfo, Notice, RequestError, SeedError, StartError,
    Stats, SuspicionInfo,
};
pub use swim_proto::{
    CommandError, Config, ConfigError, Incarnation, NodeId, PAYLOAD_MAX, Path, State, Status, Transport, Versions, Way,
};
