//! What gives way where there is no more room.

use std::net::SocketAddr;
use std::time::Duration;

use swim_proto::{Config, Incarnation, NodeId, wire::Message};
use swim_tests::Cluster;
use swim_tests::craft::{self, Puppet};

fn address(i: usize) -> SocketAddr {
    SocketAddr::from(([10, 9, (i / 200) as u8, (i % 200) as u8 + 1], 7000))
}

fn puppet(i: usize) -> Puppet {
    Puppet::new(&format!("puppet-{i}"), address(i))
}

#[test]
fn ids_that_may_be_invented_keep_no_member_out() {
    let mut cluster = Cluster::new();
    cluster.start(Config { members_max: 8, ..Config::lan() });
    for i in 0..7 {
        let dead = craft::dead(puppet(i).id(), Incarnation::first(1), puppet(90).id());
        cluster.inject(address(90), 0, &craft::datagram("swim", &[dead])).expect("it is well-formed");
    }
    assert_eq!(cluster.node(0).stats().tombstones, 7);
    for i in 10..17 {
        let (id, profile) = (puppet(i).id(), puppet(i).profile());
        let alive = craft::alive(id, Incarnation::first(1), &profile);
        cluster.inject(address(i), 0, &craft::datagram("swim", &[alive])).expect("it is well-formed");
    }
    assert_eq!((cluster.node(0).live(), cluster.node(0).stats().drops.members_full), (8, 0));
    // But whom it knew and lost a moment ago may still contradict, and keeps its place.
    let gone = craft::dead(puppet(10).id(), Incarnation::first(1), puppet(11).id());
    cluster.inject(address(11), 0, &craft::datagram("swim", &[gone])).expect("it is well-formed");
    let (id, profile) = (puppet(20).id(), puppet(20).profile());
    let alive = craft::datagram("swim", &[craft::alive(id, Incarnation::first(1), &profile)]);
    cluster.inject(address(20), 0, &alive).expect("it is well-formed");
    assert_eq!((cluster.node(0).live(), cluster.node(0).stats().drops.members_full), (7, 1));
}

#[test]
fn of_two_graves_the_older_goes_where_there_is_room_for_one() {
    let mut cluster = Cluster::new();
    cluster.start(Config { tombstones_max: 1, ..Config::lan() });
    for number in 0..200_000 {
        let dead = craft::dead(NodeId::from_u64(number), Incarnation::first(1), puppet(90).id());
        cluster.inject(address(90), 0, &craft::datagram("swim", &[dead])).expect("it is well-formed");
        assert_eq!(cluster.node(0).stats().tombstones, 1, "after {number}");
    }
}

#[test]
fn whoever_is_forgotten_and_accused_again_has_new_accusers() {
    let mut cluster = Cluster::new();
    cluster.start(Config { tombstones_max: 1, ..Config::lan() });
    let crowd: Vec<Puppet> = (1..=8).map(puppet).collect();
    let said = |message: Message<'_>| craft::datagram("swim", &[message]);
    let first = Incarnation::first(1);
    let alive = |i: usize| said(craft::alive(crowd[i].id(), first, &crowd[i].profile()));
    let suspect = |by: usize| said(craft::suspect(crowd[0].id(), first, crowd[by].id()));
    let dead = |i: usize| said(craft::dead(crowd[i].id(), first, crowd[1].id()));
    for member in &crowd {
        cluster.catch(member.address);
    }
    let script = (0..crowd.len()).map(alive).chain([suspect(1), suspect(2), suspect(4), dead(0)]);
    // One grave pushes the other out: the member is forgotten, and accused anew.
    let script = script.chain([dead(7), alive(0), suspect(3), suspect(2)]);
    for datagram in script {
        cluster.inject(address(90), 0, &datagram).expect("it is well-formed");
    }
    cluster.run_for(Duration::from_secs(2));
    let caught: Vec<Vec<u8>> = crowd.iter().flat_map(|member| cluster.caught(member.address)).collect();
    let most_told = |by: usize| {
        let is_told =
            |message: &Message<'_>| matches!(message, Message::Suspect(said) if said.accuser == crowd[by].id());
        let told = caught.iter().map(|datagram| craft::messages("swim", datagram).filter(is_told).count());
        told.max().unwrap_or_default()
    };
    assert_eq!([1, 2, 3, 4].map(most_told), [0, 1, 1, 0], "how often one datagram accuses the member in whose name");
}

