//! The settings of messages between members. Outside they have [`MESSAGING_PREFIX`] before their keys.

use swim_proto::messaging::{MessagingConfig, Trust};

use super::Field::{Count8, Count32, Count64, Shares, Time, Word};
use super::{Setting, row};

/// Stands before the keys of these settings in `--set` and, as `MESSAGING_`, in variables.
pub const MESSAGING_PREFIX: &str = "messaging.";

/// The setting of this name, without the prefix.
pub fn find_messaging(key: &str) -> Option<&'static Setting<MessagingConfig>> {
    MESSAGING.iter().find(|setting| setting.key == key)
}

/// Every setting of messages, in the order of [`MessagingConfig`].
pub static MESSAGING: &[Setting<MessagingConfig>] = &[
    row("message_max", Count32(|c| &mut c.message_max), "The longest message sent or taken, in bytes"),
    row("expiry_default", Time(|c| &mut c.expiry_default), "For how long a message is tried that says nothing else"),
    row("expiry_max", Time(|c| &mut c.expiry_max), "The longest that a message may ask to be tried for"),
    row(
        "queue_messages_max",
        Count32(|c| &mut c.queue_messages_max),
        "Most messages accepted for one member and not done; more are refused until there is room",
    ),
    row("queue_bytes_max", Count32(|c| &mut c.queue_bytes_max), "Most bytes of them"),
    row(
        "outgoing_messages_max",
        Count32(|c| &mut c.outgoing_messages_max),
        "Most messages accepted and not done, in all",
    ),
    row("outgoing_bytes_max", Count32(|c| &mut c.outgoing_bytes_max), "Most bytes of them"),
    row(
        "window_messages",
        Count32(|c| &mut c.window_messages),
        "Most messages of one sender that wait here to be processed; beyond it the sender waits",
    ),
    row("window_bytes", Count32(|c| &mut c.window_bytes), "Most bytes of one sender that wait here to be taken"),
    row(
        "incoming_bytes_max",
        Count64(|c| &mut c.incoming_bytes_max),
        "Most bytes that wait here to be taken, and for which room was promised, from all senders",
    ),
    row("members_max", Count32(|c| &mut c.members_max), "Most members that messages know of"),
    row("peers_max", Count32(|c| &mut c.peers_max), "Most members with which messages are, or were lately, exchanged"),
    row(
        "links_max",
        Count32(|c| &mut c.links_max),
        "Most links opened by us at once; the one unused for longest makes room",
    ),
    row("accepted_max", Count32(|c| &mut c.accepted_max), "Most links of others at once; more are refused"),
    row(
        "link_idle",
        Time(|c| &mut c.link_idle),
        "A link that we opened and have nothing to say on for this long is closed",
    ),
    row(
        "link_timeout",
        Time(|c| &mut c.link_timeout),
        "How long a link may take to open, and again to say whose it is",
    ),
    row(
        "link_retry_min",
        Time(|c| &mut c.link_retry_min),
        "The wait before a lost or refused link is tried again; it doubles with each failure",
    ),
    row("link_retry_max", Time(|c| &mut c.link_retry_max), "The longest such wait"),
    row(
        "trust",
        Word(&["host", "anywhere"], |c| show_trust(c.trust), set_trust),
        "From where a member's links may come: its own host, or anywhere, where addresses are translated",
    ),
    row(
        "inbox_retention",
        Time(|c| &mut c.inbox_retention),
        "For how long what tells repetitions apart is kept of a sender that is not live",
    ),
    row(
        "rto_min",
        Time(|c| &mut c.rto_min),
        "The least wait for an acknowledgement, or for credit, before the receiver is asked for the state of things",
    ),
    row("rto_max", Time(|c| &mut c.rto_max), "The longest such wait"),
    row(
        "delay_target",
        Time(|c| &mut c.delay_target),
        "How much longer than the shortest delay an acknowledgement may take before less is sent at once",
    ),
    row(
        "flight_bytes_min",
        Count32(|c| &mut c.flight_bytes_min),
        "What may be under way to one member at least, and at first, in bytes",
    ),
    row(
        "class_weights",
        Shares(|c| &mut c.class_weights),
        "The classes' shares while all have something to say: of high, normal, low and bulk",
    ),
    row(
        "rate_out",
        Count32(|c| &mut c.rate_out),
        "Bytes sent to all members per second; above it messages wait; 0: no limit",
    ),
    row("rate_out_peer", Count32(|c| &mut c.rate_out_peer), "The same to one member"),
    row(
        "rate_in",
        Count32(|c| &mut c.rate_in),
        "Bytes for which room is promised to all senders per second; above it they wait; 0: no limit",
    ),
    row("rate_in_peer", Count32(|c| &mut c.rate_in_peer), "The same to one sender"),
    row("rate_burst", Count32(|c| &mut c.rate_burst), "Bytes that may go at once under these rates"),
    row(
        "breaker_failures",
        Count8(|c| &mut c.breaker_failures),
        "How many failures in a row open the circuit breaker of a member; 0: only its death does",
    ),
    row(
        "breaker_open_min",
        Time(|c| &mut c.breaker_open_min),
        "For how long it is open first; it doubles each time its trial fails",
    ),
    row("breaker_open_max", Time(|c| &mut c.breaker_open_max), "For how long at most"),
];

