//! The paths between the nodes, as the test's script wants them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives after the usual latency.
    Arrives,
    /// It arrives this much later than usual.
    Late(Duration),
    /// It arrives twice.
    Twice,
    /// It never arrives.
    Lost,
}

type Script = Box<dyn FnMut(SocketAddr, SocketAddr, &[u8]) -> Fate>;

/// The network of a [`Cluster`](crate::Cluster).
pub struct Network {
    /// How long anything takes from one node to another.
    pub latency: Duration,
    /// The chance that a datagram is lost, in thousandths.
    pub loss_per_mille: u64,
    /// How often a stream's segment is tried again while its path is cut.
    pub retransmit: Duration,
    cuts: BTreeSet<(SocketAddr, SocketAddr)>,
    script: Option<Script>,
    random: u64,
}

impl Network {
    pub(crate) fn new() -> Network {
        Network {
            latency: Duration::from_millis(1),
            loss_per_mille: 0,
            retransmit: Duration::from_millis(200),
            cuts: BTreeSet::new(),
            script: None,
            random: 0x9E37_79B9_7F4A_7C15,
        }
    }

    /// Lets nothing pass between any of `these` and any of `those`, either way.
    pub fn cut(&mut self, these: &[SocketAddr], those: &[SocketAddr]) {
        for &a in these {
            for &b in those {
                self.cuts.insert((a, b));
                self.cuts.insert((b, a));
            }
        }
    }

    /// Lets nothing pass from `from` to `to`; the way back stays open.
    pub fn cut_one_way(&mut self, from: SocketAddr, to: SocketAddr) {
        self.cuts.insert((from, to));
    }

    /// Opens all paths again, and forgets the script and the loss.
    pub fn heal(&mut self) {
        self.cuts.clear();
        self.script = None;
        self.loss_per_mille = 0;
    }

    /// Asks `script(from, to, datagram)` for the fate of each datagram from now on.
    pub fn script(&mut self, script: impl FnMut(SocketAddr, SocketAddr, &[u8]) -> Fate + 'static) {
        self.script = Some(Box::new(script));
    }

    /// Whether the path is open.
    pub fn is_open(&self, from: SocketAddr, to: SocketAddr) -> bool {
        !self.cuts.contains(&(from, to))
    }

    pub(crate) fn fate(&mut self, from: SocketAddr, to: SocketAddr, datagram: &[u8]) -> Fate {
        // xorshift64: the same losses in every run.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        if !self.is_open(from, to) || self.random % 1000 < self.loss_per_mille {
            return Fate::Lost;
        }
        self.script.as_mut().map_or(Fate::Arrives, |script| script(from, to, datagram))
    }
}
