//! Getting in: seeds asked until one answers, and meeting again (\[SWIM\] 3.2; `docs/protocol.md` 7 and 8).

use alloc::vec::Vec;
use core::mem;
use core::net::SocketAddr;
use core::time::Duration;

use super::changing::Spread;
use super::streams::Opening;
use super::{Node, Status};
use crate::action::{SeedId, StreamId};
use crate::detection::probe::{Purpose, Waiting};
use crate::membership::{NodeId, Slot};
use crate::outbox::{Body, Control};
use crate::time::Instant;
use crate::timers::Chore;
use crate::wire::{canonical, is_unicast};

/// Most seeds asked at the same time.
const IN_FLIGHT_MAX: usize = 3;

/// Most addresses kept to be asked; those beyond are left to the next attempt.
const CANDIDATES_MAX: usize = 64;

/// The first wait after a join before state is compared again; it doubles until all is agreed upon.
const CATCH_UP_FIRST: Duration = Duration::from_secs(1);

/// The seeds, and the attempt to be let in by one of them.
#[derive(Default)]
pub(super) struct Joins {
    pub(super) seeds: Vec<SeedId>,
    /// Until some seed lets us in.
    active: bool,
    attempts: u32,
    /// How often seeds were turned to, to be let in or to heal: each time in the next of our versions.
    turn: u8,
    candidates: Vec<SocketAddr>,
    /// Asked since the seeds were last looked up.
    asked: Vec<SocketAddr>,
    in_flight: Vec<StreamId>,
    /// A seed that is looked up only to see whether a part of the cluster is cut off.
    healing: Option<SeedId>,
    /// When state was last compared with somebody we did not know.
    met: Option<Instant>,
    /// Who is to be asked next whether it is where its ping came from, in the ping's version, and when somebody last was.
    stranger: Option<(NodeId, SocketAddr, u8)>,
    stranger_asked: Option<Instant>,
    /// How many members in a row held what we hold, since we joined.
    pub(super) agreements: u32,
}

impl Node {
    pub(super) fn start_joining(&mut self, now: Instant, seeds: &[SeedId]) {
        // Whoever was asked for the sake of earlier seeds is not to let us in any more.
        for stream in mem::take(&mut self.joins.in_flight) {
            self.reset_stream(stream);
        }
        let Joins { turn, met, stranger, stranger_asked, .. } = self.joins;
        let seeds = seeds.to_vec();
        self.joins = Joins { seeds, active: true, turn, met, stranger, stranger_asked, ..Joins::default() };
        self.resolve_seeds(now);
    }

    pub(super) fn stop_joining(&mut self) {
        self.joins.active = false;
        self.joins.candidates.clear();
        self.timers.clear(Chore::Join);
    }

    pub(super) fn try_joining_again(&mut self, now: Instant) {
        if self.joins.active {
            self.resolve_seeds(now);
        }
    }

    /// Looks all seeds up, anew each time, and sets the time of the next attempt: doubling, with jitter.
    fn resolve_seeds(&mut self, now: Instant) {
        self.joins.asked.clear();
        self.joins.turn = self.joins.turn.wrapping_add(1);
        for index in 0..self.joins.seeds.len() {
            let seed = self.joins.seeds[index];
            self.outbox.control.push_back(Control::Resolve { seed });
        }
        let doubled = self.config.join_retry_min * 2u32.saturating_pow(self.joins.attempts.min(16));
        let wait = doubled.min(self.config.join_retry_max);
        self.joins.attempts += 1;
        let jittered = wait - wait / 4 + self.random.duration_up_to(wait / 2);
        self.timers.set(Chore::Join, now + jittered);
    }

    /// Looks a seed up to see whether a part of the cluster is cut off from ours.
    pub(super) fn heal_by_seed(&mut self, seed: SeedId) {
        self.joins.turn = self.joins.turn.wrapping_add(1);
        self.joins.healing = Some(seed);
        self.outbox.control.push_back(Control::Resolve { seed });
    }

