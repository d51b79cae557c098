//! M1 to M12: what members send each other by messenger (`docs/messaging.md`).
//!
//! Written from the rules of that page. What is true is known from both ends: which packets each messenger was given and
//! what it put on links, what applications sent and took. From the packets that a receiver was given follows what is in
//! its inboxes; from those that a sender was given, what it knows. Each message of a run begins with a number of its own
//! by which it is known wherever it turns up.
//!
//! **M10, starvation.** *Classes*: a class of weight `w` is ahead of others by at most its last message, of at most `m`,
//! and others go ahead of it by one message each: so they send at most `W/w·m` and two messages each (`W`: all weights)
//! between two of its messages. `2m·(W/w + W + 4)` is a violation, counted only while all that the class has would have
//! had credit; `m` is the longest message that the sender had for that member so far. So for taking. *Senders* take turns within a class: of those who wait none is passed over for more than two turns of all
//! others. *Peers*: whoever has credit, a link that is not full and nothing under way, and no rate to keep, does not wait.
//!
//! **M11, by when.** After faults have stopped and the cluster has converged, everybody sends to some others a message
//! that must be processed, and is redeliverable: a link to an earlier process may be found dead by it. It may wait for what the workload left to expire (a minute), for a breaker to become half-open,
//! for a link that is dead unbeknownst (three probes without an answer), for the next attempt to open one and its hello,
//! and for three probes more, should the first be lost on what the fault left: each at its longest, with jitter.
//!
//! **M12, waits that end by expiry.** A message may always expire; but whatever it waits for must be on its way. By the
//! sender's own clock, counted only while its process ran:
//!
//! - what waits for a member, whose breaker is not open, has a link; or one was lost, refused or given up within
//!   `link_retry_max` (or as long as the refusal asked); or `links_max` are open and all of them in use (2.1, 2.7, 2.8, 9.3);
//! - a link that was opened is welcomed within twice `link_timeout`, or closed (2.1, 2.6);
//! - where something is under way, or all that waits has no credit, the receiver is asked within the longest time-out, and
//!   of a link on which nothing came for four of them nothing is expected any more (2.8, 6.5);
//! - a breaker that failures opened is half-open after `breaker_open_max` (9.3);
//! - a class whose message does not fit the flight window or has no credit is passed over by no more than 5.2 says, besides
//!   what M10 says;
//! - who refuses a message as too long, or for want of an endpoint, was told so of the life and endpoint that it holds
//!   (4.1); who refuses it for the breaker, has opened that within `breaker_open_max`, or has a message that tries (9.3);
//!   who refuses a link, has a reason that can be seen (2.3, 3.6, 7.6);
//! - an answer to a question grants room for one message of any length and class, where the application has taken and
//!   processed all that came, nothing is missing and there is no rate (7.2, 7.3, 7.5).
//!
//! And, whatever the cause: a message that expires and was never put on a link has not waited in vain for longer than
//! the last failure's back-off (`link_retry_max`), one attempt that fails (twice `link_timeout`) and five seconds, in
//! which a link carries 64 KiB and an application acknowledges what it took; and four time-outs, if there is a link from
//! before, which may have to be found dead. *In vain* is: both processes ran, were linked by a network that loses and
//! holds up nothing, nothing befell their links or applications, the sender's breaker was not open, its link not full, not
//! all of its `links_max` in use, nothing else was sent to that member or delivered there, no more than 64 KiB was under
//! way, the member was held alike all the time, it closed and refused no link, and neither of them keeps a rate.
//!
//! Each of these is late when it is late by more than a second.
//!
//! Not seen: whether more is granted or put on a link than need be waited for, but for what M10 says; who of those that
//! wait for a link is next; by which of its links a receiver should have made room before it refused one; waits for a
//! rate; and whether links that are lost again and again need have been, unless nothing comes after faults have stopped.

mod inbox;
mod office;
mod outbox;
mod outcomes;
mod turns;
mod waits;

use std::collections::BTreeMap;
use std::time::Duration;

use swim_proto::messaging::{
    Class, Confirm, Delivery, Ending, Event, MessageId, MessagingConfig, OVERHEAD, Order, Outgoing,
};
use swim_proto::{Instant, NodeId};

