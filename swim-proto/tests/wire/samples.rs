//! Messages to test with, drawn from a seed, and packets put together without the codec's help.

use std::net::SocketAddr;

use crc::{CRC_32_ISCSI, Crc, Table};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use swim_proto::wire::*;
use swim_proto::*;

/// The cluster of all packets here.
pub(crate) const CLUSTER: ClusterHash = ClusterHash(0x1234_5678);

/// Every kind there is.
pub(crate) const KINDS: [u8; 25] =
    [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28];

/// Draws messages. What it makes lives for ever: tests are short.
pub(crate) struct Draw(ChaCha8Rng);

impl Draw {
    pub(crate) fn new(seed: u64) -> Draw {
        Draw(ChaCha8Rng::seed_from_u64(seed))
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.0.next_u64() % bound as u64) as usize
    }

    /// Up to `max`: often an end of the range, often near a power of two, else anything.
    pub(crate) fn number(&mut self, max: u64) -> u64 {
        match self.below(4) {
            0 => [0, 1, max - 1, max][self.below(4)],
            1 => (1u64 << self.below(64)).saturating_sub(self.below(2) as u64).min(max),
            2 => (self.0.next_u64() >> self.below(64)).min(max),
            _ => self.0.next_u64().min(max),
        }
    }

    pub(crate) fn bytes(&mut self, len: usize) -> &'static [u8] {
        let mut bytes = vec![0; len];
        self.0.fill_bytes(&mut bytes);
        bytes.leak()
    }

    fn u32(&mut self) -> u32 {
        self.number(u32::MAX.into()) as u32
    }

    fn id(&mut self) -> NodeId {
        NodeId::from_u64(self.number(u64::MAX))
    }

    /// An id other than `id`.
    fn id_but(&mut self, id: NodeId) -> NodeId {
        loop {
            let other = self.id();
            if other != id {
                return other;
            }
        }
    }

    fn incarnation(&mut self, max: Incarnation) -> Incarnation {
        Incarnation { life: self.number(max.life), refutation: self.number(max.refutation.into()) as u32 }
    }

    fn address(&mut self) -> SocketAddr {
        loop {
            let port = self.number(u16::MAX.into()) as u16;
            let address = if self.below(3) > 0 {
                SocketAddr::from((<[u8; 4]>::try_from(self.bytes(4)).unwrap(), port))
            } else {
                SocketAddr::from((<[u8; 16]>::try_from(self.bytes(16)).unwrap(), port))
            };
            if is_unicast(address) {
                return address;
            }
        }
    }

    /// Text of 1 to 255 bytes, mostly short, sometimes not ASCII.
    fn name(&mut self) -> &'static str {
        let alphabet: Vec<char> =
            if self.below(3) == 0 { "aé水🦀".chars().collect() } else { "ab.:-9".chars().collect() };
        let len_max = [1, 12, 40, NAME_MAX][self.below(4)];
        let mut name = String::new();
        loop {
            let next = alphabet[self.below(alphabet.len())];
            if !name.is_empty() && name.len() + next.len_utf8() > len_max {
                return name.leak();
            }
            name.push(next);
        }
    }

    pub(crate) fn profile(&mut self) -> Profile<'static> {
        let versions = Versions { min: 1, max: 1 + self.below(255) as u8 };
        let metadata_len = [0, self.below(40), METADATA_MAX][self.below(3)];
        Profile {
            address: self.address(),
            endpoint: if self.below(2) == 0 { None } else { Some(self.address()) },
            versions: Versions { min: 1 + self.below(versions.max.into()) as u8, ..versions },
            name: self.name(),
            metadata: self.bytes(metadata_len),
        }
    }

    pub(crate) fn profile_bytes(&mut self) -> ProfileBytes<'static> {
        let mut bytes = Vec::new();
        self.profile().encode_into(&mut bytes);
        ProfileBytes::new(bytes.leak()).expect("a valid profile")
    }

    pub(crate) fn message(&mut self, kind: u8) -> Message<'static> {
        let id = self.id();
        let accused = self.incarnation(Incarnation::ACCUSED_MAX);
        let alive = self.incarnation(Incarnation::MAX);
        match kind {
            1 => Message::Ping(Ping { seq: self.u32(), target: id, source: self.id() }),
            2 => Message::Ack(Ack { seq: self.u32(), incarnation: alive }),
            3 => Message::PingReq(PingReq {
                seq: self.u32(),
                source: id,
                target: self.id(),
                address: self.address(),
                budget_ms: self.u32(),
            }),
            4 => Message::Nack(Nack { seq: self.u32() }),
            5 => Message::Alive(Alive { id, incarnation: alive, profile: self.profile_bytes() }),
            6 => Message::Suspect(Suspect { id, incarnation: accused, accuser: self.id_but(id) }),
            7 => Message::Dead(Dead { id, incarnation: accused, accuser: self.id_but(id) }),
            8 => Message::Left(Left { id, incarnation: accused }),
            10 => Message::Ask(Ask { id, incarnation: accused }),
            11 => Message::Broadcast(Broadcast {
                origin: id,
                life: alive.life,
                sequence: self.sequence(),
                payload: self.payload(),
            }),
            12 => Message::Announce(Announce {
                origin: id,
                life: alive.life,
                sequence: self.sequence(),
                len: self.number(PAYLOAD_MAX as u64) as u32,
            }),
            13 => Message::UserMessage(UserMessage { source: id, target: self.id_but(id), payload: self.payload() }),
            16 => Message::Join(Join { source: id }),
            17 => Message::SyncRoot(SyncRoot { source: id, root: self.number(u64::MAX) }),
            18 => Message::SyncAgree(SyncAgree { root: self.number(u64::MAX) }),
            19 => Message::SyncBuckets(SyncBuckets { sums: self.bytes(2048).try_into().unwrap() }),
            20 => Message::SyncFilter(SyncFilter { buckets: self.bytes(32).try_into().unwrap() }),
            21 => Message::Held(Held { id, incarnation: alive }),
            22 => Message::Want(Want { id }),
            23 => {
                let grave = if self.below(2) == 0 { Grave::Left } else { Grave::Dead(self.id_but(id)) };
                Message::Tombstone(Tombstone { id, incarnation: accused, grave, remaining_s: self.u32() })
            }
            24 => Message::SyncEnd(SyncEnd { count: self.u32() }),
            25 => Message::NameTaken(NameTaken { holder: self.address() }),
            26 => Message::Busy(Busy { retry_ms: self.u32() }),
            27 => Message::Pull(Pull { origin: id, life: alive.life, sequence: self.sequence() }),
            28 => Message::Carry(Carry { source: id }),
            _ => panic!("no kind {kind}"),
        }
    }

    fn sequence(&mut self) -> u64 {
        self.number(SEQUENCE_MAX).max(1)
    }

    /// A payload, mostly short, so that a packet has room for many; the longest is tried elsewhere.
    fn payload(&mut self) -> &'static [u8] {
        let len_max = [0, 40, 300, 4_000][self.below(4)];
        let len = self.number(len_max.max(1)).min(len_max) as usize;
        self.bytes(len)
    }

    /// A message of each kind, in the order of kinds.
    pub(crate) fn one_of_each(&mut self) -> Vec<Message<'static>> {
        KINDS.iter().map(|&kind| self.message(kind)).collect()
    }
}

