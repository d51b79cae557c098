//! Where nodes listen, where they say they do, and how seeds are spelt.

use std::net::SocketAddr;
use std::time::Duration;

use swim_driver::StartError;
use swim_driver::messaging::{Ending, SendOptions};

use crate::messages::{reader, send_numbered};
use crate::node::{Mix, Wanted, all_alive, loopback, quick, start};

crate::on_every_mix!(
    nodes_on_ipv6_form_a_cluster,
    reliable_messages_go_by_ipv6,
    a_node_on_every_interface_of_both_families_meets_ipv4_and_ipv6,
    a_node_on_every_interface_sends_messages_from_the_address_that_it_tells,
    a_seed_is_found_by_name,
    a_node_that_names_itself_as_a_seed_is_fine,
    an_address_that_nobody_could_reach_is_refused_with_advice,
    an_address_of_a_family_that_is_not_bound_is_refused_with_advice,
    an_ipv4_address_in_the_guise_of_ipv6_is_taken_for_what_it_is,
    what_is_wrong_with_the_options_is_said_and_nothing_is_bound,
);

fn at(address: &str) -> Wanted {
    Wanted::at(address.parse().unwrap())
}

fn nodes_on_ipv6_form_a_cluster(mix: Mix) {
    let first = at("[::1]:0").start(mix, 0).unwrap();
    assert!(first.address().to_string().starts_with("[::1]:"), "{}", first.address());
    let second = at("[::1]:0").with_seeds(&[&first]).start(mix, 1).unwrap();
    for node in [&first, &second] {
        all_alive(node, 2);
    }
}

fn reliable_messages_go_by_ipv6(mix: Mix) {
    let first = at("[::1]:0").start(mix, 0).unwrap();
    let second = at("[::1]:0").with_seeds(&[&first]).start(mix, 1).unwrap();
    // Listens to both families, and is known by IPv6.
    let third = Wanted { advertise: "[::1]:0".parse().ok(), name: Some("both".to_owned()), ..at("[::]:0") };
    let third = third.with_seeds(&[&first]).start(mix, 2).unwrap();
    let nodes = [first, second, third];
    for node in &nodes {
        all_alive(node, 3);
        assert!(node.local().endpoint.unwrap().is_ipv6());
    }
    for (from, to) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)] {
        let reader = reader(nodes[to].incoming(), 20);
        for sent in send_numbered(&nodes[from], &nodes[to], 20) {
            assert_eq!(sent.wait().ending, Ending::Processed);
        }
        reader.join().unwrap();
    }
}

fn a_node_on_every_interface_of_both_families_meets_ipv4_and_ipv6(mix: Mix) {
    // One port for both families: reached, and known to others, at IPv4's loopback.
    let advertise = |address: &str| Some(address.parse::<SocketAddr>().unwrap());
    let both = Wanted { advertise: advertise("127.0.0.1:0"), name: Some("both".to_owned()), ..at("[::]:0") };
    let both = both.start(mix, 0).unwrap();
    assert_eq!(both.address().port(), both.bound().port());
    let v4 = start(mix, 1, "v4", &[&both]);
    all_alive(&v4, 2);
    all_alive(&both, 2);
    v4.shutdown();

    let sixth = Wanted { advertise: advertise("[::1]:0"), name: Some("also both".to_owned()), ..at("[::]:0") };
    let sixth = sixth.with_seeds(&[&both]).start(mix, 1).unwrap();
    all_alive(&both, 2);
    all_alive(&sixth, 2);
}

fn a_node_on_every_interface_sends_messages_from_the_address_that_it_tells(mix: Mix) {
    // Of Linux's loopback every address is this host's; another system's may have one only, and nothing to choose.
    let second = "127.0.0.2:0".parse().unwrap();
    if std::net::UdpSocket::bind(second).is_err() {
        return;
    }
    let wide = Wanted { advertise: Some(second), name: Some("wide".to_owned()), ..at("0.0.0.0:0") };
    let wide = wide.start(mix, 0).unwrap();
    let other = start(mix, 1, "other", &[&wide]);
    for node in [&wide, &other] {
        all_alive(node, 2);
    }
    // Left to the system, the link would come from 127.0.0.1, and who it is from would not be believed.
    for (from, to) in [(&wide, &other), (&other, &wide)] {
        let sent = from.send(to.id(), "hello", SendOptions::default()).unwrap();
        assert_eq!(sent.wait().ending, Ending::Delivered);
    }
}

