//! What applications do with their messengers: the workload of letters, and how they read.

use std::time::Duration;

use bytes::Bytes;
use swim_proto::messaging::{Class, Confirm, Ending, Event, MessageId, Order, Outgoing, Received};
use swim_proto::{Config, Instant};

use super::World;
use super::linking::Letter;
use crate::judges::{Rule, Violation};
use crate::medium::Due;
use crate::messaging::Chore;
use crate::network::nanos;
use crate::observe::Slot;
use crate::seeds::Chance;
use crate::workload::Letters;

/// How many messages an application takes at a time before others have their turn.
const READ_BUDGET: u32 = 64;

/// The longest that a message of the workload may be tried, unless the settings say less.
const EXPIRY_MAX: Duration = Duration::from_secs(60);

/// How soon an application acknowledges what it took without doing so, on average and at most.
const ACKNOWLEDGED_AFTER: (u64, u64) = (300_000_000, 3_000_000_000);

/// How soon it changes its mind about a message, on average.
const CANCELLED_AFTER: u64 = 200_000_000;

/// Who has a word left for whom.
pub(super) type LastWord = (u32, u32);

impl World {
    /// Puts the first letter on the agenda, after the last node has started.
    pub(super) fn schedule_letters(&mut self) {
        if let Some(letters) = self.scenario.workload.reliable {
            let after = nanos(self.scenario.join_over) + self.letters.exponential(nanos(letters.talk.every));
            self.medium.agenda.add(after, Due::Letter);
        }
    }

    /// Somebody has something for somebody.
    pub(super) fn letter(&mut self) {
        let Some(letters) = self.scenario.workload.reliable.filter(|_| !self.faults_stopped) else { return };
        let next = self.medium.now + self.letters.exponential(nanos(letters.talk.every)).max(1);
        self.medium.agenda.add(next, Due::Letter);
        let slots = self.processes.len();
        let from = self.letters.index(slots);
        // Mostly to one of a few partners, so that there is something on each link.
        let to = if self.letters.happens(Chance::percent(75.0)) {
            (from + 1 + self.letters.index(3)) % slots
        } else {
            self.letters.index(slots)
        };
        let count = if self.letters.happens(Chance::percent(15.0)) {
            self.letters.between(1, letters.burst.max(1).into())
        } else {
            1
        };
        for _ in 0..count {
            let message = self.compose(to as u32, letters);
            let process = &self.processes[from];
            if from != to && process.corresponds() && process.member {
                self.post(from as u32, Letter::Send(message));
            }
        }
    }

    /// A message unlike any other.
    fn compose(&mut self, to: u32, letters: Letters) -> Outgoing {
        let longest = letters.talk.len_max.max(Letters::LEN_MIN);
        let shortest = letters.talk.len_min.clamp(Letters::LEN_MIN, longest);
        let len = self.letters.between(shortest.into(), longest.into());
        let expiry_max = self.expiry_max();
        let draw = &mut self.letters;
        let class = *draw.pick(&[
            Class::High,
            Class::Normal,
            Class::Normal,
            Class::Normal,
            Class::Low,
            Class::Bulk,
            Class::Bulk,
        ]);
        // Two classes to each are long, and the two others short: which ones differs.
        let long = letters.extremes && (to as usize + class as usize).is_multiple_of(2);
        let len = match letters.extremes {
            true if long => len.max((longest - longest / 8).into()),
            true => shortest.into(),
            false => len,
        };
        let ordered = letters.streams > 0 && draw.happens(Chance::percent(70.0));
        let order = if ordered { Order::Stream(draw.below(letters.streams.into())) } else { Order::Unordered };
        let confirm = match draw.below(20) {
            0..3 => Confirm::Sent,
            3..12 => Confirm::Delivered,
            _ => Confirm::Processed,
        };
        let expires = draw.happens(Chance::percent(50.0));
        // From 50 ms to a minute, short ones as often as long ones.
        let expiry = (Duration::from_millis(50) * (1 << draw.below(11))).min(EXPIRY_MAX);
        let expiry = expires.then_some(expiry.min(expiry_max));
        let redeliverable = draw.happens(Chance::percent(20.0));
        let payload = self.payload(len as usize);
        let to = self.processes[to as usize].id;
        Outgoing { class, order, confirm, expiry, redeliverable, ..Outgoing::new(to, payload) }
    }

    /// The longest that a message may be tried anywhere.
    fn expiry_max(&self) -> Duration {
        let all = self.scenario.all_messaging().map(|config| config.expiry_max);
        all.min().unwrap_or(EXPIRY_MAX)
    }

