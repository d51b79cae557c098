//! By which way a packet goes: by datagram or by carrier (`docs/protocol.md` 13).

use core::net::SocketAddr;

use super::carriers::ClaimWaits;
use super::{Node, Status};
use crate::action::StreamId;
use crate::config::Transport;
use crate::detection::probe::Purpose;
use crate::membership::record::Route;
use crate::membership::{Incarnation, NodeId, Path, Slot};
use crate::outbox::{Body, Outgoing};
use crate::time::Instant;

/// So many probes in a row that were answered over a stream and not by datagram, and a peer is served by carrier.
const FAILED_MAX: u8 = 3;

/// Each so many probes of such a peer, a datagram is tried as well.
const TRIED_EVERY: u8 = 8;

/// Whether there are datagrams at all where this node is.
#[derive(Clone, Copy, Default)]
pub(super) struct Datagrams {
    /// One of the cluster has come.
    heard: bool,
    /// Until then: how often a peer was found to be reached by stream and not by datagram.
    missed: u8,
    /// Probes since one was last tried by datagram.
    untried: u8,
}

impl Datagrams {
    pub(super) fn heard(&mut self) {
        self.heard = true;
    }

    fn missed(&mut self) {
        self.missed = self.missed.saturating_add(1);
    }

    /// Whether everybody is served by carrier, as far as is known.
    fn are_lost(&self) -> bool {
        !self.heard && self.missed >= FAILED_MAX
    }
}

/// One way to an address.
enum Way {
    Datagram,
    /// On this carrier, if it still is one; else on any to the address.
    Carrier(Option<StreamId>),
    /// By none: it was a stranger's carrier, which is closed, or no datagrams are sent.
    Nowhere,
}

impl Node {
    /// Sends a packet by the way that leads to its address.
    pub(super) fn post(&mut self, outgoing: Outgoing) {
        let waits = match self.way_to(outgoing.to) {
            Way::Datagram => self.post_datagram(outgoing),
            Way::Carrier(by) => self.post_by_carrier(outgoing, by),
            Way::Nowhere => {
                self.stats.drops.unproven += 1;
                ClaimWaits::Nowhere
            }
        };
        if outgoing.is_echo() {
            self.carriers.claim_waits = waits;
        }
    }

    /// Where no carrier can be opened, a datagram is better than nothing: its path may work again, or for the first
    /// time. But news that is lost counts as told: where there are no datagrams it waits for a carrier.
    fn post_by_carrier(&mut self, outgoing: Outgoing, by: Option<StreamId>) -> ClaimWaits {
        match self.carrier_to(&outgoing, by) {
            Some(id) if self.carry(outgoing, id) => ClaimWaits::OnCarrier(id),
            None if self.config.transport == Transport::Hybrid
                && self.status != Status::Left
                && (outgoing.is_awaited() || !self.datagrams.are_lost()) =>
            {
                self.post_datagram(outgoing)
            }
            Some(_) => ClaimWaits::Nowhere,
            None => {
                self.stats.drops.carrier_lost += 1;
                ClaimWaits::Nowhere
            }
        }
    }

    fn post_datagram(&mut self, outgoing: Outgoing) -> ClaimWaits {
        let pushed = self.outbox.push(outgoing);
        self.stats.drops.outbox_full += u64::from(!pushed);
        if pushed { ClaimWaits::InLane } else { ClaimWaits::Nowhere }
    }

    /// An answer goes the way by which the question came; anything else the way that works.
    fn way_to(&self, to: SocketAddr) -> Way {
        let transport = self.config.transport;
        let by = self.came_by.filter(|&(from, _)| from == to).map(|(_, by)| by);
        match by {
            None | Some(None) if transport == Transport::Datagram => Way::Datagram,
            Some(None) if transport == Transport::Hybrid => Way::Datagram,
            Some(Some(id)) if self.streams.get(&id).is_some_and(|stream| !stream.finish) => Way::Carrier(Some(id)),
            Some(Some(_)) if !self.table.knows_address(to) => Way::Nowhere,
            _ if transport == Transport::Stream => Way::Carrier(None),
            _ if transport == Transport::Hybrid && self.is_reached_by_stream(to) => Way::Carrier(None),
            _ => Way::Datagram,
        }
    }

    fn is_reached_by_stream(&self, to: SocketAddr) -> bool {
        let may_be = self.table.by_stream() > 0 || self.datagrams.are_lost();
        let is_stream = |slot: Slot| self.is_served_by_carrier(self.table.at(slot).route());
        may_be && self.table.find_address(to).is_some_and(is_stream)
    }

    /// Whether a member of this route is served by carrier.
    fn is_served_by_carrier(&self, route: Route) -> bool {
        route.is_stream() || self.datagrams.are_lost()
    }

