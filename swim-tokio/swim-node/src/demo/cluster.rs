//! The demo's nodes, and what each of them sees.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use swim_proto::Config;
use swim_tokio::{Cause, Event, EventsError, Handle, MemberInfo, Notice, Options, State};
use tokio::sync::mpsc;

/// Most sights that wait to be looked at; whoever watches one more waits, and its node's ring takes the rest.
const SIGHTS_MAX: usize = 4096;

/// The nodes, by index; node 0 is whom the others join by.
pub(crate) struct Cluster {
    config: Config,
    nodes: Vec<DemoNode>,
    sights: mpsc::Receiver<Raw>,
    watchers: mpsc::Sender<Raw>,
    last_sight: Instant,
    /// Who was started last.
    newest: usize,
    /// How often a node that was up was declared dead.
    pub(crate) false_deaths: u32,
}

struct DemoNode {
    name: String,
    address: SocketAddr,
    /// `None` while it is dead.
    handle: Option<Handle>,
    /// Counts its starts: what an earlier life saw is no news.
    start: u32,
    view: View,
}

/// Whom a node holds for what.
#[derive(Default)]
pub(crate) struct View {
    live: BTreeSet<String>,
    suspected: BTreeSet<String>,
    dead: BTreeSet<String>,
}

impl View {
    pub(crate) fn holds_live(&self, name: &str) -> bool {
        self.live.contains(name)
    }

    /// Whether it suspects the member, or did until it held it dead.
    pub(crate) fn suspected(&self, name: &str) -> bool {
        self.suspected.contains(name) || self.declared_dead(name)
    }

    pub(crate) fn declared_dead(&self, name: &str) -> bool {
        self.dead.contains(name)
    }

    fn put(&mut self, member: &MemberInfo) {
        let set = |set: &mut BTreeSet<String>, holds: bool| {
            if holds {
                set.insert(member.name.clone())
            } else {
                set.remove(&member.name)
            };
        };
        set(&mut self.live, member.state.is_live());
        set(&mut self.suspected, member.state == State::Suspect);
        set(&mut self.dead, member.state == State::Dead);
    }
}

/// Something a node saw.
pub(crate) struct Sight {
    /// Who saw it.
    pub(crate) by: String,
    /// When.
    pub(crate) at: Instant,
    /// The member it is about, if it is about one.
    pub(crate) about: Option<String>,
    /// What it is; `None`: the node was not heeded for so long that its view had to be read anew.
    pub(crate) event: Option<Event>,
    /// Whether this declares dead a node that is up.
    pub(crate) is_false: bool,
    /// Whether it is about the node that was started last, and not by it.
    pub(crate) is_about_the_newest: bool,
}

impl Sight {
    pub(crate) fn is_death(&self) -> bool {
        matches!(self.event, Some(Event::Died(_)))
    }

    pub(crate) fn cause(&self) -> Option<&Cause> {
        self.event.as_ref()?.change().map(|change| &change.cause)
    }
}

/// What a watcher passes on: of which start of which node, and a notice, or the whole view anew.
struct Raw {
    index: usize,
    start: u32,
    news: News,
}

enum News {
    Notice(Box<Notice>),
    View(Vec<MemberInfo>),
}

impl Cluster {
    pub(crate) fn new(config: Config) -> Cluster {
        let (watchers, sights) = mpsc::channel(SIGHTS_MAX);
        Cluster { config, nodes: Vec::new(), sights, watchers, last_sight: Instant::now(), newest: 0, false_deaths: 0 }
    }

