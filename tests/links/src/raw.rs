//! ZeroMQ alone: a DEALER that sends without end, and a ROUTER that counts what comes.

use std::time::{Duration, Instant};

use serde_json::json;

pub(crate) mod libzmq;
pub(crate) mod zeromq_crate;

/// How often a receiver asks for the time, in messages.
const GLANCE: u64 = 64;

/// Messages that come after the first, for so long.
#[derive(Debug)]
struct Counter {
    limit: Duration,
    begun: Option<Instant>,
    count: u64,
}

impl Counter {
    fn new(seconds: f64) -> Counter {
        Counter { limit: Duration::from_secs_f64(seconds), begun: None, count: 0 }
    }

    /// One has come. Whether its time is over: then it has printed what it counted.
    fn came(&mut self) -> bool {
        let Some(begun) = self.begun else {
            self.begun = Some(Instant::now());
            return false;
        };
        self.count += 1;
        if !self.count.is_multiple_of(GLANCE) || begun.elapsed() < self.limit {
            return false;
        }
        println!("{}", json!({ "messages": self.count, "seconds": begun.elapsed().as_secs_f64() }));
        true
    }
}

/// Until whoever measures has seen what it took, and ends us.
fn wait_for_the_end() {
    let _ = std::io::stdin().read_line(&mut String::new());
}
