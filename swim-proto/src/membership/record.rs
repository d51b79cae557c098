//! What is known about one member, in as few bytes as that takes: a node holds one record for each member there is.
//!
//! Most members are Alive, and about those little is to be said. What only the accused, the dead and the departed have
//! stands apart, as their [`Plight`].

use core::net::SocketAddr;
use core::ops::Deref;
use core::time::Duration;

use super::precedence::Standing;
use super::profiles::Place;
use super::table::Table;
use super::{Incarnation, NodeId, State};
use crate::time::Instant;
use crate::wire::{Profile, ProfileBytes};

/// What only an Alive claim brings: who the member is, as canonical bytes of its profile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content<'a> {
    pub(crate) incarnation: Incarnation,
    pub(crate) profile: &'a [u8],
}

impl<'a> Content<'a> {
    /// The profile, for the wire.
    pub(crate) fn profile_bytes(self) -> ProfileBytes<'a> {
        ProfileBytes::from_validated(self.profile)
    }

    pub(crate) fn parse(self) -> Profile<'a> {
        self.profile_bytes().parse()
    }
}

/// Smoothed round-trip time and its variation, as in RFC 6298, in microseconds; all zero until measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RoundTrip {
    pub(crate) smoothed_us: u32,
    pub(crate) variation_us: u32,
}

impl RoundTrip {
    pub(crate) fn measured(self) -> Option<RoundTrip> {
        (self.smoothed_us > 0).then_some(self)
    }

    /// RFC 6298: at first `smoothed = sample, variation = sample / 2`, then
    /// `variation += (|smoothed − sample| − variation) / 4; smoothed += (sample − smoothed) / 8`.
    #[must_use]
    pub(crate) fn with(self, sample: Duration) -> RoundTrip {
        let us = u32::try_from(sample.as_micros()).unwrap_or(u32::MAX).max(1);
        if self.measured().is_none() {
            return RoundTrip { smoothed_us: us, variation_us: us / 2 };
        }
        let (smoothed, variation) = (u64::from(self.smoothed_us), u64::from(self.variation_us));
        RoundTrip {
            variation_us: ((3 * variation + smoothed.abs_diff(us.into())) / 4) as u32,
            smoothed_us: ((7 * smoothed + u64::from(us)) / 8).max(1) as u32,
        }
    }
}

/// How a member is reached where both paths may be tried (`docs/protocol.md` 13.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// By datagram. So many of the last probes in a row were answered over a stream alone.
    Datagram { failed: u8 },
    /// By carrier. So many probes ago a datagram was last tried.
    Stream { probes: u8 },
}

impl Route {
    pub(crate) const FRESH: Route = Route::Datagram { failed: 0 };

    /// In the one byte that a record has to spare.
    const STREAM: u8 = 0x80;

    fn to_byte(self) -> u8 {
        match self {
            Route::Datagram { failed } => failed & !Route::STREAM,
            Route::Stream { probes } => probes | Route::STREAM,
        }
    }

    pub(crate) fn is_stream(self) -> bool {
        matches!(self, Route::Stream { .. })
    }
}

/// No index: fewer bytes than an `Option`.
pub(super) const NONE: u32 = u32::MAX;

/// What is known about any member. What every claim about it is compared with stands first, in half a line of memory.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Record {
    pub(crate) id: NodeId,
    pub(super) life: u64,
    pub(super) refutation: u32,
    /// A [`Place`] in its two parts, which take less room so.
    profile_start: u32,
    profile_len: u16,
    pub(super) state: State,
    /// A [`Route`].
    route: u8,
    pub(super) plight: u32,
    pub(super) rumor: u32,
    /// Where it stands in its list.
    pub(super) place: u32,
    /// Since when it is in its state, here.
    pub(crate) since: Instant,
    pub(crate) round_trip: RoundTrip,
}

const _: () = assert!(size_of::<Option<Record>>() <= 56);

