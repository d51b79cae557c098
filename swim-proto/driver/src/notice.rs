//! What the application is told: the core's events with data of their own.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use swim_proto::{self as proto, Node, NodeId};

use crate::clock::Clock;
use crate::member::MemberInfo;

/// One thing that happened, and when.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Notice {
    /// When it happened here, by the wall clock.
    pub at: SystemTime,
    /// What happened.
    pub event: Event,
}

/// Something the application may want to know. [`swim_proto::Event`] says what each means in full.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A member became known, or came back to life without a restart.
    Joined(Change),
    /// A live member changed its metadata, address, endpoint or versions.
    Updated(Change),
    /// A live member is accused of not answering.
    Suspected(Change),
    /// A suspected member showed that it is alive.
    Refuted(Change),
    /// A member is held dead.
    Died(Change),
    /// A member departed of its own will, or an operator removed it. Of the local member: its leave is done.
    Left(Change),
    /// A known member's process was started anew. It may have been live, dead or gone.
    Restarted(Change),
    /// A dead or departed member is forgotten.
    Reaped(Change),
    /// Another process runs under our name with a newer life. This node has stopped.
    Superseded {
        /// The other process's address.
        by: SocketAddr,
        /// Its life.
        life: u64,
    },
    /// A seed did not admit us: a live member at another address holds our name. Joining is tried again.
    NameTaken {
        /// The holder's address.
        holder: SocketAddr,
    },
    /// Nothing has been heard from anyone for longer than is plausible.
    Isolated {
        /// When somebody was last heard.
        since: Instant,
    },
    /// Somebody was heard again after [`Event::Isolated`].
    Reconnected {
        /// For how long nobody was heard.
        after: Duration,
    },
    /// A member said something to everybody (`broadcast`). Told at most once, in no
    /// particular order. Who put it on the network is not proven.
    Broadcast {
        /// Whose it is: a member that is known here, live or not.
        origin: NodeId,
        /// Its name.
        origin_name: Option<String>,
        /// The life of its process.
        life: u64,
        /// Its number in that life: 1, 2, …
        sequence: u64,
        /// The application's bytes.
        payload: Bytes,
    },
    /// A member said something to us alone (`send_message`). Who put it on the
    /// network is not proven.
    Message {
        /// A member that is known here.
        from: NodeId,
        /// Its name.
        from_name: Option<String>,
        /// The application's bytes.
        payload: Bytes,
    },
}

/// A change of one member.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// The member as it is after the change.
    pub member: MemberInfo,
    /// What brought it about.
    pub cause: Cause,
}

/// What brought a change about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The member itself said so: a join, a refutation, a change of metadata, a departure.
    Itself,
    /// This node's own probe of it failed.
    ProbeFailed,
    /// Another member accuses it.
    Accused {
        /// The accuser.
        by: NodeId,
        /// Its name, if it is known.
        by_name: Option<String>,
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
        /// Its name, if it is known.
        by_name: Option<String>,
    },
    /// Somebody here called `force_leave`.
    Operator,
    /// It had been remembered for long enough.
    Forgotten,
    /// The core gave a cause this version of the driver has no word for.
    Other,
}

impl Event {
    /// The event's name in one lower-case word, for logs: "joined", "died" …
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

    /// The change of a member that this event reports, if it is about one.
    pub fn change(&self) -> Option<&Change> {
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

    /// The member this event is about, as it is after the change.
    pub fn member(&self) -> Option<&MemberInfo> {
        self.change().map(|change| &change.member)
    }
}

impl Notice {
    /// What the core tells, for a driver to tell on. `None`: an event that there is no word for here.
    pub fn of(told: &proto::Event<'_>, node: &Node, clock: &Clock) -> Option<Notice> {
        let change = |event: &proto::MemberEvent<'_>| Change {
            member: MemberInfo::of(&event.member, clock),
            cause: Cause::of(event.cause, node, clock),
        };
        let name_of = |id| node.member(id).map(|member| member.name.to_owned());
        let event = match told {
            proto::Event::Joined(event) => Event::Joined(change(event)),
            proto::Event::Updated(event) => Event::Updated(change(event)),
            proto::Event::Suspected(event) => Event::Suspected(change(event)),
            proto::Event::Refuted(event) => Event::Refuted(change(event)),
            proto::Event::Died(event) => Event::Died(change(event)),
            proto::Event::Left(event) => Event::Left(change(event)),
            proto::Event::Restarted(event) => Event::Restarted(change(event)),
            proto::Event::Reaped(event) => Event::Reaped(change(event)),
            proto::Event::Superseded { by, life } => Event::Superseded { by: *by, life: *life },
            proto::Event::NameTaken { holder } => Event::NameTaken { holder: *holder },
            proto::Event::Isolated { since } => Event::Isolated { since: clock.instant(*since) },
            proto::Event::Reconnected { after } => Event::Reconnected { after: *after },
            proto::Event::Broadcast { origin, life, sequence, payload } => Event::Broadcast {
                origin: *origin,
                origin_name: name_of(*origin),
                life: *life,
                sequence: *sequence,
                payload: Bytes::copy_from_slice(payload),
            },
            proto::Event::Message { from, payload } => {
                Event::Message { from: *from, from_name: name_of(*from), payload: Bytes::copy_from_slice(payload) }
            }
            other => {
                debug_assert!(false, "the core tells of {}, and the driver has no word for it", other.kind());
                return None;
            }
        };
        debug_assert_eq!(event.kind(), told.kind(), "one kind of event, one word");
        Some(Notice { at: SystemTime::now(), event })
    }
}

impl Cause {
    fn of(cause: proto::Cause, node: &Node, clock: &Clock) -> Cause {
        let name_of = |id| node.member(id).map(|member| member.name.to_owned());
        match cause {
            proto::Cause::Itself => Cause::Itself,
            proto::Cause::ProbeFailed => Cause::ProbeFailed,
            proto::Cause::Accused { by } => Cause::Accused { by, by_name: name_of(by) },
            proto::Cause::SuspicionExpired { accusers, since } => {
                Cause::SuspicionExpired { accusers, since: clock.instant(since) }
            }
            proto::Cause::DeclaredBy { by } => Cause::DeclaredBy { by, by_name: name_of(by) },
            proto::Cause::Operator => Cause::Operator,
            proto::Cause::Forgotten => Cause::Forgotten,
            _ => Cause::Other,
        }
    }
}

/// Why there is no notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventsError {
    /// This receiver read too slowly. What it missed is gone; read the members anew with `follow`, or go on with what comes
    /// next.
    #[error("read too slowly: {0} notices were lost; read the members anew")]
    Lagged(u64),
    /// The node was shut down, and everything it had to say has been read.
    #[error("the node was shut down")]
    Closed,
}
