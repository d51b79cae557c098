//! Cluster membership and failure detection, SWIM with Lifeguard, as a pure state machine.
//!
//! A [`Node`] is one member of a cluster. It opens no socket, reads no clock and spawns nothing: whoever embeds it
//! feeds it what happened (a datagram, a stream that moved, time that passed, a command) and does what it asks for. The
//! same code so runs on any event loop, and thousands of times in one simulation that is repeated to the byte.
//!
//! # The contract
//!
//! 1. After every input or command, call [`Node::poll_action`] until it gives `None`, then sleep until
//!    [`Node::deadline`].
//! 2. `now` never goes back; equal is fine.
//! 3. [`Node::handle_timeout`] early, late or twice is harmless; afterwards `deadline() > now`.
//! 4. An `Err` leaves the node as it was (but for its counters).
//! 5. Same seed and same inputs: same actions, byte for byte.
//!
//! # Two members meet
//!
//! The network here is a variable that loses whatever is no datagram.
//!
//! ```
//! use swim_proto::wire::{self, Message};
//! use swim_proto::{Action, Config, Instant, LocalMember, Node};
//!
//! let addresses = ["10.0.0.1:7946".parse()?, "10.0.0.2:7946".parse()?];
//! // The life is greater than that of any earlier process of this name; the last number decides every random choice.
//! let mut a = Node::new(Instant::ZERO, LocalMember::new(addresses[0], 1), Config::lan(), 7)?;
//! let mut b = Node::new(Instant::ZERO, LocalMember::new(addresses[1], 1), Config::lan(), 8)?;
//!
//! // Somebody tells `a` of `b`: here a datagram made by hand, in a cluster a seed (see `Node::join`).
//! let mut hello = Vec::new();
//! let mut packet = wire::PacketWriter::datagram(&mut hello, swim_proto::ClusterHash::of("swim"), 1400);
//! let mut profile = Vec::new();
//! let local = b.local();
//! wire::Profile { address: local.address, endpoint: None, versions: local.versions, name: local.name, metadata: &[] }
//!     .encode_into(&mut profile);
//! let profile = wire::ProfileBytes::new(&profile).expect("it was encoded a moment ago");
//! packet.push(&Message::Alive(wire::Alive { id: local.id, incarnation: local.incarnation, profile }));
//! packet.finish();
//! a.handle_datagram(Instant::ZERO, addresses[1], &hello)?;
//!
//! // From now on `a` probes `b`, which answers.
//! let mut buffer = Vec::new();
//! while a.stats().probes_acked == 0 {
//!     let now = a.deadline().expect("a running node has something to do");
//!     a.handle_timeout(now);
//!     let mut sent = Vec::new();
//!     while let Some(action) = a.poll_action(&mut buffer) {
//!         if let Action::Transmit { datagram, .. } = action {
//!             sent.push(datagram.to_vec());
//!         }
//!     }
//!     for datagram in sent {
//!         b.handle_datagram(now, addresses[0], &datagram)?;
//!         while let Some(action) = b.poll_action(&mut buffer) {
//!             if let Action::Transmit { datagram, .. } = action {
//!                 a.handle_datagram(now, addresses[1], datagram)?;
//!             }
//!         }
//!     }
//! }
//! assert_eq!(a.live(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Messages
//!
//! [`messaging`] is a second machine beside the node: messages between members that are acknowledged, ordered and
//! flow-controlled, over links such as ZeroMQ's.
//!
//! # Further
//!
//! In the repository: `docs/embedding.md` says what a driver does with each action, and `swim-proto/examples/udp.rs` is
//! a whole one on `std::net`; `docs/protocol.md` is the protocol rule by rule and `docs/wire-format.md` its bytes.
//! `swim-tokio` is a driver for production, `swim-sim` the simulator.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod action;
mod backlog;
mod config;
mod detection;
mod dissemination;
mod event;
pub mod messaging;
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
pub use config::{Config, ConfigError, Transport, Variant};
pub use event::{Cause, Event, MemberEvent};
pub use membership::{
    ClusterHash, Incarnation, LocalMember, METADATA_MAX, Member, NAME_MAX, NodeId, Path, State, Suspicion, VERSIONS,
    Versions,
};
pub use node::{CommandError, Node, Status, Way};
pub use stats::{Drops, Stats};
pub use time::Instant;
pub use wire::{DatagramError, PAYLOAD_MAX};
