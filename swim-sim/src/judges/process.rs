//! One process under the eyes of the judges: its shadow, and what its present input has brought about.
//!
//! This file keeps the books; what is right is decided by the leaves (`incarnation`, `lattice`, `causes`, `events`,
//! `wire`, `load`, `bounds`, `oneself`), each with the head of its file saying what it cannot see.

mod carriers;
mod changes;
mod claims;
mod records;
mod speech;

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::net::SocketAddr;
use std::time::Duration;

use swim_proto::wire::{Alive, Dead, FrameReader, Grave, Message, Tombstone, decode};
use swim_proto::{
    Cause, ClusterHash, Config, Drops, Event, Incarnation, Instant, Member, MemberEvent, NodeId, Path, State, Status,
    StreamId, Transport,
};

use super::Rule;
use super::bounds::{self, Case, Census, Standstill};
use super::causes::{self, Accusation, Evidence};
use super::fault::{Verdict, fault_about};
use super::lattice::{self, Claim};
use super::load::Load;
use super::maps::{IdMap, Spread};
use super::mirror::{self, Held, Mirror, Told};
use super::oneself::Course;
use super::oracle::{Oracle, subject};
use super::probing::Probing;
use super::rates::{Hearing, Rates};
use super::{events, incarnation, oneself, wire};
use crate::observe::{Command, Input, View};
use carriers::Carriers;

/// Longest datagram that a node takes.
const DATAGRAM_MAX: usize = 65_507;

/// Longest packet of a frame.
const FRAME_MAX: usize = 1 << 16;

/// Members of which a shadow is kept at one process. Past it invented members are not followed.
const MIRRORS_MAX: usize = 1 << 18;

type StreamMap = HashMap<StreamId, FrameReader, BuildHasherDefault<Spread>>;

/// A process and all that is known of it.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) id: NodeId,
    /// When it was started, in simulated time.
    pub(super) started: Instant,
    cluster: ClusterHash,
    own: Incarnation,
    /// Whether it took part when it last settled.
    took_part: bool,
    /// Whether its application had it leave, and not come back since.
    told_to_leave: bool,
    mirrors: IdMap<Mirror>,
    /// How many mirrors hold a record.
    held: usize,
    /// Whether there were more members than are followed.
    mirrors_full: bool,
    cases: IdMap<Case>,
    pub(super) evidence: Evidence,
    load: Load,
    rates: Rates,
    standstill: Standstill,
    pub(super) probing: Probing,
    /// The most live members it ever held.
    pub(super) live_max: usize,
    reading: StreamMap,
    writing: StreamMap,
    carriers: Carriers,
    turn: Turn,
    scratch: Vec<u8>,
    /// When all its members are looked at next, in simulated time.
    pub(super) scan_at: Instant,
}

/// The input that the process is dealing with.
#[derive(Debug, Default)]
struct Turn {
    kind: Kind,
    /// Whether packets of a carrier came.
    carried: bool,
    /// Whose packet is being heard, if it came by carrier.
    peer: Option<SocketAddr>,
    /// The stream that was read from: if it breaks in this turn, what it told need not have been heard.
    carrier: Option<StreamId>,
    /// Of a datagram: where it came from. Its bytes, or those of the carrier's packets, and its messages.
    from: Option<SocketAddr>,
    /// The same, and its version, if it could be read.
    heard_in: Option<(SocketAddr, u8)>,
    bytes: usize,
    messages: u64,
    /// Messages that each want a datagram sent: pings, ping-reqs, acks to be handed on, questions.
    asks: u64,
    /// Whether its lateness has been counted.
    timed: bool,
    /// What it makes of the node itself.
    course: Course,
    /// What was due before it, and how many members were live.
    deadline: Option<Instant>,
    live: usize,
    /// Probes and questions that had failed before it, and what had been dropped.
    failed: u64,
    drops: Drops,
    /// Whether its bytes could be read.
    is_read: bool,
    /// Whether it is word that datagrams were lost.
    is_loss: bool,
    /// Members that became live in it so far, and that ceased to be.
    came: usize,
    gone: usize,
    /// Claims of a datagram, and those of an exchange, by its stream.
    claims: Vec<Claim>,
    exchanged: Vec<(StreamId, Claim)>,
    /// The stream of which a step of an exchange is being heard.
    exchange: Option<StreamId>,
    /// Members that it names in any way.
    named: Vec<NodeId>,
    accusations: Vec<Accusation>,
    /// Members that were held live before it, and forgotten in it.
    forgotten: Vec<NodeId>,
    /// Whom the datagram being sent pings, or asks about.
    targets: Vec<NodeId>,
    /// Deaths, each with its declarer, and departures that it spoke of: its own are told by events, which may come after.
    spoken: Vec<(NodeId, Incarnation, Option<NodeId>)>,
    /// Members that events told of.
    told: Vec<NodeId>,
    /// Datagrams sent in answer, whether one of them was a claim alone, and bytes sent to addresses that are nobody's.
    answers: u64,
    answered: bool,
    /// Whether the datagram being sent tells news of others.
    tells: bool,
    to_strangers: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Start,
    Datagram,
    Stream,
    Timeout,
    Command,
}

