//! Carriers: streams that carry what would otherwise be datagrams (`docs/protocol.md` 13.2).
//!
//! A carrier is opened to a member's address, says whose it is in its first packet, and is then used both ways for as
//! long as there is something to carry. What waits for it waits as a description, like any datagram, and is encoded
//! when it is written: its news is as fresh as that of a datagram. Losing what waits is no more than losing a datagram.

mod leading;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::ops::Bound;

use leading::Leading;

use super::claims::Via;
use super::datagrams::Hearing;
use super::streams::Stream;
use super::streams::{Broken, PACKET_LEN};
use super::{Answered, Node, Status};
use crate::action::StreamId;
use crate::config::Transport;
use crate::dissemination::exchange::{Part, Step};
use crate::membership::{NodeId, Slot};
use crate::outbox::{Body, Control, Outgoing};
use crate::time::Instant;
use crate::timers::Timer;
use crate::wire::{Alive, Carry, Messages, PREFIX_LEN};

/// Most packets that wait for one carrier; beyond it the oldest that is not urgent is dropped.
const WAITING_MAX: usize = 64;

/// How many carriers are looked at to find one with nothing to carry.
const SURPLUS_OF: usize = 16;

/// How many are looked at to find one that leads to a live member who is not told in any case.
const LOOKED_AT: usize = 64;

/// Which carriers may be displaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Anybodys,
    /// Those that others opened.
    Guests,
}

/// One carrier, besides its stream.
struct Carrier {
    /// Where the peer is reached: where we opened it to, or where the peer's Alive says.
    address: SocketAddr,
    /// Who opened it and from where, if it was not us.
    opener: Option<(NodeId, SocketAddr)>,
    urgent: VecDeque<Outgoing>,
    normal: VecDeque<Outgoing>,
    /// When something was last put on it, or came from it.
    used: Instant,
    /// When something last came from it.
    heard: Option<Instant>,
    /// When the socket last took what was written, or was given the first of what it has not taken since. A peer that
    /// says much and reads nothing holds no place.
    taken: Instant,
    /// Its place among those that are open.
    place: Option<Place>,
}

/// Whether what goes to its address goes by this carrier, when it was used, and which it is: in this order carriers
/// make room for others.
type Place = (bool, Instant, StreamId);

impl Carrier {
    fn waiting(&self) -> usize {
        self.urgent.len() + self.normal.len()
    }
}

/// Where the echo waits that was decided on last: a better answer may take its place.
#[derive(Clone, Copy, Default)]
pub(super) enum ClaimWaits {
    /// It could not be sent.
    #[default]
    Nowhere,
    /// Among the datagrams.
    InLane,
    OnCarrier(StreamId),
}

/// All carriers, by stream and by whom they reach.
#[derive(Default)]
pub(super) struct Carriers {
    pub(super) claim_waits: ClaimWaits,
    all: BTreeMap<StreamId, Box<Carrier>>,
    /// The carrier that is used for this address. Older ones to it are read to their end.
    to: Leading,
    /// The places of those that are not being closed. To use one costs nothing here: it is put where it belongs when it
    /// is met where it was.
    open: BTreeSet<Place>,
}

impl Carriers {
    /// How many may be written to.
    pub(super) fn usable(&self) -> usize {
        self.to.len()
    }

    /// Whether something waits to be written to this stream.
    pub(super) fn has_waiting(&self, id: StreamId) -> bool {
        self.all.get(&id).is_some_and(|carrier| carrier.waiting() > 0)
    }

    /// The next packet for this stream, urgent ones first.
    pub(super) fn next(&mut self, id: StreamId) -> Option<Outgoing> {
        let carrier = self.all.get_mut(&id)?;
        carrier.urgent.pop_front().or_else(|| carrier.normal.pop_front())
    }

    /// Does not send the echo that was put last on this one.
    pub(super) fn take_back_claim(&mut self, id: StreamId) {
        if let Some(carrier) = self.all.get_mut(&id)
            && let Some(at) = carrier.normal.iter().rposition(Outgoing::is_echo)
        {
            carrier.normal.remove(at);
        }
    }

