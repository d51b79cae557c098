//! Runs one member until it is told to go.

use std::net::SocketAddr;
use std::time::Duration;

use swim_tokio::{Event, Events, EventsError, Handle, MemberInfo, Notice, Options};
use tracing::{info, warn};

use crate::config::AgentConfig;
use crate::console::{self, Answer, Console, Done};
use crate::exit::Exit;
use crate::output::text::{Columns, Paint};
use crate::output::{self, Lines, json};
use crate::signals::Signals;

/// How long a stdout that nobody reads may hold up the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs the agent; `strangers` are sentences about variables that were passed over.
pub(crate) fn run(config: AgentConfig, strangers: &[String]) -> Exit {
    start_log(&config);
    for stranger in strangers {
        warn!("{stranger}");
    }
    // One thread is enough for one member, and small.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&format!("the system gives no event queue: {error}")),
    };
    let lines = match Lines::start() {
        Ok(lines) => lines,
        Err(error) => return refuse(&format!("the system gives no thread: {error}")),
    };
    let exit = runtime.block_on(serve(config, &lines));
    lines.finish(patience(exit));
    // A name that is being looked up does not hold up the end.
    runtime.shutdown_background();
    exit
}

/// How long the last lines may take to be read.
fn patience(exit: Exit) -> Duration {
    match exit {
        Exit::Signal(_) => Duration::ZERO,
        _ => PATIENCE,
    }
}

fn refuse(why: &str) -> Exit {
    crate::complain(&format!("error: {why}"));
    Exit::Start
}

async fn serve(config: AgentConfig, lines: &Lines) -> Exit {
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return refuse(&format!("cannot listen for signals: {error}")),
    };
    let node = match start(&config).await {
        Ok(node) => node,
        Err(why) => return refuse(&why),
    };
    let console = if config.stdin_commands { Console::open() } else { Ok(Console::closed()) };
    let console = match console {
        Ok(console) => console,
        Err(error) => return refuse(&format!("the system gives no thread: {error}")),
    };
    let mut agent = Agent { node, form: Form::new(config.json), signals, lines, console, leaving: None };
    lines.room().await.put(agent.form.started(&agent.node, &config));
    let exit = agent.follow().await;
    if let Ok(room) = tokio::time::timeout(patience(exit), lines.room()).await {
        room.put(agent.form.stopped(exit));
    }
    info!("stopped");
    exit
}

/// Starts the node; as an error, what failed and which flag it came from.
async fn start(config: &AgentConfig) -> Result<Handle, String> {
    let mut options = Options::new(look_up("--addr", &config.addr).await?)
        .with_config(config.protocol.clone())
        .with_metadata(config.metadata.clone())
        .with_seeds(config.seeds.clone());
    if let Some(advertise) = &config.advertise {
        options = options.with_advertise(look_up("--advertise", advertise).await?);
    }
    if let Some(name) = &config.name {
        options = options.with_name(name);
    }
    let node = options.start().await.map_err(|error| match error {
        swim_tokio::StartError::Unreachable { bind } => {
            format!("--addr {bind} listens everywhere, but others need one address; add --advertise HOST:PORT")
        }
        swim_tokio::StartError::Bind { address, source } if source.kind() == std::io::ErrorKind::AddrInUse => {
            format!("--addr {address}: another process listens there; choose another port, or 0 for a free one")
        }
        swim_tokio::StartError::Bind { address, source }
            if source.kind() == std::io::ErrorKind::AddrNotAvailable =>
        {
            format!("--addr {address}: no interface here has this address; choose one of this host's, or 0.0.0.0 with --advertise")
        }
        error => format!("cannot start: {error}"),
    })?;
    let seeds = config.seeds.join(" ");
    info!(name = node.name(), address = %node.address(), bound = %node.bound(), seeds, "started");
    info!(profile = config.profile.name(), changed = config.changed.join(", "), "settings");
    Ok(node)
}

/// The first address of `HOST:PORT`.
async fn look_up(flag: &str, host: &str) -> Result<SocketAddr, String> {
    match tokio::net::lookup_host(host).await {
        Ok(mut found) => found.next().ok_or_else(|| format!("{flag} {host}: this name has no address")),
        Err(error) => Err(format!("{flag} {host}: the name cannot be looked up: {error}")),
    }
}

struct Agent<'a> {
    node: Handle,
    form: Form,
    signals: Signals,
    lines: &'a Lines,
    console: Console,
    /// Why it is on its way out, if it is.
    leaving: Option<Exit>,
}

