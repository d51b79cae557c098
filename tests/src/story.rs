//! Stories: scripts of a small cluster with everything worth telling written below each step.
//!
//! A story is a text file. Steps and their output alternate:
//!
//! ```text
//! # The title, and any other comment.
//!
//! start a b
//! b joins a
//! run 1s
//! ----
//! 0.003 b > a stream: alive b 1000.0, join b
//! 0.004 a told: b joined (itself)
//! ```
//!
//! Told are all events; all that goes over streams; and of the datagrams those messages that their receiver has not heard
//! yet: pings and acks of everyday probing are left out, and so is a claim said again by whomever. See [`play`] for the
//! steps.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use swim_proto::wire::{FrameReader, Message};
use swim_proto::{Cause, ClusterHash, Config, Instant, NodeId, Way};

use crate::cluster::{Cluster, Seen};
use crate::craft::{self, DATAGRAM_MAX};
use crate::network::Fate;
use crate::told::{Told, What};

/// Plays a story's text and returns it with its output as it really is.
///
/// | step | meaning |
/// |---|---|
/// | `start a b c` | starts processes with these names |
/// | `b joins a` | asks `b` to join by way of `a` |
/// | `run 2s`, `run 100ms` | lets time pass |
/// | `crash a`, `pause a`, `resume a` | SIGKILL, SIGSTOP, SIGCONT |
/// | `restart a`, `restart a at 10.0.9.9:7000` | a new process with a greater life |
/// | `a leaves` | a graceful departure |
/// | `a says some text` | new metadata |
/// | `cut a b from c d`, `heal` | a partition, and its end |
/// | `a loses 3` | the next three datagrams to `a` are lost |
/// | `view` | who holds whom how |
/// | `quiet`, `loud` | leaves the output out, up to the next `loud` |
pub fn play(text: &str, config: &Config) -> String {
    let mut stage = Stage::new(config.clone());
    let mut played = String::new();
    let mut in_output = false;
    let mut steps = Vec::new();
    let flush = |stage: &mut Stage, steps: &mut Vec<String>, played: &mut String| {
        for step in steps.drain(..) {
            stage.perform(&step);
        }
        played.push_str("----\n");
        played.push_str(&stage.take_output());
        played.push('\n');
    };
    for line in text.lines() {
        if line == "----" {
            flush(&mut stage, &mut steps, &mut played);
            in_output = true;
        } else if in_output {
            in_output = !line.is_empty();
        } else {
            if !line.is_empty() && !line.starts_with('#') {
                steps.push(line.to_owned());
            }
            let _ = writeln!(played, "{line}");
        }
    }
    if !steps.is_empty() {
        flush(&mut stage, &mut steps, &mut played);
    }
    played.truncate(played.trim_end().len());
    played.push('\n');
    played
}

struct Stage {
    cluster: Cluster,
    config: Config,
    names: Vec<String>,
    teller: Rc<RefCell<Teller>>,
}

impl Stage {
    fn new(config: Config) -> Stage {
        let teller = Rc::new(RefCell::new(Teller::new(&config.cluster)));
        let mut cluster = Cluster::new();
        let watcher = Rc::clone(&teller);
        cluster.watch(move |seen| watcher.borrow_mut().see(seen));
        Stage { cluster, config, names: Vec::new(), teller }
    }

    fn take_output(&mut self) -> String {
        let mut teller = self.teller.borrow_mut();
        teller.write_down();
        std::mem::take(&mut teller.output)
    }

    fn node(&self, name: &str) -> usize {
        self.names.iter().position(|known| known == name).unwrap_or_else(|| panic!("nobody is called {name}"))
    }

