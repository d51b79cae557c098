//! A cluster forms, loses members in every way there is, and takes them back.

use std::time::Duration;

use swim_driver::{Cause, Event, RequestError};
use swim_proto::{CommandError, State, Status};

use crate::node::{Mix, Node, Wanted, all_alive, cluster, eventually, holds, loopback, quick, restart, start};

crate::on_every_mix!(
    five_nodes_form_a_cluster_through_one_seed,
    a_crash_is_noticed_by_all_and_nobody_else_is_buried,
    a_restarted_node_is_back_at_once,
    a_node_restarted_before_anyone_noticed_is_never_missed,
    whoever_leaves_is_left_and_not_dead_and_may_come_back,
    a_shutdown_says_goodbye,
    metadata_reaches_everyone,
    the_dead_can_be_removed_by_an_operator,
    a_name_is_free_for_another_address_once_its_holder_is_gone,
    seeds_that_answer_nobody_are_tried_until_others_are_named,
    a_seed_that_comes_up_late_is_found,
    of_two_processes_of_one_name_the_older_stops_and_says_so,
    a_node_that_hears_nobody_is_isolated_first_and_buries_then_and_is_reconnected,
    a_member_that_joins_once_more_stays_one_and_merges_two_clusters,
);

fn five_nodes_form_a_cluster_through_one_seed(mix: Mix) {
    for node in &cluster(mix, 5) {
        node.joined().unwrap();
        assert_eq!(node.status(), Status::Joined);
        let local = node.local();
        assert_eq!((local.name.as_str(), local.id, local.address), (node.name(), node.id(), node.address()));
    }
}

fn a_crash_is_noticed_by_all_and_nobody_else_is_buried(mix: Mix) {
    let nodes = cluster(mix, 5);
    let mut watched: Vec<_> = nodes[..4].iter().map(|node| node.follow().1).collect();
    nodes[4].abort();
    for (node, events) in nodes.iter().zip(&mut watched) {
        let died = events.wait("node-4 died", |event| {
            let is_another = matches!(event, Event::Died(change) if change.member.name != "node-4");
            assert!(!is_another, "{} buried the living: {event:?}", node.name());
            matches!(event, Event::Died(_))
        });
        let change = died.change().unwrap();
        assert_eq!(change.member.state, State::Dead);
        assert!(matches!(change.cause, Cause::SuspicionExpired { .. } | Cause::DeclaredBy { .. }), "{change:?}");
        holds(node, "node-4", State::Dead);
    }
}

fn a_restarted_node_is_back_at_once(mix: Mix) {
    let nodes = cluster(mix, 3);
    let (_, mut events) = nodes[0].follow();
    nodes[2].abort();
    events.wait("node-2 died", |event| matches!(event, Event::Died(_)));
    // On the other driver, if there are two: to the others that is no matter.
    let again = restart(mix, 1, "node-2", nodes[2].address(), &nodes[1]);
    let restarted = events.wait("node-2 was restarted", |event| matches!(event, Event::Restarted(_)));
    assert_eq!(restarted.member().unwrap().name, "node-2");
    for node in [&nodes[0], &nodes[1], &again] {
        all_alive(node, 3);
    }
}

fn a_node_restarted_before_anyone_noticed_is_never_missed(mix: Mix) {
    let nodes = cluster(mix, 3);
    let before = nodes[0].member("node-2").unwrap();
    let mut watched: Vec<_> = nodes[..2].iter().map(Node::events).collect();
    nodes[2].abort();
    let again = restart(mix, 2, "node-2", nodes[2].address(), &nodes[0]);
    for node in &nodes[..2] {
        eventually(&format!("{} holds the new life", node.name()), || {
            node.member("node-2").is_some_and(|member| member.incarnation.life > before.incarnation.life)
        });
    }
    all_alive(&again, 3);
    for events in &mut watched {
        let told = events.told();
        assert!(told.iter().any(|event| matches!(event, Event::Restarted(_))), "{told:?}");
        assert!(!told.iter().any(|event| matches!(event, Event::Died(_) | Event::Left(_))), "{told:?}");
    }
}

