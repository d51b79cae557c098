//! Every setting of messaging, its meaning and its bounds.

use core::time::Duration;

use super::message::OVERHEAD;
use crate::config::ConfigError;

/// The settings of one [`Messenger`](super::Messenger). Members of one cluster should agree on them, but need not.
///
/// Where bytes are counted, a message counts its payload and [`OVERHEAD`].
#[derive(Clone, Debug, PartialEq)]
pub struct MessagingConfig {
    /// The longest payload sent or taken, in bytes. 1 to 16,777,216.
    pub message_max: u32,
    /// For how long a message may be tried that says nothing else. 1 ms to `expiry_max`.
    pub expiry_default: Duration,
    /// The longest that a message may ask to be tried for. 1 ms to a year.
    pub expiry_max: Duration,

    /// Most messages accepted for one member and not done. An eighth is for [`Class::High`](super::Class::High) alone.
    /// 8 to 1,048,576.
    pub queue_messages_max: u32,
    /// Most bytes of them. Room for eight messages of `message_max` to 2^32 − 1.
    pub queue_bytes_max: u32,
    /// Most messages accepted and not done, in all. An eighth is for the high class alone. `queue_messages_max` to
    /// 1,048,576.
    pub outgoing_messages_max: u32,
    /// Most bytes of them. `queue_bytes_max` to 2^32 − 1.
    pub outgoing_bytes_max: u32,

    /// Most messages of one sender that wait here to be processed. An eighth is for the high class alone. 16 to 65,536.
    pub window_messages: u32,
    /// Most bytes of one sender that wait here to be taken, or for which it has room promised. It has less while it
    /// needs no more, or there is none (`incoming_bytes_max`); so what is for the high class alone is an eighth of what
    /// each is sure of, two messages of `message_max`, or a sixteenth of what a rate (`rate_in`, `rate_in_peer`) gives in a
    /// second, if that is less. Room for two messages of `message_max` to 2^32 − 1.
    pub window_bytes: u32,
    /// Most bytes that wait here to be taken, and for which room was promised, from all senders. Each linked sender is
    /// sure of room for two messages of `message_max`; above that, half of the whole is shared out by need. For one too
    /// many the link unused for longest is closed, if one is unused; else it is told to come back later. So for
    /// `accepted_max` senders at once it takes room for twice as many messages. Room for four messages of `message_max`
    /// to 2^40.
    pub incoming_bytes_max: u64,

    /// Most members known of. News of more is passed over (`Stats::drops`). 2 to 16,777,216.
    pub members_max: u32,
    /// Most members with which messages are, or were lately, exchanged. At the limit the one of which the least would
    /// be lost is forgotten, if there is any that nothing waits for. 2 to 65,535.
    pub peers_max: u32,
    /// Most links opened by us at once. For one more, the one unused for longest is closed, if one is unused; else who
    /// needs it waits. 1 to 65,535.
    pub links_max: u32,
    /// Most links of others at once. A quarter may be links that have not said whose they are; for one more of these, and
    /// where all places are taken, the oldest of them is closed. Where there is none of them, one more is refused, or takes
    /// the place of one that nobody seems to use. 4 to 65,535.
    pub accepted_max: u32,
    /// A link that we opened and have nothing to say on for this long is closed. 1 s to a year.
    pub link_idle: Duration,
    /// How long a link may take to open, and again to say whose it is. 10 ms to an hour.
    pub link_timeout: Duration,
    /// The first wait before a lost or refused link is tried again; it doubles with each failure, with jitter. 1 ms to
    /// `link_retry_max`.
    pub link_retry_min: Duration,
    /// The longest such wait. At most an hour.
    pub link_retry_max: Duration,
    /// From where a member's links may come.
    pub trust: Trust,
    /// For how long what is needed to tell repetitions apart is kept of a sender that is not live. 1 s to a year.
    pub inbox_retention: Duration,

    /// The least wait for an acknowledgement, or for credit, before the receiver is asked for the state of things. It
    /// is four times the measured delay, if that is more, and doubles each time, with jitter. 10 ms to `rto_max`.
    pub rto_min: Duration,
    /// The longest such wait. At most an hour.
    pub rto_max: Duration,
    /// How much longer than the shortest delay seen an acknowledgement may take before less is sent at once. 1 ms to an
    /// hour.
    pub delay_target: Duration,
    /// What may be under way to one member at least, and at first, in bytes; one message may always be. 1,024 to
    /// `queue_bytes_max`.
    pub flight_bytes_min: u32,

