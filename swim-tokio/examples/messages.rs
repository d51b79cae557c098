//! Two services that exchange acknowledged messages: a shop sends orders, a warehouse works on them and answers each.
//!
//! ```text
//! cargo run --example messages -- warehouse 127.0.0.1:7000
//! cargo run --example messages -- shop 127.0.0.1:7001 127.0.0.1:7000
//! ```
//!
//! Kill the warehouse while orders are under way, and start it again: what it had acknowledged is done, and what it had
//! not is told to the shop as failed, or given to the new process, marked as repeated. Orders are redeliverable, because
//! the warehouse can tell by their number which it has seen.

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

use swim_tokio::{Class, Handle, Incoming, Options, SendError, SendOptions, State};
use tokio::task::JoinSet;
use tokio::time::sleep;

const USAGE: &str = "usage: messages warehouse|shop ADDRESS [SEED]...
  ADDRESS   where to listen, for UDP and TCP, such as 127.0.0.1:7000; messages use the port 1,000 above it
  SEED      a member to join by; none for the first";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (role, bind) = (args.next(), args.next().and_then(|bind| bind.parse().ok()));
    let (Some(role @ ("warehouse" | "shop")), Some(bind)) = (role.as_deref(), bind) else {
        eprintln!("{USAGE}");
        std::process::exit(1);
    };
    // The role is the name: there is one of each, and a new process takes the place of the one before.
    let node = Options::new(bind).with_name(role).with_seeds(args).start().await?;
    let work = async {
        match role {
            "warehouse" => warehouse(&node).await,
            _ => shop(&node).await,
        }
    };
    let outcome = tokio::select! {
        outcome = work => outcome,
        signal = tokio::signal::ctrl_c() => signal.map_err(Box::from),
    };
    // Messages that are under way still arrive, for a while.
    node.shutdown().await;
    outcome
}

/// Works on orders one by one, and answers each.
async fn warehouse(node: &Handle) -> Result<(), Box<dyn Error>> {
    let mut incoming = node.incoming();
    // A real one would keep this on disk.
    let mut packed = BTreeSet::new();
    while let Some(order) = incoming.recv_unacknowledged().await {
        let (number, from) = (String::from_utf8_lossy(&order.payload).into_owned(), order.from);
        let again = if order.repeated { " (an earlier process may have had it)" } else { "" };
        println!("packing order {number}{again}");
        sleep(Duration::from_millis(50)).await;
        packed.insert(number.clone());
        // Only now is it processed: had this process ended before, the shop would know that it was not.
        if order.acknowledge().is_err() {
            println!("the shop that sent order {number} is gone");
        }
        // The answer goes before whatever else there is to say. If it cannot be sent, the shop is gone.
        let how = SendOptions::default().with_class(Class::High);
        let answer = format!("order {number} is packed, as {} before", packed.len() - 1);
        match node.try_send(from, answer, how) {
            Ok(_on_its_way) => {}
            Err(error) => println!("no answer for order {number}: {error}"),
        }
    }
    Ok(())
}

/// Sends orders, a few a second, and says what became of each.
async fn shop(node: &Handle) -> Result<(), Box<dyn Error>> {
    node.joined().await?;
    let answers = tokio::spawn(listen(node.incoming()));
    let (warehouse, mut under_way) = (node.id_of("warehouse"), JoinSet::new());
    // In order, and given to a new process of the warehouse too.
    let how =
        SendOptions::default().in_stream(1).until_processed().redeliverable().with_expiry(Duration::from_secs(60));
    for number in 1.. {
        while node.member(warehouse).await?.is_none_or(|member| member.state != State::Alive) {
            println!("no warehouse");
            sleep(Duration::from_secs(1)).await;
        }
        match node.send(warehouse, format!("{number}"), how).await {
            Ok(pending) => drop(under_way.spawn(async move { (number, pending.await) })),
            Err(SendError::Closed) => break,
            // Its breaker is open, say: the error tells for how long.
            Err(error) => println!("order {number} is not accepted: {error}"),
        }
        while let Some(Ok((number, outcome))) = under_way.try_join_next() {
            println!("order {number}: {:?} after {:?}", outcome.ending, outcome.took);
        }
        sleep(Duration::from_millis(200)).await;
    }
    answers.abort();
    Ok(())
}

async fn listen(mut incoming: Incoming) {
    while let Some(answer) = incoming.recv().await {
        println!("the warehouse says: {}", String::from_utf8_lossy(&answer.payload));
    }
}
