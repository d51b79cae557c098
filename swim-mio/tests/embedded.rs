//! Nodes inside a loop that is somebody else's.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token, Waker};
use swim_mio::{
    Closed, Config, Ending, Event, EventsError, FailReason, MessageEvent, MessageEventsError, Node, Options,
    RequestError, SendError, SendOptions, StartError, State, Status, Way,
};

const SOON: Duration = Duration::from_secs(60);
/// So many tokens for each node.
const TOKENS: usize = 1 << 16;
const WAKER: Token = Token(usize::MAX - 1);

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn quick() -> Config {
    Config {
        probe_interval: Duration::from_millis(400),
        probe_timeout: Duration::from_millis(200),
        gossip_interval: Duration::from_millis(50),
        sync_interval: Duration::from_secs(2),
        join_retry_min: Duration::from_millis(100),
        leave_timeout: Duration::from_secs(2),
        ..Config::lan()
    }
}

/// A loop, and the nodes in it.
struct Host {
    poll: Poll,
    waker: Arc<Waker>,
    events: Events,
    nodes: Vec<Node>,
    /// Tokens of events that were no node's.
    strangers: Vec<Token>,
    /// How often it waited.
    turns: u64,
}

impl Host {
    fn new() -> Host {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).unwrap());
        Host { poll, waker, events: Events::with_capacity(64), nodes: Vec::new(), strangers: Vec::new(), turns: 0 }
    }

    fn add(&mut self, options: Options) -> usize {
        let waker = self.waker.clone();
        let first = self.nodes.len() * TOKENS;
        let bound = options.bind().unwrap();
        let node = bound.register(self.poll.registry(), first..first + TOKENS, move || waker.wake().unwrap());
        self.nodes.push(node.unwrap());
        self.nodes.len() - 1
    }

    /// As many nodes that know each other.
    fn cluster(len: usize) -> Host {
        let mut host = Host::new();
        for index in 0..len {
            let seeds = host.nodes.first().map(|seed| seed.address().to_string());
            let options = Options::new(loopback()).with_name(format!("node-{index}")).with_config(quick());
            host.add(options.with_seeds(seeds));
        }
        host.until("all know all", |host| host.nodes.iter().all(|node| alive(node) == len));
        host
    }

    fn turn(&mut self, limit: Duration) {
        let timeouts = self.nodes.iter().filter_map(Node::timeout);
        let timeout = timeouts.min().map_or(limit, |timeout| timeout.min(limit));
        self.poll.poll(&mut self.events, Some(timeout)).unwrap();
        self.turns += 1;
        for event in &self.events {
            let owners = self.nodes.iter_mut().filter_map(|node| node.handle_event(event).then_some(())).count();
            assert!(owners <= 1, "an event is one node's");
            if owners == 0 {
                self.strangers.push(event.token());
            }
        }
        self.nodes.iter_mut().for_each(Node::handle_timeout);
    }

    fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Host) -> bool) {
        let deadline = Instant::now() + SOON;
        while !is_so(self) {
            assert!(Instant::now() < deadline, "never came about: {what}");
            self.turn(Duration::from_millis(100));
        }
    }

    /// Waits for an event of a node that fits.
    fn event(&mut self, node: usize, what: &str, fits: impl Fn(&Event) -> bool) -> Event {
        let mut found = None;
        self.until(what, |host| {
            while let Some(notice) = host.nodes[node].poll_event().unwrap() {
                if fits(&notice.event) {
                    found = Some(notice.event);
                    return true;
                }
            }
            false
        });
        found.unwrap()
    }
}

fn alive(node: &Node) -> usize {
    node.members().iter().filter(|member| member.state == State::Alive).count()
}

