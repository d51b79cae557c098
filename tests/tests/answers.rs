//! What a datagram is answered with.

use std::net::SocketAddr;
use std::time::Duration;

use swim_proto::wire::{Alive, Message, Ping};
use swim_proto::{Config, Incarnation, LocalMember, Status};
use swim_tests::Cluster;
use swim_tests::cluster::LIFE;
use swim_tests::craft::{self, Puppet};
use swim_tests::network::Fate;

fn address(i: usize) -> SocketAddr {
    SocketAddr::from(([10, 9, (i / 200) as u8, (i % 200) as u8 + 1], 7000))
}

/// A node, and a puppet that it knows in its ninth life.
fn node_and_puppet() -> (Cluster, Puppet) {
    let mut cluster = Cluster::new();
    cluster.start(Config::lan());
    let puppet = Puppet::new("puppet", address(0));
    let claim = craft::datagram("swim", &[craft::alive(puppet.id(), Incarnation::first(9), &puppet.profile())]);
    cluster.inject(puppet.address, 0, &claim).expect("it is well-formed");
    (cluster, puppet)
}

/// The claims of Alive that are sent to the puppet on hearing this.
fn answered(cluster: &mut Cluster, puppet: &Puppet, said: &[Message<'_>]) -> Vec<(swim_proto::NodeId, Incarnation)> {
    cluster.catch(puppet.address);
    cluster.caught(puppet.address);
    cluster.inject(puppet.address, 0, &craft::datagram("swim", said)).expect("it is well-formed");
    // The first datagram is the answer; news that is gossiped comes by timer.
    let answers = cluster.caught(puppet.address);
    let alive = |message| match message {
        Message::Alive(Alive { id, incarnation, .. }) => Some((id, incarnation)),
        _ => None,
    };
    answers.iter().flat_map(|answer| craft::messages("swim", answer).filter_map(alive)).collect()
}

#[test]
fn a_refutation_is_told_at_once_though_old_news_came_with_the_accusation() {
    let (mut cluster, puppet) = node_and_puppet();
    let (own, old) = (cluster.id(0), Incarnation::first(1));
    let refuted = (own, Incarnation { life: LIFE, refutation: 1 });
    let said = [craft::left(puppet.id(), old), craft::suspect(own, Incarnation::first(LIFE), puppet.id())];
    let told = answered(&mut cluster, &puppet, &said);
    assert_eq!(told.first(), Some(&refuted), "{told:?}");
    assert!(told.iter().all(|&(id, _)| id == own), "one claim answers a datagram: {told:?}");
}

#[test]
fn a_refutation_is_told_at_once_though_no_more_echoes_may_be_sent() {
    let (mut cluster, puppet) = node_and_puppet();
    let (own, old) = (cluster.id(0), Incarnation::first(1));
    let outranked = craft::left(puppet.id(), old);
    let mut echoed = 0;
    while !answered(&mut cluster, &puppet, &[outranked]).is_empty() {
        echoed += 1;
    }
    assert_eq!(echoed, 32);
    let said = [outranked, craft::suspect(own, Incarnation::first(LIFE), puppet.id())];
    let told = answered(&mut cluster, &puppet, &said);
    assert_eq!(told.first(), Some(&(own, Incarnation { life: LIFE, refutation: 1 })), "{told:?}");
}

#[test]
fn the_departed_answer_pings_and_tell_no_news() {
    let (mut cluster, puppet) = node_and_puppet();
    // Much news, and a departure that ends before it is told.
    for i in 1..40 {
        let other = Puppet::new(&format!("other-{i}"), address(i));
        let claim = craft::datagram("swim", &[craft::alive(other.id(), Incarnation::first(1), &other.profile())]);
        cluster.inject(puppet.address, 0, &claim).expect("it is well-formed");
    }
    cluster.leave(0);
    cluster.run_for(Config::lan().leave_timeout);
    assert_eq!((cluster.node(0).status(), cluster.node(0).stats().rumors), (Status::Left, 0));
    let own = cluster.id(0);
    cluster.catch(puppet.address);
    cluster.caught(puppet.address);
    let ping = Message::Ping(Ping { seq: 7, target: own, source: puppet.id() });
    cluster.inject(puppet.address, 0, &craft::datagram("swim", &[ping])).expect("it is well-formed");
    let answers = cluster.caught(puppet.address);
    assert_eq!(answers.len(), 1);
    let said: Vec<Message<'_>> = craft::messages("swim", &answers[0]).collect();
    assert!(matches!(said[..], [Message::Left(left), Message::Ack(_)] if left.id == own), "{said:?}");
}

#[test]
fn the_departed_tell_a_stranger_so_though_there_is_no_room_for_an_ack_besides() {
    let mut cluster = Cluster::new();
    let local = LocalMember::new(Cluster::address_of(0), 1_700_000_000_000).with_name("departed");
    cluster.start_as(local, Config::lan());
    cluster.leave(0);
    let (own, stranger) = (cluster.id(0), address(90));
    cluster.catch(stranger);
    let ping = Message::Ping(Ping { seq: 8, target: own, source: Puppet::new("stranger", stranger).id() });
    let asked = craft::datagram("swim", &[ping]);
    cluster.inject(stranger, 0, &asked).expect("it is well-formed");
    let answers = cluster.caught(stranger);
    let said: Vec<Message<'_>> = craft::messages("swim", &answers[0]).collect();
    assert!(matches!(said[..], [Message::Left(left)] if left.id == own), "{said:?}");
    assert!(answers.len() == 1 && answers[0].len() <= asked.len());
}

#[test]
fn an_exchange_contradicts_a_newer_word_of_the_dead_too() {
    let never = Config { sync_interval: Duration::ZERO, reach_all: false, ..Config::lan() };
    let mut cluster = Cluster::new();
    // The first asks, and it alone.
    cluster.start(Config { sync_interval: Duration::from_secs(5), ..never.clone() });
    cluster.start(never);
    cluster.join(1, &[0]);
    cluster.run_for(Duration::from_secs(4));
    assert!(cluster.is_full());
    cluster.network.script(|_, _, _| Fate::Lost);
    let puppet = Puppet::new("puppet", address(0));
    let (id, profile) = (puppet.id(), puppet.profile());
    let word = |life| craft::datagram("swim", &[craft::alive(id, Incarnation::first(life), &profile)]);
    let grave = craft::datagram("swim", &[craft::dead(id, Incarnation::first(3), cluster.id(1))]);
    for (node, said) in [(0, word(1)), (0, grave), (1, word(2))] {
        cluster.inject(puppet.address, node, &said).expect("it is well-formed");
    }
    let held = |cluster: &Cluster, i: usize| cluster.node(i).member(id).map(|member| member.incarnation);
    let told = cluster.run_until(Duration::from_secs(12), |cluster| held(cluster, 1) == Some(Incarnation::first(3)));
    assert!(told.is_some(), "{}", cluster.views());
}

#[test]
fn a_member_is_known_by_its_address_however_a_socket_spells_it() {
    // Answers to strangers carry no news; so this tells whether the address was known.
    let ip = std::net::Ipv4Addr::new(10, 9, 0, 1).to_ipv6_mapped();
    let spelt = [address(0), SocketAddr::from((ip, 7000)), std::net::SocketAddrV6::new(ip, 7000, 5, 3).into()];
    for from in spelt {
        let (mut cluster, puppet) = node_and_puppet();
        cluster.catch(puppet.address);
        cluster.caught(puppet.address);
        let ping = Message::Ping(Ping { seq: 7, target: cluster.id(0), source: puppet.id() });
        let other = Puppet::new("other", address(1));
        let profile = other.profile();
        let news = craft::alive(other.id(), Incarnation::first(1), &profile);
        cluster.inject(from, 0, &craft::datagram("swim", &[ping, news])).expect("it is well-formed");
        let answers = cluster.caught(puppet.address);
        let said: Vec<Message<'_>> = answers.iter().flat_map(|answer| craft::messages("swim", answer)).collect();
        let told = |message: &Message<'_>| matches!(message, Message::Alive(alive) if alive.id == other.id());
        assert!(matches!(said.first(), Some(Message::Ack(_))) && said.iter().any(told), "{from}: {said:?}");
    }
}
