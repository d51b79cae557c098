//! Reliable messages between nodes: what was promised of their delivery, order and outcomes.

use std::time::Duration;

use swim_driver::messaging::{
    Delivery, Ending, FailReason, MessageEvent, MessagingConfig, MessagingOptions, Port, Received, Refusal, SendError,
    SendOptions,
};
use swim_proto::{State, Status};

use crate::node::{Mix, Node, Wanted, all_alive, cluster, eventually, holds, loopback, restart, start};
use crate::post::{Incoming, Pending};

crate::on_every_mix!(
    messages_arrive_once_and_in_order_and_their_sender_learns_it,
    everybody_may_send_to_everybody_at_once,
    a_message_is_processed_when_it_is_acknowledged_and_not_by_being_dropped,
    what_cannot_be_sent_is_refused_with_a_reason,
    a_receiver_that_was_started_anew_is_given_what_may_be_given_twice_and_nothing_else,
    a_receiver_that_does_not_read_fills_its_own_queue_and_disturbs_nobody,
    a_message_nobody_answers_expires_or_is_cancelled,
    messages_to_a_member_that_dies_fail,
    a_shutdown_sees_to_the_messages_that_are_under_way,
    a_shutdown_does_not_wait_for_ever_and_leaves_no_message_without_an_outcome,
    when_the_last_handle_is_dropped_no_message_stays_without_an_outcome,
    whoever_waits_for_messages_of_a_superseded_node_is_told_that_there_will_be_none,
    a_node_tells_where_its_links_are_accepted,
    whoever_hears_of_a_member_may_write_to_it_at_once,
);

/// `count` numbered messages in one stream.
pub(crate) fn send_numbered(from: &Node, to: &Node, count: u32) -> Vec<Pending> {
    let how = SendOptions::default().in_stream(1).until_processed();
    (0..count).map(|number| from.send(to.id(), number.to_le_bytes().to_vec(), how).expect("it is accepted")).collect()
}

pub(crate) fn number(message: &Received) -> u32 {
    u32::from_le_bytes(message.payload[..].try_into().expect("four bytes"))
}

/// Reads so many numbered messages, elsewhere.
pub(crate) fn reader(mut incoming: Incoming, count: u32) -> std::thread::JoinHandle<Incoming> {
    std::thread::spawn(move || {
        for expected in 0..count {
            assert_eq!(number(&incoming.next()), expected);
        }
        incoming
    })
}

fn messages_arrive_once_and_in_order_and_their_sender_learns_it(mix: Mix) {
    let nodes = cluster(mix, 2);
    for (left, right) in [(&nodes[0], &nodes[1]), (&nodes[1], &nodes[0])] {
        let reader = reader(right.incoming(), 2000);
        for sent in send_numbered(left, right, 2000) {
            let outcome = sent.wait();
            assert_eq!((outcome.ending, outcome.delivery), (Ending::Processed, Delivery::Certain));
            assert!(outcome.is_success() && outcome.to == right.id());
            assert!(outcome.waited.is_some_and(|waited| waited <= outcome.took));
        }
        assert_eq!(reader.join().unwrap().try_recv(), None);
        let (messages, links) = left.post();
        assert_eq!((messages.accepted, messages.done_processed, messages.outgoing), (2000, 2000, 0));
        assert_eq!(links.connects, 1);
        let (messages, links) = right.post();
        assert_eq!((messages.delivered, messages.processed, links.accepts), (2000, 2000, 1));
        assert!(left.peer(right.id()).is_some());
    }
}

fn everybody_may_send_to_everybody_at_once(mix: Mix) {
    let nodes = cluster(mix, 4);
    std::thread::scope(|scope| {
        for from in &nodes {
            let mut incoming = from.incoming();
            scope.spawn(move || {
                let mut buffer = Vec::new();
                while buffer.len() < 3 * 200 {
                    assert!(incoming.recv_many(&mut buffer, 64) > 0);
                }
                assert_eq!(buffer.len(), 3 * 200);
            });
            for to in nodes.iter().filter(|to| to.id() != from.id()) {
                scope.spawn(move || {
                    for sent in send_numbered(from, to, 200) {
                        assert_eq!(sent.wait().ending, Ending::Processed);
                    }
                });
            }
        }
    });
}

