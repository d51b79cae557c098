//! Carriers: whose packets they bring, and what they cost (`docs/protocol.md` 13).

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use swim_proto::wire::{Ack, Carry, FrameReader, Message, Ping, PingReq};
use swim_proto::{
    Action, Config, Event, Incarnation, Instant, LocalMember, Node, NodeId, Path, STREAM_CREDIT, Status, StreamId,
    StreamInput, Transport,
};
use swim_tests::craft::{self, Puppet};

const FIRST: Incarnation = Incarnation { life: 1, refutation: 0 };

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

fn address(i: u8) -> SocketAddr {
    SocketAddr::from(([10, 9, 0, i + 1], 7000))
}

/// Where a stream of that host comes from.
fn ephemeral(i: u8) -> SocketAddr {
    SocketAddr::from(([10, 9, 0, i + 1], 40_000))
}

fn puppet(i: u8) -> Puppet {
    Puppet::new(&format!("p{i}"), address(i))
}

fn own_id() -> NodeId {
    NodeId::of("swim", "a")
}

fn node(transport: Transport) -> Node {
    node_with(Config { transport, ..Config::lan() })
}

fn node_with(config: Config) -> Node {
    let local = LocalMember {
        name: String::from("a"),
        address: "10.77.0.2:7000".parse().unwrap(),
        endpoint: None,
        metadata: Bytes::new(),
        life: 1,
    };
    Node::new(Instant::ZERO, local, config, 1).expect("the settings are valid")
}

/// A node of this transport that has heard of puppets 0 to 2.
fn acquainted(transport: Transport) -> Node {
    let mut node = node(transport);
    if transport == Transport::Stream {
        let stream = carrier(&mut node, 0, ephemeral(0));
        give(&mut node, stream, &(1..3).map(known).collect::<Vec<_>>().concat());
    } else {
        let frames: Vec<(Puppet, Vec<u8>)> = (0..3).map(|i| (puppet(i), puppet(i).profile())).collect();
        let claims: Vec<_> = frames.iter().map(|(puppet, profile)| craft::alive(puppet.id(), FIRST, profile)).collect();
        node.handle_datagram(at(1), address(0), &craft::datagram("swim", &claims)).unwrap();
    }
    assert_eq!(node.live(), 4);
    drain(&mut node);
    node
}

/// A frame that says that a puppet lives.
fn known(i: u8) -> Vec<u8> {
    craft::frame("swim", &[craft::alive(puppet(i).id(), FIRST, &puppet(i).profile())])
}

/// Somebody at `from` opens a carrier as puppet `i`.
fn carrier(node: &mut Node, i: u8, from: SocketAddr) -> StreamId {
    let stream = node.accept_stream(at(2), from).expect("there is room");
    let (puppet, profile) = (puppet(i), puppet(i).profile());
    let carry = Message::Carry(Carry { source: puppet.id() });
    give(node, stream, &craft::frame("swim", &[craft::alive(puppet.id(), FIRST, &profile), carry]));
    stream
}

fn give(node: &mut Node, stream: StreamId, frames: &[u8]) {
    node.handle_stream(at(2), stream, StreamInput::Data(frames));
}

/// What a node does.
#[derive(Default)]
struct Done {
    connects: Vec<(StreamId, SocketAddr)>,
    writes: Vec<(StreamId, Vec<u8>)>,
    resets: Vec<StreamId>,
    deaths: usize,
    datagrams: usize,
    datagrams_to: BTreeSet<SocketAddr>,
}

impl Done {
    /// The kinds of the first messages of all packets written to a stream.
    fn kinds(&self, stream: StreamId) -> Vec<u8> {
        let mut reader = FrameReader::new();
        self.writes.iter().filter(|(to, _)| *to == stream).for_each(|(_, bytes)| reader.push(bytes));
        let mut kinds = Vec::new();
        while let Some(packet) = reader.next().expect("frames") {
            kinds.extend(craft::messages("swim", packet).next().map(|message| message.kind()));
        }
        kinds
    }
}

fn drain(node: &mut Node) -> Done {
    let (mut buf, mut done) = (Vec::new(), Done::default());
    while let Some(action) = node.poll_action(&mut buf) {
        match action {
            Action::Connect { stream, to } => done.connects.push((stream, to)),
            Action::Write { stream, bytes } => done.writes.push((stream, bytes.to_vec())),
            Action::Reset { stream } => done.resets.push(stream),
            Action::Transmit { to, .. } => {
                done.datagrams += 1;
                done.datagrams_to.insert(to);
            }
            Action::Event(Event::Died(_)) => done.deaths += 1,
            Action::Finish { .. } | Action::Resolve { .. } | Action::Event(_) => {}
        }
    }
    done
}

