//! What is said on a stream: pings, joins and the comparison of state (`docs/protocol.md` 6 and 7).
//!
//! Reading is here; writing, which happens piece by piece as the peer takes it, is in `actions/telling`.

use alloc::boxed::Box;
use alloc::sync::Arc;

use core::net::SocketAddr;

use super::claims::Via;
use super::streams::{Broken, Stream};
use super::{Node, Status};
use crate::action::StreamId;
use crate::detection::probe::Purpose;
use crate::dissemination::exchange::{Joiner, Part, Step};
use crate::membership::{Incarnation, NodeId};
use crate::outbox::{Body, Notice};
use crate::time::Instant;
use crate::timers::{Chore, Timer};
use crate::wire::{Alive, FRAME_MAX, Held, Join, Message, Ping, ProfileBytes, SyncRoot, VERSION, decode, version_of};

/// How often the holder of a name is asked before somebody else has it.
pub(super) const HOLDER_ASKED: u8 = 3;

impl Node {
    /// One packet of a stream. Every message must be what is due at this step; anything else breaks the stream.
    /// Whether it said anything.
    pub(super) fn hear_packet(&mut self, now: Instant, id: StreamId, packet: &[u8]) -> Result<bool, Broken> {
        let messages = decode(packet, self.cluster, FRAME_MAX).map_err(|error| {
            self.count_drop(&error);
            Broken
        })?;
        let version = version_of(packet).unwrap_or(VERSION);
        if !self.config.versions.contain(version) {
            self.stats.drops.version += 1;
            return Err(Broken);
        }
        // A peer that opened it knows in which version to speak to us, and is answered in it.
        self.with_stream(id, |stream| {
            if stream.guest.is_some() {
                stream.version = version;
            }
        });
        if self.streams.get(&id).is_some_and(|stream| stream.step == Step::Carrying) {
            return Ok(self.hear_carried(now, id, messages, packet.len()));
        }
        // The opener's own Alive, until the message after it says what the stream is for.
        let mut opener: Option<Alive<'_>> = None;
        let mut said = false;
        let mut messages = messages;
        while let Some(message) = messages.next() {
            said = true;
            let Some(stream) = self.streams.get(&id) else { return Ok(said) };
            let step = &stream.step;
            let via = Via::Exchange(id);
            match message {
                Message::Ping(ping) if *step == Step::Accepted => self.hear_stream_ping(id, &ping)?,
                Message::Ack(ack) if let Step::Pinged(target) = *step => {
                    self.stream_ping_answered(target, ack.incarnation);
                    // A helper may have been quicker, and the probe be over.
                    if self.probe.is_some_and(|probe| probe.seq == ack.seq) {
                        self.hear_ack(now, &ack, None);
                    }
                    self.reset_stream(id);
                }
                Message::Alive(alive) => match step {
                    Step::Accepted => opener = Some(alive),
                    _ if self.is_not_worth_room(&alive, messages.clone()) => {
                        self.stats.drops.members_full += 1;
                    }
                    Step::Joining | Step::Listed | Step::Answered | Step::Told => self.hear_alive(now, &alive, via),
                    Step::Redirected => self.add_candidate(alive.profile.parse().address),
                    _ => return Err(Broken),
                },
                // A leaver lets nobody in; the departed has nothing to say.
                Message::Join(_) | Message::SyncRoot(_) if !self.is_running() => return Err(Broken),
                Message::Pull(_) | Message::UserMessage(_) if self.status == Status::Left => return Err(Broken),
                Message::Pull(pull) if *step == Step::Accepted => self.hear_pull(id, &pull),
                Message::Broadcast(broadcast) if *step == Step::Pulling => self.hear_pulled(now, id, &broadcast)?,
                Message::UserMessage(message) if *step == Step::Accepted => {
                    self.hear_user_message(&message);
                    self.last_step(id);
                }
                Message::Carry(carry) if *step == Step::Accepted => {
                    self.hear_carry(now, id, &carry, opener.take())?;
                }
                Message::Join(join) if *step == Step::Accepted => self.hear_join(now, id, &join, opener.take())?,
                Message::SyncRoot(root) if *step == Step::Accepted => {
                    self.hear_root(now, id, &root, opener.take())?;
                }
                Message::Suspect(suspect) if step.takes_claims() => self.hear_suspect(now, &suspect, via),
                Message::Tombstone(tombstone) if step.takes_claims() => self.hear_tombstone(now, &tombstone, id),
                Message::SyncAgree(_) if *step == Step::Rooted => {
                    self.agreed();
                    self.stats.syncs_agreed += 1;
                    self.complete_exchange(id);
                }
                Message::SyncBuckets(theirs) if *step == Step::Rooted => {
                    let buckets = self.table.digest().differing(theirs.sums);
                    self.joins.agreements = 0;
                    self.with_stream(id, |stream| {
                        stream.buckets = buckets;
                        stream.step = Step::Listed;
                        stream.parts.push_back(Part::List { filter_sent: false, cursor: 0, count: 0 });
                    });
                }
                Message::SyncFilter(filter) if *step == Step::Summed => {
                    self.with_stream(id, |stream| stream.buckets = *filter.buckets);
                }
                Message::Held(held) if *step == Step::Summed => self.hear_held(id, &held)?,
                Message::Want(want) if *step == Step::Listed => {
                    let wanted_max = self.table.len();
                    let stream = self.streams.get_mut(&id).ok_or(Broken)?;
                    if stream.wanted.len() > wanted_max {
                        return Err(Broken);
                    }
                    stream.wanted.push(want.id);
                }
                Message::SyncEnd(_) => self.hear_step_end(now, id)?,
                Message::NameTaken(taken) if *step == Step::Joining => {
                    self.outbox.notices.push_back(Notice::NameTaken { holder: taken.holder });
                    self.end_exchange(id);
                    self.join_attempt_failed(now, id);
                }
                Message::Busy(busy) if matches!(step, Step::Joining | Step::Rooted) => {
                    let chore = if *step == Step::Joining { Chore::Join } else { Chore::Sync };
                    self.put_off(now, chore, busy.retry_ms);
                    self.with_stream(id, |stream| stream.step = Step::Redirected);
                }
                _ => return Err(Broken),
            }
        }
        if self.streams.get(&id).is_some_and(|stream| stream.step == Step::Redirected) {
            self.end_exchange(id);
            self.join_attempt_failed(now, id);
        }
        Ok(said)
    }