/// When and where something is judged.
#[derive(Clone, Copy)]
pub(super) struct Moment<'a> {
    /// Simulated time.
    pub(super) now: Instant,
    /// The node's clock.
    pub(super) clock: Instant,
    pub(super) view: &'a dyn View,
    pub(super) oracle: &'a Oracle,
}

impl Process {
    /// A process that was just started.
    pub(super) fn new(now: Instant, clock: Instant, view: &dyn View) -> Process {
        let local = view.local();
        let mut process = Process {
            id: local.id,
            started: now,
            cluster: ClusterHash::of(&view.config().cluster),
            own: local.incarnation,
            took_part: true,
            told_to_leave: false,
            mirrors: IdMap::default(),
            held: 0,
            mirrors_full: false,
            cases: IdMap::default(),
            evidence: Evidence::default(),
            load: Load::new(clock),
            rates: Rates::new(view.config(), clock),
            standstill: Standstill::new(clock),
            probing: Probing::new(clock, view.config()),
            live_max: view.live(),
            reading: StreamMap::default(),
            writing: StreamMap::default(),
            carriers: Carriers::default(),
            turn: Turn { live: view.live(), ..Turn::default() },
            scratch: Vec::new(),
            scan_at: now,
        };
        view.members(&mut |member| process.first_sight(&member, now, clock));
        process
    }

    fn first_sight(&mut self, member: &Member<'_>, now: Instant, clock: Instant) {
        let held = Some(held_of(member, now, clock));
        let told = Some(Told::of(member.state, member));
        self.mirrors.insert(member.id, Mirror { heard: member.incarnation, held, told, ..Mirror::default() });
        self.held += 1;
    }

    /// The greatest incarnation of itself that it has shown.
    pub(super) fn own(&self) -> Incarnation {
        self.own
    }

    /// The suspicion that runs here against this member.
    pub(super) fn case(&self, id: NodeId) -> Option<&Case> {
        self.cases.get(&id)
    }

    /// The record that was held of this member when the process last settled.
    pub(super) fn record(&self, id: NodeId) -> Option<&Held> {
        self.mirrors.get(&id).and_then(|mirror| mirror.held.as_ref())
    }

    /// An input is about to be given.
    pub(super) fn input(&mut self, at: Moment<'_>, input: Input<'_>) {
        self.turn.begin(at.view);
        self.turn.deadline = self.standstill.due(at.view.deadline(), at.clock);
        match input {
            // A node that takes none takes none in.
            Input::Datagram { .. } if at.view.config().transport == Transport::Stream => {}
            Input::Datagram { from, bytes } => {
                self.turn.kind = Kind::Datagram;
                self.turn.from = Some(from);
                self.turn.bytes = bytes.len();
                if let Ok(messages) = decode(bytes, self.cluster, DATAGRAM_MAX)
                    && speaks_its_version(bytes, at.view.config())
                {
                    self.turn.is_read = true;
                    self.turn.heard_in = bytes.get(1).map(|&version| (from, version));
                    messages.for_each(|message| self.hear(at, &message));
                }
            }
            Input::StreamData { stream, bytes } => {
                self.turn.kind = Kind::Stream;
                self.read_frames(at, stream, bytes);
            }
            Input::StreamMoved | Input::Resolved => self.turn.kind = Kind::Stream,
            Input::Timeout => self.turn.kind = Kind::Timeout,
            Input::Lost => {
                self.turn.kind = Kind::Command;
                self.turn.is_loss = true;
            }
            Input::Command(command) => {
                self.turn.kind = Kind::Command;
                let status = at.view.status();
                self.turn.course.told(command, status);
                match command {
                    Command::Leave => self.told_to_leave |= oneself::takes_part(status),
                    Command::Join => self.told_to_leave &= status != Status::Left,
                    Command::SetMetadata | Command::ForceLeave(_) | Command::Broadcast | Command::Message(_) => {}
                }
                if let Command::ForceLeave(id) = command
                    && let Some(member) = at.view.member(id)
                {
                    self.evidence.left(id, member.incarnation);
                }
            }
        }
    }

