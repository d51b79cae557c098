//! The judges alone: what they see, and what they let pass, with observations made by hand.

mod oneself;
mod probing;
mod promises;
mod stage;
mod table;
mod userdata;

use std::time::Duration;

use swim_proto::wire::{Ack, Dead, Grave, Left, Message, Nack, Ping, Suspect, Tombstone};
use swim_proto::{Cause, Event, Incarnation, State, Status, Suspicion};
use swim_sim::judges::{Rule, Settings, liveness};
use swim_sim::observe::{Command, Condition, Input, Observation, Slot};

use stage::{Held, Stage, address, alive, at, id, packet, profile, profile_at, seconds, suspect, told};

fn suspected(slot: u32, refutation: u32, accuser: u32) -> Message<'static> {
    Message::Suspect(Suspect { id: id(slot), incarnation: at(refutation), accuser: id(accuser) })
}

fn dead(slot: u32, refutation: u32, accuser: u32) -> Message<'static> {
    Message::Dead(Dead { id: id(slot), incarnation: at(refutation), accuser: id(accuser) })
}

fn ping(slot: u32) -> Message<'static> {
    Message::Ping(Ping { seq: 1, target: id(slot), source: id(0) })
}

/// Puppet 0 tells of a member, by the event for its new state, and holds it so.
fn tells(stage: &mut Stage, held: Held, cause: Cause) {
    let known = stage.puppets[0].table.iter().find(|known| known.slot == held.slot).map(|known| known.state);
    stage.puppets[0].stats.probes_failed += u64::from(cause == Cause::ProbeFailed);
    let change = told(&held, cause);
    let event = match (known, held.state) {
        (Some(State::Suspect), State::Alive) => Event::Refuted(change),
        (_, State::Alive) => Event::Joined(change),
        (_, State::Suspect) => Event::Suspected(change),
        (_, State::Dead) => Event::Died(change),
        (_, State::Left) => Event::Left(change),
    };
    stage.sound(Observation::Event { slot: Slot(0), event });
    stage.holds(held);
}

fn dies_by_hearsay(stage: &mut Stage, slot: u32) {
    stage.hears(2, &[dead(slot, 0, 2)]);
    tells(stage, Held::new(slot, State::Dead, 0), Cause::DeclaredBy { by: id(2) });
    stage.settles();
}

#[test]
fn a_node_that_does_as_it_hears_is_right_in_all() {
    let mut stage = Stage::new(3);
    stage.meets(1);
    stage.meets(2);
    stage.suspects(1);
    stage.pass(1.0);
    // It refutes: the owner raises itself first.
    stage.puppets[1].table[0].incarnation = at(1);
    stage.puppets[1].changed.push(id(1));
    stage.sound(Observation::Settled { slot: Slot(1) });
    let refuting = profile(1);
    stage.hears(1, &[alive(1, 1, &refuting)]);
    tells(&mut stage, Held::new(1, State::Alive, 1), Cause::Itself);
    stage.settles();
    stage.hears(2, &[dead(1, 1, 2)]);
    tells(&mut stage, Held::new(1, State::Dead, 1), Cause::DeclaredBy { by: id(2) });
    stage.settles();
    stage.inspect().expect("nothing is wrong");
}

#[test]
fn an_incarnation_that_goes_back_is_seen() {
    let mut stage = Stage::new(2);
    stage.puppets[1].table[0].incarnation = at(3);
    stage.sound(Observation::Settled { slot: Slot(1) });
    let newest = profile(1);
    stage.hears(1, &[alive(1, 3, &newest)]);
    tells(&mut stage, Held::new(1, State::Alive, 3), Cause::Itself);
    stage.settles();
    stage.wakes();
    stage.holds(Held::new(1, State::Alive, 2));
    stage.settles_wrongly(Rule::S1);
}

#[test]
fn nobody_holds_or_says_more_of_a_member_than_its_owner_did_or_a_forger() {
    let mut stage = Stage::new(2);
    let raised = profile(1);
    let violation = stage.sends(1, &[alive(1, 5, &raised)]).expect_err("nobody ever said so");
    assert_eq!(violation.rule, Rule::S2);
    stage.sound(Observation::Injected { packet: &packet(&[alive(1, 5, &raised)]) });
    stage.sends(1, &[alive(1, 5, &raised)]).expect("a forger did");
    assert_eq!(stage.sends(1, &[alive(1, 6, &raised)]).expect_err("not that").rule, Rule::S2);
}

