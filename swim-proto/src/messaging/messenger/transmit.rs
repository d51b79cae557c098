//! What leaves: one packet at a time, each link in its turn (`docs/messaging.md` 5.2, 5.3, 8).

use alloc::vec::Vec;

use bytes::Bytes;

use super::timeouts::Key;
use super::{Messenger, class_of};
use crate::messaging::LinkId;
use crate::messaging::link::Stage;
use crate::messaging::message::{Class, Order};
use crate::messaging::outgoing::Progress;
use crate::messaging::packet::{Data, Forward, Hello, Packet, Probe, VERSION, Welcome};
use crate::messaging::sent::Flying;
use crate::messaging::share::CLASSES;
use crate::messaging::slab::NONE;

/// A packet that was encoded: its payload, if it has one.
type Encoded = Option<Option<Bytes>>;

impl Messenger {
    /// A link may have something to say.
    pub(super) fn call(&mut self, link: u32) {
        if let Some(called) = self.links.get_mut(link)
            && !core::mem::replace(&mut called.called, true)
        {
            self.called.push_back(link);
        }
    }

    /// The next packet, encoded into `buf`, and its payload.
    pub(super) fn next_packet(&mut self, buf: &mut Vec<u8>) -> Option<(LinkId, Option<Bytes>)> {
        loop {
            let Some(link) = self.called.pop_front() else {
                // Of those that wait for the rate of all together, one at a time.
                if self.paced.is_empty() || !self.rate_out.has_some(self.now) {
                    return None;
                }
                let link = self.paced.pop_front().expect("it is not empty");
                if self.links.get_mut(link).is_some_and(|paced| core::mem::take(&mut paced.paced)) {
                    self.call(link);
                }
                continue;
            };
            // A name may have ended, and its place be another's, since the link was called: then that one looks once
            // more than it needs.
            let Some(called) = self.links.get_mut(link) else { continue };
            called.called = false;
            if called.full {
                continue;
            }
            let id = called.id;
            if let Some(payload) = self.packet_for(link, buf) {
                self.call(link);
                return Some((id, payload));
            }
        }
    }

    fn packet_for(&mut self, link: u32, buf: &mut Vec<u8>) -> Encoded {
        match self.links[link].stage {
            Stage::Opening | Stage::Silent | Stage::Learning | Stage::Greeting { greeted: true } => None,
            Stage::Greeting { greeted: false } => self.say_hello(link, buf),
            Stage::Ready => self.say_next(link, buf),
            Stage::Refused(refuse) => {
                Packet::Refuse(refuse).encode(buf);
                self.close_link(link);
                Some(None)
            }
            Stage::Believed { welcomed: false } => self.say_welcome(link, buf),
            Stage::Believed { welcomed: true } => {
                let place = self.links[link].peer;
                let ack = self.peers[place].inbox.as_mut()?.ack()?;
                self.stats.acks_out += 1;
                ack.encode(buf);
                Some(None)
            }
        }
    }

    fn say_hello(&mut self, link: u32, buf: &mut Vec<u8>) -> Encoded {
        self.links[link].stage = Stage::Greeting { greeted: true };
        let peer = &mut self.peers[self.links[link].peer];
        peer.sent.greet();
        Packet::Hello(Hello {
            cluster: self.local.cluster,
            version_min: VERSION,
            version_max: VERSION,
            source: self.local.id,
            target: peer.id,
            life: self.local.life,
            session: peer.session_out,
        })
        .encode(buf);
        Some(None)
    }

    fn say_welcome(&mut self, link: u32, buf: &mut Vec<u8>) -> Encoded {
        self.links[link].stage = Stage::Believed { welcomed: true };
        let inbox = self.peers[self.links[link].peer].inbox.as_ref().expect("who is believed has an inbox");
        Packet::Welcome(Welcome {
            version: VERSION,
            source: self.local.id,
            life: self.local.life,
            session: self.session,
            inbox: inbox.id,
            message_max: self.config.message_max,
            window_messages: self.config.window_messages,
            base_bytes: self.base_told().min(u32::MAX.into()) as u32,
        })
        .encode(buf);
        Some(None)
    }

