//! `foca` 2.0.0, with [`Config::new_lan`] for the cluster's size, which its users are to know.
//!
//! As in foca's own example of an agent: an identity of address and a bump that grows with each rejoin, the postcard
//! codec, `StdRng`, and a heap of the timers that foca hands out. The runtime reacts at once instead of storing, as
//! foca's documentation advises. foca has no streams.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use foca::{Config, Identity, Member, NoCustomBroadcast, Notification, PostcardCodec, Runtime, Timer};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::peer::{Index, Nanos, Peer, STARTED_MS, address, index};
use crate::world::Outbox;

/// A member's identity: its address, and which of its lives.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Id {
    address: SocketAddr,
    bump: u64,
}

impl Id {
    /// The first identity of node `index`.
    pub(crate) fn first(index: Index) -> Id {
        Id { address: address(index), bump: STARTED_MS / 1_000 }
    }
}

impl Identity for Id {
    type Addr = SocketAddr;

    fn renew(&self) -> Option<Id> {
        Some(Id { address: self.address, bump: self.bump + 1 })
    }

    fn addr(&self) -> SocketAddr {
        self.address
    }

    fn win_addr_conflict(&self, adversary: &Id) -> bool {
        self.bump > adversary.bump
    }
}

/// foca with all that it leaves to its user chosen.
pub(crate) type Machine = foca::Foca<Id, PostcardCodec, StdRng, NoCustomBroadcast>;

/// A machine at the LAN defaults.
pub(crate) fn machine(index: Index, size: u32, seed: u64) -> Machine {
    let size = NonZeroU32::new(size).unwrap_or(NonZeroU32::MIN);
    foca::Foca::new(Id::first(index), Config::new_lan(size), StdRng::seed_from_u64(seed), PostcardCodec)
}

/// A node of foca.
pub(crate) struct Foca {
    foca: Machine,
    timers: BinaryHeap<Reverse<(Nanos, Timer<Id>)>>,
}

/// Takes what foca wants done to where it belongs.
struct Reactor<'a, 'w> {
    now: Nanos,
    timers: &'a mut BinaryHeap<Reverse<(Nanos, Timer<Id>)>>,
    out: &'a mut Outbox<'w>,
}

impl Runtime<Id> for Reactor<'_, '_> {
    fn notify(&mut self, notification: Notification<'_, Id>) {
        match notification {
            Notification::MemberUp(id) => self.out.up(index(id.address)),
            Notification::MemberDown(id) => self.out.down(index(id.address)),
            Notification::Rejoin(_) => self.out.rejoined(),
            _ => {}
        }
    }

    fn send_to(&mut self, to: Id, data: &[u8]) {
        self.out.send(index(to.address), data);
    }

    fn submit_after(&mut self, event: Timer<Id>, after: Duration) {
        self.timers.push(Reverse((self.now + after.as_nanos() as Nanos, event)));
    }
}

impl Peer for Foca {
    const GIVEN_ITS_VIEW: bool = true;

    fn start(_now: Nanos, index: Index, size: u32, seed: u64) -> Foca {
        Foca { foca: machine(index, size, seed), timers: BinaryHeap::new() }
    }

    fn join(&mut self, now: Nanos, seed: Index, out: &mut Outbox<'_>) {
        let runtime = Reactor { now, timers: &mut self.timers, out };
        self.foca.announce(Id::first(seed), runtime).expect("an announcement fits a datagram");
    }

    fn know(&mut self, now: Nanos, members: std::ops::Range<Index>, out: &mut Outbox<'_>) {
        let runtime = Reactor { now, timers: &mut self.timers, out };
        let own = self.foca.identity().clone();
        let others = members.map(Id::first).filter(|id| *id != own).map(Member::alive);
        self.foca.apply_many(others, false, runtime).expect("nothing is encoded");
    }

    fn datagram(&mut self, now: Nanos, _from: Index, bytes: &[u8], out: &mut Outbox<'_>) {
        let runtime = Reactor { now, timers: &mut self.timers, out };
        // Its errors are for the log: "foca is pretty tolerant".
        let _ = self.foca.handle_data(bytes, runtime);
    }

    fn timeout(&mut self, now: Nanos, out: &mut Outbox<'_>) {
        while self.timers.peek().is_some_and(|Reverse((when, _))| *when <= now) {
            let Some(Reverse((_, timer))) = self.timers.pop() else { break };
            let runtime = Reactor { now, timers: &mut self.timers, out };
            let _ = self.foca.handle_timer(timer, runtime);
        }
    }

    fn deadline(&self) -> Option<Nanos> {
        self.timers.peek().map(|Reverse((when, _))| *when)
    }
}
