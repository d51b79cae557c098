//! A run's report, for machines and for people.

use std::fmt;

use serde_json::{Value, json};

use crate::judges::Violation;
use crate::measure::{Delivery, Percentiles};
use crate::run::{LettersReport, Load, Report, Verdict};

impl Verdict {
    /// The word for it in reports.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Safety => "safety",
            Verdict::NotConverged => "not_converged",
        }
    }

    /// The command's exit code for it.
    pub fn exit_code(self) -> u8 {
        match self {
            Verdict::Passed => 0,
            Verdict::Safety => 2,
            Verdict::NotConverged => 3,
        }
    }
}

impl Report {
    /// As one JSON object; `command` reproduces the run.
    pub fn to_json(&self, command: &str) -> Value {
        json!({
            "seed": self.seed,
            "nodes": self.nodes,
            "simulated_s": round(self.simulated.as_secs_f64()),
            "wall_s": round(self.wall.as_secs_f64()),
            "verdict": self.verdict.word(),
            "odd_views": self.unequal.iter().map(|(slot, live)| json!({ "node": slot, "live": live })).collect::<Vec<_>>(),
            "violation": self.violation.as_ref().map(|violation| violation_json(violation, command)),
            "trace_hash": format!("{:016x}", self.trace_hash),
            "converged_s": self.converged_s.map(round),
            "full_s": self.full_s.map(round),
            "recovered_s": self.recovered_s.map(round),
            "detection_s": { "first": percentiles_json(self.first), "last": percentiles_json(self.last) },
            "crashed": self.crashed,
            "detected": self.detected,
            "false_deaths": self.false_deaths,
            "excused_deaths": self.excused_deaths,
            "broadcasts": delivery_json(&self.broadcasts),
            "broadcast_duplicates": self.duplicates,
            "messages": delivery_json(&self.messages),
            "refused": self.refused,
            "reliable": self.letters.as_ref().map(letters_json),
            "datagrams_per_node_s": round(self.load.datagrams_per_node_s),
            "bytes_per_node_s": round(self.load.bytes_per_node_s()),
            "stream_bytes_per_node_s": round(self.load.stream_bytes_per_node_s),
            "streams_per_node_s": round(self.load.streams_per_node_s),
            "settled": self.settled.map(load_json),
            "datagrams": self.traffic.datagrams,
            "segments": self.traffic.segments,
            "lost": self.traffic.lost,
            "events": self.events,
            "judges": self.judged,
            "command": command,
        })
    }
}

fn violation_json(violation: &Violation, command: &str) -> Value {
    json!({
        "rule": violation.rule.to_string(),
        "at_s": violation.at.as_secs_f64(),
        "nodes": violation.slots.iter().map(|slot| slot.0).collect::<Vec<_>>(),
        "what": violation.what,
        "command": command,
    })
}

fn percentiles_json(percentiles: Percentiles) -> Value {
    json!({ "p50": percentiles.p50, "p99": percentiles.p99, "max": percentiles.max })
}

fn delivery_json(delivery: &Delivery) -> Value {
    json!({
        "sent": delivery.sent,
        "due": delivery.due,
        "delivered": delivery.delivered,
        "share": round(delivery.share()),
        "latency_s": percentiles_json(delivery.latency),
    })
}

