//! Breakers as their rules in `docs/messaging.md` 9 say: when they open, what is tried meanwhile, when they close.

use std::time::Duration;

use swim_proto::messaging::{BreakerState, Event, MemberInput, MessagingConfig, SendError};
use swim_tests::post::{Post, delivered, endpoint, id, millis, secs, two};

#[test]
fn a_dead_endpoint_opens_the_breaker_and_a_trial_closes_it() {
    let mut post = two();
    post.kill(1);
    let expiry = Some(secs(600));
    post.send(0, 1, 8, |message| message.expiry = expiry).unwrap();
    let opened = |event: &Event| matches!(event, Event::Breaker { state: BreakerState::Open { .. }, .. });
    while !post.agents[0].told.iter().any(opened) {
        post.run_for(millis(10));
    }
    let refused = post.send(0, 1, 8, |_| {});
    assert!(matches!(refused, Err(SendError::BreakerOpen { .. })), "{refused:?}");
    // The process comes back in the same life: to the membership nothing happened.
    post.agents[1].life -= 1;
    post.start(1);
    post.tell_of(1, 0);
    post.run_for(secs(60));
    assert_eq!(delivered(&post), 1, "what was accepted waited");
    let states: Vec<_> = post.agents[0]
        .told
        .iter()
        .filter_map(|event| match event {
            Event::Breaker { state, .. } => Some(*state),
            _ => None,
        })
        .collect();
    assert!(matches!(states[0], BreakerState::Open { retry_in: Some(_) }));
    assert_eq!(states[states.len() - 2..], [BreakerState::HalfOpen, BreakerState::Closed]);
    post.send(0, 1, 8, |_| {}).unwrap();
}

#[test]
fn half_open_lets_one_message_try() {
    let mut post = two();
    post.kill(1);
    let trial = |post: &mut Post| post.send(0, 1, 8, |message| message.expiry = Some(secs(100)));
    for _ in 0..5 {
        post.send(0, 1, 8, |message| message.expiry = Some(millis(50))).unwrap();
    }
    post.run_for(millis(100));
    assert!(matches!(trial(&mut post), Err(SendError::BreakerOpen { .. })));
    post.run_for(secs(1));
    let first = trial(&mut post).expect("half-open");
    assert_eq!(trial(&mut post), Err(SendError::Trying));
    assert!(post.cancel(0, first));
    trial(&mut post).expect("the first was taken back");
}

/// Sends messages with an expiry, one after the other, while the breaker lets them pass. How many it did.
fn send_briefly(post: &mut Post, count: usize, expiry: Duration) -> usize {
    let mut accepted = 0;
    for _ in 0..count {
        accepted += usize::from(post.send(0, 1, 8, |message| message.expiry = Some(expiry)).is_ok());
        post.run_for(expiry);
    }
    accepted
}

#[test]
fn messages_that_expire_within_a_round_trip_do_not_open_the_breaker_of_who_is_there() {
    let mut post = two();
    // Before there is a link, while it comes up, and when it stands: no answer can come in time.
    post.faults.latency = (millis(20), millis(20));
    assert_eq!(send_briefly(&mut post, 200, millis(1)), 200);
    assert_eq!((delivered(&post), post.at(0).stats().breakers_opened), (0, 0));
    assert!(post.at(0).stats().data_out > 0, "the link stands");
    post.send(0, 1, 8, |_| {}).unwrap();
    post.run_for(secs(1));
    assert_eq!(delivered(&post), 1);
}

#[test]
fn a_link_that_failed_long_ago_is_not_held_against_who_is_there_now() {
    let mut post = two();
    post.kill(1);
    post.send(0, 1, 8, |message| message.expiry = Some(millis(50))).unwrap();
    post.run_for(secs(1));
    assert_eq!((post.at(0).stats().links_failed, post.at(0).stats().breakers_opened), (1, 0));
    // The process comes back in the same life: to the membership nothing happened.
    post.agents[1].life -= 1;
    post.start(1);
    post.tell_of(1, 0);
    post.faults.latency = (millis(20), millis(20));
    assert_eq!(send_briefly(&mut post, 200, millis(1)), 200);
    assert_eq!(post.at(0).stats().breakers_opened, 0);
}

