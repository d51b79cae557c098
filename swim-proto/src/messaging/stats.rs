//! What a messenger counted, and how things stand with one peer.

use core::time::Duration;

use super::action::{BreakerState, Level};

/// A snapshot of a messenger's counters: those of the first part start at zero and only grow, the others say what holds
/// now.
///
/// `accepted = done_sent + done_delivered + done_processed + expired + cancelled + failed + outgoing`, always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages accepted from the application.
    pub accepted: u64,
    /// Messages refused, for whatever reason.
    pub refused: u64,
    /// Outcomes [`Ending::Sent`](super::Ending::Sent).
    pub done_sent: u64,
    /// Outcomes [`Ending::Delivered`](super::Ending::Delivered).
    pub done_delivered: u64,
    /// Outcomes [`Ending::Processed`](super::Ending::Processed).
    pub done_processed: u64,
    /// Outcomes [`Ending::Expired`](super::Ending::Expired).
    pub expired: u64,
    /// Outcomes [`Ending::Cancelled`](super::Ending::Cancelled).
    pub cancelled: u64,
    /// Outcomes [`Ending::Failed`](super::Ending::Failed).
    pub failed: u64,
    /// Messages put on links, repetitions included.
    pub data_out: u64,
    /// Bytes of their payloads.
    pub data_bytes_out: u64,
    /// Of these messages, repetitions.
    pub data_repeated: u64,
    /// Messages taken in from links, repetitions included.
    pub data_in: u64,
    /// Bytes of their payloads.
    pub data_bytes_in: u64,
    /// Of these messages, those that were there already.
    pub duplicates: u64,
    /// Messages put into the queue of the application.
    pub delivered: u64,
    /// Messages that the application took.
    pub taken: u64,
    /// Messages that the application acknowledged, by taking them or later.
    pub processed: u64,
    /// Numbers passed over because their message ended first, put on links.
    pub forwards_out: u64,
    /// The same, taken in.
    pub forwards_in: u64,
    /// Acknowledgements put on links.
    pub acks_out: u64,
    /// Acknowledgements taken in.
    pub acks_in: u64,
    /// Times a receiver was asked for the state of things, because nothing came or there was no credit.
    pub probes_out: u64,
    /// The same, asked by senders.
    pub probes_in: u64,
    /// Links that we opened, attempts included.
    pub links_opened: u64,
    /// Of these, those that came to be used.
    pub links_ready: u64,
    /// Of these, those that failed or broke, were refused or were silent.
    pub links_failed: u64,
    /// Links of others taken in.
    pub links_accepted: u64,
    /// Links of others that said whose they are and were believed.
    pub links_greeted: u64,
    /// Links of others that were refused, for any of the reasons among `drops`.
    pub links_refused: u64,
    /// Times a breaker opened.
    pub breakers_opened: u64,
    /// Times a sender's window of bytes under way was cut because acknowledgements were slow.
    pub flights_cut: u64,
    /// What was dropped, by reason.
    pub drops: Drops,

    /// Messages accepted and not done.
    pub outgoing: u32,
    /// Messages done as [`Ending::Sent`](super::Ending::Sent) that are still tried until they are delivered or expire.
    pub lingering: u32,
    /// Bytes of both.
    pub outgoing_bytes: u64,
    /// Messages in the queue of the application.
    pub incoming: u32,
    /// Bytes received and not taken, with those for which room was promised.
    pub incoming_bytes: u64,
    /// Messages taken and not acknowledged.
    pub unacknowledged: u32,
    /// Peers with which messages are, or were lately, exchanged.
    pub peers: u32,
    /// Links open, ours and those of others.
    pub links: u32,
    /// Breakers that are not closed.
    pub breakers: u32,
    /// Members known of.
    pub members: u32,
}

/// What was dropped, by reason. Nothing is dropped without being counted here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// News of more members than [`MessagingConfig::members_max`](super::MessagingConfig::members_max).
    pub members_full: u64,
    /// Links of others refused at [`MessagingConfig::accepted_max`](super::MessagingConfig::accepted_max).
    pub links_full: u64,
    /// Links of others closed before they said whose they are, because others came.
    pub pushed_out: u64,
    /// Links of others closed because nothing had come on them for a while, and others came.
    pub displaced: u64,
    /// Links of others closed because nothing had come on them for so long that nobody can be using them.
    pub unused: u64,
    /// Links closed because they did not say in time whose they are.
    pub silent: u64,
    /// Links of no known live member, or not from its host.
    pub strangers: u64,
    /// Links of a life or a session that has been superseded.
    pub superseded: u64,
    /// Links of a life that we have not heard of yet.
    pub early: u64,
    /// Links that lead to, or are meant for, somebody else.
    pub misdirected: u64,
    /// Links of another cluster.
    pub foreign: u64,
    /// Links with no version in common.
    pub version: u64,
    /// Links turned away because there was no room for what they would send, or for a peer more.
    pub busy: u64,
    /// Links closed because a packet was not one of this protocol.
    pub malformed: u64,
    /// Links closed because a packet was not due.
    pub unexpected: u64,
    /// Links closed because a sender went beyond its credit, or a receiver acknowledged what was not sent.
    pub credit: u64,
    /// Packets passed over because their kind is not known.
    pub unknown_kind: u64,
}

/// How things stand with one peer: [`Messenger::peer`](super::Messenger::peer).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerView {
    /// Whether messages can be sent to it now.
    pub linked: bool,
    /// Whether it has a link to us.
    pub linked_in: bool,
    /// Its breaker.
    pub breaker: BreakerState,
    /// How full the queue to it is.
    pub level: Level,
    /// Messages to it that are accepted and not done, or done as Sent and still tried.
    pub outgoing: u32,
    /// Their bytes.
    pub outgoing_bytes: u64,
    /// Of these messages, those not handed to a link yet.
    pub waiting: u32,
    /// Bytes handed to a link and not known to be delivered.
    pub flight_bytes: u64,
    /// How many of them there may be now.
    pub flight_bytes_max: u64,
    /// How many more messages it has promised room for.
    pub credit_messages: u64,
    /// How many more bytes.
    pub credit_bytes: u64,
    /// The longest message it takes, in bytes, once it has said so.
    pub message_max: Option<u32>,
    /// Smoothed time from a message's sending to the news of its delivery, once there is any.
    pub delay: Option<Duration>,
    /// Messages from it in the queue of the application.
    pub incoming: u32,
    /// Bytes of them, with those for which it was promised room.
    pub incoming_bytes: u64,
}