    /// Of what waits only this is sent.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&Body) -> bool) {
        for carrier in self.all.values_mut() {
            carrier.urgent.retain(|outgoing| is_kept(&outgoing.body));
            carrier.normal.retain(|outgoing| is_kept(&outgoing.body));
        }
    }

    /// The socket takes what is written to this stream.
    pub(super) fn takes(&mut self, now: Instant, id: StreamId) {
        if let Some(carrier) = self.all.get_mut(&id) {
            carrier.taken = now;
        }
    }

    fn is_used(&self, id: StreamId) -> bool {
        self.all.get(&id).is_some_and(|carrier| self.to.to(carrier.address) == Some(id))
    }

    /// Nothing more is put on this one of our own accord.
    fn unlist(&mut self, id: StreamId) {
        if self.is_used(id)
            && let Some(carrier) = self.all.get(&id)
        {
            self.to.remove(carrier.address);
            self.put_in_place(id);
        }
    }

    /// This one is being closed.
    fn closing(&mut self, id: StreamId) {
        self.unlist(id);
        let place = self.all.get_mut(&id).and_then(|carrier| carrier.place.take());
        place.inspect(|place| _ = self.open.remove(place));
    }

    /// Puts an open one where it belongs.
    fn put_in_place(&mut self, id: StreamId) {
        let is_used = self.is_used(id);
        let Some(carrier) = self.all.get_mut(&id) else { return };
        let Some(place) = carrier.place else { return };
        let belongs = (is_used, carrier.used, id);
        if place != belongs {
            carrier.place = Some(belongs);
            self.open.remove(&place);
            self.open.insert(belongs);
        }
    }

    /// The open one that makes room next after the one in this place.
    fn next_open(&mut self, after: Option<Place>) -> Option<Place> {
        loop {
            let &place = self.open.range((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)).next()?;
            let (_, _, id) = place;
            self.put_in_place(id);
            if self.all.get(&id).is_some_and(|carrier| carrier.place == Some(place)) {
                return Some(place);
            }
        }
    }

    /// Its stream is gone; so many packets waited for it.
    pub(super) fn remove(&mut self, id: StreamId) -> usize {
        self.closing(id);
        self.all.remove(&id).map_or(0, |carrier| carrier.waiting())
    }
}

impl Node {
    /// The carrier for this packet: `by`, if what it answers came by that one and it may be written to; else the one in
    /// use for its address; else a new one. `None`: there is none, and none can be opened, or not for this.
    pub(super) fn carrier_to(&mut self, outgoing: &Outgoing, by: Option<StreamId>) -> Option<StreamId> {
        let to = outgoing.to;
        let by = by.filter(|&id| self.streams.get(&id).is_some_and(|stream| !stream.finish));
        let open = by.or_else(|| self.carriers.to.to(to));
        // Gossip by new carriers, for which others are closed, crowds out probes where streams are few; probes that fail
        // make more of it.
        let may_open = outgoing.is_awaited() || self.streams.len() < usize::from(self.config.streams_max) / 2;
        open.or_else(|| if may_open { self.open_carrier(self.now, to) } else { None })
    }

    /// Puts a packet on this carrier. Gives whether it waits there.
    pub(super) fn carry(&mut self, outgoing: Outgoing, id: StreamId) -> bool {
        let Some(carrier) = self.carriers.all.get_mut(&id) else { return false };
        carrier.used = self.now;
        if carrier.waiting() >= WAITING_MAX {
            self.stats.drops.carrier_full += 1;
            if carrier.normal.pop_front().is_none() {
                return false;
            }
        }
        let urgent = outgoing.urgent;
        if urgent { &mut carrier.urgent } else { &mut carrier.normal }.push_back(outgoing);
        self.announce_write(id);
        let control = &mut self.outbox.control;
        if urgent && matches!(control.back(), Some(&Control::Write { stream }) if stream == id) {
            control.rotate_right(1);
        }
        true
    }

    /// How many carriers may be opened for news that could go by open ones (`docs/protocol.md` 13.8). Where there are more
    /// members than carriers those are not filled up: each one that is opened here would be another closed there, for
    /// which one is opened elsewhere, and so forth.
    pub(super) fn room_for_news(&self) -> usize {
        let all_max = usize::from(self.config.streams_max) / 2;
        let kept = usize::from(self.config.carriers_max).min(all_max);
        let filled = if self.table.others().len() <= kept { kept } else { kept * 3 / 4 };
        filled.saturating_sub(self.carriers.to.len()).min(all_max.saturating_sub(self.streams.len()))
    }

