//! The bounds of what a message may say, from both sides.

use std::net::SocketAddr;

use swim_proto::wire::*;
use swim_proto::*;

use super::samples::{decoded, packet_of, varint};

fn is_taken(kind: u8, body: &[u8]) -> bool {
    match decoded(&packet_of(&[(kind, body)])) {
        Ok(messages) => messages.len() == 1,
        Err(error) => {
            assert_eq!(error, DatagramError::Malformed { kind });
            false
        }
    }
}

fn incarnation(life: u64, refutation: u64) -> Vec<u8> {
    [varint(life), varint(refutation)].concat()
}

/// An address as any sender could write it.
fn address(text: &str) -> Vec<u8> {
    match text.parse().expect("an address") {
        SocketAddr::V4(v4) => [&[0][..], &v4.ip().octets(), &varint(v4.port().into())].concat(),
        SocketAddr::V6(v6) => [&[1][..], &v6.ip().octets(), &varint(v6.port().into())].concat(),
    }
}

/// A profile as any sender could write it.
fn profile(address: &[u8], endpoint: Option<&[u8]>, versions: [u8; 2], name: &[u8], metadata_len: usize) -> Vec<u8> {
    let endpoint = endpoint.map_or(vec![0], |endpoint| [&[1], endpoint].concat());
    let counts = [name.len(), metadata_len].map(|len| varint(len as u64));
    [address, &endpoint, &versions, &counts[0], name, &counts[1], &vec![9; metadata_len]].concat()
}

fn alive(profile: &[u8]) -> Vec<u8> {
    [&[3; 8][..], &incarnation(1, 0), profile].concat()
}

fn is_profile_taken(profile: &[u8]) -> bool {
    let taken = is_taken(5, &alive(profile));
    assert_eq!(ProfileBytes::new(profile).is_some(), taken);
    taken
}

#[test]
fn an_incarnation_above_its_kinds_ceiling_refuses_the_packet() {
    let home = profile(&address("10.0.0.1:1"), None, [1, 1], b"a", 0);
    // Kind, what stands before and after the incarnation, and how long the greatest life is.
    let kinds: [(u8, &[u8], &[u8], u32); 8] = [
        (2, &[0; 4], &[], 63),
        (5, &[3; 8], &home, 63),
        (6, &[3; 8], &[4; 8], 62),
        (7, &[3; 8], &[4; 8], 62),
        (8, &[3; 8], &[], 62),
        (10, &[3; 8], &[], 62),
        (21, &[3; 8], &[], 63),
        (23, &[3; 8], &[1, 0], 62),
    ];
    for (kind, before, after, bits) in kinds {
        let taken = |life, refutation| is_taken(kind, &[before, &incarnation(life, refutation), after].concat());
        let refutation_max = u64::from(u32::MAX) - 1;
        assert!(taken((1 << bits) - 1, refutation_max), "kind {kind}");
        assert!(!taken(1 << bits, 0), "kind {kind}");
        assert!(!taken(u64::MAX, 0), "kind {kind}");
        assert!(!taken((1 << bits) - 1, refutation_max + 1), "kind {kind}");
        assert!(!taken(0, refutation_max + 1), "kind {kind}");
        assert!(!taken(0, 1 << 32), "kind {kind}");
        assert!(!taken(0, u64::MAX), "kind {kind}");
    }
}

#[test]
fn a_broadcast_has_a_life_below_its_ceiling_and_a_number_other_than_the_first_and_the_last_there_is() {
    // Kind, and what follows the number.
    for (kind, after) in [(11, &[0][..]), (12, &[0]), (27, &[])] {
        let taken = |life, sequence| is_taken(kind, &[&[3; 8], &varint(life)[..], &varint(sequence), after].concat());
        assert!(taken(0, 1) && taken((1 << 63) - 1, u64::MAX - 1), "kind {kind}");
        assert!(!taken(1 << 63, 1) && !taken(u64::MAX, 1), "kind {kind}");
        assert!(!taken(0, 0) && !taken(0, u64::MAX), "kind {kind}");
    }
}