#[test]
fn nodes_share_a_loop_with_each_other_and_with_whoever_it_belongs_to() {
    let mut host = Host::cluster(3);
    // Somebody else's socket in the same loop.
    let own = Token(usize::MAX - 2);
    let mut socket = mio::net::UdpSocket::bind(loopback()).unwrap();
    host.poll.registry().register(&mut socket, own, Interest::READABLE).unwrap();
    UdpSocket::bind(loopback()).unwrap().send_to(b"x", socket.local_addr().unwrap()).unwrap();
    host.until("the owner's event", |host| host.strangers.contains(&own));

    // Commands are methods: what they ask for is done in the loop.
    assert_eq!(host.nodes[0].status(), Status::Joined);
    assert_eq!(host.nodes[0].broadcast("hello"), Ok(1));
    for node in [1, 2] {
        let heard = host.event(node, "the broadcast", |event| matches!(event, Event::Broadcast { .. }));
        assert!(matches!(heard, Event::Broadcast { payload, .. } if payload == "hello"));
    }
    let to = host.nodes[1].id();
    host.nodes[2].send_message(to, vec![7; 20_000], Way::Stream).unwrap();
    host.event(1, "the message", |event| matches!(event, Event::Message { payload, .. } if payload.len() == 20_000));

    // One goes without a word, and is missed.
    drop(host.nodes.pop());
    host.event(0, "node-2 died", |event| matches!(event, Event::Died(change) if change.member.name == "node-2"));

    // One says goodbye.
    host.nodes[1].shut_down();
    host.event(0, "node-1 left", |event| matches!(event, Event::Left(change) if change.member.name == "node-1"));
    host.until("it is closed", |host| host.nodes[1].is_closed());
    let closed = &mut host.nodes[1];
    assert_eq!((closed.deadline(), closed.timeout(), closed.status()), (None, None, Status::Left));
    while closed.poll_event() != Err(EventsError::Closed) {}
    assert_eq!(closed.broadcast("x"), Err(RequestError::Closed(Closed)));
    closed.handle_timeout();
    UdpSocket::bind(closed.bound()).expect("the UDP port is free");
    TcpListener::bind(closed.bound()).expect("the TCP port is free");
}

#[test]
fn a_loop_sends_and_takes_messages_without_another_thread() {
    let mut host = Host::cluster(2);
    let ids = [host.nodes[0].id(), host.nodes[1].id()];
    assert!(host.nodes[0].endpoint().is_some());
    let how = SendOptions::default().in_stream(1).until_processed();
    let mut sent = Vec::new();
    for number in 0..500_u32 {
        sent.push(host.nodes[0].send(ids[1], number.to_le_bytes().to_vec(), how).unwrap());
    }
    assert!(host.nodes[0].deadline().unwrap() <= Instant::now(), "there is something to do");
    let (mut taken, mut outcomes) = (0, Vec::new());
    host.until("all are processed", |host| {
        while let Some(message) = host.nodes[1].take() {
            assert_eq!((message.from, &message.payload[..]), (ids[0], &u32::to_le_bytes(taken)[..]));
            taken += 1;
        }
        outcomes.extend(std::iter::from_fn(|| host.nodes[0].poll_outcome()));
        outcomes.len() == 500
    });
    assert!(outcomes.iter().map(|outcome| outcome.id).eq(sent), "in order, each once");
    assert!(outcomes.iter().all(|outcome| outcome.ending == Ending::Processed));
    let linked = std::iter::from_fn(|| host.nodes[0].poll_message_event().unwrap());
    assert!(linked.into_iter().any(|event| matches!(event, MessageEvent::Linked { peer, .. } if peer == ids[1])));
    let (stats, links) = host.nodes[0].stats().messaging.unwrap();
    assert_eq!((stats.done_processed, links.connects, links.links), (500, 1, 1));

    // In two steps, back the other way; and one that nobody takes before the end.
    let asked = host.nodes[1].send(ids[0], "work", how).unwrap();
    let mut receipt = None;
    host.until("it is there", |host| {
        receipt = host.nodes[0].take_unacknowledged();
        receipt.is_some()
    });
    let (message, receipt) = receipt.unwrap();
    assert_eq!(&message.payload[..], b"work");
    assert_eq!(host.nodes[1].poll_outcome(), None);
    host.nodes[0].acknowledge(receipt).unwrap();
    host.until("its outcome", |host| host.nodes[1].poll_outcome().is_some_and(|outcome| outcome.id == asked));
    let left = host.nodes[1].send(ids[0], "left", how).unwrap();
    host.nodes[1].shut_down();
    assert_eq!(host.nodes[1].send(ids[0], "late", how), Err(SendError::Closed));
    host.until("it is closed", |host| host.nodes[1].is_closed());
    let outcome = host.nodes[1].poll_outcome().unwrap();
    assert_eq!((outcome.id, outcome.ending), (left, Ending::Failed(FailReason::Closed)));
    while host.nodes[1].poll_message_event() != Err(MessageEventsError::Closed) {}
    TcpListener::bind(host.nodes[1].endpoint().unwrap()).expect("the port for links is free");
}