    /// The letter's number, and bytes that follow from it.
    fn payload(&mut self, len: usize) -> Bytes {
        self.letters_sent += 1;
        let number = self.letters_sent;
        let mut bytes = number.to_le_bytes().to_vec();
        bytes.resize(len.max(bytes.len()), number as u8);
        Bytes::from(bytes)
    }

    /// A messenger took what its application sends.
    pub(super) fn letter_accepted(&mut self, slot: u32, id: MessageId, message: &Outgoing) {
        let (now, boot) = (self.medium.now, self.processes[slot as usize].boot);
        self.measure.letters.accepted(now, (slot, boot, id), &message.payload);
        if !self.faults_stopped && self.letters.happens(Chance::percent(4.0)) {
            let after = self.letters.exponential(CANCELLED_AFTER);
            self.will_do(slot, now + after, Chore::Cancel(id));
        }
    }

    /// An application took a message.
    pub(super) fn letter_taken(&mut self, slot: u32, received: &Received, processed: bool) {
        let now = self.medium.now;
        self.medium.trace.bytes(now, slot, "took", &received.payload);
        self.measure.letters.taken(now, &received.payload);
        if !processed {
            let (mean, most) = ACKNOWLEDGED_AFTER;
            let after = self.readers.exponential(mean).min(most);
            self.will_do(slot, now + after, Chore::Acknowledge(received.receipt));
        }
    }

    /// A messenger tells its application something.
    pub(super) fn letter_event(&mut self, slot: u32, event: &Event) {
        let (now, boot) = (self.medium.now, self.processes[slot as usize].boot);
        self.medium.trace.words(now, slot, "post event", &[words_of(event)]);
        if let Event::Outcome(outcome) = event {
            self.measure.letters.outcome(now, (slot, boot, outcome.id), outcome);
        }
        let dull = match event {
            Event::Readable => true,
            Event::Outcome(outcome) => {
                matches!(outcome.ending, Ending::Sent | Ending::Delivered | Ending::Processed)
            }
            _ => false,
        };
        if !dull && self.medium.trace.has_lines() {
            self.medium.trace.line(now, format_args!("n{slot} {event:?}"));
        }
    }

    /// There is something to take: the application will see.
    pub(super) fn readable(&mut self, slot: u32) {
        let process = &mut self.processes[slot as usize];
        let boot = process.boot;
        if let Some(office) = &mut process.office {
            office.readable = true;
            self.medium.agenda.add(self.medium.now, Due::Chore { slot, boot });
        }
    }

    /// An application does what it has to do by now.
    pub(super) fn chores(&mut self, slot: u32, boot: u32) {
        if self.processes[slot as usize].boot == boot {
            self.read_on(slot);
        }
    }

    /// Acknowledges, cancels and takes what is due, as fast as the application is.
    pub(super) fn read_on(&mut self, slot: u32) {
        let now = self.medium.now;
        let at = slot as usize;
        for _ in 0..READ_BUDGET {
            let process = &mut self.processes[at];
            if !process.corresponds() {
                return; // What is due will be seen to once it goes on.
            }
            let slowest = process.slowest_reader();
            let boot = process.boot;
            let Some(office) = &mut process.office else { return };
            if let Some(chore) = office.next_chore(now) {
                let letter = match chore {
                    Chore::Acknowledge(receipt) => Letter::Acknowledge(receipt),
                    Chore::Cancel(id) => Letter::Cancel(id),
                };
                self.post(slot, letter);
                continue;
            }
            let waits = match slowest {
                None => true, // It takes none.
                Some(_) => !office.readable || office.reads_at > now,
            };
            if waits {
                return;
            }
            let each = slowest.unwrap_or(0);
            office.reads_at = now + each;
            if each > 0 {
                self.medium.agenda.add(now + each, Due::Chore { slot, boot });
            }
            let processed = self.readers.happens(Chance::percent(75.0));
            let took = self.post(slot, Letter::Take { processed });
            if let Some(office) = &mut self.processes[at].office {
                office.readable &= took;
            }
        }
        let boot = self.processes[at].boot;
        self.medium.agenda.add(now, Due::Chore { slot, boot });
    }

    /// An application that stops its process closes its messenger first, or doesn't.
    pub(super) fn close_perhaps(&mut self, slot: u32) {
        if self.processes[slot as usize].corresponds() && self.readers.happens(Chance::percent(50.0)) {
            self.post(slot, Letter::Close);
        }
    }

