//! What the application says to all and to one (`docs/protocol.md` 12): asked for, heard, fetched.

use bytes::Bytes;
use core::net::SocketAddr;
use core::time::Duration;

use super::claims::Via;
use super::streams::{Broken, Opening};
use super::{Answered, CommandError, Node};
use crate::action::StreamId;
use crate::config::Config;
use crate::dissemination::BroadcastId;
use crate::dissemination::exchange::Part;
use crate::dissemination::seen::Verdict;
use crate::membership::{Incarnation, NodeId, Slot};
use crate::outbox::{Body, MAIL_MAX, Mail, Notice};
use crate::time::Instant;
use crate::timers::Chore;
use crate::wire::{Announce, Broadcast, HEADER_LEN, PAYLOAD_MAX, Pull, SEQUENCE_MAX, UserMessage};

/// How a direct message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// In a datagram, which it must fit; or, to a member whose [`Path`](crate::Path) is by stream, over a stream of its
    /// own.
    Datagram,
    /// Over a stream of its own.
    Stream,
    /// In a datagram if it fits one and its member is reached by datagrams, or else over a stream.
    Auto,
}

/// The numbers of our own broadcasts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    /// The life they are of.
    life: u64,
    /// The last one used, by us or by whoever forges broadcasts of ours.
    last: u64,
}

impl Node {
    /// Says something to every other member, and gives its number: 1, 2, … in this life ([`Incarnation::life`]).
    ///
    /// The payload has at most [`PAYLOAD_MAX`] bytes. Each member tells its application at most once; most often all
    /// that are reached by gossip do, but nothing makes sure of it, nor of the order. One that is longer than
    /// [`Config::broadcast_inline_max`] is announced, and fetched over streams. While nobody else is known it waits.
    ///
    /// # Errors
    /// It is told to nobody. It is too long; too many of ours, or too many bytes of them, wait to be told
    /// ([`CommandError::QueueFull`]: try again later); the node is leaving or has left, or was superseded; or there are
    /// no numbers left ([`CommandError::SequencesSpent`]).
    pub fn broadcast(&mut self, now: Instant, payload: Bytes) -> Result<u64, CommandError> {
        let len = payload.len();
        if len > PAYLOAD_MAX {
            return Err(CommandError::PayloadTooLong { len, max: PAYLOAD_MAX });
        }
        if !self.is_running() {
            return Err(CommandError::Status(self.status));
        }
        let life = self.own_life();
        let last = if self.numbers.life == life { self.numbers.last } else { 0 };
        if last >= SEQUENCE_MAX {
            return Err(CommandError::SequencesSpent);
        }
        self.broadcasts
            .check_own(len)
            .map_err(|full| CommandError::QueueFull { waiting: full.waiting, max: full.max })?;
        self.begin(now);
        let sequence = last + 1;
        self.numbers = Numbers { life, last: sequence };
        let id = BroadcastId { origin: self.local_id(), life, sequence };
        self.stats.broadcasts += 1;
        self.stats.broadcasts_given_up += self.broadcasts.add_own(id, &payload);
        self.arm_gossip();
        Ok(sequence)
    }

    /// Says something to one live member. Best effort: nobody tells whether it arrived, and it may arrive twice.
    ///
    /// By datagram it has at most [`Config::datagram_max`] less 32 bytes (less 34 where that is above 16 KiB), and 256
    /// may wait to be polled; by stream at most [`PAYLOAD_MAX`], and a quarter of [`Config::streams_max`] may be open
    /// for messages.
    ///
    /// # Errors
    /// It is told to nobody. It is too long for its way; the member is not known, not live, or the local one; too many
    /// wait, or too many streams are open ([`CommandError::QueueFull`]: try again later); or the node is leaving or has
    /// left, or was superseded.
    pub fn send_message(&mut self, now: Instant, to: NodeId, payload: Bytes, by: Way) -> Result<(), CommandError> {
        let (len, datagram_max) = (payload.len(), message_len_max(&self.config));
        let (by_datagram, max) = match by {
            Way::Datagram => (true, datagram_max),
            Way::Stream => (false, PAYLOAD_MAX),
            Way::Auto => (len <= datagram_max, PAYLOAD_MAX),
        };
        // Where datagrams lead nowhere, what would be one has a stream of its own.
        let by_datagram = by_datagram && !self.is_only_reached_by_stream(to);
        if len > max {
            return Err(CommandError::PayloadTooLong { len, max });
        }
        if to == self.local_id() {
            return Err(CommandError::Itself);
        }
        if !self.is_running() {
            return Err(CommandError::Status(self.status));
        }
        let record = self.table.find(to).map(|slot| self.table.at(slot));
        let record = record.filter(|record| record.content().is_some()).ok_or(CommandError::UnknownMember(to))?;
        let address = record.address().filter(|_| record.is_live()).ok_or(CommandError::NotLive(to))?;
        self.check_room_for_mail(by_datagram)?;
        let now = self.begin(now);
        self.stats.messages_out += 1;
        if by_datagram {
            self.outbox.mail.push_back(Mail { to: address, target: to, payload });
        } else {
            self.open_stream(now, address, Opening::Mail { target: to, payload });
        }
        Ok(())
    }

