//! What commands print.

use std::fmt::Display;
use std::io::{self, Write};
use std::process;

/// The status of a command that SIGPIPE ended, as a shell gives it.
const NOBODY_READS: i32 = 141;

/// Prints a line. Whoever reads no more wants no more: then the command ends.
pub(crate) fn say(line: impl Display) {
    let Err(error) = writeln!(io::stdout().lock(), "{line}") else { return };
    if error.kind() == io::ErrorKind::BrokenPipe {
        process::exit(NOBODY_READS);
    }
    remark(format_args!("error: standard output: {error}"));
    process::exit(1);
}

/// Prints a line about what is going on; if nobody reads it, that is all the same.
pub(crate) fn remark(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
