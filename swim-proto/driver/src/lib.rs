//! What drivers of [`swim_proto::Node`] share that belongs neither to the protocol nor to any runtime.
//!
//! - [`Options`], what is checked and bound before a node runs ([`Options::prepare`]), and why it may not ([`StartError`]).
//! - [`Runner`]: the turns of a node between sockets and application. A driver moves bytes, and gives it an [`Outside`].
//! - What the core lends, owned: [`MemberInfo`], [`Notice`], [`Stats`].
//! - [`Seeds`](seeds::Seeds), looked up on threads; [`Sockets`](sockets::Sockets); the [`Clock`].
//! - Words of reliable [`messaging`].
//!
//! Nothing here waits, spawns a task, or knows how readiness is learnt. Applications use a driver, which passes on what
//! they need of this.
#![forbid(unsafe_code)]

mod clock;
mod errors;
mod losses;
mod member;
pub mod messaging;
mod notice;
mod options;
mod outside;
mod preparing;
pub mod runner;
pub mod seeds;
pub mod sockets;
mod stats;

pub use self::clock::Clock;
pub use self::errors::{Closed, RequestError};
pub use self::member::{MemberInfo, SuspicionInfo};
pub use self::notice::{Cause, Change, Event, EventsError, Notice};
pub use self::options::Options;
pub use self::outside::Outside;
pub use self::preparing::{Built, Identity, Limits, Prepared, StartError};
pub use self::runner::Runner;
pub use self::seeds::SeedError;
pub use self::stats::{DriverStats, Stats};
