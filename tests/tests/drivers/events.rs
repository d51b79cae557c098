//! What the application is told, and what happens to one that does not listen.

use std::collections::BTreeMap;

use swim_driver::{Event, EventsError, MemberInfo};
use swim_proto::{NodeId, State};

use crate::node::{Mix, Wanted, all_alive, cluster, eventually, holds, start};

crate::on_every_mix!(
    events_replayed_over_the_members_give_the_later_members,
    a_receiver_that_falls_behind_is_told_and_stalls_nobody,
    receivers_are_told_the_nodes_end,
);

fn events_replayed_over_the_members_give_the_later_members(mix: Mix) {
    let first = start(mix, 1, "first", &[]);
    let (members, mut events) = first.follow();
    let mut table: BTreeMap<NodeId, MemberInfo> = members.iter().map(|m| (m.id, m.clone())).collect();

    let second = start(mix, 2, "second", &[&first]);
    let third = start(mix, 3, "third", &[&first]);
    all_alive(&first, 3);
    second.set_metadata(&b"new"[..]).unwrap();
    third.shutdown();
    holds(&first, "third", State::Left);
    eventually("first knows of the metadata", || first.member("second").is_some_and(|member| member.metadata == "new"));

    // Both are taken between two inputs: nothing comes between.
    let (members, _) = first.follow();
    for event in events.told() {
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

fn a_receiver_that_falls_behind_is_told_and_stalls_nobody(mix: Mix) {
    let first = Wanted { events_max: 4, ..Wanted::named("first") }.start(mix, 1).unwrap();
    let second = start(mix, 2, "second", &[&first]);
    all_alive(&first, 2);

    let mut slow = first.events();
    let (_, mut quick) = first.follow();
    for version in 0..20_u8 {
        second.set_metadata(vec![version]).unwrap();
        // Whoever listens hears of each.
        let is_it = |event: &Event| matches!(event, Event::Updated(change) if change.member.metadata == [version][..]);
        quick.wait("an update", is_it);
    }
    let lagged = slow.next();
    assert!(matches!(lagged, Err(EventsError::Lagged(16..))), "{lagged:?}");
    let (members, _) = first.follow();
    assert!(members.iter().any(|member| member.metadata == [19][..]));
    // What is still kept follows.
    let kept = slow.told();
    assert_eq!(kept.len(), 4);
    assert_eq!(kept[3].member().unwrap().metadata, [19][..]);
}

fn receivers_are_told_the_nodes_end(mix: Mix) {
    let nodes = cluster(mix, 2);
    let mut events = nodes[1].events();
    nodes[1].shutdown();
    let left = events.wait("its own departure", |event| matches!(event, Event::Left(_)));
    assert_eq!(left.member().unwrap().id, nodes[1].id());
    assert_eq!(events.next(), Err(EventsError::Closed));
    assert_eq!(nodes[1].events().next(), Err(EventsError::Closed));
}
