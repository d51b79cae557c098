//! What systems in use today get wrong, one test each.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use swim_proto::wire::{Ack, Ask, Message, Ping, PingReq};
use swim_proto::{
    CommandError, Config, ConfigError, Incarnation, Instant, LocalMember, METADATA_MAX, Node, State, Stats, Status,
    Transport,
};
use swim_tests::cluster::{LIFE, Seen};
use swim_tests::craft::{self, Puppet};
use swim_tests::{Cluster, What};

const SECOND: Duration = Duration::from_secs(1);

/// A cluster that has just settled, and one member of it whose host vanishes without a word.
fn settled_and_last_gone(n: usize) -> (Cluster, usize) {
    let mut cluster = Cluster::settled(n, &Config::lan());
    let gone = n - 1;
    cluster.cut(&[gone], &(0..gone).collect::<Vec<_>>());
    cluster.crash(gone);
    (cluster, gone)
}

fn all_hold(cluster: &Cluster, observers: impl IntoIterator<Item = usize>, subject: usize, state: State) -> bool {
    observers.into_iter().all(|observer| cluster.state(observer, subject) == Some(state))
}

fn puppet_address(i: usize) -> SocketAddr {
    SocketAddr::from(([10, 9, (i / 200) as u8, (i % 200) as u8 + 1], 7000))
}

// A nack that arrives after the prober has given up (memberlist).

#[test]
fn killing_one_node_leaves_the_health_of_all_others_at_zero() {
    // Of three the last is asked by one helper, which nacks like any. (Of two nobody can be asked: 3.10.)
    for n in [3, 4, 5, 10] {
        let (mut cluster, gone) = settled_and_last_gone(n);
        let sick = cluster.run_until(40 * SECOND, |cluster| (0..gone).any(|i| cluster.node(i).health() > 0));
        assert_eq!(sick, None, "somebody of {n} doubted itself after this long");
        assert!(all_hold(&cluster, 0..gone, gone, State::Dead), "{}", cluster.views());
        let missed: u64 = (0..gone).map(|i| cluster.node(i).stats().nacks_missed).sum();
        assert_eq!(missed, 0, "no nack was missed among {n}");
    }
}

// Recently dead members counted as cluster size (memberlist).

#[test]
fn the_recently_dead_do_not_lengthen_the_next_suspicion() {
    let mut cluster = Cluster::settled(20, &Config::lan());
    // Seventeen of twenty die at once; two that remain, and one that will die next.
    let dead: Vec<usize> = (3..20).collect();
    dead.iter().for_each(|&i| cluster.crash(i));
    let took = cluster.run_until(120 * SECOND, |cluster| dead.iter().all(|&i| all_hold(cluster, 0..3, i, State::Dead)));
    assert!(took.is_some(), "{}", cluster.views());
    cluster.crash(2);
    let suspected =
        cluster.run_until(20 * SECOND, |cluster| (0..2).any(|i| cluster.state(i, 2) == Some(State::Suspect)));
    assert!(suspected.is_some());
    let case = (0..2).find_map(|i| cluster.node(i).member(cluster.id(2)).and_then(|member| member.suspicion));
    let case = case.expect("it is suspected");
    // n = 3: Min = 3 * max(1, log10 3) * 1 s, and at once, since fewer than K = 3 others could confirm.
    assert_eq!(case.timeout_min, 3 * SECOND);
    assert_eq!(case.deadline - case.since, 3 * SECOND);
    let buried = cluster.run_until(6 * SECOND, |cluster| all_hold(cluster, 0..2, 2, State::Dead));
    assert!(buried.is_some(), "{}", cluster.views());
}

// An incarnation that overflows or goes backwards; a hostile claim at the top; a stale alive.

