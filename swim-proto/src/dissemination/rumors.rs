//! What is worth telling, and how often it was told (\[SWIM\] 4.1).
//!
//! A rumor names its subject; what is said about it is looked up when it is sent, so it is never stale. There is at
//! most one rumor about a member's present standing, and besides one for each further accuser that LHA-Suspicion wants
//! heard (\[LG\] IV-B). Fewest sent first, of those not sent yet the newest first, of others the one that waited
//! longest; each at most [`sends_limit`] times.
//!
//! Adding, sending and dropping are O(1), and nothing is allocated once the slab has grown.

use alloc::vec::Vec;

use super::turns::{SENDS_MAX, Turns};
use crate::membership::{NodeId, Slot};

/// Most rumors kept; at the limit the most often sent is given up. Syncs repair what that leaves untold.
const RUMORS_MAX: usize = 65_536;

const NONE: u32 = u32::MAX;

/// What a rumor is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    /// The subject's standing, whatever it is when told.
    Standing,
    /// One more accuser of the subject, told for as long as the case lasts in which it counts.
    Accuser {
        /// The case's number, since the slot may have passed to somebody else and the subject may be accused anew.
        case: u64,
        by: NodeId,
    },
}

#[derive(Clone, Copy, Debug)]
struct Rumor {
    subject: Slot,
    /// Where in `accusations` the topic stands; [`NONE`]: it is the subject's standing.
    accusation: u32,
}

/// A [`Topic::Accuser`]. Few rumors are, and those that are not should not pay for its size.
#[derive(Clone, Copy, Debug)]
struct Accusation {
    case: u64,
    by: NodeId,
}

/// All rumors that circulate here.
#[derive(Default)]
pub(crate) struct Rumors {
    slab: Vec<Rumor>,
    free: Vec<u32>,
    accusations: Vec<Accusation>,
    free_accusations: Vec<u32>,
    turns: Turns,
}

/// Above so much room what a burst has left is given back once there are no rumors, down to a quarter.
const ROOM: usize = 256;

const KEPT: usize = ROOM / 4;

/// `λ · ⌈log10(n + 1)⌉` (\[SWIM\] 4.1), or, where that is less than there are others to tell, once for each of them up
/// to `2λ`: in a small cluster a few sends wasted on who knows already would leave somebody out.
pub(crate) fn sends_limit(retransmit_mult: u8, reach_all: bool, live: usize) -> u8 {
    let (mut digits, mut reach) = (1, 10);
    while reach < live + 1 {
        digits += 1;
        reach *= 10;
    }
    let mult = usize::from(retransmit_mult);
    let to_each = if reach_all { live.saturating_sub(1).min(2 * mult) } else { 0 };
    (mult * digits).max(to_each).min(SENDS_MAX) as u8
}

