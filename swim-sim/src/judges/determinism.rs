//! S12: two runs of one seed are the same.
//!
//! While it runs nothing can be seen of this; so each run keeps a fingerprint, one number for each input of a node with
//! all that the node did on it, and two of them are compared afterwards. The first difference is at the node that was
//! given the same as before and did something else.

use swim_proto::{Event, Instant};

use super::{Rule, Violation};
use crate::observe::{Observation, Post, Slot};

/// What each node did on each input, as numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    turns: Vec<Turn>,
    hash: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    at: Instant,
    slot: Slot,
    hash: u64,
}

impl Fingerprint {
    pub(super) fn observe(&mut self, now: Instant, observation: &Observation<'_>, deadline: Option<Instant>) {
        match *observation {
            Observation::Transmit { to, bytes, .. } => {
                self.mix(1 << 32 | u64::from(to.port()));
                self.mix_bytes(bytes);
            }
            Observation::StreamWrite { stream, bytes, .. } => {
                self.mix(2 << 32 ^ stream.0);
                self.mix_bytes(bytes);
            }
            Observation::StreamClosed { stream, .. } => self.mix(3 << 32 ^ stream.0),
            Observation::Event { event, .. } => self.mix_event(&event),
            Observation::Settled { slot } => {
                self.mix(deadline.map_or(0, Instant::as_nanos));
                self.turns.push(Turn { at: now, slot, hash: self.hash });
            }
            Observation::Post { slot, post } => self.mix_post(now, slot, &post),
            Observation::Started { .. }
            | Observation::Said { .. }
            | Observation::StreamConnect { .. }
            | Observation::Input { .. }
            | Observation::Stopped { .. }
            | Observation::ConditionChanged { .. }
            | Observation::LinksChanged
            | Observation::Injected { .. }
            | Observation::FaultsStopped { .. } => {}
        }
    }

    fn mix_post(&mut self, now: Instant, slot: Slot, post: &Post<'_>) {
        match *post {
            Post::Send { link, header, payload } => {
                self.mix(5 << 32 ^ link.0);
                self.mix_bytes(header);
                self.mix(payload.map_or(u64::MAX, |payload| payload.len() as u64));
            }
            Post::Open { link, .. } => self.mix(6 << 32 ^ link.0),
            Post::Close { link } => self.mix(7 << 32 ^ link.0),
            Post::Settled => self.turns.push(Turn { at: now, slot, hash: self.hash }),
            Post::Made
            | Post::Given(_)
            | Post::Accepted { .. }
            | Post::Refused { .. }
            | Post::Cancelled { .. }
            | Post::Took { .. }
            | Post::Acknowledged { .. }
            | Post::Incoming { .. }
            | Post::Event(_) => {}
        }
    }

    fn mix_event(&mut self, event: &Event<'_>) {
        self.mix(4 << 32);
        if let Some(change) = event.change() {
            self.mix(change.member.id.as_u64());
            self.mix(change.member.state as u64);
            self.mix(change.member.incarnation.life ^ u64::from(change.member.incarnation.refutation) << 44);
        }
    }

    fn mix_bytes(&mut self, bytes: &[u8]) {
        self.mix(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn mix(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(27);
    }

    /// The two runs are the same, or this is where they part.
    pub fn compare(&self, other: &Fingerprint) -> Result<(), Violation> {
        let parting = self.turns.iter().zip(&other.turns).find(|(one, two)| one != two);
        let (turn, what) = match parting {
            Some((one, two)) => {
                let what = format!("a second run of the seed parted here: node {} at {:?} there", two.slot.0, two.at);
                (*one, what)
            }
            None if self.turns.len() == other.turns.len() => return Ok(()),
            None => {
                let longer = if self.turns.len() > other.turns.len() { &self.turns } else { &other.turns };
                let turn = longer[self.turns.len().min(other.turns.len())];
                (turn, format!("one run of the seed ended before, after {} inputs", longer.len() - 1))
            }
        };
        Err(Violation { rule: Rule::S12, at: turn.at, slots: vec![turn.slot], what })
    }
}