fn whoever_leaves_is_left_and_not_dead_and_may_come_back(mix: Mix) {
    let nodes = cluster(mix, 3);
    let (_, mut events) = nodes[0].follow();
    nodes[2].leave().unwrap();
    assert_eq!(nodes[2].status(), Status::Left);
    let left = events.wait("node-2 left", |event| matches!(event, Event::Left(_) | Event::Died(_)));
    assert!(matches!(&left, Event::Left(change) if change.member.name == "node-2"), "{left:?}");
    for node in &nodes[..2] {
        holds(node, "node-2", State::Left);
    }
    nodes[2].join(&[nodes[1].address().to_string()]).unwrap();
    nodes[2].joined().unwrap();
    for node in &nodes {
        all_alive(node, 3);
    }
}

fn a_shutdown_says_goodbye(mix: Mix) {
    let nodes = cluster(mix, 3);
    nodes[2].shutdown();
    for node in &nodes[..2] {
        holds(node, "node-2", State::Left);
    }
    assert_eq!(nodes[2].status(), Status::Left);
}

fn metadata_reaches_everyone(mix: Mix) {
    let nodes = cluster(mix, 3);
    let (_, mut events) = nodes[0].follow();
    nodes[2].set_metadata(&b"role=web"[..]).unwrap();
    let updated = events.wait("node-2 was updated", |event| matches!(event, Event::Updated(_)));
    assert_eq!(updated.member().unwrap().metadata, "role=web");
    eventually("node-1 knows it too", || nodes[1].member("node-2").is_some_and(|member| member.metadata == "role=web"));

    let error = nodes[2].set_metadata(vec![0; 513]).unwrap_err();
    assert_eq!(error, RequestError::Refused(CommandError::Metadata { len: 513 }));
    assert_eq!(nodes[2].local().metadata, "role=web");
}

fn the_dead_can_be_removed_by_an_operator(mix: Mix) {
    let nodes = cluster(mix, 3);
    nodes[2].abort();
    holds(&nodes[0], "node-2", State::Dead);
    nodes[0].force_leave(nodes[2].id()).unwrap();
    holds(&nodes[0], "node-2", State::Left);
    holds(&nodes[1], "node-2", State::Left);

    let nobody = nodes[0].id_of("nobody");
    let error = nodes[0].force_leave(nobody).unwrap_err();
    assert_eq!(error, RequestError::Refused(CommandError::UnknownMember(nobody)));
}

fn a_name_is_free_for_another_address_once_its_holder_is_gone(mix: Mix) {
    // The holder has time to answer, on however busy a machine.
    let unhurried = |index, name: &str, seeds: &[&Node]| {
        let (probe_interval, probe_timeout) = (Duration::from_secs(4), Duration::from_secs(2));
        let config = swim_proto::Config { probe_interval, probe_timeout, ..quick() };
        Wanted { config, ..Wanted::named(name) }.with_seeds(seeds).start(mix, index).unwrap()
    };
    let first = unhurried(0, "node-0", &[]);
    let second = unhurried(1, "node-1", &[&first]);
    let nodes = [first, second];
    nodes.iter().for_each(|node| all_alive(node, 2));
    let mut events = nodes[1].events();
    let elsewhere = unhurried(0, "node-1", &[&nodes[0]]);
    let (_, mut heard) = elsewhere.follow();
    // While the old one answers, the seed refuses the new one.
    let taken = heard.wait("the name is taken", |event| matches!(event, Event::NameTaken { .. }));
    assert_eq!(taken, Event::NameTaken { holder: nodes[1].address() });
    assert!(events.told().iter().all(|event| !matches!(event, Event::Superseded { .. })));

    // Once it does not, the new one is in.
    nodes[1].abort();
    elsewhere.joined().unwrap();
    eventually("node-0 knows the new address", || {
        nodes[0].member("node-1").is_some_and(|member| member.address == elsewhere.address())
    });
}

