//! Streams over real connections, without a node: what the core would order is ordered here.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream as Peer};
use std::time::Instant as SystemInstant;

use mio::{Events, Poll};
use socket2::SockRef;

use super::*;

const SOON: Duration = Duration::from_secs(10);
const NOW: Instant = Instant::ZERO;
const ID: StreamId = StreamId(7);

/// A loop with nothing but streams.
struct Loop {
    poll: Poll,
    streams: Streams,
    buffer: Vec<u8>,
}

impl Loop {
    fn new() -> Loop {
        let poll = Poll::new().unwrap();
        let registry = poll.registry().try_clone().unwrap();
        let streams = Streams::new(registry, (0..1000, 16), "127.0.0.1:0".parse().unwrap(), SOON).unwrap();
        Loop { poll, streams, buffer: vec![0; READ_MAX] }
    }

    /// A stream of ours, and its peer's socket.
    fn with_peer() -> (Loop, Peer) {
        let mut each = Loop::new();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        each.streams.connect(NOW, ID, listener.local_addr().unwrap());
        let (peer, _) = listener.accept().unwrap();
        peer.set_read_timeout(Some(SOON)).unwrap();
        assert!(matches!(each.next(), Some((ID, Moved::Connected))));
        (each, peer)
    }

    fn token(&self) -> Token {
        self.streams.by_id[&ID]
    }

    /// Takes what the system says, if it says something within `limit`.
    fn wait(&mut self, limit: Duration) {
        let mut events = Events::with_capacity(16);
        self.poll.poll(&mut events, Some(limit)).unwrap();
        for event in &events {
            self.streams.handle_event(event);
        }
    }

    /// The next thing that happens.
    fn next(&mut self) -> Option<(StreamId, Moved)> {
        let until = SystemInstant::now() + SOON;
        while SystemInstant::now() < until {
            while self.streams.are_ready() {
                if let Some(moved) = self.streams.serve(&mut self.buffer) {
                    return Some(moved);
                }
            }
            self.wait(Duration::from_millis(50));
        }
        None
    }

    /// Nothing happens any more, for now.
    fn settle(&mut self) -> Vec<Moved> {
        let mut all = Vec::new();
        while self.streams.are_ready() {
            all.extend(self.streams.serve(&mut self.buffer).map(|(_, moved)| moved));
        }
        all
    }
}

#[test]
fn bytes_go_both_ways_and_both_sides_finish() {
    let (mut each, mut peer) = Loop::with_peer();
    each.streams.write(ID, b"hello, ");
    each.streams.write(ID, b"peer");
    each.streams.finish(ID);
    assert!(matches!(each.next(), Some((ID, Moved::Written(11)))));
    each.settle();
    let mut heard = String::new();
    peer.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "hello, peer");

    peer.write_all(b"hello back").unwrap();
    drop(peer);
    let mut said = Vec::new();
    loop {
        match each.next() {
            Some((ID, Moved::Data(len))) => said.extend_from_slice(&each.buffer[..len]),
            Some((ID, Moved::Finished)) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(said, b"hello back");
    each.settle();
    assert_eq!(each.streams.len(), 0, "a stream finished by both sides is forgotten");
}

#[test]
fn what_the_socket_takes_in_part_is_written_in_part_and_each_byte_reported_once() {
    let (mut each, mut peer) = Loop::with_peer();
    let token = each.token();
    SockRef::from(&*each.streams.slots.get_mut(token).unwrap().socket()).set_send_buffer_size(4096).unwrap();
    let all: Vec<u8> = (0..swim_proto::STREAM_CREDIT).map(|at| at as u8).collect();
    // A peer that does not read until the socket is full.
    let (mut written, mut parts) = (0, 0);
    let mut given = 0;
    while each.streams.slots.get_mut(token).is_some_and(|stream| stream.unwritten() == 0) {
        each.streams.write(ID, &all);
        given += all.len();
        for moved in each.settle() {
            let Moved::Written(len) = moved else { panic!("{moved:?}") };
            (written, parts) = (written + len, parts + 1);
        }
    }
    assert!(written < given, "it is full");
    assert!(!each.streams.are_ready(), "nothing can be done, and nobody is to try");
    let reader = std::thread::spawn(move || {
        let mut heard = Vec::new();
        peer.read_to_end(&mut heard).map(|_| heard)
    });
    each.streams.finish(ID);
    while written < given {
        let Some((ID, Moved::Written(len))) = each.next() else { panic!("it is not written") };
        (written, parts) = (written + len, parts + 1);
    }
    each.settle();
    let heard = reader.join().unwrap().unwrap();
    assert_eq!((heard.len(), written), (given, given));
    assert!(heard.chunks(all.len()).all(|chunk| chunk == all), "in order");
    assert!(parts > given / all.len(), "in parts");
}

#[test]
fn readiness_that_lies_is_asked_and_believed_no_longer() {
    let (mut each, mut peer) = Loop::with_peer();
    each.settle();
    let token = each.token();
    // The system says that there is something, and there is not.
    for _ in 0..3 {
        each.streams.mark(token, true, true);
        assert!(each.settle().is_empty());
        assert!(!each.streams.are_ready());
    }
    // What comes then is heard all the same.
    peer.write_all(b"x").unwrap();
    assert!(matches!(each.next(), Some((ID, Moved::Data(1)))));
}

#[test]
fn a_stream_that_is_said_to_stand_before_it_does_goes_on_opening() {
    // A listener that does not accept, its backlog filled.
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let to = listener.local_addr().unwrap().as_socket().unwrap();
    let mut each = Loop::new();
    for id in 0..16 {
        each.streams.connect(NOW, StreamId(id), to);
    }
    // Some find room; then none for a while.
    let mut connected = 0;
    loop {
        each.wait(Duration::from_millis(500));
        match each.settle().iter().filter(|moved| matches!(moved, Moved::Connected)).count() {
            0 => break,
            more => connected += more,
        }
    }
    assert!(connected < 16);
    // Lies about all of them.
    each.streams.suspect_all();
    assert!(each.settle().is_empty());
    assert_eq!(each.streams.len(), 16);

    // Their time comes.
    assert_eq!(each.streams.deadline(), Some(NOW + SOON));
    assert!(each.streams.poll_late(NOW).is_none());
    let mut late = 0;
    while let Some((_, Moved::Unconnected(error))) = each.streams.poll_late(NOW + SOON) {
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        late += 1;
    }
    assert_eq!((late, each.streams.len()), (16 - connected, connected));
    assert_eq!(each.streams.deadline(), None);
}

#[test]
fn what_the_system_says_of_a_socket_of_the_past_is_about_nobody() {
    let (mut each, _peer) = Loop::with_peer();
    let old = each.token();
    each.streams.reset(ID);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    each.streams.connect(NOW, StreamId(8), listener.local_addr().unwrap());
    assert!(each.streams.owns(old));
    let ready = each.streams.ready();
    each.streams.mark(old, true, true);
    assert_eq!(each.streams.ready(), ready);
    assert!(!each.streams.slots.get_mut(each.streams.by_id[&StreamId(8)]).unwrap().is_marked());
}

#[test]
fn a_port_where_nobody_listens_fails_the_stream() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let mut each = Loop::new();
    each.streams.connect(NOW, ID, nobody);
    let Some((ID, Moved::Unconnected(error))) = each.next() else { panic!("it is open") };
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(each.streams.len(), 0);
}

