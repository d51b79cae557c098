//! S5, S14: a death has a cause, and an accusation an accuser.
//!
//! For each process the judge keeps what it heard against each member: the greatest incarnations at which it was called
//! dead or departed, and who accused it. A death that a node declares itself must follow a suspicion of that incarnation,
//! held here for at least the least time-out of its cluster's size (`bounds.rs` computes it); every other death, and
//! every Dead, Left or Suspect claim that it sends, must have been heard before.
//!
//! Not seen: of which member the failed probe was behind an accusation in a node's own name (they are counted only);
//! whether an accuser counts that was heard of a lesser incarnation than the greatest accused; and causes of deaths of members whose obituary came before the judge's memory ends
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
    /// Members' incarnations that the process accused by its own probes.
    own: u64,
    /// How often it has begun to tell all anew.
    beginnings: u32,
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
    /// Greatest incarnation that the process itself accused by its own probe, and that it declared dead.
    own: Option<Incarnation>,
    declared: Option<Incarnation>,
    /// In whose names the process accused it at the greatest incarnation, since the count began.
    told: (Option<Incarnation>, u32),
    tellers: Vec<NodeId>,
    /// Until when this process must remember the member's end, and which.
    grave: Option<Burial>,
    /// Likewise, of one known by its id alone: its suspicion.
    suspected: Option<Burial>,
    /// The earliest time at which somebody said that it would be forgotten, on the node's clock.
    forgotten_at: Option<Instant>,
}

#[derive(Debug)]
struct Accuser {
    id: NodeId,
    /// Whether the process held it live before or after it took it in, so that it may have been counted.
    known: bool,
}

/// A member's end that the process must remember.
#[derive(Clone, Copy, Debug)]
pub(super) struct Burial {
    pub(super) incarnation: Incarnation,
    /// On the node's clock.
    pub(super) until: Instant,
    /// Tombstones that had been pushed out by then.
    pub(super) pushed_out: u64,
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

    /// The process declares a death itself: its suspicion ran out.
    pub(super) fn declared(&mut self, id: NodeId, incarnation: Incarnation) {
        self.dead(id, incarnation);
        if let Some(against) = self.against(id) {
            against.declared = against.declared.max(Some(incarnation));
        }
    }

    /// Accusations are told anew from here: the process came back from its departure, or asks to be let in.
    pub(super) fn begins_anew(&mut self) {
        self.beginnings += 1;
    }

    fn against(&mut self, id: NodeId) -> Option<&mut Against> {
        if self.against.len() >= EVIDENCE_MAX {
            self.full = true;
        }
        if self.full { None } else { Some(self.against.entry(id).or_default()) }
    }

    /// The member's end is held here from now on, to be remembered until then.
    pub(super) fn buried(&mut self, id: NodeId, incarnation: Incarnation, until: Instant, pushed_out: u64) {
        let Some(against) = self.against(id) else { return };
        let until = against.forgotten_at.map_or(until, |at| at.min(until));
        against.grave = match against.grave {
            // What is held already may be forgotten when it was to be.
            Some(grave) if grave.incarnation >= incarnation => Some(Burial { until: grave.until.min(until), ..grave }),
            Some(_) | None => Some(Burial { incarnation, until, pushed_out }),
        };
    }

    /// The member is suspected here from now on, by its id alone.
    pub(super) fn suspected(&mut self, id: NodeId, incarnation: Incarnation, until: Instant, pushed_out: u64) {
        let Some(against) = self.against(id) else { return };
        let until = against.forgotten_at.map_or(until, |at| at.min(until));
        if against.suspected.is_none_or(|held| held.incarnation < incarnation) {
            against.suspected = Some(Burial { incarnation, until, pushed_out });
        }
    }

    /// At what it was suspected so, now that it comes into view.
    pub(super) fn takes_suspected(&mut self, id: NodeId) -> Option<Burial> {
        self.against.get_mut(&id).filter(|_| !self.full).and_then(|against| against.suspected.take())
    }

