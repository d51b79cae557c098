//! Where nodes listen, where they say they do, and how seeds are spelt.

use std::net::SocketAddr;
use std::time::Duration;

use swim_tokio::{Options, StartError};

use crate::cluster::{all_alive, loopback, options, quick, soon, start};

#[tokio::test]
async fn nodes_on_ipv6_form_a_cluster() {
    let any: SocketAddr = "[::1]:0".parse().unwrap();
    let first = Options::new(any).with_config(quick()).start().await.unwrap();
    let seed = first.address().to_string();
    assert!(seed.starts_with("[::1]:"), "{seed}");
    let second = Options::new(any).with_config(quick()).with_seeds([seed]).start().await.unwrap();
    for node in [&first, &second] {
        all_alive(node, 2).await;
    }
}

#[tokio::test]
async fn a_node_on_every_interface_of_both_families_meets_ipv4_and_ipv6() {
    // One port for both families: reached, and known to others, at IPv4's loopback.
    let both = Options::new("[::]:0".parse().unwrap())
        .with_advertise("127.0.0.1:0".parse().unwrap())
        .with_name("both")
        .with_config(quick())
        .start()
        .await
        .unwrap();
    assert_eq!(both.address().port(), both.bound().port());
    let v4 = start("v4", &[&both]).await;
    all_alive(&v4, 2).await;
    all_alive(&both, 2).await;
    v4.shutdown().await;

    let sixth = Options::new("[::]:0".parse().unwrap())
        .with_advertise("[::1]:0".parse().unwrap())
        .with_name("also both")
        .with_config(quick())
        .with_seeds([both.address().to_string()])
        .start()
        .await
        .unwrap();
    all_alive(&both, 2).await;
    all_alive(&sixth, 2).await;
}

#[tokio::test]
async fn a_seed_is_found_by_name() {
    let localhost = "127.0.0.1:0".parse().unwrap();
    let first = Options::new(localhost).with_name("first").with_config(quick()).start().await.unwrap();
    let second = options("second").with_seeds([format!("localhost:{}", first.address().port())]).start().await.unwrap();
    soon("joining", second.joined()).await.unwrap();
    all_alive(&first, 2).await;
}

#[tokio::test]
async fn a_node_that_names_itself_as_a_seed_is_fine() {
    let first = start("first", &[]).await;
    first.join([first.address().to_string()]).await.unwrap();
    let second = start("second", &[&first]).await;
    second.join([second.address().to_string(), first.address().to_string()]).await.unwrap();
    all_alive(&first, 2).await;
    all_alive(&second, 2).await;
}

#[tokio::test]
async fn an_address_that_nobody_could_reach_is_refused_with_advice() {
    for everywhere in ["0.0.0.0:0", "[::]:0"] {
        let error = Options::new(everywhere.parse().unwrap()).start().await.unwrap_err();
        assert!(matches!(error, StartError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("advertise"), "{error}");
        // Nor is it an address to be told, whatever is bound.
        let options = Options::new(loopback()).with_advertise(everywhere.parse().unwrap());
        let error = options.start().await.unwrap_err();
        let at = everywhere.parse::<SocketAddr>().unwrap();
        assert!(matches!(error, StartError::Unreachable { address } if address == at), "{error}");
        assert!(error.to_string().contains(everywhere), "{error}");
    }
}

#[tokio::test]
async fn an_address_of_a_family_that_is_not_bound_is_refused_with_advice() {
    for (bind, advertise) in [("127.0.0.1:0", "[::1]:0"), ("0.0.0.0:0", "[::1]:0"), ("[::1]:0", "127.0.0.1:0")] {
        let options = Options::new(bind.parse().unwrap()).with_advertise(advertise.parse().unwrap());
        let error = options.start().await.unwrap_err();
        assert!(matches!(error, StartError::Family { .. }), "{error}");
        assert!(error.to_string().contains("[::]"), "{error}");
    }
}

#[tokio::test]
async fn an_ipv4_address_in_the_guise_of_ipv6_is_taken_for_what_it_is() {
    let mapped = Options::new("[::ffff:127.0.0.1]:0".parse().unwrap()).with_config(quick()).start().await.unwrap();
    assert!(mapped.address().is_ipv4() && mapped.bound().is_ipv4(), "{}", mapped.address());
    let other = start("other", &[&mapped]).await;
    all_alive(&other, 2).await;
}

#[tokio::test]
async fn what_is_wrong_with_the_options_is_said_and_nothing_is_bound() {
    let taken = std::net::UdpSocket::bind(loopback()).unwrap();
    let at = taken.local_addr().unwrap();
    let error = Options::new(at).start().await.unwrap_err();
    assert!(error.to_string().contains(&at.to_string()), "{error}");
    drop(taken);

    let error = Options::new(at).with_seeds(["nowhere"]).start().await.unwrap_err();
    assert!(error.to_string().contains("\"nowhere\""), "{error}");
    let mut config = quick();
    config.gossip_fanout = 0;
    let error = Options::new(at).with_config(config).start().await.unwrap_err();
    assert!(error.to_string().contains("gossip_fanout"), "{error}");
    let mut options = Options::new(at);
    options.connect_timeout = Duration::ZERO;
    let error = options.start().await.unwrap_err();
    assert!(matches!(error, StartError::ConnectTimeout), "{error}");
    assert!(error.to_string().contains("connect_timeout"), "{error}");
    let error = Options::new(at).with_name("").start().await.unwrap_err();
    assert!(error.to_string().contains("name"), "{error}");
    let error = Options::new(at).with_metadata(vec![0; 513]).start().await.unwrap_err();
    assert!(error.to_string().contains("513"), "{error}");

    // Each of them left the port free.
    Options::new(at).start().await.unwrap();
}
