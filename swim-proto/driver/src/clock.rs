//! A driver's clock: the system's monotonic clock, told to the core as nanoseconds since the node was started.

use std::time::{Duration, Instant as SystemInstant, SystemTime};

use swim_proto::Instant;

/// Translates between the core's instants and the system's.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: SystemInstant,
}

impl Clock {
    /// A clock whose epoch is now.
    pub fn start() -> Clock {
        Clock { epoch: SystemInstant::now() }
    }

    /// What time it is, for the core. Never goes back.
    pub fn now(&self) -> Instant {
        let nanos = self.epoch.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// An instant of the core, for the system and the application. One too far away to be told is as good as one in a
    /// year: whoever wakes up then looks again.
    pub fn instant(&self, at: Instant) -> SystemInstant {
        const YEAR: Duration = Duration::from_secs(365 * 86_400);
        self.epoch + (at - Instant::ZERO).min((self.now() - Instant::ZERO).saturating_add(YEAR))
    }
}

/// Milliseconds of the wall clock: what a node's life is by default.
pub(crate) fn wall_millis() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_of_the_core_survives_the_way_to_the_system_and_back() {
        let clock = Clock::start();
        let at = Instant::ZERO + Duration::from_millis(1234);
        assert_eq!(clock.instant(at) - clock.instant(Instant::ZERO), Duration::from_millis(1234));
        assert!(clock.now() <= clock.now());
    }

    #[test]
    fn a_deadline_beyond_the_systems_range_is_clipped() {
        let clock = Clock::start();
        let far = clock.instant(Instant::from_nanos(u64::MAX));
        assert!(far > SystemInstant::now() + Duration::from_secs(86_400));
    }
}
