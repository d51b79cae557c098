//! Driving one messenger: an input, its actions, its deadline; and the streams under its links.
//!
//! As with nodes: an input, then actions until there are none, then the deadline (`docs/messaging.md`, the contract).
//! News of the membership comes at once, since node and messenger share a process; packets come from streams, which wait
//! while the process is held up.

use std::net::SocketAddr;

use swim_proto::messaging::{Action, Event, LinkId, LinkInput, LocalPeer, MessageId, Messenger, Outgoing, Receipt};
use swim_proto::{ClusterHash, Event as NodeEvent, StreamId};

use super::World;
use crate::faults::Crash;
use crate::medium::Due;
use crate::messaging::{Chore, LinkCut, LinkEnd, MessengerMaker, Office, Parts};
use crate::network::{Carried, nanos};
use crate::observe::{Observation, Post, Posted, Slot};
use crate::seeds::Purpose;
use crate::streams::{Arrived, EndId, Listening, Moved, Port, Segment, StreamNews};

/// What a messenger is given.
pub(super) enum Letter<'a> {
    Member(&'a NodeEvent<'a>),
    Life(u64),
    Incoming { from: SocketAddr, end: EndId },
    Link { link: LinkId, input: LinkInput<'a> },
    Timeout,
    Send(Outgoing),
    Cancel(MessageId),
    Take { processed: bool },
    Acknowledge(Receipt),
    Close,
}

impl<'a> Letter<'a> {
    fn observed(&'a self) -> Posted<'a> {
        match *self {
            Letter::Member(event) => Posted::Member(event),
            Letter::Life(life) => Posted::Life(life),
            Letter::Incoming { .. } => Posted::Incoming,
            Letter::Link { link, input } => match input {
                LinkInput::Up => Posted::Up(link),
                LinkInput::Packet(parts) => Posted::Packet { link, parts },
                LinkInput::Full => Posted::Full(link),
                LinkInput::Writable => Posted::Writable(link),
                LinkInput::Down => Posted::Down(link),
            },
            Letter::Timeout => Posted::Timeout,
            Letter::Send(_) | Letter::Cancel(_) | Letter::Take { .. } | Letter::Acknowledge(_) => Posted::Command,
            Letter::Close => Posted::Close,
        }
    }
}

impl World {
    /// Has `make` say what takes a messenger's place, from now on.
    pub fn set_messenger_maker(&mut self, make: MessengerMaker) {
        self.messenger_maker = Some(make);
    }

    /// Makes the messenger of a process that is just being started.
    pub(super) fn start_messenger(&mut self, slot: u32) {
        if self.scenario.workload.reliable.is_none() {
            return;
        }
        let process = &self.processes[slot as usize];
        let local =
            LocalPeer { id: process.id, life: process.life, cluster: ClusterHash::of(&self.scenario.config.cluster) };
        let seed = self.seeds.derive(Purpose::Messaging, 1 << 63 | u64::from(slot) << 32 | u64::from(process.boot));
        let (now, config) = (process.local_now, self.scenario.messaging_of(slot, process.boot).clone());
        let life = process.life;
        let messenger = Messenger::new(now, local, config, seed).expect("the settings were validated");
        let machine = match &mut self.messenger_maker {
            Some(make) => make(Slot(slot), messenger),
            None => Box::new(messenger),
        };
        self.processes[slot as usize].office = Some(Office::new(machine, life, now));
        self.observe_post(slot, Post::Made);
    }

    pub(super) fn observe_post(&mut self, slot: u32, post: Post<'_>) {
        self.observe(Observation::Post { slot: Slot(slot), post });
    }