use super::{Rule, Violation};
use crate::observe::{Condition, Observation, Post, Slot, Truth};
use office::Office;

/// How long a message is that must be processed by then.
const LAST_WORD_LEN: u32 = crate::workload::Letters::LAST_WORD_LEN;

/// Names an inbox: the receiver's session, and its number there.
type InboxName = (u64, u64);

/// What a judge of one messenger says.
type Verdict = Result<(), (Rule, String)>;

fn wrong(rule: Rule, what: String) -> Verdict {
    Err((rule, what))
}

/// A message, as all that is seen of it says.
#[derive(Debug)]
struct Letter {
    /// The session whose it is.
    session: u64,
    id: MessageId,
    to: NodeId,
    class: Class,
    order: Order,
    confirm: Confirm,
    redeliverable: bool,
    cost: u64,
    content: u64,
    accepted: Instant,
    expires: Instant,
    /// When it was first put on a link.
    sent: Option<Instant>,
    /// To which inbox it is bound, and whether it was to another before.
    bound: Option<InboxName>,
    rebound: bool,
    /// What its sender was told of it by this inbox: that it is delivered, and processed.
    known: (bool, bool),
    /// What its sender told.
    ending: Option<Ending>,
    /// Whether its sender need not try any longer, though it said that it was sent.
    dropped: bool,
    /// Where it was delivered, where applications took it, and where it was processed.
    delivered: Vec<InboxName>,
    taken: Vec<InboxName>,
    processed: Vec<InboxName>,
}

impl Letter {
    fn new(session: u64, id: MessageId, message: &Outgoing, config: &MessagingConfig, now: Instant) -> Letter {
        Letter {
            session,
            id,
            to: message.to,
            class: message.class,
            order: message.order,
            confirm: message.confirm,
            redeliverable: message.redeliverable,
            cost: (message.payload.len() + OVERHEAD) as u64,
            content: hash(&message.payload),
            accepted: now,
            expires: now + message.expiry.unwrap_or(config.expiry_default),
            sent: None,
            bound: None,
            rebound: false,
            known: (false, false),
            ending: None,
            dropped: false,
            delivered: Vec::new(),
            taken: Vec::new(),
            processed: Vec::new(),
        }
    }

    /// Whether nothing need be delivered of it any more.
    fn is_over(&self, sender_now: Instant) -> bool {
        match self.ending {
            None => false,
            Some(Ending::Sent) => self.dropped || self.known.0 || sender_now >= self.expires,
            Some(_) => true,
        }
    }

    fn stream(&self) -> Option<StreamName> {
        match self.order {
            Order::Unordered => None,
            Order::Stream(stream) => Some((self.session, self.to, self.class, stream)),
        }
    }
}

/// An ordered stream: the sender's session, the receiver, class and number.
type StreamName = (u64, NodeId, Class, u64);

/// All messages of a run, by their number.
#[derive(Debug, Default)]
pub(super) struct Letters {
    all: BTreeMap<u64, Letter>,
    /// In the order in which they were accepted.
    streams: BTreeMap<StreamName, Vec<u64>>,
    /// Those that were told to be sent and may still be on their way: by the session whose they are, and to whom.
    sent: BTreeMap<(u64, NodeId), Vec<u64>>,
    /// The present of each session, by its own clock.
    now: BTreeMap<u64, Instant>,
}

impl Letters {
    fn get(&mut self, number: u64) -> Option<&mut Letter> {
        self.all.get_mut(&number)
    }

    /// What this session said was sent, and is such, need not be tried any longer.
    fn drop_sent(&mut self, to: (u64, NodeId), is_such: impl Fn(&Letter) -> bool) {
        for letter in self.sent.get(&to).into_iter().flatten() {
            if let Some(letter) = self.all.get_mut(letter) {
                letter.dropped |= is_such(letter);
            }
        }
        let all = &self.all;
        if let Some(sent) = self.sent.get_mut(&to) {
            sent.retain(|letter| all.get(letter).is_some_and(|letter| !letter.dropped && !letter.known.0));
        }
    }

