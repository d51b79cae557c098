//! What was measured, for people and for programs.

use serde_json::{Value, json};

/// Of one size of payloads.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) size: usize,
    /// Acknowledged, as fast as can be.
    pub(crate) acknowledged: Option<Value>,
    /// Acknowledged, at a rate.
    pub(crate) paced: Option<(u64, Value)>,
    /// Unacknowledged.
    pub(crate) zeromq: Option<Value>,
    /// The same.
    pub(crate) libzmq: Option<Value>,
}

pub(crate) fn print(rows: &[Row], as_json: bool) {
    if as_json {
        let rows: Vec<Value> = rows
            .iter()
            .map(|row| {
                let paced = row.paced.as_ref().map(|(rate, figures)| json!({ "rate": rate, "figures": figures }));
                json!({
                    "bytes": row.size, "acknowledged": row.acknowledged, "paced": paced,
                    "zeromq": row.zeromq, "libzmq": row.libzmq,
                })
            })
            .collect();
        println!("{}", json!(rows));
        return;
    }
    println!(
        "| payload | acknowledged/s, CPU each | at a rate of | p50 | p90 | p99 | p99.9 | zeromq crate, raw/s, CPU each \
         | libzmq {}, raw/s, CPU each |",
        crate::raw::libzmq::version(),
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for row in rows {
        let thousands = |rate: Option<f64>| rate.map_or("-".to_owned(), |rate| format!("{:.1} k", rate / 1e3));
        let rate = |figures: &Option<Value>| {
            let Some(figures) = figures else { return "-".to_owned() };
            let cpu = figures["cpu_us"].as_f64().map(|micros| format!(", {micros:.1} µs")).unwrap_or_default();
            format!("{}{cpu}", thousands(figures["per_second"].as_f64()))
        };
        let delay = |key: &str| {
            let micros = row.paced.as_ref().and_then(|(_, figures)| figures[key].as_f64());
            micros.map_or("-".to_owned(), |micros| format!("{:.2} ms", micros / 1e3))
        };
        println!(
            "| {} B | {} | {} | {} | {} | {} | {} | {} | {} |",
            row.size,
            rate(&row.acknowledged),
            thousands(row.paced.as_ref().map(|(rate, _)| *rate as f64)),
            delay("p50_us"),
            delay("p90_us"),
            delay("p99_us"),
            delay("p999_us"),
            rate(&row.zeromq),
            rate(&row.libzmq),
        );
    }
}
