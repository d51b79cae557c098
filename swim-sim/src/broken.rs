//! Nodes with one deliberate fault each: what shows that a judge sees.
//!
//! A [`Broken`] is the core's own [`Node`], lied to, overheard or misquoted in exactly one way ([`Flaw`]). It takes a
//! node's place by [`World::set_maker`](crate::World::set_maker). For each rule there is a flaw that breaks it, and a
//! test (`tests/judges.rs`) in which the judge of that rule, and no other before it, says so; the same scenario
//! without the flaw passes.

mod flaw;
mod messenger;
mod misquote;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use swim_proto::wire::FrameReader;
use swim_proto::{
    Action, CommandError, Config, DatagramError, Event, Instant, LocalMember, Member, MemberEvent, Node, NodeId,
    SeedId, State, Stats, Status, StreamId, StreamInput, Suspicion, Way,
};

use crate::machine::{Driven, Machine};
use crate::observe::View;
pub use flaw::Flaw;
pub use messenger::{BrokenMessenger, FAVOURS, MessengerFlaw};
use misquote::{Misquote, Quote};

/// How much too short [`Flaw::BuriesHastily`] makes suspicions, and how much too long [`Flaw::LosesItsTimers`].
const HASTE: f64 = 6.0;

/// After how long [`Flaw::Resurrects`] does.
const GRIEF: Duration = Duration::from_secs(2);

/// After how long [`Flaw::GivesUp`], [`Flaw::Boasts`] and [`Flaw::StopsProbing`] do.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often [`Flaw::Pesters`] sends a ping.
const PESTERING: u32 = 40;

/// What no node is given, and [`Flaw::Improvises`] draws from all the same.
static OUTSIDE: AtomicU64 = AtomicU64::new(1);

/// A node with a flaw.
pub struct Broken {
    node: Node,
    flaw: Flaw,
    /// The settings that it shows.
    config: Config,
    own: NodeId,
    now: Instant,
    /// Inputs that it gives itself before the next one it is given.
    asides: Vec<(SocketAddr, Vec<u8>)>,
    misquote: Misquote,
    /// What is read of streams before it is misquoted.
    read: BTreeMap<StreamId, FrameReader>,
    /// Events so far.
    events: u32,
    /// The datagram that is sent once more, to whom, and how often yet.
    again: Option<(SocketAddr, Vec<u8>, u32)>,
    /// Whom it does not probe.
    passed_over: Option<NodeId>,
    /// How many probes it shows once it has stopped probing.
    probes: u64,
    /// Datagrams that it sends besides what the node does.
    besides: Vec<(SocketAddr, Vec<u8>)>,
    /// Members that died, since when, and whether they were taken for alive again.
    mourned: Vec<(NodeId, Instant, bool)>,
    /// Of those, who is still to be told of.
    returned: Option<NodeId>,
    changed: Vec<NodeId>,
    /// Metadata that it keeps to itself.
    metadata: Option<Bytes>,
    /// The broadcast that it is about to tell once more: origin, life, sequence, payload.
    twice: Option<(NodeId, u64, u64, Vec<u8>)>,
}

impl Broken {
    /// This node, with this flaw. To be made before it has been given anything.
    pub fn new(node: Node, flaw: Flaw) -> Broken {
        let config = node.config().clone();
        let (own, now) = (node.local().id, node.local().since);
        let misquote = Misquote::new(&config);
        let node = match flaw.settings(&config) {
            Some(settings) => started_anew(&node, now, settings, flaw),
            None => node,
        };
        Broken {
            node,
            flaw,
            config,
            own,
            now,
            asides: Vec::new(),
            misquote,
            read: BTreeMap::new(),
            events: 0,
            again: None,
            passed_over: None,
            probes: 0,
            besides: Vec::new(),
            mourned: Vec::new(),
            returned: None,
            changed: Vec::new(),
            metadata: None,
            twice: None,
        }
    }

    fn has_given_up(&self) -> bool {
        self.flaw == Flaw::GivesUp && self.now > Instant::ZERO + PATIENCE
    }

