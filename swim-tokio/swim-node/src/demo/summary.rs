//! What the demo measured: its last line.

use std::time::Duration;

use serde::Serialize;

use crate::output::json;

/// The figures. What did not happen stays empty.
pub(crate) struct Summary {
    pub(crate) nodes: usize,
    /// From the last start until every node knew every node.
    pub(crate) converged: Option<Duration>,
    /// From the kill until the first survivor held the killed node dead.
    pub(crate) first_detection: Option<Duration>,
    /// From the kill until the last survivor did.
    pub(crate) last_detection: Option<Duration>,
    /// From the restart until every node knew every node again.
    pub(crate) rejoined: Option<Duration>,
    /// How often a node that was up was declared dead.
    pub(crate) false_deaths: u32,
    /// What did not happen.
    pub(crate) missing: Option<String>,
}

impl Summary {
    pub(crate) fn new(nodes: usize) -> Summary {
        Summary {
            nodes,
            converged: None,
            first_detection: None,
            last_detection: None,
            rejoined: None,
            false_deaths: 0,
            missing: None,
        }
    }

    /// So long after the kill a survivor held the killed node dead. What the survivors saw need not be told in its order.
    pub(crate) fn noticed(&mut self, after: Duration) {
        self.first_detection = Some(self.first_detection.map_or(after, |first| first.min(after)));
        self.last_detection = self.last_detection.max(Some(after));
    }

    /// As one line of JSON.
    pub(crate) fn json(&self) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            event: &'static str,
            nodes: usize,
            converged_s: Option<f64>,
            first_detection_s: Option<f64>,
            last_detection_s: Option<f64>,
            rejoined_s: Option<f64>,
            false_deaths: u32,
            #[serde(skip_serializing_if = "Option::is_none")]
            missing: Option<&'a str>,
        }
        let seconds = |duration: Option<Duration>| duration.map(|duration| json::seconds(duration.as_secs_f64()));
        json::line(&Line {
            event: "summary",
            nodes: self.nodes,
            converged_s: seconds(self.converged),
            first_detection_s: seconds(self.first_detection),
            last_detection_s: seconds(self.last_detection),
            rejoined_s: seconds(self.rejoined),
            false_deaths: self.false_deaths,
            missing: self.missing.as_deref(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_are_so_in_whatever_order_they_are_told() {
        let mut summary = Summary::new(5);
        for millis in [4_685, 4_684, 4_690, 4_687] {
            summary.noticed(Duration::from_millis(millis));
        }
        let found = [summary.first_detection, summary.last_detection];
        assert_eq!(found, [4_684, 4_690].map(|millis| Some(Duration::from_millis(millis))));
    }
}