#[test]
fn a_claim_that_leaves_no_trace_is_seen() {
    let mut stage = Stage::new(3);
    stage.meets(1);
    stage.meets(2);
    stage.hears(2, &[suspected(1, 0, 2)]);
    stage.settles_wrongly(Rule::S3);
}

#[test]
fn the_dead_return_by_a_greater_incarnation_alone() {
    let mut stage = Stage::new(3);
    stage.meets(1);
    dies_by_hearsay(&mut stage, 1);
    let again = profile(1);
    stage.hears(1, &[alive(1, 0, &again)]);
    tells(&mut stage, Held::new(1, State::Alive, 0), Cause::Itself);
    stage.settles_wrongly(Rule::S4);
}

#[test]
fn who_was_known_by_its_end_alone_does_not_begin_to_live_with_it() {
    for (waited, right) in [(10.0, false), (4.0 * 24.0 * 3600.0, true)] {
        let mut stage = Stage::new(3);
        // Nobody by that name is known yet, so there is nothing to see; but it must be remembered.
        stage.hears(2, &[dead(1, 0, 2)]);
        stage.settles();
        stage.pass(waited);
        let stale = profile(1);
        stage.hears(2, &[alive(1, 0, &stale)]);
        tells(&mut stage, Held::new(1, State::Alive, 0), Cause::Itself);
        if right { stage.settles() } else { stage.settles_wrongly(Rule::S4) }
    }
}

#[test]
fn an_end_may_be_forgotten_when_somebody_else_is_about_to_forget_it_and_not_before() {
    for (remaining_s, right) in [(30, true), (3000, false)] {
        let mut stage = Stage::new(3);
        stage.meets(1);
        dies_by_hearsay(&mut stage, 1);
        let grave = Tombstone { id: id(1), incarnation: at(0), grave: Grave::Dead(id(2)), remaining_s };
        stage.hears(2, &[Message::Tombstone(grave)]);
        stage.settles();
        stage.pass(60.0);
        stage.wakes();
        let gone = Held::new(1, State::Dead, 0);
        stage.puppets[0].table.retain(|held| held.slot != 1);
        stage.puppets[0].changed.push(id(1));
        let event = Event::Reaped(told(&gone, Cause::Forgotten));
        if right {
            stage.sound(Observation::Event { slot: Slot(0), event });
            stage.settles();
        } else {
            stage.broken(Rule::S4, Observation::Event { slot: Slot(0), event });
        }
    }
}

#[test]
fn a_death_is_declared_after_a_suspicion_of_its_least_time_and_no_sooner() {
    for (waited, rule) in [(3.9, Some(Rule::S5)), (4.0, None), (80.0, Some(Rule::S11))] {
        let mut stage = Stage::new(2);
        stage.meets(1);
        stage.suspects(1);
        let since = stage.now;
        // Its deadline is met in time: being late would explain much.
        stage.puppets[0].deadline = Some(stage.now + seconds(waited));
        stage.hears(1, &[ping(0)]);
        stage.settles();
        stage.pass(waited);
        stage.wakes();
        stage.sends(1, &[ping(1)]).expect("it asks once more");
        let held = Held::new(1, State::Dead, 0);
        stage.holds(held.clone());
        let event = Event::Died(told(&held, Cause::SuspicionExpired { accusers: 1, since }));
        let observation = Observation::Event { slot: Slot(0), event };
        match rule {
            Some(rule) => stage.broken(rule, observation),
            None => stage.sound(observation),
        }
    }
}

#[test]
fn whoever_is_buried_was_asked_once_more() {
    for asked in [true, false] {
        let mut stage = Stage::new(2);
        stage.meets(1);
        stage.suspects(1);
        let since = stage.now;
        stage.pass(4.0);
        stage.wakes();
        if asked {
            stage.sends(1, &[ping(1)]).expect("it is in order");
        }
        let held = Held::new(1, State::Dead, 0);
        stage.holds(held.clone());
        let event = Event::Died(told(&held, Cause::SuspicionExpired { accusers: 1, since }));
        let observation = Observation::Event { slot: Slot(0), event };
        if asked { stage.sound(observation) } else { stage.broken(Rule::S5, observation) }
    }
}

