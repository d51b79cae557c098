//! S5, S14: a death has a cause, and an accusation an accuser.
//!
//! For each process the judge keeps what it heard against each member: the greatest incarnations at which it was called
//! dead or departed, and who accused it. A death that a node declares itself must follow a suspicion of that incarnation,
//! held here for at least the least time-out of its cluster's size (`bounds.rs` computes it); every other death, and
//! every Dead, Left or Suspect claim that it sends, must have been heard before.
//!
//! Not seen: whether the accuser of an accusation in a node's own name really probed (a further accusation of a suspect
//! raises no event); and causes of deaths of members whose obituary came before the judge's memory ends
//! ([`EVIDENCE_MAX`], for floods of invented members).

use swim_proto::wire::{Grave, Message, Tombstone};
use swim_proto::{Incarnation, Instant, NodeId};

use super::Rule;
use super::fault::{Verdict, fault, fault_about};
use super::maps::IdMap;

/// Members of which one process's evidence is kept. Past it nothing more is judged by evidence at this process.
const EVIDENCE_MAX: usize = 1 << 17;

/// Accusers kept of one member's accusation. Past it they are not judged.
const ACCUSERS_MAX: usize = 64;

/// What one process heard against members.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    against: IdMap<Against>,
    /// Once more was heard than is kept, absence proves nothing.
    full: bool,
}

/// What was heard against one member.
#[derive(Debug, Default)]
struct Against {
    /// Greatest incarnation called dead.
    dead: Option<Incarnation>,
    /// Greatest incarnation called departed.
    left: Option<Incarnation>,
    /// Greatest incarnation accused of anything but departing, and by whom.
    accused: Option<Incarnation>,
    accusers: Vec<Accuser>,
    /// Until when this process must remember the member's end, and which.
    grave: Option<Burial>,
    /// The earliest time at which somebody said that it would be forgotten, on the node's clock.
    forgotten_at: Option<Instant>,
}

#[derive(Debug)]
struct Accuser {
    id: NodeId,
    /// Whether the process knew it when it had taken it in, so that it may have been counted.
    known: bool,
}

/// A member's end that the process must remember.
#[derive(Clone, Copy, Debug)]
pub(super) struct Burial {
    pub(super) incarnation: Incarnation,
    /// On the node's clock.
    pub(super) until: Instant,
}

/// An accusation in a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accusation {
    pub(super) id: NodeId,
    pub(super) incarnation: Incarnation,
    pub(super) accuser: NodeId,
}

/// The accusation in this message, if there is one.
pub(super) fn accusation(message: &Message<'_>) -> Option<Accusation> {
    match *message {
        Message::Suspect(m) => Some(Accusation { id: m.id, incarnation: m.incarnation, accuser: m.accuser }),
        Message::Dead(m) => Some(Accusation { id: m.id, incarnation: m.incarnation, accuser: m.accuser }),
        Message::Tombstone(Tombstone { id, incarnation, grave: Grave::Dead(accuser), .. }) => {
            Some(Accusation { id, incarnation, accuser })
        }
        _ => None,
    }
}

impl Evidence {
    /// A message came in.
    pub(super) fn heard(&mut self, message: &Message<'_>) {
        if let Some(accusation) = accusation(message) {
            self.accused(accusation);
        }
        match *message {
            Message::Dead(m) => self.dead(m.id, m.incarnation),
            Message::Left(m) => self.left(m.id, m.incarnation),
            Message::Tombstone(m) => match m.grave {
                Grave::Dead(_) => self.dead(m.id, m.incarnation),
                Grave::Left => self.left(m.id, m.incarnation),
            },
            _ => {}
        }
    }

    fn accused(&mut self, Accusation { id, incarnation, accuser }: Accusation) {
        let Some(against) = self.against(id) else { return };
        if against.accused.is_none_or(|held| held < incarnation) {
            against.accused = Some(incarnation);
            against.accusers.clear();
        }
        if against.accused == Some(incarnation)
            && against.accusers.len() < ACCUSERS_MAX
            && against.accusers.iter().all(|known| known.id != accuser)
        {
            against.accusers.push(Accuser { id: accuser, known: false });
        }
    }

    /// The process knows this accuser, now that it has taken the packet in.
    pub(super) fn accuser_known(&mut self, of: &Accusation) {
        let Some(against) = self.against.get_mut(&of.id) else { return };
        if against.accused == Some(of.incarnation) {
            against
                .accusers
                .iter_mut()
                .filter(|accuser| accuser.id == of.accuser)
                .for_each(|accuser| accuser.known = true);
        }
    }

    /// The member was called dead, or was declared dead here.
    pub(super) fn dead(&mut self, id: NodeId, incarnation: Incarnation) {
        if let Some(against) = self.against(id) {
            against.dead = against.dead.max(Some(incarnation));
        }
    }

    /// The member was called departed, or was removed by an operator here.
    pub(super) fn left(&mut self, id: NodeId, incarnation: Incarnation) {
        if let Some(against) = self.against(id) {
            against.left = against.left.max(Some(incarnation));
        }
    }