fn a_message_is_processed_when_it_is_acknowledged_and_not_by_being_dropped(mix: Mix) {
    let nodes = cluster(mix, 2);
    for (left, right) in [(&nodes[0], &nodes[1]), (&nodes[1], &nodes[0])] {
        let mut incoming = right.incoming();
        let how = SendOptions::default().until_processed();
        let mut first = left.send(right.id(), "kept", how).unwrap();
        let second = left.send(right.id(), "dropped", how).unwrap();

        let kept = incoming.recv_unacknowledged();
        drop(incoming.recv_unacknowledged());
        eventually("the right holds two unacknowledged", || right.post().0.unacknowledged == 2);
        assert!(first.wait_within(Duration::from_millis(200)).is_none(), "nobody has acknowledged it");
        assert_eq!(&kept.acknowledge().payload[..], b"kept");
        assert_eq!(first.wait().ending, Ending::Processed);

        second.cancel().unwrap();
        second.cancel().unwrap_err();
        let outcome = second.wait();
        assert_eq!((outcome.ending, outcome.delivery), (Ending::Cancelled, Delivery::Certain));
    }
}

fn what_cannot_be_sent_is_refused_with_a_reason(mix: Mix) {
    let deaf = Wanted { messaging: None, ..Wanted::named("deaf") }.start(mix, 0).unwrap();
    let node = start(mix, 1, "node", &[&deaf]);
    for each in [&deaf, &node] {
        all_alive(each, 2);
    }
    let refusal = |to, payload: Vec<u8>| node.try_send(to, payload, SendOptions::default()).unwrap_err();
    let refused = |error: SendError, text: &str| assert!(error.to_string().contains(text), "{error}");
    refused(refusal(deaf.id(), vec![1]), "has no endpoint");
    refused(refusal(node.id(), vec![1]), "itself");
    refused(refusal(node.id_of("nobody"), vec![1]), "no member");
    assert!(matches!(
        refusal(deaf.id(), vec![0; 256 * 1024 + 1]),
        SendError::Refused(Refusal::TooLong { max: 262_144, .. })
    ));

    assert_eq!(deaf.send(node.id(), "x", SendOptions::default()).unwrap_err(), SendError::Off);
    assert_eq!(deaf.incoming().recv(), None);
    deaf.message_events().end();
    assert_eq!(deaf.stats().messaging, None);

    node.shutdown();
    assert_eq!(node.try_send(deaf.id(), "x", SendOptions::default()).unwrap_err(), SendError::Closed);
    assert_eq!(node.incoming().recv(), None);
}

fn a_receiver_that_was_started_anew_is_given_what_may_be_given_twice_and_nothing_else(mix: Mix) {
    let nodes = cluster(mix, 2);
    let (left, right) = (&nodes[1], &nodes[0]);
    let how = SendOptions::default().until_processed();
    let lost = left.send(right.id(), "once", how).unwrap();
    let mut kept = left.send(right.id(), "twice", how.redeliverable()).unwrap();
    // Both are there, and nobody takes them.
    eventually("both are delivered", || right.post().0.incoming == 2);
    right.abort();

    // On the other driver, if there are two.
    let again = restart(mix, 1, right.name(), right.address(), left);
    let outcome = lost.wait();
    assert!(matches!(outcome.ending, Ending::Failed(FailReason::Restarted | FailReason::Died)), "{outcome:?}");
    assert_ne!(outcome.delivery, Delivery::Never);
    // Held dead in between, the member fails that one as well.
    let mut incoming = again.incoming();
    eventually("it comes again, or fails", || {
        if let Some(message) = incoming.recv_within(Duration::from_millis(50)) {
            assert_eq!((&message.payload[..], message.repeated), (&b"twice"[..], true));
            return true;
        }
        let outcome = kept.wait_within(Duration::ZERO);
        outcome.inspect(|outcome| assert_eq!(outcome.ending, Ending::Failed(FailReason::Died))).is_some()
    });
    assert_eq!(incoming.try_recv(), None);
}

