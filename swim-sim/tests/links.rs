//! Links of messengers, seen by puppets in the messengers' places: late, full, stalled, cut, refused, and never bent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use swim_proto::messaging::{
    Action, LinkId, LinkInput, MessageId, MessagingConfig, Messenger, Outgoing, PeerView, Receipt, Received, SendError,
    Stats, UnknownMessage, UnknownReceipt,
};
use swim_proto::{Event, Instant, NodeId};
use swim_sim::{
    Chance, Crash, DrivenMessenger, Fault, Latency, Letters, LinkCut, LinkSettings, Lossy, MessengerView, Network,
    Scenario, Talk, Workload, World,
};

/// Something a puppet does.
#[derive(Clone, Debug)]
enum Do {
    /// Opens link 1 to a slot's messenger.
    Open(u32),
    /// Puts so many packets on it, with so long a payload.
    Send(usize, usize),
    Close,
}

/// Something a puppet is told.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Accepted,
    Up,
    Packet(u64, usize),
    Full,
    Writable,
    Down,
}

type Script = Vec<(u64, Do)>;
/// By slot, the time in milliseconds, and what.
type Log = Arc<Mutex<Vec<(u32, u64, Told)>>>;

struct Puppet {
    messenger: Messenger,
    slot: u32,
    script: Vec<(Instant, Do)>,
    due: Vec<(LinkId, Do)>,
    accepted: u64,
    sent: u64,
    log: Log,
}

impl Puppet {
    fn note(&self, now: Instant, told: Told) {
        self.log.lock().expect("nobody panics while holding it").push((self.slot, now.as_nanos() / 1_000_000, told));
    }
}

impl MessengerView for Puppet {
    fn config(&self) -> &MessagingConfig {
        self.messenger.config()
    }
    fn stats(&self) -> Stats {
        Stats::default()
    }
    fn session(&self) -> u64 {
        0
    }
    fn peer(&self, _: NodeId) -> Option<PeerView> {
        None
    }
    fn deadline(&self) -> Option<Instant> {
        self.script.first().map(|(at, _)| *at)
    }
}

impl DrivenMessenger for Puppet {
    fn set_life(&mut self, _: Instant, _: u64) {}
    fn send(&mut self, _: Instant, _: Outgoing) -> Result<MessageId, SendError> {
        Err(SendError::Closed)
    }
    fn cancel(&mut self, _: Instant, id: MessageId) -> Result<(), UnknownMessage> {
        Err(UnknownMessage(id))
    }
    fn take(&mut self, _: Instant) -> Option<Received> {
        None
    }
    fn take_unacknowledged(&mut self, _: Instant) -> Option<Received> {
        None
    }
    fn acknowledge(&mut self, _: Instant, _: Receipt) -> Result<(), UnknownReceipt> {
        Err(UnknownReceipt)
    }
    fn close(&mut self, _: Instant) {}
    fn handle_event(&mut self, _: Instant, _: &Event<'_>) {}
    fn accept_link(&mut self, now: Instant, _: SocketAddr) -> Option<LinkId> {
        self.note(now, Told::Accepted);
        self.accepted += 1;
        Some(LinkId(1_000 + self.accepted))
    }
    fn handle_link(&mut self, now: Instant, _: LinkId, input: LinkInput<'_>) {
        self.note(
            now,
            match input {
                LinkInput::Up => Told::Up,
                LinkInput::Packet(parts) => {
                    let number = parts[0].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
                    Told::Packet(number, parts.get(1).map_or(0, Bytes::len))
                }
                LinkInput::Full => Told::Full,
                LinkInput::Writable => Told::Writable,
                LinkInput::Down => Told::Down,
            },
        );
    }
    fn handle_timeout(&mut self, now: Instant) {
        while self.script.first().is_some_and(|(at, _)| *at <= now) {
            let (_, what) = self.script.remove(0);
            self.due.push((LinkId(1), what));
        }
    }
    fn poll_action<'b>(&mut self, buf: &'b mut Vec<u8>) -> Option<Action<'b>> {
        let (link, what) = self.due.first_mut()?;
        let link = *link;
        match what {
            Do::Open(slot) => {
                let to = SocketAddr::from(([10, 0, 0, 1 + *slot as u8], 8946));
                self.due.remove(0);
                Some(Action::Open { link, peer: NodeId::from_u64(1), to })
            }
            Do::Send(0, _) => {
                self.due.remove(0);
                self.poll_action(buf)
            }
            Do::Send(left, len) => {
                *left -= 1;
                self.sent += 1;
                buf.clear();
                buf.extend_from_slice(&self.sent.to_le_bytes());
                Some(Action::Send { link, header: buf, payload: Some(Bytes::from(vec![7; *len])) })
            }
            Do::Close => {
                self.due.remove(0);
                Some(Action::Close { link })
            }
        }
    }
}