    /// What comes before any input: its time, and what the node tells itself.
    fn before_input(&mut self, now: Instant) {
        if self.now <= Instant::ZERO + PATIENCE {
            self.probes = self.node.stats().probes;
        }
        self.now = now;
        self.changed.clear();
        for (from, datagram) in std::mem::take(&mut self.asides) {
            // What it tells itself is well-formed; and if it were not, it would be ignored.
            let _ = self.node.handle_datagram(now, from, &datagram);
        }
        let due = |&&mut (_, since, back): &&mut (NodeId, Instant, bool)| !back && now > since + GRIEF;
        if let Some(mourned) = self.mourned.iter_mut().find(due) {
            mourned.2 = true;
            self.returned = Some(mourned.0);
        }
    }

    /// What comes after: what has changed includes whoever it made up.
    fn after_input(&mut self) {
        if self.flaw != Flaw::HidesItsChanges {
            self.changed.extend(self.node.changed());
        }
        self.changed.extend(self.returned);
    }

    fn is_resurrected(&self, id: NodeId) -> bool {
        self.mourned.iter().any(|&(mourned, _, back)| mourned == id && back)
    }

    /// What it shows of a member.
    fn shown<'a>(&'a self, mut member: Member<'a>) -> Member<'a> {
        match self.flaw {
            Flaw::RemembersAnEarlierLife if member.state == State::Suspect => {
                member.incarnation.life -= 1;
            }
            Flaw::Resurrects if self.is_resurrected(member.id) => member.state = State::Alive,
            Flaw::BuriesHastily => member.suspicion = member.suspicion.map(|case| stretched(case, HASTE)),
            Flaw::LosesItsTimers => member.suspicion = member.suspicion.map(|case| stretched(case, 1.0 / HASTE)),
            Flaw::BuriesUnconfirmed => {
                member.suspicion = member.suspicion.map(|case| {
                    let max = stretched(case, self.config.suspicion_beta);
                    Suspicion { timeout_min: case.timeout_min, ..max }
                });
            }
            Flaw::BelievesItsAccusers if member.id == self.own && member.incarnation.refutation > 0 => {
                member.state = State::Suspect;
            }
            Flaw::CountsTwice => {
                member.suspicion = member.suspicion.map(|case| Suspicion { accusers: case.accusers + 2, ..case });
            }
            Flaw::CountsItself if self.node.stats().probes_failed == 0 => {
                member.suspicion = member.suspicion.map(|case| Suspicion { accusers: case.accusers + 1, ..case });
            }
            Flaw::KeepsToItself if member.id == self.own => {
                member.metadata = self.metadata.as_deref().unwrap_or(member.metadata);
            }
            _ => {}
        }
        member
    }

    /// How it misquotes what it is told.
    fn mishears(&self) -> Option<Quote> {
        match self.flaw {
            Flaw::IgnoresAccusations => Some(Quote::WithoutAccusationsOfOthersThan(self.own)),
            Flaw::IgnoresItsObituary => Some(Quote::WithoutAccusationsOf(self.own)),
            Flaw::BuriesUnheard => Some(Quote::WithoutAcks),
            Flaw::TurnsADeafEar => Some(Quote::WithoutBroadcasts),
            Flaw::KnowsNobodyNew => Some(Quote::WithoutMembers),
            _ => None,
        }
    }

    /// How it misquotes what it says.
    fn misspeaks(&self) -> Option<Quote> {
        match self.flaw {
            Flaw::AccusesTheFuture => Some(Quote::AccusingTheFuture),
            Flaw::InventsAccusers => Some(Quote::InNamesInvented),
            Flaw::SignsForOthers => Some(Quote::InTheNameOf(self.own)),
            Flaw::BuriesUnheard => Some(Quote::WithoutAccusationsOfOthersThan(self.own)),
            Flaw::Stammers => Some(Quote::WithAByteTooMany),
            Flaw::SpeaksAsOfOld => Some(Quote::InTheOldestVersion),
            Flaw::NagsWithItsLeft if self.node.status() == Status::Leaving => {
                Some(Quote::DepartingWithEachAck(self.own, self.node.local().incarnation))
            }
            Flaw::HoldsItsTongue => Some(Quote::WithoutClaims),
            Flaw::TalksOfMembersOnly => Some(Quote::WithoutBroadcasts),
            _ => None,
        }
    }

