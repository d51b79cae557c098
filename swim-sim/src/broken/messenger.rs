//! Messengers with one deliberate fault each, for the judges of M1 to M12.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use swim_proto::messaging::packet::{Decoded, Packet, Refusal, Refuse, decode};
use swim_proto::messaging::{
    Action, Class, Delivery, Ending, Event, LinkId, LinkInput, MessageId, MessagingConfig, Messenger, OVERHEAD,
    Outgoing, PeerView, Receipt, Received, SendError, Stats, UnknownMessage, UnknownReceipt,
};
use swim_proto::{Event as NodeEvent, Instant, NodeId};

use crate::judges::Rule;
use crate::messaging::{DrivenMessenger, MessengerView};

/// When flaws begin that must not be there from the start.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is wrong with a messenger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessengerFlaw {
    /// It tells each outcome twice (M1).
    TellsTwice,
    /// It keeps every third outcome to itself (M1).
    SwallowsOutcomes,
    /// It says of what expired that it was never put on a link (M2).
    KnowsNothing,
    /// It acknowledges as processed what is merely delivered (M2).
    Flatters,
    /// It tells its application every fifth message again (M3).
    Stutters,
    /// It bends a byte of every tenth message on its way out (M3).
    Embellishes,
    /// It says of no message that another comes before it (M4).
    ForgetsTheOrder,
    /// It tells its application two messages of a kind the other way round (M4).
    Shuffles,
    /// It takes every message for one that may be delivered twice (M5).
    GivesToAnyLife,
    /// It sees more credit than it is given (M6).
    Overdraws,
    /// It grants more credit than it has room for (M6).
    Overpromises,
    /// It keeps more messages than it may (M7).
    Hoards,
    /// It does not hear that a link is full (M8).
    IgnoresFullness,
    /// It puts each message on a link twice (M8).
    Pesters,
    /// It does not hear that members died, or departed (M9).
    WaitsForTheDead,
    /// It has other weights than it shows (M10).
    Favours,
    /// It does not hear that a link is writable again (M10).
    WaitsForNothing,
    /// It tells nobody that there is room again (M10).
    KeepsQuiet,
    /// It hands over the messages of one sender before those of all others (M10).
    HasAFavourite,
    /// It gives messages ten times as long as they ask for (M11).
    NeverGivesUp,
    /// After a while it takes no link in any more (M11).
    GoesDeaf,
    /// It opens no link to one of the others (M12).
    OverlooksSomeone,
    /// It says nothing on links to one of the others (M12).
    SulksAtSomeone,
    /// It keeps links that do not come to be used for longer than it shows (M12).
    HopesForever,
    /// It never asks for the state of things (M12).
    NeverAsks,
    /// It keeps links that do not answer for longer than it shows (M12).
    NeverDespairs,
    /// Its breakers stay open for longer than it shows (M12).
    BearsGrudges,
    /// It remembers what others took at most when it first met them (M12).
    HoldsOnToLimits,
    /// It says that it has no room (M12).
    TurnsAway,
    /// It gives no credit back (M12).
    KeepsItsRoom,
    /// Its deadline is always now (contract).
    NeverRests,
}

impl MessengerFlaw {
    /// All of them.
    pub const ALL: [MessengerFlaw; 31] = [
        MessengerFlaw::TellsTwice,
        MessengerFlaw::SwallowsOutcomes,
        MessengerFlaw::KnowsNothing,
        MessengerFlaw::Flatters,
        MessengerFlaw::Stutters,
        MessengerFlaw::Embellishes,
        MessengerFlaw::ForgetsTheOrder,
        MessengerFlaw::Shuffles,
        MessengerFlaw::GivesToAnyLife,
        MessengerFlaw::Overdraws,
        MessengerFlaw::Overpromises,
        MessengerFlaw::Hoards,
        MessengerFlaw::IgnoresFullness,
        MessengerFlaw::Pesters,
        MessengerFlaw::WaitsForTheDead,
        MessengerFlaw::Favours,
        MessengerFlaw::WaitsForNothing,
        MessengerFlaw::KeepsQuiet,
        MessengerFlaw::HasAFavourite,
        MessengerFlaw::NeverGivesUp,
        MessengerFlaw::GoesDeaf,
        MessengerFlaw::OverlooksSomeone,
        MessengerFlaw::SulksAtSomeone,
        MessengerFlaw::HopesForever,
        MessengerFlaw::NeverAsks,
        MessengerFlaw::NeverDespairs,
        MessengerFlaw::BearsGrudges,
        MessengerFlaw::HoldsOnToLimits,
        MessengerFlaw::TurnsAway,
        MessengerFlaw::KeepsItsRoom,
        MessengerFlaw::NeverRests,
    ];

