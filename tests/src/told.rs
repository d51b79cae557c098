//! What a node told its application, kept.

use std::fmt;
use std::net::SocketAddr;

use swim_proto::{Cause, Event, Incarnation, Instant, Member, MemberEvent, NodeId, State, Versions};

/// One event of one node, owned.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// When.
    pub at: Instant,
    /// What.
    pub what: What,
    /// The member it is about; empty where it is about none.
    pub name: String,
    /// The member's id; of a broadcast or a message, that of whoever sent it.
    pub id: Option<NodeId>,
    /// The member's state after the event.
    pub state: Option<State>,
    /// The member's incarnation after the event.
    pub incarnation: Incarnation,
    /// The member's content after the event, if it is about a member.
    pub content: Option<Content>,
    /// Why, if it is about a member.
    pub cause: Option<Cause>,
    /// The number of a broadcast.
    pub sequence: u64,
    /// What a broadcast or a message says.
    pub payload: Vec<u8>,
}

/// What a member says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Where it is reached.
    pub address: SocketAddr,
    /// Where it accepts application messages.
    pub endpoint: Option<SocketAddr>,
    /// The protocol versions it speaks.
    pub versions: Versions,
    /// The application's own bytes about it.
    pub metadata: Vec<u8>,
}

impl Content {
    /// What is held of a member.
    pub fn of(member: &Member<'_>) -> Content {
        let Member { address, endpoint, versions, metadata, .. } = *member;
        Content { address, endpoint, versions, metadata: metadata.to_vec() }
    }
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
    Broadcast,
    Message,
    /// A kind that this harness does not know.
    Other,
}

impl Told {
    /// What this event tells.
    pub fn new(at: Instant, event: Event<'_>) -> Told {
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
            Event::Broadcast { origin, sequence, payload, .. } => {
                return Told { id: Some(origin), sequence, payload: payload.to_vec(), ..Told::of(at, What::Broadcast) };
            }
            Event::Message { from, payload } => {
                return Told { id: Some(from), payload: payload.to_vec(), ..Told::of(at, What::Message) };
            }
            _ => (What::Other, None),
        };
        match member {
            Some(MemberEvent { member, cause }) => Told {
                name: member.name.to_owned(),
                id: Some(member.id),
                state: Some(member.state),
                incarnation: member.incarnation,
                content: Some(Content::of(&member)),
                cause: Some(cause),
                ..Told::of(at, what)
            },
            None => Told::of(at, what),
        }
    }

    /// What is told of nobody.
    fn of(at: Instant, what: What) -> Told {
        Told {
            at,
            what,
            name: String::new(),
            id: None,
            state: None,
            incarnation: Incarnation::default(),
            content: None,
            cause: None,
            sequence: 0,
            payload: Vec::new(),
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
            What::Broadcast => "broadcast",
            What::Message => "message",
            What::Other => "other",
        })
    }
}
