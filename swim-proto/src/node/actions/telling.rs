//! What is told of members: as claims, and, over a stream, piece by piece.

use alloc::vec::Vec;

use super::super::Node;
use super::super::streams::{LONG_PACKET_LEN, PACKET_LEN};
use super::{Alive, Dead, Left, Message, PacketWriter, Suspect};
use crate::action::StreamId;
use crate::dissemination::BroadcastId;
use crate::dissemination::broadcasts::Broadcasts;
use crate::dissemination::exchange::{Part, Step};
use crate::membership::digest::contains;
use crate::membership::record::Entry;
use crate::membership::table::Table;
use crate::membership::{NodeId, State};
use crate::outbox::Control;
use crate::time::Instant;
use crate::wire::message::Grave;
use crate::wire::{
    Ack, Broadcast, Busy, Carry, Held, Join, NameTaken, Ping, Pull, SyncAgree, SyncBuckets, SyncEnd, SyncFilter,
    SyncRoot, Tombstone, UserMessage, Want,
};

/// A joiner that is turned away is told of so many others.
const ALTERNATIVES: usize = 5;

/// And should not come back sooner.
const RETRY_MS: u32 = 500;

/// What is held about a member, as others are told in datagrams. `None`: it cannot be said, because we know the member
/// by its id alone, or because nobody would take the accusation ([`Incarnation`](crate::Incarnation)).
pub(super) fn claim_of(record: Entry<'_>) -> Option<Message<'_>> {
    let (id, incarnation) = (record.id, record.incarnation());
    match record.state() {
        State::Alive => alive_of(record),
        _ if !incarnation.is_accusable() => None,
        State::Suspect => Some(Message::Suspect(Suspect { id, incarnation, accuser: record.accuser() })),
        State::Dead => Some(Message::Dead(Dead { id, incarnation, accuser: record.accuser() })),
        State::Left => Some(Message::Left(Left { id, incarnation })),
    }
}

/// The member's last word about itself.
fn alive_of(record: Entry<'_>) -> Option<Message<'_>> {
    let content = record.content()?;
    Some(Message::Alive(Alive { id: record.id, incarnation: content.incarnation, profile: content.profile_bytes() }))
}

/// The accusation against a live member, if there is one.
fn suspect_of(record: Entry<'_>) -> Option<Message<'_>> {
    (record.state() == State::Suspect).then(|| claim_of(record)).flatten()
}

fn tombstone_of(record: Entry<'_>, now: Instant) -> Option<Message<'static>> {
    let grave = match record.state() {
        State::Dead => Grave::Dead(record.accuser()),
        State::Left => Grave::Left,
        State::Alive | State::Suspect => return None,
    };
    let (id, incarnation) = (record.id, record.incarnation());
    let remaining_s = u32::try_from((record.forget_at() - now).as_secs()).unwrap_or(u32::MAX);
    incarnation.is_accusable().then_some(Message::Tombstone(Tombstone { id, incarnation, grave, remaining_s }))
}

/// A broadcast, whole.
pub(super) fn broadcast_of(id: BroadcastId, payload: &[u8]) -> Message<'_> {
    let BroadcastId { origin, life, sequence } = id;
    Message::Broadcast(Broadcast { origin, life, sequence, payload })
}

/// Whether a part is written whole.
#[derive(PartialEq, Eq)]
enum Progress {
    Done,
    /// The packet is full; the part goes on in the next.
    Full,
}

impl Node {
    /// Writes the stream's next frame, or finishes it. `false`: nothing is to be written.
    pub(super) fn write_stream(&mut self, id: StreamId, buf: &mut Vec<u8>) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else { return false };
        stream.announced = false;
        if !stream.parts.is_empty() {
            let teller = Teller { table: &self.table, broadcasts: &self.broadcasts, now: self.now };
            let version = stream.version;
            let parts = &mut stream.parts;
            let alone = parts.front().is_some_and(Part::stands_alone);
            let len_max = if alone { LONG_PACKET_LEN } else { PACKET_LEN };
            let mut writer = PacketWriter::frame(buf, self.cluster, len_max).speak(version);
            while let Some(mut part) = parts.pop_front() {
                if !writer.is_empty() && (alone || part.stands_alone()) {
                    parts.push_front(part);
                    break;
                }
                let stream = Lists { buckets: &stream.buckets, held: &stream.held, wanted: &stream.wanted };
                if teller.tell(&mut part, &stream, &mut writer) == Progress::Full {
                    parts.push_front(part);
                    break;
                }
            }
            // A broadcast that was asked for may be gone by now.
            if writer.is_empty() {
                writer.cancel();
            } else {
                writer.finish();
            }
            self.stats.packets_downgraded += u64::from(version < self.config.versions.max);
        }
        let carries = stream.step == Step::Carrying;
        if carries {
            self.write_carried(id, buf);
        }
        let waits = carries && self.carriers.has_waiting(id);
        let Some(stream) = self.streams.get_mut(&id) else { return false };
        if carries && stream.unwritten == 0 {
            // From here on it is stuck if nothing moves.
            self.carriers.takes(self.now, id);
        }
        stream.unwritten += buf.len();
        let done = stream.parts.is_empty() && !waits;
        if done && stream.finish {
            (stream.held, stream.wanted) = (Vec::new(), Vec::new());
        }
        if done && stream.finish && !stream.finished {
            stream.finished = true;
            self.outbox.control.push_front(Control::Finish { stream: id });
            self.end_if_done(id);
        } else {
            self.announce_write(id);
        }
        !buf.is_empty()
    }
}

/// The lists of a stream that its parts walk along.
struct Lists<'a> {
    buckets: &'a [u8; 32],
    held: &'a [(NodeId, crate::membership::Incarnation)],
    wanted: &'a [NodeId],
}

struct Teller<'a> {
    table: &'a Table,
    broadcasts: &'a Broadcasts,
    now: Instant,
}

