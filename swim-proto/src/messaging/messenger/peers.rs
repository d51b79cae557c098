//! Who is a peer, what it needs next, and who is forgotten.

use super::timeouts::Key;
use super::{Messenger, NodeId};
use crate::messaging::inbox::Inbox;
use crate::messaging::link::Stage;
use crate::messaging::message::OVERHEAD;
use crate::messaging::meter::Filling;
use crate::messaging::peer::{Peer, Standing};
use crate::messaging::slab::NONE;
use crate::messaging::{Buffer, Event};

impl Messenger {
    /// Whether one peer more can be had.
    pub(super) fn has_room_for_a_peer(&self) -> bool {
        self.peers.len() < self.config.peers_max as usize || !self.forgettable.is_empty()
    }

    /// The place of a known member among the peers. Call [`Messenger::has_room_for_a_peer`] first.
    pub(super) fn peer_of(&mut self, id: NodeId) -> u32 {
        let known = *self.members.get(id).expect("whoever becomes a peer is known");
        if known.peer != NONE {
            return known.peer;
        }
        if self.peers.len() >= self.config.peers_max as usize {
            let oldest = self.forgettable.first().expect("there is room, so somebody can be forgotten");
            self.forget(oldest);
        }
        let mut peer = Peer::new(self.now, id, self.random.u64(), &self.config);
        (peer.standing, peer.life, peer.endpoint) = (known.standing, known.life, known.endpoint);
        let place = self.peers.insert(peer);
        self.members.get_mut(id).expect("it was there a moment ago").peer = place;
        place
    }

    /// Forgets a peer for which nothing waits.
    fn forget(&mut self, place: u32) {
        self.forget_what_was_kept(place);
        self.unlist(place);
        let peer = self.peers.remove(place).expect("it is a peer");
        if peer.standing == Standing::Forgotten {
            self.members.remove(peer.id);
        } else if let Some(known) = self.members.get_mut(peer.id) {
            known.peer = NONE;
        }
    }

    /// Forgets which numbers came, and which were sent: nobody returns, or it is a new beginning when it does.
    pub(super) fn forget_what_was_kept(&mut self, place: u32) {
        self.end_inbox(place);
        self.drop_numbers(place);
        let peer = &mut self.peers[place];
        (peer.bound, peer.session_out) = (None, self.random.u64());
    }

    /// What is open of a peer's numbers is dropped; its messages have ended or were taken back.
    pub(super) fn drop_numbers(&mut self, place: u32) {
        let peer = &mut self.peers[place];
        while let Some(number) = peer.sent.next_open(0) {
            let flying = peer.sent.remove(number).expect("it is open");
            debug_assert_eq!(flying.message, NONE);
            self.chains.landed(place, flying.class, flying.order, number);
        }
        peer.sent.renew();
    }

    /// The peer's inbox here is gone; what is in the application's queue stays.
    pub(super) fn end_inbox(&mut self, place: u32) {
        let peer = &mut self.peers[place];
        let Some(inbox) = peer.inbox.take() else { return };
        // What was kept for numbers that are missing.
        peer.rate_in.give_back(inbox.unused());
        self.rate_in.give_back(inbox.unused());
        self.unacknowledged -= inbox.unacknowledged();
        peer.retired = 0;
        for class in 0..super::CLASSES {
            let mut at = peer.arrived[class].first();
            while let Some(arrived) = at {
                peer.retired += (self.arrived[arrived].parcel.payload.len() + OVERHEAD) as u64;
                at = self.arrived.after(arrived);
            }
        }
        self.settle_promise(place);
    }

    /// Begins a new inbox for a peer's session.
    pub(super) fn begin_inbox(&mut self, place: u32, session: u64) {
        self.end_inbox(place);
        self.inboxes += 1;
        let peer = &mut self.peers[place];
        peer.session = session;
        peer.inbox = Some(Inbox::new(self.inboxes, self.config.window_messages));
    }

