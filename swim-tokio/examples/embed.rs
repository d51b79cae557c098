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

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use swim_tokio::{Event, Events, EventsError, Handle, MemberInfo, NodeId, Options, Status};

const SHARDS: u32 = 12;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let bind = args.next().ok_or("usage: embed ADDRESS [SEED]...")?.parse()?;
    // What the others should know about this instance travels with it.
    let node = Options::new(bind).with_metadata("worker").with_seeds(args).start().await?;
    if node.status() == Status::Joining {
        println!("joining ...");
        node.joined().await?;
    }
    tokio::spawn(work(node.clone()));
    tokio::signal::ctrl_c().await?;
    node.shutdown().await;
    Ok(())
}

/// Follows the cluster, and divides the work anew when it changes.
async fn work(node: Handle) -> Result<(), swim_tokio::Closed> {
    let (mut live, mut events) = begin(&node).await?;
    loop {
        let mine: Vec<u32> = (0..SHARDS).filter(|&shard| owner(shard, &live) == Some(node.id())).collect();
        println!("{} workers; mine: {mine:?}", live.len());
        let mut is_divided = true;
        while is_divided {
            match events.recv().await {
                Ok(notice) => is_divided = !apply(&notice.event, &mut live),
                Err(EventsError::Lagged(_)) => {
                    (live, events) = begin(&node).await?;
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
