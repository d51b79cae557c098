//! What was put on links to one member: its numbers, where each stands, and what may still be sent
//! (`docs/messaging.md` 6, 7).

use alloc::collections::VecDeque;

use super::message::{Class, Order};
use super::numbers::Numbers;
use super::packet::{NUMBER_MAX, Welcome};
use super::slab::NONE;
use crate::time::Instant;

/// A number that was put on a link, and is not done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flying {
    /// The place of its message; `NONE`: it has ended, and a Forward takes its place.
    pub(super) message: u32,
    /// What its message counted.
    pub(super) cost: u32,
    pub(super) class: Class,
    pub(super) order: Order,
    /// How far back its predecessor is.
    pub(super) back: u64,
    /// Bytes up to it, itself included.
    end: u64,
    /// How many questions had been asked when it was put on a link last.
    asked: u64,
    /// When it was put on a link last.
    at: Instant,
    /// More than once.
    again: bool,
    delivered: bool,
}

/// What is to be put on the link again, from `at` on.
#[derive(Clone, Copy, Debug)]
struct Resend {
    at: u64,
    /// Before this number.
    end: u64,
    /// If it was put on a link before this question.
    question: u64,
}

#[derive(Debug)]
pub(super) struct Sent {
    numbers: Numbers<Flying>,
    /// Bytes of all numbers.
    end: u64,
    credit_messages: u64,
    credit_bytes: u64,
    reserve_messages: u64,
    reserve_bytes: u64,
    /// All up to these are known to be delivered, or processed.
    delivered_to: u64,
    processed_to: u64,
    /// Bytes on this link and not known to be delivered.
    flight: u64,
    /// Questions asked.
    questions: u64,
    /// The Hello of this link was the question of this number.
    hello: u64,
    /// Numbers whose Forward is to be sent.
    forwards: VecDeque<u64>,
    resend: Option<Resend>,
    open_max: usize,
}

/// What was known to be delivered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Landed {
    pub(super) flying: Flying,
    /// When it was put on a link, if it was so once: the acknowledgement's delay can be told.
    pub(super) since: Option<Instant>,
}

impl Sent {
    /// Nothing yet. `open_max`: how many numbers may be open.
    pub(super) fn new(open_max: u32) -> Sent {
        Sent {
            numbers: Numbers::new(2 * open_max as usize),
            end: 0,
            credit_messages: 0,
            credit_bytes: 0,
            reserve_messages: 0,
            reserve_bytes: 0,
            delivered_to: 0,
            processed_to: 0,
            flight: 0,
            questions: 0,
            hello: 0,
            forwards: VecDeque::new(),
            resend: None,
            open_max: open_max as usize,
        }
    }

    /// Numbers that are not done.
    pub(super) fn open(&self) -> usize {
        self.numbers.open()
    }

    pub(super) fn flight(&self) -> u64 {
        self.flight
    }

    pub(super) fn last(&self) -> u64 {
        self.numbers.last()
    }

    pub(super) fn get(&self, number: u64) -> Option<&Flying> {
        self.numbers.get(number)
    }

    pub(super) fn next_open(&mut self, from: u64) -> Option<u64> {
        self.numbers.next_open(from)
    }

    /// Credit that is open, in messages and in bytes.
    pub(super) fn credit(&self) -> (u64, u64) {
        (self.credit_messages.saturating_sub(self.last()), self.credit_bytes.saturating_sub(self.end))
    }

    /// Whether a new message of this class and cost has credit, and a number.
    pub(super) fn has_credit(&self, class: Class, cost: u64) -> bool {
        let (messages, bytes) = self.credit();
        let (kept_messages, kept_bytes) =
            if class == Class::High { (0, 0) } else { (self.reserve_messages, self.reserve_bytes) };
        messages > kept_messages && bytes >= cost + kept_bytes && self.open() < self.open_max
    }

    /// Bytes that the high class may have out of its reserve, in messages of this cost.
    pub(super) fn reserve(&self, cost: u64) -> u64 {
        self.reserve_bytes.max(self.reserve_messages * cost)
    }

