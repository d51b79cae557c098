//! What the node counted. All counters start at zero and only grow; the others say what holds now.

use core::time::Duration;

/// A snapshot of a node's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Datagrams handed to the driver.
    pub datagrams_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Datagrams taken in whole.
    pub datagrams_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Bytes handed to streams.
    pub stream_bytes_out: u64,
    /// Bytes taken in from streams.
    pub stream_bytes_in: u64,
    /// Packets written to carriers, which would otherwise be datagrams.
    pub carried_out: u64,
    /// Packets taken in from carriers.
    pub carried_in: u64,
    /// Carriers opened.
    pub carriers_opened: u64,
    /// Carriers that others opened to us.
    pub carriers_accepted: u64,
    /// Carriers reset, while nothing was under way on them, because another stream needed their room.
    pub carriers_displaced: u64,
    /// Times a peer was found to be reached by streams and not by datagrams.
    pub paths_to_stream: u64,
    /// Times such a peer was found to be reached by datagrams again.
    pub paths_to_datagram: u64,
    /// Probes begun, of members in turn.
    pub probes: u64,
    /// Of these, answered directly, by way of a helper or a stream.
    pub probes_acked: u64,
    /// Of these, answered by way of a helper or a stream only.
    pub probes_acked_indirectly: u64,
    /// Of these, not answered at all.
    pub probes_failed: u64,
    /// Of these, void because this node itself was stalled.
    pub probes_void: u64,
    /// Of the probes, those out of turn, of a suspect whose confirmation was wanted.
    pub probes_solicited: u64,
    /// Members accused because they did not answer for a name that a joiner claimed; none of the probes.
    pub holders_failed: u64,
    /// Ping-reqs served for others.
    pub relays: u64,
    /// Nacks sent for them.
    pub nacks_out: u64,
    /// Nacks received in time.
    pub nacks_in: u64,
    /// Nacks that were due and did not come.
    pub nacks_missed: u64,
    /// Suspicions begun, from whatever accuser.
    pub suspicions: u64,
    /// Of these, refuted.
    pub suspicions_refuted: u64,
    /// Of these, expired into a death declared here.
    pub suspicions_expired: u64,
    /// Of these, ended by a death or departure declared elsewhere.
    pub suspicions_overtaken: u64,
    /// Burials put off because the suspect answered.
    pub burials_averted: u64,
    /// Times this node raised its own incarnation to contradict others.
    pub refutations: u64,
    /// Claims received that changed what we hold, those about ourselves that we went past included. What we found out
    /// by ourselves is none.
    pub claims_news: u64,
    /// Claims received that did not, or that we put aside.
    pub claims_old: u64,
    /// Claims answered with what we hold.
    pub echoes: u64,
    /// Rumors put into datagrams.
    pub rumors_out: u64,
    /// Exchanges for which we opened a stream: attempts to join, and comparisons.
    pub syncs_started: u64,
    /// Exchanges that others opened and that we began to serve.
    pub syncs_served: u64,
    /// Exchanges of either kind that came to their end. One that was refused (Busy, NameTaken) or broke off did not.
    pub syncs_done: u64,
    /// Of those that came to their end, those whose digests agreed at once.
    pub syncs_agreed: u64,
    /// Broadcasts begun here.
    pub broadcasts: u64,
    /// Broadcasts put into datagrams, whole or announced.
    pub broadcasts_out: u64,
    /// Broadcasts of others told to the application.
    pub broadcasts_in: u64,
    /// Of these, taken up to be told on.
    pub broadcasts_relayed: u64,
    /// Broadcasts received, or announced to us, that had been told to the application before.
    pub broadcasts_duplicate: u64,
    /// Broadcasts of others not told on, or not any more, because too much waited.
    pub broadcasts_given_up: u64,
    /// Times somebody was asked for a broadcast that it had announced.
    pub pulls_started: u64,
    /// Broadcasts sent to who asked for them.
    pub pulls_served: u64,
    /// Of the pulls started, those that did not bring the broadcast.
    pub pulls_failed: u64,
    /// Direct messages taken from the application.
    pub messages_out: u64,
    /// Of these, given up because their stream did not open, or broke before they were written.
    pub messages_failed: u64,
    /// Direct messages told to the application.
    pub messages_in: u64,
    /// Stalls of this node noticed.
    pub stalls: u64,
    /// Datagrams that the driver reported lost before they were handed over.
    pub datagrams_lost: u64,
    /// Failed probes that did not accuse, because this node was behind itself.
    pub accusations_damped: u64,
    /// Burials put off because this node was behind itself. Counted among `burials_averted` as well.
    pub burials_damped: u64,
    /// Rounds of gossip left out because this node was behind.
    pub gossip_thinned: u64,
    /// Packets sent in another version than the highest this node speaks.
    pub packets_downgraded: u64,
    /// What was dropped, by reason.
    pub drops: Drops,
    /// Live members, the local one included.
    pub live: u32,
    /// Dead and departed members remembered, those known by id alone included.
    pub tombstones: u32,
    /// Rumors waiting to be sent again.
    pub rumors: u32,
    /// Broadcasts waiting to be told again, or kept to be asked for.
    pub broadcasts_waiting: u32,
    /// Bytes of payload in them.
    pub broadcast_bytes: u32,
    /// Announced broadcasts that are being asked for, or wait to be.
    pub pulls: u32,
    /// Suspicions running.
    pub suspected: u32,
    /// Streams open.
    pub streams: u32,
    /// Of these, carriers that may be written to.
    pub carriers: u32,
    /// Members known, live or not, that are reached by carrier and not by datagram. With
    /// [`Transport::Stream`](crate::Transport) all are, and none is counted.
    pub by_stream: u32,
    /// Local health multiplier: 0 is well.
    pub health: u8,
    /// Whether this node is behind: late, or losing datagrams.
    pub behind: bool,
    /// How many times as long as configured the protocol period is because of load, 1 to 4.
    pub interval_stretch: u8,
    /// How late the last `handle_timeout` was.
    pub lag: Duration,
}

