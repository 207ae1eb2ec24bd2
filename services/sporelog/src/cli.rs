//! The command line: global flags, the list of verbs, and what every verb shares.

use crate::roles::Role;
use crate::verbs::{
    completions, deadletter, docs, doctor, import, lag, migrate, projection, role, schema, simulate, sql, topics, up,
    verify,
};
use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use runtime::config::{Config, Layers};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;

/// The exit status where the command line is wrong (`EX_USAGE`).
const USAGE: u8 = 64;

/// The event backbone and memory of a population of AI agents.
#[derive(Debug, Parser)]
#[command(name = "sporelog", version, after_help = AFTER_HELP, max_term_width = 110, propagate_version = true)]
pub struct Cli {
    /// What every verb takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

const AFTER_HELP: &str = "\
Examples:
  sporelog sql --tables                                what there is to ask
  sporelog sql 'SELECT count(*) FROM interactions'     ask it
  sporelog deadletter list                             what could not be applied, and why
  sporelog doctor                                      what is wrong, and what to do
  SPORELOG__HTTP__LISTEN=127.0.0.1:0 sporelog --set worker.batch_max_records=500 sql --tables

Every option, its default and its environment variable: docs/configuration.md.

Exit status:
  0    done
  1    it failed, or a check found a fault; the message says which
  2    `topics plan` or `migrate status` found something to do; a plan waits for --yes; `verify` could not compare all
  64   the command line is wrong
  130  stopped by a second signal";

/// The flags of every verb: they win over environment and file.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The configuration file [default: sporelog.toml here, if there is one].
    #[arg(long, global = true, value_name = "FILE", env = "SPORELOG_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// The data folder (data.dir).
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The form of log lines (telemetry.log_format).
    #[arg(long, global = true, value_name = "FORMAT", value_parser = ["human", "json"])]
    pub log_format: Option<String>,
    /// Log more: once for debug, twice for trace.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Set any option by its key; may be given often.
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    pub set: Vec<(String, String)>,
}

/// The verbs. Those of operators and analysts come noun first.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the whole pipeline in this process: log, workers and stores in one data folder.
    Up(up::Args),
    /// Run workers that write records into Cassandra or ScyllaDB.
    Ingest(role::Args),
    /// Run workers that write views into Postgres.
    Projector(role::Args),
    /// Run workers that write series into Postgres or TimescaleDB.
    Aggregator(role::Args),
    /// Import a CSV or JSONL file through a mapping.
    Import(import::Args),
    /// Publish what a made-up population of agents does.
    Simulate(simulate::Args),
    /// Fold the log again and compare every table with what is stored.
    Verify(verify::Args),
    /// Show how far each projection is behind the log, and which partitions are parked.
    Lag(lag::Args),
    /// Say what is wrong with log, topics, stores and settings, and what to do.
    Doctor(doctor::Args),
    /// Let a projection pass over offsets that it cannot apply.
    Projection(projection::Args),
    /// Ask the stores in SQL, read-only.
    Sql(sql::Args),
    /// Look at records that could not be applied.
    Deadletter(deadletter::Args),
    /// Check the schemas of the events.
    Schema(schema::Args),
    /// Compare the topics with the topics file, create and configure them.
    Topics(topics::Args),
    /// Create and upgrade the tables of a cluster's stores.
    Migrate(migrate::Args),
    /// Print a completion script for a shell.
    Completions(completions::Args),
    /// Print a page of the documentation that is made from the code.
    #[command(hide = true)]
    Docs(docs::Args),
}

