//! Agents as processes take commands on stdin, a line each, and answer them.

mod agents;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{ChildStdin, Stdio};

use agents::{Agent, free_address, swim_node};
use serde_json::{Value, json};

/// An agent that takes commands, and the pipe to give them by.
fn start(name: &str, seed: Option<&Agent>) -> (Agent, ChildStdin) {
    let address = free_address();
    let mut command = swim_node();
    command.args(["--addr", &address.to_string(), "--name", name, "--json-logging", "--stdin-commands"]);
    if let Some(seed) = seed {
        command.args(["--seeds", &seed.address.to_string()]);
    }
    command.stdin(Stdio::piped());
    let mut agent = Agent::spawn(command, address);
    let stdin = agent.child.stdin.take().expect("stdin is a pipe");
    (agent, stdin)
}

/// Gives a command and waits for its answer.
fn ask(agent: &mut Agent, stdin: &mut ChildStdin, line: &str) -> Value {
    writeln!(stdin, "{line}").expect("it reads");
    agent.wait_for(line, |event| event["event"] == "done" || event["event"] == "refused")
}

#[test]
fn an_operator_broadcasts_sends_changes_tags_and_leaves_by_lines_on_stdin() {
    let (mut one, mut to_one) = start("one", None);
    one.wait_for("started", |event| event["event"] == "started");
    let (mut two, mut to_two) = start("two", Some(&one));
    one.wait_for_member(&["joined"], two.address);
    two.wait_for_member(&["joined"], one.address);

    let done = ask(&mut one, &mut to_one, "broadcast deploy  17 \u{1f980}");
    assert_eq!((&done["event"], &done["command"], &done["sequence"]), (&json!("done"), &json!("broadcast"), &json!(1)));
    let heard = two.wait_for("the broadcast", |event| event["event"] == "broadcast");
    assert_eq!((&heard["text"], &heard["sequence"]), (&json!("deploy  17 \u{1f980}"), &json!(1)));
    assert_eq!(heard["from"]["name"], "one");

    assert_eq!(ask(&mut two, &mut to_two, "send one how are you?")["event"], "done");
    let heard = one.wait_for("the message", |event| event["event"] == "message");
    assert_eq!(
        (&heard["text"], &heard["bytes"], &heard["from"]["name"]),
        (&json!("how are you?"), &json!(12), &json!("two"))
    );

    assert_eq!(ask(&mut two, &mut to_two, "metadata role=db zone=b")["event"], "done");
    let updated = one.wait_for("the tags", |event| event["event"] == "updated");
    assert_eq!(updated["member"]["tags"], json!({"role": "db", "zone": "b"}));

    let done = ask(&mut one, &mut to_one, "members");
    let mut names: Vec<_> = done["members"].as_array().expect("a list").iter().map(|member| &member["name"]).collect();
    names.sort_by_key(|name| name.to_string());
    assert_eq!(names, ["one", "two"]);

    for (line, part) in [
        ("brodcast x", "did you mean \"broadcast\"?"),
        ("send three hello", "no member of this name is known; known are: two"),
        ("force-leave one", "that is the local member itself"),
        ("members all", "write: members"),
    ] {
        let refused = ask(&mut one, &mut to_one, line);
        assert_eq!(refused["event"], "refused", "{line}");
        assert!(refused["error"].as_str().is_some_and(|error| error.contains(part)), "{line}: {refused}");
    }

    // Whoever closes stdin goes on being a member.
    drop(to_one);
    one.wait_for_log("stdin has ended");
    assert_eq!(ask(&mut two, &mut to_two, "leave")["event"], "done");
    one.wait_for_member(&["left"], two.address);
    assert_eq!(two.wait().code(), Some(0), "{}", two.transcript());
    assert_eq!(two.events.last().expect("it said something")["reason"], "left");
}

#[test]
fn sighup_puts_the_files_tags_in_place_of_those_that_a_command_gave() {
    let (address, path) = (free_address(), PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("commands.toml"));
    std::fs::write(&path, "[tags]\nrole = \"file\"").unwrap();
    let mut command = swim_node();
    command.args(["--addr", &address.to_string(), "--json-logging", "--stdin-commands", "--config"]).arg(&path);
    command.stdin(Stdio::piped());
    let mut agent = Agent::spawn(command, address);
    let mut stdin = agent.child.stdin.take().expect("stdin is a pipe");
    assert_eq!(ask(&mut agent, &mut stdin, "metadata role=command")["event"], "done");
    agent.signal("HUP");
    agent.wait_for("the file's tags", |event| {
        event["event"] == "updated" && event["member"]["tags"] == json!({"role": "file"})
    });
    agent.signal("HUP");
    agent.wait_for_log("the tags are as they were");
}
