//! Which of two claims about a member holds.
//!
//! What a table holds about a member is two maxima, kept apart:
//!
//! - its **standing**: the greatest `(incarnation, state)` heard, with `Alive < Suspect < Dead < Left`;
//! - its **content**: the greatest `(incarnation, profile bytes)` heard from Alive claims.
//!
//! | claim | standing it argues for | content it brings |
//! |---|---|---|
//! | Alive i | (i, Alive) | (i, profile) |
//! | Suspect i | (i, Suspect) | none |
//! | Dead i | (i, Dead) | none |
//! | Left i | (i, Left) | none |
//!
//! A maximum does not care in which order, how often or by which way its arguments came, and so neither does the table:
//! merging is commutative, associative and idempotent (\[SWIM\] 4.2 with `Left` and lives added; `docs/protocol.md`
//! 2.5). Keeping them apart matters when a Suspect of a new life arrives before the Alive that brings its new address.

use super::{Incarnation, State};

/// What is held, or claimed, about a member's condition. Ordered: the greater prevails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Standing {
    pub(crate) incarnation: Incarnation,
    pub(crate) state: State,
}

impl Standing {
    pub(crate) const fn new(incarnation: Incarnation, state: State) -> Standing {
        Standing { incarnation, state }
    }
}

/// Whether new content replaces held content: a greater incarnation does, and at the same one the greater bytes.
pub(crate) fn content_prevails(new: (Incarnation, &[u8]), held: Option<(Incarnation, &[u8])>) -> bool {
    held.is_none_or(|held| new > held)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 4] = [State::Alive, State::Suspect, State::Dead, State::Left];

    fn all() -> impl Iterator<Item = Standing> + Clone {
        let lives = [0, 1, 2, Incarnation::MAX.life];
        let refutations = [0, 1, Incarnation::MAX.refutation];
        lives.into_iter().flat_map(move |life| {
            refutations.into_iter().flat_map(move |refutation| {
                STATES.into_iter().map(move |state| Standing::new(Incarnation { life, refutation }, state))
            })
        })
    }

    #[test]
    fn merging_does_not_care_about_order_grouping_or_repetition() {
        for a in all() {
            assert_eq!(a.max(a), a);
            for b in all() {
                assert_eq!(a.max(b), b.max(a));
                for c in all() {
                    assert_eq!(a.max(b).max(c), a.max(b.max(c)));
                }
            }
        }
    }

    #[test]
    fn the_published_order_of_alive_and_suspect_holds() {
        // [SWIM] 4.2: Suspect i beats Alive j iff i >= j; Alive i beats Suspect j, and either beats its own kind,
        // iff i > j.
        for a in all() {
            for b in all() {
                let (i, j) = (a.incarnation, b.incarnation);
                match (a.state, b.state) {
                    (State::Suspect, State::Alive) => assert_eq!(a > b, i >= j),
                    (State::Alive, State::Suspect | State::Alive) | (State::Suspect, State::Suspect) => {
                        assert_eq!(a > b, i > j);
                    }
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn an_owner_can_go_past_every_accusation_that_can_be_made() {
        for standing in all().filter(|standing| standing.incarnation.is_accusable()) {
            let refuted = Standing::new(standing.incarnation.past(), State::Alive);
            assert!(refuted > standing && refuted.incarnation <= Incarnation::MAX, "{standing:?}");
        }
        assert!(Incarnation::ACCUSED_MAX.past() < Incarnation::MAX);
    }

    #[test]
    fn equal_incarnations_are_decided_by_the_bytes() {
        let one = Incarnation::first(1);
        assert!(content_prevails((one, b"b"), Some((one, b"a"))));
        assert!(!content_prevails((one, b"a"), Some((one, b"b"))));
        assert!(!content_prevails((one, b"a"), Some((one, b"a"))));
        assert!(content_prevails((one.past(), b"a"), Some((one, b"b"))));
        assert!(content_prevails((one, b""), None));
    }
}
