//! SWIM cluster membership on tokio: `swim-proto`'s machine on real sockets, behind a cloneable [`Handle`].
#![forbid(unsafe_code)]

mod accept;
mod clock;
mod driver;
mod handle;
mod inputs;
mod member;
mod notice;
mod options;
mod request;
mod seeds;
mod sockets;
mod stats;
mod streams;

pub use handle::{Closed, Handle, RequestError};
pub use member::{MemberInfo, SuspicionInfo};
pub use notice::{Cause, Change, Event, Events, EventsError, Notice};
pub use options::{Options, StartError};
pub use seeds::SeedError;
pub use stats::{DriverStats, Stats};
pub use swim_proto::{CommandError, Config, ConfigError, Incarnation, NodeId, State, Status, Versions};
