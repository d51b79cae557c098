//! Instructions, counted by callgrind in a child process.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{env, fmt, fs, io};

use super::Arrival;
use crate::libraries::Library;

/// Why no instructions could be counted.
#[derive(Debug)]
pub(crate) enum Unavailable {
    /// `valgrind` could not be started.
    Missing(io::Error),
    /// It ran, and failed.
    Failed(String),
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unavailable::Missing(error) => write!(
                f,
                "no instructions were counted: `valgrind` does not start ({error}). Install it (Debian: apt-get install \
                 valgrind) or do without: all other figures stand."
            ),
            Unavailable::Failed(text) => write!(f, "no instructions were counted: valgrind failed.\n{text}"),
        }
    }
}

/// A file that is gone when this is.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Instructions within [`measured`](super::measured) while a node hears all the datagrams of this kind.
pub(super) fn instructions(library: Library, arrival: Arrival, members: u32) -> Result<u64, Unavailable> {
    let program = env::current_exe().map_err(Unavailable::Missing)?;
    let name = format!("swim-peers-{}-{library}-{}-{members}", std::process::id(), arrival.word());
    let scratch = Scratch(env::temp_dir().join(name));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*rows::events::measured*"])
        .arg(format!("--callgrind-out-file={}", scratch.0.display()))
        .arg(program)
        .args(["count", "--library", library.word(), "--arrival", arrival.word(), "--members", &members.to_string()])
        .stdin(Stdio::null())
        .output()
        .map_err(Unavailable::Missing)?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(Unavailable::Failed(text.into_owned()));
    }
    let counted = fs::read_to_string(&scratch.0).map_err(|error| Unavailable::Failed(error.to_string()))?;
    let total = counted.lines().rev().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    // Zero: the function was not found by its name.
    total.filter(|&total| total > 0).ok_or_else(|| Unavailable::Failed(text.into_owned()))
}
