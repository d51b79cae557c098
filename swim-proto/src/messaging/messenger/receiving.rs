//! What others send: taken in, put in order, queued, taken by the application, acknowledged, and the credit for more
//! (`docs/messaging.md` 5.4, 6, 7).

use core::time::Duration;

use bytes::Bytes;

use super::timeouts::Key;
use super::{Arrived, Messenger, NodeId, class_of};
use crate::messaging::inbox::{Came, Content, Parcel, cost};
use crate::messaging::link::Stage;
use crate::messaging::message::{Order, Receipt, Received};
use crate::messaging::meter::Filling;
use crate::messaging::packet::{Data, Forward, Probe};
use crate::messaging::slab::NONE;
use crate::messaging::{Buffer, Event, UnknownReceipt};

/// A Probe that comes sooner after the last is not answered: an answer costs more than its question, and no sender asks
/// more often than every 10 ms.
const PROBE_SPACING: Duration = Duration::from_millis(5);

/// A rate gives credit at most so often in a second, while that is no less than `STEP_MIN` at a time, nor more than an
/// eighth of `rate_burst`.
const STEPS_PER_SECOND: u32 = 8;

/// The least credit that a rate gives at a time to whoever wants more, if an eighth of `rate_burst` is no less.
const STEP_MIN: u64 = 1024;

/// When a sender has its turn to be given credit of the rate of all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// After all who wait.
    Last,
    /// Now: it is the first of them.
    First,
}

impl Messenger {
    pub(super) fn data(&mut self, link: u32, data: Data, payload: &Bytes) {
        if self.links[link].stage != (Stage::Believed { welcomed: true }) {
            return self.unexpected(link);
        }
        self.stats.data_in += 1;
        self.stats.data_bytes_in += payload.len() as u64;
        if payload.len() > self.config.message_max as usize {
            self.stats.drops.credit += 1;
            return self.wrong(link);
        }
        let content = Content::Message(Parcel {
            class: class_of(data.class.into()),
            order: data.stream.map_or(Order::Unordered, Order::Stream),
            repeated: data.repeated,
            payload: payload.clone(),
        });
        self.come(link, data.number, data.back, content);
    }

    pub(super) fn forward(&mut self, link: u32, forward: Forward) {
        if self.links[link].stage != (Stage::Believed { welcomed: true }) {
            return self.unexpected(link);
        }
        self.stats.forwards_in += 1;
        self.come(link, forward.number, forward.back, Content::Forward(forward.cost));
    }

    fn come(&mut self, link: u32, number: u64, back: u64, content: Content) {
        let place = self.links[link].peer;
        let inbox = self.peers[place].inbox.as_mut().expect("who is believed has an inbox");
        let id = inbox.id;
        let mut delivered = core::mem::take(&mut self.delivered);
        let came = inbox.come(number, back, content, &mut delivered);
        for (number, parcel) in delivered.drain(..) {
            self.queue_arrival(place, id, number, parcel);
        }
        self.delivered = delivered;
        match came {
            Came::New => {
                let bounds = (self.base(), u64::from(self.config.window_bytes));
                let inbox = self.peers[place].inbox.as_mut().expect("it was there above");
                if inbox.settle_share(self.now, bounds) {
                    self.give_credit(place);
                }
            }
            Came::Again => self.stats.duplicates += 1,
            Came::Wrong => {
                self.stats.drops.credit += 1;
                return self.wrong(link);
            }
        }
        self.call(link);
    }

    fn queue_arrival(&mut self, place: u32, inbox: u64, number: u64, parcel: Parcel) {
        let class = parcel.class as usize;
        let peer = &mut self.peers[place];
        let life = peer.life;
        let at = self.arrived.insert(Arrived { inbox, number, life, parcel });
        if peer.arrived[class].is_empty() {
            self.turns[class].push_back(place);
        }
        self.arrived.push_back(&mut peer.arrived[class], at);
        self.stats.delivered += 1;
        if !core::mem::replace(&mut self.readable, true) {
            self.tell(Event::Readable);
        }
    }

    pub(super) fn probe(&mut self, link: u32, probe: Probe) {
        let asked = &mut self.links[link];
        if asked.stage != (Stage::Believed { welcomed: true }) {
            return self.unexpected(link);
        }
        self.stats.probes_in += 1;
        let soon = asked.probed_at.is_some_and(|at| self.now < at + PROBE_SPACING);
        if probe.number <= asked.probe || soon {
            return;
        }
        (asked.probe, asked.probed_at) = (probe.number, Some(self.now));
        let place = asked.peer;
        self.peers[place].inbox.as_mut().expect("who is believed has an inbox").ask(probe.number);
        self.give_credit(place);
        self.call(link);
    }

