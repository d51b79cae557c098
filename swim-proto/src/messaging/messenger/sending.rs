//! What the application wants sent: accepted or refused, taken back, ended (`docs/messaging.md` 3, 4).

use core::time::Duration;

use super::Messenger;
use crate::membership::NodeId;
use crate::messaging::breaker::Pass;
use crate::messaging::inbox::cost;
use crate::messaging::link::Stage;
use crate::messaging::message::{Class, Confirm, Delivery, Ending, FailReason, MessageId, Outcome, Outgoing};
use crate::messaging::outgoing::{self, Pending, Progress};
use crate::messaging::peer::Standing;
use crate::messaging::slab::NONE;
use crate::messaging::{Buffer, Event, Queue, SendError, UnknownMessage};
use crate::time::Instant;

impl Messenger {
    /// Whether a message is accepted (`docs/messaging.md` 4.1): to which peer, or to whom that is none yet.
    pub(super) fn admit(&mut self, message: &Outgoing) -> Result<NodeId, SendError> {
        let (config, to, len) = (&self.config, message.to, message.payload.len());
        if self.closed {
            return Err(SendError::Closed);
        }
        if to == self.local.id {
            return Err(SendError::Itself);
        }
        if len > config.message_max as usize {
            return Err(SendError::TooLong { len, max: config.message_max as usize });
        }
        let expiry = message.expiry.unwrap_or(config.expiry_default);
        if expiry.is_zero() || expiry > config.expiry_max {
            return Err(SendError::Expiry { expiry, max: config.expiry_max });
        }
        let known = self.members.get(to).filter(|known| known.standing != Standing::Forgotten);
        let known = known.ok_or(SendError::UnknownMember(to))?;
        if known.standing != Standing::Live {
            return Err(SendError::NotLive(to));
        }
        if known.endpoint.is_none() {
            return Err(SendError::NoEndpoint(to));
        }
        let place = known.peer;
        if place != NONE {
            let peer = &self.peers[place];
            if let Some(max) = peer.message_max.filter(|&max| len > max as usize) {
                return Err(SendError::TooLong { len, max: max as usize });
            }
            match peer.breaker.pass() {
                Pass::Yes => {}
                Pass::Trying => return Err(SendError::Trying),
                Pass::Open(until) => {
                    let retry_in = until.map_or(Duration::MAX, |until| until - self.now);
                    return Err(SendError::BreakerOpen { retry_in });
                }
            }
        } else if !self.has_room_for_a_peer() {
            return Err(SendError::TooManyPeers { max: config.peers_max as usize });
        }
        self.admit_to_queues(place, message)?;
        Ok(to)
    }

    /// Whether there is room for it (`docs/messaging.md` 4.2). Whoever is refused is told when there is (4.3).
    fn admit_to_queues(&mut self, place: u32, message: &Outgoing) -> Result<(), SendError> {
        let (config, cost) = (&self.config, cost(&message.payload));
        let (count, bytes) = self.peers.get(place).map_or((0, 0), |peer| (peer.count.into(), peer.bytes));
        let all = self.outgoing.len() as u64;
        let queues = [
            (Queue::PeerMessages, count, 1, config.queue_messages_max),
            (Queue::PeerBytes, bytes, cost, config.queue_bytes_max),
            (Queue::Messages, all, 1, config.outgoing_messages_max),
            (Queue::Bytes, self.outgoing_bytes, cost, config.outgoing_bytes_max),
        ];
        let room = |max: u32| u64::from(if message.class == Class::High { max } else { max - max / 8 });
        let Some((queue, waiting, _, max)) =
            queues.into_iter().find(|&(_, waiting, more, max)| waiting + more > room(max))
        else {
            return Ok(());
        };
        let level = match queue {
            Queue::PeerMessages | Queue::PeerBytes => {
                let peer = &mut self.peers[place];
                peer.was_refused = true;
                peer.meter.refused().map(|level| (Buffer::OutgoingTo(message.to), level))
            }
            Queue::Messages | Queue::Bytes => {
                self.refused.insert(message.to);
                self.outgoing_meter.refused().map(|level| (Buffer::Outgoing, level))
            }
        };
        if let Some((buffer, level)) = level {
            self.tell(Event::Level { buffer, level });
        }
        Err(SendError::QueueFull { queue, waiting: waiting as usize, max: room(max) as usize })
    }

    /// Takes a message that is admitted.
    pub(super) fn accept(&mut self, to: NodeId, message: Outgoing) -> MessageId {
        let place = self.peer_of(to);
        self.messages_named += 1;
        let id = outgoing::id(self.messages_named, self.outgoing.next_place());
        let expires = self.now + message.expiry.unwrap_or(self.config.expiry_default);
        let (class, cost) = (message.class, cost(&message.payload));
        let peer = &mut self.peers[place];
        if peer.message_max.is_none() {
            peer.longest = peer.longest.max(message.payload.len() as u32);
        }
        let at = self.outgoing.insert(Pending {
            id,
            peer: place,
            payload: message.payload,
            class,
            order: message.order,
            confirm: message.confirm,
            redeliverable: message.redeliverable,
            repeated: false,
            told: false,
            progress: Progress::Waiting,
            accepted: self.now,
            sent: None,
        });
        self.outgoing.push_back(&mut peer.queues[class as usize], at);
        peer.count += 1;
        peer.bytes += cost;
        self.outgoing_bytes += cost;
        if peer.breaker.accepted() {
            peer.trial = Some(id);
        }
        let link = peer.link;
        self.stats.accepted += 1;
        self.expiries.push(expires, id);
        let outgoing = &self.outgoing;
        self.expiries.tidy(outgoing.len(), |_, id| outgoing.get(outgoing::place(id)).is_some_and(|it| it.id == id));
        self.queue_changed(place);
        self.attend(place);
        if link != NONE {
            self.call(link);
        }
        id
    }