    fn read_frames(&mut self, at: Moment<'_>, stream: StreamId, bytes: &[u8]) {
        let mut reader = self.reading.remove(&stream).unwrap_or_default();
        reader.push(bytes);
        // A broken stream stays broken: what follows is not acted upon.
        while let Ok(Some(packet)) = reader.next() {
            let Ok(messages) = decode(packet, self.cluster, FRAME_MAX) else { break };
            if !speaks_its_version(packet, at.view.config()) {
                break;
            }
            self.turn.peer = self.carriers.peer(stream);
            self.turn.carrier = Some(stream);
            if self.turn.peer.is_some() {
                self.turn.carried = true;
                self.turn.bytes += packet.len();
            }
            self.carriers.accepted(stream, messages.clone());
            self.turn.exchange = claims::is_step(messages.clone()).then_some(stream);
            messages.for_each(|message| self.hear(at, &message));
        }
        (self.turn.peer, self.turn.exchange) = (None, None);
        self.reading.insert(stream, reader);
    }

    /// A message came in.
    fn hear(&mut self, at: Moment<'_>, message: &Message<'_>) {
        self.turn.messages += 1;
        self.turn.asks +=
            u64::from(matches!(message, Message::Ping(_) | Message::PingReq(_) | Message::Ack(_) | Message::Ask(_)));
        self.turn.course.hear(message, self.id, at.view);
        self.evidence.heard(message);
        self.turn.accusations.extend(causes::accusation(message));
        if let Message::PingReq(_) = message {
            self.load.ping_req_taken();
        }
        if let Message::Ping(ping) = message {
            let held = at.view.member(ping.source).filter(|member| member.state.is_live());
            if held.is_none() || self.turn.named.contains(&ping.source) {
                self.load.stranger_pinged();
            }
        }
        let alive_of_ours = matches!(message, Message::Alive(alive) if alive.id == self.id);
        if alive_of_ours || matches!(message, Message::Join(_)) {
            self.load.name_asked();
        }
        if let Message::Tombstone(m) = message {
            // The clock is still that of the input before: the node's own end of it can only be later.
            self.evidence.remembered_until(m.id, at.clock + Duration::from_secs(m.remaining_s.into()));
        }
        let Some((id, incarnation)) = subject(message) else { return };
        if at.oracle.is_lied_to() && self.is_misnamed(at, message) {
            return;
        }
        self.turn.named.push(id);
        if let Some(peer) = self.turn.peer {
            self.carriers.heard(peer, id);
        } else if self.turn.kind == Kind::Stream {
            self.load.exchanged();
        }
        if !matches!(message, Message::Ask(_) | Message::Held(_)) {
            let followed = self.mirrors.len() < MIRRORS_MAX || self.mirrors.contains_key(&id);
            self.mirrors_full |= !followed;
            if followed {
                let mirror = self.mirrors.entry(id).or_default();
                mirror.heard = mirror.heard.max(incarnation);
            }
        }
        if self.turn.kind == Kind::Datagram || self.turn.peer.is_some() {
            self.turn.claims.extend(gossiped(message).map(|state| Claim { id, incarnation, state }));
        } else if let (Some(stream), Some(state)) = (self.turn.exchange, claims::exchanged(message)) {
            self.turn.exchanged.push((stream, Claim { id, incarnation, state }));
        }
    }

    /// Whether it is an Alive claim whose id is not that of its name, which is dropped (protocol 1.7).
    fn is_misnamed(&self, at: Moment<'_>, message: &Message<'_>) -> bool {
        match message {
            Message::Alive(m) => NodeId::of(&at.view.config().cluster, m.profile.parse().name) != m.id,
            _ => false,
        }
    }

    /// The node opens a stream.
    pub(super) fn connect(&mut self, stream: StreamId, to: SocketAddr) {
        self.carriers.connect(stream, to);
    }

    /// A stream is gone.
    pub(super) fn stream_closed(&mut self, at: Moment<'_>, stream: StreamId) {
        self.reading.remove(&stream);
        self.writing.remove(&stream);
        // It may have broken at any message: what the rest says need not have been heard.
        self.turn.exchanged.retain(|&(of, _)| of != stream);
        if self.turn.carrier == Some(stream) {
            self.turn.claims.clear();
        }
        let Some(to) = self.carriers.closed((at.clock, self.standstill.ended()), stream) else { return };
        let turn = self.probing.turn(at.view);
        for id in at.oracle.ids_at(to) {
            if let Some(mirror) = self.mirrors.get_mut(id) {
                mirror.turn = turn;
            }
        }
    }

