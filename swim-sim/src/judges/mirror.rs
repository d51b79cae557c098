//! The shadow of a table: what each process held when it last settled, what its application was told, and what it heard.

use std::time::Duration;

use swim_proto::{Incarnation, Instant, Member, State};

use super::probing::Reading;

/// All that is known of what one process knows of one member.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mirror {
    /// The greatest incarnation in any claim about the member that reached the process.
    pub(super) heard: Incarnation,
    /// What its table held when it last settled.
    pub(super) held: Option<Held>,
    /// What its application knows from the events it was told.
    pub(super) told: Option<Told>,
    /// How far the process's probing had come when it last pinged the member, or when the member began to live.
    pub(super) turn: Reading,
    /// When it last pinged the member of its own accord, on its clock, and what had stood still by then.
    pub(super) pinged: Option<(Instant, Duration)>,
}

/// A record of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) incarnation: Incarnation,
    pub(super) state: State,
    /// See [`profile_of`].
    pub(super) profile: u64,
    /// When the incarnation last grew or the member became live, in simulated time: until then there was news.
    pub(super) news_at: Instant,
    /// When incarnation or state last changed, on the node's clock.
    pub(super) since: Instant,
}

/// What an application knows of a member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) state: State,
    /// The life in which it was last told to be alive; a suspicion or a death may be of the next.
    pub(super) life: u64,
    /// The incarnation that was last shown.
    pub(super) incarnation: Incarnation,
    /// See [`profile_of`].
    pub(super) profile: u64,
}

impl Told {
    pub(super) fn of(state: State, member: &Member<'_>) -> Told {
        Told::after(None, state, member)
    }

    /// After an event that told that the member is in this state.
    pub(super) fn after(before: Option<Told>, state: State, member: &Member<'_>) -> Told {
        let life = match member.state {
            State::Alive => member.incarnation.life,
            State::Suspect | State::Dead | State::Left => before.map_or(0, |before| before.life),
        };
        Told { state, life, incarnation: member.incarnation, profile: profile_of(member) }
    }
}

/// A hash of what a member says of itself: name, addresses, metadata, versions. FNV-1a, eight bytes at a time.
pub(super) fn profile_of(member: &Member<'_>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut mix = |word: u64| hash = (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    for bytes in [member.name.as_bytes(), member.metadata] {
        mix(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            mix(u64::from_le_bytes(word));
        }
    }
    for address in [Some(member.address), member.endpoint].into_iter().flatten() {
        mix(address.port().into());
        match address.ip() {
            std::net::IpAddr::V4(ip) => mix(u32::from(ip).into()),
            std::net::IpAddr::V6(ip) => {
                mix((u128::from(ip) >> 64) as u64);
                mix(u128::from(ip) as u64);
            }
        }
    }
    mix(u64::from(member.endpoint.is_some()) << 16
        | u64::from(member.versions.min) << 8
        | u64::from(member.versions.max));
    hash
}
