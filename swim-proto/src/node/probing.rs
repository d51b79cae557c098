//! The protocol period: ping a member, ask others to, judge (\[SWIM\] 3.1, \[LG\] III-B, IV-A). And the other side of
//! it: answering pings and serving ping-reqs.

use core::net::SocketAddr;
use core::time::Duration;

use super::Node;
use super::streams::Opening;
use crate::config::Transport;
use crate::detection::health::Ended;
use crate::detection::probe::{Probe, Purpose, Waiting};
use crate::membership::record::RoundTrip;
use crate::membership::{Incarnation, Slot, State};
use crate::outbox::Body;
use crate::time::Instant;
use crate::timers::{Chore, Timer};
use crate::wire::{Ack, Nack, Ping, PingReq};

/// Most ping-reqs served at once.
const RELAYS_MAX: usize = 128;

/// Of these, for one member: a prober has one probe at a time.
const RELAYS_PER_SOURCE_MAX: usize = 8;

/// No helper waits longer than this many of its own probe intervals, whatever it is asked: a prober in the worst health
/// has nine.
const RELAY_PERIODS_MAX: u32 = 10;

impl Node {
    /// The period ends: the probe that ran is judged, the next begins.
    pub(super) fn probe_period(&mut self, now: Instant) {
        self.conclude_probe(now);
        self.load.period_ended(now);
        let interval = self.period();
        self.timers.set(Chore::Probe, now + interval);
        let again = self.probed_again();
        // Each other period is that of the list, or one whose link is bad could keep everybody from probing the others.
        let solicited = if again.is_some() || self.was_solicited { None } else { self.next_solicited() };
        self.was_solicited = solicited.is_some();
        self.stats.probes_solicited += u64::from(solicited.is_some());
        let Some(slot) = again.or(solicited).or_else(|| self.table.next_target(&mut self.random)) else { return };
        let record = self.table.at(slot);
        let (id, incarnation, Some(address)) = (record.id, record.incarnation(), record.address()) else { return };
        let timeout = self.probe_timeout(slot);
        let seq = self.draw_seq();
        self.stats.probes += 1;
        self.probe = Some(Probe {
            seq,
            slot,
            id,
            incarnation,
            started: now,
            ends: now + interval,
            nacks_expected: 0,
            nacks_received: 0,
            stream: None,
            indirect: false,
        });
        self.timers.set(Chore::ProbeTimeout, now + timeout);
        let tell = self.config.buddy;
        self.send(address, Body::Ping { seq, target: id, tell });
        self.try_datagram_in_turn(now, slot);
    }

    /// How long a direct ping of this member may take: the base time-out or, if it follows round trips, three times
    /// the usual and four variations, as far as an eighth of the base; stretched by our health.
    fn probe_timeout(&self, slot: Slot) -> Duration {
        let base = self.config.probe_timeout;
        let follows = self.config.adaptive_timeout;
        let timeout = match self.table.at(slot).round_trip.measured().filter(|_| follows) {
            Some(RoundTrip { smoothed_us, variation_us }) => {
                let usual = 3 * u64::from(smoothed_us) + 4 * u64::from(variation_us);
                Duration::from_micros(usual).clamp(base / 8, base)
            }
            None => base,
        };
        self.health.stretch(timeout)
    }

    /// The direct ping was not answered in time: others are asked, and the stream is tried.
    pub(super) fn probe_timed_out(&mut self, now: Instant) {
        let Some(probe) = self.probe else { return };
        let Some(address) = self.probed_address(&probe) else { return };
        self.doubt_carrier(now, address, probe.started);
        self.try_datagram(now, probe.slot);
        let budget = probe.ends - now;
        if self.config.retry_probe {
            self.send(address, Body::Ping { seq: probe.seq, target: probe.id, tell: self.config.buddy });
        }
        self.choose_others(self.config.indirect_probes.into(), Some(probe.slot));
        let helpers = self.chosen.len();
        let budget_ms = u32::try_from(budget.as_millis()).unwrap_or(u32::MAX);
        for index in 0..helpers {
            let helper = self.chosen[index];
            self.send_to_member(helper, Body::PingReq { seq: probe.seq, target: probe.id, address, budget_ms });
        }
        let opening = Opening::Ping { seq: probe.seq, target: probe.id };
        let stream = if self.config.stream_probe { self.open_stream(now, address, opening) } else { None };
        if let Some(probe) = &mut self.probe {
            probe.indirect = true;
            probe.stream = stream;
            probe.nacks_expected = if self.config.nack { helpers as u8 } else { 0 };
        }
    }