fn ping(seq: u32) -> Vec<u8> {
    craft::frame("swim", &[Message::Ping(Ping { seq, target: own_id(), source: puppet(0).id() })])
}

/// A request to ping puppet 1, which only members are served.
fn ping_req() -> Vec<u8> {
    let (source, target) = (puppet(0).id(), puppet(1).id());
    craft::frame("swim", &[Message::PingReq(PingReq { seq: 9, source, target, address: address(1), budget_ms: 500 })])
}

#[test]
fn what_a_carrier_brings_is_its_members_only_from_that_members_host() {
    let mut node = acquainted(Transport::Hybrid);
    // Another host says that it is puppet 0: it is a stranger, whatever it says.
    let stream = carrier(&mut node, 0, ephemeral(7));
    give(&mut node, stream, &ping_req());
    assert_eq!((node.stats().relays, node.stats().drops.unproven), (0, 1));
    assert_eq!(node.member(puppet(0).id()).unwrap().path, Path::Datagram, "nor does it say how puppet 0 is reached");
    // It is answered where it is, and nowhere else.
    give(&mut node, stream, &ping(5));
    let done = drain(&mut node);
    assert_eq!((done.kinds(stream), done.datagrams, done.connects.len()), (vec![2], 0, 0));
    // Puppet 0's own host is believed.
    let stream = carrier(&mut node, 0, ephemeral(0));
    give(&mut node, stream, &ping_req());
    assert_eq!((node.stats().relays, node.stats().drops.unproven), (1, 1));
    assert_eq!(node.member(puppet(0).id()).unwrap().path, Path::Stream);
}

#[test]
fn a_carrier_says_whose_it_is_or_is_broken() {
    let mut node = acquainted(Transport::Hybrid);
    let profile = puppet(0).profile();
    let carry = Message::Carry(Carry { source: puppet(1).id() });
    let other = craft::frame("swim", &[craft::alive(puppet(0).id(), FIRST, &profile), carry]);
    for frame in [craft::frame("swim", &[carry]), other] {
        let stream = node.accept_stream(at(2), ephemeral(0)).expect("there is room");
        give(&mut node, stream, &frame);
        assert_eq!(drain(&mut node).resets, [stream]);
    }
    assert_eq!((node.stats().drops.streams_broken, node.stats().carriers_accepted), (2, 0));
}

#[test]
fn of_more_than_sixty_four_packets_that_wait_for_a_carrier_the_newest_answers_are_dropped() {
    let mut node = acquainted(Transport::Stream);
    let stream = carrier(&mut node, 0, ephemeral(0));
    give(&mut node, stream, &(0..200).map(ping).collect::<Vec<_>>().concat());
    assert_eq!(node.stats().drops.carrier_full, 200 - 64);
    let done = drain(&mut node);
    let acks = done.kinds(stream).iter().filter(|&&kind| kind == 2).count();
    assert_eq!((acks, done.datagrams), (64, 0));
    // What was written makes room.
    give(&mut node, stream, &ping(200));
    assert_eq!(drain(&mut node).kinds(stream), [2]);
}

#[test]
fn a_peer_that_asks_and_takes_nothing_costs_its_credit_and_is_let_go() {
    let mut node = acquainted(Transport::Stream);
    let stuck = carrier(&mut node, 0, ephemeral(0));
    let (mut written, mut reset_at) = (0, None);
    let mut now = at(2);
    while reset_at.is_none() && now < at(2) + Config::lan().stream_timeout * 3 {
        let asked: Vec<u8> = (0..64).flat_map(ping).collect();
        node.handle_stream(now, stuck, StreamInput::Data(&asked));
        let before = drain(&mut node);
        now += Duration::from_millis(50);
        node.handle_timeout(now);
        let after = drain(&mut node);
        for done in [before, after] {
            let to_it = done.writes.iter().filter(|(stream, _)| *stream == stuck);
            written += to_it.map(|(_, bytes)| bytes.len()).sum::<usize>();
            reset_at = reset_at.or(done.resets.contains(&stuck).then_some(now));
        }
    }
    assert!(written <= STREAM_CREDIT, "{written} bytes for a peer that takes none");
    assert!(node.stats().drops.carrier_full > 0, "the rest was dropped");
    let reset_at = reset_at.expect("it was let go, though it never fell silent");
    assert!(reset_at <= at(2) + Config::lan().stream_timeout + Duration::from_millis(100), "{reset_at:?}");
    // Whoever reads again is served again.
    let stream = carrier(&mut node, 0, ephemeral(0));
    node.handle_stream(now, stream, StreamInput::Data(&ping(1)));
    assert!(drain(&mut node).kinds(stream).contains(&2));
}

