//! The simulator.

mod agenda;
pub mod broken;
mod faults;
pub mod judges;
mod machine;
mod measure;
mod medium;
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
mod trace;
mod world;

pub use agenda::Agenda;
pub use faults::{Crash, Fault, Restart, Timed};
pub use machine::{Driven, Machine, Maker};
pub use measure::{CrashSeen, Measure, Percentiles};
pub use network::{Bursts, Carried, Latency, LinkFault, Network, Partition, Passing, Traffic, Zones};
pub use run::{Difference, Load, Options, Report, Run, Verdict, check_determinism};
pub use scenario::Scenario;
pub use seeds::{Chance, Draw, Purpose, Seeds};
pub use streams::StreamSettings;
pub use trace::Item;
pub use world::World;
