//! Messages as their rules in `docs/messaging.md` say, one by one: credit, room, and rates (7, 8.2).

use swim_proto::messaging::{Ending, Event, MemberInput, MessagingConfig};
use swim_tests::post::{Post, Taking, delivered, id, millis, secs};

#[test]
fn rates_hold_in_both_directions() {
    let sides: [fn(&mut MessagingConfig); 4] = [
        |config| config.rate_out = 10_000,
        |config| config.rate_out_peer = 10_000,
        |config| config.rate_in = 10_000,
        |config| config.rate_in_peer = 10_000,
    ];
    for (side, set) in sides.into_iter().enumerate() {
        let mut config = MessagingConfig { message_max: 936, rate_burst: 20_000, ..MessagingConfig::default() };
        set(&mut config);
        let mut post = Post::new(1, 2, &config);
        for _ in 0..200 {
            post.send(0, 1, 936, |message| message.expiry = Some(secs(100))).unwrap();
        }
        post.run_for(secs(10));
        // 20 at once, then ten a second; for credit the eighth of the burst that waits may be missing.
        let came = delivered(&post);
        assert!((116..=121).contains(&came), "side {side}: {came}");
        post.run_for(secs(10));
        assert_eq!(delivered(&post), 200, "side {side}");
    }
}

#[test]
fn who_says_little_has_its_turn_soon_where_many_wait_for_a_rate() {
    let config = MessagingConfig { rate_in: 100_000, ..MessagingConfig::default() };
    let mut post = Post::new(1, 41, &config);
    // These want all that the rate gives, and would for a long time: a base (7.5) for all takes 210 s.
    for from in 1..21 {
        for _ in 0..10 {
            post.send(from, 0, 100_000, |_| {}).unwrap();
        }
    }
    post.run_for(secs(1));
    for from in 21..41 {
        post.send(from, 0, 8, |_| {}).unwrap();
    }
    // Forty turns of an eighth of a second, of which the last twenty are theirs; and until the sender has asked.
    post.run_for(secs(8));
    let said = (21..41).filter(|&from| post.at(from).stats().done_delivered == 1).count();
    assert_eq!(said, 20);
}

/// A kilobyte a second, of which a base (7.5) is the burst.
fn slow() -> MessagingConfig {
    MessagingConfig { message_max: 936, rate_in: 1_024, rate_burst: 2_000, ..MessagingConfig::default() }
}

#[test]
fn who_asks_for_credit_is_given_it_after_those_who_wait() {
    let mut post = Post::new(1, 3, &slow());
    post.send(1, 0, 8, |_| {}).unwrap();
    // It has the burst, and what its message took was given back after a step of 250 bytes; less than that is left.
    post.run_for(millis(250));
    post.send(2, 0, 8, |_| {}).unwrap();
    for _ in 0..20 {
        // Each of its messages takes 72 bytes, which the rate has by the next: there would never be a step.
        post.send(1, 0, 8, |_| {}).unwrap();
        post.run_for(millis(71));
    }
    assert_eq!(post.at(2).stats().done_delivered, 1);
}

#[test]
fn who_waits_for_credit_is_given_a_step_at_a_time() {
    let mut post = Post::new(1, 5, &slow());
    for from in 1..5 {
        post.send(from, 0, 8, |_| {}).unwrap();
        post.run_for(millis(3));
    }
    assert_eq!(delivered(&post), 1, "the first has the burst");
    // And gives it back, unused: there is a step for each of the others at once.
    post.hold(0, 1, MemberInput::Dead);
    post.run_for(millis(300));
    assert_eq!(delivered(&post), 4);
}

#[test]
fn who_goes_while_it_waits_for_a_rate_takes_no_turn_of_others() {
    let mut post = Post::new(1, 6, &slow());
    // The first has the burst, and wants more; the second has nothing. Others come into their places.
    for from in 1..3 {
        post.send(from, 0, 936, |_| {}).unwrap();
    }
    post.run_for(millis(5));
    for gone in 1..3 {
        post.hold(0, gone, MemberInput::Forgotten);
    }
    for from in 3..6 {
        post.send(from, 0, 8, |_| {}).unwrap();
        // A base is 2,000 bytes.
        post.run_for(secs(3));
        assert_eq!(post.at(from).stats().done_delivered, 1, "{from}");
    }
}

#[test]
fn credit_that_was_not_used_is_not_charged_to_a_rate() {
    let rates = [(10_000, 0), (0, 10_000), (10_000, 10_000)];
    for (rate_in, rate_in_peer) in rates {
        let mut post = Post::new(1, 2, &MessagingConfig { rate_in, rate_in_peer, ..MessagingConfig::default() });
        for _ in 0..20 {
            post.send(1, 0, 8, |_| {}).unwrap();
            // Each link is promised a base, half of the burst, and says little.
            post.run_for(millis(100));
            post.cut_all();
            post.run_for(secs(1));
        }
        assert_eq!(delivered(&post), 20);
        finds_the_burst(&mut post);
    }
}

/// Whoever comes now is given almost all of the burst.
fn finds_the_burst(post: &mut Post) {
    let before = delivered(post);
    for _ in 0..4 {
        post.send(1, 0, 100_000, |_| {}).unwrap();
    }
    post.run_for(secs(1));
    assert_eq!(delivered(post), before + 4);
}

#[test]
fn credit_kept_for_what_is_missing_is_given_back_with_its_inbox() {
    let config = MessagingConfig { rate_in: 10_000, ..MessagingConfig::default() };
    let mut post = Post::new(1, 2, &config);
    for _ in 0..4 {
        post.send(1, 0, 8, |_| {}).unwrap();
        post.run_for(millis(100));
        post.faults.loss = 1_000;
        post.send(1, 0, 8, |_| {}).unwrap();
        post.run_for(millis(1));
        post.faults.loss = 0;
        post.send(1, 0, 8, |_| {}).unwrap();
        post.run_for(millis(5));
        // A later number came; the inbox is that of a process that is no more.
        post.restart_with(1, &config);
        post.tell_of(1, 0);
        post.tell_of(0, 1);
        post.run_for(secs(1));
    }
    finds_the_burst(&mut post);
}

