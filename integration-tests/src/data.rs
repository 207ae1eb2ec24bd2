//! The real data of the tests: fetched once, by package name, checksums verified, into `.cache/`.

use crate::text;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Runs a script of `examples/` that fetches data and prints where it lies; where it lies already, nothing is fetched.
///
/// # Panics
/// With what the script says, where it fails.
#[must_use]
pub fn fetched(script: &str) -> PathBuf {
    let script = root().join("examples").join(script);
    let output = Command::new(&script).output().unwrap();
    assert!(output.status.success(), "{}: {}", script.display(), text(&output.stderr));
    PathBuf::from(text(&output.stdout).lines().last().unwrap())
}

/// A mapping of `examples/`, as an argument.
#[must_use]
pub fn mapping(name: &str) -> String {
    root().join("examples").join(name).display().to_string()
}
