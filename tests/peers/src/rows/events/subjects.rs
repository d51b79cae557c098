//! A node of each library that knows many members and has told all it had to tell.

use std::collections::BinaryHeap;
use std::time::Duration;

use bytes::BufMut;
use foca::{Codec, Header, Member, Message, Notification, PostcardCodec, Runtime, Timer};
use kinship_core::Transmit;
use kinship_proto::{Limits, NodeId as Name, PacketKind};
use swim_proto::wire::{Alive, PacketWriter, Ping, Profile, ProfileBytes};
use swim_proto::{Action, ClusterHash, Incarnation, Instant, NodeId, VERSIONS};

use super::Arrival;
use crate::libraries::{foca as foca_library, kinship as kinship_library, ours};
use crate::peer::{DATAGRAM_MAX, Index, SECOND, STARTED_MS, address, name};
use crate::world::{Happening, Links, World};

/// A node, number 0, among members 1 and up that exist in claims only.
pub(super) trait Subject {
    /// A node that knows this many members.
    fn knowing(members: u32) -> Self;

    /// A datagram from a member, and how many claims are in it.
    fn packet(&self, arrival: Arrival, from: Index) -> (Vec<u8>, u32);

    /// Hears a datagram, does all that follows, and says how many datagrams were sent.
    fn hear(&mut self, from: Index, packet: &[u8]) -> u32;

    /// Panics if it does not know them all, or has still something to tell.
    fn check(&self, members: u32);
}

/// Members that a packet's claims are about: spread over all, others for each sender.
fn claimed(members: u32, from: Index) -> impl Iterator<Item = Index> {
    (0..).map(move |k: u32| 1 + (from.wrapping_mul(31).wrapping_add(k.wrapping_mul(104_729))) % members)
}

/// How many claims a datagram of this kind carries at most.
fn claims_max(arrival: Arrival) -> u32 {
    match arrival {
        Arrival::Ping => 0,
        Arrival::PingWithClaims => 10,
        Arrival::Claims => u32::MAX,
    }
}

/// `swim-proto`: it has learnt the members in its first exchange, by joining somebody who had heard of them all.
pub(super) struct OursSubject {
    node: swim_proto::Node,
    members: u32,
    now: Instant,
    buffer: Vec<u8>,
}

/// The cluster of the presets.
const CLUSTER: &str = "swim";

fn profile(index: Index) -> Vec<u8> {
    let mut bytes = Vec::new();
    let name = name(index);
    let profile = Profile { address: address(index), endpoint: None, versions: VERSIONS, name: &name, metadata: &[] };
    profile.encode_into(&mut bytes);
    bytes
}

/// A datagram of `swim-proto`, with a ping to node 0 if it is to be answered.
fn swim_packet(arrival: Arrival, from: Index, about: impl Iterator<Item = Index>, to: Index) -> (Vec<u8>, u32) {
    let mut bytes = Vec::new();
    let mut writer = PacketWriter::datagram(&mut bytes, ClusterHash::of(CLUSTER), DATAGRAM_MAX);
    let id = |index| NodeId::of(CLUSTER, &name(index));
    if arrival != Arrival::Claims {
        assert!(writer.push(&swim_proto::wire::Message::Ping(Ping { seq: from, target: id(to), source: id(from) })));
    }
    let mut count = 0;
    for index in about.take(claims_max(arrival) as usize) {
        let profile = profile(index);
        let profile = ProfileBytes::new(&profile).expect("it was encoded just now");
        let alive = Alive { id: id(index), incarnation: Incarnation::first(STARTED_MS), profile };
        if !writer.push(&swim_proto::wire::Message::Alive(alive)) {
            break;
        }
        count += 1;
    }
    writer.finish();
    (bytes, count)
}

