//! Under load and under limits: what is left out, and what never is (`docs/protocol.md` 14).

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use swim_proto::wire::{Message, Ping};
use swim_proto::{Action, Config, Incarnation, Instant, LocalMember, Node, State, Way};
use swim_tests::Cluster;
use swim_tests::craft::{self, Puppet};

const SECOND: Duration = Duration::from_secs(1);

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

fn address(i: usize) -> SocketAddr {
    SocketAddr::from(([10, 9, (i / 200) as u8, (i % 200) as u8 + 1], 7000))
}

fn puppet(i: usize) -> Puppet {
    Puppet::new(&format!("p{i}"), address(i))
}

fn node(config: Config) -> Node {
    let local = LocalMember {
        name: String::from("a"),
        address: "10.77.0.2:7000".parse().unwrap(),
        endpoint: None,
        metadata: Bytes::new(),
        life: 1,
    };
    Node::new(Instant::ZERO, local, config, 1).expect("the settings are valid")
}

fn own_id() -> swim_proto::NodeId {
    swim_proto::NodeId::of("swim", "a")
}

/// A datagram that tells of these puppets.
fn news(puppets: std::ops::Range<usize>, life: u64) -> Vec<u8> {
    let puppets: Vec<(Puppet, Vec<u8>)> = puppets.map(|i| (puppet(i), puppet(i).profile())).collect();
    let claims = puppets.iter().map(|(puppet, profile)| craft::alive(puppet.id(), Incarnation::first(life), profile));
    craft::datagram("swim", &claims.collect::<Vec<_>>())
}

fn ping(seq: u32) -> Vec<u8> {
    craft::datagram("swim", &[Message::Ping(Ping { seq, target: own_id(), source: puppet(0).id() })])
}

/// What it sends, decoded to kinds: 2 is an Ack, 5 an Alive.
fn sent(node: &mut Node) -> Vec<(SocketAddr, Vec<u8>, usize)> {
    let (mut buf, mut sent) = (Vec::new(), Vec::new());
    while let Some(action) = node.poll_action(&mut buf) {
        if let Action::Transmit { to, datagram } = action {
            let kinds = craft::messages("swim", datagram).map(|message| message.kind()).collect();
            sent.push((to, kinds, datagram.len()));
        }
    }
    sent
}

#[test]
fn a_datagram_makes_no_more_members_known_than_it_may() {
    let mut node = node(Config { newcomers_per_datagram: 5, ..Config::lan() });
    node.handle_datagram(at(1), address(0), &news(0..8, 1)).unwrap();
    assert_eq!((node.live(), node.stats().drops.newcomers), (6, 3));
    // Those that are known take no room: told again, the others come in.
    node.handle_datagram(at(2), address(0), &news(0..8, 1)).unwrap();
    assert_eq!((node.live(), node.stats().drops.newcomers), (9, 3));
    // Graves by id alone count as well.
    let graves: Vec<_> = (100..110).map(|i| craft::left(puppet(i).id(), Incarnation::first(1))).collect();
    node.handle_datagram(at(3), address(0), &craft::datagram("swim", &graves)).unwrap();
    assert_eq!((node.stats().tombstones, node.stats().drops.newcomers), (5, 8));
}