#[test]
fn who_is_alone_takes_in_another_though_it_could_tell_nobody_of_its_loss() {
    let mut cluster = Cluster::new();
    cluster.start(Config { members_max: 2, gossip_to_dead: Duration::ZERO, ..Config::lan() });
    let alive = |i: usize| {
        let profile = puppet(i).profile();
        craft::datagram("swim", &[craft::alive(puppet(i).id(), Incarnation::first(1), &profile)])
    };
    cluster.inject(address(1), 0, &alive(1)).expect("it is well-formed");
    let gone = craft::dead(puppet(1).id(), Incarnation::first(1), puppet(2).id());
    cluster.inject(address(2), 0, &craft::datagram("swim", &[gone])).expect("it is well-formed");
    assert_eq!((cluster.node(0).live(), cluster.node(0).stats().rumors), (1, 1));
    cluster.run_for(Duration::from_secs(1));
    cluster.inject(address(2), 0, &alive(2)).expect("it is well-formed");
    assert_eq!((cluster.node(0).live(), cluster.node(0).stats().drops.members_full), (2, 0));
}

#[test]
fn a_crowd_at_one_address_hides_no_news_from_it() {
    let mut cluster = Cluster::new();
    cluster.start(Config::lan());
    let crowd: Vec<Puppet> = (0..500).map(|i| Puppet::new(&format!("puppet-{i}"), address(0))).collect();
    for member in &crowd {
        let profile = member.profile();
        let alive = craft::alive(member.id(), Incarnation::first(1), &profile);
        cluster.inject(address(1), 0, &craft::datagram("swim", &[alive])).expect("it is well-formed");
    }
    assert_eq!(cluster.node(0).live(), 501);
    // The newest news comes first, and what is told of the crowd is no news to it.
    let (id, profile) = (puppet(9).id(), puppet(9).profile());
    cluster.catch(address(0));
    let ping = Message::Ping(swim_proto::wire::Ping { seq: 1, target: cluster.id(0), source: crowd[0].id() });
    let said = craft::datagram("swim", &[ping, craft::alive(id, Incarnation::first(1), &profile)]);
    cluster.inject(address(0), 0, &said).expect("it is well-formed");
    let answers = cluster.caught(address(0));
    let told = answers.iter().flat_map(|answer| craft::messages("swim", answer));
    let told: Vec<_> =
        told.filter_map(|message| if let Message::Alive(alive) = message { Some(alive.id) } else { None }).collect();
    assert_eq!(told, [id]);
}

#[test]
fn nobody_is_forgotten_for_somebody_whom_a_sync_accuses() {
    let room = |members_max| Config {
        members_max,
        gossip_to_dead: Duration::ZERO,
        sync_interval: Duration::from_secs(1),
        ..Config::lan()
    };
    let mut cluster = Cluster::new();
    let (small, large) = (cluster.start(room(3)), cluster.start(room(100)));
    cluster.join(large, &[small]);
    cluster.run_for(Duration::from_secs(1));
    // One that both know is dead: there the small table is full.
    let (gone, accused) = (puppet(1), puppet(2));
    let profiles = (gone.profile(), accused.profile());
    let said = [
        craft::alive(gone.id(), Incarnation::first(1), &profiles.0),
        craft::dead(gone.id(), Incarnation::first(1), cluster.id(large)),
    ];
    for i in [small, large] {
        cluster.inject(address(9), i, &craft::datagram("swim", &said)).expect("it is well-formed");
    }
    cluster.run_for(Duration::from_secs(5));
    assert_eq!(cluster.node(small).stats().tombstones, 1);
    // The large one holds somebody else suspect, of whom the small one hears when they compare.
    let said = [
        craft::alive(accused.id(), Incarnation::first(1), &profiles.1),
        craft::suspect(accused.id(), Incarnation::first(1), gone.id()),
    ];
    cluster.inject(address(9), large, &craft::datagram("swim", &said)).expect("it is well-formed");
    cluster.run_for(Duration::from_secs(2));
    assert_eq!((cluster.node(large).live(), cluster.node(small).live()), (3, 2));
    assert!(cluster.node(small).member(gone.id()).is_some(), "it is remembered");
    assert!(cluster.node(small).stats().drops.members_full > 0, "{:?}", cluster.node(small).stats().drops);
    // Who refutes is worth the place of the dead.
    let refuted = Incarnation { life: 1, refutation: 1 };
    let said = craft::datagram("swim", &[craft::alive(accused.id(), refuted, &profiles.1)]);
    cluster.inject(accused.address, large, &said).expect("it is well-formed");
    cluster.run_for(Duration::from_secs(1));
    assert!(cluster.node(small).member(accused.id()).is_some());
    assert!(cluster.node(small).member(gone.id()).is_none());
}
