//! Random schedules of messages, faults, restarts and slow applications: whatever happens, the books balance.

use std::time::Duration;

use swim_proto::messaging::{Class, Confirm, Ending, MemberInput, MessagingConfig, Order};
use swim_tests::post::{Dice, Faults, Post, Taking, endpoint};

fn millis(millis: usize) -> Duration {
    Duration::from_millis(millis as u64)
}

/// Small bounds, so that all of them are met.
fn config(dice: &mut Dice) -> MessagingConfig {
    let message_max = dice.one_of(&[100, 1_000, 5_000]);
    let message = message_max + 64;
    MessagingConfig {
        message_max,
        queue_messages_max: dice.one_of(&[8, 50, 1_000]),
        queue_bytes_max: message * dice.one_of(&[8, 30, 500]),
        window_messages: dice.one_of(&[16, 40, 300]),
        window_bytes: message * dice.one_of(&[2, 5, 50]),
        incoming_bytes_max: u64::from(message) * dice.one_of(&[8, 20, 300]),
        links_max: dice.one_of(&[1, 2, 100]),
        // With fewer, those that greet at the same time would push one another out.
        accepted_max: dice.one_of(&[16, 100]),
        peers_max: dice.one_of(&[4, 100]),
        expiry_default: Duration::from_secs(dice.one_of(&[2, 10, 30])),
        rto_min: dice.one_of(&[millis(50), millis(1_000)]),
        rto_max: Duration::from_secs(4),
        link_idle: Duration::from_secs(dice.one_of(&[1, 60])),
        link_timeout: millis(500),
        link_retry_max: Duration::from_secs(2),
        inbox_retention: Duration::from_secs(dice.one_of(&[1, 600])),
        flight_bytes_min: 1_024.min(message * 8),
        rate_out: dice.one_of(&[0, 0, 200_000]),
        rate_out_peer: dice.one_of(&[0, 0, 100_000]),
        rate_in: dice.one_of(&[0, 0, 200_000]),
        rate_in_peer: dice.one_of(&[0, 0, 100_000]),
        rate_burst: message * 4,
        breaker_failures: dice.one_of(&[0, 5, 2]),
        breaker_open_max: Duration::from_secs(4),
        ..MessagingConfig::default()
    }
}

fn taking(dice: &mut Dice) -> Taking {
    match dice.below(6) {
        0 => Taking::Nothing,
        1 => Taking::Each(millis(1 + dice.below(50))),
        2 => Taking::Acknowledging(millis(1 + dice.below(300))),
        _ => Taking::All,
    }
}

fn faults(dice: &mut Dice) -> Faults {
    let bad = dice.below(3) > 0;
    Faults {
        latency: (millis(0), millis(dice.one_of(&[0, 1, 30]))),
        loss: if bad { dice.below(60) } else { 0 },
        repeat: if bad { dice.below(60) } else { 0 },
        unopened: if bad { dice.below(400) } else { 0 },
        room: dice.one_of(&[1, 5, 1_000]),
        late: dice.one_of(&[millis(0), millis(0), millis(3), millis(200)]),
        portion: dice.one_of(&[usize::MAX, usize::MAX, usize::MAX, 1, 5, 50]),
    }
}

/// One schedule, and what must hold of it.
fn run(seed: u64) -> Post {
    let mut dice = Dice::new(seed);
    let config = config(&mut dice);
    let agents = 2 + dice.below(3);
    let mut post = Post::new(seed, agents, &config);
    let mut configs = vec![config; agents];
    post.faults = faults(&mut dice);
    let mut sent = Vec::new();
    for _ in 0..400 {
        let (from, to) = (dice.below(agents), dice.below(agents));
        match dice.below(100) {
            0..70 => {
                for _ in 0..1 + dice.below(12) {
                    if post.agents[from].messenger.is_none() || from == to {
                        continue;
                    }
                    let len = length(&mut dice, configs[from].message_max as usize);
                    let accepted = post.send(from, to, len.max(8), |message| {
                        message.class = dice.one_of(&Class::ALL);
                        message.confirm = dice.one_of(&[Confirm::Sent, Confirm::Delivered, Confirm::Processed]);
                        message.order = match dice.below(3) {
                            0 => Order::Unordered,
                            stream => Order::Stream(stream as u64),
                        };
                        message.redeliverable = dice.below(4) == 0;
                        message.expiry = (dice.below(5) == 0).then(|| millis(1 + dice.below(3_000)));
                    });
                    sent.extend(accepted.ok().map(|id| (post.agents[from].process, from, id)));
                }
            }
            70..76 => {
                if let Some(&(process, from, id)) = sent.get(dice.below(sent.len() + 1))
                    && post.agents[from].process == process
                    && post.agents[from].messenger.is_some()
                {
                    post.cancel(from, id);
                }
            }
            76..80 => post.cut_any(),
            80..83 => {
                let taking = taking(&mut dice);
                post.agents[to].taking = taking;
                post.poll(to);
            }
            83..85 => post.faults = faults(&mut dice),
            85..88 => {
                let (life, address) = (post.agents[to].life, endpoint(to));
                let taciturn = MemberInput::Live { life, address, endpoint: None };
                let held = dice.one_of(&[MemberInput::Dead, MemberInput::Left, MemberInput::Forgotten, taciturn]);
                post.hold(from, to, held);
                post.gossip(from, to, millis(dice.below(3_000)));
            }
            88..90 => restart(&mut post, &mut dice, to, &mut configs[to]),
            90..92 => post.wake(to),
            _ => post.run_for(millis(dice.below(300))),
        }
        check(&post, &configs);
    }
    drain(post, &configs)
}

