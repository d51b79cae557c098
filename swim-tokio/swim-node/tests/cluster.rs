//! Agents as processes form a cluster, lose a member, take it back, and say goodbye.

mod agents;

use std::time::Instant;

use agents::{Agent, free_address};

#[test]
fn three_processes_find_each_other_lose_one_to_sigkill_and_take_it_back() {
    let [a, b, c] = [free_address(), free_address(), free_address()];
    let start = |own, others: [std::net::SocketAddr; 2]| {
        let seeds = format!("{},{}", others[0], others[1]);
        Agent::start(own, &["--seeds", &seeds])
    };
    let began = Instant::now();
    let mut agents = [start(a, [b, c]), start(b, [a, c]), start(c, [a, b])];
    for agent in &mut agents {
        let first = agent.wait_for("started", |event| event["event"] == "started");
        assert_eq!(first["driver"], "tokio");
        assert_eq!(first["name"], agent.address.to_string());
        assert_eq!(first["addr"], agent.address.to_string());
        assert_eq!(first["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(agent.events[0], first, "nothing is told before");
    }
    for agent in &mut agents {
        let own = agent.address;
        for other in [a, b, c].into_iter().filter(|other| *other != own) {
            let joined = agent.wait_for_member(&["joined"], other);
            assert_eq!(joined["member"]["state"], "alive");
            assert_eq!(joined["member"]["name"], other.to_string());
            assert!(joined["member"]["incarnation"]["life"].is_u64());
            assert!(joined["cause"]["kind"].is_string());
            assert!(joined["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{joined}");
        }
    }
    println!("three agents found each other after {:?}", began.elapsed());

    let [one, two, three] = &mut agents;
    one.turn_the_page();
    three.turn_the_page();
    let killed = Instant::now();
    two.kill();
    for agent in [&mut *one, &mut *three] {
        agent.wait_for_member(&["suspected"], b);
        let died = agent.wait_for_member(&["died"], b);
        assert_eq!(died["member"]["state"], "dead");
        println!("dead at {} after {:?}", agent.address, killed.elapsed());
    }

    one.turn_the_page();
    three.turn_the_page();
    let restarted = Instant::now();
    *two = start(b, [a, c]);
    for agent in [&mut *one, &mut *three] {
        let back = agent.wait_for_member(&["restarted", "joined"], b);
        assert_eq!(back["member"]["state"], "alive");
    }
    for other in [a, c] {
        two.wait_for_member(&["joined"], other);
    }
    println!("back everywhere after {:?}", restarted.elapsed());

    one.turn_the_page();
    two.turn_the_page();
    three.signal("TERM");
    for agent in [&mut *one, &mut *two] {
        let left = agent.wait_for_member(&["left"], c);
        assert_eq!(left["member"]["state"], "left");
    }
    assert_eq!(three.wait().code(), Some(0), "{}", three.transcript());
    let last = three.events.last().expect("it said something");
    assert_eq!(last["event"], "stopped");
    assert_eq!((&last["reason"], &last["departure"]), (&"left".into(), &"told".into()));

    one.signal("INT");
    assert_eq!(one.wait().code(), Some(0), "{}", one.transcript());
    assert_eq!(one.events.last().expect("it said something")["event"], "stopped");
    for agent in [one, three] {
        for line in &agent.logs {
            serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        }
    }
}

#[test]
fn tags_travel_with_their_member() {
    let [a, b] = [free_address(), free_address()];
    let mut one = Agent::start(a, &["--name", "one", "--tag", "role=db", "--tag", "az="]);
    let mut two = Agent::start(b, &["--name", "two", "--seeds", &a.to_string(), "--tag", "role=web"]);
    let seen = one.wait_for_member(&["joined"], b);
    assert_eq!(seen["member"]["name"], "two");
    assert_eq!(seen["member"]["tags"], serde_json::json!({"role": "web"}));
    let seen = two.wait_for_member(&["joined"], a);
    assert_eq!(seen["member"]["tags"], serde_json::json!({"az": "", "role": "db"}));
}

#[test]
fn a_name_that_a_live_member_holds_is_refused_to_a_newcomer() {
    let [a, b, c] = [free_address(), free_address(), free_address()];
    let mut one = Agent::start(a, &["--name", "one"]);
    let mut two = Agent::start(b, &["--name", "two", "--seeds", &a.to_string()]);
    two.wait_for_member(&["joined"], a);
    one.wait_for_member(&["joined"], b);
    let mut third = Agent::start(c, &["--name", "two", "--seeds", &a.to_string()]);
    let refused = third.wait_for("name_taken", |event| event["event"] == "name_taken");
    assert_eq!(refused["holder"], b.to_string());
}

#[test]
fn a_process_whose_name_a_newer_one_has_stops_and_says_so() {
    let [a, b, c] = [free_address(), free_address(), free_address()];
    let mut old = Agent::start(a, &["--name", "one"]);
    old.wait_for("started", |event| event["event"] == "started");
    // A later start is a newer life, told in milliseconds.
    std::thread::sleep(std::time::Duration::from_millis(20));
    let mut new = Agent::start(b, &["--name", "one"]);
    new.wait_for("started", |event| event["event"] == "started");
    // Neither knows of the other until somebody joins by both.
    let _third = Agent::start(c, &["--name", "two", "--seeds", &format!("{a} {b}")]);
    let superseded = old.wait_for("superseded", |event| event["event"] == "superseded");
    assert_eq!(superseded["by"], b.to_string());
    assert_eq!(old.wait().code(), Some(4), "{}", old.transcript());
    assert_eq!(old.events.last().expect("it said something")["reason"], "superseded");
    assert!(new.child.try_wait().expect("it is ours").is_none(), "the newer one runs on");
}

#[test]
fn a_second_signal_stops_an_agent_that_is_still_leaving() {
    let [a, b] = [free_address(), free_address()];
    // News goes out so rarely that the departure takes long.
    let slow = ["--set", "gossip_interval=1h", "--set", "leave_timeout=1h"];
    let mut one = Agent::start(a, &[]);
    let mut two = Agent::start(b, &[&["--seeds", &a.to_string()][..], &slow].concat());
    two.wait_for_member(&["joined"], a);
    one.wait_for_member(&["joined"], b);
    two.signal("TERM");
    two.wait_for_log("leaving");
    two.signal("TERM");
    assert_eq!(two.wait().code(), Some(128 + 15), "{}", two.transcript());
}

#[test]
fn a_taken_address_and_an_unknown_host_are_named() {
    let holder = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    for (address, says) in [
        (taken.as_str(), format!("error: --addr {taken}: another process listens there")),
        ("0.0.0.0:0", "error: --addr 0.0.0.0:0 listens everywhere, but others need one address".to_owned()),
        ("192.0.2.1:0", "error: --addr 192.0.2.1:0: no interface here has this address".to_owned()),
        (
            "127.0.0.1:0 --advertise [::1]:0",
            "error: --advertise [::1]:0: a node that listens on 127.0.0.1:0 sends and hears IPv4 only".to_owned(),
        ),
        ("no-such-host.invalid:1", "error: --addr no-such-host.invalid:1: the name cannot be looked up".to_owned()),
    ] {
        let arguments = ["--log-level", "off", "--addr"].into_iter().chain(address.split(' '));
        let output = agents::swim_node().args(arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.starts_with(&says), "{stderr}");
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn what_cannot_be_had_is_named_where_it_was_said() {
    let file = std::env::temp_dir().join(format!("swim-node-said-{}.toml", std::process::id()));
    std::fs::write(&file, "log_level = \"off\"\naddr = \"192.0.2.1:0\"\n").unwrap();
    let by_file = agents::swim_node().arg("--config").arg(&file).output().unwrap();
    let by_variable =
        agents::swim_node().args(["--log-level", "off"]).env("SWIM_ADDR", "192.0.2.1:0").output().unwrap();
    std::fs::remove_file(&file).unwrap();
    for (output, place) in [(by_file, format!("{}:2: addr", file.display())), (by_variable, "SWIM_ADDR".to_owned())] {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let says = format!("error: {place} 192.0.2.1:0: no interface here has this address");
        assert!(stderr.starts_with(&says), "{stderr}");
        assert_eq!(output.status.code(), Some(2));
    }
}
