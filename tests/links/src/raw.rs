//! The zeromq crate alone: a DEALER that sends and a ROUTER that counts.

use std::time::Instant;

use bytes::Bytes;
use zeromq::{DealerSocket, RouterSocket, Socket as _, SocketRecv as _, SocketSend as _, ZmqMessage};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Prints where it listens, reads how many will come, and prints how long it took from the first to the last.
pub(crate) fn receive() {
    runtime().block_on(async {
        let mut router = RouterSocket::new();
        let at = router.bind("tcp://127.0.0.1:0").await.expect("loopback has a free port");
        println!("{}", at.to_string().trim_start_matches("tcp://"));
        let mut count = String::new();
        std::io::stdin().read_line(&mut count).expect("it is a pipe");
        let count: u64 = count.trim().parse().expect("a number");
        router.recv().await.expect("a message");
        let begun = Instant::now();
        for _ in 1..count {
            router.recv().await.expect("a message");
        }
        println!("{}", begun.elapsed().as_secs_f64());
    });
}

/// Sends so many, and waits to be ended.
pub(crate) fn send(address: &str, count: u64, size: usize) {
    runtime().block_on(async {
        let mut dealer = DealerSocket::new();
        dealer.connect(&format!("tcp://{address}")).await.expect("the receiver listens");
        let payload = Bytes::from(vec![7; size]);
        for _ in 0..count {
            dealer.send(ZmqMessage::from(payload.clone())).await.expect("it is taken");
        }
        std::future::pending::<()>().await;
    });
}