    /// The rule that it breaks first.
    pub fn rule(self) -> Rule {
        match self {
            MessengerFlaw::TellsTwice | MessengerFlaw::SwallowsOutcomes => Rule::M1,
            MessengerFlaw::KnowsNothing | MessengerFlaw::Flatters => Rule::M2,
            MessengerFlaw::Stutters | MessengerFlaw::Embellishes => Rule::M3,
            MessengerFlaw::ForgetsTheOrder | MessengerFlaw::Shuffles => Rule::M4,
            MessengerFlaw::GivesToAnyLife => Rule::M5,
            MessengerFlaw::Overdraws | MessengerFlaw::Overpromises => Rule::M6,
            MessengerFlaw::Hoards => Rule::M7,
            MessengerFlaw::IgnoresFullness | MessengerFlaw::Pesters => Rule::M8,
            MessengerFlaw::WaitsForTheDead => Rule::M9,
            MessengerFlaw::Favours
            | MessengerFlaw::WaitsForNothing
            | MessengerFlaw::KeepsQuiet
            | MessengerFlaw::HasAFavourite => Rule::M10,
            MessengerFlaw::NeverGivesUp | MessengerFlaw::GoesDeaf => Rule::M11,
            MessengerFlaw::OverlooksSomeone
            | MessengerFlaw::SulksAtSomeone
            | MessengerFlaw::HopesForever
            | MessengerFlaw::NeverAsks
            | MessengerFlaw::NeverDespairs
            | MessengerFlaw::BearsGrudges
            | MessengerFlaw::HoldsOnToLimits
            | MessengerFlaw::TurnsAway
            | MessengerFlaw::KeepsItsRoom => Rule::M12,
            MessengerFlaw::NeverRests => Rule::Contract,
        }
    }
}

/// A messenger with a flaw.
pub struct BrokenMessenger {
    messenger: Messenger,
    flaw: MessengerFlaw,
    /// The settings that it shows.
    config: MessagingConfig,
    now: Instant,
    count: u32,
    /// What is put out before anything else.
    again: Option<Again>,
    /// What was taken and is handed over later.
    kept: VecDeque<Received>,
    last: Option<Received>,
    favourite: Option<NodeId>,
    /// Whose links of others are, and to whom its own lead.
    sources: BTreeMap<LinkId, NodeId>,
    targets: BTreeMap<LinkId, NodeId>,
    /// Links of its messenger's that do not exist, and such as it says no more on.
    unopened: BTreeSet<LinkId>,
    silent: BTreeSet<LinkId>,
    /// The longest message that each took when it was first met.
    limits: BTreeMap<NodeId, u32>,
    /// The credit that was first told on each link.
    granted: BTreeMap<LinkId, (u64, u64)>,
}

/// Something that is done once more.
enum Again {
    Outcome(Event),
    Packet { link: LinkId, header: Vec<u8>, payload: Option<Bytes> },
}

