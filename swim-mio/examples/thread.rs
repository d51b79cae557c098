//! Joins a cluster and prints each event, one a line, until stdin ends (Ctrl-D). The node is on a thread of its own.
//!
//! ```text
//! cargo run --example thread -- 127.0.0.1:7000
//! cargo run --example thread -- 127.0.0.1:7001 127.0.0.1:7000
//! ```

use swim_mio::{Event, EventsError, Options};

const USAGE: &str = "usage: thread ADDRESS [SEED]...
  ADDRESS   where to listen, for UDP and TCP, such as 127.0.0.1:7000
  SEED      a member to join by, such as 127.0.0.1:7001; none for the first";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let Some(bind) = args.next().and_then(|bind| bind.parse().ok()) else {
        eprintln!("{USAGE}");
        std::process::exit(1);
    };
    let node = Options::new(bind).with_seeds(args).start()?;
    let (members, mut events) = node.follow()?;
    println!("{} runs and knows {} members", node.name(), members.len());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        // Tells the others, closes the sockets. What it has still to say arrives below, then the end.
        node.shutdown();
    });
    loop {
        match events.recv() {
            Ok(notice) => print(&notice.event),
            Err(EventsError::Lagged(lost)) => println!("{lost} events were lost"),
            Err(EventsError::Closed) => return Ok(()),
        }
    }
}

fn print(event: &Event) {
    match event.change() {
        Some(change) => println!("{:<10} {} ({:?})", event.kind(), change.member.name, change.cause),
        None => println!("{event:?}"),
    }
}
