//! All that is kept of a member with which messages are, or were lately, exchanged.

use core::net::SocketAddr;

use super::MessagingConfig;
use super::alarms::Alarm;
use super::breaker::Breaker;
use super::flight::Flight;
use super::inbox::Inbox;
use super::message::MessageId;
use super::meter::Meter;
use super::sent::Sent;
use super::share::{CLASSES, Share};
use super::slab::{List, NONE};
use crate::membership::NodeId;
use crate::rate::Bucket;
use crate::time::Instant;

/// What the membership holds of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Live,
    Dead,
    Left,
    /// The membership knows nothing of it any more.
    Forgotten,
}

/// How long a receiver is waited for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Patience {
    /// A Probe is to be sent.
    pub(super) due: bool,
    /// Probes in a row that got no answer.
    pub(super) unanswered: u8,
    /// How often the time-out was doubled.
    pub(super) doubled: u8,
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: NodeId,
    pub(super) standing: Standing,
    /// As the membership has it.
    pub(super) life: u64,
    pub(super) endpoint: Option<SocketAddr>,
    /// In the list of peers that may be forgotten.
    pub(super) forgettable: bool,

    // Towards it.
    /// The link that we opened.
    pub(super) link: u32,
    /// It waits for a link, because there are as many as may be.
    pub(super) in_line: bool,
    /// Failures of links in a row, and not before when the next is opened.
    pub(super) failures: u32,
    pub(super) retry_at: Instant,
    /// The last link failed as the breaker counts it, and none was tried since.
    pub(super) broken: bool,
    /// Its session and our inbox there, to which messages are bound.
    pub(super) bound: Option<(u64, u64)>,
    /// Names what is sent to it, for as long as that is remembered.
    pub(super) session_out: u64,
    /// The longest message it takes, once it has said so.
    pub(super) message_max: Option<u32>,
    /// The longest message in its queues that was accepted before that was known, or before it changed.
    pub(super) longest: u32,
    pub(super) sent: Sent,
    /// What was not put on a link yet, by class.
    pub(super) queues: [List; CLASSES],
    pub(super) share: Share,
    /// Messages accepted and not done, and their bytes.
    pub(super) count: u32,
    pub(super) bytes: u64,
    pub(super) meter: Meter,
    /// A message was refused because of its own queue, and it is to be told when there is room.
    pub(super) was_refused: bool,
    pub(super) flight: Flight,
    pub(super) rate_out: Bucket,
    pub(super) breaker: Breaker,
    pub(super) trial: Option<MessageId>,
    pub(super) patience: Patience,

    // From it.
    /// The link that it opened.
    pub(super) link_in: u32,
    /// Its session there.
    pub(super) session: u64,
    pub(super) inbox: Option<Inbox>,
    /// Bytes in the application's queue from earlier inboxes.
    pub(super) retired: u64,
    /// Its part of what is received and promised.
    pub(super) promised: u64,
    /// What is in the application's queue, by class.
    pub(super) arrived: [List; CLASSES],
    pub(super) rate_in: Bucket,
    /// It waits for the rate of all senders together.
    pub(super) granting: bool,

    // Time.
    pub(super) retry: Alarm,
    pub(super) breaker_time: Alarm,
    pub(super) rto: Alarm,
    pub(super) pace: Alarm,
    pub(super) grant: Alarm,
    pub(super) retention: Alarm,
}

impl Peer {
    pub(super) fn new(now: Instant, id: NodeId, session_out: u64, config: &MessagingConfig) -> Peer {
        Peer {
            id,
            standing: Standing::Live,
            life: 0,
            endpoint: None,
            forgettable: false,
            link: NONE,
            in_line: false,
            failures: 0,
            retry_at: now,
            broken: false,
            bound: None,
            session_out,
            message_max: None,
            longest: 0,
            sent: Sent::new(config.window_messages),
            queues: [List::default(); CLASSES],
            share: Share::new(config.class_weights),
            count: 0,
            bytes: 0,
            meter: Meter::default(),
            was_refused: false,
            flight: Flight::new(config.flight_bytes_min.into(), config.queue_bytes_max.into(), config.delay_target),
            rate_out: Bucket::new(config.rate_out_peer, config.rate_burst, now),
            breaker: Breaker::new(),
            trial: None,
            patience: Patience::default(),
            link_in: NONE,
            session: 0,
            inbox: None,
            retired: 0,
            promised: 0,
            arrived: [List::default(); CLASSES],
            rate_in: Bucket::new(config.rate_in_peer, config.rate_burst, now),
            granting: false,
            retry: Alarm::default(),
            breaker_time: Alarm::default(),
            rto: Alarm::default(),
            pace: Alarm::default(),
            grant: Alarm::default(),
            retention: Alarm::default(),
        }
    }

    /// How long a message it takes is not known any more: whoever is there next says so (`docs/messaging.md` 4.1).
    pub(super) fn forget_message_max(&mut self) {
        // What waits was let in by the former, and is looked at again.
        (self.message_max, self.longest) = (None, u32::MAX);
    }

    /// Messages that were not put on a link yet.
    pub(super) fn waiting(&self) -> u32 {
        self.queues.iter().map(List::len).sum()
    }

    /// Messages of it in the application's queue.
    pub(super) fn arrivals(&self) -> u32 {
        self.arrived.iter().map(List::len).sum()
    }

    /// Nothing waits for it, here or, as far as is known, there.
    pub(super) fn is_forgettable(&self) -> bool {
        self.link == NONE && self.link_in == NONE && self.count == 0 && self.arrivals() == 0
    }
}
