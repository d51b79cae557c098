//! Joins a cluster and prints each event, one a line, until Ctrl-C.
//!
//! ```text
//! cargo run --example watch -- 127.0.0.1:7000
//! cargo run --example watch -- 127.0.0.1:7001 127.0.0.1:7000
//! ```

use swim_tokio::{Event, EventsError, Options};

const USAGE: &str = "usage: watch ADDRESS [SEED]...
  ADDRESS   where to listen, for UDP and TCP, such as 127.0.0.1:7000
  SEED      a member to join by, such as 127.0.0.1:7001; none for the first";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let Some(bind) = args.next().and_then(|bind| bind.parse().ok()) else {
        eprintln!("{USAGE}");
        std::process::exit(1);
    };
    let node = Options::new(bind).with_seeds(args).start().await?;
    let (members, mut events) = node.follow().await?;
    println!("{} runs and knows {} members", node.name(), members.len());
    loop {
        tokio::select! {
            notice = events.recv() => match notice {
                Ok(notice) => print(&notice.event),
                Err(EventsError::Lagged(lost)) => println!("{lost} events were lost"),
                Err(EventsError::Closed) => return Ok(()),
            },
            signal = tokio::signal::ctrl_c() => {
                signal?;
                // Tells the others, closes the sockets. What it has still to say arrives above, then the end.
                node.shutdown().await;
            }
        }
    }
}

fn print(event: &Event) {
    match event.change() {
        Some(change) => println!("{:<10} {} ({:?})", event.kind(), change.member.name, change.cause),
        None => println!("{event:?}"),
    }
}
