//! What is demanded in the end, under settings that promise less than the presets do.

use swim_proto::{Config, State, Status};
use swim_sim::judges::Rule;
use swim_sim::observe::Observation;

use crate::stage::{Held, Stage, lan, seconds};

/// Two puppets that know each other, the first of which holds the second so, when faults have stopped.
fn pair(state: State, config: &Config) -> Stage {
    let mut stage = Stage::new(2);
    for puppet in &mut stage.puppets {
        puppet.config = config.clone();
    }
    stage.puppets[0].table.push(Held::new(1, state, 0));
    stage.puppets[1].table.push(Held::new(0, State::Alive, 0));
    stage.sound(Observation::FaultsStopped { lossless: true });
    stage
}

fn lacks(mut stage: Stage) -> Option<Rule> {
    stage.lacking().map(|violation| violation.rule)
}

#[test]
fn without_syncs_whoever_was_missed_need_not_be_found_and_whoever_was_buried_must() {
    let config = Config { sync_interval: seconds(0.0), ..lan() };
    let mut missed = pair(State::Alive, &config);
    missed.puppets[0].table.pop();
    assert_eq!(lacks(missed), None);
    assert_eq!(lacks(pair(State::Dead, &config)), Some(Rule::L4));
    assert_eq!(lacks(pair(State::Suspect, &config)), Some(Rule::L4));
    // Metadata that did not get through is nobody's fault.
    let mut outdated = pair(State::Alive, &config);
    outdated.puppets[1].table[0].metadata = vec![1];
    assert_eq!(lacks(outdated), None);
}

#[test]
fn without_healing_those_meet_who_are_linked_by_members_that_hold_each_other_live() {
    let config = Config { heal_interval: seconds(0.0), ..lan() };
    assert_eq!(lacks(pair(State::Alive, &config)), None);
    // The second probes the first, and hears what is held of it.
    assert_eq!(lacks(pair(State::Dead, &config)), Some(Rule::L4));
    // Neither speaks to the other any more.
    let mut parted = pair(State::Dead, &config);
    parted.puppets[1].table[1].state = State::Dead;
    assert_eq!(lacks(parted), None);
    let mut parted = pair(State::Dead, &lan());
    parted.puppets[1].table[1].state = State::Dead;
    assert_eq!(lacks(parted), Some(Rule::L4));
}

#[test]
fn without_healing_syncs_and_echoes_nobody_hears_of_a_burial() {
    let config = Config { heal_interval: seconds(0.0), sync_interval: seconds(0.0), ..lan() };
    assert_eq!(lacks(pair(State::Dead, &config)), Some(Rule::L4));
    assert_eq!(lacks(pair(State::Left, &config)), Some(Rule::L4));
    let config = Config { echo: false, ..config };
    assert_eq!(lacks(pair(State::Dead, &config)), None);
    assert_eq!(lacks(pair(State::Left, &config)), None);
    // That somebody is gone each finds out for itself.
    let mut gone = pair(State::Alive, &config);
    gone.crashes(1);
    assert_eq!(lacks(gone), Some(Rule::L1));
}

#[test]
fn in_a_table_that_is_full_of_the_living_somebody_may_be_missing() {
    let mut stage = Stage::new(3);
    for puppet in &mut stage.puppets {
        puppet.config.members_max = 2;
    }
    stage.sound(Observation::FaultsStopped { lossless: true });
    for (observer, member) in [(0, 1), (1, 0), (2, 0)] {
        stage.puppets[observer].table.push(Held::new(member, State::Alive, 0));
    }
    assert_eq!(stage.lacking(), None);
    // The third is a stranger to the first, whose refutation need not reach it.
    stage.puppets[2].table[1].state = State::Suspect;
    assert_eq!(stage.lacking(), None);
    // The second is none.
    stage.puppets[1].table[1].state = State::Suspect;
    assert_eq!(stage.lacking().expect("it knows whom to tell").rule, Rule::L4);
    stage.puppets[1].table.pop();
    assert_eq!(stage.lacking().expect("there is room for one more").rule, Rule::L5);
}

/// Three puppets that have so many tombstones each. Two are gone: they are down, or have departed. The first of them hears
/// that they live, before faults have stopped or afterwards.
fn gone(tombstones_max: u32, departed: bool, late: bool) -> Stage {
    let mut stage = Stage::new(3);
    for puppet in &mut stage.puppets {
        puppet.config.tombstones_max = tombstones_max;
    }
    for slot in [1, 2] {
        if departed { stage.puppets[slot as usize].status = Status::Left } else { stage.crashes(slot) }
    }
    for now in [false, true] {
        stage.pass(1.0);
        if now == late {
            [1, 2].into_iter().for_each(|slot| stage.meets(slot));
        }
        if !now {
            stage.sound(Observation::FaultsStopped { lossless: true });
        }
    }
    stage
}

#[test]
fn whoever_has_no_tombstone_for_each_who_is_gone_may_be_told_again_that_they_live() {
    for (departed, rule) in [(false, Rule::L1), (true, Rule::L5)] {
        let held_live = |tombstones_max, late| lacks(gone(tombstones_max, departed, late));
        assert_eq!((held_live(2, true), held_live(1, true)), (Some(rule), None));
        // But not hold them so for ever.
        assert_eq!((held_live(2, false), held_live(1, false)), (Some(rule), Some(rule)));
    }
}

#[test]
fn where_more_are_gone_than_are_remembered_there_is_news_without_end() {
    let restless = |tombstones_max| {
        let mut stage = gone(tombstones_max, true, true);
        stage.puppets[0].stats.rumors = 1;
        stage.restless().map(|violation| violation.rule)
    };
    assert_eq!((restless(2), restless(1)), (Some(Rule::S8), None));
}
