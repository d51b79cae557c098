//! Two processes under one name, in truth and in lies.

use std::net::SocketAddr;
use std::time::Duration;

use swim_proto::wire::{Ack, Message, Ping};
use swim_proto::{Config, Incarnation, State, Status};
use swim_tests::cluster::LIFE;
use swim_tests::craft::{self, Puppet};
use swim_tests::network::Fate;
use swim_tests::{Cluster, What};

const SECOND: Duration = Duration::from_secs(1);

fn elsewhere() -> SocketAddr {
    SocketAddr::from(([10, 9, 9, 9], 7000))
}

fn superseded(cluster: &Cluster, i: usize) -> bool {
    cluster.told(i).iter().any(|told| told.what == What::Superseded)
}

#[test]
fn a_restart_elsewhere_under_a_clock_that_went_back_is_in_as_soon_as_the_holder_is_missed() {
    // Less than the life that is remembered, and the same.
    for life in [LIFE - 100, LIFE] {
        for address in [elsewhere(), SocketAddr::from(([10, 0, 0, 0], 7000))] {
            let mut cluster = Cluster::settled(4, &Config::lan());
            cluster.crash(3);
            cluster.restart_with_life_at(3, life, address);
            cluster.join(3, &[0]);
            // Three waits of a quarter of a second for the holder; then the news.
            let back = cluster.run_until(2 * SECOND, Cluster::is_full);
            assert!(!superseded(&cluster, 3), "life {life} at {address}: it stopped before a ghost of itself");
            assert!(back.is_some(), "life {life} at {address}:\n{}", cluster.views());
            assert!((0..4).all(|i| cluster.node(i).member(cluster.id(3)).is_some_and(|m| m.address == address)));
            assert_eq!(cluster.node(3).status(), Status::Joined);
            // Its seed accuses the holder of its name where what that said of itself outranks the joiner: by its life, or at
            // the same life by its bytes, in which the address comes first.
            let accused = (0..3).map(|i| cluster.node(i).stats().holders_failed).sum::<u64>();
            let outranked = life < LIFE || address < cluster.address(0);
            assert_eq!(accused, u64::from(outranked), "life {life} at {address}");
            cluster.run_for(20 * SECOND);
            assert!(cluster.is_full(), "{}", cluster.views());
            assert_eq!((0..3).map(|i| cluster.times_told(i, What::Died, 3)).sum::<usize>(), 0);
        }
    }
}

#[test]
fn who_buried_a_member_where_it_is_no_more_finds_it_by_its_ping() {
    let config = Config { sync_interval: Duration::ZERO, verify_burial: false, ..Config::lan() };
    let mut cluster = Cluster::settled(4, &config);
    cluster.crash(2);
    cluster.restart_at(2, elsewhere());
    // One hears nothing of the move while it is news, and nobody hears that it buried the member where it was.
    let (moved, apart) = (cluster.id(2), cluster.address(3));
    cluster.network.script(move |from, to, datagram| {
        let is_news = craft::messages("swim", datagram).any(|message| match message {
            Message::Alive(alive) => to == apart && alive.id == moved,
            Message::Dead(dead) => from == apart && dead.id == moved,
            _ => false,
        });
        if is_news { Fate::Lost } else { Fate::Arrives }
    });
    cluster.join(2, &[0]);
    cluster.run_for(5 * SECOND);
    let grave = craft::dead(cluster.id(2), Incarnation::first(LIFE), cluster.id(0));
    cluster.inject(cluster.address(0), 3, &craft::datagram("swim", &[grave])).expect("it is well-formed");
    assert_eq!(cluster.state(3, 2), Some(State::Dead));
    // The member's pings come from an address that is not known there; no exchange is due at any time.
    let found = cluster.run_until(12 * SECOND, |cluster| cluster.state(3, 2) == Some(State::Alive));
    assert!(found.is_some(), "{}", cluster.views());
    assert_eq!(cluster.incarnation(3, 2), Some(cluster.node(2).local().incarnation), "and nobody had to refute");
}

/// An Alive of node `i` that puts it elsewhere.
fn put_elsewhere(cluster: &Cluster, i: usize, incarnation: Incarnation) -> Vec<u8> {
    let profile = Puppet::new(cluster.name(i), elsewhere()).profile();
    craft::datagram("swim", &[craft::alive(cluster.id(i), incarnation, &profile)])
}

