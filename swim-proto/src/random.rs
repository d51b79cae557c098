//! Every random choice of a node, from one seed.
//!
//! ChaCha8 gives the stream; how a 64-bit seed becomes its key and how a bounded number is drawn are written here,
//! because a library's helpers for these change between versions and two nodes of one seed must choose alike for ever.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// A node's only source of randomness.
#[derive(Clone, Debug)]
pub(crate) struct Random(ChaCha8Rng);

impl Random {
    /// The stream of `seed`: four steps of SplitMix64 make the key.
    pub(crate) fn new(seed: u64) -> Random {
        let mut state = seed;
        let mut key = [0; 32];
        for word in key.chunks_exact_mut(8) {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            word.copy_from_slice(&mix(state).to_le_bytes());
        }
        Random(ChaCha8Rng::from_seed(key))
    }

    pub(crate) fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    pub(crate) fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `0..bound`; `bound` is at least 1. Lemire's multiplication with rejection: exact, and one draw
    /// nearly always.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        debug_assert!(bound >= 1 && bound <= u32::MAX as usize, "bounds are counts of members");
        let bound = bound as u32;
        let mut product = u64::from(self.u32()) * u64::from(bound);
        if (product as u32) < bound {
            let reject_below = bound.wrapping_neg() % bound;
            while (product as u32) < reject_below {
                product = u64::from(self.u32()) * u64::from(bound);
            }
        }
        (product >> 32) as usize
    }

    /// Uniform between zero and `max`, to the nanosecond.
    pub(crate) fn duration_up_to(&mut self, max: core::time::Duration) -> core::time::Duration {
        let nanos = u64::try_from(max.as_nanos()).unwrap_or(u64::MAX);
        core::time::Duration::from_nanos(((u128::from(self.u64()) * u128::from(nanos)) >> 64) as u64)
    }
}

/// SplitMix64's output function: a bijection that scatters.
pub(crate) const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_this_stream_for_ever() {
        let mut random = Random::new(7);
        let drawn: [usize; 8] = core::array::from_fn(|_| random.below(1000));
        assert_eq!((random.u64(), drawn), (9_854_025_287_679_609_852, [314, 400, 616, 774, 895, 507, 141, 67]));
    }

    #[test]
    fn every_value_below_the_bound_is_drawn() {
        let mut random = Random::new(1);
        let mut seen = [0u32; 7];
        (0..7000).for_each(|_| seen[random.below(7)] += 1);
        assert!(seen.iter().all(|&times| (850..1150).contains(&times)), "{seen:?}");
    }
}
