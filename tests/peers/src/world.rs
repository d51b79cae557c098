//! The harness: one agenda in virtual time, one network, and the nodes of one library.
//!
//! Every library runs on the same code, so what the harness itself costs is in every figure of CPU time alike. One seed
//! decides every chance: the network's, the moments of joining, and the nodes' own.

mod agenda;
mod network;
mod streams;
mod views;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::peer::{Index, Nanos, Peer};
pub(crate) use agenda::Happening;
use agenda::Side;
pub(crate) use network::{Links, Network, Outbox};
pub(crate) use views::Views;

/// Nothing is due.
const NEVER: Nanos = Nanos::MAX;

/// Nodes of one library, the network between them, and the books about what they hold.
pub(crate) struct World<P> {
    pub(crate) now: Nanos,
    nodes: Vec<Option<P>>,
    /// When each node is to be woken, if no earlier waking takes that over.
    armed: Vec<Nanos>,
    /// What the nodes' users know of the cluster's size.
    size: u32,
    seed: u64,
    pub(crate) network: Network,
    pub(crate) views: Views,
    pub(crate) chance: SmallRng,
}

impl<P: Peer> World<P> {
    /// A world with room for `room` nodes, none of which runs yet. Their users expect `size` of them.
    pub(crate) fn new(room: u32, size: u32, links: Links, seed: u64) -> World<P> {
        World {
            now: 0,
            nodes: (0..room).map(|_| None).collect(),
            armed: vec![NEVER; room as usize],
            size,
            seed,
            network: Network::new(links, seed),
            views: Views::new(room),
            chance: SmallRng::seed_from_u64(seed ^ 0x5eed),
        }
    }

    /// Has this happen then.
    pub(crate) fn at(&mut self, when: Nanos, happening: Happening) {
        self.network.agenda.push(when, happening);
    }

    /// Has this happen some time in `[from, until)`, by chance.
    pub(crate) fn within(&mut self, from: Nanos, until: Nanos, happening: Happening) {
        let when = self.chance.random_range(from..until);
        self.at(when, happening);
    }

    /// Lets time pass until then, or until `done` says so after some event. Whether it did.
    pub(crate) fn run(&mut self, until: Nanos, mut done: impl FnMut(&Views) -> bool) -> bool {
        while let Some((when, happening)) = self.network.agenda.pop(until) {
            // A waking that `wake_late` made obsolete lies in the past.
            self.now = self.now.max(when);
            self.happen(happening);
            if done(&self.views) {
                return true;
            }
        }
        self.now = until;
        false
    }

    /// Whether a node runs.
    pub(crate) fn runs(&self, index: Index) -> bool {
        self.nodes[index as usize].is_some()
    }

    /// Takes a node out of the world.
    pub(crate) fn take(&mut self, index: Index) -> P {
        self.nodes[index as usize].take().expect("it runs")
    }

    /// Lets time pass with nobody awake, then wakes one node.
    pub(crate) fn wake_late(&mut self, node: Index, later: Nanos) {
        self.now += later;
        self.armed.fill(NEVER);
        let now = self.now;
        self.with(node, |peer, out| peer.timeout(now, out));
    }

    fn happen(&mut self, happening: Happening) {
        let now = self.now;
        match happening {
            Happening::Start { node, join } => {
                // Each node's own chances: far apart for neighbours.
                let seed =
                    self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(node).wrapping_mul(0xd6e8_feb8_6659_fd93);
                self.nodes[node as usize] = Some(P::start(now, node, self.size, seed));
                self.views.started(now, node);
                self.with(node, |peer, out| {
                    if let Some(seed) = join {
                        peer.join(now, seed, out);
                    }
                });
            }
            Happening::Know { node, members } => {
                self.with(node, |peer, out| peer.know(now, members, out));
            }
            Happening::Crash { node } => {
                self.nodes[node as usize] = None;
                self.views.crashed(now, node);
            }
            Happening::Lose { per_mille } => self.network.links.loss = f64::from(per_mille) / 1_000.0,
            Happening::Wake { node } => {
                if self.armed[node as usize] != now {
                    return;
                }
                self.armed[node as usize] = NEVER;
                self.with(node, |peer, out| {
                    if peer.deadline().is_some_and(|deadline| deadline <= now) {
                        peer.timeout(now, out);
                    }
                });
            }
            Happening::Datagram { from, to, bytes } => {
                self.with(to, |peer, out| peer.datagram(now, from, &bytes, out));
                self.network.agenda.recycle(bytes);
            }
            Happening::Stream { stream, side, input } => self.stream_moved(stream, side, input),
        }
    }

    /// Gives a node, if it runs, its turn (members may be claimed that no node stands for), and sees to it that it is woken in time afterwards.
    fn with<R>(&mut self, node: Index, turn: impl FnOnce(&mut P, &mut Outbox<'_>) -> R) -> Option<R> {
        let peer = self.nodes.get_mut(node as usize)?.as_mut()?;
        let mut out = Outbox::new(&mut self.network, &mut self.views, self.now, node);
        let answer = turn(peer, &mut out);
        let deadline = peer.deadline().map_or(NEVER, |deadline| deadline.max(self.now + 1));
        let armed = &mut self.armed[node as usize];
        if deadline < *armed {
            *armed = deadline;
            self.network.agenda.push(deadline, Happening::Wake { node });
        }
        Some(answer)
    }

    fn stream_moved(&mut self, stream: usize, side: Side, input: streams::Moved) {
        let now = self.now;
        let Some((node, number)) = self.network.streams.end(stream, side) else { return };
        match input {
            streams::Moved::Asked { from } => {
                let accepted = self.with(node, |peer, out| peer.accept(now, from, out));
                match accepted {
                    // Nobody there: the opener hears nothing at all.
                    None => {}
                    Some(None) => self.network.refuse(now, stream),
                    Some(Some(number)) => self.network.establish(now, stream, number),
                }
            }
            streams::Moved::Peer(input) => {
                if let Some(number) = number {
                    self.with(node, |peer, out| peer.stream(now, number, input.borrowed(), out));
                }
                match input {
                    streams::Input::Connected => {}
                    streams::Input::Data(bytes) => self.network.agenda.recycle(bytes),
                    streams::Input::Closed => self.network.streams.closed(stream),
                    streams::Input::Failed => self.network.streams.forget(stream),
                }
            }
        }
    }
}
