//! Packets that are damaged, and packets that are damaged and then given a right checksum.

use swim_proto::DatagramError;
use swim_proto::wire::*;

use super::samples::{Draw, KINDS, decoded, fix_checksum, packet, packet_of, split};

/// Packets of all kinds, a few of them in each.
fn packets() -> Vec<Vec<u8>> {
    let mut draw = Draw::new(30);
    let mut packets: Vec<_> = draw.one_of_each().chunks(4).map(packet).collect();
    packets.extend((0..12).map(|_| packet(&[1, 5, 6, 5].map(|kind| draw.message(kind)))));
    packets
}

/// A packet that is taken is, but for messages of unknown kinds, the one encoding of what it says.
fn is_refused_or_says_one_thing(bytes: &[u8]) -> bool {
    let Ok(messages) = decoded(bytes) else { return true };
    let known: Vec<_> = split(&bytes[HEADER_LEN..]).into_iter().filter(|(kind, _)| KINDS.contains(kind)).collect();
    packet(&messages) == packet_of(&known)
}

#[test]
fn any_flipped_bit_is_noticed() {
    for mut bytes in packets() {
        for bit in 0..8 * bytes.len() {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(decoded(&bytes).is_err(), "bit {bit} of {bytes:02x?}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn a_flipped_bit_under_a_right_checksum_makes_another_packet_or_none() {
    for packet in packets() {
        for bit in 0..8 * packet.len() {
            let mut bytes = packet.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fix_checksum(&mut bytes);
            assert!(is_refused_or_says_one_thing(&bytes), "bit {bit} of {bytes:02x?}");
        }
    }
}

#[test]
fn a_packet_cut_short_under_a_right_checksum_is_some_of_its_messages_or_none() {
    for packet in packets() {
        let whole = decoded(&packet).unwrap();
        for len in 0..packet.len() {
            let mut bytes = packet[..len].to_vec();
            fix_checksum(&mut bytes);
            match decoded(&bytes) {
                Ok(messages) => assert!(whole.starts_with(&messages)),
                Err(DatagramError::Length { .. }) => assert!(len < HEADER_LEN),
                Err(error) => assert!(matches!(error, DatagramError::Malformed { .. })),
            }
            assert!(is_refused_or_says_one_thing(&bytes));
        }
    }
}

#[test]
fn noise_under_a_right_header_never_panics() {
    let mut draw = Draw::new(31);
    for _ in 0..100_000 {
        let len = draw.below(64);
        let mut bytes = [&packet_of(&[])[..], draw.bytes(len)].concat();
        // Known kinds and plausible lengths get further.
        if let [kind, len, ..] = &mut bytes[HEADER_LEN..] {
            *kind = KINDS[draw.below(KINDS.len())];
            *len %= 40;
        }
        fix_checksum(&mut bytes);
        assert!(is_refused_or_says_one_thing(&bytes), "{bytes:02x?}");
    }
}
