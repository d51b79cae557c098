//! SWIM cluster membership on readiness events: the machine of [`swim_proto`] on real sockets, with no async runtime.
//!
//! On a thread of its own, behind a cloneable [`Handle`]:
//!
//! ```
//! use swim_mio::{Event, Options};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Two members of one cluster, on ports of the system's choice.
//! let any = "127.0.0.1:0".parse()?;
//! let web = Options::new(any).with_name("web").start()?;
//! let (members, mut events) = web.follow()?;
//! assert_eq!(members.len(), 1);
//!
//! let db = Options::new(any).with_name("db").with_seeds([web.address().to_string()]).start()?;
//! db.joined()?;
//! assert!(matches!(events.recv()?.event, Event::Joined(change) if change.member.name == "db"));
//!
//! // One says goodbye, the other hears of it.
//! db.shutdown();
//! assert!(matches!(events.recv()?.event, Event::Left(change) if change.member.name == "db"));
//! # Ok(())
//! # }
//! ```
//!
//! [`Handle::send`] delivers messages to other members, [`Handle::incoming`] receives them: acknowledged, in order where
//! wanted, flow-controlled, over ZeroMQ links that never hold up the membership.
//!
//! Or as a [`Node`] inside a loop of your own, sharing its `mio::Poll`; the thread above is nothing else.
//!
//! # What it costs at most
//!
//! | what | bound |
//! |---|---|
//! | a stream | 64 KiB to be written; [`Config::streams_max`] of them |
//! | datagrams read and not yet handed to the node | 1,024, and 1 MiB; under load the oldest news is shed |
//! | requests waiting | 64; whoever asks one more waits |
//! | notices kept for slow receivers | [`Options::events_max`], about 1 KiB each at most, and the payload of a broadcast or a message |
//! | a turn | 64 datagrams, 16 connections, 16 requests, timers, and before and after them 64 reads or writes of streams (or one of each); 5 ms late or more, as many datagrams and moves of streams again |
//! | reliable messages and their links | as on tokio: `docs/tokio.md` of the repository, "Messages"; a turn has 16 connections, and for links 2 ms and the move that ends them, a move being a write, and a read of 64 KiB at most |
//! | lookups of seeds at once | 8, on threads of their own; 32 with those of replaced seeds that still hang |
//!
//! For a datagram nothing is allocated, and no lock is taken unless it brings something to tell. One that the socket does
//! not take at once is dropped and counted ([`DriverStats`]); the protocol expects loss.
//!
//! `docs/mio.md` of the repository says what this has beside `swim-tokio`, and how a loop is to treat it.
#![forbid(unsafe_code)]

mod acceptor;
mod events;
mod handle;
mod messages;
mod net;
mod node;
mod options;
mod ring;
mod signal;
mod standing;
mod streams;
mod thread;
mod tokens;
mod waiting;

pub use events::Events;
pub use handle::Handle;
pub use messages::{Incoming, MessageEvents, Pending, Unacknowledged};
pub use node::Node;
pub use options::{Bound, Options};
pub use swim_driver::messaging::{
    Backend, BreakerState, Buffer, Class, Confirm, Delivery, Drops, Ending, FailReason, Level, LinkCounts,
    MessageEvent, MessageEventsError, MessageId, MessagingConfig, MessagingOptions, MessagingStats, Order, Outcome,
    PeerView, Port, Queue, Received, Refusal, SendError, SendOptions, Trust, UnknownMessage, UnknownReceipt,
};
pub use swim_driver::{
    Cause, Change, Closed, DriverStats, Event, EventsError, MemberInfo, Notice, RequestError, SeedError, StartError,
    Stats, SuspicionInfo,
};
pub use swim_proto::messaging::Receipt;
pub use swim_proto::{
    CommandError, Config, ConfigError, Incarnation, NodeId, PAYLOAD_MAX, Path, State, Status, Transport, Versions, Way,
};
