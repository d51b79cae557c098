//! The packets of a link (`docs/messaging.md` 11).
//!
//! The first part of each is a byte for its kind and a postcard body; what is meant has exactly one encoding, as
//! everywhere in this crate. Only [`Packet::Data`] has a second part, the payload.

use alloc::vec::Vec;

use crate::membership::{ClusterHash, NodeId};
use crate::wire::{Reader, varint};

/// The bytes after a Hello's kind.
pub const MAGIC: [u8; 4] = *b"swim";

/// The version of this page. A Hello names the range that its sender speaks; the Welcome chooses.
pub const VERSION: u8 = 1;

/// Most ranges in each list of one [`Ack`].
pub const RANGES_MAX: usize = 32;

/// Longest first part: two full lists of ranges and what is before them.
pub const HEADER_MAX: usize = 1 + 5 * 10 + 2 * (1 + RANGES_MAX * 20);

/// Greatest number of a message in an inbox, and of a byte: no link lives to see it.
pub const NUMBER_MAX: u64 = 1 << 62;

/// The first part of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// Kind 1, from who opened the link: who I am, and whom I mean.
    Hello(Hello),
    /// Kind 2, the answer: who I am, and what I take.
    Welcome(Welcome),
    /// Kind 3, the other answer; the link is closed after it.
    Refuse(Refuse),
    /// Kind 4, from who opened the link: a message. Its payload is the second part.
    Data(Data),
    /// Kind 5, from who opened the link: this number's message has ended and will not come (again).
    Forward(Forward),
    /// Kind 6, from who accepted the link: what was received and processed, and what may be sent.
    Ack(Ack),
    /// Kind 7, from who opened the link: tell me the state of things.
    Probe(Probe),
}

/// Who opened the link, and whom it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The hash of the cluster's name.
    pub cluster: ClusterHash,
    /// The least version it speaks, at least 1.
    pub version_min: u8,
    /// The greatest.
    pub version_max: u8,
    /// Its id.
    pub source: NodeId,
    /// Whom it means.
    pub target: NodeId,
    /// Its life.
    pub life: u64,
    /// Names what it sends to the target: drawn at random when it first did so, and when it had forgotten.
    pub session: u64,
}

/// Who accepted the link, and what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The version that is spoken from here on.
    pub version: u8,
    /// Its id.
    pub source: NodeId,
    /// Its life.
    pub life: u64,
    /// Drawn at random when its messenger was made.
    pub session: u64,
    /// Which inbox of the sender's this is: another number, or another session, means that nothing is known here of
    /// what was sent before.
    pub inbox: u64,
    /// The longest payload it takes.
    pub message_max: u32,
    /// Room for messages that it gives when nothing waits; the high class's reserve is an eighth of it.
    pub window_messages: u32,
    /// The least room in bytes that it gives while the link lives, and not the most, which its sender need not know;
    /// the high class's reserve is an eighth of it (`docs/messaging.md` 7.3, 7.5).
    pub base_bytes: u32,
}

/// Why a link is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// You are not known here as a live member, or not from there, or not in that life: until gossip has told, come
    /// back.
    Unknown = 1,
    /// Your life or session has been superseded.
    Superseded = 2,
    /// I am not whom you mean.
    Misdirected = 3,
    /// There is no room now.
    Busy = 4,
    /// We speak no version in common.
    Version = 5,
}

impl Refusal {
    /// Every one, in the order of its byte.
    pub const ALL: [Refusal; 5] =
        [Refusal::Unknown, Refusal::Superseded, Refusal::Misdirected, Refusal::Busy, Refusal::Version];
}

/// The link will be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refuse {
    /// Why.
    pub why: Refusal,
    /// Do not come back before so many milliseconds, at most an hour.
    pub retry_ms: u32,
}

/// A message, but for its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data {
    /// 1, 2, 3, … in the inbox.
    pub number: u64,
    /// How many numbers before it the one stands after which it is to be delivered; 0: none.
    pub back: u64,
    /// Its class, 0 to 3.
    pub class: u8,
    /// Its stream.
    pub stream: Option<u64>,
    /// An earlier life of the receiver may have seen it.
    pub repeated: bool,
}

/// A number that is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The number.
    pub number: u64,
    /// As its message's.
    pub back: u64,
    /// What its message counted, in bytes.
    pub cost: u32,
}

/// A run of numbers, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