impl BrokenMessenger {
    /// This messenger, with this flaw.
    pub fn new(messenger: Messenger, flaw: MessengerFlaw) -> BrokenMessenger {
        let mut config = messenger.config().clone();
        match flaw {
            MessengerFlaw::Hoards => config.outgoing_messages_max = 8,
            MessengerFlaw::Favours => config.class_weights = [1; 4],
            MessengerFlaw::HopesForever => config.link_timeout /= 10,
            MessengerFlaw::BearsGrudges => config.breaker_open_max /= 10,
            MessengerFlaw::NeverDespairs => config.rto_max /= 80,
            _ => {}
        }
        BrokenMessenger {
            messenger,
            flaw,
            config,
            now: Instant::ZERO,
            count: 0,
            again: None,
            kept: VecDeque::new(),
            last: None,
            favourite: None,
            sources: BTreeMap::new(),
            targets: BTreeMap::new(),
            unopened: BTreeSet::new(),
            silent: BTreeSet::new(),
            limits: BTreeMap::new(),
            granted: BTreeMap::new(),
        }
    }

    fn is(&self, flaw: MessengerFlaw) -> bool {
        self.flaw == flaw
    }

    /// Every so many times.
    fn every(&mut self, times: u32) -> bool {
        self.count += 1;
        self.count.is_multiple_of(times)
    }

    /// What it makes of a packet that came.
    fn misread(&mut self, link: LinkId, parts: &[Bytes]) -> Option<Vec<Bytes>> {
        let Some(Decoded::Known(packet)) = parts.first().and_then(|header| decode(header)) else { return None };
        match (packet, self.flaw) {
            (Packet::Hello(hello), _) => {
                self.sources.insert(link, hello.source);
                None
            }
            (Packet::Welcome(welcome), _) => {
                self.limits.entry(welcome.source).or_insert(welcome.message_max);
                None
            }
            (Packet::Ack(mut ack), MessengerFlaw::Overdraws) => {
                ack.credit_messages += 1_000;
                ack.credit_bytes += 1 << 20;
                Some(vec![encoded(&Packet::Ack(ack))])
            }
            _ => None,
        }
    }

    /// What it takes from its messenger.
    fn next(&mut self, take: impl FnOnce(&mut Messenger) -> Option<Received>) -> Option<Received> {
        if self.is(MessengerFlaw::Stutters)
            && let Some(last) = self.last.take()
            && self.every(5)
        {
            return Some(last);
        }
        let received = take(&mut self.messenger);
        self.last = received.clone();
        received
    }

    /// What it hands over, of a few that it has taken beforehand.
    fn next_of_some(&mut self, now: Instant) -> Option<Received> {
        while self.kept.len() < 64
            && let Some(received) = self.messenger.take_unacknowledged(now)
        {
            self.kept.push_back(received);
        }
        let first = self.kept.front()?;
        let at = match self.flaw {
            MessengerFlaw::HasAFavourite => {
                let favourite = *self.favourite.get_or_insert(first.from);
                self.kept.iter().position(|received| received.from == favourite)
            }
            _ => {
                let of = |received: &Received| (received.from, received.order, received.class);
                self.kept.iter().rposition(|received| of(received) == of(first))
            }
        };
        self.kept.remove(at.unwrap_or(0))
    }

    /// Whether its link leads to the one that it wants nothing to do with: the first that it ever opened one to.
    fn is_scorned(&self, link: LinkId) -> bool {
        let first = self.targets.first_key_value().map(|(_, &peer)| peer);
        self.targets.get(&link).is_some_and(|&peer| first == Some(peer))
    }

    fn hands_over_of_some(&self) -> bool {
        matches!(self.flaw, MessengerFlaw::Shuffles | MessengerFlaw::HasAFavourite)
    }
}

fn encoded(packet: &Packet) -> Bytes {
    let mut out = Vec::new();
    packet.encode(&mut out);
    Bytes::from(out)
}

impl MessengerView for BrokenMessenger {
    fn config(&self) -> &MessagingConfig {
        &self.config
    }
    fn stats(&self) -> Stats {
        let mut stats = self.messenger.stats();
        stats.incoming += self.kept.len() as u32;
        stats.links -= self.unopened.len() as u32;
        stats
    }
    fn session(&self) -> u64 {
        self.messenger.session()
    }
    fn peer(&self, id: NodeId) -> Option<PeerView> {
        self.messenger.peer(id)
    }
    fn deadline(&self) -> Option<Instant> {
        if self.is(MessengerFlaw::NeverRests) { Some(self.now) } else { self.messenger.deadline() }
    }
}

