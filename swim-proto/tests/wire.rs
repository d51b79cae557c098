//! The wire: every message there and back, and whatever else may come.

use swim_proto::wire::*;
use swim_proto::*;

#[test]
fn a_message_comes_out_as_it_went_in() {
    let cluster = ClusterHash::of("swim");
    let mut bytes = Vec::new();
    Profile {
        address: "127.0.0.1:5000".parse().unwrap(),
        endpoint: None,
        versions: VERSIONS,
        name: "node-a",
        metadata: b"x",
    }
    .encode_into(&mut bytes);
    let profile = ProfileBytes::new(&bytes).unwrap();
    let id = NodeId::of("swim", "node-a");
    let incarnation = Incarnation::first(1_700_000_000_000);
    let messages = [
        Message::Ping(Ping { seq: 7, target: id, source: NodeId::from_u64(1) }),
        Message::Ack(Ack { seq: 7, incarnation }),
        Message::Alive(Alive { id, incarnation, profile }),
        Message::Tombstone(Tombstone { id, incarnation, grave: Grave::Left, remaining_s: 3 }),
        Message::SyncBuckets(SyncBuckets { sums: &[3; 2048] }),
    ];
    let mut buf = Vec::new();
    let mut packet = PacketWriter::datagram(&mut buf, cluster, 65_507);
    assert!(messages.iter().all(|message| packet.push(message)));
    let len = packet.finish();
    assert_eq!(len, buf.len());
    let back: Vec<_> = decode(&buf, cluster, 65_507).unwrap().collect();
    assert_eq!(back, messages);
}
