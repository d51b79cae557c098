//! What a receiver says of what it was sent: who it is, what came, what may come (`docs/messaging.md` 3.4, 6, 7).

use core::time::Duration;

use super::Messenger;
use super::timeouts::Key;
use crate::messaging::link::Stage;
use crate::messaging::message::{Confirm, Delivery, Ending, FailReason};
use crate::messaging::outgoing::Progress;
use crate::messaging::packet::{Ack, Welcome};
use crate::messaging::slab::NONE;

impl Messenger {
    /// The receiver named its inbox: what is bound to another is lost or begins anew (`docs/messaging.md` 3.4).
    pub(super) fn bind(&mut self, place: u32, welcome: &Welcome) {
        let peer = &mut self.peers[place];
        let inbox = (welcome.session, welcome.inbox);
        let before = peer.bound.replace(inbox);
        let shorter = peer.message_max.is_some_and(|max| max > welcome.message_max);
        peer.message_max = Some(welcome.message_max);
        if shorter {
            peer.longest = u32::MAX;
        }
        if before.is_some_and(|before| before != inbox) {
            self.unbind(place);
        }
        self.peers[place].sent.welcome(welcome);
        if core::mem::take(&mut self.peers[place].longest) > welcome.message_max {
            self.fail_longer(place, welcome.message_max);
        }
    }

    /// Ends what was bound to an inbox that is no more, or puts it back; the last first, so that the order stays.
    fn unbind(&mut self, place: u32) {
        let mut numbers = alloc::vec::Vec::with_capacity(self.peers[place].sent.open());
        let mut open = self.peers[place].sent.next_open(0);
        while let Some(number) = open {
            numbers.push(number);
            open = self.peers[place].sent.next_open(number + 1);
        }
        for number in numbers.into_iter().rev() {
            let message = self.peers[place].sent.get(number).map_or(NONE, |flying| flying.message);
            if message == NONE {
                continue;
            }
            let pending = &mut self.outgoing[message];
            if !pending.redeliverable {
                self.end(message, Ending::Failed(FailReason::Restarted));
                continue;
            }
            (pending.progress, pending.repeated) = (Progress::Waiting, true);
            let class = pending.class as usize;
            self.outgoing.push_front(&mut self.peers[place].queues[class], message);
            self.peers[place].sent.pass_over(number, false);
        }
        self.drop_numbers(place);
    }

    /// Ends what waits and is longer than the receiver takes.
    fn fail_longer(&mut self, place: u32, max: u32) {
        for class in 0..super::CLASSES {
            let mut at = self.peers[place].queues[class].first();
            while let Some(pending) = at {
                at = self.outgoing.after(pending);
                if self.outgoing[pending].payload.len() > max as usize {
                    self.end(pending, Ending::Failed(FailReason::TooLong { max }));
                }
            }
        }
    }

    pub(super) fn ack(&mut self, link: u32, ack: &Ack) {
        let place = self.links[link].peer;
        match self.links[link].stage {
            Stage::Learning | Stage::Ready => {}
            // The Welcome before it was lost, and the link will be: it says nothing more in time.
            Stage::Greeting { greeted: true } => return,
            _ => return self.unexpected(link),
        }
        let last_of =
            |ranges: &[crate::messaging::packet::Range], to: u64| ranges.last().map_or(to, |range| range.last);
        let last = last_of(&ack.delivered, ack.delivered_to).max(last_of(&ack.processed, ack.processed_to));
        if !self.peers[place].sent.was_sent(last) {
            self.stats.drops.credit += 1;
            return self.wrong(link);
        }
        self.stats.acks_in += 1;
        let sent = &mut self.peers[place].sent;
        let mut news = sent.credit_told(ack.credit_messages, ack.credit_bytes);
        let (delivered, processed) = (sent.delivered_up_to(ack.delivered_to), sent.processed_up_to(ack.processed_to));
        let mut landing = Landing { flight: sent.flight(), ..Landing::default() };
        self.landed(place, *delivered.start(), *delivered.end(), &mut landing);
        for range in &ack.delivered {
            self.landed(place, range.first, range.last, &mut landing);
        }
        news |= self.processed(place, *processed.start(), *processed.end(), &mut landing);
        for range in &ack.processed {
            news |= self.processed(place, range.first, range.last, &mut landing);
        }
        if landing.count > 0 {
            news = true;
            self.learn_delay(place, &landing);
            self.success(place);
        }
        if ack.echo > 0 {
            if !self.peers[place].sent.answered(ack.echo - 1) {
                return self.unexpected(link);
            }
            self.peers[place].patience.unanswered = 0;
            if self.links[link].stage == Stage::Learning {
                self.ready(link);
            }
        }
        if news {
            self.peers[place].patience = Default::default();
            self.peers[place].rto.clear();
        }
        self.attend(place);
        self.call(link);
    }

