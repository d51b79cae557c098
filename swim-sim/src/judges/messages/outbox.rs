//! What a sender put on links to one member, and what it may put there (`docs/messaging.md` 3.4, 3.5, 6, 7).

use std::collections::BTreeSet;

use bytes::Bytes;
use swim_proto::NodeId;
use swim_proto::messaging::packet::{Ack, Data, Forward};
use swim_proto::messaging::{Class, Ending, LinkId, OVERHEAD, Order};

use super::office::{At, Office};
use super::turns::Shares;
use super::{InboxName, Letter, Letters, Verdict, hash, number, wrong};
use crate::judges::Rule;

/// What is for one member.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// The inbox to which the numbers belong.
    pub(super) name: Option<InboxName>,
    /// What stands at 1, 2, 3, …
    numbers: Vec<Place>,
    /// All up to these are known to be delivered, and processed.
    known_to: u64,
    processed_to: u64,
    pub(super) under_way: u64,
    pub(super) under_way_bytes: u64,
    /// Accepted and not put on a link since: by class, their costs.
    pub(super) waiting: [BTreeSet<(u64, u64)>; 4],
    shares: Shares,
    /// The same, whether there was credit for all that a class had or not.
    patience: Shares,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    letter: u64,
    cost: u64,
    /// Of all numbers up to this one.
    sum: u64,
    back: u64,
    high: bool,
    known: bool,
    forwarded: bool,
}

impl Outbox {
    /// A message waits to be put on a link.
    pub(super) fn waits(&mut self, number: u64, letter: &Letter) {
        self.waiting[letter.class as usize].insert((letter.cost, number));
        self.shares.waits(letter.class, letter.cost);
        self.patience.waits(letter.class, letter.cost);
    }

    /// It does not any longer.
    pub(super) fn waits_no_more(&mut self, number: u64, letter: &Letter) {
        self.waiting[letter.class as usize].remove(&(letter.cost, number));
    }

    /// It ended unsent.
    pub(super) fn ends(&mut self, number: u64, letter: &Letter) {
        self.waits_no_more(number, letter);
        if self.waiting[letter.class as usize].is_empty() {
            self.patience.rests(letter.class);
        }
    }

    /// Whether anything waits to be put on a link for the first time.
    pub(super) fn has_waiting(&self) -> bool {
        self.waiting.iter().any(|waiting| !waiting.is_empty())
    }

    /// The receiver said what it has. Whether some of it is news.
    pub(super) fn acknowledged(&mut self, ack: &Ack, letters: &mut Letters) -> bool {
        let before = self.under_way;
        let len = self.numbers.len() as u64;
        let name = self.name;
        let mut know = |first: u64, last: u64, processed: bool| {
            for at in first..=last.min(len) {
                let place = &mut self.numbers[at as usize - 1];
                if !std::mem::replace(&mut place.known, true) {
                    self.under_way -= 1;
                    self.under_way_bytes -= place.cost;
                }
                if let Some(letter) = letters.get(place.letter).filter(|letter| letter.bound == name)
                    && !place.forwarded
                {
                    letter.known = (true, letter.known.1 || processed);
                }
            }
        };
        know(self.known_to + 1, ack.delivered_to, false);
        ack.delivered.iter().for_each(|range| know(range.first, range.last, false));
        ack.processed.iter().for_each(|range| know(range.first, range.last, true));
        know(self.processed_to + 1, ack.processed_to, true);
        self.known_to = self.known_to.max(ack.delivered_to.min(len));
        self.processed_to = self.processed_to.max(ack.processed_to.min(len));
        self.under_way < before
    }
}

