//! What applications say to each other, over real sockets.

use swim_tokio::{CommandError, Event, PAYLOAD_MAX, RequestError, Way};

use crate::cluster::{all_alive, cluster, event, eventually, start, told};

fn bytes(len: usize, first: u8) -> Vec<u8> {
    (0..len).map(|at| (at as u8).wrapping_add(first)).collect()
}

#[tokio::test]
async fn broadcasts_of_any_length_reach_every_other_node_once() {
    let nodes = cluster(4).await;
    let mut events: Vec<_> = nodes.iter().map(|node| node.events()).collect();
    for (index, len) in [0, 20, 256, 257, 5_000, PAYLOAD_MAX].into_iter().enumerate() {
        let payload = bytes(len, index as u8);
        assert_eq!(nodes[0].broadcast(payload.clone()).await, Ok(index as u64 + 1));
        for events in &mut events[1..] {
            let heard = event(events, "a broadcast", |event| matches!(event, Event::Broadcast { .. })).await;
            let Event::Broadcast { origin, origin_name, sequence, payload: heard, .. } = heard else { unreachable!() };
            assert_eq!((origin, origin_name.as_deref()), (nodes[0].id(), Some(nodes[0].name())));
            assert_eq!((sequence, &heard[..]), (index as u64 + 1, &payload[..]));
        }
    }
    // Copies go on arriving, but not at the origin; nobody is told one again, nor its own.
    for node in &nodes[1..] {
        eventually("copies arrive", async || node.stats().await.unwrap().node.broadcasts_duplicate >= 3).await;
    }
    for events in &mut events {
        assert!(told(events).iter().all(|event| !matches!(event, Event::Broadcast { .. })));
    }
    let too_long = nodes[0].broadcast(bytes(PAYLOAD_MAX + 1, 0)).await;
    let refused = CommandError::PayloadTooLong { len: PAYLOAD_MAX + 1, max: PAYLOAD_MAX };
    assert_eq!(too_long, Err(RequestError::Refused(refused)));
}

#[tokio::test]
async fn a_message_reaches_one_node_by_datagram_and_by_stream() {
    let nodes = cluster(3).await;
    let mut events = nodes[1].events();
    let mut others = nodes[2].events();
    for (len, way) in [(3, Way::Datagram), (900, Way::Auto), (20_000, Way::Auto), (PAYLOAD_MAX, Way::Stream)] {
        nodes[0].send_message(nodes[1].id(), bytes(len, 9), way).await.unwrap();
        let heard = event(&mut events, "a message", |event| matches!(event, Event::Message { .. })).await;
        let Event::Message { from, from_name, payload } = heard else { unreachable!() };
        assert_eq!((from, from_name.as_deref()), (nodes[0].id(), Some(nodes[0].name())));
        assert_eq!(payload, bytes(len, 9));
    }
    assert!(told(&mut others).iter().all(|event| !matches!(event, Event::Message { .. })));
    let stranger = nodes[0].id_of("nobody");
    let refused = nodes[0].send_message(stranger, "x", Way::Auto).await;
    assert_eq!(refused, Err(RequestError::Refused(CommandError::UnknownMember(stranger))));
}

#[tokio::test]
async fn many_long_messages_at_once_are_refused_beyond_the_limit_and_the_others_arrive() {
    let first = start("first", &[]).await;
    let second = start("second", &[&first]).await;
    all_alive(&first, 2).await;
    let mut events = second.events();
    let mut sent = 0;
    for _ in 0..200 {
        match first.send_message(second.id(), bytes(PAYLOAD_MAX, 1), Way::Stream).await {
            Ok(()) => sent += 1,
            Err(RequestError::Refused(CommandError::QueueFull { max: 64, .. })) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(sent >= 64);
    for _ in 0..sent {
        event(&mut events, "a message", |event| matches!(event, Event::Message { .. })).await;
    }
}
