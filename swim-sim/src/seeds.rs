//! One run seed, split by purpose, and the generator that draws from each part.
//!
//! Every random choice of a run belongs to a purpose (the network, the faults, one node, the making of a scenario) and
//! each purpose has a stream of its own: a change in one, say one more fault, leaves the draws of the others as they
//! were, which is what makes a failing seed shrinkable.
//!
//! Everything here is written out (SplitMix64 for splitting, xoshiro256++ for drawing, integer arithmetic for bounds)
//! and pinned by test vectors: a library's helper that changes between versions would change every recorded seed.

/// A run's seed, from which those of its parts are derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds(u64);

/// What a derived seed is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// The seed given to a node's core, by index and number of its process.
    Node = 1,
    /// What the network does to the packets that one host sends.
    Network = 2,
    /// When and whom faults hit.
    Faults = 3,
    /// Which scenario a swarm runs.
    Scenario = 4,
    /// When nodes start.
    Start = 5,
    /// What deliberately broken nodes do.
    Broken = 6,
    /// What applications say.
    Workload = 7,
    /// What messengers draw, and what befalls their links.
    Messaging = 8,
}

impl Seeds {
    /// The parts of this run seed.
    pub const fn of(run: u64) -> Seeds {
        Seeds(run)
    }

    /// The seed for one purpose; `index` tells apart its several uses.
    pub fn derive(self, purpose: Purpose, index: u64) -> u64 {
        mix(mix(mix(self.0) ^ purpose as u64) ^ index)
    }

    /// A generator for one purpose.
    pub fn draw(self, purpose: Purpose, index: u64) -> Draw {
        Draw::new(self.derive(purpose, index))
    }
}

/// SplitMix64's step and finaliser (Steele, Lea, Flood 2014): a bijection that leaves no pattern of its input.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A pseudo-random generator: xoshiro256++ (Blackman, Vigna 2019).
#[derive(Clone, Debug)]
pub struct Draw {
    state: [u64; 4],
}

impl Draw {
    /// The generator of this seed.
    pub fn new(seed: u64) -> Draw {
        let mut state = [0; 4];
        let mut z = seed;
        for word in &mut state {
            *word = mix(z);
            z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
        }
        Draw { state }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number below `bound`, each equally likely (Lemire 2019); 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let mut product = u128::from(self.bits()) * u128::from(bound);
        if (product as u64) < bound {
            let threshold = bound.wrapping_neg() % bound;
            while (product as u64) < threshold {
                product = u128::from(self.bits()) * u128::from(bound);
            }
        }
        (product >> 64) as u64
    }

    /// An index below `len`.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// A number from `least` to `most`, both possible.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        debug_assert!(least <= most);
        least + self.below((most - least).saturating_add(1))
    }

    /// Whether something of this likelihood happens now. Certainties draw nothing.
    pub fn happens(&mut self, chance: Chance) -> bool {
        match chance.0 {
            0 => false,
            u64::MAX => true,
            threshold => self.bits() < threshold,
        }
    }

    /// A waiting time of this mean, exponentially distributed: how long until something that happens at a steady rate.
    pub fn exponential(&mut self, mean: u64) -> u64 {
        // 53 bits, plus a half so that the logarithm's argument is never zero.
        let unit = ((self.bits() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        (-libm::log(unit) * mean as f64) as u64
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.index(among.len())]
    }

    /// Puts these in random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }

    /// `count` different indices below `len`, or all of them, in random order.
    pub fn sample(&mut self, count: usize, len: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..len).collect();
        for at in 0..count.min(len) {
            let other = at + self.index(len - at);
            all.swap(at, other);
        }
        all.truncate(count);
        all
    }
}

/// How likely something is, as a fraction of 2^64.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chance(u64);

impl Chance {
    /// It never happens.
    pub const NEVER: Chance = Chance(0);
    /// It always happens.
    pub const ALWAYS: Chance = Chance(u64::MAX);

    /// The chance `fraction`, from 0 to 1; what is outside becomes the nearer of the two.
    pub fn of(fraction: f64) -> Chance {
        // 2^64 as a float; the cast saturates, and takes what is not a number for 0.
        Chance((fraction * 18_446_744_073_709_551_616.0) as u64)
    }

    /// The chance of so many in a hundred.
    pub fn percent(percent: f64) -> Chance {
        Chance::of(percent / 100.0)
    }

    /// The chance that this happens, or that, or both.
    #[must_use]
    pub fn or(self, other: Chance) -> Chance {
        // a + (1 − a) · b, in 64 bits after the point.
        let rest = (1_u128 << 64) - u128::from(self.0);
        Chance(self.0.saturating_add(((rest * u128::from(other.0)) >> 64) as u64))
    }

    /// As a fraction, from 0 to 1.
    pub fn fraction(self) -> f64 {
        self.0 as f64 / 18_446_744_073_709_551_616.0
    }
}

impl core::fmt::Debug for Chance {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}%", (self.fraction() * 1e8).round() / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generators_give_their_published_numbers() {
        // SplitMix64 from 0: the first outputs of the reference implementation.
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0x6e78_9e6a_a1b9_65f4);
        // xoshiro256++ from the state 1, 2, 3, 4: the first outputs of the reference implementation.
        let mut draw = Draw { state: [1, 2, 3, 4] };
        assert_eq!([draw.bits(), draw.bits(), draw.bits()], [41_943_041, 58_720_359, 3_588_806_011_781_223]);
    }

    #[test]
    fn parts_of_one_seed_are_unlike_each_other() {
        let seeds = Seeds::of(7);
        let mut derived = Vec::new();
        for purpose in [Purpose::Node, Purpose::Network, Purpose::Faults, Purpose::Scenario] {
            for index in 0..100 {
                derived.push(seeds.derive(purpose, index));
            }
        }
        derived.sort_unstable();
        derived.dedup();
        assert_eq!(derived.len(), 400);
        assert_eq!(seeds.derive(Purpose::Node, 3), Seeds::of(7).derive(Purpose::Node, 3));
    }

    #[test]
    fn a_bounded_draw_reaches_every_number_about_equally_often() {
        let mut draw = Draw::new(5);
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[draw.below(7) as usize] += 1;
        }
        assert!(counts.iter().all(|&count| (9_600..10_400).contains(&count)), "{counts:?}");
        assert_eq!((draw.below(0), draw.below(1), draw.between(4, 4)), (0, 0, 4));
    }

    #[test]
    fn a_chance_happens_as_often_as_it_says() {
        let mut draw = Draw::new(6);
        let happened = (0..100_000).filter(|_| draw.happens(Chance::percent(5.0))).count();
        assert!((4_700..5_300).contains(&happened), "{happened}");
        assert!(!draw.happens(Chance::NEVER) && draw.happens(Chance::ALWAYS));
        assert_eq!(Chance::of(2.0), Chance::ALWAYS);
        assert_eq!(Chance::of(f64::NAN), Chance::NEVER);
        assert_eq!(format!("{:?}", Chance::percent(5.0)), "5%");
    }

    #[test]
    fn waiting_times_have_their_mean() {
        let mut draw = Draw::new(8);
        let sum: u64 = (0..100_000).map(|_| draw.exponential(1_000_000)).sum();
        assert!((98_000_000_000..102_000_000_000).contains(&sum), "{sum}");
    }

    #[test]
    fn a_sample_holds_different_indices() {
        let mut draw = Draw::new(9);
        let mut sample = draw.sample(50, 60);
        sample.sort_unstable();
        sample.dedup();
        assert_eq!(sample.len(), 50);
        assert_eq!(draw.sample(9, 3).len(), 3);
    }
}