#[test]
fn a_departed_node_opens_no_carrier_and_answers_on_those_of_others() {
    let mut node = acquainted(Transport::Stream);
    let before = carrier(&mut node, 0, ephemeral(0));
    drain(&mut node);
    node.leave(at(3)).expect("it runs");
    let mut now = at(3);
    while node.status() != Status::Left {
        drain(&mut node);
        now += Duration::from_millis(100);
        node.handle_timeout(now);
    }
    drain(&mut node);
    // Its end of this one is finished.
    node.handle_stream(now, before, StreamInput::Data(&ping(7)));
    let done = drain(&mut node);
    assert_eq!((done.connects.len(), done.writes.len()), (0, 0));
    let anew = carrier(&mut node, 0, ephemeral(0));
    node.handle_stream(now, anew, StreamInput::Data(&ping(8)));
    let done = drain(&mut node);
    // Its Left, before its Ack.
    assert_eq!((done.connects.len(), done.kinds(anew)), (0, vec![8]));
}

#[test]
fn whoever_is_reached_by_stream_is_sent_datagrams_where_there_is_no_room_for_a_carrier() {
    let config = Config { transport: Transport::Hybrid, streams_max: 8, host_share_percent: 100, ..Config::lan() };
    let mut node = node_with(config);
    for i in 0..3 {
        let stream = carrier(&mut node, i, ephemeral(i));
        node.handle_stream(at(2), stream, StreamInput::Failed);
        assert_eq!(node.member(puppet(i).id()).unwrap().path, Path::Stream);
    }
    // Strangers hold what others may hold, and two streams are left for three members.
    for i in 10..16 {
        node.accept_stream(at(2), ephemeral(i)).expect("there is room");
    }
    drain(&mut node);
    node.set_metadata(at(3), Bytes::from_static(b"news for all")).expect("it is short");
    // Less than a probe lasts: nobody has failed to answer.
    let run = |node: &mut Node, millis: Range<u64>| {
        let (mut by_carrier, mut by_datagram) = (BTreeSet::new(), BTreeSet::new());
        for millis in millis {
            node.handle_timeout(at(millis));
            let done = drain(node);
            by_carrier.extend(done.connects.iter().map(|&(_, to)| to));
            by_datagram.extend(done.datagrams_to);
        }
        (by_carrier, by_datagram)
    };
    // No datagram ever came: news would be lost, and counted as told. Nor is a carrier opened for it beyond half of all
    // streams.
    assert_eq!(run(&mut node, 3..400), (BTreeSet::new(), BTreeSet::new()));
    assert!(node.stats().rumors > 0, "it waits");
    // One has come.
    node.handle_datagram(at(400), address(0), &craft::datagram("swim", &[])).unwrap();
    // News goes to all so; probes may open what is left, and find no room for all helpers.
    let lost = node.stats().drops.carrier_lost;
    let (by_carrier, by_datagram) = run(&mut node, 400..2_200);
    assert_eq!((by_carrier.len(), by_datagram), (2, (0..3).map(address).collect()));
    assert!(node.stats().drops.streams_full > 0);
    assert_eq!(node.stats().drops.carrier_lost, lost, "nothing was lost");
}