impl Office {
    /// A message is put on a link.
    pub(super) fn puts(
        &mut self,
        at: At<'_>,
        link: LinkId,
        data: &Data,
        payload: &Bytes,
        letters: &mut Letters,
    ) -> Verdict {
        let Some(name) = self.inbox_of(link) else { return Ok(()) };
        let Some(entry) = self.links.get_mut(&link) else { return Ok(()) };
        let Some(peer) = entry.peer else { return Ok(()) };
        let outbox = self.outboxes.entry(peer).or_default();
        if outbox.name != Some(name) {
            outbox.begin(name);
        }
        let letter_number = number(payload);
        let Some(letter) = letter_number.and_then(|number| letters.get(number)) else {
            return wrong(Rule::M3, format!("sends member {peer} what its application never said"));
        };
        let letter_number = letter_number.unwrap_or_default();
        let id = letter.id;
        if (letter.session, letter.to, letter.content) != (self.session, peer, hash(payload)) {
            return wrong(Rule::M3, format!("sends message {id:?} to member {peer} other than it was said"));
        }
        if let Some(welcome) = entry.welcome.filter(|welcome| payload.len() > welcome.message_max as usize) {
            let (len, max) = (payload.len(), welcome.message_max);
            return wrong(Rule::M6, format!("sends {len} bytes to member {peer}, which takes {max} at most"));
        }
        let stream = match letter.order {
            Order::Unordered => None,
            Order::Stream(stream) => Some(stream),
        };
        if (data.class, data.stream) != (letter.class as u8, stream) {
            return wrong(Rule::M3, format!("sends message {id:?} in another class or stream: {data:?}"));
        }
        let over = letter.ending.is_some_and(|ending| ending != Ending::Sent) || letter.dropped;
        if over || letter.expires <= at.now && letter.confirm == swim_proto::messaging::Confirm::Sent {
            return wrong(Rule::M1, format!("sends message {id:?}, which has ended"));
        }
        let next = outbox.numbers.len() as u64 + 1;
        let is_first = data.number == next;
        if is_first {
            if letter.bound == Some(name) {
                return wrong(Rule::M3, format!("gives message {id:?} a second number, {next}"));
            }
            let repeated = letter.bound.is_some();
            if repeated && !letter.redeliverable {
                return wrong(Rule::M5, format!("sends message {id:?} to another life of member {peer}"));
            }
            if data.repeated != repeated {
                return wrong(Rule::M5, format!("sends message {id:?} repeated: {}, it is {repeated}", data.repeated));
            }
            (letter.bound, letter.rebound, letter.known) = (Some(name), repeated, (false, false));
            letter.sent.get_or_insert(at.now);
            let (cost, class) = (letter.cost, letter.class);
            outbox.waits_no_more(letter_number, letter);
            let sum = outbox.numbers.last().map_or(0, |place| place.sum) + cost;
            let place = Place {
                letter: letter_number,
                cost,
                sum,
                back: data.back,
                high: class == Class::High,
                known: false,
                forwarded: false,
            };
            outbox.numbers.push(place);
            outbox.under_way += 1;
            outbox.under_way_bytes += cost;
            self.waits.moved(at, Some(peer));
            judge_place(outbox, data, letters)?;
            self.judge_share(at, link, peer, (class, cost))?;
        } else {
            let place = data.number.checked_sub(1).and_then(|at| outbox.numbers.get(at as usize));
            let Some(place) = place else {
                return wrong(Rule::M6, format!("sends number {} when {next} is due", data.number));
            };
            if place.letter != letter_number || place.forwarded || place.back != data.back {
                return wrong(Rule::M3, format!("sends {data:?} again, which was something else"));
            }
            self.judge_repetition(link, data.number)?;
        }
        self.judge_credit(link, peer, data.number, is_first)?;
        if let Some(entry) = self.links.get_mut(&link) {
            entry.put.insert(data.number, entry.probes);
        }
        Ok(())
    }

    /// A number is said to be passed over.
    pub(super) fn forwards(&mut self, link: LinkId, forward: &Forward, letters: &mut Letters) -> Verdict {
        let Some(name) = self.inbox_of(link) else { return Ok(()) };
        let Some(peer) = self.links.get(&link).and_then(|entry| entry.peer) else { return Ok(()) };
        let outbox = self.outboxes.entry(peer).or_default();
        if outbox.name != Some(name) {
            return wrong(Rule::M5, format!("passes over number {} of another inbox", forward.number));
        }
        let place = forward.number.checked_sub(1).and_then(|at| outbox.numbers.get_mut(at as usize));
        let Some(place) = place else {
            return wrong(Rule::M4, format!("passes over number {}, which it never sent", forward.number));
        };
        let first = !std::mem::replace(&mut place.forwarded, true);
        if (u64::from(forward.cost), forward.back) != (place.cost, place.back) {
            return wrong(Rule::M6, format!("passes over a number that was something else: {forward:?}"));
        }
        let sender_now = letters.now.get(&self.session).copied().unwrap_or(swim_proto::Instant::ZERO);
        if let Some(letter) = letters.get(place.letter)
            && !letter.is_over(sender_now)
        {
            return wrong(Rule::M4, format!("passes over message {:?}, which has not ended", letter.id));
        }
        if !first {
            self.judge_repetition(link, forward.number)?;
        }
        if let Some(entry) = self.links.get_mut(&link) {
            entry.put.insert(forward.number, entry.probes);
        }
        Ok(())
    }

