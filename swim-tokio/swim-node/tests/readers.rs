//! Nobody has to read what the agent says: it stays a member all the same.

mod agents;

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use agents::{Agent, free_address};
use swim_tokio::{CommandError, Config, Handle, Options, RequestError, State};

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
        // More events than the pipe, the agent's lines and its ring of events hold together: each broadcast is one.
        for number in 0..3_000 {
            while let Err(error) = node.broadcast(format!("{number:0240}")).await {
                let too_many_wait = matches!(error, RequestError::Refused(CommandError::QueueFull { .. }));
                assert!(too_many_wait, "{error}");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        let until = Instant::now() + agents::DEADLINE;
        while node.stats().await.unwrap().node.broadcasts_waiting > 0 {
            assert!(Instant::now() < until, "they are never told");
            tokio::time::sleep(Duration::from_millis(10)).await;
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

/// Waits for the end, and gives the exit status.
fn ended(child: &mut Child) -> Option<i32> {
    let until = Instant::now() + agents::DEADLINE;
    loop {
        if let Some(status) = child.try_wait().expect("it is ours") {
            return status.code();
        }
        assert!(Instant::now() < until, "it does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A node that is a member beside the agent.
async fn member_beside(address: SocketAddr) -> Handle {
    let config = Config {
        probe_interval: Duration::from_millis(300),
        probe_timeout: Duration::from_millis(150),
        ..Config::lan()
    };
    let options = Options::new("127.0.0.1:0".parse().unwrap()).with_name("beside").with_config(config);
    let node = options.with_seeds([address.to_string()]).start().await.unwrap();
    node.joined().await.unwrap();
    node
}

/// Gives the agent more to log than any pipe holds, and then looks whether it still answers.
async fn is_well_while_it_logs_much(node: &Handle, agent: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..6_000_u32 {
        socket.send_to(b"this is no packet of any cluster", agent).unwrap();
        if number.is_multiple_of(50) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let acked = node.stats().await.unwrap().node.probes_acked;
    let until = Instant::now() + agents::DEADLINE;
    while node.stats().await.unwrap().node.probes_acked < acked + 3 {
        assert!(Instant::now() < until, "it answers no probes any more");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let id = node.id_of(&agent.to_string());
    assert!(node.member(id).await.unwrap().is_some_and(|member| member.state.is_live()), "it is no member any more");
}

/// An agent that logs each datagram it refuses.
fn talkative(address: SocketAddr) -> Command {
    let mut command = agents::swim_node();
    command.args(["--addr", &address.to_string(), "--json-logging", "--log-level", "trace"]);
    command
}

#[test]
fn a_stderr_that_is_not_read_loses_log_records_and_nothing_else() {
    let address = free_address();
    let mut child = talkative(address).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let stderr = child.stderr.take().expect("stderr is a pipe");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let node = runtime.block_on(async {
        let node = member_beside(address).await;
        is_well_while_it_logs_much(&node, address).await;
        node
    });
    // Who reads again is told of the loss.
    let mut lines = BufReader::new(stderr).lines().map(Result::unwrap);
    let lost = lines.by_ref().find(|line| line.contains("log records were dropped")).expect("the loss is told");
    let lost: serde_json::Value = serde_json::from_str(&lost).expect("each line is JSON");
    assert!(lost["lost"].as_u64() > Some(0), "{lost}");
    let rest = std::thread::spawn(move || lines.count());
    terminate(&child);
    assert_eq!(ended(&mut child), Some(0));
    rest.join().unwrap();
    drop((node, runtime));
}

#[test]
fn one_pipe_for_both_that_is_not_read_leaves_the_agent_a_member_that_can_be_stopped() {
    let address = free_address();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = talkative(address);
    command.stdout(writer.try_clone().unwrap()).stderr(writer);
    let mut child = command.spawn().expect("the binary runs");
    drop(command);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let node = runtime.block_on(async {
        let node = member_beside(address).await;
        is_well_while_it_logs_much(&node, address).await;
        node
    });
    terminate(&child);
    assert_eq!(ended(&mut child), Some(0));
    drop((reader, node, runtime));
}

#[test]
fn a_stderr_whose_reader_is_gone_leaves_the_agent_a_member_that_leaves_when_told_to() {
    let address = free_address();
    let mut child = talkative(address).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    drop(child.stderr.take());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let node = member_beside(address).await;
        is_well_while_it_logs_much(&node, address).await;
        terminate(&child);
        let id = node.id_of(&address.to_string());
        let until = Instant::now() + agents::DEADLINE;
        while node.member(id).await.unwrap().is_none_or(|member| member.state != State::Left) {
            assert!(Instant::now() < until, "it says no goodbye");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let last = String::from_utf8_lossy(&output.stdout).lines().last().map(str::to_owned).expect("it said something");
    assert!(last.contains("\"reason\":\"left\",\"departure\":\"told\""), "{last}");
}