#[test]
fn a_death_by_hearsay_was_heard_of() {
    let mut stage = Stage::new(3);
    stage.meets(1);
    stage.wakes();
    let held = Held::new(1, State::Dead, 0);
    stage.holds(held.clone());
    let event = Event::Died(told(&held, Cause::DeclaredBy { by: id(2) }));
    stage.broken(Rule::S5, Observation::Event { slot: Slot(0), event });
}

#[test]
fn whoever_calls_somebody_dead_has_heard_it_or_declares_it_before_it_settles() {
    let mut stage = Stage::new(3);
    stage.meets(1);
    stage.wakes();
    stage.sends(2, &[dead(1, 0, 0)]).expect("its own death may be told of after");
    stage.settles_wrongly(Rule::S5);
}

#[test]
fn events_and_table_must_agree() {
    let unheard = |stage: &mut Stage| stage.holds(suspect(1, 0, stage.now));
    let twice = |stage: &mut Stage| {
        let held = Held::new(1, State::Alive, 0);
        let event = Event::Joined(told(&held, Cause::Itself));
        stage.broken(Rule::S6, Observation::Event { slot: Slot(0), event });
    };
    let vanished = |stage: &mut Stage| {
        stage.puppets[0].table.pop();
        stage.puppets[0].changed.push(id(1));
    };
    let renamed = |stage: &mut Stage| {
        stage.holds(Held { metadata: vec![7], ..Held::new(1, State::Alive, 0) });
    };
    for (wrong, settles) in [(unheard as fn(&mut Stage), true), (twice, false), (vanished, true), (renamed, true)] {
        let mut stage = Stage::new(2);
        stage.meets(1);
        stage.wakes();
        wrong(&mut stage);
        if settles {
            stage.settles_wrongly(Rule::S6);
        }
    }
}

#[test]
fn a_datagram_is_within_its_size_in_order_and_in_its_senders_name() {
    let mut stage = Stage::new(2);
    let mut stammered = packet(&[ping(1)]);
    stammered.push(0);
    let to = stage::address(1);
    stage.broken(Rule::S7, Observation::Transmit { slot: Slot(0), to, bytes: &stammered });
    let others = Message::Ping(Ping { seq: 1, target: id(1), source: id(1) });
    assert_eq!(stage.sends(1, &[others]).expect_err("in another's name").rule, Rule::S7);
    let long = vec![ping(1); 70];
    assert_eq!(stage.sends(1, &long).expect_err("1,551 bytes").rule, Rule::S7);
}

#[test]
fn a_stranger_gets_no_more_than_it_sent() {
    for (answers, right) in [(1, true), (3, false)] {
        let mut stage = Stage::new(2);
        let asked = Message::Ping(Ping { seq: 1, target: id(0), source: id(1) });
        stage.hears(1, &[asked]);
        for _ in 0..answers {
            stage.sends(1, &[Message::Ack(Ack { seq: 1, incarnation: at(0) })]).expect("it is in order");
        }
        if right { stage.settles() } else { stage.settles_wrongly(Rule::S7) }
    }
}

#[test]
fn a_rumor_is_sent_so_often_and_a_buddy_as_often_as_it_likes() {
    let mut stage = Stage::new(4);
    (1..4).for_each(|slot| stage.meets(slot));
    stage.hears(2, &[suspected(1, 0, 2)]);
    let held = suspect(1, 0, stage.now);
    tells(&mut stage, held, Cause::Accused { by: id(2) });
    stage.settles();
    stage.wakes();
    for _ in 0..20 {
        stage.sends(1, &[suspected(1, 0, 2), ping(1)]).expect("a buddy");
    }
    for _ in 0..4 {
        stage.sends(3, &[suspected(1, 0, 2)]).expect("a rumor");
    }
    assert_eq!(stage.sends(3, &[suspected(1, 0, 2)]).expect_err("once more").rule, Rule::S8);
}

