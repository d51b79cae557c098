//! Runs one member until it is told to go.

mod departure;
mod reload;
mod start;
mod summary;

use std::time::Duration;

use swim_tokio::{Event, EventsError, MemberInfo, Notice, Outcome, Received, Status};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{error, info, warn};

use self::departure::Departure;
use self::reload::Reload;
use self::start::start;
use crate::cli::AgentArgs;
use crate::config::AgentConfig;
use crate::console::{self, Answer, Console, Done};
use crate::driver::{Events, Handle, Incoming};
use crate::exit::Exit;
use crate::output::log::Log;
use crate::output::text::{Columns, Paint};
use crate::output::{self, Lines, json};
use crate::signals::{Signal, Signals};

/// How long a stdout or stderr that nobody reads may hold up the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs the agent; `strangers` are sentences about variables that were passed over, and `args` what to read again when
/// the configuration is to be.
pub(crate) fn run(config: AgentConfig, strangers: &[String], args: &AgentArgs) -> Exit {
    let log = match start_log(&config) {
        Ok(log) => log,
        Err(error) => {
            crate::complain(&format!("error: the system gives no thread: {error}"));
            return Exit::Start;
        }
    };
    let exit = run_logged(config, strangers, args).unwrap_or_else(|why| {
        // By way of the log, because nobody may read this either.
        log.put(format!("error: {why}\n").as_bytes());
        Exit::Start
    });
    log.finish(patience(exit));
    exit
}

fn run_logged(config: AgentConfig, strangers: &[String], args: &AgentArgs) -> Result<Exit, String> {
    for stranger in strangers {
        warn!("{stranger}");
    }
    // One thread is enough for one member, and small.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the system gives no event queue: {error}"))?;
    let lines = Lines::start().map_err(|error| format!("the system gives no thread: {error}"))?;
    let exit = runtime.block_on(serve(config, args, &lines));
    lines.finish(exit.as_ref().map_or(Duration::ZERO, |exit| patience(*exit)));
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

async fn serve(config: AgentConfig, args: &AgentArgs, lines: &Lines) -> Result<Exit, String> {
    let mut signals = Signals::listen().map_err(|error| format!("cannot listen for signals: {error}"))?;
    // Its addresses may be names, and name servers may be slow.
    let node = match unless_stopped(signals.stop(), start(&config)).await {
        Ok(started) => started?,
        Err(signal) => {
            info!(signal, "stopped before it had started");
            return Ok(Exit::Signal(signal));
        }
    };
    let console = if config.stdin_commands { Console::open() } else { Ok(Console::closed()) };
    let console = console.map_err(|error| format!("the system gives no thread: {error}"))?;
    let reload = Reload::start(node.clone(), args.clone(), config.clone());
    let leave_timeout = config.protocol.leave_timeout;
    let form = Form::new(config.json);
    let (incoming, outcomes) = (node.incoming(), JoinSet::new());
    let has_messages = config.zmq_port_offset.is_some();
    let mut agent = Agent {
        node,
        form,
        signals,
        lines,
        console,
        reload,
        incoming,
        has_messages,
        outcomes,
        leave_timeout,
        leaving: None,
    };
    lines.room().await.put(agent.form.started(&agent.node, &config));
    let exit = agent.follow().await;
    if !matches!(exit, Exit::Signal(_)) {
        agent.tell_outcomes().await;
    }
    // A second signal waits for nothing.
    let departure = if let Exit::Signal(_) = exit { None } else { agent.departed().await };
    let exit = match (exit, departure, agent.node.status()) {
        // It was to leave, and something else came first.
        (Exit::Done, Some(Departure::Refused), Status::Superseded) => Exit::Superseded,
        (Exit::Done, Some(Departure::Refused), _) => Exit::Failed,
        (exit, ..) => exit,
    };
    if exit == Exit::Failed {
        error!("the protocol has ended without having been told to; please report this with the lines above");
    }
    if let Ok(room) = tokio::time::timeout(patience(exit), lines.room()).await {
        room.put(agent.form.stopped(exit, departure));
    }
    info!("stopped");
    Ok(exit)
}

/// What comes first: as an error, the signal.
async fn unless_stopped<T>(stop: impl Future<Output = u8>, done: impl Future<Output = T>) -> Result<T, u8> {
    tokio::select! {
        signal = stop => Err(signal),
        done = done => Ok(done),
    }
}

struct Agent<'a> {
    node: Handle,
    form: Form,
    signals: Signals,
    lines: &'a Lines,
    console: Console,
    reload: Reload,
    incoming: Incoming,
    /// Whether messages can come.
    has_messages: bool,
    /// Messages that were sent from stdin, and wait for their outcome.
    outcomes: JoinSet<Outcome>,
    leave_timeout: Duration,
    /// Why it is on its way out, if it is, and what becomes of the goodbye.
    leaving: Option<(Exit, JoinHandle<Departure>)>,
}

