//! What arrives at a process from outside: packets, answers to its look-ups, news of its streams.

use std::net::SocketAddr;

use swim_proto::{SeedId, StreamInput};

use super::World;
use super::driving::Given;
use crate::medium::Due;
use crate::network::Carried;
use crate::observe::{Observation, Slot};
use crate::packets::{PacketId, PacketKind};
use crate::process::{READ_BUDGET, READS_PER_INPUT, RECEIVE_BUFFER, RECEIVE_OVERHEAD};
use crate::streams::{Arrived, EndId, Listening, Moved, Port, Segment, StreamNews};

impl World {
    /// A seed's address was found: where its slot's process runs, or last ran.
    pub(super) fn resolved(&mut self, slot: u32, boot: u32, seed: SeedId) {
        let process = &self.processes[slot as usize];
        if process.boot == boot && process.is_up() {
            if !process.takes_input() {
                // The answer waits, like everything else.
                return self.processes[slot as usize].resolved.push_back(seed);
            }
            let address = self.processes.get(seed.0 as usize).map(|seed| self.medium.address(seed.host));
            self.give(slot, Given::Resolved { seed, addresses: address.as_slice() });
        }
    }

    /// Hands over what was looked up while the process was held up.
    pub(super) fn tell_resolved(&mut self, slot: u32) {
        while self.processes[slot as usize].takes_input()
            && let Some(seed) = self.processes[slot as usize].resolved.pop_front()
        {
            let boot = self.processes[slot as usize].boot;
            self.resolved(slot, boot, seed);
        }
    }

    /// A packet arrived at its host.
    pub(super) fn packet_arrived(&mut self, packet: PacketId) {
        let (host, kind) = (self.medium.packets.at(packet).to, self.medium.packets.at(packet).kind);
        let Some(slot) = self.medium.slot_at(host) else { return self.medium.packets.end(packet) };
        match kind {
            PacketKind::Datagram => self.datagram_arrived(slot, packet),
            PacketKind::Segment(head) => {
                if self.streams.port(head.to) == Port::Messages {
                    return self.link_segment_arrived(slot, host, Segment { packet, head });
                }
                let process = &mut self.processes[slot as usize];
                let streams = &self.streams;
                if head.carried == Carried::Syn {
                    // Some that waited to be accepted are no more, and nobody was left to say so.
                    process.streams.retain(|&(named, end)| named.is_some() || streams.owner(end).is_some());
                }
                let listening = if !process.is_up() || process.host != host {
                    Listening::No
                } else if process.backlog(streams) >= self.scenario.streams.backlog {
                    Listening::Full
                } else {
                    Listening::Yes(process.owner(slot))
                };
                let arrived = self.streams.arrive(&mut self.medium, Segment { packet, head }, listening);
                if let Arrived::Opening(end) = arrived {
                    self.processes[slot as usize].streams.push((None, end));
                }
            }
        }
    }

    fn datagram_arrived(&mut self, slot: u32, packet: PacketId) {
        let process = &mut self.processes[slot as usize];
        if process.takes_input() {
            let from = self.medium.packets.at(packet).source;
            let bytes = self.medium.packets.take_bytes(packet);
            self.deliver_datagram(slot, from, &bytes);
            self.medium.packets.put_back(packet, bytes);
        } else {
            let size = self.medium.packets.at(packet).bytes.len() + RECEIVE_OVERHEAD;
            if process.is_up() && process.inbox_bytes + size <= RECEIVE_BUFFER {
                process.inbox.push_back(packet);
                process.inbox_bytes += size;
            } else {
                process.lost += 1;
                self.medium.packets.end(packet);
            }
        }
    }

    /// Tells a process how many datagrams its kernel had no room for, as a driver does that asks.
    pub(super) fn tell_losses(&mut self, slot: u32) {
        let process = &mut self.processes[slot as usize];
        if process.lost > 0 && process.takes_input() {
            let lost = core::mem::take(&mut process.lost);
            self.medium.trace.words(self.medium.now, slot, "lost", &[lost]);
            self.give(slot, Given::Lost(lost));
        }
    }