    // A link.

    /// Hello is put on a link, which is a question.
    pub(super) fn greet(&mut self) {
        self.questions += 1;
        self.hello = self.questions;
    }

    /// The receiver's limits. Its credit is told anew.
    pub(super) fn welcome(&mut self, welcome: &Welcome) {
        self.reserve_messages = u64::from(welcome.window_messages / 8);
        self.reserve_bytes = u64::from(welcome.base_bytes / 8);
        (self.credit_messages, self.credit_bytes) = (0, 0);
    }

    /// The number of the next Probe on this link.
    pub(super) fn probe(&mut self) -> u64 {
        self.questions += 1;
        self.questions - self.hello
    }

    /// The link is gone, and what was on it is nowhere.
    pub(super) fn unlink(&mut self) {
        self.flight = 0;
        self.forwards.clear();
        self.resend = None;
        // What was on this link is told from what is on the next by the questions asked.
        self.questions += 1;
        self.hello = self.questions;
    }

    /// Everything begins anew, at number 1. Call [`Sent::remove`] for each open number first.
    pub(super) fn renew(&mut self) {
        debug_assert_eq!(self.open(), 0, "what is open has been ended or taken back");
        let (questions, hello) = (self.questions, self.hello);
        let reserve = (self.reserve_messages, self.reserve_bytes);
        *self = Sent::new(self.open_max as u32);
        (self.questions, self.hello) = (questions, hello);
        (self.reserve_messages, self.reserve_bytes) = reserve;
    }

    // What goes.

    /// A new message is put on the link. Its number.
    pub(super) fn push(&mut self, now: Instant, message: u32, cost: u32, class: Class, order: Order, back: u64) -> u64 {
        self.end += u64::from(cost);
        self.flight += u64::from(cost);
        let (end, asked) = (self.end, self.questions);
        self.numbers.push(Flying {
            message,
            cost,
            class,
            order,
            back,
            end,
            asked,
            at: now,
            again: false,
            delivered: false,
        })
    }

    /// The next message that is to be put on the link again, if it has credit.
    pub(super) fn resend(&mut self, now: Instant) -> Option<(u64, Flying)> {
        let (number, flying) = self.next_again()?;
        if flying.message == NONE || flying.end > self.credit_bytes {
            return None;
        }
        Some((number, self.repeat(now, number)))
    }

    /// The next number that is to be passed over. Without credit, but in its turn: whatever has a lesser number has had
    /// credit by then.
    pub(super) fn forward(&mut self, now: Instant) -> Option<(u64, Flying)> {
        while let Some(number) = self.forwards.pop_front() {
            let waiting = self.numbers.get(number).filter(|flying| !flying.delivered);
            // What was on none but an earlier link goes in its turn.
            if waiting.is_some_and(|flying| flying.asked >= self.hello) {
                return Some((number, self.repeat(now, number)));
            }
        }
        let (number, _) = self.next_again().filter(|(_, flying)| flying.message == NONE)?;
        Some((number, self.repeat(now, number)))
    }

    /// Whose turn it is to be put on the link again, if there are as many numbers.
    fn next_again(&mut self) -> Option<(u64, Flying)> {
        while let Some(resend) = self.resend {
            let Some(number) = self.numbers.next_open(resend.at).filter(|&number| number < resend.end) else {
                self.resend = None;
                break;
            };
            self.resend = Some(Resend { at: number, ..resend });
            let flying = *self.numbers.get(number).expect("it is open");
            if !flying.delivered && flying.asked < resend.question {
                return Some((number, flying)).filter(|_| number <= self.credit_messages);
            }
            self.resend = Some(Resend { at: number + 1, ..resend });
        }
        None
    }

    fn repeat(&mut self, now: Instant, number: u64) -> Flying {
        let flying = self.numbers.get_mut(number).expect("it is open");
        if flying.asked < self.hello && flying.message != NONE {
            self.flight += u64::from(flying.cost);
        }
        (flying.asked, flying.at, flying.again) = (self.questions, now, true);
        *flying
    }

