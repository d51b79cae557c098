//! Links: ours, opened, greeted and lost; and what comes on any (`docs/messaging.md` 2).

use core::net::SocketAddr;
use core::time::Duration;

use bytes::Bytes;

use super::timeouts::Key;
use super::{Command, Messenger};
use crate::messaging::link::{self, Link, Stage};
use crate::messaging::packet::{self, Decoded, Packet, Refusal, Refuse, VERSION, Welcome};
use crate::messaging::peer::Standing;
use crate::messaging::slab::NONE;
use crate::messaging::{Event, LinkId, LinkInput};
use crate::time::Instant;

/// Why a link failed, as far as its peer is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It could not be opened, broke, or was not what it should be.
    Broken,
    /// Somebody is there and asks for patience, until then.
    Later(Instant),
}

impl Messenger {
    pub(super) fn place_of(&self, id: LinkId) -> Option<u32> {
        let place = link::place(id);
        (self.links.get(place)?.id == id).then_some(place)
    }

    pub(super) fn new_link(&mut self, peer: u32, stage: Stage, from: Option<SocketAddr>) -> u32 {
        self.links_named += 1;
        let id = link::name(self.links_named, self.links.next_place());
        let place = self.links.insert(Link::new(id, peer, stage, from));
        self.arm(place);
        place
    }

    /// The link may take so long for its next step.
    fn arm(&mut self, place: u32) {
        let at = self.now + self.config.link_timeout;
        self.links[place].time.set(at, &mut self.alarms, Key::Link(place));
    }

    // Ours.

    /// Opens a link to a peer that has none, as soon as that may be (`docs/messaging.md` 2.1), and in its turn (2.8).
    pub(super) fn seek_link(&mut self, place: u32) {
        let Some(to) = self.may_be_linked(place) else { return };
        if self.opened < self.config.links_max && self.line.is_empty() {
            return self.open_link(place, to);
        }
        if !core::mem::replace(&mut self.peers[place].in_line, true) {
            self.line.push_back(place);
        }
        self.serve_line();
    }

    /// Where to a link to a peer may be opened now.
    fn may_be_linked(&mut self, place: u32) -> Option<SocketAddr> {
        let peer = &mut self.peers[place];
        let (Standing::Live, Some(to)) = (peer.standing, peer.endpoint) else { return None };
        if !peer.breaker.lets_links() || self.closed {
            return None;
        }
        if peer.retry_at > self.now {
            peer.retry.set(peer.retry_at, &mut self.alarms, Key::Retry(place));
            return None;
        }
        Some(to)
    }

    fn open_link(&mut self, place: u32, to: SocketAddr) {
        let id = self.peers[place].id;
        self.opened += 1;
        self.stats.links_opened += 1;
        let link = self.new_link(place, Stage::Opening, None);
        (self.peers[place].link, self.peers[place].broken) = (link, false);
        self.commands.push_back(Command::Open { link: self.links[link].id, peer: id, to });
    }

    /// While peers wait for a link, closes idle ones for them; gives them links while there are.
    pub(super) fn serve_line(&mut self) {
        while let Some(&place) = self.line.front() {
            let waits = self.peers.get(place).is_some_and(|peer| peer.in_line);
            if waits && self.opened >= self.config.links_max {
                let Some(idle) = self.idle.first() else { return };
                let peer = self.links[idle].peer;
                self.leave_link(peer);
                self.attend(peer);
            }
            // Whoever left a link may have served the line already.
            if self.line.front() != Some(&place) {
                continue;
            }
            self.line.pop_front();
            if !waits {
                continue;
            }
            self.peers[place].in_line = false;
            let needs = self.peers[place].link == NONE && self.peers[place].count > 0;
            if needs && let Some(to) = self.may_be_linked(place) {
                self.open_link(place, to);
            }
        }
    }

    /// Closes our link to a peer, if there is one; it has not failed.
    pub(super) fn leave_link(&mut self, peer: u32) {
        let link = self.peers[peer].link;
        if link != NONE {
            self.lose_link(link, true);
        }
    }

    /// Our link is gone. `close`: the driver does not know yet.
    fn lose_link(&mut self, link: u32, close: bool) {
        let (peer, stage) = (self.links[link].peer, self.links[link].stage);
        self.remove_link(link, close);
        let gone = &mut self.peers[peer];
        gone.link = NONE;
        gone.sent.unlink();
        gone.rto.clear();
        gone.pace.clear();
        gone.patience = Default::default();
        let id = gone.id;
        if stage == Stage::Ready {
            self.tell(Event::Unlinked { peer: id });
        }
    }

    /// Our link failed.
    pub(super) fn link_failed(&mut self, link: u32, fault: Fault, close: bool) {
        let place = self.links[link].peer;
        self.stats.links_failed += 1;
        self.lose_link(link, close);
        let peer = &mut self.peers[place];
        peer.flight.failed();
        let longest = self.config.link_retry_min.saturating_mul(1 << peer.failures.min(20));
        let longest = longest.min(self.config.link_retry_max);
        peer.failures = peer.failures.saturating_add(1);
        peer.retry_at = self.now + (longest - self.random.duration_up_to(longest / 4));
        match fault {
            Fault::Later(until) => (peer.retry_at, peer.broken) = (peer.retry_at.max(until), false),
            Fault::Broken => {
                peer.broken = true;
                self.failure(place);
            }
        }
        self.attend(place);
        self.serve_line();
    }

