//! What is in a receiver's inbox, as follows from the packets that it was given (`docs/messaging.md` 6).

use std::collections::BTreeMap;

use swim_proto::NodeId;
use swim_proto::messaging::packet::{Ack, Forward, Range};
use swim_proto::messaging::{MessagingConfig, OVERHEAD};

use super::office::Office;
use super::{Letters, Verdict, wrong};
use crate::judges::Rule;

/// One inbox.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    items: BTreeMap<u64, Item>,
    /// By the number that they wait for.
    waiting: BTreeMap<u64, Vec<u64>>,
    /// By the message's own number: its number here.
    numbers: BTreeMap<u64, u64>,
    delivered_to: u64,
    processed_to: u64,
    processed: u64,
    /// Of all that arrived.
    bytes: u64,
    taken_bytes: u64,
}

/// What stands at a number.
#[derive(Clone, Copy, Debug)]
struct Item {
    /// The message; `None`: there is none, it is passed over.
    letter: Option<u64>,
    delivered: bool,
    processed: bool,
}

impl Inbox {
    /// Whether anything stands at a number.
    fn has(&self, number: u64) -> bool {
        self.items.contains_key(&number)
    }

    /// Something arrived at a number. Which messages are delivered by it, in order.
    fn put(&mut self, (number, back): (u64, u64), letter: Option<u64>, cost: u64) -> Vec<u64> {
        self.items.insert(number, Item { letter, delivered: false, processed: false });
        self.bytes += cost;
        match letter {
            Some(letter) => _ = self.numbers.insert(letter, number),
            // It uses no credit, also while it waits for another (7.4).
            None => self.taken_bytes += cost,
        }
        let before = number - back;
        if back > 0 && !self.items.get(&before).is_some_and(|item| item.delivered) {
            self.waiting.entry(before).or_default().push(number);
            return Vec::new();
        }
        let mut delivered = Vec::new();
        let mut next = vec![number];
        while let Some(number) = next.pop() {
            let Some(item) = self.items.get_mut(&number) else { continue };
            item.delivered = true;
            match item.letter {
                Some(letter) => delivered.push(letter),
                None => {
                    item.processed = true;
                    self.processed += 1;
                }
            }
            let mut after = self.waiting.remove(&number).unwrap_or_default();
            after.sort_unstable_by(|a, b| b.cmp(a));
            next.extend(after);
        }
        self.advance();
        delivered
    }

    fn advance(&mut self) {
        while self.items.get(&(self.delivered_to + 1)).is_some_and(|item| item.delivered) {
            self.delivered_to += 1;
        }
        while self.items.get(&(self.processed_to + 1)).is_some_and(|item| item.processed) {
            self.processed_to += 1;
        }
    }

    pub(super) fn take(&mut self, letter: u64, cost: u64) {
        if self.numbers.contains_key(&letter) {
            self.taken_bytes += cost;
        }
    }

    pub(super) fn process(&mut self, letter: u64) {
        if let Some(item) = self.numbers.get(&letter).and_then(|number| self.items.get_mut(number))
            && !std::mem::replace(&mut item.processed, true)
        {
            self.processed += 1;
            self.advance();
        }
    }

    /// Whether an Ack says what is so, and grants what may be granted (7.2).
    pub(super) fn judge_ack(&self, ack: &Ack, config: &MessagingConfig) -> Verdict {
        let is = |ranges: &[Range], to: u64, so: &dyn Fn(&Item) -> bool| {
            let told = (1..=to).rev().take(8).chain(ranges.iter().flat_map(|range| range.first..=range.last));
            let mut told = told;
            told.find(|number| !self.items.get(number).is_some_and(so))
        };
        if ack.delivered_to > self.delivered_to || ack.processed_to > self.processed_to {
            return wrong(Rule::M2, format!("acknowledges more than is so: {ack:?}"));
        }
        if let Some(number) = is(&ack.delivered, ack.delivered_to, &|item| item.delivered) {
            return wrong(Rule::M2, format!("says that number {number} is delivered, and it is not"));
        }
        if let Some(number) = is(&ack.processed, ack.processed_to, &|item| item.processed) {
            return wrong(Rule::M2, format!("says that number {number} is processed, and it is not"));
        }
        let messages = self.processed + u64::from(config.window_messages);
        let bytes = self.taken_bytes + u64::from(config.window_bytes);
        if ack.credit_messages > messages || ack.credit_bytes > bytes {
            return wrong(Rule::M6, format!("grants more than {messages} messages and {bytes} bytes: {ack:?}"));
        }
        Ok(())
    }

    /// Whether an Ack that answers a question grants what it must: where all has been taken and processed and nothing is
    /// missing, room for a message of any length and class beyond the high class's reserve (7.2, 7.3, 7.5).
    pub(super) fn judge_grant(&self, ack: &Ack, base: u32, config: &MessagingConfig) -> Verdict {
        let all = (self.items.len() as u64, self.items.len() as u64, self.bytes);
        let has_rate = config.rate_in != 0 || config.rate_in_peer != 0;
        if has_rate || (self.delivered_to, self.processed, self.taken_bytes) != all {
            return Ok(());
        }
        let messages = self.processed + u64::from(config.window_messages / 8) + 1;
        let bytes = self.bytes + u64::from(config.message_max) + OVERHEAD as u64 + u64::from(base / 8);
        if ack.credit_messages >= messages && ack.credit_bytes >= bytes {
            return Ok(());
        }
        wrong(Rule::M12, format!("grants less than {messages} messages and {bytes} bytes when all is taken: {ack:?}"))
    }
}