    /// Whether a carrier leads to this member, or is being opened.
    pub(super) fn is_led_to(&self, slot: Slot) -> bool {
        self.table.at(slot).address().is_some_and(|address| self.carriers.to.to(address).is_some())
    }

    /// A random live member to whom a carrier leads that is open, other than those chosen.
    pub(super) fn choose_led_to(&mut self) -> Option<Slot> {
        let all = self.carriers.to.len();
        let start = if all > 0 { self.random.below(all) } else { 0 };
        let is_open = |id| self.streams.get(&id).is_some_and(|stream| stream.connected);
        let looked_at = self.carriers.to.around(start).take(LOOKED_AT);
        let mut led_to = looked_at.filter(|&(_, id)| is_open(id)).filter_map(|(to, _)| self.table.find_address(to));
        led_to.find(|slot| *slot != Slot::LOCAL && self.table.at(*slot).is_live() && !self.chosen.contains(slot))
    }

    fn open_carrier(&mut self, now: Instant, to: SocketAddr) -> Option<StreamId> {
        // The departed answers on what others open, and has nothing to say for which it would open one (13.7).
        if self.table.local().address() == Some(to) || self.status == Status::Left {
            return None;
        }
        self.make_carrier_room(now);
        if !self.has_stream_room(now) {
            return None;
        }
        let mut stream = Stream::to_peer(now, Step::Carrying);
        stream.version = self.version_for(to);
        stream.parts.push_back(Part::Carry);
        let id = self.add_stream(now, stream);
        self.add_carrier(now, id, to, None);
        self.stats.carriers_opened += 1;
        self.outbox.control.push_back(Control::Connect { stream: id, to });
        Some(id)
    }

    fn add_carrier(&mut self, now: Instant, id: StreamId, address: SocketAddr, opener: Option<(NodeId, SocketAddr)>) {
        let (urgent, normal) = (VecDeque::new(), VecDeque::new());
        let carrier = Carrier {
            address,
            opener,
            urgent,
            normal,
            used: now,
            heard: None,
            taken: now,
            place: Some((false, now, id)),
        };
        self.carriers.all.insert(id, Box::new(carrier));
        self.carriers.open.insert((false, now, id));
        if opener.is_none() {
            self.carriers.to.insert(address, id);
        }
        self.carriers.put_in_place(id);
    }

    /// Makes room for one more carrier: of those with nothing to carry the one that was not used for longest is closed
    /// if enough are open, and where half of all streams carry, one that has something to carry too. Those on which we
    /// put nothing of our own accord go first.
    fn make_carrier_room(&mut self, now: Instant) {
        let all_max = usize::from(self.config.streams_max) / 2;
        let open = self.carriers.open.len();
        if open < usize::from(self.config.carriers_max).min(all_max) {
            return;
        }
        let mut next = self.carriers.next_open(None);
        let any = next.filter(|_| open >= all_max);
        let mut idle = None;
        for _ in 0..SURPLUS_OF {
            let Some((_, _, id)) = next else { break };
            let is_idle = |stream: &Stream| stream.connected && stream.unwritten == 0 && !self.carriers.has_waiting(id);
            if self.streams.get(&id).is_some_and(|stream| is_idle(stream)) {
                idle = next;
                break;
            }
            next = self.carriers.next_open(next);
        }
        if let Some((_, _, id)) = idle.or(any) {
            self.close_carrier(now, id);
        }
    }

    /// Resets the carrier that was not used for longest, if nothing can be under way on it any more, so that there is
    /// room at once. Gives whether there was one.
    pub(super) fn displace_carrier(&mut self, now: Instant, whose: Whose) -> bool {
        let quiet_for = self.config.probe_timeout;
        let mut longest = None;
        for (&id, carrier) in &self.carriers.all {
            let is_theirs = whose == Whose::Anybodys || carrier.opener.is_some();
            let may_go = is_theirs && carrier.waiting() == 0 && now - carrier.used >= quiet_for;
            let is_quiet = |stream: &Stream| stream.connected && stream.unwritten == 0;
            if may_go
                && self.streams.get(&id).is_some_and(|stream| is_quiet(stream))
                && longest.is_none_or(|longest| (carrier.used, id) < longest)
            {
                longest = Some((carrier.used, id));
            }
        }
        let Some((_, id)) = longest else { return false };
        self.stats.carriers_displaced += 1;
        self.reset_stream(id);
        true
    }

