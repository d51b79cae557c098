//! The machine: what happened goes in, what to do comes out.
//!
//! The files beside this one are the stimuli and what they lead to: `commands` (asked), `datagrams` (arrived),
//! `streams`, `exchanges` and `carriers` (a stream moved), `timeouts` (time passed), `claims` (heard about a member)
//! and `changing` (what follows), `probing`, `suspecting`, `joining`, `oneself`, `graves`; `paths` (by which way it
//! goes); `limits` (not keeping up, and not being let); `actions` is what leaves, `views` what can be looked at. The
//! leaves below (`membership`, `detection`, `dissemination`) decide and know nothing of each other; only here is
//! anything done.

mod actions;
mod carriers;
mod changing;
mod claims;
mod commands;
mod datagrams;
mod error;
mod exchanges;
mod graves;
mod joining;
mod limits;
mod oneself;
mod paths;
mod probing;
mod streams;
mod suspecting;
mod timeouts;
mod userdata;
mod views;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

pub use error::CommandError;
pub use userdata::Way;

use crate::action::StreamId;
use crate::config::{Config, ConfigError};
use crate::detection::health::Health;
use crate::detection::load::Load;
use crate::detection::probe::{Pings, Probe, Purpose};
use crate::detection::silence::SuspicionClock;
use crate::detection::suspicion::Cases;
use crate::dissemination::broadcasts::{Broadcasts, Limits};
use crate::dissemination::exchange::Step;
use crate::dissemination::pulls::Pulls;
use crate::dissemination::rumors::Rumors;
use crate::dissemination::seen::Origins;
use crate::dissemination::share::Share;
use crate::membership::table::{News, Table};
use crate::membership::{ClusterHash, Incarnation, LocalMember, METADATA_MAX, NAME_MAX, NodeId, Slot};
use crate::outbox::Outbox;
use crate::random::Random;
use crate::rate::Bucket;
use crate::stats::Stats;
use crate::time::Instant;
use crate::timers::{Chore, Timer, Timers};
use crate::wire::{AddressFault, Profile};

use carriers::Carriers;
use joining::Joins;
use limits::Damped;
use oneself::Rival;
use paths::Datagrams;
use streams::{Guests, Stream};
use userdata::Numbers;

/// One member of a cluster, as a state machine.
///
/// The contract, of the caller (1, 2) and of the node (3 to 5):
///
/// 1. After every input or command, call [`Node::poll_action`] until it gives `None`, then sleep until
///    [`Node::deadline`].
/// 2. `now` never goes back; equal is fine.
/// 3. [`Node::handle_timeout`] early, late or twice is harmless; afterwards `deadline() > now`.
/// 4. An `Err` leaves the node as it was (but for its counters).
/// 5. Same seed and same inputs: same actions, byte for byte.
pub struct Node {
    config: Config,
    cluster: ClusterHash,
    random: Random,
    status: Status,
    /// The latest time we were told.
    now: Instant,
    /// Until when we know how late we were.
    lag_noticed: Instant,

    table: Table,
    rumors: Rumors,
    cases: Cases,
    health: Health,
    clock: SuspicionClock,
    load: Load,
    /// Whom a failed probe was not held against, because we are behind.
    damped: Option<Damped>,

    broadcasts: Broadcasts,
    /// Which broadcasts were told to the application.
    origins: Origins,
    pulls: Pulls,
    /// How rumors and broadcasts share datagrams.
    share: Share,
    numbers: Numbers,

    probe: Option<Probe>,
    /// Suspects that are to be probed next, since this node is among those whose confirmation is wanted.
    solicited: VecDeque<NodeId>,
    /// Whether the last period was one of theirs: the next is that of whose turn it is.
    was_solicited: bool,
    pings: Pings,
    joins: Joins,
    /// Who is said to have our name, while it is asked.
    rival: Option<Rival>,
    /// Boxed, as carriers are: a map's leaf has room for eleven, and is kept when it is empty.
    streams: BTreeMap<StreamId, Box<Stream>>,
    stream_count: u64,
    /// What others hold of the streams and exchanges.
    guests: Guests,
    carriers: Carriers,
    /// From where the packet being handled came, and by which carrier; `None` there: by datagram.
    came_by: Option<(SocketAddr, Option<StreamId>)>,
    /// From where the datagram being handled came, and in which version: whoever is not known there is answered in it.
    heard_in: Option<(SocketAddr, u8)>,
    datagrams: Datagrams,
    /// The next sync follows a join, after this doubling wait; `None`: all is agreed upon.
    catching_up: Option<Duration>,
    /// Answers to outranked claims that may still be sent before the allowance is filled up again.
    echoes: EchoAllowance,
    /// The same of origins told of broadcasts that they did not send.
    corrections: EchoAllowance,
    /// Our incarnation of which others were last told by rumor.
    told_of_self: Option<Incarnation>,
    /// Bytes that may still be sent to addresses we do not know, in answer to the datagram being handled.
    unproven_left: usize,
    /// Members that the datagram being handled may still make known.
    newcomers_left: u16,
    rate_in: Bucket,
    rate_out: Bucket,
    /// Whether the datagram being handled was answered with a claim: one is enough.
    answered: Answered,
    /// When news was last gossiped.
    gossiped: Instant,

