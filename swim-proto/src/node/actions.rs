//! Leaves: what is to be done, encoded when it is polled.

mod news;
mod telling;

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::streams::PACKET_LEN;
use super::{Node, Status};
use crate::action::{Action, SeedId, StreamId};
use crate::dissemination::BroadcastId;
use crate::event::{Event, MemberEvent};
use crate::membership::{Member, NodeId, Slot, State};
use crate::outbox::{Body, Control, Mail, Notice, Outgoing};
use crate::wire::{
    Ack, Alive, Announce, Ask, Dead, HEADER_LEN, Left, Message, Nack, PacketWriter, Ping, PingReq, ProfileBytes,
    Suspect, UserMessage,
};

use telling::claim_of;

/// Most bytes of a question of our own to somebody who may be a stranger.
const QUESTION_MAX: usize = 64;

/// What was made in the buffer.
enum Made {
    Datagram(SocketAddr),
    Write(StreamId),
    Connect(StreamId, SocketAddr),
    Finish(StreamId),
    Reset(StreamId),
    Resolve(SeedId),
    Event(Notice),
}

impl Node {
    /// The next thing to do, or `None`. What is borrowed lives in `buf`, which is cleared first.
    pub fn poll_action<'b>(&mut self, buf: &'b mut Vec<u8>) -> Option<Action<'b>> {
        buf.clear();
        Some(match self.make_action(buf)? {
            Made::Datagram(to) => Action::Transmit { to, datagram: buf },
            Made::Write(stream) => Action::Write { stream, bytes: buf },
            Made::Connect(stream, to) => Action::Connect { stream, to },
            Made::Finish(stream) => Action::Finish { stream },
            Made::Reset(stream) => Action::Reset { stream },
            Made::Resolve(seed) => Action::Resolve { seed },
            Made::Event(notice) => Action::Event(self.event(notice, buf)),
        })
    }

    fn make_action(&mut self, buf: &mut Vec<u8>) -> Option<Made> {
        while let Some(outgoing) = self.outbox.pop() {
            if self.encode_datagram(&outgoing, buf) {
                self.stats.datagrams_out += 1;
                self.stats.bytes_out += buf.len() as u64;
                return Some(Made::Datagram(outgoing.to));
            }
        }
        while let Some(mail) = self.outbox.mail.pop_front() {
            if self.encode_mail(&mail, buf) {
                self.stats.datagrams_out += 1;
                self.stats.bytes_out += buf.len() as u64;
                return Some(Made::Datagram(mail.to));
            }
        }
        while let Some(control) = self.outbox.control.pop_front() {
            return Some(match control {
                Control::Write { stream } if self.write_stream(stream, buf) => {
                    self.stats.stream_bytes_out += buf.len() as u64;
                    Made::Write(stream)
                }
                Control::Write { .. } => continue,
                Control::Connect { stream, to } => Made::Connect(stream, to),
                Control::Finish { stream } => Made::Finish(stream),
                Control::Reset { stream } => Made::Reset(stream),
                Control::Resolve { seed } => Made::Resolve(seed),
            });
        }
        self.outbox.pop_notice().map(Made::Event)
    }

    // What the rest of the node asks for.

    /// A datagram to a member's address.
    pub(super) fn send(&mut self, to: SocketAddr, body: Body) {
        let len_max = self.config.datagram_max;
        self.post(Outgoing { to, body, len_max, piggyback: true, urgent: false });
    }

    pub(super) fn send_to_member(&mut self, slot: Slot, body: Body) {
        if let Some(address) = self.table.at(slot).address() {
            self.send(address, body);
        }
    }

    /// A datagram as long as any if a member we know is at this address, news added; to others at most `len_max` bytes,
    /// as many as came from there: nobody can use us to multiply bytes against others.
    pub(super) fn send_limited(&mut self, to: SocketAddr, body: Body, len_max: usize) {
        let outgoing = self.limited(to, body, len_max);
        self.post(outgoing);
    }

    /// A question of our own, to where nobody is known to be: short, and in answer to a datagram no longer than what it
    /// brought (`docs/protocol.md` 1.8).
    pub(super) fn send_question(&mut self, to: SocketAddr, body: Body) {
        if self.came_by.is_none() {
            self.unproven_left += QUESTION_MAX;
        }
        self.send_limited(to, body, QUESTION_MAX);
    }

    /// As [`Node::send_limited`], ahead of everything that is not urgent.
    pub(super) fn send_urgent(&mut self, to: SocketAddr, body: Body, len_max: usize) {
        let outgoing = self.limited(to, body, len_max);
        self.post(Outgoing { urgent: true, ..outgoing });
    }

    /// The same, in answer to what came by this carrier, or by datagram, earlier.
    pub(super) fn send_urgent_by(&mut self, to: SocketAddr, by: Option<StreamId>, body: Body) {
        let len_max = self.config.datagram_max.into();
        let came_by = self.came_by.replace((to, by));
        self.send_urgent(to, body, len_max);
        self.came_by = came_by;
    }

    fn limited(&self, to: SocketAddr, body: Body, len_max: usize) -> Outgoing {
        let full = self.config.datagram_max;
        let known = self.table.knows_address(to);
        let len_max = if known { full } else { u16::try_from(len_max).unwrap_or(u16::MAX).min(full) };
        Outgoing { to, body, len_max, piggyback: known, urgent: false }
    }

    /// Distinct random live members into `chosen`.
    pub(super) fn choose_others(&mut self, count: usize, except: Option<Slot>) {
        self.chosen.clear();
        self.table.choose_live(&mut self.random, count, except, &mut self.chosen);
    }

    // Datagrams.

    /// Encodes one datagram. `false`: there is nothing to send after all.
    fn encode_datagram(&mut self, outgoing: &Outgoing, buf: &mut Vec<u8>) -> bool {
        let len_max = usize::from(outgoing.len_max);
        let len_max = if outgoing.piggyback { len_max } else { len_max.min(self.unproven_left) };
        if len_max < HEADER_LEN {
            self.stats.drops.unproven += 1;
            return false;
        }
        let in_debt = !self.rate_out.has_some(self.now);
        if in_debt && outgoing.can_wait() {
            self.stats.drops.rate_out += 1;
            return false;
        }
        let version =
            if outgoing.piggyback { self.version_for_member(outgoing.to) } else { self.version_for(outgoing.to) };
        let writer = PacketWriter::datagram(buf, self.cluster, len_max).speak(version);
        let len = self.encode(outgoing, writer, in_debt);
        if len == 0 {
            return false;
        }
        self.rate_out.take(len);
        self.count_version(version);
        if !outgoing.piggyback {
            self.unproven_left -= len.min(self.unproven_left);
        }
        true
    }

    /// Encodes one packet of a carrier, as a frame. Whoever is at its other end has answered there: nothing is
    /// withheld, and the rate, which is for datagrams, is not charged.
    pub(super) fn encode_carried(&mut self, outgoing: &Outgoing, version: u8, buf: &mut Vec<u8>) -> bool {
        let len_max = usize::from(outgoing.len_max).min(PACKET_LEN);
        let writer = PacketWriter::frame(buf, self.cluster, len_max).speak(version);
        let is_made = self.encode(outgoing, writer, false) > 0;
        if is_made {
            self.count_version(version);
        }
        is_made
    }

    /// Encodes one packet, and gives its length. 0: there is nothing to send after all. In debt, of news only ours is
    /// told.
    fn encode(&mut self, outgoing: &Outgoing, mut writer: PacketWriter<'_>, in_debt: bool) -> usize {
        let source = self.local_id();
        let mut fits = true;
        match outgoing.body {
            Body::Ping { seq, target, tell } => {
                fits &= writer.push(&Message::Ping(Ping { seq, target, source }));
                if tell {
                    self.accuse_to_face(target, &mut writer);
                }
            }
            Body::Ack { seq, asker } => {
                let incarnation = self.table.local().incarnation();
                // To whoever is a stranger to us both may be too long; that we departed matters more than that we
                // answer.
                let departed = self.status == Status::Left && self.say_departed(&mut writer);
                fits &= writer.push(&Message::Ack(Ack { seq, incarnation })) || departed;
                if self.status != Status::Left {
                    self.add_to_answer(asker, &mut writer);
                }
            }
            Body::Forward { seq, incarnation } => fits &= writer.push(&Message::Ack(Ack { seq, incarnation })),
            Body::Nack { seq } => fits &= writer.push(&Message::Nack(Nack { seq })),
            Body::PingReq { seq, target, address, budget_ms } => {
                fits &= writer.push(&Message::PingReq(PingReq { seq, source, target, address, budget_ms }));
                if self.config.buddy {
                    self.accuse_to_face(target, &mut writer);
                }
            }
            Body::Gossip => {}
            Body::Claim { about } => {
                let claim = self.table.find(about).and_then(|slot| claim_of(self.table.at(slot)));
                fits &= claim.is_some_and(|claim| writer.push(&claim));
            }
            Body::Ask { about } => {
                let record = self.table.find(about).map(|slot| self.table.at(slot));
                let ask = record.map(|record| Message::Ask(Ask { id: about, incarnation: record.incarnation() }));
                fits &= ask.is_some_and(|ask| writer.push(&ask));
            }
            Body::Newest { of } => {
                let newest = self.origins.newest(of);
                fits &= newest.is_some_and(|(life, sequence)| {
                    writer.push(&Message::Announce(Announce { origin: of, life, sequence, len: 0 }))
                });
            }
        }
        if !fits {
            self.stats.drops.unproven += u64::from(!outgoing.piggyback);
            writer.cancel();
            return 0;
        }
        if outgoing.piggyback && self.has_news() {
            if in_debt {
                self.add_own_rumor(&mut writer);
            } else {
                self.add_news(outgoing.to, &mut writer);
            }
        }
        if writer.is_empty() {
            writer.cancel();
            self.stats.drops.rate_out += u64::from(in_debt);
            return 0;
        }
        writer.finish()
    }

    /// Encodes a direct message. `false`: it would not fit, which was made sure of when it was taken.
    fn encode_mail(&mut self, mail: &Mail, buf: &mut Vec<u8>) -> bool {
        let (source, target) = (self.local_id(), mail.target);
        let in_debt = !self.rate_out.has_some(self.now);
        let version = self.version_for(mail.to);
        let mut writer = PacketWriter::datagram(buf, self.cluster, self.config.datagram_max.into()).speak(version);
        if !writer.push(&Message::UserMessage(UserMessage { source, target, payload: &mail.payload })) {
            writer.cancel();
            return false;
        }
        if self.has_news() {
            if in_debt {
                self.add_own_rumor(&mut writer);
            } else {
                self.add_news(mail.to, &mut writer);
            }
        }
        self.rate_out.take(writer.finish());
        self.count_version(version);
        true
    }

    /// Buddy System (\[LG\] IV-C), and more: whoever we hold suspect, dead or departed hears it from us when we talk.
    fn accuse_to_face(&self, member: NodeId, writer: &mut PacketWriter<'_>) {
        if let Some(slot) = self.table.find(member)
            && self.table.at(slot).state() != State::Alive
            && slot != Slot::LOCAL
            && let Some(claim) = claim_of(self.table.at(slot))
        {
            writer.push(&claim);
        }
    }

    /// Tells whoever still probes us that we departed, if there is room.
    fn say_departed(&self, writer: &mut PacketWriter<'_>) -> bool {
        claim_of(self.table.local()).is_some_and(|left| writer.push(&left))
    }

    /// What an answer says besides: what is held against the asker.
    fn add_to_answer(&self, asker: NodeId, writer: &mut PacketWriter<'_>) {
        let state = self.table.find(asker).map(|slot| self.table.at(slot).state());
        let tell = match state {
            Some(State::Suspect) => self.config.buddy,
            Some(State::Dead | State::Left) => self.config.echo,
            Some(State::Alive) | None => false,
        };
        if tell {
            self.accuse_to_face(asker, writer);
        }
    }

    // Events.

    fn event<'b>(&mut self, notice: Notice, buf: &'b mut Vec<u8>) -> Event<'b> {
        match notice {
            Notice::Member { change, seen, profile_len, cause } => {
                self.outbox.take_profile(profile_len, buf);
                let profile = ProfileBytes::from_validated(buf).parse();
                let member: Member<'b> = self.view(&seen, profile);
                Event::of(change, MemberEvent { member, cause })
            }
            Notice::Superseded { by, life } => Event::Superseded { by, life },
            Notice::NameTaken { holder } => Event::NameTaken { holder },
            Notice::Isolated { since } => Event::Isolated { since },
            Notice::Reconnected { after } => Event::Reconnected { after },
            Notice::Broadcast { entry } => {
                buf.extend_from_slice(self.broadcasts.payload(entry));
                let BroadcastId { origin, life, sequence } = self.broadcasts.id(entry);
                self.broadcasts.heard(entry);
                Event::Broadcast { origin, life, sequence, payload: buf }
            }
            Notice::Message { from, payload } => {
                buf.extend_from_slice(&payload);
                Event::Message { from, payload: buf }
            }
        }
    }
}
