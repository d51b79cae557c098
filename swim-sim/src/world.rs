//! The simulated world: slots and their processes, and what happens to them, one entry of the agenda after the other.
//!
//! The world drives each node as a real driver does, to the letter of [`Node`]'s contract: an input, then actions until
//! there are none, then the deadline. It has no opinion about the protocol; those who have are told through
//! [`observe`](crate::observe) or ask through [`World::view`].

mod arriving;
mod correspondence;
mod driving;
mod happenings;
mod linking;
mod talking;
mod truth;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use swim_proto::messaging::MessagingConfig;
use swim_proto::{Config, ConfigError, Instant, LocalMember, Node, NodeId, SeedId, Status};

use crate::judges::{Judges, Rule, Violation};
use crate::machine::{Machine, Maker};
use crate::measure::{Counters, Measure};
use crate::medium::{Due, Medium};
use crate::messaging::MessengerMaker;
use crate::network::{Filter, Links, Network, Passing, Traffic};
use crate::observe::{Command, Condition, Observation, Slot, View};
use crate::process::{Clock, Process};
use crate::scenario::Scenario;
use crate::seeds::{Draw, Purpose, Seeds};
use crate::streams::Streams;
use crate::trace::Item;
use driving::Given;
use happenings::Active;
pub(crate) use talking::Audience;

/// A simulated cluster under a scenario, from one seed.
///
/// ```
/// use std::time::Duration;
/// use swim_sim::{Scenario, World};
///
/// let scenario = Scenario::new(5, Duration::from_secs(10));
/// let mut world = World::new(scenario, 7)?;
/// assert_eq!(world.slots(), 5);
/// assert_eq!(world.now(), Duration::ZERO);
/// # Ok::<(), swim_proto::ConfigError>(())
/// ```
pub struct World {
    scenario: Scenario,
    seeds: Seeds,
    medium: Medium,
    streams: Streams,
    processes: Vec<Process>,
    /// The slot of each member, by its id.
    slots: BTreeMap<NodeId, u32>,
    seed_ids: Vec<SeedId>,
    active: Vec<Active>,
    chance: Draw,
    /// What applications say.
    talks: Draw,
    maker: Option<Maker>,
    messenger_maker: Option<MessengerMaker>,
    /// What applications send by messenger, how they read, and what befalls links.
    letters: Draw,
    readers: Draw,
    link_luck: Draw,
    /// Who still has a word for whom.
    last: Vec<correspondence::LastWord>,
    letters_sent: u64,
    judges: Option<Judges>,
    violation: Option<Violation>,
    ignored: Vec<Rule>,
    measure: Measure,
    buffer: Vec<u8>,
    entries: u64,
    faults_begun: bool,
    faults_stopped: bool,
}

impl World {
    /// The world at time zero, with nothing running yet. Fails if a node would refuse its settings.
    pub fn new(scenario: Scenario, seed: u64) -> Result<World, ConfigError> {
        scenario.config.validate()?;
        if scenario.workload.reliable.is_some() {
            scenario.all_messaging().try_for_each(MessagingConfig::validate)?;
        }
        scenario.successor.as_ref().map_or(Ok(()), Config::validate)?;
        let seeds = Seeds::of(seed);
        let mut world = World {
            medium: Medium::new(Links::new(scenario.network.clone())),
            streams: Streams::new(scenario.streams),
            processes: Vec::new(),
            slots: BTreeMap::new(),
            seed_ids: (0..scenario.seeds.min(scenario.nodes)).map(SeedId).collect(),
            active: Vec::new(),
            chance: seeds.draw(Purpose::Faults, 0),
            talks: seeds.draw(Purpose::Workload, 0),
            maker: None,
            messenger_maker: None,
            letters: seeds.draw(Purpose::Messaging, 0),
            readers: seeds.draw(Purpose::Messaging, 1),
            link_luck: seeds.draw(Purpose::Messaging, 2),
            last: Vec::new(),
            letters_sent: 0,
            judges: None,
            violation: None,
            ignored: Vec::new(),
            measure: Measure::new(scenario.nodes as usize),
            buffer: Vec::new(),
            entries: 0,
            faults_begun: false,
            faults_stopped: false,
            seeds,
            scenario,
        };
        world.place_nodes();
        world.schedule_faults();
        world.schedule_talks();
        world.schedule_letters();
        Ok(world)
    }