/// Runs the command line and gives its exit status.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing is left to tell where even the message cannot be printed.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match dispatch(cli) {
        Ok(status) => status,
        // A reader that has seen enough, such as `head`, closes the pipe: that is no failure.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Cli { global, verb } = cli;
    // These two work without a configuration, so that a broken one does not stand in their way.
    match verb {
        Verb::Completions(args) => return completions::run(&args),
        Verb::Docs(args) => return docs::run(&args),
        _ => {}
    }
    let config = global.load()?;
    runtime::telemetry::init(&config.telemetry)?;
    runtime.block_on(async {
        match verb {
            Verb::Sql(args) => sql::run(args, config).await,
            Verb::Up(args) => up::run(args, config).await,
            Verb::Ingest(args) => role::run(Role::Ingest, &args, config).await,
            Verb::Projector(args) => role::run(Role::Projector, &args, config).await,
            Verb::Aggregator(args) => role::run(Role::Aggregator, &args, config).await,
            Verb::Import(args) => import::run(args, config).await,
            Verb::Simulate(args) => simulate::run(args, config).await,
            Verb::Lag(args) => lag::run(args, config).await,
            Verb::Doctor(args) => doctor::run(args, config).await,
            Verb::Projection(args) => projection::run(args, config).await,
            Verb::Verify(args) => verify::run(args, config).await,
            Verb::Deadletter(args) => deadletter::run(args, config).await,
            Verb::Schema(args) => schema::run(args, config).await,
            Verb::Migrate(args) => migrate::run(args, config).await,
            Verb::Topics(args) => topics::run(args, config).await,
            Verb::Completions(_) | Verb::Docs(_) => Ok(ExitCode::SUCCESS),
        }
    })
}

impl Global {
    /// The configuration: defaults, file, environment, and these flags.
    fn load(self) -> Result<Config> {
        let mut layers = Layers::of_process();
        layers.file = self.config;
        for (key, value) in self.set {
            layers.set(&key, value, "--set");
        }
        if let Some(dir) = self.data_dir {
            let dir = dir.into_os_string().into_string().ok().context("--data-dir must be UTF-8")?;
            layers.set("data.dir", dir, "--data-dir");
        }
        if let Some(format) = self.log_format {
            layers.set("telemetry.log_format", format, "--log-format");
        }
        match self.verbose {
            0 => {}
            1 => layers.set("telemetry.log_level", "debug", "-v"),
            _ => layers.set("telemetry.log_level", "trace", "-v"),
        }
        Ok(runtime::config::load(&layers)?)
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} has no `=`: write KEY=VALUE"))?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;
    use runtime::config::LogFormat;

    fn each(command: &mut clap::Command, path: &str, check: &mut dyn FnMut(&str, String)) {
        let path = format!("{path} {}", command.get_name());
        check(&path, command.render_long_help().to_string());
        for child in command.get_subcommands_mut().filter(|child| child.get_name() != "help") {
            each(child, &path, check);
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_teaches_with_an_example() {
        let mut seen = 0;
        each(&mut Cli::command(), "", &mut |path, help| {
            seen += 1;
            assert!(help.contains("Example"), "`{path} --help` shows no example");
            assert!(help.contains("sporelog "), "`{path} --help` shows no command");
        });
        assert!(seen > 3);
    }

    #[test]
    fn flags_win_over_everything_and_are_named_in_refusals() {
        let global = |args: &[&str]| {
            let args = ["sporelog"].iter().chain(args).copied().chain(["sql", "--tables"]);
            Cli::try_parse_from(args).map(|cli| cli.global)
        };
        let config = global(&["--data-dir", "d", "--log-format", "json", "-vv", "--set", "dedup.window_ms=7"]);
        let config = config.unwrap().load().unwrap();
        assert_eq!(config.data.dir, PathBuf::from("d"));
        assert_eq!(config.telemetry.log_format, LogFormat::Json);
        assert_eq!(config.telemetry.log_level, "trace");
        assert_eq!(config.dedup.window_ms, 7);
        let error = global(&["--set", "dedup.window=7"]).unwrap().load().unwrap_err().to_string();
        assert!(error.contains("--set") && error.contains("did you mean dedup.window_ms?"), "{error}");
        assert!(global(&["--set", "worker"]).is_err());
    }
}