    /// What was put on this link is put on it again only if an answer to a later question showed that it is missing (6.6).
    fn judge_repetition(&self, link: LinkId, number: u64) -> Verdict {
        let Some(entry) = self.links.get(&link) else { return Ok(()) };
        match entry.put.get(&number) {
            Some(&probes) if entry.answered.is_none_or(|answered| answered <= probes) => {
                wrong(Rule::M8, format!("repeats number {number} on link {} without having asked", link.0))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// No more than was granted, and of that an eighth for the high class (7.1, 7.3).
    fn judge_credit(&self, link: LinkId, peer: NodeId, number: u64, is_first: bool) -> Verdict {
        let (Some(entry), Some(outbox)) = (self.links.get(&link), self.outboxes.get(&peer)) else { return Ok(()) };
        let (Some(welcome), Some(place)) = (entry.welcome, outbox.numbers.get(number as usize - 1)) else {
            return Ok(());
        };
        let (messages, bytes) = entry.credit;
        if number > messages || place.sum > bytes {
            let sum = place.sum;
            return wrong(Rule::M6, format!("sends number {number}, byte {sum}; {messages}, {bytes} are granted"));
        }
        let reserve = (u64::from(welcome.window_messages / 8), u64::from(welcome.base_bytes / 8));
        if is_first && !place.high && (messages - number < reserve.0 || bytes - place.sum < reserve.1) {
            return wrong(Rule::M6, format!("sends number {number} from the high class's reserve of {reserve:?}"));
        }
        Ok(())
    }

    /// A class sent something: none that could have may starve.
    fn judge_share(&mut self, at: At<'_>, link: LinkId, peer: NodeId, (class, cost): (Class, u64)) -> Verdict {
        let numbers_left = self.numbers_left(at, peer);
        let able = Class::ALL.map(|class| numbers_left && self.could_send(link, peer, class));
        let weights = at.messenger.config().class_weights;
        let welcome = self.links.get(&link).and_then(|entry| entry.welcome);
        let reserve = welcome.map_or((0, 0), |told| (told.base_bytes / 8, told.window_messages / 8));
        let Some(outbox) = self.outboxes.get_mut(&peer) else { return Ok(()) };
        if let Some(starved) = outbox.shares.served(class, cost, able, weights, None) {
            return wrong(Rule::M10, format!("sends {class:?} to member {peer}, and lets {starved:?} wait for ever"));
        }
        let waits = Class::ALL.map(|class| !outbox.waiting[class as usize].is_empty());
        match outbox.patience.served(class, cost, waits, weights, Some(reserve)) {
            Some(starved) => {
                let what = format!("sends {class:?} to member {peer}, and {starved:?} never fits");
                wrong(Rule::M12, what)
            }
            None => Ok(()),
        }
    }

    /// Whether it may surely have one more number open to a member: no more than its own window (10.1).
    fn numbers_left(&self, at: At<'_>, peer: NodeId) -> bool {
        let open = self.outboxes.get(&peer).map_or(0, |outbox| outbox.numbers.len() as u64 - outbox.processed_to);
        open < at.messenger.config().window_messages.into()
    }

    /// Whether all that a class has for a member would have credit.
    pub(super) fn could_send(&self, link: LinkId, peer: NodeId, class: Class) -> bool {
        let (Some(entry), Some(outbox)) = (self.links.get(&link), self.outboxes.get(&peer)) else { return false };
        let (Some(welcome), Some(&(longest, _))) = (entry.welcome, outbox.waiting[class as usize].last()) else {
            return false;
        };
        let high = class == Class::High;
        let kept = |window: u32| if high { 0 } else { u64::from(window / 8) + 1 };
        let next = outbox.numbers.len() as u64 + 1;
        let sum = outbox.numbers.last().map_or(0, |place| place.sum) + longest;
        let fits_name = outbox.name.is_none_or(|name| name == (welcome.session, welcome.inbox));
        fits_name
            && next + kept(welcome.window_messages) <= entry.credit.0
            && sum + kept(welcome.base_bytes) <= entry.credit.1
            && longest <= u64::from(welcome.message_max) + swim_proto::messaging::OVERHEAD as u64
    }

    /// Nobody who may send, waits: there is credit for all that wait (5.2), the link takes more, nothing is under way, and
    /// no rate to be kept.
    pub(super) fn judge_peer(&mut self, at: At<'_>, peer: NodeId) -> Verdict {
        let config = at.messenger.config();
        if config.rate_out != 0 || config.rate_out_peer != 0 {
            return Ok(());
        }
        let link = self.links.iter().find(|(_, link)| link.peer == Some(peer) && link.answered.is_some() && !link.full);
        let (Some((&link, _)), Some(outbox)) = (link, self.outboxes.get(&peer)) else { return Ok(()) };
        if outbox.under_way > 0 || !self.numbers_left(at, peer) {
            return Ok(());
        }
        let waiting = Class::ALL.into_iter().filter(|&class| !outbox.waiting[class as usize].is_empty());
        let all_could = waiting.clone().all(|class| self.could_send(link, peer, class));
        match waiting.into_iter().next().filter(|_| all_could) {
            Some(class) => wrong(Rule::M10, format!("lets {class:?} messages to member {peer} wait for nothing")),
            None => Ok(()),
        }
    }

    /// A link led to another inbox than before: what was bound to the former has ended, or goes to this one (3.4).
    pub(super) fn rebound(&mut self, link: LinkId, peer: NodeId, letters: &mut Letters) -> Verdict {
        let Some(name) = self.inbox_of(link) else { return Ok(()) }; // It was not believed.
        let Some(outbox) = self.outboxes.get_mut(&peer) else { return Ok(()) };
        if outbox.name != Some(name) {
            outbox.begin(name);
        }
        for number in self.undone_to.get(&peer).into_iter().flatten() {
            let Some(letter) = letters.get(*number) else { continue };
            if letter.bound.is_none_or(|bound| bound == name) {
                continue;
            }
            if !letter.redeliverable {
                return wrong(
                    Rule::M5,
                    format!("keeps message {:?}, which an earlier life of {peer} may have", letter.id),
                );
            }
            letter.rebound = true;
            outbox.waiting[letter.class as usize].insert((letter.cost, *number));
        }
        // Of what goes back to its queue, what is too long for this life ends as well, and nothing more is told of it (4.1).
        let told = self.links.get(&link).and_then(|entry| entry.welcome.as_ref());
        let cost_max = told.map_or(u64::MAX, |told| u64::from(told.message_max) + OVERHEAD as u64);
        letters.drop_sent((self.session, peer), |letter| {
            (!letter.redeliverable || letter.cost > cost_max) && letter.bound.is_some_and(|bound| bound != name)
        });
        Ok(())
    }
}

impl Outbox {
    /// Numbers begin anew, for another inbox.
    fn begin(&mut self, name: InboxName) {
        self.name = Some(name);
        self.numbers.clear();
        (self.known_to, self.processed_to) = (0, 0);
        (self.under_way, self.under_way_bytes) = (0, 0);
    }
}

/// A number stands after an earlier one of its own stream and class (6.1), the last that is not known to be delivered.
fn judge_place(outbox: &Outbox, data: &Data, letters: &mut Letters) -> Verdict {
    let own = outbox.numbers.last().and_then(|place| letters.get(place.letter)).and_then(|letter| letter.stream());
    let earlier = outbox.numbers.iter().enumerate().rev().skip(1);
    let mut expected = 0;
    for (at, place) in earlier.take_while(|(at, _)| *at as u64 >= outbox.known_to) {
        let same = own.is_some() && letters.get(place.letter).and_then(|letter| letter.stream()) == own;
        if same {
            // If it is known to be delivered, so are those before it, whether that was told or not.
            expected = if place.known { 0 } else { data.number - (at as u64 + 1) };
            break;
        }
    }
    if data.back == expected {
        return Ok(());
    }
    wrong(
        Rule::M4,
        format!("says that number {} comes {} after its predecessor; it is {expected}", data.number, data.back),
    )
}