fn show_trust(trust: Trust) -> &'static str {
    match trust {
        Trust::Host => "host",
        Trust::Anywhere => "anywhere",
    }
}

fn set_trust(config: &mut MessagingConfig, text: &str) -> bool {
    let found = match text {
        "host" => Trust::Host,
        "anywhere" => Trust::Anywhere,
        _ => return false,
    };
    config.trust = found;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_the_configuration_can_be_set_and_no_other() {
        let keys: Vec<_> = MESSAGING.iter().map(|setting| setting.key).collect();
        assert_eq!(keys, crate::tests::fields_of(&MessagingConfig::default()));
    }

    #[test]
    fn a_setting_changes_its_own_field_and_what_is_shown_can_be_set_again() {
        let usual = MessagingConfig::default();
        for setting in MESSAGING {
            let other = match setting.field {
                Word(..) => "anywhere",
                Time(_) => "4711ms",
                Shares(_) => "7,5,3,2",
                _ => "77",
            };
            let mut config = usual.clone();
            setting.set(&mut config, other).unwrap();
            assert_eq!(setting.show(&config), other);
            let changed: Vec<_> =
                MESSAGING.iter().filter(|each| each.show(&config) != each.show(&usual)).map(|each| each.key).collect();
            assert_eq!(changed, [setting.key]);
            setting.set(&mut config, &setting.show(&usual)).unwrap();
            assert_eq!(config, usual);
        }
    }

    #[test]
    fn every_number_and_duration_has_bounds_that_its_validation_knows() {
        for setting in MESSAGING {
            let bounds = setting.bounds();
            assert_eq!(bounds.contains(" to "), !matches!(setting.field, Word(..)), "{}: {bounds}", setting.key);
        }
        let bounds = |key| find_messaging(key).unwrap().bounds();
        assert_eq!(bounds("message_max"), "1 to 16777216");
        assert_eq!(bounds("rate_out"), "0, or 1024 to 4294967295");
        assert_eq!(bounds("class_weights"), "1 to 255");
        assert_eq!(bounds("link_retry_max"), "1ms to 1h");
        let error = find_messaging("class_weights").unwrap().set(&mut MessagingConfig::default(), "1,2,3");
        assert_eq!(error, Err("four whole numbers such as 8,4,2,1, each from 1 to 255".to_owned()));
    }

    #[test]
    fn the_operators_manual_lists_every_setting_as_it_is() {
        let mut table = String::from("| key | default | bounds | meaning |\n|---|---|---|---|\n");
        for setting in MESSAGING {
            let (value, bounds) = (setting.show(&MessagingConfig::default()), setting.bounds());
            table += &format!("| `{}` | {value} | {bounds} | {}. |\n", setting.key, setting.meaning);
        }
        crate::tests::documented_as(
            "<!-- messaging settings: generated; UPDATE_DOCS=1 cargo test -p swim-settings -->\n",
            &table,
        );
    }
}
