//! Events as JSON, one object a line. The shapes are documented in `docs/operations.md`.

use std::time::{Instant, SystemTime};

use serde::Serialize;
use swim_tokio::{Cause, Ending, Event, Incarnation, MemberInfo, Notice, Order, Outcome, Received};

use crate::console::{Answer, Done};
use crate::driver::Handle;
use crate::output::words;
use crate::tags::{self, Tags};

/// The first line.
pub(crate) fn started(node: &Handle, profile: &'static str, metadata: &[u8]) -> String {
    #[derive(Serialize)]
    struct Started<'a> {
        event: &'static str,
        driver: &'static str,
        name: &'a str,
        addr: String,
        version: &'static str,
        id: String,
        bound: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
        cluster: &'a str,
        profile: &'static str,
        tags: Tags,
        time: String,
    }
    line(&Started {
        event: "started",
        driver: node.driver().name(),
        name: node.name(),
        addr: node.address().to_string(),
        version: env!("CARGO_PKG_VERSION"),
        id: node.id().to_string(),
        bound: node.bound().to_string(),
        endpoint: node.endpoint().map(|endpoint| endpoint.to_string()),
        cluster: node.cluster(),
        profile,
        tags: tags::decode(metadata).unwrap_or_default(),
        time: time(SystemTime::now()),
    })
}

#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<MemberView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<CauseView<'a>>,
    #[serde(flatten)]
    more: More<'a>,
    time: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum More<'a> {
    None {},
    Superseded {
        by: String,
        life: u64,
    },
    NameTaken {
        holder: String,
    },
    Isolated {
        since: String,
    },
    Reconnected {
        after_s: f64,
    },
    Broadcast {
        from: Sayer<'a>,
        life: u64,
        sequence: u64,
        #[serde(flatten)]
        payload: Payload,
    },
    Message {
        from: Sayer<'a>,
        #[serde(flatten)]
        payload: Payload,
    },
}

/// What an application said: text where it is text.
#[derive(Serialize)]
struct Payload {
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// In hexadecimal, where it is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

impl Payload {
    fn of(payload: &[u8]) -> Payload {
        let text = std::str::from_utf8(payload).ok().map(str::to_owned);
        let hex = text.is_none().then(|| hex(payload));
        Payload { bytes: payload.len(), text, hex }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A line between.
pub(crate) fn notice(notice: &Notice) -> String {
    let more = match &notice.event {
        Event::Superseded { by, life } => More::Superseded { by: by.to_string(), life: *life },
        Event::NameTaken { holder } => More::NameTaken { holder: holder.to_string() },
        Event::Isolated { since } => More::Isolated { since: instant(*since) },
        Event::Reconnected { after } => More::Reconnected { after_s: seconds(after.as_secs_f64()) },
        Event::Broadcast { origin, origin_name, life, sequence, payload } => More::Broadcast {
            from: Sayer { id: origin.to_string(), name: origin_name.as_deref() },
            life: *life,
            sequence: *sequence,
            payload: Payload::of(payload),
        },
        Event::Message { from, from_name, payload } => More::Message {
            from: Sayer { id: from.to_string(), name: from_name.as_deref() },
            payload: Payload::of(payload),
        },
        _ => More::None {},
    };
    let change = notice.event.change();
    line(&Line {
        event: notice.event.kind(),
        member: change.map(|change| MemberView::of(&change.member)),
        cause: change.map(|change| CauseView::of(&change.cause)),
        more,
        time: time(notice.at),
    })
}

/// A member that was there before we began to listen.
pub(crate) fn joined(member: &MemberInfo) -> String {
    line(&Line {
        event: "joined",
        member: Some(MemberView::of(member)),
        cause: Some(CauseView::Itself),
        more: More::None {},
        time: time(SystemTime::now()),
    })
}

/// What became of a command from stdin.
pub(crate) fn answer(answer: &Answer) -> String {
    #[derive(Serialize)]
    struct Answered<'a> {
        event: &'static str,
        command: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        sequence: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        members: Option<Vec<MemberView<'a>>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a str>,
        time: String,
    }
    let time = time(SystemTime::now());
    line(&match answer {
        Answer::Done(done) => {
            let sequence = if let Done::Broadcast { sequence } = done { Some(*sequence) } else { None };
            let members = match done {
                Done::Members(members) => Some(members.iter().map(MemberView::of).collect()),
                _ => None,
            };
            let message = match done {
                Done::Deliver { pending, .. } => Some(format!("{:016x}", pending.id().as_u64())),
                _ => None,
            };
            Answered { event: "done", command: Some(done.command()), sequence, message, members, error: None, time }
        }
        Answer::Refused { command, error } => {
            let command = *command;
            Answered {
                event: "refused",
                command,
                sequence: None,
                message: None,
                members: None,
                error: Some(error),
                time,
            }
        }
    })
}

/// A message that came.
pub(crate) fn received(received: &Received, name: Option<&str>) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        event: &'static str,
        from: Sayer<'a>,
        life: u64,
        class: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        stream: Option<u64>,
        repeated: bool,
        #[serde(flatten)]
        payload: Payload,
        time: String,
    }
    line(&Line {
        event: "received",
        from: Sayer { id: received.from.to_string(), name },
        life: received.life,
        class: words::class(received.class),
        stream: if let Order::Stream(stream) = received.order { Some(stream) } else { None },
        repeated: received.repeated,
        payload: Payload::of(&received.payload),
        time: time(SystemTime::now()),
    })
}

