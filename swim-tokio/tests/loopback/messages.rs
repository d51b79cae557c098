//! Reliable messages between nodes: what was promised of their delivery, order and outcomes.

use std::time::Duration;

use swim_tokio::{
    Delivery, Ending, FailReason, Handle, Incoming, MessageEvent, MessagingConfig, MessagingOptions, Options, Pending,
    Received, Refusal, SendError, SendOptions, State,
};
use tokio::time::{sleep, timeout};

use crate::cluster::{PATIENCE, all_alive, cluster, eventually, holds, loopback, options, quick, restart, soon, start};

pub(crate) async fn next(incoming: &mut Incoming) -> Received {
    soon("a message", incoming.recv()).await.expect("the node runs")
}

/// `count` numbered messages in one stream.
pub(crate) async fn send_numbered(from: &Handle, to: &Handle, count: u32) -> Vec<Pending> {
    let mut pending = Vec::new();
    for number in 0..count {
        let how = SendOptions::default().in_stream(1).until_processed();
        let sent = from.send(to.id(), number.to_le_bytes().to_vec(), how);
        pending.push(soon("room", sent).await.expect("it is accepted"));
    }
    pending
}

pub(crate) fn number(message: &Received) -> u32 {
    u32::from_le_bytes(message.payload[..].try_into().expect("four bytes"))
}

