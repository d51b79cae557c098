//! Names that are no names, names that are looked up, and lookups that nobody answers.

use std::sync::mpsc;

use super::lookups::LOOKUPS_MAX;
use super::*;

const SOON: Duration = Duration::from_secs(60);
const NOW: Instant = Instant::ZERO;

#[test]
fn a_seed_is_a_host_and_a_port() {
    for good in ["localhost:7946", "10.0.0.1:1", "[::1]:65535", "[fe80::1%2]:80", "a.b.example.:80"] {
        assert!(good.parse::<SeedName>().is_ok(), "{good}");
    }
    for (bad, reason) in [
        ("", "the port is missing"),
        ("localhost", "the port is missing"),
        (":80", "the host is missing"),
        ("host:", "the port is not a number"),
        ("host:0", "the port is not a number"),
        ("host:65536", "the port is not a number"),
        ("a:b", "the port is not a number"),
        ("::1:80", "stands in brackets"),
        ("[host]:80", "no IPv6 address in the brackets"),
        ("[::1", "no IPv6 address in the brackets"),
        ("ho st:80", "the host is no name"),
        ("http://a:80", "the host is no name"),
        ("0.0.0.0:80", "not one host's"),
        ("[::]:80", "not one host's"),
        ("255.255.255.255:80", "not one host's"),
        ("224.0.0.1:80", "not one host's"),
    ] {
        let error = bad.parse::<SeedName>().expect_err(bad);
        assert!(error.reason.contains(reason), "{error}");
        assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
        assert!(error.to_string().contains("host:port"), "{error}");
    }
}

fn seeds_of(bound: &str, names: &[&str]) -> (Seeds, Vec<SeedId>, mpsc::Receiver<Answer>) {
    let (answers, received) = mpsc::channel();
    let answer = move |answer| drop(answers.send(answer));
    let mut seeds = Seeds::new(Reach::of(bound.parse().unwrap()), SOON, answer);
    let ids = seeds.next_ids(names.len());
    seeds.replace(names.iter().map(|name| name.parse().unwrap()).collect());
    (seeds, ids, received)
}

/// What the next thread found.
fn next(seeds: &mut Seeds, received: &mpsc::Receiver<Answer>) -> Option<(SeedId, Resolved)> {
    seeds.answered(NOW, received.recv_timeout(SOON).expect("a thread answers"))
}

#[test]
fn a_name_is_looked_up_in_the_family_of_the_socket() {
    let (mut seeds, ids, received) = seeds_of("127.0.0.1:1", &["localhost:7946"]);
    assert_eq!(seeds.resolve(NOW, ids[0]), None);
    let found = Ok(vec!["127.0.0.1:7946".parse().unwrap()]);
    assert_eq!(next(&mut seeds, &received), Some((ids[0], found)));
}

#[test]
fn addresses_that_are_of_no_host_or_of_the_other_family_are_left_out() {
    let found = ["0.0.0.0:1", "10.0.0.1:1", "[::1]:1", "10.0.0.1:1", "[::ffff:10.0.0.2]:1"];
    let found = found.map(|address| address.parse().unwrap());
    let expected = ["10.0.0.1:1", "10.0.0.2:1"].map(|address| address.parse().unwrap());
    assert_eq!(reachable(found, Reach::V4), Ok(expected.to_vec()));
    assert_eq!(reachable([found[0], found[2]], Reach::V4), Err(Unresolved::Unreachable));
}

#[test]
fn an_address_needs_no_lookup_and_waits_for_none() {
    let (mut seeds, ids, _received) = seeds_of("[::1]:1", &["[::1]:7946", "127.0.0.1:7946"]);
    assert_eq!(seeds.resolve(NOW, ids[0]), Some(Ok(vec!["[::1]:7946".parse().unwrap()])));
    assert_eq!(seeds.resolve(NOW, ids[1]), Some(Err(Unresolved::Unreachable)));
    assert_eq!(seeds.lookups.under_way(), 0);
}