    pub(super) fn deliver_datagram(&mut self, slot: u32, from: SocketAddr, bytes: &[u8]) {
        self.medium.trace.words(self.medium.now, slot, "datagram", &[bytes.len() as u64]);
        self.give(slot, Given::Datagram { from, bytes });
    }

    /// Reads and sorts what waits in the kernel, as a driver does; a slow process takes some time for each.
    pub(super) fn read_datagrams(&mut self, slot: u32) {
        let now = self.medium.now;
        while self.processes[slot as usize].takes_input()
            && self.processes[slot as usize].read < READ_BUDGET
            && let Some(packet) = self.processes[slot as usize].inbox.pop_front()
        {
            let source = self.medium.packets.at(packet).source;
            let bytes = self.medium.packets.take_bytes(packet);
            let process = &mut self.processes[slot as usize];
            process.inbox_bytes -= bytes.len() + RECEIVE_OVERHEAD;
            process.backlog.push(source, &bytes);
            process.lost += process.backlog.take_shed();
            if process.each > 0 {
                process.read += 1;
                process.busy = true;
                let due = Due::Idle { slot, boot: process.boot };
                self.medium.agenda.add(now + process.each / READS_PER_INPUT, due);
            }
            self.medium.packets.put_back(packet, bytes);
        }
    }

    /// Tells applications what is new about their streams, until nothing is.
    pub(super) fn tell_streams(&mut self) {
        while let Some(end) = self.medium.pokes.pop_front() {
            let Some(owner) = self.streams.owner(end) else { continue };
            let Some(process) = self.processes.get(owner.slot as usize) else { continue };
            if process.boot != owner.boot {
                continue;
            }
            match self.streams.port(end) {
                Port::Gossip if process.takes_input() => self.tell_stream(owner.slot, end),
                Port::Messages if process.reads_links() => self.tell_link(owner.slot, end),
                Port::Gossip | Port::Messages => {}
            }
        }
    }

    /// Lets go of streams that came and went while the process was held up: of these it hears nothing.
    pub(super) fn forget_streams(&mut self, slot: u32) {
        let streams = &self.streams;
        let gone = |&(_, end): &(_, EndId)| streams.owner(end).is_none();
        if let Some(at) = self.processes[slot as usize].streams.iter().position(gone) {
            let (stream, _) = self.processes[slot as usize].streams.remove(at);
            if let Some(stream) = stream {
                self.observe(Observation::StreamClosed { slot: Slot(slot), stream });
            }
            self.forget_streams(slot);
        }
    }

    fn tell_stream(&mut self, slot: u32, end: EndId) {
        while self.processes[slot as usize].takes_input()
            && let Some(news) = self.streams.next_input(&mut self.medium, end)
        {
            let now = self.medium.now;
            let (stream, moved) = match news {
                StreamNews::Moved(stream, moved) => (stream, moved),
                StreamNews::Accept(from) => {
                    self.medium.trace.words(now, slot, "accept", &[]);
                    self.give(slot, Given::Accept { from, end });
                    continue;
                }
            };
            let input = match &moved {
                Moved::Connected => StreamInput::Connected,
                Moved::Written(len) => StreamInput::Written(*len),
                Moved::Data(bytes) => StreamInput::Data(bytes),
                Moved::Finished => StreamInput::Finished,
                Moved::Failed => StreamInput::Failed,
            };
            self.medium.trace.words(now, slot, "stream", &[stream.0]);
            self.give(slot, Given::Stream { stream, input });
            if let Moved::Data(buffer) = moved {
                self.streams.give_back(&mut self.medium, end, buffer);
            }
        }
        if self.streams.is_gone(end) {
            let streams = &mut self.processes[slot as usize].streams;
            if let Some(at) = streams.iter().position(|&(_, id)| id == end) {
                let (stream, _) = streams.remove(at);
                if let Some(stream) = stream {
                    self.observe(Observation::StreamClosed { slot: Slot(slot), stream });
                }
            }
        }
    }
}
