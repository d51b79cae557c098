//! Links that are killed, and strangers on the port for messages.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use socket2::SockRef;
use swim_driver::StartError;
use swim_driver::messaging::{Ending, MessagingConfig, MessagingOptions, Port, SendOptions, Trust};
use swim_proto::messaging::packet::{Hello, Packet, VERSION};
use swim_proto::{ClusterHash, NodeId};

use crate::hostile::{undisturbed, watch};
use crate::messages::{number, reader, send_numbered};
use crate::node::{Events, Mix, Node, PATIENCE, Wanted, all_alive, eventually, loopback, quick};

crate::on_every_mix!(
    links_that_are_killed_lose_nothing_and_repeat_nothing,
    hundreds_of_silent_connections_disturb_nobody,
    garbage_ends_its_own_connection_and_nothing_else,
    a_peer_that_says_nothing_is_cut_off_and_others_go_on,
    a_peer_that_asks_and_never_reads_is_cut_off_and_others_go_on,
    a_peer_that_is_refused_and_goes_on_sending_is_cut_off_and_others_go_on,
);

/// Stands before an endpoint, and cuts whatever goes through it when told to.
#[derive(Clone)]
struct Proxy {
    at: SocketAddr,
    open: Arc<Mutex<Vec<TcpStream>>>,
    links: Arc<AtomicU64>,
}

impl Proxy {
    fn before(endpoint: SocketAddr) -> Proxy {
        let listener = TcpListener::bind(loopback()).unwrap();
        let at = listener.local_addr().unwrap();
        let proxy = Proxy { at, open: Arc::default(), links: Arc::default() };
        let kept = proxy.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                kept.links.fetch_add(1, Ordering::Relaxed);
                let Ok(far) = TcpStream::connect(endpoint) else { continue };
                let [a, b] = [&near, &far].map(|stream| stream.try_clone().unwrap());
                kept.open.lock().unwrap().extend([a, b]);
                carry(near.try_clone().unwrap(), far.try_clone().unwrap());
                carry(far, near);
            }
        });
        proxy
    }

    fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}

/// Two nodes; links to the second go by way of the proxy.
fn through_a_proxy(mix: Mix) -> (Node, Node, Proxy) {
    let config = MessagingConfig {
        trust: Trust::Anywhere,
        link_retry_min: Duration::from_millis(10),
        link_retry_max: Duration::from_millis(50),
        breaker_failures: 0,
        ..MessagingConfig::default()
    };
    let messaging = MessagingOptions::default().with_config(config);
    let left = Wanted { messaging: Some(messaging.clone()), ..Wanted::named("left") }.start(mix, 1).unwrap();
    // Its port is known only once it runs, so a port is chosen for it, unless somebody takes that one first.
    let deadline = Instant::now() + PATIENCE;
    let (right, proxy) = loop {
        let here = loopback();
        let free = TcpListener::bind(here).unwrap().local_addr().unwrap();
        let proxy = Proxy::before(free);
        let messaging = Some(messaging.clone().with_port(Port::At(free.port())));
        let right = Wanted { messaging, endpoint: Some(proxy.at), bind: here, ..Wanted::named("right") };
        match right.with_seeds(&[&left]).start(mix, 2) {
            Ok(right) => break (right, proxy),
            Err(StartError::BindMessaging { .. }) if Instant::now() < deadline => {}
            Err(error) => panic!("{error}"),
        }
    };
    for node in [&left, &right] {
        all_alive(node, 2);
    }
    (left, right, proxy)
}

fn links_that_are_killed_lose_nothing_and_repeat_nothing(mix: Mix) {
    const MESSAGES: u32 = 6_000;
    let (left, right, proxy) = through_a_proxy(mix);
    let (mut incoming, cuts) = (right.incoming(), proxy.clone());
    let reader = std::thread::spawn(move || {
        for expected in 0..MESSAGES {
            assert_eq!(number(&incoming.next()), expected);
            if expected % 1_000 == 500 {
                cuts.cut();
            }
        }
        incoming
    });
    for sent in send_numbered(&left, &right, MESSAGES) {
        assert_eq!(sent.wait().ending, Ending::Processed);
    }
    assert_eq!(reader.join().unwrap().try_recv(), None);
    let links = proxy.links.load(Ordering::Relaxed);
    assert!(links > 1, "{links} links were opened");
    let (stats, counts) = left.post();
    assert_eq!((stats.done_processed, stats.outgoing), (MESSAGES.into(), 0));
    assert!(counts.broken > 0, "{counts:?}");
}

/// Sends to and fro, and looks whether nobody was held for dead meanwhile, be it for a moment.
fn all_is_well(nodes: &[Node], watched: &mut [Events]) {
    for (from, to) in [(0, 1), (1, 0)] {
        let reader = reader(nodes[to].incoming(), 100);
        for sent in send_numbered(&nodes[from], &nodes[to], 100) {
            assert_eq!(sent.wait().ending, Ending::Processed);
        }
        reader.join().unwrap();
    }
    undisturbed(nodes, watched);
}