impl Office {
    /// Data came: at which number, after which; which message it is, and how long.
    pub(super) fn arrived(
        &mut self,
        name: (NodeId, u64, u64),
        place: (u64, u64),
        (letter, len): (Option<u64>, usize),
        letters: &mut Letters,
    ) -> Verdict {
        let Some(inbox) = self.inboxes.get_mut(&name) else { return Ok(()) };
        if inbox.has(place.0) {
            return Ok(());
        }
        let delivered = inbox.put(place, letter, (len + OVERHEAD) as u64);
        self.delivered(name, &delivered, letters)
    }

    /// A Forward came.
    pub(super) fn passed(&mut self, name: (NodeId, u64, u64), forward: &Forward, letters: &mut Letters) -> Verdict {
        let Some(inbox) = self.inboxes.get_mut(&name) else { return Ok(()) };
        if inbox.has(forward.number) {
            return Ok(());
        }
        let delivered = inbox.put((forward.number, forward.back), None, forward.cost.into());
        self.delivered(name, &delivered, letters)
    }

    /// These are in the application's queue now.
    fn delivered(&mut self, name: (NodeId, u64, u64), delivered: &[u64], letters: &mut Letters) -> Verdict {
        let inbox = (self.session, name.2);
        for &number in delivered {
            let passed_over = letters.passed_over(number, inbox);
            let Some(letter) = letters.get(number) else { continue };
            if letter.delivered.contains(&inbox) {
                return wrong(Rule::M3, format!("is given message {:?} under two numbers", letter.id));
            }
            letter.delivered.push(inbox);
            let (class, cost, id) = (letter.class, letter.cost, letter.id);
            if let Some(stream) = letter.stream() {
                self.lines.entry((inbox.1, stream)).or_default().push_back(number);
            }
            self.taking.waits(name.0, class);
            self.incoming += 1;
            self.incoming_bytes += cost;
            if let Some(earlier) = passed_over {
                return wrong(
                    Rule::M4,
                    format!("delivers message {id:?} before message {earlier:?} of the same stream"),
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Vec<u64> = Vec::new();

    #[test]
    fn what_waits_for_an_earlier_number_is_delivered_after_it() {
        let mut inbox = Inbox::default();
        assert_eq!(inbox.put((3, 2), Some(103), 65), NONE);
        assert_eq!(inbox.put((4, 1), Some(104), 65), NONE);
        assert_eq!(inbox.put((2, 0), Some(102), 65), [102]);
        assert_eq!((inbox.delivered_to, inbox.put((1, 0), Some(101), 65)), (0, vec![101, 103, 104]));
        assert_eq!((inbox.delivered_to, inbox.processed_to), (4, 0));
    }

    #[test]
    fn what_is_passed_over_delivers_its_successors_and_counts_as_processed() {
        let mut inbox = Inbox::default();
        assert_eq!(inbox.put((2, 1), Some(102), 65), NONE);
        assert_eq!(inbox.put((1, 0), None, 70), [102]);
        assert_eq!((inbox.delivered_to, inbox.processed_to, inbox.processed, inbox.taken_bytes), (2, 1, 1, 70));
        inbox.take(102, 65);
        inbox.process(102);
        assert_eq!((inbox.processed_to, inbox.processed, inbox.taken_bytes), (2, 2, 135));
    }

    #[test]
    fn an_ack_may_say_less_than_is_so_and_no_more() {
        let config = MessagingConfig { window_messages: 16, ..MessagingConfig::default() };
        let mut inbox = Inbox::default();
        for number in [1, 2, 4] {
            inbox.put((number, 0), Some(100 + number), 65);
        }
        inbox.process(101);
        let window = u64::from(config.window_bytes);
        let ack = Ack { delivered_to: 2, processed_to: 1, credit_messages: 17, credit_bytes: window, ..Ack::default() };
        assert_eq!(inbox.judge_ack(&ack, &config), Ok(()));
        assert_eq!(inbox.judge_ack(&Ack::default(), &config), Ok(()));
        let four = vec![Range { first: 4, last: 4 }];
        assert_eq!(inbox.judge_ack(&Ack { delivered: four.clone(), ..ack.clone() }, &config), Ok(()));
        let rule = |ack: Ack| inbox.judge_ack(&ack, &config).expect_err("it says too much").0;
        assert_eq!(rule(Ack { delivered_to: 3, ..ack.clone() }), Rule::M2);
        assert_eq!(rule(Ack { delivered: vec![Range { first: 4, last: 5 }], ..ack.clone() }), Rule::M2);
        assert_eq!(rule(Ack { processed: four, ..ack.clone() }), Rule::M2);
        assert_eq!(rule(Ack { credit_messages: 18, ..ack.clone() }), Rule::M6);
        assert_eq!(rule(Ack { credit_bytes: window + 1, ..ack }), Rule::M6);
    }
}