#[test]
fn a_hostile_claim_at_the_top_evicts_nobody_for_good() {
    for kind in 0..3 {
        let mut cluster = Cluster::settled(5, &Config::lan());
        let (victim, id) = (4, cluster.id(4));
        let top = Incarnation::ACCUSED_MAX;
        let lie = match kind {
            0 => craft::suspect(id, top, cluster.id(1)),
            1 => craft::dead(id, top, cluster.id(1)),
            _ => craft::left(id, top),
        };
        cluster.inject(cluster.address(1), 0, &craft::datagram("swim", &[lie])).expect("the lie is well-formed");
        cluster.run_for(30 * SECOND);
        assert!(cluster.is_full(), "after {lie:?}:\n{}", cluster.views());
        assert!(cluster.incarnation(0, victim) > Some(top), "it went past the lie");

        // And though nobody can accuse it now, it is missed when it dies, and found when it returns.
        cluster.crash(victim);
        let missed = cluster
            .run_until(60 * SECOND, |cluster| (0..victim).all(|i| cluster.state(i, victim) == Some(State::Dead)));
        assert!(missed.is_some(), "after {lie:?}:\n{}", cluster.views());
        cluster.restart(victim);
        cluster.join(victim, &[0]);
        let back = cluster.run_until(10 * SECOND, Cluster::is_full);
        assert!(back.is_some(), "after {lie:?}:\n{}", cluster.views());
    }
}

#[test]
fn a_forged_alive_that_nobody_can_go_past_evicts_nobody_for_good() {
    for n in [3, 5, 10] {
        let mut cluster = Cluster::settled(n, &Config::lan());
        let (victim, own) = (n - 1, cluster.address(n - 1));
        let id = cluster.id(victim);
        // The last incarnation there is, and where nobody answers; of the two profiles the lie is the greater.
        let lie = Puppet { metadata: vec![0xFF; 40], ..Puppet::new(cluster.name(victim), puppet_address(0)) };
        let claim = craft::datagram("swim", &[craft::alive(id, Incarnation::MAX, &lie.profile())]);
        cluster.inject(cluster.address(1), 0, &claim).expect("the lie is well-formed");
        let held =
            |cluster: &Cluster, i: usize| cluster.node(i).member(id).map(|member| (member.state, member.address));
        assert_eq!(held(&cluster, 0), Some((State::Alive, lie.address)), "it is taken");

        // Each misses it by itself within a round of probes (3.2), suspects it for Min, remembers that for 600 s (2.4), and
        // hears of it by its next sync.
        let round = SECOND * 2 * n as u32;
        let bound = round + 3 * SECOND + 600 * SECOND + 34 * SECOND;
        let at_home = |cluster: &Cluster| (0..victim).all(|i| held(cluster, i) == Some((State::Alive, own)));
        let back = cluster.run_until(bound, |cluster| at_home(cluster) && cluster.is_full());
        println!("of {n}: back after {back:?}, at most {bound:?}");
        assert!(back.is_some(), "of {n}:\n{}", cluster.views());
        cluster.run_for(120 * SECOND);
        assert!(at_home(&cluster) && cluster.is_full(), "of {n}:\n{}", cluster.views());
        for i in 0..n {
            assert_eq!(cluster.node(i).status(), Status::Joined);
            assert!(cluster.told(i).iter().all(|told| told.what != What::Superseded), "of {n}");
            // The lie is about one.
            assert!((0..victim).all(|j| cluster.times_told(i, What::Died, j) == 0), "of {n}");
        }
    }
}

#[test]
fn a_forged_alive_at_the_victims_own_address_is_endured() {
    let mut cluster = Cluster::settled(5, &Config::lan());
    let lie = Puppet { metadata: vec![0xFF; 40], ..Puppet::new(cluster.name(4), cluster.address(4)) };
    let claim = craft::datagram("swim", &[craft::alive(cluster.id(4), Incarnation::MAX, &lie.profile())]);
    cluster.inject(cluster.address(1), 0, &claim).expect("the lie is well-formed");
    // Nobody can say anything newer of it than its false metadata; but it answers.
    cluster.run_for(900 * SECOND);
    assert!(cluster.is_full(), "{}", cluster.views());
    assert!((0..5).all(|i| cluster.times_told(i, What::Suspected, 4) == 0));
    assert!((0..5).all(|i| cluster.node(i).status() == Status::Joined));
}

