//! What applications say while a scenario runs: broadcasts, direct messages, and messages that are acknowledged.

use std::time::Duration;

use swim_proto::PAYLOAD_MAX;

/// What the cluster's applications say, all together, from when the last node started until faults stop.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Workload {
    /// What is said to all.
    pub broadcasts: Option<Talk>,
    /// What is said to one other, by datagram or by stream.
    pub messages: Option<Talk>,
    /// What members send each other by their messengers. Without, they have none.
    pub reliable: Option<Letters>,
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

/// Messages by messenger: who sends, to whom, and in which class; whether it is ordered, when it is done and when it
/// expires, is drawn for each. Some are cancelled, some acknowledged only some time after they were taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Letters {
    /// How often a member has something to send, and how long each message is, at least [`Letters::LEN_MIN`] bytes.
    pub talk: Talk,
    /// How many streams each member uses to each other; 0: nothing is ordered.
    pub streams: u32,
    /// Most messages that a member sends one other at once.
    pub burst: u32,
    /// Every message is of the least length or nearly of the greatest, by its class and its receiver.
    pub extremes: bool,
}

impl Letters {
    /// The least length: each message is unlike every other.
    pub const LEN_MIN: u32 = 8;

    /// How long those are that everybody sends after faults have stopped.
    pub(crate) const LAST_WORD_LEN: u32 = 64;

    /// So many, in two streams each, now and then up to sixteen at once.
    pub fn of(talk: Talk) -> Letters {
        Letters { talk, streams: 2, burst: 16, extremes: false }
    }
}
