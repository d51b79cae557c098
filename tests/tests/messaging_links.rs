//! Messages as their rules in `docs/messaging.md` say, one by one: links, and what is put on them.

use std::net::SocketAddr;
use std::ops::Range;

use swim_proto::Instant;
use swim_proto::messaging::{
    BreakerState, Class, Confirm, Ending, Event, LinkId, LinkInput, MemberInput, MessagingConfig, Outgoing, Trust,
};
use swim_tests::post::{Post, Taking, delivered, endpoint, id, millis, secs, two};

#[test]
fn a_link_cut_in_the_middle_loses_and_repeats_nothing() {
    let mut post = two();
    for burst in 0..40 {
        for _ in 0..20 {
            post.send(0, 1, 500, |_| {}).unwrap();
        }
        post.run_for(millis(burst % 4));
        post.cut_all();
        post.run_for(millis(200));
    }
    post.run_for(secs(5));
    assert_eq!(delivered(&post), 800);
    assert!(post.at(0).stats().data_repeated > 0 && post.at(0).stats().links_ready > 20);
    post.books.close();
}

#[test]
fn what_is_over_is_put_on_no_link_though_no_timer_has_said_so() {
    let mut post = two();
    post.send(0, 1, 8, |_| {}).unwrap();
    post.run_for(secs(1));
    let link = post.link_of(0).expect("there is one");
    let now = post.now;
    post.at(0).handle_link(now, link, LinkInput::Full);
    let sent = post.at(0).stats().data_out;
    post.send(0, 1, 8, |message| message.expiry = Some(millis(100))).unwrap();
    // Its process is held up, and finds first that the link takes more.
    post.now = now + secs(1);
    let late = post.now;
    post.at(0).handle_link(late, link, LinkInput::Writable);
    post.poll(0);
    assert_eq!(post.at(0).stats().data_out, sent);
    assert_eq!(post.books.count(|ending| ending == Ending::Expired), 1);
}

#[test]
fn a_lost_acknowledgement_costs_a_question_and_no_repetition() {
    let mut post = two();
    post.send(0, 1, 8, |_| {}).unwrap();
    post.run_for(secs(1));
    post.send(0, 1, 8, |_| {}).unwrap();
    // The message is on its way; what answers it is lost.
    post.faults.loss = 1_000;
    post.run_for(millis(500));
    post.faults.loss = 0;
    assert_eq!((delivered(&post), post.at(1).stats().taken), (1, 2));
    post.run_for(secs(1));
    let stats = post.at(0).stats();
    assert_eq!((delivered(&post), stats.probes_out, stats.data_repeated), (2, 1, 0));
}

#[test]
fn a_link_that_answers_nothing_is_given_up() {
    let mut post = two();
    post.send(0, 1, 8, |_| {}).unwrap();
    post.run_for(secs(1));
    post.faults.loss = 1_000;
    post.send(0, 1, 8, |message| message.expiry = Some(secs(200))).unwrap();
    post.run_for(secs(40));
    assert!(post.agents[0].told.contains(&Event::Unlinked { peer: id(1) }));
    post.faults.loss = 0;
    post.run_for(secs(60));
    assert_eq!(delivered(&post), 2);
}

#[test]
fn a_slow_application_holds_its_sender_and_nothing_is_asked_for_in_vain() {
    let config = MessagingConfig { window_messages: 16, ..MessagingConfig::default() };
    let mut post = Post::new(1, 2, &config);
    post.agents[1].taking = Taking::Nothing;
    for _ in 0..100 {
        post.send(0, 1, 8, |message| message.expiry = Some(secs(600))).unwrap();
    }
    post.run_for(secs(120));
    let sent = post.packets[4];
    assert_eq!((sent, delivered(&post)), (14, 14), "two of sixteen are the high class's");
    assert!((5..=10).contains(&post.packets[7]), "questions go out ever later: {}", post.packets[7]);
    post.send(0, 1, 8, |message| message.class = Class::High).unwrap();
    post.run_for(secs(1));
    assert_eq!(delivered(&post), 15, "the high class overtakes and uses its reserve");
    post.agents[1].taking = Taking::Each(millis(10));
    post.poll(1);
    post.run_for(secs(3));
    assert_eq!(delivered(&post), 101);
    assert_eq!(post.at(0).stats().data_repeated, 0);
}