#[test]
fn a_claim_above_the_ceiling_is_refused_and_counted() {
    let mut cluster = Cluster::settled(3, &Config::lan());
    // 2^62 - 1 and 2^62 as varints: the codec itself would not write the second.
    let ceiling = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F];
    let above = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40];
    let at_ceiling = Incarnation::first(Incarnation::ACCUSED_MAX.life);
    let mut lie = craft::datagram("swim", &[craft::left(cluster.id(2), at_ceiling)]);
    let at = lie.windows(9).position(|window| window == ceiling).expect("the life is a varint");
    lie[at..at + 9].copy_from_slice(&above);
    craft::recheck(&mut lie);
    let before = cluster.node(0).stats().drops.malformed;
    assert!(cluster.inject(cluster.address(1), 0, &lie).is_err());
    assert_eq!(cluster.node(0).stats().drops.malformed, before + 1);
    assert_eq!(cluster.state(0, 2), Some(State::Alive));
    let life = Incarnation::ACCUSED_MAX.life + 1;
    let local = LocalMember::new(puppet_address(0), life);
    assert_eq!(Node::new(Instant::ZERO, local, Config::lan(), 1).err(), Some(ConfigError::Life(life)));
}

#[test]
fn a_stale_alive_resurrects_nobody() {
    let (mut cluster, gone) = settled_and_last_gone(5);
    let held = cluster.incarnation(0, gone).expect("it is known");
    let buried = cluster.run_until(60 * SECOND, |cluster| all_hold(cluster, 0..gone, gone, State::Dead));
    assert!(buried.is_some(), "{}", cluster.views());
    let profile = Puppet::new(cluster.name(gone), cluster.address(gone)).profile();
    let stale = craft::datagram("swim", &[craft::alive(cluster.id(gone), held, &profile)]);
    for i in 0..gone {
        cluster.inject(cluster.address((i + 1) % gone), i, &stale).expect("it is well-formed");
    }
    cluster.run_for(5 * SECOND);
    assert!(all_hold(&cluster, 0..gone, gone, State::Dead), "{}", cluster.views());
    assert!((0..gone).all(|i| cluster.times_told(i, What::Died, gone) == 1));
}

// Two sides that buried each other.

#[test]
fn two_sides_that_buried_each_other_meet_again_and_bury_nobody_anew() {
    for left in 1..=3 {
        let mut cluster = Cluster::settled(6, &Config::lan());
        let sides: (Vec<usize>, Vec<usize>) = (0..6).partition(|&i| i < left);
        cluster.cut(&sides.0, &sides.1);
        let apart = cluster.run_until(120 * SECOND, |cluster| {
            sides.0.iter().all(|&i| all_hold(cluster, sides.1.iter().copied(), i, State::Dead))
                && sides.1.iter().all(|&i| all_hold(cluster, sides.0.iter().copied(), i, State::Dead))
        });
        assert!(apart.is_some(), "{left} of 6:\n{}", cluster.views());
        cluster.run_for(30 * SECOND);
        let deaths = |cluster: &Cluster| -> usize {
            (0..6).map(|i| cluster.told(i).iter().filter(|told| told.what == What::Died).count()).sum()
        };
        let before = deaths(&cluster);
        cluster.network.heal();
        let together = cluster.run_until(90 * SECOND, Cluster::is_full);
        assert!(together.is_some(), "{left} of 6:\n{}", cluster.views());
        cluster.run_for(30 * SECOND);
        assert!(cluster.is_full());
        assert_eq!(deaths(&cluster), before, "{left} of 6: a death after the sides met");
    }
}