/// What became of a message.
pub(crate) fn outcome(outcome: &Outcome, name: Option<&str>) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        event: &'static str,
        message: String,
        to: Sayer<'a>,
        ending: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'static str>,
        delivery: &'static str,
        took_ms: f64,
        time: String,
    }
    line(&Line {
        event: "outcome",
        message: format!("{:016x}", outcome.id.as_u64()),
        to: Sayer { id: outcome.to.to_string(), name },
        ending: words::ending(outcome.ending),
        reason: if let Ending::Failed(reason) = outcome.ending { Some(words::reason(reason)) } else { None },
        delivery: words::delivery(outcome.delivery),
        took_ms: seconds(outcome.took.as_secs_f64() * 1e3),
        time: time(SystemTime::now()),
    })
}

/// Events were lost; here is everyone as they are now.
pub(crate) fn lagged(missed: u64, members: &[MemberInfo]) -> String {
    #[derive(Serialize)]
    struct Lagged<'a> {
        event: &'static str,
        missed: u64,
        members: Vec<MemberView<'a>>,
        time: String,
    }
    let members = members.iter().map(MemberView::of).collect();
    line(&Lagged { event: "lagged", missed, members, time: time(SystemTime::now()) })
}

/// The last line.
pub(crate) fn stopped(reason: &'static str, departure: Option<&'static str>) -> String {
    #[derive(Serialize)]
    struct Stopped {
        event: &'static str,
        reason: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        departure: Option<&'static str>,
        time: String,
    }
    line(&Stopped { event: "stopped", reason, departure, time: time(SystemTime::now()) })
}

/// One object as one line.
pub(crate) fn line(object: &impl Serialize) -> String {
    serde_json::to_string(object).expect("text keys and plain values always serialize")
}

/// A member as JSON tells it.
#[derive(Serialize)]
struct MemberView<'a> {
    id: String,
    name: &'a str,
    addr: String,
    state: String,
    incarnation: IncarnationView,
    tags: Tags,
    /// In hexadecimal, where it is not tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt_ms: Option<f64>,
}

#[derive(Serialize)]
struct IncarnationView {
    life: u64,
    refutation: u32,
}

impl MemberView<'_> {
    fn of(member: &MemberInfo) -> MemberView<'_> {
        let tags = tags::decode(&member.metadata);
        let Incarnation { life, refutation } = member.incarnation;
        MemberView {
            id: member.id.to_string(),
            name: &member.name,
            addr: member.address.to_string(),
            state: member.state.to_string(),
            incarnation: IncarnationView { life, refutation },
            metadata: tags.is_none().then(|| hex(&member.metadata)),
            tags: tags.unwrap_or_default(),
            rtt_ms: member.rtt.map(|rtt| seconds(rtt.as_secs_f64() * 1e3)),
        }
    }
}

/// A cause as JSON tells it.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum CauseView<'a> {
    Itself,
    ProbeFailed,
    Accused { by: Sayer<'a> },
    SuspicionExpired { accusers: u8, since: String },
    DeclaredBy { by: Sayer<'a> },
    Operator,
    Forgotten,
    Other,
}

#[derive(Serialize)]
pub(crate) struct Sayer<'a> {
    id: String,
    name: Option<&'a str>,
}

impl CauseView<'_> {
    pub(crate) fn of(cause: &Cause) -> CauseView<'_> {
        match cause {
            Cause::Itself => CauseView::Itself,
            Cause::ProbeFailed => CauseView::ProbeFailed,
            Cause::Accused { by, by_name } => {
                CauseView::Accused { by: Sayer { id: by.to_string(), name: by_name.as_deref() } }
            }
            Cause::SuspicionExpired { accusers, since } => {
                CauseView::SuspicionExpired { accusers: *accusers, since: instant(*since) }
            }
            Cause::DeclaredBy { by, by_name } => {
                CauseView::DeclaredBy { by: Sayer { id: by.to_string(), name: by_name.as_deref() } }
            }
            Cause::Operator => CauseView::Operator,
            Cause::Forgotten => CauseView::Forgotten,
            _ => CauseView::Other,
        }
    }
}

/// RFC 3339, UTC.
fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

/// A moment of the monotonic clock by the wall clock of now.
fn instant(at: Instant) -> String {
    let now = SystemTime::now();
    time(now.checked_sub(at.elapsed()).unwrap_or(now))
}

/// Seconds, or whatever unit, to four digits after the point.
pub(crate) fn seconds(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
