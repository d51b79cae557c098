//! Packets there and back: what is written is what is read, and what does not fit is not written.

use swim_proto::wire::*;
use swim_proto::*;

use super::samples::{CLUSTER, Draw, KINDS, decoded, fix_checksum, packet, packet_of};

#[test]
fn messages_come_out_as_they_went_in() {
    let mut draw = Draw::new(3);
    for _ in 0..2_000 {
        let messages: Vec<_> = (0..draw.below(12)).map(|_| KINDS[draw.below(KINDS.len())]).collect();
        let messages: Vec<_> = messages.into_iter().map(|kind| draw.message(kind)).collect();
        assert_eq!(decoded(&packet(&messages)), Ok(messages));
    }
}

#[test]
fn a_profile_comes_out_as_it_went_in() {
    let mut draw = Draw::new(4);
    for _ in 0..5_000 {
        let profile = draw.profile();
        let mut bytes = vec![7];
        profile.encode_into(&mut bytes);
        assert!(bytes.len() - 1 <= PROFILE_MAX);
        let bytes = ProfileBytes::new(&bytes[1..]).expect("a valid profile");
        assert_eq!(bytes.parse(), profile);
        assert_eq!(ProfileBytes::new(&[bytes.as_bytes(), &[0]].concat()), None);
    }
}

#[test]
fn the_longest_profile_is_as_long_as_promised() {
    let address = "[2001:db8::1]:65535".parse().unwrap();
    let name = "n".repeat(NAME_MAX);
    let metadata = [0; METADATA_MAX];
    let mut bytes = Vec::new();
    Profile { address, endpoint: Some(address), versions: VERSIONS, name: &name, metadata: &metadata }
        .encode_into(&mut bytes);
    assert_eq!(bytes.len(), PROFILE_MAX);
}

#[test]
fn a_packet_of_no_messages_is_a_packet() {
    assert_eq!(packet(&[]), packet_of(&[]));
    assert_eq!(decoded(&packet(&[])), Ok(vec![]));
}

#[test]
fn a_message_of_an_unknown_kind_is_passed_over() {
    let mut draw = Draw::new(5);
    let [ping, alive] = [1, 5].map(|kind| draw.message(kind));
    for kind in (0..=u8::MAX).filter(|kind| !KINDS.contains(kind)) {
        for len in [0, 1, 127, 128, 16_383, 16_384, 60_000] {
            let unknown = packet_of(&[(kind, draw.bytes(len))]);
            assert_eq!(decoded(&unknown), Ok(vec![]));
            let mut between = packet(&[ping]);
            between.extend_from_slice(&unknown[HEADER_LEN..]);
            between.extend_from_slice(&packet(&[alive])[HEADER_LEN..]);
            fix_checksum(&mut between);
            assert_eq!(decoded(&between), Ok(vec![ping, alive]));
        }
    }
}

#[test]
fn one_malformed_message_refuses_the_whole_packet() {
    let mut draw = Draw::new(6);
    let ping = draw.message(1);
    let mut bytes = packet(&[ping, ping]);
    bytes.extend([4, 3, 1, 2, 3]);
    fix_checksum(&mut bytes);
    assert_eq!(decoded(&bytes), Err(DatagramError::Malformed { kind: 4 }));
}

#[test]
fn a_header_that_is_not_ours_is_refused_for_its_first_fault() {
    let refused = |at: usize, byte: u8| {
        let mut bytes = packet(&[]);
        bytes[at] = byte;
        fix_checksum(&mut bytes);
        decoded(&bytes).unwrap_err()
    };
    assert_eq!(refused(0, 0x5b), DatagramError::Magic);
    assert_eq!(refused(1, 0), DatagramError::Version(0));
    assert_eq!(refused(1, VERSIONS.max + 1), DatagramError::Version(VERSIONS.max + 1));
    assert_eq!(refused(2, FLAG_SEALED), DatagramError::Flags(FLAG_SEALED));
    assert_eq!(refused(2, 0x80), DatagramError::Flags(0x80));
    for at in 3..7 {
        assert_eq!(refused(at, 0), DatagramError::Cluster);
    }
    let mut bytes = packet(&[]);
    bytes[7] ^= 1;
    assert_eq!(decoded(&bytes), Err(DatagramError::Checksum));
    bytes[..7].fill(0xff);
    assert_eq!(decoded(&bytes), Err(DatagramError::Magic));
}

