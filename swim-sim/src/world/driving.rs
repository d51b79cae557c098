//! Driving one node: an input, its actions, its deadline.

use std::net::SocketAddr;

use bytes::Bytes;
use swim_proto::{Action, Cause, Event, Instant, NodeId, SeedId, StreamId, StreamInput, Way};

use super::World;
use crate::medium::Due;
use crate::observe::{Command, Condition, Input, Observation, Said, Slot};
use crate::packets::PacketKind;
use crate::process::{Held, Process, RECEIVE_OVERHEAD, SEND_BUFFER};
use crate::streams::EndId;

/// How long looking up a name takes.
pub(super) const RESOLVE_TIME: u64 = 1_000_000;

/// What a node is given.
pub(super) enum Given<'a> {
    Datagram { from: SocketAddr, bytes: &'a [u8] },
    Accept { from: SocketAddr, end: EndId },
    Stream { stream: StreamId, input: StreamInput<'a> },
    Resolved { seed: SeedId, addresses: &'a [SocketAddr] },
    Timeout,
    Lost(u64),
    Command(Command, Order<'a>),
}

/// What an application wants, with all it takes.
pub(super) enum Order<'a> {
    Join(&'a [SeedId]),
    Leave,
    SetMetadata(Bytes),
    ForceLeave(NodeId),
    Broadcast(Bytes),
    Message { to: NodeId, payload: Bytes, by: Way },
}

/// What an application said and its node took.
enum Spoken {
    /// To all, under this number of the life that it had.
    ToAll { life: u64, sequence: u64, payload: Bytes },
    /// To this one.
    ToOne(NodeId, Bytes),
}

impl<'a> Given<'a> {
    fn observed(&self) -> Input<'a> {
        match *self {
            Given::Datagram { from, bytes } => Input::Datagram { from, bytes },
            Given::Stream { stream, input: StreamInput::Data(bytes) } => Input::StreamData { stream, bytes },
            Given::Accept { .. } | Given::Stream { .. } => Input::StreamMoved,
            Given::Resolved { .. } => Input::Resolved,
            Given::Timeout => Input::Timeout,
            Given::Lost(_) => Input::Lost,
            Given::Command(command, _) => Input::Command(command),
        }
    }
}

impl World {
    /// Gives a node an input, does what it then wants done, and sees to its deadline.
    pub(super) fn give(&mut self, slot: u32, given: Given<'_>) {
        if self.violation.is_some() {
            return;
        }
        let input = given.observed();
        self.observe(Observation::Input { slot: Slot(slot), input });
        let process = &mut self.processes[slot as usize];
        let now = process.clock.shows(self.medium.now);
        process.local_now = now;
        let Some(machine) = &mut process.machine else { return };
        let node = machine.driven();
        let is_said = given.is_said();
        let mut said = None;
        match given {
            // Refused packets are counted by the node.
            Given::Datagram { from, bytes } => drop(node.handle_datagram(now, from, bytes)),
            Given::Accept { from, end } => match node.accept_stream(now, from) {
                Some(stream) => {
                    self.streams.accepted(end, stream);
                    if let Some(entry) = process.streams.iter_mut().find(|(_, id)| *id == end) {
                        entry.0 = Some(stream);
                    }
                }
                None => {
                    process.streams.retain(|&(_, id)| id != end);
                    self.streams.reset(&mut self.medium, end);
                }
            },
            Given::Stream { stream, input } => node.handle_stream(now, stream, input),
            Given::Resolved { seed, addresses } => node.handle_resolved(now, seed, addresses),
            Given::Timeout => node.handle_timeout(now),
            Given::Lost(datagrams) => node.report_loss(now, datagrams),
            // A refused command changes nothing, which is what its application then sees.
            Given::Command(_, Order::Join(seeds)) => drop(node.join(now, seeds)),
            Given::Command(_, Order::Leave) => drop(node.leave(now)),
            Given::Command(_, Order::SetMetadata(metadata)) => drop(node.set_metadata(now, metadata)),
            Given::Command(_, Order::ForceLeave(member)) => drop(node.force_leave(now, member)),
            Given::Command(_, Order::Broadcast(payload)) => {
                let life = node.local().incarnation.life;
                said =
                    node.broadcast(now, payload.clone()).ok().map(|sequence| Spoken::ToAll { life, sequence, payload });
            }
            Given::Command(_, Order::Message { to, payload, by }) => {
                said = node.send_message(now, to, payload.clone(), by).ok().map(|()| Spoken::ToOne(to, payload));
            }
        }
        match &said {
            &Some(Spoken::ToAll { life, sequence, ref payload }) => {
                self.has_said(slot, Said::Broadcast { life, sequence, payload });
            }
            &Some(Spoken::ToOne(to, ref payload)) => self.has_said(slot, Said::Message { to, payload }),
            None if is_said => self.has_refused(),
            None => {}
        }
        self.processes[slot as usize].sent = 0;
        self.drain(slot);
        self.keep_busy(slot, input);
    }

    /// An input, and what it has a slow process send, keeps it busy for a while.
    fn keep_busy(&mut self, slot: u32, input: Input<'_>) {
        let process = &mut self.processes[slot as usize];
        let costs = !matches!(input, Input::Lost);
        if process.each > 0 && process.is_up() && !process.busy && costs {
            process.busy = true;
            match input {
                Input::Lost => {}
                Input::Datagram { .. } => process.datagrams_taken += 1,
                Input::Timeout => process.begin_turn(),
                Input::StreamData { .. } | Input::StreamMoved | Input::Resolved | Input::Command(_) => {
                    process.inputs_taken += 1;
                }
            }
            let lasting = process.each * u64::from(1 + process.sent);
            self.medium.agenda.add(self.medium.now + lasting, Due::Idle { slot, boot: process.boot });
        }
    }

    /// A slow process is through with an input and takes up the next thing.
    pub(super) fn idle(&mut self, slot: u32, boot: u32) {
        let process = &mut self.processes[slot as usize];
        if process.boot == boot {
            process.busy = false;
            self.catch_up(slot);
        }
    }

    /// Does what a node wants done, until it wants nothing more.
    pub(super) fn drain(&mut self, slot: u32) {
        let mut buffer = core::mem::take(&mut self.buffer);
        while let Some(machine) = &mut self.processes[slot as usize].machine
            && let Some(action) = machine.driven().poll_action(&mut buffer)
        {
            self.act(slot, action);
        }
        self.buffer = buffer;
        self.schedule_wake(slot, self.medium.now);
        self.tell_life(slot);
        self.count_view(slot);
        self.observe(Observation::Settled { slot: Slot(slot) });
    }

    fn act(&mut self, slot: u32, action: Action<'_>) {
        let now = self.medium.now;
        let blocked = self.processes[slot as usize].blocked.is_on();
        let sends = matches!(action, Action::Transmit { .. } | Action::Write { .. } | Action::Connect { .. });
        self.processes[slot as usize].sent += u32::from(sends);
        match action {
            Action::Transmit { to, datagram } => {
                self.medium.trace.bytes(now, slot, "transmit", datagram);
                self.observe(Observation::Transmit { slot: Slot(slot), to, bytes: datagram });
                if blocked {
                    self.hold_datagram(slot, to, datagram);
                } else {
                    self.medium.send_datagram(self.processes[slot as usize].host, to, datagram);
                }
            }
            Action::Write { stream, bytes } => {
                self.medium.trace.bytes(now, slot, "write", bytes);
                self.observe(Observation::StreamWrite { slot: Slot(slot), stream, bytes });
                if blocked {
                    let source = self.medium.address(self.processes[slot as usize].host);
                    let packet = self.medium.packets.add(0, 0, source, PacketKind::Datagram, bytes);
                    self.processes[slot as usize].held.push_back(Held::Write { stream, packet });
                } else if let Some(end) = self.processes[slot as usize].end_of(stream) {
                    self.streams.write(&mut self.medium, end, bytes);
                }
            }
            Action::Connect { stream, to } => {
                self.medium.trace.words(now, slot, "connect", &[stream.0]);
                self.observe(Observation::StreamConnect { slot: Slot(slot), stream, to });
                self.held_or(slot, Held::Connect { stream, to });
            }
            Action::Finish { stream } => {
                self.medium.trace.words(now, slot, "finish", &[stream.0]);
                self.held_or(slot, Held::Finish { stream });
            }
            Action::Reset { stream } => {
                self.medium.trace.words(now, slot, "reset", &[stream.0]);
                self.observe(Observation::StreamClosed { slot: Slot(slot), stream });
                self.held_or(slot, Held::Reset { stream });
            }
            Action::Resolve { seed } => {
                self.medium.trace.words(now, slot, "resolve", &[u64::from(seed.0)]);
                self.held_or(slot, Held::Resolve { seed });
            }
            Action::Event(event) => self.told(slot, event),
        }
    }

    /// An application is told something.
    fn told(&mut self, slot: u32, event: Event<'_>) {
        self.medium.trace.event(self.medium.now, slot, &event);
        if let Event::Died(change) = &event
            && let Cause::SuspicionExpired { since, .. } = change.cause
            && let Some(&member) = self.slots.get(&change.member.id)
        {
            self.declared_dead(slot, member, since, change.member.incarnation.life);
        }
        match &event {
            &Event::Broadcast { origin, life, sequence, .. } => {
                let boot = self.processes[slot as usize].boot;
                self.measure.said.told_broadcast(self.medium.now, (origin, life, sequence), slot, boot);
            }
            Event::Message { from, payload } => {
                let to = self.processes[slot as usize].id;
                self.measure.said.told_message(self.medium.now, *from, to, payload);
            }
            _ => {}
        }
        if let Event::Suspected(change) = &event
            && let Some(&member) = self.slots.get(&change.member.id)
        {
            let of = &self.processes[member as usize];
            let up = of.machine.as_ref().is_some_and(|machine| {
                of.member && machine.view().local().incarnation.life == change.member.incarnation.life
            });
            self.measure.suspected(up);
        }
        self.observe(Observation::Event { slot: Slot(slot), event });
        self.tell_messenger(slot, &event);
    }

    /// A node's own suspicion of a member ran out. Was it right?
    fn declared_dead(&mut self, accuser: u32, member: u32, since: Instant, life: u64) {
        let (by, of) = (&self.processes[accuser as usize], &self.processes[member as usize]);
        let lives = of.machine.as_ref().is_some_and(|machine| machine.view().local().incarnation.life == life);
        if !lives || !of.member {
            return;
        }
        let since = by.clock.time_of(since);
        let well = |process: &Process| process.condition() == Condition::Running && process.condition_since <= since;
        let linked = self.medium.links.linked_since(by.host, of.host).is_some_and(|linked| linked <= since);
        self.measure.buried_alive(well(by) && well(of) && linked);
    }

    fn held_or(&mut self, slot: u32, held: Held) {
        if self.processes[slot as usize].blocked.is_on() {
            self.processes[slot as usize].held.push_back(held);
        } else {
            self.release(slot, held);
        }
    }

    /// Does what was held back, or would have been.
    pub(super) fn release(&mut self, slot: u32, held: Held) {
        let process = &mut self.processes[slot as usize];
        match held {
            Held::Datagram(packet) => {
                let bytes = self.medium.packets.take_bytes(packet);
                let (host, to) = (process.host, self.medium.address(self.medium.packets.at(packet).to));
                process.held_bytes -= bytes.len() + RECEIVE_OVERHEAD;
                self.medium.send_datagram(host, to, &bytes);
                self.medium.packets.put_back(packet, bytes);
            }
            Held::Write { stream, packet } => {
                let bytes = self.medium.packets.take_bytes(packet);
                if let Some(end) = process.end_of(stream) {
                    self.streams.write(&mut self.medium, end, &bytes);
                }
                self.medium.packets.put_back(packet, bytes);
            }
            Held::Connect { stream, to } => {
                let host = self.medium.host_at(to);
                let end = self.streams.connect(&mut self.medium, process.owner(slot), stream, host);
                process.streams.push((Some(stream), end));
            }
            Held::Finish { stream } => {
                if let Some(end) = process.end_of(stream) {
                    self.streams.finish(&mut self.medium, end);
                }
            }
            Held::Reset { stream } => {
                if let Some(end) = process.end_of(stream) {
                    process.streams.retain(|&(_, id)| id != end);
                    self.streams.reset(&mut self.medium, end);
                }
            }
            Held::Resolve { seed } => {
                let due = Due::Resolved { slot, boot: process.boot, seed };
                self.medium.agenda.add(self.medium.now + RESOLVE_TIME, due);
            }
        }
    }

    /// Keeps a datagram that blocked I/O does not send yet; one too many is lost.
    fn hold_datagram(&mut self, slot: u32, to: SocketAddr, bytes: &[u8]) {
        let process = &mut self.processes[slot as usize];
        let size = bytes.len() + RECEIVE_OVERHEAD;
        if let Some(to) = self.medium.host_at(to)
            && process.held_bytes + size <= SEND_BUFFER
        {
            let source = self.medium.address(process.host);
            let packet = self.medium.packets.add(process.host, to, source, PacketKind::Datagram, bytes);
            process.held.push_back(Held::Datagram(packet));
            process.held_bytes += size;
        }
    }

    /// Makes sure that the agenda holds an entry no later than the node's deadline.
    pub(super) fn schedule_wake(&mut self, slot: u32, earliest: u64) {
        let process = &mut self.processes[slot as usize];
        if !process.runs() {
            return;
        }
        if let Some(machine) = &process.machine
            && let Some(deadline) = machine.view().deadline()
        {
            let time = process.clock.time_of(deadline).max(earliest);
            if time < process.wake {
                process.wake = time;
                self.medium.agenda.add(time, Due::Wake { slot });
            }
        }
    }

    /// A node's entry in the agenda came up.
    pub(super) fn wake(&mut self, slot: u32) {
        let process = &mut self.processes[slot as usize];
        if process.wake != self.medium.now {
            return; // Replaced by an earlier one, or of a process that is gone.
        }
        process.wake = u64::MAX;
        if process.runs() {
            self.fire_timers(slot);
        }
    }

    /// Lets a node's timers fire if its deadline has come.
    pub(super) fn fire_timers(&mut self, slot: u32) {
        let process = &self.processes[slot as usize];
        let Some(deadline) = process.machine.as_ref().and_then(|machine| machine.view().deadline()) else { return };
        if deadline <= process.clock.shows(self.medium.now) {
            self.medium.trace.words(self.medium.now, slot, "timeout", &[]);
            self.give(slot, Given::Timeout);
            // A node that broke its contract and wants to be woken at once is woken a little later.
            let process = &mut self.processes[slot as usize];
            if process.wake == self.medium.now {
                process.wake = u64::MAX;
                self.schedule_wake(slot, self.medium.now + 1_000_000);
            }
        } else {
            self.schedule_wake(slot, self.medium.now);
        }
    }
}
