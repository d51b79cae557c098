//! How long packets take.

use std::time::Duration;

use crate::seeds::Draw;

/// A distribution of one-way delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    /// Always the same.
    Constant(Duration),
    /// Any between these two, each as likely.
    Uniform {
        /// The shortest.
        least: Duration,
        /// The longest.
        most: Duration,
    },
    /// Around a mean, bell-shaped (the sum of twelve uniform draws), never below half the mean nor six deviations away.
    Normal {
        /// The mean.
        mean: Duration,
        /// The standard deviation.
        deviation: Duration,
    },
    /// A least delay and an exponential tail: mostly quick, now and then very slow.
    Tailed {
        /// The shortest.
        least: Duration,
        /// How much longer than that it takes on average.
        tail: Duration,
    },
}

impl Latency {
    /// Draws a delay, in nanoseconds.
    pub(crate) fn draw(&self, draw: &mut Draw) -> u64 {
        match *self {
            Latency::Constant(delay) => nanos(delay),
            Latency::Uniform { least, most } => draw.between(nanos(least), nanos(most.max(least))),
            Latency::Normal { mean, deviation } => {
                let (mean, deviation) = (nanos(mean), nanos(deviation));
                // Twelve uniform draws from 0 to one deviation sum to a mean of six deviations and a deviation of one.
                let sum: u64 = (0..12).map(|_| draw.below(deviation + 1)).sum();
                (mean + sum).saturating_sub(6 * deviation).max(mean / 2)
            }
            Latency::Tailed { least, tail } => nanos(least) + draw.exponential(nanos(tail)),
        }
    }

    /// The mean delay.
    pub fn mean(&self) -> Duration {
        match *self {
            Latency::Constant(delay) => delay,
            Latency::Uniform { least, most } => (least + most) / 2,
            Latency::Normal { mean, .. } => mean,
            Latency::Tailed { least, tail } => least + tail,
        }
    }

    /// A delay that hardly any packet exceeds.
    pub fn high(&self) -> Duration {
        match *self {
            Latency::Constant(delay) => delay,
            Latency::Uniform { most, .. } => most,
            Latency::Normal { mean, deviation } => mean + deviation * 4,
            Latency::Tailed { least, tail } => least + tail * 10,
        }
    }
}

/// A matrix of latencies: the node in slot `i` stands in zone `i mod zones`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zones {
    count: usize,
    matrix: Vec<Latency>,
}

impl Zones {
    /// Zones all equally far from each other.
    pub fn alike(count: usize, within: Latency, between: Latency) -> Zones {
        let count = count.max(1);
        let matrix = (0..count * count).map(|at| if at / count == at % count { within } else { between }).collect();
        Zones { count, matrix }
    }

    /// Zones with a row of latencies to every zone for each; `None` if the rows do not make a square.
    pub fn matrix(rows: Vec<Vec<Latency>>) -> Option<Zones> {
        let count = rows.len();
        let square = count > 0 && rows.iter().all(|row| row.len() == count);
        square.then(|| Zones { count, matrix: rows.concat() })
    }

    /// The zone of a slot.
    pub fn zone(&self, slot: u32) -> usize {
        slot as usize % self.count
    }

    /// The latency from one slot to another.
    pub fn between(&self, from: u32, to: u32) -> Latency {
        self.matrix[self.zone(from) * self.count + self.zone(to)]
    }
}

/// A duration in nanoseconds.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn drawn(latency: Latency) -> Vec<u64> {
        let mut draw = Draw::new(3);
        (0..20_000).map(|_| latency.draw(&mut draw)).collect()
    }

    #[test]
    fn each_distribution_has_its_mean_and_its_bounds() {
        let ms = Duration::from_millis;
        for latency in [
            Latency::Constant(ms(3)),
            Latency::Uniform { least: ms(1), most: ms(5) },
            Latency::Normal { mean: ms(20), deviation: ms(2) },
            Latency::Tailed { least: ms(1), tail: ms(2) },
        ] {
            let drawn = drawn(latency);
            let mean = drawn.iter().sum::<u64>() / drawn.len() as u64;
            let expected = nanos(latency.mean());
            assert!(mean.abs_diff(expected) < expected / 20, "{latency:?}: {mean}");
            let beyond = drawn.iter().filter(|&&delay| delay > nanos(latency.high())).count();
            assert!(beyond < 10, "{latency:?}: {beyond}");
        }
        assert!(drawn(Latency::Uniform { least: ms(1), most: ms(5) }).iter().all(|d| (MS..=5 * MS).contains(d)));
        assert!(drawn(Latency::Normal { mean: ms(2), deviation: ms(2) }).iter().all(|&d| d >= MS));
    }

    #[test]
    fn zones_are_near_within_and_far_between() {
        let (near, far) = (Latency::Constant(Duration::from_millis(1)), Latency::Constant(Duration::from_millis(40)));
        let zones = Zones::alike(3, near, far);
        assert_eq!([zones.between(0, 3), zones.between(0, 1), zones.between(2, 5)], [near, far, near]);
        assert!(Zones::matrix(vec![vec![near], vec![near, far]]).is_none());
    }
}
