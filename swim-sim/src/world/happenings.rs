//! What befalls the world: the schedule of faults at work.

use std::net::SocketAddr;

use bytes::Bytes;

use super::World;
use super::driving::{Given, Order};
use crate::faults::{Crash, Fault, Restart, Timed};
use crate::medium::Due;
use crate::messaging::LinkCut;
use crate::network::{Cut, Network, nanos};
use crate::observe::{Command, Observation, Slot};
use crate::process::{Held, Hold, Process};

/// A fault of the schedule that has begun: what must be undone at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Active {
    /// Not begun, or over, or nothing to undo.
    No,
    Paused {
        slot: u32,
        boot: u32,
    },
    Blocked {
        slot: u32,
        boot: u32,
    },
    Slowed {
        slot: u32,
    },
    Cut {
        cut: usize,
        on: bool,
        until: u64,
    },
    Link {
        host: u32,
    },
    Stalled {
        slot: u32,
    },
    Lossy {
        slot: u32,
    },
    SlowReader {
        slot: u32,
    },
}

impl World {
    /// Puts the schedule on the agenda.
    pub(super) fn schedule_faults(&mut self) {
        for index in 0..self.scenario.schedule.len() {
            let at = nanos(self.scenario.schedule[index].at);
            self.medium.agenda.add(at, Due::Fault { index: index as u32 });
            self.active.push(Active::No);
        }
    }

    /// Adds to the schedule what is to happen now, or at a later time.
    pub fn inject(&mut self, timed: Timed) {
        let at = nanos(timed.at).max(self.medium.now);
        self.scenario.schedule.push(timed);
        self.active.push(Active::No);
        self.medium.agenda.add(at, Due::Fault { index: self.active.len() as u32 - 1 });
    }

    /// Lets a datagram arrive at a slot's host that no node sent: whatever it says, and wherever it claims to be from.
    pub fn forge_datagram(&mut self, from: SocketAddr, to: u32, bytes: &[u8]) {
        self.observe(Observation::Injected { packet: bytes });
        let host = self.processes[to as usize].host;
        self.medium.trace.bytes(self.medium.now, to, "forged", bytes);
        self.medium.forge_datagram(self.medium.now, from, host, bytes);
    }

