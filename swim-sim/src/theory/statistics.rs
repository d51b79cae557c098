//! Means, their errors, and how far off is too far.

/// How many standard errors a normally distributed mean may be off: more, either way, once in 16,000 times.
pub const DEVIATIONS: f64 = 4.0;

/// Independent observations of one quantity: their number, mean and spread (Welford 1962).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Sample {
    /// One more observation.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        let off = value - self.mean;
        self.mean += off / self.count as f64;
        self.squares += off * (value - self.mean);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their mean; 0 if there were none.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Their standard deviation; 0 for fewer than two.
    pub fn deviation(&self) -> f64 {
        if self.count < 2 { 0.0 } else { (self.squares / (self.count - 1) as f64).sqrt() }
    }

    /// The standard error of their mean; 0 for fewer than two.
    pub fn error(&self) -> f64 {
        if self.count < 2 { 0.0 } else { self.deviation() / (self.count as f64).sqrt() }
    }

    /// By how much their mean may differ from the true one.
    pub fn tolerance(&self) -> f64 {
        deviations(self.count) * self.error()
    }
}

impl FromIterator<f64> for Sample {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Sample {
        let mut sample = Sample::default();
        values.into_iter().for_each(|value| sample.add(value));
        sample
    }
}

/// The quantile of Student's distribution that [`DEVIATIONS`] is of the normal one, for the mean of so many
/// observations: by its expansion in the inverse of the degrees of freedom (Abramowitz and Stegun 26.7.5), which is
/// within 0.3 % of it from ten observations on.
pub fn deviations(count: u64) -> f64 {
    let z = DEVIATIONS;
    let free = count.saturating_sub(1).max(1) as f64;
    let (z3, z5, z7, z9) = (z.powi(3), z.powi(5), z.powi(7), z.powi(9));
    let first = (z3 + z) / 4.0;
    let second = (5.0 * z5 + 16.0 * z3 + 3.0 * z) / 96.0;
    let third = (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / 384.0;
    let fourth = (79.0 * z9 + 776.0 * z7 + 1482.0 * z5 - 1920.0 * z3 - 945.0 * z) / 92_160.0;
    z + first / free + second / free.powi(2) + third / free.powi(3) + fourth / free.powi(4)
}

/// The slope of a line through points `(x, y, error of y)`, each weighing as its error says, and the slope's error.
pub fn slope(points: &[(f64, f64, f64)]) -> (f64, f64) {
    let weigh = |error: f64| 1.0 / (error * error).max(f64::MIN_POSITIVE);
    let total: f64 = points.iter().map(|&(_, _, error)| weigh(error)).sum();
    let mean = points.iter().map(|&(x, _, error)| x * weigh(error)).sum::<f64>() / total;
    let spread: f64 = points.iter().map(|&(x, _, error)| weigh(error) * (x - mean).powi(2)).sum();
    let rise: f64 = points.iter().map(|&(x, y, error)| weigh(error) * (x - mean) * y).sum();
    (rise / spread, 1.0 / spread.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_samples_mean_and_spread_are_those_of_its_values() {
        let sample: Sample = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].into_iter().collect();
        assert_eq!((sample.count(), sample.mean()), (8, 5.0));
        assert!((sample.deviation() - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12);
        assert!((sample.error() - sample.deviation() / 8.0_f64.sqrt()).abs() < 1e-12);
        assert_eq!(Sample::default().error(), 0.0);
    }

    #[test]
    fn few_observations_may_be_off_by_more() {
        // Student's t at 1 - 3.167e-5, by numerical integration: 9, 19, 99 and 999 degrees of freedom.
        for (count, exact) in [(10, 6.999), (20, 5.102), (100, 4.178), (1_000, 4.017)] {
            let t = deviations(count);
            assert!((t / exact - 1.0).abs() < 0.003, "{count}: {t}, not {exact}");
        }
    }

    #[test]
    fn a_line_is_found_through_points_with_errors() {
        let points = [(1.0, 5.0, 0.1), (2.0, 7.0, 0.2), (4.0, 11.0, 0.1)];
        let (slope, error) = slope(&points);
        assert!((slope - 2.0).abs() < 1e-9, "{slope}");
        assert!(error > 0.0 && error < 0.1, "{error}");
    }
}