    /// How many messages of a session, said to be sent, may still be on their way.
    fn sent_by(&self, session: u64, now: Instant) -> usize {
        let least = (session, NodeId::from_u64(0));
        let theirs = self.sent.range(least..).take_while(|((of, _), _)| *of == session).flat_map(|(_, sent)| sent);
        // Their end is noticed with the next time-out.
        let open =
            |letter: &&Letter| !letter.dropped && !letter.known.0 && letter.expires + Duration::from_secs(1) > now;
        theirs.filter_map(|number| self.all.get(number)).filter(open).count()
    }

    /// A message of a stream is delivered in an inbox: which earlier one of its stream is neither there nor over.
    fn passed_over(&mut self, number: u64, inbox: InboxName) -> Option<MessageId> {
        let letter = self.all.get(&number)?;
        let sender_now = self.now.get(&letter.session).copied().unwrap_or(Instant::ZERO);
        let stream = self.streams.get_mut(&letter.stream()?)?;
        let all = &self.all;
        let done = |number: &u64| {
            all.get(number).is_none_or(|earlier| {
                let elsewhere = earlier.bound.is_some_and(|bound| bound != inbox) && !earlier.redeliverable;
                earlier.delivered.contains(&inbox) || earlier.is_over(sender_now) || elsewhere
            })
        };
        let before = stream.iter().position(|&other| other == number)?;
        let late = stream[..before].iter().find(|number| !done(number)).and_then(|number| all.get(number));
        let late = late.map(|letter| letter.id);
        // What is over is not looked at again.
        let over = |number: &u64| all.get(number).is_none_or(|letter| letter.is_over(sender_now));
        let past = stream.iter().take_while(|number| over(number)).count();
        stream.drain(..past.min(before));
        late
    }
}

/// All that is known of messengers and messages.
#[derive(Debug, Default)]
pub(super) struct Messages {
    letters: Letters,
    /// By slot.
    offices: Vec<Option<Office>>,
    /// What was sent since everything must reach its end, and by when it must; by number.
    answers: Option<Answers>,
}

#[derive(Debug)]
struct Answers {
    due: Instant,
    awaited: BTreeMap<u64, Slot>,
}