#[test]
fn a_carrier_that_nobody_uses_makes_room_and_one_that_is_used_does_not() {
    let config = Config { transport: Transport::Stream, streams_max: 8, host_share_percent: 100, ..Config::lan() };
    let quiet_for = config.probe_timeout;
    let mut node = node_with(config);
    // Others may hold six.
    let carriers: Vec<StreamId> = (0..3).map(|i| carrier(&mut node, i, ephemeral(i))).collect();
    let strangers: Vec<StreamId> = (10..13).filter_map(|i| node.accept_stream(at(2), ephemeral(i))).collect();
    assert_eq!(strangers.len(), 3);
    drain(&mut node);
    assert_eq!(node.accept_stream(at(3), ephemeral(13)), None, "what came a moment ago may be answered");
    assert_eq!(node.stats().drops.streams_full, 1);

    // A ping of puppet 1 is answered just before, on its carrier.
    let (before, later) = (at(1) + quiet_for, at(2) + quiet_for);
    node.handle_stream(before, carriers[1], StreamInput::Data(&ping(5)));
    for (stream, bytes) in drain(&mut node).writes {
        assert_eq!(stream, carriers[1]);
        node.handle_stream(before, stream, StreamInput::Written(bytes.len()));
    }
    let unused = [carriers[0], carriers[2]];
    for i in 14..14 + unused.len() as u8 {
        assert!(node.accept_stream(later, ephemeral(i)).is_some());
    }
    assert_eq!(drain(&mut node).resets, unused, "in turn, and of what carries only");
    assert_eq!(node.accept_stream(later, ephemeral(40)), None);
    assert_eq!(node.stats().carriers_displaced, unused.len() as u64);
}

#[test]
fn gossip_opens_no_carrier_where_half_of_all_streams_are_open() {
    // Where gossip went to within a second, and what was reset for it.
    let told = |streams_max| {
        let config = Config {
            transport: Transport::Stream,
            streams_max,
            gossip_fanout: 6,
            host_share_percent: 100,
            ..Config::lan()
        };
        let mut node = node_with(config);
        let carriers: Vec<StreamId> = (0..4).map(|i| carrier(&mut node, i, ephemeral(i))).collect();
        give(&mut node, carriers[0], &(4..40).map(known).collect::<Vec<_>>().concat());
        drain(&mut node);
        node.set_metadata(at(3), Bytes::from_static(b"news for all")).expect("it is short");
        let (mut opened, mut wrote) = (0, BTreeSet::new());
        for millis in 3..400 {
            let done = run_until(&mut node, at(millis));
            opened += done.connects.len();
            wrote.extend(done.writes.iter().map(|&(stream, _)| stream));
        }
        (opened as u64 - node.stats().probes, carriers.iter().filter(|&id| wrote.contains(id)).count())
    };
    // One for each probe of somebody else, and no other.
    assert_eq!(told(8), (0, 4), "by those that are open it goes");
    assert!(told(64).0 > 0);
}

#[test]
fn gossip_opens_carriers_to_whom_none_leads_until_three_quarters_are_open_where_there_are_more_members() {
    // Twelve of 36 members have opened a carrier. To how many others one is opened, and for how many probes.
    let opened = |carriers_max| {
        let config = Config { transport: Transport::Stream, carriers_max, host_share_percent: 100, ..Config::lan() };
        let mut node = node_with(config);
        let carriers: Vec<StreamId> = (0..12).map(|i| carrier(&mut node, i, ephemeral(i))).collect();
        give(&mut node, carriers[0], &(12..36).map(known).collect::<Vec<_>>().concat());
        drain(&mut node);
        let mut opened = 0;
        for millis in 3..900 {
            if millis % 300 == 3 {
                let news = Bytes::from(format!("news of {millis}"));
                node.set_metadata(at(millis), news).expect("it is short");
            }
            opened += run_until(&mut node, at(millis)).connects.len();
        }
        (opened as u64, node.stats().probes)
    };
    let ((many, of_many), (few, of_few)) = (opened(64), opened(16));
    assert!(many > of_many + 4, "{many} for {of_many} probes");
    assert!(few <= of_few, "{few} for {of_few} probes, and news goes by those that are open");
}

/// The pings that were written, each with its carrier, and whether anybody was asked about another.
fn questions(done: &Done) -> (Vec<(StreamId, u32)>, bool) {
    let (mut pings, mut asks) = (Vec::new(), false);
    for (stream, bytes) in &done.writes {
        let mut reader = FrameReader::new();
        reader.push(bytes);
        while let Some(packet) = reader.next().expect("whole frames are written") {
            for message in craft::messages("swim", packet) {
                match message {
                    Message::Ping(ping) => pings.push((*stream, ping.seq)),
                    Message::Ask(_) => asks = true,
                    _ => {}
                }
            }
        }
    }
    (pings, asks)
}

/// The node runs until `now`, and all that it writes is taken.
fn run_until(node: &mut Node, now: Instant) -> Done {
    node.handle_timeout(now);
    let done = drain(node);
    done.writes.iter().for_each(|(stream, bytes)| node.handle_stream(now, *stream, StreamInput::Written(bytes.len())));
    done
}