#[test]
fn a_lie_that_a_member_lives_elsewhere_stops_nobody() {
    let lives = [Incarnation::first(LIFE), Incarnation::first(LIFE + 1), Incarnation::ACCUSED_MAX];
    for incarnation in lives {
        for told in 0..2 {
            // Told to the member itself, or to another: then nobody sends to where it really is, until it compares state
            // with somebody, every 30 s give or take an eighth.
            let mut cluster = Cluster::settled(5, &Config::lan());
            let lie = put_elsewhere(&cluster, told, incarnation);
            let victim = told;
            cluster.inject(cluster.address(4), 0, &lie).expect("it is well-formed");
            cluster.run_for(if told == 0 { 5 } else { 45 } * SECOND);
            assert!(!superseded(&cluster, victim), "{incarnation} stopped node {victim}");
            assert!(cluster.is_full(), "{incarnation}, node {victim}:\n{}", cluster.views());
            let address = cluster.address(victim);
            assert!((0..5).all(|i| cluster.node(i).member(cluster.id(victim)).is_some_and(|m| m.address == address)));
            assert!(cluster.incarnation(4, victim) > Some(incarnation), "it went past the lie");
        }
    }
}

#[test]
fn lies_about_a_members_address_draw_few_pings() {
    let mut cluster = Cluster::settled(5, &Config::lan());
    cluster.catch(elsewhere());
    for life in 1..=1_000 {
        let lie = put_elsewhere(&cluster, 0, Incarnation::first(LIFE + life));
        cluster.inject(cluster.address(4), 0, &lie).expect("it is well-formed");
    }
    cluster.run_for(Duration::from_millis(240));
    let pings = cluster.caught(elsewhere());
    // A ping of the node itself, and one of each of its three helpers.
    assert!((1..=4).contains(&pings.len()), "{} pings", pings.len());
    assert!(pings.iter().all(|ping| ping.len() <= 64), "a ping is short, and brings no news");
}

#[test]
fn a_member_gives_way_to_a_newer_process_that_answers() {
    for incarnation in [Incarnation::first(LIFE + 7), Incarnation { life: LIFE, refutation: 3 }] {
        let mut cluster = Cluster::settled(4, &Config::lan());
        // At equal lives the greater bytes win, and the address comes first in them.
        assert!(elsewhere() > cluster.address(0));
        cluster.catch(elsewhere());
        let claim = put_elsewhere(&cluster, 0, incarnation);
        cluster.inject(cluster.address(3), 0, &claim).expect("it is well-formed");
        assert_eq!(cluster.node(0).status(), Status::Joined, "not on hearsay");
        // Whoever accuses the newer process meanwhile does not have the older one take its name.
        let accusation = craft::suspect(cluster.id(0), incarnation, cluster.id(2));
        cluster.inject(cluster.address(2), 0, &craft::datagram("swim", &[accusation])).expect("it is well-formed");
        if incarnation.life > LIFE {
            assert_eq!(cluster.node(0).local().incarnation, Incarnation::first(LIFE));
        }
        let ping = cluster.caught(elsewhere()).remove(0);
        let Some(Message::Ping(Ping { seq, target, .. })) = craft::messages("swim", &ping).next() else {
            panic!("a ping comes first");
        };
        assert_eq!(target, cluster.id(0));
        let ack = craft::datagram("swim", &[Message::Ack(Ack { seq, incarnation })]);
        cluster.inject(elsewhere(), 0, &ack).expect("it is well-formed");
        assert_eq!(cluster.node(0).status(), Status::Superseded);
        assert!(superseded(&cluster, 0));
    }
}

#[test]
fn an_older_process_is_replaced_everywhere_before_it_stops() {
    // The newer one comes by a seed that did not know of the older, and everybody sends to where it is from then on: the
    // older one hears of it when it compares state.
    let mut cluster = Cluster::settled(3, &Config::lan());
    let newer =
        cluster.start_as(swim_proto::LocalMember::new(elsewhere(), LIFE * 2).with_name(cluster.name(0)), Config::lan());
    let other = cluster.start(Config::lan());
    cluster.join(newer, &[other]);
    cluster.run_for(SECOND);
    cluster.join(other, &[1]);
    let stopped = cluster.run_until(40 * SECOND, |cluster| superseded(cluster, 0));
    assert!(stopped.is_some(), "{}", cluster.views());
    cluster.run_for(5 * SECOND);
    for i in [1, 2, newer, other] {
        let member = cluster.node(i).member(cluster.id(newer)).expect("it is known");
        assert_eq!((member.address, member.state), (elsewhere(), State::Alive), "at {i}");
        assert_eq!(cluster.node(i).live(), 4, "{}", cluster.views());
    }
    assert!(!superseded(&cluster, newer));
}
