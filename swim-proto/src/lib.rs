//! Cluster membership and failure detection, SWIM with Lifeguard, as a pure state machine.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod action;
mod backlog;
mod config;
mod detection;
mod dissemination;
mod event;
mod node;
mod outbox;
mod stats;
mod time;

mod membership;
mod random;
mod rate;
mod timers;
pub mod wire;

pub use action::{Action, STREAM_CREDIT, SeedId, StreamId, StreamInput};
pub use backlog::Backlog;
pub use config::{Config, ConfigError, Variant};
pub use event::{Cause, Event, MemberEvent};
pub use membership::{
    ClusterHash, Incarnation, LocalMember, METADATA_MAX, Member, NAME_MAX, NodeId, State, Suspicion, VERSIONS, Versions,
};
pub use node::{CommandError, DatagramError, Node, Status, Way};
pub use stats::{Drops, Stats};
pub use time::Instant;
pub use wire::PAYLOAD_MAX;