    fn perform(&mut self, step: &str) {
        let words: Vec<&str> = step.split_whitespace().collect();
        match words[..] {
            ["start", ..] => words[1..].iter().for_each(|name| self.start(name)),
            ["run", time] => self.cluster.run_for(duration(time)),
            ["crash", name] => self.cluster.crash(self.node(name)),
            ["pause", name] => self.cluster.pause(self.node(name)),
            ["resume", name] => self.cluster.resume(self.node(name)),
            ["restart", name] => self.cluster.restart(self.node(name)),
            ["restart", name, "at", address] => {
                let address = address.parse().expect("an address");
                self.teller.borrow_mut().addresses.insert(address, name.to_owned());
                self.cluster.restart_at(self.node(name), address);
            }
            ["cut", ..] => {
                let from = words.iter().position(|&word| word == "from").expect("cut .. from ..");
                let nodes = |words: &[&str]| words.iter().map(|name| self.node(name)).collect::<Vec<_>>();
                let (these, those) = (nodes(&words[1..from]), nodes(&words[from + 1..]));
                self.cluster.cut(&these, &those);
            }
            ["heal"] => self.cluster.network.heal(),
            ["view"] => {
                let views = self.cluster.views();
                let mut teller = self.teller.borrow_mut();
                teller.write_down();
                teller.output.push_str(&views);
            }
            ["quiet"] => self.hush(true),
            ["loud"] => self.hush(false),
            [name, "joins", ..] => {
                let seeds: Vec<usize> = words[2..].iter().map(|seed| self.node(seed)).collect();
                self.cluster.join(self.node(name), &seeds);
            }
            [name, "leaves"] => self.cluster.leave(self.node(name)),
            [name, "says", ..] => {
                let metadata = bytes::Bytes::from(words[2..].join(" "));
                let node = self.node(name);
                self.cluster.command(node, |node, now| node.set_metadata(now, metadata)).expect("it fits");
            }
            [name, "broadcasts", ..] => {
                let payload = payload(&words[2..]);
                let node = self.node(name);
                self.cluster.command(node, |node, now| node.broadcast(now, payload)).expect("there is room");
            }
            [name, "tells", to, ..] => {
                let (payload, to) = (payload(&words[3..]), self.cluster.id(self.node(to)));
                let node = self.node(name);
                let sent = self.cluster.command(node, |node, now| node.send_message(now, to, payload, Way::Auto));
                sent.expect("it can be sent");
            }
            [name, "loses", count] => {
                let address = self.cluster.address(self.node(name));
                let mut left: u32 = count.parse().expect("a number");
                self.cluster.network.script(move |_, to, _| {
                    if to == address && left > 0 {
                        left -= 1;
                        return Fate::Lost;
                    }
                    Fate::Arrives
                });
            }
            _ => panic!("no such step: {step}"),
        }
    }

    fn hush(&mut self, quiet: bool) {
        let mut teller = self.teller.borrow_mut();
        teller.write_down();
        teller.quiet = quiet;
    }

    fn start(&mut self, name: &str) {
        let address = Cluster::address_of(self.names.len());
        let mut teller = self.teller.borrow_mut();
        teller.addresses.insert(address, name.to_owned());
        teller.names.insert(NodeId::of(&self.config.cluster, name), name.to_owned());
        drop(teller);
        let local = swim_proto::LocalMember::new(address, crate::cluster::LIFE).with_name(name);
        self.names.push(name.to_owned());
        self.cluster.start_as(local, self.config.clone());
    }
}

/// Whether this is no claim: each probe's requests and their answers are told.
fn is_asking(said: &str) -> bool {
    said.starts_with("ping-req") || said.starts_with("nack")
}

fn duration(text: &str) -> Duration {
    if let Some(millis) = text.strip_suffix("ms") {
        Duration::from_millis(millis.parse().expect("a number of milliseconds"))
    } else {
        Duration::from_secs(text.strip_suffix('s').and_then(|secs| secs.parse().ok()).expect("a number of seconds"))
    }
}

/// What happens within one millisecond, in an order that does not depend on chance.
#[derive(Default)]
struct Moment {
    millis: u64,
    /// Who said what to whom.
    said: BTreeMap<(String, String), BTreeSet<String>>,
    streams: Vec<String>,
    /// What was told to the applications of which nodes.
    told: BTreeMap<String, BTreeSet<String>>,
}