    /// Gives a messenger an input, does what it then wants done, and sees to its deadline. `false`: what was asked was
    /// refused, or there is none.
    pub(super) fn post(&mut self, slot: u32, letter: Letter<'_>) -> bool {
        if self.violation.is_some() {
            return false;
        }
        let shown = self.processes[slot as usize].clock.shows(self.medium.now);
        let Some(office) = &mut self.processes[slot as usize].office else { return false };
        let now = shown.max(office.local_now);
        (office.local_now, office.sent) = (now, 0);
        self.observe_post(slot, Post::Given(letter.observed()));
        let Some(office) = &mut self.processes[slot as usize].office else { return false };
        let machine = &mut office.machine;
        let mut done = true;
        match letter {
            Letter::Member(event) => machine.handle_event(now, event),
            Letter::Life(life) => machine.set_life(now, life),
            Letter::Incoming { from, end } => {
                let link = machine.accept_link(now, from);
                done = link.is_some();
                self.accepted_link(slot, end, link);
                self.observe_post(slot, Post::Incoming { link, from });
            }
            Letter::Link { link, input } => machine.handle_link(now, link, input),
            Letter::Timeout => machine.handle_timeout(now),
            Letter::Send(message) => match machine.send(now, message.clone()) {
                Ok(id) => {
                    self.letter_accepted(slot, id, &message);
                    self.observe_post(slot, Post::Accepted { id, message: &message });
                }
                Err(error) => {
                    done = false;
                    self.measure.letters.refused(&error);
                    self.observe_post(slot, Post::Refused { message: &message, error });
                }
            },
            Letter::Cancel(id) => {
                done = machine.cancel(now, id).is_ok();
                self.observe_post(slot, Post::Cancelled { id, found: done });
            }
            Letter::Take { processed } => {
                let received = if processed { machine.take(now) } else { machine.take_unacknowledged(now) };
                done = received.is_some();
                if let Some(received) = received {
                    self.observe_post(slot, Post::Took { received: &received, processed });
                    self.letter_taken(slot, &received, processed);
                }
            }
            Letter::Acknowledge(receipt) => {
                done = machine.acknowledge(now, receipt).is_ok();
                self.observe_post(slot, Post::Acknowledged { receipt, found: done });
            }
            Letter::Close => machine.close(now),
        }
        self.drain_messenger(slot);
        done
    }

    /// Does what a messenger wants done, until it wants nothing more.
    fn drain_messenger(&mut self, slot: u32) {
        let mut buffer = Vec::new();
        while let Some(office) = &mut self.processes[slot as usize].office
            && let Some(action) = office.machine.poll_action(&mut buffer)
        {
            self.messenger_acts(slot, action);
        }
        self.schedule_post(slot, self.medium.now);
        self.observe_post(slot, Post::Settled);
    }

    fn messenger_acts(&mut self, slot: u32, action: Action<'_>) {
        let now = self.medium.now;
        match action {
            Action::Open { link, peer, to } => {
                self.medium.trace.words(now, slot, "open link", &[link.0, peer.as_u64()]);
                self.medium.trace.line(now, format_args!("n{slot} opens link {} to {to}", link.0));
                self.observe_post(slot, Post::Open { link, peer, to });
                if let Some(office) = &mut self.processes[slot as usize].office {
                    office.links.push(LinkEnd::new(Some(link), None, Some(to)));
                }
                self.connect_link(slot, link);
            }
            Action::Send { link, header, payload } => {
                self.medium.trace.bytes(now, slot, "packet", header);
                if let Some(payload) = &payload {
                    self.medium.trace.bytes(now, slot, "payload", payload);
                }
                self.observe_post(slot, Post::Send { link, header, payload: payload.as_ref() });
                self.write_link(slot, link, header, payload.as_deref());
            }
            Action::Close { link } => {
                self.medium.trace.words(now, slot, "close link", &[link.0]);
                self.medium.trace.line(now, format_args!("n{slot} closes link {}", link.0));
                self.observe_post(slot, Post::Close { link });
                self.close_link(slot, link);
            }
            Action::Event(event) => {
                self.letter_event(slot, &event);
                self.observe_post(slot, Post::Event(event));
                if let Event::Readable = event {
                    self.readable(slot);
                }
            }
        }
    }

    /// Opens the stream of a link, unless I/O is blocked.
    fn connect_link(&mut self, slot: u32, link: LinkId) {
        let process = &mut self.processes[slot as usize];
        let (owner, blocked) = (process.owner(slot), process.blocked.is_on());
        let Some(entry) = process.office.as_mut().and_then(|office| office.link(link)) else { return };
        if let (Some(to), None, false) = (entry.to, entry.end, blocked) {
            let host = self.medium.host_at_endpoint(to);
            let at = (host, Port::Messages);
            entry.end = Some(self.streams.connect_at(&mut self.medium, owner, StreamId(link.0), at));
        }
    }