/// What was received and processed, and what may be sent.
///
/// Each list has ranges beyond its `…_to`, ascending and apart from one another. A number is in one Ack at least; which
/// are told again, and when, is `docs/messaging.md` 6.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ack {
    /// All numbers up to this one are delivered or passed over.
    pub delivered_to: u64,
    /// All numbers up to this one are processed or passed over. At most `delivered_to`.
    pub processed_to: u64,
    /// Numbers up to this one may be sent.
    pub credit_messages: u64,
    /// Bytes up to this one may be sent, counted from the inbox's first.
    pub credit_bytes: u64,
    /// 0, or 1 more than the number of the Probe (the Hello is number 0) that is hereby answered in full.
    pub echo: u64,
    /// Numbers that are delivered or passed over.
    pub delivered: Vec<Range>,
    /// Numbers that are processed or passed over.
    pub processed: Vec<Range>,
}

/// Asks for the state of things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// 1, 2, 3, … on this link.
    pub number: u64,
}

mod kind {
    pub(super) const HELLO: u8 = 1;
    pub(super) const WELCOME: u8 = 2;
    pub(super) const REFUSE: u8 = 3;
    pub(super) const DATA: u8 = 4;
    pub(super) const FORWARD: u8 = 5;
    pub(super) const ACK: u8 = 6;
    pub(super) const PROBE: u8 = 7;
}

/// Bits of a Data's flags: its class, whether it is of a stream, whether it is repeated.
const CLASS: u8 = 0b0011;
const STREAM: u8 = 0b0100;
const REPEATED: u8 = 0b1000;

/// Longest that a Refuse may ask to wait, in milliseconds.
const RETRY_MS_MAX: u64 = 3_600_000;

/// What a first part is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A packet of this version.
    Known(Packet),
    /// Of a kind that a later version knows: passed over.
    Unknown(u8),
}

/// A packet's first part. `None`: it is none.
pub fn decode(header: &[u8]) -> Option<Decoded> {
    let (&kind, body) = header.split_first()?;
    if header.len() > HEADER_MAX {
        return None;
    }
    let mut r = Reader::new(body);
    Some(Decoded::Known(match kind {
        kind::DATA => {
            let (number, back) = read_place(&mut r)?;
            let [flags] = r.array()?;
            let stream = if flags & STREAM != 0 { Some(r.varint(u64::MAX)?) } else { None };
            let known = flags & !(CLASS | STREAM | REPEATED) == 0;
            let ordered = back == 0 || stream.is_some();
            let data = Data { number, back, class: flags & CLASS, stream, repeated: flags & REPEATED != 0 };
            Packet::Data(r.finish(data).filter(|_| known && ordered)?)
        }
        kind::ACK => Packet::Ack(read_ack(r)?),
        kind::FORWARD => {
            let (number, back) = read_place(&mut r)?;
            let cost = r.varint(u32::MAX.into())? as u32;
            Packet::Forward(r.finish(Forward { number, back, cost })?)
        }
        kind::PROBE => {
            let number = r.varint(NUMBER_MAX)?;
            Packet::Probe(r.finish(Probe { number }).filter(|probe| probe.number > 0)?)
        }
        kind::HELLO => {
            if r.array()? != MAGIC {
                return None;
            }
            let cluster = ClusterHash(r.u32_le()?);
            let [version_min, version_max] = r.array()?;
            let (source, target) = (r.id()?, r.id()?);
            let life = r.varint(LIFE_MAX)?;
            let session = u64::from_le_bytes(r.array()?);
            let hello = Hello { cluster, version_min, version_max, source, target, life, session };
            Packet::Hello(r.finish(hello).filter(|_| 1 <= version_min && version_min <= version_max)?)
        }
        kind::WELCOME => {
            let [version] = r.array()?;
            let source = r.id()?;
            let life = r.varint(LIFE_MAX)?;
            let session = u64::from_le_bytes(r.array()?);
            let inbox = r.varint(u64::MAX)?;
            let mut u32 = || r.varint(u32::MAX.into()).map(|value| value as u32);
            let (message_max, window_messages, base_bytes) = (u32()?, u32()?, u32()?);
            let welcome = Welcome { version, source, life, session, inbox, message_max, window_messages, base_bytes };
            Packet::Welcome(r.finish(welcome).filter(|_| version >= 1)?)
        }
        kind::REFUSE => {
            let [why] = r.array()?;
            let why = *Refusal::ALL.get(usize::from(why).checked_sub(1)?)?;
            let retry_ms = r.varint(RETRY_MS_MAX)? as u32;
            Packet::Refuse(r.finish(Refuse { why, retry_ms })?)
        }
        0 => return None,
        _ => return Some(Decoded::Unknown(kind)),
    }))
}

/// Greatest life on the wire: `docs/protocol.md` 2.4.
const LIFE_MAX: u64 = crate::membership::Incarnation::MAX.life;

