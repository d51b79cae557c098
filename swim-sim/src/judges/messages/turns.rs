//! Who has been passed over, and for how long: classes by bytes, senders by turns (`docs/messaging.md` 5).

use std::collections::BTreeMap;

use swim_proto::messaging::Class;

/// How many bytes of other classes each class has let pass since it had its turn.
#[derive(Debug, Default)]
pub(super) struct Shares {
    passed: [u64; 4],
    /// What the longest message that there was counted, and the longest of the high class.
    longest: u64,
    longest_high: u64,
}

impl Shares {
    /// A message that waits counts so much.
    pub(super) fn waits(&mut self, class: Class, cost: u64) {
        self.longest = self.longest.max(cost);
        if class == Class::High {
            self.longest_high = self.longest_high.max(cost);
        }
    }

    /// A class has nothing to say any more.
    pub(super) fn rests(&mut self, class: Class) {
        self.passed[class as usize] = 0;
    }

    /// A class had its turn, while others may have waited: which of them starves. If they may have been passed over for
    /// want of room it is by what each of the others may send meanwhile, and for want of credit by the high class's
    /// `reserve`, in bytes and messages (5.2).
    pub(super) fn served(
        &mut self,
        class: Class,
        cost: u64,
        waits: [bool; 4],
        weights: [u8; 4],
        reserve: Option<(u32, u32)>,
    ) -> Option<Class> {
        self.waits(class, cost);
        let all: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
        let mut starved = None;
        for other in Class::ALL {
            let passed = &mut self.passed[other as usize];
            if other == class || !waits[other as usize] {
                *passed = 0;
                continue;
            }
            *passed += cost;
            let weight = u64::from(weights[other as usize]);
            let unfit = reserve.map_or(0, |(bytes, messages)| {
                unfit_max(self.longest, u64::from(bytes).max(u64::from(messages) * self.longest_high))
            });
            if *passed > passed_max(all, weight, self.longest) + unfit {
                starved = Some(other);
            }
        }
        starved
    }
}

/// What others may send at most between two messages of a class.
fn passed_max(all: u64, weight: u64, longest: u64) -> u64 {
    2 * longest * (all.div_ceil(weight) + all + 4)
}

/// What others may send at most while the turn of a class has come and its message does not fit: each of three as much
/// as the longest message, which may be the last of it, and the high class its reserve.
fn unfit_max(longest: u64, reserve: u64) -> u64 {
    6 * longest + reserve
}

/// Those who wait for their turn in each class.
#[derive(Debug)]
pub(super) struct Turns<K> {
    waiting: BTreeMap<(usize, K), Waiting>,
    shares: Shares,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: u64,
    passed_over: u64,
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Turns { waiting: BTreeMap::new(), shares: Shares::default() }
    }
}

impl<K: Ord + Copy + std::fmt::Debug> Turns<K> {
    pub(super) fn waits(&mut self, who: K, class: Class) {
        self.waiting.entry((class as usize, who)).or_default().messages += 1;
    }

    /// Somebody had a turn. Who has waited for too long.
    pub(super) fn served(&mut self, who: K, class: Class, cost: u64, weights: [u8; 4]) -> Option<String> {
        let own = class as usize;
        let others = self.waiting.keys().filter(|(class, _)| *class == own).count() as u64;
        let mut starved = None;
        for (&(_, other), waiting) in self.waiting.iter_mut().filter(|((of, _), _)| *of == own) {
            waiting.passed_over = if other == who { 0 } else { waiting.passed_over + 1 };
            if waiting.messages > 0 && waiting.passed_over > 2 * others + 2 {
                starved = Some(format!("{other:?} {} times", waiting.passed_over));
            }
            if waiting.messages == 0 {
                waiting.passed_over = 0;
            }
        }
        if let Some(waiting) = self.waiting.get_mut(&(own, who)) {
            waiting.messages = waiting.messages.saturating_sub(1);
        }
        let waits = Class::ALL
            .map(|class| self.waiting.iter().any(|(&(of, _), waiting)| of == class as usize && waiting.messages > 0));
        starved.or_else(|| {
            let class = self.shares.served(class, cost, waits, weights, None)?;
            Some(format!("the class {class:?}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEIGHTS: [u8; 4] = [8, 4, 2, 1];

    #[test]
    fn a_class_that_waits_for_longer_than_its_share_starves() {
        let mut shares = Shares::default();
        let waits = [false, true, false, true];
        let mut round_robin = || {
            let mut starved = None;
            for turn in 0..5_000 {
                let class = if turn % 5 == 4 { Class::Bulk } else { Class::Normal };
                starved = starved.or(shares.served(class, 1_000, waits, WEIGHTS, None));
            }
            starved
        };
        assert_eq!(round_robin(), None);
        let starves = (0..100).find_map(|_| shares.served(Class::Normal, 1_000, waits, WEIGHTS, None));
        assert_eq!(starves, Some(Class::Bulk));
        let mut alone = Shares::default();
        assert!((0..1_000).all(|_| alone.served(Class::Normal, 1_000, [false; 4], WEIGHTS, None).is_none()));
    }

    #[test]
    fn a_class_that_does_not_fit_is_passed_over_for_so_long_and_no_longer() {
        let (waits, reserve) = ([false, true, false, true], Some((50_000, 20)));
        let mut shares = Shares::default();
        let passed = |shares: &mut Shares, times: u64| {
            (0..times).find_map(|_| shares.served(Class::Normal, 1_000, waits, WEIGHTS, reserve))
        };
        // A message of the weight 1 waits for 2 · (15 + 15 + 4) of the weights of all, the others' six, and the reserve.
        assert_eq!(passed(&mut shares, 68 + 6 + 50), None);
        assert_eq!(passed(&mut shares, 1), Some(Class::Bulk));
        assert_eq!(shares.served(Class::Bulk, 1_000, waits, WEIGHTS, reserve), None);
        assert_eq!(passed(&mut shares, 68 + 6 + 50), None);
        shares.rests(Class::Bulk);
        assert_eq!(passed(&mut shares, 68 + 6 + 50), None, "it has saved nothing up");
        assert_eq!(passed(&mut shares, 1), Some(Class::Bulk));
    }

    #[test]
    fn a_sender_that_is_passed_over_starves_and_one_that_has_nothing_does_not() {
        let mut turns = Turns::default();
        for _ in 0..50 {
            turns.waits(1, Class::Normal);
            turns.waits(2, Class::Normal);
        }
        let served = |turns: &mut Turns<i32>, who| turns.served(who, Class::Normal, 65, WEIGHTS);
        assert!((0..20).all(|turn| served(&mut turns, 1 + turn % 2).is_none()));
        assert!((0..20).any(|_| served(&mut turns, 1).is_some_and(|starved| starved.contains('2'))));
    }
}
