//! A stage on which nodes are puppets: each shows what a test has it show, and does what a test says it does.

use std::net::SocketAddr;
use std::time::Duration;

use swim_proto::wire::{Message, PacketWriter};
use swim_proto::{
    Cause, ClusterHash, Config, Event, Incarnation, Instant, Member, MemberEvent, NodeId, State, Stats, Status,
    Suspicion, VERSIONS, Versions,
};
use swim_sim::judges::{Judges, Rule, Settings, Violation};
use swim_sim::observe::{Condition, Input, Observation, Slot, Truth, View};

/// A member as a puppet holds it.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) slot: u32,
    pub(crate) state: State,
    pub(crate) incarnation: Incarnation,
    pub(crate) suspicion: Option<Suspicion>,
    pub(crate) metadata: Vec<u8>,
}

/// The name of the member in a slot.
fn name(slot: u32) -> &'static str {
    ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"][slot as usize]
}

pub(crate) fn id(slot: u32) -> NodeId {
    NodeId::of("swim", name(slot))
}

pub(crate) fn address(slot: u32) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, slot as u8 + 1], 7946))
}

/// The incarnation of a first life.
pub(crate) fn at(refutation: u32) -> Incarnation {
    Incarnation { life: 1, refutation }
}

pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

impl Held {
    pub(crate) fn new(slot: u32, state: State, refutation: u32) -> Held {
        Held { slot, state, incarnation: at(refutation), suspicion: None, metadata: Vec::new() }
    }

    pub(crate) fn member(&self) -> Member<'_> {
        Member {
            id: id(self.slot),
            name: name(self.slot),
            address: address(self.slot),
            endpoint: None,
            metadata: &self.metadata,
            versions: VERSIONS,
            state: self.state,
            incarnation: self.incarnation,
            since: Instant::ZERO,
            rtt: None,
            path: swim_proto::Path::Datagram,
            suspicion: self.suspicion,
        }
    }
}

/// What one node shows.
pub(crate) struct Puppet {
    pub(crate) table: Vec<Held>,
    pub(crate) changed: Vec<NodeId>,
    pub(crate) status: Status,
    pub(crate) deadline: Option<Instant>,
    pub(crate) health: u8,
    pub(crate) live_more: usize,
    pub(crate) stats: Stats,
    pub(crate) config: Config,
}

impl View for Puppet {
    fn local(&self) -> Member<'_> {
        self.table[0].member()
    }
    fn status(&self) -> Status {
        self.status
    }
    fn members(&self, each: &mut dyn FnMut(Member<'_>)) {
        self.table.iter().for_each(|held| each(held.member()));
    }
    fn member(&self, member: NodeId) -> Option<Member<'_>> {
        self.table.iter().find(|held| id(held.slot) == member).map(Held::member)
    }
    fn changed(&self) -> &[NodeId] {
        &self.changed
    }
    fn live(&self) -> usize {
        self.count(State::is_live) + self.live_more
    }
    fn digest(&self) -> u64 {
        self.table.iter().filter(|held| held.state.is_live()).map(|held| id(held.slot).as_u64() >> 8).sum()
    }
    fn health(&self) -> u8 {
        self.health
    }
    fn stats(&self) -> Stats {
        Stats {
            live: self.count(State::is_live) as u32,
            suspected: self.count(|state| state == State::Suspect) as u32,
            tombstones: self.count(|state| !state.is_live()) as u32,
            ..self.stats
        }
    }
    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
    fn config(&self) -> &Config {
        &self.config
    }
}

impl Puppet {
    fn count(&self, which: impl Fn(State) -> bool) -> usize {
        self.table.iter().filter(|held| which(held.state)).count()
    }
}

/// The puppets, what is true of them, and who judges them.
pub(crate) struct Stage {
    pub(crate) now: Instant,
    pub(crate) puppets: Vec<Puppet>,
    pub(crate) conditions: Vec<(Condition, Instant)>,
    pub(crate) linked_since: Option<Instant>,
    pub(crate) seeds: u32,
    pub(crate) judges: Judges,
}

/// What judges may ask; a part of the stage, since they are another.
struct Scene<'a> {
    now: Instant,
    puppets: &'a [Puppet],
    conditions: &'a [(Condition, Instant)],
    linked_since: Option<Instant>,
    seeds: u32,
}

