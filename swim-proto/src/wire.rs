//! The bytes on the network: packets of messages (`docs/wire-format.md`).
//!
//! A *packet* is a header and any number of messages. A datagram is one packet; on a stream each packet is preceded by
//! its length. Bytes from the network never panic, and a packet is either understood whole or refused whole: nothing
//! acts on its first half.
//!
//! What is meant has exactly one encoding. So equal members have equal profile bytes, two nodes' digests of them agree,
//! and a packet that is taken apart and put together again is the same packet.

pub mod message;

mod address;
mod checksum;
mod decode;
mod encode;
mod error;
mod frame;
mod header;
mod profile;
mod reader;
mod varint;

pub(crate) use address::canonical;
pub use address::{AddressFault, is_unicast};
pub(crate) use decode::decode_news;
pub use decode::{Messages, decode};
pub use encode::PacketWriter;
pub use error::DatagramError;
pub(crate) use frame::PREFIX_LEN;
pub use frame::{FrameError, FrameReader};
pub(crate) use header::version_of;
pub use header::{FLAG_SEALED, FRAME_MAX, HEADER_LEN, MAGIC, VERSION};
pub use message::{
    Ack, Alive, Announce, Ask, Broadcast, Busy, Carry, Dead, Grave, Held, Join, Left, Message, Nack, NameTaken,
    PAYLOAD_MAX, Ping, PingReq, Profile, Pull, SEQUENCE_MAX, Suspect, SyncAgree, SyncBuckets, SyncEnd, SyncFilter,
    SyncRoot, Tombstone, UserMessage, Want,
};
pub use profile::{PROFILE_MAX, ProfileBytes};
pub(crate) use reader::Reader;
pub(crate) use varint::varint;
