//! The story as people read it.

use std::net::SocketAddr;
use std::time::Duration;

use swim_proto::Config;
use swim_tokio::{Cause, Event};

use super::{Out, Step};
use crate::demo::cluster::Sight;
use crate::demo::summary::Summary;
use crate::output::text::{Paint, Tone, show_seconds};
use swim_settings::show_duration;

/// Lines of one kind that a crowded act shows before it only counts them.
const SHOWN_MAX: usize = 3;

/// Above this many nodes an act is crowded.
const CROWD: usize = 8;

/// The story as text.
pub(crate) struct Story {
    out: Out,
    paint: Paint,
    nodes: usize,
    act: Act,
    /// What this act had so far.
    tallies: Vec<Tally>,
    /// Whether the line that says for what we wait stands on the screen.
    waits: bool,
}

/// The lines of one kind in an act.
struct Tally {
    kind: &'static str,
    count: usize,
    /// When the last was.
    last: Duration,
    /// What a crowded act did not show of them was told.
    is_told: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Forms,
    Loses,
    TakesBack,
}

impl Story {
    pub(super) fn new(nodes: usize, out: Out) -> Story {
        Story { paint: out.paint, out, nodes, act: Act::Forms, tallies: Vec::new(), waits: false }
    }

    pub(super) fn tell(&mut self, step: &Step<'_>) {
        self.clear_wait();
        match step {
            Step::Begin { profile, config } => self.begin(profile, config),
            Step::Started { name, address } => self.started(name, *address),
            Step::Converged { after } => {
                self.rest_of_crowd();
                let text = format!("every node knows all {}", self.nodes);
                self.mark(*after, &text);
            }
            Step::Killing { name } => self.head(
                Act::Loses,
                &format!("{name} is killed"),
                "Nobody is told: its task is gone, its sockets are closed. Who probes it next\n\
                 gets no answer and suspects it. It has a while to contradict, for it might\n\
                 only be slow; then it is held dead.",
            ),
            Step::Seen { sight, after } => self.seen(sight, *after),
            Step::Detected { name, survivors } => {
                let last = self.tallies.iter().find(|tally| tally.kind == "died").map(|tally| tally.last);
                self.rest_of_crowd();
                let text = match survivors {
                    1 => format!("the one survivor holds {name} dead"),
                    _ => format!("all {survivors} survivors hold {name} dead"),
                };
                self.mark(last.unwrap_or_default(), &text);
            }
            Step::Restarting { name } => self.head(
                Act::TakesBack,
                &format!("{name} starts again"),
                "At its old address, as a new process that knows only n1.",
            ),
            Step::Back { name, after } => {
                self.rest_of_crowd();
                let text = format!("every node sees {name} back, and {name} knows all {}", self.nodes);
                self.mark(*after, &text);
            }
            Step::End { summary } => self.end(summary),
        }
    }

    fn begin(&mut self, profile: &str, config: &Config) {
        let title = format!("A cluster of {} nodes on this machine", self.nodes);
        let interval = show_duration(config.probe_interval);
        let timeout = show_duration(config.probe_timeout);
        self.out.print(&format!("\n{}\n", self.paint.tone(Tone::Strong, &title)));
        let about = format!(
            "Real sockets on 127.0.0.1, profile {profile}. Every {interval} each node probes another, and\n\
             asks others to try when {timeout} pass without an answer. Times are counted from\n\
             the beginning of each act."
        );
        self.out.print(&format!("{}\n", self.paint.tone(Tone::Faint, &about)));
        let text = "Each node starts knowing only n1, by whom it joins, and hears of the others.";
        self.head(Act::Forms, "The cluster forms", text);
    }

    fn head(&mut self, act: Act, title: &str, text: &str) {
        self.act = act;
        self.tallies.clear();
        let number = match act {
            Act::Forms => 1,
            Act::Loses => 2,
            Act::TakesBack => 3,
        };
        let title = self.paint.tone(Tone::Strong, &format!("{number}. {title}"));
        let text: Vec<_> = text.lines().map(|line| format!("   {}\n", self.paint.tone(Tone::Faint, line))).collect();
        self.out.print(&format!("\n{title}\n{}\n", text.concat()));
    }

    fn started(&mut self, name: &str, address: SocketAddr) {
        let count = self.count("started", Duration::ZERO);
        if self.shows(count) {
            self.out.print(&format!("             {name:<5} listens on {address}\n"));
        }
    }

    /// One line of what a node sees, where it matters to the act.
    fn seen(&mut self, sight: &Sight, after: Duration) {
        let Some(event) = &sight.event else { return };
        let Some(about) = &sight.about else {
            if let Event::Isolated { .. } = event {
                self.line(after, Tone::Doubt, "?", &sight.by, "hears nobody and doubts itself");
            }
            return;
        };
        let (tone, sign, text) = match (event, self.act) {
            (Event::Suspected(_), _) => (Tone::Doubt, "?", format!("suspects {about}")),
            (Event::Refuted(_), _) => (Tone::Good, "✓", format!("trusts {about} again")),
            (Event::Died(_), _) if sight.is_false => (Tone::Bad, "✗", format!("holds {about} dead, WRONGLY")),
            (Event::Died(_), _) => (Tone::Bad, "✗", format!("holds {about} dead")),
            // What the newcomer comes to know is told by the line that ends the act.
            (Event::Restarted(_) | Event::Joined(_), Act::TakesBack) if sight.is_about_the_newest => {
                (Tone::Good, "✓", format!("sees {about} back"))
            }
            _ => return,
        };
        let count = self.count(event.kind(), after);
        if self.shows(count) || sight.is_false {
            let why = sight.cause().and_then(why).unwrap_or_default();
            self.line(after, tone, sign, &sight.by, &format!("{text}{}", self.paint.tone(Tone::Faint, &why)));
        }
    }