    /// The socket took something: where more carriers are open than are kept, one that has nothing to carry is closed.
    pub(super) fn carrier_written(&mut self, now: Instant, id: StreamId) {
        self.carriers.takes(now, id);
        if self.carriers.open.len() > usize::from(self.config.carriers_max) {
            self.make_carrier_room(now);
        }
    }

    /// Ends a carrier in good order if all is written, else at once.
    fn close_carrier(&mut self, now: Instant, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if !stream.connected || stream.unwritten > 0 || self.carriers.has_waiting(id) {
            return self.reset_stream(id);
        }
        (stream.finish, stream.moved) = (true, now);
        self.carriers.closing(id);
        self.timers.push(now + self.config.stream_timeout, Timer::Stream(id));
        self.announce_write(id);
    }

    /// The peer will send nothing more on it. What waits is written, and no more.
    pub(super) fn carrier_finished(&mut self, now: Instant, id: StreamId) {
        self.carriers.closing(id);
        let Some(stream) = self.streams.get_mut(&id) else { return };
        (stream.finish, stream.moved) = (true, now);
        self.announce_write(id);
        self.end_if_done(id);
    }

    /// A probe by carrier was not answered in time. One from which nothing has come since may be that of an earlier
    /// process, or of a host that is gone: what follows goes by another.
    pub(super) fn doubt_carrier(&mut self, now: Instant, to: SocketAddr, since: Instant) {
        let Some(id) = self.carriers.to.to(to) else { return };
        let silent = self.carriers.all.get(&id).is_some_and(|carrier| carrier.heard < Some(since));
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if silent && stream.connected {
            (stream.finish, stream.moved) = (true, now);
            self.carriers.closing(id);
            self.announce_write(id);
        }
    }

    /// When a stream that carries is to be closed, if nothing moves until then.
    pub(super) fn carrier_idle_at(&self, id: StreamId, stream: &Stream) -> Instant {
        let timeout = self.config.stream_timeout;
        let ends = !stream.connected || stream.finish;
        match self.carriers.all.get(&id).filter(|_| !ends) {
            Some(carrier) if stream.unwritten > 0 => carrier.taken + timeout,
            Some(carrier) if carrier.waiting() == 0 => carrier.used + self.config.carrier_idle,
            _ => stream.moved + timeout,
        }
    }

    /// A carrier's timer fired.
    pub(super) fn carrier_timed_out(&mut self, now: Instant, id: StreamId) {
        let Some(stream) = self.streams.get(&id) else { return };
        let idle_at = self.carrier_idle_at(id, stream);
        if idle_at > now {
            // It may get stuck meanwhile.
            return self.timers.push(idle_at.min(now + self.config.stream_timeout), Timer::Stream(id));
        }
        let stuck = !stream.connected || stream.finish || stream.unwritten > 0;
        if stuck {
            self.stats.drops.streams_idle += u64::from(!stream.finish);
            self.reset_stream(id);
        } else {
            self.close_carrier(now, id);
        }
    }

