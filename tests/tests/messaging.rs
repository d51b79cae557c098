//! Messages as their rules in `docs/messaging.md` say, one by one: what becomes of them.

use std::time::Duration;

use swim_proto::messaging::{
    Buffer, Class, Confirm, Delivery, Ending, Event, FailReason, Level, MemberInput, MessagingConfig, Order, Outgoing,
    Queue, SendError,
};
use swim_proto::{Cause, Event as NodeEvent, Incarnation, Instant, Member, MemberEvent, Path, State, VERSIONS};
use swim_tests::post::{Post, Taking, endpoint, id, millis, secs, two};

/// How each message ended, in the order in which they were sent.
fn endings(post: &Post) -> Vec<Option<(Ending, Delivery)>> {
    let outcomes = post.books.letters.values().map(|letter| letter.outcome);
    outcomes.map(|outcome| outcome.map(|outcome| (outcome.ending, outcome.delivery))).collect()
}

/// How often each message was taken.
fn taken(post: &Post) -> Vec<usize> {
    post.books.letters.values().map(|letter| letter.taken.len()).collect()
}

#[test]
fn each_is_told_what_it_asked_for() {
    let mut post = two();
    post.agents[1].taking = Taking::Nothing;
    for confirm in [Confirm::Sent, Confirm::Delivered, Confirm::Processed] {
        post.send(0, 1, 100, |message| message.confirm = confirm).unwrap();
    }
    post.run_for(secs(1));
    let (sent, delivered) = ((Ending::Sent, Delivery::Possible), (Ending::Delivered, Delivery::Certain));
    assert_eq!(endings(&post), [Some(sent), Some(delivered), None]);
    assert_eq!(post.agents[1].told, [Event::Readable]);
    post.agents[1].taking = Taking::All;
    post.poll(1);
    post.run_for(secs(1));
    assert_eq!(endings(&post), [Some(sent), Some(delivered), Some((Ending::Processed, Delivery::Certain))]);
}

#[test]
fn explicitly_acknowledged_messages_are_processed_then_and_not_before() {
    let mut post = two();
    post.agents[1].taking = Taking::Nothing;
    post.send(0, 1, 100, |message| message.confirm = Confirm::Processed).unwrap();
    post.run_for(secs(1));
    let now = post.now;
    let received = post.at(1).take_unacknowledged(now).expect("it came");
    post.poll(1);
    post.run_for(secs(1));
    assert_eq!((endings(&post)[0], post.at(1).stats().unacknowledged), (None, 1));
    let now = post.now;
    // The books are told by hand: this application is the test.
    assert_eq!(&received.payload[..8], 1u64.to_le_bytes());
    post.books.processed(1);
    assert!(post.at(1).acknowledge(now, received.receipt).is_ok());
    assert!(post.at(1).acknowledge(now, received.receipt).is_err(), "once");
    post.poll(1);
    post.run_for(secs(1));
    assert_eq!(endings(&post)[0], Some((Ending::Processed, Delivery::Certain)));
}

#[test]
fn what_expires_in_flight_is_passed_over_and_blocks_nobody() {
    let mut post = two();
    post.faults.loss = 0;
    post.send(0, 1, 8, |_| {}).unwrap();
    post.run_for(secs(1));
    // The message itself is lost, its successors come and wait for it; then its time is over.
    post.faults.loss = 1_000;
    let ordered = |message: &mut Outgoing| message.order = Order::Stream(1);
    post.send(0, 1, 8, |message| {
        ordered(message);
        message.expiry = Some(millis(500));
    })
    .unwrap();
    post.faults.loss = 0;
    post.send(0, 1, 8, ordered).unwrap();
    post.run_for(millis(400));
    assert_eq!(taken(&post), [1, 0, 0], "the successor is held");
    post.run_for(millis(200));
    assert_eq!(taken(&post), [1, 0, 1]);
    assert_eq!(endings(&post)[1], Some((Ending::Expired, Delivery::Possible)));
    assert_eq!((post.packets[5], post.at(1).stats().forwards_in), (1, 1));
    post.books.close();
}