    // The application takes.

    pub(super) fn take_next(&mut self, processed: bool) -> Option<Received> {
        let can = core::array::from_fn(|class| !self.turns[class].is_empty());
        let Some(class) = self.share.next(can) else {
            self.readable = false;
            return None;
        };
        let place = self.turns[class].pop_front().expect("it is not empty");
        let peer = &mut self.peers[place];
        let at = peer.arrived[class].first().expect("whose turn it is has something");
        self.arrived.unlink(&mut peer.arrived[class], at);
        if !peer.arrived[class].is_empty() {
            self.turns[class].push_back(place);
        }
        let Arrived { inbox, number, life, parcel, .. } = self.arrived.remove(at).expect("it was queued");
        let (from, link, cost) = (peer.id, peer.link_in, cost(&parcel.payload));
        self.share.went(class, cost);
        self.stats.taken += 1;
        self.stats.processed += u64::from(processed);
        match peer.inbox.as_mut().filter(|own| own.id == inbox) {
            Some(own) => {
                own.take(number, cost, processed);
                self.unacknowledged += u32::from(!processed);
                self.settle_promise(place);
                if link != NONE {
                    self.give_credit(place);
                    self.call(link);
                }
            }
            None => {
                peer.retired -= cost;
                self.settle_promise(place);
            }
        }
        self.attend(place);
        Some(Received {
            receipt: Receipt { peer: place, inbox, number },
            from,
            life,
            class: parcel.class,
            order: parcel.order,
            repeated: parcel.repeated,
            payload: parcel.payload,
        })
    }

    pub(super) fn acknowledged(&mut self, receipt: Receipt) -> Result<(), UnknownReceipt> {
        let peer = self.peers.get_mut(receipt.peer).ok_or(UnknownReceipt)?;
        let inbox = peer.inbox.as_mut().filter(|inbox| inbox.id == receipt.inbox).ok_or(UnknownReceipt)?;
        if !inbox.acknowledge(receipt.number) {
            return Err(UnknownReceipt);
        }
        let link = peer.link_in;
        self.unacknowledged -= 1;
        self.stats.processed += 1;
        if link != NONE {
            self.call(link);
        }
        Ok(())
    }

    // Room.

    /// Room that each linked sender is sure of.
    pub(super) fn base(&self) -> u64 {
        2 * self.config.message_cost()
    }

    /// Whether no more than is allowed waits of a sender's earlier sessions (`docs/messaging.md` 7.6).
    pub(super) fn leaves_little(&self, id: NodeId) -> bool {
        let peer = self.members.get(id).and_then(|known| self.peers.get(known.peer));
        peer.is_none_or(|peer| peer.retired < u64::from(self.config.window_bytes))
    }

    /// Whether a sender that greets in this session can be given its base (`docs/messaging.md` 7.6).
    pub(super) fn has_room_for_a_sender(&self, id: NodeId, session: u64) -> bool {
        let peer = self.members.get(id).and_then(|known| self.peers.get(known.peer));
        let (before, after) = peer.map_or((0, self.base()), |peer| {
            let own = peer.inbox.as_ref().map_or(0, |inbox| inbox.outstanding());
            let after = if peer.inbox.is_some() && peer.session == session {
                peer.retired + own.max(self.base())
            } else {
                // Of an inbox that ends, what is in the application's queue stays: not more than it had.
                let stays = if peer.arrivals() == 0 { 0 } else { peer.retired + own };
                stays + self.base()
            };
            (peer.promised, after)
        });
        self.promised - before + after <= self.config.incoming_bytes_max
    }

    pub(super) fn refused_for_room(&mut self) {
        if let Some(level) = self.incoming_meter.refused() {
            self.tell(Event::Level { buffer: Buffer::Incoming, level });
        }
    }

    /// Counts anew what a peer has of the room for what is received.
    pub(super) fn settle_promise(&mut self, place: u32) {
        let base = self.base();
        let peer = &mut self.peers[place];
        let own = match &peer.inbox {
            Some(inbox) if peer.link_in != NONE => inbox.outstanding().max(base),
            Some(inbox) => inbox.outstanding(),
            None => 0,
        };
        let promised = peer.retired + own;
        self.promised = self.promised - peer.promised + promised;
        peer.promised = promised;
        let filling = Filling { used: self.promised, max: self.config.incoming_bytes_max };
        if let Some(level) = self.incoming_meter.changed(&[filling]) {
            self.tell(Event::Level { buffer: Buffer::Incoming, level });
        }
    }

