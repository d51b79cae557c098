//! What handles of a node wait for, and for how long.

use std::time::Duration;

use swim_mio::{Closed, Ending, EventsError, Handle, MessageEventsError, Options, RequestError, SendOptions};

fn start(name: &str, seeds: &[&Handle]) -> Handle {
    let seeds = seeds.iter().map(|seed| seed.address().to_string());
    Options::new("127.0.0.1:0".parse().unwrap()).with_name(name).with_seeds(seeds).start().unwrap()
}

#[test]
fn a_limit_that_no_clock_can_tell_is_none() {
    const EVER: Duration = Duration::MAX;
    let one = start("one", &[]);
    let (mut events, mut incoming) = (one.events(), one.incoming());
    let other = start("other", &[&one]);
    assert_eq!(other.joined_within(EVER), Ok(true));
    events.recv_within(EVER).unwrap().expect("it was told of the other");
    let mut message_events = other.message_events();
    let sent = other.send(one.id(), "x", SendOptions::default().until_processed()).unwrap();
    assert_eq!(&incoming.recv_within(EVER).unwrap().expect("a message").payload[..], b"x");
    assert_eq!(sent.wait_within(EVER).expect("an outcome").ending, Ending::Processed);
    message_events.recv_within(EVER).unwrap().expect("it was told of a link");

    // Without end is until the end.
    one.shutdown();
    assert!(one.closed_within(EVER));
    while events.recv_within(EVER).is_ok() {}
    assert_eq!(events.recv_within(EVER).unwrap_err(), EventsError::Closed);
    other.abort();
    while message_events.recv_within(EVER).is_ok() {}
    assert_eq!(message_events.recv_within(EVER).unwrap_err(), MessageEventsError::Closed);
    assert_eq!(incoming.recv_within(EVER).unwrap_err(), Closed);
    let lonely = start("lonely", &[&one]);
    assert_eq!(lonely.joined_within(Duration::ZERO), Ok(false));
    lonely.abort();
    assert_eq!(lonely.joined_within(EVER), Err(RequestError::Closed(Closed)));
}

#[test]
fn an_outcome_is_the_same_however_often_it_is_asked_for() {
    let one = start("one", &[]);
    let other = start("other", &[&one]);
    other.joined().unwrap();
    let sent = other.send(one.id(), "x", SendOptions::default().until_processed()).unwrap();
    assert_eq!(sent.wait_within(Duration::ZERO), None, "nobody has taken it");
    one.incoming().recv().expect("a message");
    let outcome = sent.wait_within(Duration::from_secs(60)).expect("an outcome");
    assert_eq!(outcome.ending, Ending::Processed);
    assert_eq!(sent.wait_within(Duration::ZERO), Some(outcome));
    assert_eq!(sent.wait(), outcome);
}
