//! S13, S2: what a node is to itself. It holds itself alive and accuses itself of nothing; departing, it says only that it
//! left. It departs when it is told to, and gives way when a newer process of its name answers. Its own incarnation
//! goes past whatever it is accused of in a datagram, by the least step, and is raised for no other reason (protocol 2.3,
//! 2.10, 7.5).
//!
//! What leavers and the departed still say is bounded too (S9, protocol 9.3).
//!
//! Not seen: an accusation on a stream that is passed over. A stream may break at any message, so there each step that
//! its messages would lead to is right.

use swim_proto::wire::{Alive, Grave, Message, Profile, Tombstone};
use swim_proto::{Incarnation, Member, NodeId, State, Status};

use super::Rule;
use super::fault::{Verdict, fault};
use crate::observe::{Command, View};

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

/// What one that leaves or left still says (protocol 9.3): a leaver neither probes nor accuses nor asks; one that has
/// departed acks and says that it left, and nothing else.
pub(super) fn allowed(message: &Message<'_>, own: NodeId, status: Status) -> Verdict {
    let right = match (status, message) {
        (Status::Leaving, Message::Ping(_) | Message::PingReq(_) | Message::Ask(_)) => false,
        (Status::Left, Message::Left(left)) => left.id == own,
        (Status::Left, message) => matches!(message, Message::Ack(_)),
        _ => true,
    };
    if right { Ok(()) } else { fault(Rule::S9, format!("it is {status:?} and sends {message:?}")) }
}

/// The departed answer datagrams, the superseded nothing (protocol 7.5, 9.3).
pub(super) fn speaks(status: Status, answers: bool) -> Verdict {
    if status == Status::Superseded || status == Status::Left && !answers {
        return fault(Rule::S9, format!("it is {status:?} and sends a datagram of its own accord"));
    }
    Ok(())
}

/// What one input makes of a node's own incarnation and standing.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// Whether it took part before; otherwise nothing it hears changes it.
    ran: bool,
    before: Incarnation,
    /// What each message in turn led to.
    steps: Vec<Incarnation>,
    /// A newer process of its name of which it heard, and which it asks (protocol 7.5): until it gives way or goes past it.
    rival: Option<Incarnation>,
    /// The greatest that answered to anything in this input.
    answered: Option<Incarnation>,
    /// What an accusation that may be the rival's led to, if it was taken for its own.
    may: Option<Incarnation>,
}

impl Course {
    /// Before an input, in the memory of the last one.
    pub(super) fn begin(mut self, before: Incarnation, status: Status) -> Course {
        self.steps.clear();
        let ran = takes_part(status);
        let rival = self.rival.filter(|&rival| ran && rival >= before);
        Course { ran, before, steps: self.steps, rival, answered: None, may: None }
    }

    fn reached(&self) -> Incarnation {
        self.steps.last().copied().unwrap_or(self.before)
    }

    /// A message of the input.
    pub(super) fn hear(&mut self, message: &Message<'_>, own: NodeId, view: &dyn View) {
        if !self.ran {
            return;
        }
        match *message {
            Message::Alive(alive) if alive.id == own => self.hear_alive(&alive, &view.local()),
            Message::Ack(m) => self.answered = self.answered.max(Some(m.incarnation)),
            Message::Suspect(m) if m.id == own => self.accused(m.incarnation),
            Message::Dead(m) if m.id == own => self.accused(m.incarnation),
            Message::Left(m) if m.id == own => self.accused(m.incarnation),
            Message::Tombstone(m) if m.id == own => self.accused(m.incarnation),
            _ => {}
        }
    }

    /// All of the input was passed over.
    pub(super) fn hears_nothing(&mut self) {
        self.steps.clear();
        (self.answered, self.may) = (None, None);
    }

    fn accused(&mut self, incarnation: Incarnation) {
        let own = self.reached();
        match &mut self.rival {
            Some(rival) if incarnation.life > own.life && incarnation.life <= rival.life => {
                *rival = incarnation.max(*rival);
                self.may = Some(past(own, incarnation));
            }
            _ if incarnation >= own => self.steps.push(past(own, incarnation)),
            _ => {}
        }
    }

    fn hear_alive(&mut self, alive: &Alive<'_>, local: &Member<'_>) {
        let (own, profile) = (self.reached(), alive.profile.parse());
        if profile.name != local.name || alive.incarnation < own {
            return;
        }
        let mut own_profile = Vec::new();
        let Member { name, address, endpoint, metadata, versions, .. } = *local;
        Profile { address, endpoint, versions, name, metadata }.encode_into(&mut own_profile);
        let (life, other) = (alive.incarnation.life, alive.profile.as_bytes());
        let newer = life > own.life || life == own.life && other > own_profile.as_slice();
        if profile.address != address && newer {
            self.rival.get_or_insert(alive.incarnation);
        } else if alive.incarnation > own || other != own_profile.as_slice() {
            self.steps.push(past(own, alive.incarnation));
        }
    }

    /// What its application wants of it.
    pub(super) fn told(&mut self, command: Command, status: Status) {
        let comes_back = command == Command::Join && status == Status::Left;
        if comes_back || command == Command::SetMetadata && self.ran {
            self.steps.push(self.before.past());
        }
    }

    /// What it has become. `breaks`: the input may have been acted upon as far as any of its messages; or, being a
    /// command, refused. `waited`: time has passed, after which a rival that did not answer is gone past.
    pub(super) fn judge(&mut self, after: Incarnation, status: Status, breaks: bool, waited: bool) -> Verdict {
        let answers = self.answered.is_some_and(|answered| answered.life >= self.before.life);
        if status == Status::Superseded && self.ran && !(answers && self.rival.is_some()) {
            return fault(Rule::S13, "it gave way, and no newer process of its name answered".into());
        }
        let due = self.reached();
        if after == due || breaks && (after == self.before || self.steps.contains(&after)) || self.may == Some(after) {
            return Ok(());
        }
        if waited && self.rival.take().is_some_and(|rival| after == past(self.before, rival)) {
            return Ok(());
        }
        if after < due {
            let what = format!("it is at {after} after an accusation or a name's claim that it must go past, to {due}");
            return fault(Rule::S13, what);
        }
        fault(Rule::S2, format!("it raised itself from {} to {after}, where {due} is due", self.before))
    }
}

/// The least incarnation past what was heard: of the next life, past a greater life (protocol 2.3).
fn past(own: Incarnation, heard: Incarnation) -> Incarnation {
    let greater_life = heard.life > own.life && heard.life < Incarnation::MAX.life;
    if greater_life { Incarnation::first(heard.life + 1) } else { own.max(heard).past() }
}

/// Whether it departs when it is told to, and only then.
pub(super) fn departure(told_to_leave: bool, status: Status) -> Verdict {
    let leaves = matches!(status, Status::Leaving | Status::Left);
    if leaves && !told_to_leave || told_to_leave && takes_part(status) {
        let told = if told_to_leave { "having been told to leave" } else { "and nobody told it to leave" };
        return fault(Rule::S13, format!("it is {status:?}, {told}"));
    }
    Ok(())
}
