//! Two lines and a wire between them that takes and gives as little as a socket may.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use swim_proto::messaging::MessagingConfig;

use super::*;
use crate::messaging::{Packets, dealer_config, link_config};

/// One way of a connection.
#[derive(Default)]
struct Way {
    bytes: VecDeque<u8>,
    /// Bytes that are taken before the reader has read any.
    room: usize,
    has_finished: bool,
    is_reset: bool,
}

/// One end of it. Each call is answered by one of its moods: so many bytes at most; or, at 0, that it would block.
struct Side {
    out: Rc<RefCell<Way>>,
    into: Rc<RefCell<Way>>,
    moods: Vec<usize>,
    calls: u64,
}

impl Side {
    fn mood(&mut self) -> io::Result<usize> {
        // In no order that reads and writes could keep step with.
        self.calls = self.calls.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match self.moods[(self.calls >> 33) as usize % self.moods.len()] {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            most => Ok(most),
        }
    }
}

impl Wire for Side {
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let most = self.mood()?;
        let mut way = self.out.borrow_mut();
        if way.is_reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let most = most.min(way.room - way.bytes.len());
        let taken: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(most).collect();
        way.bytes.extend(&taken);
        if taken.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken.len()) }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.mood()?;
        let mut way = self.into.borrow_mut();
        if way.is_reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let len = most.min(buffer.len()).min(way.bytes.len());
        for (to, byte) in buffer.iter_mut().zip(way.bytes.drain(..len)) {
            *to = byte;
        }
        if len == 0 && !way.has_finished { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(len) }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.borrow_mut().has_finished = true;
        Ok(())
    }
}

/// A desk that keeps what it is told.
#[derive(Default)]
struct Book {
    pipes: BTreeMap<LinkId, Packets>,
    up: Vec<LinkId>,
    packets: Vec<Vec<Bytes>>,
    writable: usize,
    down: Vec<(LinkId, bool)>,
    done: Vec<(LinkId, Moved)>,
    gone: usize,
    closing: usize,
    is_crowded: bool,
    has_room: bool,
    is_full: bool,
}

impl Office for Book {
    type Pipe = ();

    fn up(&mut self, link: LinkId) {
        self.up.push(link);
    }

    fn accept(&mut self, _: SocketAddr, _: GuestId) -> Option<(LinkId, ())> {
        self.pipes.insert(LinkId(2), Packets::default());
        self.has_room.then_some((LinkId(2), ()))
    }

    fn packets(&mut self, _: LinkId, packets: &mut Vec<Vec<Bytes>>) -> bool {
        self.packets.append(packets);
        true
    }

    fn writable(&mut self, _: LinkId) {
        (self.writable, self.is_full) = (self.writable + 1, false);
    }

    fn drain(&mut self, id: LinkId, (): &(), link: &mut Link) -> Result<Standing, SendError> {
        self.pipes.get_mut(&id).expect("it is there").drain(link)
    }

    fn is_closed(&mut self, id: LinkId, (): &()) -> bool {
        self.pipes[&id].is_closed()
    }

    fn closes(&mut self) -> bool {
        self.closing += 1;
        !self.is_crowded
    }

    fn goes(&mut self, _: SocketAddr, _: GuestId) {
        self.gone += 1;
    }

    fn down(&mut self, link: LinkId, was_up: bool, _: Moved) {
        self.down.push((link, was_up));
    }

    fn done(&mut self, link: LinkId, moved: Moved) {
        self.done.push((link, moved));
    }
}

/// A dealer and a router, each with its line, its end of the wire and its desk.
struct Pair {
    clock: Clock,
    ends: [(Line<()>, Side, Book); 2],
    buffer: Vec<u8>,
}

impl Pair {
    fn new(moods: &[usize], room: usize) -> Pair {
        let clock = Clock::start();
        let config = link_config(&MessagingConfig::default(), "b");
        let peer = "127.0.0.1:1".parse().unwrap();
        let ways = [0, 1].map(|_| Rc::new(RefCell::new(Way { room, ..Way::default() })));
        let end =
            |out: usize| Side { out: ways[out].clone(), into: ways[1 - out].clone(), moods: moods.to_vec(), calls: 0 };
        let ours = Line::ours(&clock, peer, (LinkId(1), ()), dealer_config(&config, LinkId(1)));
        let mut guests = crate::messaging::Guests::<()>::default();
        let theirs = Line::theirs(&clock, peer, guests.admit(peer.ip(), 1).0, config);
        let mut book = Book::default();
        book.pipes.insert(LinkId(1), Packets::default());
        let other = Book { has_room: true, ..Book::default() };
        Pair { clock, ends: [(ours, end(0), book), (theirs, end(1), other)], buffer: vec![0; 512] }
    }

