//! What lies between processes: the time, the agenda, the hosts and the network between them, and the packets under way.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use swim_proto::SeedId;

use crate::agenda::Agenda;
use crate::network::{Carried, Fate, Links};
use crate::packets::{PacketId, PacketKind, Packets};
use crate::seeds::Seeds;
use crate::streams::EndId;
use crate::trace::Trace;
use crate::world::Audience;

/// What the agenda holds. A timer is a hint, state decides: whoever handles an entry looks whether it still applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// A slot's first process starts.
    Start { slot: u32 },
    /// A node's deadline.
    Wake { slot: u32 },
    /// A slow process is through with an input.
    Idle { slot: u32, boot: u32 },
    /// A packet arrives.
    Packet(PacketId),
    /// A timer of a simulated kernel's end of a stream.
    Stream(EndId),
    /// A seed was looked up, for the process of this number.
    Resolved { slot: u32, boot: u32, seed: SeedId },
    /// An entry of the schedule of faults begins.
    Fault { index: u32 },
    /// It ends.
    FaultEnd { index: u32 },
    /// An application says something.
    Talk(Audience),
    /// A flip-flop turns.
    Flip { index: u32 },
    /// A messenger's deadline.
    Post { slot: u32 },
    /// A slow process is through with an input of its messenger.
    PostIdle { slot: u32, boot: u32 },
    /// An application does something about a message: takes one, acknowledges one, cancels one.
    Chore { slot: u32, boot: u32 },
    /// A link that was closed has had its time to send what was put on it.
    Linger { slot: u32, boot: u32, end: EndId },
    /// An application has a message for a member.
    Letter,
}

/// The port at which every simulated node listens.
const PORT: u16 = 7946;
/// The port at which every simulated messenger listens: the gossip port and 1,000.
const MESSAGES_PORT: u16 = PORT + 1_000;
/// The address of host 0; the others follow.
const FIRST: u32 = u32::from_be_bytes([10, 0, 0, 1]);

pub(crate) struct Medium {
    /// Nanoseconds since the start.
    pub(crate) now: u64,
    pub(crate) agenda: Agenda<Due>,
    pub(crate) links: Links,
    pub(crate) packets: Packets,
    pub(crate) trace: Trace,
    /// Ends of streams that may have something to tell their application.
    pub(crate) pokes: VecDeque<EndId>,
    hosts: Vec<Host>,
    /// Datagrams to addresses where there is no host.
    pub(crate) misaddressed: u64,
}

/// A machine with an address; the slot whose processes run on it.
#[derive(Clone, Copy, Debug)]
struct Host {
    slot: u32,
    up: bool,
}

impl Medium {
    pub(crate) fn new(links: Links) -> Medium {
        Medium {
            now: 0,
            agenda: Agenda::default(),
            links,
            packets: Packets::default(),
            trace: Trace::new(),
            pokes: VecDeque::new(),
            hosts: Vec::new(),
            misaddressed: 0,
        }
    }

    /// A new host for a slot.
    pub(crate) fn add_host(&mut self, slot: u32, seeds: Seeds) -> u32 {
        self.hosts.push(Host { slot, up: true });
        self.links.attach(slot, seeds)
    }

    pub(crate) fn set_up(&mut self, host: u32) {
        self.hosts[host as usize].up = true;
    }

    /// The slot's host loses power, unless it is another slot's by now.
    pub(crate) fn take_down(&mut self, host: u32, slot: u32) {
        let host = &mut self.hosts[host as usize];
        if host.slot == slot {
            host.up = false;
        }
    }

    /// Gives a host to another slot.
    pub(crate) fn set_slot(&mut self, host: u32, slot: u32) {
        self.hosts[host as usize].slot = slot;
        self.links.set_slot(host, slot);
    }

    /// The slot whose host this is, whether it is up or not.
    pub(crate) fn holder(&self, host: u32) -> u32 {
        self.hosts[host as usize].slot
    }

    /// The slot whose host this is, if it is up.
    pub(crate) fn slot_at(&self, host: u32) -> Option<u32> {
        let host = self.hosts[host as usize];
        host.up.then_some(host.slot)
    }

    /// A host's address.
    pub(crate) fn address(&self, host: u32) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::from_bits(FIRST + host), PORT))
    }

    /// The host at an address, if there is one.
    pub(crate) fn host_at(&self, address: SocketAddr) -> Option<u32> {
        let IpAddr::V4(ip) = address.ip() else { return None };
        let host = ip.to_bits().checked_sub(FIRST)?;
        (address.port() == PORT && (host as usize) < self.hosts.len()).then_some(host)
    }

    /// Where a host's messenger accepts links.
    pub(crate) fn endpoint(&self, host: u32) -> SocketAddr {
        SocketAddr::new(self.address(host).ip(), MESSAGES_PORT)
    }

    /// The host whose messenger is reached there.
    pub(crate) fn host_at_endpoint(&self, endpoint: SocketAddr) -> Option<u32> {
        let gossip = SocketAddr::new(endpoint.ip(), PORT);
        self.host_at(gossip).filter(|_| endpoint.port() == MESSAGES_PORT)
    }

    /// Puts a datagram on the network.
    pub(crate) fn send_datagram(&mut self, from: u32, to: SocketAddr, bytes: &[u8]) {
        let Some(to) = self.host_at(to) else {
            self.misaddressed += 1;
            return;
        };
        if let Fate::Arrives { after, again, damage } = self.links.fate(self.now, from, to, Carried::Datagram, bytes) {
            let packet = self.packets.add(from, to, self.address(from), PacketKind::Datagram, bytes);
            if damage > 0 {
                self.links.damage(from, damage, self.packets.bytes_mut(packet));
            }
            self.agenda.add(self.now + after, Due::Packet(packet));
            if let Some(again) = again {
                let copy = self.packets.copy(packet);
                self.agenda.add(self.now + again, Due::Packet(copy));
            }
        }
    }

    /// Lets a datagram arrive that nobody here sent.
    pub(crate) fn forge_datagram(&mut self, at: u64, from: SocketAddr, to: u32, bytes: &[u8]) {
        let packet = self.packets.add(to, to, from, PacketKind::Datagram, bytes);
        self.agenda.add(at.max(self.now), Due::Packet(packet));
    }
}
