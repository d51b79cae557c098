//! What is to be done, until it is polled.
//!
//! Two lanes of datagrams: *urgent* are the answers others wait for (acks, nacks, refutations), and they overtake the
//! rest. A datagram waits as a description and is encoded when it is polled, so what it says of members, and the news
//! it carries, is fresh. Events keep their order.
//!
//! Since everything is polled after each input, nothing here outlives one input; the limits only say what one input may
//! cause at most.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;

use bytes::Bytes;

use crate::action::{SeedId, StreamId};
use crate::event::Cause;
use crate::membership::record::{Entry, RoundTrip, Route};
use crate::membership::transition::Change;
use crate::membership::{Incarnation, NodeId, State};
use crate::time::Instant;
use core::time::Duration;

/// Most datagrams waiting in one lane; beyond it a new one is dropped and counted.
pub(crate) const LANE_MAX: usize = 4096;

/// Most direct messages waiting to go by datagram; one more is refused.
pub(crate) const MAIL_MAX: usize = 256;

/// Above so much room for events what a burst has left is given back, down to a quarter.
const NOTICES_ROOM: usize = 64;

/// One datagram to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing {
    pub(crate) to: SocketAddr,
    pub(crate) body: Body,
    /// Most bytes it may have: less than a full datagram where the address is not known to us.
    pub(crate) len_max: u16,
    /// News may be added.
    pub(crate) piggyback: bool,
    /// It overtakes what is not.
    pub(crate) urgent: bool,
}

impl Outgoing {
    /// Whether nobody waits for it: an echo, which others would send as well, or which the next occasion brings.
    /// (Gossip may carry what we say of ourselves.) What is urgent does not ask.
    pub(crate) fn can_wait(&self) -> bool {
        matches!(self.body, Body::Claim { .. }) && !self.urgent
    }

    /// Whether somebody waits for it, or it asks for what this node waits for.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.is_echo() && !matches!(self.body, Body::Gossip)
    }

    /// Whether it may be taken back for the sake of a better answer: an echo.
    pub(crate) fn is_echo(&self) -> bool {
        matches!(self.body, Body::Claim { .. } | Body::Newest { .. }) && !self.urgent
    }
}

/// What a datagram is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// Ping a member; if `tell`, with what we hold against it.
    Ping { seq: u32, target: NodeId, tell: bool },
    /// Answer a ping; if we hold something against the one who asked, tell it.
    Ack { seq: u32, asker: NodeId },
    /// Hand on the answer that somebody waits for.
    Forward { seq: u32, incarnation: Incarnation },
    /// Tell somebody that we have no answer for it.
    Nack { seq: u32 },
    /// Ask a helper.
    PingReq { seq: u32, target: NodeId, address: SocketAddr, budget_ms: u32 },
    /// Nothing but news.
    Gossip,
    /// What we hold about a member.
    Claim { about: NodeId },
    /// Before a burial: whether anybody holds more.
    Ask { about: NodeId },
    /// The newest broadcast of a member that was told here: it is at an earlier one.
    Newest { of: NodeId },
}

/// A direct message to go by datagram.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    pub(crate) to: SocketAddr,
    pub(crate) target: NodeId,
    pub(crate) payload: Bytes,
}

/// What is to be done about streams and seeds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Control {
    Connect {
        stream: StreamId,
        to: SocketAddr,
    },
    /// Something may be written.
    Write {
        stream: StreamId,
    },
    Finish {
        stream: StreamId,
    },
    Reset {
        stream: StreamId,
    },
    Resolve {
        seed: SeedId,
    },
}

/// An event until it is polled.
#[derive(Clone, Debug)]
pub(crate) enum Notice {
    /// With the member as it was after the change; so many bytes of [`Outbox::profiles`] are its profile.
    Member {
        change: Change,
        seen: Seen,
        profile_len: u16,
        cause: Cause,
    },
    Superseded {
        by: SocketAddr,
        life: u64,
    },
    NameTaken {
        holder: SocketAddr,
    },
    Isolated {
        since: Instant,
    },
    Reconnected {
        after: Duration,
    },
    /// With its place among the broadcasts.
    Broadcast {
        entry: u32,
    },
    Message {
        from: NodeId,
        payload: Bytes,
    },
}

/// What the application may see of a member besides its profile, at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) id: NodeId,
    pub(crate) state: State,
    pub(crate) incarnation: Incarnation,
    pub(crate) since: Instant,
    pub(crate) round_trip: RoundTrip,
    pub(crate) route: Route,
    pub(crate) case: Option<u32>,
}

impl Seen {
    pub(crate) fn of(entry: Entry<'_>) -> Seen {
        Seen {
            id: entry.id,
            state: entry.state(),
            incarnation: entry.incarnation(),
            since: entry.since,
            round_trip: entry.round_trip,
            route: entry.route(),
            case: entry.case(),
        }
    }
}

#[derive(Default)]
pub(crate) struct Outbox {
    urgent: VecDeque<Outgoing>,
    normal: VecDeque<Outgoing>,
    pub(crate) mail: VecDeque<Mail>,
    pub(crate) control: VecDeque<Control>,
    pub(crate) notices: VecDeque<Notice>,
    /// The profiles of the members that wait in `notices`, in their order.
    profiles: VecDeque<u8>,
}

impl Outbox {
    /// Whether there was room.
    pub(crate) fn push(&mut self, outgoing: Outgoing) -> bool {
        push(if outgoing.urgent { &mut self.urgent } else { &mut self.normal }, outgoing)
    }

    /// Does not send the claim after all that was pushed last among those that are not urgent.
    pub(crate) fn take_back_claim(&mut self) {
        let last = self.normal.iter().rposition(Outgoing::is_echo);
        last.map(|at| self.normal.remove(at));
    }

    pub(crate) fn pop(&mut self) -> Option<Outgoing> {
        self.urgent.pop_front().or_else(|| self.normal.pop_front())
    }

    /// An event about a member, as it is now.
    pub(crate) fn notify(&mut self, change: Change, entry: Entry<'_>, cause: Cause) {
        let profile = entry.content().map_or(&[][..], |content| content.profile);
        self.profiles.extend(profile);
        let notice = Notice::Member { change, seen: Seen::of(entry), profile_len: profile.len() as u16, cause };
        self.notices.push_back(notice);
    }

    /// Appends the profile of the event just polled.
    pub(crate) fn take_profile(&mut self, len: u16, buf: &mut Vec<u8>) {
        buf.extend(self.profiles.drain(..usize::from(len)));
    }

    /// The next event. A join may bring thousands at once; their room is given back after them.
    pub(crate) fn pop_notice(&mut self) -> Option<Notice> {
        let notice = self.notices.pop_front();
        if notice.is_none() && self.notices.capacity() > NOTICES_ROOM {
            self.notices.shrink_to(NOTICES_ROOM / 4);
            self.profiles.shrink_to(NOTICES_ROOM / 4 * 64);
        }
        notice
    }

    /// Nothing more is sent; what was decided about streams still holds.
    pub(crate) fn drop_datagrams(&mut self) {
        self.urgent.clear();
        self.normal.clear();
        self.mail.clear();
    }
}

fn push(lane: &mut VecDeque<Outgoing>, outgoing: Outgoing) -> bool {
    let room = lane.len() < LANE_MAX;
    if room {
        lane.push_back(outgoing);
    }
    room
}