    /// A seed was looked up; no addresses: it could not be. The answer for a seed that was replaced is ignored.
    pub fn handle_resolved(&mut self, now: Instant, seed: SeedId, addresses: &[SocketAddr]) {
        let now = self.begin(now);
        if !self.is_running() {
            return;
        }
        if self.joins.active {
            if self.joins.seeds.contains(&seed) {
                for &address in addresses {
                    self.add_candidate(canonical(address));
                }
                self.ask_candidates(now);
            }
        } else if self.joins.healing == Some(seed) {
            self.joins.healing = None;
            let strangers: Vec<SocketAddr> =
                addresses.iter().copied().map(canonical).filter(|&a| self.is_stranger(a)).collect();
            if !strangers.is_empty() {
                let address = strangers[self.random.below(strangers.len())];
                self.open_to_seed(now, address, Opening::Sync);
            }
        }
    }

    /// Opens a stream to a seed's address. Who does not know in which version to speak there takes the next one each
    /// time: a version that is not spoken there is refused without a word (`docs/protocol.md` 15.2).
    fn open_to_seed(&mut self, now: Instant, address: SocketAddr, opening: Opening) -> Option<StreamId> {
        let version = self.version_in_turn(address, self.joins.turn.wrapping_sub(1));
        let id = self.open_stream(now, address, opening)?;
        self.with_stream(id, |stream| stream.version = version);
        Some(id)
    }

    /// Whoever turned us away says when we may come back: the next attempt, or the next comparison, waits as long,
    /// within reason.
    pub(super) fn put_off(&mut self, now: Instant, chore: Chore, retry_ms: u32) {
        let wait = Duration::from_millis(retry_ms.into()).min(self.config.join_retry_max);
        if self.timers.at(chore).is_some_and(|at| at < now + wait) {
            self.timers.set(chore, now + wait);
        }
    }

    /// Neither ourselves nor a live member.
    fn is_stranger(&self, address: SocketAddr) -> bool {
        is_unicast(address) && self.table.local().address() != Some(address) && !self.table.has_live_at(address)
    }

    pub(super) fn add_candidate(&mut self, address: SocketAddr) {
        let own = self.table.local().address() == Some(address);
        let candidates = &mut self.joins.candidates;
        let known = candidates.contains(&address) || self.joins.asked.contains(&address);
        if !own && !known && is_unicast(address) && candidates.len() + self.joins.asked.len() < CANDIDATES_MAX {
            candidates.push(address);
        }
    }

    /// Asks candidates, in random order, as many as may be asked at once.
    pub(super) fn ask_candidates(&mut self, now: Instant) {
        while self.joins.active && self.joins.in_flight.len() < IN_FLIGHT_MAX && !self.joins.candidates.is_empty() {
            let index = self.random.below(self.joins.candidates.len());
            let address = self.joins.candidates.swap_remove(index);
            self.joins.asked.push(address);
            let Some(stream) = self.open_to_seed(now, address, Opening::Join) else { return };
            self.joins.in_flight.push(stream);
        }
    }

    /// An attempt has come to its end, well or not.
    fn attempt_ended(&mut self, stream: StreamId) -> bool {
        let index = self.joins.in_flight.iter().position(|&other| other == stream);
        index.map(|index| self.joins.in_flight.swap_remove(index)).is_some()
    }

    pub(super) fn join_attempt_failed(&mut self, now: Instant, stream: StreamId) {
        if self.attempt_ended(stream) {
            self.ask_candidates(now);
        }
    }

    /// A seed has let us in and told us all it knows.
    pub(super) fn joined(&mut self, now: Instant, stream: StreamId) {
        if !self.attempt_ended(stream) || !self.joins.active {
            return;
        }
        self.stop_joining();
        if self.is_running() {
            self.status = Status::Joined;
        }
        if self.told_of_self != Some(self.table.local().incarnation()) {
            self.tell_on(Slot::LOCAL, Spread::Gossip);
        }
        self.joins.agreements = 0;
        self.catching_up = Some(CATCH_UP_FIRST);
        self.schedule_sync(now);
    }

