//! Messages as their rules in `docs/messaging.md` say, one by one.

use std::time::Duration;

use swim_proto::messaging::{Class, Confirm, Delivery, Ending, Event, MessagingConfig, Order};
use swim_tests::post::{Faults, Post, Taking, id};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn two() -> Post {
    Post::new(1, 2, &MessagingConfig::default())
}

#[test]
fn each_is_told_what_it_asked_for() {
    let mut post = two();
    post.agents[1].taking = Taking::Nothing;
    for confirm in [Confirm::Sent, Confirm::Delivered, Confirm::Processed] {
        post.send(0, 1, 100, |message| message.confirm = confirm).unwrap();
    }
    post.run_for(secs(1));
    let endings = |post: &Post| -> Vec<_> {
        post.books.letters.values().map(|letter| letter.outcome.map(|outcome| outcome.ending)).collect()
    };
    assert_eq!(endings(&post), [Some(Ending::Sent), Some(Ending::Delivered), None]);
    assert_eq!(post.agents[1].told, [Event::Readable]);
    post.agents[1].taking = Taking::All;
    post.poll(1);
    post.run_for(secs(1));
    assert_eq!(endings(&post), [Some(Ending::Sent), Some(Ending::Delivered), Some(Ending::Processed)]);
    post.books.close();
}