    /// Something that the breaker counts failed.
    pub(super) fn failure(&mut self, place: u32) {
        let peer = &mut self.peers[place];
        if let Some(until) = peer.breaker.failure(self.now, &self.config, &mut self.random) {
            peer.breaker_time.set(until, &mut self.alarms, Key::Breaker(place));
            self.stats.breakers_opened += 1;
            self.tell_breaker(place);
        }
    }

    /// Something showed that the peer is there.
    pub(super) fn success(&mut self, place: u32) {
        if self.peers[place].breaker.success() {
            self.peers[place].trial = None;
            self.tell_breaker(place);
        }
    }

    pub(super) fn remove_link(&mut self, link: u32, close: bool) {
        if core::mem::take(&mut self.links[link].listed) {
            let list = match self.links[link].stage {
                Stage::Believed { .. } => &mut self.believed,
                stage if stage.is_ours() => &mut self.idle,
                _ => &mut self.silent,
            };
            self.links.unlink(list, link);
        }
        let gone = self.links.remove(link).expect("only what is there is removed");
        *(if gone.is_ours() { &mut self.opened } else { &mut self.accepted }) -= 1;
        if close {
            self.commands.push_back(Command::Close { link: gone.id });
        }
    }

    // What comes.

    pub(super) fn link_input(&mut self, link: u32, input: LinkInput<'_>) {
        match input {
            LinkInput::Up => {
                if self.links[link].stage == Stage::Opening {
                    self.links[link].stage = Stage::Greeting { greeted: false };
                    self.arm(link);
                    self.call(link);
                }
            }
            LinkInput::Packet(parts) => {
                self.heard(link);
                self.packet(link, parts);
            }
            LinkInput::Full => self.links[link].full = true,
            LinkInput::Writable => {
                self.links[link].full = false;
                self.call(link);
            }
            LinkInput::Down => {
                if self.links[link].is_ours() {
                    self.link_failed(link, Fault::Broken, false);
                } else {
                    self.drop_link(link, false);
                }
            }
        }
    }

    /// The link is at fault: it is closed, and why was counted.
    pub(super) fn wrong(&mut self, link: u32) {
        if self.links[link].is_ours() {
            self.link_failed(link, Fault::Broken, true);
        } else {
            self.refuse_silently(link);
        }
    }

    pub(super) fn unexpected(&mut self, link: u32) {
        self.stats.drops.unexpected += 1;
        self.wrong(link);
    }

    fn malformed(&mut self, link: u32) {
        self.stats.drops.malformed += 1;
        self.wrong(link);
    }

    fn packet(&mut self, link: u32, parts: &[Bytes]) {
        let (header, payload) = match parts {
            [header] => (header, None),
            [header, payload] => (header, Some(payload)),
            _ => return self.malformed(link),
        };
        match packet::decode(header) {
            Some(Decoded::Unknown(_)) => self.stats.drops.unknown_kind += 1,
            Some(Decoded::Known(packet)) => match (packet, payload) {
                (Packet::Data(data), Some(payload)) => self.data(link, data, payload),
                (Packet::Ack(ack), None) => self.ack(link, &ack),
                (Packet::Forward(forward), None) => self.forward(link, forward),
                (Packet::Probe(probe), None) => self.probe(link, probe),
                (Packet::Hello(hello), None) => self.hello(link, &hello),
                (Packet::Welcome(welcome), None) => self.welcome(link, &welcome),
                (Packet::Refuse(refuse), None) => self.refused(link, refuse),
                _ => self.malformed(link),
            },
            None => self.malformed(link),
        }
    }

    fn welcome(&mut self, link: u32, welcome: &Welcome) {
        let peer = self.links[link].peer;
        match self.links[link].stage {
            Stage::Greeting { greeted: true } => {}
            Stage::Learning | Stage::Ready if self.peers[peer].bound == Some((welcome.session, welcome.inbox)) => {
                return;
            }
            _ => return self.unexpected(link),
        }
        if welcome.version != VERSION {
            self.stats.drops.version += 1;
            return self.wrong(link);
        }
        if welcome.source != self.peers[peer].id {
            self.stats.drops.misdirected += 1;
            return self.wrong(link);
        }
        if welcome.life < self.peers[peer].life {
            self.stats.drops.superseded += 1;
            return self.wrong(link);
        }
        self.links[link].stage = Stage::Learning;
        (self.links[link].life, self.links[link].session) = (welcome.life, welcome.session);
        self.bind(peer, welcome);
        self.attend(peer);
    }

    fn refused(&mut self, link: u32, refuse: Refuse) {
        if self.links[link].stage != (Stage::Greeting { greeted: true }) {
            return self.unexpected(link);
        }
        let fault = match refuse.why {
            Refusal::Unknown | Refusal::Busy => Fault::Later(self.now + Duration::from_millis(refuse.retry_ms.into())),
            Refusal::Superseded | Refusal::Misdirected | Refusal::Version => Fault::Broken,
        };
        self.link_failed(link, fault, true);
    }

    /// The state of things has come: messages may go.
    pub(super) fn ready(&mut self, link: u32) {
        let place = self.links[link].peer;
        self.links[link].stage = Stage::Ready;
        self.links[link].time.clear();
        self.stats.links_ready += 1;
        self.peers[place].failures = 0;
        let event = Event::Linked { peer: self.peers[place].id, life: self.links[link].life };
        self.tell(event);
        self.success(place);
        self.attend(place);
        self.call(link);
    }
}