    /// How many nodes there are, the killed one included.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn name(&self, index: usize) -> String {
        self.nodes[index].name.clone()
    }

    /// Starts one more node, on a free port.
    pub(crate) async fn add(&mut self) -> Result<(String, SocketAddr), String> {
        let index = self.nodes.len();
        let name = format!("n{}", index + 1);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        self.nodes.push(DemoNode { name: name.clone(), address: any, handle: None, start: 0, view: View::default() });
        self.start(index).await?;
        Ok((name, self.nodes[index].address))
    }

    /// Kills a node as a power cut would: its task is gone, its sockets are closed, nobody is told.
    pub(crate) async fn kill(&mut self, index: usize) {
        if let Some(handle) = self.nodes[index].handle.take() {
            handle.abort().await;
        }
        self.nodes[index].view = View::default();
    }

    /// Starts a killed node again, with its name and at its address, as a new process would; says when. Should somebody
    /// else's connection hold its port for a moment, that is waited for.
    pub(crate) async fn restart(&mut self, index: usize) -> Result<Instant, String> {
        const ATTEMPTS: usize = 50;
        self.nodes[index].start += 1;
        for _ in 1..ATTEMPTS {
            let since = Instant::now();
            if self.start(index).await.is_ok() {
                return Ok(since);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let since = Instant::now();
        self.start(index).await.map(|()| since)
    }

    async fn start(&mut self, index: usize) -> Result<(), String> {
        let node = &self.nodes[index];
        // Everyone joins by the first; should that one ever start again, by the second.
        let seed = usize::from(index == 0);
        let seeds = self.nodes.get(seed).filter(|node| node.handle.is_some()).map(|node| node.address.to_string());
        let options =
            Options::new(node.address).with_name(&node.name).with_config(self.config.clone()).with_seeds(seeds);
        let started = options.start().await;
        let handle = started.map_err(|error| format!("{} cannot start at {}: {error}", node.name, node.address))?;
        let node = &mut self.nodes[index];
        self.newest = index;
        node.address = handle.address();
        node.view = View::default();
        node.handle = Some(handle.clone());
        let watcher = Watcher { index, start: node.start, sights: self.watchers.clone() };
        tokio::spawn(watcher.watch(handle));
        Ok(())
    }

    /// The next thing that some node sees. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Sight {
        loop {
            // We keep a sender ourselves, so that this channel never ends.
            let Some(raw) = self.sights.recv().await else { return std::future::pending().await };
            let node = &self.nodes[raw.index];
            if node.start == raw.start && node.handle.is_some() {
                return self.take(raw);
            }
        }
    }

    fn take(&mut self, raw: Raw) -> Sight {
        let by = self.nodes[raw.index].name.clone();
        let view = &mut self.nodes[raw.index].view;
        let mut sight =
            Sight { by, at: Instant::now(), about: None, event: None, is_false: false, is_about_the_newest: false };
        match raw.news {
            News::View(members) => {
                *view = View::default();
                members.iter().for_each(|member| view.put(member));
            }
            News::Notice(notice) => {
                // When it was seen, not when it was read.
                let ago = SystemTime::now().duration_since(notice.at).unwrap_or_default();
                sight.at = sight.at.checked_sub(ago).unwrap_or(sight.at);
                if let Some(member) = notice.event.member() {
                    view.put(member);
                    sight.about = Some(member.name.clone());
                    let is_up = |node: &DemoNode| node.name == member.name && node.handle.is_some();
                    sight.is_false = matches!(notice.event, Event::Died(_)) && self.nodes.iter().any(is_up);
                    self.false_deaths += u32::from(sight.is_false);
                    sight.is_about_the_newest = raw.index != self.newest && self.nodes[self.newest].name == member.name;
                }
                sight.event = Some(notice.event);
            }
        }
        self.last_sight = self.last_sight.max(sight.at);
        sight
    }

    /// When something was seen last.
    pub(crate) fn last_sight(&self) -> Instant {
        self.last_sight
    }

    /// How many running nodes hold all running nodes live.
    pub(crate) fn full_views(&self) -> usize {
        let running = self.nodes.iter().filter(|node| node.handle.is_some()).count();
        self.count(|view| view.live.len() == running)
    }

    pub(crate) fn is_converged(&self) -> bool {
        self.full_views() == self.nodes.len()
    }

    /// How many running nodes' views are so.
    pub(crate) fn count(&self, is_so: impl Fn(&View) -> bool) -> usize {
        self.nodes.iter().filter(|node| node.handle.is_some() && is_so(&node.view)).count()
    }
}

/// Passes on what one start of one node sees.
struct Watcher {
    index: usize,
    start: u32,
    sights: mpsc::Sender<Raw>,
}

impl Watcher {
    /// Until the node is no more, or nobody wants to know.
    async fn watch(self, node: Handle) -> Option<()> {
        loop {
            let (members, mut events) = node.follow().await.ok()?;
            self.pass(News::View(members.to_vec())).await?;
            loop {
                match events.recv().await {
                    Ok(notice) => self.pass(News::Notice(Box::new(notice))).await?,
                    Err(EventsError::Lagged(_)) => break,
                    Err(EventsError::Closed) => return None,
                }
            }
        }
    }

    async fn pass(&self, news: News) -> Option<()> {
        self.sights.send(Raw { index: self.index, start: self.start, news }).await.ok()
    }
}