    pub(super) fn fault_begins(&mut self, index: u32) {
        if self.faults_stopped {
            return;
        }
        self.faults_begun = true;
        let now = self.medium.now;
        let fault = self.scenario.schedule[index as usize].fault.clone();
        self.medium.trace.words(now, u32::MAX, fault.kind(), &[u64::from(index)]);
        if self.medium.trace.has_lines() {
            self.medium.trace.line(now, format_args!("-- {fault:?}"));
        }
        let end = now + nanos(fault.lasting());
        let mut active = Active::No;
        match fault {
            Fault::Crash { slot, how } => self.crash(slot, how),
            Fault::Restart { slot, how } => self.restart(slot, how),
            Fault::Pause { slot, .. } if self.processes[slot as usize].is_up() => {
                active = Active::Paused { slot, boot: self.processes[slot as usize].boot };
                self.hold(slot, |process| &mut process.paused);
            }
            Fault::Block { slot, .. } if self.processes[slot as usize].is_up() => {
                active = Active::Blocked { slot, boot: self.processes[slot as usize].boot };
                self.hold(slot, |process| &mut process.blocked);
            }
            Fault::Pause { .. } | Fault::Block { .. } => {}
            Fault::Slow { slot, each, .. } => {
                // Of the host, whatever process runs there: one that is started meanwhile is slow as well.
                active = Active::Slowed { slot };
                self.processes[slot as usize].each = nanos(each);
                self.hold(slot, |process| &mut process.slowed);
            }
            Fault::TakeAddress { slot, of } => self.take_address(slot, of),
            Fault::Partition { partition, flips, .. } => {
                let cut = self.medium.links.add_cut(Cut::new(&partition, self.processes.len() as u32));
                self.medium.links.switch_cut(now, cut, true);
                self.observe(Observation::LinksChanged);
                active = Active::Cut { cut, on: true, until: end };
                if let Some(flips) = flips {
                    self.medium.agenda.add(now + nanos(flips).max(1), Due::Flip { index });
                }
            }
            Fault::Link { slot, fault, .. } => {
                let host = self.processes[slot as usize].host;
                // A slot whose host is another's by now has no link.
                if self.medium.holder(host) == slot {
                    active = Active::Link { host };
                    self.medium.links.add_fault(now, host, index, fault);
                    self.observe(Observation::LinksChanged);
                }
            }
            Fault::BreakStreams { slot } => {
                for (_, end) in self.processes[slot as usize].streams.clone() {
                    self.streams.break_both(&mut self.medium, end);
                }
                self.cut_links(slot, LinkCut::Broken);
            }
            Fault::Network(network) => {
                self.medium.links.set_network(now, *network);
                self.observe(Observation::LinksChanged);
            }
            Fault::Leave { slot } => self.leave(slot),
            Fault::Join { slot } => {
                if self.processes[slot as usize].takes_input() {
                    self.command_join(slot);
                }
            }
            Fault::Metadata { slot, len } => {
                let content = self.chance.bits() as u8;
                let metadata = Bytes::from(vec![content; len.into()]);
                self.command(slot, Command::SetMetadata, Order::SetMetadata(metadata));
            }
            Fault::ForceLeave { slot, member } => {
                let member = self.processes[member as usize].id;
                self.command(slot, Command::ForceLeave(member), Order::ForceLeave(member));
            }
            Fault::CutLinks { slot, how } => self.cut_links(slot, how),
            Fault::StallLinks { slot, .. } => {
                active = Active::Stalled { slot };
                self.befalls(slot).stalled.reasons += 1;
            }
            Fault::LossyLinks { slot, how, .. } => {
                active = Active::Lossy { slot };
                self.befalls(slot).lossy.push((index, how));
            }
            Fault::SlowReader { slot, each, .. } => {
                active = Active::SlowReader { slot };
                self.befalls(slot).reads.push((index, each.map(nanos)));
            }
        }
        if active != Active::No {
            self.active[index as usize] = active;
            self.medium.agenda.add(end, Due::FaultEnd { index });
        }
    }

    /// A process of whose links or whose application something is about to change.
    fn befalls(&mut self, slot: u32) -> &mut Process {
        let process = &mut self.processes[slot as usize];
        process.befallen = self.medium.now;
        process
    }

    /// An application asks its node for something, unless it cannot just now.
    pub(super) fn command(&mut self, slot: u32, command: Command, order: Order<'_>) {
        if self.processes[slot as usize].takes_input() {
            self.give(slot, Given::Command(command, order));
        }
    }

    fn leave(&mut self, slot: u32) {
        let process = &mut self.processes[slot as usize];
        if process.takes_input() && process.member {
            process.member = false;
            self.measure.departed(self.medium.now, slot);
            self.give(slot, Given::Command(Command::Leave, Order::Leave));
        }
    }

    pub(super) fn fault_ends(&mut self, index: u32) {
        match core::mem::replace(&mut self.active[index as usize], Active::No) {
            Active::No => {}
            Active::Paused { slot, boot } if self.runs_as(slot, boot) => {
                self.let_go(slot, |process| &mut process.paused)
            }
            Active::Blocked { slot, boot } if self.runs_as(slot, boot) => {
                self.let_go(slot, |process| &mut process.blocked);
            }
            Active::Paused { .. } | Active::Blocked { .. } => {}
            Active::Slowed { slot } => self.let_go(slot, |process| &mut process.slowed),
            Active::Cut { cut, .. } => {
                self.medium.links.switch_cut(self.medium.now, cut, false);
                self.observe(Observation::LinksChanged);
            }
            Active::Link { host } => {
                self.medium.links.end_fault(self.medium.now, host, index);
                self.observe(Observation::LinksChanged);
            }
            Active::Stalled { slot } => {
                let stalled = &mut self.befalls(slot).stalled;
                stalled.reasons = stalled.reasons.saturating_sub(1);
                self.messenger_catches_up(slot);
            }
            Active::Lossy { slot } => self.befalls(slot).lossy.retain(|&(of, _)| of != index),
            Active::SlowReader { slot } => {
                self.befalls(slot).reads.retain(|&(of, _)| of != index);
                self.messenger_catches_up(slot);
            }
        }
    }

