//! Whether the peer is still there.
//!
//! As libzmq does it: a PING every interval; if after one *nothing at all* is heard for the time-out, the peer is
//! gone. What is heard need not be the PONG. A peer's PING may say how long it will not be silent; if it is, from
//! whatever was heard last, it is gone too, whether or not we send PINGs of our own. (With libzmq that ends with whatever
//! follows the PING: who falls silent after a message is not noticed.)
//!
//! Three things are kinder than libzmq, none later than it with a peer that has really gone:
//! - any byte counts as heard, not only a whole frame, so that a long frame on a slow path does not end its link;
//! - while we do not read, because what was received is not taken, silence proves nothing and time stands still;
//! - while our PING waits behind other bytes that the socket takes, the peer cannot have answered it yet.

use std::time::Duration;

use swim_proto::Instant;

use crate::config::HeartbeatConfig;
use crate::error::LinkError;

#[derive(Debug)]
pub(crate) struct Heartbeat {
    config: HeartbeatConfig,
    /// When the next PING is due; `None` where none are sent.
    next_ping: Option<Instant>,
    /// Since when an answer to a PING is awaited: the first since something was heard.
    awaiting: Option<Awaited>,
    /// How long the peer promised not to be silent, and since when.
    promised: Option<(Duration, Instant)>,
    /// Whether we read at all.
    listening: bool,
}

#[derive(Clone, Copy, Debug)]
struct Awaited {
    since: Instant,
    /// Whether the PING has left.
    written: bool,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Ping,
    Gone(LinkError),
}

impl Heartbeat {
    pub(crate) fn new(config: HeartbeatConfig) -> Self {
        Heartbeat { config, next_ping: None, awaiting: None, promised: None, listening: true }
    }

    /// What our PINGs promise, in tenths of a second.
    pub(crate) fn ttl_deciseconds(&self) -> u16 {
        u16::try_from(self.config.ttl.as_millis() / 100).unwrap_or(u16::MAX)
    }

    /// The handshake is done with a peer that knows PING, or does not.
    pub(crate) fn begin(&mut self, now: Instant, pings: bool) {
        if pings && !self.config.interval.is_zero() {
            self.next_ping = Some(now + self.config.interval);
        }
    }