fn answer(node: &mut Node, now: Instant, pings: &[(StreamId, u32)]) {
    for &(stream, seq) in pings {
        let ack = craft::frame("swim", &[Message::Ack(Ack { seq, incarnation: FIRST })]);
        node.handle_stream(now, stream, StreamInput::Data(&ack));
    }
}

#[test]
fn before_a_burial_the_second_question_goes_by_another_carrier_where_the_first_was_swallowed() {
    let mut node = node(Transport::Stream);
    let carriers: Vec<StreamId> = (0..3).map(|i| carrier(&mut node, i, ephemeral(i))).collect();
    let (accused, suspicion) = (at(700), craft::suspect(puppet(0).id(), FIRST, puppet(1).id()));
    run_until(&mut node, accused);
    let suspicion = craft::frame("swim", &[suspicion]);
    node.handle_stream(accused, carriers[1], StreamInput::Data(&suspicion));
    let mut ticks = (71..6_000).map(|tick| at(10 * tick));

    // The suspect answers and speaks, and refutes nothing; until it is asked for the last time, and others with it.
    let first = ticks.find(|&now| {
        let (pings, asks) = questions(&run_until(&mut node, now));
        if !asks {
            answer(&mut node, now, &pings);
            node.handle_stream(now, carriers[0], StreamInput::Data(&known(1)));
        }
        asks
    });
    let first = first.expect("it is asked before it is buried");

    // From then on nothing comes from its carrier: of what is written to it each segment is lost. The second question
    // comes before any probe could find that out.
    let period = Config::lan().probe_interval;
    let by_another = ticks.by_ref().take_while(|&now| now <= first + period / 2).find_map(|now| {
        let done = run_until(&mut node, now);
        let (pings, _) = questions(&done);
        let others = pings.into_iter().filter(|(stream, _)| *stream != carriers[0]).collect::<Vec<_>>();
        answer(&mut node, now, &others);
        done.connects.into_iter().find(|&(_, to)| to == address(0)).map(|(stream, _)| (now, stream))
    });
    let (opened, stream) = by_another.expect("the second question goes by a carrier of its own");
    node.handle_stream(opened, stream, StreamInput::Connected);
    let (pings, _) = questions(&run_until(&mut node, opened));
    assert!(!pings.is_empty() && pings.iter().all(|&(by, _)| by == stream), "{pings:?}");
    answer(&mut node, opened, &pings);
    let deaths: usize =
        ticks.take_while(|&now| now < first + 2 * period).map(|now| run_until(&mut node, now).deaths).sum();
    assert_eq!((deaths, node.stats().burials_averted), (0, 1), "it was heard in time");
}

#[test]
fn where_no_datagram_ever_came_three_peers_reached_by_stream_are_enough_for_all() {
    let mut node = node(Transport::Hybrid);
    let first = carrier(&mut node, 0, ephemeral(0));
    give(&mut node, first, &known(3));
    carrier(&mut node, 1, ephemeral(1));
    drain(&mut node);
    let path_of_the_fourth = |node: &Node| node.member(puppet(3).id()).expect("it is known").path;
    assert_eq!(path_of_the_fourth(&node), Path::Datagram, "two may be chance");
    carrier(&mut node, 2, ephemeral(2));
    drain(&mut node);
    assert_eq!(path_of_the_fourth(&node), Path::Stream);
    node.set_metadata(at(3), Bytes::from_static(b"news for all")).expect("it is short");
    let (mut connects, mut datagrams) = (Vec::new(), 0);
    for millis in 3..400 {
        node.handle_timeout(at(millis));
        let done = drain(&mut node);
        connects.extend(done.connects.iter().map(|&(_, to)| to));
        datagrams += done.datagrams;
    }
    assert_eq!((connects, datagrams), (vec![address(3)], 0), "it is told by carrier, and nobody by datagram");

    // One from anybody, and what is not known of a member is to be found out.
    let ping = Message::Ping(Ping { seq: 1, target: own_id(), source: puppet(0).id() });
    node.handle_datagram(at(400), address(0), &craft::datagram("swim", &[ping])).unwrap();
    assert_eq!(path_of_the_fourth(&node), Path::Datagram);
    assert_eq!(node.member(puppet(1).id()).expect("it is known").path, Path::Stream, "what was found out stays");
}
