//! Two processes under one name, in truth and in lies.

use std::net::SocketAddr;
use std::time::Duration;

use swim_proto::{Config, Status};
use swim_tests::cluster::LIFE;
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
            cluster.run_for(20 * SECOND);
            assert!(cluster.is_full(), "{}", cluster.views());
            assert_eq!((0..3).map(|i| cluster.times_told(i, What::Died, 3)).sum::<usize>(), 0);
        }
    }
}