    /// One turn of one of them.
    fn turn(&mut self, which: usize) -> Result<Move, End> {
        let (line, wire, book) = &mut self.ends[which];
        line.turn(&self.clock, wire, book, &mut self.buffer)
    }

    /// Turns of both, until it is so.
    fn until(&mut self, is_so: impl Fn(&Pair) -> bool) {
        for _ in 0..1_000_000 {
            if is_so(self) {
                return;
            }
            for which in 0..2 {
                self.turn(which).unwrap();
            }
        }
        panic!("never came about");
    }

    fn opened(moods: &[usize], room: usize) -> Pair {
        let mut pair = Pair::new(moods, room);
        pair.until(|pair| pair.ends.iter().all(|(line, ..)| line.is_up()));
        assert_eq!(pair.ends[0].2.up, [LinkId(1)]);
        pair
    }
}

#[test]
fn packets_pass_whole_and_in_order_however_little_a_socket_takes_and_gives() {
    for moods in [&[1][..], &[0, 1], &[0, 0, 7, 3], &[65_536], &[0, 65_536, 1]] {
        let mut pair = Pair::opened(moods, 4096);
        let payload = |number: u32| Bytes::from(vec![number as u8; (number * 37 % 2_000) as usize]);
        for number in 0..100_u32 {
            let packets = pair.ends[0].2.pipes.get_mut(&LinkId(1)).unwrap();
            packets.push(&number.to_le_bytes(), Some(payload(number)));
        }
        pair.until(|pair| pair.ends[1].2.packets.len() == 100);
        for (number, packet) in (0_u32..).zip(&pair.ends[1].2.packets) {
            assert_eq!(packet[..], [Bytes::copy_from_slice(&u32::to_le_bytes(number)), payload(number)], "{moods:?}");
        }
    }
}

#[test]
fn a_peer_that_does_not_read_fills_the_queue_which_says_when_there_is_room() {
    let mut pair = Pair::opened(&[65_536], 1 << 16);
    let payload = Bytes::from(vec![7; 10_000]);
    let mut pushed = 0;
    // The messenger stops when it is told that no more fits.
    while !pair.ends[0].2.is_full {
        let (.., book) = &mut pair.ends[0];
        let packets = book.pipes.get_mut(&LinkId(1)).unwrap();
        book.is_full = !packets.push(b"head", Some(payload.clone()));
        pushed += 1;
        let waits = pair.turn(0).unwrap();
        assert!(pushed < 1_000, "{waits:?}");
    }
    // Nothing moves, and nobody is to try.
    while pair.turn(0).unwrap() == Move::More {}
    assert!(matches!(pair.turn(0).unwrap(), Move::Wait(_)));
    assert_eq!(pair.ends[0].2.writable, 0);
    pair.until(|pair| pair.ends[1].2.packets.len() == pushed);
    assert_eq!(pair.ends[0].2.writable, 1, "it was told once");
}

#[test]
fn a_long_message_has_been_written_before_there_is_room_again() {
    let mut pair = Pair::opened(&[4_096], 1 << 14);
    let long = 256 * 1024;
    let greeting = pair.ends[0].0.link.stats().bytes_out;
    let fits = pair.ends[0].2.pipes.get_mut(&LinkId(1)).unwrap().push(b"head", Some(Bytes::from(vec![7; long])));
    assert!(!fits);
    pair.until(|pair| pair.ends[0].2.writable > 0);
    let written = pair.ends[0].0.link.stats().bytes_out - greeting;
    assert!(written >= long as u64 / 2, "half of it and more waited to be written: {written} bytes were");
    pair.until(|pair| pair.ends[1].2.packets.len() == 1);
}