#[test]
fn a_packet_shorter_than_a_header_or_longer_than_allowed_is_refused() {
    let bytes = packet(&[Draw::new(7).message(1)]);
    for len in 0..HEADER_LEN {
        assert_eq!(decoded(&bytes[..len]), Err(DatagramError::Length { len, max: FRAME_MAX }));
    }
    assert!(decode(&bytes, CLUSTER, bytes.len()).is_ok());
    let [len, max] = [bytes.len(), bytes.len() - 1];
    assert_eq!(decode(&bytes, CLUSTER, max).unwrap_err(), DatagramError::Length { len, max });
}

#[test]
fn a_message_is_written_whole_or_not_at_all() {
    let mut draw = Draw::new(8);
    for message in draw.one_of_each() {
        let whole = packet(&[message]);
        for len_max in [HEADER_LEN, whole.len() - 1, whole.len(), whole.len() + 1] {
            let mut buf = b"before".to_vec();
            let mut writer = PacketWriter::datagram(&mut buf, CLUSTER, len_max);
            assert_eq!((writer.len(), writer.remaining(), writer.is_empty()), (HEADER_LEN, len_max - HEADER_LEN, true));
            let fits = len_max >= whole.len();
            assert_eq!(writer.push(&message), fits);
            assert_eq!(writer.is_empty(), !fits);
            assert_eq!(writer.remaining(), len_max - writer.len());
            let written = if fits { whole.clone() } else { packet(&[]) };
            assert_eq!(writer.finish(), written.len());
            assert_eq!(buf, [&b"before"[..], &written].concat());
        }
    }
}

#[test]
fn a_packet_that_is_full_for_one_message_still_takes_a_shorter_one() {
    let mut draw = Draw::new(9);
    let [long, short] = [19, 4].map(|kind| draw.message(kind));
    let mut buf = Vec::new();
    let mut writer = PacketWriter::datagram(&mut buf, CLUSTER, 1_400);
    assert!(!writer.push(&long));
    assert!(writer.push(&short));
    writer.finish();
    assert_eq!(decoded(&buf), Ok(vec![short]));
}

#[test]
fn a_cancelled_packet_leaves_the_buffer_as_it_was() {
    let message = Draw::new(10).message(5);
    for framed in [false, true] {
        let mut buf = b"before".to_vec();
        let mut writer = if framed {
            PacketWriter::frame(&mut buf, CLUSTER, FRAME_MAX)
        } else {
            PacketWriter::datagram(&mut buf, CLUSTER, FRAME_MAX)
        };
        assert!(writer.push(&message));
        writer.cancel();
        assert_eq!(buf, b"before");
    }
}

#[test]
fn a_frame_is_a_packet_after_its_length() {
    let messages = Draw::new(11).one_of_each();
    let mut buf = b"before".to_vec();
    let mut writer = PacketWriter::frame(&mut buf, CLUSTER, FRAME_MAX);
    assert!(messages.iter().all(|message| writer.push(message)));
    let len = writer.finish();
    let packet = packet(&messages);
    assert_eq!(len, packet.len());
    assert_eq!(buf, [&b"before"[..], &(len as u32).to_le_bytes(), &packet].concat());
}

#[test]
fn a_frame_is_never_longer_than_its_reader_takes() {
    let message = Draw::new(12).message(19);
    let mut buf = Vec::new();
    let mut writer = PacketWriter::frame(&mut buf, CLUSTER, usize::MAX);
    let pushed = (0..100).take_while(|_| writer.push(&message)).count();
    assert_eq!(pushed, 31);
    assert!(writer.finish() <= FRAME_MAX);
}
