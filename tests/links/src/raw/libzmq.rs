//! By libzmq, one thread of its own beside the one that sends or receives, as it is by default.

use zmq::{Context, Message, SocketType};

use super::{Counter, wait_for_the_end};

/// Its version.
pub(crate) fn version() -> String {
    let (major, minor, patch) = zmq::version();
    format!("{major}.{minor}.{patch}")
}

/// Prints where it listens, and then what came in so many seconds.
pub(crate) fn receive(seconds: f64) {
    let router = Context::new().socket(SocketType::ROUTER).expect("a socket");
    router.bind("tcp://127.0.0.1:*").expect("loopback has a free port");
    let at = router.get_last_endpoint().expect("it is bound").expect("an endpoint is text");
    println!("{}", at.trim_start_matches("tcp://"));
    let (mut part, mut counter) = (Message::new(), Counter::new(seconds));
    loop {
        // Whom it is from, and what.
        router.recv(&mut part, 0).expect("a message");
        router.recv(&mut part, 0).expect("its second part");
        if counter.came() {
            break;
        }
    }
    wait_for_the_end();
}

/// Sends until it is ended. What is sent is copied once, as it is for whoever has one payload for many messages.
pub(crate) fn send(address: &str, size: usize) {
    let dealer = Context::new().socket(SocketType::DEALER).expect("a socket");
    dealer.connect(&format!("tcp://{address}")).expect("an address");
    let payload = vec![7; size];
    loop {
        dealer.send(payload.as_slice(), 0).expect("it is taken");
    }
}
