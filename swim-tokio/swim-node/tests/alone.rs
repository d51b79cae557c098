//! A node that loses all others at once, and one that an operator removes.

mod agents;

use std::time::{Duration, Instant};

use agents::{Agent, free_address};
use swim_tokio::{Options, State};

#[test]
fn whoever_hears_nobody_says_that_it_is_isolated_before_it_buries_anyone() {
    let [a, b, c] = [free_address(), free_address(), free_address()];
    let quick = ["--set", "probe_interval=300ms", "--set", "probe_timeout=150ms", "--set", "stall_max=500ms"];
    let start = |own, seeds: &str| Agent::start(own, &[&["--seeds", seeds][..], &quick].concat());
    let (a_text, b_text) = (a.to_string(), b.to_string());
    let mut agents = [start(a, &b_text), start(b, &a_text), start(c, &a_text)];
    for index in 0..3 {
        for other in [a, b, c].into_iter().filter(|other| *other != [a, b, c][index]) {
            agents[index].wait_for_member(&["joined"], other);
        }
    }
    let [one, two, three] = &mut agents;
    one.turn_the_page();
    let before = one.events.len();
    two.kill();
    three.kill();
    let isolated = one.wait_for("isolated", |event| event["event"] == "isolated");
    assert!(isolated["since"].is_string(), "{isolated}");
    for gone in [b, c] {
        one.wait_for_member(&["died"], gone);
    }
    let kinds: Vec<_> = one.events[before..].iter().map(|event| event["event"].as_str().unwrap_or_default()).collect();
    let first = |kind| kinds.iter().position(|seen| *seen == kind);
    assert!(first("isolated") < first("died"), "{kinds:?}");

    one.turn_the_page();
    let _back = start(b, &a_text);
    let reconnected = one.wait_for("reconnected", |event| event["event"] == "reconnected");
    assert!(reconnected["after_s"].as_f64() > Some(0.0), "{reconnected}");
}

#[test]
fn a_dead_member_that_an_operator_removes_has_left_everywhere() {
    let [a, b] = [free_address(), free_address()];
    let quick = ["--set", "probe_interval=300ms", "--set", "probe_timeout=150ms"];
    let mut one = Agent::start(a, &quick);
    let mut two = Agent::start(b, &[&["--seeds", &a.to_string()][..], &quick].concat());
    one.wait_for_member(&["joined"], b);

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let operator = runtime.block_on(async {
        let operator = Options::new("127.0.0.1:0".parse().unwrap()).with_name("operator");
        let operator = operator.with_seeds([a.to_string()]).start().await.unwrap();
        operator.joined().await.unwrap();
        operator
    });
    let dead = operator.id_of(&b.to_string());
    two.kill();
    one.wait_for_member(&["died"], b);
    runtime.block_on(async {
        let until = Instant::now() + agents::DEADLINE;
        while operator.member(dead).await.unwrap().is_none_or(|member| member.state != State::Dead) {
            assert!(Instant::now() < until, "the operator's own node never held it dead");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        operator.force_leave(dead).await.unwrap();
    });
    let left = one.wait_for_member(&["left"], b);
    assert_eq!(left["member"]["state"], "left");
}
