//! What an operator tells the agent line by line on stdin (`--stdin-commands`), and what it answers.
//!
//! A thread reads, since stdin cannot be read without waiting; it holds a few lines at most and then waits for the agent.
//! A command is one line; each is answered by one event, `done` or `refused`, on stdout. The end of stdin ends nothing.

use std::io::{BufRead as _, Read as _};
use std::sync::Arc;

use swim_tokio::{
    Closed, CommandError, MemberInfo, NodeId, PAYLOAD_MAX, Refusal, RequestError, SendError, SendOptions, Status, Way,
};
use tokio::sync::mpsc;

use crate::driver::{Handle, Pending};
use crate::suggest;
use crate::tags::{self, Tags};

/// The longest line taken, in bytes: the longest payload and the words before it, with a name of 255 bytes.
const LINE_MAX: usize = PAYLOAD_MAX + 512;

/// Most lines that wait.
const LINES_MAX: usize = 16;

/// The commands, as they are shown to whoever gives another.
const COMMANDS: [(&str, &str); 7] = [
    ("broadcast", "broadcast TEXT"),
    ("send", "send NAME TEXT"),
    ("deliver", "deliver NAME TEXT"),
    ("force-leave", "force-leave NAME"),
    ("metadata", "metadata [KEY=VALUE ...]"),
    ("members", "members"),
    ("leave", "leave"),
];

/// Something that was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Say this to everybody.
    Broadcast(String),
    /// Say this to one member, by name or id.
    Send { to: String, text: String },
    /// Say this to one member, and tell what became of it.
    Deliver { to: String, text: String },
    /// Declare a member departed.
    ForceLeave(String),
    /// Replace our tags.
    Metadata(Tags),
    /// Tell who is known.
    Members,
    /// Depart, and end.
    Leave,
}

/// What became of a command.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It was done.
    Done(Done),
    /// It was not, because of this.
    Refused {
        /// The command's first word, if it is one of ours.
        command: Option<&'static str>,
        /// Why, and what would be right.
        error: String,
    },
}

/// A command that was done.
#[derive(Debug)]
pub(crate) enum Done {
    /// Under this number.
    Broadcast { sequence: u64 },
    /// To this member.
    Send { to: String },
    /// To this member; its outcome will be told.
    Deliver { to: String, pending: Pending },
    /// Of this member.
    ForceLeave { member: String },
    /// With these tags.
    Metadata(Tags),
    /// These are known.
    Members(Arc<[MemberInfo]>),
    /// The departure begins.
    Leave,
}

impl Done {
    /// The command's first word.
    pub(crate) fn command(&self) -> &'static str {
        match self {
            Done::Broadcast { .. } => "broadcast",
            Done::Send { .. } => "send",
            Done::Deliver { .. } => "deliver",
            Done::ForceLeave { .. } => "force-leave",
            Done::Metadata(_) => "metadata",
            Done::Members(_) => "members",
            Done::Leave => "leave",
        }
    }
}

/// The lines of stdin, or nothing if they are not to be read.
pub(crate) struct Console {
    lines: Option<mpsc::Receiver<Result<String, String>>>,
}

impl Console {
    /// Nobody is listened to.
    pub(crate) fn closed() -> Console {
        Console { lines: None }
    }

    /// Begins to read stdin.
    pub(crate) fn open() -> std::io::Result<Console> {
        let (sender, lines) = mpsc::channel(LINES_MAX);
        std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
            read_lines(&mut std::io::stdin().lock(), |line| sender.blocking_send(line).is_ok());
        })?;
        Ok(Console::of(lines))
    }

    /// Takes the lines from here.
    pub(crate) fn of(lines: mpsc::Receiver<Result<String, String>>) -> Console {
        Console { lines: Some(lines) }
    }

    /// The next line, or why it cannot be taken. Never, once stdin has ended. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Result<String, String> {
        if let Some(lines) = &mut self.lines {
            match lines.recv().await {
                Some(line) => return line,
                None => {
                    self.lines = None;
                    tracing::info!("stdin has ended; no more commands are taken");
                }
            }
        }
        std::future::pending().await
    }
}

/// Reads lines until the end, or until nobody takes them. One that is too long, or no text, is passed over and told of.
fn read_lines(input: &mut impl std::io::BufRead, mut take: impl FnMut(Result<String, String>) -> bool) {
    let mut line = Vec::new();
    loop {
        line.clear();
        // The memory of one long payload is not kept for the next `members`.
        line.shrink_to(4096);
        match input.by_ref().take(LINE_MAX as u64 + 1).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let complete = line.ends_with(b"\n");
        let taken = if !complete && line.len() > LINE_MAX {
            // The rest of it, unkept.
            if input.skip_until(b'\n').is_err() {
                return;
            }
            Err(format!("the line is longer than {LINE_MAX} bytes"))
        } else {
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            std::str::from_utf8(text).map(str::to_owned).map_err(|_| "the line is not text in UTF-8".to_owned())
        };
        let empty = taken.as_ref().is_ok_and(|text| text.trim().is_empty());
        if !empty && !take(taken) {
            return;
        }
    }
}

