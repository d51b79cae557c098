//! Packets of each library made by hand: pings, and claims about members that the receiver knows.

use bytes::BufMut;
use foca::{Codec, Header, Member, Message, PostcardCodec};
use kinship_proto::{Limits, NodeId as Name, PacketKind, feature};
use swim_proto::wire::{Alive, PacketWriter, Ping, Profile, ProfileBytes};
use swim_proto::{ClusterHash, Incarnation, NodeId, VERSIONS};

use crate::libraries::foca::Id;
use crate::peer::{DATAGRAM_MAX, Index, STARTED_MS, address, name};

/// What a datagram carries.
#[derive(Clone, Debug)]
pub(crate) struct Content<C> {
    pub(crate) from: Index,
    pub(crate) to: Index,
    /// A ping, or gossip alone.
    pub(crate) pings: bool,
    /// Members that are alive: as many as fit.
    pub(crate) alive: C,
    /// How often these have refuted.
    pub(crate) refutations: u32,
}

/// The cluster of our presets, and of kinship's.
const OUR_CLUSTER: &str = "swim";
const KINSHIP_CLUSTER: &str = "default";

/// A datagram of `swim-proto`, and how many claims are in it.
pub(crate) fn ours(content: Content<impl Iterator<Item = Index>>) -> (Vec<u8>, u32) {
    let Content { from, to, pings, alive, refutations } = content;
    let mut bytes = Vec::new();
    let mut writer = PacketWriter::datagram(&mut bytes, ClusterHash::of(OUR_CLUSTER), DATAGRAM_MAX);
    let id = |index| NodeId::of(OUR_CLUSTER, &name(index));
    if pings {
        let ping = Ping { seq: from, target: id(to), source: id(from) };
        assert!(writer.push(&swim_proto::wire::Message::Ping(ping)), "a ping fits");
    }
    let mut count = 0;
    for index in alive {
        let name = name(index);
        let address = address(index);
        let mut profile = Vec::new();
        Profile { address, endpoint: None, versions: VERSIONS, name: &name, metadata: &[] }.encode_into(&mut profile);
        let profile = ProfileBytes::new(&profile).expect("it was encoded just now");
        let incarnation = Incarnation { life: STARTED_MS, refutation: refutations };
        if !writer.push(&swim_proto::wire::Message::Alive(Alive { id: id(index), incarnation, profile })) {
            break;
        }
        count += 1;
    }
    writer.finish();
    (bytes, count)
}

/// A datagram of foca, and how many claims are in it.
pub(crate) fn foca(content: Content<impl Iterator<Item = Index>>) -> (Vec<u8>, u32) {
    let Content { from, to, pings, alive, refutations } = content;
    let message = if pings { Message::Ping(1) } else { Message::Gossip };
    let header = Header { src: Id::first(from), src_incarnation: 0, dst: Id::first(to), message };
    let mut bytes = Vec::new();
    PostcardCodec.encode_header(&header, &mut bytes).expect("there is room");
    let count_at = bytes.len();
    bytes.put_u16(0);
    let mut count = 0u16;
    for index in alive {
        let end = bytes.len();
        let member = Member::new(Id::first(index), refutations as u16, foca::State::Alive);
        PostcardCodec.encode_member(&member, &mut bytes).expect("there is room");
        if bytes.len() > DATAGRAM_MAX {
            bytes.truncate(end);
            break;
        }
        count += 1;
    }
    bytes[count_at..count_at + 2].copy_from_slice(&count.to_be_bytes());
    if count == 0 {
        bytes.truncate(count_at);
    }
    (bytes, count.into())
}

/// A datagram of kinship, and how many claims are in it.
pub(crate) fn kinship(content: Content<impl Iterator<Item = Index>>) -> (Vec<u8>, u32) {
    let Content { from, to, pings, alive, refutations } = content;
    let codec = kinship_proto::Codec::insecure_plaintext(KINSHIP_CLUSTER.as_bytes(), Limits::default())
        .expect("the defaults are valid");
    let known = |name| Name::new(name).expect("an address is short");
    let (source, target) = (name(from), name(to));
    // More than fit.
    let names: Vec<(Index, String)> = alive.take(DATAGRAM_MAX / 16).map(|index| (index, name(index))).collect();
    let mut messages = Vec::new();
    if pings {
        messages.push(kinship_proto::Message::Ping(kinship_proto::Ping {
            seq: from,
            target: known(&target),
            source: known(&source),
            source_addr: address(from),
        }));
    }
    messages.extend(names.iter().map(|(index, name)| {
        kinship_proto::Message::Alive(kinship_proto::Alive {
            inc: refutations,
            node: known(name),
            addr: address(*index),
            meta: &[],
            vmin: 1,
            vmax: 1,
            epoch: STARTED_MS,
            features: feature::DIGEST_PUSH_PULL,
        })
    }));
    let mut bytes = Vec::new();
    while codec.seal(PacketKind::Datagram, &messages, &[0; 24], &mut bytes).is_err() {
        messages.pop().expect("one message fits");
    }
    let count = messages.len() - usize::from(pings);
    (bytes, count as u32)
}