    fn place_nodes(&mut self) {
        let mut draw = self.seeds.draw(Purpose::Start, 0);
        let (nodes, join_over) = (self.scenario.nodes, self.scenario.join_over.as_nanos() as u64);
        let drift = self.scenario.drift_ppm;
        for slot in 0..nodes {
            let name = format!("n{slot}");
            let id = NodeId::of(&self.scenario.config.cluster, &name);
            let host = self.medium.add_host(slot, self.seeds);
            let mut process = Process::new(name, id, host);
            let fast = draw.below(2 * u64::from(drift) + 1) as i64 - i64::from(drift);
            process.clock = Clock::fast_by(fast as i32);
            self.processes.push(process);
            self.slots.insert(id, slot);
            let at = draw.below(join_over + 1);
            let at = match slot {
                _ if slot < self.scenario.seeds => 0,
                _ if slot + 1 == nodes => join_over,
                _ => at,
            };
            let late = slot >= self.scenario.seeds && slot >= nodes.saturating_sub(self.scenario.late);
            let at = if late { at + self.scenario.late_at.as_nanos() as u64 } else { at };
            self.medium.agenda.add(at, Due::Start { slot });
            self.measure.will_start(at);
        }
    }

    /// Lets what is next happen. `false`: nothing is to happen any more.
    pub fn step(&mut self) -> bool {
        let Some((time, due)) = self.medium.agenda.take() else { return false };
        debug_assert!(time >= self.medium.now, "time never goes back");
        self.medium.now = time;
        self.entries += 1;
        self.medium.trace.begin_step();
        match due {
            Due::Start { slot } => self.start_first(slot),
            Due::Wake { slot } => self.wake(slot),
            Due::Idle { slot, boot } => self.idle(slot, boot),
            Due::Packet(packet) => self.packet_arrived(packet),
            Due::Stream(end) => self.streams.timer(&mut self.medium, end),
            Due::Resolved { slot, boot, seed } => self.resolved(slot, boot, seed),
            Due::Fault { index } => self.fault_begins(index),
            Due::FaultEnd { index } => self.fault_ends(index),
            Due::Flip { index } => self.fault_flips(index),
            Due::Talk(audience) => self.talk(audience),
            Due::Post { slot } => self.wake_messenger(slot),
            Due::PostIdle { slot, boot } => self.messenger_idle(slot, boot),
            Due::Chore { slot, boot } => self.chores(slot, boot),
            Due::Linger { slot, boot, end } => self.lingered(slot, boot, end),
            Due::Letter => self.letter(),
        }
        self.tell_streams();
        true
    }

    /// Lets happen what is to happen up to this time, since the start, and no later. Stops at a violation.
    pub fn run_until(&mut self, time: Duration) {
        let time = time.as_nanos() as u64;
        while self.violation.is_none() && self.medium.agenda.next_time().is_some_and(|next| next <= time) {
            self.step();
        }
        if self.violation.is_none() {
            self.medium.now = self.medium.now.max(time);
        }
    }

    /// When the next thing is to happen, since the start.
    pub fn next_time(&self) -> Option<Duration> {
        self.medium.agenda.next_time().map(Duration::from_nanos)
    }

    /// Starts a slot's first process, unless a fault of the schedule started one before.
    fn start_first(&mut self, slot: u32) {
        if self.processes[slot as usize].boot == 0 {
            self.start(slot, 0);
        }
    }