    /// Puts a packet in line on a link; what happens to its process's links may lose it or have it come twice.
    fn write_link(&mut self, slot: u32, link: LinkId, header: &[u8], payload: Option<&[u8]>) {
        let (mut lost, mut repeated) = (false, false);
        for &(_, lossy) in &self.processes[slot as usize].lossy {
            lost |= self.link_luck.happens(lossy.lost);
            repeated |= self.link_luck.happens(lossy.repeated);
        }
        let copies = if lost { 0 } else { 1 + u32::from(repeated) };
        let settings = self.scenario.links;
        let process = &mut self.processes[slot as usize];
        let blocked = process.blocked.is_on();
        let Some(office) = &mut process.office else { return };
        office.sent += 1;
        let Some(entry) = office.link(link) else { return };
        for _ in 0..copies {
            if let (Some(frame), Some(end)) = (entry.put(header, payload, blocked), entry.end) {
                self.streams.write(&mut self.medium, end, &frame);
            }
        }
        if entry.fills(settings) {
            let now = office.local_now;
            self.observe_post(slot, Post::Given(Posted::Full(link)));
            if let Some(office) = &mut self.processes[slot as usize].office {
                office.machine.handle_link(now, link, LinkInput::Full);
            }
        }
    }

    /// Closes a link: what was put on it leaves first, if it can soon enough.
    fn close_link(&mut self, slot: u32, link: LinkId) {
        let process = &mut self.processes[slot as usize];
        let boot = process.boot;
        let Some(office) = &mut process.office else { return };
        if let Some(LinkEnd { end: Some(end), .. }) = office.remove(link) {
            office.lingering.push(end);
            self.streams.finish(&mut self.medium, end);
            let at = self.medium.now + nanos(self.scenario.links.linger);
            self.medium.agenda.add(at, Due::Linger { slot, boot, end });
        }
    }

    /// A closed link has had its time.
    pub(super) fn lingered(&mut self, slot: u32, boot: u32, end: EndId) {
        let process = &mut self.processes[slot as usize];
        if process.boot == boot
            && let Some(office) = &mut process.office
            && let Some(at) = office.lingering.iter().position(|&lingering| lingering == end)
        {
            office.lingering.swap_remove(at);
            self.streams.reset(&mut self.medium, end);
        }
    }

    /// The messenger took in a link, or not.
    fn accepted_link(&mut self, slot: u32, end: EndId, link: Option<LinkId>) {
        let Some(office) = &mut self.processes[slot as usize].office else { return };
        match link {
            Some(link) => {
                self.streams.accepted(end, StreamId(link.0));
                if let Some(entry) = office.link_at(end) {
                    entry.link = Some(link);
                }
            }
            None => {
                office.links.retain(|entry| entry.end != Some(end));
                self.streams.reset(&mut self.medium, end);
            }
        }
    }

    /// A segment of a link's stream arrived at a host.
    pub(super) fn link_segment_arrived(&mut self, slot: u32, host: u32, segment: Segment) {
        let backlog = self.scenario.streams.backlog;
        let streams = &self.streams;
        let process = &mut self.processes[slot as usize];
        let (is_up, owner) = (process.is_up() && process.host == host, process.owner(slot));
        let withdrawn = process.withdrawn;
        let listening = match &mut process.office {
            Some(office) if is_up && !withdrawn => {
                if segment.head.carried == Carried::Syn {
                    let waits = |entry: &LinkEnd| entry.end.is_some_and(|end| streams.owner(end).is_some());
                    office.links.retain(|entry| entry.link.is_some() || waits(entry));
                }
                if office.backlog(streams) >= backlog { Listening::Full } else { Listening::Yes(owner) }
            }
            Some(_) | None => Listening::No,
        };
        if let Arrived::Opening(end) = self.streams.arrive(&mut self.medium, segment, listening)
            && let Some(office) = &mut self.processes[slot as usize].office
        {
            office.links.push(LinkEnd::new(None, Some(end), None));
        }
    }

    /// Tells a messenger what is new about one link.
    pub(super) fn tell_link(&mut self, slot: u32, end: EndId) {
        while self.processes[slot as usize].reads_links() {
            if let Some((link, parts)) = self.next_packet(slot, end) {
                self.medium.trace.words(self.medium.now, slot, "packet came", &[link.0]);
                self.give_link(slot, link, LinkInput::Packet(&parts));
                continue;
            }
            let Some(news) = self.streams.next_input(&mut self.medium, end) else { break };
            match news {
                StreamNews::Accept(from) => {
                    self.post(slot, Letter::Incoming { from, end });
                    self.keep_messenger_busy(slot);
                }
                StreamNews::Moved(StreamId(link), moved) => self.link_moved(slot, end, LinkId(link), moved),
            }
        }
        if self.streams.is_gone(end)
            && let Some(office) = &mut self.processes[slot as usize].office
        {
            office.lingering.retain(|&lingering| lingering != end);
        }
    }

