//! Links of strangers, served with no node around them.

use std::net::TcpStream as Peer;
use std::time::Instant as SystemInstant;

use mio::Poll;
use swim_proto::messaging::{LocalPeer, Messenger};
use swim_proto::{ClusterHash, NodeId};

use super::*;

const STRANGERS: usize = 3;

#[test]
fn a_turn_whose_time_is_over_serves_one_link_and_the_next_is_first_the_next_time() {
    let poll = Poll::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let at = listener.local_addr().unwrap();
    let clock = Clock::start();
    let (tokens, options) = ((Token(0), 1..1 << 16), MessagingOptions::default());
    let mut links = Links::new((listener, at, None), poll.registry(), tokens, (&options, "here"), clock).unwrap();
    let local = LocalPeer { id: NodeId::of("links", "here"), life: 1, cluster: ClusterHash::of("links") };
    let messenger = Messenger::new(clock.now(), local, options.config.clone(), 1).unwrap();
    let mut desk = Desk::new(messenger, Mail::new(16));
    let _strangers: Vec<Peer> = (0..STRANGERS).map(|_| Peer::connect(at).unwrap()).collect();
    let limit = SystemInstant::now() + Duration::from_secs(30);
    while links.len() < STRANGERS && SystemInstant::now() < limit {
        links.acceptor.may_have_guests();
        links.accept(&mut desk);
    }

    // Each has a greeting to write, and may have more to do after it.
    let before: Vec<Token> = links.ready.iter().copied().collect();
    assert_eq!(before.len(), STRANGERS);
    let mut buffer = vec![0; swim_driver::messaging::READ_MAX];
    for turn in 1..=STRANGERS {
        links.serve(&mut desk, Instant::ZERO, &mut buffer);
        let first: Vec<Token> = before[turn..].iter().chain(&before[..turn]).copied().collect();
        assert_eq!(Vec::from(links.ready.clone()), first, "after {turn} turns");
    }

    links.serve(&mut desk, clock.now() + Duration::from_secs(30), &mut buffer);
    assert!(!links.are_ready(), "all have written, and nothing came");
}
