//! S7, and what a stranger may be sent: every packet is within its size, decodes, is its own only encoding, and speaks
//! in its sender's name.
//!
//! Not seen: how piggyback and payload share a datagram; that rule comes with broadcasts.

use std::net::SocketAddr;
use swim_proto::wire::{FRAME_MAX, Message, Messages, PacketWriter, decode};

use swim_proto::{ClusterHash, NodeId, Versions};

use super::Rule;
use super::fault::{Fault, Verdict, fault};
use crate::observe::View;

/// Takes apart a datagram that a node sends.
pub(super) fn datagram<'a>(
    bytes: &'a [u8],
    cluster: ClusterHash,
    len_max: usize,
    scratch: &mut Vec<u8>,
) -> Result<Messages<'a>, Fault> {
    let messages = taken_apart(bytes, cluster, len_max, "a datagram")?;
    scratch.clear();
    let mut writer = PacketWriter::datagram(scratch, cluster, len_max).speak(bytes[1]);
    put_together(messages.clone(), &mut writer);
    writer.finish();
    same(bytes, scratch)?;
    Ok(messages)
}

/// Takes apart a frame's packet that a node writes to a stream.
pub(super) fn frame(bytes: &[u8], cluster: ClusterHash) -> Result<Messages<'_>, Fault> {
    taken_apart(bytes, cluster, FRAME_MAX, "a frame")
}

fn taken_apart<'a>(bytes: &'a [u8], cluster: ClusterHash, len_max: usize, what: &str) -> Result<Messages<'a>, Fault> {
    decode(bytes, cluster, len_max).map_err(|error| Fault {
        rule: Rule::S7,
        about: None,
        what: format!("sent {what} of {} bytes that nobody takes: {error}", bytes.len()),
    })
}

fn put_together(messages: Messages<'_>, writer: &mut PacketWriter<'_>) {
    for message in messages {
        if !writer.push(&message) {
            return;
        }
    }
}

fn same(sent: &[u8], again: &[u8]) -> Verdict {
    if sent == again {
        return Ok(());
    }
    fault(Rule::S7, format!("sent a datagram of {} bytes that is not its messages' only encoding", sent.len()))
}

/// Who a message says its sender is must be its sender.
pub(super) fn in_own_name(message: &Message<'_>, own: NodeId) -> Verdict {
    let source = match message {
        Message::Ping(m) => m.source,
        Message::PingReq(m) => m.source,
        Message::UserMessage(m) => m.source,
        Message::Join(m) => m.source,
        Message::SyncRoot(m) => m.source,
        Message::Carry(m) => m.source,
        _ => return Ok(()),
    };
    if source == own {
        return Ok(());
    }
    fault(Rule::S7, format!("sent in another's name: {message:?}"))
}

/// A datagram to a known member's address is in the highest version that both speak, one to anybody else, or to a member
/// with whom there is none in common, in that of the datagram from there that it answers, or else in the lowest of its
/// sender's own (protocol 15.2). `heard`: from where, and in which version, the datagram came that
/// is being taken in. `ids`: who is or was at that
/// address, of whom several may be known there; or had been when it was decided to write, before somebody changed.
pub(super) fn version(
    (bytes, to): (&[u8], SocketAddr),
    view: &dyn View,
    ids: &[NodeId],
    heard: Option<(SocketAddr, u8)>,
) -> Verdict {
    let (spoken, own) = (bytes[1], view.config().versions);
    let known = ids.iter().filter_map(|&id| view.member(id)).filter(|member| member.address == to);
    let heard = heard.filter(|&(from, _)| from == to).map(|(_, version)| version);
    let unknown = heard.unwrap_or(own.min);
    let mut due = known.map(|member| highest(own, member.versions).unwrap_or(unknown));
    let first = due.next();
    let was_known = first.is_none() && ids.iter().any(|id| view.changed().contains(id));
    if first.unwrap_or(unknown) == spoken || was_known || due.any(|due| due == spoken) {
        return Ok(());
    }
    fault(Rule::S7, format!("sent {to} a datagram in version {spoken}, of {own:?}; {first:?} is due"))
}

fn highest(own: Versions, theirs: Versions) -> Option<u8> {
    let highest = own.max.min(theirs.max);
    (highest >= own.min.max(theirs.min)).then_some(highest)
}

/// To addresses that are nobody's it knows, a datagram is answered with no more bytes than it brought (protocol 1.8).
pub(super) fn strangers(sent: usize, came: usize) -> Verdict {
    if sent <= came {
        return Ok(());
    }
    fault(Rule::S7, format!("a datagram of {came} bytes made it send {sent} bytes to strangers"))
}