#[test]
fn above_the_rate_only_probing_is_heard_and_far_above_it_nothing() {
    let mut node = node(Config { rate_in: 4096, rate_burst: 2048, ..Config::lan() });
    node.handle_datagram(at(1), address(0), &news(0..10, 1)).unwrap();
    assert_eq!(node.live(), 11);
    sent(&mut node);
    for life in 2..10 {
        node.handle_datagram(at(1), address(0), &news(0..20, life)).unwrap();
    }
    assert_eq!(node.live(), 21, "the burst let some through");
    assert!(node.stats().drops.rate_in > 0);
    let held = node.member(puppet(0).id()).unwrap().incarnation;
    assert!(held < Incarnation::first(9), "and not the last");
    sent(&mut node);
    // A ping is answered on credit, and what is said of us is refuted.
    node.handle_datagram(at(200), address(0), &ping(7)).unwrap();
    assert_eq!(sent(&mut node)[0].1[0], 2);
    let accusation = craft::suspect(own_id(), Incarnation::first(1), puppet(1).id());
    node.handle_datagram(at(201), address(0), &craft::datagram("swim", &[accusation])).unwrap();
    assert_eq!(node.local().incarnation.refutation, 1);
    sent(&mut node);
    // The credit is used up: nothing is taken in, whatever it is.
    for seq in 0..100 {
        node.handle_datagram(at(202), address(0), &ping(seq)).unwrap();
    }
    let answers = sent(&mut node).len();
    assert!((1..100).contains(&answers), "{answers}");
    assert_eq!(node.stats().drops.rate_in_whole as usize, 100 - answers);
    // And earned again.
    node.handle_datagram(at(3000), address(0), &news(0..3, 20)).unwrap();
    assert_eq!(node.member(puppet(0).id()).unwrap().incarnation, Incarnation::first(20));
}

#[test]
fn above_the_rate_news_waits_and_answers_and_refutations_are_sent() {
    let limited = Config { rate_out: 4096, rate_burst: 1400, ..Config::lan() };
    let mut node = node(limited);
    node.handle_datagram(at(1), address(0), &news(0..60, 1)).unwrap();
    let mut bytes = 0;
    let mut acks = 0;
    for step in 0..500 {
        let now = at(2 + 20 * step);
        if node.deadline().is_some_and(|deadline| deadline <= now) {
            node.handle_timeout(now);
            bytes += sent(&mut node).iter().map(|(_, _, len)| len).sum::<usize>();
        }
        node.handle_datagram(now, address(0), &ping(step as u32)).unwrap();
        for (to, kinds, len) in sent(&mut node) {
            bytes += len;
            acks += usize::from(to == address(0) && kinds[0] == 2);
        }
        if step == 25 {
            assert!(node.stats().rumors > 0, "what was not told still waits");
        }
        if step == 250 {
            let accusation = craft::suspect(own_id(), Incarnation::first(1), puppet(1).id());
            node.handle_datagram(now, address(0), &craft::datagram("swim", &[accusation])).unwrap();
            let first = &sent(&mut node)[0];
            assert_eq!((first.0, first.1[0]), (address(0), 5), "the refutation is sent at once");
        }
    }
    assert_eq!(acks, 500, "no answer is withheld");
    // Ten seconds at the rate, the burst, and as much again on credit.
    assert!(bytes < 10 * 4096 + 2 * 1400 + 1400, "{bytes}");
    assert!(node.stats().drops.rate_out > 0);
}

#[test]
fn messages_are_sent_above_the_rate_and_charged_to_it_like_all_the_rest() {
    let limited = Config { rate_out: 4096, rate_burst: 1400, ..Config::lan() };
    let mut node = node(limited);
    node.handle_datagram(at(1), address(0), &news(0..60, 1)).unwrap();
    sent(&mut node);
    // Twice the burst: the first of them leaves nothing, and has no room for news.
    for _ in 0..2 {
        let payload = Bytes::from(vec![0; 1300]);
        node.send_message(at(2), puppet(0).id(), payload, Way::Datagram).unwrap();
    }
    let messages = sent(&mut node);
    assert_eq!(messages.len(), 2, "none is withheld");
    for step in 0..4 {
        node.handle_datagram(at(3 + step), address(0), &ping(step as u32)).unwrap();
        let answer = &sent(&mut node)[0];
        assert_eq!(answer.1, [2], "an ack, and no news of others");
    }
}

