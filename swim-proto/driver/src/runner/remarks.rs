//! What an operator should know that no event tells: of configuration at fault, mostly. Said rarely.

use std::net::SocketAddr;
use std::time::Duration;

use swim_proto::{Instant, Node};
use tracing::warn;

use crate::sockets::Reach;

/// So many refutations of our own within [`WINDOW`] are no accident.
const REFUTATIONS: u64 = 3;

/// The first stretch of time in which refutations are counted together.
const WINDOW: Duration = Duration::from_secs(5 * 60);

/// The longest: after each warning it doubles.
const WINDOW_MAX: Duration = Duration::from_secs(2 * 3600);

/// What was said already.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    unreachable: bool,
    refuted: Refuted,
}

/// Refutations of our own, counted in windows.
#[derive(Debug)]
struct Refuted {
    since: Instant,
    before: u64,
    window: Duration,
    /// Until this window ends, it was said.
    is_said: bool,
}

impl Default for Refuted {
    fn default() -> Refuted {
        Refuted { since: Instant::ZERO, before: 0, window: WINDOW, is_said: false }
    }
}

impl Remarks {
    /// A packet of another cluster was refused: the first, and whenever their number has doubled.
    pub(super) fn foreign(&self, from: Option<SocketAddr>, node: &Node) {
        let packets = node.stats().drops.foreign;
        if packets.is_power_of_two() {
            let (from, cluster) = (from.map(tracing::field::display), &node.config().cluster);
            warn!(from, packets, cluster, "a packet of another cluster was refused; is it that one's mistake or ours?");
        }
    }

    /// Something was to be sent to an address of the other family. Said once.
    pub(super) fn unreachable(&mut self, to: SocketAddr, reach: Reach) {
        if !std::mem::replace(&mut self.unreachable, true) {
            let (theirs, ours) = if to.is_ipv6() { ("IPv6", "IPv4") } else { ("IPv4", "IPv6") };
            debug_assert!(reach != Reach::Both);
            warn!(
                %to,
                "a member is reached by {theirs} only, and this node is bound to {ours}: to us it will seem dead; \
                 bind all members to one family, or to [::] for both"
            );
        }
    }

    /// How often this node has contradicted others so far.
    pub(super) fn refuted(&mut self, now: Instant, refutations: u64, own: SocketAddr) {
        if let Some(lately) = self.refuted.note(now, refutations) {
            warn!(
                refutations = lately,
                "others accuse us again and again of not answering at {own}; check that address (advertise), the \
                 firewall for UDP and TCP, and the load of this host"
            );
        }
    }
}

impl Refuted {
    /// How many there were lately, if that is to be said now.
    fn note(&mut self, now: Instant, refutations: u64) -> Option<u64> {
        if now - self.since >= self.window {
            let window = if self.is_said { (self.window * 2).min(WINDOW_MAX) } else { WINDOW };
            *self = Refuted { since: now, before: refutations, window, is_said: false };
        }
        let lately = refutations - self.before;
        let is_due = lately >= REFUTATIONS && !self.is_said;
        self.is_said |= is_due;
        is_due.then_some(lately)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn refutations_are_remarked_upon_when_they_come_in_rows_and_ever_more_rarely() {
        let mut refuted = Refuted::default();
        assert_eq!(refuted.note(at(1), 1), None);
        assert_eq!(refuted.note(at(2), 2), None);
        assert_eq!(refuted.note(at(3), 3), Some(3));
        assert_eq!(refuted.note(at(4), 100), None, "once in a window");
        // The next window is twice as long, and begins to count anew.
        assert_eq!(refuted.note(at(301), 101), None);
        assert_eq!(refuted.note(at(302), 104), Some(3));
        assert_eq!(refuted.note(at(301 + 599), 200), None);
        assert_eq!(refuted.note(at(301 + 600), 200), None);
        assert_eq!(refuted.note(at(301 + 601), 203), Some(3));
    }

    #[test]
    fn a_refutation_now_and_then_is_none_of_the_operators_business() {
        let mut refuted = Refuted::default();
        for hour in 0..1_000 {
            assert_eq!(refuted.note(at(hour * 3600), hour), None);
        }
    }
}