#[test]
fn a_payload_is_of_at_most_60_kibibytes_and_ends_the_message() {
    let broadcast = [&[3; 8][..], &[1, 1]].concat();
    let message = [[3; 8], [4; 8]].concat();
    for (kind, before) in [(11, broadcast), (13, message)] {
        for (len, taken) in [(0, true), (1, true), (128, true), (PAYLOAD_MAX, true), (PAYLOAD_MAX + 1, false)] {
            let body = [&before[..], &varint(len as u64), &vec![7; len]].concat();
            assert_eq!(is_taken(kind, &body), taken, "kind {kind}, {len} bytes");
            assert!(!is_taken(kind, &[&body[..], &[0]].concat()), "kind {kind}, {len} bytes and one more");
            assert!(!is_taken(kind, &body[..body.len() - 1]) || len == 0, "kind {kind}, one of {len} bytes missing");
        }
    }
    for (len, taken) in [(0, true), (PAYLOAD_MAX as u64, true), (PAYLOAD_MAX as u64 + 1, false), (1 << 32, false)] {
        assert_eq!(is_taken(12, &[&[3; 8][..], &[1, 1], &varint(len)].concat()), taken, "{len} bytes announced");
    }
}

#[test]
fn nobody_writes_to_itself() {
    for (target, taken) in [([4; 8], true), ([3; 8], false)] {
        assert_eq!(is_taken(13, &[&[3; 8][..], &target, &[0]].concat()), taken);
    }
}

#[test]
fn the_longest_payload_fits_a_frame_whatever_else_the_message_says() {
    let payload = [7; PAYLOAD_MAX];
    let (origin, target) = (NodeId::from_u64(1), NodeId::from_u64(2));
    let broadcast = Broadcast { origin, life: Incarnation::MAX.life, sequence: SEQUENCE_MAX, payload: &payload };
    let message = UserMessage { source: origin, target, payload: &payload };
    for message in [Message::Broadcast(broadcast), Message::UserMessage(message)] {
        let mut buf = Vec::new();
        let mut frame = PacketWriter::frame(&mut buf, super::samples::CLUSTER, FRAME_MAX);
        assert!(frame.push(&message));
        frame.finish();
        let mut reader = FrameReader::new();
        reader.push(&buf);
        assert_eq!(decoded(reader.next().unwrap().expect("a whole frame")), Ok(vec![message]));
    }
}

#[test]
fn nobody_accuses_itself() {
    for (id, accuser, taken) in [([3; 8], [4; 8], true), ([3; 8], [3; 8], false)] {
        let accusation = [&id[..], &incarnation(1, 0), &accuser].concat();
        assert_eq!(is_taken(6, &accusation), taken);
        assert_eq!(is_taken(7, &accusation), taken);
        assert_eq!(is_taken(23, &[&id[..], &incarnation(1, 0), &[0], &accuser, &[60]].concat()), taken);
    }
}

#[test]
fn an_address_that_is_not_one_hosts_refuses_the_packet_wherever_it_is() {
    let good = ["127.0.0.1:1", "10.0.0.1:127", "223.255.255.255:128", "240.0.0.1:16383", "255.255.255.254:16384"];
    let good6 = ["[::1]:65535", "[fe80::1]:5000", "[2001:db8::1]:5000", "[::2]:5000", "[::fffe:0:1]:5000"];
    let bad = ["127.0.0.1:0", "0.0.0.0:1", "224.0.0.1:1", "239.255.255.255:1", "255.255.255.255:1"];
    let bad6 = ["[::1]:0", "[::]:1", "[ff02::1]:1", "[ffff::]:1", "[::ffff:10.0.0.1]:1", "[::ffff:0.0.0.0]:1"];
    let home = address("10.0.0.1:7000");
    for (texts, taken) in [(&good[..], true), (&good6, true), (&bad, false), (&bad6, false)] {
        for text in texts {
            let address = address(text);
            assert_eq!(is_unicast(text.parse().unwrap()), taken, "{text}");
            assert_eq!(AddressFault::of(text.parse().unwrap()).is_none(), taken, "{text}");
            assert_eq!(is_profile_taken(&profile(&address, None, [1, 1], b"a", 0)), taken, "{text}");
            assert_eq!(is_profile_taken(&profile(&home, Some(&address), [1, 1], b"a", 0)), taken, "{text}");
            assert_eq!(is_taken(3, &[&[0; 20][..], &address, &[1]].concat()), taken, "{text}");
            assert_eq!(is_taken(25, &address), taken, "{text}");
        }
    }
}

#[test]
fn an_address_of_no_known_family_or_with_a_port_of_more_than_sixteen_bits_refuses_the_packet() {
    let mut other = address("10.0.0.1:7000");
    other[0] = 2;
    let mut beyond = address("10.0.0.1:65535");
    beyond[7] += 1;
    for address in [other, beyond] {
        assert!(!is_profile_taken(&profile(&address, None, [1, 1], b"a", 0)));
        assert!(!is_taken(25, &address));
    }
}

