//! Links that others opened: taken in, believed, closed, and closed for others (`docs/messaging.md` 2.2 to 2.5, 2.12).

use core::net::SocketAddr;
use core::time::Duration;

use super::Messenger;
use super::timeouts::Key;
use crate::membership::NodeId;
use crate::messaging::LinkId;
use crate::messaging::inbox::Inbox;
use crate::messaging::link::Stage;
use crate::messaging::packet::{Hello, Refusal, Refuse, VERSION};
use crate::messaging::peer::Standing;
use crate::messaging::slab::NONE;

/// How long who is refused for want of room or of news is asked to stay away, in milliseconds.
const COME_BACK_MS: u32 = 250;

/// How many believed links are looked at to find one that can be spared.
const DISPLACED_OF: u32 = 16;

/// Which believed links are not closed for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spared {
    /// Those of which the application has yet to take or acknowledge something.
    WhatIsAwaited,
    /// These, and those whose room would not be free by that.
    WhatIsMissing,
}

impl Messenger {
    pub(super) fn take_link(&mut self, from: SocketAddr) -> Option<LinkId> {
        let accepted_max = self.config.accepted_max;
        // The silent make room first: they take no place from links that are believed.
        let is_crowded = self.silent.len() >= accepted_max / 4 || self.accepted >= accepted_max;
        if let Some(oldest) = self.silent.first().filter(|_| is_crowded && !self.closed) {
            self.stats.drops.pushed_out += 1;
            self.refuse_silently(oldest);
        }
        let is_full = self.accepted >= accepted_max;
        if self.closed || is_full && !self.displace_believed(Spared::WhatIsAwaited) {
            self.stats.drops.links_full += 1;
            return None;
        }
        self.accepted += 1;
        self.stats.links_accepted += 1;
        let link = self.new_link(NONE, Stage::Silent, Some(from));
        self.links[link].listed = true;
        self.links.push_back(&mut self.silent, link);
        Some(self.links[link].id)
    }

    /// Something came on another's link.
    pub(super) fn heard(&mut self, link: u32) {
        if let Stage::Believed { .. } = self.links[link].stage {
            self.links[link].heard_at = self.now;
            self.links.unlink(&mut self.believed, link);
            self.links.push_back(&mut self.believed, link);
        }
    }

    /// Within what time something comes on another's link, if there is anybody at its other end who uses it: it closes
    /// it when it is idle, and asks when it waits.
    pub(super) fn hears_within(&self) -> Duration {
        (self.config.link_idle + self.config.rto_max) * 2
    }

    /// Whether the application has yet to take or acknowledge what came on another's link.
    fn is_awaited(&self, link: u32) -> bool {
        let peer = &self.peers[self.links[link].peer];
        peer.arrivals() > 0 || peer.inbox.as_ref().is_some_and(|inbox| inbox.unacknowledged() > 0)
    }

    /// Whether what was promised to another's link stays promised when it is closed (`docs/messaging.md` 7.5).
    fn keeps_its_room(&self, link: u32) -> bool {
        self.peers[self.links[link].peer].inbox.as_ref().is_some_and(Inbox::is_missing_some)
    }

    /// Closes, for another, the believed link on which nothing has come for longest (`docs/messaging.md` 2.12).
    /// `false`: all are in use.
    fn displace_believed(&mut self, spared: Spared) -> bool {
        let mut next = self.believed.first();
        for _ in 0..DISPLACED_OF {
            let Some(link) = next.filter(|&link| self.now >= self.links[link].heard_at + self.config.link_timeout)
            else {
                return false;
            };
            let stays = spared == Spared::WhatIsMissing && self.keeps_its_room(link);
            if !stays && !self.is_awaited(link) {
                self.stats.drops.displaced += 1;
                self.close_link(link);
                return true;
            }
            next = self.links.after(link);
        }
        false
    }

    /// A believed link's time is over, unless something came since it was set.
    pub(super) fn believed_due(&mut self, link: u32) {
        let at = self.links[link].heard_at + self.hears_within();
        if self.now < at {
            self.links[link].time.set(at, &mut self.alarms, Key::Link(link));
        } else if self.is_awaited(link) {
            let at = self.now + self.hears_within();
            self.links[link].time.set(at, &mut self.alarms, Key::Link(link));
        } else {
            self.stats.drops.unused += 1;
            self.close_link(link);
        }
    }

    /// Closes another's link, which then was refused.
    pub(super) fn refuse_silently(&mut self, link: u32) {
        self.stats.links_refused += 1;
        self.close_link(link);
    }

    /// Closes another's link.
    pub(super) fn close_link(&mut self, link: u32) {
        self.drop_link(link, true);
    }