#[test]
fn what_was_passed_over_is_given_back_at_once() {
    let config = MessagingConfig { message_max: 936, window_bytes: 2_000, ..MessagingConfig::default() };
    let mut post = Post::new(1, 2, &config);
    post.send(0, 1, 8, |_| {}).unwrap();
    post.run_for(secs(1));
    // A message is lost with its link, and expires; the next one needs its credit.
    post.faults.loss = 1_000;
    post.send(0, 1, 936, |message| message.expiry = Some(millis(20))).unwrap();
    post.run_for(millis(10));
    post.cut_all();
    post.run_for(millis(50));
    post.faults.loss = 0;
    post.send(0, 1, 936, |_| {}).unwrap();
    post.run_for(millis(300));
    assert!(delivered(&post) == 2 && post.at(0).stats().forwards_out > 0);
    assert_eq!((post.at(0).stats().probes_out, post.at(1).peer(id(0)).unwrap().incoming_bytes), (0, 2_000));
}

#[test]
fn no_class_starves_another() {
    let mut post = two();
    post.agents[1].taking = Taking::Each(millis(1));
    let mut sent = [0u32; 4];
    for _ in 0..4_000 {
        for class in Class::ALL {
            let accepted = post.send(0, 1, 1_000, |message| {
                (message.class, message.confirm, message.expiry) = (class, Confirm::Processed, Some(secs(600)));
            });
            sent[class as usize] += u32::from(accepted.is_ok());
        }
        post.run_for(millis(1));
    }
    let mut taken = [0u32; 4];
    for letter in post.books.letters.values() {
        taken[letter.class as usize] += letter.taken.len() as u32;
    }
    // All four always have something, and the shares of sending and of taking are 8, 4, 2 and 1.
    let total: u32 = taken.iter().sum();
    assert!(total > 3_000, "{taken:?}");
    for (class, share) in [8, 4, 2, 1].into_iter().enumerate() {
        let expected = total * share / 15;
        assert!(taken[class].abs_diff(expected) < total / 10, "{taken:?} of {sent:?}");
        assert!(taken[class] > 0);
    }
}

/// Whether a message of so many bytes in this class is delivered while another class always has short ones.
fn is_starved(post: &mut Post, (class, len): (Class, usize), others: Class) -> bool {
    let top_up = |post: &mut Post| {
        while post.at(0).peer(id(1)).map_or(0, |peer| peer.waiting) < 500 {
            let shape = |message: &mut Outgoing| (message.class, message.expiry) = (others, Some(secs(600)));
            post.send(0, 1, 936, shape).unwrap();
        }
        post.run_for(millis(2));
    };
    (0..1_000).for_each(|_| top_up(post));
    let long = post.send(0, 1, len, |message| (message.class, message.expiry) = (class, Some(secs(600)))).unwrap();
    (0..5_000).for_each(|_| top_up(post));
    post.cancel(0, long)
}

#[test]
fn a_long_message_is_not_kept_waiting_by_short_ones() {
    let message_max = 100_000;
    for (long, short) in [(Class::Bulk, Class::High), (Class::Normal, Class::Bulk), (Class::High, Class::Normal)] {
        // The delay varies by more than its target: the flight window stays below the long message.
        let config = MessagingConfig { message_max, ..MessagingConfig::default() };
        let mut post = Post::new(1, 2, &config);
        post.faults.latency = (millis(1), millis(100));
        assert!(!is_starved(&mut post, (long, 100_000), short), "by the flight window: {long:?} by {short:?}");
        assert!(post.at(0).peer(id(1)).unwrap().flight_bytes_max < 100_000);
        // The receiver is slow: credit comes back message by message.
        let mut post = Post::new(1, 2, &MessagingConfig { window_bytes: 201_000, ..config });
        post.agents[1].taking = Taking::Each(millis(5));
        assert!(!is_starved(&mut post, (long, 100_000), short), "by credit in bytes: {long:?} by {short:?}");
    }
    // By credit in messages, of which the high class has a reserve, long and short are alike.
    let mut post = Post::new(1, 2, &MessagingConfig { window_messages: 16, ..MessagingConfig::default() });
    post.agents[1].taking = Taking::Each(millis(5));
    assert!(!is_starved(&mut post, (Class::Bulk, 936), Class::High), "by credit in messages");
}

