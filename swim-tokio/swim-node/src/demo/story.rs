//! The demo told, step by step: to people as a story in three acts, to programs as JSON lines.

mod lines;
mod text;

use std::io::{self, IsTerminal as _, Write};
use std::net::SocketAddr;
use std::time::Duration;

use swim_proto::Config;

#[cfg(test)]
pub(crate) use self::tests::Paper;
use self::text::Story;
use super::cluster::Sight;
use super::summary::Summary;
use crate::output;
use crate::output::text::Paint;

/// One step of the plot.
pub(crate) enum Step<'a> {
    Begin { profile: &'static str, config: &'a Config },
    Started { name: &'a str, address: SocketAddr },
    Converged { after: Duration },
    Killing { name: &'a str },
    Seen { sight: &'a Sight, after: Duration },
    Detected { name: &'a str, survivors: usize },
    Restarting { name: &'a str },
    Back { name: &'a str, after: Duration },
    End { summary: &'a Summary },
}

/// Where the story goes.
pub(crate) struct Out {
    to: Box<dyn Write + Send>,
    /// A line can be replaced there.
    is_terminal: bool,
    paint: Paint,
}

impl Out {
    pub(crate) fn stdout() -> Out {
        let paint = Paint::new(output::stdout_has_colours());
        Out { to: Box::new(io::stdout()), is_terminal: io::stdout().is_terminal(), paint }
    }

    /// That nobody reads there is no reason to stop.
    fn print(&mut self, text: &str) {
        let _ = self.to.write_all(text.as_bytes()).and_then(|()| self.to.flush());
    }
}

/// Text or JSON.
pub(crate) enum Form {
    Text(Story),
    Json(Out),
}

impl Form {
    pub(crate) fn new(json: bool, nodes: usize, out: Out) -> Form {
        if json { Form::Json(out) } else { Form::Text(Story::new(nodes, out)) }
    }

    /// Tells a step.
    pub(crate) fn tell(&mut self, step: &Step<'_>) {
        match self {
            Form::Text(story) => story.tell(step),
            Form::Json(out) => {
                if let Some(line) = lines::line(step) {
                    out.print(&format!("{line}\n"));
                }
            }
        }
    }

    /// Shows on a terminal that, and for what, the demo waits.
    pub(crate) fn wait(&mut self, elapsed: Duration, waiting: &str) {
        if let Form::Text(story) = self {
            story.wait(elapsed, waiting);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What was printed, for a test to read.
    #[derive(Clone, Default)]
    pub(crate) struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Paper {
        pub(crate) fn out(&self) -> Out {
            Out { to: Box::new(self.clone()), is_terminal: false, paint: Paint::new(false) }
        }

        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
