//! What can be looked at.

use super::{Messenger, NodeId};
use crate::messaging::link::Stage;
use crate::messaging::slab::NONE;
use crate::messaging::{PeerView, Stats};

impl Messenger {
    pub(super) fn count_all(&self) -> Stats {
        let peers = (0..self.peers.places()).filter_map(|place| self.peers.get(place));
        let breakers = peers.filter(|peer| !peer.breaker.is_closed()).count() as u32;
        Stats {
            outgoing: self.outgoing.len() as u32 - self.lingering,
            lingering: self.lingering,
            outgoing_bytes: self.outgoing_bytes,
            incoming: self.arrived.len() as u32,
            incoming_bytes: self.promised,
            unacknowledged: self.unacknowledged,
            peers: self.peers.len() as u32,
            links: self.links.len() as u32,
            breakers,
            members: self.members.len() as u32,
            ..self.stats
        }
    }

    pub(super) fn view(&self, id: NodeId) -> Option<PeerView> {
        let peer = self.peers.get(self.members.get(id)?.peer)?;
        let (credit_messages, credit_bytes) = peer.sent.credit();
        Some(PeerView {
            linked: self.links.get(peer.link).is_some_and(|link| link.stage == Stage::Ready),
            linked_in: peer.link_in != NONE,
            breaker: peer.breaker.told(self.now),
            level: peer.meter.level(),
            outgoing: peer.count,
            outgoing_bytes: peer.bytes,
            waiting: peer.waiting(),
            flight_bytes: peer.sent.flight(),
            flight_bytes_max: peer.flight.window(),
            credit_messages,
            credit_bytes,
            message_max: peer.message_max,
            delay: peer.flight.delay(),
            incoming: peer.arrivals(),
            incoming_bytes: peer.promised,
        })
    }
}