#[test]
fn who_is_not_there_is_not_believed_and_a_stranger_learns_nothing() {
    let mut post = two();
    let now = post.now;
    // A link from another host, which says that it is agent 1.
    let from: SocketAddr = "10.9.9.9:1234".parse().unwrap();
    let link = post.at(0).accept_link(now, from).unwrap();
    let hello = post.hello_of(1, 0);
    post.at(0).handle_link(now, link, LinkInput::Packet(&[hello]));
    let mut buf = Vec::new();
    let actions: Vec<String> =
        std::iter::from_fn(|| post.at(0).poll_action(&mut buf).map(|action| format!("{action:?}"))).collect();
    assert_eq!(actions.len(), 2, "{actions:?}");
    assert!(actions[0].contains("header: [3, 1, "), "Refuse, Unknown: {actions:?}");
    assert!(actions[1].starts_with("Close"));
    assert_eq!(post.at(0).stats().drops.strangers, 1);
    // The true one has not been disturbed.
    post.send(1, 0, 8, |_| {}).unwrap();
    post.run_for(secs(1));
    assert_eq!(delivered(&post), 1);
}

#[test]
fn where_addresses_are_translated_a_member_may_come_from_anywhere() {
    for (trust, from, greeted) in [
        (Trust::Anywhere, "10.9.9.9:1234", 1),
        (Trust::Host, "10.9.9.9:1234", 0),
        (Trust::Host, "10.0.0.2:1234", 1),
        (Trust::Host, "[::ffff:10.0.0.2]:1234", 1),
    ] {
        let mut post = Post::new(1, 2, &MessagingConfig { trust, ..MessagingConfig::default() });
        let now = post.now;
        let link = post.at(0).accept_link(now, from.parse().unwrap()).unwrap();
        let hello = post.hello_of(1, 0);
        post.at(0).handle_link(now, link, LinkInput::Packet(&[hello]));
        assert_eq!(post.at(0).stats().links_greeted, greeted, "{trust:?} {from}");
    }
}

#[test]
fn silent_links_are_pushed_out_and_timed_out_and_disturb_nobody() {
    let mut post = two();
    let from: SocketAddr = "10.9.9.9:1234".parse().unwrap();
    let config = MessagingConfig::default();
    for _ in 0..5_000 {
        let now = post.now;
        assert!(post.at(0).accept_link(now, from).is_some());
        post.poll_ignoring(0);
    }
    assert_eq!(post.at(0).stats().links, config.accepted_max / 4);
    post.send(1, 0, 8, |_| {}).unwrap();
    post.run_for(millis(100));
    assert_eq!(delivered(&post), 1, "who says who it is, gets in");
    post.run_for(config.link_timeout);
    let stats = post.at(0).stats();
    assert_eq!(stats.links, 1);
    assert_eq!(stats.drops.pushed_out + stats.drops.silent, 5_000);
}

#[test]
fn silent_links_take_no_place_from_links_that_are_believed() {
    let config = MessagingConfig { accepted_max: 8, ..MessagingConfig::default() };
    let mut post = Post::new(1, 9, &config);
    assert_eq!(accepted_from(&mut post, 1..7).len(), 6);
    let (now, from) = (post.now, "10.9.9.9:1234".parse().unwrap());
    for _ in 0..4 {
        assert!(post.at(0).accept_link(now, from).is_some(), "there is room for two that say nothing");
        post.poll_ignoring(0);
    }
    assert_eq!(post.at(0).stats().drops.pushed_out, 2);
    // Though all places are taken there is one for whoever says who it is, and those who did so before keep theirs.
    assert_eq!(accepted_from(&mut post, 7..9).len(), 2);
    let stats = post.at(0).stats();
    assert_eq!((stats.drops.pushed_out, stats.drops.links_full, stats.drops.displaced), (4, 0, 0));
    assert_eq!(stats.links, 8);
}

/// Has these open links to the first, in turn, and gives those that it took.
fn accepted_from(post: &mut Post, members: Range<usize>) -> Vec<LinkId> {
    let now = post.now;
    let mut links = Vec::new();
    for from in members {
        if let Some(link) = post.at(0).accept_link(now, endpoint(from)) {
            let hello = post.hello_of(from, 0);
            post.at(0).handle_link(now, link, LinkInput::Packet(&[hello]));
            post.poll_ignoring(0);
            links.push(link);
        }
    }
    links
}

