//! The command line: what it prints, and what its exit codes mean.

use std::process::{Command, Output};

fn swim_sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_swim-sim")).args(arguments).output().expect("the binary runs")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it exits by itself")
}

#[test]
fn run_prints_one_json_object_with_all_its_fields() {
    let arguments = [
        "run",
        "--nodes",
        "20",
        "--seed",
        "7",
        "--for",
        "30s",
        "--join-over",
        "2s",
        "--crash",
        "5%",
        "--crash-at",
        "10s",
        "--loss",
        "5%",
        "--latency",
        "1ms..5ms",
        "--profile",
        "lan",
        "--json",
        "--no-judges",
    ];
    let output = swim_sim(&arguments);
    assert_eq!(code(&output), 0, "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    for field in [
        "seed",
        "nodes",
        "simulated_s",
        "wall_s",
        "verdict",
        "violation",
        "trace_hash",
        "converged_s",
        "detection_s",
        "crashed",
        "detected",
        "false_deaths",
        "datagrams_per_node_s",
        "bytes_per_node_s",
        "events",
    ] {
        assert!(report.get(field).is_some(), "{field} is missing: {report}");
    }
    assert_eq!((&report["seed"], &report["nodes"], &report["verdict"]), (&7.into(), &20.into(), &"passed".into()));
    for (who, what) in [("first", "p50"), ("first", "p99"), ("last", "max")] {
        assert!(report["detection_s"][who][what].is_number(), "{report}");
    }
    // The trace's hash is that of the seed, with or without the report's form.
    let text = swim_sim(&arguments.map(|argument| if argument == "--json" { "--check-determinism" } else { argument }));
    let hash = report["trace_hash"].as_str().expect("a string");
    assert!(String::from_utf8_lossy(&text.stdout).contains(hash), "{text:?}");
}

#[test]
fn what_is_wrong_with_a_flag_is_said_and_the_exit_code_is_1() {
    for (arguments, expected) in [
        (&["run", "--for", "60"][..], "has no unit; write 60s"),
        (&["run", "--loss", "105%"], "lies outside 0% to 100%"),
        (&["run", "--nodes", "0"], "0 is not in 1..=1000000"),
        (&["run", "--profile", "moon"], "possible values: lan, wan, local"),
        (&["run", "--partition", "quarters@1s..2s"], "is no partition; halves"),
        (&["run", "--crash", "1", "--crash-at", "90s"], "a crash at 90s comes after the end"),
        (&["run", "--pause", "5%@30s"], "does not say from when until when"),
        (&["swarm", "--seeds", "9..3"], "holds no seed"),
        (&["swarm"], "--seeds <SEEDS>"),
        (&["fly"], "unrecognized subcommand"),
    ] {
        let output = swim_sim(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(expected), "{arguments:?}: {said}");
        assert_eq!(code(&output), 1, "{arguments:?}");
    }
    assert_eq!(code(&swim_sim(&["--help"])), 0);
}

#[test]
fn a_cluster_that_does_not_converge_is_exit_code_3() {
    // Everything is lost, for ever.
    let output = swim_sim(&["run", "--nodes", "3", "--for", "5s", "--loss", "100%", "--no-judges"]);
    assert_eq!(code(&output), 3, "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("NOT CONVERGED"), "{output:?}");
}

#[test]
fn a_trace_has_a_line_for_each_change_of_state() {
    let path = std::env::temp_dir().join(format!("swim-sim-trace-{}", std::process::id()));
    let path = path.to_str().expect("a path in UTF-8");
    let arguments =
        ["run", "--nodes", "5", "--for", "30s", "--crash", "1", "--crash-at", "5s", "--no-judges", "--trace", path];
    assert_eq!(code(&swim_sim(&arguments)), 0);
    let trace = std::fs::read_to_string(path).expect("it was written");
    std::fs::remove_file(path).expect("it was there");
    for expected in ["starts, process 1", "sees joining", "-- Crash", "suspects", "holds dead"] {
        assert!(trace.lines().any(|line| line.contains(expected)), "{expected} is missing");
    }
}
