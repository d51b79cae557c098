//! Packets taken apart: first looked at whole, then handed out message by message.
//!
//! The first pass finds whether every message is one canonical encoding of its kind with values in bounds. The second
//! can then be cheap, and cannot fail. Neither copies nor allocates: names, metadata and sums are borrowed from the
//! packet. The kinds that come often are read by hand, the others by postcard; all are postcard on the wire.

use core::iter::FusedIterator;

use postcard::ser_flavors::Size;
use serde::{Deserialize, Serialize};

use super::address::is_unicast;
use super::error::DatagramError;
use super::header;
use super::message::{
    Ack, Alive, Announce, Ask, Broadcast, Dead, Grave, Held, Left, Message, PAYLOAD_MAX, Ping, Pull, SEQUENCE_MAX,
    Suspect, SyncBuckets, SyncFilter, Tombstone, UserMessage, kind,
};
use super::profile::{ProfileBytes, is_profile};
use super::reader::Reader;
use super::varint::split_varint;
use crate::membership::{ClusterHash, Incarnation, NodeId};

/// Takes a packet of `cluster` apart, if it is in order from the first byte to the last.
///
/// `len_max` is the most bytes it may have: [`FRAME_MAX`](super::FRAME_MAX) from a stream. Messages of unknown kinds
/// are passed over; one of a known kind that is malformed refuses the whole packet.
///
/// # Errors
/// It is not in order: what is wrong first.
pub fn decode(packet: &[u8], cluster: ClusterHash, len_max: usize) -> Result<Messages<'_>, DatagramError> {
    decode_news(packet, cluster, len_max, |_| false)
}

/// Takes a packet apart and leaves out the Alives of which `is_known` says that they tell nothing new: most of all that
/// is heard was heard before, and needs no second look. What is known was in order when it came, so `is_known` may be
/// asked about a profile that nobody has looked at, and must compare its bytes alone.
pub(crate) fn decode_news<'a>(
    packet: &'a [u8],
    cluster: ClusterHash,
    len_max: usize,
    is_known: impl Fn(&Alive<'_>) -> bool,
) -> Result<Messages<'a>, DatagramError> {
    let messages = header::strip(packet, cluster, len_max)?;
    let (mut rest, mut known, mut this) = (messages, 0, 1);
    while !rest.is_empty() {
        let (kind, body, after) = split_message(rest).ok_or(DatagramError::Malformed { kind: 0 })?;
        if kind == kind::ALIVE && this != 0 && read_alive(body).is_some_and(|alive| is_known(&alive)) {
            known |= this;
        } else if !is_in_order(kind, body) {
            return Err(DatagramError::Malformed { kind });
        }
        this <<= 1;
        rest = after;
    }
    Ok(Messages { rest: messages, known })
}

/// The messages of one packet that are of known kinds, in their order.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    /// Looked at by [`decode`] before.
    rest: &'a [u8],
    /// Which of the first messages of the rest tell nothing new, the next one by the lowest bit.
    known: u64,
}

impl Messages<'_> {
    /// How many of those still to come are left out.
    pub(crate) fn known(&self) -> u32 {
        self.known.count_ones()
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        const CHECKED: &str = "decode() looked at it";
        loop {
            // `None` is the end and no broken frame: decode() looked at all of them.
            let (kind, body, after) = split_message(self.rest)?;
            self.rest = after;
            let is_known = self.known & 1 == 1;
            self.known >>= 1;
            if is_known {
                continue;
            }
            // Each is returned from where it is made, and not moved about.
            match kind {
                kind::PING => return Some(Message::Ping(read_ping(body).expect(CHECKED))),
                kind::ACK => return Some(Message::Ack(read_ack(body).expect(CHECKED))),
                kind::ALIVE => return Some(Message::Alive(read_alive(body).expect(CHECKED))),
                kind::SUSPECT => return Some(Message::Suspect(read_suspect(body).expect(CHECKED))),
                _ => {
                    if let Some(message) = read_rare(kind, body).expect(CHECKED) {
                        return Some(message);
                    }
                }
            }
        }
    }
}

impl FusedIterator for Messages<'_> {}

