//! S6: the events that an application is told, replayed, give the table.
//!
//! Each member's events must follow the table of protocol 2.11: the first is Joined, Died or Left, only the live are
//! suspected, only suspects refute, and so on. When the node has settled, what was told must be what is held: which
//! members there are, their state and profile; for an Alive one its life too (a suspicion at a
//! greater life is no event of its own). Nor do the incarnations shown ever fall, whoever refutes is shown at a greater
//! one than before, and none is shown that is not held. (That whoever comes back does so at a greater one is S4.)
//!
//! The local member's own row is not replayed: no snapshot of it changes by events but by commands.

use swim_proto::{Event, Member, MemberEvent, NodeId, State};

use super::Rule;
use super::fault::{Verdict, fault_about};
use super::mirror::{Told, profile_of};

/// Replays one event over what was told of its member before.
pub(super) fn replay(told: &mut Option<Told>, event: &Event<'_>) -> Verdict {
    let (name, change, legal, state) = match event {
        Event::Joined(change) => ("Joined", change, told.is_none_or(|old| !old.state.is_live()), Some(State::Alive)),
        Event::Updated(change) => {
            let old = told.filter(|old| old.profile != profile_of(&change.member));
            ("Updated", change, old.is_some(), old.map(|old| old.state))
        }
        Event::Suspected(change) => ("Suspected", change, is(told, State::Alive), Some(State::Suspect)),
        Event::Refuted(change) => ("Refuted", change, is(told, State::Suspect), Some(State::Alive)),
        Event::Died(change) => ("Died", change, !is(told, State::Dead), Some(State::Dead)),
        Event::Left(change) => ("Left", change, !is(told, State::Left), Some(State::Left)),
        Event::Restarted(change) => {
            let grew = told.is_some_and(|old| change.member.incarnation.life > old.life);
            ("Restarted", change, grew, Some(State::Alive))
        }
        Event::Reaped(change) => ("Reaped", change, told.is_some_and(|old| !old.state.is_live()), None),
        _ => return Ok(()),
    };
    let shown = change.member.incarnation;
    let rises = match event {
        Event::Refuted(_) => told.is_none_or(|old| shown > old.incarnation),
        _ => told.is_none_or(|old| shown >= old.incarnation),
    };
    if !legal || !rises {
        return out_of_order(name, change, *told);
    }
    *told = state.map(|state| Told::after(*told, state, &change.member));
    Ok(())
}

fn is(told: &Option<Told>, state: State) -> bool {
    told.is_some_and(|old| old.state == state)
}

fn out_of_order(name: &str, change: &MemberEvent<'_>, told: Option<Told>) -> Verdict {
    let id = change.member.id;
    let before =
        told.map_or("unknown".to_owned(), |old| format!("{} at {}, in life {}", old.state, old.incarnation, old.life));
    let now = format!("{} at {}", change.member.state, change.member.incarnation);
    fault_about(Rule::S6, id, format!("{name} ({now}, {:?}) was told of member {id}, which was {before}", change.cause))
}

/// What was last told of a member in an input, against what is held after it: no more than that, which may have risen
/// further without an event.
pub(super) fn shows(told: Option<Told>, held: Option<&Member<'_>>) -> Verdict {
    match (told, held) {
        (Some(told), Some(held)) if told.incarnation > held.incarnation => {
            let what =
                format!("member {} was told to be at {} and is at {}", held.id, told.incarnation, held.incarnation);
            fault_about(Rule::S6, held.id, what)
        }
        _ => Ok(()),
    }
}

/// Compares what was told with what is held, once the node has settled.
pub(super) fn settled(id: NodeId, told: Option<Told>, held: Option<&Member<'_>>) -> Verdict {
    let (told, held) = match (told, held) {
        (None, None) => return Ok(()),
        (None, Some(held)) => {
            return fault_about(
                Rule::S6,
                id,
                format!("member {id} is {} in the table and was never told of", held.state),
            );
        }
        (Some(told), None) => {
            return fault_about(
                Rule::S6,
                id,
                format!("member {id} was told to be {} and is not in the table", told.state),
            );
        }
        (Some(told), Some(held)) => (told, held),
    };
    if told.state != held.state {
        return fault_about(Rule::S6, id, format!("member {id} was told to be {} and is {}", told.state, held.state));
    }
    if told.profile != profile_of(held) {
        return fault_about(Rule::S6, id, format!("member {id} has another profile than was told: {held:?}"));
    }
    if held.state == State::Alive && told.life != held.incarnation.life {
        let what = format!("member {id} was told to be in life {} and is in {}", told.life, held.incarnation.life);
        return fault_about(Rule::S6, id, what);
    }
    Ok(())
}
