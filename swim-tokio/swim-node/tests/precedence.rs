//! File, environment and flags in rising precedence, seen from outside.

mod agents;

use std::path::PathBuf;

use agents::Agent;
use serde_json::Value;

/// Runs an agent with these three and reads who it says it is, and what it changed.
fn run(test: &str, file: &str, variables: &[(&str, &str)], flags: &[&str]) -> (Value, String) {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.toml"));
    std::fs::write(&path, file).unwrap();
    let mut command = agents::swim_node();
    command.env("SWIM_CONFIG", &path).envs(variables.iter().copied()).args(flags);
    let mut agent = Agent::spawn(command, "127.0.0.1:0".parse().unwrap());
    let started = agent.wait_for("started", |event| event["event"] == "started");
    let settings = agent.wait_for_log("\"settings\"");
    (started, settings)
}

const FILE: &str = r#"
    addr = "127.0.0.1:0"
    name = "from-file"
    json_logging = true
    profile = "wan"
    [tags]
    role = "file"
    az = "file"
    [protocol]
    probe_interval = "11s"
    cluster = "file"
"#;

#[test]
fn the_file_alone() {
    let (started, settings) = run("alone", FILE, &[], &[]);
    assert_eq!((&started["name"], &started["profile"]), (&"from-file".into(), &"wan".into()));
    assert_eq!(started["cluster"], "file");
    assert_eq!(started["tags"], serde_json::json!({"az": "file", "role": "file"}));
    assert!(
        settings.contains("probe_interval = 11s (") && settings.contains("alone.toml:10: probe_interval)"),
        "{settings}"
    );
}

#[test]
fn the_environment_overrides_the_file_and_flags_override_both() {
    let variables = [
        ("SWIM_NAME", "from-environment"),
        ("SWIM_PROFILE", "local"),
        ("SWIM_TAGS", "role=environment"),
        ("SWIM_PROBE_INTERVAL", "12s"),
        ("SWIM_CLUSTER", "environment"),
        ("SWIM_TRANSPORT", "udp"),
    ];
    let (started, settings) = run("environment", FILE, &variables, &[]);
    assert_eq!((&started["name"], &started["profile"]), (&"from-environment".into(), &"local".into()));
    assert_eq!(started["cluster"], "environment");
    assert_eq!(started["tags"], serde_json::json!({"az": "file", "role": "environment"}));
    assert!(settings.contains("probe_interval = 12s (SWIM_PROBE_INTERVAL)"), "{settings}");
    assert!(settings.contains("transport = udp (SWIM_TRANSPORT)"), "{settings}");

    let mut flags =
        vec!["--name", "from-flag", "--profile", "lan", "--tag", "role=flag", "--set", "probe_interval=13s"];
    flags.extend(["--transport", "tcp"]);
    let (started, settings) = run("flags", FILE, &variables, &flags);
    assert_eq!((&started["name"], &started["profile"]), (&"from-flag".into(), &"lan".into()));
    assert_eq!(started["cluster"], "environment", "what no flag says stays");
    assert_eq!(started["tags"], serde_json::json!({"az": "file", "role": "flag"}));
    assert!(settings.contains("probe_interval = 13s (--set probe_interval=13s)"), "{settings}");
    assert!(settings.contains("transport = tcp (--transport)"), "{settings}");
}

#[test]
fn the_flag_names_the_file_rather_than_the_variable() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("chosen.toml");
    std::fs::write(&path, FILE.replace("from-file", "chosen")).unwrap();
    let (started, _) = run("unchosen", FILE, &[], &["--config", path.to_str().unwrap()]);
    assert_eq!(started["name"], "chosen");
}