    fn next_packet(&mut self, slot: u32, end: EndId) -> Option<(LinkId, Parts)> {
        let entry = self.processes[slot as usize].office.as_mut()?.link_at(end)?;
        Some((entry.link?, entry.next_packet()?))
    }

    fn link_moved(&mut self, slot: u32, end: EndId, link: LinkId, moved: Moved) {
        let settings = self.scenario.links;
        let known = self.processes[slot as usize].office.as_mut().and_then(|office| office.link_at(end));
        match (moved, known) {
            (Moved::Data(bytes), known) => {
                if let Some(entry) = known {
                    entry.came(&bytes);
                }
                self.streams.give_back(&mut self.medium, end, bytes);
            }
            (Moved::Connected, Some(_)) => {
                self.medium.trace.words(self.medium.now, slot, "link up", &[link.0]);
                self.give_link(slot, link, LinkInput::Up);
            }
            (Moved::Written(len), Some(entry)) => {
                entry.took(len);
                if entry.empties(settings) {
                    self.give_link(slot, link, LinkInput::Writable);
                }
            }
            (Moved::Finished | Moved::Failed, Some(_)) => {
                self.close_link(slot, link);
                self.medium.trace.words(self.medium.now, slot, "link down", &[link.0]);
                self.give_link(slot, link, LinkInput::Down);
            }
            // A link that was closed: it sends what it has left, and hears nothing.
            (Moved::Connected | Moved::Written(_) | Moved::Finished | Moved::Failed, None) => {}
        }
    }

    fn give_link(&mut self, slot: u32, link: LinkId, input: LinkInput<'_>) {
        self.post(slot, Letter::Link { link, input });
        self.keep_messenger_busy(slot);
    }

    /// An input, and what it has a slow process send, keeps its messenger busy for a while.
    fn keep_messenger_busy(&mut self, slot: u32) {
        let process = &mut self.processes[slot as usize];
        let (each, boot) = (process.each, process.boot);
        if let Some(office) = &mut process.office
            && each > 0
            && !office.busy
        {
            office.busy = true;
            let lasting = each * u64::from(1 + office.sent.min(8));
            self.medium.agenda.add(self.medium.now + lasting, Due::PostIdle { slot, boot });
        }
    }

    /// A slow process is through with an input of its messenger.
    pub(super) fn messenger_idle(&mut self, slot: u32, boot: u32) {
        let process = &mut self.processes[slot as usize];
        if process.boot == boot
            && let Some(office) = &mut process.office
        {
            office.busy = false;
            self.fire_post(slot);
            self.messenger_catches_up(slot);
        }
    }

    /// What waited for a messenger happens now.
    pub(super) fn messenger_catches_up(&mut self, slot: u32) {
        self.release_links(slot);
        self.forget_links(slot);
        if let Some(office) = &self.processes[slot as usize].office {
            let ends: Vec<EndId> =
                office.links.iter().filter_map(|link| link.end).chain(office.lingering.clone()).collect();
            for end in ends {
                if self.processes[slot as usize].reads_links() {
                    self.tell_link(slot, end);
                }
            }
        }
        self.fire_post(slot);
        self.read_on(slot);
    }

    /// Does what blocked I/O held back of links.
    fn release_links(&mut self, slot: u32) {
        let process = &self.processes[slot as usize];
        let Some(office) = process.office.as_ref().filter(|_| !process.blocked.is_on()) else { return };
        let links: Vec<LinkId> = office.links.iter().filter_map(|entry| entry.link).collect();
        for link in links {
            self.connect_link(slot, link);
            while let Some(entry) = self.processes[slot as usize].office.as_mut().and_then(|office| office.link(link))
                && let Some(end) = entry.end
                && let Some(frame) = entry.take_held()
            {
                self.streams.write(&mut self.medium, end, &frame);
            }
        }
    }

    /// Tells of links whose streams came to an end unheard.
    fn forget_links(&mut self, slot: u32) {
        while self.processes[slot as usize].reads_links()
            && let Some(office) = &mut self.processes[slot as usize].office
            && let streams = &self.streams
            && let Some(at) =
                office.links.iter().position(|entry| entry.end.is_some_and(|end| streams.owner(end).is_none()))
        {
            let entry = office.links.remove(at);
            if let Some(link) = entry.link {
                self.give_link(slot, link, LinkInput::Down);
            }
        }
    }

