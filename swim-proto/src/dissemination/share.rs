//! How claims and broadcasts share the room for news in datagrams (`docs/protocol.md` 12.5).
//!
//! An Alive with a long name and full metadata is more than half a datagram: turns by message would leave the side with
//! the short messages little room, and a share of each datagram would leave no room for the long ones. So bytes are
//! counted over time: whoever had fewer of them goes first, and what did not fit goes first in a later datagram, which
//! it finds empty.

/// Who has something to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Claims,
    Broadcasts,
}

/// By how many bytes one side is ahead of the other.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Share {
    /// What claims had more than broadcasts; less than zero: what they had less.
    claims_ahead: i64,
}

impl Share {
    /// Whose turn it is, of those that have something left for this datagram.
    pub(crate) fn turn(&self, claims: bool, broadcasts: bool) -> Option<Side> {
        match (claims, broadcasts) {
            (true, true) if self.claims_ahead > 0 => Some(Side::Broadcasts),
            (true, _) => Some(Side::Claims),
            (false, true) => Some(Side::Broadcasts),
            (false, false) => None,
        }
    }

    /// One side took so many bytes that the other would have had a use for. Nobody is ever ahead by more than
    /// `lead_max`, a datagram's length: what could never fit is not owed for ever.
    pub(crate) fn took(&mut self, side: Side, bytes: usize, lead_max: usize) {
        let (bytes, lead_max) = (bytes as i64, lead_max as i64);
        let ahead = match side {
            Side::Claims => self.claims_ahead + bytes,
            Side::Broadcasts => self.claims_ahead - bytes,
        };
        self.claims_ahead = ahead.clamp(-lead_max, lead_max);
    }

    /// One side has nothing to say: nothing is owed.
    pub(crate) fn settle(&mut self) {
        self.claims_ahead = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills datagrams with claims of one length and broadcasts of another, always more of both, and gives the bytes
    /// that each had, and for how many datagrams in a row each had none at most.
    fn fill(datagrams: usize, room: usize, claim: usize, broadcast: usize) -> ([usize; 2], [usize; 2]) {
        let mut share = Share::default();
        let (mut had, mut without, mut longest) = ([0; 2], [0; 2], [0; 2]);
        for _ in 0..datagrams {
            let (mut left, mut fits) = (room, [true; 2]);
            let mut now = [0; 2];
            while let Some(side) = share.turn(fits[0], fits[1]) {
                let (at, len) = match side {
                    Side::Claims => (0, claim),
                    Side::Broadcasts => (1, broadcast),
                };
                if len > left {
                    fits[at] = false;
                    continue;
                }
                (left, now[at]) = (left - len, now[at] + len);
                share.took(side, len, room);
            }
            for at in 0..2 {
                had[at] += now[at];
                without[at] = if now[at] == 0 { without[at] + 1 } else { 0 };
                longest[at] = longest[at].max(without[at]);
            }
        }
        (had, longest)
    }

    #[test]
    fn each_gets_half_over_time_whatever_the_lengths() {
        // The longest Alive (a name of 255 bytes, metadata of 512), and a broadcast of 256 bytes.
        for (room, claim, broadcast) in
            [(1389, 812, 280), (1367, 839, 285), (1389, 40, 280), (889, 839, 285), (1389, 20, 20), (1389, 700, 530)]
        {
            let (had, without) = fill(10_000, room, claim, broadcast);
            let share = had[0] * 100 / (had[0] + had[1]);
            assert!((45..=55).contains(&share), "{claim} and {broadcast} in {room}: {share} % are claims");
            assert!(without.iter().all(|&datagrams| datagrams <= 4), "{claim} and {broadcast} in {room}: {without:?}");
        }
    }

    #[test]
    fn what_never_fits_keeps_nobody_waiting() {
        let (had, _) = fill(1_000, 500, 812, 280);
        assert_eq!(had, [0, 280_000]);
    }

    #[test]
    fn either_takes_all_while_the_other_is_silent() {
        let mut share = Share::default();
        share.took(Side::Claims, 1_000, 1_400);
        assert_eq!(share.turn(true, true), Some(Side::Broadcasts));
        assert_eq!(share.turn(true, false), Some(Side::Claims));
        assert_eq!(share.turn(false, true), Some(Side::Broadcasts));
        assert_eq!(share.turn(false, false), None);
        share.settle();
        assert_eq!(share.turn(true, true), Some(Side::Claims));
    }
}