#[test]
fn what_was_never_put_on_a_link_never_comes() {
    let mut post = two();
    post.kill(1);
    for confirm in [Confirm::Delivered, Confirm::Processed] {
        post.send(0, 1, 8, |message| {
            message.confirm = confirm;
            message.expiry = Some(secs(3));
        })
        .unwrap();
    }
    let last = post.send(0, 1, 8, |_| {}).unwrap();
    assert!(post.cancel(0, last) && !post.cancel(0, last));
    post.run_for(secs(3));
    let never = |ending| Some((ending, Delivery::Never));
    assert_eq!(endings(&post), [never(Ending::Expired), never(Ending::Expired), never(Ending::Cancelled)]);
    post.start(1);
    post.tell_of(0, 1);
    post.run_for(secs(60));
    assert_eq!(taken(&post), [0, 0, 0]);
}

#[test]
fn a_restart_fails_what_was_in_flight_unless_it_may_be_redelivered() {
    let mut post = two();
    post.agents[1].taking = Taking::Nothing;
    for (order, redeliverable) in [(1, false), (1, true), (1, false), (1, true)] {
        post.send(0, 1, 8, |message| {
            message.order = Order::Stream(order);
            (message.confirm, message.redeliverable) = (Confirm::Processed, redeliverable);
        })
        .unwrap();
    }
    post.run_for(secs(1));
    post.kill(1);
    post.run_for(secs(1));
    // What is sent meanwhile was never on a link: it is for whoever comes.
    post.send(0, 1, 8, |message| message.order = Order::Stream(1)).unwrap();
    post.start(1);
    post.tell_of(1, 0);
    post.tell_of(0, 1);
    post.agents[1].taking = Taking::All;
    post.run_for(secs(2));
    let failed = Some((Ending::Failed(FailReason::Restarted), Delivery::Certain));
    let processed = Some((Ending::Processed, Delivery::Certain));
    let delivered = Some((Ending::Delivered, Delivery::Certain));
    assert_eq!(endings(&post), [failed, processed, failed, processed, delivered]);
    assert_eq!(taken(&post), [0, 1, 0, 1, 1]);
}

#[test]
fn a_life_raised_in_place_costs_a_link_and_no_message() {
    let mut post = two();
    post.agents[1].taking = Taking::Nothing;
    post.send(0, 1, 8, |message| message.confirm = Confirm::Processed).unwrap();
    post.send(1, 0, 8, |_| {}).unwrap();
    post.run_for(secs(1));
    let now = post.now;
    post.at(1).set_life(now, 9);
    post.agents[1].life = 9;
    post.tell_of(0, 1);
    post.agents[1].taking = Taking::All;
    post.poll(1);
    post.send(0, 1, 8, |_| {}).unwrap();
    post.send(1, 0, 8, |_| {}).unwrap();
    post.run_for(secs(1));
    assert_eq!(taken(&post), [1, 1, 1, 1]);
    assert_eq!(endings(&post)[0], Some((Ending::Processed, Delivery::Certain)));
    assert!(post.agents[0].told.contains(&Event::Linked { peer: id(1), life: 9 }));
    assert_eq!(post.at(0).stats().failed, 0);
}

#[test]
fn death_fails_everything_at_once_and_a_refuted_one_goes_on_in_order() {
    let mut post = two();
    post.agents[1].taking = Taking::Nothing;
    let ordered = |message: &mut Outgoing| message.order = Order::Stream(3);
    post.send(0, 1, 8, ordered).unwrap();
    post.run_for(secs(1));
    post.faults.loss = 1_000;
    post.send(0, 1, 8, ordered).unwrap();
    post.faults.loss = 0;
    post.run_for(millis(10));
    post.hold(0, 1, MemberInput::Dead);
    assert_eq!(endings(&post)[1], Some((Ending::Failed(FailReason::Died), Delivery::Possible)));
    assert_eq!(post.send(0, 1, 8, ordered), Err(SendError::NotLive(id(1))));
    post.tell_of(0, 1);
    post.agents[1].taking = Taking::All;
    post.poll(1);
    post.send(0, 1, 8, ordered).unwrap();
    post.run_for(secs(1));
    assert_eq!(taken(&post), [1, 0, 1]);
    assert_eq!(post.at(1).stats().forwards_in, 1);
}

