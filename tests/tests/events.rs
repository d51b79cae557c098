//! What the application is told, and that it is all there is to know.

use std::net::SocketAddr;

use bytes::Bytes;
use swim_proto::wire::Message;
use swim_proto::{Config, Incarnation, NodeId, State};
use swim_tests::craft::{self, Puppet};
use swim_tests::{Cluster, What};

fn address(i: u8) -> SocketAddr {
    SocketAddr::from(([10, 9, 0, i + 1], 7000))
}

/// One node, which hears these claims, each in a datagram of its own, and what it told of their subject.
fn told_of(subject: &Puppet, claims: &[Message<'_>]) -> (Cluster, Vec<What>) {
    let mut cluster = Cluster::new();
    cluster.start(Config::lan());
    for claim in claims {
        cluster.inject(address(9), 0, &craft::datagram("swim", &[*claim])).expect("it is well-formed");
    }
    let id = Some(subject.id());
    let told = cluster.told(0).iter().filter(|told| told.id == id).map(|told| told.what).collect();
    (cluster, told)
}

fn in_life(life: u64, refutation: u32) -> Incarnation {
    Incarnation { life, refutation }
}

fn somebody() -> NodeId {
    Puppet::new("somebody", address(8)).id()
}

#[test]
fn a_restart_is_told_though_an_accusation_speaks_of_the_new_life_first() {
    let subject = Puppet::new("subject", address(0));
    let (id, profile) = (subject.id(), subject.profile());
    let first = craft::alive(id, in_life(1, 0), &profile);
    let accused = craft::suspect(id, in_life(2, 0), somebody());

    let (_, told) = told_of(&subject, &[first, accused, craft::alive(id, in_life(2, 1), &profile)]);
    assert_eq!(told, [What::Joined, What::Suspected, What::Restarted]);

    // Its word comes late, and then it refutes.
    let late = craft::alive(id, in_life(2, 0), &profile);
    let (_, told) = told_of(&subject, &[first, accused, late, craft::alive(id, in_life(2, 1), &profile)]);
    assert_eq!(told, [What::Joined, What::Suspected, What::Restarted, What::Suspected, What::Refuted]);

    let dead = craft::dead(id, in_life(2, 0), somebody());
    let (_, told) = told_of(&subject, &[first, dead, craft::alive(id, in_life(2, 1), &profile)]);
    assert_eq!(told, [What::Joined, What::Died, What::Restarted]);

    // The same life, twice accused.
    let again = craft::suspect(id, in_life(1, 0), somebody());
    let (_, told) = told_of(&subject, &[first, again, craft::alive(id, in_life(1, 1), &profile)]);
    assert_eq!(told, [What::Joined, What::Suspected, What::Refuted]);
}

// The harness compares what was told with the table after each input: state and content.

#[test]
fn what_comes_to_light_of_the_dead_and_the_departed_is_told() {
    let subject = Puppet::new("subject", address(0));
    let (id, before) = (subject.id(), subject.profile());
    let after = Puppet { address: address(1), metadata: vec![7; 9], ..subject.clone() }.profile();
    let first = craft::alive(id, in_life(1, 0), &before);
    let late = craft::alive(id, in_life(1, 5), &after);
    for (grave, ended, state) in [
        (craft::dead(id, in_life(1, 9), somebody()), What::Died, State::Dead),
        (craft::left(id, in_life(1, 9)), What::Left, State::Left),
    ] {
        let (cluster, told) = told_of(&subject, &[first, grave, late]);
        assert_eq!(told, [What::Joined, ended, What::Updated]);
        let member = cluster.node(0).member(id).expect("it is remembered");
        assert_eq!((member.state, member.address, member.metadata), (state, address(1), &[7; 9][..]));
    }
}

#[test]
fn a_members_own_change_is_told_to_its_own_application() {
    let mut cluster = Cluster::new();
    cluster.start(Config::lan());
    let metadata = Bytes::from_static(b"new");
    cluster.command(0, |node, now| node.set_metadata(now, metadata.clone())).expect("it fits");
    assert_eq!(cluster.times_told(0, What::Updated, 0), 1);
    assert_eq!(cluster.told(0)[0].content.as_ref().map(|content| &content.metadata[..]), Some(&metadata[..]));
    // The same again changes nothing.
    cluster.command(0, |node, now| node.set_metadata(now, metadata.clone())).expect("it fits");
    assert_eq!(cluster.times_told(0, What::Updated, 0), 1);
}