    /// Somebody says when the member will be forgotten at the latest: the lesser counts.
    pub(super) fn remembered_until(&mut self, id: NodeId, until: Instant) {
        let Some(against) = self.against(id) else { return };
        against.forgotten_at = Some(against.forgotten_at.map_or(until, |at| at.min(until)));
        for grave in [&mut against.grave, &mut against.suspected].into_iter().flatten() {
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

    /// A Suspect claim in another's name may be said only by whoever heard it; one in its own by whoever heard it too, or
    /// by whoever had a probe or a question (protocol 7.6) fail for each member's incarnation that it accuses so (S14). And no more names than the
    /// first and `K` others are told for one (protocol 4.4).
    pub(super) fn judge_accuser(
        &mut self,
        accusation: Accusation,
        (own, failed, confirmations): (NodeId, u64, u8),
    ) -> Verdict {
        let Accusation { id, incarnation, accuser } = accusation;
        let heard = self.heard_from(&accusation);
        let beginnings = self.beginnings;
        let (mut mine, full) = (self.own, self.full);
        let Some(against) = self.against(id) else { return Ok(()) };
        if against.told < (Some(incarnation), beginnings) || against.told.1 < beginnings {
            against.told = (Some(incarnation), beginnings);
            against.tellers.clear();
        }
        if against.told.0 == Some(incarnation) && !against.tellers.contains(&accuser) {
            against.tellers.push(accuser);
            if against.tellers.len() > usize::from(confirmations) + 1 {
                let what = format!("accused member {id} at {incarnation} in {} names", against.tellers.len());
                return fault_about(Rule::S14, id, what);
            }
        }
        if heard || full {
            return Ok(());
        }
        if accuser != own {
            let what = format!("accused member {id} at {incarnation} in the name of {accuser}, which never said so");
            return fault_about(Rule::S14, id, what);
        }
        if against.own < Some(incarnation) {
            against.own = Some(incarnation);
            mine += 1;
        }
        self.own = mine;
        if mine <= failed {
            return Ok(());
        }
        let what = format!(
            "accused member {id} at {incarnation} in its own name, the {mine}. time; only {failed} of its probes and questions failed"
        );
        fault_about(Rule::S14, id, what)
    }

    /// A Dead claim names whoever was heard to say so, or the process itself if it declared it (S14).
    pub(super) fn judge_declarer(&self, accusation: &Accusation, own: NodeId) -> Verdict {
        let Accusation { id, incarnation, accuser } = *accusation;
        let declared = self.against.get(&id).and_then(|against| against.declared);
        if self.full || self.heard_from(accusation) || accuser == own && declared >= Some(incarnation) {
            return Ok(());
        }
        let what = format!("called member {id} dead at {incarnation} in the name of {accuser}, which never said so");
        fault_about(Rule::S14, id, what)
    }

    /// Whether the process heard this, or may have.
    fn heard_from(&self, &Accusation { id, incarnation, accuser }: &Accusation) -> bool {
        self.against.get(&id).is_some_and(|against| {
            // A greater accusation has displaced what was heard of this one.
            against.accused > Some(incarnation)
                || against.accusers.len() == ACCUSERS_MAX
                || against.accused == Some(incarnation) && against.accusers.iter().any(|known| known.id == accuser)
        })
    }

    /// Of a suspicion no more accusers may be counted than were heard and held live, and this node itself if a probe of
    /// its own failed since, or others name it (S14).
    ///
    /// `is_live`: whether the process holds this member live now; it may have come to since it heard it accuse. Whoever was
    /// when the suspicion was shown counts on, whatever becomes of it.
    pub(super) fn judge_accusers(
        &mut self,
        (id, incarnation): (NodeId, Incarnation),
        counted: u8,
        (own, failed): (NodeId, bool),
        is_live: impl Fn(NodeId) -> bool,
    ) -> Verdict {
        let against = self.against.get_mut(&id);
        if self.full || against.as_ref().is_some_and(|against| against.accused > Some(incarnation)) {
            return Ok(());
        }
        let against = against.filter(|against| against.accused == Some(incarnation));
        let accusers = against.map_or(&mut [][..], |against| &mut against.accusers);
        accusers.iter_mut().for_each(|accuser| accuser.known |= is_live(accuser.id));
        let itself = failed || accusers.iter().any(|accuser| accuser.id == own);
        let known = |accuser: &&Accuser| accuser.id != own && accuser.known;
        let known = usize::from(itself) + accusers.iter().filter(known).count();
        if usize::from(counted) <= known || accusers.len() == ACCUSERS_MAX {
            return Ok(());
        }
        let what = format!("counts {counted} accusers of member {id} at {incarnation}; there were {known} that count");
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