#[test]
fn a_message_too_long_for_its_receiver_is_refused_or_fails() {
    let mut post = two();
    let long = MessagingConfig::default().message_max as usize;
    assert!(matches!(post.send(0, 1, long + 1, |_| {}), Err(SendError::TooLong { .. })));
    // The receiver takes less than the sender may send, which the sender learns with the first link.
    let config = MessagingConfig { message_max: 1_000, ..MessagingConfig::default() };
    post.restart_with(1, &config);
    post.tell_of(0, 1);
    post.tell_of(1, 0);
    post.send(0, 1, 1_001, |_| {}).unwrap();
    post.send(0, 1, 1_000, |_| {}).unwrap();
    post.run_for(secs(1));
    let too_long = Some((Ending::Failed(FailReason::TooLong { max: 1_000 }), Delivery::Never));
    assert_eq!(endings(&post), [too_long, Some((Ending::Delivered, Delivery::Certain))]);
    assert_eq!(post.send(0, 1, 1_001, |_| {}), Err(SendError::TooLong { len: 1_001, max: 1_000 }));
}

#[test]
fn closing_ends_everything_once() {
    let mut post = two();
    post.agents[1].taking = Taking::Nothing;
    for confirm in [Confirm::Sent, Confirm::Processed] {
        post.send(0, 1, 8, |message| message.confirm = confirm).unwrap();
    }
    post.send(1, 0, 8, |_| {}).unwrap();
    post.run_for(secs(1));
    post.send(0, 1, 8, |_| {}).unwrap();
    let now = post.now;
    post.at(0).close(now);
    post.at(0).close(now);
    post.poll(0);
    let closed = |delivery| Some((Ending::Failed(FailReason::Closed), delivery));
    let sent = Some((Ending::Sent, Delivery::Possible));
    let delivered = Some((Ending::Delivered, Delivery::Certain));
    assert_eq!(endings(&post), [sent, closed(Delivery::Certain), delivered, closed(Delivery::Possible)]);
    assert_eq!(post.send(0, 1, 8, |_| {}), Err(SendError::Closed));
    post.run_for(secs(60));
    let stats = post.at(0).stats();
    assert_eq!((stats.outgoing, stats.lingering, stats.links), (0, 0, 0));
    assert_eq!(post.at(0).deadline(), None);
}

