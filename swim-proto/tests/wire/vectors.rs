//! The examples of `docs/wire-format.md`, read from that page: each is decoded, and encoded again.

use std::collections::BTreeSet;

use swim_proto::wire::*;
use swim_proto::*;

use super::samples::{Draw, KINDS, body, split};

const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/wire-format.md"));

/// An example: what it is said to be, and its bytes.
struct Example {
    says: String,
    bytes: Vec<u8>,
}

/// The examples in code blocks of this kind.
fn examples(fence: &str) -> Vec<Example> {
    let opening = format!("```{fence}\n");
    let examples: Vec<_> =
        PAGE.split(&opening).skip(1).map(|rest| example(rest.split("```").next().unwrap())).collect();
    assert!(!examples.is_empty(), "no examples of {fence}");
    examples
}

/// Lines of text, then lines of hex with remarks.
fn example(block: &str) -> Example {
    let (hex, says): (Vec<&str>, Vec<&str>) = block.lines().partition(|line| line.contains(';'));
    let hex = hex.iter().flat_map(|line| line.split(';').next().unwrap().split_whitespace());
    let says = says.iter().flat_map(|line| line.split_whitespace()).collect::<Vec<_>>().join(" ");
    Example { says, bytes: hex.flat_map(bytes).collect() }
}

/// `5a`, or `00*3` for three zeros.
fn bytes(hex: &str) -> Vec<u8> {
    let (hex, times) = hex.split_once('*').unwrap_or((hex, "1"));
    vec![u8::from_str_radix(hex, 16).expect("two hex digits"); times.parse().expect("a number")]
}

fn swim() -> ClusterHash {
    ClusterHash::of("swim")
}

/// A message's text without the variant around it.
fn text(message: &Message<'_>) -> String {
    let text = format!("{message:?}");
    let (_, text) = text.split_once('(').unwrap();
    text.strip_suffix(')').unwrap().to_owned()
}

fn encoded(messages: &[Message<'_>]) -> Vec<u8> {
    let mut buf = Vec::new();
    let mut packet = PacketWriter::datagram(&mut buf, swim(), FRAME_MAX);
    assert!(messages.iter().all(|message| packet.push(message)));
    packet.finish();
    buf
}

/// A packet of `swim` with these messages' bytes.
fn packet_of(messages: &[u8]) -> Vec<u8> {
    let mut packet = [&encoded(&[])[..], messages].concat();
    super::samples::fix_checksum(&mut packet);
    packet
}

/// The rows of the page's table whose head is this, cell by cell.
fn rows(head: &str) -> Vec<Vec<&'static str>> {
    let table = PAGE.split_once(head).unwrap_or_else(|| panic!("no table {head}")).1;
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect()).collect()
}

#[test]
fn every_message_on_the_page_is_what_it_says() {
    let mut kinds = BTreeSet::new();
    for Example { says, bytes } in examples("vector") {
        let packet = packet_of(&bytes);
        let messages: Vec<_> = decode(&packet, swim(), FRAME_MAX).expect(&says).collect();
        assert_eq!(messages.iter().map(text).collect::<Vec<_>>(), [&*says]);
        assert_eq!(encoded(&messages), packet, "{says}");
        kinds.insert(messages[0].kind());
    }
    assert_eq!(kinds, KINDS.into(), "an example of every kind");
}

/// The names of a packet's messages.
fn names(packet: &[u8]) -> String {
    let messages = decode(packet, swim(), FRAME_MAX).expect("a packet of swim");
    let names: Vec<_> = messages.map(|message| format!("{message:?}").split('(').next().unwrap().to_owned()).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(" ") }
}

#[test]
fn every_packet_on_the_page_is_what_it_says() {
    for Example { says, bytes } in examples("packet") {
        assert_eq!(names(&bytes), says);
        let messages: Vec<_> = decode(&bytes, swim(), FRAME_MAX).unwrap().collect();
        let unknown = split(&bytes[HEADER_LEN..]).iter().any(|(kind, _)| !KINDS.contains(kind));
        assert!(unknown || encoded(&messages) == bytes, "{says}");
    }
}

#[test]
fn every_frame_on_the_page_is_what_it_says() {
    for Example { says, bytes } in examples("frame") {
        let mut reader = FrameReader::new();
        reader.push(&bytes);
        let packet = reader.next().unwrap().expect("a whole frame").to_vec();
        assert!(reader.is_empty());
        assert_eq!(names(&packet), says);
        let mut buf = Vec::new();
        let mut frame = PacketWriter::frame(&mut buf, swim(), FRAME_MAX);
        assert!(decode(&packet, swim(), FRAME_MAX).unwrap().all(|message| frame.push(&message)));
        frame.finish();
        assert_eq!(buf, bytes);
    }
}

#[test]
fn every_message_that_the_page_says_is_refused_is_refused() {
    for Example { says, bytes } in examples("refused") {
        let refused = decode(&packet_of(&bytes), swim(), FRAME_MAX).unwrap_err();
        assert_eq!(refused, DatagramError::Malformed { kind: bytes[0] }, "{says}");
    }
}

#[test]
fn every_packet_that_the_page_says_is_refused_is_refused() {
    for Example { says, bytes } in examples("refused-packet") {
        let refused = decode(&bytes, swim(), FRAME_MAX).unwrap_err();
        assert_eq!(format!("{refused:?}"), says);
    }
}

#[test]
fn ids_and_cluster_hashes_are_those_on_the_page() {
    for row in rows("| cluster | name | bytes on the wire | written as |") {
        let [cluster, name, wire, written] = row[..] else { panic!("four cells: {row:?}") };
        let id = NodeId::of(cluster, name);
        assert_eq!(id.to_string(), written);
        assert_eq!(id.as_u64().to_le_bytes()[..], example(&format!("{wire} ;")).bytes);
    }
    for row in rows("| cluster | bytes on the wire |") {
        let [cluster, wire] = row[..] else { panic!("two cells: {row:?}") };
        assert_eq!(ClusterHash::of(cluster).0.to_le_bytes()[..], example(&format!("{wire} ;")).bytes);
    }
}

#[test]
fn the_page_names_every_kind_with_its_length() {
    let mut draw = Draw::new(50);
    let rows = rows("| kind | message | body | length |");
    assert_eq!(rows.len(), KINDS.len());
    for (row, kind) in rows.iter().zip(KINDS) {
        let [number, name, _, lengths] = row[..] else { panic!("four cells: {row:?}") };
        assert_eq!(number, kind.to_string());
        let (min, max) = lengths.split_once(" to ").unwrap_or((lengths, lengths));
        let lengths = min.parse().unwrap()..=max.parse::<usize>().unwrap();
        for _ in 0..500 {
            let message = draw.message(kind);
            assert!(name.starts_with(&format!("[{}]", format!("{message:?}").split('(').next().unwrap())), "{name}");
            assert!(lengths.contains(&body(&message).len()), "{message:?}");
        }
    }
}