    fn line(&mut self, after: Duration, tone: Tone, sign: &str, by: &str, text: &str) {
        self.out.print(&format!("  {:>8} {} {by:<5} {text}\n", show_seconds(after), self.paint.tone(tone, sign)));
    }

    /// The line that ends an act.
    fn mark(&mut self, after: Duration, text: &str) {
        let text = self.paint.tone(Tone::Good, &format!("= {text}"));
        self.out.print(&format!("  {:>8} {text}\n", show_seconds(after)));
    }

    fn count(&mut self, kind: &'static str, after: Duration) -> usize {
        if let Some(tally) = self.tallies.iter_mut().find(|tally| tally.kind == kind) {
            (tally.count, tally.last) = (tally.count + 1, after);
            return tally.count;
        }
        // Another kind begins: what was left out of those before is told first.
        self.rest_of_crowd();
        self.tallies.push(Tally { kind, count: 1, last: after, is_told: false });
        1
    }

    fn shows(&self, count: usize) -> bool {
        self.nodes <= CROWD || count <= SHOWN_MAX
    }

    /// What a crowded act did not show.
    fn rest_of_crowd(&mut self) {
        let hidden = |tally: &&mut Tally| tally.count > SHOWN_MAX && !tally.is_told;
        for tally in self.tallies.iter_mut().filter(hidden).filter(|_| self.nodes > CROWD) {
            tally.is_told = true;
            let what = match tally.kind {
                "suspected" => "more suspect it",
                "died" => "more hold it dead",
                "joined" | "restarted" => "more see it back",
                _ => "more",
            };
            let time = if tally.kind == "started" { String::new() } else { show_seconds(tally.last) };
            let text = format!("  {time:>8}   … and {} {what}", tally.count - SHOWN_MAX);
            self.out.print(&format!("{}\n", self.paint.tone(Tone::Faint, &text)));
        }
    }

    fn end(&mut self, summary: &Summary) {
        self.rest_of_crowd();
        let head = match &summary.missing {
            None => self.paint.tone(Tone::Good, "All of it happened."),
            Some(missing) => self.paint.tone(Tone::Bad, &format!("Not all of it happened: {missing}.")),
        };
        self.out.print(&format!("\n{head}\n\n"));
        let time = |time: Option<Duration>| time.map_or_else(|| "-".to_owned(), show_seconds);
        let rows = [
            ("converged", time(summary.converged), "from the last start until everyone knew everyone"),
            ("first noticed", time(summary.first_detection), "from the kill until the first survivor held it dead"),
            ("last noticed", time(summary.last_detection), "from the kill until the last survivor did"),
            ("back", time(summary.rejoined), "from its restart until everyone knew everyone again"),
            ("false deaths", summary.false_deaths.to_string(), "times that a living node was declared dead"),
        ];
        for (what, value, meaning) in rows {
            self.out.print(&format!("  {what:<14} {value:>8}  {}\n", self.paint.tone(Tone::Faint, meaning)));
        }
        if summary.missing.is_none() {
            self.out.print(&self.next_steps());
        }
    }

    /// What to type next. The program's own name, so that it can be copied.
    fn next_steps(&self) -> String {
        let program = std::env::args().next().unwrap_or_else(|| "swim-node".to_owned());
        let commands = [(5000, "5001"), (5001, "5000"), (5002, "5000")]
            .map(|(port, seed)| format!("  {program} --addr 127.0.0.1:{port} --seeds 127.0.0.1:{seed}\n"));
        let head = self.paint.tone(Tone::Strong, "Next, a cluster of your own: each line in a terminal of its own.");
        let kill = "Then stop one with Ctrl-C (it says goodbye), another with kill -9 (it doesn't).";
        format!("\n{head}\n{kill}\n\n{}\n", commands.concat())
    }

    /// The line that says for what we wait; it is replaced, never scrolled.
    pub(super) fn wait(&mut self, elapsed: Duration, waiting: &str) {
        if self.out.is_terminal {
            const WHEEL: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
            let turn = WHEEL[(elapsed.as_millis() / 80) as usize % WHEEL.len()];
            let text = format!("  {:>8} {turn} {waiting}", show_seconds(elapsed));
            self.out.print(&format!("\r\x1b[2K{}", self.paint.tone(Tone::Faint, &text)));
            self.waits = true;
        }
    }

    fn clear_wait(&mut self) {
        if std::mem::take(&mut self.waits) {
            self.out.print("\r\x1b[2K");
        }
    }
}

/// Why a node came to its view, after what that is.
fn why(cause: &Cause) -> Option<String> {
    let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "somebody".to_owned());
    Some(match cause {
        Cause::ProbeFailed => ": no answer, directly or through others".to_owned(),
        Cause::Accused { by_name, .. } => format!(": {} accuses it", name(by_name)),
        Cause::SuspicionExpired { accusers, since } => {
            let accusers = if *accusers == 1 { "1 accuser".to_owned() } else { format!("{accusers} accusers") };
            format!(": no contradiction in {} ({accusers})", show_seconds(since.elapsed()))
        }
        Cause::DeclaredBy { by_name, .. } => format!(": {} says so", name(by_name)),
        _ => return None,
    })
}
