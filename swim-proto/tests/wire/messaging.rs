//! The packets of links: the examples of `docs/messaging.md`, postcard's opinion of each body, and whatever else may come.

use std::collections::BTreeSet;

use serde::Serialize;
use swim_proto::messaging::packet::*;
use swim_proto::*;

use super::samples::Draw;

const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/messaging.md"));

fn encoded(packet: &Packet) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(&mut out);
    out
}

/// Less than `bound`, often an edge.
fn below(draw: &mut Draw, bound: u64) -> u64 {
    if bound < 2 { 0 } else { draw.number(bound - 1) }
}

#[test]
fn every_packet_on_the_page_is_what_it_says() {
    let mut kinds = BTreeSet::new();
    for example in PAGE.split("```link\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
        let (says, hex) = example.split_once('\n').expect("a line of text, then hex");
        let hex = hex.lines().flat_map(|line| line.split(';').next().unwrap().split_whitespace());
        let bytes: Vec<u8> = hex.map(|hex| u8::from_str_radix(hex, 16).expect("two hex digits")).collect();
        let Some(Decoded::Known(packet)) = decode(&bytes) else { panic!("{says}: {bytes:02x?}") };
        assert_eq!(format!("{packet:?}"), says);
        assert_eq!(encoded(&packet), bytes, "{says}");
        kinds.insert(bytes[0]);
    }
    assert_eq!(kinds, (1..=7).collect(), "an example of every kind");
}

/// One of each kind, drawn at random.
fn samples(draw: &mut Draw) -> Vec<Packet> {
    let number = 1 + below(draw, 1 << 40);
    let back = below(draw, number);
    let stream = (back > 0 || draw.below(2) == 0).then(|| draw.number(u64::MAX));
    let processed_to = below(draw, 1 << 30);
    let delivered_to = processed_to + below(draw, 1 << 20);
    let mut ranges = |mut after: u64| -> Vec<Range> {
        (0..draw.below(RANGES_MAX + 1))
            .map(|_| {
                let first = after + 2 + below(draw, 300);
                after = first + below(draw, 300);
                Range { first, last: after }
            })
            .collect()
    };
    let (delivered, processed) = (ranges(delivered_to), ranges(processed_to));
    let versions = [1 + below(draw, 100) as u8, 101 + below(draw, 100) as u8];
    vec![
        Packet::Hello(Hello {
            cluster: ClusterHash(draw.number(u64::MAX) as u32),
            version_min: versions[0],
            version_max: versions[1],
            source: NodeId::from_u64(draw.number(u64::MAX)),
            target: NodeId::from_u64(draw.number(u64::MAX)),
            life: draw.number(u64::MAX) >> 1,
            session: draw.number(u64::MAX),
        }),
        Packet::Welcome(Welcome {
            version: versions[0],
            source: NodeId::from_u64(draw.number(u64::MAX)),
            life: below(draw, 1 << 45),
            session: draw.number(u64::MAX),
            inbox: draw.number(u64::MAX),
            message_max: draw.number(u64::MAX) as u32,
            window_messages: draw.number(u64::MAX) as u32 >> 9,
            base_bytes: draw.number(u64::MAX) as u32,
        }),
        Packet::Refuse(Refuse { why: Refusal::ALL[draw.below(5)], retry_ms: below(draw, 3_600_001) as u32 }),
        Packet::Data(Data { number, back, class: below(draw, 4) as u8, stream, repeated: draw.below(2) == 0 }),
        Packet::Forward(Forward { number, back, cost: draw.number(u64::MAX) as u32 }),
        Packet::Ack(Ack {
            delivered_to,
            processed_to,
            credit_messages: below(draw, 1 << 50),
            credit_bytes: below(draw, 1 << 50),
            echo: below(draw, 3),
            delivered,
            processed,
        }),
        Packet::Probe(Probe { number }),
    ]
}