    fn pending(&self, id: MessageId) -> Option<u32> {
        let at = outgoing::place(id);
        self.outgoing.get(at).filter(|pending| pending.id == id).map(|_| at)
    }

    pub(super) fn withdraw(&mut self, id: MessageId) -> Result<(), UnknownMessage> {
        let at = self.pending(id).filter(|&at| !self.outgoing[at].told).ok_or(UnknownMessage(id))?;
        let peer = self.outgoing[at].peer;
        self.end(at, Ending::Cancelled);
        self.attend(peer);
        Ok(())
    }

    /// The time of a message was over then, if it was not done yet.
    pub(super) fn expire(&mut self, then: Instant, id: MessageId) {
        let Some(at) = self.pending(id) else { return };
        let (peer, waited) = (self.outgoing[at].peer, then - self.outgoing[at].accepted);
        let is_failure = self.is_failed_by(peer, waited);
        let was_trial = self.peers[peer].trial == Some(id);
        self.end(at, Ending::Expired);
        if is_failure {
            self.failure(peer);
        } else if was_trial {
            self.peers[peer].breaker.withdrawn();
        }
        self.attend(peer);
    }

    /// Whether a message that expires after so long shows anything of its receiver (`docs/messaging.md` 9.2).
    fn is_failed_by(&self, place: u32, waited: Duration) -> bool {
        let peer = &self.peers[place];
        waited >= self.time_out(place) || peer.broken || peer.patience.unanswered > 1
    }

    pub(super) fn close_all(&mut self) {
        if core::mem::replace(&mut self.closed, true) {
            return;
        }
        // Every place there is, peers' and then links': this is the end, and once.
        for place in 0..self.peers.places() {
            if self.peers.get(place).is_some() {
                self.leave_link(place);
                self.fail_all(place, FailReason::Closed);
            }
        }
        for link in 0..self.links.places() {
            if self.links.get(link).is_some() {
                self.close_link(link);
            }
        }
        self.line.clear();
    }

    /// A message ends that is not done, as something else than it asked for. Its number, if it has one that may still
    /// be missing at the receiver, is passed over (`docs/messaging.md` 3.5).
    pub(super) fn end(&mut self, at: u32, ending: Ending) {
        let pending = &self.outgoing[at];
        let place = pending.peer;
        let delivery = match pending.progress {
            Progress::Waiting if pending.repeated => Delivery::Possible,
            Progress::Waiting => Delivery::Never,
            Progress::Flying(_) => Delivery::Possible,
            Progress::Delivered(_) => Delivery::Certain,
        };
        match pending.progress {
            Progress::Waiting => {}
            Progress::Flying(number) => {
                let link = self.peers[place].link;
                let linked = self.links.get(link).is_some_and(|link| link.stage == Stage::Ready);
                self.peers[place].sent.pass_over(number, linked);
                if linked {
                    self.call(link);
                }
            }
            Progress::Delivered(number) => {
                self.peers[place].sent.remove(number);
            }
        }
        self.finish(at, ending, delivery);
    }

    /// Takes out a message that is done, and tells of it.
    pub(super) fn finish(&mut self, at: u32, ending: Ending, delivery: Delivery) {
        let place = self.outgoing[at].peer;
        let peer = &mut self.peers[place];
        if self.outgoing[at].progress == Progress::Waiting {
            let class = self.outgoing[at].class as usize;
            self.outgoing.unlink(&mut peer.queues[class], at);
        }
        let pending = self.outgoing.remove(at).expect("it is not done");
        let cost = pending.cost();
        peer.count -= 1;
        peer.bytes -= cost;
        self.outgoing_bytes -= cost;
        if peer.trial == Some(pending.id) {
            peer.trial = None;
            // What ended for another reason than the member's silence shows nothing of it.
            if matches!(ending, Ending::Cancelled | Ending::Failed(_)) {
                peer.breaker.withdrawn();
            }
        }
        if pending.told {
            self.lingering -= 1;
        } else {
            self.tell_outcome(&pending, ending, delivery);
        }
        self.queue_changed(place);
    }

    /// A message that asked for no more than to be sent was: it is told, and sent on.
    pub(super) fn tell_sent(&mut self, at: u32) {
        let pending = &mut self.outgoing[at];
        if pending.confirm == Confirm::Sent && !pending.told {
            pending.told = true;
            self.lingering += 1;
            let outcome = outcome_of(pending, self.peers[pending.peer].id, Ending::Sent, Delivery::Possible, self.now);
            self.stats.done_sent += 1;
            self.tell(Event::Outcome(outcome));
        }
    }

    fn tell_outcome(&mut self, pending: &Pending, ending: Ending, delivery: Delivery) {
        let stats = &mut self.stats;
        *match ending {
            Ending::Sent => &mut stats.done_sent,
            Ending::Delivered => &mut stats.done_delivered,
            Ending::Processed => &mut stats.done_processed,
            Ending::Expired => &mut stats.expired,
            Ending::Cancelled => &mut stats.cancelled,
            Ending::Failed(_) => &mut stats.failed,
        } += 1;
        let outcome = outcome_of(pending, self.peers[pending.peer].id, ending, delivery, self.now);
        self.tell(Event::Outcome(outcome));
    }
}

fn outcome_of(pending: &Pending, to: NodeId, ending: Ending, delivery: Delivery, ended: Instant) -> Outcome {
    Outcome { id: pending.id, to, ending, delivery, accepted: pending.accepted, sent: pending.sent, ended }
}