    fn against(&mut self, id: NodeId) -> Option<&mut Against> {
        if self.against.len() >= EVIDENCE_MAX {
            self.full = true;
        }
        if self.full { None } else { Some(self.against.entry(id).or_default()) }
    }

    /// The member's end is held here from now on, to be remembered until then.
    pub(super) fn buried(&mut self, id: NodeId, incarnation: Incarnation, until: Instant) {
        let Some(against) = self.against(id) else { return };
        let until = against.forgotten_at.map_or(until, |at| at.min(until));
        against.grave = match against.grave {
            // What is held already may be forgotten when it was to be.
            Some(grave) if grave.incarnation >= incarnation => Some(Burial { until: grave.until.min(until), ..grave }),
            Some(_) | None => Some(Burial { incarnation, until }),
        };
    }

    /// Somebody says when the member will be forgotten at the latest: the lesser counts.
    pub(super) fn remembered_until(&mut self, id: NodeId, until: Instant) {
        let Some(against) = self.against(id) else { return };
        against.forgotten_at = Some(against.forgotten_at.map_or(until, |at| at.min(until)));
        if let Some(grave) = &mut against.grave {
            grave.until = grave.until.min(until);
        }
    }

    /// The member's end, if this process must still remember it.
    pub(super) fn burial(&self, id: NodeId) -> Option<Burial> {
        self.against.get(&id).filter(|_| !self.full).and_then(|against| against.grave)
    }

    /// The member was forgotten, or came back to life.
    pub(super) fn exhumed(&mut self, id: NodeId) {
        if let Some(against) = self.against.get_mut(&id) {
            against.grave = None;
        }
    }

    /// A Dead claim may be held or said only by whoever heard it or declared it (S5).
    pub(super) fn judge_dead(&self, id: NodeId, incarnation: Incarnation, how: &str) -> Verdict {
        let dead = self.against.get(&id).and_then(|against| against.dead);
        if self.full || dead >= Some(incarnation) {
            return Ok(());
        }
        let heard = dead.map_or("nothing".to_owned(), |dead| format!("only of {dead}"));
        let what =
            format!("{how} member {id} dead at {incarnation} without a suspicion that ran out, having heard {heard}");
        fault_about(Rule::S5, id, what)
    }

    /// A Left claim may be held or said only by whoever heard it or was told by an operator (S5).
    pub(super) fn judge_left(&self, id: NodeId, incarnation: Incarnation, how: &str) -> Verdict {
        let left = self.against.get(&id).and_then(|against| against.left);
        if self.full || left >= Some(incarnation) {
            return Ok(());
        }
        fault_about(Rule::S5, id, format!("{how} member {id} departed at {incarnation}, which nobody said"))
    }

    /// A Suspect claim in another's name may be said only by whoever heard it (S14).
    pub(super) fn judge_accuser(&self, Accusation { id, incarnation, accuser }: Accusation) -> Verdict {
        let against = self.against.get(&id);
        let heard = against.is_some_and(|against| {
            // A greater accusation has displaced what was heard of this one.
            against.accused > Some(incarnation)
                || against.accusers.len() == ACCUSERS_MAX
                || against.accused == Some(incarnation) && against.accusers.iter().any(|known| known.id == accuser)
        });
        if heard || self.full {
            return Ok(());
        }
        let what = format!("accused member {id} at {incarnation} in the name of {accuser}, which never said so");
        fault_about(Rule::S14, id, what)
    }

    /// Of a suspicion no more accusers may be counted than known ones were heard, and this node itself (S14).
    ///
    /// `is_known`: whether the process knows this member now; it may have come to know it after it heard it accuse.
    pub(super) fn judge_accusers(
        &self,
        (id, incarnation): (NodeId, Incarnation),
        counted: u8,
        own: NodeId,
        is_known: impl Fn(NodeId) -> bool,
    ) -> Verdict {
        let against = self.against.get(&id);
        if self.full || against.is_some_and(|against| against.accused > Some(incarnation)) {
            return Ok(());
        }
        let known = against.filter(|against| against.accused == Some(incarnation)).map_or(0, |against| {
            if against.accusers.len() == ACCUSERS_MAX {
                return usize::MAX - 1;
            }
            let known = |accuser: &&Accuser| accuser.id != own && (accuser.known || is_known(accuser.id));
            against.accusers.iter().filter(known).count()
        });
        if usize::from(counted) <= known + 1 {
            return Ok(());
        }
        let what = format!(
            "counts {counted} accusers of member {id} at {incarnation}, but heard {known} known ones besides itself"
        );
        fault_about(Rule::S14, id, what)
    }
}

/// An accuser must exist (S14).
pub(super) fn real(is_accuser: bool, accusation: &Accusation) -> Verdict {
    if is_accuser {
        return Ok(());
    }
    fault(Rule::S14, format!("accused member {} in the name of {}, which never was", accusation.id, accusation.accuser))
}
