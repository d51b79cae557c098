//! The messages, one type each.
//!
//! Numbers are postcard varints but for ids and probe sequences, which are fixed. A kind that is not known is skipped
//! by its length; a known kind whose body is not exactly one canonical encoding of its type refuses the packet.

use core::fmt;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::profile::ProfileBytes;
pub use crate::membership::digest::BUCKETS;
use crate::membership::{Incarnation, NodeId, Versions};

/// Most bytes of a broadcast's or a direct message's payload: 60 KiB, so that each fits one frame.
pub const PAYLOAD_MAX: usize = 61_440;

/// The greatest number of a broadcast. Anything above is refused when decoded, as is 0.
pub const SEQUENCE_MAX: u64 = u64::MAX - 1;

/// One message of a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Message<'a> {
    /// Kind 1: answer me.
    Ping(Ping),
    /// Kind 2: the answer.
    Ack(Ack),
    /// Kind 3: ping somebody for me.
    PingReq(PingReq),
    /// Kind 4: the one you asked me to ping has not answered.
    Nack(Nack),
    /// Kind 5: a member is alive, and this is who it is.
    Alive(Alive<'a>),
    /// Kind 6: a member does not answer.
    Suspect(Suspect),
    /// Kind 7: a member is dead.
    Dead(Dead),
    /// Kind 8: a member departed.
    Left(Left),
    /// Kind 10: do you hold anything that outranks this suspicion?
    Ask(Ask),
    /// Kind 11: what a member has to say to everybody.
    Broadcast(Broadcast<'a>),
    /// Kind 12: the same by name only; ask me for it.
    Announce(Announce),
    /// Kind 13: what a member has to say to the receiver alone.
    UserMessage(UserMessage<'a>),
    /// Kind 16: let me in.
    Join(Join),
    /// Kind 17: this is the digest of all I hold.
    SyncRoot(SyncRoot),
    /// Kind 18: I hold the same.
    SyncAgree(SyncAgree),
    /// Kind 19: the digest by bucket.
    SyncBuckets(SyncBuckets<'a>),
    /// Kind 20: these buckets differ; what I hold in them follows.
    SyncFilter(SyncFilter<'a>),
    /// Kind 21: I hold this member, this new.
    Held(Held),
    /// Kind 22: send me what you hold about this member.
    Want(Want),
    /// Kind 23: I hold this member dead or departed, and for how much longer.
    Tombstone(Tombstone),
    /// Kind 24: that was all of this step.
    SyncEnd(SyncEnd),
    /// Kind 25: your name belongs to somebody alive.
    NameTaken(NameTaken),
    /// Kind 26: too busy; ask one of the members that follow.
    Busy(Busy),
    /// Kind 27: send me this broadcast.
    Pull(Pull),
    /// Kind 28: what would be datagrams comes on this stream.
    Carry(Carry),
}

impl Message<'_> {
    /// The byte that stands before this message on the wire.
    pub fn kind(&self) -> u8 {
        match self {
            Message::Ping(_) => kind::PING,
            Message::Ack(_) => kind::ACK,
            Message::PingReq(_) => kind::PING_REQ,
            Message::Nack(_) => kind::NACK,
            Message::Alive(_) => kind::ALIVE,
            Message::Suspect(_) => kind::SUSPECT,
            Message::Dead(_) => kind::DEAD,
            Message::Left(_) => kind::LEFT,
            Message::Ask(_) => kind::ASK,
            Message::Broadcast(_) => kind::BROADCAST,
            Message::Announce(_) => kind::ANNOUNCE,
            Message::UserMessage(_) => kind::USER_MESSAGE,
            Message::Join(_) => kind::JOIN,
            Message::SyncRoot(_) => kind::SYNC_ROOT,
            Message::SyncAgree(_) => kind::SYNC_AGREE,
            Message::SyncBuckets(_) => kind::SYNC_BUCKETS,
            Message::SyncFilter(_) => kind::SYNC_FILTER,
            Message::Held(_) => kind::HELD,
            Message::Want(_) => kind::WANT,
            Message::Tombstone(_) => kind::TOMBSTONE,
            Message::SyncEnd(_) => kind::SYNC_END,
            Message::NameTaken(_) => kind::NAME_TAKEN,
            Message::Busy(_) => kind::BUSY,
            Message::Pull(_) => kind::PULL,
            Message::Carry(_) => kind::CARRY,
        }
    }
}

/// Whether somebody waits for a message of this kind or for the answer to it: pings, acks, ping-reqs, nacks, asks.
pub(crate) fn is_probing(kind: u8) -> bool {
    matches!(kind, kind::PING | kind::ACK | kind::PING_REQ | kind::NACK | kind::ASK)
}

/// The kind bytes. Below 16: what datagrams carry; from 16: what only streams carry.
pub(super) mod kind {
    pub(in crate::wire) const PING: u8 = 1;
    pub(in crate::wire) const ACK: u8 = 2;
    pub(in crate::wire) const PING_REQ: u8 = 3;
    pub(in crate::wire) const NACK: u8 = 4;
    pub(in crate::wire) const ALIVE: u8 = 5;
    pub(in crate::wire) const SUSPECT: u8 = 6;
    pub(in crate::wire) const DEAD: u8 = 7;
    pub(in crate::wire) const LEFT: u8 = 8;
    pub(in crate::wire) const ASK: u8 = 10;
    pub(in crate::wire) const BROADCAST: u8 = 11;
    pub(in crate::wire) const ANNOUNCE: u8 = 12;
    pub(in crate::wire) const USER_MESSAGE: u8 = 13;
    pub(in crate::wire) const JOIN: u8 = 16;
    pub(in crate::wire) const SYNC_ROOT: u8 = 17;
    pub(in crate::wire) const SYNC_AGREE: u8 = 18;
    pub(in crate::wire) const SYNC_BUCKETS: u8 = 19;
    pub(in crate::wire) const SYNC_FILTER: u8 = 20;
    pub(in crate::wire) const HELD: u8 = 21;
    pub(in crate::wire) const WANT: u8 = 22;
    pub(in crate::wire) const TOMBSTONE: u8 = 23;
    pub(in crate::wire) const SYNC_END: u8 = 24;
    pub(in crate::wire) const NAME_TAKEN: u8 = 25;
    pub(in crate::wire) const BUSY: u8 = 26;
    pub(in crate::wire) const PULL: u8 = 27;
    pub(in crate::wire) const CARRY: u8 = 28;
}

/// Asks the member `target`, and nobody else, to answer (\[SWIM\] 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// Drawn at random for each probe, echoed by the answer.
    #[serde(with = "postcard::fixint::le")]
    pub seq: u32,
    /// Who is to answer. A process of any other id stays silent.
    pub target: NodeId,
    /// Who asks.
    pub source: NodeId,
}

/// Answers a [`Ping`], or hands such an answer on to whoever sent the [`PingReq`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The ping's, or the ping-req's.
    #[serde(with = "postcard::fixint::le")]
    pub seq: u32,
    /// The answering member's own incarnation: an earlier life's answer keeps nobody alive.
    pub incarnation: Incarnation,
}

/// Asks a helper to ping `target` and hand the answer on (\[SWIM\] 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PingReq {
    /// The asking member's probe.
    #[serde(with = "postcard::fixint::le")]
    pub seq: u32,
    /// Who asks.
    pub source: NodeId,
    /// Who is to be pinged.
    pub target: NodeId,
    /// Where it is.
    pub address: SocketAddr,
    /// What remains of the probe, in milliseconds; the helper's nack goes out at 80 % of it (\[LG\] IV-A).
    pub budget_ms: u32,
}