#[test]
fn a_node_sends_so_much_of_its_own_accord_and_no_more() {
    // In a second two probes may begin, each by two ways, and three be tried again, likewise; and one of the dead.
    for (pings, right) in [(11, true), (12, false)] {
        let mut stage = Stage::new(2);
        stage.meets(1);
        stage.wakes();
        for _ in 0..pings {
            stage.sends(1, &[ping(1)]).expect("it is in order");
        }
        stage.settles();
        stage.pass(1.0);
        stage.wakes();
        if right { stage.settles() } else { stage.settles_wrongly(Rule::S9) }
    }
}

#[test]
fn strangers_who_ping_are_asked_each_half_interval() {
    // Each who pinged, and three at most in a second and a half interval: no more than there are half intervals.
    for (strangers, asked, right) in [(1, 1, true), (1, 2, false), (8, 3, true), (8, 4, false)] {
        let mut stage = Stage::new(10);
        stage.meets(1);
        for stranger in 2..2 + strangers {
            stage.hears(stranger, &[Message::Ping(Ping { seq: 1, target: id(0), source: id(stranger) })]);
            stage.settles();
        }
        stage.wakes();
        for _ in 0..11 + asked {
            stage.sends(1, &[ping(1)]).expect("it is in order");
        }
        stage.settles();
        stage.pass(1.0);
        stage.wakes();
        if right { stage.settles() } else { stage.settles_wrongly(Rule::S9) }
    }
}

#[test]
fn a_nack_answers_a_ping_req() {
    let mut stage = Stage::new(2);
    assert_eq!(stage.sends(1, &[Message::Nack(Nack { seq: 1 })]).expect_err("nobody asked").rule, Rule::S9);
}

#[test]
fn tables_stay_within_their_bounds() {
    let mut stage = Stage::new(3);
    stage.meets(1);
    dies_by_hearsay(&mut stage, 1);
    stage.puppets[0].config.tombstones_max = 0;
    assert_eq!(stage.inspect().expect_err("one is remembered").rule, Rule::S10);
    let mut stage = Stage::new(3);
    stage.puppets[0].config.tombstone_retention = seconds(10.0);
    stage.meets(1);
    dies_by_hearsay(&mut stage, 1);
    stage.pass(20.0);
    stage.inspect().expect("it is about to forget it");
    stage.pass(5.0);
    assert_eq!(stage.inspect().expect_err("it should have forgotten").rule, Rule::S10);
}

#[test]
fn health_and_suspicions_stay_within_their_bounds() {
    let mut stage = Stage::new(2);
    stage.puppets[0].health = 9;
    stage.settles_wrongly(Rule::S11);

    let shown: [(fn(&mut Suspicion), _); 5] = [
        (|case| case.timeout_min = seconds(3.0), true),
        (|case| case.timeout_max = seconds(40.0), true),
        (|case| case.deadline = case.since + seconds(3.9), true),
        // Of two nobody could confirm; the last datagram but one is no silence.
        (|case| case.deadline = case.since + seconds(5.1), true),
        (|case| case.deadline = case.since + seconds(5.0), false),
    ];
    for (change, wrong) in shown {
        let mut stage = Stage::new(2);
        stage.meets(1);
        stage.wakes();
        let mut held = suspect(1, 0, stage.now);
        held.suspicion.as_mut().map(change);
        tells(&mut stage, held, Cause::ProbeFailed);
        if wrong { stage.settles_wrongly(Rule::S11) } else { stage.settles() }
    }
}

#[test]
fn time_spent_behind_the_deadline_explains_a_suspicion_that_lasts() {
    for (late, right) in [(0.0, false), (60.0, true)] {
        let mut stage = Stage::new(2);
        stage.meets(1);
        stage.suspects(1);
        let now = stage.now;
        stage.puppets[0].deadline = Some(now + seconds(70.0 - late));
        stage.hears(1, &[ping(0)]);
        stage.settles();
        stage.pass(70.0);
        stage.hears(1, &[ping(0)]);
        let mut held = suspect(1, 0, now);
        held.suspicion.as_mut().expect("it is suspect").deadline = now + seconds(4.0 + 60.0);
        stage.holds(held);
        if right { stage.settles() } else { stage.settles_wrongly(Rule::S11) }
    }
}

