//! Every small set of claims about a member gives one table, in whatever order, grouping and number they come
//! (`docs/protocol.md` 2.5).

use std::net::SocketAddr;

use swim_proto::wire::Message;
use swim_proto::{Config, Incarnation, Instant, LocalMember, Node, NodeId, State};
use swim_tests::craft::{self, Puppet};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// With profile 0 or 1, of which 1 has the greater bytes.
    Alive(usize),
    Suspect,
    Dead,
    Left,
}

type Claim = (Incarnation, Says);

/// What a table shows of the member: incarnation, state and metadata; and the digest of the whole.
type Shown = (Option<(Incarnation, State, Vec<u8>)>, u64, usize);

fn claims() -> Vec<Claim> {
    let incarnations = [(1, 0), (1, 1), (2, 0)].map(|(life, refutation)| Incarnation { life, refutation });
    let says = [Says::Alive(0), Says::Alive(1), Says::Suspect, Says::Dead, Says::Left];
    incarnations.into_iter().flat_map(|incarnation| says.map(|says| (incarnation, says))).collect()
}

struct Claimed {
    id: NodeId,
    accuser: NodeId,
    profiles: [Vec<u8>; 2],
    introduction: Vec<u8>,
}

impl Claimed {
    fn new() -> Claimed {
        let member = Puppet::new("member", SocketAddr::from(([10, 0, 0, 2], 7000)));
        let sender = Puppet::new("sender", SENDER);
        let more = Puppet { metadata: vec![1], ..member.clone() };
        let profiles = [member.profile(), more.profile()];
        assert!(profiles[0] < profiles[1]);
        let introduction =
            craft::datagram("swim", &[craft::alive(sender.id(), Incarnation::first(1), &sender.profile())]);
        Claimed { id: member.id(), accuser: sender.id(), profiles, introduction }
    }

    fn message(&self, (incarnation, says): Claim) -> Message<'_> {
        match says {
            Says::Alive(profile) => craft::alive(self.id, incarnation, &self.profiles[profile]),
            Says::Suspect => craft::suspect(self.id, incarnation, self.accuser),
            Says::Dead => craft::dead(self.id, incarnation, self.accuser),
            Says::Left => craft::left(self.id, incarnation),
        }
    }

    /// What a fresh node shows after these datagrams of claims.
    fn shown_after(&self, datagrams: &[&[Claim]]) -> Shown {
        let now = Instant::ZERO;
        let local = LocalMember::new(SocketAddr::from(([10, 0, 0, 1], 7000)), 1);
        let mut node = Node::new(now, local, Config::lan(), 1).expect("a preset is valid");
        let mut buf = Vec::new();
        let mut give = |node: &mut Node, datagram: &[u8]| {
            node.handle_datagram(now, SENDER, datagram).expect("the claims are in order");
            while node.poll_action(&mut buf).is_some() {}
        };
        give(&mut node, &self.introduction);
        for claims in datagrams {
            let messages: Vec<_> = claims.iter().map(|&claim| self.message(claim)).collect();
            give(&mut node, &craft::datagram("swim", &messages));
        }
        let member = node.member(self.id);
        let shown = member.map(|member| (member.incarnation, member.state, member.metadata.to_vec()));
        (shown, node.digest(), node.live())
    }

    /// What the rule says: two maxima.
    fn expected(&self, claims: &[Claim]) -> Option<(Incarnation, State, Vec<u8>)> {
        let status = claims.iter().map(|&(incarnation, says)| {
            let state = match says {
                Says::Alive(_) => State::Alive,
                Says::Suspect => State::Suspect,
                Says::Dead => State::Dead,
                Says::Left => State::Left,
            };
            (incarnation, state)
        });
        let content = claims.iter().filter_map(|&(incarnation, says)| match says {
            Says::Alive(profile) => Some((incarnation, profile)),
            _ => None,
        });
        let (incarnation, state) = status.max()?;
        let (_, profile) = content.max()?;
        Some((incarnation, state, vec![1; profile]))
    }
}

const SENDER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 3)), 7000);

/// Calls `visit` with each permutation of `items` (Heap's algorithm).
fn each_order(items: &mut [Claim], n: usize, visit: &mut impl FnMut(&[Claim])) {
    if n <= 1 {
        return visit(items);
    }
    for i in 0..n {
        each_order(items, n - 1, visit);
        items.swap(if n.is_multiple_of(2) { i } else { 0 }, n - 1);
    }
}

/// Calls `visit` with each set of `size` claims.
fn each_set(size: usize, from: usize, chosen: &mut Vec<Claim>, visit: &mut impl FnMut(&[Claim])) {
    if chosen.len() == size {
        return visit(chosen);
    }
    for (i, claim) in claims().into_iter().enumerate().skip(from) {
        chosen.push(claim);
        each_set(size, i + 1, chosen, visit);
        chosen.pop();
    }
}

fn every_order_of_every_set_of(size: usize) {
    let claimed = Claimed::new();
    each_set(size, 0, &mut Vec::new(), &mut |set| {
        let expected = claimed.shown_after(&[set]);
        assert_eq!(expected.0, claimed.expected(set), "{set:?} in one datagram");
        each_order(&mut set.to_vec(), size, &mut |order| {
            let one_by_one: Vec<&[Claim]> = order.chunks(1).collect();
            assert_eq!(claimed.shown_after(&one_by_one), expected, "{order:?}");
        });
    });
}

#[test]
fn two_claims_give_one_table_in_either_order() {
    every_order_of_every_set_of(2);
}

#[test]
fn three_claims_give_one_table_in_every_order() {
    every_order_of_every_set_of(3);
}

#[test]
fn four_claims_give_one_table_in_every_order() {
    every_order_of_every_set_of(4);
}

#[test]
fn claims_said_again_change_nothing() {
    let claimed = Claimed::new();
    each_set(2, 0, &mut Vec::new(), &mut |set| {
        let expected = claimed.shown_after(&[set]);
        assert_eq!(claimed.shown_after(&[set, set]), expected, "{set:?} twice");
        assert_eq!(claimed.shown_after(&[&set[..1], set, &set[1..], set]), expected, "{set:?} again and again");
    });
}

#[test]
fn how_claims_are_grouped_does_not_matter() {
    let claimed = Claimed::new();
    each_set(3, 0, &mut Vec::new(), &mut |set| {
        let expected = claimed.shown_after(&[set]);
        assert_eq!(claimed.shown_after(&[&set[..1], &set[1..]]), expected, "{set:?}");
        assert_eq!(claimed.shown_after(&[&set[..2], &set[2..]]), expected, "{set:?}");
    });
}