/// What postcard makes of it, written down a second time.
fn oracle(packet: &Packet) -> Vec<u8> {
    fn body<T: Serialize>(kind: u8, value: T) -> Vec<u8> {
        postcard::to_slice(&(kind, value), &mut [0; 4096]).unwrap().to_vec()
    }
    let runs = |ranges: &[Range], mut after: u64| -> Vec<(u64, u64)> {
        let mut runs = Vec::new();
        for &Range { first, last } in ranges {
            runs.push((first - after - 2, last - first));
            after = last;
        }
        runs
    };
    match packet.clone() {
        Packet::Hello(h) => body(
            1,
            (
                *b"swim",
                h.cluster.0.to_le_bytes(),
                (h.version_min, h.version_max),
                (h.source, h.target, h.life),
                h.session.to_le_bytes(),
            ),
        ),
        Packet::Welcome(w) => body(
            2,
            (
                w.version,
                (w.source, w.life),
                w.session.to_le_bytes(),
                w.inbox,
                (w.message_max, w.window_messages, w.base_bytes),
            ),
        ),
        Packet::Refuse(r) => body(3, (r.why as u8, r.retry_ms)),
        Packet::Data(d) => {
            let flags = d.class | u8::from(d.stream.is_some()) << 2 | u8::from(d.repeated) << 3;
            match d.stream {
                Some(stream) => body(4, (d.number, d.back, flags, stream)),
                None => body(4, (d.number, d.back, flags)),
            }
        }
        Packet::Forward(f) => body(5, (f.number, f.back, f.cost)),
        Packet::Ack(a) => body(
            6,
            (
                (a.delivered_to, a.delivered_to - a.processed_to, a.credit_messages, a.credit_bytes, a.echo),
                &runs(&a.delivered, a.delivered_to)[..],
                &runs(&a.processed, a.processed_to)[..],
            ),
        ),
        Packet::Probe(p) => body(7, p.number),
    }
}

#[test]
fn every_packet_is_postcards_and_comes_back_as_it_went() {
    let mut draw = Draw::new(5);
    for _ in 0..2_000 {
        for packet in samples(&mut draw) {
            let bytes = encoded(&packet);
            assert_eq!(bytes, oracle(&packet), "{packet:?}");
            assert!(bytes.len() <= HEADER_MAX);
            assert_eq!(decode(&bytes), Some(Decoded::Known(packet)));
        }
    }
}

#[test]
fn what_is_bent_is_refused_or_is_another_packet_in_its_one_encoding() {
    let mut draw = Draw::new(6);
    let mut refused = 0;
    for _ in 0..3_000 {
        for packet in samples(&mut draw) {
            let mut bytes = encoded(&packet);
            assert_eq!(decode(&bytes[..bytes.len() - 1]), None, "cut short: {packet:?}");
            match draw.below(3) {
                0 => bytes.push(draw.number(u64::MAX) as u8),
                1 => {
                    let at = draw.below(bytes.len());
                    bytes[at] = draw.number(u64::MAX) as u8;
                }
                _ => {
                    let at = draw.below(bytes.len());
                    bytes.remove(at);
                }
            }
            match decode(&bytes) {
                Some(Decoded::Known(other)) => assert_eq!(encoded(&other), bytes),
                Some(Decoded::Unknown(kind)) => assert!(kind > 7),
                None => refused += 1,
            }
        }
    }
    assert!(refused > 3_000, "{refused}");
}

#[test]
fn what_a_packet_may_not_say_is_refused() {
    let data = |number, back, class, stream| Packet::Data(Data { number, back, class, stream, repeated: false });
    let wrong: Vec<Vec<u8>> = vec![
        vec![],
        vec![0],
        vec![1],
        encoded(&data(0, 0, 1, None)),
        encoded(&data(5, 5, 1, Some(1))),
        encoded(&data(5, 1, 1, None)),
        encoded(&data(NUMBER_MAX + 1, 0, 1, None)),
        vec![4, 1, 0, 0b1_0000],
        encoded(&Packet::Probe(Probe { number: 0 })),
        encoded(&Packet::Forward(Forward { number: 1, back: 1, cost: 0 })),
        vec![3, 0, 0],
        vec![3, 6, 0],
        // More processed than delivered; one range too many.
        vec![6, 1, 2, 0, 0, 0, 0, 0],
        [&[6, 0, 0, 0, 0, 0, 33][..], &[0; 67]].concat(),
    ];
    for bytes in wrong {
        assert_eq!(decode(&bytes), None, "{bytes:02x?}");
    }
    assert_eq!(decode(&[8, 1, 2, 3]), Some(Decoded::Unknown(8)));
}
