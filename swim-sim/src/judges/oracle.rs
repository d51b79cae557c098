//! What is known of all members together: who owns an id, what it has said of itself, and what was forged.

use std::collections::HashMap;
use std::net::SocketAddr;

use swim_proto::wire::{Message, decode};
use swim_proto::{ClusterHash, Incarnation, Instant, Member, NodeId};

use super::causes::accusation;
use super::maps::IdMap;
use crate::observe::{Condition, Slot, Truth};

/// Most bytes of an injected packet: the longest frame.
const PACKET_MAX: usize = 1 << 16;

/// The one who sees everything.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    owners: IdMap<Owner>,
    forged: IdMap<Incarnation>,
    forged_accusers: IdMap<()>,
    /// The greatest incarnation in anything said by anyone, forgers included.
    greatest: Incarnation,
    /// Whose address this is or was.
    addresses: HashMap<SocketAddr, Vec<NodeId>>,
}

/// The processes of one name.
#[derive(Debug)]
struct Owner {
    /// Where processes of this name ran or run; mostly one.
    slots: Vec<Slot>,
    /// The greatest incarnation that any of them took.
    incarnation: Incarnation,
}

impl Oracle {
    /// A process was started.
    pub(super) fn started(&mut self, slot: Slot, local: Member<'_>) {
        let owner =
            self.owners.entry(local.id).or_insert_with(|| Owner { slots: Vec::new(), incarnation: local.incarnation });
        if !owner.slots.contains(&slot) {
            owner.slots.push(slot);
        }
        let ids = self.addresses.entry(local.address).or_default();
        if !ids.contains(&local.id) {
            ids.push(local.id);
        }
        self.raised(local.id, local.incarnation);
    }

    /// A member shows this incarnation of itself.
    pub(super) fn raised(&mut self, id: NodeId, incarnation: Incarnation) {
        self.greatest = self.greatest.max(incarnation);
        if let Some(owner) = self.owners.get_mut(&id) {
            owner.incarnation = owner.incarnation.max(incarnation);
        }
    }

    /// Somebody forged a packet: what it says was said by no member, and may be believed all the same.
    pub(super) fn injected(&mut self, packet: &[u8], cluster: ClusterHash) {
        let Ok(messages) = decode(packet, cluster, PACKET_MAX) else { return };
        for message in messages {
            if let Message::Ack(ack) = message {
                self.greatest = self.greatest.max(ack.incarnation);
            }
            let Some((id, incarnation)) = subject(&message) else { continue };
            self.greatest = self.greatest.max(incarnation);
            let forged = self.forged.entry(id).or_default();
            *forged = (*forged).max(incarnation);
            if let Some(accusation) = accusation(&message) {
                self.forged_accusers.insert(accusation.accuser, ());
            }
        }
    }

    /// The greatest incarnation of this member that anybody could rightly have heard of.
    pub(super) fn ceiling(&self, id: NodeId) -> Option<Incarnation> {
        let owned = self.owners.get(&id).map(|owner| owner.incarnation);
        owned.max(self.forged.get(&id).copied())
    }

    /// Whether anything at all was forged.
    pub(super) fn is_lied_to(&self) -> bool {
        !self.forged.is_empty()
    }

    /// The greatest incarnation of anyone.
    pub(super) fn greatest(&self) -> Incarnation {
        self.greatest
    }

    /// Whether such an accuser exists, or was at least invented by a forger.
    pub(super) fn is_accuser(&self, id: NodeId) -> bool {
        self.owners.contains_key(&id) || self.forged_accusers.contains_key(&id)
    }

    /// Where the processes of this id run or ran.
    pub(super) fn slots(&self, id: NodeId) -> &[Slot] {
        self.owners.get(&id).map_or(&[], |owner| &owner.slots)
    }

    /// Since when no process of this id runs; `None` while one does, or if there never was one.
    pub(super) fn down_since(&self, id: NodeId, truth: &dyn Truth) -> Option<Instant> {
        let mut since = None;
        for &slot in self.slots(id) {
            match truth.condition(slot) {
                (Condition::Down, at) => since = since.max(Some(at)),
                (Condition::Running | Condition::Paused | Condition::Blocked, _) => return None,
            }
        }
        since
    }

    /// Whose address this is or was.
    pub(super) fn ids_at(&self, address: SocketAddr) -> &[NodeId] {
        self.addresses.get(&address).map_or(&[], Vec::as_slice)
    }
}

/// Whom a message is about, and at which incarnation.
pub(super) fn subject(message: &Message<'_>) -> Option<(NodeId, Incarnation)> {
    match *message {
        Message::Alive(m) => Some((m.id, m.incarnation)),
        Message::Suspect(m) => Some((m.id, m.incarnation)),
        Message::Dead(m) => Some((m.id, m.incarnation)),
        Message::Left(m) => Some((m.id, m.incarnation)),
        Message::Ask(m) => Some((m.id, m.incarnation)),
        Message::Held(m) => Some((m.id, m.incarnation)),
        Message::Tombstone(m) => Some((m.id, m.incarnation)),
        Message::Ping(_)
        | Message::Ack(_)
        | Message::PingReq(_)
        | Message::Nack(_)
        | Message::Broadcast(_)
        | Message::Announce(_)
        | Message::UserMessage(_)
        | Message::Join(_)
        | Message::SyncRoot(_)
        | Message::SyncAgree(_)
        | Message::SyncBuckets(_)
        | Message::SyncFilter(_)
        | Message::Want(_)
        | Message::SyncEnd(_)
        | Message::NameTaken(_)
        | Message::Busy(_)
        | Message::Pull(_)
        | Message::Carry(_) => None,
    }
}
