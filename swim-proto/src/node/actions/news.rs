//! News in datagrams: claims that spread as rumors, and broadcasts (\[SWIM\] 4.1; `docs/protocol.md` 5.2 and 12.3).

use core::mem;
use core::net::SocketAddr;
use core::time::Duration;

use super::super::{Node, Status};
use super::telling::{broadcast_of, claim_of};
use crate::dissemination::BroadcastId;
use crate::dissemination::rumors::{Topic, sends_limit};
use crate::dissemination::share::Side;
use crate::membership::{NodeId, Slot, State};
use crate::timers::Chore;
use crate::wire::{Announce, Message, PacketWriter, Suspect};

/// After so many of one kind that did not fit, the datagram is full enough.
const MISFITS_MAX: u32 = 4;

/// After so many that their receiver is the subject of, it is told no more this time: any number of members may say
/// that they are at its address.
const SKIPPED_MAX: u32 = 32;

/// How far one kind of news was walked along for this datagram.
struct Walk {
    /// The next to be told.
    next: Option<u32>,
    misfits: u32,
    skipped: u32,
}

impl Walk {
    fn from(first: Option<u32>) -> Walk {
        Walk { next: first, misfits: 0, skipped: 0 }
    }

    /// It did not fit. After a few of them no other is tried.
    fn misfit(&mut self) {
        self.misfits += 1;
        if self.misfits >= MISFITS_MAX {
            self.next = None;
        }
    }

    /// It is no news to the receiver.
    fn skip(&mut self) {
        self.skipped += 1;
        if self.skipped >= SKIPPED_MAX {
            self.next = None;
        }
    }

    /// There is, or would have been, more to say.
    fn wants_room(&self) -> bool {
        self.next.is_some() || self.misfits > 0
    }
}

impl Node {
    /// Fills a datagram up with news: of claims and of broadcasts those sent fewest, whoever had less room until now
    /// first (`docs/protocol.md` 12.5).
    pub(super) fn add_news(&mut self, to: SocketAddr, writer: &mut PacketWriter<'_>) {
        let mut claims = Walk::from(self.rumors.first());
        let mut broadcasts = Walk::from(self.broadcasts.first());
        if !claims.wants_room() || !broadcasts.wants_room() {
            self.share.settle();
        }
        while let Some(side) = self.share.turn(claims.next.is_some(), broadcasts.next.is_some()) {
            let len = writer.len();
            let contested = match side {
                Side::Claims => {
                    self.add_rumor_to(to, writer, &mut claims);
                    broadcasts.wants_room()
                }
                Side::Broadcasts => {
                    self.add_broadcast_to(to, writer, &mut broadcasts);
                    claims.wants_room()
                }
            };
            if contested {
                self.share.took(side, writer.len() - len, self.config.datagram_max.into());
            }
        }
        self.count_told();
    }

    /// Above the rate, what we say of ourselves is all: nobody else could say that we are alive.
    pub(super) fn add_own_rumor(&mut self, writer: &mut PacketWriter<'_>) {
        let local = self.table.local();
        if let (Some(rumor), Some(claim)) = (local.rumor(), claim_of(local))
            && writer.push(&claim)
        {
            self.stats.rumors_out += 1;
            self.count_sent(rumor);
        }
    }

    /// Puts the next rumor into a datagram, if it fits. That a member is alive is no news to itself.
    fn add_rumor_to(&mut self, to: SocketAddr, writer: &mut PacketWriter<'_>, walk: &mut Walk) {
        let Some(rumor) = walk.next else { return };
        walk.next = self.rumors.after(rumor);
        let (slot, topic) = self.rumors.about(rumor);
        let message = match topic {
            Topic::Standing => {
                let record = self.table.at(slot);
                if record.state() == State::Alive && record.address() == Some(to) {
                    // Where there is nobody else, nobody is to be told.
                    if self.table.others().len() == 1 {
                        self.drop_rumor(rumor);
                    }
                    walk.skip();
                    return;
                }
                claim_of(record)
            }
            Topic::Accuser { case, by } => self.further_accusation(slot, case, by),
        };
        match message {
            None => self.drop_rumor(rumor),
            Some(message) if writer.push(&message) => self.told.push(rumor),
            Some(_) => walk.misfit(),
        }
    }