    /// All that followed from the input has been done.
    pub(super) fn settled(&mut self, at: Moment<'_>) -> Verdict {
        let config = at.view.config();
        self.keep_time(at)?;
        let (status, local) = (at.view.status(), at.view.local());
        oneself::held(status, &local, self.own)?;
        oneself::departure(self.told_to_leave, status)?;
        if self.turn.kind != Kind::Start {
            let breaks = matches!(self.turn.kind, Kind::Stream | Kind::Command);
            let waited = self.turn.kind == Kind::Timeout;
            self.turn.course.judge(local.incarnation, status, breaks, waited)?;
        }
        if local.incarnation > self.own && self.turn.kind != Kind::Start && !at.view.changed().contains(&self.id) {
            let what = format!("changed() did not name the node itself, which is at {} now", local.incarnation);
            return fault_about(Rule::Contract, self.id, what);
        }
        self.own = self.own.max(local.incarnation);
        bounds::health(at.view.health(), config)?;
        // The departed and the superseded only answer: nothing runs out there any more, until they join again.
        self.standstill.rests(at.clock, matches!(status, Status::Left | Status::Superseded));
        self.take_part(at, oneself::takes_part(status));
        if self.turn.kind == Kind::Timeout {
            bounds::deadline(at.clock, at.view.deadline())?;
        }
        self.live_max = self.live_max.max(at.view.live());
        self.note_accusers(at.view);
        for &id in at.view.changed() {
            self.judge_record(at, id)?;
        }
        self.judge_told(at)?;
        self.judge_claims(at, status)?;
        self.judge_spoken()?;
        self.judge_answers(at)?;
        let behind = (self.standstill.lag(at.clock), self.turn.is_loss);
        self.probing.settled(at.clock, self.standstill.all_late(), behind, at.view)?;
        let leaving = matches!(status, Status::Leaving | Status::Left);
        self.load.settled(at.clock, config, self.cases.len() as u64, self.live_max, leaving)
    }

    /// Whoever leaves drops its cases, and whoever comes back begins them anew (protocol 9.3, 9.4).
    fn take_part(&mut self, at: Moment<'_>, takes_part: bool) {
        let took_part = std::mem::replace(&mut self.took_part, takes_part);
        if took_part && !takes_part {
            self.cases.clear();
        }
        if !took_part && takes_part {
            self.load.forgotten();
            self.evidence.begins_anew();
            // Whoever was accused before it left may have been accused by itself.
            self.turn.failed = 0;
            let mut suspects = Vec::new();
            at.view.members(&mut |member| {
                if member.state == State::Suspect {
                    suspects.push((member.id, member.incarnation));
                }
            });
            suspects.into_iter().for_each(|(id, incarnation)| self.begin_case(at, id, incarnation));
        }
    }

    /// Counts lateness and silence, once per input, and what a datagram weighs.
    fn keep_time(&mut self, at: Moment<'_>) -> Verdict {
        if std::mem::replace(&mut self.turn.timed, true) {
            return Ok(());
        }
        self.carriers.keep_time(at.clock);
        self.weigh(at)?;
        if at.view.stats().drops.tombstones_full > self.turn.drops.tombstones_full {
            // Whoever was pushed out is met anew, though it was known by its id alone.
            self.load.forgotten();
            self.evidence.begins_anew();
        }
        if let Some(deadline) = self.turn.deadline {
            self.standstill.late(deadline, at.clock, at.view.config().stall_min);
        }
        // A packet by whatever way, from whomever, ends a silence (protocol 10.3).
        if matches!(self.turn.kind, Kind::Datagram | Kind::Stream) && self.turn.messages > 0 {
            self.standstill.heard(at.clock, at.view.config());
        }
        Ok(())
    }

    /// What was passed over of a datagram was not heard (protocol 14.7).
    fn weigh(&mut self, at: Moment<'_>) -> Verdict {
        let config = at.view.config();
        if self.turn.kind != Kind::Datagram || config.rate_in == 0 {
            return Ok(());
        }
        let (before, after) = (self.turn.drops, at.view.stats().drops);
        let over = (after.rate_in - before.rate_in, after.rate_in_whole - before.rate_in_whole);
        match self.rates.took((at.clock, config), self.turn.bytes, self.turn.is_read, over)? {
            Hearing::Whole => {}
            Hearing::Due => {
                let own = self.id;
                self.turn.claims.retain(|claim| claim.id == own);
            }
            Hearing::Nothing => {
                self.turn.claims.clear();
                self.turn.messages = 0;
                self.turn.course.hears_nothing();
            }
        }
        Ok(())
    }

