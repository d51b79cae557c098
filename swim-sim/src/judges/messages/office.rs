//! One messenger, as its inputs and outputs show it: its links, and what it was told of members.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;
use swim_proto::messaging::packet::{Ack, Decoded, Hello, Packet, Welcome, decode};
use swim_proto::messaging::{LinkId, MessageId, Outgoing, Receipt, Received};
use swim_proto::{Event as NodeEvent, Instant, MemberEvent, NodeId};

use super::inbox::Inbox;
use super::outbox::Outbox;
use super::turns::Turns;
use super::waits::{Times, Waits};
use super::{InboxName, Letter, Letters, StreamName, Verdict, hash, number, wrong};
use crate::judges::Rule;
use crate::messaging::MessengerView;
use crate::observe::{Post, Posted};

/// Where and when something is judged.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    /// By the messenger's clock.
    pub(super) now: Instant,
    /// By the world's, and how fast its own runs.
    pub(super) world: Instant,
    pub(super) rate: f64,
    /// Since when its process has been running and not been held up, if it is so.
    pub(super) running: Option<Instant>,
    pub(super) messenger: &'a dyn MessengerView,
    pub(super) slots: usize,
}

/// What it was last told of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Live { life: u64, endpoint: Option<SocketAddr> },
    Dead,
    Left,
    Forgotten,
}

/// One messenger.
#[derive(Debug)]
pub(super) struct Office {
    pub(super) id: NodeId,
    pub(super) life: u64,
    pub(super) session: u64,
    pub(super) closed: bool,
    pub(super) members: BTreeMap<NodeId, Held>,
    pub(super) numbers: BTreeMap<MessageId, u64>,
    /// Messages that have no outcome yet: by when they expire, and by whom they are for.
    pub(super) undone: BTreeSet<(Instant, u64)>,
    pub(super) undone_to: BTreeMap<NodeId, BTreeSet<u64>>,
    pub(super) accepted: u64,
    /// Those being cancelled.
    pub(super) cancelled: BTreeSet<MessageId>,
    pub(super) links: BTreeMap<LinkId, Link>,
    pub(super) outboxes: BTreeMap<NodeId, Outbox>,
    /// By sender, its session, and the inbox's number.
    pub(super) inboxes: BTreeMap<(NodeId, u64, u64), Inbox>,
    /// The inbox in which a member's last link ended, and whether it may have been forgotten since.
    latest: BTreeMap<NodeId, (u64, u64, bool)>,
    /// The session that it last named to each member, unless it may have forgotten that.
    sessions: BTreeMap<NodeId, u64>,
    /// What is in the application's queue of each stream, in order: by inbox and stream.
    pub(super) lines: BTreeMap<(u64, StreamName), VecDeque<u64>>,
    pub(super) receipts: BTreeMap<Receipt, u64>,
    pub(super) taking: Turns<NodeId>,
    pub(super) incoming: u32,
    pub(super) incoming_bytes: u64,
    /// What refusals promised: to whom, and whether it was the queue to them that was full, or that to all.
    pub(super) refused: BTreeSet<(NodeId, bool)>,
    /// Who was refused by both, and was told once of the room in both: it may be told once more.
    pub(super) told_for_both: BTreeSet<NodeId>,
    /// What may keep messages from their links, and links from being taken in.
    pub(super) waits: Waits,
    /// What the input in hand may have brought about.
    turn: Turn,
}

/// What the input in hand was.
#[derive(Debug, Default)]
struct Turn {
    timeout: bool,
    /// Whom it was about.
    peer: Option<NodeId>,
    /// A member that it was told is not live.
    buried: Option<NodeId>,
    /// A link on which another inbox was named, and whose outbox it was.
    rebound: Option<(LinkId, NodeId)>,
    closing: bool,
}

