//! A node on a thread and a [`Poll`] of its own: the loop that embeds it.

use std::io;
use std::ops::Range;

use mio::{Events, Poll, Token};
use tracing::{Span, debug, error};

use crate::node::Node;

/// Of the waker.
pub(crate) const WAKER: Token = Token(0);
/// Of the node.
pub(crate) const TOKENS: Range<usize> = 1..usize::MAX;

/// Readiness taken at once, at most; the rest is there the next time.
const EVENTS_PER_TURN: usize = 256;

pub(crate) fn spawn(node: Node, poll: Poll) -> io::Result<()> {
    let span = Span::current();
    std::thread::Builder::new().name("swim".to_owned()).spawn(move || span.in_scope(|| run(node, poll)))?;
    Ok(())
}

fn run(mut node: Node, mut poll: Poll) {
    debug!("started");
    let mut events = Events::with_capacity(EVENTS_PER_TURN);
    while !node.is_closed() {
        match poll.poll(&mut events, node.timeout()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                error!(%error, "the system tells of no readiness any more; the node stops");
                return;
            }
        }
        for event in &events {
            node.handle_event(event);
        }
        node.handle_timeout();
    }
    debug!("stopped");
}