impl Subject for OursSubject {
    fn knowing(members: u32) -> OursSubject {
        // Node 1 is real for long enough to hear of the others and to let node 0 in.
        let mut world = World::<ours::Ours>::new(2, 2, Links::LAN, 1);
        if members == 0 {
            world.at(0, Happening::Start { node: 0, join: None });
            world.run(1, |_| false);
            return OursSubject { node: world.take(0).node, members, now: Instant::from_nanos(1), buffer: Vec::new() };
        }
        world.at(0, Happening::Start { node: 1, join: None });
        let mut told = 2;
        while told <= members {
            let (bytes, count) = swim_packet(Arrival::Claims, 2, told..=members, 1);
            world.at(1, Happening::Datagram { from: 2, to: 1, bytes });
            told += count;
        }
        world.at(2, Happening::Start { node: 0, join: Some(1) });
        world.run(SECOND / 20, |_| false);
        let ours::Ours { node, .. } = world.take(0);
        assert_eq!(node.status(), swim_proto::Status::Joined);
        OursSubject { node, members, now: Instant::from_nanos(world.now), buffer: Vec::new() }
    }

    fn packet(&self, arrival: Arrival, from: Index) -> (Vec<u8>, u32) {
        swim_packet(arrival, from, claimed(self.members, from), 0)
    }

    fn hear(&mut self, from: Index, packet: &[u8]) -> u32 {
        self.node.handle_datagram(self.now, address(from), packet).expect("it is well-formed");
        let mut sent = 0;
        while let Some(action) = self.node.poll_action(&mut self.buffer) {
            if let Action::Transmit { to, datagram } = action {
                std::hint::black_box((to, datagram));
                sent += 1;
            }
        }
        std::hint::black_box(self.node.deadline());
        sent
    }

    fn check(&self, members: u32) {
        assert_eq!(self.node.live(), members as usize + 1, "members known");
        let stats = self.node.stats();
        assert_eq!((stats.rumors, stats.suspected), (0, 0), "rumors and suspicions left");
    }
}

/// foca: it was handed the members, as its documentation has it for a view kept across a restart.
pub(super) struct FocaSubject {
    foca: foca_library::Machine,
    members: u32,
    runtime: Count,
}

/// Counts what foca sends. Timers are kept, as they must be.
#[derive(Default)]
struct Count {
    sent: u32,
    timers: BinaryHeap<std::cmp::Reverse<(Duration, Timer<foca_library::Id>)>>,
}

impl Runtime<foca_library::Id> for Count {
    fn notify(&mut self, _notification: Notification<'_, foca_library::Id>) {}

    fn send_to(&mut self, to: foca_library::Id, data: &[u8]) {
        std::hint::black_box((to, data));
        self.sent += 1;
    }

    fn submit_after(&mut self, event: Timer<foca_library::Id>, after: Duration) {
        self.timers.push(std::cmp::Reverse((after, event)));
    }
}

impl Subject for FocaSubject {
    fn knowing(members: u32) -> FocaSubject {
        let mut foca = foca_library::machine(0, members + 1, 1);
        let mut runtime = Count::default();
        let others = (1..=members).map(foca_library::Id::first).map(Member::alive);
        foca.apply_many(others, false, &mut runtime).expect("nothing is encoded");
        FocaSubject { foca, members, runtime }
    }

    fn packet(&self, arrival: Arrival, from: Index) -> (Vec<u8>, u32) {
        let (src, dst) = (foca_library::Id::first(from), foca_library::Id::first(0));
        let message = if arrival == Arrival::Claims { Message::Gossip } else { Message::Ping(1) };
        let mut bytes = Vec::new();
        let header = Header { src, src_incarnation: 0, dst, message };
        PostcardCodec.encode_header(&header, &mut bytes).expect("there is room");
        let count_at = bytes.len();
        let mut count = 0u16;
        for index in claimed(self.members, from).take(claims_max(arrival) as usize) {
            if count == 0 {
                bytes.put_u16(0);
            }
            let end = bytes.len();
            let member = Member::alive(foca_library::Id::first(index));
            PostcardCodec.encode_member(&member, &mut bytes).expect("there is room");
            if bytes.len() > DATAGRAM_MAX {
                bytes.truncate(end);
                break;
            }
            count += 1;
        }
        if count > 0 {
            bytes[count_at..count_at + 2].copy_from_slice(&count.to_be_bytes());
        }
        (bytes, count.into())
    }

