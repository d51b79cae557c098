//! Packets taken apart and put together with something changed; actions moved to another buffer.

use swim_proto::wire::{Ack, FRAME_MAX, FrameReader, Left, Message, PacketWriter, Ping, Suspect, decode};
use swim_proto::{Action, ClusterHash, Config, Event, Incarnation, MemberEvent, NodeId, VERSIONS};

/// What is changed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Quote {
    WithoutAccusationsOfOthersThan(NodeId),
    WithoutAccusationsOf(NodeId),
    WithoutAcks,
    AccusingTheFuture,
    InNamesInvented,
    InTheNameOf(NodeId),
    WithAByteTooMany,
    DepartingWithEachAck(NodeId, Incarnation),
    WithoutBroadcasts,
    WithoutClaims,
    WithoutMembers,
    InTheOldestVersion,
}

/// Misquotes packets of one cluster.
pub(super) struct Misquote {
    cluster: ClusterHash,
}

impl Misquote {
    pub(super) fn new(config: &Config) -> Misquote {
        Misquote { cluster: ClusterHash::of(&config.cluster) }
    }

    /// The packet, misquoted; one that is not in order stays as it is.
    pub(super) fn packet(&self, packet: &[u8], quote: Quote) -> Vec<u8> {
        let Ok(messages) = decode(packet, self.cluster, FRAME_MAX) else { return packet.to_vec() };
        let mut out = Vec::new();
        let mut writer = PacketWriter::datagram(&mut out, self.cluster, FRAME_MAX).speak(quote.version(packet[1]));
        for message in messages {
            if let Some(message) = quote.message(message) {
                writer.push(&message);
            }
            if let (Quote::DepartingWithEachAck(id, incarnation), Message::Ack(_)) = (quote, &message) {
                writer.push(&Message::Left(Left { id, incarnation }));
            }
        }
        writer.finish();
        if let Quote::WithAByteTooMany = quote {
            out.push(0);
        }
        out
    }

    /// What a stream brought in whole frames, misquoted; but for what whoever opens it says of itself.
    pub(super) fn frames(&self, reader: &mut FrameReader, bytes: &[u8], quote: Quote) -> Vec<u8> {
        reader.push(bytes);
        let mut out = Vec::new();
        while let Ok(Some(packet)) = reader.next() {
            let Ok(mut messages) = decode(packet, self.cluster, FRAME_MAX) else { continue };
            let opens =
                |message: Message<'_>| matches!(message, Message::Join(_) | Message::SyncRoot(_) | Message::Carry(_));
            let is_opening = messages.clone().any(opens);
            let mut writer = PacketWriter::frame(&mut out, self.cluster, FRAME_MAX).speak(packet[1]);
            let heard = |message| if is_opening { Some(message) } else { quote.message(message) };
            messages.by_ref().filter_map(heard).for_each(|message| {
                writer.push(&message);
            });
            writer.finish();
        }
        out
    }

    /// The claims of a packet in a packet of their own, if there are any.
    pub(super) fn claims(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let messages = decode(packet, self.cluster, FRAME_MAX).ok()?;
        let is_claim = |message: &Message<'_>| {
            matches!(message, Message::Alive(_) | Message::Suspect(_) | Message::Dead(_) | Message::Left(_))
        };
        let mut out = Vec::new();
        let mut writer = PacketWriter::datagram(&mut out, self.cluster, FRAME_MAX).speak(packet[1]);
        let pushed = messages.filter(is_claim).filter(|message| writer.push(message)).count();
        writer.finish();
        (pushed > 0).then_some(out)
    }

    fn ping(&self, datagram: &[u8]) -> Option<Ping> {
        let mut messages = decode(datagram, self.cluster, FRAME_MAX).ok()?;
        messages.find_map(|message| match message {
            Message::Ping(ping) => Some(ping),
            _ => None,
        })
    }

    /// Whom a datagram pings.
    pub(super) fn pinged(&self, datagram: &[u8]) -> Option<NodeId> {
        self.ping(datagram).map(|ping| ping.target)
    }

    /// The answer that a ping would like to have.
    pub(super) fn ack(&self, datagram: &[u8], incarnation: Incarnation) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = PacketWriter::datagram(&mut out, self.cluster, FRAME_MAX);
        if let Some(ping) = self.ping(datagram) {
            writer.push(&Message::Ack(Ack { seq: ping.seq, incarnation }));
        }
        writer.finish();
        out
    }
}