impl Agent<'_> {
    /// Tells what happens until the node is no more.
    async fn follow(&mut self) -> Exit {
        let Ok((known, mut events)) = self.node.follow().await else { return Exit::Done };
        // Whoever was quicker than our subscription.
        let ourselves = self.node.id();
        for member in known.iter().filter(|member| member.id != ourselves && member.state.is_live()) {
            self.lines.room().await.put(self.form.joined(member));
        }
        loop {
            let (lines, console) = (self.lines, &mut self.console);
            let (room, next) = tokio::select! {
                biased;
                signal = self.signals.next() => match self.heed(signal) {
                    None => continue,
                    Some(exit) => return exit,
                },
                // A command too is taken only when it can be answered.
                (room, line) = async { let room = lines.room().await; (room, console.next().await) } => {
                    let Ok(answer) = console::obey(&self.node, line).await else { continue };
                    room.put(self.form.answer(&answer));
                    if let Answer::Done(Done::Leave) = answer {
                        info!("leaving, as asked for on stdin");
                        self.leave(Exit::Done);
                    }
                    continue;
                }
                // Room first: an event is taken only when it can be told, so that a slow reader costs no memory.
                told = async { let room = lines.room().await; (room, events.recv().await) } => told,
                () = gone(&self.node) => return self.leaving.unwrap_or(Exit::Done),
            };
            match next {
                Ok(notice) => {
                    room.put(self.form.notice(&notice));
                    if let Event::Superseded { .. } = notice.event {
                        self.leave(Exit::Superseded);
                    }
                }
                Err(EventsError::Lagged(missed)) => {
                    let Ok(members) = self.begin_anew(&mut events).await else { return self.end() };
                    room.put(self.form.lagged(missed, &members));
                }
                Err(EventsError::Closed) => return self.end(),
            }
        }
    }

    async fn begin_anew(&self, events: &mut Events) -> Result<std::sync::Arc<[MemberInfo]>, swim_tokio::Closed> {
        let (members, anew) = self.node.follow().await?;
        *events = anew;
        Ok(members)
    }

    /// The first signal begins the departure, the second ends the process.
    fn heed(&mut self, signal: u8) -> Option<Exit> {
        if self.leaving.is_some() {
            warn!(signal, "stopped at once, without having left");
            return Some(Exit::Signal(signal));
        }
        info!(signal, "leaving; once more stops at once");
        self.leave(Exit::Done);
        None
    }

    fn leave(&mut self, exit: Exit) {
        if self.leaving.is_none() {
            self.leaving = Some(exit);
            let node = self.node.clone();
            tokio::spawn(async move { node.shutdown().await });
        }
    }

    fn end(&self) -> Exit {
        self.leaving.unwrap_or(Exit::Done)
    }
}

/// Waits until the node is no more and its last events have had their time to be told.
async fn gone(node: &Handle) {
    node.closed().await;
    tokio::time::sleep(PATIENCE).await;
}

/// Text or JSON.
enum Form {
    Text(Columns),
    Json,
}

impl Form {
    fn new(json: bool) -> Form {
        if json { Form::Json } else { Form::Text(Columns::new(Paint::new(output::stdout_has_colours()))) }
    }

    fn started(&mut self, node: &Handle, config: &AgentConfig) -> String {
        match self {
            Form::Text(columns) => columns.started(node, config.profile.name()),
            Form::Json => json::started(node, config.profile.name(), &config.metadata),
        }
    }

    fn joined(&mut self, member: &MemberInfo) -> String {
        match self {
            Form::Text(columns) => columns.joined(member),
            Form::Json => json::joined(member),
        }
    }

    fn notice(&mut self, notice: &Notice) -> String {
        match self {
            Form::Text(columns) => columns.notice(notice),
            Form::Json => json::notice(notice),
        }
    }

    fn answer(&mut self, answer: &Answer) -> String {
        match self {
            Form::Text(columns) => columns.answer(answer),
            Form::Json => json::answer(answer),
        }
    }

    fn lagged(&mut self, missed: u64, members: &[MemberInfo]) -> String {
        match self {
            Form::Text(columns) => columns.lagged(missed, members),
            Form::Json => json::lagged(missed, members),
        }
    }

    fn stopped(&mut self, exit: Exit) -> String {
        let (word, why) = match exit {
            Exit::Superseded => ("superseded", "a newer process has our name"),
            Exit::Signal(_) => ("signal", "at once, without having left"),
            _ => ("left", "the cluster was told"),
        };
        match self {
            Form::Text(columns) => columns.stopped(why),
            Form::Json => json::stopped(word),
        }
    }
}

fn start_log(config: &AgentConfig) {
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(config.log_level);
    if config.json {
        log.json().flatten_event(true).init();
    } else {
        log.with_ansi(output::stderr_has_colours()).init();
    }
}