    /// Something was received.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.awaiting = None;
        self.promised = self.promised.map(|(ttl, _)| (ttl, now));
    }

    /// What the peer's last PING promises; zero is nothing, from then on.
    pub(crate) fn promised(&mut self, now: Instant, ttl: Duration) {
        self.promised = (!ttl.is_zero()).then_some((ttl, now));
    }

    /// The socket took bytes while a PING waited, which is now written or still waits.
    pub(crate) fn ping_moves(&mut self, now: Instant, written: bool) {
        if let Some(awaited) = self.awaiting.as_mut().filter(|awaited| !awaited.written) {
            *awaited = Awaited { since: now, written };
        }
    }

    /// Whether we read from now on. Silence is counted afresh from when we do.
    pub(crate) fn listening(&mut self, now: Instant, listening: bool) {
        if listening && !self.listening {
            self.awaiting = self.awaiting.map(|awaited| Awaited { since: now, ..awaited });
            self.promised = self.promised.map(|(ttl, _)| (ttl, now));
        }
        self.listening = listening;
    }

    /// The earliest time at which something may be due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.next_ping, self.silent_at(), self.broken_at()].into_iter().flatten().min()
    }

    fn silent_at(&self) -> Option<Instant> {
        self.awaiting.filter(|_| self.listening).map(|awaited| awaited.since + self.config.timeout)
    }

    fn broken_at(&self) -> Option<Instant> {
        self.promised.filter(|_| self.listening).map(|(ttl, since)| since + ttl)
    }

    /// What is due at `now`; a PING that is due will be sent, and then one interval later the next.
    pub(crate) fn due(&mut self, now: Instant) -> Due {
        if self.silent_at().is_some_and(|at| at <= now) {
            return Due::Gone(LinkError::Silent { after: self.config.timeout });
        }
        if let Some((ttl, since)) = self.promised.filter(|_| self.listening)
            && since + ttl <= now
        {
            return Due::Gone(LinkError::PeerTtl { ttl });
        }
        if self.next_ping.is_some_and(|at| at <= now) {
            self.next_ping = Some(now + self.config.interval);
            self.awaiting.get_or_insert(Awaited { since: now, written: false });
            return Due::Ping;
        }
        Due::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn beating() -> Heartbeat {
        let millis = Duration::from_millis;
        let mut beat =
            Heartbeat::new(HeartbeatConfig { interval: millis(100), timeout: millis(250), ttl: millis(1250) });
        beat.begin(at(0), true);
        beat
    }

    #[test]
    fn silence_after_a_ping_ends_the_link() {
        let mut beat = beating();
        assert_eq!(beat.ttl_deciseconds(), 12);
        assert_eq!(beat.deadline(), Some(at(100)));
        for ping in [100, 200, 300] {
            assert_eq!(beat.due(at(ping)), Due::Ping);
            assert_eq!(beat.due(at(ping)), Due::Nothing);
        }
        assert_eq!(beat.deadline(), Some(at(350)));
        assert_eq!(beat.due(at(349)), Due::Nothing);
        assert_eq!(beat.due(at(350)), Due::Gone(LinkError::Silent { after: Duration::from_millis(250) }));
    }

    #[test]
    fn anything_heard_will_do() {
        let mut beat = beating();
        assert_eq!(beat.due(at(100)), Due::Ping);
        beat.heard(at(110));
        assert_eq!(beat.due(at(200)), Due::Ping);
        assert_eq!(beat.due(at(350)), Due::Ping);
        assert_eq!(beat.due(at(450)), Due::Gone(LinkError::Silent { after: Duration::from_millis(250) }));
    }

    #[test]
    fn a_peer_that_breaks_its_promise_is_gone_without_pings_of_ours() {
        let mut beat = Heartbeat::new(HeartbeatConfig::OFF);
        beat.begin(at(0), true);
        assert_eq!(beat.deadline(), None);
        beat.promised(at(0), Duration::from_millis(300));
        assert_eq!(beat.deadline(), Some(at(300)));
        beat.heard(at(200));
        assert_eq!((beat.deadline(), beat.due(at(499))), (Some(at(500)), Due::Nothing));
        beat.promised(at(499), Duration::ZERO);
        assert_eq!(beat.deadline(), None);
        beat.promised(at(500), Duration::from_millis(300));
        assert_eq!(beat.due(at(800)), Due::Gone(LinkError::PeerTtl { ttl: Duration::from_millis(300) }));
    }

    #[test]
    fn while_nobody_listens_silence_proves_nothing() {
        let mut beat = beating();
        assert_eq!(beat.due(at(100)), Due::Ping);
        beat.promised(at(100), Duration::from_millis(300));
        beat.listening(at(120), false);
        assert_eq!(beat.due(at(10_000)), Due::Ping);
        assert_eq!(beat.due(at(10_010)), Due::Nothing);
        beat.listening(at(10_020), true);
        assert_eq!(beat.silent_at(), Some(at(10_270)));
        assert_eq!(beat.broken_at(), Some(at(10_320)));
    }

    #[test]
    fn while_the_ping_waits_behind_bytes_that_move_the_peer_is_not_silent() {
        let mut beat = beating();
        assert_eq!(beat.due(at(100)), Due::Ping);
        beat.ping_moves(at(150), false);
        beat.ping_moves(at(300), true);
        assert_eq!(beat.silent_at(), Some(at(550)));
        // The next one says nothing about the first, which has left.
        assert_eq!(beat.due(at(310)), Due::Ping);
        beat.ping_moves(at(320), true);
        assert_eq!(beat.silent_at(), Some(at(550)));
        beat.heard(at(325));
        beat.ping_moves(at(330), true);
        assert_eq!(beat.silent_at(), None);
    }
}
