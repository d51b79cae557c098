//! Asked by the application.

use alloc::vec::Vec;

use bytes::Bytes;

use super::changing::Spread;
use super::{CommandError, Node, Status, encode_profile};
use crate::action::{SeedId, StreamId};
use crate::config::Config;
use crate::detection::silence::SuspicionClock;
use crate::dissemination::exchange::Step;
use crate::event::Cause;
use crate::membership::precedence::Standing;
use crate::membership::transition::Change;
use crate::membership::{METADATA_MAX, NodeId, Slot, State};
use crate::outbox::Body;
use crate::time::Instant;
use crate::timers::Chore;
use crate::wire::Profile;

/// Most seeds kept.
const SEEDS_MAX: usize = 1024;

impl Node {
    /// Joins a cluster by way of any of these seeds, trying until one lets us in. They replace earlier seeds and stay
    /// known for healing. A node that left comes back, past its own departure.
    ///
    /// # Errors
    /// The node is as it was. There are no seeds, or more than 1,024; or it is leaving, or was superseded.
    pub fn join(&mut self, now: Instant, seeds: &[SeedId]) -> Result<(), CommandError> {
        if seeds.is_empty() {
            return Err(CommandError::NoSeeds);
        }
        if seeds.len() > SEEDS_MAX {
            return Err(CommandError::TooManySeeds { len: seeds.len() });
        }
        match self.status {
            Status::Superseded | Status::Leaving => return Err(CommandError::Status(self.status)),
            Status::Alone | Status::Joining | Status::Joined | Status::Left => {}
        }
        let now = self.begin(now);
        if self.status == Status::Left {
            self.status = Status::Joining;
            self.wake(now);
            let incarnation = self.table.local().incarnation().past();
            self.renew_self(now, incarnation, None);
        }
        if self.status == Status::Alone {
            self.status = Status::Joining;
        }
        self.start_joining(now, seeds);
        Ok(())
    }

    /// Departs: spreads the news, then reports [`Event::Left`](crate::Event::Left) of itself.
    ///
    /// # Errors
    /// It is leaving or has left already, or was superseded.
    pub fn leave(&mut self, now: Instant) -> Result<(), CommandError> {
        if !self.is_running() {
            return Err(CommandError::Status(self.status));
        }
        let now = self.begin(now);
        self.status = Status::Leaving;
        self.ask_no_more();
        self.stop_joining();
        self.drop_probe();
        self.rival = None;
        self.timers.clear_all();
        self.timers.set(Chore::Leave, now + self.config.leave_timeout);
        self.arm_payloads();
        let incarnation = self.table.local().incarnation();
        // A departure that nobody would take is not told: others find out by their probes.
        if incarnation.is_accusable() {
            let left = Standing::new(incarnation, State::Left);
            self.change(now, Slot::LOCAL, left, None, None, Cause::Itself, Spread::Gossip);
        }
        if self.table.others().is_empty() || !incarnation.is_accusable() {
            self.finish_leaving();
        }
        Ok(())
    }

    /// Takes back what waits for a stream and would ask somebody something.
    fn ask_no_more(&mut self) {
        let asks = |body: &Body| matches!(body, Body::Ping { .. } | Body::PingReq { .. } | Body::Ask { .. });
        self.carriers.retain(|body| !asks(body));
        let mut pinging = Vec::new();
        for (&id, stream) in &self.streams {
            if matches!(stream.step, Step::Pinged(_)) {
                pinging.push(id);
            }
        }
        for id in pinging {
            self.reset_stream(id);
        }
    }

    /// Replaces the local member's metadata and spreads it.
    ///
    /// # Errors
    /// Nothing is changed. It is longer than [`METADATA_MAX`](crate::METADATA_MAX); or the node is leaving or has left,
    /// or was superseded.
    pub fn set_metadata(&mut self, now: Instant, metadata: Bytes) -> Result<(), CommandError> {
        if metadata.len() > METADATA_MAX {
            return Err(CommandError::Metadata { len: metadata.len() });
        }
        if !self.is_running() {
            return Err(CommandError::Status(self.status));
        }
        let now = self.begin(now);
        let local = self.local();
        let profile = Profile {
            address: local.address,
            endpoint: local.endpoint,
            versions: local.versions,
            name: local.name,
            metadata: &metadata,
        };
        let (incarnation, profile) = (local.incarnation.past(), encode_profile(&profile));
        self.renew_self(now, incarnation, Some(&profile));
        Ok(())
    }

    /// Declares a member departed on its behalf, for everyone. One that is alive contradicts and stays.
    ///
    /// # Errors
    /// Nothing is changed. The member is not known, or is the local one; or the node is leaving or has left, or was
    /// superseded.
    pub fn force_leave(&mut self, now: Instant, member: NodeId) -> Result<(), CommandError> {
        if member == self.local_id() {
            return Err(CommandError::Itself);
        }
        if !self.is_running() {
            return Err(CommandError::Status(self.status));
        }
        let slot = self.table.find(member).ok_or(CommandError::UnknownMember(member))?;
        if !self.table.at(slot).has_content() {
            return Err(CommandError::UnknownMember(member));
        }
        let now = self.begin(now);
        let standing = self.table.at(slot).standing();
        if standing.state != State::Left {
            let left = Standing::new(standing.incarnation, State::Left);
            let can_be_told = standing.incarnation.is_accusable();
            let spread = if can_be_told { Spread::Gossip } else { Spread::Quiet };
            self.change(now, slot, left, None, None, Cause::Operator, spread);
            if !can_be_told {
                self.forget_soon(now, slot);
            }
        }
        Ok(())
    }

    /// Back from a departure: what was suspected then is judged anew, and silence begins now.
    fn wake(&mut self, now: Instant) {
        let Config { stall_min, stall_max, probe_interval, .. } = self.config;
        self.clock = SuspicionClock::new(now, stall_min, stall_max, probe_interval);
        self.lag_noticed = now;
        self.start_chores();
        let slots: Vec<Slot> = self.table.others().to_vec();
        for slot in slots {
            self.open_case(now, slot, true);
            self.changed.push(self.table.at(slot).id);
        }
        self.rearm_members();
    }

    /// The departure is told: nothing is done any more but to answer pings.
    pub(super) fn finish_leaving(&mut self) {
        self.status = Status::Left;
        self.timers.clear_all();
        let slots: Vec<Slot> = self.cases.iter().map(|case| case.slot).collect();
        for slot in slots {
            if let Some(case) = self.table.plight_mut(slot).and_then(|plight| plight.case.take()) {
                self.cases.close(case);
                self.changed.push(self.table.at(slot).id);
            }
        }
        let streams: Vec<StreamId> = self.streams.keys().copied().collect();
        for stream in streams {
            if !self.is_open_carrier(stream) {
                self.reset_stream(stream);
            }
        }
        // What is not told yet is others' to tell; and should we come back, a suspicion that starts afresh is told
        // afresh.
        while let Some(rumor) = self.rumors.first() {
            self.drop_rumor(rumor);
        }
        self.fall_silent();
        self.finish_carriers(self.now);
        self.notify(Change::Left, Slot::LOCAL, Cause::Itself);
    }
}
