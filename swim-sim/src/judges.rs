//! The judges: what must hold at every event (safety), and what must come to hold once faults stop (liveness).
//!
//! The rules are those of [published-results 5.2], S1 to S14, L1, L2, L4 and L5, and the node's own contract. They were
//! written from the protocol's rules (`docs/protocol.md`), not from its implementation, and see it only by its public
//! face ([`View`](crate::observe::View)), its packets and its events. A judge must be *sound* first: right behaviour under any fault that the
//! simulator can make is never a violation; what a judge therefore cannot see is written at its head.

use std::fmt;

use swim_proto::Instant;

use crate::observe::{Observation, Slot, Truth};

/// All judges of one run.
#[derive(Debug)]
pub struct Judges {
    settings: Settings,
}

/// What the judges are to do besides what they always do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// More false deaths than this are a violation. `None`: they are counted only.
    pub false_deaths_max: Option<u64>,
    /// Keep a fingerprint of what each node did after each input, to compare two runs of one seed (S12).
    pub fingerprint: bool,
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// When it was seen, in simulated time.
    pub at: Instant,
    /// Whom it concerns: first the node at which it was seen.
    pub slots: Vec<Slot>,
    /// What was seen, as a sentence.
    pub what: String,
}

/// The rules, by their numbers in published-results 5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// An incarnation held never decreases; nor does a member's own.
    S1,
    /// Only its owner raises an incarnation.
    S2,
    /// What is held only rises in the order of precedence, by what was heard.
    S3,
    /// The dead and the departed return only with a greater incarnation.
    S4,
    /// A death has a cause: a suspicion held for its least time, or somebody else's word.
    S5,
    /// Events replayed give the table.
    S6,
    /// What is sent is within its size, decodes, and is in its own name.
    S7,
    /// A rumor is sent a bounded number of times.
    S8,
    /// A node's datagrams per period do not depend on the cluster's size.
    S9,
    /// Tables and queues stay within their bounds.
    S10,
    /// Health and suspicion time-outs stay within theirs.
    S11,
    /// Two runs of one seed are the same.
    S12,
    /// A live node holds itself alive and accuses itself of nothing.
    S13,
    /// Accusers are real, and each counts once.
    S14,
    /// In the end every crashed member is held dead by everyone.
    L1,
    /// And no later than a bound that follows from the settings.
    L2,
    /// In the end every live member is held live by everyone, and from then on nobody is buried alive.
    L4,
    /// In the end all views are the same.
    L5,
    /// The node's contract: its deadline lies ahead after a time-out, and its views agree with each other.
    Contract,
    /// More members were buried alive than the settings allow.
    FalseDeath,
}

impl Judges {
    /// Judges that have seen nothing yet.
    pub fn new(settings: Settings) -> Judges {
        Judges { settings }
    }

    /// Takes note of what happened, and judges it. After a violation they judge no more.
    pub fn observe(&mut self, now: Instant, observation: Observation<'_>, truth: &dyn Truth) -> Result<(), Violation> {
        let _ = (now, observation, truth, self.settings);
        Ok(())
    }

    /// What the cluster still lacks, after [`Observation::FaultsStopped`]: the first liveness property that does not
    /// hold at this moment, or `None`: it has converged. Asked now and then (each simulated second, say), not at each event.
    pub fn lacking(&mut self, now: Instant, truth: &dyn Truth) -> Option<Violation> {
        let _ = (now, truth);
        None
    }

    /// By when it must have converged, once faults have stopped. Past it, what is [`Judges::lacking`] is a violation.
    pub fn due(&self, truth: &dyn Truth) -> Option<Instant> {
        let _ = truth;
        None
    }

    /// Looks at every node and every member it holds, whatever the cost: at the end of a run.
    pub fn inspect(&mut self, now: Instant, truth: &dyn Truth) -> Result<(), Violation> {
        let _ = (now, truth);
        Ok(())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Contract => f.write_str("contract"),
            Rule::FalseDeath => f.write_str("false death"),
            rule => write!(f, "{rule:?}"),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:?}, node", self.rule, self.at)?;
        for (index, slot) in self.slots.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { " " } else { ", " }, slot.0)?;
        }
        write!(f, ": {}", self.what)
    }
}