#[test]
fn an_address_of_the_other_family_fails_the_stream_at_once() {
    let mut each = Loop::new();
    each.streams.connect(NOW, ID, "[::1]:1".parse().unwrap());
    assert!(each.streams.are_ready());
    assert!(matches!(each.settle()[..], [Moved::Unconnected(_)]));
}

#[test]
fn more_streams_than_there_are_tokens_for_fail_and_the_others_live() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut each = Loop::new();
    for id in 0..17 {
        each.streams.connect(NOW, StreamId(id), listener.local_addr().unwrap());
    }
    assert_eq!(each.streams.len(), 16);
    assert!(matches!(each.streams.serve(&mut each.buffer), Some((StreamId(16), Moved::Unconnected(_)))));
}

#[test]
fn a_reset_is_felt_by_the_peer_at_once() {
    let (mut each, mut peer) = Loop::with_peer();
    each.streams.reset(ID);
    assert_eq!(each.streams.len(), 0);
    let error = peer.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_reset_by_the_peer_fails_the_stream() {
    let (mut each, peer) = Loop::with_peer();
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    assert!(matches!(each.next(), Some((ID, Moved::Failed))));
    assert_eq!(each.streams.len(), 0);
}

#[test]
fn a_peer_that_floods_takes_turns_with_the_others() {
    let (mut each, mut flood) = Loop::with_peer();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    each.streams.connect(NOW, StreamId(8), listener.local_addr().unwrap());
    let (mut quiet, _) = listener.accept().unwrap();
    assert!(matches!(each.next(), Some((StreamId(8), Moved::Connected))));
    // More than one turn reads.
    flood.set_nonblocking(true).unwrap();
    while flood.write(&[0; 65_536]).is_ok() {}
    quiet.write_all(b"x").unwrap();
    each.wait(SOON);
    each.wait(Duration::from_millis(200));
    let turns: Vec<_> = (0..4).filter_map(|_| each.streams.serve(&mut each.buffer)).collect();
    assert!(turns.iter().any(|(id, moved)| *id == StreamId(8) && matches!(moved, Moved::Data(1))), "{turns:?}");
    assert!(turns.iter().all(|(_, moved)| !matches!(moved, Moved::Data(len) if *len > READ_MAX)));
}

#[test]
fn flushing_writes_what_was_written_and_ends() {
    let (mut each, mut peer) = Loop::with_peer();
    let all = vec![7; swim_proto::STREAM_CREDIT];
    each.streams.write(ID, &all);
    each.streams.flush();
    let reader = std::thread::spawn(move || {
        let mut heard = Vec::new();
        peer.read_to_end(&mut heard).map(|_| heard)
    });
    let until = SystemInstant::now() + SOON;
    while each.streams.len() > 0 && SystemInstant::now() < until {
        assert!(each.settle().is_empty(), "nobody is told any more");
        each.wait(Duration::from_millis(50));
    }
    assert_eq!(reader.join().unwrap().unwrap(), all);
    assert_eq!(each.streams.len(), 0);
}

#[test]
fn one_that_there_are_no_tokens_for_is_told_as_what_it_was() {
    let mut each = Loop::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let mut guests = Vec::new();
    for id in 0..17 {
        guests.push(Peer::connect(at).unwrap());
        let (socket, from) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        each.streams.accept(StreamId(id), TcpStream::from_std(socket), from);
    }
    // One more than there is room for: it was open, and nobody tried to connect.
    assert!(matches!(each.next(), Some((StreamId(16), Moved::Failed))));
    let refused = guests.pop().unwrap();
    refused.set_nonblocking(false).unwrap();
    let reset = (&refused).read(&mut [0]).unwrap_err();
    assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
    each.streams.connect(NOW, StreamId(17), at);
    assert!(matches!(each.next(), Some((StreamId(17), Moved::Unconnected(_)))));
    assert_eq!(each.streams.len(), 16);
}