    /// Starts a process in a slot that has none running, with this life; 0: the clock's milliseconds.
    fn start(&mut self, slot: u32, life: u64) {
        let now = self.medium.now;
        let process = &mut self.processes[slot as usize];
        if process.is_up() {
            return;
        }
        if self.medium.holder(process.host) != slot {
            // Its address is somebody else's by now.
            process.host = self.medium.add_host(slot, self.seeds);
        }
        process.boot += 1;
        process.life = if life == 0 { 1 + now / 1_000_000 } else { life };
        process.local_now = process.clock.shows(now);
        process.wake = u64::MAX;
        process.unhindered();
        process.condition_since = now;
        process.member = true;
        self.medium.set_up(process.host);
        let local = LocalMember {
            name: process.name.clone(),
            address: self.medium.address(process.host),
            endpoint: self
                .scenario
                .workload
                .reliable
                .filter(|_| !process.withdrawn)
                .map(|_| self.medium.endpoint(process.host)),
            metadata: Bytes::from(vec![slot as u8; self.scenario.metadata_len.into()]),
            life: process.life,
        };
        let seed = self.seeds.derive(Purpose::Node, u64::from(slot) << 32 | u64::from(process.boot));
        let config = self.scenario.successor.as_ref().filter(|_| process.boot > 1).unwrap_or(&self.scenario.config);
        let node = Node::new(process.local_now, local, config.clone(), seed)
            .expect("the settings were validated, and names, addresses and lives here are within bounds");
        let boot = process.boot;
        let machine = match &mut self.maker {
            Some(make) => make(Slot(slot), node),
            None => Machine::from(node),
        };
        self.processes[slot as usize].machine = Some(machine);
        self.medium.trace.words(now, slot, "start", &[u64::from(boot)]);
        self.medium.trace.line(now, format_args!("n{slot} starts, process {boot}"));
        self.measure.started(now, slot);
        self.start_messenger(slot);
        self.observe(Observation::Started { slot: Slot(slot) });
        self.drain(slot);
        self.command_join(slot);
    }

    /// Has a node join. One that is just leaving refuses, and is no member until it is asked again.
    fn command_join(&mut self, slot: u32) {
        let seeds = core::mem::take(&mut self.seed_ids);
        self.give(slot, Given::Command(Command::Join, driving::Order::Join(&seeds)));
        self.seed_ids = seeds;
        let process = &mut self.processes[slot as usize];
        let Some(machine) = &process.machine else { return };
        if !matches!(machine.view().status(), Status::Leaving | Status::Left | Status::Superseded) {
            process.member = true;
            self.measure.started(self.medium.now, slot);
            self.count_view(slot);
        }
    }

    /// Takes note of what a node's view has become.
    fn count_view(&mut self, slot: u32) {
        if !self.measure.counts(slot) {
            return;
        }
        let Some(machine) = &self.processes[slot as usize].machine else { return };
        let (now, view) = (self.medium.now, machine.view());
        self.measure.count(now, slot, (view.digest(), view.live()));
        if self.measure.watches() {
            for &id in view.changed() {
                if let Some(crash) = self.measure.watched(id) {
                    let live = view.member(id).is_some_and(|member| member.state.is_live());
                    self.measure.holds(now, crash, slot, live);
                }
            }
        }
    }

    fn observe(&mut self, observation: Observation<'_>) {
        if let Some(judges) = &mut self.judges
            && self.violation.is_none()
        {
            let truth = truth::Reality { processes: &self.processes, medium: &self.medium, seeds: self.scenario.seeds };
            let now = Instant::from_nanos(self.medium.now);
            let violation = judges.observe(now, observation, &truth).err();
            self.violation = violation.filter(|violation| !self.ignored.contains(&violation.rule));
        }
    }

    /// Has judges watch from now on. To see everything they must be there from the start.
    pub fn set_judges(&mut self, judges: Judges) {
        self.judges = Some(judges);
    }

    /// Has violations of these rules passed over.
    pub fn ignore(&mut self, rules: Vec<Rule>) {
        self.ignored = rules;
    }

    /// Asks the judges something about the world.
    pub fn with_judges<T>(
        &mut self,
        ask: impl FnOnce(&mut Judges, Instant, &dyn crate::observe::Truth) -> T,
    ) -> Option<T> {
        let truth = truth::Reality { processes: &self.processes, medium: &self.medium, seeds: self.scenario.seeds };
        self.judges.as_mut().map(|judges| ask(judges, Instant::from_nanos(self.medium.now), &truth))
    }

    /// Whether judges watch.
    pub fn has_judges(&self) -> bool {
        self.judges.is_some()
    }

    /// Has the judges look at everything once more.
    pub(crate) fn inspect(&mut self) {
        let judged = self.with_judges(|judges, now, truth| judges.inspect(now, truth));
        self.violate(judged.and_then(Result::err));
    }

    /// A rule was broken, if one was; the first counts, and those that are passed over don't.
    pub(crate) fn violate(&mut self, violation: Option<Violation>) {
        if let Some(violation) = violation.filter(|violation| !self.ignored.contains(&violation.rule)) {
            self.violation.get_or_insert(violation);
        }
    }

