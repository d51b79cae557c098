//! Which change of a member raises which event.
//!
//! | from \ to | Alive, same life | Alive, greater life | Suspect | Dead | Left |
//! |---|---|---|---|---|---|
//! | unknown | Joined | Joined | Joined, Suspected | Died | Left |
//! | Alive | Updated, if the content changed | Restarted | Suspected | Died | Left |
//! | Suspect | Refuted | Restarted | Updated, if the content changed; of a greater life: Restarted, Suspected | Died | Left |
//! | Dead | Joined | Restarted | Joined, Suspected | Updated, if the content changed | Left |
//! | Left | Joined | Restarted | Joined, Suspected | Died | Updated, if the content changed |
//!
//! The life is that of the content: what the member last said itself. A new life of which an accusation speaks first is
//! told of when the member does.
//!
//! "Unknown" includes members known by id alone, which are in no view: it changes when their Alive comes, however late.
//! A member that becomes unknown was Reaped.

use super::State;

/// The kinds of events about members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Joined,
    Updated,
    Suspected,
    Refuted,
    Died,
    Left,
    Restarted,
    Reaped,
}

/// The events of a change to state `to`, in order. `from` is `None` for a member in no view so far; `greater_life`:
/// that of its content grew.
pub(crate) fn changes(
    from: Option<State>,
    to: State,
    greater_life: bool,
    content_changed: bool,
) -> [Option<Change>; 2] {
    use Change::{Died, Joined, Left, Refuted, Restarted, Suspected, Updated};
    let updated = content_changed.then_some(Updated);
    match (from, to) {
        (None, State::Alive) => [Some(Joined), None],
        (Some(_), State::Alive) if greater_life => [Some(Restarted), None],
        (Some(State::Alive), State::Alive) => [updated, None],
        (Some(State::Suspect), State::Alive) => [Some(Refuted), None],
        (Some(State::Dead | State::Left), State::Alive) => [Some(Joined), None],
        (None, State::Suspect) => [Some(Joined), Some(Suspected)],
        (Some(_), State::Suspect) if greater_life => [Some(Restarted), Some(Suspected)],
        (Some(State::Dead | State::Left), State::Suspect) => [Some(Joined), Some(Suspected)],
        (Some(State::Alive), State::Suspect) => [Some(Suspected), None],
        (Some(State::Suspect), State::Suspect) => [updated, None],
        (Some(State::Alive | State::Suspect | State::Left), State::Dead) => [Some(Died), None],
        (Some(State::Alive | State::Suspect | State::Dead), State::Left) => [Some(Left), None],
        (Some(State::Dead), State::Dead) | (Some(State::Left), State::Left) => [updated, None],
        // Who it was comes to light after its death or departure.
        (None, State::Dead) => [Some(Died), None],
        (None, State::Left) => [Some(Left), None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_replayed_from_events_knows_who_is_live() {
        let states = [State::Alive, State::Suspect, State::Dead, State::Left];
        for from in [None, Some(State::Alive), Some(State::Suspect), Some(State::Dead), Some(State::Left)] {
            for to in states {
                for greater_life in [false, true] {
                    let mut replayed = from;
                    let changes = changes(from, to, greater_life, true);
                    assert!(changes[0].is_some(), "{from:?} to {to:?}: changed content is told");
                    for change in changes.into_iter().flatten() {
                        replayed = match change {
                            Change::Joined | Change::Refuted | Change::Restarted => Some(State::Alive),
                            Change::Updated => replayed,
                            Change::Suspected => Some(State::Suspect),
                            Change::Died => Some(State::Dead),
                            Change::Left => Some(State::Left),
                            Change::Reaped => None,
                        };
                    }
                    assert_eq!(replayed, Some(to), "{from:?} to {to:?}, greater life: {greater_life}");
                }
            }
        }
    }
}