#[test]
fn what_was_lost_and_expired_is_not_charged_to_a_rate() {
    let config = MessagingConfig { message_max: 30_000, rate_in: 4_096, rate_burst: 1 << 16, ..Default::default() };
    let mut post = Post::new(1, 3, &config);
    post.faults.latency = (millis(50), millis(50));
    for _ in 0..40 {
        post.send(1, 0, 1_000, |message| message.expiry = Some(millis(300))).unwrap();
    }
    post.run_for(millis(240));
    post.cut_all();
    post.run_for(millis(60));
    assert_eq!((post.books.count(|ending| ending == Ending::Expired), delivered(&post)), (40, 0));
    // Another uses up what the rate has.
    for _ in 0..2 {
        post.send(2, 0, 30_000, |_| {}).unwrap();
    }
    post.run_for(secs(2));
    assert_eq!(delivered(&post), 2);
    post.send(1, 0, 8, |_| {}).unwrap();
    // What was lost counted ten seconds of the rate.
    post.run_for(secs(2));
    assert_eq!((delivered(&post), post.at(1).stats().forwards_out), (3, 40));
}

#[test]
fn what_all_senders_together_may_leave_here_is_bounded() {
    let config = MessagingConfig {
        message_max: 936,
        window_bytes: 100_000,
        incoming_bytes_max: 20_000,
        ..MessagingConfig::default()
    };
    let mut post = Post::new(1, 21, &config);
    post.agents[0].taking = Taking::Nothing;
    for from in 1..21 {
        for _ in 0..50 {
            post.send(from, 0, 936, |message| message.expiry = Some(secs(1_000))).unwrap();
        }
    }
    for _ in 0..30 {
        post.run_for(secs(1));
        assert!(post.at(0).stats().incoming_bytes <= 20_000);
    }
    assert!(post.at(0).stats().drops.busy > 0, "not all find room");
    assert!(post.at(0).stats().incoming >= 10);
    post.agents[0].taking = Taking::All;
    post.poll(0);
    post.run_for(secs(60));
    assert_eq!(delivered(&post), 1_000);
}

/// Room for so many senders that say little, each of which may have fifty times as much.
fn room_for(senders: u64) -> MessagingConfig {
    MessagingConfig {
        message_max: 936,
        window_bytes: 100_000,
        incoming_bytes_max: senders * 2_000,
        ..MessagingConfig::default()
    }
}

#[test]
fn senders_that_say_little_leave_room_for_others() {
    let mut post = Post::new(1, 21, &room_for(20));
    for from in 1..21 {
        post.send(from, 0, 400, |_| {}).unwrap();
    }
    post.run_for(millis(100));
    assert_eq!((delivered(&post), post.at(0).stats().drops.busy), (20, 0));
    assert_eq!(post.at(0).stats().incoming_bytes, 40_000);
}

#[test]
fn a_sender_refused_for_want_of_a_place_fills_nothing() {
    let mut post = Post::new(1, 4, &MessagingConfig { peers_max: 2, ..MessagingConfig::default() });
    for from in 1..4 {
        post.send(from, 0, 8, |_| {}).unwrap();
    }
    post.run_for(secs(1));
    assert_eq!((delivered(&post), post.at(0).stats().drops.busy > 0), (2, true));
    let levels = post.agents[0].told.iter().filter(|event| matches!(event, Event::Level { .. }));
    assert_eq!(levels.count(), 0, "what is received has room");
}

#[test]
fn where_there_is_no_room_a_link_that_is_not_used_gives_its_own_up() {
    let mut post = Post::new(1, 21, &room_for(4));
    for from in 1..21 {
        post.send(from, 0, 936, |message| message.expiry = Some(secs(40))).unwrap();
    }
    post.run_for(secs(40));
    assert_eq!(delivered(&post), 20);
    assert!(post.at(0).stats().drops.displaced >= 16 && post.at(0).stats().drops.busy > 0);
}

#[test]
fn a_burst_fills_the_window_though_nobody_takes_it() {
    let mut post = Post::new(1, 2, &room_for(1_000));
    post.agents[0].taking = Taking::Nothing;
    for _ in 0..200 {
        post.send(1, 0, 936, |_| {}).unwrap();
    }
    post.run_for(millis(500));
    assert!((99..=100).contains(&post.at(0).stats().incoming), "{:?}", post.at(0).stats());
}

#[test]
fn a_sender_is_given_more_while_it_uses_what_it_has() {
    let mut post = Post::new(1, 3, &room_for(1_000));
    let granted = |post: &mut Post, from| post.at(0).peer(id(from)).map_or(0, |peer| peer.incoming_bytes);
    post.faults.latency = (millis(50), millis(50));
    post.send(2, 0, 400, |_| {}).unwrap();
    for _ in 0..1_000 {
        post.send(1, 0, 936, |_| {}).unwrap();
    }
    post.run_for(secs(2));
    assert_eq!((delivered(&post), granted(&mut post, 1), granted(&mut post, 2)), (1_001, 100_000, 2_000));
    // Now it says something each second, and what it does not need any more is not promised again.
    for _ in 0..300 {
        post.send(1, 0, 936, |_| {}).unwrap();
        post.run_for(secs(1));
    }
    assert!(granted(&mut post, 1) < 30_000);
    assert_eq!(post.at(0).stats().drops.busy, 0);
}