    timers: Timers,
    outbox: Outbox,
    stats: Stats,
    changed: Vec<NodeId>,
    /// Members chosen at random, for as long as a step lasts.
    chosen: Vec<Slot>,
    /// Rumors in the datagram that is being encoded.
    told: Vec<u32>,
    /// Broadcasts in it.
    told_broadcasts: Vec<u32>,
}

/// Where the local member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Running, and nobody has been asked, or has answered, to let it in.
    Alone,
    /// Running, asking seeds.
    Joining,
    /// Running, and let in by some seed, or contacted by some member.
    Joined,
    /// Spreading its departure.
    Leaving,
    /// Departed. It still answers pings; [`Node::join`] brings it back.
    Left,
    /// Another process has taken its name with a newer life. It answers nothing any more; make a new `Node`.
    Superseded,
}

/// So many pointless timers are let be.
const TIMERS_SPARE: usize = 256;

/// With which claim a datagram was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answered {
    No,
    /// An echo waits to be sent: a refutation would take its place.
    Echo,
    /// With what somebody waits for.
    Due,
}

/// How many echoes may be sent: at most [`EchoAllowance::MAX`] in one probe interval.
#[derive(Clone, Copy, Debug)]
struct EchoAllowance {
    left: u32,
    filled: Instant,
}

impl EchoAllowance {
    const MAX: u32 = 32;

    fn take(&mut self, now: Instant, interval: Duration) -> bool {
        if now - self.filled >= interval {
            *self = EchoAllowance { left: Self::MAX, filled: now };
        }
        let granted = self.left > 0;
        self.left -= u32::from(granted);
        granted
    }
}

impl Node {
    /// A running node that knows only itself.
    ///
    /// `seed` decides every random choice it will make.
    ///
    /// # Errors
    /// A setting, or something about the local member, that is outside its bounds: its name, its metadata, an address
    /// that is no host's, its life.
    pub fn new(now: Instant, local: LocalMember, config: Config, seed: u64) -> Result<Node, ConfigError> {
        config.validate()?;
        if local.name.is_empty() || local.name.len() > NAME_MAX {
            return Err(ConfigError::MemberName { len: local.name.len() });
        }
        if local.metadata.len() > METADATA_MAX {
            return Err(ConfigError::Metadata { len: local.metadata.len() });
        }
        for address in [Some(local.address), local.endpoint].into_iter().flatten() {
            if let Some(fault) = AddressFault::of(address) {
                return Err(ConfigError::Address { address, fault });
            }
        }
        if local.life > Incarnation::ACCUSED_MAX.life {
            return Err(ConfigError::Life(local.life));
        }

        let cluster = ClusterHash::of(&config.cluster);
        let mut random = Random::new(seed);
        let profile = Profile {
            address: local.address,
            endpoint: local.endpoint,
            versions: config.versions,
            name: &local.name,
            metadata: &local.metadata,
        };
        let profile = encode_profile(&profile);
        let content = News { incarnation: Incarnation::first(local.life), profile: &profile };
        let id = NodeId::of(&config.cluster, &local.name);
        let hash_key = random.u64();
        let limits = Limits { count: config.broadcasts_max as usize, bytes: config.broadcast_bytes_max as usize };
        let mut node = Node {
            cluster,
            table: Table::new(cluster, hash_key, id, content, now),
            rumors: Rumors::default(),
            cases: Cases::new(),
            health: Health::new(config.lha_probe, config.health_max, config.health_counts_nacked_failure),
            clock: SuspicionClock::new(now, config.stall_min, config.stall_max, config.probe_interval),
            load: Load::new(config.stall_min, config.probe_interval),
            damped: None,
            broadcasts: Broadcasts::new(hash_key, limits),
            origins: Origins::new(hash_key),
            pulls: Pulls::default(),
            share: Share::default(),
            numbers: Numbers::default(),
            probe: None,
            solicited: VecDeque::new(),
            was_solicited: false,
            pings: Pings::default(),
            joins: Joins::default(),
            rival: None,
            streams: BTreeMap::new(),
            stream_count: 0,
            guests: Guests::default(),
            carriers: Carriers::default(),
            came_by: None,
            heard_in: None,
            datagrams: Datagrams::default(),
            catching_up: None,
            echoes: EchoAllowance { left: EchoAllowance::MAX, filled: now },
            corrections: EchoAllowance { left: EchoAllowance::MAX, filled: now },
            told_of_self: None,
            unproven_left: 0,
            newcomers_left: 0,
            rate_in: Bucket::new(config.rate_in, config.rate_burst, now),
            rate_out: Bucket::new(config.rate_out, config.rate_burst, now),
            answered: Answered::No,
            gossiped: now,
            timers: Timers::new(),
            outbox: Outbox::default(),
            stats: Stats::default(),
            changed: Vec::new(),
            chosen: Vec::new(),
            told: Vec::new(),
            told_broadcasts: Vec::new(),
            status: Status::Alone,
            random,
            now,
            lag_noticed: now,
            config,
        };
        node.start_chores();
        Ok(node)
    }

