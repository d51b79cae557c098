//! SWIM cluster membership on tokio: `swim-proto`'s machine on real sockets, behind a cloneable [`Handle`].
#![forbid(unsafe_code)]
#![allow(dead_code, unused_imports, clippy::todo)]

mod clock;
mod handle;
mod member;
mod notice;
mod options;
mod request;
mod seeds;
mod stats;

pub use handle::{Closed, Handle, RequestError};
pub use member::{MemberInfo, SuspicionInfo};
pub use notice::{Cause, Change, Event, Events, EventsError, Notice};
pub use options::{Options, StartError};
pub use seeds::SeedError;
pub use stats::{DriverStats, Stats};
pub use swim_proto::{CommandError, Config, ConfigError, Incarnation, NodeId, State, Status, Versions};
