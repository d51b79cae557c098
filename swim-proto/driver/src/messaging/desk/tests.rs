//! A desk, and a messenger at the other end of its one link.

use std::collections::VecDeque;
use std::time::Duration;

use swim_proto::ClusterHash;
use swim_proto::messaging::{Confirm, LocalPeer, MessagingConfig};

use super::*;

/// Keeps what is put on links.
#[derive(Default)]
struct Letterbox {
    opened: Option<LinkId>,
    packets: VecDeque<Vec<Bytes>>,
    outcomes: usize,
}

impl Mail for Letterbox {
    type Tell = ();
    type Guest = ();

    fn open(&mut self, link: LinkId, _: SocketAddr) {
        self.opened = Some(link);
    }

    fn accepted(&mut self, _: LinkId) {}

    fn push(&mut self, _: LinkId, header: &[u8], payload: Option<Bytes>) -> bool {
        self.packets.push_back([Bytes::copy_from_slice(header)].into_iter().chain(payload).collect());
        true
    }

    fn close(&mut self, _: LinkId) {}

    fn forget(&mut self, _: LinkId) -> bool {
        true
    }

    fn knows(&self, _: LinkId) -> bool {
        true
    }

    fn links(&self) -> usize {
        1
    }

    fn outcome(&mut self, (): (), _: Outcome) {
        self.outcomes += 1;
    }

    fn room(&mut self, _: NodeId) {}

    fn event(&mut self, _: Event) {}

    fn end(&mut self) {}
}

fn address() -> SocketAddr {
    "127.0.0.1:1".parse().unwrap()
}

fn messenger(own: &str, other: &str) -> Messenger {
    let local = LocalPeer { id: NodeId::of("desk", own), life: 1, cluster: ClusterHash::of("desk") };
    let mut messenger = Messenger::new(Instant::ZERO, local, MessagingConfig::default(), 1).unwrap();
    let input = MemberInput::Live { life: 1, address: address(), endpoint: Some(address()) };
    messenger.handle_member(Instant::ZERO, NodeId::of("desk", other), input);
    messenger
}

/// What comes from the desk goes to the messenger, and the other way.
fn exchange(desk: &mut Desk<Letterbox>, link: LinkId, other: &mut Messenger, there: LinkId) {
    let now = Instant::ZERO;
    for packet in std::mem::take(&mut desk.mail.packets) {
        other.handle_link(now, there, LinkInput::Packet(&packet));
    }
    let mut header = Vec::new();
    while let Some(action) = other.poll_action(&mut header) {
        if let Action::Send { header, .. } = action {
            let header = Bytes::copy_from_slice(header);
            desk.packets(now, link, &mut vec![vec![header]]);
        }
    }
    desk.act(now);
}

#[test]
fn no_more_is_done_at_once_than_others_can_wait_for() {
    let now = Instant::ZERO;
    let mut desk = Desk::new(messenger("own", "other"), Letterbox::default());
    let mut other = messenger("other", "own");
    let to = NodeId::of("desk", "other");
    let messages = 3 * ACTIONS_MAX;
    for _ in 0..messages {
        desk.send(now, Outgoing::new(to, Bytes::new()), ()).unwrap();
    }
    desk.act(now);
    let link = desk.mail.opened.expect("there is something to say");
    let there = other.accept_link(now, address()).unwrap();
    desk.up(now, link);
    desk.act(now);
    let mut turns = 0;
    // Two answers to Hello, and one to what was sent: each lets much happen.
    while desk.mail.outcomes < messages {
        exchange(&mut desk, link, &mut other, there);
        while desk.is_unfinished() {
            let before = desk.mail.packets.len() + desk.mail.outcomes;
            desk.act(now);
            let done = desk.mail.packets.len() + desk.mail.outcomes - before;
            assert!(done <= ACTIONS_MAX);
            turns += 1;
        }
        assert!(desk.mail.packets.len() <= messages && turns <= 2 * messages.div_ceil(ACTIONS_MAX) + 2);
    }
    assert!(turns >= 4, "{turns}");
}

#[test]
fn what_was_told_as_sent_is_seen_to_before_all_is_drained() {
    let now = Instant::ZERO;
    let mut desk = Desk::new(messenger("own", "other"), Letterbox::default());
    let mut other = messenger("other", "own");
    let to = NodeId::of("desk", "other");
    let message = Outgoing { confirm: Confirm::Sent, ..Outgoing::new(to, Bytes::from_static(b"payload")) };
    desk.send(now, message, ()).unwrap();
    desk.act(now);
    let link = desk.mail.opened.expect("there is something to say");
    let there = other.accept_link(now, address()).unwrap();
    desk.up(now, link);
    desk.act(now);
    while desk.mail.outcomes == 0 {
        exchange(&mut desk, link, &mut other, there);
    }
    // It stands on the link, where it can get lost.
    desk.drain(now + Duration::from_secs(10));
    assert_eq!((desk.stats().0.outgoing, desk.stats().0.lingering), (0, 1));
    assert!(!desk.is_drained(now) && desk.is_drained(now + Duration::from_secs(10)));
    exchange(&mut desk, link, &mut other, there);
    assert!(desk.is_drained(now) && other.take(now).is_some());
}

#[test]
fn so_many_closed_links_may_wait_and_no_more_until_one_is_done() {
    let now = Instant::ZERO;
    let mut desk = Desk::new(messenger("own", "other"), Letterbox::default());
    let max = MessagingConfig::default().accepted_max as usize / 4;
    for _ in 0..max {
        assert!(desk.closes());
    }
    // Who was told that there is no room is done soon, and counts until then.
    assert!(!desk.closes());
    desk.done(Moved { bytes_in: 3, bytes_out: 4 });
    assert!(!desk.closes());
    desk.done(Moved::default());
    desk.done(Moved::default());
    assert!(desk.closes());
    // At the end all are closed at once, and what was put on them is still to go out.
    desk.close(now);
    assert!(desk.closes());
    assert_eq!((desk.stats().1.bytes_in, desk.stats().1.bytes_out), (3, 4));
}
