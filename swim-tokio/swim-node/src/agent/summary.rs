//! SIGUSR1: how the agent is, in one log record.

use swim_tokio::{Closed, MemberInfo, State};
use tracing::info;

use crate::driver::Handle;
use crate::output::text::plain;

/// Most names of one kind in a record.
const NAMES_MAX: usize = 20;

/// Logs the members, the health and every counter that is not zero.
pub(super) async fn log(node: Handle) {
    let Ok((members, stats)) = ask(&node).await else { return };
    let of = |state: State| members.iter().filter(move |member| member.state == state);
    let counters = compact(&format!("{:?}", stats.node));
    let driver = compact(&format!("{:?}", stats.driver));
    let messaging = stats.messaging.map(|(messages, links)| {
        format!("{} {}", compact(&format!("{messages:?}")), compact(&format!("{links:?}"))).trim().to_owned()
    });
    let messaging = messaging.unwrap_or_else(|| "off".to_owned());
    info!(
        status = ?node.status(),
        health = stats.node.health,
        alive = of(State::Alive).count(),
        suspect = of(State::Suspect).count(),
        dead = of(State::Dead).count(),
        left = of(State::Left).count(),
        suspects = names(of(State::Suspect)),
        lost = names(of(State::Dead)),
        counters,
        driver,
        messaging,
        "summary"
    );
}

async fn ask(node: &Handle) -> Result<(std::sync::Arc<[MemberInfo]>, swim_tokio::Stats), Closed> {
    Ok((node.members().await?, node.stats().await?))
}

fn names<'a>(members: impl Iterator<Item = &'a MemberInfo>) -> String {
    let mut names: Vec<_> = members.map(|member| plain(&member.name)).collect();
    names.sort();
    let more = names.len().saturating_sub(NAMES_MAX);
    names.truncate(NAMES_MAX);
    if more > 0 {
        names.push(format!("and {more} more"));
    }
    names.join(" ")
}

/// The fields of a struct of numbers, from its `Debug` form, those that are not zero: `probes=12 drops.foreign=3`.
fn compact(debug: &str) -> String {
    let mut path: Vec<&str> = Vec::new();
    let mut shown: Vec<String> = Vec::new();
    for word in debug.split(", ") {
        let (mut word, mut closed) = (word, 0);
        // `Outer { field: Inner { field: 1` and, later, `field: 2 } }`.
        while let Some((name, rest)) = word.split_once(" { ") {
            path.push(name.split_once(": ").map_or("", |(field, _)| field));
            word = rest;
        }
        while let Some(rest) = word.strip_suffix(" }") {
            word = rest;
            closed += 1;
        }
        if let Some((field, value)) = word.split_once(": ")
            && !matches!(value, "0" | "0ns" | "false" | "None")
        {
            let place: String = path.iter().filter(|name| !name.is_empty()).map(|name| format!("{name}.")).collect();
            shown.push(format!("{place}{field}={value}"));
        }
        path.truncate(path.len().saturating_sub(closed));
    }
    shown.join(" ")
}

#[cfg(test)]
mod tests {
    use swim_tokio::Stats;

    use super::*;

    #[test]
    fn every_counter_that_is_not_zero_is_shown_and_drops_by_their_reason() {
        assert_eq!(compact(&format!("{:?}", Stats::default())), "");
        let mut stats = Stats::default().node;
        (stats.probes, stats.drops.foreign, stats.drops.malformed, stats.live) = (12, 3, 1, 5);
        stats.lag = std::time::Duration::from_millis(7);
        let shown = compact(&format!("{stats:?}"));
        let mut words: Vec<_> = shown.split(' ').collect();
        words.sort_unstable();
        assert_eq!(words, ["drops.foreign=3", "drops.malformed=1", "lag=7ms", "live=5", "probes=12"]);
    }
}
