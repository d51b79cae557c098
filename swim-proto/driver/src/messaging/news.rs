//! What the messages' machine hears of the membership, and how its links are limited.

use bytes::Bytes;
use swim_proto::messaging::packet::HEADER_MAX;
use swim_proto::messaging::{MemberInput, MessagingConfig};
use swim_proto::{Event, Member, NodeId, State};
use swim_zmq::{Limits, LinkConfig};

/// What the messenger hears of an event of the node, if it is about a member.
pub fn news(event: &Event<'_>) -> Option<(NodeId, MemberInput)> {
    match event {
        Event::Joined(told)
        | Event::Updated(told)
        | Event::Suspected(told)
        | Event::Refuted(told)
        | Event::Died(told)
        | Event::Left(told)
        | Event::Restarted(told) => Some((told.member.id, standing(&told.member))),
        Event::Reaped(told) => Some((told.member.id, MemberInput::Forgotten)),
        _ => None,
    }
}

fn standing(member: &Member<'_>) -> MemberInput {
    match member.state {
        State::Alive | State::Suspect => {
            MemberInput::Live { life: member.incarnation.life, address: member.address, endpoint: member.endpoint }
        }
        State::Dead => MemberInput::Dead,
        State::Left => MemberInput::Left,
    }
}

/// What a link may keep, for messages that are as long as they may be; a ROUTER's.
pub fn link_config(config: &MessagingConfig, identity: &str) -> LinkConfig {
    let part_bytes_max = (config.message_max as usize).max(HEADER_MAX);
    let message_bytes_max = part_bytes_max + HEADER_MAX;
    LinkConfig {
        limits: Limits {
            part_bytes_max,
            // One more than there are, so that the messenger, who counts what is wrong, sees it.
            parts_max: 3,
            message_bytes_max,
            // A pipe gives a link little more than it writes at once, so this is never reached.
            send_bytes_max: 2 * message_bytes_max + (1 << 20),
            send_messages_max: 1 << 20,
            received_bytes_max: 1 << 20,
            received_messages_max: 1024,
        },
        ..LinkConfig::router(Bytes::copy_from_slice(identity.as_bytes()))
    }
}

/// The same for a link that we open. Its identity is its own, so that no ROUTER takes it for the one before.
pub fn dealer_config(config: &LinkConfig, link: swim_proto::messaging::LinkId) -> LinkConfig {
    let identity = [&config.identity[..], format!("-{}", link.0).as_bytes()].concat().into();
    LinkConfig { role: swim_zmq::Role::Dealer, identity, ..config.clone() }
}
