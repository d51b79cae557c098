//! Leaves: whatever the node wants done is done at once.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use swim_proto::{Action, Event, Node, Status};
use tokio::net::UdpSocket;
use tokio::sync::broadcast;
use tracing::trace;

use super::Driver;
use crate::clock::Clock;
use crate::messaging::Post;
use crate::notice::Notice;
use crate::sockets::Reach;
use crate::stats::DriverStats;

impl Driver {
    /// Does whatever the node wants done.
    pub(super) fn act(&mut self) {
        self.act_once();
        // Seeds that are written as addresses are answered at once.
        while let Some((seed, outcome)) = self.resolved.pop() {
            self.take_resolved(seed, outcome);
            self.act_once();
        }
        let status = self.node.status();
        let is_new = self.status.send_if_modified(|seen| std::mem::replace(seen, status) != status);
        if is_new
            && status == Status::Superseded
            && let Some(post) = &self.post
        {
            // Another process has our name, and the messages to it.
            post.close();
        }
        if is_new && status != Status::Joining {
            self.joining.settled(status);
        }
    }

    fn act_once(&mut self) {
        let is_joining = self.node.status() == Status::Joining;
        while let Some(action) = self.node.poll_action(&mut self.action) {
            match action {
                Action::Transmit { to, datagram } => {
                    if !send(self.udp.as_ref(), self.reach, to, datagram, &mut self.stats) {
                        self.remarks.unreachable(to, self.reach);
                    }
                }
                Action::Connect { stream, to } => {
                    self.stats.connects += 1;
                    if is_joining {
                        self.joining.asks(stream, to);
                    }
                    self.streams.connect(stream, to);
                }
                Action::Write { stream, bytes } => self.streams.write(stream, bytes),
                Action::Finish { stream } => self.streams.finish(stream),
                Action::Reset { stream } => {
                    self.joining.ended(stream);
                    self.streams.reset(stream);
                }
                Action::Resolve { seed } => {
                    self.stats.resolves += 1;
                    if is_joining {
                        self.joining.seeks(seed, &self.seeds, self.node.local().address);
                    }
                    self.resolved.extend(self.seeds.resolve(seed).map(|outcome| (seed, outcome)));
                }
                Action::Event(event) => {
                    if let Event::NameTaken { holder } = event {
                        self.joining.name_taken(holder);
                    }
                    if let Some(post) = &self.post {
                        inform(post, &event);
                    }
                    notify(&self.notices, &event, &self.node, &self.clock);
                }
            }
        }
    }
}

/// A datagram that the socket does not take is lost, and counted: the protocol expects loss, not delay.
/// `false`: the address is of a family that the socket never reaches.
fn send(udp: Option<&UdpSocket>, reach: Reach, to: SocketAddr, datagram: &[u8], stats: &mut DriverStats) -> bool {
    let (Some(udp), Some(address)) = (udp, reach.outward(to)) else {
        stats.sends_failed += 1;
        return false;
    };
    match udp.try_send_to(datagram, address) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => stats.sends_blocked += 1,
        Err(error) => {
            stats.sends_failed += 1;
            trace!(%to, %error, "cannot send a datagram");
        }
    }
    true
}

/// Messages go to members as the membership has them.
fn inform(post: &Post, event: &Event<'_>) {
    match event {
        Event::Joined(told)
        | Event::Updated(told)
        | Event::Suspected(told)
        | Event::Refuted(told)
        | Event::Died(told)
        | Event::Left(told)
        | Event::Restarted(told) => post.member(&told.member),
        Event::Reaped(told) => post.forgotten(told.member.id),
        _ => {}
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
