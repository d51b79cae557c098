//! The packets of version 1, as the first release reads them. Frozen: this is not mended when the format grows.

pub mod message;

mod address;
mod checksum;
mod decode;
mod frame;
mod header;
mod profile;
mod reader;
mod varint;

pub use address::is_unicast;
pub use decode::{Messages, decode};
pub(crate) use frame::PREFIX_LEN;
pub use frame::{FrameError, FrameReader};
pub use header::{FLAG_SEALED, FRAME_MAX, HEADER_LEN, MAGIC, VERSION};
pub use message::{
    Ack, Alive, Ask, Busy, Dead, Grave, Held, Join, Left, Message, Nack, NameTaken, Ping, PingReq, Profile, Suspect,
    SyncAgree, SyncBuckets, SyncEnd, SyncFilter, SyncRoot, Tombstone, Want,
};
pub use profile::{PROFILE_MAX, ProfileBytes};