/// Writes down what is worth telling.
struct Teller {
    cluster: String,
    output: String,
    moment: Moment,
    quiet: bool,
    names: BTreeMap<NodeId, String>,
    addresses: BTreeMap<SocketAddr, String>,
    /// What each has been told already; with who said it, if it was lost on the way.
    said: BTreeSet<(Option<SocketAddr>, SocketAddr, String)>,
    streams: BTreeMap<(usize, SocketAddr), FrameReader>,
}

impl Teller {
    fn new(cluster: &str) -> Teller {
        Teller {
            cluster: cluster.to_owned(),
            output: String::new(),
            moment: Moment::default(),
            quiet: false,
            names: BTreeMap::new(),
            addresses: BTreeMap::new(),
            said: BTreeSet::new(),
            streams: BTreeMap::new(),
        }
    }

    fn see(&mut self, seen: Seen<'_>) {
        match seen {
            Seen::Told { node, told } => {
                let name = self.addresses.get(&Cluster::address_of(node)).cloned().unwrap_or_default();
                let event = self.event(told);
                if told.what != What::Other {
                    self.moment(told.at).told.entry(event).or_default().insert(name);
                }
            }
            Seen::Datagram { at, from, to, bytes, fate } => {
                let mut said: Vec<String> = craft::messages(&self.cluster, bytes)
                    .filter_map(|message| self.datagram_message(&message))
                    .collect();
                // What is lost was not heard: it is told once for each who says it.
                let heard_from = (fate == Fate::Lost).then_some(from);
                said.retain(|said| is_asking(said) || self.said.insert((heard_from, to, said.clone())));
                let (from, to) = (self.place(from), self.place(to));
                let lost = if fate == Fate::Lost { " (lost)" } else { "" };
                for said in said {
                    let said = format!("{said}{lost}");
                    self.moment(at).said.entry((from.clone(), said)).or_default().insert(to.clone());
                }
            }
            Seen::Stream { at, from, to, link, bytes } => {
                let mut reader = self.streams.remove(&(link, from)).unwrap_or_default();
                reader.push(bytes);
                let mut said = Vec::new();
                while let Some(packet) = reader.next().expect("nodes write frames") {
                    let messages = swim_proto::wire::decode(packet, ClusterHash::of(&self.cluster), DATAGRAM_MAX);
                    said.extend(messages.expect("nodes write packets").map(|message| self.message(&message)));
                }
                self.streams.insert((link, from), reader);
                if !said.is_empty() {
                    let line = format!("{} > {} stream: {}", self.place(from), self.place(to), said.join(", "));
                    self.moment(at).streams.push(line);
                }
            }
        }
    }

    /// What happens at this moment; what happened before it is written down.
    fn moment(&mut self, at: Instant) -> &mut Moment {
        let millis = at.as_nanos() / 1_000_000;
        if self.moment.millis != millis {
            self.write_down();
            self.moment.millis = millis;
        }
        &mut self.moment
    }

    fn write_down(&mut self) {
        let Moment { millis, said, streams, told } = std::mem::take(&mut self.moment);
        if self.quiet {
            return;
        }
        let names = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(" ");
        let said = said.into_iter().map(|((from, said), to)| format!("{from} > {}: {said}", names(to)));
        let told = told.into_iter().map(|(event, nodes)| format!("{} told: {event}", names(nodes)));
        for line in said.chain(streams).chain(told) {
            let _ = writeln!(self.output, "{}.{:03} {line}", millis / 1000, millis % 1000);
        }
    }

