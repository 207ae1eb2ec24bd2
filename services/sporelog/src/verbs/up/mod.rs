//! `up`: every role in one process, on the embedded log and stores.

mod population;
mod status;

use super::role;
use crate::backend::{Cluster, Embedded, settings};
use crate::process::Process;
use crate::roles::Role;
use anyhow::{Result, bail};
use embedded::folder::DataFolder;
use embedded::log::Log;
use embedded::socket::AppendServer;
use embedded::store::{STORE_FILE, Store};
use pipeline::SystemClock;
use runtime::config::Config;
use std::process::ExitCode;
use std::sync::Arc;

/// Run the whole pipeline in this process: log, workers and stores in one data folder.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Publish what a simulated population does, at the rate of `simulate.rate_per_s`.
    #[arg(long)]
    pub simulate: bool,
    /// Print no live lines.
    #[arg(long, short)]
    pub quiet: bool,
    /// Stop when every worker has caught up with the log; partitions that are parked are not waited
    /// for.
    #[arg(long)]
    pub until_idle: bool,
}

const AFTER_HELP: &str = "\
Examples:
  sporelog up --simulate                       watch a population live; Ctrl-C drains and stops
  sporelog --data-dir /var/lib/sporelog up     serve the data folder there
  sporelog --set roles.projector_workers=3 up  three projectors share the partitions
  sporelog up --until-idle --quiet             work the backlog off, then stop
  sporelog --config cluster.toml up            every role in this process, on the brokers and stores of a cluster

Another process imports into the same folder while this one runs: sporelog import --help

Exit status: 0 where it was stopped, or with --until-idle has caught up; 1 where it failed, or partitions were left parked.";

/// Runs until a signal, or until idle where that is asked for.
pub async fn run(args: Args, config: Config) -> Result<ExitCode> {
    if let Some(cluster) = Cluster::configured(&config)? {
        if args.simulate || args.until_idle {
            bail!(
                "kafka.bootstrap is set: on a cluster, use `sporelog simulate` and `sporelog lag --wait` beside `up`"
            );
        }
        return role::run_on(cluster.with_stores(&config)?, &Role::ALL, &config).await;
    }
    let folder = Arc::new(DataFolder::open(&config.data.dir)?);
    let topics = runtime::topics::load(config.log.topics_file.as_deref(), &config.log.profile)?;
    let clock = SystemClock::new();
    let log = Log::open_held(folder.clone(), &topics, settings::log(&config), clock)?;
    let store = Store::open(folder.path().join(STORE_FILE))?;
    bind_records(&log, &store)?;
    // Ingest's offsets lie in the log: a store that is new here gets every record from the start.
    log.bind(ingest::PROJECTION.name, store.id()?).await?;
    let appends = tokio::spawn(AppendServer::bind(folder.path())?.serve(log.clone()));

    let mut process = Process::start(&config).await?;
    let backend = Embedded { log: log.clone(), store, schemas: Arc::new(codec::Schemas::embedded()?).into() };
    role::start(backend, &Role::ALL, &mut process, &config)?;
    if args.simulate {
        population::start(&mut process.supervisor, &config, log.clone())?;
    }
    let shown = status::Shown { dir: folder.path().to_owned(), address: process.address, quiet: args.quiet };
    let (metrics, stop) = (process.metrics.clone(), process.stop.clone());
    let status = tokio::spawn(status::show(shown, metrics.clone(), clock, stop, args.until_idle.then(|| log.clone())));

    let ended = process.wait(&config).await;
    let _ = status.await;
    appends.abort();
    ended?;
    let parked: usize = metrics.snapshot().iter().map(|worker| worker.parked).sum();
    if args.until_idle && parked > 0 {
        eprintln!("{parked} partitions are parked, and not caught up: `sporelog lag` says which, why, and what to do");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses a store whose records come from another log: views and series tell it by their
/// positions, but ingest's positions lie in the log that is gone (I2).
fn bind_records(log: &Log, store: &Store) -> Result<()> {
    let here = log.cluster_id();
    if let Some(other) = store.bind_log(here)? {
        bail!(
            "{STORE_FILE} holds what the log {other} says, and the log in this folder is {here}: put the log.db back that \
             belongs to it, or move {STORE_FILE} away, and what this log says is built anew"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// I2: a log that was put in the place of another is not folded into the other's records.
    #[tokio::test]
    async fn a_store_of_another_log_is_refused_with_both_ids() {
        let [dir, other] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let topics = runtime::topics::load(None, "local").unwrap();
        let logs = [&dir, &other].map(|dir| Log::open(dir.path(), &topics).unwrap());
        let store = Store::open(dir.path().join(STORE_FILE)).unwrap();
        bind_records(&logs[0], &store).unwrap();
        bind_records(&logs[0], &store).unwrap();
        let refused = bind_records(&logs[1], &store).unwrap_err().to_string();
        for id in logs.each_ref().map(|log| log.cluster_id().to_string()) {
            assert!(refused.contains(&id), "{refused}");
        }
        assert!(refused.contains("move store.db away"), "{refused}");
    }
}
