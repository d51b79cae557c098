//! Whatever comes on a link: bytes, lies in good form, packets out of turn. One messenger among liars, who are known
//! members on known hosts, and one honest member, whose messages must not be disturbed.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use swim_proto::messaging::packet::{
    Ack, Data, Forward, Hello, Packet, Probe, Range, Refusal, Refuse, VERSION, Welcome,
};
use swim_proto::messaging::{
    Action, Confirm, Ending, Event, LinkId, LinkInput, LocalPeer, MemberInput, MessagingConfig, Messenger, Order,
    Outgoing,
};
use swim_proto::{ClusterHash, Instant};
use swim_tests::post::{Dice, endpoint, id};

const LIARS: usize = 3;
/// The honest member's place among the members; the messenger that is lied to is 0, liars come after.
const HONEST: usize = 1;

fn cluster() -> ClusterHash {
    ClusterHash::of("post")
}

fn messenger(agent: usize, config: &MessagingConfig) -> Messenger {
    let local = LocalPeer { id: id(agent), life: 1, cluster: cluster() };
    let mut messenger = Messenger::new(Instant::ZERO, local, config.clone(), agent as u64).unwrap();
    for other in (0..2 + LIARS).filter(|&other| other != agent) {
        let input = MemberInput::Live { life: 1, address: endpoint(other), endpoint: Some(endpoint(other)) };
        messenger.handle_member(Instant::ZERO, id(other), input);
    }
    messenger
}

fn config() -> MessagingConfig {
    MessagingConfig {
        message_max: 1_000,
        queue_messages_max: 64,
        window_messages: 64,
        window_bytes: 20_000,
        incoming_bytes_max: 100_000,
        accepted_max: 32,
        link_retry_max: Duration::from_millis(200),
        breaker_failures: 0,
        ..MessagingConfig::default()
    }
}

/// A link to or from a liar.
#[derive(Clone, Copy)]
struct Lie {
    link: LinkId,
    liar: usize,
    /// The victim opened it.
    opened: bool,
}

struct Stage {
    now: Instant,
    dice: Dice,
    victim: Messenger,
    honest: Messenger,
    lies: Vec<Lie>,
    /// Links between the honest two: the victim's name and the honest one's.
    wires: Vec<(LinkId, LinkId)>,
    sent: u64,
    delivered: u64,
    taken: u64,
    outcomes: u64,
    /// The session and inbox that the liars name.
    inbox: u64,
    config: MessagingConfig,
}

impl Stage {
    fn new(seed: u64) -> Stage {
        let config = config();
        Stage {
            now: Instant::ZERO,
            dice: Dice::new(seed),
            victim: messenger(0, &config),
            honest: messenger(HONEST, &config),
            lies: Vec::new(),
            wires: Vec::new(),
            sent: 0,
            delivered: 0,
            taken: 0,
            outcomes: 0,
            inbox: 1,
            config,
        }
    }

    /// Does what both want done, until neither wants anything.
    fn poll(&mut self) {
        let mut buf = Vec::new();
        for _ in 0..100_000 {
            let action = self.victim.poll_action(&mut buf);
            if let Some(action) = action {
                self.victim_acts(action);
                continue;
            }
            while let Some(received) = self.victim.take(self.now) {
                self.taken += u64::from(received.from == id(HONEST));
            }
            while self.honest.take(self.now).is_some() {}
            let Some(action) = self.honest.poll_action(&mut buf) else {
                if let Some(action) = self.victim.poll_action(&mut buf) {
                    self.victim_acts(action);
                    continue;
                }
                return;
            };
            match action {
                Action::Open { link, to, .. } if to == endpoint(0) => {
                    let from = SocketAddr::from((endpoint(HONEST).ip(), 5_000));
                    match self.victim.accept_link(self.now, from) {
                        Some(there) => {
                            self.wires.push((there, link));
                            self.honest.handle_link(self.now, link, LinkInput::Up);
                        }
                        None => self.honest.handle_link(self.now, link, LinkInput::Down),
                    }
                }
                Action::Open { link, .. } => self.honest.handle_link(self.now, link, LinkInput::Down),
                Action::Send { link, header, payload } => {
                    let parts: Vec<Bytes> = [Bytes::copy_from_slice(header)].into_iter().chain(payload).collect();
                    if let Some(&(there, _)) = self.wires.iter().find(|(_, here)| *here == link) {
                        self.victim.handle_link(self.now, there, LinkInput::Packet(&parts));
                    }
                }
                Action::Close { link } => {
                    if let Some(at) = self.wires.iter().position(|(_, here)| *here == link) {
                        let (there, _) = self.wires.swap_remove(at);
                        self.victim.handle_link(self.now, there, LinkInput::Down);
                    }
                }
                Action::Event(Event::Outcome(outcome)) => {
                    self.delivered += u64::from(outcome.ending == Ending::Processed);
                }
                Action::Event(_) => {}
            }
        }
        panic!("there is no end to what is to be done");
    }