#[test]
fn a_loop_with_nothing_to_do_waits() {
    let mut host = Host::cluster(2);
    let (turns, began) = (host.turns, Instant::now());
    let datagrams = |host: &Host| host.nodes.iter().map(|node| node.stats().node.datagrams_in).sum::<u64>();
    let before = datagrams(&host);
    while began.elapsed() < Duration::from_secs(3) {
        host.turn(Duration::from_secs(1));
    }
    let (turns, datagrams) = (host.turns - turns, datagrams(&host) - before);
    // A turn for what came, and for what was due: not one more without end.
    assert!(datagrams > 4 && turns < 20 * datagrams, "{turns} turns for {datagrams} datagrams");
    assert!(turns < 1_000, "{turns} turns in three seconds");
}

#[test]
fn a_loop_that_asks_for_messages_in_each_turn_waits_all_the_same() {
    let mut host = Host::cluster(2);
    let (ids, strangers) = ([host.nodes[0].id(), host.nodes[1].id()], host.nodes[0].id_of("nobody"));
    let receipt = {
        host.nodes[1].send(ids[0], "once", SendOptions::default()).unwrap();
        let mut taken = None;
        host.until("it is there", |host| {
            taken = host.nodes[0].take_unacknowledged();
            taken.is_some()
        });
        taken.unwrap().1
    };
    host.nodes[0].acknowledge(receipt).unwrap();
    // Whichever is asked last.
    let ask: [fn(&mut Node); 2] = [
        |node| {
            while node.poll_outcome().is_some() {}
            while node.poll_message_event().unwrap().is_some() {}
            while node.take().is_some() {}
        },
        |node| {
            while node.take_unacknowledged().is_some() {}
            while node.poll_message_event().unwrap().is_some() {}
            while node.poll_outcome().is_some() {}
        },
    ];
    for ask in ask {
        let (turns, began) = (host.turns, Instant::now());
        while began.elapsed() < Duration::from_secs(2) {
            host.turn(Duration::from_secs(1));
            for node in &mut host.nodes {
                // What is refused asks for nothing either.
                node.send(strangers, "x", SendOptions::default()).unwrap_err();
                node.acknowledge(receipt).unwrap_err();
                ask(node);
            }
        }
        let turns = host.turns - turns;
        assert!(turns < 1_000, "{turns} turns in two seconds");
    }
}

#[test]
fn to_be_called_early_late_or_twice_is_harmless() {
    let mut host = Host::cluster(2);
    let deadline = host.nodes[0].deadline().unwrap();
    for _ in 0..100 {
        host.nodes[0].handle_timeout();
    }
    assert!(host.nodes[0].deadline().unwrap() >= deadline.min(Instant::now()));
    // Late, again and again, by more than a probe is given: what was answered meanwhile waits in the sockets.
    for _ in 0..3 {
        for node in &mut host.nodes {
            while node.poll_event().unwrap().is_some() {}
        }
        let acked = |host: &Host| host.nodes.iter().map(|node| node.stats().node.probes_acked).collect::<Vec<_>>();
        let before = acked(&host);
        std::thread::sleep(Duration::from_secs(1));
        host.until("both have probed since", |host| {
            acked(host).iter().zip(&before).all(|(now, before)| now - before >= 2)
        });
        for node in 0..2 {
            while let Some(notice) = host.nodes[node].poll_event().unwrap() {
                assert!(!matches!(notice.event, Event::Suspected(_) | Event::Died(_)), "{notice:?}");
            }
        }
    }
}