#[test]
fn a_mass_restart_leaves_nobody_dead_in_any_view() {
    let mut cluster = Cluster::settled(12, &Config::lan());
    (1..12).for_each(|i| cluster.crash(i));
    let alone = cluster.run_until(120 * SECOND, |cluster| cluster.node(0).live() == 1);
    assert!(alone.is_some(), "{}", cluster.views());
    for i in 1..12 {
        cluster.restart(i);
        cluster.join(i, &[0]);
    }
    let back = cluster.run_until(10 * SECOND, Cluster::is_full);
    assert!(back.is_some(), "{}", cluster.views());
    cluster.run_for(60 * SECOND);
    assert!(cluster.is_full(), "{}", cluster.views());
}

#[test]
fn a_rolling_restart_leaves_nobody_dead_in_any_view() {
    let mut cluster = Cluster::settled(8, &Config::lan());
    for i in 0..8 {
        cluster.crash(i);
        cluster.run_for(3 * SECOND);
        cluster.restart(i);
        cluster.join(i, &[(i + 1) % 8]);
        cluster.run_for(SECOND);
    }
    cluster.run_for(20 * SECOND);
    assert!(cluster.is_full(), "{}", cluster.views());
}

// A suspicion refuted in time that still ends in death (foca).

#[test]
fn at_five_percent_loss_each_suspicion_is_refuted_in_time() {
    // Streams lose nothing here, so nobody pings by them; and nothing but its refutation saves a suspect. A direct ping
    // fails in 1 - 0.95^2 of all cases, one by a single helper in 1 - 0.95^4: 1.8 % of all probes accuse.
    let harsh = Config {
        stream_probe: false,
        retry_probe: false,
        indirect_probes: 1,
        verify_burial: false,
        transport: Transport::Datagram,
        ..Config::lan()
    };
    let mut cluster = Cluster::settled(30, &harsh);
    cluster.network.loss_per_mille = 50;
    cluster.run_for(300 * SECOND);
    cluster.network.heal();
    cluster.run_for(20 * SECOND);
    assert!(cluster.is_full(), "{}", cluster.views());

    let sum = |of: fn(&Stats) -> u64| -> u64 { (0..30).map(|i| of(&cluster.node(i).stats())).sum() };
    let (failed, refutations) = (sum(|stats| stats.probes_failed), sum(|stats| stats.refutations));
    let (opened, refuted) = (sum(|stats| stats.suspicions), sum(|stats| stats.suspicions_refuted));
    println!("{failed} probes failed, {refutations} refutations; {opened} suspicions, {refuted} refuted");
    // Of 30 * 300 probes; and each accusation reached nearly all others.
    assert!(failed > 50 && refutations > 50, "{failed} probes failed, and there were {refutations} refutations");
    assert!(opened > 20 * refutations, "{opened} suspicions of {refutations} accusations");
    assert_eq!(opened, refuted + sum(|stats| stats.suspicions_overtaken));
    assert_eq!(sum(|stats| stats.suspicions_expired), 0);
    for i in 0..30 {
        let deaths: Vec<_> = cluster.told(i).iter().filter(|told| told.what == What::Died).collect();
        assert!(deaths.is_empty(), "{deaths:?}");
        assert_eq!(cluster.node(i).status(), Status::Joined);
        assert_eq!(cluster.incarnation(0, i).map(|incarnation| incarnation.life), Some(LIFE), "its first life");
    }
}

// Joining brings no full state (foca).

