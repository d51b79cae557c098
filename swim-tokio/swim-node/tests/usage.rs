//! What is said to whoever gives a wrong flag, variable or file: `usage.txt`, word for word.
//!
//! The file is a transcript. `> line` is written to `swim.toml`, `$ [VARIABLE=value …] swim-node …` is run beside it,
//! and what follows to the next empty line is what it must say, with its exit status. After a wanted change, run the
//! test with `UPDATE_TRANSCRIPTS=1` and read the difference.

mod agents;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[test]
fn a_wrong_flag_file_or_value_is_answered_by_what_would_be_right() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/usage.txt");
    let expected = std::fs::read_to_string(&path).expect("the transcript is there");
    let beside = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("usage");
    std::fs::create_dir_all(&beside).unwrap();
    let actual = replay(&expected, &beside);
    if std::env::var_os("UPDATE_TRANSCRIPTS").is_some() {
        std::fs::write(&path, &actual).unwrap();
    } else {
        for (expected, actual) in expected.split("\n\n").zip(actual.split("\n\n")) {
            assert_eq!(expected, actual);
        }
        assert_eq!(expected, actual);
    }
}

fn replay(transcript: &str, beside: &Path) -> String {
    let mut out = String::new();
    for block in transcript.trim_end().split("\n\n") {
        let script: Vec<_> = block.lines().take_while(|line| line.starts_with(['#', '>', '$'])).collect();
        let file =
            script.iter().filter_map(|line| line.strip_prefix('>')).map(|line| line.strip_prefix(' ').unwrap_or(line));
        std::fs::write(beside.join("swim.toml"), file.collect::<Vec<_>>().join("\n")).unwrap();
        let _ = writeln!(out, "{}", script.join("\n"));
        for line in script.iter().filter_map(|line| line.strip_prefix("$ ")) {
            out.push_str(&run(line, beside));
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// Runs a command line; words are separated by single spaces, and `␣` stands for a space within one.
fn run(line: &str, beside: &Path) -> String {
    let mut command = agents::swim_node();
    command.current_dir(beside);
    let mut words = line.split(' ').map(|word| word.replace('␣', " "));
    for word in words.by_ref() {
        match word.split_once('=') {
            Some((name, value)) => command.env(name, value),
            None => break,
        };
    }
    let output = command.args(words).output().expect("the binary runs");
    assert!(output.stdout.is_empty(), "mistakes are told on stderr");
    let text = String::from_utf8(output.stderr).expect("the agent speaks UTF-8");
    // Where to read more ends each message; it is shown once.
    let text = text.split("\nFor more information").next().unwrap().split("\nswim-node --help").next().unwrap();
    let lines: String = text.lines().filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect();
    format!("{lines}exit status {}\n", output.status.code().expect("it ended by itself"))
}