/// What a line asks for; as an error, the command it is about, and what would be right.
fn parse(line: &str) -> Result<Command, (Option<&'static str>, String)> {
    let line = line.trim_start();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let Some(&(command, usage)) = COMMANDS.iter().find(|(command, _)| *command == word) else {
        let hint = suggest::did_you_mean(word, COMMANDS.map(|(command, _)| command));
        let all = COMMANDS.map(|(_, usage)| usage).join(" | ");
        return Err((None, format!("there is no command {word:?}{hint}; the commands are: {all}")));
    };
    let wrong = |why: &str| (Some(command), format!("{why}; write: {usage}"));
    let nothing = |command: Command| if rest.trim().is_empty() { Ok(command) } else { Err(wrong("it takes no words")) };
    let (name, text) = rest.trim_start().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
    match command {
        "broadcast" if rest.is_empty() => Err(wrong("there is no text")),
        "broadcast" => Ok(Command::Broadcast(rest.to_owned())),
        "send" | "deliver" if name.is_empty() => Err(wrong("there is no name")),
        "send" | "deliver" if text.is_empty() => Err(wrong("there is no text")),
        "deliver" => Ok(Command::Deliver { to: name.to_owned(), text: text.to_owned() }),
        "send" => Ok(Command::Send { to: name.to_owned(), text: text.to_owned() }),
        "force-leave" if name.is_empty() => Err(wrong("there is no name")),
        "force-leave" if !text.trim().is_empty() => Err(wrong("one name is enough")),
        "force-leave" => Ok(Command::ForceLeave(name.to_owned())),
        "metadata" => {
            let mut tags = Tags::new();
            for tag in rest.split_whitespace() {
                let (key, value) = tags::parse(tag).map_err(|error| (Some(command), error))?;
                if tags.insert(key.clone(), value).is_some() {
                    return Err(wrong(&format!("the tag {key:?} is given twice")));
                }
            }
            Ok(Command::Metadata(tags))
        }
        "members" => nothing(Command::Members),
        _ => nothing(Command::Leave),
    }
}

/// Does what a line asks for. That the agent is to end is the caller's to do.
pub(crate) async fn obey(node: &Handle, line: Result<String, String>) -> Result<Answer, Closed> {
    let parsed = line.map_err(|error| (None, error)).and_then(|line| parse(&line));
    let command = match parsed {
        Ok(command) => command,
        Err((command, error)) => return Ok(Answer::Refused { command, error }),
    };
    let (word, done) = match command {
        Command::Broadcast(text) => {
            ("broadcast", node.broadcast(text).await.map(|sequence| Done::Broadcast { sequence }))
        }
        Command::Send { to, text } => ("send", send(node, to, text).await),
        Command::Deliver { to, text } => match deliver(node, to, text).await? {
            Ok(done) => ("deliver", Ok(done)),
            Err(error) => return Ok(Answer::Refused { command: Some("deliver"), error }),
        },
        Command::ForceLeave(member) => ("force-leave", force_leave(node, member).await),
        Command::Metadata(tags) => match tags::encode(&tags) {
            Ok(metadata) => ("metadata", node.set_metadata(metadata).await.map(|()| Done::Metadata(tags))),
            Err(len) => ("metadata", Err(CommandError::Metadata { len }.into())),
        },
        Command::Members => ("members", node.members().await.map(Done::Members).map_err(RequestError::from)),
        Command::Leave => ("leave", Ok(Done::Leave)),
    };
    match done {
        Ok(done) => Ok(Answer::Done(done)),
        Err(RequestError::Closed(closed)) => Err(closed),
        Err(error) => {
            let error = explain(node, error).await?;
            Ok(Answer::Refused { command: Some(word), error })
        }
    }
}

async fn send(node: &Handle, to: String, text: String) -> Result<Done, RequestError> {
    node.send_message(id_of(node, &to).await?, text, Way::Auto).await?;
    Ok(Done::Send { to })
}

