//! Streams cut into packets again, whatever pieces they come in.

use swim_proto::wire::*;

use super::samples::{CLUSTER, Draw, KINDS, packet};

/// A stream of frames, and the packets in it.
fn stream(draw: &mut Draw, frames: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut bytes = Vec::new();
    let mut packets = Vec::new();
    for _ in 0..frames {
        let messages: Vec<_> = (0..draw.below(5)).map(|_| KINDS[draw.below(KINDS.len())]).collect();
        let messages: Vec<_> = messages.into_iter().map(|kind| draw.message(kind)).collect();
        let mut frame = PacketWriter::frame(&mut bytes, CLUSTER, FRAME_MAX);
        assert!(messages.iter().all(|message| frame.push(message)));
        frame.finish();
        packets.push(packet(&messages));
    }
    (bytes, packets)
}

/// All packets that are whole.
fn drain(reader: &mut FrameReader, packets: &mut Vec<Vec<u8>>) {
    while let Some(packet) = reader.next().expect("frames of this protocol") {
        packets.push(packet.to_vec());
    }
}

#[test]
fn packets_come_out_whatever_pieces_the_stream_comes_in() {
    let mut draw = Draw::new(40);
    for pieces_max in [1, 2, 7, 100, 5_000, 100_000] {
        let (bytes, expected) = stream(&mut draw, 40);
        let mut reader = FrameReader::new();
        let mut packets = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(1 + draw.below(pieces_max)));
            reader.push(piece);
            drain(&mut reader, &mut packets);
            rest = after;
        }
        assert!(reader.is_empty());
        assert_eq!(packets, expected);
    }
}

#[test]
fn a_reader_that_is_not_drained_at_once_loses_nothing() {
    let mut draw = Draw::new(41);
    let (bytes, expected) = stream(&mut draw, 200);
    let mut reader = FrameReader::new();
    let mut packets = Vec::new();
    for piece in bytes.chunks(700) {
        reader.push(piece);
        if draw.below(3) > 0 {
            packets.extend(reader.next().unwrap().map(<[u8]>::to_vec));
        }
    }
    drain(&mut reader, &mut packets);
    assert_eq!(packets, expected);
}

#[test]
fn a_frame_length_out_of_bounds_is_an_error_for_ever() {
    for len in [0, 1, HEADER_LEN as u32 - 1, FRAME_MAX as u32 + 1, u32::MAX] {
        let mut reader = FrameReader::new();
        reader.push(&len.to_le_bytes()[..3]);
        assert_eq!(reader.next(), Ok(None));
        reader.push(&len.to_le_bytes()[3..]);
        for _ in 0..3 {
            assert_eq!(reader.next(), Err(FrameError { len }));
            reader.push(&[0; 100]);
        }
    }
}

#[test]
fn a_frame_of_the_least_and_one_of_the_greatest_length_come_out() {
    for len in [HEADER_LEN, FRAME_MAX] {
        let mut reader = FrameReader::new();
        reader.push(&(len as u32).to_le_bytes());
        reader.push(&vec![7; len - 1]);
        assert_eq!(reader.next(), Ok(None));
        reader.push(&[7]);
        assert_eq!(reader.next(), Ok(Some(&vec![7; len][..])));
        assert_eq!(reader.next(), Ok(None));
    }
}

#[test]
fn a_declared_length_costs_no_memory() {
    let mut reader = FrameReader::new();
    assert_eq!(reader.capacity(), 0);
    reader.push(&(FRAME_MAX as u32).to_le_bytes());
    reader.push(&[0; 60]);
    assert_eq!(reader.next(), Ok(None));
    assert!(reader.capacity() <= 128, "{}", reader.capacity());
}

#[test]
fn a_drained_reader_gives_its_memory_back() {
    let mut draw = Draw::new(42);
    let (bytes, expected) = stream(&mut draw, 100);
    let mut reader = FrameReader::new();
    let mut packets = Vec::new();
    reader.push(&bytes);
    drain(&mut reader, &mut packets);
    assert_eq!(packets, expected);
    assert_eq!((reader.is_empty(), reader.capacity()), (true, 0));

    reader.push(&bytes);
    reader.push(&bytes[..3]);
    drain(&mut reader, &mut packets);
    assert!(!reader.is_empty());
    assert!(reader.capacity() <= 16, "{}", reader.capacity());
}

#[test]
fn a_long_stream_does_not_pile_up() {
    let mut draw = Draw::new(43);
    let (bytes, expected) = stream(&mut draw, 1_000);
    let mut reader = FrameReader::new();
    let mut packets = 0;
    for piece in bytes.chunks(1_500) {
        reader.push(piece);
        while reader.next().unwrap().is_some() {
            packets += 1;
        }
        assert!(reader.capacity() <= 16_000, "{}", reader.capacity());
    }
    assert_eq!(packets, expected.len());
}
