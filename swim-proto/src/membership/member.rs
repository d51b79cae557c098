//! A member as the application sees it.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use alloc::string::String;
use bytes::Bytes;

use super::{Incarnation, NodeId};
use crate::time::Instant;

/// What is held about a member's condition, in order of precedence at equal incarnation (\[SWIM\] 4.2; `Left` ours).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It answers, as far as is known.
    Alive,
    /// It is accused of not answering and may still refute.
    Suspect,
    /// It did not refute in time.
    Dead,
    /// It departed of its own will, or an operator removed it.
    Left,
}

impl State {
    /// Alive or Suspect: counted in the cluster's size, probed, gossiped to.
    pub fn is_live(self) -> bool {
        matches!(self, State::Alive | State::Suspect)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Alive => "alive",
            State::Suspect => "suspect",
            State::Dead => "dead",
            State::Left => "left",
        })
    }
}

/// The range of protocol versions a member speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Versions {
    /// The oldest.
    pub min: u8,
    /// The newest.
    pub max: u8,
}

/// The versions this crate speaks. Version 2 differs from version 1 by the header's byte alone, so that speaking to
/// each peer in the highest version both know is not a promise but what every cluster does
/// (`docs/decisions/0009-versions.md`).
pub const VERSIONS: Versions = Versions { min: 1, max: 2 };

impl Versions {
    /// Whether this version is among them.
    pub fn contain(self, version: u8) -> bool {
        self.min <= version && version <= self.max
    }

    /// The highest version that both speak.
    pub fn highest_common(self, other: Versions) -> Option<u8> {
        let highest = self.max.min(other.max);
        (highest >= self.min && highest >= other.min).then_some(highest)
    }
}

/// One member of the cluster, as this node holds it at this moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Member<'a> {
    /// Its id, derived from cluster and name.
    pub id: NodeId,
    /// Its unique name.
    pub name: &'a str,
    /// Where it is reached, by datagram and by stream.
    pub address: SocketAddr,
    /// Where it accepts application messages, if it does.
    pub endpoint: Option<SocketAddr>,
    /// The application's own bytes about it.
    pub metadata: &'a [u8],
    /// The protocol versions it speaks.
    pub versions: Versions,
    /// Alive, Suspect, Dead or Left.
    pub state: State,
    /// How new what we hold is.
    pub incarnation: Incarnation,
    /// When it came to be in this state, here.
    pub since: Instant,
    /// Smoothed round-trip time of direct probes, once measured.
    pub rtt: Option<Duration>,
    /// How it is reached from here.
    pub path: Path,
    /// While it is Suspect, and the local member takes part (a leaver buries nobody): the case against it.
    pub suspicion: Option<Suspicion>,
}

/// How a member is reached (`docs/protocol.md` 13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// By datagram.
    Datagram,
    /// By carrier, because its datagrams kept failing while its streams worked, or because no datagrams are sent at
    /// all.
    Stream,
}

/// The case against a suspected member (\[LG\] IV-B).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspicion {
    /// When it began, here.
    pub since: Instant,
    /// When it runs out, if nobody else confirms it and time does not stand still.
    pub deadline: Instant,
    /// How many distinct known members accuse it.
    pub accusers: u8,
    /// The least it may last in all.
    pub timeout_min: Duration,
    /// The most it may last in all, not counting time that stood still.
    pub timeout_max: Duration,
}

/// The member a node is to be: given once to [`Node::new`](crate::Node::new).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalMember {
    /// Unique in the cluster, 1 to 255 bytes.
    pub name: String,
    /// Where others reach it, by datagram and by stream.
    pub address: SocketAddr,
    /// Where it accepts application messages, if it does.
    pub endpoint: Option<SocketAddr>,
    /// The application's own bytes, at most 512.
    pub metadata: Bytes,
    /// Greater than that of any earlier process of this name: milliseconds of the wall clock, or more than the last
    /// persisted one. Below 2^62.
    pub life: u64,
}

impl LocalMember {
    /// A member named after its address, with no metadata and no endpoint.
    pub fn new(address: SocketAddr, life: u64) -> LocalMember {
        LocalMember { name: alloc::format!("{address}"), address, endpoint: None, metadata: Bytes::new(), life }
    }

    /// The same under another name.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> LocalMember {
        LocalMember { name: name.into(), ..self }
    }

    /// The same with metadata.
    #[must_use]
    pub fn with_metadata(self, metadata: impl Into<Bytes>) -> LocalMember {
        LocalMember { metadata: metadata.into(), ..self }
    }

    /// The same with a messaging endpoint.
    #[must_use]
    pub fn with_endpoint(self, endpoint: SocketAddr) -> LocalMember {
        LocalMember { endpoint: Some(endpoint), ..self }
    }
}