#[test]
fn what_was_put_on_a_link_that_is_closed_still_goes_out() {
    let mut pair = Pair::opened(&[0, 100], 4096);
    let packets = pair.ends[0].2.pipes.get_mut(&LinkId(1)).unwrap();
    (0..20_u8).for_each(|number| _ = packets.push(&[number; 100], None));
    packets.close();
    // The other side says something still, which nobody hears. It reads all that was written, and then the end.
    let packets = pair.ends[1].2.pipes.get_mut(&LinkId(2)).unwrap();
    (0..20_u8).for_each(|number| _ = packets.push(&[number; 100], None));
    let end = loop {
        assert_eq!(pair.turn(0).ok().map(|_| ()), Some(()), "it waits for the other side's end");
        if let Err(end) = pair.turn(1) {
            break end;
        }
    };
    assert!(matches!(end, End::Finished), "{end}");
    assert_eq!(pair.ends[1].2.packets.len(), 20);
    pair.ends[1].1.out.borrow_mut().has_finished = true;
    let end = loop {
        if let Err(end) = pair.turn(0) {
            break end;
        }
    };
    assert!(matches!(end, End::Flushed) && pair.ends[0].0.is_finished(), "{end}");
    // Closing now takes nothing along.
    assert!(pair.ends[0].1.into.borrow().bytes.is_empty() && pair.ends[0].2.packets.is_empty());
    let (line, _, book) = &mut pair.ends[0];
    line.end(book);
    line.end(book);
    assert_eq!((book.down.len(), book.done.len()), (0, 1), "told once");
    let (line, _, book) = &mut pair.ends[1];
    line.end(book);
    assert_eq!(book.down, [(LinkId(2), true)]);
}

#[test]
fn a_link_whose_peer_talks_and_never_reads_ends_in_time() {
    let mut pair = Pair::opened(&[65_536], 256);
    let unread_max = Duration::from_millis(100);
    pair.ends[0].0.unread_max = unread_max;
    // As long as nothing is to be written, it may talk as long as it likes.
    let packets = pair.ends[1].2.pipes.get_mut(&LinkId(2)).unwrap();
    (0..100).for_each(|_| _ = packets.push(b"news", None));
    pair.until(|pair| pair.ends[0].2.packets.len() == 100);
    std::thread::sleep(2 * unread_max);
    while pair.turn(0).unwrap() == Move::More {}

    pair.ends[0].2.pipes.get_mut(&LinkId(1)).unwrap().push(&[0; 1_000], None);
    let mut began = pair.clock.now();
    let mut said: usize = 0;
    let end = loop {
        // It reads a little at first, late each time, and then no more.
        if said < 3 && pair.clock.now() >= began + unread_max / 2 {
            pair.ends[0].1.out.borrow_mut().bytes.drain(..100);
            (began, said) = (pair.clock.now(), said + 1);
        }
        // A frame, so that there is always something to read.
        pair.ends[0].1.into.borrow_mut().bytes.extend(b"\x00\x04news");
        match pair.turn(0) {
            Ok(_) => assert!(pair.clock.now() < began + 100 * unread_max, "it never ended"),
            Err(end) => break end,
        }
    };
    assert!(pair.clock.now() >= began + unread_max && said == 3, "it had its time");
    assert!(matches!(end, End::Unread) && !pair.ends[0].0.is_finished(), "{end}");
    let (line, _, book) = &mut pair.ends[0];
    line.end(book);
    assert_eq!(book.down, [(LinkId(1), true)]);
}

#[test]
fn a_closed_link_whose_peer_does_not_read_ends_in_time() {
    let mut pair = Pair::opened(&[65_536], 256);
    let packets = pair.ends[0].2.pipes.get_mut(&LinkId(1)).unwrap();
    packets.push(&[0; 1_000], None);
    packets.close();
    let end = loop {
        match pair.turn(0) {
            Ok(Move::Wait(Some(until))) => {
                let now = pair.clock.now();
                assert!(until <= now + LINGER);
                std::thread::sleep(until - now);
            }
            Ok(moved) => assert_eq!(moved, Move::More),
            Err(end) => break end,
        }
    };
    assert!(matches!(end, End::Unread) && !pair.ends[0].0.is_finished(), "{end}");
}