    // What comes back.

    /// Whether an acknowledgement may say so: nothing is delivered that was not sent.
    pub(super) fn was_sent(&self, number: u64) -> bool {
        number <= self.last()
    }

    /// The numbers that are known to be delivered only now, if all are up to `to`.
    pub(super) fn delivered_up_to(&mut self, to: u64) -> core::ops::RangeInclusive<u64> {
        let from = self.delivered_to + 1;
        self.delivered_to = self.delivered_to.max(to);
        from..=self.delivered_to
    }

    /// The same for processed ones.
    pub(super) fn processed_up_to(&mut self, to: u64) -> core::ops::RangeInclusive<u64> {
        let from = self.processed_to + 1;
        self.processed_to = self.processed_to.max(to);
        from..=self.processed_to
    }

    /// This number is known to be delivered. `None`: it was known before.
    pub(super) fn land(&mut self, number: u64) -> Option<Landed> {
        let flying = self.numbers.get_mut(number).filter(|flying| !flying.delivered)?;
        flying.delivered = true;
        if flying.asked >= self.hello && flying.message != NONE {
            self.flight -= u64::from(flying.cost);
        }
        Some(Landed { flying: *flying, since: (!flying.again).then_some(flying.at) })
    }

    /// Nothing more will be known of this number, or asked.
    pub(super) fn remove(&mut self, number: u64) -> Option<Flying> {
        let flying = self.numbers.remove(number)?;
        if !flying.delivered && flying.asked >= self.hello && flying.message != NONE {
            self.flight -= u64::from(flying.cost);
        }
        Some(flying)
    }

    /// This number's message has ended: a Forward takes its place, at once on the link if there is one.
    pub(super) fn pass_over(&mut self, number: u64, linked: bool) {
        let Some(flying) = self.numbers.get_mut(number) else { return };
        if !flying.delivered && flying.asked >= self.hello && flying.message != NONE {
            self.flight -= u64::from(flying.cost);
        }
        flying.message = NONE;
        if linked {
            self.forwards.push_back(number);
        }
    }

    /// Credit was told. Whether there is more.
    pub(super) fn credit_told(&mut self, messages: u64, bytes: u64) -> bool {
        let more = messages > self.credit_messages || bytes > self.credit_bytes;
        self.credit_messages = self.credit_messages.max(messages.min(NUMBER_MAX));
        self.credit_bytes = self.credit_bytes.max(bytes.min(NUMBER_MAX));
        more
    }