    /// A random member holds what we hold. Two in a row are believed.
    pub(super) fn agreed(&mut self) {
        self.joins.agreements += 1;
        if self.joins.agreements >= 2 {
            self.catching_up = None;
        }
    }

    /// The next comparison of state: soon and doubling after a join, until all is agreed upon; then at leisure.
    pub(super) fn schedule_sync(&mut self, now: Instant) {
        let interval = self.config.sync_interval;
        if interval.is_zero() {
            return;
        }
        let wait = match self.catching_up {
            Some(wait) if wait < interval => {
                self.catching_up = Some(wait * 2);
                wait
            }
            _ => {
                self.catching_up = None;
                interval - interval / 8 + self.random.duration_up_to(interval / 4)
            }
        };
        self.timers.set(Chore::Sync, now + wait);
    }

    pub(super) fn sync_with_somebody(&mut self, now: Instant) {
        self.schedule_sync(now);
        self.choose_others(1, None);
        if let Some(&slot) = self.chosen.first() {
            self.sync_with(now, slot);
        }
    }

    /// Whether the member is not known, or held dead or departed at another address: then what is held against it
    /// cannot be told to where it pings us from (`docs/protocol.md` 1.8), and pings of ours do not reach it.
    pub(super) fn is_unmet(&self, id: NodeId, from: SocketAddr) -> bool {
        let known = self.table.find(id).map(|slot| self.table.at(slot));
        known.is_none_or(|record| !record.is_live() && record.address() != Some(from))
    }

    /// A member that we do not know, or thought dead elsewhere, pings us: it has news for us, and we for it. But
    /// whoever forges the address of a datagram must not have us open streams there. So it is asked first, on our own
    /// account: one such question in half a probe interval, for whoever came first.
    pub(super) fn hear_stranger(&mut self, now: Instant, id: NodeId, from: SocketAddr) {
        if self.status == Status::Joined && self.timers.at(Chore::Stranger).is_none() {
            self.joins.stranger = Some((id, from, self.version_for(from)));
            let soon = now + Duration::from_nanos(1);
            let next = self.joins.stranger_asked.map_or(soon, |asked| asked + self.config.probe_interval / 2);
            self.timers.set(Chore::Stranger, next.max(soon));
        }
    }

    pub(super) fn ask_stranger(&mut self, now: Instant) {
        let Some((target, address, version)) = self.joins.stranger.take() else { return };
        if self.status != Status::Joined || !self.is_unmet(target, address) {
            return;
        }
        self.joins.stranger_asked = Some(now);
        let gives_up = now + self.config.probe_interval;
        let seq = self.draw_seq();
        self.pings.push(now, Waiting { seq, target, purpose: Purpose::Stranger { address }, gives_up });
        self.heard_in = Some((address, version));
        self.send_question(address, Body::Ping { seq, target, tell: false });
    }

    /// Somebody has news for us, and we for it: a member that we do not know, or one that we held dead, has answered
    /// us. State is compared, at most once in half a probe interval.
    pub(super) fn meet(&mut self, now: Instant, from: SocketAddr) {
        let due = self.joins.met.is_none_or(|met| now - met >= self.config.probe_interval / 2);
        if self.status == Status::Joined && due && self.open_stream(now, from, Opening::Sync).is_some() {
            self.joins.met = Some(now);
        }
    }

    fn sync_with(&mut self, now: Instant, slot: Slot) {
        let own = self.table.local().address();
        if let Some(address) = self.table.at(slot).address().filter(|&address| Some(address) != own) {
            self.open_stream(now, address, Opening::Sync);
        }
    }
}
