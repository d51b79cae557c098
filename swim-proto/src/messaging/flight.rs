//! How much may be under way to one member: more while acknowledgements come quickly, less when they are slow
//! (`docs/messaging.md` 8.1).
//!
//! Additive increase, multiplicative decrease, on the delay of acknowledgements: links lose nothing, so a queue on the
//! way shows as delay and as nothing else. A decrease drains the whole queue. One by a fixed share would leave some of
//! it standing, and in time it would be taken for the way's own delay.

use core::time::Duration;

use crate::time::Instant;

/// What the flight window grows by in each delay, in bytes.
const STEP: u64 = 1_024;

/// For how long the least delay is believed, at least; twice that at most.
const LEAST_FOR: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    window: u64,
    min: u64,
    max: u64,
    target: Duration,
    /// It was never cut.
    fresh: bool,
    /// The least delay of this spell and of the one before.
    least: [Option<Duration>; 2],
    spell: Instant,
    smoothed: Option<Duration>,
    /// Not cut again before.
    cut_after: Instant,
}

impl Flight {
    pub(super) fn new(min: u64, max: u64, target: Duration) -> Flight {
        Flight {
            window: min,
            min,
            max,
            target,
            fresh: true,
            least: [None; 2],
            spell: Instant::ZERO,
            smoothed: None,
            cut_after: Instant::ZERO,
        }
    }

    /// How many bytes may be under way.
    pub(super) fn window(&self) -> u64 {
        self.window
    }

    /// Smoothed delay of acknowledgements.
    pub(super) fn delay(&self) -> Option<Duration> {
        self.smoothed
    }

    /// `bytes` were delivered, `delay` after they were sent; `used`: as much as half of the window was under way
    /// before. Whether the window was cut.
    pub(super) fn delivered(&mut self, now: Instant, bytes: u64, delay: Duration, used: bool) -> bool {
        self.smoothed = Some(self.smoothed.map_or(delay, |smoothed| (smoothed * 7 + delay) / 8));
        if now - self.spell >= LEAST_FOR {
            (self.least, self.spell) = ([None, self.least[0]], now);
        }
        self.least[0] = Some(self.least[0].map_or(delay, |least| least.min(delay)));
        let least = self.least.into_iter().flatten().min().unwrap_or(delay);
        if delay > least + self.target {
            if now < self.cut_after {
                return false;
            }
            // What the way itself holds; the rest is the queue, which drains, so that the least delay is seen anew.
            let (least, delay_nanos) = (least.as_nanos().max(1), delay.as_nanos());
            let held = (u128::from(self.window) * least / delay_nanos) as u64;
            self.window = held.max(self.window / 8).max(self.min);
            self.fresh = false;
            self.cut_after = now + delay;
            return true;
        }
        if used {
            let grown = if self.fresh { bytes } else { (STEP * bytes / self.window).max(1) };
            self.window = (self.window + grown).min(self.max);
        }
        false
    }

    /// The link failed.
    pub(super) fn failed(&mut self) {
        self.window = (self.window / 2).max(self.min);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_finds_the_rate_of_a_slow_pipe_and_keeps_its_queue_short() {
        // A pipe of 10 MB/s and 5 ms: what is beyond 50 kB stands in a queue. A target of 20 ms is another 200 kB.
        let (rate, base) = (10_000_000.0, 0.005);
        let mut flight = Flight::new(4_096, 16 << 20, Duration::from_millis(20));
        let (mut now, mut worst, mut cuts) = (0.0f64, 0.0f64, 0);
        for round in 0..4_000 {
            let window = flight.window() as f64;
            let delay = (window / rate).max(base);
            now += delay;
            let at = Instant::from_nanos((now * 1e9) as u64);
            let delay = Duration::from_secs_f64(delay);
            cuts += u32::from(flight.delivered(at, flight.window(), delay, true));
            if round > 100 {
                worst = worst.max(delay.as_secs_f64());
                assert!(window >= 50_000.0 * 0.9, "the pipe runs dry at {window}");
            }
        }
        assert!(worst < 0.050, "{worst}");
        assert!(cuts > 1);
    }

    #[test]
    fn it_does_not_grow_unused_and_not_out_of_bounds() {
        let mut flight = Flight::new(4_096, 8_192, Duration::from_millis(1));
        let quick = Duration::from_millis(1);
        assert!(!flight.delivered(Instant::ZERO, 100, quick, false));
        assert_eq!((flight.window(), flight.delay()), (4_096, Some(quick)));
        for _ in 0..100 {
            flight.delivered(Instant::ZERO, 4_096, quick, true);
        }
        assert_eq!(flight.window(), 8_192);
        for _ in 0..10 {
            flight.failed();
        }
        assert_eq!(flight.window(), 4_096);
    }
}
