//! The counters count what their words say.

use std::net::SocketAddr;
use std::time::Duration;

use swim_proto::wire::{Message, SyncRoot};
use swim_proto::{Config, Incarnation, State, StreamInput};
use swim_tests::Cluster;
use swim_tests::cluster::LIFE;
use swim_tests::craft::{self, Puppet};

const SECOND: Duration = Duration::from_secs(1);

fn address(i: u8) -> SocketAddr {
    SocketAddr::from(([10, 9, 0, i + 1], 7000))
}

/// Nobody compares state but to join.
fn without_syncs() -> Config {
    Config { sync_interval: Duration::ZERO, reach_all: false, ..Config::lan() }
}

#[test]
fn what_a_node_finds_out_by_itself_is_no_claim() {
    let mut cluster = Cluster::new();
    cluster.start(Config::lan());
    let puppet = Puppet::new("puppet", address(0));
    let claim = craft::datagram("swim", &[craft::alive(puppet.id(), Incarnation::first(1), &puppet.profile())]);
    cluster.inject(puppet.address, 0, &claim).expect("it is well-formed");
    cluster.run_for(30 * SECOND);
    assert_eq!(cluster.node(0).member(puppet.id()).map(|member| member.state), Some(State::Dead));
    let stats = cluster.node(0).stats();
    assert_eq!((stats.suspicions, stats.suspicions_expired), (1, 1));
    assert_eq!((stats.claims_news, stats.claims_old), (1, 0));
}

#[test]
fn a_claim_about_ourselves_is_news_if_we_go_past_it() {
    let mut cluster = Cluster::new();
    cluster.start(Config::lan());
    let own = cluster.id(0);
    let accuser = Puppet::new("puppet", address(0)).id();
    for (incarnation, counted) in [(Incarnation::first(1), (0, 1)), (Incarnation::first(LIFE), (1, 1))] {
        let said = craft::datagram("swim", &[craft::suspect(own, incarnation, accuser)]);
        cluster.inject(address(0), 0, &said).expect("it is well-formed");
        let stats = cluster.node(0).stats();
        assert_eq!((stats.claims_news, stats.claims_old), counted);
    }
}

#[test]
fn a_join_is_an_exchange_begun_served_and_done() {
    let mut cluster = Cluster::new();
    let (seed, newcomer) = (cluster.start(without_syncs()), cluster.start(without_syncs()));
    cluster.join(newcomer, &[seed]);
    cluster.run_for(SECOND);
    assert!(cluster.is_full());
    let counted = |i: usize| {
        let stats = cluster.node(i).stats();
        (stats.syncs_started, stats.syncs_served, stats.syncs_done)
    };
    assert_eq!((counted(seed), counted(newcomer)), ((0, 1, 1), (1, 0, 1)));
}

#[test]
fn an_exchange_that_is_refused_is_not_done() {
    let mut cluster = Cluster::new();
    let seed = cluster.start(Config { syncs_max: 1, ..without_syncs() });
    let puppet = Puppet::new("puppet", address(0));
    let profile = puppet.profile();
    let alive = craft::alive(puppet.id(), Incarnation::first(1), &profile);
    let root = Message::SyncRoot(SyncRoot { source: puppet.id(), root: 1 });
    let stream = cluster.connect_from(puppet.address, seed).expect("there is room");
    cluster.say(seed, stream, StreamInput::Data(&craft::frame("swim", &[alive, root])));
    let newcomer = cluster.start(without_syncs());
    cluster.join(newcomer, &[seed]);
    cluster.run_for(Duration::from_millis(500));
    let (asked, asking) = (cluster.node(seed).stats(), cluster.node(newcomer).stats());
    assert_eq!((asked.syncs_served, asked.syncs_done), (1, 0));
    // It asked the seed, and the puppet, of which the seed told it instead.
    assert_eq!((asking.syncs_started, asking.syncs_done), (2, 0));
}

#[test]
fn helpers_that_find_no_holder_of_a_name_drop_nothing() {
    let mut cluster = Cluster::settled(5, &Config::lan());
    cluster.crash(4);
    let before = cluster.node(0).stats().drops.unmatched;
    cluster.restart_at(4, address(7));
    cluster.join(4, &[0]);
    cluster.run_for(SECOND);
    assert!(cluster.is_full(), "{}", cluster.views());
    let nacks: u64 = (1..4).map(|i| cluster.node(i).stats().nacks_out).sum();
    assert!(nacks > 0, "the helpers said that they found nobody");
    assert_eq!(cluster.node(0).stats().drops.unmatched, before);
}

#[test]
fn obituaries_that_are_withheld_are_counted() {
    let mut cluster = Cluster::new();
    cluster.start(Config::lan());
    let accuser = Puppet::new("accuser", address(0)).id();
    let profile = |i: u8| Puppet::new(&format!("puppet-{i}"), address(i));
    let stream = cluster.connect_from(address(100), 0).expect("there is room");
    let asker = Puppet::new("asker", address(100));
    let own = asker.profile();
    let alive = craft::alive(asker.id(), Incarnation::first(1), &own);
    let root = Message::SyncRoot(SyncRoot { source: asker.id(), root: 1 });
    let begin = craft::frame("swim", &[alive, root]);
    // Forty whom it knows by their graves alone; then, in an exchange, their older words.
    for i in 1..=40 {
        let dead = craft::dead(profile(i).id(), Incarnation::first(2), accuser);
        cluster.inject(address(100), 0, &craft::datagram("swim", &[dead])).expect("it is well-formed");
    }
    cluster.say(0, stream, StreamInput::Data(&begin));
    let end = Message::SyncEnd(swim_proto::wire::SyncEnd { count: 0 });
    cluster.say(0, stream, StreamInput::Data(&craft::frame("swim", &[end])));
    for i in 1..=40 {
        let (id, bytes) = (profile(i).id(), profile(i).profile());
        let word = craft::frame("swim", &[craft::alive(id, Incarnation::first(1), &bytes)]);
        cluster.say(0, stream, StreamInput::Data(&word));
    }
    assert_eq!(cluster.node(0).stats().drops.echoes_limited, 40 - 32);
}