    /// Another's link is gone. `close`: the driver does not know yet.
    pub(super) fn drop_link(&mut self, link: u32, close: bool) {
        let peer = self.links[link].peer;
        self.remove_link(link, close);
        if peer != NONE && self.peers[peer].link_in == link {
            let gone = &mut self.peers[peer];
            gone.link_in = NONE;
            gone.grant.clear();
            self.take_promise_back(peer);
            self.settle_promise(peer);
            self.attend(peer);
        }
    }

    pub(super) fn hello(&mut self, link: u32, hello: &Hello) {
        match self.links[link].stage {
            Stage::Silent => {}
            // The same once more is no news.
            Stage::Believed { .. } if self.links[link].session == hello.session => return,
            Stage::Refused(_) => return,
            _ => return self.unexpected(link),
        }
        if hello.cluster != self.local.cluster {
            self.stats.drops.foreign += 1;
            return self.refuse_silently(link);
        }
        match self.judge(link, hello) {
            Ok(peer) => self.believe(link, peer, hello),
            Err(why) => {
                self.stats.links_refused += 1;
                self.unlist_silent(link);
                let patience = matches!(why, Refusal::Unknown | Refusal::Busy);
                let retry_ms = if patience { COME_BACK_MS } else { 0 };
                self.links[link].stage = Stage::Refused(Refuse { why, retry_ms });
                self.call(link);
            }
        }
    }

    /// Whose link it is, if that is believed (`docs/messaging.md` 2.3).
    fn judge(&mut self, link: u32, hello: &Hello) -> Result<u32, Refusal> {
        let from = self.links[link].from.expect("another's link comes from somewhere");
        let drops = &mut self.stats.drops;
        if !(hello.version_min..=hello.version_max).contains(&VERSION) {
            drops.version += 1;
            return Err(Refusal::Version);
        }
        if hello.target != self.local.id {
            drops.misdirected += 1;
            return Err(Refusal::Misdirected);
        }
        let known = self.members.get(hello.source).filter(|known| known.standing == Standing::Live);
        let Some(known) = known.filter(|known| known.is_host(from, self.config.trust)) else {
            drops.strangers += 1;
            return Err(Refusal::Unknown);
        };
        if hello.life < known.life {
            drops.superseded += 1;
            return Err(Refusal::Superseded);
        }
        if hello.life > known.life {
            drops.early += 1;
            return Err(Refusal::Unknown);
        }
        let is_peer = known.peer != NONE;
        if !is_peer && !self.has_room_for_a_peer() || !self.leaves_little(hello.source) {
            self.stats.drops.busy += 1;
            return Err(Refusal::Busy);
        }
        if !self.makes_room_for_a_sender(hello.source, hello.session) {
            self.stats.drops.busy += 1;
            self.refused_for_room();
            return Err(Refusal::Busy);
        }
        Ok(self.peer_of(hello.source))
    }

    /// Whether there is room for one sender more, if need be instead of one that is not heard of.
    fn makes_room_for_a_sender(&mut self, id: NodeId, session: u64) -> bool {
        self.has_room_for_a_sender(id, session)
            || self.displace_believed(Spared::WhatIsMissing) && self.has_room_for_a_sender(id, session)
    }

    fn believe(&mut self, link: u32, peer: u32, hello: &Hello) {
        self.unlist_silent(link);
        let before = self.peers[peer].link_in;
        if before != NONE {
            self.close_link(before);
        }
        let unused_at = self.now + self.hears_within();
        let believed = &mut self.links[link];
        (believed.peer, believed.life, believed.session) = (peer, hello.life, hello.session);
        believed.stage = Stage::Believed { welcomed: false };
        believed.heard_at = self.now;
        believed.time.set(unused_at, &mut self.alarms, Key::Link(link));
        believed.listed = true;
        self.links.push_back(&mut self.believed, link);
        let same = self.peers[peer].inbox.is_some() && self.peers[peer].session == hello.session;
        if !same {
            self.begin_inbox(peer, hello.session);
        }
        self.peers[peer].link_in = link;
        let base = self.base();
        let inbox = self.peers[peer].inbox.as_mut().expect("it was there or has begun");
        inbox.ask(0);
        inbox.begin_share(self.now, base);
        self.stats.links_greeted += 1;
        self.settle_promise(peer);
        self.attend(peer);
        self.give_credit(peer);
        self.call(link);
    }

    fn unlist_silent(&mut self, link: u32) {
        if core::mem::take(&mut self.links[link].listed) {
            self.links.unlink(&mut self.silent, link);
        }
    }
}
