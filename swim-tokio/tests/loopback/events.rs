//! What the application is told, and what happens to one that does not listen.

use std::collections::BTreeMap;

use swim_tokio::{Event, EventsError, MemberInfo, NodeId, State};

use crate::cluster::{all_alive, cluster, event, eventually, holds, member, options, soon, start, told};

#[tokio::test]
async fn events_replayed_over_the_members_give_the_later_members() {
    let first = start("first", &[]).await;
    let (members, mut events) = first.follow().await.unwrap();
    let mut table: BTreeMap<NodeId, MemberInfo> = members.iter().map(|m| (m.id, m.clone())).collect();

    let second = start("second", &[&first]).await;
    let third = start("third", &[&first]).await;
    all_alive(&first, 3).await;
    second.set_metadata(&b"new"[..]).await.unwrap();
    third.shutdown().await;
    holds(&first, "third", State::Left).await;
    eventually("first knows of the metadata", async || {
        member(&first, "second").await.is_some_and(|member| member.metadata == "new")
    })
    .await;

    // Both are taken between two inputs: nothing comes between.
    let (members, _) = first.follow().await.unwrap();
    for event in told(&mut events) {
        match event {
            Event::Reaped(change) => drop(table.remove(&change.member.id)),
            event => drop(event.member().map(|member| table.insert(member.id, member.clone()))),
        }
    }
    let key = |m: &MemberInfo| (m.id, m.name.clone(), m.address, m.state, m.incarnation, m.metadata.clone());
    let mut expected: Vec<_> = members.iter().map(key).collect();
    expected.sort();
    assert_eq!(table.values().map(key).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_receiver_that_falls_behind_is_told_and_stalls_nobody() {
    let mut options = options("first");
    options.events_max = 4;
    let first = options.start().await.unwrap();
    let second = start("second", &[&first]).await;
    all_alive(&first, 2).await;

    let mut slow = first.events();
    let (_, mut quick) = first.follow().await.unwrap();
    for version in 0..20_u8 {
        second.set_metadata(vec![version]).await.unwrap();
        // Whoever listens hears of each.
        event(
            &mut quick,
            "an update",
            |event| matches!(event, Event::Updated(change) if change.member.metadata == [version][..]),
        )
        .await;
    }
    let lagged = soon("lagging", slow.recv()).await;
    assert!(matches!(lagged, Err(EventsError::Lagged(16..))), "{lagged:?}");
    let (members, _) = first.follow().await.unwrap();
    assert!(members.iter().any(|member| member.metadata == [19][..]));
    // What is still kept follows.
    let kept = told(&mut slow);
    assert_eq!(kept.len(), 4);
    assert_eq!(kept[3].member().unwrap().metadata, [19][..]);
}

#[tokio::test]
async fn receivers_are_told_the_nodes_end() {
    let nodes = cluster(2).await;
    let mut events = nodes[1].events();
    nodes[1].shutdown().await;
    let left = event(&mut events, "its own departure", |event| matches!(event, Event::Left(_))).await;
    assert_eq!(left.member().unwrap().id, nodes[1].id());
    assert_eq!(soon("the end", events.recv()).await, Err(EventsError::Closed));
    assert_eq!(soon("the end", nodes[1].events().recv()).await, Err(EventsError::Closed));
}
