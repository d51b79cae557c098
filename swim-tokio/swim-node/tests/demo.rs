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

/// A line of the story with everything that differs from run to run masked: figures, ports, who sees something first.
fn masked(line: &str) -> String {
    let mut masked = String::new();
    for word in line.split_whitespace() {
        let figure = word.chars().all(|c| c.is_ascii_digit() || c == '.') && word.contains('.');
        let port = word.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
        match port {
            Some((host, _)) => masked += &format!("{host}:PORT "),
            None if figure => masked += "TIME ",
            None => masked += &format!("{word} "),
        }
    }
    let words: Vec<_> = masked.split_whitespace().collect();
    match words[..] {
        // The reason is a matter of who probes whom.
        ["TIME", "s", sign @ ("?" | "✗" | "✓"), _, ..] => {
            let rest = words[4..].join(" ");
            format!("TIME s {sign} NODE {}", rest.split(": ").next().unwrap_or_default())
        }
        _ => words.join(" "),
    }
}

#[test]
fn the_readme_shows_what_the_demo_prints() {
    let readme = include_str!("../../../README.md");
    let (_, from_story) = readme.split_once("```text\n1. ").expect("the story is in the README");
    let shown = format!("1. {}", from_story.split("```").next().expect("it ends"));
    let (output, _) = demo(&[]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}");

    let lines = |text: &str| text.lines().map(masked).filter(|line| !line.is_empty()).collect::<Vec<_>>();
    let printed_lines = lines(&printed);
    for line in lines(&shown) {
        assert!(printed_lines.contains(&line), "the README shows {line:?}, and the demo printed\n{printed}");
    }
    // And nothing of the three acts is missing there.
    let acts = printed_lines
        .iter()
        .skip_while(|line| !line.starts_with("1. "))
        .take_while(|line| !line.starts_with("All of it"));
    let shown = lines(&shown);
    for line in acts.filter(|line| !line.contains("trusts")) {
        assert!(shown.contains(line), "the demo printed {line:?}, and the README does not show it");
    }
}