    fn check_room_for_mail(&self, by_datagram: bool) -> Result<(), CommandError> {
        let (waiting, max) = if by_datagram {
            (self.outbox.mail.len(), MAIL_MAX)
        } else {
            let open = self.streams.values().filter(|stream| stream.mail).count();
            (open, self.streams_for_userdata())
        };
        if waiting >= max || !by_datagram && !self.is_stream_free() {
            return Err(CommandError::QueueFull { waiting, max });
        }
        Ok(())
    }

    /// So many streams may be open for direct messages, and as many for pulls: probes, joins and syncs have the rest.
    fn streams_for_userdata(&self) -> usize {
        usize::from(self.config.streams_max / 4).max(1)
    }

    fn own_life(&self) -> u64 {
        self.table.local().incarnation().life
    }

    // Broadcasts heard.

    pub(super) fn hear_broadcast(&mut self, now: Instant, broadcast: &Broadcast<'_>, via: Via) {
        let &Broadcast { origin, life, sequence, payload } = broadcast;
        let id = BroadcastId { origin, life, sequence };
        if self.is_news(now, id, via) {
            self.take_up(id, payload);
        }
    }

    /// Whether a broadcast was not told here yet. If it cannot be told any more, its origin learns why.
    fn is_news(&mut self, now: Instant, id: BroadcastId, via: Via) -> bool {
        if id.origin == self.local_id() {
            self.hear_own_broadcast(now, id);
            return false;
        }
        match self.judge_broadcast(id) {
            None => self.stats.drops.broadcasts_stray += 1,
            Some(Verdict::New) => return true,
            Some(Verdict::Seen) => {
                self.stats.broadcasts_duplicate += 1;
                if self.config.count_heard
                    && let Some(entry) = self.broadcasts.find(id)
                {
                    let limit = self.sends_limit();
                    self.count_broadcast_sent(entry, limit);
                }
            }
            Some(Verdict::Old) => {
                self.stats.drops.broadcasts_old += 1;
                if matches!(via, Via::Datagram { .. }) {
                    self.tell_newest(now, id);
                }
            }
        }
        false
    }

    /// `None`: its origin is not known, or not known to have begun that life. So a forged broadcast cannot be of a
    /// greater life than its origin said to be of, and the origin's own are not taken for older ones.
    fn judge_broadcast(&self, id: BroadcastId) -> Option<Verdict> {
        let life_max = self.known_life(id.origin)?;
        (id.life <= life_max).then(|| self.origins.judge(id, life_max))
    }

    /// The greatest life that a member said to be of, live or not.
    fn known_life(&self, origin: NodeId) -> Option<u64> {
        Some(self.table.at(self.table.find(origin)?).content()?.incarnation.life)
    }

    /// The origin is at a number far below one that we took for its own: it is told, so that it can go past it.
    fn tell_newest(&mut self, now: Instant, id: BroadcastId) {
        let same_life = self.origins.newest(id.origin).is_some_and(|(life, _)| life == id.life);
        let Some(slot) = self.slot_of_live(id.origin).filter(|_| same_life) else { return };
        let Some(address) = self.table.at(slot).address() else { return };
        if !self.config.echo || !self.is_running() {
            return;
        }
        if self.answered != Answered::No || !self.corrections.take(now, self.config.probe_interval) {
            self.stats.drops.echoes_limited += 1;
            return;
        }
        self.answered = Answered::Echo;
        self.stats.echoes += 1;
        self.send(address, Body::Newest { of: id.origin });
    }

    /// A broadcast of ours came back; or one that was never ours, whose number is then spent. At the end of all numbers
    /// a life is, and the next begins.
    fn hear_own_broadcast(&mut self, now: Instant, id: BroadcastId) {
        let life = self.own_life();
        if id.life != life || !self.is_running() {
            return;
        }
        if self.numbers.life != life {
            self.numbers = Numbers { life, last: 0 };
        }
        if id.sequence <= self.numbers.last {
            return;
        }
        self.numbers.last = id.sequence;
        if id.sequence >= SEQUENCE_MAX && life < Incarnation::MAX.life {
            self.stats.refutations += 1;
            self.renew_self(now, Incarnation::first(life + 1), None);
        }
    }

    /// A broadcast that is new here: the application is told, and others are.
    fn take_up(&mut self, id: BroadcastId, payload: &[u8]) {
        let table = &self.table;
        let is_live = |origin| table.find(origin).is_some_and(|slot| table.at(slot).is_live());
        let Some(life_max) = self.known_life(id.origin) else { return };
        if !self.origins.mark(id, life_max, is_live) {
            self.stats.drops.origins_full += 1;
            return;
        }
        self.pulls.drop_waiting(id);
        let taken = self.broadcasts.add(id, payload);
        self.stats.broadcasts_in += 1;
        self.stats.broadcasts_relayed += u64::from(taken.told_on);
        self.stats.broadcasts_given_up += taken.given_up;
        self.outbox.notices.push_back(Notice::Broadcast { entry: taken.entry });
        self.arm_gossip();
    }