/// A world of two puppets, 1 ms apart, and what the first is to do, by time in milliseconds.
fn stage(script: Script, faults: &[(u64, Fault)], links: LinkSettings) -> (World, Log) {
    let seldom = Letters::of(Talk::per_second(0.000_001, 8));
    let workload = Workload { reliable: Some(seldom), ..Workload::default() };
    let network = Network::new(Latency::Constant(Duration::from_millis(1)));
    let scenario = Scenario::new(2, Duration::from_secs(100)).join_over(Duration::ZERO).network(network);
    let mut scenario = Scenario { links, ..scenario.workload(workload) };
    for (at, fault) in faults {
        scenario = scenario.at(Duration::from_millis(*at), fault.clone());
    }
    let log = Log::default();
    let kept = log.clone();
    let mut world = World::new(scenario, 1).expect("the settings are valid");
    world.set_messenger_maker(Box::new(move |slot, messenger| {
        let script = if slot.0 == 0 { script.clone() } else { Script::new() };
        let at = |(millis, what): (u64, Do)| (Instant::from_nanos(millis * 1_000_000), what);
        Box::new(Puppet {
            messenger,
            slot: slot.0,
            script: script.into_iter().map(at).collect(),
            due: Vec::new(),
            accepted: 0,
            sent: 0,
            log: kept.clone(),
        })
    }));
    (world, log)
}

/// What a slot was told by then, with the time of each in milliseconds.
fn told(script: Script, faults: &[(u64, Fault)], links: LinkSettings, slot: u32) -> Vec<(u64, Told)> {
    let (mut world, log) = stage(script, faults, links);
    world.run_until(Duration::from_secs(30));
    let log = log.lock().expect("nobody panics while holding it");
    log.iter().filter(|(of, ..)| *of == slot).map(|(_, at, told)| (*at, told.clone())).collect()
}

fn packets(told: &[(u64, Told)]) -> Vec<u64> {
    let number = |told: &Told| if let Told::Packet(number, _) = told { Some(*number) } else { None };
    told.iter().filter_map(|(_, told)| number(told)).collect()
}

