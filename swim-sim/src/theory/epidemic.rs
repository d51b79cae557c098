//! News among members that only ping: an epidemic of its own, that shares no code with the core.
//!
//! The paper's formula is that of a large population that mixes at random and at all times. A real member pings once in a
//! period, at its phase, going through a shuffled list; news starts at one member, and whoever has told it often enough
//! tells it no more. That is what this model has, and nothing else: no messages, no addresses, no time on the way.

use crate::seeds::Draw;

/// One outbreak: when each member learnt the news, in periods since the first knew, in order. Who never did is not
/// there. `sends` is how often a member tells it.
pub(super) fn outbreak(nodes: u32, sends: u32, periods: u32, draw: &mut Draw) -> Vec<f64> {
    let count = nodes as usize;
    // In order of phase: phase `at/2^53`, and the others in random order with a random place to go on from.
    let mut members: Vec<Member> = (0..count).map(|index| Member::new(index, count, draw)).collect();
    members.sort_by_key(|member| member.phase);
    let mut told_at = vec![None; count];
    let mut told = vec![0; count];
    let source = draw.index(count);
    told_at[source] = Some(0.0);
    let mut tells = |who: usize, knows: bool| {
        let tells = knows && told[who] < sends;
        told[who] += u32::from(tells);
        tells
    };
    for period in 0..periods {
        for member in &mut members {
            let now = f64::from(period) + member.phase as f64 / PHASES as f64;
            let (from, to) = (member.index, member.next(draw));
            // The ping tells what its sender knows; the ack what its sender knows, by the ping or before.
            if tells(from, told_at[from].is_some()) {
                told_at[to].get_or_insert(now);
            }
            if tells(to, told_at[to].is_some()) {
                told_at[from].get_or_insert(now);
            }
        }
    }
    let mut times: Vec<f64> = told_at.into_iter().flatten().collect();
    times.sort_by(f64::total_cmp);
    times
}

/// Into how many parts a period is cut.
const PHASES: u64 = 1 << 53;

struct Member {
    index: usize,
    phase: u64,
    others: Vec<usize>,
    next: usize,
}

impl Member {
    fn new(index: usize, count: usize, draw: &mut Draw) -> Member {
        let mut others: Vec<usize> = (0..count).filter(|&other| other != index).collect();
        draw.shuffle(&mut others);
        Member { index, phase: draw.below(PHASES), next: draw.index(others.len()), others }
    }

    /// Whom it pings next.
    fn next(&mut self, draw: &mut Draw) -> usize {
        let target = self.others[self.next];
        self.next += 1;
        if self.next == self.others.len() {
            draw.shuffle(&mut self.others);
            self.next = 0;
        }
        target
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::statistics::Sample;

    #[test]
    fn of_two_members_the_other_learns_it_when_the_first_of_both_pings() {
        // The lesser of two phases: a third of a period on average.
        let mut draw = Draw::new(1);
        let times: Sample = (0..4_000).map(|_| outbreak(2, 8, 3, &mut draw)[1]).collect();
        assert!((times.mean() - 1.0 / 3.0).abs() < times.tolerance(), "{times:?}");
    }

    #[test]
    fn told_once_by_each_news_stays_among_few() {
        let mut draw = Draw::new(2);
        let reached: Sample = (0..200).map(|_| outbreak(64, 1, 20, &mut draw).len() as f64).collect();
        assert!(reached.mean() < 32.0, "{reached:?}");
        assert_eq!(outbreak(64, 16, 20, &mut draw).len(), 64);
    }
}