    pub(super) fn fault_flips(&mut self, index: u32) {
        let Active::Cut { cut, on, until } = self.active[index as usize] else { return };
        let Fault::Partition { flips: Some(flips), .. } = self.scenario.schedule[index as usize].fault else { return };
        self.active[index as usize] = Active::Cut { cut, on: !on, until };
        self.medium.links.switch_cut(self.medium.now, cut, !on);
        self.observe(Observation::LinksChanged);
        let next = self.medium.now + nanos(flips).max(1);
        if next < until {
            self.medium.agenda.add(next, Due::Flip { index });
        }
    }

    /// A process ends.
    pub(super) fn crash(&mut self, slot: u32, how: Crash) {
        let process = &mut self.processes[slot as usize];
        let Some(machine) = process.machine.take() else { return };
        let now = self.medium.now;
        // What a process that keeps its life on disk would find there.
        process.life = process.life.max(machine.view().local().incarnation.life);
        process.condition_since = now;
        process.wake = u64::MAX;
        let was_member = core::mem::replace(&mut process.member, false);
        for packet in process.inbox.drain(..) {
            self.medium.packets.end(packet);
        }
        process.inbox_bytes = 0;
        for held in core::mem::take(&mut process.held) {
            self.forget(held);
        }
        self.end_messenger(slot, how);
        let process = &mut self.processes[slot as usize];
        process.held_bytes = 0;
        for (_, end) in core::mem::take(&mut process.streams) {
            match how {
                Crash::Process => self.streams.reset(&mut self.medium, end),
                Crash::Host => self.streams.vanish(&mut self.medium, end),
            }
        }
        if how == Crash::Host {
            self.medium.take_down(self.processes[slot as usize].host, slot);
        }
        let id = self.processes[slot as usize].id;
        if was_member {
            let holders = self.holders_of(slot);
            self.measure.crashed(now, slot, id, holders);
        }
        self.measure.departed(now, slot);
        self.observe(Observation::Stopped { slot: Slot(slot) });
    }

    fn forget(&mut self, held: Held) {
        if let Held::Datagram(packet) | Held::Write { packet, .. } = held {
            self.medium.packets.end(packet);
        }
    }

    /// Who holds this slot's member live.
    fn holders_of(&self, slot: u32) -> Vec<bool> {
        let id = self.processes[slot as usize].id;
        let holds = |process: &Process| {
            let member = process.machine.as_ref().and_then(|machine| machine.view().member(id));
            member.is_some_and(|member| member.state.is_live())
        };
        self.processes.iter().map(holds).collect()
    }

    fn restart(&mut self, slot: u32, how: Restart) {
        let killed = if how == Restart::NewAddress { Crash::Host } else { Crash::Process };
        self.close_perhaps(slot);
        self.crash(slot, killed);
        let now = self.medium.now;
        let last = self.processes[slot as usize].life;
        let clock = 1 + now / 1_000_000;
        let life = match how {
            Restart::WithState => last + 1,
            // Two starts in one millisecond must not share a life.
            Restart::WithoutState | Restart::NewAddress | Restart::WithoutEndpoint => clock.max(last + 1),
            Restart::ClockBack => last.saturating_sub(self.chance.between(1, 10_000)).max(1),
        };
        if how == Restart::NewAddress {
            self.medium.take_down(self.processes[slot as usize].host, slot);
            let host = self.medium.add_host(slot, self.seeds);
            self.processes[slot as usize].host = host;
        }
        self.processes[slot as usize].withdrawn = how == Restart::WithoutEndpoint;
        self.measure.returned(slot);
        self.start(slot, life);
    }