impl Messages {
    pub(super) fn observe(
        &mut self,
        now: Instant,
        observation: &Observation<'_>,
        truth: &dyn Truth,
    ) -> Result<(), Violation> {
        match *observation {
            Observation::Post { slot, post } => self.post(now, slot, &post, truth).map_err(|(rule, what)| Violation {
                rule,
                at: now,
                slots: vec![slot],
                what,
            }),
            Observation::Stopped { slot } => {
                if let Some(office) = self.offices.get_mut(slot.index()) {
                    *office = None;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn post(&mut self, now: Instant, slot: Slot, post: &Post<'_>, truth: &dyn Truth) -> Verdict {
        let Some(messenger) = truth.messenger(slot) else { return Ok(()) };
        if let Post::Made = post {
            if self.offices.len() <= slot.index() {
                self.offices.resize_with(slot.index() + 1, || None);
            }
            let local = truth.view(slot).map(|view| (view.local().id, view.local().incarnation.life));
            let (id, life) = local.unwrap_or((NodeId::from_u64(0), 0));
            self.offices[slot.index()] = Some(Office::new((id, life), messenger));
            return Ok(());
        }
        let Some(office) = self.offices.get_mut(slot.index()).and_then(Option::as_mut) else { return Ok(()) };
        let clock = truth.messenger_clock(slot);
        self.letters.now.insert(office.session, clock);
        let (condition, since) = truth.condition(slot);
        let running = (condition == Condition::Running).then_some(since);
        let rate = truth.clock_rate(slot);
        let at = office::At { now: clock, world: now, rate, running, messenger, slots: truth.slots() };
        let judged = office.observe(at, post, &mut self.letters);
        if let (Ok(()), Post::Event(Event::Outcome(outcome))) = (&judged, post)
            && (outcome.ending, outcome.delivery) == (Ending::Expired, Delivery::Never)
            && let Some(letter) = self.letter(slot, outcome.id)
        {
            return self.judge_expiry(at, slot, letter, truth);
        }
        if let (Post::Accepted { message, .. }, Some(answers)) = (post, &mut self.answers)
            && let Some(number) = number(&message.payload)
        {
            answers.awaited.insert(number, slot);
        }
        judged
    }

    fn letter(&self, slot: Slot, id: MessageId) -> Option<&Letter> {
        let office = self.offices.get(slot.index())?.as_ref()?;
        self.letters.all.get(office.numbers.get(&id)?)
    }

    /// From now on what is sent must be processed, in the time that this gives.
    pub(super) fn demand(&mut self, now: Instant, truth: &dyn Truth) -> Instant {
        let configs = (0..truth.slots() as u32).filter_map(|slot| Some(truth.messenger(Slot(slot))?.config()));
        let longest = |of: &dyn Fn(&MessagingConfig) -> Duration| configs.clone().map(of).max().unwrap_or_default();
        let paced = longest(&sent_within) + longest(&|config| received_within(config, truth.slots()));
        // With one link it waits with it for another receiver before that.
        let receivers = if configs.clone().any(|config| config.links_max == 1) { 2 } else { 1 };
        let within = longest(&answered_within) + paced * receivers;
        let slowest = (0..truth.slots() as u32).map(|slot| truth.clock_rate(Slot(slot))).fold(1.0, f64::min);
        let due = now + within.mul_f64(1.0 / slowest);
        self.answers = Some(Answers { due, awaited: BTreeMap::new() });
        due
    }

    /// What was sent since and is not processed yet, or never will be.
    pub(super) fn unanswered(&mut self, now: Instant) -> Option<Violation> {
        let answers = self.answers.as_mut()?;
        let letters = &self.letters;
        answers
            .awaited
            .retain(|number, _| letters.all.get(number).is_some_and(|letter| letter.ending != Some(Ending::Processed)));
        let (number, &slot) = answers.awaited.first_key_value()?;
        let letter = letters.all.get(number)?;
        let became = letter.ending.map_or_else(|| "nothing".into(), |ending| format!("{ending:?}"));
        let what = format!(
            "sent message {:?} to member {} when all was well, and {became} has become of it; due by {:?}",
            letter.id, letter.to, answers.due
        );
        Some(Violation { rule: Rule::M11, at: now, slots: vec![slot], what })
    }
}

/// How long a short message may take at most where nothing stands in its way but rates, whatever stood there before.
fn answered_within(config: &MessagingConfig) -> Duration {
    let left_over = Duration::from_secs(60).max(config.expiry_default.min(Duration::from_secs(60)));
    let breaker = config.breaker_open_max.mul_f64(1.25);
    let probes = config.rto_max.mul_f64(1.25) * 6;
    let links = config.link_retry_max + config.link_timeout * 4;
    left_over + breaker + probes + links
}

/// How long a rate takes for so many bytes.
fn at(rate: u32, bytes: f64) -> f64 {
    if rate == 0 { 0.0 } else { bytes / f64::from(rate) }
}

/// How long rates may hold a short message at its sender, for what the last one took on credit (8.2).
fn sent_within(config: &MessagingConfig) -> Duration {
    let longest = f64::from(config.message_max) + OVERHEAD as f64;
    Duration::from_secs_f64(at(config.rate_out, longest) + at(config.rate_out_peer, longest))
}

/// The same at its receiver, where so many members take turns for the rate of all, each when its own rate lets it (8.2).
fn received_within(config: &MessagingConfig, members: usize) -> Duration {
    let rates = [config.rate_in, config.rate_in_peer].into_iter().filter(|&rate| rate > 0);
    let Some(least) = rates.clone().min() else { return Duration::ZERO };
    let steps = rates.map(|rate| f64::from(rate / 8).max(1024.0));
    let step = steps.fold(f64::from(config.rate_burst) / 8.0, f64::min);
    let longest = f64::from(config.message_max) + OVERHEAD as f64;
    let reserve = longest.min(f64::from(least) / 4.0) / 4.0;
    let turns = (((LAST_WORD_LEN + OVERHEAD as u32) as f64 + reserve) / step).ceil() + 1.0;
    Duration::from_secs_f64(turns * (members as f64 * at(config.rate_in, step) + at(config.rate_in_peer, step)))
}

/// The number at the head of a payload.
fn number(payload: &[u8]) -> Option<u64> {
    payload.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