/// Two, of which the one sends the other, on a link that stands and that nothing crosses any more, what expires until the
/// breaker is open.
fn silenced() -> Post {
    let config = MessagingConfig { breaker_failures: 3, ..MessagingConfig::default() };
    let mut post = Post::new(1, 2, &config);
    post.send(0, 1, 8, |_| {}).unwrap();
    post.run_for(secs(1));
    post.faults.loss = 1_000;
    for _ in 0..3 {
        post.send(0, 1, 8, |message| message.expiry = Some(config.rto_min)).unwrap();
    }
    post.run_for(config.rto_min);
    post
}

#[test]
fn messages_that_waited_for_the_time_out_open_the_breaker() {
    let mut post = silenced();
    assert!(matches!(post.send(0, 1, 8, |_| {}), Err(SendError::BreakerOpen { .. })));
}

#[test]
fn short_expiries_open_the_breaker_once_questions_go_unanswered() {
    let mut post = two();
    post.send(0, 1, 8, |_| {}).unwrap();
    post.run_for(secs(1));
    post.faults.loss = 1_000;
    // It is asked after one second, and again after two more: then five messages are enough.
    assert_eq!(send_briefly(&mut post, 29, millis(100)), 29);
    assert_eq!(post.at(0).stats().breakers_opened, 0);
    assert!(send_briefly(&mut post, 20, millis(100)) < 20);
    assert!(post.at(0).stats().breakers_opened > 0);
}

#[test]
fn a_trial_that_expires_too_soon_to_show_anything_lets_another_try() {
    let mut post = silenced();
    (post.faults.loss, post.faults.latency) = (0, (millis(20), millis(20)));
    post.run_for(secs(1));
    assert_eq!(post.at(0).peer(id(1)).unwrap().breaker, BreakerState::HalfOpen);
    assert_eq!(send_briefly(&mut post, 1, millis(1)), 1);
    assert_eq!(post.at(0).peer(id(1)).unwrap().breaker, BreakerState::HalfOpen);
    post.send(0, 1, 8, |_| {}).expect("another trial");
    post.run_for(secs(1));
    assert_eq!(delivered(&post), 2);
}

/// Sends what expires until the breaker is open.
fn open_breaker(post: &mut Post) {
    post.kill(1);
    for _ in 0..5 {
        post.send(0, 1, 8, |message| message.expiry = Some(millis(50))).unwrap();
    }
    post.run_for(millis(100));
    assert!(matches!(post.send(0, 1, 8, |_| {}), Err(SendError::BreakerOpen { .. })));
}

#[test]
fn a_trial_that_fails_for_a_reason_of_its_own_lets_another_try() {
    let mut post = two();
    open_breaker(&mut post);
    post.run_for(secs(1));
    post.send(0, 1, 8, |_| {}).expect("half-open");
    // The member takes no messages for a while: the trial says nothing of who is there.
    let life = post.agents[1].life;
    post.hold(0, 1, MemberInput::Live { life, address: endpoint(1), endpoint: None });
    post.agents[1].life -= 1;
    post.start(1);
    post.tell_of(1, 0);
    post.tell_of(0, 1);
    post.send(0, 1, 8, |_| {}).expect("another trial");
    post.run_for(secs(1));
    assert_eq!((delivered(&post), post.at(0).peer(id(1)).unwrap().breaker), (1, BreakerState::Closed));
}

#[test]
fn a_new_life_is_not_held_to_account_for_the_one_before() {
    let mut post = two();
    open_breaker(&mut post);
    post.start(1);
    post.tell_of(1, 0);
    post.tell_of(0, 1);
    post.send(0, 1, 8, |_| {}).expect("somebody else is there");
    post.run_for(millis(100));
    assert_eq!(delivered(&post), 1);
}
