//! What the membership says of others, and what follows for messages and links.

use core::net::{IpAddr, SocketAddr};

use hashbrown::HashTable;

use super::Messenger;
use crate::event::{Event as NodeEvent, MemberEvent};
use crate::membership::{NodeId, State};
use crate::messaging::message::{Ending, FailReason};
use crate::messaging::peer::Standing;
use crate::messaging::slab::NONE;
use crate::messaging::{Event, MemberInput, Trust};
use crate::random::mix;

/// A member, as the membership has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) id: NodeId,
    pub(super) standing: Standing,
    pub(super) life: u64,
    pub(super) address: Option<SocketAddr>,
    pub(super) endpoint: Option<SocketAddr>,
    /// Its place among the peers, if it is one.
    pub(super) peer: u32,
}

impl Known {
    /// Whether a link from there may be its own (`docs/messaging.md` 2.4).
    pub(super) fn is_host(&self, from: SocketAddr, trust: Trust) -> bool {
        let hosts = [self.address, self.endpoint].into_iter().flatten();
        let canonical = |address: SocketAddr| -> IpAddr { address.ip().to_canonical() };
        trust == Trust::Anywhere || hosts.into_iter().any(|host| canonical(host) == canonical(from))
    }
}

/// Members by id.
#[derive(Debug)]
pub(super) struct Members {
    by_id: HashTable<Known>,
    key: u64,
    max: usize,
}

impl Members {
    pub(super) fn new(key: u64, max: usize) -> Members {
        Members { by_id: HashTable::new(), key, max }
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn get(&self, id: NodeId) -> Option<&Known> {
        self.by_id.find(mix(id.as_u64() ^ self.key), |known| known.id == id)
    }

    pub(super) fn get_mut(&mut self, id: NodeId) -> Option<&mut Known> {
        self.by_id.find_mut(mix(id.as_u64() ^ self.key), |known| known.id == id)
    }

    /// Whether there was room.
    fn insert(&mut self, known: Known) -> bool {
        let key = self.key;
        let hash = |id: NodeId| mix(id.as_u64() ^ key);
        let room = self.by_id.len() < self.max;
        if room {
            self.by_id.insert_unique(hash(known.id), known, |known| hash(known.id));
        }
        room
    }

    pub(super) fn remove(&mut self, id: NodeId) -> Option<Known> {
        let entry = self.by_id.find_entry(mix(id.as_u64() ^ self.key), |known| known.id == id).ok()?;
        Some(entry.remove().0)
    }
}

/// What an event of the node says of whom, as far as messages are concerned.
pub(super) fn of_event(event: &NodeEvent<'_>) -> Option<(NodeId, MemberInput)> {
    let of_state = |change: &MemberEvent<'_>| {
        let member = &change.member;
        let input = match member.state {
            State::Alive | State::Suspect => {
                MemberInput::Live { life: member.incarnation.life, address: member.address, endpoint: member.endpoint }
            }
            State::Dead => MemberInput::Dead,
            State::Left => MemberInput::Left,
        };
        Some((member.id, input))
    };
    match event {
        NodeEvent::Joined(change)
        | NodeEvent::Updated(change)
        | NodeEvent::Suspected(change)
        | NodeEvent::Refuted(change)
        | NodeEvent::Died(change)
        | NodeEvent::Left(change)
        | NodeEvent::Restarted(change) => of_state(change),
        NodeEvent::Reaped(change) => Some((change.member.id, MemberInput::Forgotten)),
        NodeEvent::Superseded { .. }
        | NodeEvent::NameTaken { .. }
        | NodeEvent::Isolated { .. }
        | NodeEvent::Reconnected { .. }
        | NodeEvent::Broadcast { .. }
        | NodeEvent::Message { .. } => None,
    }
}