#[test]
fn queues_are_bounded_and_say_when_there_is_room() {
    let config = MessagingConfig { queue_messages_max: 80, ..MessagingConfig::default() };
    let mut post = Post::new(1, 2, &config);
    post.kill(1);
    let mut accepted = 0;
    let full = loop {
        match post.send(0, 1, 8, |message| message.expiry = Some(secs(10 + accepted))) {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(full, SendError::QueueFull { queue: Queue::PeerMessages, waiting: 70, max: 70 });
    for _ in 0..10 {
        let reserved = |message: &mut Outgoing| (message.class, message.expiry) = (Class::High, Some(secs(600)));
        post.send(0, 1, 8, reserved).expect("the reserve is for the high class");
    }
    let full = post.send(0, 1, 8, |message| message.class = Class::High);
    assert_eq!(full, Err(SendError::QueueFull { queue: Queue::PeerMessages, waiting: 80, max: 80 }));
    let level = |level| Event::Level { buffer: Buffer::OutgoingTo(id(1)), level };
    let told = |post: &Post| -> Vec<Event> {
        let of_queue = |event: &Event| matches!(event, Event::Level { .. } | Event::Writable { .. });
        post.agents[0].told.iter().copied().filter(of_queue).collect()
    };
    assert_eq!(told(&post), [level(Level::High), level(Level::Full)]);
    // They expire one a second: at less than 60 there is room, at less than 40 it is as it was.
    post.run_for(secs(10 + 19));
    assert_eq!(told(&post).len(), 2);
    post.run_for(secs(1));
    let room = [level(Level::High), level(Level::Full), level(Level::High), Event::Writable { to: id(1) }];
    assert_eq!(told(&post), room);
    post.run_for(secs(40));
    assert_eq!(told(&post)[4..], [level(Level::Normal)]);
}

#[test]
fn the_total_is_bounded_and_says_when_there_is_room() {
    let config = MessagingConfig {
        queue_messages_max: 16,
        outgoing_messages_max: 16,
        breaker_failures: 0,
        ..MessagingConfig::default()
    };
    let mut post = Post::new(1, 3, &config);
    post.kill(1);
    for _ in 0..14 {
        post.send(0, 1, 8, |message| message.expiry = Some(secs(1))).unwrap();
    }
    let full = Err(SendError::QueueFull { queue: Queue::Messages, waiting: 14, max: 14 });
    assert_eq!(post.send(0, 2, 8, |_| {}), full, "another member's messages fill the total");
    assert_eq!(post.send(0, 2, 8, |_| {}), full);
    post.run_for(secs(2));
    let writable: Vec<_> = post.agents[0].told.iter().filter(|event| matches!(event, Event::Writable { .. })).collect();
    assert_eq!(writable, [&Event::Writable { to: id(2) }], "once, to whom it was refused");
    post.send(0, 2, 8, |_| {}).unwrap();
}

#[test]
fn refusals_have_their_types() {
    let config = MessagingConfig { peers_max: 2, ..MessagingConfig::default() };
    let mut post = Post::new(1, 4, &config);
    post.kill(1);
    post.kill(2);
    assert_eq!(post.send(0, 0, 8, |_| {}), Err(SendError::Itself));
    assert_eq!(post.send(0, 9, 8, |_| {}), Err(SendError::UnknownMember(id(9))));
    let expiry = Duration::ZERO;
    let zero = post.send(0, 1, 8, |message| message.expiry = Some(expiry));
    assert_eq!(zero, Err(SendError::Expiry { expiry, max: config.expiry_max }));
    post.send(0, 1, 8, |_| {}).unwrap();
    post.send(0, 2, 8, |_| {}).unwrap();
    assert_eq!(post.send(0, 3, 8, |_| {}), Err(SendError::TooManyPeers { max: 2 }));
    post.hold(0, 3, MemberInput::Live { life: 1, address: endpoint(3), endpoint: None });
    assert_eq!(post.send(0, 3, 8, |_| {}), Err(SendError::NoEndpoint(id(3))));
    post.hold(0, 3, MemberInput::Left);
    assert_eq!(post.send(0, 3, 8, |_| {}), Err(SendError::NotLive(id(3))));
    post.hold(0, 2, MemberInput::Live { life: 1, address: endpoint(2), endpoint: None });
    assert_eq!(endings(&post)[1], Some((Ending::Failed(FailReason::NoEndpoint), Delivery::Never)));
    assert_eq!(post.at(0).stats().refused, 6);
}

#[test]
fn events_of_the_node_say_who_can_be_sent_to() {
    let mut post = Post::new(1, 1, &MessagingConfig::default());
    let member = Member {
        id: id(1),
        name: "agent-1",
        address: endpoint(1),
        endpoint: Some(endpoint(1)),
        metadata: &[],
        versions: VERSIONS,
        state: State::Alive,
        incarnation: Incarnation::first(1),
        since: Instant::ZERO,
        rtt: None,
        path: Path::Datagram,
        suspicion: None,
    };
    let now = post.now;
    let change = |state| MemberEvent { member: Member { state, ..member }, cause: Cause::Itself };
    post.at(0).handle_event(now, &NodeEvent::Joined(change(State::Alive)));
    post.send(0, 1, 8, |_| {}).unwrap();
    post.at(0).handle_event(now, &NodeEvent::Suspected(change(State::Suspect)));
    post.send(0, 1, 8, |_| {}).expect("a suspect is live");
    post.at(0).handle_event(now, &NodeEvent::Died(change(State::Dead)));
    assert_eq!(post.send(0, 1, 8, |_| {}), Err(SendError::NotLive(id(1))));
    post.at(0).handle_event(now, &NodeEvent::Updated(change(State::Dead)));
    assert_eq!(post.send(0, 1, 8, |_| {}), Err(SendError::NotLive(id(1))));
    post.at(0).handle_event(now, &NodeEvent::Restarted(change(State::Alive)));
    post.send(0, 1, 8, |_| {}).unwrap();
    post.at(0).handle_event(now, &NodeEvent::Left(change(State::Left)));
    post.at(0).handle_event(now, &NodeEvent::Reaped(change(State::Left)));
    assert_eq!(post.send(0, 1, 8, |_| {}), Err(SendError::UnknownMember(id(1))));
    post.poll(0);
    let never = |reason| Some((Ending::Failed(reason), Delivery::Never));
    assert_eq!(endings(&post), [never(FailReason::Died), never(FailReason::Died), never(FailReason::Left)]);
    assert_eq!((post.at(0).stats().members, post.at(0).stats().peers), (0, 0), "and is forgotten");
}

#[test]
fn a_member_restarted_to_take_longer_messages_is_sent_them() {
    let config = |message_max| MessagingConfig { message_max, ..MessagingConfig::default() };
    let mut post = Post::new(1, 2, &config(200_000));
    post.restart_with(1, &config(64_000));
    post.tell_of(1, 0);
    post.tell_of(0, 1);
    post.send(0, 1, 8, |_| {}).unwrap();
    post.run_for(secs(1));
    assert_eq!(post.send(0, 1, 100_000, |_| {}), Err(SendError::TooLong { len: 100_000, max: 64_000 }));
    post.restart_with(1, &config(200_000));
    post.tell_of(1, 0);
    post.tell_of(0, 1);
    post.send(0, 1, 100_000, |_| {}).expect("nobody has said that it is too long");
    post.run_for(secs(1));
    let delivered = Some((Ending::Delivered, Delivery::Certain));
    assert_eq!(endings(&post), [delivered, delivered]);
    // And the other way: what was accepted for the former is too long for this one.
    post.kill(1);
    post.run_for(secs(1));
    post.send(0, 1, 100_000, |_| {}).unwrap();
    post.restart_with(1, &config(64_000));
    post.tell_of(1, 0);
    post.tell_of(0, 1);
    post.run_for(secs(1));
    let too_long = Ending::Failed(FailReason::TooLong { max: 64_000 });
    assert_eq!(endings(&post)[2], Some((too_long, Delivery::Never)));
}

#[test]
fn what_a_member_takes_at_most_is_known_though_gossip_tells_of_its_life_after_its_link_did() {
    let config = |message_max| MessagingConfig { message_max, ..MessagingConfig::default() };
    let mut post = Post::new(1, 2, &config(200_000));
    post.send(0, 1, 8, |_| {}).unwrap();
    post.run_for(secs(1));
    post.restart_with(1, &config(64_000));
    post.tell_of(1, 0);
    post.run_for(secs(1));
    post.send(0, 1, 8, |_| {}).unwrap();
    post.run_for(secs(1));
    let delivered = Some((Ending::Delivered, Delivery::Certain));
    assert_eq!(endings(&post), [delivered, delivered], "the second by a link to the next process");
    post.tell_of(0, 1);
    assert_eq!(post.send(0, 1, 100_000, |_| {}), Err(SendError::TooLong { len: 100_000, max: 64_000 }));
    post.run_for(secs(1));
    assert_eq!(post.at(1).stats().drops.credit, 0, "nobody is cut off who does as it was told");
}

#[test]
fn whoever_waits_for_room_hears_of_it_or_of_the_end_of_the_member() {
    let silent = MemberInput::Live { life: 1, address: endpoint(2), endpoint: None };
    for end in [MemberInput::Dead, MemberInput::Left, MemberInput::Forgotten, silent] {
        let (queue_messages_max, outgoing_messages_max) = (16, 16);
        let config = MessagingConfig { queue_messages_max, outgoing_messages_max, ..MessagingConfig::default() };
        let mut post = Post::new(1, 3, &config);
        post.agents[1].taking = Taking::Nothing;
        let send = |post: &mut Post, to| {
            post.send(0, to, 8, |message| (message.confirm, message.expiry) = (Confirm::Processed, Some(secs(60))))
        };
        while send(&mut post, 1).is_ok() {}
        let refused = send(&mut post, 2);
        assert!(matches!(refused, Err(SendError::QueueFull { queue: Queue::Messages, .. })), "{refused:?}");
        let writable = |post: &Post, to| {
            post.agents[0].told.iter().filter(|&event| *event == Event::Writable { to: id(to) }).count()
        };
        post.hold(0, 2, end);
        assert_eq!((writable(&post, 1), writable(&post, 2)), (0, 1), "it is no use to wait");
        assert!(!matches!(send(&mut post, 2), Ok(_) | Err(SendError::QueueFull { .. })));
        post.run_for(secs(61));
        assert_eq!((writable(&post, 1), writable(&post, 2)), (1, 1));
    }
}