    /// The payloads that were kept for long enough go.
    pub(super) fn let_payloads_go(&mut self, now: Instant) {
        self.broadcasts.let_go(now);
        self.arm_payloads();
    }

    /// Sets the timer for the payload that goes first. A moment later at the earliest, not now: what is polled may
    /// follow a time-out, after which nothing is due.
    pub(super) fn arm_payloads(&mut self) {
        if let Some(until) = self.broadcasts.keeps_until()
            && self.timers.at(Chore::Payloads).is_none()
        {
            self.timers.set(Chore::Payloads, until.max(self.now + Duration::from_nanos(1)));
        }
    }

    /// Nothing is said any more: departed, or superseded.
    pub(super) fn fall_silent(&mut self) {
        self.broadcasts.clear();
        self.pulls.clear();
        self.outbox.mail.clear();
    }

    // Announced and fetched.

    /// Members alone are asked for what they announce: strangers could aim us at anybody.
    pub(super) fn hear_announce(&mut self, now: Instant, announce: &Announce, from: SocketAddr) {
        let &Announce { origin, life, sequence, .. } = announce;
        let id = BroadcastId { origin, life, sequence };
        let via = Via::Datagram { from, len: 0 };
        if !self.is_news(now, id, via) || !self.is_running() {
            return;
        }
        let announcer = self.table.find_address(from).map(|slot| (slot, self.table.at(slot)));
        let Some((_, announcer)) = announcer.filter(|(slot, record)| *slot != Slot::LOCAL && record.is_live()) else {
            self.stats.drops.strangers += 1;
            return;
        };
        if !self.pulls.announced(id, announcer.id) {
            self.stats.drops.pulls_full += 1;
        }
        self.start_pulls(now);
    }

    /// Asks for what was announced, as much at once as may be.
    pub(super) fn start_pulls(&mut self, now: Instant) {
        let running_max = self.streams_for_userdata();
        while let Some(mut pull) = self.pulls.next(running_max) {
            if self.judge_broadcast(pull.id) != Some(Verdict::New) {
                continue;
            }
            while let Some(announcer) = pull.next_announcer() {
                let Some(slot) = self.slot_of_live(announcer) else { continue };
                let Some(address) = self.table.at(slot).address() else { continue };
                if !self.is_stream_free() {
                    // Some stream's end makes room, and comes back here.
                    return self.pulls.put_back(pull, announcer);
                }
                if let Some(stream) = self.open_stream(now, address, Opening::Pull(pull.id)) {
                    self.stats.pulls_started += 1;
                    self.pulls.began(pull, stream, announcer);
                    break;
                }
            }
        }
    }

    /// A stream was opened to fetch a broadcast from us. One that is not here is answered by the stream's end.
    pub(super) fn hear_pull(&mut self, stream: StreamId, pull: &Pull) {
        let &Pull { origin, life, sequence } = pull;
        let id = BroadcastId { origin, life, sequence };
        if self.broadcasts.find(id).is_some() {
            self.stats.pulls_served += 1;
            self.with_stream(stream, |stream| stream.parts.push_back(Part::Pulled(id)));
        }
        self.last_step(stream);
    }

    /// The answer to a pull of ours, which must be what was asked for.
    pub(super) fn hear_pulled(
        &mut self,
        now: Instant,
        stream: StreamId,
        broadcast: &Broadcast<'_>,
    ) -> Result<(), Broken> {
        let &Broadcast { origin, life, sequence, .. } = broadcast;
        let id = BroadcastId { origin, life, sequence };
        if self.pulls.fetched_over(stream) != Some(id) {
            return Err(Broken);
        }
        self.pulls.ended(stream);
        self.last_step(stream);
        self.hear_broadcast(now, broadcast, Via::Exchange(stream));
        Ok(())
    }

    /// A stream ended. If a broadcast was to come over it, whoever else announced it is asked.
    pub(super) fn pull_failed(&mut self, stream: StreamId) {
        if let Some(pull) = self.pulls.ended(stream) {
            self.stats.pulls_failed += 1;
            self.pulls.try_another(pull);
        }
    }

    // Direct messages.

    /// Who says that it is for somebody else has the wrong address; who is no member has no business here.
    pub(super) fn hear_user_message(&mut self, message: &UserMessage<'_>) {
        if message.target != self.local_id() {
            self.stats.drops.misdirected += 1;
            return;
        }
        let source = self.table.find(message.source);
        if source.is_none_or(|slot| self.table.at(slot).content().is_none()) {
            self.stats.drops.strangers += 1;
            return;
        }
        self.stats.messages_in += 1;
        let payload = Bytes::copy_from_slice(message.payload);
        self.outbox.notices.push_back(Notice::Message { from: message.source, payload });
    }
}

/// The longest direct message that fits a datagram: after the header a kind and a length, two ids, and a length again.
fn message_len_max(config: &Config) -> usize {
    let room = usize::from(config.datagram_max) - HEADER_LEN - 1 - 16;
    let lengths = if room < 1 << 14 { 2 + 2 } else { 3 + 3 };
    (room - lengths).min(PAYLOAD_MAX)
}