impl Teller<'_> {
    fn tell(&self, part: &mut Part, lists: &Lists<'_>, writer: &mut PacketWriter<'_>) -> Progress {
        let source = self.table.local().id;
        match part {
            Part::Ping { seq, target } => {
                self.all([Some(Message::Ping(Ping { seq: *seq, target: *target, source }))], writer)
            }
            Part::Ack { seq } => {
                let incarnation = self.table.local().incarnation();
                self.all([Some(Message::Ack(Ack { seq: *seq, incarnation }))], writer)
            }
            Part::Join => self.all([alive_of(self.table.local()), Some(Message::Join(Join { source }))], writer),
            Part::Carry => self.all([alive_of(self.table.local()), Some(Message::Carry(Carry { source }))], writer),
            Part::Root => {
                let root = Message::SyncRoot(SyncRoot { source, root: self.table.digest().root() });
                self.all([alive_of(self.table.local()), Some(root)], writer)
            }
            Part::Agree => self.all([Some(Message::SyncAgree(SyncAgree { root: self.table.digest().root() }))], writer),
            Part::Sums => {
                let sums = self.table.digest().wire_sums();
                self.all([Some(Message::SyncBuckets(SyncBuckets { sums: &sums }))], writer)
            }
            Part::List { filter_sent, cursor, count } => self.list(lists, filter_sent, cursor, count, writer),
            Part::Everything { joiner, cursor, count } => self.everything(joiner, cursor, count, writer),
            Part::Difference { listed, cursor, count } => self.difference(lists, listed, cursor, count, writer),
            Part::Wanted { at, count } => self.wanted(lists, at, count, writer),
            Part::LastWord => self.all([alive_of(self.table.local()), Some(end(1))], writer),
            Part::NameTaken { holder } => self.all([Some(Message::NameTaken(NameTaken { holder: *holder }))], writer),
            Part::Busy { start } => self.busy(*start, writer),
            Part::Pull(id) => {
                let BroadcastId { origin, life, sequence } = *id;
                self.all([Some(Message::Pull(Pull { origin, life, sequence }))], writer)
            }
            Part::Pulled(id) => {
                let entry = self.broadcasts.find(*id);
                let broadcast = entry.map(|entry| broadcast_of(*id, self.broadcasts.payload(entry)));
                self.all([broadcast], writer)
            }
            Part::Mail { target, payload } => {
                self.all([Some(Message::UserMessage(UserMessage { source, target: *target, payload }))], writer)
            }
        }
    }

    /// Messages that are short and stay together, or one that stands alone.
    fn all<const N: usize>(&self, messages: [Option<Message<'_>>; N], writer: &mut PacketWriter<'_>) -> Progress {
        // A part that finds too little room begins the next packet, where it fits.
        if writer.remaining() < PACKET_LEN / 4 {
            return Progress::Full;
        }
        for message in messages.into_iter().flatten() {
            let pushed = writer.push(&message);
            debug_assert!(pushed, "short messages fit a quarter of a packet, and a payload one of its own");
        }
        Progress::Done
    }

    fn list(
        &self,
        lists: &Lists<'_>,
        filter_sent: &mut bool,
        cursor: &mut usize,
        count: &mut u32,
        writer: &mut PacketWriter<'_>,
    ) -> Progress {
        if !*filter_sent {
            if !writer.push(&Message::SyncFilter(SyncFilter { buckets: lists.buckets })) {
                return Progress::Full;
            }
            *filter_sent = true;
        }
        for (index, _, record) in self.table.slots_from(*cursor) {
            *cursor = index;
            if let Some(content) = record.content()
                && record.is_live()
                && contains(lists.buckets, record.id)
            {
                if !writer.push(&Message::Held(Held { id: record.id, incarnation: content.incarnation })) {
                    return Progress::Full;
                }
                *count += 1;
            }
            *cursor = index + 1;
        }
        self.end_step(*count, writer)
    }

    fn everything(
        &self,
        joiner: &mut Option<NodeId>,
        cursor: &mut usize,
        count: &mut u32,
        writer: &mut PacketWriter<'_>,
    ) -> Progress {
        // First what is held about the joiner, so that it can go past it in the same exchange.
        if let Some(slot) = joiner.and_then(|id| self.table.find(id)) {
            let record = self.table.at(slot);
            // An accusation is told alone: the Alive that it is about may be of an earlier process at another address.
            let told = match suspect_of(record) {
                Some(suspect) => {
                    let pushed = writer.push(&suspect);
                    *count += u32::from(pushed);
                    pushed
                }
                None => self.tell_record(record, true, count, writer),
            };
            if !told {
                return Progress::Full;
            }
            // A grave above the ceiling cannot be told as one; what it held of the joiner tells it as well.
            if !record.is_live()
                && !record.incarnation().is_accusable()
                && alive_of(record).is_some_and(|alive| !writer.push(&alive))
            {
                return Progress::Full;
            }
        }
        *joiner = None;
        for (index, _, record) in self.table.slots_from(*cursor) {
            *cursor = index;
            if !self.tell_record(record, true, count, writer) {
                return Progress::Full;
            }
            *cursor = index + 1;
        }
        self.end_step(*count, writer)
    }

    /// First along the peer's list: what we hold newer, what we want. Then along our table: what the list lacks.
    fn difference(
        &self,
        lists: &Lists<'_>,
        listed: &mut usize,
        cursor: &mut usize,
        count: &mut u32,
        writer: &mut PacketWriter<'_>,
    ) -> Progress {
        while let Some(&(id, incarnation)) = lists.held.get(*listed) {
            let record = self.table.find(id).map(|slot| self.table.at(slot));
            let told = match record {
                Some(record) if record.is_live() => match record.content().map(|content| content.incarnation) {
                    Some(ours) if ours > incarnation => self.tell_record(record, false, count, writer),
                    Some(ours) if ours == incarnation => true,
                    _ => self.want(id, count, writer),
                },
                Some(record) if record.incarnation() >= incarnation && !record.state().is_live() => {
                    self.tell_record(record, true, count, writer)
                }
                Some(_) | None => self.want(id, count, writer),
            };
            if !told {
                return Progress::Full;
            }
            *listed += 1;
        }
        for (index, _, record) in self.table.slots_from(*cursor) {
            *cursor = index;
            let lacking = || lists.held.binary_search_by_key(&record.id, |&(id, _)| id).is_err();
            if record.is_live()
                && contains(lists.buckets, record.id)
                && lacking()
                && !self.tell_record(record, false, count, writer)
            {
                return Progress::Full;
            }
            *cursor = index + 1;
        }
        self.end_step(*count, writer)
    }

    fn wanted(&self, lists: &Lists<'_>, at: &mut usize, count: &mut u32, writer: &mut PacketWriter<'_>) -> Progress {
        while let Some(&id) = lists.wanted.get(*at) {
            if let Some(slot) = self.table.find(id)
                && !self.tell_record(self.table.at(slot), true, count, writer)
            {
                return Progress::Full;
            }
            *at += 1;
        }
        self.end_step(*count, writer)
    }

    fn busy(&self, start: u32, writer: &mut PacketWriter<'_>) -> Progress {
        if !writer.push(&Message::Busy(Busy { retry_ms: RETRY_MS })) {
            return Progress::Full;
        }
        let others = self.table.others();
        let start = start as usize % others.len().max(1);
        for &slot in others[start..].iter().chain(&others[..start]).take(ALTERNATIVES) {
            if let Some(alive) = alive_of(self.table.at(slot)) {
                writer.push(&alive);
            }
        }
        Progress::Done
    }

    /// A member as an exchange tells it: Alive, and Suspect besides if it is; or its tombstone. Whether it fitted.
    fn tell_record(&self, record: Entry<'_>, graves: bool, count: &mut u32, writer: &mut PacketWriter<'_>) -> bool {
        let messages = if record.is_live() {
            [alive_of(record), suspect_of(record)]
        } else if graves {
            [tombstone_of(record, self.now), None]
        } else {
            [None, None]
        };
        for message in messages.into_iter().flatten() {
            if !writer.push(&message) {
                return false;
            }
            *count += 1;
        }
        true
    }

    fn want(&self, id: NodeId, count: &mut u32, writer: &mut PacketWriter<'_>) -> bool {
        let pushed = writer.push(&Message::Want(Want { id }));
        *count += u32::from(pushed);
        pushed
    }

    fn end_step(&self, count: u32, writer: &mut PacketWriter<'_>) -> Progress {
        if writer.push(&end(count)) { Progress::Done } else { Progress::Full }
    }
}

fn end(count: u32) -> Message<'static> {
    Message::SyncEnd(SyncEnd { count })
}
