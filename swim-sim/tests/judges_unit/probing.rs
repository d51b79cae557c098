//! L2, seen from below: what a node's probing must look like.

use swim_proto::Config;
use swim_proto::wire::{Message, Ping};
use swim_sim::judges::Rule;

use crate::stage::{Stage, alive, id, lan, profile, seconds};

fn ping_of_1() -> Message<'static> {
    Message::Ping(Ping { seq: 1, target: id(1), source: id(0) })
}

#[test]
fn whoever_is_down_is_suspected_within_a_round_of_probes_however_short() {
    let mut stage = Stage::new(2);
    stage.meets(1);
    stage.crashes(1);
    stage.inspect().expect("it has just crashed");
    for period in 1..=9 {
        stage.pass(1.0);
        stage.wakes();
        stage.sends(1, &[ping_of_1()]).expect("it is in order");
        // 2n + 1, and the one under way, the one that finds it, and one that just began.
        if period > 8 { stage.settles_wrongly(Rule::L2) } else { stage.settles() }
    }
}

#[test]
fn a_node_probes_without_pause_and_everyone_in_turn() {
    let mut stage = Stage::new(2);
    stage.meets(1);
    stage.pass(1.0);
    stage.wakes();
    stage.settles();
    // Its health was 0 when it began its last probe.
    stage.now += seconds(1.1);
    stage.wakes();
    stage.settles_wrongly(Rule::L2);

    let mut stage = Stage::new(2);
    stage.meets(1);
    for period in 1..=6 {
        stage.pass(1.0);
        assert_eq!(stage.inspect().is_err(), period > 5, "{period}");
    }
}

/// A node whose period follows its load, and which is behind when it is late by 125 ms. A timer was due after so many
/// seconds, unseen behind an earlier one, until that one was cleared by what came after 0.31 s; it fires after 0.36 s.
/// Then the period ends. Its next one has lasted 1.9 s and goes on.
fn hides_a_timer_due_after(hidden: f64) -> Stage {
    let mut stage = Stage::new(2);
    stage.puppets[0].config = Config { adaptive_interval: true, stall_min: seconds(0.25), ..lan() };
    stage.meets(1);
    // The first probe: from here on it has somebody to probe.
    stage.pass(1.0);
    stage.wakes();
    let begun = stage.now;
    stage.puppets[0].deadline = Some(begun + seconds(0.2));
    stage.settles();

    stage.now = begun + seconds(0.31);
    stage.hears(1, &[alive(1, 0, &profile(1))]);
    stage.puppets[0].deadline = Some(begun + seconds(hidden));
    stage.settles();
    stage.now = begun + seconds(0.36);
    stage.wakes();
    stage.puppets[0].deadline = Some(begun + seconds(1.0));
    stage.settles();

    stage.pass(0.64);
    stage.wakes();
    stage.puppets[0].deadline = Some(begun + seconds(4.0));
    stage.settles();
    stage.now += seconds(1.9);
    stage.wakes();
    stage
}

#[test]
fn whoever_fires_a_timer_late_is_behind_though_another_timer_hid_it() {
    // Late by 0.13 s: the period that ends is followed by one of two seconds.
    let mut behind = hides_a_timer_due_after(0.23);
    behind.settles();
    behind.now += seconds(0.15);
    behind.wakes();
    behind.settles_wrongly(Rule::L2);
    // Late by 0.12 s: it is not behind, and its period has lasted for one.
    hides_a_timer_due_after(0.24).settles_wrongly(Rule::L2);
}
