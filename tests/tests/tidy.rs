//! What reviews would say again and again.

use swim_tests::repository::{read, root, sources};

/// Longer files are where protocols get lost.
const LINES_MAX: usize = 600;

#[test]
fn nothing_is_left_to_do_in_the_code() {
    // Put together here, so that this file does not contain what it looks for.
    let words = ["to", "un", "d"].into_iter().zip(["do!(", "implemented!(", "bg!("]);
    let words: Vec<String> = words.map(|(head, tail)| format!("{head}{tail}")).collect();
    let mut found = Vec::new();
    for source in sources() {
        for (number, line) in read(&source).lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{}: {}", source.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_file_swallows_the_protocol() {
    let long: Vec<_> = sources()
        .into_iter()
        .map(|source| (read(&source).lines().count(), source))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    // A module's tests in a file of their own are for what the module is for.
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|source| !source.ends_with("tests.rs") && !read(source).starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn no_file_is_named_for_nothing() {
    let vague = ["util.rs", "utils.rs", "common.rs", "helpers.rs", "misc.rs", "types.rs"];
    let found: Vec<_> =
        sources().into_iter().filter(|source| vague.iter().any(|name| source.ends_with(name))).collect();
    assert!(found.is_empty(), "{found:?}");
}

// `cargo run --example NAME` would refuse to choose.
#[test]
fn no_two_examples_have_one_name() {
    let mut found = std::collections::BTreeMap::<_, Vec<_>>::new();
    for source in sources() {
        if source.parent().is_some_and(|folder| folder.ends_with("examples"))
            && let Some(name) = source.file_stem()
        {
            found.entry(name.to_owned()).or_default().push(source);
        }
    }
    assert!(found.len() > 5, "{found:#?}");
    found.retain(|_, sources| sources.len() > 1);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_dependency_has_its_reason_beside_it() {
    let manifest = read(&root().join("Cargo.toml"));
    let dependencies = manifest.lines().skip_while(|line| *line != "[workspace.dependencies]").skip(1);
    let silent: Vec<_> = dependencies
        .take_while(|line| !line.starts_with('['))
        .filter(|line| line.contains('=') && !line.contains("path = ") && !line.contains("# "))
        .collect();
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn versions_are_named_once_in_the_workspace() {
    for manifest in swim_tests::repository::manifests() {
        if manifest == root().join("Cargo.toml") {
            continue;
        }
        let text = read(&manifest);
        let dependencies = text.lines().skip_while(|line| !line.contains("dependencies]"));
        let versioned: Vec<_> = dependencies
            .filter(|line| line.contains("version = \"") || line.split_once(" = \"").is_some())
            .filter(|line| !line.starts_with('#') && !line.starts_with("name") && !line.starts_with("path"))
            .collect();
        assert!(versioned.is_empty(), "{}: {versioned:#?}", manifest.display());
    }
}
