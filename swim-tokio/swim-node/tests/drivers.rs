//! Agents on either driver, in one cluster.

mod agents;

use std::io::Write as _;
use std::process::Stdio;

use agents::{Agent, free_address, swim_node};
use serde_json::{Value, json};

fn start(driver: &str, name: &str, seeds: &[&Agent]) -> Agent {
    let address = free_address();
    let mut command = swim_node();
    let seeds: Vec<_> = seeds.iter().map(|seed| seed.address.to_string()).collect();
    command.args(["--addr", &address.to_string(), "--name", name, "--json-logging", "--stdin-commands"]);
    command.args(["--driver", driver, "--seeds", &seeds.join(" ")]).stdin(Stdio::piped());
    let mut agent = Agent::spawn(command, address);
    let started = agent.wait_for("started", |event| event["event"] == "started");
    assert_eq!((&started["driver"], &started["name"]), (&json!(driver), &json!(name)));
    agent
}

fn ask(agent: &mut Agent, line: &str) -> Value {
    writeln!(agent.child.stdin.as_mut().expect("stdin is a pipe"), "{line}").expect("it reads");
    agent.wait_for(line, |event| event["event"] == "done" || event["event"] == "refused")
}

#[test]
fn an_agent_on_mio_does_what_one_on_tokio_does_and_both_form_one_cluster() {
    let mut first = start("tokio", "first", &[]);
    let mut second = start("mio", "second", &[&first]);
    let mut third = start("mio", "third", &[&second]);
    let [a, b, c] = [&first, &second, &third].map(|agent| agent.address);
    for (agent, others) in [(&mut first, [b, c]), (&mut second, [a, c]), (&mut third, [a, b])] {
        for other in others {
            agent.wait_for_member(&["joined"], other);
        }
    }

    // It is asked by lines, and signalled.
    assert_eq!(ask(&mut second, "broadcast from mio")["event"], "done");
    for agent in [&mut first, &mut third] {
        let heard = agent.wait_for("the broadcast", |event| event["event"] == "broadcast");
        assert_eq!((&heard["text"], &heard["from"]["name"]), (&json!("from mio"), &json!("second")));
    }
    assert_eq!(ask(&mut first, "send third hello")["event"], "done");
    third.wait_for("the message", |event| event["event"] == "message" && event["text"] == "hello");
    assert_eq!(ask(&mut second, "metadata role=db")["event"], "done");
    let updated = first.wait_for_member(&["updated"], b);
    assert_eq!(updated["member"]["tags"], json!({"role": "db"}));
    let members = ask(&mut third, "members");
    assert_eq!(members["members"].as_array().map(Vec::len), Some(3));
    assert_eq!(ask(&mut second, "deliver first an order")["event"], "done");
    let received = first.wait_for("the order", |event| event["event"] == "received");
    assert_eq!((&received["text"], &received["from"]["name"]), (&json!("an order"), &json!("second")));
    let outcome = second.wait_for("its outcome", |event| event["event"] == "outcome");
    assert_eq!(outcome["ending"], "processed", "{outcome}");
    assert_eq!(ask(&mut first, "deliver third another")["event"], "done");
    third.wait_for("the order", |event| event["event"] == "received" && event["text"] == "another");
    #[cfg(unix)]
    {
        second.signal("USR1");
        let summary = second.wait_for_log("\"message\":\"summary\"");
        assert!(summary.contains("\"alive\":3"), "{summary}");
    }

    // One is killed, and missed by both kinds; the other says goodbye.
    third.kill();
    for agent in [&mut first, &mut second] {
        agent.wait_for_member(&["died"], c);
    }
    assert_eq!(ask(&mut second, "leave")["event"], "done");
    first.wait_for_member(&["left"], b);
    assert_eq!(second.wait().code(), Some(0), "{}", second.transcript());
    let last = second.events.last().expect("it said something");
    assert_eq!((&last["event"], &last["departure"]), (&json!("stopped"), &json!("told")));
}