fn lasting(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_link_is_up_after_a_round_trip_and_carries_packets_whole_and_in_order() {
    let script = || vec![(10, Do::Open(1)), (20, Do::Send(3, 5_000))];
    assert_eq!(told(script(), &[], LinkSettings::default(), 0), [(12, Told::Up)]);
    let at_the_other = told(script(), &[], LinkSettings::default(), 1);
    assert_eq!(at_the_other[0], (13, Told::Accepted));
    assert_eq!(packets(&at_the_other), [1, 2, 3]);
    assert!(at_the_other[1..].iter().all(|(_, told)| matches!(told, Told::Packet(_, 5_000))));
}

#[test]
fn a_reader_that_stalls_fills_the_link_and_is_read_on_later() {
    let links = LinkSettings { frames_max: 8, ..LinkSettings::default() };
    // Buffers of both kernels take 128 KiB.
    let script = || vec![(10, Do::Open(1)), (2_000, Do::Send(40, 8_000))];
    let stalled = [(1_000, Fault::StallLinks { slot: 1, lasting: lasting(10) })];
    let own = told(script(), &stalled, links, 0);
    assert!(own.iter().any(|(at, told)| *told == Told::Full && *at < 2_100), "{own:?}");
    assert!(own.iter().any(|(at, told)| *told == Told::Writable && *at >= 11_000), "{own:?}");
    let other = told(script(), &stalled, links, 1);
    assert_eq!(packets(&other), (1..=40).collect::<Vec<u64>>());
    assert!(other[1].0 >= 11_000, "{other:?}");
}

#[test]
fn a_cut_is_heard_by_both_sides_at_once() {
    let script = || vec![(10, Do::Open(1))];
    let cut = [(100, Fault::CutLinks { slot: 0, how: LinkCut::Broken })];
    for slot in [0, 1] {
        assert_eq!(told(script(), &cut, LinkSettings::default(), slot).last(), Some(&(100, Told::Down)));
    }
}

#[test]
fn what_was_put_on_an_abandoned_link_arrives_after_its_opener_has_heard_of_its_end() {
    let later = Duration::from_millis(500);
    let cut = [(100, Fault::CutLinks { slot: 0, how: LinkCut::Abandoned { later } })];
    // More than a first flight of segments: some is still to be sent when the link is given up.
    let script = || vec![(10, Do::Open(1)), (99, Do::Send(1, 60_000))];
    let own = told(script(), &cut, LinkSettings::default(), 0);
    assert_eq!(own.last(), Some(&(100, Told::Down)), "{own:?}");
    let other = told(script(), &cut, LinkSettings::default(), 1);
    let arrived = other.iter().find(|(_, told)| matches!(told, Told::Packet(1, _)));
    assert!(arrived.is_some_and(|(at, _)| *at >= 600), "{other:?}");
    assert_eq!(other.last().map(|(_, told)| told.clone()), Some(Told::Down), "{other:?}");
}

#[test]
fn a_close_lets_what_was_put_on_the_link_leave_first() {
    let script = vec![(10, Do::Open(1)), (50, Do::Send(5, 10_000)), (50, Do::Close)];
    let other = told(script, &[], LinkSettings::default(), 1);
    assert_eq!(packets(&other), [1, 2, 3, 4, 5]);
    assert_eq!(other.last().map(|(_, told)| told.clone()), Some(Told::Down));
}

#[test]
fn a_link_to_where_no_process_runs_is_refused_and_to_no_host_never_answered() {
    let script = || vec![(100, Do::Open(1))];
    let killed = [(50, Fault::Crash { slot: 1, how: Crash::Process })];
    assert_eq!(told(script(), &killed, LinkSettings::default(), 0), [(102, Told::Down)]);
    let gone = [(50, Fault::Crash { slot: 1, how: Crash::Host })];
    assert_eq!(told(script(), &gone, LinkSettings::default(), 0), []);
}

#[test]
fn a_lossy_link_loses_and_repeats_whole_packets() {
    let how = Lossy { lost: Chance::percent(20.0), repeated: Chance::percent(20.0) };
    let lossy = [(100, Fault::LossyLinks { slot: 0, how, lasting: lasting(10) })];
    let script = vec![(10, Do::Open(1)), (200, Do::Send(500, 100))];
    let came = packets(&told(script, &lossy, LinkSettings::default(), 1));
    let mut distinct = came.clone();
    distinct.dedup();
    assert!(came.is_sorted() && distinct.len() < 450 && distinct.len() > 350, "{}", distinct.len());
    assert!(came.len() - distinct.len() > 30, "{} of {}", distinct.len(), came.len());
}

#[test]
fn a_process_that_is_blocked_puts_its_packets_out_when_it_goes_on() {
    let script = vec![(10, Do::Open(1)), (200, Do::Send(3, 100))];
    let blocked = [(100, Fault::Block { slot: 0, lasting: lasting(5) })];
    let other = told(script, &blocked, LinkSettings::default(), 1);
    assert_eq!(packets(&other), [1, 2, 3]);
    assert_eq!(other[1].0, 5_101, "{other:?}");
}
