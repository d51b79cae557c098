//! The driver on real sockets: loopback, ports chosen by the system, conditions waited for and never slept for.

mod addresses;
mod cluster;
mod events;
mod hostile;
mod lifetime;
mod membership;
mod paths;
mod userdata;