async fn deliver(node: &Handle, to: String, text: String) -> Result<Result<Done, String>, Closed> {
    let id = match id_of(node, &to).await {
        Ok(id) => id,
        Err(RequestError::Closed(closed)) => return Err(closed),
        Err(error) => return Ok(Err(error.to_string())),
    };
    Ok(match node.try_send(id, text, SendOptions::default().until_processed()) {
        Ok(pending) => Ok(Done::Deliver { to, pending }),
        Err(SendError::Closed) if node.status() != Status::Superseded => return Err(Closed),
        Err(SendError::Refused(Refusal::UnknownMember(_))) => Err(known(node).await?),
        Err(SendError::Off) => Err("messages are switched off; start without --no-zmq".to_owned()),
        Err(error) => Err(error.to_string()),
    })
}

async fn force_leave(node: &Handle, member: String) -> Result<Done, RequestError> {
    node.force_leave(id_of(node, &member).await?).await?;
    Ok(Done::ForceLeave { member })
}

/// A member by its name; or, where a name has spaces, by its id of 16 hexadecimal digits.
async fn id_of(node: &Handle, name: &str) -> Result<NodeId, RequestError> {
    let id = node.id_of(name);
    if node.member(id).await?.is_some() {
        return Ok(id);
    }
    match u64::from_str_radix(name, 16) {
        Ok(digits) if name.len() == 16 => Ok(NodeId::from_u64(digits)),
        _ => Ok(id),
    }
}

/// The error with what would help: whom one could have meant.
async fn explain(node: &Handle, error: RequestError) -> Result<String, Closed> {
    let RequestError::Refused(CommandError::UnknownMember(_)) = error else { return Ok(error.to_string()) };
    known(node).await
}

/// Whom one could have meant.
async fn known(node: &Handle) -> Result<String, Closed> {
    let members = node.members().await?;
    let names: Vec<&str> = members.iter().filter(|m| m.id != node.id()).map(|m| m.name.as_str()).take(8).collect();
    let known = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
    let more = if members.len() > names.len() + 1 { " and others" } else { "" };
    Ok(format!("no member of this name is known; known are: {known}{more}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8]) -> Vec<Result<String, String>> {
        let mut lines = Vec::new();
        read_lines(&mut &input[..], |line| {
            lines.push(line);
            true
        });
        lines
    }

    #[test]
    fn lines_are_read_to_the_end_whatever_ends_them() {
        let read = lines(b"members\r\n\n  \nbroadcast  two words \nleave");
        let expected = ["members", "broadcast  two words ", "leave"].map(|line| Ok(line.to_owned()));
        assert_eq!(read, expected);
    }

    #[test]
    fn a_line_that_is_too_long_or_no_text_is_passed_over_and_the_next_is_read() {
        let mut input = vec![b'x'; 10 * LINE_MAX];
        input.extend(b"\nmembers\n\xff\xfe\nleave\n");
        let read = lines(&input);
        assert!(read[0].as_ref().is_err_and(|error| error.contains("longer")), "{:?}", read[0]);
        assert_eq!(read[1], Ok("members".to_owned()));
        assert!(read[2].as_ref().is_err_and(|error| error.contains("UTF-8")), "{:?}", read[2]);
        assert_eq!(read[3], Ok("leave".to_owned()));
        let longest = [&vec![b'y'; LINE_MAX - 1][..], b"\n"].concat();
        assert!(lines(&longest)[0].is_ok());
    }

    #[test]
    fn a_text_is_taken_as_it_is() {
        assert_eq!(parse("broadcast  hello,  you "), Ok(Command::Broadcast(" hello,  you ".to_owned())));
        let send = Command::Send { to: "web-1".to_owned(), text: "hello  you".to_owned() };
        assert_eq!(parse("send web-1 hello  you"), Ok(send));
    }

    #[test]
    fn what_is_no_command_is_answered_by_what_would_be_right() {
        for (line, part) in [
            ("brodcast x", "did you mean \"broadcast\"?"),
            ("members all", "it takes no words; write: members"),
            ("broadcast", "there is no text; write: broadcast TEXT"),
            ("send", "there is no name; write: send NAME TEXT"),
            ("send web-1", "there is no text"),
            ("deliver web-1", "there is no text; write: deliver NAME TEXT"),
            ("force-leave", "there is no name"),
            ("force-leave a b", "one name is enough"),
            ("metadata role", "write key=value"),
            ("metadata a=1 a=2", "given twice"),
            ("leave now", "it takes no words"),
        ] {
            let (_, error) = parse(line).expect_err(line);
            assert!(error.contains(part), "{line}: {error}");
        }
        let tags = Tags::from([("role".to_owned(), "web".to_owned()), ("zone".to_owned(), "b".to_owned())]);
        assert_eq!(parse("metadata role=web zone=b"), Ok(Command::Metadata(tags)));
        assert_eq!(parse("metadata"), Ok(Command::Metadata(Tags::new())));
    }
}
