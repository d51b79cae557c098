//! A few messengers on one virtual clock, and the links between them.
//!
//! A [`Post`] moves packets between real [`Messenger`]s as connections would: in order, after some time, until a
//! connection is cut; with faults as [`Faults`] says. What the applications sent and saw is in [`Books`], which object at
//! once when a promise of `docs/messaging.md` is broken.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use swim_proto::messaging::{
    Action, Event, LinkId, LinkInput, LocalPeer, MemberInput, MessageId, MessagingConfig, Messenger, Outgoing, Receipt,
    SendError,
};
use swim_proto::{ClusterHash, Instant, NodeId};

mod books;
mod dice;

pub use books::Books;
pub use dice::Dice;

/// What goes wrong between the messengers.
#[derive(Clone, Debug)]
pub struct Faults {
    /// How long a packet takes, from and to.
    pub latency: (Duration, Duration),
    /// The chance that a packet is lost, or comes twice, in thousandths.
    pub loss: usize,
    /// The same for one that comes twice.
    pub repeat: usize,
    /// The chance that a connection cannot be opened, in thousandths.
    pub unopened: usize,
    /// How many packets may be on their way in one direction before the link is full.
    pub room: usize,
}

impl Faults {
    /// A link as it should be: 1 ms, nothing lost, room for 1,000 packets.
    pub fn none() -> Faults {
        let millis = Duration::from_millis(1);
        Faults { latency: (millis, millis), loss: 0, repeat: 0, unopened: 0, room: 1_000 }
    }
}

/// What an application does with what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// It takes everything at once.
    All,
    /// It takes nothing.
    Nothing,
    /// It takes one message each so often.
    Each(Duration),
    /// It takes everything at once, and acknowledges each message after up to so long, in any order.
    Acknowledging(Duration),
}

/// A process with a messenger.
pub struct Agent {
    /// The messenger. `None`: the process is down.
    pub messenger: Option<Messenger>,
    /// Its id.
    pub id: NodeId,
    /// Its life.
    pub life: u64,
    /// Which process of all it is.
    pub process: usize,
    /// What its application does.
    pub taking: Taking,
    /// What it was told beside outcomes.
    pub told: Vec<Event>,
    config: MessagingConfig,
    turn: bool,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Connected { wire: usize },
    Refused { wire: usize },
    Arrived { wire: usize, to: usize, parts: Vec<Bytes> },
    Ended { wire: usize, at: usize },
    Take { agent: usize, process: usize },
    Acknowledge { agent: usize, process: usize, receipt: Receipt, key: u64 },
    Member { at: usize, process: usize, about: usize, life: u64 },
}

/// A connection: its ends, the opener's first.
struct Wire {
    ends: [Option<End>; 2],
    on_way: [usize; 2],
    full: [bool; 2],
    last: [Instant; 2],
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct End {
    agent: usize,
    process: usize,
    link: LinkId,
}

/// The messengers and what is between them.
pub struct Post {
    /// The time.
    pub now: Instant,
    /// The processes.
    pub agents: Vec<Agent>,
    /// What goes wrong now.
    pub faults: Faults,
    /// What was promised and what came of it.
    pub books: Books,
    /// Every choice.
    pub dice: Dice,
    /// Packets put on links, by their kind.
    pub packets: [u64; 8],
    /// A sum of everything that the messengers did.
    pub trace: u64,
    wires: Vec<Wire>,
    by_link: BTreeMap<(usize, usize, LinkId), usize>,
    agenda: BinaryHeap<Reverse<(Instant, u64, Happening)>>,
    count: u64,
    processes: usize,
    buf: Vec<u8>,
}

/// Where an agent lives.
pub fn endpoint(agent: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, agent as u8 + 1], 8_000))
}

/// An agent's id.
pub fn id(agent: usize) -> NodeId {
    NodeId::of("post", &format!("agent-{agent}"))
}

impl Post {
    /// So many messengers, each of which knows all others.
    pub fn new(seed: u64, agents: usize, config: &MessagingConfig) -> Post {
        let mut post = Post {
            now: Instant::from_nanos(1_000_000_000),
            agents: Vec::new(),
            faults: Faults::none(),
            books: Books::default(),
            dice: Dice::new(seed),
            packets: [0; 8],
            trace: seed,
            wires: Vec::new(),
            by_link: BTreeMap::new(),
            agenda: BinaryHeap::new(),
            count: 0,
            processes: 0,
            buf: Vec::new(),
        };
        for agent in 0..agents {
            post.agents.push(Agent {
                messenger: None,
                id: id(agent),
                life: 0,
                process: 0,
                taking: Taking::All,
                told: Vec::new(),
                config: config.clone(),
                turn: false,
            });
            post.start(agent);
        }
        for at in 0..agents {
            for about in 0..agents {
                post.tell_of(at, about);
            }
        }
        post
    }

    /// The agent's messenger, which must run.
    pub fn at(&mut self, agent: usize) -> &mut Messenger {
        self.agents[agent].messenger.as_mut().expect("the process runs")
    }

