//! Leaves: whatever the node wants done is done at once.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use swim_proto::{Action, Node};
use tokio::net::UdpSocket;
use tokio::sync::broadcast;
use tracing::trace;

use super::Driver;
use crate::clock::Clock;
use crate::notice::Notice;
use crate::sockets::Reach;
use crate::stats::DriverStats;

impl Driver {
    /// Does whatever the node wants done.
    pub(super) fn act(&mut self) {
        while let Some(action) = self.node.poll_action(&mut self.action) {
            match action {
                Action::Transmit { to, datagram } => send(&self.udp, self.reach, to, datagram, &mut self.stats),
                Action::Connect { stream, to } => {
                    self.stats.connects += 1;
                    self.streams.connect(stream, to);
                }
                Action::Write { stream, bytes } => self.streams.write(stream, bytes),
                Action::Finish { stream } => self.streams.finish(stream),
                Action::Reset { stream } => self.streams.reset(stream),
                Action::Resolve { seed } => {
                    self.stats.resolves += 1;
                    self.seeds.resolve(seed);
                }
                Action::Event(event) => notify(&self.notices, &event, &self.node, &self.clock),
            }
        }
        let status = self.node.status();
        self.status.send_if_modified(|seen| std::mem::replace(seen, status) != status);
    }
}

/// A datagram that the socket does not take is lost, and counted: the protocol expects loss, not delay.
fn send(udp: &UdpSocket, reach: Reach, to: SocketAddr, datagram: &[u8], stats: &mut DriverStats) {
    let Some(address) = reach.outward(to) else {
        stats.sends_failed += 1;
        trace!(%to, "not of a family that the node is bound to");
        return;
    };
    match udp.try_send_to(datagram, address) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => stats.sends_blocked += 1,
        Err(error) => {
            stats.sends_failed += 1;
            trace!(%to, %error, "cannot send a datagram");
        }
    }
}

fn notify(notices: &broadcast::Sender<Arc<Notice>>, event: &swim_proto::Event<'_>, node: &Node, clock: &Clock) {
    if notices.receiver_count() == 0 {
        return;
    }
    if let Some(notice) = Notice::of(event, node, clock) {
        // A refusal means that the last receiver went away just now.
        let _ = notices.send(Arc::new(notice));
    }
}
