//! What a node told its application, kept.

use std::fmt;

use swim_proto::{Cause, Event, Incarnation, Instant, MemberEvent, NodeId, State};

/// One event of one node, owned.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// When.
    pub at: Instant,
    /// What.
    pub what: What,
    /// The member it is about; empty where it is about none.
    pub name: String,
    /// The member's id.
    pub id: Option<NodeId>,
    /// The member's state after the event.
    pub state: Option<State>,
    /// The member's incarnation after the event.
    pub incarnation: Incarnation,
    /// Why, if it is about a member.
    pub cause: Option<Cause>,
}

/// The kinds of [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum What {
    Joined,
    Updated,
    Suspected,
    Refuted,
    Died,
    Left,
    Restarted,
    Reaped,
    Superseded,
    NameTaken,
    Isolated,
    Reconnected,
    /// A kind that this harness does not know.
    Other,
}

impl Told {
    pub(crate) fn new(at: Instant, event: Event<'_>) -> Told {
        let (what, member) = match event {
            Event::Joined(member) => (What::Joined, Some(member)),
            Event::Updated(member) => (What::Updated, Some(member)),
            Event::Suspected(member) => (What::Suspected, Some(member)),
            Event::Refuted(member) => (What::Refuted, Some(member)),
            Event::Died(member) => (What::Died, Some(member)),
            Event::Left(member) => (What::Left, Some(member)),
            Event::Restarted(member) => (What::Restarted, Some(member)),
            Event::Reaped(member) => (What::Reaped, Some(member)),
            Event::Superseded { .. } => (What::Superseded, None),
            Event::NameTaken { .. } => (What::NameTaken, None),
            Event::Isolated { .. } => (What::Isolated, None),
            Event::Reconnected { .. } => (What::Reconnected, None),
            _ => (What::Other, None),
        };
        match member {
            Some(MemberEvent { member, cause }) => Told {
                at,
                what,
                name: member.name.to_owned(),
                id: Some(member.id),
                state: Some(member.state),
                incarnation: member.incarnation,
                cause: Some(cause),
            },
            None => Told {
                at,
                what,
                name: String::new(),
                id: None,
                state: None,
                incarnation: Incarnation::default(),
                cause: None,
            },
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            What::Joined => "joined",
            What::Updated => "updated",
            What::Suspected => "suspected",
            What::Refuted => "refuted",
            What::Died => "died",
            What::Left => "left",
            What::Restarted => "restarted",
            What::Reaped => "reaped",
            What::Superseded => "superseded",
            What::NameTaken => "name taken",
            What::Isolated => "isolated",
            What::Reconnected => "reconnected",
            What::Other => "other",
        })
    }
}
