//! S9, of settings that limit bytes: what a node passes over of what it hears, and tells although it should wait
//! (protocol 14.7, 14.8).
//!
//! The judge keeps token buckets of its own, each between two levels: the most that it may hold, and the least. A
//! datagram may be passed over, in part or as a whole, only where the least is used up, and must be where the most is; and
//! news of others may be told only where the most is not.
//!
//! Not seen: how many of the datagrams that nobody can read were charged; and echoes, which look like answers.

use swim_proto::{Config, Instant};

use super::Rule;
use super::fault::{Fault, Verdict, fault};

/// What rounding to whole bytes may cost.
const SLACK: i128 = 64 * NANOS;

const NANOS: i128 = 1_000_000_000;

/// The buckets of one process.
#[derive(Debug, Default)]
pub(super) struct Rates {
    taken: Bucket,
    sent: Bucket,
}

/// What was heard of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hearing {
    Whole,
    /// Probing, and claims about the node itself.
    Due,
    Nothing,
}

/// Bytes that may still pass at once, in billionths.
#[derive(Debug, Default)]
struct Bucket {
    most: i128,
    least: i128,
    filled: Instant,
}

impl Bucket {
    fn full(config: &Config, clock: Instant) -> Bucket {
        let burst = i128::from(config.rate_burst) * NANOS;
        Bucket { most: burst, least: burst, filled: clock }
    }

    fn fill(&mut self, clock: Instant, rate: u32, burst: u32) {
        let earned = clock.saturating_since(self.filled).as_nanos() as i128 * i128::from(rate);
        let burst = i128::from(burst) * NANOS;
        self.most = (self.most + earned).min(burst);
        self.least = (self.least + earned).min(burst);
        self.filled = self.filled.max(clock);
    }

    fn take(&mut self, len: usize, burst: u32) {
        // Credit is another burst.
        let floor = -i128::from(burst) * NANOS;
        self.most = (self.most - len as i128 * NANOS).max(floor);
        self.least = (self.least - len as i128 * NANOS).max(floor);
    }
}

impl Rates {
    /// Of a process that starts now.
    pub(super) fn new(config: &Config, clock: Instant) -> Rates {
        Rates { taken: Bucket::full(config, clock), sent: Bucket::full(config, clock) }
    }

    /// A datagram came that can be read or cannot, and so many more were counted as passed over, in part or as a whole.
    pub(super) fn took(
        &mut self,
        (clock, config): (Instant, &Config),
        len: usize,
        is_read: bool,
        (in_part, whole): (u64, u64),
    ) -> Result<Hearing, Fault> {
        if config.rate_in == 0 {
            return Ok(Hearing::Whole);
        }
        let bucket = &mut self.taken;
        bucket.fill(clock, config.rate_in, config.rate_burst);
        let credit = i128::from(config.rate_burst) * NANOS;
        let (hearing, above, below) = match (in_part, whole) {
            (0, 0) => (Hearing::Whole, 0, i128::MAX),
            (_, 0) => (Hearing::Due, -credit, 0),
            (_, _) => (Hearing::Nothing, i128::MIN, -credit),
        };
        let wrong = if bucket.least > below.saturating_add(SLACK) {
            Some("passed over")
        } else if is_read && bucket.most < above.saturating_sub(SLACK) {
            Some("did not pass over")
        } else {
            None
        };
        if let Some(wrong) = wrong {
            let (least, most) = (bucket.least / NANOS, bucket.most / NANOS);
            let what = format!(
                "{wrong} a datagram of {len} bytes, {hearing:?} of which was heard, with {least} to {most} bytes to spare"
            );
            return Err(Fault { rule: Rule::S9, about: None, what });
        }
        bucket.most = bucket.most.min(below);
        if hearing != Hearing::Nothing {
            let most = bucket.most;
            bucket.take(len, config.rate_burst);
            bucket.most = if is_read { bucket.most } else { most };
        }
        Ok(hearing)
    }

    /// A datagram was sent, that tells news of others or does not.
    pub(super) fn sent(&mut self, (clock, config): (Instant, &Config), len: usize, tells: bool) -> Verdict {
        if config.rate_out == 0 {
            return Ok(());
        }
        let bucket = &mut self.sent;
        bucket.fill(clock, config.rate_out, config.rate_burst);
        if tells && bucket.most < -SLACK {
            let over = -bucket.most / NANOS;
            return fault(
                Rule::S9,
                format!("told news in a datagram of {len} bytes, being {over} bytes above its rate"),
            );
        }
        bucket.take(len, config.rate_burst);
        Ok(())
    }
}
