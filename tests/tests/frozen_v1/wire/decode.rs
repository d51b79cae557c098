//! Packets taken apart: first looked at whole, then handed out message by message.
//!
//! The first pass finds whether every message is one canonical encoding of its kind with values in bounds. The second
//! can then be cheap, and cannot fail. Neither copies nor allocates: names, metadata and sums are borrowed from the
//! packet. The kinds that come often are read by hand, the others by postcard; all are postcard on the wire.

use core::iter::FusedIterator;

use postcard::ser_flavors::Size;
use serde::{Deserialize, Serialize};

use super::address::is_unicast;
use super::header;
use super::message::{
    Ack, Alive, Ask, Dead, Grave, Held, Left, Message, Ping, Suspect, SyncBuckets, SyncFilter, Tombstone, kind,
};
use super::profile::{ProfileBytes, is_profile};
use super::reader::Reader;
use super::varint::split_varint;
use crate::frozen_v1::DatagramError;
use crate::frozen_v1::membership::{ClusterHash, Incarnation, NodeId};

/// Takes a packet of `cluster` apart, if it is in order from the first byte to the last.
///
/// `len_max` is the most bytes it may have: [`FRAME_MAX`](super::FRAME_MAX) from a stream. Messages of unknown kinds
/// are passed over; one of a known kind that is malformed refuses the whole packet.
pub fn decode(packet: &[u8], cluster: ClusterHash, len_max: usize) -> Result<Messages<'_>, DatagramError> {
    let messages = header::strip(packet, cluster, len_max)?;
    let mut rest = messages;
    while !rest.is_empty() {
        let (kind, body, after) = split_message(rest).ok_or(DatagramError::Malformed { kind: 0 })?;
        if !is_in_order(kind, body) {
            return Err(DatagramError::Malformed { kind });
        }
        rest = after;
    }
    Ok(Messages { rest: messages })
}

/// The messages of one packet that are of known kinds, in their order.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    /// Looked at by [`decode`] before.
    rest: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        const CHECKED: &str = "decode() looked at it";
        loop {
            // `None` is the end and no broken frame: decode() looked at all of them.
            let (kind, body, after) = split_message(self.rest)?;
            self.rest = after;
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
        // Nothing is wrong with these beyond what reading them finds.
        Some(
            Message::Ping(_)
            | Message::Ack(_)
            | Message::Nack(_)
            | Message::Alive(_)
            | Message::Suspect(_)
            | Message::Left(_)
            | Message::Ask(_)
            | Message::Join(_)
            | Message::SyncRoot(_)
            | Message::SyncAgree(_)
            | Message::SyncBuckets(_)
            | Message::SyncFilter(_)
            | Message::Held(_)
            | Message::Want(_)
            | Message::SyncEnd(_)
            | Message::Busy(_),
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

/// A body that is exactly one canonical postcard encoding of a `T`.
///
/// Postcard takes varints with needless bytes, and bytes after the value. Each part of a body is at least as long as its
/// canonical form, so the whole is as long as the canonical form only if each part is and nothing follows.
fn read_postcard<'a, T: Deserialize<'a> + Serialize>(body: &'a [u8]) -> Option<T> {
    let value = postcard::from_bytes::<T>(body).ok()?;
    let len = postcard::serialize_with_flavor(&value, Size::default()).ok()?;
    (len == body.len()).then_some(value)
}