    /// Takes note of an event. `false`: it keeps it to itself.
    fn tells(&mut self, event: &Event<'_>) -> bool {
        self.events += 1;
        if let Event::Died(change) = event
            && self.flaw == Flaw::Resurrects
        {
            self.mourned.push((change.member.id, self.now, false));
        }
        self.flaw != Flaw::SwallowsEvents || !self.events.is_multiple_of(3)
    }

    /// Takes note of a datagram that it has heard.
    fn has_heard(&mut self, from: SocketAddr, datagram: &[u8]) {
        if self.flaw == Flaw::PassesOnAll
            && let Some(claims) = self.misquote.claims(datagram)
        {
            let others = self.node.members().filter(|member| member.id != self.own && member.address != from);
            self.besides.extend(others.take(3).map(|member| (member.address, claims.clone())));
        }
    }

    /// Takes note of a datagram that it is about to send. `false`: it does not send it after all.
    fn sends(&mut self, to: SocketAddr, datagram: &[u8]) -> bool {
        let Some(target) = self.misquote.pinged(datagram) else { return true };
        let idle = match self.flaw {
            Flaw::StopsProbing => self.now > Instant::ZERO + PATIENCE,
            Flaw::PassesOver => *self.passed_over.get_or_insert(target) == target,
            _ => false,
        };
        match self.flaw {
            _ if idle => {
                if let Some(member) = self.node.member(target) {
                    self.asides.push((to, self.misquote.ack(datagram, member.incarnation)));
                }
            }
            Flaw::Pesters => self.again = Some((to, datagram.to_vec(), PESTERING)),
            Flaw::AnswersItself => {
                if let Some(member) = self.node.member(target) {
                    let ack = self.misquote.ack(datagram, member.incarnation);
                    self.asides.push((to, ack));
                }
            }
            _ => {}
        }
        !idle
    }
}

/// The same member as a node that runs with other settings, or draws other lots.
fn started_anew(node: &Node, now: Instant, settings: Config, flaw: Flaw) -> Node {
    let local = node.local();
    let same = LocalMember {
        name: local.name.to_owned(),
        address: local.address,
        endpoint: local.endpoint,
        metadata: Bytes::copy_from_slice(local.metadata),
        life: local.incarnation.life,
    };
    let seed = match flaw {
        Flaw::Improvises => OUTSIDE.fetch_add(1, Ordering::Relaxed),
        _ => local.id.as_u64(),
    };
    Node::new(now, same, settings, seed).expect("each flaw's settings are within their bounds")
}

/// A suspicion as it would be if it lasted so many times as long.
fn stretched(case: Suspicion, times: f64) -> Suspicion {
    Suspicion {
        deadline: case.since + case.deadline.saturating_since(case.since).mul_f64(times),
        timeout_min: case.timeout_min.mul_f64(times),
        timeout_max: case.timeout_max.mul_f64(times),
        ..case
    }
}

impl From<Broken> for Machine {
    fn from(broken: Broken) -> Machine {
        Machine::Custom(Box::new(broken))
    }
}