    fn probed_address(&self, probe: &Probe) -> Option<SocketAddr> {
        let record = self.table.try_at(probe.slot).filter(|record| record.id == probe.id && record.is_live())?;
        record.address()
    }

    /// Judges the probe that ran, if it was not answered.
    fn conclude_probe(&mut self, now: Instant) {
        let Some(probe) = self.probe.take() else { return };
        self.timers.clear(Chore::ProbeTimeout);
        self.drop_probe_stream(&probe);
        let Some(record) = self.table.try_at(probe.slot).filter(|record| record.id == probe.id) else { return };
        // Meanwhile it died, departed, or was heard of anew: the silence of its earlier self says nothing.
        if !record.is_live() || record.incarnation() > probe.incarnation && record.state() == State::Alive {
            return;
        }
        self.stats.probes_failed += 1;
        let Probe { nacks_expected, nacks_received, .. } = probe;
        self.stats.nacks_missed += u64::from(nacks_expected.saturating_sub(nacks_received));
        self.health.probe_ended(Ended::Failed { nacks_expected, nacks_received });
        if self.damps(probe.id) {
            return;
        }
        self.accuse(now, probe.slot);
    }

    /// We were stalled while a probe ran: it says nothing about its target, and something about us.
    pub(super) fn void_probe(&mut self) {
        let Some(probe) = self.probe.take() else { return };
        self.timers.clear(Chore::ProbeTimeout);
        self.drop_probe_stream(&probe);
        self.stats.probes_void += 1;
        self.health.probe_ended(Ended::Void);
    }

    /// `from` is `None` for an answer over a stream. Where it comes from does not matter for its worth, only that its
    /// sequence was ours and that it is not from an earlier life.
    pub(super) fn hear_ack(&mut self, now: Instant, ack: &Ack, from: Option<SocketAddr>) {
        if let Some(probe) = self.probe.filter(|probe| probe.seq == ack.seq) {
            return self.hear_probe_ack(now, &probe, ack.incarnation, from);
        }
        let Some(ping) = self.pings.take(ack.seq) else {
            self.stats.drops.unmatched += 1;
            return;
        };
        match ping.purpose {
            Purpose::Relay { requester, by, seq, .. } => {
                self.send_urgent_by(requester, by, Body::Forward { seq, incarnation: ack.incarnation });
            }
            Purpose::Path => {
                let Some(slot) = self.table.find(ping.target) else { return };
                if from != self.table.at(slot).address() {
                    return;
                }
                match self.probe.filter(|probe| probe.slot == slot) {
                    Some(probe) => self.hear_probe_ack(now, &probe, ack.incarnation, from),
                    None if ack.incarnation >= self.table.at(slot).incarnation() => self.ping_answered(slot),
                    None => {}
                }
            }
            Purpose::Verify | Purpose::Obituary { .. } => {
                let Some(slot) = self.table.find(ping.target) else { return };
                let record = self.table.at(slot);
                if record.state() == State::Suspect && ack.incarnation >= record.incarnation() {
                    self.suspect_answered(slot);
                }
                // It lives, and has gone past its death: what it knows and what we know are to be compared.
                if let Purpose::Obituary { buried: Some(buried) } = ping.purpose
                    && ack.incarnation > buried
                    && let Some(address) = self.table.at(slot).address()
                {
                    self.meet(now, address);
                }
            }
            Purpose::Rival => self.rival_answered(ack.incarnation),
            Purpose::Stranger { address } => {
                if from == Some(address) {
                    self.meet(now, address);
                }
            }
            Purpose::Holder { stream } => self.holder_answered(now, stream, ping.target, ack.incarnation),
        }
    }

    fn hear_probe_ack(&mut self, now: Instant, probe: &Probe, incarnation: Incarnation, from: Option<SocketAddr>) {
        let Some(record) = self.table.try_at(probe.slot).filter(|record| record.id == probe.id) else { return };
        if incarnation < record.incarnation() {
            // An answer from before what we know of it: not its owner of today, or one that does not know yet what it
            // has to go past.
            if let Some(address) = record.address() {
                let len_max = self.config.datagram_max.into();
                self.echo(now, probe.id, address, len_max);
            }
            return;
        }
        let direct = from.is_some() && from == record.address();
        if record.state() == State::Suspect {
            self.suspect_answered(probe.slot);
        }
        if direct {
            self.ping_answered(probe.slot);
        }
        // Of two pings nobody can say which one was answered (Karn's rule).
        if direct && !probe.indirect {
            let sample = now - probe.started;
            let round_trip = &mut self.table.at_mut(probe.slot).round_trip;
            *round_trip = round_trip.with(sample);
        }
        self.stats.probes_acked_indirectly += u64::from(!direct);
        self.stats.probes_acked += 1;
        self.damped = self.damped.filter(|damped| damped.member != probe.id);
        self.health.probe_ended(Ended::Acked);
        // Where the path is not known yet, the ping over a stream may still tell of it.
        if direct || from.is_none() || self.config.transport != Transport::Hybrid {
            self.drop_probe_stream(probe);
        }
        self.probe = None;
        self.timers.clear(Chore::ProbeTimeout);
    }