    /// All carriers are ended, in good order where that is possible: the last news of a departure is on them.
    pub(super) fn finish_carriers(&mut self, now: Instant) {
        self.carriers.retain(|body| matches!(body, Body::Ack { .. }));
        let all: Vec<StreamId> = self.carriers.all.keys().copied().collect();
        for id in all {
            self.carriers.unlist(id);
            let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.connected) else { continue };
            (stream.finish, stream.moved) = (true, now);
            self.carriers.closing(id);
            self.timers.push(now + self.config.stream_timeout, Timer::Stream(id));
            self.announce_write(id);
        }
    }

    /// Whether this stream carries and is connected: it is ended in good order, not reset.
    pub(super) fn is_open_carrier(&self, id: StreamId) -> bool {
        self.streams.get(&id).is_some_and(|stream| stream.step == Step::Carrying && stream.connected)
    }

    // What comes.

    /// The first packet of a stream says that it carries.
    pub(super) fn hear_carry(
        &mut self,
        now: Instant,
        id: StreamId,
        carry: &Carry,
        opener: Option<Alive<'_>>,
    ) -> Result<(), Broken> {
        let alive = opener.filter(|alive| alive.id == carry.source && !self.is_self(alive)).ok_or(Broken)?;
        let remote = self.streams.get(&id).and_then(|stream| stream.guest).ok_or(Broken)?;
        self.make_carrier_room(now);
        let address = alive.profile.parse().address;
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.step = Step::Carrying;
        }
        self.stats.carriers_accepted += 1;
        self.add_carrier(now, id, address, Some((alive.id, remote)));
        let len = self.config.datagram_max.into();
        if self.is_running() || self.status == Status::Leaving {
            // Heard before it is known who speaks, like an Alive in a datagram.
            let from = if remote.ip() == address.ip() { address } else { remote };
            self.begin_carried(id, from);
            self.hear_alive(now, &alive, Via::Datagram { from, len });
        }
        if self.carrier_peer(id) == Some(address) && self.config.transport != Transport::Datagram {
            self.prefer_carrier(now, id, address);
            self.met_by_carrier(alive.id);
        }
        Ok(())
    }

    /// A packet of a carrier is handled like a datagram of its own.
    fn begin_carried(&mut self, id: StreamId, from: SocketAddr) {
        self.came_by = Some((from, Some(id)));
        self.answered = Answered::No;
        self.newcomers_left = self.config.newcomers_per_datagram;
    }

    /// What goes to this address goes by this carrier from now on: its peer has just shown that it is there.
    fn prefer_carrier(&mut self, now: Instant, id: StreamId, address: SocketAddr) {
        let before = self.carriers.to.insert(address, id);
        self.carriers.put_in_place(id);
        let Some(before) = before.filter(|&before| before != id) else { return };
        self.carriers.put_in_place(before);
        // One that still connects may never do so where streams can be opened one way only.
        if self.streams.get(&before).is_some_and(|stream| !stream.connected)
            && let Some(old) = self.carriers.all.get_mut(&before)
        {
            let (urgent, normal) = (core::mem::take(&mut old.urgent), core::mem::take(&mut old.normal));
            self.reset_stream(before);
            if let Some(carrier) = self.carriers.all.get_mut(&id) {
                (carrier.urgent, carrier.normal, carrier.used) = (urgent, normal, now);
            }
            self.announce_write(id);
        }
    }

    /// From whom the packets of a carrier come: from where we opened it to; or from the address of the member that its
    /// opener says to be, if that member is known there and the stream comes from that host. Otherwise from a stranger.
    fn carrier_peer(&self, id: StreamId) -> Option<SocketAddr> {
        let carrier = self.carriers.all.get(&id)?;
        let Some((peer, remote)) = carrier.opener else { return Some(carrier.address) };
        let known = self.table.find(peer).and_then(|slot| self.table.at(slot).address());
        let is_there = known == Some(carrier.address) && remote.ip() == carrier.address.ip();
        Some(if is_there { carrier.address } else { remote })
    }

    /// One packet of a carrier: what would have been a datagram. Gives whether it said anything.
    pub(super) fn hear_carried(&mut self, now: Instant, id: StreamId, messages: Messages<'_>, len: usize) -> bool {
        let Some(from) = self.carrier_peer(id).filter(|_| messages.clone().next().is_some()) else { return false };
        if let Some(carrier) = self.carriers.all.get_mut(&id) {
            (carrier.used, carrier.heard) = (now, Some(now));
        }
        self.stats.carried_in += 1;
        self.begin_carried(id, from);
        self.unproven_left += len;
        // Whoever opened a stream, or accepted ours, is where its packets say: the answer goes there and nowhere else.
        let len = self.config.datagram_max.into();
        self.hear_messages(now, messages, from, len, Hearing::All);
        true
    }

    // What goes.

    /// Adds what waits for a carrier to what is written to it next, as far as there is room.
    pub(super) fn write_carried(&mut self, id: StreamId, buf: &mut Vec<u8>) {
        let longest = PREFIX_LEN + usize::from(self.config.datagram_max).min(PACKET_LEN);
        while (buf.is_empty() || buf.len() + longest <= PACKET_LEN + PREFIX_LEN)
            && let Some(outgoing) = self.carriers.next(id)
        {
            let version = self.carried_version(id, outgoing.to);
            self.stats.carried_out += u64::from(self.encode_carried(&outgoing, version, buf));
        }
    }

    /// On a carrier that the peer opened, the version of its last packet; on ours, the highest that both are known to
    /// speak by now (`docs/protocol.md` 15.2).
    fn carried_version(&self, id: StreamId, to: SocketAddr) -> u8 {
        let guest = self.streams.get(&id).filter(|stream| stream.guest.is_some());
        guest.map_or_else(|| self.version_for(to), |stream| stream.version)
    }
}