impl Truth for Scene<'_> {
    fn slots(&self) -> usize {
        self.puppets.len()
    }
    fn condition(&self, slot: Slot) -> (Condition, Instant) {
        self.conditions[slot.index()]
    }
    fn linked_since(&self, _: Slot, _: Slot) -> Option<Instant> {
        self.linked_since
    }
    fn carries_datagrams(&self) -> bool {
        true
    }
    fn carries_within(&self) -> Option<Duration> {
        None
    }
    fn lossless_since(&self) -> Option<Instant> {
        None
    }
    fn is_seed(&self, slot: Slot) -> bool {
        slot.0 < self.seeds
    }
    fn view(&self, slot: Slot) -> Option<&dyn View> {
        let up = self.conditions[slot.index()].0 != Condition::Down;
        up.then(|| &self.puppets[slot.index()] as &dyn View)
    }
    fn clock(&self, _: Slot) -> Instant {
        self.now
    }
    fn clock_rate(&self, _: Slot) -> f64 {
        1.0
    }
}

impl Stage {
    /// So many puppets that run and know only themselves, at one second past the start.
    pub(crate) fn new(puppets: u32) -> Stage {
        Stage::with(puppets, Settings::default())
    }

    pub(crate) fn with(puppets: u32, settings: Settings) -> Stage {
        let now = Instant::ZERO + seconds(1.0);
        let mut stage = Stage {
            now,
            puppets: (0..puppets).map(puppet).collect(),
            conditions: vec![(Condition::Running, now); puppets as usize],
            linked_since: Some(now),
            seeds: 1,
            judges: Judges::new(settings),
        };
        for slot in 0..puppets {
            stage.sound(Observation::Started { slot: Slot(slot) });
            stage.sound(Observation::Settled { slot: Slot(slot) });
        }
        stage
    }

    /// The judges, and what they may ask.
    fn court(&mut self) -> (&mut Judges, Scene<'_>) {
        let scene = Scene {
            now: self.now,
            puppets: &self.puppets,
            conditions: &self.conditions,
            linked_since: self.linked_since,
            seeds: self.seeds,
        };
        (&mut self.judges, scene)
    }

    /// What the judges say to this.
    pub(crate) fn tell(&mut self, observation: Observation<'_>) -> Result<(), Violation> {
        let (judges, scene) = self.court();
        judges.observe(scene.now, observation, &scene)
    }

    /// They find nothing wrong with this.
    #[track_caller]
    pub(crate) fn sound(&mut self, observation: Observation<'_>) {
        if let Err(violation) = self.tell(observation) {
            panic!("{violation}");
        }
    }

    /// They find this rule broken by this.
    #[track_caller]
    pub(crate) fn broken(&mut self, rule: Rule, observation: Observation<'_>) {
        match self.tell(observation) {
            Ok(()) => panic!("{rule} was not seen to be broken"),
            Err(violation) => assert_eq!(violation.rule, rule, "{violation}"),
        }
    }

    pub(crate) fn lacking(&mut self) -> Option<Violation> {
        let (judges, scene) = self.court();
        judges.lacking(scene.now, &scene)
    }

    pub(crate) fn restless(&mut self) -> Option<Violation> {
        let (judges, scene) = self.court();
        judges.restless(scene.now, &scene)
    }

    pub(crate) fn inspect(&mut self) -> Result<(), Violation> {
        let (judges, scene) = self.court();
        judges.inspect(scene.now, &scene)
    }

    /// Time passes, in which each puppet has begun to probe somebody at least once.
    pub(crate) fn pass(&mut self, time: f64) {
        self.now += seconds(time);
        self.puppets.iter_mut().for_each(|puppet| puppet.stats.probes += 1);
    }