#[test]
fn what_is_wrong_with_an_address_is_told() {
    let faults = [
        ("10.0.0.1:0", AddressFault::Port),
        ("0.0.0.0:1", AddressFault::Unspecified),
        ("[::]:1", AddressFault::Unspecified),
        ("224.0.0.1:1", AddressFault::Multicast),
        ("[ff02::1]:1", AddressFault::Multicast),
        ("255.255.255.255:1", AddressFault::Broadcast),
        ("[::ffff:10.0.0.1]:1", AddressFault::Mapped),
    ];
    for (text, fault) in faults {
        assert_eq!(AddressFault::of(text.parse().unwrap()), Some(fault), "{text}");
    }
}

#[test]
fn an_address_with_a_scope_or_a_flow_label_cannot_be_told_to_others() {
    for (flow, scope, told) in [(0, 0, true), (0, 2, false), (1, 0, false)] {
        let address = std::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 5000, flow, scope);
        assert_eq!(is_unicast(address.into()), told);
        assert_eq!(AddressFault::of(address.into()), (!told).then_some(AddressFault::Scoped));
    }
}

#[test]
fn a_name_is_of_1_to_255_bytes() {
    let home = address("10.0.0.1:7000");
    for (len, taken) in [(0, false), (1, true), (255, true), (256, false), (300, false)] {
        assert_eq!(is_profile_taken(&profile(&home, None, [1, 1], &vec![b'n'; len], 0)), taken, "{len}");
    }
}

#[test]
fn a_name_is_utf_8() {
    let home = address("10.0.0.1:7000");
    for len in 1..40 {
        for at in 0..len {
            let mut name = vec![b'n'; len];
            assert!(is_profile_taken(&profile(&home, None, [1, 1], &name, 0)));
            name[at] = 0xc3; // begins a character of two bytes
            assert!(!is_profile_taken(&profile(&home, None, [1, 1], &name, 0)), "{at} of {len}");
            if at + 1 < len {
                name[at + 1] = 0xa9;
                assert!(is_profile_taken(&profile(&home, None, [1, 1], &name, 0)), "{at} of {len}");
            }
        }
    }
}

#[test]
fn metadata_is_of_at_most_512_bytes() {
    let home = address("10.0.0.1:7000");
    for (len, taken) in [(0, true), (127, true), (128, true), (512, true), (513, false), (600, false)] {
        assert_eq!(is_profile_taken(&profile(&home, None, [1, 1], b"a", len)), taken, "{len}");
    }
}

#[test]
fn a_count_beyond_what_follows_refuses_the_packet() {
    let home = profile(&address("10.0.0.1:7000"), None, [1, 1], b"", 0);
    let head = &home[..home.len() - 2];
    for name_len in [2, 255, u64::from(u32::MAX), u64::MAX] {
        assert!(!is_profile_taken(&[head, &varint(name_len), b"a", &[0]].concat()));
        assert!(!is_profile_taken(&[head, &[1], b"a", &varint(name_len)].concat()));
    }
}

#[test]
fn versions_are_a_range_from_1_up() {
    let home = address("10.0.0.1:7000");
    let ranges =
        [([1, 1], true), ([1, 255], true), ([255, 255], true), ([0, 1], false), ([0, 0], false), ([2, 1], false)];
    for (versions, taken) in ranges {
        assert_eq!(is_profile_taken(&profile(&home, None, versions, b"a", 0)), taken, "{versions:?}");
    }
}

#[test]
fn an_endpoint_is_there_or_not() {
    let home = profile(&address("10.0.0.1:7000"), None, [1, 1], b"a", 0);
    let at = address("10.0.0.1:7000").len();
    for (byte, taken) in [(0, true), (1, false), (2, false), (0x80, false)] {
        let mut profile = home.clone();
        profile[at] = byte;
        assert_eq!(is_profile_taken(&profile), taken, "{byte}");
    }
}

#[test]
fn a_grave_is_of_one_of_two_kinds() {
    let stone = |grave: &[u8]| [&[3; 8][..], &incarnation(1, 0), grave, &[60]].concat();
    assert!(is_taken(23, &stone(&[1])));
    assert!(is_taken(23, &stone(&[0, 4, 4, 4, 4, 4, 4, 4, 4])));
    assert!(!is_taken(23, &stone(&[2])));
    assert!(!is_taken(23, &stone(&[0])));
}

#[test]
fn digests_have_exactly_their_length() {
    for (kind, len) in [(19, 2048), (20, 32)] {
        assert!(is_taken(kind, &vec![1; len]));
        assert!(!is_taken(kind, &vec![1; len - 1]));
        assert!(!is_taken(kind, &vec![1; len + 1]));
        assert!(!is_taken(kind, &[]));
    }
}