    /// What is kept of a peer that is not live is kept for so long.
    pub(super) fn keep_for_a_while(&mut self, place: u32) {
        let at = self.now + self.config.inbox_retention;
        self.peers[place].retention.set(at, &mut self.alarms, Key::Retention(place));
    }

    pub(super) fn retention_over(&mut self, place: u32) {
        if self.peers[place].standing != Standing::Live {
            self.forget_what_was_kept(place);
            self.attend(place);
        }
    }

    fn unlist(&mut self, place: u32) {
        if core::mem::take(&mut self.peers[place].forgettable) {
            self.peers.unlink(&mut self.forgettable, place);
        }
    }

    /// Looks at what a peer needs, after anything that concerns it: a link, a time-out, or nothing any more.
    pub(super) fn attend(&mut self, place: u32) {
        let peer = &mut self.peers[place];
        let link = peer.link;
        if link == NONE {
            if peer.count > 0 {
                self.seek_link(place);
            }
        } else if self.links[link].stage == Stage::Ready {
            if peer.count > 0 || peer.sent.open() > 0 {
                if self.links[link].listed {
                    self.links[link].listed = false;
                    self.links[link].time.clear();
                    self.links.unlink(&mut self.idle, link);
                }
                if !peer.rto.is_set() {
                    self.wait_for_progress(place);
                }
            } else if !self.links[link].listed {
                peer.rto.clear();
                self.links[link].listed = true;
                self.links.push_back(&mut self.idle, link);
                let at = self.now + self.config.link_idle;
                self.links[link].time.set(at, &mut self.alarms, Key::Link(link));
                self.serve_line();
            }
        }
        let peer = &self.peers[place];
        let forgettable = peer.is_forgettable();
        if forgettable && peer.standing == Standing::Forgotten {
            self.forget(place);
        } else if forgettable != peer.forgettable {
            if forgettable {
                self.peers[place].forgettable = true;
                self.peers.push_back(&mut self.forgettable, place);
            } else {
                self.unlist(place);
            }
        }
    }

    /// The queue to a peer changed: its level and the total's.
    pub(super) fn queue_changed(&mut self, place: u32) {
        let config = &self.config;
        let peer = &mut self.peers[place];
        let own = [
            Filling { used: peer.count.into(), max: config.queue_messages_max.into() },
            Filling { used: peer.bytes, max: config.queue_bytes_max.into() },
        ];
        let all = [
            Filling { used: self.outgoing.len() as u64, max: config.outgoing_messages_max.into() },
            Filling { used: self.outgoing_bytes, max: config.outgoing_bytes_max.into() },
        ];
        let id = peer.id;
        if let Some(level) = peer.meter.changed(&own) {
            self.tell(Event::Level { buffer: Buffer::OutgoingTo(id), level });
        }
        if let Some(level) = self.outgoing_meter.changed(&all) {
            self.tell(Event::Level { buffer: Buffer::Outgoing, level });
        }
        self.tell_writable(place, own.iter().any(|filling| filling.is_high()), all.iter().any(|all| all.is_high()));
    }

    /// Tells those that were refused and need not be any more (`docs/messaging.md` 4.3).
    fn tell_writable(&mut self, place: u32, own_is_high: bool, all_is_high: bool) {
        let peer = &mut self.peers[place];
        if !own_is_high && core::mem::take(&mut peer.was_refused) {
            let to = peer.id;
            self.tell(Event::Writable { to });
        }
        if !all_is_high {
            for to in core::mem::take(&mut self.refused) {
                self.tell(Event::Writable { to });
            }
        }
    }

    /// A member takes nothing any more: who waits for room for it learns so by sending again.
    pub(super) fn waits_in_vain(&mut self, id: NodeId) {
        if self.refused.remove(&id) {
            self.tell(Event::Writable { to: id });
        }
    }
}
