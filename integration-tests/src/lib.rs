//! A harness around the real binary: a data folder, the process on it, questions to its stores, appends to its log.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the harness is test code: what fails, fails the test")]

pub mod cluster;
pub mod data;
pub mod running;
pub mod wait;
pub mod workload;

use domain::topics::TopicSpec;
use embedded::appender::Appender;
use embedded::log::{LogOptions, Placed};
use pipeline::OutRecord;
use running::Running;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A data folder of its own, and the binary on it.
#[derive(Debug)]
pub struct Sporelog {
    dir: TempDir,
}

/// The digest of one table, as `verify` prints it.
pub type Digests = Vec<(String, String, String)>;

impl Default for Sporelog {
    fn default() -> Self {
        Self::new()
    }
}

impl Sporelog {
    /// An empty data folder.
    #[must_use]
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A copy of the folder, to go on from there. Nothing may be running on it.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copy = Self::new();
        copy.restore(self);
        copy
    }

    /// Puts the log and the stores of `from` in the place of those here.
    pub fn restore(&self, from: &Self) {
        let files = |dir: &Path| -> Vec<PathBuf> {
            let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
            files.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(".db"))).collect()
        };
        files(self.dir()).iter().for_each(|file| std::fs::remove_file(file).unwrap());
        for file in files(from.dir()) {
            std::fs::copy(&file, self.dir().join(file.file_name().unwrap())).unwrap();
        }
    }

    /// The binary on this folder, with these arguments.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.arg("--data-dir").arg(self.dir()).args(args);
        command.env("SPORELOG__HTTP__ENABLED", "false").env("SPORELOG__TELEMETRY__LOG_LEVEL", "warn");
        command
    }

    /// Starts `up` with these global arguments and environment variables.
    #[must_use]
    pub fn up(&self, global: &[&str], envs: &[(&str, &str)]) -> Running {
        let mut command = self.command(global);
        command.arg("up").envs(envs.iter().copied());
        Running::start(command)
    }

    /// Starts a verb that runs until it is stopped.
    #[must_use]
    pub fn start(&self, args: &[&str]) -> Running {
        Running::start(self.command(args))
    }

    /// Starts `up` and waits until it has opened log and stores.
    #[must_use]
    pub fn up_ready(&self, global: &[&str]) -> Running {
        let mut running = self.up(global, &[]);
        running.wait_line("sporelog is up");
        running
    }

    /// Runs `up` until every worker has caught up with the log.
    pub fn settle(&self, global: &[&str]) {
        let output = self.run(&[global, &["up", "--until-idle", "--quiet"]].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    /// Runs a verb to its end.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a verb that must succeed; gives what it printed.
    pub fn ok(&self, args: &[&str]) -> String {
        printed(args, &self.run(args))
    }

    /// The rows that a statement answers with.
    #[must_use]
    pub fn sql(&self, statement: &str) -> Vec<Vec<String>> {
        rows(&self.ok(&["sql", "--format", "csv", statement]))
    }

    /// The one number that a statement answers with.
    #[must_use]
    pub fn number(&self, statement: &str) -> i64 {
        self.sql(statement)[0][0].parse().unwrap()
    }

    /// Runs `verify`, which must find everything equal; gives the digests of the tables.
    #[must_use]
    pub fn digests(&self) -> Digests {
        digests(&self.ok(&["verify"]))
    }

    /// The dead letters as `deadletter list` gives them: record, projection, appended, bytes, beginning, reason.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<Vec<String>> {
        rows(&self.ok(&["deadletter", "list", "--format", "csv", "--limit", "1000"]))
    }

    /// The sum of the gaps of every account: 0 where each offset is accounted for (I5).
    #[must_use]
    pub fn gaps(&self) -> i64 {
        self.number("SELECT coalesce(sum(abs(gap)), 0) FROM freshness")
    }

    /// Appends records, into the running process where there is one; gives where each went.
    pub fn append(&self, records: Vec<OutRecord>) -> Vec<Placed> {
        run_async(async {
            let appender = self.appender().await;
            appender.append(records).await.unwrap()
        })
    }

    /// A way to the log.
    pub async fn appender(&self) -> Appender {
        Appender::connect(self.dir(), &topics(), LogOptions::default()).await.unwrap()
    }
}

/// The topics that the binary takes by default.
#[must_use]
pub fn topics() -> Vec<TopicSpec> {
    runtime::topics::load(None, "local").unwrap()
}

/// Runs a future to its end.
pub fn run_async<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

/// The digests in the output of `verify`, by projection and table.
#[must_use]
pub fn digests(output: &str) -> Digests {
    let line = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [projection, table, "equal", digest, ..] => Some((projection.to_owned(), table.to_owned(), digest.to_owned())),
        _ => None,
    };
    output.lines().filter_map(line).collect()
}

/// What a verb with these arguments printed, which must have succeeded.
fn printed(args: &[&str], output: &Output) -> String {
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{args:?}: {}\n{stdout}\n{stderr}", output.status);
    stdout
}

/// Bytes as text.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn rows(csv: &str) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

/// The binary, built beside the tests.
pub(crate) fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let binary = profile.join("sporelog");
    assert!(binary.is_file(), "{} is missing: run `cargo build -p sporelog` first", binary.display());
    binary
}

/// Prints a line of figures past the test runner, which keeps back what a passing test prints: the log shows them.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}
