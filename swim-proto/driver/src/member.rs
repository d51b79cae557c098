//! A member as the application keeps it: the core's [`Member`](swim_proto::Member) with data of its own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use swim_proto::{Incarnation, Member, NodeId, Path, State, Versions};

use crate::clock::Clock;

/// One member of the cluster, as the node held it when it was asked.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MemberInfo {
    /// Its id, derived from cluster and name.
    pub id: NodeId,
    /// Its unique name.
    pub name: String,
    /// Where it is reached, by datagram and by stream.
    pub address: SocketAddr,
    /// Where it accepts application messages, if it does.
    pub endpoint: Option<SocketAddr>,
    /// The application's own bytes about it.
    pub metadata: Bytes,
    /// The protocol versions it speaks.
    pub versions: Versions,
    /// Alive, Suspect, Dead or Left.
    pub state: State,
    /// How new this is: greater is newer.
    pub incarnation: Incarnation,
    /// When it came to be in this state, as seen here.
    pub since: Instant,
    /// Smoothed round-trip time of direct probes, once measured.
    pub rtt: Option<Duration>,
    /// How it is reached from here.
    pub path: Path,
    /// While it is Suspect: the case against it.
    pub suspicion: Option<SuspicionInfo>,
}

/// The case against a suspected member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SuspicionInfo {
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

impl MemberInfo {
    /// What the core lends, owned.
    pub fn of(member: &Member<'_>, clock: &Clock) -> MemberInfo {
        MemberInfo {
            id: member.id,
            name: member.name.to_owned(),
            address: member.address,
            endpoint: member.endpoint,
            metadata: Bytes::copy_from_slice(member.metadata),
            versions: member.versions,
            state: member.state,
            incarnation: member.incarnation,
            since: clock.instant(member.since),
            rtt: member.rtt,
            path: member.path,
            suspicion: member.suspicion.map(|suspicion| SuspicionInfo {
                since: clock.instant(suspicion.since),
                deadline: clock.instant(suspicion.deadline),
                accusers: suspicion.accusers,
                timeout_min: suspicion.timeout_min,
                timeout_max: suspicion.timeout_max,
            }),
        }
    }
}
