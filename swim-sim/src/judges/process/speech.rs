//! What a process says: datagram by datagram, frame by frame.

use swim_proto::wire::{Message, Messages};

use super::super::fault::Fault;
use super::super::load::Purpose;
use super::*;

/// On whose accord a packet is sent, besides what answers the packet being taken in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Accord {
    Own,
    /// It tells somebody that there is no answer, or what the application says.
    Others,
}

impl Process {
    /// The node sends a datagram.
    pub(in crate::judges) fn transmit(&mut self, at: Moment<'_>, to: SocketAddr, bytes: &[u8]) -> Verdict {
        self.keep_time(at)?;
        if at.view.config().transport == Transport::Stream {
            return super::super::fault::fault(Rule::S7, format!("sent {to} a datagram, and is to send none"));
        }
        if self.turn.answers_packets() {
            self.turn.answers += 1;
            if !knows_address(at, to) {
                self.turn.to_strangers += bytes.len();
            }
        }
        // What came by a carrier that can no longer be written to is answered by datagram (protocol 13.4).
        oneself::speaks(at.view.status(), self.turn.answers_packets())?;
        let messages = self.taken_apart(at, bytes)?;
        if self.turn.kind != Kind::Datagram {
            self.pings(at, messages.clone());
        }
        self.turn.tells = false;
        let accord = self.packet(at, to, messages.clone())?;
        self.rates.sent((at.clock, at.view.config()), bytes.len(), self.turn.tells)?;
        // A timer's question to a stranger is in the version of a ping that came from there at some time (7.3): in any.
        let asks = self.turn.kind == Kind::Timeout && is_question(messages.clone()) && !knows_address(at, to);
        if !asks || !speaks_its_version(bytes, at.view.config()) {
            wire::version((bytes, to), at.view, at.oracle.ids_at(to), self.turn.heard_in)?;
        }
        if !self.turn.answers_packets() && accord == Accord::Own {
            self.load.initiated(Purpose::of(messages));
        }
        Ok(())
    }

    fn taken_apart<'a>(&mut self, at: Moment<'_>, packet: &'a [u8]) -> Result<Messages<'a>, Fault> {
        wire::datagram(packet, self.cluster, at.view.config().datagram_max.into(), &mut self.scratch)
    }

    /// The node sends a packet, in a datagram or on a carrier.
    fn packet(&mut self, at: Moment<'_>, to: SocketAddr, messages: Messages<'_>) -> Result<Accord, Fault> {
        let config = at.view.config();
        self.turn.targets.clear();
        self.turn.targets.extend(messages.clone().filter_map(|message| target(&message)));
        let acks = messages.clone().any(|message| matches!(message, Message::Ack(_)));
        let (mut nacks, mut mail) = (false, false);
        for (place, message) in messages.enumerate() {
            self.say(at, &message)?;
            mail |= matches!(message, Message::UserMessage(_));
            if place == 0 && self.answers(at, to, &message) {
                continue;
            }
            if let Message::Nack(_) = message {
                nacks = true;
                self.load.nack()?;
            }
            self.turn.tells |= matches!(message, Message::Broadcast(_));
            if let Some(claim) = self.rumor(at, to, &message, acks) {
                let (id, _) = subject(&message).expect("a claim has a subject");
                self.turn.tells |= id != self.id;
                // What the input taught counts already: it may have been an exchange with all there is.
                let live_max = self.live_max.max(at.view.live());
                self.load.rumor(at.clock, config, claim, id, live_max).map_err(|fault| {
                    let what = format!("{} ({})", fault.what, told(&message));
                    Fault { what, ..fault }
                })?;
            }
        }
        // What its application says to one is judged as that (U3).
        Ok(if nacks || mail { Accord::Others } else { Accord::Own })
    }

    /// It pings of its own accord, not on behalf of another.
    fn pings(&mut self, at: Moment<'_>, messages: Messages<'_>) {
        for message in messages {
            if let Message::Ping(ping) = message
                && let Some(mirror) = self.mirrors.get_mut(&ping.target)
            {
                mirror.turn = self.probing.turn(at.view);
                // A silence that lasts may stand still at any time after.
                mirror.pinged = Some((at.clock, self.standstill.ended()));
            }
        }
    }

    /// Whether a datagram that begins with this claim is the one that may answer whoever sent the input, about a member
    /// that it named: an echo, or the answer to an Ask (protocol 1.10). What rides behind it are rumors.
    fn answers(&mut self, at: Moment<'_>, to: SocketAddr, first: &Message<'_>) -> bool {
        let Some((id, _)) = subject(first).filter(|_| gossiped(first).is_some()) else { return false };
        if self.carriers.was_told_by(at.clock, to, id) {
            // On a carrier an answer may have to wait for those before it.
            return true;
        }
        let answers = self.turn.from == Some(to) && self.turn.named.contains(&id);
        answers && !at.oracle.ids_at(to).contains(&id) && !std::mem::replace(&mut self.turn.answered, true)
    }