    fn victim_acts(&mut self, action: Action<'_>) {
        match action {
            Action::Open { link, to, .. } => match (2..2 + LIARS).find(|&liar| endpoint(liar) == to) {
                Some(liar) => {
                    self.lies.push(Lie { link, liar, opened: true });
                    self.victim.handle_link(self.now, link, LinkInput::Up);
                }
                None => self.victim.handle_link(self.now, link, LinkInput::Down),
            },
            Action::Send { link, header, payload } => {
                let parts: Vec<Bytes> = [Bytes::copy_from_slice(header)].into_iter().chain(payload).collect();
                if let Some(&(_, there)) = self.wires.iter().find(|(here, _)| *here == link) {
                    self.honest.handle_link(self.now, there, LinkInput::Packet(&parts));
                }
            }
            Action::Close { link } => {
                self.lies.retain(|lie| lie.link != link);
                if let Some(at) = self.wires.iter().position(|(here, _)| *here == link) {
                    let (_, there) = self.wires.swap_remove(at);
                    self.honest.handle_link(self.now, there, LinkInput::Down);
                }
            }
            Action::Event(Event::Outcome(_)) => self.outcomes += 1,
            Action::Event(_) => {}
        }
    }

    /// A number that means something, or nearly, or nothing.
    fn number(&mut self) -> u64 {
        match self.dice.below(6) {
            0 => self.dice.any() >> self.dice.below(64),
            1 => 1 << 62,
            _ => self.dice.below(80) as u64,
        }
    }

    fn ranges(&mut self, mut after: u64) -> Vec<Range> {
        let mut ranges = Vec::new();
        for _ in 0..self.dice.below(4) {
            let first = after + 2 + self.dice.below(9) as u64;
            after = first + self.dice.below(9) as u64;
            ranges.push(Range { first, last: after });
        }
        ranges
    }

    /// A packet in good form.
    fn lie(&mut self, lie: Lie) -> Packet {
        let number = self.number().clamp(1, 1 << 62);
        let stream = (self.dice.below(2) == 0).then_some(3);
        let back = if stream.is_some() { self.dice.below(number.min(9) as usize) as u64 } else { 0 };
        let any = self.dice.any();
        match self.dice.below(12) {
            0 => Packet::Refuse(Refuse { why: self.dice.one_of(&Refusal::ALL), retry_ms: 3 }),
            1 => Packet::Probe(Probe { number }),
            2 | 3 => Packet::Forward(Forward { number, back, cost: any as u32 >> self.dice.below(32) }),
            4..7 => Packet::Data(Data { number, back, class: any as u8 & 3, stream, repeated: any & 4 == 0 }),
            7 => Packet::Hello(self.hello(lie.liar)),
            8 => Packet::Welcome(Welcome {
                version: VERSION,
                source: id(if any.is_multiple_of(9) { 0 } else { lie.liar }),
                life: 1 + any % 2,
                session: 7,
                inbox: any % 3,
                message_max: any as u32 >> self.dice.below(32),
                window_messages: any as u32,
                base_bytes: (any >> 9) as u32,
            }),
            _ => {
                let processed_to = self.dice.below(40) as u64;
                let delivered_to = processed_to + self.dice.below(40) as u64;
                Packet::Ack(Ack {
                    delivered_to,
                    processed_to,
                    credit_messages: self.number().min(1 << 62),
                    credit_bytes: self.number().min(1 << 62),
                    echo: self.dice.below(3) as u64,
                    delivered: self.ranges(delivered_to),
                    processed: self.ranges(processed_to),
                })
            }
        }
    }

    fn hello(&mut self, liar: usize) -> Hello {
        let any = self.dice.any();
        Hello {
            cluster: if any.is_multiple_of(11) { ClusterHash(5) } else { cluster() },
            version_min: 1 + (any.is_multiple_of(13)) as u8,
            version_max: 2,
            source: id(if any.is_multiple_of(7) { HONEST } else { liar }),
            target: id(usize::from(any.is_multiple_of(17))),
            life: 1 + u64::from(any.is_multiple_of(5)),
            session: any % 3,
        }
    }

