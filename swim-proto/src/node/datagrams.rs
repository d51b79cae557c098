//! Arrived: one packet, understood whole or refused whole.

use core::net::SocketAddr;

use super::carriers::ClaimWaits;
use super::claims::Via;
use super::{Answered, Node, Status};
use crate::config::Transport;
use crate::membership::precedence::Standing;
use crate::membership::record::Content;
use crate::membership::{Slot, State};
use crate::outbox::{Body, Notice};
use crate::time::Instant;
use crate::wire::message::is_probing;
use crate::wire::{Alive, Ask, DatagramError, Message, Messages, canonical, decode_news, version_of};

/// The longest datagram taken in: others may be configured to send larger ones than we do.
const DATAGRAM_LEN_MAX: usize = 65_507;

/// How much of a packet is heard.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hearing {
    All,
    /// What somebody waits for, and what is said of us: it came above the rate.
    Due,
}

impl Node {
    /// A datagram arrived, from this address however the socket spells it: IPv4 as IPv6, with a scope or without.
    ///
    /// # Errors
    /// Nothing in it was heard, and the node is as it was, but for a counter: it is no packet of this protocol and
    /// cluster, damaged, or malformed.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Result<(), DatagramError> {
        if self.config.transport == Transport::Stream {
            self.begin(now);
            self.stats.drops.by_datagram += 1;
            return Ok(());
        }
        if self.rate_in.is_exhausted(self.now.max(now)) {
            self.begin(now);
            self.stats.drops.rate_in_whole += 1;
            return Ok(());
        }
        let decoded = decode_news(datagram, self.cluster, DATAGRAM_LEN_MAX, |alive| self.is_known(alive));
        let messages = decoded
            .and_then(|messages| self.in_our_version(datagram, messages))
            .inspect_err(|error| self.count_drop(error))?;
        let (now, from) = (self.begin(now), canonical(from));
        let takes_news = self.rate_in.has_some(now);
        self.rate_in.take(datagram.len());
        self.stats.drops.rate_in += u64::from(!takes_news);
        self.newcomers_left = self.config.newcomers_per_datagram;
        self.datagrams.heard();
        self.stats.datagrams_in += 1;
        self.stats.bytes_in += datagram.len() as u64;
        if self.status == Status::Superseded {
            return Ok(());
        }
        self.unproven_left = datagram.len();
        self.came_by = Some((from, None));
        self.heard_in = version_of(datagram).map(|version| (from, version));
        self.heard(now);
        let hearing = if takes_news { Hearing::All } else { Hearing::Due };
        self.hear_messages(now, messages, from, datagram.len(), hearing);
        Ok(())
    }

    /// The messages of a datagram, or of a carrier's packet. An answer to a stranger may have `len` bytes.
    pub(super) fn hear_messages(
        &mut self,
        now: Instant,
        messages: Messages<'_>,
        from: SocketAddr,
        len: usize,
        hearing: Hearing,
    ) {
        if self.status == Status::Left {
            return self.answer_pings_only(now, messages, from, len);
        }
        self.stats.claims_old += u64::from(messages.known());
        let via = Via::Datagram { from, len };
        for message in messages {
            if hearing == Hearing::Due && !self.must_hear(&message) {
                continue;
            }
            match message {
                Message::Ping(ping) => self.hear_ping(now, &ping, from, len),
                Message::Ack(ack) => self.hear_ack(now, &ack, Some(from)),
                Message::PingReq(request) => self.hear_ping_req(now, &request, from, len),
                Message::Nack(nack) => self.hear_nack(&nack),
                Message::Alive(alive) => self.hear_alive(now, &alive, via),
                Message::Suspect(suspect) => self.hear_suspect(now, &suspect, via),
                Message::Dead(dead) => self.hear_dead(now, &dead, via),
                Message::Left(left) => self.hear_left(now, &left, via),
                Message::Ask(ask) => self.hear_ask(&ask, from, len),
                Message::Broadcast(broadcast) => self.hear_broadcast(now, &broadcast, via),
                Message::Announce(announce) => self.hear_announce(now, &announce, from),
                Message::UserMessage(message) => self.hear_user_message(&message),
                // Steps of an exchange have no meaning outside their stream.
                Message::Join(_)
                | Message::SyncRoot(_)
                | Message::SyncAgree(_)
                | Message::SyncBuckets(_)
                | Message::SyncFilter(_)
                | Message::Held(_)
                | Message::Want(_)
                | Message::Tombstone(_)
                | Message::SyncEnd(_)
                | Message::NameTaken(_)
                | Message::Busy(_)
                | Message::Pull(_)
                | Message::Carry(_) => {}
            }
            if self.status == Status::Superseded {
                break;
            }
        }
    }

    /// What a datagram says that came above the rate: what somebody waits for, and what is said of us.
    fn must_hear(&self, message: &Message<'_>) -> bool {
        let id = self.local_id();
        match message {
            Message::Alive(alive) => alive.id == id,
            Message::Suspect(suspect) => suspect.id == id,
            Message::Dead(dead) => dead.id == id,
            Message::Left(left) => left.id == id,
            message => is_probing(message.kind()),
        }
    }

    /// The code speaks more versions than this node may have been told to.
    fn in_our_version<'m>(&self, datagram: &[u8], messages: Messages<'m>) -> Result<Messages<'m>, DatagramError> {
        match version_of(datagram) {
            Some(version) if !self.config.versions.contain(version) => Err(DatagramError::Version(version)),
            _ => Ok(messages),
        }
    }

    /// A departed member acks to the end, and takes no part in anything else.
    fn answer_pings_only(&mut self, now: Instant, messages: Messages<'_>, from: SocketAddr, len: usize) {
        // Above the ceiling nobody would take our Left: only silence tells of it.
        if !self.table.local().incarnation().is_accusable() {
            return;
        }
        for message in messages {
            if let Message::Ping(ping) = message {
                self.hear_ping(now, &ping, from, len);
            }
        }
    }

    /// Somebody was heard: any silence ends.
    pub(super) fn heard(&mut self, now: Instant) {
        if !self.is_running() {
            return;
        }
        let (reconnected, ran_again) = self.clock.heard(now);
        if let Some(after) = reconnected {
            self.outbox.notices.push_back(Notice::Reconnected { after });
        }
        if ran_again {
            self.rearm_suspicions(now);
        }
    }

    /// Somebody is about to bury a member: we say so if we hold it alive, or departed, beyond the accusation.
    fn hear_ask(&mut self, ask: &Ask, from: SocketAddr, len: usize) {
        let Some(slot) = self.table.find(ask.id) else { return };
        let held = self.table.at(slot).standing();
        let accused = Standing::new(ask.incarnation, State::Suspect);
        let contradicts = held > accused && matches!(held.state, State::Alive | State::Left);
        if contradicts && self.may_answer() {
            self.send_urgent(from, Body::Claim { about: ask.id }, len);
        }
    }

    /// Whether the datagram being handled may be answered with a claim that somebody waits for. It takes the place of
    /// an echo.
    pub(super) fn may_answer(&mut self) -> bool {
        let answered = core::mem::replace(&mut self.answered, Answered::Due);
        if answered == Answered::Echo {
            match self.carriers.claim_waits {
                ClaimWaits::InLane => self.outbox.take_back_claim(),
                ClaimWaits::OnCarrier(id) => self.carriers.take_back_claim(id),
                ClaimWaits::Nowhere => {}
            }
            self.stats.echoes -= 1;
            self.stats.drops.echoes_limited += 1;
        }
        answered != Answered::Due
    }

    /// Whether this is what we hold, and to hear it from others does not count.
    fn is_known(&self, alive: &Alive<'_>) -> bool {
        let Some(slot) = self.table.find(alive.id).filter(|&slot| slot != Slot::LOCAL) else { return false };
        let record = self.table.at(slot);
        let holds = |content: Content<'_>| {
            content.incarnation == alive.incarnation && content.profile == alive.profile.as_bytes()
        };
        record.standing() == Standing::new(alive.incarnation, State::Alive)
            && record.content().is_some_and(holds)
            && !self.config.count_heard
    }

    pub(super) fn count_drop(&mut self, error: &DatagramError) {
        let drops = &mut self.stats.drops;
        *match error {
            DatagramError::Length { .. } => &mut drops.length,
            DatagramError::Magic => &mut drops.magic,
            DatagramError::Version(_) => &mut drops.version,
            DatagramError::Flags(_) => &mut drops.sealed,
            DatagramError::Cluster => &mut drops.foreign,
            DatagramError::Checksum => &mut drops.checksum,
            DatagramError::Malformed { .. } => &mut drops.malformed,
        } += 1;
    }
}
