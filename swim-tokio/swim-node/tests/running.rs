//! What can be asked of an agent that runs: its state, and other tags.

mod agents;

use std::path::PathBuf;

use agents::{Agent, free_address};
use serde_json::json;

/// A configuration file of a test's own.
fn file(test: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("running-{test}.toml"))
}

#[test]
fn sighup_takes_over_the_tags_and_names_what_needs_a_restart() {
    let [a, b] = [free_address(), free_address()];
    let path = file("tags");
    std::fs::write(&path, "name = \"one\"\n[tags]\nrole = \"db\"\nzone = \"a\"").unwrap();
    let mut one = Agent::start(a, &["--config", path.to_str().unwrap(), "--tag", "zone=flag"]);
    let mut two = Agent::start(b, &["--seeds", &a.to_string()]);
    two.wait_for_member(&["joined"], a);
    one.wait_for_member(&["joined"], b);

    std::fs::write(&path, "name = \"uno\"\n[tags]\nrole = \"primary\"\nzone = \"b\"").unwrap();
    one.signal("HUP");
    let updated = two.wait_for_member(&["updated"], a);
    assert_eq!(updated["member"]["tags"], json!({"role": "primary", "zone": "flag"}), "flags go on to override");
    assert_eq!(updated["member"]["name"], "one");
    let fixed = one.wait_for_log("a restart would change them");
    assert!(fixed.contains("\"settings\":\"name\""), "{fixed}");

    std::fs::write(&path, "name = ").unwrap();
    one.signal("HUP");
    let mistake = one.wait_for_log("the configuration has a mistake");
    assert!(mistake.contains("ERROR") && mistake.contains("running-tags.toml:1"), "{mistake}");
    // It runs on, and the next one counts.
    std::fs::write(&path, "").unwrap();
    one.signal("HUP");
    let fewer = json!({"zone": "flag"});
    two.wait_for("the tags of the flags alone", |event| {
        event["event"] == "updated" && event["member"]["tags"] == fewer
    });
}

#[test]
fn sighup_without_a_file_changes_nothing() {
    let mut agent = Agent::start(free_address(), &[]);
    agent.wait_for("started", |event| event["event"] == "started");
    agent.signal("HUP");
    agent.wait_for_log("there is no configuration file");
    agent.signal("TERM");
    assert_eq!(agent.wait().code(), Some(0), "{}", agent.transcript());
    let last = agent.events.last().expect("it said something");
    assert_eq!((&last["reason"], &last["departure"]), (&"left".into(), &"alone".into()));
}

#[test]
fn sigusr1_logs_members_health_and_counters() {
    let [a, b] = [free_address(), free_address()];
    let mut one = Agent::start(a, &[]);
    let mut two = Agent::start(b, &["--seeds", &a.to_string()]);
    one.wait_for_member(&["joined"], b);
    two.wait_for_member(&["joined"], a);
    let junk = std::net::UdpSocket::bind((a.ip(), 0)).unwrap();
    junk.send_to(b"no packet of any cluster", a).unwrap();
    let until = std::time::Instant::now() + agents::DEADLINE;
    let summary = loop {
        one.logs.clear();
        one.signal("USR1");
        let line = one.wait_for_log("\"summary\"");
        // The datagram may still be on its way.
        if line.contains("drops.magic=1") || std::time::Instant::now() > until {
            break line;
        }
    };
    let summary: serde_json::Value = serde_json::from_str(&summary).expect("each line is JSON");
    assert_eq!(
        (&summary["alive"], &summary["dead"], &summary["health"]),
        (&json!(2), &json!(0), &json!(0)),
        "{summary}"
    );
    let counters = summary["counters"].as_str().expect("text");
    assert!(counters.contains("drops.magic=1") && counters.contains("live=2"), "{counters}");
    assert!(summary["driver"].as_str().is_some_and(|driver| driver.contains("receive_buffer=")), "{summary}");
}

#[test]
fn a_departure_that_takes_too_long_is_told_as_such() {
    let [a, b] = [free_address(), free_address()];
    let slow = ["--set", "gossip_interval=1h", "--set", "leave_timeout=300ms"];
    let mut one = Agent::start(a, &[]);
    let mut two = Agent::start(b, &[&["--seeds", &a.to_string()][..], &slow].concat());
    two.wait_for_member(&["joined"], a);
    one.wait_for_member(&["joined"], b);
    two.signal("TERM");
    assert_eq!(two.wait().code(), Some(0), "{}", two.transcript());
    let last = two.events.last().expect("it said something");
    assert_eq!((&last["reason"], &last["departure"]), (&"left".into(), &"late".into()), "{}", two.transcript());
}
