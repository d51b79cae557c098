//! What was promised to applications, and what came of it. Objects to whatever breaks a promise.

use std::collections::BTreeMap;

use bytes::Bytes;
use swim_proto::messaging::{
    Class, Confirm, Delivery, Ending, FailReason, MessageId, Order, Outcome, Outgoing, Received,
};

/// An accepted message.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The process that sent it.
    pub sender: usize,
    /// Its message.
    pub id: MessageId,
    /// Its class.
    pub class: Class,
    order: Order,
    confirm: Confirm,
    redeliverable: bool,
    /// What its sender was told of it.
    pub outcome: Option<Outcome>,
    /// Processes that took it.
    pub taken: Vec<usize>,
    processed: bool,
    payload: Bytes,
}

/// Every message by its key, the number in its first eight bytes.
#[derive(Debug, Default)]
pub struct Books {
    /// The messages that were accepted.
    pub letters: BTreeMap<u64, Letter>,
    keys: u64,
    by_id: BTreeMap<(usize, MessageId), u64>,
    /// The last key taken, by receiver, sender, class and stream.
    last: BTreeMap<(usize, usize, Class, u64), u64>,
    ended: Vec<usize>,
    dialled: Vec<usize>,
}

impl Books {
    /// A payload that no other message has.
    pub fn letter(&mut self, len: usize) -> (u64, Bytes) {
        self.keys += 1;
        let mut payload = self.keys.to_le_bytes().to_vec();
        payload.resize(len.max(8), self.keys as u8);
        (self.keys, payload.into())
    }

    pub(super) fn dial(&mut self, to: usize) {
        self.dialled.push(to);
    }

    pub(super) fn dialled(&self, wire: usize) -> usize {
        self.dialled[wire]
    }

    pub(super) fn accepted(&mut self, key: u64, sender: usize, id: MessageId, message: &Outgoing) {
        let &Outgoing { class, order, confirm, redeliverable, .. } = message;
        let payload = message.payload.clone();
        let letter = Letter {
            sender,
            id,
            class,
            order,
            confirm,
            redeliverable,
            outcome: None,
            taken: Vec::new(),
            processed: false,
            payload,
        };
        self.letters.insert(key, letter);
        assert_eq!(self.by_id.insert((sender, id), key), None, "an id names one message");
    }

    pub(super) fn process_ended(&mut self, process: usize) {
        self.ended.push(process);
    }

    /// The key of a message that was taken.
    pub(super) fn taken(&mut self, by: usize, received: &Received, explicit: bool) -> u64 {
        let (key, _) = received.payload.split_first_chunk().expect("no message is shorter");
        let key = u64::from_le_bytes(*key);
        let letter = self.letters.get_mut(&key).expect("nothing comes that was not sent");
        assert_eq!(letter.payload, received.payload, "nothing is changed on the way");
        assert_eq!((letter.class, letter.order), (received.class, received.order));
        // A process that has forgotten the sender counts as another life (`docs/messaging.md` 1.2); then it says so.
        assert!(letter.taken.is_empty() || received.repeated, "message {key} may be a repetition, and does not say so");
        assert!(!received.repeated || letter.redeliverable, "message {key} may not be repeated");
        if let Some(outcome) = &letter.outcome {
            assert_ne!(outcome.delivery, Delivery::Never, "message {key} came, and was said never to: {outcome:?}");
        }
        letter.taken.push(by);
        letter.processed |= !explicit;
        if let Order::Stream(stream) = letter.order {
            let last = self.last.insert((by, letter.sender, letter.class, stream), key);
            // What is repeated begins anew where the earlier life stopped to acknowledge.
            let in_order = received.repeated || last.is_none_or(|last| last < key);
            assert!(in_order, "message {key} came after {last:?}, which was sent later");
        }
        key
    }

    /// The receiver's application is done with it.
    pub fn processed(&mut self, key: u64) {
        self.letters.get_mut(&key).expect("it was taken").processed = true;
    }

    pub(super) fn ended(&mut self, sender: usize, outcome: &Outcome) {
        let key = self.by_id[&(sender, outcome.id)];
        let letter = self.letters.get_mut(&key).expect("what has an id was accepted");
        assert_eq!(letter.outcome, None, "message {key} had an outcome already, and now {outcome:?}");
        assert!(outcome.accepted <= outcome.ended && outcome.sent.is_none_or(|sent| sent >= outcome.accepted));
        match outcome.ending {
            Ending::Sent => assert_eq!((letter.confirm, outcome.delivery), (Confirm::Sent, Delivery::Possible)),
            Ending::Delivered => {
                assert_eq!((letter.confirm, outcome.delivery), (Confirm::Delivered, Delivery::Certain));
            }
            Ending::Processed => {
                assert_eq!((letter.confirm, outcome.delivery), (Confirm::Processed, Delivery::Certain));
                assert!(letter.processed, "message {key} is not processed");
            }
            Ending::Failed(FailReason::Restarted) => {
                assert!(!letter.redeliverable && outcome.delivery > Delivery::Never);
            }
            Ending::Expired | Ending::Cancelled | Ending::Failed(_) => {}
        }
        assert_eq!(outcome.delivery == Delivery::Never, outcome.sent.is_none(), "{outcome:?}");
        assert!(outcome.delivery > Delivery::Never || letter.taken.is_empty(), "message {key} came: {outcome:?}");
        letter.outcome = Some(*outcome);
    }

    /// At the end, when every application has taken what there was: nothing is without an outcome, and what was said to
    /// be delivered was seen, unless its receiver ended first.
    pub fn close(&self) {
        for (key, letter) in &self.letters {
            if self.ended.contains(&letter.sender) {
                continue;
            }
            let outcome = letter.outcome.unwrap_or_else(|| panic!("message {key} has no outcome: {letter:?}"));
            if outcome.delivery == Delivery::Certain {
                assert!(!letter.taken.is_empty() || !self.ended.is_empty(), "message {key} was lost: {outcome:?}");
            }
        }
    }

    /// How many messages ended so.
    pub fn count(&self, ending: impl Fn(Ending) -> bool) -> usize {
        self.letters.values().filter(|letter| letter.outcome.is_some_and(|outcome| ending(outcome.ending))).count()
    }
}