fn hundreds_of_silent_connections_disturb_nobody(mix: Mix) {
    const SILENT: u64 = 300;
    const HANDSHAKES: u64 = 64;
    let mut messaging = MessagingOptions::default();
    messaging.handshakes_max = HANDSHAKES as usize;
    let wanted = |name: &str| Wanted { messaging: Some(messaging.clone()), ..Wanted::named(name) };
    let left = wanted("left").start(mix, 0).unwrap();
    let right = wanted("right").with_seeds(&[&left]).start(mix, 1).unwrap();
    let nodes = [left, right];
    nodes.iter().for_each(|node| all_alive(node, 2));
    let mut watched = watch(&nodes);
    let target = nodes[1].local().endpoint.unwrap();
    all_is_well(&nodes, &mut watched);
    let silent: Vec<TcpStream> = (0..SILENT).map(|_| TcpStream::connect(target).unwrap()).collect();
    all_is_well(&nodes, &mut watched);
    let (_, counts) = nodes[1].post();
    assert!(u64::from(counts.handshakes) <= HANDSHAKES, "{counts:?}");
    eventually("all have been looked at", || {
        let (_, counts) = nodes[1].post();
        counts.accepts > SILENT && counts.pushed_out + counts.handshakes_failed >= SILENT - HANDSHAKES
    });
    // In the end nobody is left of them.
    eventually("none is left", || nodes[1].post().1.handshakes == 0);
    drop(silent);
}

/// A greeting of ZMTP 3 with NULL.
fn greeting(minor: u8) -> Vec<u8> {
    let mut greeting = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, minor];
    greeting.extend(b"NULL");
    greeting.resize(64, 0);
    greeting
}

/// The READY of a DEALER with this identity, if with any.
fn ready(identity: &[u8]) -> Vec<u8> {
    let mut body = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER".to_vec();
    if !identity.is_empty() {
        body.extend(b"\x08Identity");
        body.extend((identity.len() as u32).to_be_bytes());
        body.extend(identity);
    }
    // A long command.
    [&[6], &(body.len() as u64).to_be_bytes()[..], &body].concat()
}

/// All that a DEALER says before it may speak.
fn handshake() -> Vec<u8> {
    [greeting(1), ready(&[])].concat()
}

/// A stranger that says this, and hears until it is hung up on.
fn says(target: SocketAddr, what: &[u8]) -> Vec<u8> {
    let mut stranger = TcpStream::connect(target).unwrap();
    stranger.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stranger.write_all(what);
    let mut heard = Vec::new();
    // It ends, politely or not.
    if let Err(error) = stranger.read_to_end(&mut heard) {
        assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "nobody has hung up");
    }
    heard
}

fn garbage_ends_its_own_connection_and_nothing_else(mix: Mix) {
    // Nobody is hung up on for being silent: neither by the messenger, nor, as who greets as ZMTP 3.0, for want of a PONG.
    let nodes =
        two_with(mix, MessagingConfig { link_timeout: Duration::from_secs(3600), ..MessagingConfig::default() });
    let mut watched = watch(&nodes);
    let target = nodes[1].local().endpoint.unwrap();
    let never_ready = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0; 4096],
        vec![0xff; 4096],
        [greeting(0), ready(&[b'x'; 256])].concat(),
        [greeting(0), ready(b"\0x")].concat(),
    ];
    for case in &never_ready {
        // Who has not finished the handshake after 5 s is hung up on for that: this is not what ends it. A busy machine may
        // take as long now and then.
        let is_refused = || {
            let began = Instant::now();
            says(target, case);
            began.elapsed() < Duration::from_secs(4)
        };
        assert!((0..5).any(|_| is_refused()), "it had all its time: {case:?}");
    }
    let (_, counts) = nodes[1].post();
    assert!(counts.handshakes_failed >= never_ready.len() as u64, "{counts:?}");

    let after = |what: &[u8]| [&greeting(0)[..], &ready(&[]), what].concat();
    let declares = |bytes: u64| after(&[&[2], &bytes.to_be_bytes()[..]].concat());
    let against_the_rules = [
        declares(1 << 40),
        declares(1 << 63),
        after(&ready(&[])),
        // Parts without end: with nothing in them, with something, and with much.
        after(&[1, 0].repeat(10_000)),
        after(&[&[1, 255][..], &[7; 255]].concat().repeat(1_000)),
        after(&[&[3, 0, 0, 0, 0, 0, 0, 0x10, 0][..], &[7; 4096]].concat().repeat(1_000)),
    ];
    for case in &against_the_rules {
        says(target, case);
    }
    let (_, counts) = nodes[1].post();
    assert_eq!(counts.broken, against_the_rules.len() as u64, "each link was ended: {counts:?}");
    // A message that is no packet.
    says(target, &after(&[0, 3, 1, 2, 3]));
    let (stats, _) = nodes[1].post();
    assert_eq!(stats.drops.malformed, 1, "{:?}", stats.drops);
    all_is_well(&nodes, &mut watched);
}