/// The first message's kind and body, and what follows it.
#[inline(always)]
fn split_message(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&kind, rest) = bytes.split_first()?;
    let (len, rest) = split_varint(rest)?;
    if len > u16::MAX.into() {
        return None;
    }
    let (body, rest) = rest.split_at_checked(len as usize)?;
    Some((kind, body, rest))
}

/// Whether a body is one canonical encoding of its kind, with values in bounds, or its kind is not known.
///
/// Reading makes sure of the encoding and of incarnations; the rest is here.
#[inline]
pub(super) fn is_in_order(kind: u8, body: &[u8]) -> bool {
    match kind {
        kind::PING => read_ping(body).is_some(),
        kind::ACK => read_ack(body).is_some(),
        kind::ALIVE => read_alive(body).is_some_and(|alive| is_profile(alive.profile.as_bytes())),
        kind::SUSPECT => read_suspect(body).is_some_and(|suspect| suspect.id != suspect.accuser),
        _ => is_rare_in_order(kind, body),
    }
}

#[inline(never)]
fn is_rare_in_order(kind: u8, body: &[u8]) -> bool {
    let Some(message) = read_rare(kind, body) else { return false };
    match message {
        Some(Message::PingReq(ping_req)) => is_unicast(ping_req.address),
        Some(Message::Dead(dead)) => dead.id != dead.accuser,
        Some(Message::NameTaken(taken)) => is_unicast(taken.holder),
        Some(Message::Tombstone(Tombstone { id, incarnation, grave, .. })) => {
            incarnation.life <= Incarnation::ACCUSED_MAX.life
                && incarnation.refutation <= Incarnation::ACCUSED_MAX.refutation
                && grave != Grave::Dead(id)
        }
        Some(Message::UserMessage(message)) => message.source != message.target,
        // Nothing is wrong with these beyond what reading them finds.
        Some(
            Message::Ping(_)
            | Message::Ack(_)
            | Message::Nack(_)
            | Message::Alive(_)
            | Message::Suspect(_)
            | Message::Left(_)
            | Message::Ask(_)
            | Message::Broadcast(_)
            | Message::Announce(_)
            | Message::Join(_)
            | Message::SyncRoot(_)
            | Message::SyncAgree(_)
            | Message::SyncBuckets(_)
            | Message::SyncFilter(_)
            | Message::Held(_)
            | Message::Want(_)
            | Message::SyncEnd(_)
            | Message::Busy(_)
            | Message::Pull(_)
            | Message::Carry(_),
        )
        | None => true,
    }
}

/// Reads a body of the kinds that datagrams are not full of. `None`: it cannot be read; `Some(None)`: its kind is not
/// known.
#[inline(never)]
fn read_rare(kind: u8, body: &[u8]) -> Option<Option<Message<'_>>> {
    Some(Some(match kind {
        kind::PING_REQ => Message::PingReq(read_postcard(body)?),
        kind::NACK => Message::Nack(read_postcard(body)?),
        kind::DEAD => {
            let Suspect { id, incarnation, accuser } = read_suspect(body)?;
            Message::Dead(Dead { id, incarnation, accuser })
        }
        kind::LEFT => {
            let (id, incarnation) = read_subject(body, Incarnation::ACCUSED_MAX)?;
            Message::Left(Left { id, incarnation })
        }
        kind::ASK => {
            let (id, incarnation) = read_subject(body, Incarnation::ACCUSED_MAX)?;
            Message::Ask(Ask { id, incarnation })
        }
        kind::BROADCAST => {
            let mut reader = Reader::new(body);
            let (origin, life, sequence) = read_broadcast_id(&mut reader)?;
            Message::Broadcast(Broadcast { origin, life, sequence, payload: read_payload(reader)? })
        }
        kind::ANNOUNCE => {
            let mut reader = Reader::new(body);
            let (origin, life, sequence) = read_broadcast_id(&mut reader)?;
            let len = reader.varint(PAYLOAD_MAX as u64)? as u32;
            Message::Announce(reader.finish(Announce { origin, life, sequence, len })?)
        }
        kind::USER_MESSAGE => {
            let mut reader = Reader::new(body);
            let (source, target) = (reader.id()?, reader.id()?);
            Message::UserMessage(UserMessage { source, target, payload: read_payload(reader)? })
        }
        kind::JOIN => Message::Join(read_postcard(body)?),
        kind::SYNC_ROOT => Message::SyncRoot(read_postcard(body)?),
        kind::SYNC_AGREE => Message::SyncAgree(read_postcard(body)?),
        kind::SYNC_BUCKETS => Message::SyncBuckets(SyncBuckets { sums: body.try_into().ok()? }),
        kind::SYNC_FILTER => Message::SyncFilter(SyncFilter { buckets: body.try_into().ok()? }),
        kind::HELD => {
            let (id, incarnation) = read_subject(body, Incarnation::MAX)?;
            Message::Held(Held { id, incarnation })
        }
        kind::WANT => Message::Want(read_postcard(body)?),
        kind::TOMBSTONE => Message::Tombstone(read_postcard(body)?),
        kind::SYNC_END => Message::SyncEnd(read_postcard(body)?),
        kind::NAME_TAKEN => Message::NameTaken(read_postcard(body)?),
        kind::BUSY => Message::Busy(read_postcard(body)?),
        kind::PULL => {
            let mut reader = Reader::new(body);
            let (origin, life, sequence) = read_broadcast_id(&mut reader)?;
            Message::Pull(reader.finish(Pull { origin, life, sequence })?)
        }
        kind::CARRY => Message::Carry(read_postcard(body)?),
        _ => return Some(None),
    }))
}

