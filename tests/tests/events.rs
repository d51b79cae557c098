//! What the application is told, and that it is all there is to know.

use std::net::SocketAddr;

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