impl DrivenMessenger for BrokenMessenger {
    fn set_life(&mut self, now: Instant, life: u64) {
        self.messenger.set_life(now, life);
    }

    fn send(&mut self, now: Instant, mut message: Outgoing) -> Result<MessageId, SendError> {
        match self.flaw {
            MessengerFlaw::GivesToAnyLife => message.redeliverable = true,
            MessengerFlaw::NeverGivesUp => {
                message.expiry = Some(message.expiry.unwrap_or(self.config.expiry_default) * 10);
            }
            MessengerFlaw::HoldsOnToLimits => {
                let (len, max) = (message.payload.len(), self.limits.get(&message.to).map(|&max| max as usize));
                if let Some(max) = max.filter(|&max| len > max) {
                    return Err(SendError::TooLong { len, max });
                }
            }
            _ => {}
        }
        self.messenger.send(now, message)
    }

    fn cancel(&mut self, now: Instant, id: MessageId) -> Result<(), UnknownMessage> {
        self.messenger.cancel(now, id)
    }

    fn take(&mut self, now: Instant) -> Option<Received> {
        if self.hands_over_of_some() {
            let received = self.next_of_some(now)?;
            // Nobody waits for it any more if its sender's session has ended.
            let _ = self.messenger.acknowledge(now, received.receipt);
            return Some(received);
        }
        self.next(|messenger| messenger.take(now))
    }

    fn take_unacknowledged(&mut self, now: Instant) -> Option<Received> {
        if self.hands_over_of_some() {
            return self.next_of_some(now);
        }
        self.next(|messenger| messenger.take_unacknowledged(now))
    }

    fn acknowledge(&mut self, now: Instant, receipt: Receipt) -> Result<(), UnknownReceipt> {
        self.messenger.acknowledge(now, receipt)
    }

    fn close(&mut self, now: Instant) {
        self.messenger.close(now);
    }

    fn handle_event(&mut self, now: Instant, event: &NodeEvent<'_>) {
        self.now = now;
        let unheard = matches!(event, NodeEvent::Died(_) | NodeEvent::Left(_));
        if !(unheard && self.is(MessengerFlaw::WaitsForTheDead)) {
            self.messenger.handle_event(now, event);
        }
    }

    fn accept_link(&mut self, now: Instant, from: SocketAddr) -> Option<LinkId> {
        if self.is(MessengerFlaw::GoesDeaf) && now > Instant::ZERO + PATIENCE {
            return None;
        }
        self.messenger.accept_link(now, from)
    }