    fn judge_answers(&mut self, at: Moment<'_>) -> Verdict {
        if !self.turn.answers_packets() {
            return Ok(());
        }
        wire::strangers(self.turn.to_strangers, self.turn.bytes)?;
        self.load.beyond_answers(self.turn.asks, self.turn.answers);
        if self.turn.carried {
            // What waited for the carrier before goes with the answers.
            return Ok(());
        }
        Load::answered(at.view.config(), self.turn.asks, self.turn.accusations.len() as u64, self.turn.answers)
    }

    /// Accusers that the process held live before it took the packet in, or holds live now, may be counted.
    fn note_accusers(&mut self, view: &dyn View) {
        for accusation in &self.turn.accusations {
            let before = self.mirrors.get(&accusation.accuser).and_then(|mirror| mirror.held);
            let live = before.is_some_and(|held| held.state.is_live())
                || self.turn.forgotten.contains(&accusation.accuser)
                || view.member(accusation.accuser).is_some_and(|member| member.state.is_live());
            if live {
                self.evidence.accuser_known(accusation);
            }
        }
    }
}

impl Turn {
    /// Whether what the node sends answers packets that came, by datagram or by carrier.
    fn answers_packets(&self) -> bool {
        self.kind == Kind::Datagram || self.carried
    }

    fn begin(&mut self, view: &dyn View) {
        let Turn {
            course,
            mut claims,
            mut exchanged,
            mut named,
            mut accusations,
            mut targets,
            mut spoken,
            mut told,
            ..
        } = std::mem::take(self);
        claims.clear();
        exchanged.clear();
        named.clear();
        accusations.clear();
        targets.clear();
        spoken.clear();
        told.clear();
        *self = Turn {
            course: course.begin(view.local().incarnation, view.status()),
            live: view.live(),
            failed: failures(view),
            drops: view.stats().drops,
            claims,
            exchanged,
            named,
            accusations,
            targets,
            spoken,
            told,
            ..Turn::default()
        };
    }
}

/// Whether the packet is in a version that the node speaks (protocol 15.1).
fn speaks_its_version(packet: &[u8], config: &Config) -> bool {
    packet.get(1).is_some_and(|&version| config.versions.contain(version))
}

/// The state that a claim of gossip says.
fn gossiped(message: &Message<'_>) -> Option<State> {
    match message {
        Message::Alive(_) => Some(State::Alive),
        Message::Suspect(_) => Some(State::Suspect),
        Message::Dead(_) => Some(State::Dead),
        Message::Left(_) => Some(State::Left),
        _ => None,
    }
}

fn is_live(told: Option<Told>) -> bool {
    told.is_some_and(|told| told.state.is_live())
}

/// What was asked and not answered, and is held against whoever was asked: probes, and questions to the holder of a name
/// (protocol 7.6).
fn failures(view: &dyn View) -> u64 {
    let stats = view.stats();
    stats.probes_failed + stats.holders_failed
}

/// Whom a message pings, has pinged, or asks about.
fn target(message: &Message<'_>) -> Option<NodeId> {
    match message {
        Message::Ping(m) => Some(m.target),
        Message::PingReq(m) => Some(m.target),
        Message::Ask(m) => Some(m.id),
        _ => None,
    }
}

/// Whether the node knows a member at this address, or did until this input.
fn knows_address(at: Moment<'_>, address: SocketAddr) -> bool {
    let is_there = |id| at.view.member(id).is_some_and(|member| member.address == address);
    // What was decided for whoever then was forgotten, or moved, still goes.
    at.oracle.ids_at(address).iter().any(|&id| is_there(id) || at.view.changed().contains(&id))
}

fn held_of(member: &Member<'_>, now: Instant, clock: Instant) -> Held {
    let profile = mirror::profile_of(member);
    Held { incarnation: member.incarnation, state: member.state, profile, news_at: now, since: clock }
}

fn held_after(before: Option<&Held>, after: &Member<'_>, now: Instant, clock: Instant) -> Held {
    let new = held_of(after, now, clock);
    let Some(before) = before else { return new };
    let news = after.incarnation > before.incarnation || after.state.is_live() && !before.state.is_live();
    let changed = news || after.state != before.state;
    Held { news_at: if news { now } else { before.news_at }, since: if changed { clock } else { before.since }, ..new }
}
