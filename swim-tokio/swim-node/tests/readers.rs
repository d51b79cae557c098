//! Nobody has to read what the agent says: it stays a member all the same.

mod agents;

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use agents::{Agent, free_address};
use swim_tokio::{Config, Options, State};

/// An agent whose stdout is ours to read, or not.
fn unread(address: SocketAddr) -> Child {
    let mut command = agents::swim_node();
    command.args(["--addr", &address.to_string(), "--json-logging", "--set", "gossip_interval=1ms"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs")
}

fn terminate(child: &Child) {
    let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(status.expect("kill is there").success());
}

#[test]
fn a_closed_stdout_leaves_the_agent_a_member() {
    let [a, b] = [free_address(), free_address()];
    let mut child = unread(a);
    drop(child.stdout.take());
    let mut other = Agent::start(b, &["--seeds", &a.to_string()]);
    other.wait_for_member(&["joined"], a);
    assert!(child.try_wait().unwrap().is_none(), "it runs on");
    other.turn_the_page();
    terminate(&child);
    other.wait_for_member(&["left"], a);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("stdout is closed") && !stderr.contains("panicked"), "{stderr}");
}

#[test]
fn a_stdout_that_is_not_read_loses_events_and_nothing_else() {
    let address = free_address();
    let mut child = unread(address);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let node = runtime.block_on(async {
        let config = Config { gossip_interval: Duration::from_millis(1), ..Config::lan() };
        let options = Options::new("127.0.0.1:0".parse().unwrap()).with_config(config);
        let node = options.with_name("chatty").with_seeds([address.to_string()]).start().await.unwrap();
        node.joined().await.unwrap();
        // More news than the pipe, the agent's lines and its ring of events hold together.
        for number in 0..3_000_u32 {
            node.set_metadata(number.to_le_bytes().repeat(125)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let agent = node.member(node.id_of(&address.to_string())).await.unwrap().expect("it is known");
        assert_eq!(agent.state, State::Alive);
        node
    });

    // Who reads again is told of the loss, and of everyone as they are now.
    let mut lines = BufReader::new(child.stdout.take().expect("stdout is a pipe")).lines();
    let lagged = lines.by_ref().find_map(|line| {
        let event: serde_json::Value = serde_json::from_str(&line.unwrap()).expect("each line is JSON");
        (event["event"] == "lagged").then_some(event)
    });
    let lagged = lagged.expect("the loss is told");
    assert!(lagged["missed"].as_u64() > Some(0));
    let members = lagged["members"].as_array().expect("everyone is told");
    assert!(members.iter().any(|member| member["name"] == "chatty"), "{lagged}");

    terminate(&child);
    let last = lines.map(Result::unwrap).last().expect("there is an end");
    assert!(last.contains("\"stopped\""), "{last}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(node);
}