#[test]
fn accusers_are_real_heard_and_counted_once() {
    let mut stage = Stage::new(4);
    (1..4).for_each(|slot| stage.meets(slot));
    assert_eq!(stage.sends(3, &[suspected(1, 0, 9)]).expect_err("there is no tenth").rule, Rule::S14);
    assert_eq!(stage.sends(3, &[suspected(1, 0, 2)]).expect_err("it never said so").rule, Rule::S14);
    stage.hears(2, &[suspected(1, 0, 2)]);
    let mut held = suspect(1, 0, stage.now);
    held.suspicion.as_mut().expect("it is suspect").accusers = 3;
    tells(&mut stage, held, Cause::Accused { by: id(2) });
    stage.settles_wrongly(Rule::S14);
}

#[test]
fn a_node_signs_what_its_own_probes_found_and_passes_on_what_it_heard() {
    let mut stage = Stage::new(4);
    (1..4).for_each(|slot| stage.meets(slot));
    assert_eq!(stage.sends(3, &[suspected(1, 0, 0)]).expect_err("none of its probes failed").rule, Rule::S14);
    stage.puppets[0].stats.probes_failed = 1;
    stage.sends(3, &[suspected(1, 0, 0)]).expect("one did");
    assert_eq!(stage.sends(3, &[suspected(2, 0, 0)]).expect_err("but not two").rule, Rule::S14);
    stage.hears(3, &[suspected(2, 0, 0)]);
    stage.sends(3, &[suspected(2, 0, 0)]).expect("others know of it from before");
    assert_eq!(stage.sends(2, &[suspected(3, 0, 0)]).expect_err("nor three").rule, Rule::S14);
    stage.puppets[0].stats.holders_failed = 2;
    stage.sends(2, &[suspected(3, 0, 0)]).expect("two holders of names were asked in vain");
    stage.hears(2, &[dead(1, 0, 2)]);
    stage.sends(3, &[dead(1, 0, 3)]).expect("who said so is looked up when it has settled");
    tells(&mut stage, Held::new(1, State::Dead, 0), Cause::DeclaredBy { by: id(2) });
    stage.settles_wrongly(Rule::S14);
}

#[test]
fn the_deadline_lies_ahead_and_the_views_agree() {
    let mut stage = Stage::new(2);
    stage.wakes();
    stage.puppets[0].deadline = Some(stage.now);
    stage.settles_wrongly(Rule::Contract);

    let mut stage = Stage::new(2);
    stage.puppets[0].live_more = 1;
    assert_eq!(stage.inspect().expect_err("it miscounts").rule, Rule::Contract);

    let mut stage = Stage::new(2);
    stage.meets(1);
    stage.puppets[0].table.pop();
    assert_eq!(stage.inspect().expect_err("nothing said that it changed").rule, Rule::Contract);
}

#[test]
fn a_death_is_false_if_the_member_ran_and_could_be_reached_all_the_while() {
    let ran = |_: &mut Stage| ();
    let crashed = |stage: &mut Stage| stage.crashes(1);
    let paused = |stage: &mut Stage| stage.conditions[1] = (Condition::Paused, stage.now);
    let resumed = |stage: &mut Stage| stage.conditions[1] = (Condition::Running, stage.now + seconds(1.0));
    let deaf = |stage: &mut Stage| stage.conditions[0] = (Condition::Running, stage.now + seconds(1.0));
    let apart = |stage: &mut Stage| stage.linked_since = None;
    type Befalls = fn(&mut Stage);
    let cases: [(Befalls, [u64; 3]); 6] = [
        (ran, [1, 1, 1]),
        (crashed, [0, 0, 0]),
        (paused, [0, 0, 0]),
        (resumed, [0, 0, 0]),
        (deaf, [0, 1, 0]),
        (apart, [0, 1, 1]),
    ];
    for (befalls, [false_deaths, false_positives, at_healthy]) in cases {
        let mut stage = Stage::new(2);
        stage.meets(1);
        stage.suspects(1);
        let since = stage.now;
        befalls(&mut stage);
        stage.pass(4.0);
        stage.wakes();
        stage.sends(1, &[ping(1)]).expect("it asks once more");
        let cause = Cause::SuspicionExpired { accusers: 1, since };
        tells(&mut stage, Held::new(1, State::Dead, 0), cause);
        let counted = stage.judges.accuracy();
        assert_eq!(counted.declared, 1);
        assert_eq!(counted.false_deaths, false_deaths);
        assert_eq!(counted.false_positives, false_positives);
        assert_eq!(counted.false_positives_at_healthy, at_healthy);
    }
}