/// What was dropped, by reason. Nothing is dropped without being counted here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// Datagrams shorter than a header or longer than any this protocol sends.
    pub length: u64,
    /// Not our magic number.
    pub magic: u64,
    /// A protocol version we do not speak.
    pub version: u64,
    /// Another cluster's.
    pub foreign: u64,
    /// Checksum wrong.
    pub checksum: u64,
    /// Sealed, and we have no key; or flags we do not know.
    pub sealed: u64,
    /// A message's body is not what its kind demands.
    pub malformed: u64,
    /// Claims about one member more than [`Config::members_max`](crate::Config::members_max).
    pub members_full: u64,
    /// Alive claims whose id is not that of their name.
    pub misnamed: u64,
    /// Tombstones pushed out at [`Config::tombstones_max`](crate::Config::tombstones_max), or by live members at
    /// [`Config::members_max`](crate::Config::members_max).
    pub tombstones_full: u64,
    /// Streams refused at [`Config::streams_max`](crate::Config::streams_max) or at their host's share
    /// ([`Config::host_share_percent`](crate::Config::host_share_percent)).
    pub streams_full: u64,
    /// Streams reset because what came was not a frame of this protocol, or not the next step.
    pub streams_broken: u64,
    /// Streams reset because nothing moved, or because they lasted too long.
    pub streams_idle: u64,
    /// Pings and direct messages for an id that is not ours, and our own pings that came back to us.
    pub misdirected: u64,
    /// Acks and nacks that match no ping that waits.
    pub unmatched: u64,
    /// Ping-reqs refused because too many are being served.
    pub relays_full: u64,
    /// Answers withheld from an address not known to us because they were longer than the question.
    pub unproven: u64,
    /// Echoes and obituaries withheld, by their rate limit or because the datagram was answered with a claim already.
    pub echoes_limited: u64,
    /// Rumors given up because too many waited.
    pub rumors_full: u64,
    /// Claims about members not known, more in one datagram than
    /// [`Config::newcomers_per_datagram`](crate::Config::newcomers_per_datagram).
    pub newcomers: u64,
    /// Datagrams of which no more than the probing was taken in, above [`Config::rate_in`](crate::Config::rate_in).
    pub rate_in: u64,
    /// Datagrams of which nothing was taken in, because the credit of `rate_in` was used up as well.
    pub rate_in_whole: u64,
    /// Datagrams not sent above [`Config::rate_out`](crate::Config::rate_out): gossip and echoes.
    pub rate_out: u64,
    /// Datagrams not sent because too many were waiting to be polled.
    pub outbox_full: u64,
    /// Broadcasts and announcements of an origin that is not known here, or not yet with that life.
    pub broadcasts_stray: u64,
    /// Broadcasts and announcements of an earlier life, or too far behind the newest to be told apart from those told.
    pub broadcasts_old: u64,
    /// Broadcasts of one origin more than are kept apart, all of them live.
    pub origins_full: u64,
    /// Announcements beyond those that may wait to be asked for.
    pub pulls_full: u64,
    /// Announcements and direct messages from whoever is no known member.
    pub strangers: u64,
    /// Packets not sent because too many waited for one carrier.
    pub carrier_full: u64,
    /// Packets lost with the carrier for which they waited, and those for which none could be opened.
    pub carrier_lost: u64,
    /// Datagrams that came though none are taken ([`Transport::Stream`](crate::Transport)).
    pub by_datagram: u64,
}