impl View for Broken {
    fn local(&self) -> Member<'_> {
        self.shown(self.node.local())
    }
    fn status(&self) -> Status {
        if self.has_given_up() { Status::Superseded } else { self.node.status() }
    }
    fn members(&self, each: &mut dyn FnMut(Member<'_>)) {
        self.node.members().for_each(|member| each(self.shown(member)));
    }
    fn member(&self, id: NodeId) -> Option<Member<'_>> {
        self.node.member(id).map(|member| self.shown(member))
    }
    fn changed(&self) -> &[NodeId] {
        &self.changed
    }
    fn live(&self) -> usize {
        self.node.live() + usize::from(self.flaw == Flaw::Miscounts)
    }
    fn digest(&self) -> u64 {
        self.node.digest()
    }
    fn health(&self) -> u8 {
        self.node.health()
    }
    fn stats(&self) -> Stats {
        let stats = self.node.stats();
        match self.flaw {
            Flaw::StopsProbing if self.now > Instant::ZERO + PATIENCE => Stats { probes: self.probes, ..stats },
            Flaw::NeverTires => Stats { rumors: stats.rumors + 1, ..stats },
            _ => stats,
        }
    }
    fn deadline(&self) -> Option<Instant> {
        match self.flaw {
            Flaw::NeverRests => self.node.deadline().map(|deadline| deadline.min(self.now)),
            Flaw::GivesUp if self.has_given_up() => None,
            _ => self.node.deadline(),
        }
    }
    fn config(&self) -> &Config {
        &self.config
    }
}

impl Driven for Broken {
    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Result<(), DatagramError> {
        self.before_input(now);
        if self.has_given_up() {
            return Ok(());
        }
        let handled = match self.mishears() {
            Some(quote) => {
                let heard = self.misquote.packet(datagram, quote);
                self.node.handle_datagram(now, from, &heard)
            }
            None => self.node.handle_datagram(now, from, datagram),
        };
        self.has_heard(from, datagram);
        self.after_input();
        handled
    }
    fn accept_stream(&mut self, now: Instant, from: SocketAddr) -> Option<StreamId> {
        self.before_input(now);
        let stream = self.node.accept_stream(now, from);
        self.after_input();
        stream
    }
    fn handle_stream(&mut self, now: Instant, stream: StreamId, input: StreamInput<'_>) {
        self.before_input(now);
        match (self.flaw, input) {
            // Streams bring answers and accusations too, and are not heard any better.
            (Flaw::IgnoresItsObituary | Flaw::BuriesUnheard | Flaw::SkimsExchanges, StreamInput::Data(bytes)) => {
                let quote = self.mishears().unwrap_or(Quote::WithoutMembers);
                let heard = self.misquote.frames(self.read.entry(stream).or_default(), bytes, quote);
                self.node.handle_stream(now, stream, StreamInput::Data(&heard));
            }
            (_, input) => self.node.handle_stream(now, stream, input),
        }
        self.after_input();
    }
    fn handle_resolved(&mut self, now: Instant, seed: SeedId, addresses: &[SocketAddr]) {
        self.before_input(now);
        self.node.handle_resolved(now, seed, addresses);
        self.after_input();
    }
    fn handle_timeout(&mut self, now: Instant) {
        self.before_input(now);
        self.node.handle_timeout(now);
        if self.flaw == Flaw::Boasts && now > Instant::ZERO + PATIENCE {
            let metadata = Bytes::copy_from_slice(self.node.local().metadata);
            self.node.set_metadata(now, metadata).expect("it was its metadata before");
        }
        self.after_input();
    }
    fn report_loss(&mut self, now: Instant, datagrams: u64) {
        self.before_input(now);
        self.node.report_loss(now, datagrams);
        self.after_input();
    }
    fn join(&mut self, now: Instant, seeds: &[SeedId]) -> Result<(), CommandError> {
        self.before_input(now);
        let joining = self.node.join(now, seeds);
        self.after_input();
        joining
    }
    fn leave(&mut self, now: Instant) -> Result<(), CommandError> {
        self.before_input(now);
        let leaving = self.node.leave(now);
        self.after_input();
        leaving
    }
    fn set_metadata(&mut self, now: Instant, metadata: Bytes) -> Result<(), CommandError> {
        self.before_input(now);
        let set = if self.flaw == Flaw::KeepsToItself {
            self.metadata = Some(metadata);
            self.changed.push(self.own);
            Ok(())
        } else {
            self.node.set_metadata(now, metadata)
        };
        self.after_input();
        set
    }
    fn force_leave(&mut self, now: Instant, member: NodeId) -> Result<(), CommandError> {
        self.before_input(now);
        let left = self.node.force_leave(now, member);
        self.after_input();
        left
    }
    fn broadcast(&mut self, now: Instant, payload: Bytes) -> Result<u64, CommandError> {
        self.before_input(now);
        let said = self.node.broadcast(now, payload);
        self.after_input();
        said
    }
    fn send_message(&mut self, now: Instant, to: NodeId, payload: Bytes, by: Way) -> Result<(), CommandError> {
        self.before_input(now);
        let said = self.node.send_message(now, to, payload, by);
        self.after_input();
        said
    }

