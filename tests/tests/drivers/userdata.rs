//! What applications say to each other, over real sockets.

use swim_driver::{Event, RequestError};
use swim_proto::{CommandError, PAYLOAD_MAX, Way};

use crate::node::{Mix, all_alive, cluster, eventually, start};

crate::on_every_mix!(
    broadcasts_of_any_length_reach_every_other_node_once,
    a_message_reaches_one_node_by_datagram_and_by_stream,
    many_long_messages_at_once_are_refused_beyond_the_limit_and_the_others_arrive,
);

fn bytes(len: usize, first: u8) -> Vec<u8> {
    (0..len).map(|at| (at as u8).wrapping_add(first)).collect()
}

fn broadcasts_of_any_length_reach_every_other_node_once(mix: Mix) {
    let nodes = cluster(mix, 4);
    for (origin, first) in [(0, 0_u8), (1, 100)] {
        let mut events: Vec<_> = nodes.iter().map(|node| node.events()).collect();
        for (index, len) in [0, 20, 256, 257, 5_000, PAYLOAD_MAX].into_iter().enumerate() {
            let payload = bytes(len, first + index as u8);
            assert_eq!(nodes[origin].broadcast(payload.clone()), Ok(index as u64 + 1));
            for (at, events) in events.iter_mut().enumerate().filter(|(at, _)| *at != origin) {
                let heard = events.wait("a broadcast", |event| matches!(event, Event::Broadcast { .. }));
                let Event::Broadcast { origin: from, origin_name, sequence, payload: heard, .. } = heard else {
                    unreachable!()
                };
                assert_eq!((from, origin_name.as_deref()), (nodes[origin].id(), Some(nodes[origin].name())), "{at}");
                assert_eq!((sequence, &heard[..]), (index as u64 + 1, &payload[..]));
            }
        }
        // Copies go on arriving, but not at the origin; nobody is told one again, nor its own.
        for (_, node) in nodes.iter().enumerate().filter(|(at, _)| *at != origin) {
            eventually("copies arrive", || node.stats().node.broadcasts_duplicate >= 3);
        }
        for events in &mut events {
            assert!(events.told().iter().all(|event| !matches!(event, Event::Broadcast { .. })));
        }
        let too_long = nodes[origin].broadcast(bytes(PAYLOAD_MAX + 1, 0));
        let refused = CommandError::PayloadTooLong { len: PAYLOAD_MAX + 1, max: PAYLOAD_MAX };
        assert_eq!(too_long, Err(RequestError::Refused(refused)));
    }
}

fn a_message_reaches_one_node_by_datagram_and_by_stream(mix: Mix) {
    let nodes = cluster(mix, 3);
    for (from, to) in [(0, 1), (1, 0)] {
        let (mut events, mut others) = (nodes[to].events(), nodes[2].events());
        for (len, way) in [(3, Way::Datagram), (900, Way::Auto), (20_000, Way::Auto), (PAYLOAD_MAX, Way::Stream)] {
            nodes[from].send_message(nodes[to].id(), bytes(len, 9), way).unwrap();
            let heard = events.wait("a message", |event| matches!(event, Event::Message { .. }));
            let Event::Message { from: sender, from_name, payload } = heard else { unreachable!() };
            assert_eq!((sender, from_name.as_deref()), (nodes[from].id(), Some(nodes[from].name())));
            assert_eq!(payload, bytes(len, 9));
        }
        assert!(others.told().iter().all(|event| !matches!(event, Event::Message { .. })));
        let stranger = nodes[from].id_of("nobody");
        let refused = nodes[from].send_message(stranger, "x", Way::Auto);
        assert_eq!(refused, Err(RequestError::Refused(CommandError::UnknownMember(stranger))));
    }
}

fn many_long_messages_at_once_are_refused_beyond_the_limit_and_the_others_arrive(mix: Mix) {
    let (first, second) = {
        let first = start(mix, 1, "first", &[]);
        let second = start(mix, 2, "second", &[&first]);
        (first, second)
    };
    all_alive(&first, 2);
    let mut events = second.events();
    let mut sent = 0;
    for _ in 0..200 {
        match first.send_message(second.id(), bytes(PAYLOAD_MAX, 1), Way::Stream) {
            Ok(()) => sent += 1,
            Err(RequestError::Refused(CommandError::QueueFull { max: 64, .. })) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(sent >= 64);
    let mut heard = 0;
    eventually(&format!("{sent} messages were heard"), || {
        heard += events.told().iter().filter(|event| matches!(event, Event::Message { .. })).count();
        // Best effort: on a machine so busy that a stream breaks, its message is lost with it.
        let lost = [&first, &second].map(|node| {
            let stats = node.stats();
            let drops = stats.node.drops;
            stats.driver.connects_failed + drops.streams_broken + drops.streams_idle + drops.streams_full
        });
        heard == sent || heard as u64 + lost[0] + lost[1] >= sent as u64
    });
    assert!(heard >= 64, "{heard} of {sent}");
}