#[test]
fn a_seed_is_looked_up_once_at_a_time_and_no_more_once_it_is_replaced() {
    let (mut seeds, ids, received) = seeds_of("127.0.0.1:1", &["localhost:1", "localhost:2"]);
    for _ in 0..100 {
        assert_eq!((seeds.resolve(NOW, ids[0]), seeds.resolve(NOW, ids[1])), (None, None));
    }
    assert_eq!(seeds.lookups.under_way(), 2);
    assert!(next(&mut seeds, &received).is_some() && next(&mut seeds, &received).is_some());
    assert_eq!(seeds.lookups.under_way(), 0);
    assert!(received.try_recv().is_err(), "one answer for each");

    // What was asked of those before is of no interest any more.
    seeds.resolve(NOW, ids[0]);
    let new = seeds.next_ids(1);
    assert!(!ids.contains(&new[0]));
    seeds.replace(vec!["localhost:3".parse().unwrap()]);
    seeds.resolve(NOW, new[0]);
    assert_eq!(seeds.lookups.under_way(), 1);
    let outcomes = [next(&mut seeds, &received), next(&mut seeds, &received)];
    assert!(outcomes.contains(&None), "{outcomes:?}");
    assert!(outcomes.iter().flatten().all(|(seed, outcome)| *seed == new[0] && outcome.is_ok()), "{outcomes:?}");
    assert_eq!(seeds.resolve(NOW, ids[0]), None);
    assert_eq!(seeds.lookups.under_way(), 0);
}

#[test]
fn so_many_threads_and_no_more_and_the_others_wait_for_their_turn() {
    let names: Vec<String> = (1..=20).map(|port| format!("localhost:{port}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut seeds, ids, received) = seeds_of("127.0.0.1:1", &names);
    for &id in &ids {
        seeds.resolve(NOW, id);
    }
    assert_eq!(seeds.lookups.under_way(), 20);
    // Nobody has taken their answers, so to us these threads still run.
    let mut early = Vec::new();
    for _ in 0..LOOKUPS_MAX {
        early.push(received.recv_timeout(SOON).unwrap());
    }
    assert!(received.recv_timeout(Duration::from_millis(100)).is_err(), "more than {LOOKUPS_MAX} at once");
    let mut seen: Vec<SeedId> = early.into_iter().map(|answer| seeds.answered(NOW, answer).unwrap().0).collect();
    while seen.len() < 20 {
        seen.push(next(&mut seeds, &received).unwrap().0);
    }
    seen.sort();
    assert_eq!(seen, ids);
}

#[test]
fn lookups_of_replaced_seeds_that_hang_leave_room_for_a_while_and_not_for_ever() {
    let (mut seeds, _, received) = seeds_of("127.0.0.1:1", &[]);
    // Their answers are held back, as if the name servers hung.
    for _ in 0..super::lookups::THREADS_MAX / LOOKUPS_MAX {
        let ids = seeds.next_ids(LOOKUPS_MAX);
        seeds.replace((1..=LOOKUPS_MAX).map(|port| format!("localhost:{port}").parse().unwrap()).collect());
        ids.iter().for_each(|&id| drop(seeds.resolve(NOW, id)));
    }
    let new = seeds.next_ids(1)[0];
    seeds.replace(vec!["localhost:1".parse().unwrap()]);
    assert_eq!(seeds.resolve(NOW, new), None);
    assert_eq!(seeds.deadline(), None, "it waits for a thread");
    assert_eq!(next(&mut seeds, &received), None, "of a seed that was replaced");
    assert_eq!(seeds.deadline(), Some(NOW + SOON), "it has one");
}

#[test]
fn a_late_answer_is_told_after_it_was_told_to_be_late() {
    let (mut seeds, ids, received) = seeds_of("127.0.0.1:1", &["localhost:7946"]);
    seeds.resolve(NOW, ids[0]);
    assert_eq!(seeds.poll_overdue(NOW), None);
    let late = seeds.deadline().unwrap();
    assert_eq!(late, NOW + SOON);
    assert_eq!(seeds.poll_overdue(late), Some((ids[0], Err(Unresolved::Late))));
    assert_eq!((seeds.poll_overdue(late), seeds.deadline()), (None, None));
    assert_eq!(seeds.resolve(late, ids[0]), None);
    assert_eq!(seeds.lookups.under_way(), 1, "one is enough");
    assert!(next(&mut seeds, &received).is_some_and(|(_, outcome)| outcome.is_ok()));
}

#[test]
fn a_name_that_nobody_has_is_told_as_such() {
    let (mut seeds, ids, received) = seeds_of("127.0.0.1:1", &["no-such-host.invalid:1"]);
    seeds.resolve(NOW, ids[0]);
    let outcome = next(&mut seeds, &received);
    assert!(matches!(outcome, Some((_, Err(Unresolved::Unknown(_))))), "{outcome:?}");
}