    fn poll_action<'b>(&mut self, buf: &'b mut Vec<u8>) -> Option<Action<'b>> {
        if self.has_given_up() {
            return None;
        }
        if let Some((to, datagram, times)) = self.again.take() {
            buf.clear();
            buf.extend_from_slice(&datagram);
            self.again = (times > 1).then_some((to, datagram, times - 1));
            return Some(Action::Transmit { to, datagram: buf });
        }
        if let Some((to, datagram)) = self.besides.pop() {
            buf.clear();
            buf.extend_from_slice(&datagram);
            return Some(Action::Transmit { to, datagram: buf });
        }
        if let Some((origin, life, sequence, payload)) = self.twice.take() {
            buf.clear();
            buf.extend_from_slice(&payload);
            return Some(Action::Event(Event::Broadcast { origin, life, sequence, payload: buf }));
        }
        if let Some(id) = self.returned.take() {
            return returning(self.node.member(id)?, buf);
        }
        let mut swallowed = Vec::new();
        loop {
            let action = self.node.poll_action(&mut swallowed)?;
            match action {
                Action::Event(event) if !self.tells(&event) => continue,
                Action::Event(Event::Refuted(mut change)) if self.flaw == Flaw::TellsOfThePast => {
                    change.member.incarnation.refutation -= 1;
                    return Some(misquote::moved(Action::Event(Event::Refuted(change)), buf));
                }
                Action::Event(Event::Broadcast { origin, life, sequence, payload }) => {
                    buf.clear();
                    buf.extend_from_slice(payload);
                    match self.flaw {
                        Flaw::TellsTwice => self.twice = Some((origin, life, sequence, payload.to_vec())),
                        Flaw::Embellishes => buf.push(0),
                        _ => {}
                    }
                    return Some(Action::Event(Event::Broadcast { origin, life, sequence, payload: buf }));
                }
                Action::Event(Event::Message { payload, .. }) if self.flaw == Flaw::MixesUpSenders => {
                    buf.clear();
                    buf.extend_from_slice(payload);
                    return Some(Action::Event(Event::Message { from: self.own, payload: buf }));
                }
                Action::Transmit { to, datagram } => {
                    if !self.sends(to, datagram) {
                        continue;
                    }
                    buf.clear();
                    match self.misspeaks() {
                        Some(quote) => buf.extend_from_slice(&self.misquote.packet(datagram, quote)),
                        None => buf.extend_from_slice(datagram),
                    }
                    return Some(Action::Transmit { to, datagram: buf });
                }
                action => return Some(misquote::moved(action, buf)),
            }
        }
    }
}

/// The event that a member which died is back, without its metadata.
fn returning<'b>(member: Member<'_>, buf: &'b mut Vec<u8>) -> Option<Action<'b>> {
    buf.clear();
    buf.extend_from_slice(member.name.as_bytes());
    let name = std::str::from_utf8(buf).expect("it was a name before");
    let member = Member { name, metadata: &[], state: State::Alive, ..member_without_borrows(&member) };
    Some(Action::Event(Event::Joined(MemberEvent { member, cause: swim_proto::Cause::Itself })))
}

/// A member without what is borrowed.
fn member_without_borrows(member: &Member<'_>) -> Member<'static> {
    Member {
        id: member.id,
        name: "",
        address: member.address,
        endpoint: member.endpoint,
        metadata: &[],
        versions: member.versions,
        state: member.state,
        incarnation: member.incarnation,
        since: member.since,
        rtt: member.rtt,
        path: member.path,
        suspicion: member.suspicion,
    }
}
