//! Streams between nodes: in order, never lossy, and as slow as their path is cut.

use std::collections::VecDeque;
use std::net::SocketAddr;

use swim_proto::{StreamId, StreamInput};

use super::{Cluster, Pending, Seen};

/// What a node learns from its own side of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) enum Feedback {
    Connected,
    Written(usize),
    Failed,
}

enum Segment {
    Open,
    Data(Vec<u8>),
    Finish,
    Reset,
}

/// One side of a stream.
pub(super) struct End {
    /// The node there; `None`: a puppet of the test, or nobody yet.
    peer: Option<(usize, u64)>,
    address: SocketAddr,
    /// The node's own name of it, once it has one.
    stream: Option<StreamId>,
    /// Whether its node still cares.
    open: bool,
    /// On their way to it.
    incoming: VecDeque<Segment>,
}

impl End {
    fn nobody(address: SocketAddr) -> End {
        End { peer: None, address, stream: None, open: true, incoming: VecDeque::new() }
    }
}

#[derive(Default)]
pub(super) struct Links {
    links: Vec<[End; 2]>,
}

impl Links {
    /// A stream between a puppet and a node.
    pub(super) fn puppet(&mut self, from: SocketAddr, end: End) {
        self.links.push([End::nobody(from), end]);
    }

    /// What the node wrote to the puppet, and whether it has ended the stream.
    pub(super) fn heard(&mut self, peer: usize, stream: StreamId) -> (Vec<u8>, bool) {
        let (link, end) = self.find(peer, stream).expect("a stream of this node");
        let mut bytes = Vec::new();
        let mut ended = !self.links[link][end].open;
        for segment in self.links[link][1 - end].incoming.drain(..) {
            match segment {
                Segment::Data(data) => bytes.extend(data),
                Segment::Finish | Segment::Reset => ended = true,
                Segment::Open => {}
            }
        }
        (bytes, ended)
    }

    /// The open streams of a node: link and which end it is.
    pub(super) fn of_peer(&self, peer: usize) -> Vec<(usize, usize)> {
        let ends = self.links.iter().enumerate().flat_map(|(link, ends)| [(link, 0, &ends[0]), (link, 1, &ends[1])]);
        ends.filter(|(.., end)| end.open && end.peer.is_some_and(|(i, _)| i == peer))
            .map(|(link, end, _)| (link, end))
            .collect()
    }

    fn find(&self, peer: usize, stream: StreamId) -> Option<(usize, usize)> {
        // Newest first: a restarted process may name its streams like its predecessor.
        self.links.iter().enumerate().rev().find_map(|(link, ends)| {
            let end =
                ends.iter().position(|end| end.peer.is_some_and(|(i, _)| i == peer) && end.stream == Some(stream))?;
            Some((link, end))
        })
    }
}

impl Cluster {
    /// The end of a stream at a node.
    pub(super) fn end(&self, peer: usize, stream: StreamId) -> End {
        End {
            peer: Some((peer, self.peers[peer].generation)),
            stream: Some(stream),
            ..End::nobody(self.peers[peer].local.address)
        }
    }

    pub(super) fn connect(&mut self, i: usize, stream: StreamId, to: SocketAddr) {
        let link = self.links.links.len();
        let near = self.end(i, stream);
        self.links.links.push([near, End::nobody(to)]);
        self.send(link, 1, Segment::Open);
    }

    pub(super) fn write(&mut self, i: usize, stream: StreamId, bytes: &[u8]) {
        let Some((link, end)) = self.links.find(i, stream) else { panic!("node {i} writes to a stream it has not") };
        let [from, to] = [end, 1 - end].map(|end| self.links.links[link][end].address);
        if let Some(watch) = &mut self.watch {
            watch(Seen::Stream { at: self.now, from, to, link, bytes });
        }
        self.send(link, 1 - end, Segment::Data(bytes.to_vec()));
        self.feed_back(link, end, Feedback::Written(bytes.len()), std::time::Duration::ZERO);
    }

    pub(super) fn finish(&mut self, i: usize, stream: StreamId) {
        if let Some((link, end)) = self.links.find(i, stream) {
            self.send(link, 1 - end, Segment::Finish);
        }
    }

    pub(super) fn reset(&mut self, i: usize, stream: StreamId) {
        if let Some((link, end)) = self.links.find(i, stream) {
            self.reset_link(link, end);
        }
    }

    pub(super) fn reset_link(&mut self, link: usize, end: usize) {
        self.links.links[link][end].open = false;
        self.send(link, 1 - end, Segment::Reset);
    }

    fn send(&mut self, link: usize, end: usize, segment: Segment) {
        self.links.links[link][end].incoming.push_back(segment);
        let is_puppet = self.links.links[link][0].peer.is_none() && end == 0;
        if !is_puppet {
            self.after(self.network.latency, Pending::Segment { link, end });
        }
    }

    fn feed_back(&mut self, link: usize, end: usize, feedback: Feedback, delay: std::time::Duration) {
        let End { peer, stream, .. } = self.links.links[link][end];
        if let (Some((peer, generation)), Some(stream)) = (peer, stream) {
            self.after(delay, Pending::Feedback { peer, generation, stream, feedback });
        }
    }

    /// One segment arrives, or is tried again later if its path is cut.
    pub(super) fn deliver_segment(&mut self, link: usize, end: usize) {
        let [from, to] = [1 - end, end].map(|end| self.links.links[link][end].address);
        let paused = self.links.links[link][end].peer.is_some_and(|(i, _)| self.peers[i].paused)
            || self.peer_at(to).is_some_and(|i| self.peers[i].paused);
        if !self.network.is_open(from, to) || paused {
            return self.after(self.network.retransmit, Pending::Segment { link, end });
        }
        let segment = self.links.links[link][end].incoming.pop_front().expect("one event for each segment");
        if matches!(segment, Segment::Open) {
            return self.open(link, from, to);
        }
        let here = &mut self.links.links[link][end];
        let current = here.peer.filter(|&(i, generation)| self.peers[i].generation == generation);
        let (Some((peer, _)), Some(stream), true) = (current, here.stream, here.open) else {
            return;
        };
        let input = match &segment {
            Segment::Data(bytes) => StreamInput::Data(bytes),
            Segment::Finish => StreamInput::Finished,
            Segment::Reset => {
                here.open = false;
                StreamInput::Failed
            }
            Segment::Open => unreachable!("handled above"),
        };
        self.command(peer, |node, now| node.handle_stream(now, stream, input));
    }

    fn open(&mut self, link: usize, from: SocketAddr, to: SocketAddr) {
        let latency = self.network.latency;
        let ephemeral = SocketAddr::new(from.ip(), 40_000 + (link % 20_000) as u16);
        let stream = self.peer_at(to).and_then(|peer| {
            let stream = self.command(peer, |node, now| node.accept_stream(now, ephemeral))?;
            Some((peer, stream))
        });
        match stream {
            Some((peer, stream)) => {
                let incoming = std::mem::take(&mut self.links.links[link][1].incoming);
                self.links.links[link][1] = End { incoming, ..self.end(peer, stream) };
                self.feed_back(link, 0, Feedback::Connected, latency);
            }
            // Refused: nobody listens there, or has room.
            None => {
                self.links.links[link][0].open = false;
                self.feed_back(link, 0, Feedback::Failed, latency);
            }
        }
    }
}