#[test]
fn an_accepted_link_whose_opener_is_gone_gives_its_place_to_another_and_is_closed_in_the_end() {
    let config = MessagingConfig { accepted_max: 4, ..MessagingConfig::default() };
    let mut post = Post::new(1, 9, &config);
    assert_eq!(accepted_from(&mut post, 1..9).len(), 4);
    assert_eq!((post.at(0).stats().drops.links_full, post.at(0).stats().drops.displaced), (4, 0));
    // None of them says anything more.
    post.run_for(config.link_timeout);
    assert_eq!(accepted_from(&mut post, 1..9).len(), 4);
    assert_eq!((post.at(0).stats().drops.links_full, post.at(0).stats().drops.displaced), (8, 4));
    assert_eq!(post.at(0).stats().links, 4);
    let unused = (config.link_idle + config.rto_max) * 2;
    post.run_for(unused - millis(1));
    assert_eq!(post.at(0).stats().links, 4);
    post.run_for(millis(1));
    assert_eq!((post.at(0).stats().links, post.at(0).stats().drops.unused), (0, 4));
}

#[test]
fn a_link_is_not_closed_for_another_while_what_came_on_it_waits_for_the_application() {
    let config = MessagingConfig { accepted_max: 4, ..MessagingConfig::default() };
    let mut post = Post::new(1, 9, &config);
    post.agents[0].taking = Taking::Nothing;
    post.send(1, 0, 8, |_| {}).unwrap();
    post.run_for(config.link_timeout);
    assert_eq!(accepted_from(&mut post, 2..9).len(), 3);
    post.run_for(config.link_timeout);
    // Nothing came on the first for longest, and yet it is not the first to go.
    assert_eq!(accepted_from(&mut post, 2..9).len(), 3);
    assert_eq!((post.at(0).stats().drops.displaced, post.at(0).stats().links), (3, 4));
    assert_eq!(post.at(1).stats().links, 1, "its opener still has it");
}

#[test]
fn links_are_shared_in_turn_where_there_are_few_and_closed_when_idle() {
    let config = MessagingConfig { links_max: 2, link_idle: secs(1), ..MessagingConfig::default() };
    let mut post = Post::new(1, 9, &config);
    for to in 1..9 {
        post.send(0, to, 8, |_| {}).unwrap();
    }
    assert!(post.at(0).stats().links <= 2);
    post.run_for(secs(1));
    assert_eq!(delivered(&post), 8);
    post.run_for(secs(2));
    assert_eq!(post.at(0).stats().links, 0);
}

#[test]
fn a_link_freed_by_a_death_or_a_move_goes_to_the_first_in_line() {
    let dead = MemberInput::Dead;
    let moved = MemberInput::Live { life: 1, address: endpoint(1), endpoint: None };
    for news in [dead, moved] {
        let config = MessagingConfig { links_max: 1, ..MessagingConfig::default() };
        let mut post = Post::new(1, 3, &config);
        post.agents[1].taking = Taking::Nothing;
        post.send(0, 1, 8, |message| (message.confirm, message.expiry) = (Confirm::Processed, Some(secs(600))))
            .unwrap();
        post.run_for(secs(1));
        post.send(0, 2, 8, |_| {}).unwrap();
        post.run_for(secs(1));
        assert_eq!(delivered(&post), 0, "the only link is in use");
        post.hold(0, 1, news);
        post.run_for(secs(1));
        assert_eq!(delivered(&post), 1);
    }
}

#[test]
fn a_new_endpoint_is_gone_to_and_an_early_or_late_life_is_not_let_in() {
    let mut post = Post::new(1, 3, &MessagingConfig::default());
    // Where agent 1 is said to be there is agent 2, which says that it is somebody else.
    post.hold(0, 1, MemberInput::Live { life: 1, address: endpoint(1), endpoint: Some(endpoint(2)) });
    post.send(0, 1, 8, |_| {}).unwrap();
    post.run_for(secs(1));
    assert!(post.at(2).stats().drops.misdirected > 0 && delivered(&post) == 0);
    post.tell_of(0, 1);
    post.run_for(secs(1));
    assert_eq!(delivered(&post), 1);
    // A sender of whose new life the receiver has not heard yet comes back until it has.
    post.kill(1);
    post.start(1);
    post.tell_of(1, 0);
    post.send(1, 0, 8, |_| {}).unwrap();
    post.run_for(secs(1));
    assert!(post.at(0).stats().drops.early > 0 && delivered(&post) == 1);
    post.tell_of(0, 1);
    post.run_for(secs(2));
    assert_eq!(delivered(&post), 2);
    assert_eq!(post.at(1).peer(id(0)).expect("a peer").breaker, BreakerState::Closed);
    assert!(post.now > Instant::ZERO);
}
