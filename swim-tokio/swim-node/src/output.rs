//! What goes to stdout: one line for each thing that happened, as text or as JSON.
//!
//! A thread of its own writes. Should whoever reads our output stop reading, that thread waits, and the agent stays a
//! member of its cluster: the events it cannot tell any more are counted, and told as `lagged` when reading resumes.
//! Should the reader be gone for good, the lines are dropped and a warning is logged, once.

pub(crate) mod json;
pub(crate) mod log;
pub(crate) mod text;

use std::io::{self, IsTerminal as _};
use std::sync::mpsc as thread;
use std::time::Duration;

use tokio::sync::mpsc;

/// Most lines that wait to be written.
const LINES_MAX: usize = 256;

/// Takes lines to be written to stdout.
pub(crate) struct Lines {
    lines: mpsc::Sender<String>,
    written: thread::Receiver<()>,
}

impl Lines {
    /// Begins to write to stdout.
    pub(crate) fn start() -> io::Result<Lines> {
        Lines::to(io::stdout())
    }

    pub(crate) fn to(out: impl io::Write + Send + 'static) -> io::Result<Lines> {
        let (lines, waiting) = mpsc::channel(LINES_MAX);
        let (done, written) = thread::channel();
        std::thread::Builder::new().name("stdout".to_owned()).spawn(move || {
            write_all(waiting, out);
            let _ = done.send(());
        })?;
        Ok(Lines { lines, written })
    }

    /// Waits until there is room for one more. Safe to cancel.
    pub(crate) async fn room(&self) -> Room<'_> {
        Room(self.lines.reserve().await.ok())
    }

    /// Nothing more comes: waits until all is written, but not for ever.
    pub(crate) fn finish(self, patience: Duration) {
        drop(self.lines);
        let _ = self.written.recv_timeout(patience);
    }
}

/// Room for one line, which may hold several.
pub(crate) struct Room<'a>(Option<mpsc::Permit<'a, String>>);

impl Room<'_> {
    /// Gives the line, without its end.
    pub(crate) fn put(self, line: String) {
        if let Some(permit) = self.0 {
            permit.send(line);
        }
    }
}

fn write_all(mut lines: mpsc::Receiver<String>, mut out: impl io::Write) {
    let mut broken = false;
    while let Some(mut line) = lines.blocking_recv() {
        line.push('\n');
        if broken {
            continue;
        }
        if let Err(error) = out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
            tracing::warn!(%error, "stdout is closed; events are told no more");
            broken = true;
        }
    }
}

/// Whether stdout is a terminal that takes colours.
pub(crate) fn stdout_has_colours() -> bool {
    io::stdout().is_terminal() && terminal_has_colours()
}

/// Whether stderr is a terminal that takes colours.
pub(crate) fn stderr_has_colours() -> bool {
    io::stderr().is_terminal() && terminal_has_colours()
}

fn terminal_has_colours() -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}
