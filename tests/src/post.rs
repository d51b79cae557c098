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
use swim_proto::messaging::packet::{Hello, Packet, VERSION};
use swim_proto::messaging::{
    Action, Ending, Event, LinkId, LocalPeer, MemberInput, MessageId, MessagingConfig, Messenger, Outgoing, Receipt,
    SendError,
};
use swim_proto::{ClusterHash, Instant, NodeId};

mod books;
mod dice;
mod wires;

pub use books::Books;
pub use dice::Dice;
use wires::Wire;

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
    /// How late timers fire.
    pub late: Duration,
    /// How much a driver does at once of what is to be done; the rest a moment later, when more may have happened.
    pub portion: usize,
}

impl Faults {
    /// A link as it should be: 1 ms, nothing lost, room for 1,000 packets; and a driver that does all at once.
    pub fn none() -> Faults {
        let latency = (Duration::from_millis(1), Duration::from_millis(1));
        let late = Duration::ZERO;
        Faults { latency, loss: 0, repeat: 0, unopened: 0, room: 1_000, late, portion: usize::MAX }
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
    Rest { agent: usize, process: usize },
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

/// So many seconds.
pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// So many milliseconds.
pub fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Two messengers with the default settings.
pub fn two() -> Post {
    Post::new(1, 2, &MessagingConfig::default())
}

/// How many messages have been delivered.
pub fn delivered(post: &Post) -> usize {
    post.books.count(|ending| ending == Ending::Delivered)
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

    /// Kills an agent's process and starts its next with other settings.
    pub fn restart_with(&mut self, agent: usize, config: &MessagingConfig) {
        self.kill(agent);
        self.agents[agent].config = config.clone();
        self.start(agent);
    }

    /// A Hello as this agent would say it to the other, in a session of its own.
    pub fn hello_of(&self, agent: usize, to: usize) -> Bytes {
        let mut header = Vec::new();
        Packet::Hello(Hello {
            cluster: ClusterHash::of("post"),
            version_min: VERSION,
            version_max: VERSION,
            source: id(agent),
            target: id(to),
            life: self.agents[agent].life,
            session: 99,
        })
        .encode(&mut header);
        header.into()
    }

    /// Does what an agent wants done, where that concerns links of the test's own.
    pub fn poll_ignoring(&mut self, agent: usize) {
        let mut buf = std::mem::take(&mut self.buf);
        while self.at(agent).poll_action(&mut buf).is_some() {}
        self.buf = buf;
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

    /// The link of an agent that has the greatest name.
    pub fn link_of(&self, agent: usize) -> Option<LinkId> {
        self.by_link.keys().filter(|(at, _, _)| *at == agent).map(|&(_, _, link)| link).max()
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

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let timer = |agent: &Agent| agent.messenger.as_ref().and_then(Messenger::deadline);
            let timer = self.agents.iter().filter_map(timer).min().map(|at| at.max(self.now) + self.faults.late);
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

    /// Tells an agent the time, which it did not ask for.
    pub fn wake(&mut self, agent: usize) {
        let now = self.now;
        if let Some(messenger) = &mut self.agents[agent].messenger {
            messenger.handle_timeout(now);
            messenger.handle_timeout(now);
            self.poll(agent);
        }
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
            Happening::Rest { agent, process } => {
                if self.agents[agent].process == process {
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

    /// Does what an agent wants done, all of it or a portion, and takes what its application takes.
    pub fn poll(&mut self, agent: usize) {
        for done in 0_usize.. {
            if done >= self.faults.portion {
                let process = self.agents[agent].process;
                return self.schedule(Duration::from_micros(10), Happening::Rest { agent, process });
            }
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