impl Quote {
    fn version(self, version: u8) -> u8 {
        if matches!(self, Quote::InTheOldestVersion) { VERSIONS.min } else { version }
    }

    fn message<'a>(self, message: Message<'a>) -> Option<Message<'a>> {
        let accused = match &message {
            Message::Suspect(m) => Some(m.id),
            Message::Dead(m) => Some(m.id),
            Message::Tombstone(m) => Some(m.id),
            _ => None,
        };
        match (self, message) {
            (Quote::WithoutAccusationsOfOthersThan(own), message) => {
                accused.is_none_or(|id| id == own).then_some(message)
            }
            (Quote::WithoutAccusationsOf(own), message) => (accused != Some(own)).then_some(message),
            (Quote::WithoutAcks, Message::Ack(_)) => None,
            (Quote::WithoutBroadcasts, Message::Broadcast(_) | Message::Announce(_)) => None,
            (Quote::WithoutClaims, Message::Alive(_) | Message::Suspect(_) | Message::Dead(_) | Message::Left(_)) => {
                None
            }
            (Quote::WithoutMembers, Message::Alive(_)) => None,
            (Quote::AccusingTheFuture, Message::Suspect(mut suspect)) => {
                suspect.incarnation = suspect.incarnation.past();
                Some(Message::Suspect(suspect))
            }
            (Quote::InNamesInvented, Message::Suspect(mut suspect)) => {
                suspect.accuser = NodeId::from_u64(!suspect.accuser.as_u64());
                Some(Message::Suspect(suspect))
            }
            (Quote::InTheNameOf(accuser), Message::Suspect(suspect)) => {
                Some(Message::Suspect(Suspect { accuser, ..suspect }))
            }
            (_, message) => Some(message),
        }
    }
}

/// The same action, with what it borrows in another buffer. Transmits are the caller's.
pub(super) fn moved<'b>(action: Action<'_>, buf: &'b mut Vec<u8>) -> Action<'b> {
    buf.clear();
    match action {
        Action::Transmit { to, datagram } => {
            buf.extend_from_slice(datagram);
            Action::Transmit { to, datagram: buf }
        }
        Action::Write { stream, bytes } => {
            buf.extend_from_slice(bytes);
            Action::Write { stream, bytes: buf }
        }
        Action::Connect { stream, to } => Action::Connect { stream, to },
        Action::Finish { stream } => Action::Finish { stream },
        Action::Reset { stream } => Action::Reset { stream },
        Action::Resolve { seed } => Action::Resolve { seed },
        Action::Event(event) => Action::Event(moved_event(event, buf)),
    }
}

fn moved_event<'b>(event: Event<'_>, buf: &'b mut Vec<u8>) -> Event<'b> {
    match event {
        Event::Joined(change) => Event::Joined(moved_change(change, buf)),
        Event::Updated(change) => Event::Updated(moved_change(change, buf)),
        Event::Suspected(change) => Event::Suspected(moved_change(change, buf)),
        Event::Refuted(change) => Event::Refuted(moved_change(change, buf)),
        Event::Died(change) => Event::Died(moved_change(change, buf)),
        Event::Left(change) => Event::Left(moved_change(change, buf)),
        Event::Restarted(change) => Event::Restarted(moved_change(change, buf)),
        Event::Reaped(change) => Event::Reaped(moved_change(change, buf)),
        Event::Superseded { by, life } => Event::Superseded { by, life },
        Event::NameTaken { holder } => Event::NameTaken { holder },
        Event::Isolated { since } => Event::Isolated { since },
        Event::Reconnected { after } => Event::Reconnected { after },
        Event::Broadcast { origin, life, sequence, payload } => {
            buf.extend_from_slice(payload);
            Event::Broadcast { origin, life, sequence, payload: buf }
        }
        Event::Message { from, payload } => {
            buf.extend_from_slice(payload);
            Event::Message { from, payload: buf }
        }
        event => unreachable!("an event that this file does not know: {event:?}"),
    }
}

fn moved_change<'b>(change: MemberEvent<'_>, buf: &'b mut Vec<u8>) -> MemberEvent<'b> {
    let name_len = change.member.name.len();
    buf.extend_from_slice(change.member.name.as_bytes());
    buf.extend_from_slice(change.member.metadata);
    let (name, metadata) = buf.split_at(name_len);
    let member = swim_proto::Member {
        name: std::str::from_utf8(name).expect("it was a name before"),
        metadata,
        ..super::member_without_borrows(&change.member)
    };
    MemberEvent { member, cause: change.cause }
}
