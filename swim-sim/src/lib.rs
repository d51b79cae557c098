//! The simulator.

pub mod broken;
pub mod judges;
mod machine;
pub mod observe;

pub use machine::{Driven, Machine, Maker};
