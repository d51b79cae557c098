//! The contract of [`swim_proto::Node`], sentence by sentence, under inputs that nobody would send.

mod script;

use std::time::Duration;

use proptest::prelude::*;
use script::{Run, Step, steps};

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    /// 1: after every input, poll until `None`; then there is nothing to do before the deadline.
    #[test]
    fn once_nothing_is_to_be_done_nothing_is_until_an_input_or_the_deadline(script in steps(), seed: u64) {
        let mut run = Run::new(seed);
        for step in &script {
            run.perform(step);
            prop_assert!(run.poll_again_gives_nothing());
        }
    }

    /// 2: `now` may stand still: a node does with many inputs of one instant what it does where each comes a nanosecond
    /// after the other.
    #[test]
    fn any_number_of_inputs_may_happen_at_one_instant(script in steps(), seed: u64) {
        let [mut still, mut moving] = [Run::new(seed), Run::new(seed)];
        let mut ticks = 0;
        // A time-out is no input that may come at any time: what is due a nanosecond later is due there in one run.
        for step in script.iter().filter(|step| !step.takes_time() && !matches!(step, Step::Timeout)) {
            prop_assert_eq!(still.perform(step), moving.perform(step));
            moving.tick();
            ticks += 1;
        }
        prop_assert_eq!(still.said(), moving.said());
        prop_assert_eq!(still.timeless_views(), moving.timeless_views());
        // Whatever it has set a time for was set that much later at most.
        let [earlier, later] = [still.deadline(), moving.deadline()];
        prop_assert_eq!(earlier.is_some(), later.is_some());
        if let (Some(earlier), Some(later)) = (earlier, later) {
            prop_assert!(earlier <= later && later - earlier <= Duration::from_nanos(ticks), "{earlier:?}, {later:?}");
        }
        // And it comes to rest there.
        let now = still.now();
        still.nudge();
        prop_assert_eq!(still.now(), now);
        prop_assert!(still.deadline().is_none_or(|deadline| deadline > now));
    }

    /// 3: a time-out early or repeated changes nothing.
    #[test]
    fn a_timeout_that_is_early_or_repeated_is_harmless(script in steps(), seed: u64) {
        let mut plain = Run::new(seed);
        let mut nudged = Run::new(seed);
        for step in &script {
            plain.perform(step);
            nudged.perform(step);
            // What is due is not early: both do it here.
            if plain.deadline().is_some_and(|deadline| deadline <= plain.now()) {
                plain.nudge();
                nudged.nudge();
            }
            nudged.nudge();
            nudged.nudge();
        }
        prop_assert_eq!(plain.trace(), nudged.trace());
        prop_assert_eq!(plain.views(), nudged.views());
    }

    /// 3: whenever it comes, afterwards the deadline lies ahead.
    #[test]
    fn after_a_timeout_however_late_the_deadline_lies_ahead(script in steps(), seed: u64, late_ms in 0..100_000_u64) {
        let mut run = Run::new(seed);
        for step in &script {
            run.perform(step);
        }
        run.sleep(late_ms);
        run.nudge();
        prop_assert!(run.deadline().is_none_or(|deadline| deadline > run.now()));
        run.nudge();
        prop_assert!(run.deadline().is_none_or(|deadline| deadline > run.now()));
    }

    /// 4: what is refused leaves no trace.
    #[test]
    fn what_is_refused_leaves_the_node_as_it_was(script in steps(), seed: u64) {
        let mut all = Run::new(seed);
        let mut accepted = Vec::new();
        for step in &script {
            if !all.perform(step).was_refused() {
                accepted.push(step);
            }
        }
        let mut rest = Run::new(seed);
        for step in accepted {
            rest.perform(step);
        }
        prop_assert_eq!(all.trace(), rest.trace());
        prop_assert_eq!(all.views(), rest.views());
    }

    /// 5: same seed, same inputs, same bytes.
    #[test]
    fn the_same_seed_and_inputs_give_the_same_actions(script in steps(), seed: u64) {
        let [mut once, mut again] = [Run::new(seed), Run::new(seed)];
        for step in &script {
            once.perform(step);
            again.perform(step);
        }
        prop_assert_eq!(once.trace(), again.trace());
        prop_assert_eq!(once.views(), again.views());
    }

    /// What a driver relies upon besides: bounded datagrams, write credit, streams that stay gone.
    #[test]
    fn a_driver_can_keep_what_it_is_asked_for(script in steps(), seed: u64) {
        let mut run = Run::new(seed);
        for step in &script {
            run.perform(step);
        }
        run.assert_that_streams_were_in_order();
    }
}

#[test]
fn another_seed_gives_other_actions() {
    let script = [Step::introduce_all(), Step::Run { ms: 20_000 }];
    let traces = [1, 2].map(|seed| {
        let mut run = Run::new(seed);
        script.iter().for_each(|step| {
            run.perform(step);
        });
        run.trace().to_vec()
    });
    assert_ne!(traces[0], traces[1]);
}
