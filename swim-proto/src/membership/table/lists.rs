//! The lists of members, and choosing among them in O(1).
//!
//! Each member but the local one stands in one list, and knows its place there. The live list is also the order of
//! probing: see [`Table::next_target`].

use alloc::vec::Vec;
use core::array;

use super::{Slot, Table};
use crate::membership::grow_gently;
use crate::membership::record::List;
use crate::random::Random;

impl Table {
    /// Live members but the local one.
    pub(crate) fn others(&self) -> &[Slot] {
        &self.live
    }

    /// The dead that can be reached again, the latest at the end.
    pub(crate) fn dead(&self) -> &[Slot] {
        &self.dead
    }

    /// How many are known that are not live.
    pub(crate) fn graves_len(&self) -> usize {
        self.dead.len() + self.gone.len()
    }

    /// Sixteen of those that are not live, at random; all, where there are no more.
    pub(crate) fn some_graves(&self, random: &mut Random) -> [Option<Slot>; 16] {
        let graves = self.graves_len();
        let grave = |at: usize| self.gone.get(at).or_else(|| self.dead.get(at - self.gone.len())).copied();
        array::from_fn(|nth| if graves > 16 { grave(random.below(graves)) } else { grave(nth) })
    }

    /// The next member to probe: a fresh shuffle in each round over the live list, one step of it at a time.
    ///
    /// The step swaps a random one of those not yet probed to the cursor and takes it. A round is then a uniform
    /// random order (\[SWIM\] 4.3) at O(1) a probe, and since each member is taken once a round, two probes of the same
    /// one are at most `2n − 1` periods apart.
    pub(crate) fn next_target(&mut self, random: &mut Random) -> Option<Slot> {
        if self.live.is_empty() {
            return None;
        }
        if self.cursor >= self.live.len() {
            self.cursor = 0;
        }
        let chosen = self.cursor + random.below(self.live.len() - self.cursor);
        self.swap_live(self.cursor, chosen);
        self.cursor += 1;
        Some(self.live[self.cursor - 1])
    }

    /// Up to `count` distinct random live members, neither the local one nor `except`, appended to `chosen`.
    pub(crate) fn choose_live(&self, random: &mut Random, count: usize, except: Option<Slot>, chosen: &mut Vec<Slot>) {
        let others = self.live.len();
        // Few enough to look at each: walk from a random start, so that small clusters are served in full.
        if others <= 2 * count + 2 {
            if others == 0 {
                return;
            }
            let (start, before) = (random.below(others), chosen.len());
            let from_start = self.live[start..].iter().chain(&self.live[..start]).copied();
            chosen.extend(from_start.filter(|&slot| Some(slot) != except).take(count));
            // Shuffled by where the walk began and by a last swap, so that neighbours are not always together.
            if chosen.len() - before > 1 {
                let swap = before + random.below(chosen.len() - before);
                chosen.swap(before, swap);
            }
            return;
        }
        let wanted = chosen.len() + count;
        while chosen.len() < wanted {
            let slot = self.live[random.below(others)];
            if Some(slot) != except && !chosen.contains(&slot) {
                chosen.push(slot);
            }
        }
    }

    /// The next `count` live members of an endless walk along the list, appended to `chosen`: whoever is told something
    /// a few times in a row tells it to different members, so that in a small cluster nobody is left out by chance.
    pub(crate) fn walk_live(&mut self, count: usize, chosen: &mut Vec<Slot>) {
        for _ in 0..count.min(self.live.len()) {
            self.walked = if self.walked + 1 < self.live.len() { self.walked + 1 } else { 0 };
            chosen.push(self.live[self.walked]);
        }
    }

    pub(super) fn enlist(&mut self, slot: Slot) {
        if slot == Slot::LOCAL {
            return;
        }
        let list = match self.at(slot).list() {
            List::Live => &mut self.live,
            List::Dead => &mut self.dead,
            List::Gone => &mut self.gone,
        };
        let place = list.len() as u32;
        grow_gently(list, 1);
        list.push(slot);
        self.at_mut(slot).place = place;
    }

    pub(super) fn delist(&mut self, slot: Slot, list: List) {
        if slot == Slot::LOCAL {
            return;
        }
        let place = self.at(slot).place as usize;
        let list = match list {
            List::Live => {
                // The hole moves to the end of the probed, then to the end of all: both parts stay whole.
                let mut hole = place;
                if hole < self.cursor {
                    self.cursor -= 1;
                    self.swap_live(hole, self.cursor);
                    hole = self.cursor;
                }
                self.swap_live(hole, self.live.len() - 1);
                self.live.pop();
                return;
            }
            List::Dead => &mut self.dead,
            List::Gone => &mut self.gone,
        };
        list.swap_remove(place);
        if let Some(&moved) = list.get(place) {
            self.at_mut(moved).place = place as u32;
        }
    }

    fn swap_live(&mut self, a: usize, b: usize) {
        self.live.swap(a, b);
        let (at_a, at_b) = (self.live[a], self.live[b]);
        self.at_mut(at_a).place = a as u32;
        self.at_mut(at_b).place = b as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::table;
    use super::*;
    use crate::membership::precedence::Standing;
    use crate::membership::{NodeId, State};
    use crate::time::Instant;

    #[test]
    fn each_round_probes_each_member_once_in_another_order() {
        let (mut table, mut random) = (table(50), Random::new(3));
        let mut rounds: Vec<Vec<u64>> = Vec::new();
        for _ in 0..4 {
            let round: Vec<u64> = (0..50)
                .map(|_| {
                    let slot = table.next_target(&mut random).expect("members");
                    table.at(slot).id.as_u64()
                })
                .collect();
            let mut sorted = round.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (1..=50).collect::<Vec<_>>());
            assert!(!rounds.contains(&round));
            rounds.push(round);
        }
    }

    #[test]
    fn members_that_come_and_go_leave_the_round_whole() {
        let (mut table, mut random) = (table(20), Random::new(5));
        (0..7).for_each(|_| _ = table.next_target(&mut random));
        let probed: Vec<Slot> = table.live[..7].to_vec();
        // One of the probed and one of the others die; the rest of the round must still reach each of the others once.
        let (dead_probed, dead_other) = (table.live[2], table.live[15]);
        for slot in [dead_probed, dead_other] {
            let standing = Standing::new(table.at(slot).incarnation(), State::Dead);
            table.rise(slot, standing, None, None, Instant::ZERO);
        }
        let mut rest: Vec<Slot> = (0..12).map(|_| table.next_target(&mut random).expect("members")).collect();
        rest.sort_unstable();
        rest.dedup();
        assert_eq!(rest.len(), 12);
        assert!(!rest.iter().any(|slot| probed.contains(slot) || *slot == dead_other));
    }

    #[test]
    fn the_chosen_are_distinct_and_exclude_whom_they_should() {
        let mut random = Random::new(9);
        for others in [0, 1, 2, 3, 8, 9, 40] {
            let table = table(others);
            let except = table.find(NodeId::from_u64(1));
            let mut chosen = Vec::new();
            table.choose_live(&mut random, 3, except, &mut chosen);
            assert_eq!(chosen.len(), usize::from(others.saturating_sub(1)).min(3));
            assert!(!chosen.contains(&Slot::LOCAL) && !chosen.iter().any(|&slot| Some(slot) == except));
            chosen.dedup();
            assert_eq!(chosen.len(), usize::from(others.saturating_sub(1)).min(3));
        }
    }
}
