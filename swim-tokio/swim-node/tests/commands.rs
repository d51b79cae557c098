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

#[test]
fn a_message_is_delivered_and_its_outcome_told() {
    let (mut one, mut to_one) = start("one", None);
    let started = one.wait_for("started", |event| event["event"] == "started");
    assert!(started["endpoint"].as_str().is_some_and(|endpoint| endpoint.contains(':')), "{started}");
    let (mut two, mut to_two) = start("two", Some(&one));
    one.wait_for_member(&["joined"], two.address);
    two.wait_for_member(&["joined"], one.address);

    let done = ask(&mut one, &mut to_one, "deliver two resize  17");
    assert_eq!((&done["event"], &done["command"]), (&json!("done"), &json!("deliver")));
    let received = two.wait_for("the message", |event| event["event"] == "received");
    assert_eq!((&received["text"], &received["from"]["name"]), (&json!("resize  17"), &json!("one")));
    assert_eq!((&received["class"], &received["repeated"]), (&json!("normal"), &json!(false)));
    let outcome = one.wait_for("its outcome", |event| event["event"] == "outcome");
    assert_eq!((&outcome["ending"], &outcome["delivery"]), (&json!("processed"), &json!("certain")));
    assert_eq!((&outcome["message"], &outcome["to"]["name"]), (&done["message"], &json!("two")));

    for (line, part) in
        [("deliver three x", "known are: two"), ("deliver one x", "itself"), ("deliver two", "there is no text")]
    {
        let refused = ask(&mut one, &mut to_one, line);
        assert!(refused["error"].as_str().is_some_and(|error| error.contains(part)), "{line}: {refused}");
    }
    one.signal("USR1");
    one.wait_for_log("done_processed=1");

    // Of what is under way when the receiver goes, something is told as well.
    assert_eq!(ask(&mut two, &mut to_two, "leave")["event"], "done");
    two.wait();
}

#[test]
fn without_zeromq_nothing_is_sent_and_the_port_may_be_chosen() {
    let address = free_address();
    let mut command = swim_node();
    command.args(["--addr", &address.to_string(), "--json-logging", "--stdin-commands", "--no-zmq"]);
    command.stdin(Stdio::piped());
    let mut agent = Agent::spawn(command, address);
    let started = agent.wait_for("started", |event| event["event"] == "started");
    assert_eq!(started["endpoint"], Value::Null);
    let mut stdin = agent.child.stdin.take().expect("stdin is a pipe");
    let refused = ask(&mut agent, &mut stdin, "deliver x y");
    assert!(refused["error"].as_str().is_some_and(|error| error.contains("--no-zmq")), "{refused}");

    let address = free_address();
    let mut command = swim_node();
    let offset = if address.port() > 60_000 { 17 } else { 2_017 };
    command.args(["--addr", &address.to_string(), "--json-logging", "--zmq-port-offset", &offset.to_string()]);
    let mut agent = Agent::spawn(command, address);
    let started = agent.wait_for("started", |event| event["event"] == "started");
    let endpoint = std::net::SocketAddr::new(address.ip(), address.port() + offset);
    assert_eq!(started["endpoint"], json!(endpoint.to_string()));
}