/// Two nodes that know each other, and move messages by these settings.
fn two_with(mix: Mix, config: MessagingConfig) -> [Node; 2] {
    let messaging = Some(MessagingOptions::default().with_config(config));
    let left = Wanted { messaging: messaging.clone(), ..Wanted::named("left") }.start(mix, 0).unwrap();
    let right = Wanted { messaging, ..Wanted::named("right") }.with_seeds(&[&left]).start(mix, 1).unwrap();
    let nodes = [left, right];
    nodes.iter().for_each(|node| all_alive(node, 2));
    nodes
}

fn a_peer_that_says_nothing_is_cut_off_and_others_go_on(mix: Mix) {
    // Whole handshakes, then silence: closed by the messenger after link_timeout.
    let config = MessagingConfig { link_timeout: Duration::from_millis(300), ..MessagingConfig::default() };
    let nodes = two_with(mix, config);
    let target = nodes[1].local().endpoint.unwrap();
    let strangers: Vec<_> = (0..50).map(|_| std::thread::spawn(move || says(target, &handshake()))).collect();
    let mut incoming = nodes[1].incoming();
    let sent = nodes[0].send(nodes[1].id(), "x", SendOptions::default()).unwrap();
    assert_eq!(&incoming.next().payload[..], b"x");
    assert!(sent.wait().is_success());
    for stranger in strangers {
        assert!(stranger.join().unwrap().starts_with(&[0xff]), "it was greeted");
    }
    let (stats, _) = nodes[1].post();
    assert!(stats.drops.silent + stats.drops.pushed_out >= 50, "{:?}", stats.drops);
}

/// Says this over and over, until it is hung up on; how many bytes.
fn says_for_ever(stranger: &mut TcpStream, what: &[u8]) -> usize {
    let (until, mut said) = (Instant::now() + PATIENCE, 0);
    stranger.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    loop {
        assert!(Instant::now() < until, "it was never cut off, after {said} bytes");
        match stranger.write(&what[said % what.len()..]) {
            Ok(len) => said += len,
            Err(error) if [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind()) => {}
            Err(_) => return said,
        }
    }
}

fn a_peer_that_asks_and_never_reads_is_cut_off_and_others_go_on(mix: Mix) {
    let config = MessagingConfig { link_timeout: Duration::from_secs(2), ..MessagingConfig::default() };
    let nodes = two_with(mix, config);
    let mut watched = watch(&nodes);
    let target = nodes[1].local().endpoint.unwrap();
    // PINGs with as much context as a PONG gives back.
    let ping = [&b"\x04\x17\x04PING\x00\x00"[..], &[7; 16]].concat();
    assert_eq!(ping.len(), 25);
    let pings = ping.repeat(2_000);
    let strangers: Vec<_> = (0..4)
        .map(|_| {
            let pings = pings.clone();
            std::thread::spawn(move || {
                let stranger = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
                // Little fits on its side.
                stranger.set_recv_buffer_size(4096).unwrap();
                stranger.connect(&target.into()).unwrap();
                let mut stranger = TcpStream::from(stranger);
                stranger.write_all(&handshake()).unwrap();
                says_for_ever(&mut stranger, &pings)
            })
        })
        .collect();
    all_is_well(&nodes, &mut watched);
    for stranger in strangers {
        assert!(stranger.join().unwrap() > 0);
    }
    all_is_well(&nodes, &mut watched);
    eventually("nothing of them is left", || nodes[1].post().1.handshakes == 0 && nodes[1].post().1.links <= 2);
    let (stats, _) = nodes[1].post();
    assert!(stats.drops.silent + stats.drops.pushed_out >= 4, "{:?}", stats.drops);
}

fn a_peer_that_is_refused_and_goes_on_sending_is_cut_off_and_others_go_on(mix: Mix) {
    const STRANGERS: u64 = 4;
    let nodes = two_with(mix, MessagingConfig::default());
    let mut watched = watch(&nodes);
    let target = nodes[1].local().endpoint.unwrap();
    // Of the same cluster, from nobody whom the node knows: it is told so, and the link is closed.
    let cluster = quick().cluster;
    let hello = Packet::Hello(Hello {
        cluster: ClusterHash::of(&cluster),
        version_min: VERSION,
        version_max: VERSION,
        source: NodeId::of(&cluster, "nobody"),
        target: nodes[1].id(),
        life: 1,
        session: 7,
    });
    let mut packet = Vec::new();
    hello.encode(&mut packet);
    let hello = [handshake(), vec![0, packet.len() as u8], packet].concat();
    let strangers: Vec<_> = (0..STRANGERS)
        .map(|_| {
            let hello = hello.clone();
            std::thread::spawn(move || {
                let mut stranger = TcpStream::connect(target).unwrap();
                stranger.write_all(&hello).unwrap();
                // There is always something to read.
                says_for_ever(&mut stranger, &[0; 65_536])
            })
        })
        .collect();
    all_is_well(&nodes, &mut watched);
    for stranger in strangers {
        assert!(stranger.join().unwrap() > 0);
    }
    all_is_well(&nodes, &mut watched);
    let (stats, counts) = nodes[1].post();
    assert_eq!((stats.drops.strangers, counts.handshakes), (STRANGERS, 0), "{:?}", stats.drops);
}
