//! What is due: a timer is a hint, state decides.

use super::Messenger;
use super::links::Fault;
use crate::messaging::link::Stage;
use crate::messaging::slab::NONE;

/// Probes in a row without an answer after which a link is given up.
const UNANSWERED_MAX: u8 = 3;

/// Alarms that there are for each peer; a link has one.
const ALARMS_OF_A_PEER: usize = 6;

/// What fired. The number is a place, which may be another's by now: then its own alarm says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// A link took too long for its next step, or was idle for long enough.
    Link(u32),
    /// A link may be tried again.
    Retry(u32),
    /// A breaker becomes half-open.
    Breaker(u32),
    /// Nothing moved for the time-out: ask.
    Progress(u32),
    /// The rate to a peer allows a message.
    Pace(u32),
    /// The rate to all does.
    PaceAll,
    /// The rate from a peer allows credit.
    Grant(u32),
    /// The rate from all does.
    GrantAll,
    /// What is kept of a peer that is gone was kept for long enough.
    Retention(u32),
}

impl Messenger {
    /// Ends the messages whose time is over.
    pub(super) fn expire_due(&mut self) {
        while let Some((at, id)) = self.expiries.pop(self.now) {
            self.expire(at, id);
        }
    }

    pub(super) fn fire(&mut self) {
        let now = self.now;
        self.expire_due();
        while let Some((hint, key)) = self.alarms.pop(now) {
            let alarms = &mut self.alarms;
            let alarm = match key {
                Key::Link(link) => self.links.get_mut(link).map(|link| &mut link.time),
                Key::Retry(peer) => self.peers.get_mut(peer).map(|peer| &mut peer.retry),
                Key::Breaker(peer) => self.peers.get_mut(peer).map(|peer| &mut peer.breaker_time),
                Key::Progress(peer) => self.peers.get_mut(peer).map(|peer| &mut peer.rto),
                Key::Pace(peer) => self.peers.get_mut(peer).map(|peer| &mut peer.pace),
                Key::Grant(peer) => self.peers.get_mut(peer).map(|peer| &mut peer.grant),
                Key::Retention(peer) => self.peers.get_mut(peer).map(|peer| &mut peer.retention),
                Key::PaceAll => Some(&mut self.pace),
                Key::GrantAll => Some(&mut self.grant),
            };
            if alarm.is_some_and(|alarm| alarm.fired(hint, now, alarms, key)) {
                self.due(key);
            }
        }
    }

    /// Throws out hints that mean nothing any more, if they are too many (`docs/messaging.md` 10.1).
    pub(super) fn tidy_alarms(&mut self) {
        let (peers, links) = (&self.peers, &self.links);
        self.alarms.tidy(ALARMS_OF_A_PEER * peers.len() + links.len() + 2, |hint, key| {
            let alarm = match key {
                Key::Link(link) => links.get(link).map(|link| &link.time),
                Key::Retry(peer) => peers.get(peer).map(|peer| &peer.retry),
                Key::Breaker(peer) => peers.get(peer).map(|peer| &peer.breaker_time),
                Key::Progress(peer) => peers.get(peer).map(|peer| &peer.rto),
                Key::Pace(peer) => peers.get(peer).map(|peer| &peer.pace),
                Key::Grant(peer) => peers.get(peer).map(|peer| &peer.grant),
                Key::Retention(peer) => peers.get(peer).map(|peer| &peer.retention),
                Key::PaceAll => Some(&self.pace),
                Key::GrantAll => Some(&self.grant),
            };
            alarm.is_some_and(|alarm| alarm.counts(hint))
        });
    }

    fn due(&mut self, key: Key) {
        match key {
            Key::Link(link) => self.link_due(link),
            Key::Retry(peer) => self.attend(peer),
            Key::Breaker(peer) => {
                if self.peers[peer].breaker.time(self.now) {
                    self.tell_breaker(peer);
                    self.attend(peer);
                }
            }
            Key::Progress(peer) => self.no_progress(peer),
            Key::Pace(peer) => self.call(self.peers[peer].link),
            // The next to go is found when it is polled for.
            Key::PaceAll => {}
            Key::Grant(peer) => self.give_credit(peer),
            Key::GrantAll => self.give_all_credit(),
            Key::Retention(peer) => self.retention_over(peer),
        }
    }

    fn link_due(&mut self, link: u32) {
        match self.links[link].stage {
            Stage::Opening | Stage::Greeting { .. } | Stage::Learning => self.link_failed(link, Fault::Broken, true),
            Stage::Ready => {
                let peer = self.links[link].peer;
                self.leave_link(peer);
                self.attend(peer);
                self.serve_line();
            }
            Stage::Silent => {
                self.stats.drops.silent += 1;
                self.refuse_silently(link);
            }
            Stage::Refused(_) => self.close_link(link),
            Stage::Believed { .. } => self.believed_due(link),
        }
    }

    /// The receiver is asked for the state of things, or given up (`docs/messaging.md` 2.8, 6.5).
    fn no_progress(&mut self, place: u32) {
        let peer = &mut self.peers[place];
        let link = peer.link;
        if link == NONE || self.links[link].stage != Stage::Ready {
            return;
        }
        if self.links[link].full {
            return self.wait_for_progress(place);
        }
        if peer.patience.unanswered >= UNANSWERED_MAX {
            return self.link_failed(link, Fault::Broken, true);
        }
        peer.patience.unanswered += 1;
        peer.patience.doubled = peer.patience.doubled.saturating_add(1);
        peer.patience.due = true;
        self.wait_for_progress(place);
        self.call(link);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::net::SocketAddr;

    use crate::membership::{ClusterHash, NodeId};
    use crate::messaging::{LinkInput, LocalPeer, MessagingConfig, Messenger};
    use crate::time::Instant;

    #[test]
    fn links_that_come_and_go_before_any_timer_leave_nothing_behind() {
        let local = LocalPeer { id: NodeId::of("swim", "a"), life: 1, cluster: ClusterHash::of("swim") };
        let mut messenger = Messenger::new(Instant::ZERO, local, MessagingConfig::default(), 1).unwrap();
        let from = SocketAddr::from(([10, 0, 0, 1], 1));
        let mut buf = Vec::new();
        for _ in 0..10_000 {
            let link = messenger.accept_link(Instant::ZERO, from).unwrap();
            messenger.handle_link(Instant::ZERO, link, LinkInput::Down);
            while messenger.poll_action(&mut buf).is_some() {}
            assert!(messenger.alarms.len() <= 2 * (messenger.links.len() + 2) + 64);
        }
    }
}