#[test]
fn a_false_death_too_many_is_a_violation() {
    let mut stage = Stage::with(2, Settings { false_deaths_max: Some(0), ..Settings::default() });
    stage.meets(1);
    stage.suspects(1);
    let cause = Cause::SuspicionExpired { accusers: 1, since: stage.now };
    stage.pass(4.0);
    stage.wakes();
    let held = Held::new(1, State::Dead, 0);
    stage.holds(held.clone());
    stage.broken(Rule::FalseDeath, Observation::Event { slot: Slot(0), event: Event::Died(told(&held, cause)) });
}

#[test]
fn a_crash_is_noticed_within_the_bound_by_whoever_can() {
    let bound = liveness::completeness_max(&stage::lan(), 2);
    for (able, right) in [(true, false), (false, true)] {
        let mut stage = Stage::new(2);
        stage.meets(1);
        stage.crashes(1);
        stage.pass(bound.as_secs_f64() + 0.1);
        if !able {
            stage.conditions[0] = (Condition::Blocked, stage.now);
        }
        match stage.inspect() {
            Ok(()) => assert!(right),
            Err(violation) => assert!(!right && violation.rule == Rule::L2, "{violation}"),
        }
    }
}

#[test]
fn a_cluster_has_converged_when_everyone_holds_everyone_who_can_be_found() {
    let mut stage = Stage::new(3);
    stage.sound(Observation::FaultsStopped { lossless: true });
    assert_eq!(stage.lacking().expect("nobody knows anybody").rule, Rule::L5);
    for observer in 0..3 {
        for slot in (0..3).filter(|&slot| slot != observer) {
            stage.puppets[observer as usize].table.push(Held::new(slot, State::Alive, 0));
        }
    }
    assert_eq!(stage.lacking(), None);
    // One holds another dead that is not.
    stage.puppets[1].table[1].state = State::Dead;
    assert_eq!(stage.lacking().expect("one is held dead").rule, Rule::L4);
    stage.puppets[1].table[1].state = State::Alive;
    // One holds another as it was.
    stage.puppets[2].table[0].metadata = vec![1];
    assert_eq!(stage.lacking().expect("the others do not know").rule, Rule::L5);
    // And that one is gone.
    stage.crashes(2);
    assert_eq!(stage.lacking().expect("the others hold it live").rule, Rule::L1);
}

#[test]
fn who_knows_nobody_need_not_be_found_while_no_seed_is_there_to_ask() {
    let mut stage = Stage::new(3);
    stage.puppets[1].table.push(Held::new(2, State::Alive, 0));
    stage.puppets[2].table.push(Held::new(1, State::Alive, 0));
    assert!(stage.lacking().is_some());
    stage.seeds = 0;
    assert_eq!(stage.lacking(), None);
    // Whoever is known, if only as dead, is found again.
    stage.puppets[1].table.push(Held::new(0, State::Dead, 0));
    assert!(stage.lacking().is_some());
}

#[test]
fn convergence_is_due_after_what_the_settings_allow() {
    let lan = stage::lan();
    assert_eq!(liveness::completeness_max(&lan, 2), Duration::from_secs(6 * 9 + 6 * 4 + 4 + 10 + 1));
    assert!(liveness::completeness_max(&lan, 1000) > Duration::from_secs(2000 * 9));
    assert!(liveness::strong_completeness_max(&lan, 1000) < Duration::from_secs(1200));
    assert!(liveness::convergence_max(&lan, 10) < Duration::from_secs(3600));
}