    /// Starts an agent's process in its next life. It knows nobody yet.
    pub fn start(&mut self, agent: usize) {
        self.processes += 1;
        let seed = self.dice.any();
        let it = &mut self.agents[agent];
        (it.life, it.process) = (it.life + 1, self.processes);
        let local = LocalPeer { id: it.id, life: it.life, cluster: ClusterHash::of("post") };
        it.messenger = Some(Messenger::new(self.now, local, it.config.clone(), seed).expect("the settings are valid"));
    }

    /// Kills an agent's process: its connections end, as the others hear after a while.
    pub fn kill(&mut self, agent: usize) {
        self.agents[agent].messenger = None;
        self.books.process_ended(self.agents[agent].process);
        for wire in 0..self.wires.len() {
            if self.wires[wire].ends.iter().flatten().any(|end| end.agent == agent) {
                self.cut(wire);
            }
        }
    }

    /// Tells one that the other lives as it does now.
    pub fn tell_of(&mut self, at: usize, about: usize) {
        let life = self.agents[about].life;
        self.tell(at, about, life);
    }

    fn tell(&mut self, at: usize, about: usize, life: u64) {
        let input = MemberInput::Live { life, address: endpoint(about), endpoint: Some(endpoint(about)) };
        self.hold(at, about, input);
    }

    /// Tells one what it holds of the other from now on.
    pub fn hold(&mut self, at: usize, about: usize, input: MemberInput) {
        let now = self.now;
        if let Some(messenger) = &mut self.agents[at].messenger {
            messenger.handle_member(now, id(about), input);
        }
        self.poll(at);
    }

    /// Tells one of the other's present life after some time.
    pub fn gossip(&mut self, at: usize, about: usize, after: Duration) {
        let (process, life) = (self.agents[at].process, self.agents[about].life);
        self.schedule(after, Happening::Member { at, process, about, life });
    }

    /// Sends a message of this many bytes, at least eight, and writes it into the books.
    pub fn send(
        &mut self,
        from: usize,
        to: usize,
        len: usize,
        shape: impl FnOnce(&mut Outgoing),
    ) -> Result<MessageId, SendError> {
        let (key, payload) = self.books.letter(len);
        let mut message = Outgoing::new(id(to), payload);
        shape(&mut message);
        let now = self.now;
        let sent = self.at(from).send(now, message.clone());
        if let Ok(id) = sent {
            self.books.accepted(key, self.agents[from].process, id, &message);
        }
        self.poll(from);
        sent
    }

    /// Takes a message back.
    pub fn cancel(&mut self, from: usize, message: MessageId) -> bool {
        let now = self.now;
        let cancelled = self.at(from).cancel(now, message).is_ok();
        self.poll(from);
        cancelled
    }

    /// Cuts every connection there is.
    pub fn cut_all(&mut self) {
        (0..self.wires.len()).for_each(|wire| self.cut(wire));
    }

    /// Cuts one connection out of those that were ever opened, if it still is.
    pub fn cut_any(&mut self) {
        if !self.wires.is_empty() {
            let recent = self.wires.len().min(16);
            let wire = self.wires.len() - 1 - self.dice.below(recent);
            self.cut(wire);
        }
    }