    /// A process moves to the address that another slot's process had, unless somebody still runs there.
    fn take_address(&mut self, slot: u32, of: u32) {
        let host = self.processes[of as usize].host;
        let holder = &self.processes[self.medium.holder(host) as usize];
        if slot == of || holder.is_up() && holder.host == host {
            return;
        }
        self.crash(slot, Crash::Host);
        self.medium.take_down(self.processes[slot as usize].host, slot);
        self.medium.set_slot(host, slot);
        self.processes[slot as usize].host = host;
        self.processes[slot as usize].withdrawn = false;
        let clock = 1 + self.medium.now / 1_000_000;
        let life = clock.max(self.processes[slot as usize].life + 1);
        self.measure.returned(slot);
        self.start(slot, life);
    }

    fn hold(&mut self, slot: u32, which: impl Fn(&mut Process) -> &mut Hold) {
        let now = self.medium.now;
        let process = &mut self.processes[slot as usize];
        let before = process.condition();
        which(process).reasons += 1;
        if process.condition() != before {
            process.condition_since = now;
            self.observe(Observation::ConditionChanged { slot: Slot(slot) });
        }
    }

    /// Whether the slot's process is up, and this one.
    fn runs_as(&self, slot: u32, boot: u32) -> bool {
        let process = &self.processes[slot as usize];
        process.is_up() && process.boot == boot
    }

    fn let_go(&mut self, slot: u32, which: impl Fn(&mut Process) -> &mut Hold) {
        let now = self.medium.now;
        let process = &mut self.processes[slot as usize];
        let before = process.condition();
        let hold = which(process);
        hold.reasons = hold.reasons.saturating_sub(1);
        if !process.slowed.is_on() {
            process.each = 0;
        }
        if process.condition() != before {
            process.condition_since = now;
            self.observe(Observation::ConditionChanged { slot: Slot(slot) });
        }
        self.catch_up(slot);
    }

    /// What waited happens now, in the order of a driver's loop: what was to be sent, then input, then timers.
    pub(super) fn catch_up(&mut self, slot: u32) {
        let at = slot as usize;
        while self.processes[at].takes_input()
            && let Some(held) = self.processes[at].held.pop_front()
        {
            self.release(slot, held);
        }
        self.messenger_catches_up(slot);
        // One turn after the other, until it is busy again or nothing waits.
        let mut datagram = Vec::new();
        loop {
            self.read_datagrams(slot);
            while self.processes[at].takes_datagram()
                && let Some(from) = self.processes[at].backlog.pop(&mut datagram)
            {
                self.deliver_datagram(slot, from, &datagram);
            }
            let streams_wait = self.processes[at].inputs_taken >= self.processes[at].turn_budget();
            if self.processes[at].takes_input() && !streams_wait {
                self.tell_resolved(slot);
                self.forget_streams(slot);
                self.medium.pokes.extend(self.processes[at].streams.iter().map(|&(_, end)| end));
                self.tell_streams();
            }
            if self.processes[at].runs() {
                self.processes[at].begin_turn();
                self.tell_losses(slot);
                self.fire_timers(slot);
            }
            let process = &self.processes[at];
            let waits = streams_wait || !process.inbox.is_empty() || !process.backlog.is_empty();
            if !process.takes_input() || !waits {
                break;
            }
        }
    }

    /// Ends all faults: whoever is held up goes on, whoever is cut off is linked again. Nothing of the schedule that has
    /// not yet begun will. The network itself becomes another if `network` is given.
    pub fn stop_faults(&mut self, network: Option<Network>) {
        for index in 0..self.active.len() {
            self.fault_ends(index as u32);
        }
        self.faults_stopped = true;
        self.medium.links.heal(self.medium.now);
        if let Some(network) = network {
            self.medium.links.set_network(self.medium.now, network);
        }
        self.observe(Observation::LinksChanged);
        let lossless = self.medium.links.network().is_lossless();
        self.observe(Observation::FaultsStopped { lossless });
        self.tell_streams();
    }
}
