//! What can be looked at. Nothing here changes anything.

use super::{Node, Status};
use crate::config::Config;
use crate::detection::suspicion::Case;
use crate::membership::{Member, NodeId, Slot, Suspicion};
use crate::outbox::Seen;
use crate::stats::Stats;
use crate::time::Instant;
use crate::wire::Profile;
use core::time::Duration;

impl Node {
    /// The local member.
    pub fn local(&self) -> Member<'_> {
        self.member_at(Slot::LOCAL).expect("the local member is known by its content")
    }

    /// Where the local member stands.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Everyone known, the local member, the dead and the departed included, in no particular order (but always the
    /// same for the same history).
    pub fn members(&self) -> impl Iterator<Item = Member<'_>> {
        self.table.slots_from(0).filter_map(|(_, slot, _)| self.member_at(slot))
    }

    /// One member.
    pub fn member(&self, id: NodeId) -> Option<Member<'_>> {
        self.member_at(self.table.find(id)?)
    }

    /// How many members are live (Alive or Suspect), the local one included. O(1).
    pub fn live(&self) -> usize {
        self.table.live_count()
    }

    /// The digest of all live members held: equal digests mean equal views (of ids and incarnations). O(1).
    pub fn digest(&self) -> u64 {
        self.table.digest().root()
    }

    /// The members whose record the last input changed, for observers that mirror the table. May name one twice.
    pub fn changed(&self) -> &[NodeId] {
        &self.changed
    }

    /// The local health multiplier (\[LG\] IV-A): 0 is well, up to [`Config::health_max`].
    pub fn health(&self) -> u8 {
        self.health.score()
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        Stats {
            live: self.table.live_count() as u32,
            tombstones: self.table.graves_len() as u32,
            rumors: self.rumors.len() as u32,
            broadcasts_waiting: self.broadcasts.len() as u32,
            broadcast_bytes: self.broadcasts.bytes() as u32,
            pulls: self.pulls.len() as u32,
            suspected: self.cases.len() as u32,
            streams: self.streams.len() as u32,
            carriers: self.carriers.usable() as u32,
            by_stream: self.table.by_stream() as u32,
            health: self.health.score(),
            behind: self.is_behind(),
            interval_stretch: if self.config.adaptive_interval { self.load.stretch() } else { 1 },
            ..self.stats
        }
    }

    /// What [`Node::deadline`] is for: a word for logs and simulators ("probe", "gossip", "suspicion" …).
    pub fn next_timer(&self) -> Option<(Instant, &'static str)> {
        self.timers.next()
    }

    /// The settings it runs with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    fn member_at(&self, slot: Slot) -> Option<Member<'_>> {
        let record = self.table.at(slot);
        let profile = record.content()?.parse();
        Some(self.view(&Seen::of(record), profile))
    }

    /// A record as the application sees it, with its profile from wherever that lives.
    pub(super) fn view<'a>(&self, seen: &Seen, profile: Profile<'a>) -> Member<'a> {
        // An event may be older than the end of the case it tells of.
        let is_its = |case: &&Case| {
            case.incarnation == seen.incarnation && self.table.try_at(case.slot).is_some_and(|at| at.id == seen.id)
        };
        let suspicion = seen.case.and_then(|case| self.cases.get(case)).filter(is_its).map(|case| Suspicion {
            since: case.opened,
            deadline: self.clock.real(case.deadline()),
            accusers: case.accusers(),
            timeout_min: case.timeout_min,
            timeout_max: case.timeout_max,
        });
        Member {
            id: seen.id,
            name: profile.name,
            address: profile.address,
            endpoint: profile.endpoint,
            metadata: profile.metadata,
            versions: profile.versions,
            state: seen.state,
            incarnation: seen.incarnation,
            since: seen.since,
            rtt: seen.round_trip.measured().map(|rtt| Duration::from_micros(rtt.smoothed_us.into())),
            path: self.path_by(seen.route),
            suspicion,
        }
    }
}
