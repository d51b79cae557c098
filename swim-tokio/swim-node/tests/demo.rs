//! The demo shows everything it promises, and says so by its exit status.

mod agents;

use std::process::Output;

use serde_json::Value;

fn demo(arguments: &[&str]) -> (Output, Vec<Value>) {
    let output = agents::swim_node().arg("demo").args(arguments).output().expect("the binary runs");
    let text = String::from_utf8(output.stdout.clone()).expect("the demo speaks UTF-8");
    let lines = if arguments.contains(&"--json") { text.lines().collect() } else { Vec::new() };
    let lines =
        lines.into_iter().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    (output, lines.collect())
}

fn shows_everything(nodes: usize) {
    let (output, lines) = demo(&["--nodes", &nodes.to_string(), "--json", "--profile", "local"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let summary = lines.last().expect("it said something");
    println!("{summary}");
    assert_eq!(summary["event"], "summary");
    assert_eq!(summary["nodes"], nodes);
    assert_eq!(summary["false_deaths"], 0);
    for figure in ["converged_s", "first_detection_s", "last_detection_s", "rejoined_s"] {
        assert!(summary[figure].is_f64(), "{figure}: {summary}");
    }
    assert!(summary["first_detection_s"].as_f64() <= summary["last_detection_s"].as_f64());
    let count = |event: &str| lines.iter().filter(|line| line["event"] == event).count();
    assert_eq!(count("started"), nodes);
    assert_eq!(
        (count("converged"), count("killed"), count("detected"), count("restarting"), count("back")),
        (1, 1, 1, 1, 1)
    );
    let killed = &lines.iter().find(|line| line["event"] == "killed").expect("one was killed")["node"];
    let died: Vec<_> = lines.iter().filter(|line| line["event"] == "died").collect();
    assert!(died.iter().all(|line| line["node"] == *killed), "{text}");
    assert_eq!(died.len(), nodes - 1, "each survivor noticed: {text}");
}

#[test]
fn two_nodes_are_enough() {
    shows_everything(2);
}

#[test]
fn five_nodes_show_everything() {
    shows_everything(5);
}

#[test]
fn the_story_for_people_has_three_acts_and_no_colours_in_a_pipe() {
    let (output, _) = demo(&["--nodes", "3", "--profile", "local"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    for part in ["1. The cluster forms", "2. n2 is killed", "3. n2 starts again", "All of it happened", "false deaths"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains('\x1b') && !text.contains('\r'), "{text}");
}