#[test]
fn a_newcomer_knows_a_thousand_members_in_a_moment() {
    let mut cluster = Cluster::new();
    let seed = cluster.start(Config::lan());
    for i in 0..1000 {
        let puppet = Puppet::new(&format!("member-{i}"), puppet_address(i));
        let claim = craft::datagram("swim", &[craft::alive(puppet.id(), Incarnation::first(1), &puppet.profile())]);
        cluster.inject(puppet_address(0), seed, &claim).expect("it is well-formed");
    }
    let newcomer = cluster.start(Config::lan());
    cluster.join(newcomer, &[seed]);
    let took = cluster.run_until(SECOND, |cluster| cluster.node(newcomer).live() == 1002);
    assert!(took.is_some_and(|took| took <= Duration::from_millis(100)), "it took {took:?}");
}

// Acks of an earlier life, or of another process; probes that outlive their member; indirect probes that never help.

/// One node, and a puppet it knows with this incarnation.
fn node_and_puppet(incarnation: Incarnation) -> (Cluster, Puppet) {
    let mut cluster = Cluster::new();
    cluster.start(Config::lan());
    let puppet = Puppet::new("puppet", puppet_address(0));
    let claim = craft::datagram("swim", &[craft::alive(puppet.id(), incarnation, &puppet.profile())]);
    cluster.catch(puppet.address);
    cluster.inject(puppet.address, 0, &claim).expect("it is well-formed");
    (cluster, puppet)
}

/// Runs for `duration`, and has the puppet ack each ping at once with this incarnation.
fn puppet_acks(cluster: &mut Cluster, puppet: &Puppet, incarnation: Incarnation, duration: Duration) {
    let end = cluster.now() + duration;
    while cluster.now() < end {
        cluster.run_for(Duration::from_millis(10));
        for datagram in cluster.caught(puppet.address) {
            for message in craft::messages("swim", &datagram) {
                if let Message::Ping(Ping { seq, target, .. }) = message
                    && target == puppet.id()
                {
                    let ack = craft::datagram("swim", &[Message::Ack(Ack { seq, incarnation })]);
                    cluster.inject(puppet.address, 0, &ack).expect("it is well-formed");
                }
            }
        }
    }
}

#[test]
fn an_ack_of_an_earlier_life_keeps_nobody_alive() {
    let (mut cluster, puppet) = node_and_puppet(Incarnation::first(2));
    puppet_acks(&mut cluster, &puppet, Incarnation::first(2), 10 * SECOND);
    assert_eq!(cluster.node(0).member(puppet.id()).map(|member| member.state), Some(State::Alive));
    puppet_acks(&mut cluster, &puppet, Incarnation::first(1), 10 * SECOND);
    let state = cluster.node(0).member(puppet.id()).map(|member| member.state);
    assert!(matches!(state, Some(State::Suspect | State::Dead)), "{state:?}");
}

#[test]
fn another_process_at_a_reused_address_does_not_answer_for_the_member_probed() {
    let mut cluster = Cluster::settled(4, &Config::lan());
    let address = cluster.address(3);
    cluster.crash(3);
    let stranger = cluster.start_as(LocalMember::new(address, LIFE).with_name("stranger"), Config::lan());
    cluster.join(stranger, &[0]);
    cluster.run_for(20 * SECOND);
    assert!(all_hold(&cluster, 0..3, 3, State::Dead), "{}", cluster.views());
    assert!(all_hold(&cluster, 0..3, stranger, State::Alive), "{}", cluster.views());
}

#[test]
fn a_probe_does_not_outlive_its_member() {
    let (mut cluster, puppet) = node_and_puppet(Incarnation::first(1));
    let asked = cluster.run_until(5 * SECOND, |cluster| cluster.node(0).stats().probes > 0);
    assert!(asked.is_some());
    let departure = craft::datagram("swim", &[craft::left(puppet.id(), Incarnation::first(1))]);
    cluster.inject(puppet.address, 0, &departure).expect("it is well-formed");
    cluster.run_for(20 * SECOND);
    let stats = cluster.node(0).stats();
    assert_eq!((stats.probes_failed, stats.suspicions, stats.health), (0, 0, 0));
    assert_eq!(cluster.node(0).member(puppet.id()).map(|member| member.state), Some(State::Left));
}