fn a_seed_is_found_by_name(mix: Mix) {
    let first = Wanted { name: Some("first".to_owned()), ..at("127.0.0.1:0") }.start(mix, 0).unwrap();
    let seeds = vec![format!("localhost:{}", first.address().port())];
    let second = Wanted { seeds, ..Wanted::named("second") }.start(mix, 1).unwrap();
    second.joined().unwrap();
    all_alive(&first, 2);
}

fn a_node_that_names_itself_as_a_seed_is_fine(mix: Mix) {
    let first = start(mix, 0, "first", &[]);
    first.join(&[first.address().to_string()]).unwrap();
    let second = start(mix, 1, "second", &[&first]);
    second.join(&[second.address().to_string(), first.address().to_string()]).unwrap();
    all_alive(&first, 2);
    all_alive(&second, 2);
}

fn an_address_that_nobody_could_reach_is_refused_with_advice(mix: Mix) {
    for index in 0..2 {
        for everywhere in ["0.0.0.0:0", "[::]:0"] {
            let error = at(everywhere).start(mix, index).unwrap_err();
            assert!(matches!(error, StartError::Unreachable { .. }), "{error}");
            assert!(error.to_string().contains("advertise"), "{error}");
            // Nor is it an address to be told, whatever is bound.
            let advertise = Some(everywhere.parse().unwrap());
            let error = Wanted { advertise, ..Wanted::at(loopback()) }.start(mix, index).unwrap_err();
            assert!(matches!(error, StartError::Unreachable { address } if Some(address) == advertise), "{error}");
            assert!(error.to_string().contains(everywhere), "{error}");
        }
    }
}

fn an_address_of_a_family_that_is_not_bound_is_refused_with_advice(mix: Mix) {
    for (bind, advertise) in [("127.0.0.1:0", "[::1]:0"), ("0.0.0.0:0", "[::1]:0"), ("[::1]:0", "127.0.0.1:0")] {
        for index in 0..2 {
            let error = Wanted { advertise: advertise.parse().ok(), ..at(bind) }.start(mix, index).unwrap_err();
            assert!(matches!(error, StartError::Family { .. }), "{error}");
            assert!(error.to_string().contains("[::]"), "{error}");
        }
    }
}

fn an_ipv4_address_in_the_guise_of_ipv6_is_taken_for_what_it_is(mix: Mix) {
    let mapped = at("[::ffff:127.0.0.1]:0").start(mix, 0).unwrap();
    assert!(mapped.address().is_ipv4() && mapped.bound().is_ipv4(), "{}", mapped.address());
    let other = start(mix, 1, "other", &[&mapped]);
    all_alive(&other, 2);
}

fn what_is_wrong_with_the_options_is_said_and_nothing_is_bound(mix: Mix) {
    for index in 0..2 {
        let taken = std::net::UdpSocket::bind(loopback()).unwrap();
        let at = taken.local_addr().unwrap();
        let refused = |wanted: Wanted, text: &str| {
            let error = wanted.start(mix, index).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        };
        refused(Wanted::at(at), &at.to_string());
        drop(taken);
        refused(Wanted { seeds: vec!["nowhere".to_owned()], ..Wanted::at(at) }, "\"nowhere\"");
        let config = swim_proto::Config { gossip_fanout: 0, ..quick() };
        refused(Wanted { config, ..Wanted::at(at) }, "gossip_fanout");
        refused(Wanted { connect_timeout: Duration::ZERO, ..Wanted::at(at) }, "connect_timeout");
        refused(Wanted { name: Some(String::new()), ..Wanted::at(at) }, "name");
        refused(Wanted { metadata: vec![0; 513].into(), ..Wanted::at(at) }, "513");
        // Each of them left the port free.
        Wanted::at(at).start(mix, index).unwrap();
    }
}