impl Record {
    /// Alive, and known by its id alone so far.
    pub(super) fn new(id: NodeId, incarnation: Incarnation, now: Instant) -> Record {
        Record {
            id,
            life: incarnation.life,
            since: now,
            round_trip: RoundTrip::default(),
            refutation: incarnation.refutation,
            place: 0,
            rumor: NONE,
            plight: NONE,
            profile_start: 0,
            profile_len: 0,
            state: State::Alive,
            route: 0,
        }
    }

    /// Where its profile stands; empty while it is known by its id alone.
    pub(super) fn profile(&self) -> Place {
        Place { start: self.profile_start, len: self.profile_len }
    }

    pub(super) fn set_profile(&mut self, place: Place) {
        (self.profile_start, self.profile_len) = (place.start, place.len);
    }

    pub(crate) fn standing(&self) -> Standing {
        Standing::new(self.incarnation(), self.state)
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn incarnation(&self) -> Incarnation {
        Incarnation { life: self.life, refutation: self.refutation }
    }

    /// Alive or Suspect, and known by more than its id.
    pub(crate) fn is_live(&self) -> bool {
        self.state.is_live() && self.has_content()
    }

    /// Whether it is known by more than its id.
    pub(crate) fn has_content(&self) -> bool {
        self.profile_len > 0
    }

    pub(crate) fn route(&self) -> Route {
        let count = self.route & !Route::STREAM;
        if self.route < Route::STREAM { Route::Datagram { failed: count } } else { Route::Stream { probes: count } }
    }

    pub(super) fn set_route(&mut self, route: Route) {
        self.route = route.to_byte();
    }

    /// Its rumor, if one circulates here.
    pub(crate) fn rumor(&self) -> Option<u32> {
        (self.rumor != NONE).then_some(self.rumor)
    }

    pub(crate) fn set_rumor(&mut self, rumor: Option<u32>) {
        self.rumor = rumor.unwrap_or(NONE);
    }

    pub(super) fn list(&self) -> List {
        match (self.is_live(), self.state) {
            (true, _) => List::Live,
            (false, State::Dead) if self.has_content() => List::Dead,
            (false, _) => List::Gone,
        }
    }
}

/// Which list of the table a member stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Live,
    Dead,
    Gone,
}

/// What is known besides about a member that is not Alive.
#[derive(Clone, Debug)]
pub(crate) struct Plight {
    /// Who accuses it.
    pub(crate) accuser: NodeId,
    /// How new its content is: an accusation brings none.
    pub(super) content: Incarnation,
    /// When it will be forgotten, if it is Dead or Left.
    pub(crate) forget_at: Instant,
    /// A timer to forget it is set.
    pub(crate) reap_armed: bool,
    /// The case against it, while it is Suspect.
    pub(crate) case: Option<u32>,
}

/// A record together with what stands elsewhere in its table.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(super) record: &'a Record,
    pub(super) table: &'a Table,
}

impl Deref for Entry<'_> {
    type Target = Record;

    fn deref(&self) -> &Record {
        self.record
    }
}

impl<'a> Entry<'a> {
    fn plight(self) -> Option<&'a Plight> {
        self.table.plight(self.record)
    }

    /// `None`: known by id alone.
    pub(crate) fn content(self) -> Option<Content<'a>> {
        let incarnation = self.plight().map_or(self.record.incarnation(), |plight| plight.content);
        self.has_content().then(|| Content { incarnation, profile: self.table.profile(self.record) })
    }

    pub(crate) fn address(self) -> Option<SocketAddr> {
        self.has_content().then(|| ProfileBytes::from_validated(self.table.profile(self.record)).address())
    }

    /// Who accuses it, while it is not Alive; else itself.
    pub(crate) fn accuser(self) -> NodeId {
        self.plight().map_or(self.record.id, |plight| plight.accuser)
    }

    /// The case against it, while it is Suspect.
    pub(crate) fn case(self) -> Option<u32> {
        self.plight().and_then(|plight| plight.case)
    }

    /// When it will be forgotten, if it is Dead or Left.
    pub(crate) fn forget_at(self) -> Instant {
        self.plight().map_or(self.record.since, |plight| plight.forget_at)
    }
}
