//! Who is probed, and when.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use swim_proto::wire::{Ack, Message};
use swim_proto::{Config, Incarnation, NodeId};
use swim_tests::Cluster;
use swim_tests::craft::{self, Puppet};

const PUPPETS: usize = 4;

#[test]
fn whoever_is_suspected_again_and_again_keeps_nobody_from_being_probed() {
    // A node hears each period that one of four is suspected anew, of whom it is always among those who find out.
    let config = Config { solicited_confirmations: 4, stream_probe: false, ..Config::lan() };
    let mut cluster = Cluster::new();
    cluster.start(config.clone());
    let address = |i: usize| SocketAddr::from(([10, 9, 0, i as u8 + 1], 7000));
    let puppets: Vec<Puppet> = (0..PUPPETS).map(|i| Puppet::new(&format!("puppet-{i}"), address(i))).collect();
    for puppet in &puppets {
        let profile = puppet.profile();
        let alive = craft::alive(puppet.id(), Incarnation::first(9), &profile);
        cluster.inject(puppet.address, 0, &craft::datagram("swim", &[alive])).expect("it is well-formed");
        cluster.catch(puppet.address);
    }

    let mut probed: BTreeMap<NodeId, u32> = BTreeMap::new();
    let step = Duration::from_millis(10);
    let (periods, steps) = (40, config.probe_interval.div_duration_f64(step) as u32);
    for refutation in 0..periods {
        let incarnation = Incarnation { life: 9, refutation };
        let (suspect, accuser) = (&puppets[0], &puppets[1]);
        let profile = suspect.profile();
        let said = [
            craft::alive(suspect.id(), incarnation, &profile),
            craft::suspect(suspect.id(), incarnation, accuser.id()),
        ];
        cluster.inject(accuser.address, 0, &craft::datagram("swim", &said)).expect("it is well-formed");
        for _ in 0..steps {
            cluster.run_for(step);
            for (i, puppet) in puppets.iter().enumerate() {
                let held = if i == 0 { incarnation } else { Incarnation::first(9) };
                for datagram in cluster.caught(puppet.address) {
                    for message in craft::messages("swim", &datagram) {
                        let Message::Ping(ping) = message else { continue };
                        *probed.entry(puppet.id()).or_default() += 1;
                        let ack = Message::Ack(Ack { seq: ping.seq, incarnation: held });
                        let _ = cluster.inject(puppet.address, 0, &craft::datagram("swim", &[ack]));
                    }
                }
            }
        }
    }
    // Each other period is that of the list, which has four.
    for puppet in &puppets {
        let times = probed.get(&puppet.id()).copied().unwrap_or(0);
        assert!(times >= periods / 2 / PUPPETS as u32 - 1, "{} was probed {times} times: {probed:?}", puppet.address);
    }
    assert!(cluster.node(0).stats().probes_solicited >= u64::from(periods) / 2 - 2, "{:?}", cluster.node(0).stats());
}
