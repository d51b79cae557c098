//! What postcard makes of a body, with the rules of `docs/wire-format.md` on top, written down a second time: the codec
//! reads most kinds by hand and must agree with this about every byte.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use swim_proto::wire::*;
use swim_proto::*;

use super::samples::{Draw, KINDS, body, decoded, packet_of};

/// A value, if `body` is its one encoding.
fn exact<'a, T: Deserialize<'a> + Serialize>(body: &'a [u8]) -> Option<T> {
    let value = postcard::from_bytes::<T>(body).ok()?;
    (postcard::to_slice(&value, &mut [0; 8192]).ok()? == body).then_some(value)
}

/// The message that a body of this kind ought to be.
fn expected(kind: u8, body: &[u8]) -> Option<Message<'_>> {
    let message = match kind {
        1 => Message::Ping(exact(body)?),
        2 => Message::Ack(exact(body)?),
        3 => Message::PingReq(exact(body)?),
        4 => Message::Nack(exact(body)?),
        5 => {
            let (id, incarnation, profile) = exact::<(NodeId, Incarnation, Profile<'_>)>(body)?;
            let tail = body.len() - postcard::to_slice(&profile, &mut [0; 1024]).unwrap().len();
            is_in_bounds(&profile).then_some(())?;
            Message::Alive(Alive { id, incarnation, profile: ProfileBytes::new(&body[tail..])? })
        }
        6 => Message::Suspect(exact(body)?),
        7 => Message::Dead(exact(body)?),
        8 => Message::Left(exact(body)?),
        10 => Message::Ask(exact(body)?),
        11 => Message::Broadcast(exact(body)?),
        12 => Message::Announce(exact(body)?),
        13 => Message::UserMessage(exact(body)?),
        16 => Message::Join(exact(body)?),
        17 => Message::SyncRoot(exact(body)?),
        18 => Message::SyncAgree(exact(body)?),
        19 => Message::SyncBuckets(SyncBuckets { sums: body.try_into().ok()? }),
        20 => Message::SyncFilter(SyncFilter { buckets: body.try_into().ok()? }),
        21 => Message::Held(exact(body)?),
        22 => Message::Want(exact(body)?),
        23 => Message::Tombstone(exact(body)?),
        24 => Message::SyncEnd(exact(body)?),
        25 => Message::NameTaken(exact(body)?),
        26 => Message::Busy(exact(body)?),
        27 => Message::Pull(exact(body)?),
        28 => Message::Carry(exact(body)?),
        _ => panic!("no kind {kind}"),
    };
    let accusable = |incarnation: Incarnation| incarnation.life < 1 << 62 && incarnation.refutation < u32::MAX;
    let ownable = |incarnation: Incarnation| incarnation.life < 1 << 63 && incarnation.refutation < u32::MAX;
    let in_bounds = match message {
        Message::Ack(m) => ownable(m.incarnation),
        Message::PingReq(m) => is_host(m.address),
        Message::Alive(m) => ownable(m.incarnation),
        Message::Suspect(m) => accusable(m.incarnation) && m.id != m.accuser,
        Message::Dead(m) => accusable(m.incarnation) && m.id != m.accuser,
        Message::Left(m) => accusable(m.incarnation),
        Message::Ask(m) => accusable(m.incarnation),
        Message::Held(m) => ownable(m.incarnation),
        Message::Tombstone(m) => accusable(m.incarnation) && m.grave != Grave::Dead(m.id),
        Message::NameTaken(m) => is_host(m.holder),
        Message::Broadcast(m) => is_number(m.life, m.sequence) && m.payload.len() <= 61_440,
        Message::Announce(m) => is_number(m.life, m.sequence) && m.len <= 61_440,
        Message::Pull(m) => is_number(m.life, m.sequence),
        Message::UserMessage(m) => m.source != m.target && m.payload.len() <= 61_440,
        _ => true,
    };
    in_bounds.then_some(message)
}

/// Of a broadcast.
fn is_number(life: u64, sequence: u64) -> bool {
    life < 1 << 63 && (1..u64::MAX).contains(&sequence)
}

fn is_in_bounds(profile: &Profile<'_>) -> bool {
    is_host(profile.address)
        && profile.endpoint.is_none_or(is_host)
        && (1..=profile.versions.max).contains(&profile.versions.min)
        && (1..=255).contains(&profile.name.len())
        && profile.metadata.len() <= 512
}

fn is_host(address: SocketAddr) -> bool {
    let ip = address.ip();
    let mapped = matches!(ip, IpAddr::V6(v6) if v6.segments()[..6] == [0, 0, 0, 0, 0, 0xffff]);
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.octets() == [255; 4]);
    address.port() > 0 && !ip.is_unspecified() && !ip.is_multicast() && !mapped && !broadcast
}

/// Whether the codec and postcard agree about a body.
fn agree(kind: u8, body: &[u8]) -> bool {
    let packet = packet_of(&[(kind, body)]);
    match expected(kind, body) {
        Some(message) => decoded(&packet) == Ok(vec![message]),
        None => decoded(&packet) == Err(DatagramError::Malformed { kind }),
    }
}

/// Damages a body in one of the ways that are interesting for a format of varints and counts.
fn bend(draw: &mut Draw, body: &mut Vec<u8>) {
    let at = draw.below(body.len() + 1);
    let byte = [0, 1, 2, 3, 0x7f, 0x80, 0x81, 0xff][draw.below(8)];
    match draw.below(7) {
        0 => body.insert(at, byte),
        1 => body.truncate(at),
        2 if at < body.len() => drop(body.remove(at)),
        3 if at < body.len() => body[at] = byte,
        4 if at < body.len() => body[at] ^= 1 << draw.below(8),
        5 if at < body.len() => body[at] = body[at].wrapping_add(1),
        _ => body.extend(vec![byte; draw.below(12)]),
    }
}

#[test]
fn every_message_is_encoded_as_postcard_would() {
    let mut draw = Draw::new(1);
    for _ in 0..2_000 {
        for kind in KINDS {
            let message = draw.message(kind);
            assert_eq!(expected(kind, &body(&message)), Some(message));
        }
    }
}

#[test]
fn a_bent_body_is_taken_exactly_if_postcard_and_the_rules_take_it() {
    let mut draw = Draw::new(2);
    for kind in KINDS {
        for _ in 0..10_000 {
            let mut body = body(&draw.message(kind));
            for _ in 0..=draw.below(3) {
                bend(&mut draw, &mut body);
            }
            assert!(agree(kind, &body), "kind {kind}: {body:02x?}");
        }
    }
}

#[test]
fn any_two_bytes_are_taken_exactly_if_postcard_takes_them() {
    for kind in KINDS {
        assert!(agree(kind, &[]));
        for bytes in 0..=u16::MAX {
            assert!(agree(kind, &bytes.to_le_bytes()), "kind {kind}: {bytes:04x}");
        }
        for byte in 0..=u8::MAX {
            assert!(agree(kind, &[byte]), "kind {kind}: {byte:02x}");
        }
    }
}
