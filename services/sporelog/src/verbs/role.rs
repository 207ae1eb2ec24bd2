//! `ingest`, `projector`, `aggregator`: the workers of one role in a process of their own, on a cluster.

use crate::backend::{Backend, Cluster};
use crate::process::Process;
use crate::roles::{Role, Roles};
use anyhow::Result;
use runtime::config::Config;
use std::process::ExitCode;

/// What a role's verb takes: everything else is configuration.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The number of workers in this process [default: that of the configuration, such as roles.projector_workers].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub workers: Option<u32>,
}

const AFTER_HELP: &str = "\
Examples:
  sporelog topics apply --config cluster.toml       once: the topics
  sporelog migrate up --config cluster.toml         once, and after each upgrade: the tables
  sporelog ingest --config cluster.toml             as many processes of each role as there is work for
  sporelog projector --config cluster.toml --workers 2
  SPORELOG__HTTP__LISTEN=0.0.0.0:8787 sporelog aggregator --config cluster.toml

A worker whose log or store is missing says so in one sentence with what to do, waits and tries again. /readyz answers
200 from the first claim of partitions on, as long as nothing stands in the way; /healthz while the process lives.
The first SIGTERM or Ctrl-C commits what is in flight and leaves; a second one stops at once.";

/// Runs the workers of a role until a signal.
pub async fn run(role: Role, args: &Args, mut config: Config) -> Result<ExitCode> {
    if let Some(workers) = args.workers {
        role.set_workers(&mut config.roles, workers);
    }
    let cluster = Cluster::needed(&config, role.name())?;
    let cluster = match role {
        Role::Ingest => cluster.with_scylla(&config)?,
        Role::Projector | Role::Aggregator => cluster.with_postgres(&config)?,
    };
    run_on(cluster, &[role], &config).await
}

/// Runs the workers of these roles on a cluster, until a signal.
pub async fn run_on(cluster: Cluster, roles: &[Role], config: &Config) -> Result<ExitCode> {
    let mut process = Process::start(config).await?;
    cluster.measure(&process.metrics);
    tracing::info!(
        roles = roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", "),
        brokers = cluster.kafka().bootstrap,
        http = process.address.map(|address| address.to_string()),
        "started"
    );
    start(cluster, roles, &mut process, config)?;
    process.wait(config).await?;
    Ok(ExitCode::SUCCESS)
}

/// Starts the workers of these roles in this process.
pub fn start(backend: impl Backend, roles: &[Role], process: &mut Process, config: &Config) -> Result<()> {
    let (metrics, health) = (process.metrics.clone(), process.health.clone());
    Roles { backend, metrics, health }.start(&mut process.supervisor, roles, config)
}