    pub(super) fn with_stream(&mut self, id: StreamId, change: impl FnOnce(&mut Stream)) {
        if let Some(stream) = self.streams.get_mut(&id) {
            change(stream);
        }
    }

    /// The exchange has come to its end.
    fn complete_exchange(&mut self, id: StreamId) {
        self.stats.syncs_done += 1;
        self.end_exchange(id);
    }

    /// Nothing more is due on the stream, its exchange done or refused: it is finished once all is written.
    fn end_exchange(&mut self, id: StreamId) {
        self.end_serving(id);
        self.last_step(id);
    }

    /// Nothing more is due on the stream: it is finished once all is written.
    pub(super) fn last_step(&mut self, id: StreamId) {
        self.with_stream(id, |stream| {
            stream.step = Step::Ending;
            stream.finish = true;
        });
        self.announce_write(id);
    }

    fn hear_stream_ping(&mut self, id: StreamId, ping: &Ping) -> Result<(), Broken> {
        if ping.target != self.local_id() {
            self.stats.drops.misdirected += 1;
            return Err(Broken);
        }
        let seq = ping.seq;
        self.with_stream(id, |stream| {
            stream.step = Step::Ending;
            stream.parts.push_back(Part::Ack { seq });
            stream.finish = true;
        });
        Ok(())
    }

    // Serving.

    /// A joiner is let in, unless somebody else may hold its name, who is then asked first.
    fn hear_join(&mut self, now: Instant, id: StreamId, join: &Join, opener: Option<Alive<'_>>) -> Result<(), Broken> {
        let alive = opener.filter(|alive| alive.id == join.source && !self.is_self(alive)).ok_or(Broken)?;
        if !self.begin_serving(id) {
            self.turn_away(id);
            return Ok(());
        }
        let address = alive.profile.parse().address;
        let holder = self.slot_of_live(alive.id).filter(|&slot| self.table.at(slot).address() != Some(address));
        if alive.id == self.local_id() {
            let holder = self.local().address;
            self.refuse_name(id, holder);
            return Ok(());
        }
        if holder.is_none() {
            self.admit(now, id, &alive);
            return Ok(());
        }
        let joiner = Joiner {
            id: alive.id,
            incarnation: alive.incarnation,
            profile: Arc::from(alive.profile.as_bytes()),
            asked: 0,
            ask_at: now,
        };
        self.with_stream(id, |stream| stream.step = Step::Admitting(Box::new(joiner)));
        self.ask_holder_or_admit(now, id);
        Ok(())
    }

    /// Whether this comes from this very process, which met itself at one of its addresses.
    pub(super) fn is_self(&self, alive: &Alive<'_>) -> bool {
        let local = self.table.local();
        alive.id == local.id && alive.incarnation.life == local.incarnation().life
    }