#[test]
fn a_probe_of_an_earlier_life_does_not_accuse_the_next() {
    let (mut cluster, puppet) = node_and_puppet(Incarnation::first(1));
    let asked = cluster.run_until(5 * SECOND, |cluster| cluster.node(0).stats().probes > 0);
    assert!(asked.is_some());
    let reborn = craft::datagram("swim", &[craft::alive(puppet.id(), Incarnation::first(2), &puppet.profile())]);
    cluster.inject(puppet.address, 0, &reborn).expect("it is well-formed");
    cluster.run_for(Duration::from_millis(1_100));
    assert_eq!(cluster.node(0).stats().suspicions, 0);
    assert_eq!(cluster.node(0).member(puppet.id()).map(|member| member.state), Some(State::Alive));
}

#[test]
fn an_indirect_probe_saves_whom_a_broken_path_hides() {
    for preset in [Config::lan(), Config::wan(), Config::local()] {
        let mut cluster = Cluster::settled(3, &preset);
        cluster.cut(&[0], &[1]);
        cluster.run_for(preset.probe_interval * 100);
        for (i, j) in [(0, 1), (1, 0)] {
            assert_eq!(cluster.times_told(i, What::Suspected, j), 0, "{preset:?}");
            assert!(cluster.node(i).stats().probes_acked_indirectly > 10, "{preset:?}");
            assert_eq!(cluster.node(i).health(), 0);
        }
    }
}

#[test]
fn timings_under_which_indirect_probes_cannot_help_are_refused() {
    let config = Config { probe_timeout: Duration::from_millis(667), ..Config::lan() };
    assert!(matches!(config.validate(), Err(ConfigError::ProbeTimeout { .. })));
    let config = Config { probe_timeout: Duration::from_millis(666), ..Config::lan() };
    assert_eq!(config.validate(), Ok(()));
}

// Departures re-gossiped without end; immortal tombstones; joiners invisible where they are held as Left.

#[test]
fn a_departure_told_twice_is_not_gossiped_without_end() {
    let mut cluster = Cluster::settled(5, &Config::lan());
    cluster.leave(4);
    cluster.run_for(20 * SECOND);
    assert!(all_hold(&cluster, 0..4, 4, State::Left), "{}", cluster.views());
    assert!((0..4).all(|i| cluster.node(i).stats().rumors == 0), "the news has been spread");
    let sent = |cluster: &Cluster| -> u64 { (0..4).map(|i| cluster.node(i).stats().rumors_out).sum() };
    let before = sent(&cluster);
    let incarnation = cluster.incarnation(0, 4).expect("it is remembered");
    let again = craft::datagram("swim", &[craft::left(cluster.id(4), incarnation)]);
    for i in 0..4 {
        cluster.inject(cluster.address((i + 1) % 4), i, &again).expect("it is well-formed");
    }
    cluster.run_for(20 * SECOND);
    assert_eq!(sent(&cluster), before);
    assert!((0..4).all(|i| cluster.times_told(i, What::Left, 4) == 1));
}

#[test]
fn tombstones_die_out_together() {
    let retention = 60 * SECOND;
    let config = Config { tombstone_retention: retention, sync_interval: 5 * SECOND, ..Config::lan() };
    let mut cluster = Cluster::settled(6, &config);
    cluster.leave(4);
    cluster.run_for(5 * SECOND);
    cluster.crash(4);
    cluster.crash(5);
    let buried = cluster.run_until(60 * SECOND, |cluster| {
        all_hold(cluster, 0..4, 4, State::Left) && all_hold(cluster, 0..4, 5, State::Dead)
    });
    assert!(buried.is_some(), "{}", cluster.views());
    // A newcomer learns of the dead by sync, and does not keep them longer than the others.
    cluster.run_for(retention / 2);
    let newcomer = cluster.start(config);
    cluster.join(newcomer, &[0]);
    cluster.run_for(retention / 2 + 10 * SECOND);
    for i in [0, 1, 2, 3, newcomer] {
        assert_eq!(cluster.node(i).stats().tombstones, 0, "at {}:\n{}", cluster.name(i), cluster.views());
    }
}

