//! The bytes of all profiles, one after another.
//!
//! A profile is a few dozen bytes, and a cluster has as many as members: kept apart they would cost more for their
//! allocations than for themselves. Here each is a place in one vector. A profile that is replaced by one of the same
//! length stays where it is; otherwise its old place is waste, which is squeezed out once it is as much as what is in
//! use: O(1) a change over time, and nothing allocated while profiles keep their length.

use alloc::vec::Vec;

/// Where a profile stands. Empty: there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) start: u32,
    pub(super) len: u16,
}

/// So much waste is never worth the work.
const WASTE_SPARE: usize = 4096;

#[derive(Default)]
pub(super) struct Profiles {
    bytes: Vec<u8>,
    waste: usize,
}

impl Profiles {
    pub(super) fn at(&self, place: Place) -> &[u8] {
        let start = place.start as usize;
        &self.bytes[start..start + usize::from(place.len)]
    }

    /// Replaces the profile at a place, and gives the place of the new one.
    pub(super) fn replace(&mut self, place: Place, profile: &[u8]) -> Place {
        if profile.len() == usize::from(place.len) {
            let start = place.start as usize;
            self.bytes[start..start + profile.len()].copy_from_slice(profile);
            return place;
        }
        self.remove(place);
        self.append(profile)
    }

    pub(super) fn remove(&mut self, place: Place) {
        self.waste += usize::from(place.len);
    }

    /// Whether it is time for [`Profiles::squeezed`].
    pub(super) fn is_wasteful(&self) -> bool {
        self.waste > WASTE_SPARE.max(self.bytes.len() / 2)
    }

    /// Empty, with room for all that is in use here: for [`Profiles::append`], one after another.
    pub(super) fn squeezed(&self) -> Profiles {
        Profiles { bytes: Vec::with_capacity(self.bytes.len() - self.waste), waste: 0 }
    }

    pub(super) fn append(&mut self, profile: &[u8]) -> Place {
        super::grow_gently(&mut self.bytes, profile.len());
        let start = u32::try_from(self.bytes.len()).expect("members_max profiles of at most a kilobyte fit");
        self.bytes.extend_from_slice(profile);
        Place { start, len: profile.len() as u16 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_survive_replacement_removal_and_squeezing() {
        let mut profiles = Profiles::default();
        let mut places: Vec<Place> =
            (0..200u8).map(|n| profiles.replace(Place::default(), &[n; 100][..usize::from(n % 100) + 1])).collect();
        let held = |profiles: &Profiles, places: &[Place]| -> Vec<Vec<u8>> {
            places.iter().map(|&place| profiles.at(place).to_vec()).collect()
        };
        let before = held(&profiles, &places);
        let stays = places[7];
        places[7] = profiles.replace(stays, &[9; 8]);
        assert_eq!(places[7], stays, "as long as before: it stays where it is");
        places[7] = profiles.replace(stays, &before[7]);
        for place in places.split_off(50) {
            profiles.remove(place);
        }
        assert!(profiles.is_wasteful());
        let mut squeezed = profiles.squeezed();
        places.iter_mut().for_each(|place| *place = squeezed.append(profiles.at(*place)));
        profiles = squeezed;
        assert_eq!(held(&profiles, &places), before[..50]);
        assert_eq!(profiles.bytes.len(), before[..50].iter().map(Vec::len).sum::<usize>());
        assert!(!profiles.is_wasteful());
    }
}