fn a_receiver_that_does_not_read_fills_its_own_queue_and_disturbs_nobody(mix: Mix) {
    let small = MessagingConfig {
        message_max: 4096,
        queue_messages_max: 400,
        queue_bytes_max: 1 << 20,
        window_messages: 64,
        window_bytes: 64 << 10,
        incoming_bytes_max: 1 << 20,
        ..MessagingConfig::default()
    };
    let wanted = |name: &str| {
        let messaging = Some(MessagingOptions::default().with_config(small.clone()));
        Wanted { messaging, ..Wanted::named(name) }
    };
    let left = wanted("left").start(mix, 1).unwrap();
    let idle = wanted("idle").with_seeds(&[&left]).start(mix, 2).unwrap();
    let busy = wanted("busy").with_seeds(&[&left]).start(mix, 3).unwrap();
    for node in [&left, &idle, &busy] {
        all_alive(node, 3);
    }

    let mut events = left.message_events();
    let mut pending = Vec::new();
    let full = loop {
        match left.try_send(idle.id(), vec![7; 1000], SendOptions::default().in_stream(1)) {
            Ok(sent) => pending.push(sent),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, SendError::Refused(Refusal::QueueFull { .. })), "{full}");
    // Seven eighths of the queue, and as many again as went to the receiver's meanwhile.
    assert!((350..=350 + 64).contains(&pending.len()), "{} were accepted", pending.len());
    eventually("as much as is granted is there", || {
        let (there, _) = idle.post();
        assert!(there.incoming <= 64 && there.incoming_bytes <= 64 << 10, "{there:?}");
        there.incoming > 40
    });

    // Others are served as ever.
    let reader = reader(busy.incoming(), 1000);
    for sent in send_numbered(&left, &busy, 1000) {
        assert_eq!(sent.wait().ending, Ending::Processed);
    }
    reader.join().unwrap();
    let (there, _) = idle.post();
    assert!(there.incoming <= 64, "{there:?}");

    // Whoever waits for room gets it when the receiver reads.
    let (from, to) = (left.clone(), idle.id());
    let waits = std::thread::spawn(move || from.send(to, "at last", SendOptions::default().in_stream(1)));
    let mut incoming = idle.incoming();
    for _ in 0..pending.len() {
        assert_eq!(incoming.next().payload.len(), 1000);
    }
    assert_eq!(&incoming.next().payload[..], b"at last");
    assert!(waits.join().unwrap().unwrap().wait().is_success());
    for sent in pending {
        assert!(sent.wait().is_success());
    }
    events.wait("that there is room", MessageEvent::Writable { to: idle.id() });
}

fn a_message_nobody_answers_expires_or_is_cancelled(mix: Mix) {
    let node = start(mix, 1, "node", &[]);
    // It accepts connections and says nothing.
    let mute = std::net::TcpListener::bind(loopback()).unwrap();
    let endpoint = mute.local_addr().ok();
    let silent = Wanted { messaging: None, endpoint, ..Wanted::named("silent") }.with_seeds(&[&node]);
    let silent = silent.start(mix, 2).unwrap();
    all_alive(&node, 2);

    let brief = SendOptions::default().with_expiry(Duration::from_millis(100));
    let expires = node.try_send(silent.id(), "x", brief).unwrap();
    let cancelled = node.try_send(silent.id(), "x", SendOptions::default()).unwrap();
    let id = cancelled.id();
    node.cancel(id).unwrap();
    node.cancel(id).unwrap_err();
    let outcome = cancelled.wait();
    assert_eq!((outcome.ending, outcome.delivery), (Ending::Cancelled, Delivery::Never));
    let outcome = expires.wait();
    assert_eq!((outcome.ending, outcome.delivery, outcome.waited), (Ending::Expired, Delivery::Never, None));
}

fn messages_to_a_member_that_dies_fail(mix: Mix) {
    let nodes = cluster(mix, 2);
    let (left, right) = (&nodes[1], &nodes[0]);
    let how = SendOptions::default().until_processed().with_expiry(Duration::from_secs(600));
    let pending = left.send(right.id(), "x", how).unwrap();
    right.abort();
    holds(left, right.name(), State::Dead);
    assert_eq!(pending.wait().ending, Ending::Failed(FailReason::Died));
    let error = left.try_send(right.id(), "x", how).unwrap_err();
    assert!(matches!(error, SendError::Refused(Refusal::NotLive(_))), "{error}");
}