/// A number and how far back its predecessor is, which is a number too.
fn read_place(r: &mut Reader<'_>) -> Option<(u64, u64)> {
    let (number, back) = (r.varint(NUMBER_MAX)?, r.varint(NUMBER_MAX)?);
    (back < number).then_some((number, back))
}

fn read_ack(mut r: Reader<'_>) -> Option<Ack> {
    let delivered_to = r.varint(NUMBER_MAX)?;
    // Counted from the other end, so that it cannot be more.
    let processed_to = delivered_to.checked_sub(r.varint(NUMBER_MAX)?)?;
    let (credit_messages, credit_bytes) = (r.varint(NUMBER_MAX)?, r.varint(NUMBER_MAX)?);
    let echo = r.varint(NUMBER_MAX + 1)?;
    let delivered = read_ranges(&mut r, delivered_to)?;
    let processed = read_ranges(&mut r, processed_to)?;
    r.finish(Ack { delivered_to, processed_to, credit_messages, credit_bytes, echo, delivered, processed })
}

/// Ranges, each told by the numbers missing before it, less 1, and by its own, less 1.
fn read_ranges(r: &mut Reader<'_>, mut after: u64) -> Option<Vec<Range>> {
    let count = r.varint(RANGES_MAX as u64)? as usize;
    let mut ranges = Vec::new();
    if count > 0 {
        ranges.reserve_exact(count.min(r.rest().len() / 2));
    }
    for _ in 0..count {
        let (gap, more) = (r.varint(NUMBER_MAX)?, r.varint(NUMBER_MAX)?);
        let first = after + gap + 2;
        let last = first.checked_add(more).filter(|&last| last <= NUMBER_MAX)?;
        ranges.push(Range { first, last });
        after = last;
    }
    Some(ranges)
}

impl Packet {
    /// Appends the first part to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Packet::Data(data) => data.encode(out),
            Packet::Ack(ack) => ack.encode(out),
            Packet::Forward(Forward { number, back, cost }) => {
                out.push(kind::FORWARD);
                [*number, *back, u64::from(*cost)].into_iter().for_each(|field| put(out, field));
            }
            Packet::Probe(probe) => {
                out.push(kind::PROBE);
                put(out, probe.number);
            }
            Packet::Hello(hello) => {
                out.push(kind::HELLO);
                out.extend_from_slice(&MAGIC);
                out.extend_from_slice(&hello.cluster.0.to_le_bytes());
                out.extend_from_slice(&[hello.version_min, hello.version_max]);
                out.extend_from_slice(&hello.source.as_u64().to_le_bytes());
                out.extend_from_slice(&hello.target.as_u64().to_le_bytes());
                put(out, hello.life);
                out.extend_from_slice(&hello.session.to_le_bytes());
            }
            Packet::Welcome(welcome) => {
                out.extend_from_slice(&[kind::WELCOME, welcome.version]);
                out.extend_from_slice(&welcome.source.as_u64().to_le_bytes());
                put(out, welcome.life);
                out.extend_from_slice(&welcome.session.to_le_bytes());
                put(out, welcome.inbox);
                let sizes = [welcome.message_max, welcome.window_messages, welcome.base_bytes];
                sizes.into_iter().for_each(|size| put(out, size.into()));
            }
            Packet::Refuse(refuse) => {
                out.extend_from_slice(&[kind::REFUSE, refuse.why as u8]);
                put(out, refuse.retry_ms.into());
            }
        }
    }
}

impl Data {
    /// Appends the first part to `out`.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(kind::DATA);
        put(out, self.number);
        put(out, self.back);
        let stream = if self.stream.is_some() { STREAM } else { 0 };
        let repeated = if self.repeated { REPEATED } else { 0 };
        out.push(self.class & CLASS | stream | repeated);
        if let Some(stream) = self.stream {
            put(out, stream);
        }
    }
}

impl Ack {
    /// Appends the first part to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(kind::ACK);
        let lag = self.delivered_to - self.processed_to;
        let fields = [self.delivered_to, lag, self.credit_messages, self.credit_bytes, self.echo];
        fields.into_iter().for_each(|field| put(out, field));
        for (ranges, to) in [(&self.delivered, self.delivered_to), (&self.processed, self.processed_to)] {
            put(out, ranges.len() as u64);
            let mut after = to;
            for range in ranges {
                put(out, range.first - after - 2);
                put(out, range.last - range.first);
                after = range.last;
            }
        }
    }
}

#[inline]
fn put(out: &mut Vec<u8>, value: u64) {
    let (bytes, len) = varint(value);
    out.extend_from_slice(&bytes[..len]);
}