    /// Up to `count` live members, for a gossip packet each: random ones. Where all goes by carrier, and there is no room
    /// for one to a member that was drawn, in its place a random one of those to whom one leads (`docs/protocol.md` 13.8).
    pub(super) fn choose_to_tell(&mut self, count: usize) {
        self.choose_others(count, None);
        let all_by_carrier = match self.config.transport {
            Transport::Datagram => false,
            Transport::Stream => true,
            Transport::Hybrid => self.datagrams.are_lost(),
        };
        if !all_by_carrier {
            return;
        }
        let mut room = self.room_for_news();
        for at in 0..self.chosen.len() {
            if self.is_led_to(self.chosen[at]) {
                continue;
            }
            if room > 0 {
                room -= 1;
            } else if let Some(other) = self.choose_led_to() {
                self.chosen[at] = other;
            }
        }
    }

    /// Whether datagrams do not reach this member.
    pub(super) fn is_only_reached_by_stream(&self, member: NodeId) -> bool {
        self.table.find(member).is_some_and(|slot| self.path_by(self.table.at(slot).route()) == Path::Stream)
    }

    /// How a member is reached, for those who look.
    pub(super) fn path_by(&self, route: Route) -> Path {
        match self.config.transport {
            Transport::Stream => Path::Stream,
            Transport::Hybrid if self.is_served_by_carrier(route) => Path::Stream,
            Transport::Datagram | Transport::Hybrid => Path::Datagram,
        }
    }

    /// Whether what is being handled came by datagram.
    pub(super) fn came_by_datagram(&self) -> bool {
        matches!(self.came_by, Some((_, None)))
    }

    // What is found out about paths, where both may be used.

    /// A ping over a stream was answered where the datagram was not: yet, or at all.
    pub(super) fn stream_ping_answered(&mut self, target: NodeId, incarnation: Incarnation) {
        let Some(slot) = self.table.find(target).filter(|_| self.config.transport == Transport::Hybrid) else { return };
        self.datagrams.missed();
        let record = self.table.at(slot);
        if let Route::Datagram { failed } = record.route()
            && incarnation >= record.incarnation()
        {
            let failed = failed + 1;
            if failed >= FAILED_MAX {
                self.serve_by_carrier(slot);
            } else {
                self.table.set_route(slot, Route::Datagram { failed });
            }
        }
    }

    /// A peer serves us by carrier: our datagrams and its, which take the same way there and back, are lost.
    pub(super) fn met_by_carrier(&mut self, peer: NodeId) {
        if self.config.transport == Transport::Hybrid
            && let Some(slot) = self.table.find(peer).filter(|&slot| !self.table.at(slot).route().is_stream())
        {
            self.serve_by_carrier(slot);
        }
    }

    fn serve_by_carrier(&mut self, slot: Slot) {
        self.datagrams.missed();
        self.stats.paths_to_stream += 1;
        self.table.set_route(slot, Route::Stream { probes: 0 });
    }

    /// A member answered a ping of ours; if it did by datagram, datagrams work.
    pub(super) fn ping_answered(&mut self, slot: Slot) {
        if !self.came_by_datagram() {
            return;
        }
        let route = self.table.at(slot).route();
        self.stats.paths_to_datagram += u64::from(route.is_stream());
        if route != Route::FRESH {
            self.table.set_route(slot, Route::FRESH);
        }
    }

    /// A member that is reached by carrier is probed: now and then by datagram as well.
    pub(super) fn try_datagram_in_turn(&mut self, now: Instant, slot: Slot) {
        if self.config.transport != Transport::Hybrid {
            return;
        }
        let untried = if let Route::Stream { probes } = self.table.at(slot).route() {
            let probes = (probes + 1) % TRIED_EVERY;
            self.table.set_route(slot, Route::Stream { probes });
            probes
        } else if self.datagrams.are_lost() {
            self.datagrams.untried = (self.datagrams.untried + 1) % TRIED_EVERY;
            self.datagrams.untried
        } else {
            return;
        };
        if untried == 0 {
            self.try_datagram(now, slot);
        }
    }

    /// Asks a suspect by the way that leads to it, and, where both ways may be used, by carrier in any case: nobody is
    /// to be buried because it is not known yet that its datagrams are lost.
    pub(super) fn verify_by_both_ways(&mut self, now: Instant, slot: Slot) {
        let Some(seq) = self.ping_apart(now, slot, Purpose::Verify) else { return };
        let record = self.table.at(slot);
        let (target, Some(to), by_stream) = (record.id, record.address(), self.is_served_by_carrier(record.route()))
        else {
            return;
        };
        if self.config.transport == Transport::Hybrid && !by_stream {
            let len_max = self.config.datagram_max;
            let body = Body::Ping { seq, target, tell: true };
            let outgoing = Outgoing { to, body, len_max, piggyback: true, urgent: false };
            if let Some(id) = self.carrier_to(&outgoing, None) {
                self.carry(outgoing, id);
            }
        }
    }

    /// Pings by datagram a member that is reached by carrier.
    pub(super) fn try_datagram(&mut self, now: Instant, slot: Slot) {
        let record = self.table.at(slot);
        let (target, Some(to)) = (record.id, record.address()) else { return };
        if self.config.transport == Transport::Hybrid && self.is_served_by_carrier(record.route()) {
            let seq = self.wait_for_answer(now, target, Purpose::Path);
            let body = Body::Ping { seq, target, tell: self.config.buddy };
            let len_max = self.config.datagram_max;
            self.post_datagram(Outgoing { to, body, len_max, piggyback: true, urgent: false });
        }
    }
}