/// The helper still lives, but has no answer from the target (\[LG\] IV-A).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nack {
    /// The ping-req's.
    #[serde(with = "postcard::fixint::le")]
    pub seq: u32,
}

/// A member is alive: said by the member, handed on by others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alive<'a> {
    /// The member.
    pub id: NodeId,
    /// Its incarnation, at most [`Incarnation::MAX`].
    pub incarnation: Incarnation,
    /// Who it is, as the bytes that came; [`ProfileBytes::parse`] tells the fields.
    pub profile: ProfileBytes<'a>,
}

/// What a member says about itself besides being alive. On the wire the last part of an [`Alive`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile<'a> {
    /// Where it is reached.
    pub address: SocketAddr,
    /// Where it accepts application messages, if it does.
    pub endpoint: Option<SocketAddr>,
    /// The protocol versions it speaks.
    pub versions: Versions,
    /// Its unique name, 1 to 255 bytes; [`Alive::id`] is derived from it.
    pub name: &'a str,
    /// The application's bytes, at most 512.
    pub metadata: &'a [u8],
}

/// `accuser` got no answer from member `id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspect {
    /// The accused.
    pub id: NodeId,
    /// The accused's incarnation as the accuser knew it, at most [`Incarnation::ACCUSED_MAX`].
    pub incarnation: Incarnation,
    /// Who accuses; never the accused.
    pub accuser: NodeId,
}

/// The suspicion of member `id` ran out at `accuser`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dead {
    /// The dead.
    pub id: NodeId,
    /// The incarnation that did not refute, at most [`Incarnation::ACCUSED_MAX`].
    pub incarnation: Incarnation,
    /// Who declared it dead; never the dead.
    pub accuser: NodeId,
}

/// Member `id` departed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The departed.
    pub id: NodeId,
    /// The incarnation that departed, at most [`Incarnation::ACCUSED_MAX`].
    pub incarnation: Incarnation,
}

/// Before a burial: whoever holds more than this suspicion says so (`docs/protocol.md` 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The suspect.
    pub id: NodeId,
    /// The suspected incarnation.
    pub incarnation: Incarnation,
}