    /// Ends a process's links at once.
    pub(super) fn cut_links(&mut self, slot: u32, how: LinkCut) {
        self.processes[slot as usize].befallen = self.medium.now;
        let Some(office) = &self.processes[slot as usize].office else { return };
        let links: Vec<(LinkId, EndId, bool)> =
            office.links.iter().filter_map(|entry| Some((entry.link?, entry.end?, entry.to.is_some()))).collect();
        for (link, end, opened) in links {
            match how {
                LinkCut::Broken => self.streams.break_both(&mut self.medium, end),
                LinkCut::Abandoned { later } if opened && self.processes[slot as usize].reads_links() => {
                    let until = self.medium.now + nanos(later);
                    self.streams.hold_up(end, until);
                    self.close_link(slot, link);
                    // The kernel goes on for as long as it takes: nothing resets what it still has.
                    self.give_link(slot, link, LinkInput::Down);
                }
                LinkCut::Abandoned { .. } => {}
            }
        }
    }

    /// The process of a messenger ends.
    pub(super) fn end_messenger(&mut self, slot: u32, how: Crash) {
        let Some(office) = self.processes[slot as usize].office.take() else { return };
        self.measure.letters.ended(&office.machine.stats());
        for end in office.links.iter().filter_map(|link| link.end).chain(office.lingering) {
            match how {
                Crash::Process => self.streams.reset(&mut self.medium, end),
                Crash::Host => self.streams.vanish(&mut self.medium, end),
            }
        }
    }

    /// Tells a messenger what its node tells.
    pub(super) fn tell_messenger(&mut self, slot: u32, event: &NodeEvent<'_>) {
        self.post(slot, Letter::Member(event));
    }

    /// Tells a messenger that its member's life was raised.
    pub(super) fn tell_life(&mut self, slot: u32) {
        let process = &mut self.processes[slot as usize];
        let (Some(machine), Some(office)) = (&process.machine, &mut process.office) else { return };
        let life = machine.view().local().incarnation.life;
        if life > office.life {
            office.life = life;
            self.post(slot, Letter::Life(life));
        }
    }

    /// Makes sure that the agenda holds an entry no later than the messenger's deadline.
    pub(super) fn schedule_post(&mut self, slot: u32, earliest: u64) {
        let process = &mut self.processes[slot as usize];
        if !process.corresponds() {
            return;
        }
        let Some(office) = &mut process.office else { return };
        if let Some(deadline) = office.machine.deadline() {
            let time = process.clock.time_of(deadline).max(earliest);
            if time < office.wake {
                office.wake = time;
                self.medium.agenda.add(time, Due::Post { slot });
            }
        }
    }

    /// A messenger's entry in the agenda came up.
    pub(super) fn wake_messenger(&mut self, slot: u32) {
        if let Some(office) = &mut self.processes[slot as usize].office
            && office.wake == self.medium.now
        {
            office.wake = u64::MAX;
            self.fire_post(slot);
        }
    }

    /// Lets a messenger's timers fire if its deadline has come.
    fn fire_post(&mut self, slot: u32) {
        let process = &self.processes[slot as usize];
        let Some(office) = process.office.as_ref().filter(|_| process.corresponds()) else { return };
        let Some(deadline) = office.machine.deadline() else { return };
        if deadline > process.clock.shows(self.medium.now) {
            return self.schedule_post(slot, self.medium.now);
        }
        self.medium.trace.words(self.medium.now, slot, "post timeout", &[]);
        self.post(slot, Letter::Timeout);
        // One that broke its contract and wants to be woken at once is woken a little later.
        if let Some(office) = &mut self.processes[slot as usize].office
            && office.wake == self.medium.now
        {
            office.wake = u64::MAX;
            self.schedule_post(slot, self.medium.now + 1_000_000);
        }
        self.keep_messenger_busy(slot);
    }

    /// Has the application do something at this time.
    pub(super) fn will_do(&mut self, slot: u32, at: u64, chore: Chore) {
        let process = &mut self.processes[slot as usize];
        let boot = process.boot;
        if let Some(office) = &mut process.office {
            office.will_do(at, chore);
            self.medium.agenda.add(at, Due::Chore { slot, boot });
        }
    }
}