#[test]
fn a_joiner_that_its_peers_hold_as_left_is_visible_at_once() {
    let mut cluster = Cluster::settled(4, &Config::lan());
    cluster.leave(3);
    cluster.run_for(15 * SECOND);
    assert!(all_hold(&cluster, 0..3, 3, State::Left), "{}", cluster.views());
    cluster.crash(3);
    // Its clock went back: its life is less than the one they remember.
    cluster.restart_with_life(3, LIFE / 2);
    cluster.join(3, &[0]);
    let back = cluster.run_until(SECOND, Cluster::is_full);
    assert!(back.is_some(), "{}", cluster.views());
}

#[test]
fn a_joiner_that_its_peers_hold_as_dead_is_visible_at_once() {
    let (mut cluster, gone) = settled_and_last_gone(4);
    let buried = cluster.run_until(60 * SECOND, |cluster| all_hold(cluster, 0..gone, gone, State::Dead));
    assert!(buried.is_some(), "{}", cluster.views());
    cluster.network.heal();
    cluster.restart_with_life(gone, LIFE / 2);
    cluster.join(gone, &[0]);
    let back = cluster.run_until(SECOND, Cluster::is_full);
    assert!(back.is_some(), "{}", cluster.views());
}

// Metadata over its limit that panics.

#[test]
fn metadata_over_its_limit_is_an_error_everywhere() {
    let mut cluster = Cluster::settled(2, &Config::lan());
    let len = METADATA_MAX + 1;
    let refused = cluster.command(0, |node, now| node.set_metadata(now, Bytes::from(vec![1; len])));
    assert_eq!(refused, Err(CommandError::Metadata { len }));
    let local = LocalMember::new(puppet_address(0), 1).with_metadata(vec![1; len]);
    assert_eq!(Node::new(Instant::ZERO, local, Config::lan(), 1).err(), Some(ConfigError::Metadata { len }));
    let longest = Bytes::from(vec![1; METADATA_MAX]);
    cluster.command(0, |node, now| node.set_metadata(now, longest.clone())).expect("the longest there may be");
    cluster.run_for(2 * SECOND);
    let held = cluster.node(1).member(cluster.id(0)).map(|member| member.metadata.to_vec());
    assert_eq!(held.as_deref(), Some(&longest[..]));
}

// A stranger's 26 bytes answered with 1,400.