fn seeds_that_answer_nobody_are_tried_until_others_are_named(mix: Mix) {
    // A port that was free a moment ago.
    let nobody = std::net::TcpListener::bind(loopback()).unwrap().local_addr().unwrap();
    let first = start(mix, 0, "first", &[]);
    let wanted = Wanted { seeds: vec![nobody.to_string()], ..Wanted::named("lost") };
    let lost = wanted.start(mix, 1).unwrap();
    eventually("it has tried more than once", || lost.stats().driver.connects_failed > 1);
    assert_eq!(lost.status(), Status::Joining);

    lost.join(&[nobody.to_string(), first.address().to_string()]).unwrap();
    lost.joined().unwrap();
    all_alive(&first, 2);

    let error = lost.join(&["no port here".to_owned()]).unwrap_err();
    assert!(error.to_string().contains("\"no port here\""), "{error}");
    assert_eq!(lost.status(), Status::Joined);
}

fn a_seed_that_comes_up_late_is_found(mix: Mix) {
    let socket = std::net::UdpSocket::bind(loopback()).unwrap();
    let at = socket.local_addr().unwrap();
    let wanted = Wanted { seeds: vec![at.to_string()], ..Wanted::named("early") };
    let early = wanted.start(mix, 0).unwrap();
    eventually("it has tried", || early.stats().driver.connects_failed > 0);
    drop(socket);
    let late = restart(mix, 1, "late", at, &early);
    early.joined().unwrap();
    all_alive(&late, 2);
}

fn of_two_processes_of_one_name_the_older_stops_and_says_so(mix: Mix) {
    let started = |life, index| Wanted { life: Some(life), ..Wanted::named("twin") }.start(mix, index).unwrap();
    let (old, new) = (started(1, 0), started(2, 1));
    let (mut of_old, mut of_new) = (old.events(), new.events());
    // Neither knows of the other until somebody joins by both.
    let _third = start(mix, 2, "third", &[&old, &new]);
    let superseded = of_old.wait("it is superseded", |event| matches!(event, Event::Superseded { .. }));
    assert_eq!(superseded, Event::Superseded { by: new.address(), life: 2 });
    assert_eq!(old.status(), Status::Superseded);

    // It does nothing any more, and says so to whoever asks.
    let stopped = || RequestError::Refused(CommandError::Status(Status::Superseded));
    assert_eq!(old.joined(), Err(stopped()));
    assert_eq!(old.join(&[new.address().to_string()]), Err(stopped()));
    assert_eq!(old.set_metadata(&b"x"[..]), Err(stopped()));
    assert_eq!(old.leave(), Err(stopped()));
    old.shutdown();

    all_alive(&new, 2);
    assert!(of_new.told().iter().all(|event| !matches!(event, Event::Superseded { .. })));
}

fn a_node_that_hears_nobody_is_isolated_first_and_buries_then_and_is_reconnected(mix: Mix) {
    let node = |index, name: &str, seeds: &[&Node]| {
        let config = swim_proto::Config { stall_max: Duration::from_millis(500), ..quick() };
        Wanted { config, ..Wanted::named(name) }.with_seeds(seeds).start(mix, index).unwrap()
    };
    let one = node(1, "one", &[]);
    let (two, three) = (node(2, "two", &[&one]), node(3, "three", &[&one]));
    for node in [&one, &two, &three] {
        all_alive(node, 3);
    }
    let (_, mut events) = one.follow();
    two.abort();
    three.abort();
    events.wait("it is isolated", |event| {
        assert!(!matches!(event, Event::Died(_)), "it buries before it doubts itself");
        matches!(event, Event::Isolated { .. })
    });
    for _ in 0..2 {
        events.wait("they are held dead", |event| matches!(event, Event::Died(_)));
    }
    let _back = restart(mix, 2, "two", two.address(), &one);
    events.wait("somebody is heard again", |event| matches!(event, Event::Reconnected { .. }));
    holds(&one, "two", State::Alive);
}

fn a_member_that_joins_once_more_stays_one_and_merges_two_clusters(mix: Mix) {
    let (first, second) = (start(mix, 0, "first", &[]), start(mix, 1, "second", &[]));
    let member = start(mix, 2, "member", &[&first]);
    member.joined().unwrap();
    member.join(&[second.address().to_string()]).unwrap();
    // It was a member before and is one now: this says nothing about the second cluster.
    member.joined().unwrap();
    for node in [&first, &second, &member] {
        all_alive(node, 3);
    }
}
