//! A node of each library that knows many members and has told all it had to tell.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use foca::{Member, Notification, Runtime, Timer};
use kinship_core::Transmit;
use swim_proto::{Action, Instant};

use super::Arrival;
use crate::libraries::{foca as foca_library, kinship as kinship_library, ours};
use crate::packets::{self, Content};
use crate::peer::{Index, SECOND, address, name};
use crate::world::{Happening, Links, World};

/// A node, number 0, among members 1 and up that exist in claims only.
pub(super) trait Subject {
    /// A node that knows this many members.
    fn knowing(members: u32) -> Self;

    /// A datagram, and how many claims are in it.
    fn packet(content: Content<impl Iterator<Item = Index>>) -> (Vec<u8>, u32);

    /// Hears a datagram, does all that follows, and says how many datagrams were sent.
    fn hear(&mut self, from: Index, packet: &[u8]) -> u32;

    /// Panics if it does not know them all, or has still something to tell.
    fn check(&self, members: u32);
}

/// A datagram of this kind for a node that knows so many members. Its claims are about members spread over all, others
/// for each sender.
pub(super) fn packet<S: Subject>(arrival: Arrival, members: u32, from: Index) -> (Vec<u8>, u32) {
    let claims = match arrival {
        Arrival::Ping => 0,
        Arrival::PingWithClaims => 10,
        Arrival::Claims => usize::MAX,
    };
    let alive = (0..).map(|k: u32| 1 + from.wrapping_mul(31).wrapping_add(k.wrapping_mul(104_729)) % members);
    S::packet(Content { from, to: 0, pings: arrival != Arrival::Claims, alive: alive.take(claims), refutations: 0 })
}

/// `swim-proto`: it has learnt the members in its first exchange, by joining somebody who had heard of them all.
pub(super) struct OursSubject {
    node: swim_proto::Node,
    now: Instant,
    buffer: Vec<u8>,
}

impl Subject for OursSubject {
    fn knowing(members: u32) -> OursSubject {
        let mut world = World::<ours::Ours>::new(2, 2, Links::LAN, 1);
        if members == 0 {
            world.at(0, Happening::Start { node: 0, join: None });
            world.run(1, |_| false);
        } else {
            // Node 1 is real for long enough to hear of the others and to let node 0 in.
            world.at(0, Happening::Start { node: 1, join: None });
            let mut told = 2;
            while told <= members {
                let content = Content { from: 2, to: 1, pings: false, alive: told..=members, refutations: 0 };
                let (bytes, count) = packets::ours(content);
                world.at(1, Happening::Datagram { from: 2, to: 1, bytes });
                told += count;
            }
            world.at(2, Happening::Start { node: 0, join: Some(1) });
            world.run(SECOND / 20, |_| false);
        }
        OursSubject { node: world.take(0).node, now: Instant::from_nanos(world.now), buffer: Vec::new() }
    }

    fn packet(content: Content<impl Iterator<Item = Index>>) -> (Vec<u8>, u32) {
        packets::ours(content)
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
    runtime: Count,
}

/// Counts what foca sends. Timers are kept, as they must be.
#[derive(Default)]
struct Count {
    sent: u32,
    timers: BinaryHeap<Reverse<(Duration, Timer<foca_library::Id>)>>,
}

impl Runtime<foca_library::Id> for Count {
    fn notify(&mut self, _notification: Notification<'_, foca_library::Id>) {}

    fn send_to(&mut self, to: foca_library::Id, data: &[u8]) {
        std::hint::black_box((to, data));
        self.sent += 1;
    }

    fn submit_after(&mut self, event: Timer<foca_library::Id>, after: Duration) {
        self.timers.push(Reverse((after, event)));
    }
}

impl Subject for FocaSubject {
    fn knowing(members: u32) -> FocaSubject {
        let mut foca = foca_library::machine(0, members + 1, 1);
        let mut runtime = Count::default();
        let others = (1..=members).map(foca_library::Id::first).map(Member::alive);
        foca.apply_many(others, false, &mut runtime).expect("nothing is encoded");
        FocaSubject { foca, runtime }
    }

    fn packet(content: Content<impl Iterator<Item = Index>>) -> (Vec<u8>, u32) {
        packets::foca(content)
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

/// kinship: it was given the members in a list. What it has told of itself is told within a few answers.
pub(super) struct KinshipSubject {
    node: kinship_core::Node,
    now: kinship_core::Instant,
}

impl Subject for KinshipSubject {
    fn knowing(members: u32) -> KinshipSubject {
        let now = kinship_core::Instant::ZERO;
        let mut node = kinship_library::machine(0, 0, 1);
        for index in 1..=members {
            node.add_member(now, &name(index), address(index)).expect("there is room");
        }
        let mut subject = KinshipSubject { node, now };
        subject.drain();
        subject
    }

    fn packet(content: Content<impl Iterator<Item = Index>>) -> (Vec<u8>, u32) {
        packets::kinship(content)
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