impl Agent<'_> {
    /// Tells what happens until the node is no more.
    async fn follow(&mut self) -> Exit {
        let Ok((known, mut events)) = self.node.follow().await else { return self.end() };
        // Whoever was quicker than our subscription is told of before what came after.
        let ourselves = self.node.id();
        let mut known = known.iter().filter(|member| member.id != ourselves && member.state.is_live()).peekable();
        loop {
            let (lines, console, incoming) = (self.lines, &mut self.console, &mut self.incoming);
            let waits = !self.outcomes.is_empty();
            let outcomes = &mut self.outcomes;
            // In any order: commands without end hold up neither signals nor events.
            let (room, next) = tokio::select! {
                signal = self.signals.next() => match self.heed(signal) {
                    None => continue,
                    Some(exit) => return exit,
                },
                // A command too is taken only when it can be answered.
                (room, line) = async { let room = lines.room().await; (room, console.next().await) } => {
                    // By a node that is no more nothing is answered; the events say that it is.
                    let Ok(answer) = console::obey(&self.node, line).await else { continue };
                    room.put(self.form.answer(&answer));
                    if let Answer::Done(Done::Deliver { pending, .. }) = answer {
                        self.outcomes.spawn(pending.outcome());
                        continue;
                    }
                    if matches!(answer, Answer::Done(Done::Leave)) && self.leave(Exit::Done) {
                        info!("leaving, as asked for on stdin");
                    }
                    continue;
                }
                // Nobody reading, none is taken, and their senders wait.
                (room, received) = async { let room = lines.room().await; (room, incoming.recv().await) },
                    if self.has_messages => match received {
                        Some(received) => {
                            let name = name_of(&self.node, received.from).await;
                            room.put(self.form.received(&received, name.as_deref()));
                            continue;
                        }
                        None => {
                            self.has_messages = false;
                            continue;
                        }
                    },
                (room, done) = async { let room = lines.room().await; (room, outcomes.join_next().await) }, if waits => {
                    if let Some(Ok(outcome)) = done {
                        let name = name_of(&self.node, outcome.to).await;
                        room.put(self.form.outcome(&outcome, name.as_deref()));
                    }
                    continue;
                }
                room = lines.room(), if known.peek().is_some() => {
                    if let Some(member) = known.next() {
                        room.put(self.form.joined(member));
                    }
                    continue;
                }
                // Room first: an event is taken only when it can be told, so that a slow reader costs no memory.
                told = async { let room = lines.room().await; (room, events.recv().await) }, if known.peek().is_none() =>
                    told,
                () = gone(&self.node) => return self.end(),
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

    /// The first signal to stop begins the departure, the second ends the process.
    fn heed(&mut self, signal: Signal) -> Option<Exit> {
        let signal = match signal {
            Signal::Stop(signal) => signal,
            Signal::Reload => {
                self.reload.wish();
                return None;
            }
            Signal::Summary => {
                tokio::spawn(summary::log(self.node.clone()));
                return None;
            }
        };
        if self.leaving.is_some() {
            warn!(signal, "stopped at once, without having left");
            return Some(Exit::Signal(signal));
        }
        info!(signal, "leaving; once more stops at once");
        self.leave(Exit::Done);
        None
    }

    /// Begins the departure; `false`: it has begun already.
    fn leave(&mut self, exit: Exit) -> bool {
        let begins = self.leaving.is_none();
        if begins {
            let departure = Departure::of(self.node.clone(), self.leave_timeout);
            self.leaving = Some((exit, tokio::spawn(departure)));
        }
        begins
    }

    /// The outcomes that are left: with the node's end they all come.
    async fn tell_outcomes(&mut self) {
        let all = async {
            while let Some(done) = self.outcomes.join_next().await {
                if let Ok(outcome) = done {
                    self.lines.room().await.put(self.form.outcome(&outcome, None));
                }
            }
        };
        let _ = tokio::time::timeout(PATIENCE, all).await;
    }

    /// The node is no more: because it was told to go, or else because something is wrong with it.
    fn end(&self) -> Exit {
        self.leaving.as_ref().map_or(Exit::Failed, |(exit, _)| *exit)
    }

    /// What became of the goodbye, if one was begun and has come to an end.
    async fn departed(&mut self) -> Option<Departure> {
        let (_, departure) = self.leaving.take()?;
        tokio::time::timeout(PATIENCE, departure).await.ok()?.ok()
    }
}

/// A member's name, if it is known still.
async fn name_of(node: &Handle, id: swim_tokio::NodeId) -> Option<String> {
    Some(node.member(id).await.ok()??.name)
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

    fn received(&mut self, received: &Received, name: Option<&str>) -> String {
        match self {
            Form::Text(columns) => columns.received(received, name),
            Form::Json => json::received(received, name),
        }
    }

    fn outcome(&mut self, outcome: &Outcome, name: Option<&str>) -> String {
        match self {
            Form::Text(columns) => columns.outcome(outcome, name),
            Form::Json => json::outcome(outcome, name),
        }
    }

    fn lagged(&mut self, missed: u64, members: &[MemberInfo]) -> String {
        match self {
            Form::Text(columns) => columns.lagged(missed, members),
            Form::Json => json::lagged(missed, members),
        }
    }

    fn stopped(&mut self, exit: Exit, departure: Option<Departure>) -> String {
        let (word, why) = match exit {
            Exit::Superseded => ("superseded", "a newer process has our name"),
            Exit::Signal(_) => ("signal", "at once, without having left"),
            Exit::Failed => ("failed", "the protocol has ended without having been told to"),
            _ => ("left", departure.unwrap_or(Departure::Late).sentence()),
        };
        let departure = departure.filter(|_| word == "left").map(Departure::word);
        match self {
            Form::Text(columns) => columns.stopped(why),
            Form::Json => json::stopped(word, departure),
        }
    }
}

/// From now on what is logged goes to stderr, and nobody waits for whoever reads that.
fn start_log(config: &AgentConfig) -> std::io::Result<Log> {
    let log = Log::start()?;
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_max_level(config.log_level)
        .log_internal_errors(false);
    if config.json {
        subscriber.json().flatten_event(true).init();
    } else {
        subscriber.with_ansi(output::stderr_has_colours()).init();
    }
    Ok(log)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use clap::{Args as _, FromArgMatches as _};
    use tokio::sync::mpsc;

    use super::*;
    use crate::config;
    use crate::given::{Given, Key, Origin};

    fn config() -> AgentConfig {
        let origin = Origin::Flag("--addr".to_owned());
        config::merge(&[vec![Given { key: Key::Addr, text: "127.0.0.1:0".to_owned(), origin }]], vec![]).unwrap()
    }

    fn args() -> AgentArgs {
        let command = AgentArgs::augment_args(clap::Command::new("swim-node"));
        AgentArgs::from_arg_matches(&command.get_matches_from(["swim-node"])).unwrap()
    }

    /// An agent with a node that has just started.
    async fn agent(console: Console, lines: &Lines) -> Agent<'_> {
        let config = config();
        let node = start(&config).await.unwrap();
        Agent {
            console,
            node: node.clone(),
            form: Form::new(true),
            signals: Signals::listen().unwrap(),
            lines,
            reload: Reload::start(node.clone(), args(), config),
            incoming: node.incoming(),
            has_messages: false,
            outcomes: JoinSet::new(),
            leave_timeout: Duration::from_secs(1),
            leaving: None,
        }
    }

    /// Says whether this was written to it.
    #[derive(Clone)]
    struct Looks {
        for_this: &'static [u8],
        seen: Arc<AtomicBool>,
    }

    impl io::Write for Looks {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let is_there = line.windows(self.for_this.len()).any(|part| part == self.for_this);
            self.seen.fetch_or(is_there, Ordering::Relaxed);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn commands_without_end_do_not_hold_up_events() {
        let looks = Looks { for_this: b"\"updated\"", seen: Arc::default() };
        let lines = Lines::to(looks.clone()).unwrap();
        // There is always one more: whenever the node is asked, the next comes.
        let (sender, commands) = mpsc::channel(2);
        tokio::spawn(async move { while sender.send(Ok("members".to_owned())).await.is_ok() {} });
        let mut agent = agent(Console::of(commands), &lines).await;
        let node = agent.node.clone();
        let told = async {
            let mut number = 0_u64;
            while !looks.seen.load(Ordering::Relaxed) {
                number += 1;
                node.set_metadata(number.to_le_bytes().to_vec()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let told = async {
            tokio::select! {
                exit = agent.follow() => panic!("it has ended: {exit:?}"),
                () = told => {}
            }
        };
        tokio::time::timeout(Duration::from_secs(60), told).await.expect("events are told");
    }

    #[tokio::test]
    async fn a_node_that_ends_unasked_is_a_failure() {
        let lines = Lines::start().unwrap();
        let mut agent = agent(Console::closed(), &lines).await;
        // Its task is gone, as after a panic.
        agent.node.abort().await;
        let exit = tokio::time::timeout(Duration::from_secs(60), agent.follow()).await.expect("the end is noticed");
        assert_eq!(exit, Exit::Failed);
        let departure = agent.departed().await;
        let last = agent.form.stopped(exit, departure);
        assert!(last.contains("\"reason\":\"failed\""), "{last}");
    }

    #[tokio::test]
    async fn a_signal_ends_a_start_that_hangs() {
        assert_eq!(unless_stopped(std::future::ready(15), std::future::pending::<()>()).await, Err(15));
        assert_eq!(unless_stopped(std::future::pending(), std::future::ready("started")).await, Ok("started"));
    }

    #[tokio::test]
    async fn a_departure_that_cannot_be_is_told_as_such() {
        let node = start(&config()).await.unwrap();
        assert_eq!(Departure::of(node.clone(), Duration::from_secs(1)).await, Departure::Alone);
        assert_eq!(Departure::of(node, Duration::from_secs(1)).await, Departure::Refused);
    }
}