    /// These numbers are delivered.
    fn landed(&mut self, place: u32, first: u64, last: u64, landing: &mut Landing) {
        let mut open = self.peers[place].sent.next_open(first);
        while let Some(number) = open.filter(|&number| number <= last) {
            self.number_landed(place, number, landing);
            open = self.peers[place].sent.next_open(number + 1);
        }
    }

    fn number_landed(&mut self, place: u32, number: u64, landing: &mut Landing) {
        let sent = &mut self.peers[place].sent;
        let Some(landed) = sent.land(number) else { return };
        let flying = landed.flying;
        landing.count += 1;
        landing.bytes += u64::from(flying.cost);
        landing.since = landed.since.or(landing.since);
        if flying.message == NONE {
            sent.remove(number);
            self.chains.landed(place, flying.class, flying.order, number);
            return;
        }
        let pending = &mut self.outgoing[flying.message];
        let waits_on = pending.confirm == Confirm::Processed && !pending.told;
        if waits_on {
            pending.progress = Progress::Delivered(number);
        } else {
            sent.remove(number);
        }
        self.chains.landed(place, flying.class, flying.order, number);
        if !waits_on {
            self.finish(flying.message, Ending::Delivered, Delivery::Certain);
        }
    }

    /// These numbers are processed, and so delivered. Whether anybody waited for it.
    fn processed(&mut self, place: u32, first: u64, last: u64, landing: &mut Landing) -> bool {
        let mut news = false;
        let mut open = self.peers[place].sent.next_open(first);
        while let Some(number) = open.filter(|&number| number <= last) {
            self.number_landed(place, number, landing);
            if let Some(flying) = self.peers[place].sent.remove(number) {
                news = true;
                self.finish(flying.message, Ending::Processed, Delivery::Certain);
            }
            open = self.peers[place].sent.next_open(number + 1);
        }
        news
    }

    fn learn_delay(&mut self, place: u32, landing: &Landing) {
        let peer = &mut self.peers[place];
        if let Some(since) = landing.since {
            let used = landing.flight * 2 >= peer.flight.window();
            if peer.flight.delivered(self.now, landing.bytes, self.now - since, used) {
                self.stats.flights_cut += 1;
            }
        }
    }

    /// How long a receiver may be silent before it is asked, the first time (`docs/messaging.md` 6.5).
    pub(super) fn time_out(&self, place: u32) -> Duration {
        let delay = self.peers[place].flight.delay().unwrap_or_default();
        (delay * 4).clamp(self.config.rto_min, self.config.rto_max)
    }

    /// From now on progress is waited for (`docs/messaging.md` 6.5).
    pub(super) fn wait_for_progress(&mut self, place: u32) {
        let rto = self.time_out(place);
        let peer = &mut self.peers[place];
        let rto = rto.saturating_mul(1 << peer.patience.doubled.min(20)).min(self.config.rto_max);
        let chance = if peer.patience.doubled > 0 { self.random.duration_up_to(rto / 4) } else { Default::default() };
        peer.rto.set(self.now + rto + chance, &mut self.alarms, Key::Progress(place));
    }
}

/// What one Ack shows to be delivered.
#[derive(Clone, Copy, Debug, Default)]
struct Landing {
    count: u64,
    bytes: u64,
    /// When the last of them was put on a link, of those that were so once.
    since: Option<crate::time::Instant>,
    /// What was under way before.
    flight: u64,
}