/// A broadcast: what a member has to say to everybody (`docs/protocol.md` 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broadcast<'a> {
    /// Whose it is.
    pub origin: NodeId,
    /// The life of the process that sent it, at most that of [`Incarnation::MAX`].
    pub life: u64,
    /// Its number in that life: 1 to [`SEQUENCE_MAX`].
    pub sequence: u64,
    /// The application's bytes, at most [`PAYLOAD_MAX`].
    pub payload: &'a [u8],
}

/// The sender holds this broadcast, which is too long to be gossiped whole: whoever lacks it may [`Pull`] it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announce {
    /// Whose it is.
    pub origin: NodeId,
    /// The life of the process that sent it, at most that of [`Incarnation::MAX`].
    pub life: u64,
    /// Its number in that life: 1 to [`SEQUENCE_MAX`].
    pub sequence: u64,
    /// Bytes of its payload, at most [`PAYLOAD_MAX`].
    pub len: u32,
}

/// The first packet of a stream by which a broadcast is fetched. The answer is the [`Broadcast`], or the stream's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// Whose it is.
    pub origin: NodeId,
    /// The life of the process that sent it, at most that of [`Incarnation::MAX`].
    pub life: u64,
    /// Its number in that life: 1 to [`SEQUENCE_MAX`].
    pub sequence: u64,
}

/// A direct message of one application to another: in a datagram, or the only packet of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserMessage<'a> {
    /// Who sends it; never the target.
    pub source: NodeId,
    /// For whom it is: a process of any other id drops it.
    pub target: NodeId,
    /// The application's bytes, at most [`PAYLOAD_MAX`].
    pub payload: &'a [u8],
}

/// The first packet of a joining member's stream; its own [`Alive`] precedes it in the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// Who joins.
    pub source: NodeId,
}

/// The first packet of an exchange between members; the sender's own [`Alive`] precedes it in the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRoot {
    /// Who asks.
    pub source: NodeId,
    /// The digest of all live members it holds, itself included.
    #[serde(with = "postcard::fixint::le")]
    pub root: u64,
}

/// The answer to a [`SyncRoot`] whose digest is also ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncAgree {
    /// That digest.
    #[serde(with = "postcard::fixint::le")]
    pub root: u64,
}

/// The answer to a [`SyncRoot`] whose digest is not ours: our digest of each bucket, eight little-endian bytes each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SyncBuckets<'a> {
    /// The sums of buckets 0 to 255.
    pub sums: &'a [u8; 8 * BUCKETS],
}

/// Names the buckets that are not empty.
impl fmt::Debug for SyncBuckets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sums, _) = self.sums.as_chunks::<8>();
        let sums = sums.iter().copied().map(u64::from_le_bytes).enumerate().filter(|(_, sum)| *sum != 0);
        f.write_str("SyncBuckets ")?;
        f.debug_map().entries(sums.map(|(bucket, sum)| (bucket, Sum(sum)))).finish()
    }
}

/// Sixteen hex digits.
struct Sum(u64);

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Which buckets differ, one bit each, least significant first. The sender's [`Held`] in them follow, then a
/// [`SyncEnd`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SyncFilter<'a> {
    /// Bit `b % 8` of byte `b / 8` stands for bucket `b`.
    pub buckets: &'a [u8; BUCKETS / 8],
}

/// Names the buckets that differ.
impl fmt::Debug for SyncFilter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let differs = |bucket: &usize| self.buckets[bucket / 8] >> (bucket % 8) & 1 == 1;
        f.write_str("SyncFilter ")?;
        f.debug_set().entries((0..BUCKETS).filter(differs)).finish()
    }
}

/// The sender holds this live member, with content this new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The member.
    pub id: NodeId,
    /// The incarnation of what the sender knows about it.
    pub incarnation: Incarnation,
}

/// The sender lacks what the receiver said to hold about this member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// The member.
    pub id: NodeId,
}

/// Why a tombstone stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Grave {
    /// Declared dead, by this member.
    Dead(NodeId),
    /// Departed.
    Left,
}

/// A dead or departed member, with what remains of its tombstone's life: receivers keep the lesser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// The member.
    pub id: NodeId,
    /// The incarnation that ended, at most [`Incarnation::ACCUSED_MAX`].
    pub incarnation: Incarnation,
    /// How it ended.
    pub grave: Grave,
    /// For how many more seconds the sender will remember it.
    pub remaining_s: u32,
}

/// Ends a step of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncEnd {
    /// How many members (claims, held, wants) the step named.
    pub count: u32,
}

/// The joiner's name is held by a live member elsewhere, which answered just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameTaken {
    /// Where the holder is.
    pub holder: SocketAddr,
}

/// No room for another exchange. A few random members follow as [`Alive`] claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Busy {
    /// Ask again after this many milliseconds, at the earliest.
    pub retry_ms: u32,
}

/// The first packet of a carrier (`docs/protocol.md` 13.2); the sender's own [`Alive`] precedes it in the packet. Each
/// packet that follows, either way, is what would otherwise be a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carry {
    /// Who opened the stream.
    pub source: NodeId,
}