    /// No probe runs any more, and none is judged.
    pub(super) fn drop_probe(&mut self) {
        if let Some(probe) = self.probe.take() {
            self.drop_probe_stream(&probe);
        }
        self.timers.clear(Chore::ProbeTimeout);
    }

    fn drop_probe_stream(&mut self, probe: &Probe) {
        if let Some(stream) = probe.stream {
            self.reset_stream(stream);
        }
    }

    pub(super) fn hear_nack(&mut self, nack: &Nack) {
        match &mut self.probe {
            Some(probe) if probe.seq == nack.seq && probe.nacks_received < probe.nacks_expected => {
                probe.nacks_received += 1;
                self.stats.nacks_in += 1;
            }
            // Helpers that were asked about the holder of a name: there is nothing to learn from their silence.
            _ if self.pings.awaits(nack.seq) => {}
            _ => self.stats.drops.unmatched += 1,
        }
    }

    /// Answered by the member that is meant, and by nobody else.
    pub(super) fn hear_ping(&mut self, now: Instant, ping: &Ping, from: SocketAddr, len: usize) {
        // Asking who else has our name may lead to ourselves.
        let own_question = ping.source == self.local_id() && self.pings.awaits(ping.seq);
        if ping.target != self.local_id() || own_question {
            self.stats.drops.misdirected += 1;
            return;
        }
        self.send_urgent(from, Body::Ack { seq: ping.seq, asker: ping.source }, len);
        // Whoever opens a carrier has said who it is.
        if self.config.reach_all && self.came_by_datagram() && self.is_unmet(ping.source, from) {
            self.hear_stranger(now, ping.source, from);
        }
    }

    /// Pings the target for another member. Strangers are not served: they could aim us at anybody.
    pub(super) fn hear_ping_req(&mut self, now: Instant, request: &PingReq, from: SocketAddr, len: usize) {
        if !self.is_running() {
            return;
        }
        if !self.table.knows_address(from) {
            self.stats.drops.unproven += 1;
            return;
        }
        if request.target == self.local_id() {
            let len_max = self.config.datagram_max.into();
            return self.send_urgent(from, Body::Ack { seq: request.seq, asker: request.source }, len_max);
        }
        let from_there =
            |relay: &&Waiting| matches!(relay.purpose, Purpose::Relay { requester, .. } if requester == from);
        let (all, of_source) = self
            .pings
            .relays(now)
            .fold((0, 0), |(all, of_source), relay| (all + 1, of_source + usize::from(from_there(&relay))));
        if all >= RELAYS_MAX || of_source >= RELAYS_PER_SOURCE_MAX {
            self.stats.drops.relays_full += 1;
            return;
        }
        self.stats.relays += 1;
        let budget_max = self.config.probe_interval * RELAY_PERIODS_MAX;
        let budget = Duration::from_millis(request.budget_ms.into()).min(budget_max);
        let seq = self.draw_seq();
        // [LG] IV-A: at 80 % of what the prober has left, so that it still arrives in time.
        let nack_at = self.config.nack.then(|| now + budget * 4 / 5);
        let by = self.came_by.and_then(|(_, by)| by);
        let purpose = Purpose::Relay { requester: from, by, seq: request.seq, nack_at };
        self.pings.push(now, Waiting { seq, target: request.target, purpose, gives_up: now + budget });
        if let Some(nack_at) = nack_at {
            self.timers.push(nack_at, Timer::Relay(seq));
        }
        let (tell, target) = (self.config.buddy, request.target);
        self.send_limited(request.address, Body::Ping { seq, target, tell }, len);
    }

    /// The target of a ping-req has not answered at 80 % of the budget.
    pub(super) fn relay_timed_out(&mut self, seq: u32) {
        if let Some((requester, by, seq)) = self.pings.take_nack(seq) {
            self.stats.nacks_out += 1;
            self.send_urgent_by(requester, by, Body::Nack { seq });
        }
    }
}
