//! The command line: what it prints, and what its exit codes mean.

use std::process::{Command, Output, Stdio};

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
        (&["sweep", "--vary", "colour=red"], "\"colour\" cannot be varied; nodes, "),
        (&["sweep", "--vary", "suspicion_alpha=0.1"], "suspicion_alpha is 0.1; it must be between 0.5 and 100"),
        (&["run", "--set", "probe_timeout=soon"], "it must be a duration with its unit"),
        (&["run", "--broadcasts", "5x70000"], "of at most 61440 bytes"),
        (&["theory", "--seeds", "1..4"], "3 seeds tell no spread"),
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
fn a_swarm_of_messengers_has_them_in_each_scenario() {
    let count = |flags: &[&str]| {
        let output = swim_sim(&[&["swarm", "--show", "--seeds", "0..10"], flags].concat());
        assert_eq!(code(&output), 0, "{output:?}");
        String::from_utf8_lossy(&output.stdout).matches("reliable: Some").count()
    };
    assert_eq!(count(&["--reliable"]), 10);
    assert!(count(&[]) < 10);
}

#[test]
fn whoever_reads_no_more_ends_the_command_and_nothing_panics() {
    let (reader, writer) = std::io::pipe().expect("pipes can be had");
    drop(reader);
    let arguments = ["swarm", "--show", "--seeds", "7..9"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_swim-sim"));
    let child = command.args(arguments).stdout(writer).stderr(Stdio::piped()).spawn().expect("it starts");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((code(&output), String::from_utf8_lossy(&output.stderr).as_ref()), (141, ""));
}

#[test]
fn a_cluster_that_does_not_converge_is_exit_code_3() {
    // Everything is lost, for ever.
    let output = swim_sim(&["run", "--nodes", "3", "--for", "5s", "--loss", "100%", "--no-judges"]);
    assert_eq!(code(&output), 3, "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("NOT CONVERGED"), "{output:?}");
}

#[test]
fn a_rule_that_is_broken_is_exit_code_2() {
    // Nodes that bury half a second after a lost answer, and a network that loses more than half of all.
    let lossy = ["run", "--nodes", "12", "--for", "60s", "--loss", "60%", "--set", "verify_burial=false"];
    let rash = ["--set", "suspicion_alpha=0.5", "--set", "lha_suspicion=false", "--set", "stream_probe=false"];
    let demanding = [&lossy[..], &rash, &["--false-deaths-max", "0"]].concat();
    let output = swim_sim(&demanding);
    assert_eq!(code(&output), 2, "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("VIOLATED false death at "), "{said}");
    assert!(said.contains(&format!("again: swim-sim {}", demanding.join(" "))), "{said}");
    let output = swim_sim(&[&demanding[..], &["--json"]].concat());
    assert_eq!(code(&output), 2, "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(
        (&report["verdict"], &report["violation"]["rule"]),
        (&"safety".into(), &"false death".into()),
        "{report}"
    );
}

#[test]
fn a_swarm_runs_its_seeds_and_says_that_all_passed() {
    let output = swim_sim(&["swarm", "--seeds", "1..3"]);
    assert_eq!(code(&output), 0, "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with("2 seeds passed: 1..3\n"), "{said}");
    assert!(said.contains("recovered once faults had stopped in"), "{said}");
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

#[test]
fn a_sweep_has_a_row_for_each_combination_and_the_same_figures_in_each_form() {
    let arguments = [
        "sweep",
        "--vary",
        "suspicion_alpha=3,5",
        "--vary",
        "loss=0%,5%",
        "--nodes",
        "8",
        "--crash",
        "1",
        "--for",
        "30s",
    ];
    let with = |more: &[&str]| swim_sim(&[&arguments[..], &["--seeds", "1..4"], more].concat());
    let (csv, json, table) = (with(&["--csv"]), with(&["--json"]), with(&[]));
    assert!([&csv, &json, &table].iter().all(|output| code(output) == 0), "{csv:?} {json:?} {table:?}");
    let csv = String::from_utf8(csv.stdout).expect("text");
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!((rows.len(), &rows[0][..3]), (5, &["suspicion_alpha", "loss", "runs"][..]));
    assert_eq!((&rows[1][..3], &rows[4][..3]), (&["3", "0%", "3"][..], &["5", "5%", "3"][..]));
    let column = |name: &str| rows[0].iter().position(|head| *head == name).expect("a column of this name");
    let number = |row: usize, name: &str| rows[row][column(name)].parse::<f64>().expect("a number");
    // A longer suspicion is a later detection, by the two seconds that it is longer.
    assert!((number(3, "first_p50_s") - number(1, "first_p50_s") - 2.0).abs() < 1.0, "{csv}");
    assert_eq!((number(1, "crashed"), number(1, "detected")), (3.0, 3.0));
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("one JSON object");
    let cell = &json["cells"][3];
    assert_eq!(cell["set"]["suspicion_alpha"], "5");
    let bytes = cell["figures"]["bytes_per_node_s"].as_f64().expect("a number");
    assert!((bytes - number(4, "bytes_per_node_s")).abs() < 1e-9, "{bytes}: {csv}");
    assert_eq!(String::from_utf8(table.stdout).expect("text").lines().count(), 6);
}

#[test]
fn what_applications_say_is_in_the_report() {
    let output = swim_sim(&[
        "run",
        "--nodes",
        "12",
        "--for",
        "20s",
        "--broadcasts",
        "2x40",
        "--messages",
        "2x10..3000",
        "--json",
    ]);
    assert_eq!(code(&output), 0, "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let (broadcasts, messages) = (&report["broadcasts"], &report["messages"]);
    // Forty of each are to be expected, each broadcast due to eleven; nothing is lost on the way.
    assert!(broadcasts["sent"].as_u64().is_some_and(|sent| (20..60).contains(&sent)), "{report}");
    assert_eq!(broadcasts["due"].as_u64(), broadcasts["sent"].as_u64().map(|sent| sent * 11));
    assert!(broadcasts["share"].as_f64().is_some_and(|share| share > 0.99), "{report}");
    assert_eq!((&messages["share"], &report["refused"]), (&1.0.into(), &0.into()), "{report}");
    assert!(broadcasts["latency_s"]["p50"].as_f64().is_some_and(|s| s < 1.0), "{report}");
}

#[test]
fn theory_prints_formula_expectation_and_simulation() {
    let output = swim_sim(&["theory", "--only", "R1", "--nodes", "8,16", "--seeds", "1..11"]);
    assert_eq!(code(&output), 0, "{output:?}");
    let table = String::from_utf8(output.stdout).expect("text");
    for expected in
        ["R1  messages sent per member and period: 1 ping + 1 ack = 2", "16 nodes", "all 7 values are within"]
    {
        assert!(table.contains(expected), "{expected} is missing: {table}");
    }
}