fn letters_json(letters: &LettersReport) -> Value {
    let counts = |counts: &[(&'static str, u64)]| {
        counts.iter().map(|&(what, count)| (what.to_owned(), json!(count))).collect::<serde_json::Map<_, _>>()
    };
    let counters = letters.counters;
    json!({
        "accepted": letters.accepted,
        "refused": counts(&letters.refused),
        "outcomes": counts(&letters.outcomes),
        "taken": letters.taken,
        "latency_s": {
            "delivered": percentiles_json(letters.delivered),
            "processed": percentiles_json(letters.processed),
            "reached": percentiles_json(letters.reached),
        },
        "sent": counters.data_out,
        "retransmitted": counters.repeated,
        "duplicates": counters.duplicates,
        "forwards": counters.forwards,
        "acks": counters.acks,
        "probes": counters.probes,
        "links": counters.links,
        "links_failed": counters.links_failed,
        "breakers_opened": counters.breakers_opened,
    })
}

fn load_json(load: Load) -> Value {
    json!({
        "datagrams_per_node_s": round(load.datagrams_per_node_s),
        "bytes_per_node_s": round(load.bytes_per_node_s()),
        "stream_bytes_per_node_s": round(load.stream_bytes_per_node_s),
        "streams_per_node_s": round(load.streams_per_node_s),
    })
}

/// To a millionth: microseconds, where it is seconds.
fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (simulated, wall) = (self.simulated.as_secs_f64(), self.wall.as_secs_f64());
        writeln!(f, "{} nodes, seed {}: {simulated:.1} s simulated in {wall:.2} s", self.nodes, self.seed)?;
        writeln!(f, "  trace      {:016x}, {} events", self.trace_hash, self.events)?;
        let after = |s: Option<f64>| s.map_or_else(|| "never".into(), |s| format!("{s:.3} s after the last join"));
        writeln!(f, "  full       {}", after(self.full_s))?;
        writeln!(f, "  converged  {}", after(self.converged_s))?;
        if let Some(recovered) = self.recovered_s {
            writeln!(f, "  recovered  {recovered:.3} s after faults stopped")?;
        }
        if self.crashed > 0 {
            writeln!(f, "  crashed    {}, of whom all noticed {}", self.crashed, self.detected)?;
            writeln!(f, "  noticed    by the first {}", self.first)?;
            writeln!(f, "             by the last  {}", self.last)?;
        }
        writeln!(f, "  buried     alive {}; while held up or cut off {}", self.false_deaths, self.excused_deaths)?;
        if self.broadcasts.sent > 0 {
            writeln!(f, "  broadcasts {}; heard again {}", self.broadcasts, self.duplicates)?;
        }
        if self.messages.sent > 0 {
            writeln!(f, "  messages   {}", self.messages)?;
        }
        if self.refused > 0 {
            writeln!(f, "  refused    {} of what applications wanted to say", self.refused)?;
        }
        if let Some(letters) = &self.letters {
            write!(f, "{letters}")?;
        }
        writeln!(f, "  load       {}", self.load)?;
        if let Some(settled) = self.settled {
            writeln!(f, "  settled    {settled}")?;
        }
        match (&self.violation, self.verdict) {
            (Some(violation), Verdict::Safety) => write!(f, "VIOLATED {violation}"),
            (Some(lacking), _) => write!(f, "NOT CONVERGED {lacking}"),
            (None, Verdict::NotConverged) => {
                write!(f, "NOT CONVERGED: {} views differ from that of most:", self.unequal.len())?;
                let first = self.unequal.iter().take(10);
                first.into_iter().try_for_each(|(slot, live)| write!(f, " n{slot} (holds {live} live)"))
            }
            (None, _) if self.judged => write!(f, "passed"),
            (None, _) => write!(f, "passed (no judges)"),
        }
    }
}

impl fmt::Display for LettersReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |counts: &[(&'static str, u64)]| {
            let words: Vec<String> =
                counts.iter().map(|(what, count)| format!("{} {count}", what.replace('_', " "))).collect();
            if words.is_empty() { "none".into() } else { words.join(", ") }
        };
        let counters = self.counters;
        writeln!(
            f,
            "  reliable   {} accepted: {}; refused: {}",
            self.accepted,
            told(&self.outcomes),
            told(&self.refused)
        )?;
        writeln!(f, "             delivered {}; processed {}", self.delivered, self.processed)?;
        writeln!(
            f,
            "             {} sent, {} again, {} passed over; {} acks, {} probes; {} links, {} failed",
            counters.data_out,
            counters.repeated,
            counters.forwards,
            counters.acks,
            counters.probes,
            counters.links,
            counters.links_failed,
        )
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let streams = self.stream_bytes_per_node_s;
        let (datagrams, bytes) = (self.datagrams_per_node_s, self.bytes_per_node_s());
        let opened = self.streams_per_node_s;
        write!(
            f,
            "{datagrams:.2} datagrams, {bytes:.0} bytes (of which {streams:.0} by stream), {opened:.2} streams opened per node and second"
        )
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = self.share() * 100.0;
        write!(f, "{}, told {} of {} times ({share:.3} %), {}", self.sent, self.delivered, self.due, self.latency)
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(p50), Some(p99), Some(max)) = (self.p50, self.p99, self.max) else { return write!(f, "-") };
        write!(f, "p50 {p50:.2} s, p99 {p99:.2} s, at most {max:.2} s")
    }
}