    /// Tells this message's claim from all others, if it is sent as a rumor.
    fn rumor(&self, at: Moment<'_>, to: SocketAddr, message: &Message<'_>, acks: bool) -> Option<u64> {
        let (kind, id, incarnation, other) = match *message {
            Message::Alive(Alive { id, incarnation, profile }) => {
                let hash = profile.as_bytes().iter().fold(0_u64, |hash, &byte| hash.rotate_left(7) ^ u64::from(byte));
                (0, id, incarnation, hash)
            }
            Message::Suspect(m) => (1, m.id, m.incarnation, m.accuser.as_u64()),
            Message::Dead(m) => (2, m.id, m.incarnation, m.accuser.as_u64()),
            Message::Left(m) => (3, m.id, m.incarnation, 0),
            _ => return None,
        };
        let to_subject = at.oracle.ids_at(to).contains(&id);
        // Whoever departed says so beside each ack, for as long as it is asked.
        let own_departure =
            kind == 3 && id == self.id && at.view.status() == Status::Left && (self.turn.from == Some(to) || acks);
        if to_subject || own_departure || self.turn.targets.contains(&id) {
            return None;
        }
        let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
        let words = [id.as_u64(), incarnation.life, incarnation.refutation.into(), other];
        Some(words.into_iter().fold(kind, mix))
    }

    /// The node writes to a stream.
    pub(in crate::judges) fn write(&mut self, at: Moment<'_>, stream: StreamId, bytes: &[u8]) -> Verdict {
        self.keep_time(at)?;
        self.carriers.written(stream);
        let mut writer = self.writing.remove(&stream).unwrap_or_default();
        writer.push(bytes);
        let verdict = self.write_frames(at, stream, &mut writer);
        self.writing.insert(stream, writer);
        verdict
    }

    fn write_frames(&mut self, at: Moment<'_>, stream: StreamId, writer: &mut FrameReader) -> Verdict {
        loop {
            let packet = writer.next().map_err(|error| Fault {
                rule: Rule::S7,
                about: None,
                what: format!("wrote to a stream what is no frame: {error}"),
            })?;
            let Some(packet) = packet else { return Ok(()) };
            if let Some(to) = self.carriers.peer(stream) {
                oneself::speaks(at.view.status(), true)?;
                // It may have waited since another turn: for whom it pings is not seen.
                let messages = self.taken_apart(at, packet)?;
                self.pings(at, messages.clone());
                let accord = self.packet(at, to, messages)?;
                if !self.turn.answers_packets() && accord == Accord::Own {
                    self.load.carried();
                }
                continue;
            }
            let messages = wire::frame(packet, self.cluster)?;
            self.carriers.opened(stream, messages.clone());
            for message in messages {
                self.say(at, &message)?;
            }
        }
    }

    /// What may be said by anybody, on whatever path.
    fn say(&mut self, at: Moment<'_>, message: &Message<'_>) -> Verdict {
        wire::in_own_name(message, self.id)?;
        oneself::said(message, self.id, at.view.status())?;
        oneself::allowed(message, self.id, at.view.status())?;
        if let Message::Ack(ack) = message
            && ack.incarnation > at.oracle.greatest()
        {
            let what = format!("acked with {}, which nobody ever was", ack.incarnation);
            return super::super::fault::fault(Rule::S2, what);
        }
        if let Message::Join(_) = message {
            // Whoever joins says anew who it is, once it is let in.
            self.load.forgotten();
            self.evidence.begins_anew();
        }
        let Some((id, incarnation)) = subject(message) else { return Ok(()) };
        incarnation::owned(at.oracle, id, incarnation, "spoke of")?;
        match *message {
            Message::Suspect(m) => {
                let accusation = Accusation { id, incarnation, accuser: m.accuser };
                causes::real(at.oracle.is_accuser(m.accuser), &accusation)?;
                let own = (self.id, failures(at.view), at.view.config().suspicion_confirmations);
                self.evidence.judge_accuser(accusation, own)
            }
            Message::Dead(Dead { accuser, .. }) | Message::Tombstone(Tombstone { grave: Grave::Dead(accuser), .. }) => {
                self.turn.spoken.push((id, incarnation, Some(accuser)));
                Ok(())
            }
            Message::Left(_) | Message::Tombstone(Tombstone { grave: Grave::Left, .. }) if id != self.id => {
                self.turn.spoken.push((id, incarnation, None));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// A claim in a few words.
fn told(message: &Message<'_>) -> String {
    match message {
        Message::Alive(m) => format!("Alive {} at {}", m.id, m.incarnation),
        other => format!("{other:?}"),
    }
}

/// Whether it is a Ping and nothing else.
fn is_question(mut messages: Messages<'_>) -> bool {
    matches!((messages.next(), messages.next()), (Some(Message::Ping(_)), None))
}
