//! The repository's own files, for tests that read them.

use std::path::{Path, PathBuf};

/// The repository's top folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate is one folder down").to_path_buf()
}

/// The text of a file.
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All Rust files of the workspace.
pub fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["swim-proto", "swim-tokio", "swim-sim", "tests"] {
        walk(&root().join(folder), "rs", &mut found);
    }
    assert!(found.len() > 20, "the sources were not found");
    found
}

/// All documents for readers.
pub fn documents() -> Vec<PathBuf> {
    let mut found = vec![root().join("README.md")];
    walk(&root().join("docs"), "md", &mut found);
    found
}

/// All manifests of the workspace: crates outside it, with a lock file of their own, are none of its business.
pub fn manifests() -> Vec<PathBuf> {
    let mut found = vec![root().join("Cargo.toml")];
    for folder in ["swim-proto", "swim-tokio", "swim-sim", "tests"] {
        walk(&root().join(folder), "toml", &mut found);
    }
    found.retain(|path| path.ends_with("Cargo.toml"));
    found.retain(|path| *path == root().join("Cargo.toml") || !read(path).lines().any(|line| line == "[workspace]"));
    found
}

fn walk(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a folder can be read").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            if !path.ends_with("target") {
                walk(&path, extension, found);
            }
        } else if path.extension().is_some_and(|is| is == extension) {
            found.push(path);
        }
    }
}
