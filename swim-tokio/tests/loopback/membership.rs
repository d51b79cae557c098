//! A cluster forms, loses members in every way there is, and takes them back.

use std::time::Duration;

use swim_tokio::{Cause, CommandError, Event, RequestError, State, Status};

use crate::cluster::{all_alive, cluster, event, eventually, holds, member, restart, soon, start, told};

#[tokio::test]
async fn five_nodes_form_a_cluster_through_one_seed() {
    let nodes = cluster(5).await;
    for node in &nodes {
        soon("joining", node.joined()).await.unwrap();
        assert_eq!(node.status(), Status::Joined);
        let local = node.local().await.unwrap();
        assert_eq!((local.name.as_str(), local.id, local.address), (node.name(), node.id(), node.address()));
    }
}

#[tokio::test]
async fn a_crash_is_noticed_by_all_and_nobody_else_is_buried() {
    let nodes = cluster(5).await;
    let mut watched = Vec::new();
    for node in &nodes[..4] {
        watched.push(node.follow().await.unwrap().1);
    }
    nodes[4].abort().await;
    for (node, events) in nodes.iter().zip(&mut watched) {
        let died = event(events, "node-4 died", |event| {
            assert!(
                !matches!(event, Event::Died(change) if change.member.name != "node-4"),
                "{} buried the living: {event:?}",
                node.name()
            );
            matches!(event, Event::Died(_))
        })
        .await;
        let change = died.change().unwrap();
        assert_eq!(change.member.state, State::Dead);
        assert!(matches!(change.cause, Cause::SuspicionExpired { .. } | Cause::DeclaredBy { .. }), "{change:?}");
        holds(node, "node-4", State::Dead).await;
    }
}

#[tokio::test]
async fn a_restarted_node_is_back_at_once() {
    let nodes = cluster(3).await;
    let (_, mut events) = nodes[0].follow().await.unwrap();
    nodes[2].abort().await;
    event(&mut events, "node-2 died", |event| matches!(event, Event::Died(_))).await;

    let again = restart("node-2", nodes[2].address(), &nodes[1]).await;
    let restarted = event(&mut events, "node-2 was restarted", |event| matches!(event, Event::Restarted(_))).await;
    assert_eq!(restarted.member().unwrap().name, "node-2");
    for node in [&nodes[0], &nodes[1], &again] {
        all_alive(node, 3).await;
    }
}

#[tokio::test]
async fn a_node_restarted_before_anyone_noticed_is_never_missed() {
    let nodes = cluster(3).await;
    let before = member(&nodes[0], "node-2").await.unwrap();
    nodes[2].abort().await;
    let again = restart("node-2", nodes[2].address(), &nodes[0]).await;
    eventually("node-0 holds the new life", async || {
        member(&nodes[0], "node-2").await.is_some_and(|member| member.incarnation.life > before.incarnation.life)
    })
    .await;
    all_alive(&again, 3).await;
}

#[tokio::test]
async fn whoever_leaves_is_left_and_not_dead_and_may_come_back() {
    let nodes = cluster(3).await;
    let (_, mut events) = nodes[0].follow().await.unwrap();
    soon("leaving", nodes[2].leave()).await.unwrap();
    assert_eq!(nodes[2].status(), Status::Left);
    let left = event(&mut events, "node-2 left", |event| matches!(event, Event::Left(_) | Event::Died(_))).await;
    assert!(matches!(&left, Event::Left(change) if change.member.name == "node-2"), "{left:?}");
    for node in &nodes[..2] {
        holds(node, "node-2", State::Left).await;
    }

    nodes[2].join([nodes[1].address().to_string()]).await.unwrap();
    soon("coming back", nodes[2].joined()).await.unwrap();
    for node in &nodes {
        all_alive(node, 3).await;
    }
}

#[tokio::test]
async fn a_shutdown_says_goodbye() {
    let nodes = cluster(3).await;
    soon("shutting down", nodes[2].shutdown()).await;
    for node in &nodes[..2] {
        holds(node, "node-2", State::Left).await;
    }
    assert_eq!(nodes[2].status(), Status::Left);
}

#[tokio::test]
async fn metadata_reaches_everyone() {
    let nodes = cluster(3).await;
    let (_, mut events) = nodes[0].follow().await.unwrap();
    nodes[2].set_metadata(&b"role=web"[..]).await.unwrap();
    let updated = event(&mut events, "node-2 was updated", |event| matches!(event, Event::Updated(_))).await;
    assert_eq!(updated.member().unwrap().metadata, "role=web");
    eventually("node-1 knows it too", async || {
        member(&nodes[1], "node-2").await.is_some_and(|member| member.metadata == "role=web")
    })
    .await;

    let error = nodes[2].set_metadata(vec![0; 513]).await.unwrap_err();
    assert_eq!(error, RequestError::Refused(CommandError::Metadata { len: 513 }));
    assert_eq!(nodes[2].local().await.unwrap().metadata, "role=web");
}

#[tokio::test]
async fn the_dead_can_be_removed_by_an_operator() {
    let nodes = cluster(3).await;
    nodes[2].abort().await;
    holds(&nodes[0], "node-2", State::Dead).await;
    nodes[0].force_leave(nodes[2].id()).await.unwrap();
    holds(&nodes[0], "node-2", State::Left).await;
    holds(&nodes[1], "node-2", State::Left).await;

    let nobody = nodes[0].id_of("nobody");
    let error = nodes[0].force_leave(nobody).await.unwrap_err();
    assert_eq!(error, RequestError::Refused(CommandError::UnknownMember(nobody)));
}