    fn hear(&mut self, _from: Index, packet: &[u8]) -> u32 {
        self.runtime.sent = 0;
        self.foca.handle_data(packet, &mut self.runtime).expect("it is well-formed");
        self.runtime.sent
    }

    fn check(&self, members: u32) {
        assert_eq!(self.foca.num_members(), members as usize, "members known");
        assert_eq!(self.foca.updates_backlog(), 0, "updates left");
    }
}

/// kinship: it was given the members in a list.
pub(super) struct KinshipSubject {
    node: kinship_core::Node,
    members: u32,
    now: kinship_core::Instant,
}

impl Subject for KinshipSubject {
    fn knowing(members: u32) -> KinshipSubject {
        let now = kinship_core::Instant::ZERO;
        let mut node = kinship_library::machine(0, 0, 1);
        for index in 1..=members {
            node.add_member(now, &name(index), address(index)).expect("there is room");
        }
        let mut subject = KinshipSubject { node, members, now };
        subject.drain();
        subject
    }

    fn packet(&self, arrival: Arrival, from: Index) -> (Vec<u8>, u32) {
        let codec = kinship_proto::Codec::insecure_plaintext(self.node.config().cluster.as_bytes(), Limits::default())
            .expect("the defaults are valid");
        let (source, target) = (name(from), name(0));
        let known = |name| Name::new(name).expect("an address is short");
        let ping = kinship_proto::Ping {
            seq: from,
            target: known(&target),
            source: known(&source),
            source_addr: address(from),
        };
        let names: Vec<(Index, String)> =
            claimed(self.members, from).take(claims_max(arrival).min(200) as usize).map(|i| (i, name(i))).collect();
        let mut messages = Vec::new();
        if arrival != Arrival::Claims {
            messages.push(kinship_proto::Message::Ping(ping));
        }
        let mut bytes = Vec::new();
        let mut count = 0;
        let seal = |messages: &[kinship_proto::Message<'_>], bytes: &mut Vec<u8>| {
            bytes.clear();
            messages.is_empty() || codec.seal(PacketKind::Datagram, messages, &[0; 24], bytes).is_ok()
        };
        assert!(seal(&messages, &mut bytes), "a ping fits");
        for (index, name) in &names {
            messages.push(kinship_proto::Message::Alive(kinship_proto::Alive {
                inc: 0,
                node: known(name),
                addr: address(*index),
                meta: &[],
                vmin: 1,
                vmax: 1,
                epoch: STARTED_MS,
                features: kinship_proto::feature::DIGEST_PUSH_PULL,
            }));
            if !seal(&messages, &mut bytes) {
                messages.pop();
                assert!(seal(&messages, &mut bytes), "it did before");
                break;
            }
            count += 1;
        }
        (bytes, count)
    }

    fn hear(&mut self, from: Index, packet: &[u8]) -> u32 {
        self.node.handle_datagram(self.now, address(from), packet);
        self.drain()
    }

    fn check(&self, members: u32) {
        assert_eq!(self.node.members().count(), members as usize + 1, "members known");
        assert_eq!(self.node.metrics().decode_errors, 0, "packets refused");
    }
}

impl KinshipSubject {
    fn drain(&mut self) -> u32 {
        let mut sent = 0;
        while let Some(transmit) = self.node.poll_transmit() {
            sent += u32::from(matches!(std::hint::black_box(transmit), Transmit::Datagram { .. }));
        }
        while self.node.poll_event().is_some() {}
        std::hint::black_box(self.node.poll_timeout());
        sent
    }
}