    /// What a sender keeps an eighth of for its high class (`docs/messaging.md` 7.3): the base, or what a rate gives in
    /// half a second, if that is less. So one turn (8.2) is enough for that and a short message, if `rate_burst` allows.
    pub(super) fn base_told(&self) -> u64 {
        let half_a_second = |rate: u32| if rate == 0 { u64::MAX } else { (rate / 2).into() };
        self.base().min(half_a_second(self.config.rate_in)).min(half_a_second(self.config.rate_in_peer))
    }

    /// How much credit a rate gives at a time, at least, to whoever wants more: not by the byte, and not so much that others
    /// wait for long.
    fn credit_step(&self) -> u64 {
        let step = |rate: u32| if rate == 0 { u64::MAX } else { u64::from(rate / STEPS_PER_SECOND).max(STEP_MIN) };
        step(self.config.rate_in).min(step(self.config.rate_in_peer)).min(u64::from(self.config.rate_burst) / 8)
    }

    /// Promises a linked sender what room there is for it (`docs/messaging.md` 7.5, 8.2).
    pub(super) fn give_credit(&mut self, place: u32) {
        self.give_credit_in(Turn::Last, place);
    }

    /// Whether the rate of all has nothing left for whose turn it is: then it still is.
    fn give_credit_in(&mut self, turn: Turn, place: u32) -> bool {
        let (step, wanted) = (self.credit_step(), self.wanted_credit(place));
        let peer = &mut self.peers[place];
        let is_alone = self.granting.len() == u32::from(peer.granting);
        let is_due = turn == Turn::First || self.granting.is_empty();
        let own = peer.rate_in.available(self.now);
        let all = if is_due { self.rate_in.available(self.now) } else { 0 };
        let given = if is_alone { wanted } else { wanted.min(step) }.min(own).min(all);
        let given = if given >= wanted.min(step) { given } else { 0 };
        if given > 0 {
            peer.rate_in.take(given as usize);
            self.rate_in.take(given as usize);
            peer.inbox.as_mut().expect("it wants credit").grant(given);
        }
        let missing = wanted - given;
        let own_at = peer.rate_in.ready_at(self.now, missing.min(step));
        let waits = missing > 0 && own_at <= self.now;
        if turn == Turn::First && waits && given == 0 {
            return true;
        }
        if missing > 0 && own_at > self.now {
            peer.grant.set(own_at, &mut self.alarms, Key::Grant(place));
        }
        if given > 0 {
            let link = peer.link_in;
            self.settle_promise(place);
            self.call(link);
        }
        if turn == Turn::First || !waits {
            self.leave_line_for_credit(place);
        }
        if waits && !core::mem::replace(&mut self.peers[place].granting, true) {
            self.peers.push_back(&mut self.granting, place);
            self.await_rate(step);
        }
        false
    }

    /// How much more a linked sender may be promised, but for rates (`docs/messaging.md` 7.5).
    fn wanted_credit(&self, place: u32) -> u64 {
        let (base, half) = (self.base(), self.config.incoming_bytes_max / 2);
        let peer = &self.peers[place];
        let Some(inbox) = peer.inbox.as_ref().filter(|_| peer.link_in != NONE) else { return 0 };
        let has = inbox.outstanding();
        let spare = half.saturating_sub(self.promised);
        inbox.share().min(has.max(base) + spare).max(base).saturating_sub(has)
    }

    /// The rate of all senders allows some more: those that wait get it in turn.
    pub(super) fn give_all_credit(&mut self) {
        for _ in 0..self.granting.len() {
            let Some(place) = self.granting.first() else { break };
            if self.give_credit_in(Turn::First, place) {
                break;
            }
        }
        if !self.granting.is_empty() {
            self.await_rate(self.credit_step());
        }
    }

    fn leave_line_for_credit(&mut self, place: u32) {
        if core::mem::take(&mut self.peers[place].granting) {
            self.peers.unlink(&mut self.granting, place);
        }
    }

    /// Wakes when the rate of all senders has a step.
    fn await_rate(&mut self, step: u64) {
        let at = self.rate_in.ready_at(self.now, step);
        self.grant.set(at, &mut self.alarms, Key::GrantAll);
    }

    /// The link of a sender is gone, and with it what it was promised: the rates have that back.
    pub(super) fn take_promise_back(&mut self, place: u32) {
        self.leave_line_for_credit(place);
        let peer = &mut self.peers[place];
        if let Some(inbox) = &mut peer.inbox {
            let unused = inbox.unlink();
            peer.rate_in.give_back(unused);
            self.rate_in.give_back(unused);
        }
    }
}