#[test]
fn a_stranger_is_never_answered_with_more_than_it_sent() {
    let mut cluster = Cluster::new();
    for i in 0..6 {
        let local = LocalMember::new(Cluster::address_of(i), LIFE)
            .with_name(format!("a member with a name of some length, number {i}"))
            .with_metadata(vec![i as u8; METADATA_MAX]);
        cluster.start_as(local, Config::lan());
    }
    (1..6).for_each(|i| cluster.join(i, &[0]));
    cluster.run_for(20 * SECOND);
    assert!(cluster.is_full());

    let known: BTreeSet<SocketAddr> = (0..6).map(|i| cluster.address(i)).collect();
    let stranger = puppet_address(7);
    let (id, other) = (cluster.id(0), cluster.id(1));
    let source = Puppet::new("stranger", stranger).id();
    let old = Incarnation::first(1);
    let questions = [
        Message::Ping(Ping { seq: 1, target: id, source }),
        Message::Ping(Ping { seq: 1, target: id, source: other }),
        Message::PingReq(PingReq { seq: 2, source, target: other, address: puppet_address(8), budget_ms: 500 }),
        Message::PingReq(PingReq { seq: 2, source, target: other, address: cluster.address(1), budget_ms: 500 }),
        Message::Ask(Ask { id: other, incarnation: old }),
        craft::suspect(other, old, source),
        craft::dead(other, old, source),
        craft::left(other, old),
        craft::dead(id, old, other),
    ];
    for question in questions {
        // With much news waiting to ride along.
        cluster.command(1, |node, now| node.set_metadata(now, Bytes::from(vec![9; METADATA_MAX]))).expect("it fits");
        cluster.command(0, |node, now| node.set_metadata(now, Bytes::from(vec![8; METADATA_MAX]))).expect("it fits");
        for address in [stranger, puppet_address(8)] {
            cluster.catch(address);
            cluster.caught(address);
        }
        let bytes = craft::datagram("swim", &[question]);
        cluster.inject(stranger, 0, &bytes).expect("it is well-formed");
        cluster.run_for(2 * SECOND);
        for address in [stranger, puppet_address(8)] {
            assert!(!known.contains(&address));
            // A question of the node's own, of whoever pings and is not known, is no answer (7.3).
            let is_question = |bytes: &Vec<u8>| matches!(craft::messages("swim", bytes).next(), Some(Message::Ping(_)));
            let (asked, answers): (Vec<_>, Vec<_>) = cluster.caught(address).into_iter().partition(is_question);
            let answered: usize = answers.iter().map(Vec::len).sum();
            assert!(answered <= bytes.len(), "{question:?}: {} bytes answered with {answered}", bytes.len());
            let may_ask = matches!(question, Message::Ping(ping) if ping.source == source && address == stranger);
            assert!(
                asked.len() <= usize::from(may_ask) && asked.iter().all(|asked| asked.len() <= 64),
                "{question:?}: {asked:?}"
            );
        }
    }
}

#[test]
fn many_old_claims_in_one_datagram_do_not_add_up_to_a_long_answer() {
    let mut cluster = Cluster::new();
    let seed = cluster.start(Config::lan());
    let members: Vec<Puppet> = (0..60)
        .map(|i| Puppet { metadata: vec![7; METADATA_MAX], ..Puppet::new(&format!("member-{i}"), puppet_address(i)) })
        .collect();
    for member in &members {
        let claim = craft::datagram("swim", &[craft::alive(member.id(), Incarnation::first(9), &member.profile())]);
        cluster.inject(member.address, seed, &claim).expect("it is well-formed");
    }
    let stranger = puppet_address(190);
    cluster.catch(stranger);
    let old: Vec<Message<'_>> = members
        .iter()
        .map(|member| craft::suspect(member.id(), Incarnation::first(1), members[0].id()))
        .skip(1)
        .collect();
    let bytes = craft::datagram("swim", &old);
    cluster.inject(stranger, seed, &bytes).expect("it is well-formed");
    cluster.run_for(2 * SECOND);
    let answered: usize = cluster.caught(stranger).iter().map(Vec::len).sum();
    assert!(answered <= bytes.len(), "{} bytes answered with {answered}", bytes.len());
}

#[test]
fn a_strangers_datagram_draws_no_flood_upon_third_parties() {
    let mut cluster = Cluster::settled(5, &Config::lan());
    let sent = std::rc::Rc::new(std::cell::Cell::new(0));
    let counter = std::rc::Rc::clone(&sent);
    cluster.watch(move |seen| {
        if let Seen::Datagram { from, .. } = seen
            && from == Cluster::address_of(0)
        {
            counter.set(counter.get() + 1);
        }
    });
    let lie = craft::dead(cluster.id(1), Incarnation::first(1), cluster.id(2));
    let bytes = craft::datagram("swim", &[lie]);
    for _ in 0..1000 {
        cluster.inject(puppet_address(1), 0, &bytes).expect("it is well-formed");
    }
    assert!(sent.get() < 100, "a thousand old claims of one instant drew {} datagrams", sent.get());
    assert!(cluster.node(0).stats().drops.echoes_limited > 0);
}