    /// What a liar puts on a link, in pieces.
    fn parts(&mut self, lie: Lie) -> Vec<Bytes> {
        let mut header = Vec::new();
        let packet = self.lie(lie);
        packet.encode(&mut header);
        let bent = self.dice.below(8) == 0;
        if bent {
            let at = self.dice.below(header.len());
            header[at] = self.dice.any() as u8;
        }
        let noise = self.dice.below(20) == 0;
        if noise {
            header = (0..self.dice.below(2_000)).map(|_| self.dice.any() as u8).collect();
        }
        let payload = Bytes::from(vec![0; self.dice.below(1_200)]);
        let data = matches!(packet, Packet::Data(_));
        let parts = match self.dice.below(30) {
            0 => 0,
            1 => 1,
            2 => 2,
            3 => 40,
            _ => 1 + usize::from(data),
        };
        std::iter::once(header.into()).chain(std::iter::repeat(payload)).take(parts).collect()
    }

    /// A liar that plays along until the link is of use.
    fn play_along(&mut self, lie: Lie) {
        let packets = if lie.opened {
            self.inbox += u64::from(self.dice.below(3) == 0);
            vec![
                Packet::Welcome(Welcome {
                    version: VERSION,
                    source: id(lie.liar),
                    life: 1,
                    session: 7,
                    inbox: self.inbox,
                    message_max: 1_000,
                    window_messages: 64,
                    base_bytes: 2_128,
                }),
                Packet::Ack(Ack { credit_messages: 1 << 62, credit_bytes: 1 << 62, echo: 1, ..Ack::default() }),
            ]
        } else {
            let hello = Hello {
                cluster: cluster(),
                version_min: VERSION,
                version_max: VERSION,
                source: id(lie.liar),
                target: id(0),
                life: 1,
                session: self.dice.below(3) as u64,
            };
            vec![Packet::Hello(hello)]
        };
        for packet in packets {
            let mut header = Vec::new();
            packet.encode(&mut header);
            self.victim.handle_link(self.now, lie.link, LinkInput::Packet(&[header.into()]));
        }
    }

    fn step(&mut self) {
        let liar = 2 + self.dice.below(LIARS);
        let lie = (!self.lies.is_empty()).then(|| self.lies[self.dice.below(self.lies.len())]);
        match (self.dice.below(20), lie) {
            (0..10, Some(lie)) => {
                let parts = self.parts(lie);
                self.victim.handle_link(self.now, lie.link, LinkInput::Packet(&parts));
            }
            (10..13, Some(lie)) => self.play_along(lie),
            (13, Some(lie)) => {
                let inputs = [LinkInput::Up, LinkInput::Full, LinkInput::Writable, LinkInput::Down];
                let input = self.dice.one_of(&inputs);
                self.victim.handle_link(self.now, lie.link, input);
                if matches!(input, LinkInput::Down) {
                    self.lies.retain(|other| other.link != lie.link);
                }
            }
            (14, _) => self.victim.handle_link(self.now, LinkId(self.dice.any()), LinkInput::Down),
            (15, _) => {
                let from = SocketAddr::from((endpoint(liar).ip(), 6_000));
                let link = self.victim.accept_link(self.now, from);
                self.lies.extend(link.map(|link| Lie { link, liar, opened: false }));
            }
            (16 | 17, _) => {
                let message = Outgoing {
                    confirm: self.dice.one_of(&[Confirm::Sent, Confirm::Delivered, Confirm::Processed]),
                    order: self.dice.one_of(&[Order::Unordered, Order::Stream(1)]),
                    expiry: Some(Duration::from_millis(1 + self.dice.below(2_000) as u64)),
                    redeliverable: self.dice.below(2) == 0,
                    ..Outgoing::new(id(liar), Bytes::from(vec![0; self.dice.below(1_001)]))
                };
                let _ = self.victim.send(self.now, message);
            }
            (18, _) => {
                let message = Outgoing {
                    confirm: Confirm::Processed,
                    expiry: Some(Duration::from_secs(1_000)),
                    ..Outgoing::new(id(0), Bytes::from_static(b"honest"))
                };
                self.sent += u64::from(self.honest.send(self.now, message).is_ok());
            }
            _ => self.now += Duration::from_millis(self.dice.below(40) as u64),
        }
        for messenger in [&mut self.victim, &mut self.honest] {
            if messenger.deadline().is_some_and(|deadline| deadline <= self.now) {
                messenger.handle_timeout(self.now);
                assert!(messenger.deadline().is_none_or(|deadline| deadline > self.now));
            }
        }
        self.poll();
    }

