//! One value, one encoding.

use swim_proto::DatagramError;
use swim_proto::wire::*;

use super::samples::{Draw, KINDS, body, decoded, fix_checksum, packet, packet_of, varint};

/// Part of a body written by hand.
#[derive(Clone)]
enum Part {
    Raw(&'static [u8]),
    Varint(u64),
}

/// A body of each kind that has varints.
fn bodies_with_varints() -> [(u8, Vec<Part>); 14] {
    use Part::{Raw, Varint};
    let id = || Raw(&[3; 8]);
    let accuser = || Raw(&[4; 8]);
    let v4 = || Raw(&[0, 10, 0, 0, 1]);
    let v6 = || Raw(&[1, 0x20, 1, 13, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let (life, refutation) = (|| Varint(1_700_000_000_000), || Varint(2));
    [
        (2, vec![Raw(&[9; 4]), life(), refutation()]),
        (3, vec![Raw(&[9; 4]), id(), accuser(), v4(), Varint(7946), Varint(300)]),
        (
            5,
            vec![
                id(),
                life(),
                refutation(),
                v4(),
                Varint(1),
                Raw(&[1]),
                v6(),
                Varint(65_535),
                Raw(&[1, 1]),
                Varint(2),
                Raw(b"ab"),
                Varint(1),
                Raw(b"m"),
            ],
        ),
        (5, vec![id(), Varint(0), Varint(0), v6(), Varint(200), Raw(&[0, 1, 1]), Varint(1), Raw(b"a"), Varint(0)]),
        (6, vec![id(), life(), refutation(), accuser()]),
        (7, vec![id(), life(), refutation(), accuser()]),
        (8, vec![id(), life(), refutation()]),
        (10, vec![id(), life(), refutation()]),
        (21, vec![id(), life(), refutation()]),
        (23, vec![id(), life(), refutation(), Varint(0), accuser(), Varint(60)]),
        (23, vec![id(), life(), refutation(), Varint(1), Varint(u32::MAX as u64)]),
        (24, vec![Varint(0)]),
        (25, vec![v6(), Varint(5000)]),
        (26, vec![Varint(1000)]),
    ]
}

#[test]
fn a_varint_with_needless_bytes_refuses_the_packet() {
    for (kind, parts) in bodies_with_varints() {
        for padded in 0..parts.len() {
            for padding in 0..12 {
                let mut body = Vec::new();
                for (i, part) in parts.iter().enumerate() {
                    match part {
                        Part::Raw(bytes) => body.extend_from_slice(bytes),
                        Part::Varint(value) => body.extend(varint(*value)),
                    }
                    if i == padded && padding > 0 && matches!(part, Part::Varint(_)) {
                        *body.last_mut().unwrap() |= 0x80;
                        body.extend(std::iter::repeat_n(0x80, padding - 1));
                        body.push(0);
                    }
                }
                let canonical = padding == 0 || matches!(parts[padded], Part::Raw(_));
                let decoded = decoded(&packet_of(&[(kind, &body)])).map(|messages| messages.len());
                let expected = if canonical { Ok(1) } else { Err(DatagramError::Malformed { kind }) };
                assert_eq!(decoded, expected, "kind {kind}, part {padded}: {body:02x?}");
            }
        }
    }
}

#[test]
fn no_message_has_a_second_encoding_one_byte_longer() {
    let mut draw = Draw::new(20);
    for message in (0..20).flat_map(|_| draw.one_of_each()).collect::<Vec<_>>() {
        let body = body(&message);
        for at in 0..body.len().min(300) {
            let mut longer = body.clone();
            longer.splice(at..=at, [body[at] | 0x80, body[at] >> 7]);
            assert_ne!(decoded(&packet_of(&[(message.kind(), &longer)])), Ok(vec![message]));
        }
    }
}

#[test]
fn trailing_bytes_refuse_the_packet() {
    let mut draw = Draw::new(21);
    for kind in KINDS {
        for byte in [0, 1, 0x80, 0xff] {
            let mut longer = body(&draw.message(kind));
            longer.push(byte);
            assert_eq!(decoded(&packet_of(&[(kind, &longer)])), Err(DatagramError::Malformed { kind }));
        }
    }
}

#[test]
fn a_message_length_with_a_needless_byte_refuses_the_packet() {
    let mut bytes = packet(&[Draw::new(22).message(4)]);
    assert_eq!(bytes[HEADER_LEN + 1], 4);
    bytes.splice(HEADER_LEN + 1..=HEADER_LEN + 1, [0x84, 0]);
    fix_checksum(&mut bytes);
    assert_eq!(decoded(&bytes), Err(DatagramError::Malformed { kind: 0 }));
}

#[test]
fn a_message_length_of_more_than_sixteen_bits_refuses_the_packet() {
    let mut bytes = packet_of(&[]);
    bytes.extend([200, 0x80, 0x80, 0x04]);
    bytes.resize(HEADER_LEN + 4 + (1 << 16), 0);
    fix_checksum(&mut bytes);
    let refused = decode(&bytes, super::samples::CLUSTER, usize::MAX).unwrap_err();
    assert_eq!(refused, DatagramError::Malformed { kind: 0 });
}

#[test]
fn equal_profiles_have_equal_bytes_and_others_do_not() {
    let mut draw = Draw::new(23);
    let profiles: Vec<_> = (0..500).map(|_| draw.profile_bytes()).collect();
    for a in &profiles {
        for b in &profiles {
            assert_eq!(a.as_bytes() == b.as_bytes(), a.parse() == b.parse());
        }
    }
}