    /// The classes' shares, by bytes, of what is sent to a member and of what is taken while all have something: of
    /// High, Normal, Low and Bulk. Each 1 to 255.
    pub class_weights: [u8; 4],

    /// Bytes sent to all members per second, repetitions included. Above it messages wait. 0: no limit; otherwise at
    /// least 1,024.
    pub rate_out: u32,
    /// The same to one member.
    pub rate_out_peer: u32,
    /// Bytes for which room is promised to all senders per second: above it they wait. 0: no limit; otherwise at least
    /// 1,024.
    pub rate_in: u32,
    /// The same to one sender.
    pub rate_in_peer: u32,
    /// Bytes that may go at once under these rates. Room for two messages of `message_max` to 2^32 − 1.
    pub rate_burst: u32,

    /// How many failures in a row open the circuit breaker of a member: links that fail, and messages that expire after
    /// they waited for an acknowledgement's time-out (`rto_min`) at least. 0: only its death does. At most 255.
    pub breaker_failures: u8,
    /// For how long it is open first; it doubles each time its trial fails, with jitter. 1 ms to `breaker_open_max`.
    pub breaker_open_min: Duration,
    /// For how long at most. At most an hour.
    pub breaker_open_max: Duration,
}

/// From where a member's links may come (`docs/messaging.md` 2.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// From the host (the IP address) of its gossip address or of its endpoint.
    #[default]
    Host,
    /// From anywhere: for networks that translate addresses, and that keep strangers out by other means.
    Anywhere,
}

impl Default for MessagingConfig {
    fn default() -> MessagingConfig {
        MessagingConfig {
            message_max: 256 * 1024,
            expiry_default: Duration::from_secs(30),
            expiry_max: Duration::from_secs(86_400),
            queue_messages_max: 16_384,
            queue_bytes_max: 16 * 1024 * 1024,
            outgoing_messages_max: 262_144,
            outgoing_bytes_max: 256 * 1024 * 1024,
            window_messages: 4_096,
            window_bytes: 4 * 1024 * 1024,
            incoming_bytes_max: 512 * 1024 * 1024,
            members_max: 65_536,
            peers_max: 4_096,
            links_max: 1_024,
            accepted_max: 2_048,
            link_idle: Duration::from_secs(60),
            link_timeout: Duration::from_secs(5),
            link_retry_min: Duration::from_millis(100),
            link_retry_max: Duration::from_secs(10),
            trust: Trust::Host,
            inbox_retention: Duration::from_secs(600),
            rto_min: Duration::from_secs(1),
            rto_max: Duration::from_secs(30),
            delay_target: Duration::from_millis(20),
            flight_bytes_min: 64 * 1024,
            class_weights: [8, 4, 2, 1],
            rate_out: 0,
            rate_out_peer: 0,
            rate_in: 0,
            rate_in_peer: 0,
            rate_burst: 1024 * 1024,
            breaker_failures: 5,
            breaker_open_min: Duration::from_secs(1),
            breaker_open_max: Duration::from_secs(30),
        }
    }
}