#[test]
fn a_closed_link_whose_peer_never_finishes_ends_in_time_and_in_order() {
    let mut pair = Pair::opened(&[65_536], 4096);
    let packets = pair.ends[0].2.pipes.get_mut(&LinkId(1)).unwrap();
    packets.push(&[0; 1_000], None);
    packets.close();
    let began = pair.clock.now();
    let end = loop {
        match pair.turn(0) {
            Ok(Move::Wait(until)) => std::thread::sleep(until.expect("it is closed") - pair.clock.now()),
            Ok(Move::More) => {}
            Err(end) => break end,
        }
    };
    assert!(pair.clock.now() >= began + LINGER, "it waited for the peer's answer");
    assert!(matches!(end, End::Flushed) && pair.ends[0].0.is_finished(), "all is written: {end}");
}

#[test]
fn a_closed_link_whose_peer_goes_on_sending_ends_in_time() {
    let mut pair = Pair::opened(&[65_536], 4096);
    let packets = pair.ends[0].2.pipes.get_mut(&LinkId(1)).unwrap();
    packets.push(&[0; 1_000], None);
    packets.close();
    let began = pair.clock.now();
    let end = loop {
        // There is always something to read.
        pair.ends[0].1.into.borrow_mut().bytes.extend([0; 64]);
        match pair.turn(0) {
            Ok(_) => assert!(pair.clock.now() < began + 10 * LINGER, "it never ended"),
            Err(end) => break end,
        }
    };
    assert!(pair.clock.now() >= began + LINGER, "what it wrote might still be read");
    assert!(matches!(end, End::Flushed) && pair.ends[0].0.is_finished(), "all is written: {end}");
}

#[test]
fn a_closed_link_on_which_nothing_was_put_waits_for_nobody() {
    let mut pair = Pair::opened(&[65_536], 4096);
    pair.ends[1].2.pipes.get_mut(&LinkId(2)).unwrap().close();
    let end = pair.turn(1).unwrap_err();
    assert!(matches!(end, End::Flushed) && pair.ends[1].0.is_finished(), "{end}");
    let (line, _, book) = &mut pair.ends[1];
    line.end(book);
    assert_eq!((book.closing, book.down.len(), book.done.len()), (1, 0, 1));
}

#[test]
fn a_closed_link_for_which_there_is_no_room_to_wait_writes_what_goes_at_once() {
    // All that the socket takes now, or a part of it.
    for (room, is_all) in [(4096, true), (512, false)] {
        let mut pair = Pair::opened(&[65_536], room);
        let (.., book) = &mut pair.ends[0];
        book.is_crowded = true;
        let packets = book.pipes.get_mut(&LinkId(1)).unwrap();
        packets.push(&[7; 1_000], None);
        packets.close();
        let end = pair.turn(0).unwrap_err();
        assert_eq!(matches!(end, End::Flushed), is_all, "{end}");
        assert_eq!(matches!(end, End::Unread), !is_all, "{end}");
        assert_eq!(pair.ends[0].0.is_finished(), is_all);
        let (line, wire, book) = &mut pair.ends[0];
        assert_eq!(wire.out.borrow().bytes.len(), if is_all { 1_000 + 9 } else { room }, "with the frame's header");
        line.end(book);
        assert_eq!((book.closing, book.down.len(), book.done.len()), (1, 0, 1));
    }
}

#[test]
fn a_reset_is_told_as_such_once() {
    let mut pair = Pair::opened(&[100], 4096);
    pair.ends[0].1.into.borrow_mut().is_reset = true;
    let end = pair.turn(0).unwrap_err();
    assert!(matches!(&end, End::Io(error) if error.kind() == io::ErrorKind::ConnectionReset), "{end}");
    let (line, _, book) = &mut pair.ends[0];
    line.end(book);
    line.end(book);
    assert!(!line.is_finished());
    assert_eq!(book.down, [(LinkId(1), true)]);
}

#[test]
fn a_guest_for_whom_there_is_no_room_is_refused() {
    let mut pair = Pair::new(&[100], 4096);
    pair.ends[1].2.has_room = false;
    let end = loop {
        _ = pair.turn(0).unwrap();
        if let Err(end) = pair.turn(1) {
            break end;
        }
    };
    assert!(matches!(end, End::Refused), "{end}");
    let (line, _, book) = &mut pair.ends[1];
    line.end(book);
    assert_eq!((book.gone, book.down.len()), (0, 0), "the desk has dealt with it");
}