#[tokio::test]
async fn a_name_is_free_for_another_address_once_its_holder_is_gone() {
    let nodes = cluster(2).await;
    let mut events = nodes[1].events();
    let elsewhere = crate::cluster::options("node-1").with_seeds([nodes[0].address().to_string()]);
    let elsewhere = elsewhere.start().await.unwrap();
    let (_, mut heard) = elsewhere.follow().await.unwrap();
    // While the old one answers, the seed refuses the new one.
    let taken = event(&mut heard, "the name is taken", |event| matches!(event, Event::NameTaken { .. })).await;
    assert_eq!(taken, Event::NameTaken { holder: nodes[1].address() });
    assert!(told(&mut events).iter().all(|event| !matches!(event, Event::Superseded { .. })));

    // Once it does not, the new one is in.
    nodes[1].abort().await;
    soon("joining", elsewhere.joined()).await.unwrap();
    eventually("node-0 knows the new address", async || {
        member(&nodes[0], "node-1").await.is_some_and(|member| member.address == elsewhere.address())
    })
    .await;
}

#[tokio::test]
async fn seeds_that_answer_nobody_are_tried_until_others_are_named() {
    // A port that was free a moment ago, and a name that is no seed.
    let nobody = std::net::TcpListener::bind(crate::cluster::loopback()).unwrap().local_addr().unwrap();
    let first = start("first", &[]).await;
    let lost = crate::cluster::options("lost").with_seeds([nobody.to_string()]).start().await.unwrap();
    eventually("it has tried more than once", async || lost.stats().await.unwrap().driver.connects_failed > 1).await;
    assert_eq!(lost.status(), Status::Joining);

    lost.join([nobody.to_string(), first.address().to_string()]).await.unwrap();
    soon("joining", lost.joined()).await.unwrap();
    all_alive(&first, 2).await;

    let error = lost.join(["no port here"]).await.unwrap_err();
    assert!(error.to_string().contains("\"no port here\""), "{error}");
    assert_eq!(lost.status(), Status::Joined);
}

#[tokio::test]
async fn a_seed_that_comes_up_late_is_found() {
    let socket = std::net::UdpSocket::bind(crate::cluster::loopback()).unwrap();
    let at = socket.local_addr().unwrap();
    let early = crate::cluster::options("early").with_seeds([at.to_string()]).start().await.unwrap();
    eventually("it has tried", async || early.stats().await.unwrap().driver.connects_failed > 0).await;
    drop(socket);
    let late = restart("late", at, &early).await;
    soon("joining", early.joined()).await.unwrap();
    all_alive(&late, 2).await;
}

#[tokio::test]
async fn of_two_processes_of_one_name_the_older_stops_and_says_so() {
    let started = async |life| {
        let mut options = crate::cluster::options("twin");
        options.life = Some(life);
        options.start().await.unwrap()
    };
    let (old, new) = (started(1).await, started(2).await);
    let (mut of_old, mut of_new) = (old.events(), new.events());
    // Neither knows of the other until somebody joins by both.
    let _third = start("third", &[&old, &new]).await;
    let superseded = event(&mut of_old, "it is superseded", |event| matches!(event, Event::Superseded { .. })).await;
    assert_eq!(superseded, Event::Superseded { by: new.address(), life: 2 });
    assert_eq!(old.status(), Status::Superseded);

    // It does nothing any more, and says so to whoever asks.
    let stopped = || RequestError::Refused(CommandError::Status(Status::Superseded));
    assert_eq!(soon("joining", old.joined()).await, Err(stopped()));
    assert_eq!(old.join([new.address().to_string()]).await, Err(stopped()));
    assert_eq!(old.set_metadata(&b"x"[..]).await, Err(stopped()));
    assert_eq!(old.leave().await, Err(stopped()));
    soon("shutting down", old.shutdown()).await;

    all_alive(&new, 2).await;
    assert!(told(&mut of_new).iter().all(|event| !matches!(event, Event::Superseded { .. })));
}

#[tokio::test]
async fn a_node_that_hears_nobody_is_isolated_first_and_buries_then_and_is_reconnected() {
    let config = || swim_tokio::Config { stall_max: Duration::from_millis(500), ..crate::cluster::quick() };
    let node = async |name: &str, seeds: &[&swim_tokio::Handle]| {
        let seeds = seeds.iter().map(|seed| seed.address().to_string());
        crate::cluster::options(name).with_config(config()).with_seeds(seeds).start().await.unwrap()
    };
    let one = node("one", &[]).await;
    let (two, three) = (node("two", &[&one]).await, node("three", &[&one]).await);
    for node in [&one, &two, &three] {
        all_alive(node, 3).await;
    }
    let (_, mut events) = one.follow().await.unwrap();
    two.abort().await;
    three.abort().await;
    let isolated = event(&mut events, "it is isolated", |event| {
        assert!(!matches!(event, Event::Died(_)), "it buries before it doubts itself");
        matches!(event, Event::Isolated { .. })
    });
    isolated.await;
    for _ in 0..2 {
        event(&mut events, "they are held dead", |event| matches!(event, Event::Died(_))).await;
    }
    let _back = restart("two", two.address(), &one).await;
    event(&mut events, "somebody is heard again", |event| matches!(event, Event::Reconnected { .. })).await;
    holds(&one, "two", State::Alive).await;
}

#[tokio::test]
async fn a_member_that_joins_once_more_stays_one_and_merges_two_clusters() {
    let (first, second) = (start("first", &[]).await, start("second", &[]).await);
    let member = start("member", &[&first]).await;
    soon("joining", member.joined()).await.unwrap();
    member.join([second.address().to_string()]).await.unwrap();
    // It was a member before and is one now: this says nothing about the second cluster.
    soon("joining", member.joined()).await.unwrap();
    for node in [&first, &second, &member] {
        all_alive(node, 3).await;
    }
}