impl MessagingConfig {
    /// Whether a messenger can run with these. [`Messenger::new`](super::Messenger::new) asks.
    ///
    /// # Errors
    /// The first setting that lies outside its bounds, and these.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let range = |setting, value: f64, min: f64, max: f64| {
            if value >= min && value <= max {
                Ok(())
            } else {
                Err(ConfigError::OutOfRange { setting, value, min, max })
            }
        };
        let time = |setting, value: Duration, min: Duration, max: Duration| {
            range(setting, value.as_secs_f64(), min.as_secs_f64(), max.as_secs_f64())
        };
        let bytes_max = f64::from(u32::MAX);
        let messages_max = 1_048_576.0;
        let (milli, hour, year) =
            (Duration::from_millis(1), Duration::from_secs(3_600), Duration::from_secs(365 * 86_400));

        range("message_max", self.message_max.into(), 1.0, 16_777_216.0)?;
        let message = self.message_cost() as f64;
        time("expiry_max", self.expiry_max, milli, year)?;
        time("expiry_default", self.expiry_default, milli, self.expiry_max)?;
        range("queue_messages_max", self.queue_messages_max.into(), 8.0, messages_max)?;
        range("queue_bytes_max", self.queue_bytes_max.into(), 8.0 * message, bytes_max)?;
        let queue = f64::from(self.queue_messages_max);
        range("outgoing_messages_max", self.outgoing_messages_max.into(), queue, messages_max)?;
        range("outgoing_bytes_max", self.outgoing_bytes_max.into(), self.queue_bytes_max.into(), bytes_max)?;
        range("window_messages", self.window_messages.into(), 16.0, 65_536.0)?;
        range("window_bytes", self.window_bytes.into(), 2.0 * message, bytes_max)?;
        range("incoming_bytes_max", self.incoming_bytes_max as f64, 4.0 * message, 1_099_511_627_776.0)?;
        range("members_max", self.members_max.into(), 2.0, 16_777_216.0)?;
        range("peers_max", self.peers_max.into(), 2.0, 65_535.0)?;
        range("links_max", self.links_max.into(), 1.0, 65_535.0)?;
        range("accepted_max", self.accepted_max.into(), 4.0, 65_535.0)?;
        time("link_idle", self.link_idle, Duration::from_secs(1), year)?;
        time("link_timeout", self.link_timeout, Duration::from_millis(10), hour)?;
        time("link_retry_max", self.link_retry_max, milli, hour)?;
        time("link_retry_min", self.link_retry_min, milli, self.link_retry_max)?;
        time("inbox_retention", self.inbox_retention, Duration::from_secs(1), year)?;
        time("rto_max", self.rto_max, Duration::from_millis(10), hour)?;
        time("rto_min", self.rto_min, Duration::from_millis(10), self.rto_max)?;
        time("delay_target", self.delay_target, milli, hour)?;
        range("flight_bytes_min", self.flight_bytes_min.into(), 1_024.0, self.queue_bytes_max.into())?;
        for weight in self.class_weights {
            range("class_weights", weight.into(), 1.0, 255.0)?;
        }
        let rates = [
            ("rate_out", self.rate_out),
            ("rate_out_peer", self.rate_out_peer),
            ("rate_in", self.rate_in),
            ("rate_in_peer", self.rate_in_peer),
        ];
        for (setting, rate) in rates {
            if rate != 0 {
                range(setting, rate.into(), 1_024.0, bytes_max)?;
            }
        }
        range("rate_burst", self.rate_burst.into(), 2.0 * message, bytes_max)?;
        time("breaker_open_max", self.breaker_open_max, milli, hour)?;
        time("breaker_open_min", self.breaker_open_min, milli, self.breaker_open_max)
    }

    /// What the longest message counts.
    pub(super) fn message_cost(&self) -> u64 {
        u64::from(self.message_max) + OVERHEAD as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut MessagingConfig);

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        assert_eq!(MessagingConfig::default().validate(), Ok(()));
        let wrong: [(&str, Change); 23] = [
            ("message_max", |c| c.message_max = 0),
            ("expiry_default", |c| c.expiry_default = Duration::ZERO),
            ("expiry_default", |c| c.expiry_default = c.expiry_max * 2),
            ("queue_messages_max", |c| c.queue_messages_max = 7),
            ("queue_bytes_max", |c| c.queue_bytes_max = 8 * c.message_max),
            ("outgoing_messages_max", |c| c.outgoing_messages_max = c.queue_messages_max - 1),
            ("outgoing_bytes_max", |c| c.outgoing_bytes_max = c.queue_bytes_max - 1),
            ("window_messages", |c| c.window_messages = 15),
            ("window_bytes", |c| c.window_bytes = 2 * c.message_max),
            ("incoming_bytes_max", |c| c.incoming_bytes_max = 4 * u64::from(c.message_max)),
            ("peers_max", |c| c.peers_max = 1),
            ("accepted_max", |c| c.accepted_max = 3),
            ("links_max", |c| c.links_max = 0),
            ("link_timeout", |c| c.link_timeout = Duration::ZERO),
            ("link_retry_min", |c| c.link_retry_min = c.link_retry_max * 2),
            ("inbox_retention", |c| c.inbox_retention = Duration::ZERO),
            ("rto_min", |c| c.rto_min = c.rto_max * 2),
            ("delay_target", |c| c.delay_target = Duration::ZERO),
            ("flight_bytes_min", |c| c.flight_bytes_min = 0),
            ("class_weights", |c| c.class_weights[3] = 0),
            ("rate_in_peer", |c| c.rate_in_peer = 1),
            ("rate_burst", |c| c.rate_burst = c.message_max),
            ("breaker_open_min", |c| c.breaker_open_min = Duration::ZERO),
        ];
        for (name, change) in wrong {
            let mut config = MessagingConfig::default();
            change(&mut config);
            let refused = config.validate();
            assert!(
                matches!(refused, Err(ConfigError::OutOfRange { setting, .. }) if setting == name),
                "{name}: {refused:?}"
            );
        }
    }
}
