//! S13: a node that runs holds itself alive, and accuses itself of nothing; departing, it says only that it left.

use swim_proto::wire::{Grave, Message, Tombstone};
use swim_proto::{Incarnation, Member, NodeId, State, Status};

use super::Rule;
use super::fault::{Verdict, fault};

/// Whether a node in this status takes part: it is to be found alive by all, and to find all.
pub(super) fn takes_part(status: Status) -> bool {
    match status {
        Status::Alone | Status::Joining | Status::Joined => true,
        Status::Leaving | Status::Left | Status::Superseded => false,
    }
}

/// What a node holds of itself once it has settled.
pub(super) fn held(status: Status, local: &Member<'_>, before: Incarnation) -> Verdict {
    if local.incarnation < before {
        return fault(Rule::S1, format!("its own incarnation went back from {before} to {}", local.incarnation));
    }
    if takes_part(status) && local.state != State::Alive {
        return fault(Rule::S13, format!("it is {status:?} and holds itself {}", local.state));
    }
    Ok(())
}

/// What a node says of itself.
pub(super) fn said(message: &Message<'_>, own: NodeId, status: Status) -> Verdict {
    let accuses = match *message {
        Message::Suspect(m) => m.id == own,
        Message::Dead(m) => m.id == own,
        Message::Tombstone(Tombstone { id, grave: Grave::Dead(_), .. }) => id == own,
        Message::Left(m) => m.id == own && takes_part(status),
        Message::Tombstone(Tombstone { id, grave: Grave::Left, .. }) => id == own && takes_part(status),
        _ => false,
    };
    if accuses { fault(Rule::S13, format!("it is {status:?} and says of itself {message:?}")) } else { Ok(()) }
}