    fn cut(&mut self, wire: usize) {
        for at in 0..2 {
            let after = Duration::from_millis(self.dice.below(20) as u64);
            self.schedule(after, Happening::Ended { wire, at });
        }
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let timer = |agent: &Agent| agent.messenger.as_ref().and_then(Messenger::deadline);
            let timer = self.agents.iter().filter_map(timer).min();
            let next = self.agenda.peek().map(|Reverse((at, ..))| *at);
            let Some(at) = [timer, next].into_iter().flatten().min().filter(|&at| at <= end) else { break };
            self.now = self.now.max(at);
            if next.is_some_and(|next| next <= self.now) {
                let Reverse((_, _, happening)) = self.agenda.pop().expect("it was just seen");
                self.happen(happening);
                continue;
            }
            for agent in 0..self.agents.len() {
                let now = self.now;
                let Some(messenger) = &mut self.agents[agent].messenger else { continue };
                if messenger.deadline().is_some_and(|deadline| deadline <= now) {
                    messenger.handle_timeout(now);
                    assert!(messenger.deadline().is_none_or(|deadline| deadline > now), "a busy loop is possible");
                    self.poll(agent);
                }
            }
        }
        self.now = end;
    }

    fn schedule(&mut self, after: Duration, happening: Happening) {
        self.schedule_at(self.now + after, happening);
    }

    fn schedule_at(&mut self, at: Instant, happening: Happening) {
        self.count += 1;
        self.agenda.push(Reverse((at, self.count, happening)));
    }

    fn latency(&mut self) -> Duration {
        let (min, max) = self.faults.latency;
        min + Duration::from_nanos(self.dice.below((max - min).as_nanos() as usize + 1) as u64)
    }

    fn happen(&mut self, happening: Happening) {
        let now = self.now;
        match happening {
            Happening::Connected { wire } => self.connect(wire),
            Happening::Refused { wire } => self.end(wire, 0),
            Happening::Arrived { wire, to, parts } => self.arrive(wire, to, &parts),
            Happening::Ended { wire, at } => self.end(wire, at),
            Happening::Take { agent, process } => {
                if self.agents[agent].process == process {
                    self.agents[agent].turn = false;
                    self.take(agent, true);
                    self.poll(agent);
                }
            }
            Happening::Acknowledge { agent, process, receipt, key } => {
                if self.agents[agent].process == process
                    && let Some(messenger) = &mut self.agents[agent].messenger
                {
                    self.books.processed(key);
                    // Nobody waits for it if its sender has begun anew.
                    let _ = messenger.acknowledge(now, receipt);
                    self.poll(agent);
                }
            }
            Happening::Member { at, process, about, life } => {
                if self.agents[at].process == process {
                    self.tell(at, about, life);
                }
            }
        }
    }

    fn connect(&mut self, wire: usize) {
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

    fn end(&mut self, wire: usize, at: usize) {
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

    fn arrive(&mut self, wire: usize, to: usize, parts: &[Bytes]) {
        let from = 1 - to;
        self.wires[wire].on_way[from] -= 1;
        self.input(wire, to, LinkInput::Packet(parts));
        if self.wires[wire].full[from] && self.wires[wire].on_way[from] <= self.faults.room / 2 {
            self.wires[wire].full[from] = false;
            self.input(wire, from, LinkInput::Writable);
        }
    }

    /// Does all that an agent wants done, and takes what its application takes.
    pub fn poll(&mut self, agent: usize) {
        loop {
            let mut buf = std::mem::take(&mut self.buf);
            let process = self.agents[agent].process;
            let Some(messenger) = &mut self.agents[agent].messenger else { return };
            let action = messenger.poll_action(&mut buf);
            match action {
                None => {
                    self.buf = buf;
                    if !self.take(agent, false) {
                        return;
                    }
                    continue;
                }
                Some(Action::Open { link, to, .. }) => self.open(agent, process, link, to),
                Some(Action::Close { link }) => self.close(agent, process, link),
                Some(Action::Send { link, header, payload }) => {
                    assert!(header.len() <= swim_proto::messaging::packet::HEADER_MAX);
                    let header = Bytes::copy_from_slice(header);
                    self.packets[usize::from(header[0])] += 1;
                    self.carry(agent, process, link, [header].into_iter().chain(payload).collect());
                }
                Some(Action::Event(event)) => {
                    self.trace = Dice::mix(self.trace ^ format!("{event:?}").len() as u64);
                    match event {
                        Event::Outcome(outcome) => self.books.ended(process, &outcome),
                        other => self.agents[agent].told.push(other),
                    }
                }
            }
            self.buf = buf;
        }
    }

    fn open(&mut self, agent: usize, process: usize, link: LinkId, to: SocketAddr) {
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

    fn close(&mut self, agent: usize, process: usize, link: LinkId) {
        let Some(wire) = self.by_link.get(&(agent, process, link)).copied() else { return };
        let at = usize::from(self.wires[wire].ends[0] != Some(End { agent, process, link }));
        self.forget(wire, at);
        let latency = self.latency();
        // What was put on it before arrives first.
        let when = self.wires[wire].last[at].max(self.now + latency);
        self.schedule_at(when, Happening::Ended { wire, at: 1 - at });
    }

    fn carry(&mut self, agent: usize, process: usize, link: LinkId, parts: Vec<Bytes>) {
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

    /// The application takes what it takes now. Whether it took anything.
    fn take(&mut self, agent: usize, turn: bool) -> bool {
        let now = self.now;
        let it = &mut self.agents[agent];
        let Some(messenger) = &mut it.messenger else { return false };
        let (process, taking) = (it.process, it.taking);
        let explicit = matches!(taking, Taking::Acknowledging(_));
        let one = match taking {
            Taking::Nothing => false,
            Taking::All | Taking::Acknowledging(_) => true,
            Taking::Each(_) => turn,
        };
        let received = match (one, explicit) {
            (false, _) => None,
            (true, false) => messenger.take(now),
            (true, true) => messenger.take_unacknowledged(now),
        };
        if let Taking::Each(pause) = taking
            && !it.turn
            && (messenger.stats().incoming > 0 || turn)
        {
            it.turn = true;
            self.schedule(pause, Happening::Take { agent, process });
        }
        let Some(received) = received else { return false };
        let key = self.books.taken(process, &received, explicit);
        if let Taking::Acknowledging(within) = taking {
            let after = Duration::from_nanos(self.dice.below(within.as_nanos() as usize + 1) as u64);
            self.schedule(after, Happening::Acknowledge { agent, process, receipt: received.receipt, key });
        }
        !matches!(taking, Taking::Each(_))
    }
}
