//! Links that are killed, and strangers on the port for messages.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use swim_tokio::{Ending, Events, Handle, MessagingConfig, MessagingOptions, SendOptions, Trust};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use crate::cluster::{all_alive, cluster, eventually, loopback, options, soon};
use crate::hostile::{undisturbed, watch};
use crate::messages::{next, number, send_numbered};

/// Stands before an endpoint, and cuts whatever goes through it when told to.
struct Proxy {
    at: SocketAddr,
    cut: broadcast::Sender<()>,
    links: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    async fn before(endpoint: SocketAddr) -> Proxy {
        let listener = TcpListener::bind(loopback()).await.unwrap();
        let at = listener.local_addr().unwrap();
        let cut = broadcast::Sender::new(1);
        let links = Arc::new(AtomicU64::new(0));
        let (cuts, counted, mut tasks) = (cut.clone(), links.clone(), JoinSet::new());
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
                let mut cut = cuts.subscribe();
                open.spawn(async move {
                    let Ok(mut far) = TcpStream::connect(endpoint).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.recv() => {
                            let _ = near.set_zero_linger();
                            let _ = far.set_zero_linger();
                        }
                    }
                });
            }
        });
        Proxy { at, cut, links, _tasks: tasks }
    }
}

/// Two nodes; links to the second go by way of the proxy.
async fn through_a_proxy() -> (Handle, Handle, Proxy) {
    let config = MessagingConfig {
        trust: Trust::Anywhere,
        link_retry_min: Duration::from_millis(10),
        link_retry_max: Duration::from_millis(50),
        breaker_failures: 0,
        ..MessagingConfig::default()
    };
    let messaging = MessagingOptions::default().with_config(config);
    let left = options("left").with_messaging(messaging.clone()).start().await.unwrap();
    // Its port is known only once it runs, so a port is chosen for it, unless somebody takes that one first.
    let deadline = Instant::now() + Duration::from_secs(60);
    let (right, proxy) = loop {
        let here = loopback();
        let free = std::net::TcpListener::bind(here).unwrap().local_addr().unwrap();
        let proxy = Proxy::before(free).await;
        let mut right = options("right").with_seeds([left.address().to_string()]);
        right.bind = here;
        right.endpoint = Some(proxy.at);
        right.messaging = Some(messaging.clone().with_port(swim_tokio::Port::At(free.port())));
        match right.start().await {
            Ok(right) => break (right, proxy),
            Err(swim_tokio::StartError::BindMessaging { .. }) if Instant::now() < deadline => {}
            Err(error) => panic!("{error}"),
        }
    };
    for node in [&left, &right] {
        all_alive(node, 2).await;
    }
    (left, right, proxy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_that_are_killed_lose_nothing_and_repeat_nothing() {
    const MESSAGES: u32 = 20_000;
    let (left, right, proxy) = through_a_proxy().await;
    let mut incoming = right.incoming();
    let reader = tokio::spawn(async move {
        for expected in 0..MESSAGES {
            assert_eq!(number(&next(&mut incoming).await), expected);
            if expected % 2_000 == 1_000 {
                // A refusal means that the link is between two lives.
                let _ = proxy.cut.send(());
            }
        }
        (incoming, proxy)
    });
    for sent in send_numbered(&left, &right, MESSAGES).await {
        assert_eq!(soon("an outcome", sent).await.ending, Ending::Processed);
    }
    let (mut incoming, proxy) = reader.await.unwrap();
    assert_eq!(incoming.try_recv(), None);
    let links = proxy.links.load(Ordering::Relaxed);
    assert!(links > 1, "{links} links were opened");
    let (stats, counts) = left.stats().await.unwrap().messaging.unwrap();
    assert_eq!((stats.done_processed, stats.outgoing), (MESSAGES.into(), 0));
    assert!(counts.broken > 0, "{counts:?}");
}

/// Sends, and looks whether nobody was held for dead meanwhile, be it for a moment.
async fn all_is_well(nodes: &[Handle], watched: &mut [Events]) {
    let mut incoming = nodes[1].incoming();
    let reader = tokio::spawn(async move {
        for expected in 0..200 {
            assert_eq!(number(&next(&mut incoming).await), expected);
        }
    });
    for sent in send_numbered(&nodes[0], &nodes[1], 200).await {
        assert_eq!(soon("an outcome", sent).await.ending, Ending::Processed);
    }
    reader.await.unwrap();
    undisturbed(nodes, watched).await;
}

/// Room for so many open files: a shell mostly allows 1,024.
fn room_for(files: u64) {
    let allowed = rlimit::increase_nofile_limit(files).expect("the system says how many files may be open");
    assert!(allowed >= files, "{files} files are opened at once, of which {allowed} are allowed (`ulimit -Hn`)");
}

#[tokio::test]
async fn two_thousand_silent_connections_disturb_nobody() {
    room_for(5_000);
    let nodes = cluster(2).await;
    let mut watched = watch(&nodes).await;
    let target = nodes[1].local().await.unwrap().endpoint.unwrap();
    all_is_well(&nodes, &mut watched).await;
    let mut silent = Vec::new();
    for _ in 0..2_000 {
        silent.push(soon("a connection", TcpStream::connect(target)).await.unwrap());
    }
    all_is_well(&nodes, &mut watched).await;
    let (_, counts) = nodes[1].stats().await.unwrap().messaging.unwrap();
    assert!(counts.handshakes <= 256, "{counts:?}");
    eventually("all have been looked at", async || {
        let (_, counts) = nodes[1].stats().await.unwrap().messaging.unwrap();
        counts.accepts >= 2_001 && counts.pushed_out + counts.handshakes_failed >= 2_000 - 256
    })
    .await;
    // New links are taken in between them.
    let mut incoming = nodes[0].incoming();
    let back = nodes[1].send(nodes[0].id(), "back", SendOptions::default()).await.unwrap();
    assert_eq!(&next(&mut incoming).await.payload[..], b"back");
    assert!(soon("an outcome", back).await.is_success());
    // In the end nobody is left of them.
    eventually("none is left", async || nodes[1].stats().await.unwrap().messaging.unwrap().1.handshakes == 0).await;
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

/// Two nodes that know each other, and move messages by these settings.
async fn two_with(config: MessagingConfig) -> [Handle; 2] {
    let messaging = MessagingOptions::default().with_config(config);
    let left = options("left").with_messaging(messaging.clone()).start().await.unwrap();
    let right =
        options("right").with_messaging(messaging).with_seeds([left.address().to_string()]).start().await.unwrap();
    let nodes = [left, right];
    for node in &nodes {
        all_alive(node, 2).await;
    }
    nodes
}

/// A stranger that says this, until it is hung up on.
async fn says(target: SocketAddr, what: &[u8]) {
    let mut stranger = soon("a connection", TcpStream::connect(target)).await.unwrap();
    let _ = stranger.write_all(what).await;
    // It ends, politely or not.
    let _ = soon("the end", stranger.read_to_end(&mut Vec::new())).await;
}

#[tokio::test]
async fn garbage_ends_its_own_connection_and_nothing_else() {
    // Nobody is hung up on for being silent: neither by the messenger, nor, as who greets as ZMTP 3.0, for want of a PONG.
    let config = MessagingConfig { link_timeout: Duration::from_secs(3600), ..MessagingConfig::default() };
    let nodes = two_with(config).await;
    let mut watched = watch(&nodes).await;
    let target = nodes[1].local().await.unwrap().endpoint.unwrap();
    let counted = async || nodes[1].stats().await.unwrap().messaging.unwrap();
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
        let mut tries = 0;
        let mut took = Duration::MAX;
        while took > Duration::from_secs(4) {
            tries += 1;
            assert!(tries <= 5, "it had all its time: {case:?}");
            let began = Instant::now();
            says(target, case).await;
            took = began.elapsed();
        }
    }
    let (_, counts) = counted().await;
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
        says(target, case).await;
    }
    let (_, counts) = counted().await;
    assert_eq!(counts.broken, against_the_rules.len() as u64, "each link was ended: {counts:?}");
    // A message that is no packet.
    says(target, &after(&[0, 3, 1, 2, 3])).await;
    let (stats, _) = counted().await;
    assert_eq!(stats.drops.malformed, 1, "{:?}", stats.drops);
    all_is_well(&nodes, &mut watched).await;
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_cut_off_and_others_go_on() {
    // Whole handshakes, then silence: closed by the messenger after link_timeout.
    let config = MessagingConfig { link_timeout: Duration::from_millis(300), ..MessagingConfig::default() };
    let nodes = two_with(config).await;
    let mut watched = watch(&nodes).await;
    let target = nodes[1].local().await.unwrap().endpoint.unwrap();
    let handshake = [greeting(1), ready(&[])].concat();
    let mut strangers = Vec::new();
    for _ in 0..50 {
        let mut stranger = soon("a connection", TcpStream::connect(target)).await.unwrap();
        stranger.write_all(&handshake).await.unwrap();
        strangers.push(stranger);
    }
    all_is_well(&nodes, &mut watched).await;
    for stranger in &mut strangers {
        let mut heard = Vec::new();
        let _ = soon("the end", stranger.read_to_end(&mut heard)).await;
        assert!(heard.starts_with(&[0xff]), "it was greeted");
    }
    let (stats, _) = nodes[1].stats().await.unwrap().messaging.unwrap();
    assert!(stats.drops.silent + stats.drops.pushed_out >= 50, "{:?}", stats.drops);
}
