//! Running a program to its end, with an error that says what it was and what it printed last.

use anyhow::{Context as _, Result, bail};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// How much of an output an error shows.
const TAIL_LINES: usize = 30;

/// Runs it, and returns what it wrote to standard output.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let started = command.stdin(Stdio::null()).output();
    let shown = show(command);
    finished(&shown, started.map_err(|error| not_started(&shown, command, error))?)
}

/// The output of a program that went well, or an error with what it printed.
pub(crate) fn finished(shown: &str, output: Output) -> Result<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let printed = text + &String::from_utf8_lossy(&output.stderr);
    bail!("`{shown}` failed with {}:\n{}", output.status, tail(&printed))
}

/// Why a program did not start.
pub(crate) fn not_started(shown: &str, command: &Command, error: std::io::Error) -> anyhow::Error {
    let program = command.get_program().to_string_lossy().into_owned();
    if error.kind() == ErrorKind::NotFound {
        return anyhow::anyhow!("{program} is not installed, and `{shown}` needs it: `make tools` installs it");
    }
    anyhow::Error::new(error).context(format!("cannot start `{shown}`"))
}

/// The command as one would type it.
pub(crate) fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The last lines of a text.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// Where a program of this machine lies.
pub(crate) fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The Java to run engines with: that of `JAVA_HOME`, or the one on the path.
pub(crate) fn java() -> Result<PathBuf> {
    let home = std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java"));
    home.filter(|java| java.is_file())
        .or_else(|| installed("java"))
        .context("java is not installed, and Kafka, Cassandra and the registry need it: `make tools` installs it")
}
