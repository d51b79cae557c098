//! Where the node's [`Runner`](swim_driver::Runner) reaches: the socket, the streams' tasks, receivers of events, the
//! messages' letterbox.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use swim_driver::messaging::news;
use swim_driver::{Clock, Notice, Outside};
use swim_proto::{Event, Node, Status, StreamId};
use tokio::net::UdpSocket;
use tokio::sync::{broadcast, watch};

use super::no_datagrams;
use crate::messaging::Post;
use crate::streams::Streams;

pub(super) struct Net {
    /// None where members are reached by streams alone.
    pub(super) udp: Option<UdpSocket>,
    pub(super) streams: Streams,
    pub(super) notices: broadcast::Sender<Arc<Notice>>,
    pub(super) status: watch::Sender<Status>,
    /// The messages' side, where there is one.
    pub(super) post: Option<Arc<Post>>,
}

impl Outside for Net {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.udp.as_ref().map_or_else(no_datagrams, |udp| udp.try_recv_from(buffer))
    }

    fn transmit(&mut self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        let udp = self.udp.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        udp.try_send_to(datagram, to).map(|_| ())
    }

    fn connect(&mut self, stream: StreamId, to: SocketAddr) {
        self.streams.connect(stream, to);
    }

    fn write(&mut self, stream: StreamId, bytes: &[u8]) {
        self.streams.write(stream, bytes);
    }

    fn finish(&mut self, stream: StreamId) {
        self.streams.finish(stream);
    }

    fn reset(&mut self, stream: StreamId) {
        self.streams.reset(stream);
    }

    fn peer(&self, stream: StreamId) -> Option<SocketAddr> {
        self.streams.peer(stream)
    }

    fn tell(&mut self, event: &Event<'_>, node: &Node, clock: &Clock) {
        if let Some(post) = &self.post {
            // Messages go to members as the membership has them.
            if let Some((id, input)) = news(event) {
                post.member(id, input);
            }
        }
        if self.notices.receiver_count() == 0 {
            return;
        }
        if let Some(notice) = Notice::of(event, node, clock) {
            // A refusal means that the last receiver went away just now.
            let _ = self.notices.send(Arc::new(notice));
        }
    }

    fn standing(&mut self, status: Status) {
        self.status.send_replace(status);
        if let (Status::Superseded, Some(post)) = (status, &self.post) {
            // Another process has our name, and the messages to it.
            post.close();
        }
    }

    fn life(&mut self, life: u64) {
        if let Some(post) = &self.post {
            post.life(life);
        }
    }

    fn drain(&mut self, limit: Duration) -> bool {
        if let Some(post) = &self.post {
            post.drain(limit);
        }
        self.post.is_some()
    }
}