    /// Of a link of ours that is ready: the question, what goes again, what is passed over, what is new.
    fn say_next(&mut self, link: u32, buf: &mut Vec<u8>) -> Encoded {
        let place = self.links[link].peer;
        let peer = &mut self.peers[place];
        if core::mem::take(&mut peer.patience.due) {
            self.stats.probes_out += 1;
            Packet::Probe(Probe { number: peer.sent.probe() }).encode(buf);
            return Some(None);
        }
        if let Some((number, flying)) = peer.sent.forward(self.now) {
            return Some(self.say_again(place, number, flying, buf));
        }
        if !self.has_rate(link) {
            return None;
        }
        if let Some((number, flying)) = self.peers[place].sent.resend(self.now) {
            return Some(self.say_again(place, number, flying, buf));
        }
        self.say_new(place, buf)
    }

    /// Whether the rates let a message go; if not, the link is called when they do (`docs/messaging.md` 8.2).
    fn has_rate(&mut self, link: u32) -> bool {
        let place = self.links[link].peer;
        let peer = &mut self.peers[place];
        if !peer.rate_out.has_some(self.now) {
            let at = peer.rate_out.ready_at(self.now, 1);
            peer.pace.set(at, &mut self.alarms, Key::Pace(place));
            return false;
        }
        if !self.rate_out.has_some(self.now) {
            if !core::mem::replace(&mut self.links[link].paced, true) {
                self.paced.push_back(link);
            }
            let at = self.rate_out.ready_at(self.now, 1);
            self.pace.set(at, &mut self.alarms, Key::PaceAll);
            return false;
        }
        true
    }

    fn say_again(&mut self, place: u32, number: u64, flying: Flying, buf: &mut Vec<u8>) -> Option<Bytes> {
        let back = flying.back;
        if flying.message == NONE {
            self.stats.forwards_out += 1;
            Packet::Forward(Forward { number, back, cost: flying.cost }).encode(buf);
            return None;
        }
        self.stats.data_repeated += 1;
        Some(self.say(place, number, back, flying.message, buf))
    }

    fn say_new(&mut self, place: u32, buf: &mut Vec<u8>) -> Encoded {
        let peer = &mut self.peers[place];
        let costs = peer.queues.each_ref().map(|queue| queue.first().map_or(0, |first| self.outgoing[first].cost()));
        let can = core::array::from_fn(|index| {
            let (class, cost) = (class_of(index), costs[index]);
            let window = peer.flight.window();
            let window = if class == Class::High { window + window / 8 } else { window };
            let flies = peer.sent.flight() == 0 || peer.sent.flight() + cost <= window;
            flies && peer.sent.has_credit(class, cost)
        });
        let has = costs.map(|cost| cost > 0);
        let turn = peer.share.next(has)?;
        // By as much as the longest that is next, and if it is for want of credit, the high class by its reserve.
        let mut ahead_max = [costs.into_iter().max().unwrap_or_default(); CLASSES];
        let high = Class::High as usize;
        if !peer.sent.has_credit(class_of(turn), costs[turn]) {
            ahead_max[high] = ahead_max[high].max(peer.sent.reserve(costs[high]));
        }
        let index = peer.share.next_of(has, can, ahead_max)?;
        let at = peer.queues[index].first().expect("a class that can go has something");
        self.outgoing.unlink(&mut peer.queues[index], at);
        peer.share.went(index, costs[index]);
        let pending = &mut self.outgoing[at];
        let (class, order) = (pending.class, pending.order);
        let number = peer.sent.last() + 1;
        let back = self.chains.follow(place, class, order, number);
        let pushed = peer.sent.push(self.now, at, costs[index] as u32, class, order, back);
        debug_assert_eq!(pushed, number);
        pending.progress = Progress::Flying(number);
        pending.sent.get_or_insert(self.now);
        let payload = self.say(place, number, back, at, buf);
        self.tell_sent(at);
        Some(Some(payload))
    }

    /// Data of a message.
    fn say(&mut self, place: u32, number: u64, back: u64, at: u32, buf: &mut Vec<u8>) -> Bytes {
        let pending = &self.outgoing[at];
        let stream = match pending.order {
            Order::Unordered => None,
            Order::Stream(stream) => Some(stream),
        };
        Data { number, back, class: pending.class as u8, stream, repeated: pending.repeated }.encode(buf);
        let cost = pending.cost() as usize;
        self.peers[place].rate_out.take(cost);
        self.rate_out.take(cost);
        self.stats.data_out += 1;
        self.stats.data_bytes_out += pending.payload.len() as u64;
        pending.payload.clone()
    }
}
