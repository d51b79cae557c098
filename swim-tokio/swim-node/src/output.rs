//! What goes to stdout: one line for each thing that happened, as text or as JSON.
//!
//! A thread of its own writes. Should whoever reads our output stop reading, that thread waits, and the agent stays a
//! member of its cluster: the events it cannot tell any more are counted, and told as `lagged` when reading resumes.
//! Should the reader be gone for good, the lines are dropped and a warning is logged, once.

pub(crate) mod json;
pub(crate) mod log;
pub(crate) mod text;
mod words;

use std::io::{self, IsTerminal as _};
use std::sync::mpsc as thread;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

/// Most lines that wait to be written.
const LINES_MAX: usize = 256;

/// While so many bytes wait, no further line has room: one that tells of all members may have megabytes.
const BYTES_MAX: usize = 1 << 20;

/// Takes lines to be written to stdout.
pub(crate) struct Lines {
    lines: mpsc::Sender<String>,
    /// Bytes that wait.
    bytes: watch::Sender<usize>,
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
        let bytes = watch::Sender::new(0);
        let bytes_waiting = bytes.clone();
        std::thread::Builder::new().name("stdout".to_owned()).spawn(move || {
            write_all(waiting, &bytes_waiting, out);
            let _ = done.send(());
        })?;
        Ok(Lines { lines, bytes, written })
    }

    /// Waits until there is room for one more. Safe to cancel.
    pub(crate) async fn room(&self) -> Room<'_> {
        let mut bytes = self.bytes.subscribe();
        tokio::select! {
            _ = bytes.wait_for(|bytes| *bytes < BYTES_MAX) => {}
            // Nobody writes any more: what is put is dropped.
            () = self.lines.closed() => {}
        }
        Room { permit: self.lines.reserve().await.ok(), bytes: &self.bytes }
    }

    /// Nothing more comes: waits until all is written, but not for ever.
    pub(crate) fn finish(self, patience: Duration) {
        drop(self.lines);
        let _ = self.written.recv_timeout(patience);
    }
}

/// Room for one line, which may hold several.
pub(crate) struct Room<'a> {
    permit: Option<mpsc::Permit<'a, String>>,
    bytes: &'a watch::Sender<usize>,
}

impl Room<'_> {
    /// Gives the line, without its end.
    pub(crate) fn put(self, line: String) {
        if let Some(permit) = self.permit {
            self.bytes.send_modify(|bytes| *bytes += line.len());
            permit.send(line);
        }
    }
}

fn write_all(mut lines: mpsc::Receiver<String>, bytes: &watch::Sender<usize>, mut out: impl io::Write) {
    let mut broken = false;
    while let Some(mut line) = lines.blocking_recv() {
        let len = line.len();
        line.push('\n');
        if !broken && let Err(error) = out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
            tracing::warn!(%error, "stdout is closed; events are told no more");
            broken = true;
        }
        bytes.send_modify(|bytes| *bytes -= len);
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// Takes a line whenever the test says so.
    struct Reader(Receiver<()>);

    impl io::Write for Reader {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// How many lines of this length find room while nobody reads.
    async fn fit(lines: &Lines, len: usize) -> usize {
        for count in 0.. {
            match tokio::time::timeout(Duration::from_millis(50), lines.room()).await {
                Ok(room) => room.put("x".repeat(len)),
                Err(_) => return count,
            }
        }
        unreachable!("there is an end to memory");
    }

    #[tokio::test]
    async fn what_waits_for_a_reader_is_bounded_in_lines_and_in_bytes() {
        let (_may, allowed) = channel();
        // One more than fits is in the writer's hands, or may be.
        assert!((LINES_MAX..=LINES_MAX + 1).contains(&fit(&Lines::to(Reader(allowed)).unwrap(), 100).await));
        let (may, allowed) = channel();
        let lines = Lines::to(Reader(allowed)).unwrap();
        assert_eq!(fit(&lines, BYTES_MAX / 4).await, 4);
        // A line is written, and another has room; however long it is, it is one.
        may.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(60), lines.room()).await.expect("room").put("x".repeat(9 * BYTES_MAX));
        assert_eq!(fit(&lines, 1).await, 0);
        // Once nobody is there any more all of it is dropped.
        drop(may);
        for _ in 0..2 * LINES_MAX {
            let room = tokio::time::timeout(Duration::from_secs(60), lines.room()).await;
            room.expect("lines are dropped").put("x".repeat(BYTES_MAX));
        }
    }
}
