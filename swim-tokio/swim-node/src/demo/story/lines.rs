//! The story as JSON lines.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use super::Step;
use crate::output::json;

/// A step as a line of JSON; `None`: the machine-readable story leaves it out.
pub(super) fn line(step: &Step<'_>) -> Option<String> {
    #[derive(Serialize)]
    struct Line<'a> {
        event: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        node: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        addr: Option<SocketAddr>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cause: Option<json::CauseView<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        profile: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        after_s: Option<f64>,
    }
    let seconds = |after: Duration| Some(json::seconds(after.as_secs_f64()));
    let blank = Line { event: "", node: None, by: None, addr: None, cause: None, profile: None, after_s: None };
    let line = match step {
        Step::Begin { profile, .. } => Line { event: "demo", profile: Some(profile), ..blank },
        Step::Started { name, address } => Line { event: "started", node: Some(name), addr: Some(*address), ..blank },
        Step::Converged { after } => Line { event: "converged", after_s: seconds(*after), ..blank },
        Step::Killing { name } => Line { event: "killed", node: Some(name), ..blank },
        Step::Seen { sight, after } => Line {
            event: sight.event.as_ref()?.kind(),
            node: sight.about.as_deref(),
            by: Some(&sight.by),
            cause: sight.cause().map(json::CauseView::of),
            after_s: seconds(*after),
            ..blank
        },
        Step::Detected { name, .. } => Line { event: "detected", node: Some(name), ..blank },
        Step::Restarting { name } => Line { event: "restarting", node: Some(name), ..blank },
        Step::Back { name, after } => Line { event: "back", node: Some(name), after_s: seconds(*after), ..blank },
        Step::End { summary } => return Some(summary.json()),
    };
    Some(json::line(&line))
}