#[tokio::test]
async fn messages_arrive_once_and_in_order_and_their_sender_learns_it() {
    let nodes = cluster(2).await;
    let [left, right] = &nodes[..] else { unreachable!() };
    let mut incoming = right.incoming();
    let reader = tokio::spawn(async move {
        for expected in 0..5000 {
            let message = next(&mut incoming).await;
            assert_eq!(number(&message), expected);
        }
        incoming
    });
    let pending = send_numbered(left, right, 5000).await;
    for sent in pending {
        let outcome = soon("an outcome", sent).await;
        assert_eq!((outcome.ending, outcome.delivery), (Ending::Processed, Delivery::Certain));
        assert!(outcome.is_success() && outcome.to == right.id());
        assert!(outcome.waited.is_some_and(|waited| waited <= outcome.took));
    }
    let mut incoming = reader.await.unwrap();
    assert_eq!(incoming.try_recv(), None);
    let (messages, links) = left.stats().await.unwrap().messaging.unwrap();
    assert_eq!((messages.accepted, messages.done_processed, messages.outgoing), (5000, 5000, 0));
    assert_eq!((links.connects, links.links), (1, 1));
    let (messages, links) = right.stats().await.unwrap().messaging.unwrap();
    assert_eq!((messages.delivered, messages.processed, links.accepts), (5000, 5000, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_may_send_to_everybody_at_once() {
    let nodes = cluster(4).await;
    let mut tasks = tokio::task::JoinSet::new();
    for from in &nodes {
        let mut incoming = from.incoming();
        tasks.spawn(async move {
            let mut buffer = Vec::new();
            while buffer.len() < 3 * 300 {
                assert!(soon("messages", incoming.recv_many(&mut buffer, 64)).await > 0);
            }
            assert_eq!(buffer.len(), 3 * 300);
        });
        for to in nodes.iter().filter(|to| to.id() != from.id()) {
            let (from, to) = (from.clone(), to.clone());
            tasks.spawn(async move {
                for sent in send_numbered(&from, &to, 300).await {
                    assert_eq!(soon("an outcome", sent).await.ending, Ending::Processed);
                }
            });
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn a_message_is_processed_when_it_is_acknowledged_and_not_by_being_dropped() {
    let nodes = cluster(2).await;
    let [left, right] = &nodes[..] else { unreachable!() };
    let mut incoming = right.incoming();
    let how = SendOptions::default().until_processed();
    let mut first = left.send(right.id(), "kept", how).await.unwrap();
    let second = left.send(right.id(), "dropped", how).await.unwrap();

    let kept = soon("a message", incoming.recv_unacknowledged()).await.unwrap();
    drop(soon("a message", incoming.recv_unacknowledged()).await.unwrap());
    eventually("the right holds two unacknowledged", async || {
        right.stats().await.unwrap().messaging.unwrap().0.unacknowledged == 2
    })
    .await;
    assert!(timeout(Duration::from_millis(200), &mut first).await.is_err(), "nobody has acknowledged it");
    assert_eq!(&kept.acknowledge().unwrap().payload[..], b"kept");
    assert_eq!(soon("an outcome", first).await.ending, Ending::Processed);

    second.cancel().unwrap();
    second.cancel().unwrap_err();
    let outcome = soon("an outcome", second).await;
    assert_eq!((outcome.ending, outcome.delivery), (Ending::Cancelled, Delivery::Certain));
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_with_a_reason() {
    let deaf = options("deaf").without_messaging().start().await.unwrap();
    let node = start("node", &[&deaf]).await;
    for each in [&deaf, &node] {
        all_alive(each, 2).await;
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

    let off = deaf.send(node.id(), "x", SendOptions::default()).await.unwrap_err();
    assert_eq!(off, SendError::Off);
    assert_eq!(deaf.incoming().recv().await, None);
    assert!(deaf.message_events().recv().await.is_err());
    assert_eq!(deaf.stats().await.unwrap().messaging, None);

    node.shutdown().await;
    let closed = node.try_send(deaf.id(), "x", SendOptions::default()).unwrap_err();
    assert_eq!(closed, SendError::Closed);
    assert_eq!(node.incoming().recv().await, None);
}

#[tokio::test]
async fn a_receiver_that_was_started_anew_is_given_what_may_be_given_twice_and_nothing_else() {
    let nodes = cluster(2).await;
    let [left, right] = &nodes[..] else { unreachable!() };
    let (at, name) = (right.address(), right.name().to_owned());
    let how = SendOptions::default().until_processed();
    let lost = left.send(right.id(), "once", how).await.unwrap();
    let kept = left.send(right.id(), "twice", how.redeliverable()).await.unwrap();
    // Both are there, and nobody takes them.
    eventually("both are delivered", async || right.stats().await.unwrap().messaging.unwrap().0.incoming == 2).await;
    right.abort().await;

    let again = restart(&name, at, left).await;
    let outcome = soon("an outcome", lost).await;
    assert!(matches!(outcome.ending, Ending::Failed(FailReason::Restarted | FailReason::Died)), "{outcome:?}");
    assert_ne!(outcome.delivery, Delivery::Never);
    let mut incoming = again.incoming();
    // Held dead in between, the member fails that one as well.
    let message = timeout(PATIENCE, async {
        tokio::select! {
            message = incoming.recv() => message,
            outcome = kept => { assert_eq!(outcome.ending, Ending::Failed(FailReason::Died)); None }
        }
    });
    if let Some(message) = message.await.expect("one or the other") {
        assert_eq!((&message.payload[..], message.repeated), (&b"twice"[..], true));
    }
    assert_eq!(incoming.try_recv(), None);
}

#[tokio::test]
async fn a_receiver_that_does_not_read_fills_its_own_queue_and_disturbs_nobody() {
    let small = MessagingConfig {
        message_max: 4096,
        queue_messages_max: 400,
        queue_bytes_max: 1 << 20,
        window_messages: 64,
        window_bytes: 64 << 10,
        incoming_bytes_max: 1 << 20,
        ..MessagingConfig::default()
    };
    let messaging = MessagingOptions::default().with_config(small);
    let options = |name: &str| options(name).with_messaging(messaging.clone());
    let left = options("left").start().await.unwrap();
    let seeds = [left.address().to_string()];
    let idle = options("idle").with_seeds(seeds.clone()).start().await.unwrap();
    let busy = options("busy").with_seeds(seeds).start().await.unwrap();
    for node in [&left, &idle, &busy] {
        all_alive(node, 3).await;
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
    assert_eq!(pending.len(), 350, "seven eighths of the queue");
    eventually("as much as is granted is there", async || {
        let (there, _) = idle.stats().await.unwrap().messaging.unwrap();
        assert!(there.incoming <= 64 && there.incoming_bytes <= 64 << 10, "{there:?}");
        there.incoming > 40
    })
    .await;

    // Others are served as ever.
    let mut incoming = busy.incoming();
    let reader = tokio::spawn(async move {
        for _ in 0..1000 {
            next(&mut incoming).await;
        }
    });
    for sent in send_numbered(&left, &busy, 1000).await {
        assert_eq!(soon("an outcome", sent).await.ending, Ending::Processed);
    }
    reader.await.unwrap();
    let (there, _) = idle.stats().await.unwrap().messaging.unwrap();
    assert!(there.incoming <= 64, "{there:?}");

    // Whoever waits for room gets it when the receiver reads.
    let waits = tokio::spawn({
        let (left, to) = (left.clone(), idle.id());
        async move { left.send(to, "at last", SendOptions::default().in_stream(1)).await }
    });
    let mut incoming = idle.incoming();
    for _ in 0..350 {
        assert_eq!(next(&mut incoming).await.payload.len(), 1000);
    }
    assert_eq!(&next(&mut incoming).await.payload[..], b"at last");
    assert!(soon("an outcome", soon("room", waits).await.unwrap().unwrap()).await.is_success());
    for sent in pending {
        assert!(soon("an outcome", sent).await.is_success());
    }
    soon("the event that there is room", async {
        while events.recv().await.unwrap() != (MessageEvent::Writable { to: idle.id() }) {}
    })
    .await;
}

#[tokio::test]
async fn a_message_nobody_answers_expires_or_is_cancelled() {
    let node = start("node", &[]).await;
    // It accepts connections and says nothing.
    let mute = std::net::TcpListener::bind(loopback()).unwrap();
    let mut silent = options("silent").without_messaging().with_seeds([node.address().to_string()]);
    silent.endpoint = Some(mute.local_addr().unwrap());
    let silent = silent.start().await.unwrap();
    all_alive(&node, 2).await;

    let brief = SendOptions::default().with_expiry(Duration::from_millis(100));
    let expires = node.try_send(silent.id(), "x", brief).unwrap();
    let cancelled = node.try_send(silent.id(), "x", SendOptions::default()).unwrap();
    let id = cancelled.id();
    node.cancel(id).unwrap();
    node.cancel(id).unwrap_err();
    let outcome = soon("an outcome", cancelled).await;
    assert_eq!((outcome.ending, outcome.delivery), (Ending::Cancelled, Delivery::Never));
    let outcome = soon("an outcome", expires).await;
    assert_eq!((outcome.ending, outcome.delivery, outcome.waited), (Ending::Expired, Delivery::Never, None));
}

#[tokio::test]
async fn messages_to_a_member_that_dies_fail() {
    let nodes = cluster(2).await;
    let [left, right] = &nodes[..] else { unreachable!() };
    let how = SendOptions::default().until_processed().with_expiry(Duration::from_secs(600));
    let pending = left.send(right.id(), "x", how).await.unwrap();
    right.abort().await;
    holds(left, right.name(), State::Dead).await;
    assert_eq!(soon("an outcome", pending).await.ending, Ending::Failed(FailReason::Died));
    let error = left.try_send(right.id(), "x", how).unwrap_err();
    assert!(matches!(error, SendError::Refused(Refusal::NotLive(_))), "{error}");
}

#[tokio::test]
async fn a_shutdown_sees_to_the_messages_that_are_under_way() {
    let nodes = cluster(2).await;
    let [left, right] = &nodes[..] else { unreachable!() };
    let mut incoming = right.incoming();
    let reader = tokio::spawn(async move {
        for expected in 0..2000 {
            assert_eq!(number(&next(&mut incoming).await), expected);
        }
    });
    let pending = send_numbered(left, right, 2000).await;
    soon("the shutdown", left.shutdown()).await;
    for sent in pending {
        assert_eq!(soon("an outcome", sent).await.ending, Ending::Processed);
    }
    reader.await.unwrap();
    holds(right, left.name(), State::Left).await;
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever_and_leaves_no_message_without_an_outcome() {
    let nodes = cluster(2).await;
    let [left, right] = &nodes[..] else { unreachable!() };
    let pending = send_numbered(left, right, 100).await;
    // Nobody takes them.
    soon("the shutdown", left.shutdown()).await;
    for sent in pending {
        let outcome = soon("an outcome", sent).await;
        assert_eq!(outcome.ending, Ending::Failed(FailReason::Closed));
        assert_ne!(outcome.delivery, Delivery::Never);
    }
}

#[tokio::test]
async fn when_the_last_handle_is_dropped_nothing_stays_behind() {
    let nodes = cluster(2).await;
    let [left, right] = <[Handle; 2]>::try_from(nodes).unwrap();
    let endpoint = left.local().await.unwrap().endpoint.unwrap();
    let pending = send_numbered(&left, &right, 3).await;
    let (mut incoming, mut events) = (left.incoming(), left.message_events());
    let post = left.stats().await.unwrap();
    assert!(post.messaging.is_some());
    drop(left);
    for sent in pending {
        assert_eq!(soon("an outcome", sent).await.ending, Ending::Failed(FailReason::Closed));
    }
    assert_eq!(soon("the end", incoming.recv()).await, None);
    soon("the end", async { while events.recv().await.is_ok() {} }).await;
    eventually("the port is free", async || std::net::TcpListener::bind(endpoint).is_ok()).await;
}

#[test]
fn a_runtime_that_goes_leaves_no_message_without_an_outcome() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (node, pending) = runtime.block_on(async {
        let nodes = cluster(2).await;
        let pending = send_numbered(&nodes[0], &nodes[1], 3).await;
        (nodes[0].clone(), pending)
    });
    drop(runtime);
    let error = node.try_send(node.id(), "x", SendOptions::default()).unwrap_err();
    assert_eq!(error, SendError::Closed);
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for sent in pending {
        let outcome = other.block_on(async { soon("an outcome", sent).await });
        assert_eq!(outcome.ending, Ending::Failed(FailReason::Closed));
    }
}

#[tokio::test]
async fn a_node_tells_where_its_links_are_accepted() {
    let chosen = start("chosen", &[]).await;
    let local = chosen.local().await.unwrap();
    let endpoint = local.endpoint.unwrap();
    assert!(endpoint.ip() == local.address.ip() && endpoint.port() != local.address.port());

    let fixed = loopback();
    let free = std::net::TcpListener::bind(fixed).unwrap().local_addr().unwrap();
    let node = Options::new(free).with_name("beside").with_config(quick()).start().await;
    // The system may have given a port so high that there is none 1,000 above.
    match free.port().checked_add(1000) {
        Some(port) => assert_eq!(node.unwrap().local().await.unwrap().endpoint.unwrap().port(), port),
        None => assert!(node.unwrap_err().to_string().contains("65535")),
    }
    sleep(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_hears_of_a_member_may_write_to_it_at_once() {
    let first = start("first", &[]).await;
    for index in 0..20 {
        let node = start(&format!("node-{index}"), &[&first]).await;
        soon("the join", node.joined()).await.unwrap();
        let sent = node.try_send(first.id(), "hello", SendOptions::default()).expect("it is known");
        assert!(soon("an outcome", sent).await.is_success());
    }
}
