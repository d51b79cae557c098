//! Leaves: whatever the node wants done is done at once.

use std::io;
use std::net::SocketAddr;

use swim_proto::{Action, Event, Status};
use tracing::trace;

use super::{Joining, Runner};
use crate::outside::Outside;
use crate::sockets::Reach;
use crate::stats::DriverStats;

impl Runner {
    /// Does whatever the node wants done.
    pub(super) fn act(&mut self, outside: &mut impl Outside) {
        self.act_once(outside);
        // Seeds that are written as addresses are answered at once.
        while let Some((seed, outcome)) = self.resolved.pop() {
            self.take_resolved(seed, outcome);
            self.act_once(outside);
        }
        // After all events were told: whoever is told that the node is joined may write to those it knows.
        tell_standing(self.node.status(), &mut self.status, &mut self.joining, outside);
    }

    fn act_once(&mut self, outside: &mut impl Outside) {
        let is_joining = self.node.status() == Status::Joining;
        while let Some(action) = self.node.poll_action(&mut self.action) {
            match action {
                Action::Transmit { to, datagram } => {
                    if !transmit(outside, self.reach, to, datagram, &mut self.stats) {
                        self.remarks.unreachable(to, self.reach);
                    }
                }
                Action::Connect { stream, to } => {
                    self.stats.connects += 1;
                    if is_joining {
                        self.joining.asks(stream, to);
                    }
                    outside.connect(stream, to);
                }
                Action::Write { stream, bytes } => outside.write(stream, bytes),
                Action::Finish { stream } => outside.finish(stream),
                Action::Reset { stream } => {
                    self.joining.ended(stream);
                    outside.reset(stream);
                }
                Action::Resolve { seed } => {
                    self.stats.resolves += 1;
                    if is_joining {
                        self.joining.seeks(seed, &self.seeds, self.node.local().address);
                    }
                    let resolved = self.seeds.resolve(self.clock.now(), seed);
                    self.resolved.extend(resolved.map(|outcome| (seed, outcome)));
                }
                Action::Event(event) => {
                    if let Event::NameTaken { holder } = event {
                        self.joining.name_taken(holder);
                    }
                    if let Event::Superseded { .. } | Event::Left(_) = event {
                        // Whoever hears of our end finds the node to stand as that says.
                        tell_standing(self.node.status(), &mut self.status, &mut self.joining, outside);
                    }
                    outside.tell(&event, &self.node, &self.clock);
                }
            }
        }
    }
}

/// Tells that the node's standing is another than was told, if it is.
fn tell_standing(status: Status, told: &mut Status, joining: &mut Joining, outside: &mut impl Outside) {
    if std::mem::replace(told, status) != status {
        outside.standing(status);
        if status != Status::Joining {
            joining.settled(status);
        }
    }
}

/// A datagram that the socket does not take is lost, and counted. `false`: the address is of a family that the socket
/// never reaches.
fn transmit(
    outside: &mut impl Outside,
    reach: Reach,
    to: SocketAddr,
    datagram: &[u8],
    stats: &mut DriverStats,
) -> bool {
    let Some(address) = reach.outward(to) else {
        stats.sends_failed += 1;
        return false;
    };
    match outside.transmit(address, datagram) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => stats.sends_blocked += 1,
        Err(error) => {
            stats.sends_failed += 1;
            trace!(%to, %error, "cannot send a datagram");
        }
    }
    true
}
