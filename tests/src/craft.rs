//! Packets made by hand, for tests that play a peer, an old friend, or a liar.

use std::net::SocketAddr;

use swim_proto::wire::{Alive, Dead, Left, Message, Messages, PacketWriter, Profile, ProfileBytes, Suspect, decode};
use swim_proto::{ClusterHash, Incarnation, NodeId, VERSIONS};

/// The largest datagram there is.
pub const DATAGRAM_MAX: usize = 65_507;

/// A datagram of the cluster called `cluster` with these messages.
pub fn datagram(cluster: &str, messages: &[Message<'_>]) -> Vec<u8> {
    let mut buf = Vec::new();
    let mut writer = PacketWriter::datagram(&mut buf, ClusterHash::of(cluster), DATAGRAM_MAX);
    for message in messages {
        assert!(writer.push(message), "the messages do not fit into one datagram");
    }
    writer.finish();
    buf
}

/// The same as a stream's frame.
pub fn frame(cluster: &str, messages: &[Message<'_>]) -> Vec<u8> {
    let mut buf = Vec::new();
    let mut writer = PacketWriter::frame(&mut buf, ClusterHash::of(cluster), DATAGRAM_MAX);
    for message in messages {
        assert!(writer.push(message), "the messages do not fit into one frame");
    }
    writer.finish();
    buf
}

/// The messages of a datagram that some node sent.
pub fn messages<'a>(cluster: &str, datagram: &'a [u8]) -> Messages<'a> {
    decode(datagram, ClusterHash::of(cluster), DATAGRAM_MAX).expect("nodes send packets that they would take")
}

/// The CRC of a packet made right after its bytes were bent: so that a lie gets past the checksum.
///
/// CRC32C over all bytes but the checksum's own four, little-endian at offset 7 (`docs/wire-format.md`).
pub fn recheck(packet: &mut [u8]) {
    const FIELD: core::ops::Range<usize> = 7..11;
    if packet.len() < FIELD.end {
        return;
    }
    let mut crc = !0u32;
    for (at, &byte) in packet.iter().enumerate() {
        if FIELD.contains(&at) {
            continue;
        }
        crc = CRC32C[usize::from(crc as u8 ^ byte)] ^ crc >> 8;
    }
    packet[FIELD].copy_from_slice(&(!crc).to_le_bytes());
}

/// Castagnoli's polynomial, reflected, byte by byte: the test's own, so that the codec's is checked against another.
const CRC32C: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// A member that exists in claims only.
#[derive(Clone, Debug)]
pub struct Puppet {
    /// The cluster it claims to be of.
    pub cluster: String,
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: SocketAddr,
    /// Its metadata.
    pub metadata: Vec<u8>,
}

impl Puppet {
    /// A member of the cluster "swim", which is what presets are for.
    pub fn new(name: &str, address: SocketAddr) -> Puppet {
        Puppet { cluster: String::from("swim"), name: name.to_owned(), address, metadata: Vec::new() }
    }

    /// Its id.
    pub fn id(&self) -> NodeId {
        NodeId::of(&self.cluster, &self.name)
    }

    /// Its profile's bytes, to be lent to [`alive`].
    pub fn profile(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let profile = Profile {
            address: self.address,
            endpoint: None,
            versions: VERSIONS,
            name: &self.name,
            metadata: &self.metadata,
        };
        profile.encode_into(&mut bytes);
        bytes
    }
}

/// An Alive claim of this profile.
pub fn alive(id: NodeId, incarnation: Incarnation, profile: &[u8]) -> Message<'_> {
    let profile = ProfileBytes::new(profile).expect("a puppet's profile is valid");
    Message::Alive(Alive { id, incarnation, profile })
}

/// A Suspect claim.
pub fn suspect(id: NodeId, incarnation: Incarnation, accuser: NodeId) -> Message<'static> {
    Message::Suspect(Suspect { id, incarnation, accuser })
}

/// A Dead claim.
pub fn dead(id: NodeId, incarnation: Incarnation, accuser: NodeId) -> Message<'static> {
    Message::Dead(Dead { id, incarnation, accuser })
}

/// A Left claim.
pub fn left(id: NodeId, incarnation: Incarnation) -> Message<'static> {
    Message::Left(Left { id, incarnation })
}
