//! Events as people read them: a line each, in columns, with the cause in words.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use swim_tokio::{Cause, Ending, Event, MemberInfo, Notice, Outcome, Received};

use crate::console::{Answer, Done};
use crate::driver::Handle;
use crate::output::words;
use crate::tags::{self, Tags};

/// Colours of the terminal, or none.
#[derive(Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

/// What a piece of text is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Good news.
    Good,
    /// Bad news.
    Bad,
    /// Doubt.
    Doubt,
    /// News, neither good nor bad.
    News,
    /// Aside.
    Faint,
    /// A heading.
    Strong,
}

impl Paint {
    pub(crate) fn new(on: bool) -> Paint {
        Paint { on }
    }

    /// The text in its colour.
    pub(crate) fn tone(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "31;1",
            Tone::Doubt => "33",
            Tone::News => "36",
            Tone::Faint => "2",
            Tone::Strong => "1",
        };
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Lines in columns. The member's column grows with the names that have been seen.
pub(crate) struct Columns {
    paint: Paint,
    member_width: usize,
}

impl Columns {
    pub(crate) fn new(paint: Paint) -> Columns {
        Columns { paint, member_width: 24 }
    }

    /// The first lines: who we are, and what the columns are.
    pub(crate) fn started(&mut self, node: &Handle, profile: &str) -> String {
        let (name, address, bound) = (plain(node.name()), node.address().to_string(), node.bound().to_string());
        let mut line = format!("swim-node {}: ", env!("CARGO_PKG_VERSION"));
        let _ = if name == address { write!(line, "{address}") } else { write!(line, "{name} ({address})") };
        if bound != address {
            let _ = write!(line, ", listening on {bound}");
        }
        let _ = write!(line, ", cluster {:?}, profile {profile}, driver {}", node.cluster(), node.driver().name());
        let heads = format!("{:<13} {:<11} {:<width$} why", "UTC", "what", "member", width = self.member_width);
        format!("{}\n{}", self.paint.tone(Tone::Strong, &line), self.paint.tone(Tone::Faint, &heads))
    }

    /// One event.
    pub(crate) fn notice(&mut self, notice: &Notice) -> String {
        let (what, tone) = heading(&notice.event);
        let (who, why) = match notice.event.change() {
            Some(change) => {
                let why = why(&notice.event, &change.cause, notice.at);
                let introduced = matches!(notice.event, Event::Joined(_) | Event::Updated(_) | Event::Restarted(_));
                (who(&change.member), if introduced { self.with_tags(why, &change.member) } else { why })
            }
            None => match &notice.event {
                Event::Broadcast { origin, origin_name, sequence, payload, .. } => {
                    (who_said(origin, origin_name), format!("{sequence}: {}", show_payload(payload)))
                }
                Event::Message { from, from_name, payload } => (who_said(from, from_name), show_payload(payload)),
                event => ("(this node)".to_owned(), about_ourselves(event)),
            },
        };
        self.line(notice.at, what, tone, &who, &why)
    }

    /// A member that was there before we began to listen.
    pub(crate) fn joined(&mut self, member: &MemberInfo) -> String {
        let why = self.with_tags("is a member now".to_owned(), member);
        self.line(SystemTime::now(), "joined", Tone::Good, &who(member), &why)
    }

    fn with_tags(&self, mut why: String, member: &MemberInfo) -> String {
        let tags = show_tags(member);
        if !tags.is_empty() {
            let _ = write!(why, "  {}", self.paint.tone(Tone::Faint, &tags));
        }
        why
    }

    /// What became of a command from stdin.
    pub(crate) fn answer(&mut self, answer: &Answer) -> String {
        let (what, tone, why) = match answer {
            Answer::Done(done) => ("done", Tone::News, show_done(done)),
            Answer::Refused { command: Some(command), error } => {
                ("refused", Tone::Bad, format!("{command}: {}", plain(error)))
            }
            Answer::Refused { command: None, error } => ("refused", Tone::Bad, plain(error)),
        };
        let text = self.line(SystemTime::now(), what, tone, "(stdin)", &why);
        match answer {
            Answer::Done(Done::Members(members)) => self.with_members(text, members),
            _ => text,
        }
    }

    /// A message that came.
    pub(crate) fn received(&mut self, received: &Received, name: Option<&str>) -> String {
        let who = who_said(&received.from, &name.map(str::to_owned));
        self.line(SystemTime::now(), "received", Tone::News, &who, &show_payload(&received.payload))
    }