    /// Puppet 0 is about to be given these messages in a datagram from another.
    pub(crate) fn hears(&mut self, from: u32, messages: &[Message<'_>]) {
        let bytes = packet(messages);
        self.puppets[0].changed.clear();
        self.sound(Observation::Input { slot: Slot(0), input: Input::Datagram { from: address(from), bytes: &bytes } });
    }

    /// Puppet 0's timers are about to fire.
    pub(crate) fn wakes(&mut self) {
        self.puppets[0].changed.clear();
        self.sound(Observation::Input { slot: Slot(0), input: Input::Timeout });
    }

    /// Puppet 0 holds a member so from now on.
    pub(crate) fn holds(&mut self, held: Held) {
        let puppet = &mut self.puppets[0];
        puppet.changed.push(id(held.slot));
        match puppet.table.iter_mut().find(|known| known.slot == held.slot) {
            Some(known) => *known = held,
            None => puppet.table.push(held),
        }
    }

    /// Puppet 0 has settled, and that is right.
    #[track_caller]
    pub(crate) fn settles(&mut self) {
        self.sound(Observation::Settled { slot: Slot(0) });
    }

    /// Puppet 0 has settled, and that is wrong.
    #[track_caller]
    pub(crate) fn settles_wrongly(&mut self, rule: Rule) {
        self.broken(rule, Observation::Settled { slot: Slot(0) });
    }

    /// Puppet 0 sends these messages to another.
    pub(crate) fn sends(&mut self, to: u32, messages: &[Message<'_>]) -> Result<(), Violation> {
        let bytes = packet(messages);
        self.tell(Observation::Transmit { slot: Slot(0), to: address(to), bytes: &bytes })
    }

    /// Puppet 0 hears of a member that is alive, and has it in its table and told of.
    #[track_caller]
    pub(crate) fn meets(&mut self, slot: u32) {
        let profile = profile(slot);
        self.hears(slot, &[alive(slot, 0, &profile)]);
        let held = Held::new(slot, State::Alive, 0);
        self.holds(held.clone());
        let event = Event::Joined(told(&held, Cause::Itself));
        self.sound(Observation::Event { slot: Slot(0), event });
        self.settles();
    }

    /// Puppet 0 suspects a member on its own account, as it should.
    #[track_caller]
    pub(crate) fn suspects(&mut self, slot: u32) {
        self.wakes();
        self.puppets[0].stats.probes_failed += 1;
        let held = suspect(slot, 0, self.now);
        self.holds(held.clone());
        let event = Event::Suspected(told(&held, Cause::ProbeFailed));
        self.sound(Observation::Event { slot: Slot(0), event });
        self.settles();
    }

    /// A slot's process is gone.
    pub(crate) fn crashes(&mut self, slot: u32) {
        self.conditions[slot as usize] = (Condition::Down, self.now);
        self.sound(Observation::Stopped { slot: Slot(slot) });
    }
}

fn puppet(slot: u32) -> Puppet {
    Puppet {
        table: vec![Held::new(slot, State::Alive, 0)],
        changed: Vec::new(),
        status: Status::Joined,
        deadline: None,
        health: 0,
        live_more: 0,
        stats: Stats::default(),
        config: lan(),
    }
}

/// A suspect whose case began now, in a cluster of at most ten with nobody else to confirm.
pub(crate) fn suspect(slot: u32, refutation: u32, now: Instant) -> Held {
    let min = seconds(4.0);
    let suspicion = Suspicion { since: now, deadline: now + min, accusers: 1, timeout_min: min, timeout_max: 6 * min };
    Held { suspicion: Some(suspicion), ..Held::new(slot, State::Suspect, refutation) }
}

/// The profile bytes of a member without metadata.
pub(crate) fn profile(slot: u32) -> Vec<u8> {
    profile_at(slot, address(slot))
}

/// The same at another address.
pub(crate) fn profile_at(slot: u32, address: SocketAddr) -> Vec<u8> {
    let profile =
        swim_proto::wire::Profile { address, endpoint: None, versions: VERSIONS, name: name(slot), metadata: &[] };
    let mut bytes = Vec::new();
    profile.encode_into(&mut bytes);
    bytes
}

pub(crate) fn alive(slot: u32, refutation: u32, profile: &[u8]) -> Message<'_> {
    let profile = swim_proto::wire::ProfileBytes::new(profile).expect("it is a profile");
    Message::Alive(swim_proto::wire::Alive { id: id(slot), incarnation: at(refutation), profile })
}

/// What an event tells of a member.
pub(crate) fn told(held: &Held, cause: Cause) -> MemberEvent<'_> {
    MemberEvent { member: held.member(), cause }
}

/// A datagram with these messages.
pub(crate) fn packet(messages: &[Message<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = PacketWriter::datagram(&mut bytes, ClusterHash::of("swim"), 65_507);
    for message in messages {
        assert!(writer.push(message));
    }
    writer.finish();
    bytes
}

/// The settings of these stories: those of the LAN, with the suspicion's least time at 4 s and nobody asked to confirm,
/// so that their figures do not move with the preset; and the version in which packets are written here.
pub(crate) fn lan() -> Config {
    let versions = Versions { min: 1, max: 1 };
    Config { suspicion_alpha: 4.0, solicited_confirmations: 0, versions, ..Config::lan() }
}
