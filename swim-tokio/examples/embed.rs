//! A service with membership inside: twelve shards of work, divided among whoever is live, without anyone in charge.
//!
//! ```text
//! cargo run --example embed -- 127.0.0.1:7000
//! cargo run --example embed -- 127.0.0.1:7001 127.0.0.1:7000
//! cargo run --example embed -- 127.0.0.1:7002 127.0.0.1:7000
//! ```
//!
//! Each prints the shards it works on. Kill one: the others take its shards over. Two views may differ for a moment,
//! so a shard may for a moment have two workers or none; what must never be done twice needs more than membership.
//! One that is superseded (start another under its name, elsewhere) stops working and ends.

use std::collections::BTreeMap;
use std::error::Error;
use std::hash::{DefaultHasher, Hash, Hasher};

use swim_tokio::{Event, Events, EventsError, Handle, MemberInfo, NodeId, Options, Status};

const SHARDS: u32 = 12;

const USAGE: &str = "usage: embed ADDRESS [SEED]...
  ADDRESS   where to listen, for UDP and TCP, such as 127.0.0.1:7000
  SEED      a member to join by, such as 127.0.0.1:7001; none for the first";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let Some(bind) = args.next().and_then(|bind| bind.parse().ok()) else {
        eprintln!("{USAGE}");
        std::process::exit(1);
    };
    // What the others should know about this instance travels with it.
    let node = Options::new(bind).with_metadata("worker").with_seeds(args).start().await?;
    // Joining takes as long as it takes: Ctrl-C ends that as well.
    let outcome = tokio::select! {
        outcome = run(&node) => outcome,
        signal = tokio::signal::ctrl_c() => signal.map_err(Box::from),
    };
    node.shutdown().await;
    outcome
}

/// Works until the node is no more, or somebody else has its name.
async fn run(node: &Handle) -> Result<(), Box<dyn Error>> {
    if node.status() == Status::Joining {
        println!("joining ...");
        node.joined().await?;
    }
    work(node).await
}

/// Follows the cluster, and divides the work anew when it changes.
async fn work(node: &Handle) -> Result<(), Box<dyn Error>> {
    let (mut live, mut events) = begin(node).await?;
    loop {
        // By the status, because the event may have come before we listened.
        if node.status() == Status::Superseded {
            return Err("another process has our name: it works on, this one stops".into());
        }
        let mine: Vec<u32> = (0..SHARDS).filter(|&shard| owner(shard, &live) == Some(node.id())).collect();
        println!("{} workers; mine: {mine:?}", live.len());
        let mut is_divided = true;
        while is_divided {
            match events.recv().await {
                Ok(notice) => {
                    remark(&notice.event);
                    let is_over = matches!(notice.event, Event::Superseded { .. });
                    is_divided = !apply(&notice.event, &mut live) && !is_over;
                }
                Err(EventsError::Lagged(_)) => {
                    (live, events) = begin(node).await?;
                    is_divided = false;
                }
                Err(EventsError::Closed) => return Ok(()),
            }
        }
    }
}

/// The workers of this moment, and what happens from this moment on.
async fn begin(node: &Handle) -> Result<(BTreeMap<NodeId, MemberInfo>, Events), swim_tokio::Closed> {
    let (members, events) = node.follow().await?;
    let live = members.iter().filter(|member| is_worker(member)).map(|member| (member.id, member.clone()));
    Ok((live.collect(), events))
}

/// What is no change of the workers, but worth knowing.
fn remark(event: &Event) {
    match event {
        Event::NameTaken { holder } => println!("not let in: our name belongs to {holder}"),
        Event::Isolated { .. } => println!("nobody is heard: the network here is at fault, or everyone is gone"),
        Event::Reconnected { after } => println!("somebody is heard again, after {after:?}"),
        _ => {}
    }
}

/// A suspect works on: it may yet refute.
fn is_worker(member: &MemberInfo) -> bool {
    member.state.is_live() && member.metadata == "worker"
}

/// Whether the workers changed.
fn apply(event: &Event, live: &mut BTreeMap<NodeId, MemberInfo>) -> bool {
    let Some(member) = event.member() else { return false };
    if is_worker(member) { live.insert(member.id, member.clone()).is_none() } else { live.remove(&member.id).is_some() }
}

/// Rendezvous hashing: all who hold the same members agree, and a change moves as few shards as can be. (All run the same
/// build here; a hash that different builds are to agree on should be one that is written down.)
fn owner(shard: u32, live: &BTreeMap<NodeId, MemberInfo>) -> Option<NodeId> {
    let weight = |id: &NodeId| {
        let mut hasher = DefaultHasher::new();
        (shard, id).hash(&mut hasher);
        hasher.finish()
    };
    live.keys().copied().max_by_key(weight)
}