    /// What became of a message.
    pub(crate) fn outcome(&mut self, outcome: &Outcome, name: Option<&str>) -> String {
        let who = who_said(&outcome.to, &name.map(str::to_owned));
        let mut why = format!("message {:016x} ", outcome.id.as_u64());
        let _ = match outcome.ending {
            Ending::Failed(reason) => write!(why, "failed: {}", words::reason(reason)),
            ending => write!(why, "{}", words::ending(ending)),
        };
        let _ = write!(why, " after {}", show_seconds(outcome.took));
        if !outcome.is_success() {
            let _ = write!(why, "; delivered: {}", words::delivery(outcome.delivery));
        }
        let tone = if outcome.is_success() { Tone::Good } else { Tone::Bad };
        self.line(SystemTime::now(), "outcome", tone, &who, &why)
    }

    /// Events were lost; here is everyone as they are now.
    pub(crate) fn lagged(&mut self, missed: u64, members: &[MemberInfo]) -> String {
        let why = format!("{missed} events were lost because nobody read them; the members now:");
        let text = self.line(SystemTime::now(), "lagged", Tone::Doubt, "(this node)", &why);
        self.with_members(text, members)
    }

    fn with_members(&self, mut text: String, members: &[MemberInfo]) -> String {
        for member in members {
            let line = format!("{:<13} {:<11} {}", "", member.state.to_string(), who(member));
            let _ = write!(text, "\n{}", self.paint.tone(Tone::Faint, line.trim_end()));
        }
        text
    }

    /// The last line.
    pub(crate) fn stopped(&mut self, why: &str) -> String {
        self.line(SystemTime::now(), "stopped", Tone::Strong, "(this node)", why)
    }

    fn line(&mut self, at: SystemTime, what: &str, tone: Tone, who: &str, why: &str) -> String {
        self.member_width = self.member_width.max(who.chars().count());
        let time = clock(at);
        let what = self.paint.tone(tone, &format!("{what:<11}"));
        format!("{} {what} {who:<width$} {why}", self.paint.tone(Tone::Faint, &time), width = self.member_width)
    }
}

/// What happened, in the column's word.
fn heading(event: &Event) -> (&'static str, Tone) {
    let tone = match event {
        Event::Joined(_) | Event::Refuted(_) | Event::Reconnected { .. } => Tone::Good,
        Event::Updated(_) | Event::Restarted(_) => Tone::News,
        Event::Suspected(_) | Event::Isolated { .. } => Tone::Doubt,
        Event::Died(_) | Event::Superseded { .. } | Event::NameTaken { .. } => Tone::Bad,
        Event::Left(_) | Event::Reaped(_) => Tone::Faint,
        _ => Tone::News,
    };
    (event.kind(), tone)
}

/// What was done, in words.
fn show_done(done: &Done) -> String {
    match done {
        Done::Broadcast { sequence } => format!("broadcast {sequence} is being told"),
        Done::Send { to } => format!("sent to {}", plain(to)),
        Done::Deliver { to, pending } => {
            format!("message {:016x} to {} is on its way", pending.id().as_u64(), plain(to))
        }
        Done::ForceLeave { member } => format!("{} is declared departed", plain(member)),
        Done::Metadata(tags) if tags.is_empty() => "this node has no tags now".to_owned(),
        Done::Metadata(tags) => format!("this node's tags are {}", show_pairs(tags)),
        Done::Members(members) => format!("{} members are known:", members.len()),
        Done::Leave => "leaving".to_owned(),
    }
}

fn who_said(id: &swim_tokio::NodeId, name: &Option<String>) -> String {
    name.as_deref().map_or_else(|| format!("member {id}"), plain)
}

/// What an application said, or its beginning; of what is no text, how much.
fn show_payload(payload: &[u8]) -> String {
    const CHARS_MAX: usize = 200;
    let Ok(text) = std::str::from_utf8(payload) else { return format!("{} bytes that are no text", payload.len()) };
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}… ({} bytes)", plain(&text[..end]), payload.len()),
        None => plain(text),
    }
}