    fn name(&self, id: NodeId) -> String {
        self.names.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    fn place(&self, address: SocketAddr) -> String {
        // The accepting side of a stream knows its peer's host alone.
        let known = self
            .addresses
            .get(&address)
            .or_else(|| self.addresses.iter().find(|(known, _)| known.ip() == address.ip()).map(|(_, name)| name));
        known.cloned().unwrap_or_else(|| address.to_string())
    }

    fn event(&self, told: &Told) -> String {
        let why = match told.cause {
            None => String::new(),
            Some(Cause::Itself) => String::from(" (itself)"),
            Some(Cause::ProbeFailed) => String::from(" (probe failed)"),
            Some(Cause::Accused { by }) => format!(" (accused by {})", self.name(by)),
            Some(Cause::SuspicionExpired { accusers, since }) => {
                format!(" (suspected since {:.3} by {accusers})", since.as_secs_f64())
            }
            Some(Cause::DeclaredBy { by }) => format!(" (declared by {})", self.name(by)),
            Some(Cause::Operator) => String::from(" (operator)"),
            Some(Cause::Forgotten) => String::from(" (forgotten)"),
            Some(_) => String::from(" (other)"),
        };
        match told.what {
            What::Broadcast | What::Message => {
                let (from, payload) = (told.id.map_or_else(String::new, |id| self.name(id)), &told.payload);
                return format!("{} of {from} {}", told.what, shortened(&String::from_utf8_lossy(payload)));
            }
            _ => {}
        }
        if told.name.is_empty() { told.what.to_string() } else { format!("{} {}{why}", told.name, told.what) }
    }

    /// `None`: everyday business.
    fn datagram_message(&self, message: &Message<'_>) -> Option<String> {
        match message {
            Message::Ping(_) | Message::Ack(_) => None,
            _ => Some(self.message(message)),
        }
    }

    fn message(&self, message: &Message<'_>) -> String {
        match message {
            Message::Ping(m) => format!("ping {}", self.name(m.target)),
            Message::Ack(m) => format!("ack {}", m.incarnation),
            Message::PingReq(m) => format!("ping-req {}", self.name(m.target)),
            Message::Nack(_) => String::from("nack"),
            Message::Alive(m) => {
                let profile = m.profile.parse();
                let metadata = if profile.metadata.is_empty() {
                    String::new()
                } else {
                    format!(" {:?}", String::from_utf8_lossy(profile.metadata))
                };
                format!("alive {} {}{metadata}", self.name(m.id), m.incarnation)
            }
            Message::Suspect(m) => {
                format!("suspect {} {} by {}", self.name(m.id), m.incarnation, self.name(m.accuser))
            }
            Message::Dead(m) => format!("dead {} {} by {}", self.name(m.id), m.incarnation, self.name(m.accuser)),
            Message::Left(m) => format!("left {} {}", self.name(m.id), m.incarnation),
            Message::Ask(m) => format!("ask {} {}", self.name(m.id), m.incarnation),
            Message::Join(m) => format!("join {}", self.name(m.source)),
            Message::SyncRoot(_) => String::from("sync-root"),
            Message::SyncAgree(_) => String::from("sync-agree"),
            Message::SyncBuckets(_) => String::from("sync-buckets"),
            Message::SyncFilter(_) => String::from("sync-filter"),
            Message::Held(m) => format!("held {} {}", self.name(m.id), m.incarnation),
            Message::Want(m) => format!("want {}", self.name(m.id)),
            Message::Tombstone(m) => format!("tombstone {} {}", self.name(m.id), m.incarnation),
            Message::SyncEnd(m) => format!("end {}", m.count),
            Message::NameTaken(m) => format!("name taken by {}", self.place(m.holder)),
            Message::Busy(_) => String::from("busy"),
            Message::Broadcast(m) => {
                let payload = String::from_utf8_lossy(m.payload);
                format!("broadcast {} of {} {}", m.sequence, self.name(m.origin), shortened(&payload))
            }
            Message::Announce(m) => format!("announce {} of {}, {} bytes", m.sequence, self.name(m.origin), m.len),
            Message::Pull(m) => format!("pull {} of {}", m.sequence, self.name(m.origin)),
            Message::UserMessage(m) => {
                format!("message for {} {}", self.name(m.target), shortened(&String::from_utf8_lossy(m.payload)))
            }
            Message::Carry(_) => String::from("carry"),
        }
    }
}

/// These words; or, of a single number with its unit ("3000B"), so many letters.
fn payload(words: &[&str]) -> bytes::Bytes {
    let len = words.first().and_then(|word| word.strip_suffix('B')).and_then(|len| len.parse().ok());
    len.map_or_else(|| words.join(" "), |len| "x".repeat(len)).into()
}

/// A text as it would be quoted, or its beginning.
fn shortened(text: &str) -> String {
    const LEN: usize = 24;
    match text.char_indices().nth(LEN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