    fn check(&self) {
        let stats = self.victim.stats();
        assert!(stats.incoming_bytes <= self.config.incoming_bytes_max, "{stats:?}");
        assert!(stats.links <= self.config.links_max + self.config.accepted_max);
        assert!(stats.outgoing + stats.lingering <= (1 + LIARS as u32) * self.config.queue_messages_max);
        let done = stats.done_sent + stats.done_delivered + stats.done_processed;
        assert_eq!(stats.accepted, done + stats.expired + stats.cancelled + stats.failed + u64::from(stats.outgoing));
        assert_eq!(self.outcomes, stats.accepted - u64::from(stats.outgoing));
    }
}

#[test]
fn liars_disturb_nobody() {
    let mut drops = swim_proto::messaging::Drops::default();
    for seed in 0..40 {
        let mut stage = Stage::new(seed);
        for _ in 0..5_000 {
            stage.step();
            stage.check();
        }
        // The liars stop: what the honest one said is processed, but for what is still new.
        for _ in 0..400 {
            stage.now += Duration::from_millis(20);
            stage.victim.handle_timeout(stage.now);
            stage.honest.handle_timeout(stage.now);
            stage.poll();
        }
        let honest = stage.honest.stats();
        assert_eq!((honest.outgoing, honest.expired), (0, 0), "seed {seed}: {honest:?}");
        // A liar that greets in the honest one's name ends its inbox now and then: only from the honest one's host.
        assert_eq!((stage.delivered, stage.taken), (stage.sent, stage.sent), "seed {seed}");
        let now = stage.victim.stats().drops;
        for (sum, more) in [
            (&mut drops.malformed, now.malformed),
            (&mut drops.unexpected, now.unexpected),
            (&mut drops.credit, now.credit),
            (&mut drops.strangers, now.strangers),
            (&mut drops.foreign, now.foreign),
            (&mut drops.misdirected, now.misdirected),
            (&mut drops.early, now.early),
            (&mut drops.version, now.version),
            (&mut drops.unknown_kind, now.unknown_kind),
        ] {
            *sum += more;
        }
    }
    let all = [drops.malformed, drops.unexpected, drops.credit, drops.strangers, drops.foreign, drops.misdirected];
    let rest = [drops.early, drops.version, drops.unknown_kind];
    assert!(all.iter().chain(&rest).all(|&count| count > 20), "everything was tried: {drops:?}");
}

#[test]
fn a_receiver_with_credit_for_everything_that_acknowledges_nothing_costs_a_window() {
    let mut stage = Stage::new(1);
    let mut on_link = 0;
    for round in 0..20_000u64 {
        stage.now += Duration::from_millis(1);
        let message = Outgoing {
            expiry: Some(Duration::from_millis(50)),
            ..Outgoing::new(id(2), Bytes::from_static(b"into the void"))
        };
        let _ = stage.victim.send(stage.now, message);
        stage.victim.handle_timeout(stage.now);
        stage.poll();
        if let Some(&lie) = stage.lies.last()
            && stage.victim.peer(id(2)).is_some_and(|peer| !peer.linked)
        {
            stage.play_along(lie);
            stage.poll();
        }
        on_link = stage.victim.stats().data_out;
        if round % 1_000 == 0 {
            stage.check();
        }
    }
    let stats = stage.victim.stats();
    assert_eq!(stats.accepted, stats.expired + stats.failed + u64::from(stats.outgoing), "{stats:?}");
    assert!(on_link < 20_000 && stats.outgoing <= 60, "{stats:?}");
}

#[test]
fn an_acknowledgement_of_what_was_not_sent_closes_the_link_and_ends_no_message() {
    let mut stage = Stage::new(3);
    let message = Outgoing::new(id(2), Bytes::from_static(b"x"));
    stage.victim.send(stage.now, message).unwrap();
    stage.poll();
    let lie = stage.lies[0];
    stage.play_along(lie);
    stage.poll();
    assert_eq!(stage.victim.stats().data_out, 1);
    let mut header = Vec::new();
    Packet::Ack(Ack { delivered_to: 2, processed_to: 2, ..Ack::default() }).encode(&mut header);
    stage.victim.handle_link(stage.now, lie.link, LinkInput::Packet(&[header.into()]));
    stage.poll();
    assert_eq!((stage.victim.stats().drops.credit, stage.outcomes), (1, 0));
    assert!(stage.victim.peer(id(2)).is_some_and(|peer| peer.outgoing == 1 && !peer.linked));
}