    /// One more accuser of the suspicion that is held, if it is still the one that counted it.
    fn further_accusation(&self, slot: Slot, case: u64, accuser: NodeId) -> Option<Message<'static>> {
        let record = self.table.try_at(slot)?;
        record.case().filter(|&held| self.cases.at(held).number == case)?;
        let (id, incarnation) = (record.id, record.incarnation());
        incarnation.is_accusable().then_some(Message::Suspect(Suspect { id, incarnation, accuser }))
    }

    /// Puts the next broadcast into a datagram, whole or by name, if it fits. It is no news to its origin.
    fn add_broadcast_to(&mut self, to: SocketAddr, writer: &mut PacketWriter<'_>, walk: &mut Walk) {
        let Some(entry) = walk.next else { return };
        walk.next = self.broadcasts.after(entry);
        let id = self.broadcasts.id(entry);
        let origin = self.table.find(id.origin).and_then(|slot| self.table.at(slot).address());
        if !self.broadcasts.is_own(entry) && origin == Some(to) {
            if self.table.others().len() == 1 {
                self.broadcasts.drop_told(entry);
            }
            walk.skip();
            return;
        }
        let payload = self.broadcasts.payload(entry);
        let message = if self.is_inline(payload.len()) {
            broadcast_of(id, payload)
        } else {
            let BroadcastId { origin, life, sequence } = id;
            Message::Announce(Announce { origin, life, sequence, len: payload.len() as u32 })
        };
        if writer.push(&message) {
            self.told_broadcasts.push(entry);
        } else {
            walk.misfit();
        }
    }

    fn is_inline(&self, len: usize) -> bool {
        len <= usize::from(self.config.broadcast_inline_max)
    }

    /// Whatever went into the datagram was told once more.
    fn count_told(&mut self) {
        let limit = self.sends_limit();
        let mut told = mem::take(&mut self.told);
        self.stats.rumors_out += told.len() as u64;
        for rumor in told.drain(..) {
            self.count_sent_within(rumor, limit);
        }
        self.told = told;
        let mut told = mem::take(&mut self.told_broadcasts);
        self.stats.broadcasts_out += told.len() as u64;
        for entry in told.drain(..) {
            self.count_broadcast_sent(entry, limit);
        }
        self.told_broadcasts = told;
    }

    /// A rumor was told once more, by us or, where that counts, by others.
    pub(in super::super) fn count_sent(&mut self, rumor: u32) {
        let limit = self.sends_limit();
        self.count_sent_within(rumor, limit);
    }

    pub(in super::super) fn sends_limit(&self) -> u8 {
        sends_limit(self.config.retransmit_mult, self.config.reach_all, self.table.live_count())
    }

    fn count_sent_within(&mut self, rumor: u32, limit: u8) {
        let (slot, topic) = self.rumors.about(rumor);
        if self.rumors.sent(rumor, limit) {
            self.rumor_is_gone(slot, topic);
        }
    }

    /// The same of a broadcast. One that was only announced is kept for whoever asks for it now.
    pub(in super::super) fn count_broadcast_sent(&mut self, entry: u32, limit: u8) {
        let announced = !self.is_inline(self.broadcasts.payload(entry).len());
        let keep_until = announced.then(|| self.now + self.config.stream_timeout);
        self.broadcasts.sent(entry, limit, keep_until);
        self.arm_payloads();
    }

    pub(in super::super) fn drop_rumor(&mut self, rumor: u32) {
        let (slot, topic) = self.rumors.about(rumor);
        self.rumors.remove(rumor);
        self.rumor_is_gone(slot, topic);
    }

    fn rumor_is_gone(&mut self, slot: Slot, topic: Topic) {
        if topic == Topic::Standing {
            self.table.at_mut(slot).set_rumor(None);
            // Our departure has been told as often as any news is. What is polled may follow a timeout, after which
            // nothing is due: so a moment later, not now.
            if slot == Slot::LOCAL && self.status == Status::Leaving {
                self.timers.set(Chore::Leave, self.now + Duration::from_nanos(1));
            }
        }
    }
}
