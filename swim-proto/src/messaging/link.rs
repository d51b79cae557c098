//! One link, ours or another's, and how far it has come.

use core::net::SocketAddr;

use super::action::LinkId;
use super::alarms::Alarm;
use super::packet::Refuse;
use crate::time::Instant;

/// Bits of a link's name that are its place; the rest is never used again.
const PLACE_BITS: u32 = 20;

/// How far a link has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Ours: the driver connects.
    Opening,
    /// Ours: connected; whether Hello was sent.
    Greeting { greeted: bool },
    /// Ours: welcomed; the state of things is still to come.
    Learning,
    /// Ours: messages may go.
    Ready,
    /// Another's: it has not said whose it is.
    Silent,
    /// Another's: it is to be told why it is closed.
    Refused(Refuse),
    /// Another's: believed; whether Welcome was sent.
    Believed { welcomed: bool },
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: LinkId,
    /// Whose, once that is known.
    pub(super) peer: u32,
    pub(super) stage: Stage,
    /// Another's: where it comes from.
    pub(super) from: Option<SocketAddr>,
    /// The life and session that the other side named, and what else makes a greeting the same again.
    pub(super) life: u64,
    pub(super) session: u64,
    /// Nothing may be put on it.
    pub(super) full: bool,
    /// It is in the queue of those that may have something to say.
    pub(super) called: bool,
    /// It waits for the rate of all together.
    pub(super) paced: bool,
    /// It is in a list: of those that are idle, silent or believed.
    pub(super) listed: bool,
    /// The greatest Probe asked on it.
    pub(super) probe: u64,
    /// When that was, for another's.
    pub(super) probed_at: Option<Instant>,
    pub(super) time: Alarm,
    /// When something came on it, if it is another's and believed.
    pub(super) heard_at: Instant,
}

impl Link {
    pub(super) fn new(id: LinkId, peer: u32, stage: Stage, from: Option<SocketAddr>) -> Link {
        Link {
            id,
            peer,
            stage,
            from,
            life: 0,
            session: 0,
            full: false,
            called: false,
            paced: false,
            listed: false,
            probe: 0,
            probed_at: None,
            time: Alarm::default(),
            heard_at: Instant::default(),
        }
    }

    /// Whether we opened it.
    pub(super) fn is_ours(&self) -> bool {
        self.stage.is_ours()
    }
}

impl Stage {
    /// Whether links at this stage are ours.
    pub(super) fn is_ours(self) -> bool {
        match self {
            Stage::Opening | Stage::Greeting { .. } | Stage::Learning | Stage::Ready => true,
            Stage::Silent | Stage::Refused(_) | Stage::Believed { .. } => false,
        }
    }
}

/// The name of the so-manieth link, which lives there.
pub(super) fn name(count: u64, place: u32) -> LinkId {
    LinkId(count << PLACE_BITS | u64::from(place))
}

/// Where the link of this name would live.
pub(super) fn place(id: LinkId) -> u32 {
    (id.0 & ((1 << PLACE_BITS) - 1)) as u32
}
