use alloc::vec;

use super::*;
use crate::random::Random;

fn parcel(tag: u64) -> Content {
    let payload = Bytes::copy_from_slice(&tag.to_le_bytes());
    Content::Message(Parcel { class: Class::Normal, order: Order::Unordered, repeated: false, payload })
}

fn inbox() -> Inbox {
    let mut inbox = Inbox::new(1, 16);
    inbox.grant(1 << 20);
    inbox
}

fn come(inbox: &mut Inbox, number: u64, back: u64) -> (Came, Vec<u64>) {
    let mut out = Vec::new();
    let came = inbox.come(number, back, parcel(number), &mut out);
    (came, out.into_iter().map(|(number, _)| number).collect())
}

#[test]
fn a_message_waits_for_its_predecessor_and_a_forward_is_as_good() {
    let mut inbox = inbox();
    assert_eq!(come(&mut inbox, 3, 2), (Came::New, vec![]));
    assert_eq!(come(&mut inbox, 4, 1), (Came::New, vec![]));
    assert_eq!(come(&mut inbox, 2, 0), (Came::New, vec![2]));
    assert_eq!(come(&mut inbox, 4, 1), (Came::Again, vec![]));
    // Number 5 is passed over, after 4 and before 6.
    let mut out = Vec::new();
    assert_eq!(come(&mut inbox, 6, 1), (Came::New, vec![]));
    assert_eq!(inbox.come(5, 1, Content::Forward(72), &mut out), Came::New);
    assert!(out.is_empty());
    assert_eq!(come(&mut inbox, 1, 0), (Came::New, vec![1, 3, 4, 6]));
    let ack = inbox.ack().unwrap();
    assert_eq!((ack.delivered_to, ack.processed_to, inbox.ack()), (6, 0, None));
    assert_eq!(ack.processed, [Range { first: 5, last: 5 }]);
}

#[test]
fn credit_bounds_what_may_come() {
    let mut inbox = Inbox::new(1, 16);
    inbox.grant(3 * 72);
    assert_eq!(come(&mut inbox, 17, 0).0, Came::Wrong);
    assert_eq!(come(&mut inbox, 16, 0).0, Came::New);
    assert_eq!(come(&mut inbox, 15, 0).0, Came::New);
    assert_eq!(come(&mut inbox, 14, 0).0, Came::New);
    assert_eq!(come(&mut inbox, 13, 0).0, Came::Wrong, "the bytes are used up");
    assert_eq!(inbox.outstanding(), 216);
    inbox.take(16, 72, true);
    assert_eq!(inbox.outstanding(), 144);
    inbox.grant(72);
    assert_eq!(come(&mut inbox, 17, 0).0, Came::New, "one was processed, so one more number is open");
    assert_eq!(come(&mut inbox, 18, 0).0, Came::Wrong);
    inbox.take(14, 72, false);
    inbox.grant(72);
    assert_eq!(come(&mut inbox, 18, 0).0, Came::Wrong, "who takes and does not acknowledge, gives no number back");
    assert!(inbox.acknowledge(14) && !inbox.acknowledge(14) && !inbox.acknowledge(15));
    assert_eq!(come(&mut inbox, 18, 0).0, Came::New);
}

#[test]
fn what_is_passed_over_needs_no_credit_and_uses_none() {
    let mut inbox = Inbox::new(1, 16);
    inbox.grant(2 * 72);
    inbox.begin_share(Instant::ZERO, 72);
    // It waits for number 1, and does not count meanwhile.
    for number in [2, 3, 4] {
        assert_eq!(inbox.come(number, 1, Content::Forward(1_000), &mut Vec::new()), Came::New);
        assert_eq!((inbox.outstanding(), inbox.unused()), (144, 144));
        assert_eq!(inbox.ack().unwrap().credit_bytes, 144 + 1_000 * (number - 1));
    }
    assert!(!inbox.settle_share(Instant::ZERO, (72, 1_000)), "nor does it show a need");
    assert_eq!(come(&mut inbox, 1, 0), (Came::New, vec![1]));
    assert_eq!((inbox.outstanding(), inbox.unused(), inbox.ack().unwrap().processed_to), (144, 72, 0));
    assert_eq!((come(&mut inbox, 6, 0).0, come(&mut inbox, 5, 0).0), (Came::New, Came::Wrong));
    // As much as can be said, and no more.
    let mut inbox = Inbox::new(1, 16);
    inbox.grant(NUMBER_MAX - 10);
    assert_eq!(inbox.come(1, 0, Content::Forward(11), &mut Vec::new()), Came::Wrong);
    assert_eq!(inbox.come(1, 0, Content::Forward(10), &mut Vec::new()), Came::New);
}

