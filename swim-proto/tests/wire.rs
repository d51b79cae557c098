//! The wire: every message there and back, and whatever else may come.

#[path = "wire/canonical.rs"]
mod canonical;
#[path = "wire/damage.rs"]
mod damage;
#[path = "wire/frames.rs"]
mod frames;
#[path = "wire/limits.rs"]
mod limits;
#[path = "wire/messaging.rs"]
mod messaging;
#[path = "wire/oracle.rs"]
mod oracle;
#[path = "wire/packets.rs"]
mod packets;
#[path = "wire/samples.rs"]
mod samples;
#[path = "wire/vectors.rs"]
mod vectors;