    /// From now on what members send each other must be processed, by the time that this gives: after faults have stopped
    /// and the cluster has converged. `None`: there are no messengers, or somebody may still be taken for dead, for want
    /// of packets or of room.
    pub(crate) fn demand_answers(&mut self) -> Option<Duration> {
        self.scenario.workload.reliable?;
        let fits = |config: &Config| config.members_max >= self.scenario.nodes;
        let all_fit = fits(&self.scenario.config)
            && self.scenario.successor.as_ref().is_none_or(fits)
            && self.scenario.all_messaging().all(|config| config.peers_max >= self.scenario.nodes);
        if !all_fit || !self.medium.links.network().is_lossless() {
            return None;
        }
        let due = self.with_judges(|judges, now, truth| judges.demand_answers(now, truth))?;
        Some(Duration::from_nanos(due.as_nanos()))
    }

    /// Has everybody who is up send a message to some others.
    pub(crate) fn last_words(&mut self) {
        let up: Vec<u32> = (0..self.processes.len() as u32).filter(|&slot| self.speaks(slot)).collect();
        for (at, &from) in up.iter().enumerate() {
            // The next one, and one at random: small clusters so try each link that was used.
            for to in [up[(at + 1) % up.len()], up[self.letters.index(up.len())]] {
                let view = |slot: u32| self.processes[slot as usize].machine.as_ref().map(|machine| machine.view());
                // Where nothing is compared, one may hold another's earlier life for as long as it is not probed.
                let knows = |slot: u32, of: u32| {
                    let (Some(here), Some(there)) = (view(slot), view(of)) else { return false };
                    let own = there.local();
                    here.member(own.id).is_some_and(|held| {
                        let is_same = (held.address, held.endpoint) == (own.address, own.endpoint);
                        held.state.is_live() && held.incarnation.life == own.incarnation.life && is_same
                    })
                };
                // Clusters that never met need not hold each other, and some members take no messages.
                let takes = !self.processes[to as usize].withdrawn;
                if from != to && takes && knows(from, to) && knows(to, from) {
                    self.last.push((from, to));
                }
            }
        }
        self.last_words_again();
    }

    fn speaks(&self, slot: u32) -> bool {
        let process = &self.processes[slot as usize];
        process.is_up() && process.member && process.office.is_some()
    }

    /// Tries those that were refused once more.
    pub(crate) fn last_words_again(&mut self) {
        for (from, to) in std::mem::take(&mut self.last) {
            let payload = self.payload(Letters::LAST_WORD_LEN as usize);
            let to_id = self.processes[to as usize].id;
            let expiry = self.expiry_max().min(Duration::from_secs(86_400));
            // A link to an earlier process of the receiver may be found dead by this very message.
            let message = Outgoing {
                redeliverable: true,
                confirm: Confirm::Processed,
                order: Order::Stream(0),
                expiry: Some(expiry),
                ..Outgoing::new(to_id, payload)
            };
            if self.speaks(from) && self.speaks(to) && !self.post(from, Letter::Send(message)) {
                self.last.push((from, to));
            }
        }
    }

    /// What of these is not said, or not processed.
    pub(crate) fn unanswered(&mut self) -> Option<Violation> {
        let at = Instant::from_nanos(self.medium.now);
        if let Some(&(from, to)) = self.last.first() {
            let what = format!("refuses a message to node {to} when all is well");
            return Some(Violation { rule: Rule::M11, at, slots: vec![Slot(from), Slot(to)], what });
        }
        self.with_judges(|judges, now, _| judges.unanswered(now)).flatten()
    }
}

/// A number that tells an event from others.
fn words_of(event: &Event) -> u64 {
    match event {
        Event::Readable => 1,
        Event::Outcome(outcome) => {
            outcome.id.as_u64() << 8 | ending_number(outcome.ending) << 4 | outcome.delivery as u64
        }
        Event::Writable { to } => to.as_u64() ^ 3,
        Event::Level { level, .. } => 4 << 8 | *level as u64,
        Event::Breaker { peer, .. } => peer.as_u64() ^ 5,
        Event::Linked { peer, life } => peer.as_u64() ^ life ^ 6,
        Event::Unlinked { peer } => peer.as_u64() ^ 7,
        _ => 0,
    }
}

fn ending_number(ending: Ending) -> u64 {
    match ending {
        Ending::Sent => 0,
        Ending::Delivered => 1,
        Ending::Processed => 2,
        Ending::Expired => 3,
        Ending::Cancelled => 4,
        Ending::Failed(_) => 5,
    }
}
