//! How the process ends, as its exit status.

use std::process::ExitCode;

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what was asked: left when told to, or the demo showed everything.
    Done,
    /// A flag, a variable or the file was wrong; nothing was started.
    Usage,
    /// It could not start: the address is taken, a name is unknown, the system refused.
    Start,
    /// The demo did not show everything.
    Incomplete,
    /// Another process took its name.
    Superseded,
    /// The protocol ended without having been told to: a defect of ours.
    Failed,
    /// A signal stopped it before it had started, or a second one before it had left; the signal's number.
    Signal(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Usage => 1,
            Exit::Start => 2,
            Exit::Incomplete => 3,
            Exit::Superseded => 4,
            Exit::Failed => 5,
            Exit::Signal(number) => 128 + number,
        })
    }
}
