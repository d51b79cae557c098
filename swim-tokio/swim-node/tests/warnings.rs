//! What is wrong in a configuration is said in the log, at its default level.

mod agents;

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use agents::{Agent, free_address};
use swim_proto::wire::{Message, PacketWriter, Suspect};
use swim_proto::{ClusterHash, Incarnation, NodeId};

const IMPATIENT: [&str; 4] = ["--set", "join_retry_min=100ms", "--set", "join_retry_max=200ms"];

#[test]
fn a_node_that_is_not_let_in_says_why_and_says_when_it_is() {
    let [nobody, own] = [free_address(), free_address()];
    let seeds = format!("{nobody},no-such-host.invalid:7946,{own}");
    let mut agent = Agent::start(own, &[&["--seeds", &seeds][..], &IMPATIENT].concat());
    let warning = agent.wait_for_log("not joined yet");
    assert!(warning.contains("WARN") && warning.contains("\"attempts\":1"), "{warning}");
    agent.wait_for_log("no-such-host.invalid:7946 cannot be looked up");
    agent.wait_for_log(&format!("{nobody} refuses connections"));
    agent.wait_for_log(&format!("{own} is this node itself"));
    agent.wait_for_log("\"attempts\":8");
    let said = agent.logs.iter().filter(|line| line.contains("not joined yet")).count();
    assert_eq!(said, 4, "after 1, 2, 4 and 8 attempts: {}", agent.transcript());

    let mut late = Agent::start(nobody, &[]);
    late.wait_for_member(&["joined"], own);
    agent.wait_for_log("joined after all");
}

#[test]
fn a_node_of_another_cluster_is_told_of_on_both_sides() {
    let [a, b] = [free_address(), free_address()];
    let mut ours = Agent::start(a, &["--set", "cluster=ours"]);
    ours.wait_for("started", |event| event["event"] == "started");
    let seeds = a.to_string();
    let mut theirs = Agent::start(b, &[&["--set", "cluster=theirs", "--seeds", &seeds][..], &IMPATIENT].concat());
    let refused = ours.wait_for_log("a packet of another cluster was refused");
    assert!(refused.contains("WARN") && refused.contains("\"packets\":1"), "{refused}");
    let host = b.ip().to_string();
    assert!(refused.contains(&format!("\"from\":\"{host}:")), "it says from where: {refused}");
    theirs.wait_for_log(&format!("{a} does not let us in"));
}

#[test]
fn a_member_of_the_other_family_is_warned_of() {
    let own = free_address();
    let mut both = Agent::start("[::]:0".parse().unwrap(), &["--advertise", "127.0.0.1:0"]);
    let started = both.wait_for("started", |event| event["event"] == "started");
    let at: SocketAddr = started["addr"].as_str().unwrap().parse().unwrap();
    let mut v4 = Agent::start(own, &["--seeds", &at.to_string()]);
    v4.wait_for_member(&["joined"], at);
    let seed = format!("[::1]:{}", at.port());
    let _v6 = Agent::start("[::1]:0".parse().unwrap(), &["--seeds", &seed]);
    let warning = v4.wait_for_log("reached by IPv6 only");
    assert!(warning.contains("WARN"), "{warning}");
}

#[test]
fn a_node_that_is_accused_again_and_again_is_told_where_to_look() {
    let address = free_address();
    let mut agent = Agent::start(address, &["--set", "probe_interval=100ms", "--set", "probe_timeout=50ms"]);
    agent.wait_for("started", |event| event["event"] == "started");
    let liar = UdpSocket::bind((address.ip(), 0)).unwrap();
    liar.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // Each of a life beyond the present, so that each has to be contradicted.
    for life in 0..3 {
        let accusation = Message::Suspect(Suspect {
            id: NodeId::of("swim", &address.to_string()),
            incarnation: Incarnation::first((1 << 61) + 2 * life),
            accuser: NodeId::of("swim", "a liar"),
        });
        let mut datagram = Vec::new();
        let mut packet = PacketWriter::datagram(&mut datagram, ClusterHash::of("swim"), 1400);
        // A few times over: an answer to a stranger is no longer than what it sent.
        assert!((0..6).all(|_| packet.push(&accusation)));
        packet.finish();
        liar.send_to(&datagram, address).unwrap();
        // What arrives together is taken newest first, and contradicting that contradicts the rest.
        liar.recv(&mut [0; 1400]).expect("a contradiction");
    }
    let warning = agent.wait_for_log(&format!("others accuse us again and again of not answering at {address}"));
    assert!(warning.contains("WARN") && warning.contains("\"refutations\":3"), "{warning}");
}