#[test]
fn a_new_link_is_promised_less_but_what_is_missing_keeps_its_place() {
    let mut inbox = Inbox::new(1, 16);
    inbox.grant(10 * 72);
    assert_eq!(come(&mut inbox, 1, 0).0, Came::New);
    inbox.unlink();
    assert_eq!((inbox.outstanding(), inbox.missing), (72, 0));
    inbox.grant(3 * 72);
    assert_eq!(come(&mut inbox, 4, 0).0, Came::New);
    inbox.unlink();
    assert_eq!((inbox.outstanding(), inbox.missing), (4 * 72, 2));
    assert_eq!((come(&mut inbox, 2, 0).0, come(&mut inbox, 3, 0).0), (Came::New, Came::New));
}

#[test]
fn two_that_follow_one_are_wrong() {
    let mut inbox = inbox();
    assert_eq!(come(&mut inbox, 5, 2).0, Came::New);
    assert_eq!(come(&mut inbox, 6, 3).0, Came::Wrong);
}

/// Any order, loss and repetition: what acks say together is what happened.
#[test]
fn acks_tell_everything_once_and_a_question_tells_everything() {
    let mut random = Random::new(9);
    for round in 0..200 {
        let mut inbox = Inbox::new(1, 512);
        inbox.grant(1 << 30);
        let mut delivered: Vec<u64> = Vec::new();
        let mut processed: Vec<u64> = Vec::new();
        let mut told = (vec![false; 401], vec![false; 401]);
        let mut out = Vec::new();
        let hear = |ack: &Ack, told: &mut (Vec<bool>, Vec<bool>)| {
            assert!(ack.delivered.len() <= RANGES_MAX && ack.processed.len() <= RANGES_MAX);
            let lists = [(ack.delivered_to, &ack.delivered), (ack.processed_to, &ack.processed)];
            for ((to, ranges), told) in lists.into_iter().zip([&mut told.0, &mut told.1]) {
                (1..=to).for_each(|number| told[number as usize] = true);
                let mut after = to;
                for range in ranges {
                    assert!(range.first >= after + 2 && range.last >= range.first);
                    (range.first..=range.last).for_each(|number| told[number as usize] = true);
                    after = range.last;
                }
            }
        };
        for _ in 0..600 {
            let number = 1 + random.below(400) as u64;
            if number <= inbox.slots.last() + 100 && random.below(3) > 0 {
                let content = if random.below(5) == 0 { Content::Forward(9) } else { parcel(number) };
                let forward = matches!(content, Content::Forward(_));
                if inbox.come(number, 0, content, &mut out) == Came::New {
                    delivered.push(number);
                    if forward {
                        processed.push(number);
                    }
                }
            }
            if !out.is_empty() && random.below(2) == 0 {
                let (number, parcel) = out.swap_remove(random.below(out.len()));
                inbox.take(number, cost(&parcel.payload), true);
                processed.push(number);
            }
            if random.below(10) == 0 {
                while let Some(ack) = inbox.ack() {
                    hear(&ack, &mut told);
                }
            }
        }
        if round % 2 == 0 {
            told = (vec![false; 401], vec![false; 401]);
            inbox.ask(3);
        }
        let mut echo = 0;
        while let Some(ack) = inbox.ack() {
            assert_eq!(echo, 0, "the echo is on the last");
            echo = ack.echo;
            hear(&ack, &mut told);
        }
        assert_eq!(echo, if round % 2 == 0 { 4 } else { 0 });
        for number in 1..=400 {
            assert_eq!(told.0[number as usize], delivered.contains(&number), "{number} delivered");
            assert_eq!(told.1[number as usize], processed.contains(&number), "{number} processed");
        }
    }
}
