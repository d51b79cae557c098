//! A token bucket in bytes, which may run into debt (`docs/protocol.md` 14).

use crate::time::Instant;

const NANOS: u128 = 1_000_000_000;

/// So many bytes per second, and a burst at once. What must not wait is taken on credit, up to another burst.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    rate: u32,
    burst: i64,
    tokens: i64,
    filled: Instant,
}

impl Bucket {
    /// Full. A rate of 0 is no limit.
    pub(crate) fn new(rate: u32, burst: u32, now: Instant) -> Bucket {
        Bucket { rate, burst: burst.into(), tokens: burst.into(), filled: now }
    }

    /// Whether there is no limit.
    pub(crate) fn is_off(&self) -> bool {
        self.rate == 0
    }

    /// Whether anything may be taken that can wait as well.
    pub(crate) fn has_some(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.is_off() || self.tokens > 0
    }

    /// Whether the debt is as great as it may be: nothing at all may be taken.
    pub(crate) fn is_exhausted(&mut self, now: Instant) -> bool {
        self.fill(now);
        !self.is_off() && self.tokens <= -self.burst
    }

    /// Takes this many bytes, on credit if need be.
    pub(crate) fn take(&mut self, bytes: usize) {
        if !self.is_off() {
            self.tokens = (self.tokens - bytes as i64).max(-self.burst);
        }
    }

    /// What was taken and not used.
    pub(crate) fn give_back(&mut self, bytes: u64) {
        if !self.is_off() {
            self.tokens = self.tokens.saturating_add(bytes.min(u32::MAX.into()) as i64).min(self.burst);
        }
    }

    /// How many bytes may be taken without going into debt; all there are, without a limit.
    pub(crate) fn available(&mut self, now: Instant) -> u64 {
        self.fill(now);
        if self.is_off() { u64::MAX } else { self.tokens.max(0) as u64 }
    }

    /// When so many bytes, at most a burst, may be taken without going into debt.
    pub(crate) fn ready_at(&mut self, now: Instant, bytes: u64) -> Instant {
        self.fill(now);
        let lacking = (bytes.min(self.burst as u64) as i64 - self.tokens).max(0) as u128;
        if self.is_off() || lacking == 0 {
            return now;
        }
        self.filled + core::time::Duration::from_nanos((lacking * NANOS).div_ceil(self.rate.into()) as u64)
    }

    fn fill(&mut self, now: Instant) {
        if self.is_off() {
            return;
        }
        let earned = u128::from((now - self.filled).as_nanos() as u64) * u128::from(self.rate) / NANOS;
        if self.tokens + earned.min(u128::from(u32::MAX) * 2) as i64 >= self.burst {
            (self.tokens, self.filled) = (self.burst, now);
        } else if earned > 0 {
            // Only the time that whole bytes were earned in: the rest earns on.
            let spent = (earned * NANOS).div_ceil(self.rate.into());
            self.tokens += earned as i64;
            self.filled += core::time::Duration::from_nanos(spent as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_bucket_gives_its_burst_then_its_rate() {
        let mut bucket = Bucket::new(1000, 500, at(0));
        let mut taken = 0;
        for millis in 0..=10_000 {
            while bucket.has_some(at(millis)) {
                bucket.take(1);
                taken += 1;
            }
        }
        assert_eq!(taken, 10_500);
    }

    #[test]
    fn credit_is_one_burst_and_is_paid_back_first() {
        let mut bucket = Bucket::new(1000, 500, at(0));
        bucket.take(900);
        assert!(!bucket.has_some(at(0)) && !bucket.is_exhausted(at(0)));
        bucket.take(900);
        assert!(bucket.is_exhausted(at(0)));
        assert!(!bucket.is_exhausted(at(1)) && !bucket.has_some(at(500)));
        assert!(bucket.has_some(at(501)));
    }

    #[test]
    fn a_bucket_says_when_there_will_be_enough() {
        let mut bucket = Bucket::new(1000, 500, at(0));
        assert_eq!((bucket.available(at(0)), bucket.ready_at(at(0), 500)), (500, at(0)));
        bucket.take(700);
        for bytes in [1, 250, 500, 9_000] {
            let ready = bucket.ready_at(at(0), bytes);
            let mut later = bucket;
            assert!(later.available(ready) >= bytes.min(500), "{bytes}");
            assert!(later.available(ready) <= bytes.min(500));
        }
        assert_eq!((bucket.available(at(1)), bucket.ready_at(at(1), 1)), (0, at(201)));
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        let mut bucket = Bucket::new(0, 0, at(0));
        bucket.take(1 << 40);
        assert!(bucket.has_some(at(0)) && !bucket.is_exhausted(at(0)));
    }
}
