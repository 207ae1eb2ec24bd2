//! The shape of the repository: direction of dependencies, module docs, lengths, that every invariant has a test, and
//! that every setting that is named exists.
//!
//! Each rule is a pure function from text to complaints; a complaint names the file and the rule. Each is shown to
//! bite on a made-up input, beside being held against the repository as it is.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dependencies;
mod invariants;
mod settings;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

/// The repository.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A source file: its path from the root, and its text.
struct Source {
    path: String,
    text: String,
}

/// Every handwritten Rust file of the repository, by path.
fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    for dir in ["crates", "services", "integration-tests", "tools", "examples"] {
        walk(&root().join(dir), &mut paths);
    }
    paths.sort();
    let source = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Source { path: path.strip_prefix(root()).unwrap().display().to_string(), text }
    };
    let sources: Vec<Source> = paths.into_iter().map(source).collect();
    assert!(sources.len() > 100, "only {} sources found: the walk is broken", sources.len());
    sources
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && name != "vendor" && !name.starts_with('.') {
            walk(&path, found);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

/// Fails with every complaint.
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}
