//! How new a claim is: the incarnation, raised by its owner alone.
//!
//! \[SWIM\] 4.2 numbers a member's claims with one counter that starts at zero, so a restarted process is older than
//! its own past. Here an incarnation is `(life, refutation)`: `life` grows with each restart and `refutation` within
//! one.
//!
//! **The ceiling.** A finite counter can be driven to its end by whoever can forge a packet, and a member whose
//! counter is at its end could never refute again. So the ends differ by kind: an accusation (Suspect, Dead, Left) is
//! refused when decoded above [`Incarnation::ACCUSED_MAX`], an Alive above [`Incarnation::MAX`]. Between the two lies
//! room that only owners use: whatever an owner is accused of, it can go past (`docs/protocol.md` 2.4).

use core::fmt;

use serde::{Deserialize, Serialize};

/// Orders what is said about one member: greater is newer. Compared by `life`, then by `refutation`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Incarnation {
    /// Grows with each restart of the member: milliseconds of the wall clock, or more than the last persisted one.
    pub life: u64,
    /// Raised by the member alone, within one life: on being accused, on changing its metadata, and on seeing its own
    /// incarnation with other content.
    pub refutation: u32,
}

impl Incarnation {
    /// The greatest incarnation an Alive claim may carry. Anything above is refused when decoded.
    pub const MAX: Incarnation = Incarnation { life: (1 << 63) - 1, refutation: u32::MAX - 1 };

    /// The greatest incarnation an accusation or a departure may carry. Anything above is refused when decoded.
    pub const ACCUSED_MAX: Incarnation = Incarnation { life: (1 << 62) - 1, refutation: u32::MAX - 1 };

    /// The first incarnation of a life.
    pub const fn first(life: u64) -> Incarnation {
        Incarnation { life, refutation: 0 }
    }

    /// The least incarnation greater than this one: what an owner takes to go past what it heard, unless that was of a
    /// greater life than its own (`docs/protocol.md` 2.3).
    ///
    /// A spent `refutation` carries over into `life`. [`Incarnation::MAX`] alone has nothing above it and stays.
    #[must_use]
    pub fn past(self) -> Incarnation {
        if self.refutation < Self::MAX.refutation {
            Incarnation { life: self.life, refutation: self.refutation + 1 }
        } else if self.life < Self::MAX.life {
            Incarnation::first(self.life + 1)
        } else {
            Self::MAX
        }
    }

    /// Whether an accusation of this incarnation can be put on the wire.
    ///
    /// A member above cannot be buried by hearsay; each node judges it by its own probes, and when they fail holds it
    /// dead for a while and tells nobody.
    pub fn is_accusable(self) -> bool {
        self <= Self::ACCUSED_MAX
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.life, self.refutation)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.life, self.refutation)
    }
}
