//! What the network does to packets: how long they take, and which of them do not arrive, arrive twice, late or damaged.
//!
//! [`Network`] is the description, plain data that a scenario carries; [`links::Links`] is the network at work. All
//! packets pass through it, datagrams and segments of streams alike: a stream is not spared the loss that datagrams
//! suffer (it pays with time instead, see [`crate::streams`]).

mod latency;
mod links;
mod partition;
mod traffic;

use std::time::Duration;

pub(crate) use latency::nanos;
pub use latency::{Latency, Zones};
pub use links::{Carried, LinkFault, Passing};
pub(crate) use links::{Fate, Filter, Links};
pub(crate) use partition::Cut;
pub use partition::Partition;
pub use traffic::Traffic;

use crate::seeds::Chance;

/// Bytes of IPv4 and UDP headers before a datagram's content.
pub(crate) const DATAGRAM_OVERHEAD: usize = 28;
/// Bytes of IPv4 and TCP headers before a segment's content.
pub(crate) const SEGMENT_OVERHEAD: usize = 40;

/// How packets fare between hosts. Loss, duplication, reordering and damage are drawn for each packet by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// How long a packet takes from host to host, where [`Network::zones`] does not say otherwise.
    pub latency: Latency,
    /// Latencies between and within zones, if there are several.
    pub zones: Option<Zones>,
    /// How likely any packet is lost.
    pub loss: Chance,
    /// Loss that comes in bursts, on top.
    pub bursts: Option<Bursts>,
    /// How likely a datagram arrives twice.
    pub duplicate: Chance,
    /// How likely a datagram is held up so that others overtake it.
    pub reorder: Chance,
    /// For how long such a datagram is held up at most.
    pub reorder_by: Duration,
    /// How likely a datagram arrives with one to three bits flipped. (Segments so damaged are lost: TCP checks them.)
    pub corrupt: Chance,
    /// The largest datagram that passes, IP and UDP headers included; larger ones vanish without a word. Segments are
    /// cut to fit.
    pub mtu: usize,
    /// Whether datagrams pass at all. Where they never do, that is no fault that ends: streams do.
    pub datagrams: bool,
    /// What a host's uplink carries, in bytes a second; `None`: anything at once.
    pub bandwidth: Option<u64>,
    /// How long a packet waits at most for a busy uplink before it is dropped there.
    pub uplink_queue: Duration,
}

/// Loss in bursts (Gilbert, Elliott): each host's link is good for a while, then bad for a while, both exponentially
/// distributed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bursts {
    /// How long a link is good, on average.
    pub every: Duration,
    /// How long it is bad, on average.
    pub lasting: Duration,
    /// How likely a packet from or to the host is lost while its link is bad.
    pub loss: Chance,
}

impl Network {
    /// A network that loses nothing, with this latency and Ethernet's MTU.
    pub fn new(latency: Latency) -> Network {
        Network {
            latency,
            zones: None,
            loss: Chance::NEVER,
            bursts: None,
            duplicate: Chance::NEVER,
            reorder: Chance::NEVER,
            reorder_by: Duration::from_millis(50),
            corrupt: Chance::NEVER,
            mtu: 1500,
            datagrams: true,
            bandwidth: None,
            uplink_queue: Duration::from_millis(100),
        }
    }

    /// The same with this loss of all packets.
    #[must_use]
    pub fn with_loss(self, loss: Chance) -> Network {
        Network { loss, ..self }
    }

    /// The same with loss in bursts.
    #[must_use]
    pub fn with_bursts(self, bursts: Bursts) -> Network {
        Network { bursts: Some(bursts), ..self }
    }

    /// The same with some datagrams arriving twice.
    #[must_use]
    pub fn with_duplicates(self, duplicate: Chance) -> Network {
        Network { duplicate, ..self }
    }

    /// The same with some datagrams held up for at most so long.
    #[must_use]
    pub fn with_reordering(self, reorder: Chance, reorder_by: Duration) -> Network {
        Network { reorder, reorder_by, ..self }
    }

    /// The same with some datagrams damaged.
    #[must_use]
    pub fn with_corruption(self, corrupt: Chance) -> Network {
        Network { corrupt, ..self }
    }

    /// The same in several zones.
    #[must_use]
    pub fn with_zones(self, zones: Zones) -> Network {
        Network { zones: Some(zones), ..self }
    }

    /// The same with a largest datagram, headers included.
    #[must_use]
    pub fn with_mtu(self, mtu: usize) -> Network {
        Network { mtu, ..self }
    }

    /// The same on which no datagram passes.
    #[must_use]
    pub fn without_datagrams(self) -> Network {
        Network { datagrams: false, ..self }
    }

    /// The same with uplinks of so many bytes a second.
    #[must_use]
    pub fn with_bandwidth(self, bytes_per_s: u64) -> Network {
        Network { bandwidth: Some(bytes_per_s), ..self }
    }

    /// Whether nothing at all is lost or damaged.
    pub fn is_lossless(&self) -> bool {
        self.loss == Chance::NEVER && self.bursts.is_none() && self.corrupt == Chance::NEVER && self.bandwidth.is_none()
    }

    /// Within what time every packet arrives, once and undamaged; `None` if it may not, or nothing sure can be said.
    pub(crate) fn carries_within(&self) -> Option<Duration> {
        let regular = self.duplicate == Chance::NEVER && self.reorder == Chance::NEVER && self.mtu >= 1500;
        if !self.is_lossless() || !regular || self.zones.is_some() {
            return None;
        }
        match self.latency {
            Latency::Constant(delay) => Some(delay),
            Latency::Uniform { least, most } => Some(most.max(least)),
            // The sum of twelve draws of at most a deviation each.
            Latency::Normal { mean, deviation } => Some(mean + deviation * 6),
            Latency::Tailed { .. } => None,
        }
    }

    /// The same as after the faults: nothing lost, damaged, doubled or held up; as slow as before.
    #[must_use]
    pub fn healed(self) -> Network {
        Network {
            loss: Chance::NEVER,
            bursts: None,
            duplicate: Chance::NEVER,
            reorder: Chance::NEVER,
            corrupt: Chance::NEVER,
            mtu: self.mtu.max(1500),
            bandwidth: None,
            ..self
        }
    }
}

impl Default for Network {
    /// One data centre: half a millisecond to a millisecond, nothing lost.
    fn default() -> Network {
        Network::new(Latency::Uniform { least: Duration::from_micros(500), most: Duration::from_millis(1) })
    }
}
