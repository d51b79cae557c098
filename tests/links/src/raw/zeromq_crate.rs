//! By the zeromq crate.

use bytes::Bytes;
use zeromq::{DealerSocket, RouterSocket, Socket as _, SocketRecv as _, SocketSend as _, ZmqMessage};

use super::{Counter, wait_for_the_end};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Prints where it listens, and then what came in so many seconds.
pub(crate) fn receive(seconds: f64) {
    runtime().block_on(async {
        let mut router = RouterSocket::new();
        let at = router.bind("tcp://127.0.0.1:0").await.expect("loopback has a free port");
        println!("{}", at.to_string().trim_start_matches("tcp://"));
        let mut counter = Counter::new(seconds);
        loop {
            router.recv().await.expect("a message");
            if counter.came() {
                break;
            }
        }
        wait_for_the_end();
    });
}

/// Sends until it is ended.
pub(crate) fn send(address: &str, size: usize) {
    runtime().block_on(async {
        let mut dealer = DealerSocket::new();
        dealer.connect(&format!("tcp://{address}")).await.expect("the receiver listens");
        let payload = Bytes::from(vec![7; size]);
        loop {
            dealer.send(ZmqMessage::from(payload.clone())).await.expect("it is taken");
        }
    });
}