/// One link.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// Whom it was opened to; `None`: it was accepted.
    pub(super) peer: Option<NodeId>,
    up: bool,
    pub(super) full: bool,
    greeted: bool,
    pub(super) hello: Option<Hello>,
    pub(super) welcome: Option<Welcome>,
    /// Credit told on it, and, for who accepted it, that was told to the other.
    pub(super) credit: (u64, u64),
    /// Probes sent on it; the greatest of them that was answered in full, the Hello counting as 0.
    pub(super) probes: u64,
    pub(super) answered: Option<u64>,
    /// What was put on it last, by number: how many Probes had been sent before.
    pub(super) put: BTreeMap<u64, u64>,
    /// For who accepted it: the inbox it fills, the base it told, and from where it came.
    pub(super) inbox: Option<(NodeId, u64, u64)>,
    pub(super) base: u32,
    pub(super) from: Option<SocketAddr>,
    /// When what happened to it last, by the world's clock.
    pub(super) times: Times,
}

impl Office {
    pub(super) fn new((id, life): (NodeId, u64), messenger: &dyn MessengerView) -> Office {
        Office {
            id,
            life,
            session: messenger.session(),
            closed: false,
            members: BTreeMap::new(),
            numbers: BTreeMap::new(),
            undone: BTreeSet::new(),
            undone_to: BTreeMap::new(),
            accepted: 0,
            cancelled: BTreeSet::new(),
            links: BTreeMap::new(),
            outboxes: BTreeMap::new(),
            inboxes: BTreeMap::new(),
            latest: BTreeMap::new(),
            sessions: BTreeMap::new(),
            lines: BTreeMap::new(),
            receipts: BTreeMap::new(),
            taking: Turns::default(),
            incoming: 0,
            incoming_bytes: 0,
            refused: BTreeSet::new(),
            told_for_both: BTreeSet::new(),
            waits: Waits::default(),
            turn: Turn::default(),
        }
    }

    pub(super) fn observe(&mut self, at: At<'_>, post: &Post<'_>, letters: &mut Letters) -> Verdict {
        match *post {
            Post::Made => Ok(()),
            Post::Given(posted) => self.given(at, &posted, letters),
            Post::Accepted { id, message } => self.accepts(at, id, message, letters),
            Post::Refused { message, error } => self.refuses(at, message, error),
            Post::Cancelled { id, found } => {
                let known = self.numbers.get(&id).and_then(|number| letters.get(*number));
                if found {
                    self.cancelled.insert(id);
                }
                if found == known.is_some_and(|letter| letter.ending.is_none()) {
                    Ok(())
                } else {
                    wrong(Rule::M1, format!("takes message {id:?} for {}", if found { "not done" } else { "done" }))
                }
            }
            Post::Took { received, processed } => self.took(at, received, processed, letters),
            Post::Acknowledged { receipt, found } => {
                if let (true, Some(number)) = (found, self.receipts.remove(&receipt)) {
                    self.processed(number, letters);
                }
                Ok(())
            }
            Post::Incoming { link, from } => {
                match link {
                    Some(link) => {
                        self.links.insert(link, Link { up: true, from: Some(from), ..Link::default() });
                    }
                    None => self.waits.turns_away(at),
                }
                Ok(())
            }
            Post::Open { link, peer, .. } => self.opens(at, link, peer),
            Post::Send { link, header, payload } => self.sends(at, link, header, payload, letters),
            Post::Close { link } => {
                let gone = self.links.remove(&link);
                self.waits.closes(at, gone.as_ref());
                Ok(())
            }
            Post::Event(event) => self.tells(at, &event, letters),
            Post::Settled => self.settled(at, letters),
        }
    }

    fn given(&mut self, at: At<'_>, posted: &Posted<'_>, letters: &mut Letters) -> Verdict {
        if let Posted::Full(link) = *posted {
            // Told while it is still at what the input before brought about.
            if let Some(link) = self.links.get_mut(&link) {
                link.full = true;
                self.waits.moved(at, link.peer);
            }
            return Ok(());
        }
        self.turn = Turn::default();
        match *posted {
            Posted::Member(event) => self.hears(at, event, letters),
            Posted::Life(life) => self.life = life,
            Posted::Timeout => self.turn.timeout = true,
            Posted::Close => (self.turn.closing, self.closed) = (true, true),
            Posted::Incoming | Posted::Command => {}
            Posted::Up(link) | Posted::Writable(link) | Posted::Full(link) => {
                if let Some(link) = self.links.get_mut(&link) {
                    if link.full {
                        self.waits.moved(at, link.peer);
                    }
                    (link.up, link.full, link.times.freed) = (true, false, at.world);
                    self.turn.peer = link.peer;
                }
            }
            Posted::Down(link) => {
                let gone = self.links.remove(&link);
                self.waits.ends(at, gone.as_ref());
                self.turn.peer = gone.and_then(|link| link.peer);
            }
            Posted::Packet { link, parts } => self.comes(at, link, parts, letters)?,
        }
        Ok(())
    }

