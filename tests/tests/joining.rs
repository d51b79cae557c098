//! Whom a node asks to be let in, and whom not.

use std::net::SocketAddr;
use std::time::Duration;

use swim_proto::wire::{Ack, Message, Ping};
use swim_proto::{Action, Config, Incarnation, Instant, LocalMember, Node, NodeId, SeedId, Status, StreamId};
use swim_tests::craft::{self, Puppet};
use swim_tests::{Cluster, What};

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 7000))
}

fn node() -> Node {
    Node::new(Instant::ZERO, LocalMember::new(address(1), 1), Config::lan(), 7).expect("the configuration is valid")
}

/// What a node wants done, as far as it is about joining.
#[derive(Debug, PartialEq)]
enum Wanted {
    Resolve(SeedId),
    Connect(StreamId, SocketAddr),
    Reset(StreamId),
}

fn wanted(node: &mut Node) -> Vec<Wanted> {
    let (mut buffer, mut wanted) = (Vec::new(), Vec::new());
    while let Some(action) = node.poll_action(&mut buffer) {
        match action {
            Action::Resolve { seed } => wanted.push(Wanted::Resolve(seed)),
            Action::Connect { stream, to } => wanted.push(Wanted::Connect(stream, to)),
            Action::Reset { stream } => wanted.push(Wanted::Reset(stream)),
            _ => {}
        }
    }
    wanted
}

#[test]
fn the_late_lookup_of_a_replaced_seed_is_ignored() {
    let (mut node, now) = (node(), Instant::ZERO);
    node.join(now, &[SeedId(0)]).unwrap();
    assert_eq!(wanted(&mut node), [Wanted::Resolve(SeedId(0))]);
    node.join(now, &[SeedId(1)]).unwrap();
    assert_eq!(wanted(&mut node), [Wanted::Resolve(SeedId(1))]);

    node.handle_resolved(now, SeedId(0), &[address(2)]);
    assert_eq!(wanted(&mut node), []);
    node.handle_resolved(now, SeedId(1), &[address(3)]);
    assert!(matches!(wanted(&mut node)[..], [Wanted::Connect(_, to)] if to == address(3)));
}

#[test]
fn a_stream_that_asks_a_replaced_seed_is_reset() {
    let (mut node, now) = (node(), Instant::ZERO);
    node.join(now, &[SeedId(0)]).unwrap();
    node.handle_resolved(now, SeedId(0), &[address(2)]);
    let asked = wanted(&mut node);
    let [Wanted::Resolve(_), Wanted::Connect(stream, _)] = asked[..] else { panic!("{asked:?}") };

    node.join(now, &[SeedId(1)]).unwrap();
    assert_eq!(wanted(&mut node), [Wanted::Reset(stream), Wanted::Resolve(SeedId(1))]);
}

#[test]
fn whoever_names_other_seeds_while_joining_is_let_in_by_those() {
    let mut cluster = Cluster::new();
    for _ in 0..3 {
        cluster.start(Config::lan());
    }
    // The first seed is asked already when the second is named instead.
    cluster.join(2, &[0]);
    cluster.run_until(Duration::from_secs(1), |cluster| cluster.node(2).stats().streams > 0);
    cluster.join(2, &[1]);
    cluster.run_for(Duration::from_secs(1));
    assert_eq!(cluster.times_told(2, What::Joined, 1), 1, "{}", cluster.views());
    assert_eq!(cluster.times_told(2, What::Joined, 0), 0, "{}", cluster.views());
}

// Strangers: a member that another does not know, or whoever forges its address.

/// A node that has met somebody, and what it does.
struct Host {
    node: Node,
    now: Instant,
    connects: Vec<SocketAddr>,
    /// Pings to strangers: their numbers, targets and lengths.
    questions: Vec<(SocketAddr, u32, NodeId, usize)>,
}

impl Host {
    fn new() -> Host {
        let mut host = Host { node: node(), now: Instant::ZERO, connects: Vec::new(), questions: Vec::new() };
        let friend = Puppet::new("friend", address(2));
        host.hear(friend.address, &craft::alive(friend.id(), Incarnation::first(1), &friend.profile()));
        assert_eq!(host.node.status(), Status::Joined);
        host
    }

    fn hear(&mut self, from: SocketAddr, message: &Message<'_>) {
        let datagram = craft::datagram("swim", std::slice::from_ref(message));
        self.node.handle_datagram(self.now, from, &datagram).expect("it is well-formed");
        self.act();
    }

    fn pinged_by(&mut self, stranger: &Puppet) {
        let target = self.node.local().id;
        self.hear(stranger.address, &Message::Ping(Ping { seq: 1, target, source: stranger.id() }));
    }

    fn act(&mut self) {
        let mut buffer = Vec::new();
        while let Some(action) = self.node.poll_action(&mut buffer) {
            match action {
                Action::Connect { to, .. } => self.connects.push(to),
                Action::Transmit { to, datagram } if to != address(2) => {
                    let asked = craft::messages("swim", datagram).find_map(|message| match message {
                        Message::Ping(Ping { seq, target, .. }) => Some((to, seq, target, datagram.len())),
                        _ => None,
                    });
                    self.questions.extend(asked);
                }
                _ => {}
            }
        }
    }

    fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(deadline) = self.node.deadline().filter(|&deadline| deadline <= end) {
            self.now = deadline;
            self.node.handle_timeout(self.now);
            self.act();
        }
        self.now = end;
    }

    fn streams_to(&self, address: SocketAddr) -> usize {
        self.connects.iter().filter(|&&to| to == address).count()
    }
}

#[test]
fn a_member_that_is_not_known_is_met_once_it_has_answered_where_it_seems_to_be() {
    let mut host = Host::new();
    let stranger = Puppet::new("stranger", address(9));
    host.pinged_by(&stranger);
    host.run_for(Duration::from_millis(10));
    let [(to, seq, target, _)] = host.questions[..] else { panic!("{:?}", host.questions) };
    assert_eq!((to, target, host.streams_to(address(9))), (address(9), stranger.id(), 0));

    let ack = Message::Ack(Ack { seq, incarnation: Incarnation::first(1) });
    host.hear(address(9), &ack);
    assert_eq!(host.streams_to(address(9)), 1);
    host.hear(address(9), &ack);
    assert_eq!(host.streams_to(address(9)), 1, "an answer counts once");
}

#[test]
fn a_forged_address_draws_no_stream_and_few_short_questions() {
    let mut host = Host::new();
    for forged in 0..1_000u16 {
        let victim = address(100 + (forged % 50) as u8);
        host.pinged_by(&Puppet::new(&format!("stranger-{forged}"), victim));
        // Who guesses at numbers, or answers from elsewhere, proves nothing.
        let seq = host.questions.last().map_or(7, |question| question.1);
        let incarnation = Incarnation::first(1);
        host.hear(victim, &Message::Ack(Ack { seq: seq ^ 1, incarnation }));
        host.hear(address(8), &Message::Ack(Ack { seq, incarnation }));
        host.run_for(Duration::from_millis(10));
    }
    assert!((100..150).all(|last| host.streams_to(address(last)) == 0), "{:?}", host.connects);
    // Ten seconds, in each half of a probe interval one.
    assert!((2..=21).contains(&host.questions.len()), "{:?}", host.questions);
    assert!(host.questions.iter().all(|&(.., len)| len <= 64), "{:?}", host.questions);
}
