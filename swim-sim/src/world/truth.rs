//! What judges may ask the world.

use std::time::Duration;

use swim_proto::Instant;

use crate::medium::Medium;
use crate::messaging::MessengerView;
use crate::observe::{Condition, Slot, Truth, View};
use crate::process::Process;

/// The world as it is, for a moment.
pub(super) struct Reality<'a> {
    pub(super) processes: &'a [Process],
    pub(super) medium: &'a Medium,
    /// The first so many slots are seeds.
    pub(super) seeds: u32,
}

impl Truth for Reality<'_> {
    fn slots(&self) -> usize {
        self.processes.len()
    }

    fn condition(&self, slot: Slot) -> (Condition, Instant) {
        let process = &self.processes[slot.index()];
        (process.condition(), Instant::from_nanos(process.condition_since))
    }

    fn linked_since(&self, a: Slot, b: Slot) -> Option<Instant> {
        let host = |slot: Slot| self.processes[slot.index()].host;
        self.medium.links.linked_since(host(a), host(b)).map(Instant::from_nanos)
    }

    fn carries_within(&self) -> Option<Duration> {
        self.medium.links.carries_within()
    }

    fn carries_datagrams(&self) -> bool {
        self.medium.links.network().datagrams
    }

    fn lossless_since(&self) -> Option<Instant> {
        self.medium.links.lossless_since().map(Instant::from_nanos)
    }

    fn is_seed(&self, slot: Slot) -> bool {
        slot.0 < self.seeds
    }

    fn view(&self, slot: Slot) -> Option<&dyn View> {
        Some(self.processes.get(slot.index())?.machine.as_ref()?.view())
    }

    fn clock(&self, slot: Slot) -> Instant {
        self.processes[slot.index()].local_now
    }

    fn messenger(&self, slot: Slot) -> Option<&dyn MessengerView> {
        Some(&*self.processes.get(slot.index())?.office.as_ref()?.machine)
    }

    fn messenger_clock(&self, slot: Slot) -> Instant {
        self.processes[slot.index()].office.as_ref().map_or(Instant::ZERO, |office| office.local_now)
    }

    fn undisturbed_since(&self, slot: Slot) -> Option<Instant> {
        self.processes[slot.index()].undisturbed_since().map(Instant::from_nanos)
    }

    fn clock_rate(&self, slot: Slot) -> f64 {
        self.processes[slot.index()].clock.rate()
    }
}