/// These messages, encoded.
pub(crate) fn packet(messages: &[Message<'_>]) -> Vec<u8> {
    let mut buf = Vec::new();
    let mut packet = PacketWriter::datagram(&mut buf, CLUSTER, FRAME_MAX);
    assert!(messages.iter().all(|message| packet.push(message)), "the messages fit one packet");
    packet.finish();
    buf
}

/// This message's body, encoded.
pub(crate) fn body(message: &Message<'_>) -> Vec<u8> {
    let packet = packet(&[*message]);
    let [(kind, body)] = split(&packet[HEADER_LEN..])[..] else { panic!("one message") };
    assert_eq!(kind, message.kind());
    body.to_vec()
}

/// A packet of bodies, by hand.
pub(crate) fn packet_of(bodies: &[(u8, &[u8])]) -> Vec<u8> {
    let mut packet = vec![0x5a, 1, 0, 0x78, 0x56, 0x34, 0x12, 0, 0, 0, 0];
    for &(kind, body) in bodies {
        packet.push(kind);
        packet.extend(varint(body.len() as u64));
        packet.extend_from_slice(body);
    }
    fix_checksum(&mut packet);
    packet
}

/// Makes the checksum right, of whatever else the packet is.
pub(crate) fn fix_checksum(packet: &mut [u8]) {
    const CRC32C: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISCSI);
    if packet.len() >= HEADER_LEN {
        let mut digest = CRC32C.digest();
        digest.update(&packet[..7]);
        digest.update(&packet[11..]);
        packet[7..11].copy_from_slice(&digest.finalize().to_le_bytes());
    }
}

/// The kinds and bodies of a packet's messages.
pub(crate) fn split(mut messages: &[u8]) -> Vec<(u8, &[u8])> {
    let mut split = Vec::new();
    while let [kind, rest @ ..] = messages {
        let (len, rest) = postcard::take_from_bytes::<u16>(rest).expect("a length");
        let (body, rest) = rest.split_at(len.into());
        split.push((*kind, body));
        messages = rest;
    }
    split
}

pub(crate) fn varint(value: u64) -> Vec<u8> {
    postcard::to_slice(&value, &mut [0; 10]).expect("ten bytes hold any varint").to_vec()
}

/// What [`decode`] makes of a packet.
pub(crate) fn decoded(packet: &[u8]) -> Result<Vec<Message<'_>>, DatagramError> {
    decode(packet, CLUSTER, FRAME_MAX).map(Iterator::collect)
}
