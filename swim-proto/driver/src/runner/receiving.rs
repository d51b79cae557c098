//! What arrives: datagrams by way of the backlog, and what happened to streams.

use std::io;
use std::time::Duration;

use swim_proto::{Backlog, DatagramError, StreamId, StreamInput};
use tracing::{trace, warn};

use super::{DATAGRAMS_PER_TURN, Moved, Runner};
use crate::outside::Outside;
use crate::sockets::Reach;

/// The time that a turn gives to datagrams nobody waits for, though at least one is taken.
const TURN_TIME: Duration = Duration::from_millis(10);
/// Datagrams that were read and not yet handed to the node, at most.
const BACKLOG_LEN: usize = 1024;
/// Their bytes, at most.
const BACKLOG_BYTES: usize = 1 << 20;
/// After so many errors in a row, with no datagram between them, the socket is not asked for a while: the next call would
/// only meet another.
const ERRORS_MAX: u32 = 16;
/// For how long.
const ERRORS_PAUSE: Duration = Duration::from_millis(100);

pub(super) fn backlog() -> Backlog {
    Backlog::new(BACKLOG_LEN, BACKLOG_BYTES)
}

impl Runner {
    /// Takes datagrams, and hands them over. Whether the turn's budget ended before they did. Under load, probes and their
    /// answers come first.
    pub fn take_datagrams(&mut self, outside: &mut impl Outside) -> bool {
        let more_waits = self.read_datagrams(outside);
        let begun = self.clock.now();
        let mut now = begun;
        for _ in 0..DATAGRAMS_PER_TURN {
            if !self.backlog.has_urgent() && now - begun >= TURN_TIME {
                break;
            }
            let Some(from) = self.backlog.pop(&mut self.handed) else { break };
            now = self.clock.now();
            if let Err(error) = self.node.handle_datagram(now, from, &self.handed) {
                trace!(%from, len = self.handed.len(), %error, "a datagram was refused");
                if error == DatagramError::Cluster {
                    self.remarks.foreign(Some(from), &self.node);
                }
            }
            self.act(outside);
        }
        let is_full = more_waits || !self.backlog.is_empty();
        let shed = self.backlog.take_shed();
        self.stats.datagrams_shed += shed;
        let lost = if is_full || shed > 0 { self.losses.since_last(now) } else { 0 };
        self.stats.datagrams_lost += lost;
        if shed + lost > 0 {
            self.node.report_loss(now, shed + lost);
            self.act(outside);
        }
        is_full
    }

    /// Whether the socket is not asked for datagrams now, because it gives nothing but errors. Ends at a
    /// [`Runner::deadline`].
    pub fn is_deaf(&self) -> bool {
        self.deaf_until.is_some_and(|until| self.clock.now() < until)
    }

    /// Whether the turn's budget ended before the socket's datagrams did.
    fn read_datagrams(&mut self, outside: &mut impl Outside) -> bool {
        if self.is_deaf() {
            return false;
        }
        self.deaf_until = None;
        for _ in 0..DATAGRAMS_PER_TURN {
            match outside.receive(&mut self.datagram) {
                Ok((len, from)) => {
                    self.errors = 0;
                    self.backlog.push(Reach::inward(from), &self.datagram[..len]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.errors = 0;
                    return false;
                }
                // Mostly that nobody listens where something was sent: the node will see for itself.
                Err(error) => {
                    self.stats.receive_errors += 1;
                    trace!(%error, "the socket reports an error");
                    self.errors += 1;
                    if self.errors >= ERRORS_MAX {
                        return self.go_deaf(&error);
                    }
                }
            }
        }
        self.stats.turns_full += 1;
        true
    }

    fn go_deaf(&mut self, error: &io::Error) -> bool {
        self.errors = 0;
        self.deaf_until = Some(self.clock.now() + ERRORS_PAUSE);
        self.stats.receive_pauses += 1;
        if self.stats.receive_pauses.is_power_of_two() {
            warn!(%error, pauses = self.stats.receive_pauses, "the socket for datagrams gives nothing but errors");
        }
        false
    }

    pub(super) fn take_move(&mut self, stream: StreamId, moved: &Moved<impl AsRef<[u8]>>) {
        let input = match moved {
            Moved::Connected => StreamInput::Connected,
            Moved::Unconnected(error) => {
                self.stats.connects_failed += 1;
                self.joining.unconnected(stream, error);
                StreamInput::Failed
            }
            Moved::Data(bytes) => StreamInput::Data(bytes.as_ref()),
            Moved::Written(len) => StreamInput::Written(*len),
            Moved::Finished => StreamInput::Finished,
            Moved::Failed => StreamInput::Failed,
        };
        if matches!(moved, Moved::Finished | Moved::Failed) {
            self.joining.ended(stream);
        }
        self.node.handle_stream(self.clock.now(), stream, input);
    }
}