impl Rumors {
    pub(crate) fn len(&self) -> usize {
        self.slab.len() - self.free.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A new rumor, not sent yet. The second value is the rumor given up for it at the limit.
    pub(crate) fn add(&mut self, subject: Slot, topic: Topic) -> (u32, Option<(u32, Slot, Topic)>) {
        let given_up = (self.len() >= RUMORS_MAX).then(|| self.turns.backwards().next()).flatten();
        let given_up = given_up.map(|index| {
            let (subject, topic) = self.about(index);
            self.remove(index);
            (index, subject, topic)
        });
        let accusation = match topic {
            Topic::Standing => NONE,
            Topic::Accuser { case, by } => {
                let accusation = Accusation { case, by };
                let index = self.free_accusations.pop().unwrap_or(self.accusations.len() as u32);
                match self.accusations.get_mut(index as usize) {
                    Some(place) => *place = accusation,
                    None => self.accusations.push(accusation),
                }
                index
            }
        };
        let rumor = Rumor { subject, accusation };
        let index = self.free.pop().unwrap_or(self.slab.len() as u32);
        match self.slab.get_mut(index as usize) {
            Some(place) => *place = rumor,
            None => self.slab.push(rumor),
        }
        self.turns.enter_first(index);
        (index, given_up)
    }

    pub(crate) fn remove(&mut self, index: u32) {
        self.turns.leave(index);
        self.let_go(index);
    }

    fn let_go(&mut self, index: u32) {
        let accusation = self.slab[index as usize].accusation;
        if accusation != NONE {
            self.free_accusations.push(accusation);
        }
        self.free.push(index);
        // A join may have told of thousands; that memory is not kept for the next news.
        if self.is_empty() && self.slab.capacity() > ROOM {
            for list in [&mut self.free, &mut self.free_accusations] {
                list.clear();
                list.shrink_to(KEPT);
            }
            self.slab.clear();
            self.slab.shrink_to(KEPT);
            self.accusations.clear();
            self.accusations.shrink_to(KEPT);
            self.turns.clear(KEPT);
        }
    }

    /// The subject has news again: the rumor begins anew.
    pub(crate) fn renew(&mut self, index: u32) {
        self.turns.leave(index);
        self.turns.enter_first(index);
    }

    pub(crate) fn about(&self, index: u32) -> (Slot, Topic) {
        let rumor = &self.slab[index as usize];
        if rumor.accusation == NONE {
            return (rumor.subject, Topic::Standing);
        }
        let Accusation { case, by } = self.accusations[rumor.accusation as usize];
        (rumor.subject, Topic::Accuser { case, by })
    }

    /// It was told once more. Whether it has now been told often enough, and is gone.
    pub(crate) fn sent(&mut self, index: u32, limit: u8) -> bool {
        let done = self.turns.sent(index, limit);
        if done {
            self.let_go(index);
        }
        done
    }

    /// The rumor to tell first.
    pub(crate) fn first(&self) -> Option<u32> {
        self.turns.first()
    }

    /// The rumor to tell after this one.
    pub(crate) fn after(&self, index: u32) -> Option<u32> {
        self.turns.after(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(rumors: &Rumors) -> Vec<u32> {
        core::iter::successors(rumors.first(), |&index| rumors.after(index)).collect()
    }

    #[test]
    fn the_fewest_sent_come_first_and_among_them_the_newest() {
        let mut rumors = Rumors::default();
        let [a, b, c] = core::array::from_fn(|_| rumors.add(Slot::LOCAL, Topic::Standing).0);
        assert_eq!(order(&rumors), [c, b, a]);
        assert!(!rumors.sent(c, 3));
        assert_eq!(order(&rumors), [b, a, c]);
        assert!(!rumors.sent(b, 3));
        assert_eq!(order(&rumors), [a, c, b]);
        rumors.renew(b);
        assert_eq!(order(&rumors), [b, a, c]);
        rumors.remove(a);
        assert_eq!(order(&rumors), [b, c]);
    }

    #[test]
    fn a_rumor_is_gone_once_told_often_enough() {
        let mut rumors = Rumors::default();
        let (index, _) = rumors.add(Slot::LOCAL, Topic::Standing);
        assert_eq!([(); 3].map(|()| rumors.sent(index, 3)), [false, false, true]);
        assert!(rumors.is_empty() && rumors.first().is_none());
    }

    #[test]
    fn the_limit_grows_with_the_digits_of_n() {
        // [ML-now]: 4 · ⌈log10(n + 1)⌉ is 12 at 128, 16 from 1,000 to 9,998.
        let limits = [1, 5, 10, 128, 999, 1000, 9998, 10_000].map(|n| sends_limit(4, false, n));
        assert_eq!(limits, [4, 4, 8, 12, 12, 16, 16, 20]);
        // In small clusters everybody is to be reached, within reason.
        assert_eq!([5, 6, 8, 9].map(|n| sends_limit(2, true, n)), [4, 4, 4, 4]);
        assert_eq!([6, 8, 9].map(|n| sends_limit(4, true, n)), [5, 7, 8]);
    }
}
