//! What befalls a cluster: the vocabulary of a scenario's schedule.
//!
//! Each fault is complete in itself, with how long it lasts, so that any one can be taken out of a schedule without the
//! others losing their meaning. A fault that does not apply when its time comes (a crash of a node that is down) does
//! nothing.

use std::time::Duration;

use crate::messaging::{LinkCut, Lossy};
use crate::network::{LinkFault, Network, Partition};

/// A fault, or a command, and when it comes.
#[derive(Clone, Debug, PartialEq)]
pub struct Timed {
    /// When, since the start of the simulation.
    pub at: Duration,
    /// What.
    pub fault: Fault,
}

/// Something that befalls nodes, named by their slots, or the network.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// A process ends without a word of its own.
    Crash {
        /// Whose.
        slot: u32,
        /// What its peers notice.
        how: Crash,
    },
    /// A process is started: anew if there was one, after killing it if it still runs.
    Restart {
        /// Where.
        slot: u32,
        /// What the new process knows of the old, and where it runs.
        how: Restart,
    },
    /// A process is stopped in its tracks for a while: neither timers nor input.
    Pause {
        /// Whose.
        slot: u32,
        /// For how long.
        lasting: Duration,
    },
    /// A process's I/O is blocked for a while, and its timers run on.
    Block {
        /// Whose.
        slot: u32,
        /// For how long.
        lasting: Duration,
    },
    /// A process is short of CPU for a while: it takes inputs one after the other, each so long.
    Slow {
        /// Whose.
        slot: u32,
        /// For how long.
        lasting: Duration,
        /// How long each input takes it, and each firing of its timers.
        each: Duration,
    },
    /// A process is killed and started again at the address of another slot, whose process is gone: an address is used
    /// again. Does nothing while that process runs.
    TakeAddress {
        /// Whose.
        slot: u32,
        /// Whose address.
        of: u32,
    },
    /// Nodes cannot reach each other for a while.
    Partition {
        /// Which.
        partition: Partition,
        /// For how long in all.
        lasting: Duration,
        /// If given, it is on for so long, then off for as long, and so forth.
        flips: Option<Duration>,
    },
    /// One node's link is at fault for a while.
    Link {
        /// Whose.
        slot: u32,
        /// How.
        fault: LinkFault,
        /// For how long.
        lasting: Duration,
    },
    /// All streams of one node break at once.
    BreakStreams {
        /// Whose.
        slot: u32,
    },
    /// From now on the network is another.
    Network(Box<Network>),
    /// The application has its node leave. The process runs on, as it would until it is stopped.
    Leave {
        /// Whose.
        slot: u32,
    },
    /// The application has its node join (again).
    Join {
        /// Whose.
        slot: u32,
    },
    /// The application gives its node other metadata, of so many bytes.
    Metadata {
        /// Whose.
        slot: u32,
        /// How many, at most 512.
        len: u16,
    },
    /// The application declares another member departed.
    ForceLeave {
        /// Where it does.
        slot: u32,
        /// Whom.
        member: u32,
    },
    /// The messenger's links that a slot's process has are cut at once.
    CutLinks {
        /// Whose.
        slot: u32,
        /// How.
        how: LinkCut,
    },
    /// Nothing is read from a process's links for a while: they are open, and nothing moves.
    StallLinks {
        /// Whose.
        slot: u32,
        /// For how long.
        lasting: Duration,
    },
    /// What a process puts on its links is lost or repeated for a while, packet by packet.
    LossyLinks {
        /// Whose.
        slot: u32,
        /// How likely.
        how: Lossy,
        /// For how long.
        lasting: Duration,
    },
    /// An application takes its messages slowly for a while, or not at all.
    SlowReader {
        /// Whose.
        slot: u32,
        /// How long it takes for each. `None`: it takes none.
        each: Option<Duration>,
        /// For how long.
        lasting: Duration,
    },
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// It is killed, and its kernel resets its streams and refuses new ones.
    Process,
    /// Its host loses power: nothing answers any more.
    Host,
}

/// How a process comes back. Its name is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// It kept its last life on disk and takes the next one.
    WithState,
    /// It takes the clock's milliseconds for its life.
    WithoutState,
    /// Likewise, but the clock has gone back: its life is less than that of its predecessor.
    ClockBack,
    /// Without state, at an address never used before.
    NewAddress,
    /// Without state, and without an endpoint: it may send messages by messenger, and is sent none. The process after it
    /// has one again.
    WithoutEndpoint,
}

impl Fault {
    /// A word for its kind, to count and to report.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Crash { .. } => "crash",
            Fault::Restart { how: Restart::NewAddress, .. } => "move",
            Fault::Restart { how: Restart::WithoutEndpoint, .. } => "endpoint gone",
            Fault::Restart { .. } => "restart",
            Fault::Pause { .. } => "pause",
            Fault::Block { .. } => "block",
            Fault::Slow { .. } => "slow",
            Fault::TakeAddress { .. } => "address taken",
            Fault::Partition { flips: Some(_), .. } => "flip-flop",
            Fault::Partition { partition: Partition::OneWay { .. }, .. } => "one-way partition",
            Fault::Partition { .. } => "partition",
            Fault::Link { .. } => "link",
            Fault::BreakStreams { .. } => "broken streams",
            Fault::Network(_) => "network",
            Fault::Leave { .. } => "leave",
            Fault::Join { .. } => "join",
            Fault::Metadata { .. } => "metadata",
            Fault::ForceLeave { .. } => "force-leave",
            Fault::CutLinks { .. } => "cut links",
            Fault::StallLinks { .. } => "stalled links",
            Fault::LossyLinks { .. } => "lossy links",
            Fault::SlowReader { .. } => "slow reader",
        }
    }

    /// Whether all the slots that it befalls by number are below `nodes`. (A partition passes over those that are not.)
    pub fn fits(&self, nodes: u32) -> bool {
        let (slot, other) = match *self {
            Fault::Crash { slot, .. }
            | Fault::Restart { slot, .. }
            | Fault::Pause { slot, .. }
            | Fault::Block { slot, .. }
            | Fault::Slow { slot, .. }
            | Fault::Link { slot, .. }
            | Fault::BreakStreams { slot }
            | Fault::Leave { slot }
            | Fault::Join { slot }
            | Fault::Metadata { slot, .. }
            | Fault::CutLinks { slot, .. }
            | Fault::StallLinks { slot, .. }
            | Fault::LossyLinks { slot, .. }
            | Fault::SlowReader { slot, .. } => (slot, slot),
            Fault::TakeAddress { slot, of } => (slot, of),
            Fault::ForceLeave { slot, member } => (slot, member),
            Fault::Partition { .. } | Fault::Network(_) => return true,
        };
        slot.max(other) < nodes
    }

    /// For how long it lasts, if it ends by itself.
    pub fn lasting(&self) -> Duration {
        match self {
            Fault::Pause { lasting, .. }
            | Fault::Block { lasting, .. }
            | Fault::Slow { lasting, .. }
            | Fault::Partition { lasting, .. }
            | Fault::Link { lasting, .. }
            | Fault::StallLinks { lasting, .. }
            | Fault::LossyLinks { lasting, .. }
            | Fault::SlowReader { lasting, .. } => *lasting,
            Fault::Crash { .. }
            | Fault::Restart { .. }
            | Fault::TakeAddress { .. }
            | Fault::BreakStreams { .. }
            | Fault::Network(_)
            | Fault::Leave { .. }
            | Fault::Join { .. }
            | Fault::Metadata { .. }
            | Fault::ForceLeave { .. }
            | Fault::CutLinks { .. } => Duration::ZERO,
        }
    }
}
