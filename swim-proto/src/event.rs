//! What the application is told.
//!
//! Events replayed over an earlier snapshot of [`Node::members`](crate::Node::members) give the present one: who is
//! known, in which state, with which address, endpoint, versions and metadata. The local member's own state is
//! [`Node::status`](crate::Node::status); of it only [`Event::Updated`] and [`Event::Left`] are told. Which
//! change of state raises which event is a table in [`membership::transition`](crate::membership).

use core::net::SocketAddr;
use core::time::Duration;

use crate::membership::transition::Change;
use crate::membership::{Member, NodeId};
use crate::time::Instant;

/// Something the application may want to know. Borrowed from the buffer given to
/// [`Node::poll_action`](crate::Node::poll_action).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event<'b> {
    /// A member became known, or came back to life after having been Dead or Left without a restart.
    Joined(MemberEvent<'b>),
    /// A member's metadata, address, endpoint or versions changed; of one dead or departed, they came to light late.
    /// For the local member: [`Node::set_metadata`](crate::Node::set_metadata) has taken effect.
    Updated(MemberEvent<'b>),
    /// A live member is accused of not answering.
    Suspected(MemberEvent<'b>),
    /// A suspected member showed that it is alive.
    Refuted(MemberEvent<'b>),
    /// A member is held dead.
    Died(MemberEvent<'b>),
    /// A member departed of its own will, or an operator removed it. For the local member: its leave is done.
    Left(MemberEvent<'b>),
    /// A known member speaks in a new life: its process was started anew. It may have been live, dead or gone.
    Restarted(MemberEvent<'b>),
    /// A dead or departed member is forgotten.
    Reaped(MemberEvent<'b>),
    /// Another process runs under our name, newer, at another address, where it answered us. This node has stopped.
    Superseded {
        /// The other process's address.
        by: SocketAddr,
        /// Its life.
        life: u64,
    },
    /// A seed did not admit us: our name belongs to a live member at another address. Joining is tried again.
    NameTaken {
        /// The holder's address.
        holder: SocketAddr,
    },
    /// Nothing has been heard from anyone for longer than is plausible: the fault is likely ours. Suspicion time, held
    /// still until now, runs from here.
    Isolated {
        /// When somebody was last heard.
        since: Instant,
    },
    /// Somebody was heard again after [`Event::Isolated`].
    Reconnected {
        /// For how long nobody was heard.
        after: Duration,
    },
    /// A member said something to everybody ([`Node::broadcast`](crate::Node::broadcast)). Told at most once by this
    /// process, in no particular order, and not to the origin itself. Who put it on the network is not proven.
    Broadcast {
        /// Whose it is: a member that is known here, live or not.
        origin: NodeId,
        /// The life of its process.
        life: u64,
        /// Its number in that life: 1, 2, …
        sequence: u64,
        /// The application's bytes.
        payload: &'b [u8],
    },
    /// A member said something to us alone ([`Node::send_message`](crate::Node::send_message)). It may be told twice if
    /// the network doubles it. Who put it on the network is not proven.
    Message {
        /// A member that is known here.
        from: NodeId,
        /// The application's bytes.
        payload: &'b [u8],
    },
}

impl<'b> Event<'b> {
    /// Its kind in one lower-case word, for logs: "joined", "name_taken" … Each kind has one of its own; a driver that
    /// has events of its own keeps the words, so that what it does not know of shows.
    pub fn kind(&self) -> &'static str {
        match self {
            Event::Joined(_) => "joined",
            Event::Updated(_) => "updated",
            Event::Suspected(_) => "suspected",
            Event::Refuted(_) => "refuted",
            Event::Died(_) => "died",
            Event::Left(_) => "left",
            Event::Restarted(_) => "restarted",
            Event::Reaped(_) => "reaped",
            Event::Superseded { .. } => "superseded",
            Event::NameTaken { .. } => "name_taken",
            Event::Isolated { .. } => "isolated",
            Event::Reconnected { .. } => "reconnected",
            Event::Broadcast { .. } => "broadcast",
            Event::Message { .. } => "message",
        }
    }

    /// The change of a member that it tells, if it is about one.
    pub fn change(&self) -> Option<&MemberEvent<'b>> {
        match self {
            Event::Joined(change)
            | Event::Updated(change)
            | Event::Suspected(change)
            | Event::Refuted(change)
            | Event::Died(change)
            | Event::Left(change)
            | Event::Restarted(change)
            | Event::Reaped(change) => Some(change),
            Event::Superseded { .. }
            | Event::NameTaken { .. }
            | Event::Isolated { .. }
            | Event::Reconnected { .. }
            | Event::Broadcast { .. }
            | Event::Message { .. } => None,
        }
    }

    /// Tells of this change.
    pub(crate) fn of(change: Change, event: MemberEvent<'b>) -> Event<'b> {
        match change {
            Change::Joined => Event::Joined(event),
            Change::Updated => Event::Updated(event),
            Change::Suspected => Event::Suspected(event),
            Change::Refuted => Event::Refuted(event),
            Change::Died => Event::Died(event),
            Change::Left => Event::Left(event),
            Change::Restarted => Event::Restarted(event),
            Change::Reaped => Event::Reaped(event),
        }
    }
}

/// A change of one member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemberEvent<'b> {
    /// The member as it is after the change.
    pub member: Member<'b>,
    /// What brought it about.
    pub cause: Cause,
}

/// What brought a change about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The member itself said so: a join, a refutation, a change of metadata, a departure.
    Itself,
    /// Our own probe of it failed.
    ProbeFailed,
    /// Another member accuses it.
    Accused {
        /// The accuser.
        by: NodeId,
    },
    /// A suspicion ran out.
    SuspicionExpired {
        /// How many accusers were counted, the first included.
        accusers: u8,
        /// When the suspicion began.
        since: Instant,
    },
    /// Another member declared it dead.
    DeclaredBy {
        /// Who says so.
        by: NodeId,
    },
    /// An operator here called [`Node::force_leave`](crate::Node::force_leave).
    Operator,
    /// Its time ended ([`Config::tombstone_retention`](crate::Config::tombstone_retention)), or it was pushed out at
    /// [`Config::tombstones_max`](crate::Config::tombstones_max) or
    /// [`Config::members_max`](crate::Config::members_max).
    Forgotten,
}