#[test]
fn a_loop_that_is_late_and_was_told_of_nothing_reads_before_it_judges() {
    let peer = Options::new(loopback()).with_name("peer").with_config(quick()).start().unwrap();
    // That the protocol notices how late it is does not help.
    let config = Config { stall_min: Duration::ZERO, ..quick() };
    let mut host = Host::new();
    let late = Options::new(loopback()).with_name("late").with_config(config);
    host.add(late.with_seeds([peer.address().to_string()]));
    host.until("both are known", |host| alive(&host.nodes[0]) == 2);
    for _ in 0..3 {
        let probes = host.nodes[0].stats().node.probes;
        let heard = peer.stats().unwrap().node.datagrams_in;
        host.until("it probes", |host| host.nodes[0].stats().node.probes > probes);
        while host.nodes[0].poll_event().unwrap().is_some() {}
        // Until the probe's time is over. The answer is there, and nobody says so.
        std::thread::sleep(Duration::from_millis(600));
        while peer.stats().unwrap().node.datagrams_in == heard {
            std::thread::sleep(Duration::from_millis(10));
        }
        host.nodes[0].handle_timeout();
        while let Some(notice) = host.nodes[0].poll_event().unwrap() {
            assert!(!matches!(notice.event, Event::Suspected(_) | Event::Died(_)), "{notice:?}");
        }
    }
}

#[test]
fn a_node_that_has_left_closes_as_soon_as_it_is_asked_to() {
    let mut host = Host::cluster(2);
    host.nodes[1].leave().unwrap();
    host.until("it has left", |host| host.nodes[1].status() == Status::Left);
    let is_due = |node: &Node| node.deadline().is_some_and(|at| at <= Instant::now());
    host.until("it has done what there is to do", |host| !is_due(&host.nodes[1]));
    host.nodes[1].shut_down();
    assert!(is_due(&host.nodes[1]), "there is nothing to wait for");
    host.until("it is closed", |host| host.nodes[1].is_closed());
}

#[test]
fn a_turn_takes_in_so_many_connections_and_the_next_ones_the_others() {
    const PER_TURN: u64 = 16;
    let mut host = Host::cluster(1);
    let node = &host.nodes[0];
    let links = |node: &Node| node.stats().messaging.unwrap().1.accepts;
    let streams = |node: &Node| node.stats().driver.accepts;
    let before = (streams(node), links(node));
    let at = [node.address(), node.endpoint().unwrap()];
    let guests: Vec<_> = (0..40).flat_map(|_| at.map(|at| TcpStream::connect(at).unwrap())).collect();
    let (mut seen, mut turns) = (before, 0);
    host.until("all are in", |host| {
        let node = &host.nodes[0];
        let now = (streams(node), links(node));
        assert!(now.0 - seen.0 <= PER_TURN && now.1 - seen.1 <= PER_TURN, "{seen:?} to {now:?} in one turn");
        turns += u32::from(now != seen);
        let is_first = seen == before && now != before;
        assert!(!is_first || node.deadline().is_some_and(|at| at <= Instant::now()), "there are more");
        seen = now;
        (now.0 - before.0, now.1 - before.1) == (40, 40)
    });
    assert!(turns >= 3, "in {turns} turns");
    drop(guests);
}

#[test]
fn a_loop_that_asks_for_the_end_in_each_turn_waits_for_it() {
    let mut host = Host::cluster(2);
    let turns = host.turns;
    host.until("it is closed", |host| {
        host.nodes[1].shut_down();
        host.nodes[1].is_closed()
    });
    assert!(host.turns - turns < 1_000, "{} turns", host.turns - turns);
    assert_eq!(host.nodes[1].status(), Status::Left);
}