    fn handle_link(&mut self, now: Instant, link: LinkId, input: LinkInput<'_>) {
        self.now = now;
        match input {
            LinkInput::Full if self.is(MessengerFlaw::IgnoresFullness) => {}
            LinkInput::Writable if self.is(MessengerFlaw::WaitsForNothing) => {}
            LinkInput::Packet(parts) => match self.misread(link, parts) {
                Some(parts) => self.messenger.handle_link(now, link, LinkInput::Packet(&parts)),
                None => self.messenger.handle_link(now, link, input),
            },
            input => self.messenger.handle_link(now, link, input),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.messenger.handle_timeout(now);
    }

    fn poll_action<'b>(&mut self, buf: &'b mut Vec<u8>) -> Option<Action<'b>> {
        match self.again.take() {
            Some(Again::Outcome(event)) => return Some(Action::Event(event)),
            Some(Again::Packet { link, header, payload }) => {
                buf.clear();
                buf.extend_from_slice(&header);
                return Some(Action::Send { link, header: buf, payload });
            }
            None => {}
        }
        let mut own = Vec::new();
        loop {
            let flaw = self.flaw;
            let (link, mut packet, mut payload) = match self.messenger.poll_action(&mut own)? {
                Action::Event(event) => match self.tampered(event) {
                    Some(event) => return Some(Action::Event(event)),
                    None => continue,
                },
                Action::Send { link, header, payload } => match decode(header) {
                    Some(Decoded::Known(packet)) => (link, packet, payload),
                    _ => continue,
                },
                Action::Open { link, peer, to } => {
                    self.targets.insert(link, peer);
                    if self.is(MessengerFlaw::OverlooksSomeone) && self.is_scorned(link) {
                        self.unopened.insert(link);
                        continue;
                    }
                    return Some(Action::Open { link, peer, to });
                }
                Action::Close { link } if self.unopened.remove(&link) => continue,
                Action::Close { link } => return Some(Action::Close { link }),
            };
            if self.silent.contains(&link) {
                continue;
            }
            match (&mut packet, flaw) {
                (Packet::Ack(ack), MessengerFlaw::Flatters) => {
                    ack.processed_to = ack.delivered_to;
                    ack.processed.clear();
                }
                (Packet::Ack(ack), MessengerFlaw::Overpromises) => {
                    ack.credit_messages += u64::from(self.config.window_messages);
                }
                // What it has taken beforehand is not taken.
                (Packet::Ack(ack), MessengerFlaw::Shuffles | MessengerFlaw::HasAFavourite) => {
                    let from = self.sources.get(&link).copied();
                    let theirs = self.kept.iter().filter(|received| Some(received.from) == from);
                    ack.credit_bytes -= theirs.map(|received| (received.payload.len() + OVERHEAD) as u64).sum::<u64>();
                }
                (Packet::Data(data), MessengerFlaw::ForgetsTheOrder) => data.back = 0,
                (Packet::Hello(_), MessengerFlaw::SulksAtSomeone) if self.is_scorned(link) => continue,
                (Packet::Probe(_), MessengerFlaw::NeverAsks) => continue,
                (Packet::Welcome(_), MessengerFlaw::TurnsAway) if self.now > Instant::ZERO + PATIENCE => {
                    self.silent.insert(link);
                    packet = Packet::Refuse(Refuse { why: Refusal::Busy, retry_ms: 1_000 });
                }
                (Packet::Ack(ack), MessengerFlaw::KeepsItsRoom) => {
                    let first = (ack.credit_messages, ack.credit_bytes);
                    (ack.credit_messages, ack.credit_bytes) = *self.granted.entry(link).or_insert(first);
                }
                (Packet::Data(_), MessengerFlaw::Embellishes) if self.every(10) => {
                    let mut bent = payload.take().map(|payload| payload.to_vec()).unwrap_or_default();
                    bent.push(0);
                    payload = Some(Bytes::from(bent));
                }
                _ => {}
            }
            buf.clear();
            packet.encode(buf);
            if matches!(packet, Packet::Data(_)) && flaw == MessengerFlaw::Pesters {
                self.again = Some(Again::Packet { link, header: buf.clone(), payload: payload.clone() });
            }
            return Some(Action::Send { link, header: buf, payload });
        }
    }
}

impl BrokenMessenger {
    /// What it makes of an event; `None`: it keeps it to itself.
    fn tampered(&mut self, event: Event) -> Option<Event> {
        match (event, self.flaw) {
            (Event::Outcome(_), MessengerFlaw::TellsTwice) => self.again = Some(Again::Outcome(event)),
            (Event::Outcome(_), MessengerFlaw::SwallowsOutcomes) if self.every(3) => return None,
            (Event::Outcome(mut outcome), MessengerFlaw::KnowsNothing) if outcome.ending == Ending::Expired => {
                outcome.delivery = Delivery::Never;
                return Some(Event::Outcome(outcome));
            }
            (Event::Writable { .. }, MessengerFlaw::KeepsQuiet) => return None,
            _ => {}
        }
        Some(event)
    }
}

/// The weights of [`MessengerFlaw::Favours`], which it does not show.
pub const FAVOURS: [u8; Class::ALL.len()] = [1, 255, 1, 1];