fn a_shutdown_sees_to_the_messages_that_are_under_way(mix: Mix) {
    for (from, to) in [(0, 1), (1, 0)] {
        let nodes = cluster(mix, 2);
        let (left, right) = (&nodes[from], &nodes[to]);
        let reader = reader(right.incoming(), 1000);
        let pending = send_numbered(left, right, 1000);
        left.shutdown();
        for sent in pending {
            assert_eq!(sent.wait().ending, Ending::Processed);
        }
        reader.join().unwrap();
        holds(right, left.name(), State::Left);
    }
}

fn a_shutdown_does_not_wait_for_ever_and_leaves_no_message_without_an_outcome(mix: Mix) {
    for (from, to) in [(0, 1), (1, 0)] {
        let nodes = cluster(mix, 2);
        let (left, right) = (&nodes[from], &nodes[to]);
        let pending = send_numbered(left, right, 100);
        // Nobody takes them.
        left.shutdown();
        for sent in pending {
            let outcome = sent.wait();
            assert_eq!(outcome.ending, Ending::Failed(FailReason::Closed));
            assert_ne!(outcome.delivery, Delivery::Never);
        }
    }
}

fn when_the_last_handle_is_dropped_no_message_stays_without_an_outcome(mix: Mix) {
    for from in [0, 1] {
        let mut nodes = cluster(mix, 2);
        let left = nodes.remove(from);
        let endpoint = left.local().endpoint.unwrap();
        let pending = send_numbered(&left, &nodes[0], 3);
        let (mut incoming, mut events) = (left.incoming(), left.message_events());
        drop(left);
        for sent in pending {
            assert_eq!(sent.wait().ending, Ending::Failed(FailReason::Closed));
        }
        assert_eq!(incoming.recv(), None);
        events.end();
        eventually("the port is free", || std::net::TcpListener::bind(endpoint).is_ok());
    }
}

fn whoever_waits_for_messages_of_a_superseded_node_is_told_that_there_will_be_none(mix: Mix) {
    for index in 0..2 {
        let twin = |life, index| Wanted { life: Some(life), ..Wanted::named("twin") }.start(mix, index).unwrap();
        let (old, new) = (twin(1, index), twin(2, index + 1));
        let (mut one, mut many) = (old.incoming(), old.incoming());
        let one = std::thread::spawn(move || one.recv());
        let many = std::thread::spawn(move || many.recv_many(&mut Vec::new(), 8));
        let _third = start(mix, 2, "third", &[&old, &new]);
        eventually("they are told", || one.is_finished() && many.is_finished());
        assert_eq!((one.join().unwrap(), many.join().unwrap()), (None, 0));
        // The node itself is there still.
        assert_eq!((old.status(), old.is_closed()), (Status::Superseded, false));
        let mut after = old.incoming();
        let after = std::thread::spawn(move || after.recv_within(Duration::from_millis(1)));
        eventually("so is whoever asks then", || after.is_finished());
        assert_eq!(after.join().unwrap(), None);
        old.message_events().end();
        assert_eq!(old.try_send(new.id(), "x", SendOptions::default()).unwrap_err(), SendError::Closed);
    }
}

fn a_node_tells_where_its_links_are_accepted(mix: Mix) {
    for index in 0..2 {
        let chosen = start(mix, index, "chosen", &[]);
        let local = chosen.local();
        let endpoint = local.endpoint.unwrap();
        assert!(endpoint.ip() == local.address.ip() && endpoint.port() != local.address.port());
        // It is taken, and told as such.
        let messaging = Some(MessagingOptions::default().with_port(Port::At(endpoint.port())));
        let taken = Wanted { messaging, bind: (endpoint.ip(), 0).into(), ..Wanted::named("taken") };
        let error = taken.start(mix, index).unwrap_err();
        assert!(error.to_string().contains(&endpoint.to_string()), "{error}");
    }
}

fn whoever_hears_of_a_member_may_write_to_it_at_once(mix: Mix) {
    let first = start(mix, 0, "first", &[]);
    for index in 0..10 {
        let node = start(mix, index, &format!("node-{index}"), &[&first]);
        node.joined().unwrap();
        let sent = node.try_send(first.id(), "hello", SendOptions::default()).expect("it is known");
        assert!(sent.wait().is_success());
    }
}