    /// The question of this number on this link (0: Hello) was answered: what was put on a link before it and is not
    /// delivered is lost. Whether it was asked.
    pub(super) fn answered(&mut self, question: u64) -> bool {
        let question = self.hello + question;
        if question > self.questions {
            return false;
        }
        self.resend = Some(Resend { at: self.delivered_to + 1, end: self.last() + 1, question });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn welcomed(messages: u64, bytes: u64) -> Sent {
        let mut sent = Sent::new(64);
        sent.greet();
        let id = crate::membership::NodeId::from_u64(1);
        sent.welcome(&Welcome {
            version: 1,
            source: id,
            life: 1,
            session: 1,
            inbox: 1,
            message_max: 1_000,
            window_messages: 16,
            base_bytes: 1_600,
        });
        assert!(sent.credit_told(messages, bytes) && !sent.credit_told(messages, bytes));
        assert!(sent.answered(0));
        sent
    }

    fn push(sent: &mut Sent) -> u64 {
        sent.push(Instant::ZERO, 7, 100, Class::Normal, Order::Unordered, 0)
    }

    fn next(sent: &mut Sent) -> Option<(u64, Flying)> {
        sent.forward(Instant::ZERO).or_else(|| sent.resend(Instant::ZERO))
    }

    #[test]
    fn the_reserve_is_for_the_high_class() {
        let mut sent = welcomed(16, 1_600);
        let mut normal = 0;
        while sent.has_credit(Class::Normal, 100) {
            push(&mut sent);
            normal += 1;
        }
        let mut high = 0;
        while sent.has_credit(Class::High, 100) {
            push(&mut sent);
            high += 1;
        }
        assert_eq!((normal, high, sent.credit(), sent.flight()), (14, 2, (0, 0), 1_600));
    }

    #[test]
    fn what_was_lost_is_repeated_once_and_in_order() {
        let mut sent = welcomed(16, 1_600);
        let numbers: [u64; 6] = core::array::from_fn(|_| push(&mut sent));
        assert!(sent.land(2).is_some() && sent.land(2).is_none());
        // A probe answered: what went before it and did not land is lost; 6 went after it.
        sent.remove(6);
        let question = sent.probe();
        let late = push(&mut sent);
        assert!(sent.answered(question) && !sent.answered(question + 1));
        let mut again = alloc::vec::Vec::new();
        while let Some((number, _)) = sent.resend(Instant::ZERO) {
            again.push(number);
        }
        assert_eq!((again, late, numbers[5]), (alloc::vec![1, 3, 4, 5], 7, 6));
        assert_eq!(sent.flight(), 500);
        // A new link: all that did not land.
        sent.unlink();
        assert_eq!(sent.flight(), 0);
        sent.pass_over(4, false);
        sent.greet();
        assert!(sent.answered(0));
        let mut again = alloc::vec::Vec::new();
        while let Some((number, flying)) = next(&mut sent) {
            again.push((number, flying.message == NONE));
        }
        assert_eq!(again, [(1, false), (3, false), (4, true), (5, false), (7, false)]);
        assert_eq!(sent.flight(), 400);
        assert!(sent.land(4).is_some() && sent.land(5).is_some_and(|landed| landed.since.is_none()));
        assert_eq!(sent.flight(), 300);
    }

    #[test]
    fn what_is_repeated_waits_for_credit_told_anew() {
        let mut sent = welcomed(16, 1_600);
        for number in 1..=4 {
            assert_eq!(push(&mut sent), number);
        }
        sent.unlink();
        sent.greet();
        sent.credit_bytes = 250;
        assert!(sent.answered(0));
        assert!(sent.resend(Instant::ZERO).is_some() && sent.resend(Instant::ZERO).is_some());
        assert!(sent.resend(Instant::ZERO).is_none());
        assert!(sent.credit_told(16, 300) && sent.resend(Instant::ZERO).is_some_and(|(number, _)| number == 3));
    }

    #[test]
    fn what_is_passed_over_goes_in_its_turn_and_without_credit() {
        let mut sent = welcomed(16, 1_600);
        for number in 1..=6 {
            assert_eq!(push(&mut sent), number);
        }
        sent.unlink();
        sent.pass_over(1, false);
        sent.greet();
        (sent.credit_messages, sent.credit_bytes) = (5, 150);
        assert!(sent.answered(0));
        // The second has no credit until the first is known to have used none; what ends meanwhile goes not before it.
        assert_eq!(next(&mut sent).unwrap().0, 1);
        assert!(next(&mut sent).is_none());
        sent.pass_over(3, true);
        sent.pass_over(6, true);
        assert!(next(&mut sent).is_none());
        assert!(sent.credit_told(5, 250));
        assert_eq!([2, 3].map(|_| next(&mut sent).unwrap().0), [2, 3]);
        // What was put on this link has had credit.
        sent.pass_over(2, true);
        assert_eq!(next(&mut sent).unwrap().0, 2);
        assert!(sent.credit_told(5, 500));
        assert_eq!([4, 5].map(|_| next(&mut sent).unwrap().0), [4, 5]);
        assert!(next(&mut sent).is_none(), "numbers are for the receiver to open");
        assert!(sent.credit_told(6, 500));
        assert_eq!(next(&mut sent).unwrap().0, 6);
    }
}