#[test]
fn a_node_that_flushes_waits_whoever_may_ask_it_something() {
    const ASKERS: usize = 40;
    let mut host = Host::cluster(2);
    host.nodes[1].leave().unwrap();
    host.until("it has left", |host| host.nodes[1].status() == Status::Left);
    // It still answers by streams, and this one stays open until the end.
    let _silent = TcpStream::connect(host.nodes[1].address()).unwrap();
    host.until("it is accepted", |host| host.nodes[1].stats().driver.streams > 0);
    let asked = Arc::new(AtomicUsize::new(0));
    let askers = (0..ASKERS).map(|_| {
        let (handle, asked) = (host.nodes[1].handle(), asked.clone());
        std::thread::spawn(move || {
            asked.fetch_add(1, Ordering::Relaxed);
            handle.members()
        })
    });
    let askers: Vec<_> = askers.collect();
    // More of them than one turn answers.
    while asked.load(Ordering::Relaxed) < ASKERS {
        std::thread::yield_now();
    }
    std::thread::sleep(Duration::from_millis(100));
    host.nodes[1].shut_down();
    let mut idle = 0;
    while !host.nodes[1].is_closed() {
        host.nodes[1].handle_timeout();
        idle += u32::from(host.nodes[1].timeout().is_some_and(|timeout| !timeout.is_zero()));
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(idle > 10, "it waited {idle} times");
    let answered = askers.into_iter().filter_map(|asker| asker.join().unwrap().ok()).count();
    assert!(answered < ASKERS, "some came too late");
}

#[test]
fn a_name_is_looked_up_elsewhere_and_the_loop_is_woken() {
    let mut host = Host::new();
    let first = host.add(Options::new(loopback()).with_name("first").with_config(quick()));
    let port = host.nodes[first].address().port();
    let second = Options::new(loopback()).with_name("second").with_config(quick());
    host.add(second.with_seeds([format!("localhost:{port}")]));
    host.until("both are alive", |host| host.nodes.iter().all(|node| alive(node) == 2));
    assert!(host.strangers.contains(&WAKER));
}

#[test]
fn other_threads_ask_by_handles() {
    let mut host = Host::cluster(2);
    let handle = host.nodes[0].handle();
    let asks = std::thread::spawn(move || {
        handle.set_metadata("told by a handle").unwrap();
        (handle.members().unwrap().len(), handle.status(), handle)
    });
    host.until("the metadata is known", |host| {
        let id = host.nodes[0].id();
        host.nodes[1].member(id).is_some_and(|member| member.metadata == "told by a handle")
    });
    host.until("the thread is done", |_| asks.is_finished());
    let (members, status, handle) = asks.join().unwrap();
    assert_eq!((members, status), (2, Status::Joined));
    // Handles come and go: the node is the loop's.
    drop(handle);
    host.turn(Duration::ZERO);
    assert!(!host.nodes[0].is_closed());

    // After the loop has let go of it, a handle says so, and does not wait.
    let handle = host.nodes[1].handle();
    drop(host.nodes.pop());
    assert_eq!(handle.members(), Err(Closed));
    assert_eq!(handle.joined(), Ok(()), "as it stood last");
    handle.closed();
}

#[test]
fn too_few_tokens_are_refused_and_nothing_is_bound() {
    let poll = Poll::new().unwrap();
    let bound = Options::new(loopback()).bind().unwrap();
    let (at, tokens) = (bound.address(), bound.tokens_min());
    let refused = |range: Range<usize>| {
        let error = Options::new(at).bind().unwrap().register(poll.registry(), range, || {}).unwrap_err();
        assert!(matches!(error, StartError::System(_)) && error.to_string().contains("tokens"), "{error}");
    };
    drop(bound);
    refused(0..tokens - 1);
    refused(usize::MAX - 1..usize::MAX);
    Options::new(at).bind().unwrap().register(poll.registry(), 0..tokens, || {}).unwrap();
}

#[test]
fn an_owner_that_hears_nothing_is_told_how_much_was_lost() {
    let mut host = Host::new();
    let mut options = Options::new(loopback()).with_name("deaf").with_config(quick());
    options.events_max = 2;
    host.add(options);
    let seed = host.nodes[0].address().to_string();
    for index in 0..4 {
        let options = Options::new(loopback()).with_name(format!("{index}")).with_config(quick());
        host.add(options.with_seeds([seed.clone()]));
    }
    host.until("all are known", |host| alive(&host.nodes[0]) == 5);
    assert!(matches!(host.nodes[0].poll_event(), Err(EventsError::Lagged(2..))));
    assert!(host.nodes[0].poll_event().unwrap().is_some());
}

#[test]
fn a_peer_that_speaks_no_word_of_ours_is_hung_up_on() {
    let mut host = Host::cluster(1);
    let mut stranger = TcpStream::connect(host.nodes[0].address()).unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    stranger.set_nonblocking(true).unwrap();
    host.until("it is hung up on", |_| match stranger.read(&mut [0]) {
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        Ok(read) => read == 0,
    });
    host.until("it is forgotten", |host| host.nodes[0].stats().driver.streams == 0);
}
