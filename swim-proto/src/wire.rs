//! The bytes on the network: packets of messages (`docs/wire-format.md`).
//!
//! A *packet* is a header and any number of messages. A datagram is one packet; on a stream each packet is preceded by
//! its length. Bytes from the network never panic, and a packet is either understood whole or refused whole: nothing
//! acts on its first half.

pub mod message;

pub use message::{
    Ack, Alive, Ask, Busy, Dead, From, Held, Join, Left, Message, Nack, NameTaken, Ping, PingReq, Profile, Suspect,
    SyncAgree, SyncBuckets, SyncEnd, SyncFilter, SyncRoot, Tombstone, Want,
};