/// Any length that may be sent; short and long ones more often than others.
fn length(dice: &mut Dice, max: usize) -> usize {
    match dice.below(4) {
        0 => max.min(64),
        1 => max - dice.below(max / 8),
        _ => dice.below(max),
    }
}

/// An agent's next process, now and then with other settings.
fn restart(post: &mut Post, dice: &mut Dice, agent: usize, config: &mut MessagingConfig) {
    if post.agents[agent].messenger.is_some() {
        post.kill(agent);
    }
    post.run_for(millis(dice.below(500)));
    if dice.below(3) == 0 {
        *config = self::config(dice);
    }
    post.restart_with(agent, config);
    for other in 0..post.agents.len() {
        if other != agent {
            post.gossip(other, agent, millis(dice.below(2_000)));
            post.gossip(agent, other, millis(dice.below(500)));
        }
    }
}

/// What holds at any time.
fn check(post: &Post, configs: &[MessagingConfig]) {
    for (agent, config) in post.agents.iter().zip(configs) {
        let Some(messenger) = &agent.messenger else { continue };
        let stats = messenger.stats();
        assert!(stats.incoming_bytes <= config.incoming_bytes_max, "{stats:?}");
        assert!(stats.outgoing_bytes <= config.outgoing_bytes_max.into());
        assert!(stats.peers <= config.peers_max && stats.links <= config.links_max + config.accepted_max);
        let done = stats.done_sent + stats.done_delivered + stats.done_processed;
        let ended = done + stats.expired + stats.cancelled + stats.failed;
        assert_eq!(stats.accepted, ended + u64::from(stats.outgoing), "{stats:?}");
        let drops = stats.drops;
        assert_eq!((drops.credit, drops.malformed, drops.unexpected, drops.unknown_kind), (0, 0, 0, 0), "{stats:?}");
        for other in &post.agents {
            let Some(view) = messenger.peer(other.id) else { continue };
            assert!(view.outgoing <= config.queue_messages_max);
            assert!(view.outgoing_bytes <= config.queue_bytes_max.into());
        }
    }
}

/// The faults stop: everything drains, and whoever speaks is heard.
fn drain(mut post: Post, configs: &[MessagingConfig]) -> Post {
    post.faults = Faults::none();
    for agent in 0..post.agents.len() {
        if post.agents[agent].messenger.is_none() {
            post.start(agent);
        }
        post.agents[agent].taking = Taking::All;
    }
    for at in 0..post.agents.len() {
        for about in 0..post.agents.len() {
            post.gossip(at, about, millis(3_000));
        }
        post.poll(at);
    }
    let expiry_max = configs.iter().map(|config| config.expiry_default).max().unwrap_or_default();
    post.run_for(expiry_max + Duration::from_secs(15));
    for agent in 0..post.agents.len() {
        let stats = post.at(agent).stats();
        assert_eq!((stats.outgoing, stats.lingering, stats.incoming, stats.unacknowledged), (0, 0, 0, 0), "{stats:?}");
    }
    post.books.close();
    // Breakers are still open, or half-open, where nobody tried since.
    for _ in 0..20 {
        for from in 0..post.agents.len() {
            for to in (0..post.agents.len()).filter(|&to| to != from) {
                let _ = post.send(from, to, 8, |_| {});
            }
        }
        post.run_for(millis(500));
    }
    let before = post.books.count(|ending| ending == Ending::Processed);
    let mut spoken = 0;
    for from in 0..post.agents.len() {
        for to in (0..post.agents.len()).filter(|&to| to != from) {
            for class in Class::ALL {
                let accepted = post.send(from, to, 50, |message| {
                    (message.class, message.confirm) = (class, Confirm::Processed);
                    message.order = Order::Stream(1);
                });
                accepted.unwrap_or_else(|error| {
                    let messenger = post.agents[from].messenger.as_ref();
                    let view = messenger.and_then(|messenger| messenger.peer(post.agents[to].id));
                    let other = &post.agents[to].messenger;
                    panic!("{from} to {to}: {error}\n{view:?}\n{messenger:?}\n{other:?}\n{configs:?}")
                });
                spoken += 1;
            }
        }
    }
    post.run_for(Duration::from_secs(10));
    assert_eq!(post.books.count(|ending| ending == Ending::Processed) - before, spoken, "who speaks is heard");
    post.books.close();
    post
}

#[test]
fn whatever_happens_the_books_balance() {
    let (first, count) = match std::env::var("SEEDS") {
        Ok(seeds) => {
            let (first, last) = seeds.split_once("..").expect("SEEDS=first..last");
            let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
            (first, last - first)
        }
        Err(_) => (0, 300),
    };
    let mut ends = [0; 4];
    for seed in first..first + count {
        let ran = std::panic::catch_unwind(|| run(seed));
        let Ok(post) = ran else { panic!("seed {seed}: SEEDS={seed}..{}", seed + 1) };
        ends[0] += post.books.count(|ending| ending == Ending::Processed);
        ends[1] += post.books.count(|ending| ending == Ending::Expired);
        ends[2] += post.books.count(|ending| matches!(ending, Ending::Failed(_)));
        ends[3] += post.packets[5] as usize;
    }
    assert!(ends.iter().all(|&times| times > count as usize / 2), "every way to end is taken: {ends:?}");
}

#[test]
fn one_seed_is_one_schedule() {
    for seed in [3, 17, 40] {
        let (one, other) = (run(seed), run(seed));
        assert_eq!((one.trace, one.packets), (other.trace, other.packets));
    }
}