    /// Sets the timers of a running member, each at a random phase, so that a cluster started together does not act
    /// in step.
    fn start_chores(&mut self) {
        let now = self.now;
        let probe = now + self.random.duration_up_to(self.config.probe_interval) + Duration::from_nanos(1);
        self.timers.set(Chore::Probe, probe);
        if !self.config.sync_interval.is_zero() {
            let sync = now + self.random.duration_up_to(self.config.sync_interval) + Duration::from_nanos(1);
            self.timers.set(Chore::Sync, sync);
        }
        if !self.config.heal_interval.is_zero() {
            let heal = now + self.config.heal_interval + self.random.duration_up_to(self.config.heal_interval);
            self.timers.set(Chore::Heal, heal);
        }
        if !self.config.stall_max.is_zero() {
            self.timers.set(Chore::Silence, self.clock.first_look().max(now + Duration::from_nanos(1)));
        }
    }

    fn local_id(&self) -> NodeId {
        self.table.local().id
    }

    /// Whether the local member takes part: neither departed nor superseded.
    fn is_running(&self) -> bool {
        matches!(self.status, Status::Alone | Status::Joining | Status::Joined)
    }

    /// Begins an input: nothing has changed yet, and time has come to `now`.
    fn begin(&mut self, now: Instant) -> Instant {
        self.changed.clear();
        (self.answered, self.unproven_left) = (Answered::No, 0);
        (self.came_by, self.heard_in) = (None, None);
        // A large exchange may have named thousands; that memory is not kept for the next ping.
        if self.changed.capacity() > 256 {
            self.changed.shrink_to(64);
        }
        self.now = self.now.max(now);
        self.notice_lag(self.now);
        self.bound_timers();
        self.now
    }

    /// Sets the timers of members, pings and streams anew once most of those that wait are pointless.
    fn bound_timers(&mut self) {
        let known = self.table.graves_len() + self.cases.len() + self.streams.len() + self.pings.len();
        if self.timers.heap_len() <= TIMERS_SPARE + 4 * known {
            return;
        }
        self.timers.clear_heap();
        self.rearm_members();
        for relay in self.pings.relays(self.now) {
            if let Purpose::Relay { nack_at: Some(nack_at), .. } = relay.purpose {
                self.timers.push(nack_at, Timer::Relay(relay.seq));
            }
        }
        for (&id, stream) in &self.streams {
            let at = match stream.step {
                Step::Carrying => self.carrier_idle_at(id, stream).max(self.now + Duration::from_nanos(1)),
                _ => self.stream_ends_at(stream),
            };
            self.timers.push(at, Timer::Stream(id));
            if let Step::Admitting(joiner) = &stream.step {
                self.timers.push(joiner.ask_at, Timer::Admit(id));
            }
        }
    }

    /// The timers of members, anew.
    fn rearm_members(&mut self) {
        let slots: Vec<Slot> = self.table.slots_from(1).map(|(_, slot, _)| slot).collect();
        for slot in slots {
            if let Some(case) = self.table.at(slot).case() {
                self.cases.at_mut(case).armed = None;
            }
            if let Some(plight) = self.table.plight_mut(slot) {
                plight.reap_armed = false;
            }
            if !self.table.at(slot).is_live() {
                self.arm_reaping(slot);
            }
            self.arm_suspicion(self.now, slot);
        }
    }

    /// Being late by more than a bound is a stall: what our timers would say about others is worth nothing. Noticed at
    /// the first input after it, which may be one that waited in a socket for as long as we did.
    fn notice_lag(&mut self, now: Instant) {
        let late_since = self.timers.deadline().map_or(now, |deadline| deadline.max(self.lag_noticed));
        let lag = now - late_since;
        self.load.fired(now, lag);
        if self.clock.stalled(now, lag) {
            self.lag_noticed = now;
            self.stats.stalls += 1;
            self.stats.lag = lag;
            self.void_probe();
            self.rearm_suspicions(now);
        }
    }

    /// A random seed for a ping's sequence: nobody can guess it, and one of an earlier life matches nothing.
    fn draw_seq(&mut self) -> u32 {
        self.random.u32()
    }
}

impl core::fmt::Debug for Node {
    /// Who it is and how it is, not all that it knows.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Node")
            .field("name", &self.local().name)
            .field("incarnation", &self.local().incarnation)
            .field("status", &self.status)
            .field("live", &self.live())
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}

fn encode_profile(profile: &Profile<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    profile.encode_into(&mut bytes);
    bytes
}
