//! What applications say: the workload at work.

use bytes::Bytes;
use swim_proto::Way;

use super::World;
use super::driving::{Given, Order};
use crate::medium::Due;
use crate::network::nanos;
use crate::observe::{Command, Observation, Said, Slot};
use crate::seeds::Chance;
use crate::workload::Talk;

/// To whom something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    All,
    One,
}

impl World {
    /// Puts the first of each kind on the agenda, after the last node has started.
    pub(super) fn schedule_talks(&mut self) {
        for audience in [Audience::All, Audience::One] {
            if let Some(talk) = self.talk_of(audience) {
                let after = nanos(self.scenario.join_over) + self.talks.exponential(nanos(talk.every));
                self.medium.agenda.add(after, Due::Talk(audience));
            }
        }
    }

    fn talk_of(&self, audience: Audience) -> Option<Talk> {
        match audience {
            Audience::All => self.scenario.workload.broadcasts,
            Audience::One => self.scenario.workload.messages,
        }
    }

    /// Somebody says something.
    pub(super) fn talk(&mut self, audience: Audience) {
        let Some(talk) = self.talk_of(audience).filter(|_| !self.faults_stopped) else { return };
        let next = self.medium.now + self.talks.exponential(nanos(talk.every)).max(1);
        self.medium.agenda.add(next, Due::Talk(audience));
        let slots = self.processes.len();
        let (speaker, listener) = (self.talks.index(slots), self.talks.index(slots));
        let len = self.talks.between(talk.len_min.into(), talk.len_max.into()) as usize;
        let mut bytes = vec![0; len];
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&self.talks.bits().to_le_bytes()[..part.len()]);
        }
        let by_stream = self.talks.happens(Chance::percent(25.0));
        let process = &self.processes[speaker];
        if !process.member || !process.takes_input() {
            return;
        }
        let payload = Bytes::from(bytes);
        let (command, order) = match audience {
            Audience::All => (Command::Broadcast, Order::Broadcast(payload)),
            Audience::One if listener == speaker => return,
            Audience::One => {
                let (to, by) = (self.processes[listener].id, if by_stream { Way::Stream } else { Way::Auto });
                (Command::Message(to), Order::Message { to, payload, by })
            }
        };
        self.command(speaker as u32, command, order);
    }

    /// A node took what its application said.
    pub(super) fn has_said(&mut self, slot: u32, said: Said<'_>) {
        let (now, process) = (self.medium.now, &self.processes[slot as usize]);
        let from = process.id;
        match said {
            Said::Broadcast { life, sequence, .. } => {
                let due = self.processes.iter().enumerate().map(|(at, process)| {
                    let runs = process.member && process.takes_input() && at != slot as usize;
                    runs.then_some(process.boot)
                });
                let due = due.collect();
                self.measure.said.broadcast(now, (from, life, sequence), due);
            }
            Said::Message { to, payload } => self.measure.said.message(now, from, to, payload),
        }
        self.observe(Observation::Said { slot: Slot(slot), said });
    }

    /// A node refused what its application wanted to say.
    pub(super) fn has_refused(&mut self) {
        self.measure.said.refused += 1;
    }
}

impl Given<'_> {
    /// Whether an application says something by it.
    pub(super) fn is_said(&self) -> bool {
        matches!(self, Given::Command(_, Order::Broadcast(_) | Order::Message { .. }))
    }
}
