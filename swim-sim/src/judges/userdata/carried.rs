//! What carriers carry counts like datagrams (protocol 13.2): which streams are carriers, and their packets.

use std::collections::HashMap;

use swim_proto::wire::{FRAME_MAX, FrameReader, Message, decode};
use swim_proto::{ClusterHash, StreamId};

/// The streams of one process.
#[derive(Debug, Default)]
pub(super) struct Carried {
    streams: HashMap<StreamId, Stream>,
}

#[derive(Debug)]
enum Stream {
    /// Nothing whole has passed yet: what was read, and what was written.
    New(FrameReader, FrameReader),
    /// What was written.
    Carrier(FrameReader),
    Other,
}

impl Carried {
    /// It reads from a stream: its first packet says what it is for.
    pub(super) fn read(&mut self, stream: StreamId, bytes: &[u8], cluster: ClusterHash) {
        let kind = self.streams.entry(stream).or_insert_with(new);
        if let Stream::New(reading, _) = kind {
            reading.push(bytes);
            if let Ok(Some(packet)) = reading.next() {
                *kind = if is_opening(packet, cluster) { Stream::Carrier(FrameReader::new()) } else { Stream::Other };
            }
        }
    }

    /// It writes to a stream. Gives the packets, if it is a carrier.
    pub(super) fn written(&mut self, stream: StreamId, bytes: &[u8], cluster: ClusterHash) -> Vec<Vec<u8>> {
        let kind = self.streams.entry(stream).or_insert_with(new);
        if let Stream::New(_, writing) = kind {
            writing.push(bytes);
            let Ok(Some(packet)) = writing.next() else { return Vec::new() };
            let carries = is_opening(packet, cluster);
            let writing = std::mem::take(writing);
            *kind = if carries { Stream::Carrier(writing) } else { Stream::Other };
        } else if let Stream::Carrier(writing) = kind {
            writing.push(bytes);
        }
        let mut packets = Vec::new();
        if let Stream::Carrier(writing) = kind {
            while let Ok(Some(packet)) = writing.next() {
                packets.push(packet.to_vec());
            }
        }
        packets
    }

    /// A stream is gone.
    pub(super) fn closed(&mut self, stream: StreamId) {
        self.streams.remove(&stream);
    }
}

fn new() -> Stream {
    Stream::New(FrameReader::new(), FrameReader::new())
}

fn is_opening(packet: &[u8], cluster: ClusterHash) -> bool {
    decode(packet, cluster, FRAME_MAX)
        .is_ok_and(|mut messages| messages.any(|message| matches!(message, Message::Carry(_))))
}
