//! The documents say what is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use swim_tests::repository::{documents, read, root, sources};

/// The targets of `[text](target)` outside code blocks.
fn links(text: &str) -> Vec<&str> {
    let mut in_code = false;
    let mut links = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let rest = &line[at + 2..];
            links.extend(rest.find(')').map(|end| &rest[..end]));
        }
    }
    links
}

/// GitHub's name of a heading.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut broken = Vec::new();
    for document in documents() {
        let text = read(&document);
        for link in links(&text) {
            if link.contains("://") {
                continue;
            }
            let (path, heading) = link.split_once('#').map_or((link, None), |(path, heading)| (path, Some(heading)));
            let target = if path.is_empty() { document.clone() } else { parent(&document).join(path) };
            let found = target.exists()
                && heading.is_none_or(|heading| {
                    read(&target).lines().any(|line| line.starts_with('#') && anchor(line) == heading)
                });
            if !found {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

fn parent(path: &Path) -> PathBuf {
    path.parent().expect("a file is in a folder").to_path_buf()
}

#[test]
fn every_document_is_in_the_index() {
    let index = read(&root().join("docs/README.md"));
    let listed: BTreeSet<PathBuf> =
        links(&index).into_iter().map(|link| root().join("docs").join(link.trim_end_matches('/'))).collect();
    let docs = root().join("docs");
    let missing: Vec<_> = documents()
        .into_iter()
        .filter(|document| document.starts_with(&docs) && *document != docs.join("README.md"))
        .filter(|document| !listed.contains(document))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The numbered rules of a page.
fn rules(page: &str) -> BTreeSet<String> {
    let text = read(&root().join("docs").join(page));
    text.lines().filter_map(|line| line.strip_prefix("**")?.split_once("**").map(|(rule, _)| rule.to_owned())).collect()
}

#[test]
fn every_rule_that_code_cites_exists() {
    let mut unknown = Vec::new();
    for page in ["protocol.md", "messaging.md"] {
        let rules = rules(page);
        assert!(rules.len() > 40, "{rules:?}");
        for source in sources() {
            for (number, line) in read(&source).lines().enumerate() {
                let Some((_, after)) = line.split_once(page) else { continue };
                let after = after.trim_start_matches(['`', ' ', ')']);
                let cited: String = after.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
                let cited = cited.trim_end_matches('.');
                if cited.contains('.') && !rules.contains(cited) {
                    unknown.push(format!("{}:{}: {page} {cited}", source.display(), number + 1));
                }
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

/// `--help` of a command of this workspace, its subcommands' included.
fn help(binary: &str) -> String {
    let program = program(binary);
    let run = |args: &[&str]| {
        let output = Command::new(&program).args(args).output().expect("it can be started");
        assert!(output.status.success(), "{binary} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("help is text")
    };
    let mut text = run(&["--help"]);
    let commands =
        text.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| line.starts_with("  "));
    let commands: Vec<String> = commands.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    for command in commands.iter().filter(|command| *command != "help") {
        text += &run(&[command, "--help"]);
    }
    text
}

/// The program beside this test's own; where it was not built yet, as when this test runs alone, cargo builds it.
fn program(binary: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder = test.ancestors().nth(2).expect("a test is in target/<profile>/deps");
    let program = folder.join(binary).with_extension(std::env::consts::EXE_EXTENSION);
    if !program.exists() {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--bin", binary]).current_dir(root());
        assert!(build.status().expect("cargo runs").success(), "{binary} does not build");
    }
    program
}

#[test]
fn every_flag_in_the_documents_exists() {
    for binary in ["swim-node", "swim-sim"] {
        let help = help(binary);
        let flags: BTreeSet<&str> = help.split(|c: char| !c.is_alphanumeric() && c != '-').collect();
        let mut unknown = Vec::new();
        for document in documents() {
            for line in read(&document).lines().filter(|line| line.contains(&format!("{binary} "))) {
                // What stands before the command is cargo's.
                let (_, after) = line.split_once(&format!("{binary} ")).expect("it was just seen");
                let command = after.split('`').next().unwrap_or_default().trim_start_matches("-- ");
                let words = command.split(|c: char| !c.is_alphanumeric() && c != '-');
                unknown.extend(
                    words
                        .filter(|word| word.starts_with("--") && word.len() > 2 && !flags.contains(word))
                        .map(|word| format!("{}: {binary} {word}", document.display())),
                );
            }
        }
        assert!(unknown.is_empty(), "{unknown:#?}");
    }
}