#[inline(always)]
fn read_ping(body: &[u8]) -> Option<Ping> {
    let mut reader = Reader::new(body);
    let ping = Ping { seq: reader.u32_le()?, target: reader.id()?, source: reader.id()? };
    reader.finish(ping)
}

#[inline]
fn read_ack(body: &[u8]) -> Option<Ack> {
    let mut reader = Reader::new(body);
    let ack = Ack { seq: reader.u32_le()?, incarnation: reader.incarnation(Incarnation::MAX)? };
    reader.finish(ack)
}

/// An Alive's profile is whatever follows: [`is_in_order`] looks at it, once.
#[inline(always)]
fn read_alive(body: &[u8]) -> Option<Alive<'_>> {
    let mut reader = Reader::new(body);
    let (id, incarnation) = (reader.id()?, reader.incarnation(Incarnation::MAX)?);
    Some(Alive { id, incarnation, profile: ProfileBytes::from_body(reader.rest()) })
}

/// A Suspect, or a Dead, which is written the same.
#[inline(always)]
fn read_suspect(body: &[u8]) -> Option<Suspect> {
    let mut reader = Reader::new(body);
    let (id, incarnation) = (reader.id()?, reader.incarnation(Incarnation::ACCUSED_MAX)?);
    let accuser = reader.id()?;
    reader.finish(Suspect { id, incarnation, accuser })
}

/// A member and its incarnation, and nothing else.
fn read_subject(body: &[u8], incarnation_max: Incarnation) -> Option<(NodeId, Incarnation)> {
    let mut reader = Reader::new(body);
    let subject = (reader.id()?, reader.incarnation(incarnation_max)?);
    reader.finish(subject)
}

/// Whose broadcast it is, of which life, and its number in that life.
fn read_broadcast_id(reader: &mut Reader<'_>) -> Option<(NodeId, u64, u64)> {
    let id = (reader.id()?, reader.varint(Incarnation::MAX.life)?, reader.varint(SEQUENCE_MAX)?);
    (id.2 > 0).then_some(id)
}

/// A payload after its count, and nothing else.
fn read_payload(mut reader: Reader<'_>) -> Option<&[u8]> {
    let len = reader.varint(PAYLOAD_MAX as u64)?;
    (len == reader.rest().len() as u64).then_some(reader.rest())
}

/// A body that is exactly one canonical postcard encoding of a `T`.
///
/// Postcard takes varints with needless bytes, and bytes after the value. Each part of a body is at least as long as
/// its canonical form, so the whole is as long as the canonical form only if each part is and nothing follows.
fn read_postcard<'a, T: Deserialize<'a> + Serialize>(body: &'a [u8]) -> Option<T> {
    let value = postcard::from_bytes::<T>(body).ok()?;
    let len = postcard::serialize_with_flavor(&value, Size::default()).ok()?;
    (len == body.len()).then_some(value)
}
