//! The driver on real sockets: loopback, ports chosen by the system, conditions waited for and never slept for.

mod addresses;
mod cluster;
#[cfg(feature = "zeromq")]
mod crate_links;
mod events;
mod hostile;
mod hostile_links;
mod lifetime;
mod membership;
mod messages;
mod paths;
mod userdata;