impl Messenger {
    pub(super) fn member_is(&mut self, id: NodeId, input: MemberInput) {
        match input {
            MemberInput::Live { life, address, endpoint } => self.member_lives(id, life, address, endpoint),
            MemberInput::Dead => self.member_ended(id, Standing::Dead),
            MemberInput::Left => self.member_ended(id, Standing::Left),
            MemberInput::Forgotten => {
                self.member_ended(id, Standing::Dead);
                let Some(known) = self.members.get_mut(id) else { return };
                let place = known.peer;
                // While messages of it can be taken its place is kept, so that those of its next life come after.
                known.standing = Standing::Forgotten;
                if place == NONE {
                    self.members.remove(id);
                } else {
                    self.peers[place].standing = Standing::Forgotten;
                    self.forget_what_was_kept(place);
                    self.attend(place);
                }
            }
        }
    }

    fn member_lives(&mut self, id: NodeId, life: u64, address: SocketAddr, endpoint: Option<SocketAddr>) {
        let (standing, address) = (Standing::Live, Some(address));
        let Some(known) = self.members.get_mut(id) else {
            if !self.members.insert(Known { id, standing, life, address, endpoint, peer: NONE }) {
                self.stats.drops.members_full += 1;
            }
            return;
        };
        (known.standing, known.life, known.address, known.endpoint) = (standing, life, address, endpoint);
        let peer = known.peer;
        if endpoint.is_none() {
            self.waits_in_vain(id);
        }
        if peer == NONE {
            return;
        }
        let before = &mut self.peers[peer];
        let moved = before.endpoint != endpoint;
        let newer = before.life < life;
        (before.standing, before.life, before.endpoint) = (standing, life, endpoint);
        before.retention.clear();
        let closes = if newer { before.breaker.renew() } else { before.breaker.lives() };
        if closes {
            before.trial = None;
            self.tell_breaker(peer);
        }
        if newer || moved {
            // Whoever is there now is asked who it is (2.9); there is no reason to wait any longer (2.7).
            let peer = &mut self.peers[peer];
            (peer.failures, peer.retry_at, peer.broken) = (0, self.now, false);
        }
        let (link, link_in) = (self.peers[peer].link, self.peers[peer].link_in);
        // A link may have told of this life before gossip did.
        let outdated = moved || newer && (link == NONE || self.links[link].life < life);
        if outdated {
            self.peers[peer].forget_message_max();
        }
        if link != NONE && outdated {
            self.leave_link(peer);
        }
        if link_in != NONE && newer && self.links[link_in].life < life {
            self.close_link(link_in);
        }
        if endpoint.is_none() {
            self.fail_all(peer, FailReason::NoEndpoint);
        }
        self.attend(peer);
        self.serve_line();
    }

    fn member_ended(&mut self, id: NodeId, standing: Standing) {
        let Some(known) = self.members.get_mut(id) else { return };
        known.standing = standing;
        let place = known.peer;
        self.waits_in_vain(id);
        if place == NONE || self.peers[place].standing == standing {
            return;
        }
        let was_live = core::mem::replace(&mut self.peers[place].standing, standing) == Standing::Live;
        if !was_live {
            return;
        }
        self.peers[place].forget_message_max();
        self.leave_link(place);
        let link_in = self.peers[place].link_in;
        if link_in != NONE {
            self.close_link(link_in);
        }
        let reason = if standing == Standing::Left { FailReason::Left } else { FailReason::Died };
        self.fail_all(place, reason);
        if self.peers[place].breaker.died() {
            self.stats.breakers_opened += 1;
            self.tell_breaker(place);
        }
        self.keep_for_a_while(place);
        self.attend(place);
        self.serve_line();
    }

    /// Every message to a peer that is not done fails.
    pub(super) fn fail_all(&mut self, peer: u32, reason: FailReason) {
        for class in 0..super::CLASSES {
            while let Some(at) = self.peers[peer].queues[class].first() {
                self.end(at, Ending::Failed(reason));
            }
        }
        let mut number = self.peers[peer].sent.next_open(0);
        while let Some(open) = number {
            let message = self.peers[peer].sent.get(open).map_or(NONE, |flying| flying.message);
            if message != NONE {
                self.end(message, Ending::Failed(reason));
            }
            number = self.peers[peer].sent.next_open(open + 1);
        }
    }

    pub(super) fn tell_breaker(&mut self, peer: u32) {
        let peer = &self.peers[peer];
        let event = Event::Breaker { peer: peer.id, state: peer.breaker.told(self.now) };
        self.tell(event);
    }
}