    /// A node that has had news to tell ever since the cluster converged.
    pub(crate) fn restless(&mut self) -> Option<Violation> {
        self.with_judges(|judges, now, truth| judges.restless(now, truth)).flatten()
    }

    /// By when no such node may be left.
    pub(crate) fn rest_due(&mut self) -> Duration {
        let due = self.with_judges(|judges, now, truth| judges.rest_due(now, truth));
        due.map_or(self.now(), |due| Duration::from_nanos(due.as_nanos()))
    }

    /// Decides what runs in each slot from the next start on.
    pub fn set_maker(&mut self, maker: Maker) {
        self.maker = Some(maker);
    }

    /// Has every packet looked at as it is sent, and lost where `pass` says `false`: to lose exactly the one.
    pub fn filter(&mut self, pass: impl FnMut(&Passing<'_>) -> bool + Send + 'static) {
        let filter: Filter = Box::new(pass);
        self.medium.links.set_filter(Some(filter));
    }

    /// Writes a line for each change of state from now on.
    pub fn write_trace(&mut self, to: Box<dyn Write + Send>) {
        self.medium.trace.write_lines(to);
    }

    /// Writes out what is still in the trace's buffer.
    pub fn flush_trace(&mut self) {
        self.medium.trace.flush();
    }

    /// Keeps the items of each step, for [`World::last_step`].
    pub fn keep_steps(&mut self) {
        self.medium.trace.keep_steps();
    }

    /// What happened in the last step, as it enters the trace's hash.
    pub fn last_step(&self) -> &[Item] {
        self.medium.trace.step()
    }

    /// The hash of all that happened.
    pub fn trace_hash(&self) -> u64 {
        self.medium.trace.hash()
    }

    /// The rule that was broken, if one was. Nothing happens after it.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Simulated time, since the start.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.medium.now)
    }

    /// How many slots there are.
    pub fn slots(&self) -> usize {
        self.processes.len()
    }

    /// What a slot's node shows of itself, if one runs.
    pub fn view(&self, slot: u32) -> Option<&dyn View> {
        Some(self.processes.get(slot as usize)?.machine.as_ref()?.view())
    }

    /// A slot's node itself, if one runs and nothing stands in for it.
    pub fn node(&self, slot: u32) -> Option<&Node> {
        self.processes.get(slot as usize)?.machine.as_ref()?.node()
    }

    /// What holds for a slot's process.
    pub fn condition(&self, slot: u32) -> Condition {
        self.processes[slot as usize].condition()
    }

    /// The id of a slot's member.
    pub fn id(&self, slot: u32) -> NodeId {
        self.processes[slot as usize].id
    }

    /// Where a slot's node is reached.
    pub fn address(&self, slot: u32) -> SocketAddr {
        self.medium.address(self.processes[slot as usize].host)
    }

    /// What messengers have counted so far.
    pub fn messenger_counters(&self) -> Counters {
        let offices = self.processes.iter().filter_map(|process| process.office.as_ref());
        offices.fold(self.measure.letters.counters(), |all, office| all.and(&office.machine.stats()))
    }

    /// What was measured so far.
    pub fn measure(&self) -> &Measure {
        &self.measure
    }

    /// What passed through the network so far.
    pub fn traffic(&self) -> Traffic {
        self.medium.links.traffic()
    }

    /// The network as it is now.
    pub fn network(&self) -> &Network {
        self.medium.links.network()
    }

    /// Whether any fault of the schedule has begun.
    pub fn faults_begun(&self) -> bool {
        self.faults_begun
    }

    /// The scenario it runs.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// The members whose view of who is live is not that of most, and how many each holds live.
    pub fn odd_views(&self) -> Vec<(u32, usize)> {
        let usual = self.measure.usual_view();
        let views = (0..self.processes.len() as u32).filter(|&slot| self.measure.counts(slot));
        let views = views.filter_map(|slot| self.view(slot).map(|view| (slot, view)));
        views.filter(|(_, view)| Some(view.digest()) != usual).map(|(slot, view)| (slot, view.live())).collect()
    }

    /// How much happened: entries of the agenda that came up.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// How many streams were opened so far, and how many are open or half gone.
    pub fn streams(&self) -> (u64, usize) {
        (self.streams.opened(), self.streams.open())
    }

    /// Packets under way, those that wait in kernels included.
    pub fn packets_under_way(&self) -> usize {
        self.medium.packets.under_way()
    }
}
