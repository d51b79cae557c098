//! The simulator: clusters of thousands of nodes in one thread, each run decided by its seed.
//!
//! The nodes are [`swim_proto::Node`], the very code that runs on real sockets; around them everything is simulated:
//! time, the network with its losses and delays, the kernels' TCP, the processes and what befalls them. One agenda
//! orders all that happens and one seed decides all that is left to chance, so a run can be repeated exactly, on any
//! machine, and its [hash](World::trace_hash) tells whether it was.
//!
//! A [`Scenario`] is a run without its seed, as plain data. [`Run`] takes it through faults to the demand that all comes
//! right afterwards, watched by the [`judges`]; a [`World`] can be driven by hand instead:
//!
//! ```
//! use std::time::Duration;
//! use swim_sim::{Chance, Crash, Fault, Network, Options, Run, Scenario, Verdict, World};
//!
//! // Twenty nodes at 5 % loss, of which one loses power.
//! let scenario = Scenario::new(20, Duration::from_secs(30))
//!     .join_over(Duration::from_secs(2))
//!     .network(Network::default().with_loss(Chance::percent(5.0)))
//!     .at(Duration::from_secs(10), Fault::Crash { slot: 7, how: Crash::Host });
//!
//! // By hand: go to a time, look around, go on.
//! let mut world = World::new(scenario.clone(), 1)?;
//! world.run_until(Duration::from_secs(9));
//! assert_eq!(world.node(3).map(|node| node.live()), Some(20));
//!
//! // Or as a whole, with a report.
//! let report = Run::new(scenario, 1, Options::default())?.finish();
//! assert_eq!(report.verdict, Verdict::Passed);
//! assert_eq!((report.crashed, report.detected, report.false_deaths), (1, 1, 0));
//! # Ok::<(), swim_proto::ConfigError>(())
//! ```
//!
//! Where things are: `world` drives the nodes and lets faults befall them; `medium` is what lies between them, with the
//! `agenda`, the `network`, the `packets` under way and the `trace`; `streams` is TCP; `messaging` the
//! messengers and their links; `process` one slot with its clock
//! and its kernel; `measure` the figures of a run; `swarm` makes random scenarios; [`observe`] is what judges are told.

mod agenda;
pub mod broken;
mod faults;
pub mod judges;
mod machine;
mod measure;
mod medium;
mod messaging;
mod network;
pub mod observe;
mod packets;
mod process;
mod report;
mod run;
mod scenario;
mod seeds;
mod streams;
pub mod swarm;
pub mod sweep;
pub mod theory;
mod trace;
mod workload;
mod world;

pub use faults::{Crash, Fault, Restart, Timed};
pub use machine::{Driven, Machine, Maker};
pub use measure::{Counters, CrashSeen, Delivery, LettersSeen, Measure, Percentiles, Said};
pub use messaging::{DrivenMessenger, LinkCut, LinkSettings, Lossy, MessengerMaker, MessengerView};
pub use network::{Bursts, Carried, Latency, LinkFault, Network, Partition, Passing, Traffic, Zones};
pub use run::{Difference, LettersReport, Load, Options, Report, Run, Verdict, check_determinism, compare};
pub use scenario::Scenario;
pub use seeds::{Chance, Draw, Purpose, Seeds};
pub use streams::StreamSettings;
pub use trace::Item;
pub use workload::{Letters, Talk, Workload};
pub use world::World;
