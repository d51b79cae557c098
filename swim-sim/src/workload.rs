//! What applications say while a scenario runs: broadcasts and direct messages.

use std::time::Duration;

use swim_proto::PAYLOAD_MAX;

/// What the cluster's applications say, all together, from when the last node started until faults stop.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Workload {
    /// What is said to all.
    pub broadcasts: Option<Talk>,
    /// What is said to one other, by datagram or by stream.
    pub messages: Option<Talk>,
}

/// How often something is said, and how long it is. Times are those of a Poisson process; who says it is any member that
/// runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Talk {
    /// The mean time between two.
    pub every: Duration,
    /// The least length, in bytes.
    pub len_min: u32,
    /// The greatest, at most [`PAYLOAD_MAX`]; any between is as likely.
    pub len_max: u32,
}

impl Talk {
    /// So many in a second, in the whole cluster, of so many bytes each.
    pub fn per_second(rate: f64, len: u32) -> Talk {
        let every = Duration::from_secs_f64(1.0 / rate.clamp(1e-6, 1e6));
        let len = len.min(PAYLOAD_MAX as u32);
        Talk { every, len_min: len, len_max: len }
    }

    /// The same with lengths up to this.
    #[must_use]
    pub fn up_to(self, len_max: u32) -> Talk {
        Talk { len_max: len_max.clamp(self.len_min, PAYLOAD_MAX as u32), ..self }
    }
}