    /// The holder of a joiner's name is asked a few times, by way of others too: one lost datagram takes nobody's name.
    /// If nobody answers, the name is the joiner's.
    pub(super) fn ask_holder_or_admit(&mut self, now: Instant, id: StreamId) {
        let wait = self.health.stretch(self.config.probe_timeout) / 2;
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Step::Admitting(joiner) = &mut stream.step else { return };
        let target = joiner.id;
        if joiner.asked >= HOLDER_ASKED {
            let address = ProfileBytes::from_validated(&joiner.profile).parse().address;
            self.admit_after_all(now, id);
            // What the holder had said of itself might still outrank the joiner, and would make it give way to nobody.
            // It hears of the accusation instead, and goes past it.
            if let Some(holder) =
                self.slot_of_live(target).filter(|&slot| self.table.at(slot).address() != Some(address))
            {
                self.stats.holders_failed += 1;
                self.accuse(now, holder);
            }
            return;
        }
        joiner.asked += 1;
        joiner.ask_at = now + wait;
        self.timers.push(now + wait, Timer::Admit(id));
        let Some(holder) = self.slot_of_live(target) else { return };
        let Some(address) = self.table.at(holder).address() else { return };
        let Some(seq) = self.ping_apart(now, holder, Purpose::Holder { stream: id }) else { return };
        let budget_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        self.choose_others(self.config.indirect_probes.into(), Some(holder));
        for index in 0..self.chosen.len() {
            self.send_to_member(self.chosen[index], Body::PingReq { seq, target, address, budget_ms });
        }
    }

    fn refuse_name(&mut self, id: StreamId, holder: SocketAddr) {
        self.with_stream(id, |stream| stream.parts.push_back(Part::NameTaken { holder }));
        self.end_exchange(id);
    }

    /// Takes a joiner in, and has it told everything.
    fn admit(&mut self, now: Instant, id: StreamId, alive: &Alive<'_>) {
        self.hear_alive(now, alive, Via::Exchange(id));
        let joiner = Some(alive.id);
        self.with_stream(id, |stream| {
            stream.step = Step::Told;
            stream.parts.push_back(Part::Everything { joiner, cursor: 0, count: 0 });
        });
        self.announce_write(id);
    }

    /// The holder of a joiner's name was asked, and somebody answered.
    pub(super) fn holder_answered(&mut self, now: Instant, id: StreamId, holder: NodeId, answered: Incarnation) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Step::Admitting(joiner) = &stream.step else { return };
        if joiner.id != holder {
            return;
        }
        // The joiner itself may answer, if it is reached at both addresses.
        if answered.life == joiner.incarnation.life {
            return self.admit_after_all(now, id);
        }
        if let Some(holder) = self.table.find(holder).and_then(|slot| self.table.at(slot).address()) {
            self.refuse_name(id, holder);
        }
    }

    fn admit_after_all(&mut self, now: Instant, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if !matches!(stream.step, Step::Admitting(_)) {
            return;
        }
        let Step::Admitting(joiner) = core::mem::replace(&mut stream.step, Step::Told) else { return };
        let profile = ProfileBytes::from_validated(&joiner.profile);
        self.admit(now, id, &Alive { id: joiner.id, incarnation: joiner.incarnation, profile });
    }

    fn hear_root(
        &mut self,
        now: Instant,
        id: StreamId,
        root: &SyncRoot,
        opener: Option<Alive<'_>>,
    ) -> Result<(), Broken> {
        let alive = opener.filter(|alive| alive.id == root.source && !self.is_self(alive)).ok_or(Broken)?;
        if !self.begin_serving(id) {
            self.turn_away(id);
            return Ok(());
        }
        self.hear_alive(now, &alive, Via::Exchange(id));
        let agrees = self.table.digest().root() == root.root;
        self.with_stream(id, |stream| {
            stream.step = Step::Summed;
            stream.parts.push_back(if agrees { Part::Agree } else { Part::Sums });
        });
        if agrees {
            self.stats.syncs_agreed += 1;
            self.complete_exchange(id);
        }
        Ok(())
    }

    fn turn_away(&mut self, id: StreamId) {
        let start = self.random.u32();
        self.with_stream(id, |stream| {
            stream.parts.push_back(Part::Busy { start });
            stream.step = Step::Ending;
            stream.finish = true;
        });
    }

    fn hear_held(&mut self, id: StreamId, held: &Held) -> Result<(), Broken> {
        let held_max = self.config.members_max as usize;
        let stream = self.streams.get_mut(&id).ok_or(Broken)?;
        if stream.held.len() >= held_max {
            return Err(Broken);
        }
        stream.held.push((held.id, held.incarnation));
        Ok(())
    }

    /// The peer's step is complete: ours follows.
    fn hear_step_end(&mut self, now: Instant, id: StreamId) -> Result<(), Broken> {
        let stream = self.streams.get_mut(&id).ok_or(Broken)?;
        match stream.step {
            Step::Joining => {
                stream.parts.push_back(Part::LastWord);
                self.complete_exchange(id);
                self.joined(now, id);
            }
            Step::Summed => {
                stream.held.sort_unstable();
                stream.step = Step::Answered;
                stream.parts.push_back(Part::Difference { listed: 0, cursor: 0, count: 0 });
            }
            Step::Listed => {
                stream.parts.push_back(Part::Wanted { at: 0, count: 0 });
                self.complete_exchange(id);
            }
            Step::Told | Step::Answered => self.complete_exchange(id),
            _ => return Err(Broken),
        }
        Ok(())
    }
}