    /// News of the membership.
    fn hears(&mut self, at: At<'_>, event: &NodeEvent<'_>, letters: &mut Letters) {
        let live = |change: &MemberEvent<'_>| match change.member.state.is_live() {
            true => Held::Live { life: change.member.incarnation.life, endpoint: change.member.endpoint },
            false => Held::Dead,
        };
        let (change, held) = match event {
            NodeEvent::Joined(change)
            | NodeEvent::Suspected(change)
            | NodeEvent::Refuted(change)
            | NodeEvent::Restarted(change) => (change, live(change)),
            NodeEvent::Updated(change) if change.member.state.is_live() => (change, live(change)),
            NodeEvent::Died(change) => (change, Held::Dead),
            NodeEvent::Left(change) => (change, Held::Left),
            NodeEvent::Reaped(change) => (change, Held::Forgotten),
            _ => return,
        };
        let id = change.member.id;
        if id == self.id {
            return;
        }
        let before = self.members.insert(id, held);
        if before != Some(held) {
            self.waits.changes(at, id, before, held);
        }
        self.turn.peer = Some(id);
        let reachable = matches!(held, Held::Live { endpoint: Some(_), .. });
        if !reachable {
            self.turn.buried = Some(id);
            // What was sent need not be tried any longer.
            letters.drop_sent((self.session, id), |_| true);
        }
        if !matches!(held, Held::Live { .. }) {
            self.sessions.remove(&id);
            if let Some((_, _, forgotten)) = self.latest.get_mut(&id) {
                *forgotten = true;
            }
        }
    }

    fn accepts(&mut self, at: At<'_>, id: MessageId, message: &Outgoing, letters: &mut Letters) -> Verdict {
        let Some(number) = number(&message.payload) else { return Ok(()) };
        let letter = Letter::new(self.session, id, message, at.messenger.config(), at.now);
        self.turn.peer = Some(message.to);
        if self.closed {
            return wrong(Rule::M9, format!("accepted message {id:?} after it was closed"));
        }
        if !matches!(self.members.get(&message.to), Some(Held::Live { endpoint: Some(_), .. })) {
            return wrong(Rule::M9, format!("accepted message {id:?} to member {}, which is not live", message.to));
        }
        if self.numbers.insert(id, number).is_some() {
            return wrong(Rule::M1, format!("gave the name {id:?} twice"));
        }
        self.accepted += 1;
        self.undone.insert((letter.expires, number));
        self.undone_to.entry(message.to).or_default().insert(number);
        self.outboxes.entry(message.to).or_default().waits(number, &letter);
        if let Some(stream) = letter.stream() {
            letters.streams.entry(stream).or_default().push(number);
        }
        letters.all.insert(number, letter);
        Ok(())
    }

    fn opens(&mut self, at: At<'_>, link: LinkId, peer: NodeId) -> Verdict {
        if !matches!(self.members.get(&peer), Some(Held::Live { endpoint: Some(_), .. })) {
            return wrong(Rule::M9, format!("opens a link to member {peer}, which is not live"));
        }
        if self.links.values().any(|other| other.peer == Some(peer)) {
            return wrong(Rule::M8, format!("opens another link to member {peer}"));
        }
        let times = Times { opened: at.world, ..Times::default() };
        self.links.insert(link, Link { peer: Some(peer), times, ..Link::default() });
        Ok(())
    }

    /// A packet came.
    fn comes(&mut self, at: At<'_>, link: LinkId, parts: &[Bytes], letters: &mut Letters) -> Verdict {
        let Some(entry) = self.links.get_mut(&link) else { return Ok(()) };
        self.turn.peer = entry.peer;
        entry.times.came = at.world;
        let Some(Decoded::Known(packet)) = parts.first().and_then(|header| decode(header)) else { return Ok(()) };
        match (packet, entry.peer) {
            (Packet::Hello(hello), None) if entry.hello.is_none() => {
                entry.hello = Some(hello);
                self.turn.peer = Some(hello.source);
                Ok(())
            }
            (Packet::Welcome(welcome), Some(peer)) if entry.welcome.is_none() && entry.greeted => {
                entry.welcome = Some(welcome);
                self.waits.is_welcomed(peer, self.members.get(&peer), &welcome);
                let outbox = self.outboxes.entry(peer).or_default();
                if outbox.name.is_some_and(|name| name != (welcome.session, welcome.inbox)) {
                    self.turn.rebound = Some((link, peer));
                }
                Ok(())
            }
            (Packet::Refuse(refuse), Some(peer)) => {
                self.waits.is_refused(at, peer, &refuse);
                Ok(())
            }
            (Packet::Ack(ack), Some(peer)) => {
                let Some(welcome) = entry.welcome else { return Ok(()) };
                entry.credit.0 = entry.credit.0.max(ack.credit_messages);
                entry.credit.1 = entry.credit.1.max(ack.credit_bytes);
                if ack.echo > 0 {
                    entry.answered = entry.answered.max(Some(ack.echo - 1));
                }
                let outbox = self.outboxes.entry(peer).or_default();
                if outbox.name.is_none_or(|name| name == (welcome.session, welcome.inbox))
                    && outbox.acknowledged(&ack, letters)
                {
                    self.waits.moved(at, Some(peer));
                }
                Ok(())
            }
            (Packet::Data(data), None) => {
                let (Some(name), Some(payload)) = (entry.inbox, parts.get(1)) else { return Ok(()) };
                let number = number(payload);
                self.arrived(name, (data.number, data.back), (number, payload.len()), letters)
            }
            (Packet::Forward(forward), None) => {
                let Some(name) = entry.inbox else { return Ok(()) };
                self.passed(name, &forward, letters)
            }
            _ => Ok(()),
        }
    }

    /// A packet is put on a link.
    fn sends(
        &mut self,
        at: At<'_>,
        link: LinkId,
        header: &[u8],
        payload: Option<&Bytes>,
        letters: &mut Letters,
    ) -> Verdict {
        let Some(entry) = self.links.get_mut(&link) else {
            return wrong(Rule::M8, format!("puts a packet on link {}, which is closed", link.0));
        };
        if !entry.up || entry.full {
            let what = if entry.full { "full" } else { "not up" };
            return wrong(Rule::M8, format!("puts a packet on link {}, which is {what}", link.0));
        }
        let Some(Decoded::Known(packet)) = decode(header) else {
            return wrong(Rule::M8, format!("puts {header:02x?} on a link, which is no packet"));
        };
        let mut again = Vec::new();
        packet.encode(&mut again);
        if again != header || payload.is_some() != matches!(packet, Packet::Data(_)) {
            return wrong(Rule::M8, format!("puts a packet on a link that is not encoded as it should be: {packet:?}"));
        }
        let opener = entry.peer.is_some();
        match packet {
            Packet::Hello(hello) if opener && !entry.greeted => {
                entry.greeted = true;
                if (hello.source, hello.life) != (self.id, self.life) || Some(hello.target) != entry.peer {
                    return wrong(Rule::M8, format!("says that it is somebody else: {hello:?}"));
                }
                let may_forget = at.messenger.config().peers_max as usize <= at.slots;
                match self.sessions.insert(hello.target, hello.session) {
                    Some(before) if before != hello.session && !may_forget => {
                        return wrong(Rule::M5, format!("begins anew with member {}, for no reason", hello.target));
                    }
                    Some(_) | None => {}
                }
                Ok(())
            }
            Packet::Welcome(welcome) if !opener && !entry.greeted => self.welcomes(at, link, &welcome),
            Packet::Refuse(refuse) if !opener && !entry.greeted && entry.hello.is_some() => {
                entry.greeted = true;
                self.judge_refusal(at, link, &refuse)
            }
            Packet::Ack(ack) if entry.inbox.is_some() => self.acknowledges(at, link, &ack),
            Packet::Data(data) if entry.welcome.is_some() => {
                let Some(payload) = payload else { return Ok(()) };
                self.puts(at, link, &data, payload, letters)
            }
            Packet::Forward(forward) if entry.welcome.is_some() => self.forwards(link, &forward, letters),
            Packet::Probe(probe) if entry.welcome.is_some() => {
                entry.probes += 1;
                entry.times.asked = at.world;
                if probe.number == entry.probes {
                    Ok(())
                } else {
                    wrong(Rule::M8, format!("numbers its probe {}, {} is due", probe.number, entry.probes))
                }
            }
            packet => wrong(Rule::M8, format!("puts a packet on link {} that is not due: {packet:?}", link.0)),
        }
    }

    fn welcomes(&mut self, at: At<'_>, link: LinkId, welcome: &Welcome) -> Verdict {
        let Some(entry) = self.links.get_mut(&link) else { return Ok(()) };
        let Some(hello) = entry.hello else {
            return wrong(Rule::M8, "welcomes somebody who has not said who it is".into());
        };
        entry.greeted = true;
        let source = hello.source;
        let name = (source, hello.session, welcome.inbox);
        (entry.inbox, entry.base) = (Some(name), welcome.base_bytes);
        if (welcome.source, welcome.session) != (self.id, self.session) {
            return wrong(Rule::M8, format!("says that it is somebody else: {welcome:?}"));
        }
        if !matches!(self.members.get(&source), Some(Held::Live { life, .. }) if *life == hello.life) {
            return wrong(Rule::M8, format!("welcomes {hello:?}, which is not how that member is held"));
        }
        let may_forget = at.messenger.config().peers_max as usize <= at.slots;
        let before = self.latest.insert(source, (hello.session, welcome.inbox, false));
        match before {
            Some((session, inbox, forgotten)) => {
                let same = (session, inbox) == (hello.session, welcome.inbox);
                if session == hello.session && !same && !forgotten && !may_forget {
                    return wrong(
                        Rule::M5,
                        format!("forgot inbox {inbox} of member {source}, which was live all the time"),
                    );
                }
                if session != hello.session && inbox == welcome.inbox {
                    return wrong(Rule::M5, format!("gives inbox {inbox} to another session of member {source}"));
                }
            }
            None if self.inboxes.keys().any(|&(.., inbox)| inbox == welcome.inbox) => {
                return wrong(Rule::M5, format!("gives inbox {} a second time", welcome.inbox));
            }
            None => {}
        }
        self.inboxes.entry(name).or_default();
        Ok(())
    }

    fn acknowledges(&mut self, at: At<'_>, link: LinkId, ack: &Ack) -> Verdict {
        let Some(entry) = self.links.get_mut(&link) else { return Ok(()) };
        let Some(inbox) = entry.inbox.and_then(|name| self.inboxes.get(&name)) else { return Ok(()) };
        if ack.credit_messages < entry.credit.0 || ack.credit_bytes < entry.credit.1 {
            return wrong(Rule::M6, format!("takes credit back: {ack:?} after {:?}", entry.credit));
        }
        entry.credit = (ack.credit_messages, ack.credit_bytes);
        inbox.judge_ack(ack, at.messenger.config())?;
        if ack.echo > 0 { inbox.judge_grant(ack, entry.base, at.messenger.config()) } else { Ok(()) }
    }

    fn took(&mut self, at: At<'_>, received: &Received, processed: bool, letters: &mut Letters) -> Verdict {
        let Some(number) = number(&received.payload) else { return Ok(()) };
        let Some(letter) = letters.get(number) else {
            return wrong(Rule::M3, format!("tells its application what nobody said, from member {}", received.from));
        };
        let (session, own) = (self.session, self.id);
        if letter.to != own || hash(&received.payload) != letter.content {
            return wrong(Rule::M3, format!("tells its application message {:?} other than it was sent", letter.id));
        }
        if (received.class, received.order) != (letter.class, letter.order) {
            return wrong(Rule::M3, format!("tells message {:?} in another class or stream", letter.id));
        }
        let Some(&inbox) = letter.delivered.iter().rfind(|inbox| inbox.0 == session && !letter.taken.contains(inbox))
        else {
            return wrong(
                Rule::M3,
                format!("tells its application message {:?} without or before it is due", letter.id),
            );
        };
        let repeated = letter.taken.iter().any(|inbox| inbox.0 != session);
        if repeated && !received.repeated {
            return wrong(Rule::M3, format!("does not say that message {:?} may have been seen before", letter.id));
        }
        letter.taken.push(inbox);
        let (cost, class, id) = (letter.cost, letter.class, letter.id);
        if let Some(stream) = letter.stream() {
            let line = self.lines.entry((inbox.1, stream)).or_default();
            if line.front() != Some(&number) {
                return wrong(Rule::M4, format!("tells its application message {id:?} before others of its stream"));
            }
            line.pop_front();
            if line.is_empty() {
                self.lines.remove(&(inbox.1, stream));
            }
        }
        self.incoming -= 1;
        self.incoming_bytes -= cost;
        let from = received.from;
        let expected = self.inboxes.iter_mut().find(|(name, _)| (session, name.2) == inbox);
        if let Some((_, inbox)) = expected {
            inbox.take(number, cost);
        }
        if processed {
            self.processed(number, letters);
        } else {
            self.receipts.insert(received.receipt, number);
        }
        let weights = at.messenger.config().class_weights;
        self.taking.served(from, class, cost, weights).map_or(Ok(()), |starved| {
            wrong(Rule::M10, format!("tells its application message {id:?} and has passed over {starved}"))
        })
    }

    /// A message is processed.
    fn processed(&mut self, number: u64, letters: &mut Letters) {
        let session = self.session;
        let Some(letter) = letters.get(number) else { return };
        let Some(&inbox) = letter.taken.iter().rfind(|inbox| inbox.0 == session) else { return };
        letter.processed.push(inbox);
        if let Some((_, inbox)) = self.inboxes.iter_mut().find(|(name, _)| (session, name.2) == inbox) {
            inbox.process(number);
        }
    }

    fn settled(&mut self, at: At<'_>, letters: &mut Letters) -> Verdict {
        let turn = std::mem::take(&mut self.turn);
        let deadline = at.messenger.deadline();
        if turn.timeout && deadline.is_some_and(|deadline| deadline <= at.now) {
            return wrong(Rule::Contract, format!("wants to be woken at {deadline:?}, which is not ahead"));
        }
        if let Some(&(expires, number)) = self.undone.first() {
            let id = letters.get(number).map(|letter| letter.id);
            if turn.timeout && expires <= at.now {
                return wrong(Rule::M11, format!("lets message {id:?} live beyond its time, {expires:?}"));
            }
            if deadline.is_none_or(|deadline| deadline > expires.max(at.now)) {
                return wrong(Rule::M11, format!("does not wake for the end of message {id:?} at {expires:?}"));
            }
        }
        if turn.closing && (!self.undone.is_empty() || !self.links.is_empty()) {
            return wrong(Rule::M1, "is closed, and not all messages and links have ended".into());
        }
        if let Some((link, peer)) = turn.rebound {
            self.rebound(link, peer, letters)?;
        }
        if let Some(peer) = turn.buried {
            self.judge_burial(at, peer)?;
        }
        self.judge_bounds(at, turn.peer)?;
        if let Some(peer) = turn.peer {
            self.judge_peer(at, peer)?;
        }
        self.judge_waits(at)?;
        self.judge_writable(at, letters)
    }

    /// The other inbox to which messages for this member go from this turn on.
    pub(super) fn rebinds_to(&self, peer: NodeId) -> Option<InboxName> {
        let (link, _) = self.turn.rebound.filter(|&(_, rebound)| rebound == peer)?;
        self.inbox_of(link)
    }

    /// The inbox that a link leads to.
    pub(super) fn inbox_of(&self, link: LinkId) -> Option<InboxName> {
        self.links.get(&link)?.welcome.map(|welcome| (welcome.session, welcome.inbox))
    }
}