#[test]
fn whoever_loses_datagrams_does_not_accuse_at_once_but_does_in_the_end() {
    let suspected_after = |lossy: bool| {
        let mut cluster = Cluster::settled(3, &Config { indirect_probes: 0, ..Config::lan() });
        cluster.cut(&[0, 1], &[2]);
        cluster.crash(2);
        let start = cluster.now();
        let suspects = |cluster: &Cluster| cluster.state(0, 2) != Some(State::Alive);
        for _ in 0..600 {
            if lossy {
                cluster.command(0, |node, now| node.report_loss(now, 1));
                cluster.command(1, |node, now| node.report_loss(now, 1));
            }
            if cluster.run_until(SECOND / 10, suspects).is_some() {
                break;
            }
        }
        let stats = cluster.node(0).stats();
        assert_eq!(stats.behind, lossy);
        (cluster.now() - start, stats.accusations_damped + cluster.node(1).stats().accusations_damped)
    };
    let (calm, damped) = suspected_after(false);
    assert!(calm <= 5 * SECOND && damped == 0, "{calm:?} {damped}");
    let (behind, damped) = suspected_after(true);
    assert!(behind > calm, "{behind:?}");
    assert!(damped >= 3, "{damped}");
    // Three more probes of it, each at most a period of the worst health it can have by then.
    assert!(behind < 40 * SECOND, "{behind:?}");
}

#[test]
fn a_burial_is_put_off_once_while_behind() {
    let buried_after = |lossy: bool| {
        let mut cluster = Cluster::settled(3, &Config::lan());
        cluster.cut(&[0, 1], &[2]);
        cluster.crash(2);
        let suspects = |cluster: &Cluster| cluster.state(0, 2) == Some(State::Suspect);
        assert!(cluster.run_until(10 * SECOND, suspects).is_some());
        let start = cluster.now();
        while cluster.state(0, 2) == Some(State::Suspect) && cluster.now() - start < 60 * SECOND {
            if lossy {
                for i in 0..2 {
                    cluster.command(i, |node, now| node.report_loss(now, 1));
                }
            }
            cluster.run_for(SECOND / 10);
        }
        (cluster.now() - start, cluster.node(0).stats().burials_damped)
    };
    let (calm, put_off) = buried_after(false);
    assert_eq!(put_off, 0);
    let (behind, put_off) = buried_after(true);
    assert_eq!(put_off, 1);
    // Min of three members is four seconds.
    assert!(behind >= calm + 3 * SECOND && behind <= calm + 6 * SECOND, "{calm:?} {behind:?}");
}

#[test]
fn while_behind_gossip_is_rarer_and_the_period_longer_and_both_recover() {
    let mut cluster = Cluster::settled(8, &Config { adaptive_interval: true, ..Config::lan() });
    cluster.run_for(5 * SECOND);
    let probes = |cluster: &Cluster| cluster.node(0).stats().probes;
    let before = probes(&cluster);
    cluster.run_for(12 * SECOND);
    let calm = probes(&cluster) - before;
    for _ in 0..80 {
        cluster.command(0, |node, now| node.report_loss(now, 3));
        cluster.run_for(SECOND / 10);
    }
    assert_eq!((cluster.node(0).stats().interval_stretch, cluster.node(0).stats().datagrams_lost), (4, 240));
    cluster.command(0, |node, now| node.set_metadata(now, Bytes::from_static(b"news"))).unwrap();
    let before = probes(&cluster);
    for _ in 0..120 {
        cluster.command(0, |node, now| node.report_loss(now, 3));
        cluster.run_for(SECOND / 10);
    }
    let behind = probes(&cluster) - before;
    assert!(calm >= 11 && behind <= 4, "{calm} and {behind} probes in twelve seconds");
    assert!(cluster.node(0).stats().gossip_thinned > 0);
    assert_eq!(cluster.node(1).stats().interval_stretch, 1);
    cluster.run_for(12 * SECOND);
    assert_eq!(cluster.node(0).stats().interval_stretch, 1);
    assert!(!cluster.node(0).stats().behind);
}
