//! The connections between messengers: opened, carrying packets with faults, full and writable, cut.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use swim_proto::Instant;
use swim_proto::messaging::{LinkId, LinkInput};

use super::{Dice, Happening, Post, endpoint};

/// A connection: its ends, the opener's first.
pub(super) struct Wire {
    pub(super) ends: [Option<End>; 2],
    on_way: [usize; 2],
    full: [bool; 2],
    last: [Instant; 2],
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) agent: usize,
    process: usize,
    link: LinkId,
}

impl Post {
    pub(super) fn cut(&mut self, wire: usize) {
        for at in 0..2 {
            let after = Duration::from_millis(self.dice.below(20) as u64);
            self.schedule(after, Happening::Ended { wire, at });
        }
    }

    pub(super) fn connect(&mut self, wire: usize) {
        let now = self.now;
        let Some(opener) = self.wires[wire].ends[0] else { return };
        // Who opened it said where to: the wire's second end is named by the opener's choice, kept beside it.
        let to = self.books.dialled(wire);
        let from = SocketAddr::from((endpoint(opener.agent).ip(), 40_000 + (wire % 20_000) as u16));
        let accepted = self.agents[to].messenger.as_mut().and_then(|messenger| messenger.accept_link(now, from));
        let Some(link) = accepted else { return self.end(wire, 0) };
        let end = End { agent: to, process: self.agents[to].process, link };
        self.wires[wire].ends[1] = Some(end);
        self.by_link.insert((end.agent, end.process, link), wire);
        self.input(wire, 0, LinkInput::Up);
        self.poll(to);
    }

    /// Tells one end, if it is there, what happened to its link.
    fn input(&mut self, wire: usize, at: usize, input: LinkInput<'_>) {
        let now = self.now;
        let Some(end) = self.wires[wire].ends[at] else { return };
        let agent = &mut self.agents[end.agent];
        if agent.process == end.process
            && let Some(messenger) = &mut agent.messenger
        {
            messenger.handle_link(now, end.link, input);
            self.poll(end.agent);
        }
    }

    pub(super) fn end(&mut self, wire: usize, at: usize) {
        if self.wires[wire].ends[at].is_some() {
            self.input(wire, at, LinkInput::Down);
            self.forget(wire, at);
        }
    }

    fn forget(&mut self, wire: usize, at: usize) {
        if let Some(end) = self.wires[wire].ends[at].take() {
            self.by_link.remove(&(end.agent, end.process, end.link));
        }
    }

    pub(super) fn arrive(&mut self, wire: usize, to: usize, parts: &[Bytes]) {
        let from = 1 - to;
        self.wires[wire].on_way[from] -= 1;
        self.input(wire, to, LinkInput::Packet(parts));
        if self.wires[wire].full[from] && self.wires[wire].on_way[from] <= self.faults.room / 2 {
            self.wires[wire].full[from] = false;
            self.input(wire, from, LinkInput::Writable);
        }
    }

    pub(super) fn open(&mut self, agent: usize, process: usize, link: LinkId, to: SocketAddr) {
        let wire = self.wires.len();
        let end = End { agent, process, link };
        let now = self.now;
        self.wires.push(Wire { ends: [Some(end), None], on_way: [0; 2], full: [false; 2], last: [now; 2] });
        self.by_link.insert((agent, process, link), wire);
        let latency = self.latency();
        let there = (0..self.agents.len()).find(|&agent| endpoint(agent) == to);
        let there = there.filter(|&agent| self.agents[agent].messenger.is_some());
        self.books.dial(there.unwrap_or(agent));
        if there.is_some() && self.dice.below(1_000) >= self.faults.unopened {
            self.schedule(latency * 2, Happening::Connected { wire });
        } else if self.dice.below(4) > 0 {
            self.schedule(latency * 2, Happening::Refused { wire });
        }
    }

    pub(super) fn close(&mut self, agent: usize, process: usize, link: LinkId) {
        let Some(wire) = self.by_link.get(&(agent, process, link)).copied() else { return };
        let at = usize::from(self.wires[wire].ends[0] != Some(End { agent, process, link }));
        self.forget(wire, at);
        let latency = self.latency();
        // What was put on it before arrives first.
        let when = self.wires[wire].last[at].max(self.now + latency);
        self.schedule_at(when, Happening::Ended { wire, at: 1 - at });
    }

    pub(super) fn carry(&mut self, agent: usize, process: usize, link: LinkId, parts: Vec<Bytes>) {
        let wire = *self.by_link.get(&(agent, process, link)).expect("packets go on links that are up");
        let from = usize::from(self.wires[wire].ends[0] != Some(End { agent, process, link }));
        assert!(!self.wires[wire].full[from], "the link is full");
        for part in &parts {
            self.trace = part.iter().fold(self.trace, |sum, &byte| Dice::mix(sum ^ u64::from(byte)));
        }
        let copies = match self.dice.below(1_000) {
            roll if roll < self.faults.loss => 0,
            roll if roll < self.faults.loss + self.faults.repeat => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let latency = self.latency();
            let at = (self.now + latency).max(self.wires[wire].last[from]);
            self.wires[wire].last[from] = at;
            self.wires[wire].on_way[from] += 1;
            self.schedule_at(at, Happening::Arrived { wire, to: 1 - from, parts: parts.clone() });
        }
        if self.wires[wire].on_way[from] >= self.faults.room {
            self.wires[wire].full[from] = true;
            let now = self.now;
            self.at(agent).handle_link(now, link, LinkInput::Full);
        }
    }
}