/// Why it happened, in words.
fn why(event: &Event, cause: &Cause, at: SystemTime) -> String {
    let name = |by: &swim_tokio::NodeId, name: &Option<String>| match name {
        Some(name) => plain(name),
        None => format!("member {by}"),
    };
    match (cause, event) {
        (Cause::Itself, Event::Joined(_)) => "is a member now".to_owned(),
        (Cause::Itself, Event::Updated(_)) => "changed its tags or address".to_owned(),
        (Cause::Itself, Event::Refuted(_)) => "contradicted the suspicion: it is alive".to_owned(),
        (Cause::Itself, Event::Restarted(_)) => "is back as a new process".to_owned(),
        (Cause::Itself, Event::Left(_)) => "said goodbye".to_owned(),
        (Cause::Itself, _) => "said so itself".to_owned(),
        (Cause::ProbeFailed, _) => "did not answer our probe".to_owned(),
        (Cause::Accused { by, by_name }, _) => format!("is accused by {}", name(by, by_name)),
        (Cause::SuspicionExpired { accusers, since }, _) => {
            let lasted = since.elapsed().saturating_sub(at.elapsed().unwrap_or_default());
            let accusers = if *accusers == 1 { "1 accuser".to_owned() } else { format!("{accusers} accusers") };
            format!("did not contradict within {} ({accusers})", show_seconds(lasted))
        }
        (Cause::DeclaredBy { by, by_name }, Event::Left(_)) => format!("left, says {}", name(by, by_name)),
        (Cause::DeclaredBy { by, by_name }, _) => format!("is dead, says {}", name(by, by_name)),
        (Cause::Operator, _) => "was removed by an operator here".to_owned(),
        (Cause::Forgotten, _) => "is forgotten".to_owned(),
        (_, _) => "for a reason unknown to this version".to_owned(),
    }
}

fn about_ourselves(event: &Event) -> String {
    match event {
        Event::Superseded { by, .. } => format!("a newer process has our name, at {by}; this one stops"),
        Event::NameTaken { holder } => {
            format!("our name belongs to a live member at {holder}; give another --name, or stop that one")
        }
        Event::Isolated { since } => {
            format!("heard nobody for {}; the fault is likely here", show_seconds(since.elapsed()))
        }
        Event::Reconnected { after } => format!("heard somebody again after {}", show_seconds(*after)),
        _ => String::new(),
    }
}

/// A member's name, and its address where the name does not say it.
fn who(member: &MemberInfo) -> String {
    let (name, address) = (plain(&member.name), member.address.to_string());
    if name == address { name } else { format!("{name} ({address})") }
}

fn show_tags(member: &MemberInfo) -> String {
    let tags = tags::decode(&member.metadata).unwrap_or_default();
    show_pairs(&tags)
}

fn show_pairs(tags: &Tags) -> String {
    let tags: Vec<_> = tags.iter().map(|(key, value)| format!("{}={}", plain(key), plain(value))).collect();
    tags.join(" ")
}

/// Text from the network, with whatever could command a terminal, or show a line in another order than it has, made
/// visible.
pub(crate) fn plain(text: &str) -> String {
    let show = |c: char| if c.is_control() || rearranges(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(show).collect()
}

/// Marks of direction, and ends of lines that are no control characters.
fn rearranges(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `0.31 s`.
pub(crate) fn show_seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

/// The time of day, UTC, to the millisecond: `12:34:56.789Z`.
fn clock(at: SystemTime) -> String {
    let full = humantime::format_rfc3339_millis(at).to_string();
    full.split_once('T').map_or(full.clone(), |(_, time)| time.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_command_a_terminal_is_made_visible() {
        assert_eq!(plain("web-1 ü"), "web-1 ü");
        assert_eq!(plain("\x1b[2Jgone\r\n\u{9b}"), "\\u{1b}[2Jgone\\r\\n\\u{9b}");
        assert_eq!(plain("db\u{202e}evila \u{2066}x\u{2028}y"), "db\\u{202e}evila \\u{2066}x\\u{2028}y");
    }

    #[test]
    fn colours_are_left_away_where_there_is_no_terminal() {
        assert_eq!(Paint::new(false).tone(Tone::Bad, "died"), "died");
        assert_eq!(Paint::new(true).tone(Tone::Bad, "died"), "\x1b[31;1mdied\x1b[0m");
    }

    #[test]
    fn the_time_of_day_is_utc_to_the_millisecond() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(86_400_000 * 20_000 + 3_723_045);
        assert_eq!(clock(at), "01:02:03.045Z");
    }
}
