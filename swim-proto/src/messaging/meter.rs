//! How full a buffer is, told when it changes (`docs/messaging.md` 4.4).

use super::action::Level;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meter {
    level: Level,
}

/// How much there is, of how much there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filling {
    pub(super) used: u64,
    pub(super) max: u64,
}

impl Filling {
    pub(super) fn is_high(self) -> bool {
        self.used.saturating_mul(4) >= self.max.saturating_mul(3)
    }

    fn is_half(self) -> bool {
        self.used.saturating_mul(2) >= self.max
    }
}

impl Meter {
    pub(super) fn level(&self) -> Level {
        self.level
    }

    /// What it holds changed. The new level, if that did.
    pub(super) fn changed(&mut self, fillings: &[Filling]) -> Option<Level> {
        let high = fillings.iter().any(|filling| filling.is_high());
        let half = fillings.iter().any(|filling| filling.is_half());
        let level = match self.level {
            Level::Full if high => Level::Full,
            _ if high => Level::High,
            Level::High | Level::Full if half => Level::High,
            _ => Level::Normal,
        };
        self.become_level(level)
    }

    /// It refused something. The new level, if it is news.
    pub(super) fn refused(&mut self) -> Option<Level> {
        self.become_level(Level::Full)
    }

    fn become_level(&mut self, level: Level) -> Option<Level> {
        let news = self.level != level;
        self.level = level;
        news.then_some(level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_hysteresis_and_full_means_refused() {
        let mut meter = Meter::default();
        let mut at = |used| meter.changed(&[Filling { used: 0, max: 7 }, Filling { used, max: 100 }]);
        assert_eq!([74, 75, 100, 74, 50].map(&mut at), [None, Some(Level::High), None, None, None]);
        assert_eq!(at(49), Some(Level::Normal));
        assert_eq!(at(80), Some(Level::High));
        assert_eq!((meter.refused(), meter.refused()), (Some(Level::Full), None));
        let mut at = |used| meter.changed(&[Filling { used, max: 100 }]);
        assert_eq!([90, 75, 74, 60, 49].map(&mut at), [None, None, Some(Level::High), None, Some(Level::Normal)]);
    }
}
